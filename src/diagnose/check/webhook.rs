//! The webhook configuration, entry by entry, and whoever else changes pods.
//!
//! What the entries should be is computed from the configuration ([`entries`](crate::entries)).

use std::collections::BTreeSet;

use javelin_core::config::DEFAULT_PROFILE;

use super::objects::WebhookConfiguration;
use super::{Check, Facts, Findings, UPGRADE, Unseen, some};
use crate::entries::{
    Difference, Expected, Expression, MutatingWebhook, OUR_ENTRIES, Switches,
    are_bundles_kept_elsewhere, expected, profile,
};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let name = &facts.names.configuration;
    match &facts.configuration {
        Ok(configuration) => {
            let annotations = configuration.metadata.annotations.as_ref();
            let elsewhere = are_bundles_kept_elsewhere(annotations);
            let whose = if elsewhere {
                "; its caBundles are not Javelin's own (tls.existingSecret or tls.certManager)"
            } else {
                ""
            };
            findings.ok(
                Check::WebhookExists,
                format!("MutatingWebhookConfiguration {name} has {} entries{whose}", configuration.webhooks.len()),
            );
            entries(facts, configuration, findings);
            bundles(configuration, elsewhere, findings);
            failure_policy(configuration, findings);
        }
        Err(Unseen::Missing(_)) => findings.fail(
            Check::WebhookExists,
            format!("MutatingWebhookConfiguration {name} does not exist, so nothing calls Javelin"),
            "run `helm install`, or the same `helm upgrade` again; for a release of another name give \
             --webhook-configuration",
        ),
        Err(unseen) => findings.unseen(Check::WebhookExists, unseen),
    }
    match &facts.others {
        Ok(others) => {
            strangers(facts, others, findings);
            injectors(others, findings);
        }
        Err(unseen) => {
            findings.unseen(Check::WebhookStrangers, unseen);
            findings.unseen(Check::OtherInjectors, unseen);
        }
    }
}

fn entries(facts: &Facts, configuration: &WebhookConfiguration, findings: &mut Findings) {
    let Some(config) = facts.config() else {
        return;
    };
    let present = configuration.webhooks.iter().map(|entry| &*entry.name);
    let switches = Switches::of(&present.collect::<Vec<_>>());
    let expected = expected(config, &facts.names.namespace, switches);
    let (mut gone, mut without_entry) = (Vec::new(), BTreeSet::new());
    let mut silent = Vec::new();
    let mut selectors_differ = false;
    for each in &expected {
        let Some(entry) = configuration
            .webhooks
            .iter()
            .find(|entry| entry.name == each.name)
        else {
            match profile(&each.path) {
                _ if each.only_warns() => silent.push(each),
                Some(profile) if profile != DEFAULT_PROFILE => {
                    without_entry.insert(profile.to_owned());
                }
                _ => gone.push(each.name.clone()),
            }
            continue;
        };
        selectors_differ |= differs(each, entry, facts, findings);
    }
    let known = |entry: &&MutatingWebhook| expected.iter().any(|each| each.name == entry.name);
    let others = configuration.webhooks.iter().filter(|entry| !known(entry));
    let (mut stale, mut foreign) = (BTreeSet::new(), Vec::new());
    for entry in others {
        match entry.path().and_then(profile) {
            Some(profile) if calls(entry, facts) => {
                stale.insert(profile.to_owned());
            }
            _ => foreign.push(entry.name.clone()),
        }
    }
    // Of a profile without any entry it is told as such.
    let is_told = |each: &&Expected| {
        let profile = profile(&each.path);
        profile.is_some_and(|profile| without_entry.contains(profile))
    };
    silent.retain(|each| !is_told(each));
    let silent: Vec<_> = silent.iter().map(|each| each.name.clone()).collect();
    names(&gone, &silent, &foreign, findings);
    let [without_entry, stale] = [without_entry, stale].map(Vec::from_iter);
    profiles(&without_entry, &stale, findings);
    if !selectors_differ {
        findings.ok(
            Check::WebhookSelectors,
            "the entries select what the chart says",
        );
    }
}

