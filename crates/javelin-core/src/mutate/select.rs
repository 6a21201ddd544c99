//! Does anything ask for the agent, and with which profile?
//!
//! Precedence: the pod's label, its annotation where the configuration reads those, our copy of the workload's label,
//! the namespace's label.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{
    InjectLabel, Subject,
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
    let (source, value) = asked(subject, config).ok_or(Reason::NotSelected)?;
    if value.as_deref() == Some("false") {
        return Err(Reason::OptedOut(source));
    }
    let profile = value.as_deref().and_then(|value| config.profile(value));
    let profile = profile.ok_or_else(|| Reason::UnknownProfile {
        source,
        value: value.map(Cow::into_owned),
    })?;
    if pod.annotation(MIRROR_POD).is_some() {
        return Err(Reason::StaticPod);
    }
    if is_windows(pod) {
        return Err(Reason::Windows);
    }
    Ok(profile)
}

/// Who asks, and for what; the value is unknown when only an entry's path says that it names no profile.
fn asked<'a>(subject: &Subject<'a>, config: &Config) -> Option<(Source, Option<Cow<'a, str>>)> {
    let pod = subject.pod;
    if let Some(value) = pod.label(INJECT) {
        return Some((Source::Pod, Some(value.into())));
    }
    let annotation = pod.annotation(INJECT);
    if let Some(value) = annotation.filter(|_| config.reads_annotations()) {
        return Some((Source::Annotation, Some(plain(value))));
    }
    if let Some(value) = subject.from_workload.or_else(|| pod.label(FROM_WORKLOAD)) {
        return Some((Source::Workload, Some(value.into())));
    }
    match subject.namespace.inject {
        InjectLabel::Absent => None,
        InjectLabel::Value(value) => Some((Source::Namespace, Some(value.into()))),
        InjectLabel::NoProfile => Some((Source::Namespace, None)),
    }
}

/// Annotations are read as the OpenTelemetry Operator reads them, whose users bring them along: without blanks
/// around, and true and false in any case.
fn plain(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    for word in ["true", "false"] {
        if value.eq_ignore_ascii_case(word) {
            return word.into();
        }
    }
    value.into()
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
