//! The engine in another language: admission policies that inject with no webhook, for Kubernetes 1.36 and later.
//!
//! A [`Config`] in, [`Policies`] out. The expressions are the same for every configuration, but for one map of literals
//! for each profile that holds what it says. Not a `ConfigMap` with `paramRef`: once the last binding of a cluster that
//! refers to `ConfigMaps` is deleted, its API servers read none any more until they restart, or go on with what they read
//! last (kubernetes/kubernetes#130887, tried). So nobody could take the policies back and apply them again.
//!
//! What an expression cannot do is a [`Difference`](difference::Difference): the policy leaves such a pod alone, with a
//! code, or does less than the engine in a way that is listed. It never injects what the engine would not, but for the size.
//!
//! Deliberately not here: asking a cluster for its version, printing (`cli`), and any other way to read the
//! expressions than the API server's own (`tests/cluster/policy.rs` compares both, pod by pod).

use serde_json::{Value, json};

use crate::{config::Config, dns, kinds::Kind, mutate::keys};

pub mod difference;
mod expressions;
mod parameters;
pub mod refusal;
pub mod version;

pub use refusal::Unsupported;

use expressions::DecidedBy;

/// The objects to apply, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Policies(Vec<Value>);

impl Policies {
    /// The policies of a configuration; or everything that keeps it from being said in policies.
    pub fn of(config: &Config) -> Result<Self, Vec<Unsupported>> {
        let refusals = refusal::all(config);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let elsewhere = elsewhere(config);
        let mut documents = vec![pods(config)];
        documents.extend(pod_bindings(config, &elsewhere));
        documents.push(workloads());
        documents.extend(workload_bindings(&elsewhere));
        documents.extend(missed(config, &elsewhere));
        Ok(Self(documents))
    }

    /// The objects.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// One object that holds them all.
    pub fn into_list(self) -> Value {
        json!({ "apiVersion": "v1", "kind": "List", "items": self.0 })
    }
}

/// The policy that injects.
fn pods(config: &Config) -> Value {
    let (variables, patch) = expressions::pods(config);
    json!({
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": PODS },
        "spec": {
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": { "resourceRules": [rule("", "v1", &["CREATE"], &["pods"])] },
            "variables": variables,
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": patch } }],
        },
    })
}

/// The policy that copies a workload's label into its pod template.
fn workloads() -> Value {
    let (variables, patch) = expressions::workloads();
    json!({
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": WORKLOADS },
        "spec": {
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "Never",
            // A Job's template never changes once it is there: a patch on its update would fail the user's command.
            "matchConstraints": { "resourceRules": rules_for_copies() },
            "variables": variables,
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": patch } }],
        },
    })
}

/// The policy that warns of pods that were asked for and have no agent, with its binding.
fn missed(config: &Config, elsewhere: &Value) -> [Value; 2] {
    let policy = json!({
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": MISSED },
        "spec": missed_spec(DecidedBy::Policies, config.reads_annotations()),
    });
    let binding = json!({
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": MISSED },
        "spec": {
            "policyName": MISSED,
            "validationActions": ["Warn", "Audit"],
            "matchResources": { "namespaceSelector": { "matchExpressions": [elsewhere] } },
        },
    });
    [policy, binding]
}

fn missed_spec(by: DecidedBy, annotated: bool) -> Value {
    let expressions::Missed {
        variables,
        valid,
        message,
    } = expressions::missed(by, annotated);
    json!({
        "failurePolicy": "Ignore",
        "matchConstraints": { "resourceRules": [rule("", "v1", &["CREATE"], &["pods"])] },
        "variables": variables,
        "validations": [{ "expression": valid, "messageExpression": message }],
    })
}

/// The `spec` of the `ValidatingAdmissionPolicy` beside the webhook, which the chart has: it warns of pods that were asked for and
/// that no call has decided about. `annotated` is whether annotations of pods are read.
pub fn beside_webhook(annotated: bool) -> Value {
    missed_spec(DecidedBy::Webhook, annotated)
}

