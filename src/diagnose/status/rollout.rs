//! Restarting workloads: which can be, by what patch, and how far it is. As `kubectl rollout restart` and `rollout
//! status` do it.

use javelin_core::kinds::Kind;
use serde_json::{Value, json};

use super::objects::WorkloadFacts;
use crate::standing::obstacle_of_kind;

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Every pod is new, and ready.
    Done,
    /// Not yet; what is missing.
    Waiting(String),
    /// It will not be, by itself.
    Failed(String),
}

/// Why its pods cannot be replaced by a rolling restart; `None` if they can.
pub fn obstacle(workload: &WorkloadFacts) -> Option<&'static str> {
    let strategy = workload.spec.update_strategy.as_ref();
    if workload.spec.paused {
        return Some("it is paused: resume it, and its pods are replaced");
    }
    if strategy.is_some_and(|strategy| strategy.kind == "OnDelete") {
        return Some("its update strategy is OnDelete: delete its pods, and each is created again");
    }
    let update = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    if update.is_some_and(|update| update.partition > 0) {
        return Some("its rolling update has a partition: pods below it would not be replaced");
    }
    obstacle_of_kind(workload.kind)
}

/// Where workloads of a kind that can be restarted are.
pub fn path(kind: &str, namespace: &str, name: &str) -> Option<String> {
    let kind = Kind::named(None, kind).filter(|kind| kind.obstacle.is_none())?;
    Some(format!("{}/{name}", kind.path(Some(namespace))))
}

/// What restarts it. `time` is RFC 3339.
pub fn patch(kind: &str, time: &str) -> Value {
    if kind == "Rollout" {
        // Argo's own way. It is an update like any other, so a label that the webhook missed is copied with it.
        return json!({ "spec": { "restartAt": time } });
    }
    let annotations = json!({ RESTARTED_AT: time });
    json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } })
}

/// How far the rollout of a workload is, as it was just read.
pub fn progress(kind: &str, object: &Value) -> Progress {
    let number = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let observed = object.pointer("/status/observedGeneration");
    // Argo writes it as text.
    let observed =
        observed.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    if observed.unwrap_or_default() < number("/metadata/generation") {
        return Progress::Waiting("its controller has not seen it yet".to_owned());
    }
    let wanted = object
        .pointer("/spec/replicas")
        .and_then(Value::as_u64)
        .unwrap_or(1);
    let (updated, ready, wanted) = match kind {
        "DaemonSet" => (
            number("/status/updatedNumberScheduled"),
            number("/status/numberAvailable"),
            number("/status/desiredNumberScheduled"),
        ),
        "StatefulSet" => (
            number("/status/updatedReplicas"),
            number("/status/readyReplicas"),
            wanted,
        ),
        _ => (
            number("/status/updatedReplicas"),
            number("/status/availableReplicas"),
            wanted,
        ),
    };
    if let Some(why) = gives_up(object) {
        return Progress::Failed(why);
    }
    if updated < wanted {
        return Progress::Waiting(format!("{updated} of {wanted} pods are new"));
    }
    if matches!(kind, "Deployment" | "Rollout") && number("/status/replicas") > updated {
        let old = number("/status/replicas") - updated;
        return Progress::Waiting(format!("{old} old pods are still there"));
    }
    if ready < wanted {
        return Progress::Waiting(format!("{ready} of {wanted} new pods are ready"));
    }
    if kind == "StatefulSet" && text("/status/updateRevision") != text("/status/currentRevision") {
        return Progress::Waiting("its revision is not the current one yet".to_owned());
    }
    if kind == "Rollout" && text("/status/restartedAt") != text("/spec/restartAt") {
        return Progress::Waiting("not every pod was restarted yet".to_owned());
    }
    Progress::Done
}

/// A Deployment says so when its deadline has passed.
fn gives_up(object: &Value) -> Option<String> {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)?;
    let late = conditions.iter().find(|condition| {
        condition
            .get("type")
            .is_some_and(|kind| kind == "Progressing")
            && condition
                .get("reason")
                .is_some_and(|reason| reason == "ProgressDeadlineExceeded")
    })?;
    late.get("message")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// As `kubectl rollout restart` calls it.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

#[cfg(test)]
mod tests;