/// Entries that are missing, and those of somebody else.
fn names(gone: &[String], silent: &[String], foreign: &[String], findings: &mut Findings) {
    if !gone.is_empty() {
        let message = format!(
            "missing entries: {}; what they select does not get the agent",
            some(gone)
        );
        findings.fail(Check::WebhookEntries, message, UPGRADE);
    }
    if !silent.is_empty() {
        let message = format!(
            "missing entries: {}; nobody who applies a workload there is warned, and pods get the agent all the same",
            some(silent)
        );
        findings.warn(Check::WebhookEntries, message, UPGRADE);
    }
    if !foreign.is_empty() {
        findings.warn(
            Check::WebhookEntries,
            format!("entries that are not the chart's: {}", some(foreign)),
            "somebody else has added them: find out who, with `kubectl get mutatingwebhookconfiguration -o yaml \
             --show-managed-fields`",
        );
    }
    if [gone, silent, foreign].iter().all(|names| names.is_empty()) {
        findings.ok(Check::WebhookEntries, "the entries are those of the chart");
    }
}

/// Profiles without an entry, and entries without a profile.
fn profiles(without_entry: &[String], stale: &[String], findings: &mut Findings) {
    if !without_entry.is_empty() {
        findings.fail(
            Check::WebhookProfiles,
            format!("no entry for namespaces with profile {}: their label has no effect", some(without_entry)),
            "profiles are values of the chart, which makes the entries: add them there and run `helm upgrade`",
        );
    }
    if !stale.is_empty() {
        findings.warn(
            Check::WebhookProfiles,
            format!("entries for profiles that the configuration does not have: {}", some(stale)),
            "run the same `helm upgrade` again, which removes them; until then such pods are skipped (unknown-profile)",
        );
    }
    if without_entry.is_empty() && stale.is_empty() {
        findings.ok(Check::WebhookProfiles, "every profile has its entry");
    }
}

/// Compares one entry with what the chart makes; says what differs.
fn differs(
    expected: &Expected,
    entry: &MutatingWebhook,
    facts: &Facts,
    findings: &mut Findings,
) -> bool {
    let name = &entry.name;
    let difference = Difference::between(expected, entry);
    let is_called = calls(entry, facts) && !difference.other_path;
    if !is_called {
        findings.fail(
            Check::WebhookSelectors,
            format!(
                "{name} does not call {}/{}{}",
                facts.names.namespace, facts.names.service, expected.path
            ),
            UPGRADE,
        );
    }
    for (selector, lost) in &difference.lost {
        let message = format!("{name}: its {selector} has lost: {}", sentences(lost));
        findings.fail(Check::WebhookSelectors, message, UPGRADE);
    }
    for (selector, added) in &difference.added {
        findings.warn(
            Check::WebhookSelectors,
            format!("{name}: its {selector} also asks for: {}", sentences(added)),
            "somebody has added that, as AKS does by itself: make sure that it does not exclude your namespaces",
        );
    }
    if !difference.lost_conditions.is_empty() {
        let message = format!(
            "{name} has lost conditions: {:?}",
            difference.lost_conditions
        );
        findings.fail(Check::WebhookSelectors, message, UPGRADE);
    }
    !is_called || !difference.is_none()
}

fn bundles(configuration: &WebhookConfiguration, elsewhere: bool, findings: &mut Findings) {
    let has_none = |entry: &&MutatingWebhook| {
        entry
            .client_config
            .ca_bundle
            .as_deref()
            .is_none_or(str::is_empty)
    };
    let without = configuration.webhooks.iter().filter(has_none);
    let without: Vec<_> = without.map(|entry| entry.name.clone()).collect();
    if without.is_empty() {
        findings.ok(Check::WebhookCaBundles, "every entry has a caBundle");
    } else if elsewhere {
        findings.warn(
            Check::WebhookCaBundles,
            format!("no caBundle in {}: API servers use their own trusted authorities", some(&without)),
            "this is correct for a corporate authority that they trust; otherwise set tls.caBundle, or make sure that \
             cert-manager's cainjector runs",
        );
    } else {
        findings.fail(
            Check::WebhookCaBundles,
            format!("no caBundle in {}: the API server trusts no certificate there", some(&without)),
            "a running replica writes it within a second; its log says why it cannot, or who removes it again",
        );
    }
}

