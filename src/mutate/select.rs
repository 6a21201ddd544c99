//! Does anything ask for the agent, and with which profile?
//!
//! Precedence: the pod's label, our copy of the workload's label, the namespace's label.

use serde_json::{Value, json};

use super::{
    NamespaceLabel, Subject,
    keys::{FROM_WORKLOAD, INJECT, MIRROR_POD},
    pod::Pod,
    reason::{Reason, Source},
};
use crate::config::{Config, Profile};

/// The profile for this pod, or why it gets none.
pub(super) fn profile<'c>(
    subject: &Subject<'_>,
    config: &'c Config,
) -> Result<&'c Profile, Reason> {
    let pod = subject.pod;
    if subject
        .namespace
        .name
        .is_some_and(|name| config.excludes(name))
    {
        return Err(Reason::NotSelected);
    }
    let asked = asked(subject).ok_or(Reason::NotSelected)?;
    let profile = match asked {
        (source, Some("false")) => return Err(Reason::OptedOut(source)),
        (source, value) => value
            .and_then(|value| config.profile(value))
            .ok_or_else(|| Reason::UnknownProfile {
                source,
                value: value.map(str::to_owned),
            })?,
    };
    if pod.annotation(MIRROR_POD).is_some() {
        return Err(Reason::StaticPod);
    }
    if is_windows(pod) {
        return Err(Reason::Windows);
    }
    Ok(profile)
}

/// Who asks, and for what; the value is unknown when only an entry's path says that it names no profile.
fn asked<'a>(subject: &Subject<'a>) -> Option<(Source, Option<&'a str>)> {
    if let Some(value) = subject.pod.label(INJECT) {
        return Some((Source::Pod, Some(value)));
    }
    if let Some(value) = subject
        .from_workload
        .or_else(|| subject.pod.label(FROM_WORKLOAD))
    {
        return Some((Source::Workload, Some(value)));
    }
    match subject.namespace.inject {
        NamespaceLabel::Absent => None,
        NamespaceLabel::Value(value) => Some((Source::Namespace, Some(value))),
        NamespaceLabel::NoProfile => Some((Source::Namespace, None)),
    }
}

fn is_windows(pod: &Pod) -> bool {
    let stated = pod.spec.os.as_ref().map(|os| os.name.as_str());
    let labels = pod.spec.node_selector.as_ref();
    let node = labels
        .and_then(|labels| labels.get(OS_LABEL))
        .map(String::as_str);
    stated.or(node) == Some(WINDOWS) || pod.spec.affinity.as_ref().is_some_and(requires_windows)
}

/// Does every one of the alternatives ask for Windows nodes?
fn requires_windows(affinity: &Value) -> bool {
    let terms = affinity
        .pointer("/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms")
        .and_then(Value::as_array);
    let asks = |term: &Value| {
        let expressions = term.get("matchExpressions").and_then(Value::as_array);
        expressions.into_iter().flatten().any(|expression| {
            expression.get("key").is_some_and(|key| key == OS_LABEL)
                && expression
                    .get("operator")
                    .is_some_and(|operator| operator == "In")
                && expression.get("values") == Some(&json!([WINDOWS]))
        })
    };
    terms.is_some_and(|terms| !terms.is_empty() && terms.iter().all(asks))
}

const OS_LABEL: &str = "kubernetes.io/os";
const WINDOWS: &str = "windows";
