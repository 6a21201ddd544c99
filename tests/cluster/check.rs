//! `javelin check` as the person at the terminal runs it: on an installation that is as it should be, and on one in which
//! one thing at a time is broken. Each time exactly that is told, with what to do.

use std::{collections::BTreeSet, fs, process::Output};

use serde_json::{Value, json};

use crate::{
    cases::{ENDPOINT, INJECT, SOON, SYSTEM, counted, pause_pod, upgrade_with},
    kube::{
        Namespace, Result, apply, ensure, eventually, get, javelin, kubectl, kubectl_with, pods,
    },
    settled::{is_admitted, javelin_is_rolled_out},
};

/// A kind that comes and goes with its definition, and has the label on one object.
fn kind_of_an_operator(namespace: &str, here: &[&str]) -> Result {
    let definition = Removed::apply(
        "customresourcedefinition",
        "sheds.t-check.example.com",
        SHEDS,
    )?;
    let object = json!({
        "apiVersion": "t-check.example.com/v1", "kind": "Shed",
        "metadata": { "name": "shed", "namespace": namespace, "labels": { INJECT: "true" } },
    });
    eventually("the API server serves the kind", SOON, || {
        apply(&object.to_string()).map(drop)
    })?;
    tells(here, &[("label-kinds", "warning")], "labels of its pods")?;
    drop(definition);
    eventually("the kind is gone", SOON, || tells(here, &[], ""))
}

const SHEDS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: sheds.t-check.example.com}
spec:
  group: t-check.example.com
  scope: Namespaced
  names: {kind: Shed, plural: sheds}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
";

/// What is not in order: id and status.
type Told = BTreeSet<(String, String)>;

/// All in order, also with every entry that the chart can make.
pub(crate) fn all_is_well() -> Result {
    let namespace = Namespace::new("t-check-well", &[])?;
    eventually("everything is in order", SOON, || {
        tells(&["-n", namespace.0], &[], "")
    })?;
    let output = check(&["-n", namespace.0]);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && text.contains("✓ a labelled pod in t-check-well gets the agent"),
        "{output:?}"
    );
    let upgrade = |more: &[&str]| upgrade_with(&[&["--reset-values", ENDPOINT], more].concat());
    upgrade(&[
        "--set=annotations=true",
        "--set=webhook.workloadWarnings=true",
        "--set=profiles.checkout.propagators={b3}",
    ])?;
    let told = eventually(
        "the entries of another configuration are in order",
        SOON,
        || tells(&[], &[], ""),
    );
    upgrade(&[])?;
    told
}

/// Each thing is broken, told, and mended.
pub(crate) fn one_thing_at_a_time() -> Result {
    let namespace = Namespace::new("t-check", &[])?;
    let here = ["-n", namespace.0];
    eventually("everything is in order", SOON, || tells(&here, &[], ""))?;

    // Labels.
    let label = |label: &str| kubectl(&["label", "namespace", namespace.0, label]);
    label("instrumentation.opentelemetry.io/inject-jave=true")?;
    tells(
        &here,
        &[("label-keys", "failed")],
        &format!("was {INJECT} meant?"),
    )?;
    label("instrumentation.opentelemetry.io/inject-jave-")?;
    label(&format!("{INJECT}=True"))?;
    tells(&here, &[("label-values", "failed")], "was \"true\" meant?")?;
    label(&format!("{INJECT}-"))?;
    kubectl(&[
        "annotate",
        "namespace",
        namespace.0,
        &format!("{INJECT}=true"),
    ])?;
    tells(
        &here,
        &[("label-annotations", "failed")],
        "only labels count",
    )?;
    kubectl(&["annotate", "namespace", namespace.0, &format!("{INJECT}-")])?;

    // On a pod and a ReplicaSet of nobody, which no workload shows.
    let alone = |kind: &str, name: &str, misspelt: &str| {
        apply(misspelt)?;
        let told = tells(
            &here,
            &[("label-keys", "failed")],
            &format!("was {INJECT} meant?"),
        );
        kubectl(&["delete", kind, name, "-n", namespace.0, "--wait=true"])?;
        told
    };
    let misspelt = "instrumentation.opentelemetry.io/inject-jave: 'true'";
    alone(
        "pod",
        "alone",
        &pause_pod("alone", namespace.0, misspelt, ""),
    )?;
    alone(
        "replicaset",
        "alone",
        &format!(
            "{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: alone, namespace: {}, labels: {{{misspelt}}}}}, spec: {{
  replicas: 0, selector: {{matchLabels: {{app: alone}}}}, template: {{metadata: {{labels: {{app: alone}}}}, spec: {{
    containers: [{{name: app, image: 'localhost/javelin-pause:1'}}]}}}}}}}}",
            namespace.0
        ),
    )?;

    // On kinds whose pods do not get it from there.
    kind_of_an_operator(namespace.0, &here)?;

    // Somebody else's webhook, which selects nothing.
    let foreign = Removed::apply(
        "mutatingwebhookconfiguration",
        "t-opentelemetry-operator",
        FOREIGN,
    )?;
    tells(
        &here,
        &[("other-injectors", "warning")],
        "leave out that one's annotation",
    )?;
    drop(foreign);

    // A policy that refuses the agent, and a quota that refuses everything. Both are forgotten before the next thing: its
    // pod would be refused, too.
    let waits = waiting_pod(&namespace);
    let policy = Removed::apply(
        "validatingadmissionpolicybinding,validatingadmissionpolicy",
        "t-check",
        POLICY,
    )?;
    eventually("the policy refuses pods with the agent", SOON, || {
        tells(
            &here,
            &[("dry-run", "failed")],
            "the message says what refuses it",
        )
    })?;
    drop(policy);
    is_admitted(&waits)?;
    apply(&format!(
        "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: none, namespace: {}}}, spec: {{hard: {{pods: '0'}}}}}}",
        namespace.0
    ))?;
    eventually("the quota refuses every pod", SOON, || {
        tells(&here, &[("dry-run", "warning")], "a workload of your own")
    })?;
    kubectl(&["delete", "resourcequota", "none", "-n", namespace.0])?;
    is_admitted(&waits)?;

    pulls(&namespace, &waits)?;
    entries()?;
    collector()?;
    without_rights(&namespace)
}