fn failure_policy(configuration: &WebhookConfiguration, findings: &mut Findings) {
    let is_probe = |entry: &MutatingWebhook| entry.name == PROBE_ENTRY;
    let fails = |entry: &MutatingWebhook| entry.failure_policy.as_deref() != Some("Ignore");
    let entries = configuration.webhooks.iter();
    let strict = entries.filter(|entry| !is_probe(entry) && fails(entry));
    let strict: Vec<_> = strict.map(|entry| entry.name.clone()).collect();
    let blind = configuration
        .webhooks
        .iter()
        .any(|entry| is_probe(entry) && !fails(entry));
    if !strict.is_empty() {
        findings.fail(
            Check::WebhookFailurePolicy,
            format!(
                "failurePolicy is not Ignore in {}: without Javelin labelled pods are refused",
                some(&strict)
            ),
            UPGRADE,
        );
    }
    if blind {
        findings.warn(
            Check::WebhookFailurePolicy,
            format!("{PROBE_ENTRY} has failurePolicy Ignore, which hides why the webhook is not reached"),
            "exempt that entry from the policy that changed it: it can refuse only Javelin's own dry run",
        );
    }
    if strict.is_empty() && !blind {
        findings.ok(
            Check::WebhookFailurePolicy,
            "pods start without the agent while Javelin is down",
        );
    }
}

fn strangers(facts: &Facts, others: &[WebhookConfiguration], findings: &mut Findings) {
    let check = Check::WebhookStrangers;
    let mut is_alone = true;
    for other in others {
        let name = other.metadata.name.as_deref().unwrap_or_default();
        let ours: Vec<_> = other
            .webhooks
            .iter()
            .filter(|entry| calls(entry, facts))
            .map(|entry| entry.name.clone())
            .collect();
        if !ours.is_empty() {
            is_alone = false;
            findings.fail(
                check,
                format!("MutatingWebhookConfiguration {name} calls Javelin, too ({}): pods are sent twice", some(&ours)),
                format!("if it is left over from an older release: kubectl delete mutatingwebhookconfiguration {name}"),
            );
        } else if other
            .webhooks
            .iter()
            .any(|entry| entry.name.ends_with(OUR_ENTRIES))
        {
            is_alone = false;
            findings.warn(
                check,
                format!("MutatingWebhookConfiguration {name} belongs to another Javelin in this cluster"),
                "both see the same labels, and the first one injects: keep one, or separate their namespaces with \
                 excludedNamespaces",
            );
        }
    }
    if is_alone {
        findings.ok(check, "nobody else calls Javelin");
    }
}

fn injectors(others: &[WebhookConfiguration], findings: &mut Findings) {
    let check = Check::OtherInjectors;
    let mut harmless = Vec::new();
    let mut is_alone = true;
    for other in others {
        let name = other.metadata.name.as_deref().unwrap_or_default();
        let of_pods: Vec<_> = other
            .webhooks
            .iter()
            .filter(|entry| is_for_pods(entry))
            .collect();
        if of_pods.is_empty()
            || other
                .webhooks
                .iter()
                .any(|entry| entry.name.ends_with(OUR_ENTRIES))
        {
            continue;
        }
        let marks = of_pods
            .iter()
            .map(|entry| marks(name, entry))
            .collect::<String>();
        let known = INJECTORS.iter().find(|(mark, ..)| marks.contains(mark));
        // New Relic's other webhook adds a few variables and no agent.
        let known = known.filter(|_| !marks.contains("nri-metadata-injection"));
        let Some((_, vendor, hint)) = known else {
            harmless.push(name.to_owned());
            continue;
        };
        is_alone = false;
        findings.warn(
            check,
            format!(
                "{vendor} also injects into pods (MutatingWebhookConfiguration {name}): the second agent is left out"
            ),
            *hint,
        );
    }
    if is_alone {
        let beside = if harmless.is_empty() {
            String::new()
        } else {
            format!(" (pods are also changed by {})", some(&harmless))
        };
        findings.ok(
            check,
            format!("no other injector of Java agents was found{beside}"),
        );
    }
}

