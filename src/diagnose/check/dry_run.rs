//! What became of a labelled pod that was created as a dry run: injected, skipped, not looked at, or refused.
//!
//! The same pod without the label is tried as well when the first one is refused: a namespace that refuses both has
//! nothing against the agent.

use javelin_core::config::{Config, DEFAULT_PROFILE, Delivery};
use javelin_core::mutate::keys::{AGENT_NAME, INJECT, INJECTED, SKIPPED};
use javelin_core::mutate::{Receipt, pod::Metadata};
use serde_json::{Value, json};

use super::facts::Admission;
use super::objects::TriedPod;
use super::{Check, Facts, Findings};

/// The pod: nothing in it that any level of Pod Security refuses, and nothing that a node would have to do.
pub fn pod(is_labelled: bool) -> Value {
    let labels = if is_labelled {
        json!({ INJECT: "true" })
    } else {
        json!({})
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": "javelin-check-", "labels": labels },
        "spec": {
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "app",
                "image": "javelin-check",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let Some(dry_run) = &facts.dry_run else {
        return;
    };
    let check = Check::DryRun;
    let namespace = &dry_run.namespace;
    match &dry_run.labelled {
        Admission::Unseen(unseen) => findings.unseen(check, unseen),
        Admission::Admitted(pod) => admitted(namespace, pod, facts.config(), findings),
        Admission::Refused(why) => match &dry_run.plain {
            Some(Admission::Refused(plain)) => findings.warn(
                check,
                format!("{namespace} refuses the pod with and without the agent: {plain}"),
                format!("try with a workload of your own: kubectl apply --dry-run=server -n {namespace} -f FILE"),
            ),
            _ => findings.fail(
                check,
                format!("{namespace} refuses a pod because of the agent: {why}"),
                "the message says what refuses it and why: change that rule, quota or level, or the profile",
            ),
        },
    }
}

fn admitted(namespace: &str, pod: &TriedPod, config: Option<&Config>, findings: &mut Findings) {
    let check = Check::DryRun;
    let annotation = |key: &str| annotation(&pod.metadata, key);
    if let Some(receipt) = annotation(INJECTED) {
        let receipt: Option<Receipt> = serde_json::from_str(receipt).ok();
        let profile = receipt
            .as_ref()
            .map_or(DEFAULT_PROFILE, |receipt| &receipt.profile);
        let mounts = config
            .and_then(|config| config.profile(profile))
            .is_some_and(|profile| matches!(profile.delivery, Delivery::ImageVolume { .. }));
        if mounts && !has_image_volume(&pod.spec) {
            findings.fail(
                check,
                format!("a pod in {namespace} gets the agent but not its image volume: the JVM would not start"),
                "the API server's feature gate ImageVolume is off: have it switched on, or write `delivery: \
                 init-container` in the profile",
            );
            return;
        }
        findings.ok(
            check,
            format!("a labelled pod in {namespace} gets the agent (profile {profile})"),
        );
    } else if let Some(skipped) = annotation(SKIPPED) {
        findings.warn(
            check,
            format!("a labelled pod in {namespace} is skipped: {skipped}"),
            "docs/reasons.md has every code, and what to do; a LimitRange there may have set the limits",
        );
    } else if config.is_some_and(|config| config.excludes(namespace)) {
        findings.warn(
            check,
            format!("{namespace} is excluded: Javelin never changes anything in it"),
            "remove it from excludedNamespaces in the chart's values, if it should not be excluded",
        );
    } else {
        findings.fail(
            check,
            format!("a labelled pod in {namespace} is unchanged: the webhook was not called, or did not answer"),
            "look at what failed above; if nothing failed, check the selectors of the webhook configuration",
        );
    }
}

fn has_image_volume(spec: &Value) -> bool {
    let volumes = spec.get("volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().any(|volume| {
        volume.get("name").is_some_and(|name| name == AGENT_NAME) && volume.get("image").is_some()
    })
}

fn annotation<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