/// Nobody is there: every check that rests on it says so, and `--wait` sees the end of it.
pub(crate) fn nobody_is_there() -> Result {
    let namespace = Namespace::new("t-check-away", &[])?;
    scale(0)?;
    let expected = ["dry-run", "endpoints", "reachable", "replicas"].map(|id| (id, "failed"));
    let told = eventually("the API server knows that nobody is there", SOON, || {
        tells(&["-n", namespace.0], &expected, "is it scaled to 0?")
    });
    kubectl(&["scale", "-n", SYSTEM, "deploy/javelin", "--replicas=2"])?;
    let output = check(&["-n", namespace.0, "--wait=60s"]);
    told?;
    ensure!(output.status.success(), "waited in vain: {output:?}");
    Ok(())
}

/// A pod that waits for the agent's image, made by hand: no configuration is changed for it.
fn pulls(namespace: &Namespace, waits: &str) -> Result {
    apply(waits)?;
    eventually("the kubelet says that it has no such image", SOON, || {
        tells(&[], &[("agent-image", "failed")], "kubectl describe pod")
    })?;
    kubectl(&["delete", "pod", "waits", "-n", namespace.0, "--wait=true"])?;
    eventually("what is gone is not told", SOON, || tells(&[], &[], ""))
}

fn waiting_pod(namespace: &Namespace) -> String {
    let init = "initContainers: [{name: javelin-agent, image: 'localhost/t-nowhere:1', imagePullPolicy: Never}]";
    pause_pod("waits", namespace.0, "app: a", init)
}

/// Entries that somebody has changed. What Javelin repairs by itself is left alone.
fn entries() -> Result {
    let configuration = ["mutatingwebhookconfiguration", "javelin"];
    let patch = |patch: &Value| {
        let patch = patch.to_string();
        kubectl(
            &[
                &["patch"],
                &configuration[..],
                &["--type=json", "-p", &patch],
            ]
            .concat(),
        )
    };
    let policy = |value: &str| json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": value}]);
    patch(&policy("Fail"))?;
    let told = tells(&[], &[("webhook-failure-policy", "failed")], "helm upgrade");
    patch(&policy("Ignore"))?;
    told?;
    // Each replica's reconciler sees it, too.
    let drifted = |is_so: bool| {
        eventually(
            "the metric tells whether entries have drifted",
            SOON,
            || {
                let count = counted("javelin_webhook_entries_drifted{")?;
                ensure!((count > 0) == is_so, "it tells of {count}");
                Ok(())
            },
        )
    };
    drifted(false)?;
    let labels = "/webhooks/0/namespaceSelector/matchLabels";
    patch(&json!([{"op": "add", "path": labels, "value": {"t-check": "a"}}]))?;
    let told = tells(
        &[],
        &[("webhook-selectors", "warning")],
        "somebody has added that",
    );
    let seen = drifted(true);
    patch(&json!([{"op": "remove", "path": labels}]))?;
    told?;
    seen?;
    drifted(false)?;
    tells(&[], &[], "")
}

/// The Collector's Service, with a port that is gone, and with two that were mixed up.
fn collector() -> Result {
    let service = ["service", "otel-collector", "-n", "observability"];
    let before = get(&service)?["spec"]["ports"].clone();
    let set = |ports: &Value| {
        let patch = json!([{"op": "replace", "path": "/spec/ports", "value": ports}]).to_string();
        kubectl(&[&["patch"], &service[..], &["--type=json", "-p", &patch]].concat())
    };
    let broken = || {
        let mut mixed = before.clone();
        for port in mixed.as_array_mut().into_iter().flatten() {
            port["targetPort"] = json!(if port["port"] == 4318 {
                "otlp-grpc"
            } else {
                "otlp-http"
            });
        }
        set(&mixed)?;
        eventually("4318 leads to gRPC", SOON, || {
            tells(&[], &[("collector-otlp", "failed")], "the classic mistake")
        })?;
        let mut gone = before.clone();
        gone.as_array_mut()
            .into_iter()
            .for_each(|ports| ports.retain(|port| port["port"] != 4318));
        set(&gone)?;
        eventually("4318 is gone", SOON, || {
            tells(
                &[],
                &[("collector-service", "failed")],
                "by convention 4318",
            )
        })
    };
    let told = broken();
    set(&before)?;
    told?;
    eventually("the Collector is back", SOON, || tells(&[], &[], ""))
}