/// All by which an injector may be known.
fn marks(configuration: &str, entry: &MutatingWebhook) -> String {
    let service = entry.client_config.service.as_ref();
    let called = service.map(|service| format!("{} {}", service.namespace, service.name));
    let called = called.or_else(|| entry.client_config.url.clone());
    let marks = format!(
        "{configuration} {} {} ",
        entry.name,
        called.unwrap_or_default()
    );
    marks.to_ascii_lowercase()
}

fn is_for_pods(entry: &MutatingWebhook) -> bool {
    entry.rules.iter().any(|rule| {
        let is_pods = |resource: &String| matches!(resource.as_str(), "pods" | "*" | "*/*");
        let is_create = |operation: &String| matches!(operation.as_str(), "CREATE" | "*");
        rule.resources.iter().any(is_pods) && rule.operations.iter().any(is_create)
    })
}

fn calls(entry: &MutatingWebhook, facts: &Facts) -> bool {
    let service = entry.client_config.service.as_ref();
    service.is_some_and(|service| {
        service.name == facts.names.service && service.namespace == facts.names.namespace
    })
}

fn sentences(requirements: &[Expression]) -> String {
    let sentences: Vec<_> = requirements.iter().map(sentence).collect();
    sentences.join("; ")
}

fn sentence(
    Expression {
        key,
        operator,
        values,
    }: &Expression,
) -> String {
    if values.is_empty() {
        format!("{key} {operator}")
    } else {
        format!("{key} {operator} ({})", values.join(", "))
    }
}

const PROBE_ENTRY: &str = "probe.javelin.dev";

const BY_ANNOTATION: &str = "a pod gets Javelin's agent if it does not ask for the other one: leave out that one's \
     annotation or label";

/// By what others are known, who they are, and how to live beside them. The longer mark comes first.
const INJECTORS: [(&str, &str, &str); 13] = [
    (
        "opentelemetry-operator",
        "The OpenTelemetry Operator",
        BY_ANNOTATION,
    ),
    ("otel-operator", "The OpenTelemetry Operator", BY_ANNOTATION),
    (
        "dynatrace",
        "Dynatrace",
        "exclude the namespaces with Javelin's label by its namespaceSelector, or annotate pods oneagent.dynatrace.com/inject=false",
    ),
    (
        "datadog",
        "Datadog",
        "label pods admission.datadoghq.com/enabled=false, or exclude their namespaces in its apm.instrumentation settings",
    ),
    (
        "newrelic",
        "New Relic",
        "leave namespaces with Javelin's label out of its Instrumentation resources",
    ),
    (
        "k8s-agents-operator",
        "New Relic",
        "leave namespaces with Javelin's label out of its Instrumentation resources",
    ),
    (
        "instana",
        "Instana",
        "label namespaces or workloads instana-autotrace=false",
    ),
    (
        "appdynamics",
        "AppDynamics",
        "leave namespaces with Javelin's label out of its instrumentation rules",
    ),
    (
        "elastic-apm",
        "Elastic APM",
        "leave out the annotation co.elastic.apm/attach",
    ),
    (
        "apm-attacher",
        "Elastic APM",
        "leave out the annotation co.elastic.apm/attach",
    ),
    (
        "odigos",
        "Odigos",
        "leave those workloads out of its sources",
    ),
    (
        "lumigo",
        "Lumigo",
        "leave namespaces with Javelin's label out of its Lumigo resources",
    ),
    ("dash0", "Dash0", "label workloads dash0.com/enable=false"),
];