/// Which pods are handed to the policy: by labels, so that others cost nothing. Every pod meets one binding at most.
fn pod_bindings(config: &Config, elsewhere: &Value) -> Vec<Value> {
    let values = std::iter::once("true").chain(config.profiles().map(|p| p.name.as_str()));
    let values: Vec<_> = values.collect();
    let (own, copy) = (keys::INJECT, keys::FROM_WORKLOAD);
    let none = Vec::new;
    let mut bindings = vec![
        (
            "by-label",
            none(),
            vec![exists(own), not_in(own, &["false"])],
        ),
        (
            "by-workload",
            none(),
            vec![absent(own), exists(copy), not_in(copy, &["false"])],
        ),
        (
            "by-namespace",
            vec![is_in(own, &values)],
            vec![absent(own), absent(copy)],
        ),
    ];
    if config.reads_annotations() {
        // Selectors know no annotations: the expressions look at every pod without a label.
        bindings.extend([
            (
                "by-annotation",
                vec![not_in(own, &values)],
                vec![absent(own), absent(copy)],
            ),
            (
                "by-annotation-opted-out",
                none(),
                vec![absent(own), is_in(copy, &["false"])],
            ),
        ]);
    }
    let bindings = bindings.into_iter().map(|(name, mut namespace, object)| {
        namespace.insert(0, elsewhere.clone());
        binding(PODS, name, &namespace, &object)
    });
    bindings.collect()
}

fn workload_bindings(elsewhere: &Value) -> [Value; 2] {
    let (own, copy) = (keys::INJECT, keys::FROM_WORKLOAD);
    let namespace = [elsewhere.clone()];
    [
        binding(WORKLOADS, "labelled", &namespace, &[exists(own)]),
        binding(
            WORKLOADS,
            "unlabelled",
            &namespace,
            &[absent(own), exists(copy)],
        ),
    ]
}

fn binding(policy: &str, name: &str, namespace: &[Value], object: &[Value]) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": format!("{policy}-{name}") },
        "spec": {
            "policyName": policy,
            "matchResources": {
                "namespaceSelector": { "matchExpressions": namespace },
                "objectSelector": { "matchExpressions": object },
            },
        },
    })
}

/// Not the excluded namespaces. What is no label is no namespace's name either.
fn elsewhere(config: &Config) -> Value {
    let names = config.excluded_namespaces();
    let names: Vec<_> = names.filter(|name| dns::is_label(name)).collect();
    if names.is_empty() {
        // NotIn wants values; this is true of every namespace.
        return exists(NAMESPACE_NAME);
    }
    not_in(NAMESPACE_NAME, &names)
}

fn rule(group: &str, version: &str, operations: &[&str], resources: &[&str]) -> Value {
    json!({
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": operations,
        "resources": resources,
    })
}

/// One for each group and its operations.
fn rules_for_copies() -> Vec<Value> {
    let kinds: Vec<_> = Kind::copied().collect();
    let alike = |one: &&Kind, other: &&Kind| {
        one.group == other.group && one.copied_on() == other.copied_on()
    };
    let rules = kinds.chunk_by(alike).filter_map(|kinds| {
        let first = kinds.first()?;
        // What others bring may have a newer version than is known here.
        let version = if first.group.contains('.') { "*" } else { "v1" };
        let resources: Vec<_> = kinds.iter().map(|kind| kind.plural()).collect();
        Some(rule(first.group, version, first.copied_on(), &resources))
    });
    rules.collect()
}

fn exists(key: &str) -> Value {
    json!({ "key": key, "operator": "Exists" })
}

fn absent(key: &str) -> Value {
    json!({ "key": key, "operator": "DoesNotExist" })
}

fn is_in(key: &str, values: &[&str]) -> Value {
    json!({ "key": key, "operator": "In", "values": values })
}

fn not_in(key: &str, values: &[&str]) -> Value {
    json!({ "key": key, "operator": "NotIn", "values": values })
}

const API_VERSION: &str = "admissionregistration.k8s.io/v1";

/// Names of the policies.
const PODS: &str = "javelin-pods";
const WORKLOADS: &str = "javelin-workloads";
const MISSED: &str = "javelin-missed";

/// A label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

#[cfg(test)]
mod tests;