/// Somebody who may do next to nothing is told which rights are missing, and nothing fails for it.
fn without_rights(namespace: &Namespace) -> Result {
    let config = kubectl(&[
        "config",
        "view",
        "--raw",
        "--flatten",
        "--minify",
        "-o",
        "json",
    ])?;
    let mut config: Value = serde_json::from_str(&config).map_err(|error| error.to_string())?;
    config["users"][0]["user"]["as"] = json!("t-nobody");
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    fs::write(file.path(), config.to_string()).map_err(|error| error.to_string())?;
    let output = javelin(&["check", "-o", "json", "-n", namespace.0])
        .env("KUBECONFIG", file.path())
        .output()
        .map_err(|error| error.to_string())?;
    ensure!(output.status.success(), "{output:?}");
    let findings = findings(&output)?;
    ensure!(
        findings.iter().all(|each| each["status"] != "failed"),
        "{findings:?}"
    );
    let own = findings.iter().find(|each| each["id"] == "your-rights");
    let message = own
        .and_then(|own| own["message"].as_str())
        .unwrap_or_default();
    for right in [
        "list mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "get configmaps in namespace javelin-system",
        "create pods in namespace t-check",
    ] {
        ensure!(message.contains(right), "{right} is not named: {message}");
    }
    Ok(())
}

/// Exactly these are not in order, and one of them has that hint.
pub(crate) fn tells(arguments: &[&str], expected: &[(&str, &str)], hint: &str) -> Result {
    let output = check(&[&["-o", "json"], arguments].concat());
    let findings = findings(&output)?;
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let bad: Vec<_> = findings
        .iter()
        .filter(|each| each["status"] != "ok")
        .collect();
    let told: Told = bad
        .iter()
        .map(|each| (text(each, "id"), text(each, "status")))
        .collect();
    let expected: Told = expected
        .iter()
        .map(|(id, status)| ((*id).to_owned(), (*status).to_owned()))
        .collect();
    ensure!(told == expected, "expected {expected:?}, told was {bad:#?}");
    ensure!(
        expected.is_empty() || bad.iter().any(|each| text(each, "hint").contains(hint)),
        "no hint says {hint:?}: {bad:#?}"
    );
    let code = i32::from(expected.iter().any(|(_, status)| status == "failed"));
    ensure!(output.status.code() == Some(code), "{:?}", output.status);
    Ok(())
}

fn findings(output: &Output) -> Result<Vec<Value>> {
    let report: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))?;
    Ok(report["findings"].as_array().cloned().unwrap_or_default())
}

fn check(arguments: &[&str]) -> Output {
    let mut command = javelin(&["check"]);
    command.args(arguments).output().expect("javelin starts")
}

/// Until no pod, or every pod, of Javelin is there, and called.
pub(crate) fn scale(replicas: usize) -> Result {
    kubectl(&[
        "scale",
        "-n",
        SYSTEM,
        "deploy/javelin",
        &format!("--replicas={replicas}"),
    ])?;
    if replicas > 0 {
        javelin_is_rolled_out()?;
    }
    eventually("as many replicas as were asked for", SOON, || {
        let left = get(&["pods", "-n", SYSTEM])?["items"]
            .as_array()
            .map_or(0, Vec::len);
        ensure!(
            left == replicas && pods(SYSTEM)?.len() == replicas,
            "{left} pods"
        );
        Ok(())
    })
}

/// Something that is taken away again when the value is dropped.
pub(crate) struct Removed(&'static str, &'static str);

impl Removed {
    pub(crate) fn apply(kinds: &'static str, name: &'static str, manifest: &str) -> Result<Self> {
        let removed = Self(kinds, name);
        kubectl_with(&["apply"], manifest)?;
        Ok(removed)
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        for kind in self.0.split(',') {
            let _ = kubectl(&["delete", kind, self.1]);
        }
    }
}

const FOREIGN: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: t-opentelemetry-operator}
webhooks:
- name: mpod.kb.io
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
  clientConfig: {service: {name: webhook, namespace: t-nowhere, path: /mutate-v1-pod}}
  namespaceSelector: {matchLabels: {t-nobody: has-it}}
  rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
";

const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: t-check}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: \"!has(object.spec.initContainers)\"
    message: no init containers here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: t-check}
spec:
  policyName: t-check
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: t-check}}}
";
