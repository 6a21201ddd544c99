//! Takes out what the receipt names, and nothing else.
//!
//! Everything or nothing: an object of which one part cannot be taken out for sure stays as it is, and a person is told
//! which part. What was only added is known by its name; what was changed is in the receipt of a manifest
//! ([`Undo`]), not in that of a pod that a webhook injected.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::receipt_of;
use crate::{
    mutate::{Receipt, Undo, encode, keys},
    patch::PodPath,
    steps,
};

/// The object without the agent; `None` where there is none, an error where that cannot be done for sure.
pub fn taken_out(object: &Value, place: PodPath) -> Result<Option<Value>, String> {
    let Some(pod) = place.of(object) else {
        return Ok(None);
    };
    let mut new = object.clone();
    let Some(new_pod) = place.of_mut(&mut new) else {
        return Ok(None);
    };
    let skipped = pod
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(keys::SKIPPED));
    let Some(receipt) = receipt_of(pod) else {
        if pod
            .pointer("/metadata/annotations")
            .is_some_and(|all| all.get(keys::INJECTED).is_some())
        {
            return Err(format!("its annotation {} cannot be read", keys::INJECTED));
        }
        if skipped.is_none() {
            return Ok(None);
        }
        annotations(new_pod, without_word);
        return Ok(Some(new));
    };
    take(new_pod, &receipt)?;
    Ok(Some(new))
}

/// Writes into the receipt of an injected object how to get the original back.
pub(super) fn record(
    original: &Value,
    injected: &mut Value,
    place: PodPath,
    secret: Option<&str>,
) -> Result<(), String> {
    const CANNOT: &str =
        "not-removable: this manifest cannot be taken back by --remove; keep the original";
    let (Some(before), Some(after)) = (place.of(original), place.of_mut(injected)) else {
        return Ok(());
    };
    let Some(mut receipt) = receipt_of(after) else {
        return Ok(());
    };
    let mut undo = Undo {
        image_pull_secret: secret.map(str::to_owned),
        ..Undo::default()
    };
    for list in LISTS {
        let containers = before
            .pointer(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for container in containers {
            let name = text(container, "name");
            let Some(set) = names_of(&receipt, name) else {
                continue;
            };
            let env = container.get("env").and_then(Value::as_array);
            let is_lost = |entry: &Value| is_ours(&set, text(entry, "name"));
            let lost = env
                .into_iter()
                .flatten()
                .enumerate()
                .filter(|(_, entry)| is_lost(entry));
            let lost: Vec<_> = lost.map(|(index, entry)| (index, entry.clone())).collect();
            if !lost.is_empty() {
                undo.env.insert(name.to_owned(), lost);
            }
        }
    }
    for pointer in emptiable(before) {
        let value = before.pointer(&pointer);
        let is_empty =
            |value: &Value| value.is_null() || *value == json!([]) || *value == json!({});
        if let Some(value) = value.filter(|value| is_empty(value)) {
            undo.empty.insert(pointer, value.clone());
        }
    }
    receipt.undo = Some(undo);
    let text = serde_json::to_string(&receipt).map_err(|_| CANNOT.to_owned())?;
    if let Some(annotation) = after
        .pointer_mut("/metadata/annotations")
        .and_then(|all| all.get_mut(keys::INJECTED))
    {
        *annotation = Value::String(text);
    }
    // A word of ours that was there before is not missed, nor a receipt that said nothing of this pod.
    let mut expected = before.clone();
    annotations(&mut expected, |all| {
        all.shift_remove(keys::SKIPPED);
        all.shift_remove(keys::INJECTED);
    });
    let mut back = after.clone();
    let is_back = take(&mut back, &receipt).is_ok() && {
        annotations(&mut back, without_word);
        back == expected
    };
    is_back.then_some(()).ok_or_else(|| CANNOT.to_owned())
}

fn take(pod: &mut Value, receipt: &Receipt) -> Result<(), String> {
    let annotated = pod.pointer("/metadata/annotations").cloned();
    annotations(pod, without_ours);
    let ours = |value: &Value| keys::VOLUMES.contains(&text(value, "name"));
    drop_from(pod, "/spec/volumes", ours);
    drop_from(pod, "/spec/initContainers", ours);
    if let Some(secret) = receipt
        .undo
        .as_ref()
        .and_then(|undo| undo.image_pull_secret.as_deref())
    {
        drop_from(pod, "/spec/imagePullSecrets", |named| {
            text(named, "name") == secret
        });
    }
    for list in LISTS {
        let containers = pod.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = text(container, "name").to_owned();
            let Some(set) = names_of(receipt, &name) else {
                continue;
            };
            drop_from(container, "/volumeMounts", ours);
            let recorded = receipt
                .undo
                .as_ref()
                .map(|undo| undo.env.get(&name).map(Vec::as_slice).unwrap_or_default());
            let target = Target {
                name: &name,
                set: &set,
                annotations: annotated.as_ref(),
            };
            take_env(container, target, recorded)?;
        }
    }
    prune(pod);
    let empty = receipt.undo.iter().flat_map(|undo| &undo.empty);
    for (pointer, value) in empty {
        let Some((parent, key)) = pointer.rsplit_once('/') else {
            continue;
        };
        if let Some(parent) = pod.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent
                .entry(key.to_owned())
                .or_insert_with(|| value.clone());
        }
    }
    Ok(())
}

/// Changes the annotations, and takes out a map that has none left, with the metadata around it.
fn annotations(pod: &mut Value, change: impl FnOnce(&mut Map<String, Value>)) {
    let Some(all) = pod
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let had = all.len();
    change(all);
    if all.is_empty() && had > 0 {
        remove(pod, "/metadata", "annotations");
        if pod.get("metadata") == Some(&json!({})) {
            remove(pod, "", "metadata");
        }
    }
}

fn without_word(all: &mut Map<String, Value>) {
    all.shift_remove(keys::SKIPPED);
}

/// Without our annotations, and our word in one of the autoscaler's.
fn without_ours(all: &mut Map<String, Value>) {
    without_word(all);
    all.shift_remove(keys::INJECTED);
    let Some(volumes) = all.get(keys::SAFE_TO_EVICT_VOLUMES).and_then(Value::as_str) else {
        return;
    };
    // Ours stand behind the user's.
    let mut rest = volumes;
    for name in [keys::EXTENSIONS_NAME, keys::AGENT_NAME] {
        match rest.strip_suffix(name) {
            Some("") => rest = "",
            Some(before) => rest = before.strip_suffix(',').unwrap_or(rest),
            None => {}
        }
    }
    if rest == volumes {
        return;
    }
    let rest = rest.to_owned();
    if rest.is_empty() {
        all.shift_remove(keys::SAFE_TO_EVICT_VOLUMES);
    } else {
        all.insert(keys::SAFE_TO_EVICT_VOLUMES.to_owned(), json!(rest));
    }
}

/// A container that the receipt names.
#[derive(Clone, Copy)]
struct Target<'a> {
    name: &'a str,
    /// The variables that were set or changed in it.
    set: &'a HashSet<&'a str>,
    /// The pod's annotations, as they were with ours.
    annotations: Option<&'a Value>,
}

fn take_env(
    container: &mut Value,
    target: Target<'_>,
    recorded: Option<&[(usize, Value)]>,
) -> Result<(), String> {
    let Target { name, set, .. } = target;
    let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    steps::take(env.len());
    if recorded.is_none() {
        let is_composed = env.iter().any(|entry| {
            [keys::OPTIONS_VARIABLE, keys::ATTRIBUTES_VARIABLE].contains(&text(entry, "name"))
        });
        let mut ours = env.iter().filter(|entry| is_ours(set, text(entry, "name")));
        if let Some(entry) = ours.find(|entry| !is_surely_added(entry, target, is_composed)) {
            return Err(format!(
                "container {name:?}: {} was changed by a webhook, which does not write down what it was; take the manifest \
                 from where it was written",
                text(entry, "name")
            ));
        }
    }
    let all = std::mem::take(env).into_iter();
    let mut kept = all.filter(|entry| !is_ours(set, text(entry, "name")));
    // Each where it stood: in the receipt they are in that order.
    for (at, entry) in recorded.unwrap_or_default() {
        let before = at.saturating_sub(env.len());
        env.extend(kept.by_ref().take(before));
        env.push(entry.clone());
    }
    env.extend(kept);
    Ok(())
}

/// Is nothing of the user's in this entry of ours? Known without a record for those that are never composed.
fn is_surely_added(entry: &Value, target: Target<'_>, is_composed: bool) -> bool {
    let value = text(entry, "value");
    match text(entry, "name") {
        "JAVA_TOOL_OPTIONS" => {
            value.starts_with("-javaagent:") && !value.contains([' ', '\t', '\n'])
        }
        "OTEL_RESOURCE_ATTRIBUTES" => are_surely_ours(value, target),
        keys::OPTIONS_VARIABLE | keys::ATTRIBUTES_VARIABLE => false,
        _ => !is_composed || entry.get("valueFrom").is_none(),
    }
}

/// Is every pair of the list ours? What is the user's stands before ours or behind them, so it would break their order,
/// have a key that is not ours, refer to what is not ours, or stand in for one whose value is known. What a profile adds
/// may as well be the user's.
fn are_surely_ours(list: &str, target: Target<'_>) -> bool {
    let annotated = |key: &str| {
        let annotation = format!("{}{key}", keys::RESOURCE_PREFIX);
        target
            .annotations
            .and_then(|all| all.get(&annotation)?.as_str())
    };
    let fixed = [
        ("k8s.container.name", encode(target.name)),
        ("k8s.node.name", "$(JAVELIN_NODE_NAME)".to_owned()),
        ("k8s.pod.name", "$(JAVELIN_POD_NAME)".to_owned()),
        ("k8s.pod.uid", "$(JAVELIN_POD_UID)".to_owned()),
    ];
    let mut missing: BTreeMap<_, _> = fixed.into_iter().collect();
    let mut previous = "";
    for pair in list.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            return false;
        };
        let is_ours = match (annotated(key), missing.remove(key)) {
            (Some(annotated), _) => value == encode(annotated),
            (None, Some(fixed)) => value == fixed,
            (None, None) => DERIVED.contains(&key) && !refers_elsewhere(value),
        };
        if !is_ours || key <= previous {
            return false;
        }
        previous = key;
    }
    missing.is_empty()
}

/// Does it refer to another variable than ours?
fn refers_elsewhere(value: &str) -> bool {
    value
        .split("$(")
        .skip(1)
        .any(|rest| !rest.starts_with("JAVELIN_"))
}

/// What the receipt says was set or changed in a container.
fn names_of<'a>(receipt: &'a Receipt, container: &str) -> Option<HashSet<&'a str>> {
    let names = receipt.containers.get(container)?;
    Some(names.iter().map(String::as_str).collect())
}

fn is_ours(set: &HashSet<&str>, variable: &str) -> bool {
    keys::is_private(variable) || set.contains(variable)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn drop_from(value: &mut Value, pointer: &str, is_dropped: impl Fn(&Value) -> bool) {
    if let Some(items) = value.pointer_mut(pointer).and_then(Value::as_array_mut) {
        items.retain(|item| !is_dropped(item));
    }
}

/// Lists that are empty now were not there before; those that were are in the receipt.
fn prune(pod: &mut Value) {
    for pointer in emptiable(pod) {
        if pod.pointer(&pointer) == Some(&json!([]))
            && let Some((parent, key)) = pointer.rsplit_once('/')
        {
            remove(pod, parent, key);
        }
    }
}

fn remove(pod: &mut Value, parent: &str, key: &str) {
    if let Some(map) = pod.pointer_mut(parent).and_then(Value::as_object_mut) {
        // The others stay in their order.
        map.shift_remove(key);
    }
}

/// Where something of ours may be in what was empty.
fn emptiable(pod: &Value) -> Vec<String> {
    let fixed = [
        "/metadata",
        "/metadata/annotations",
        "/spec/volumes",
        "/spec/initContainers",
        "/spec/imagePullSecrets",
    ];
    let mut pointers: Vec<_> = fixed.map(str::to_owned).to_vec();
    for list in LISTS {
        let count = pod
            .pointer(list)
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        for index in 0..count {
            pointers.push(format!("{list}/{index}/env"));
            pointers.push(format!("{list}/{index}/volumeMounts"));
        }
    }
    pointers
}

/// Attributes that the engine derives, beside those whose value is known.
const DERIVED: [&str; 11] = [
    "k8s.cronjob.name",
    "k8s.daemonset.name",
    "k8s.deployment.name",
    "k8s.job.name",
    "k8s.namespace.name",
    "k8s.replicaset.name",
    "k8s.statefulset.name",
    "service.instance.id",
    "service.name",
    "service.namespace",
    "service.version",
];

const LISTS: [&str; 2] = ["/spec/initContainers", "/spec/containers"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_webhook_changed_is_left_alone() {
        let receipt = json!({
            "version": "1", "profile": "default", "config": "x", "delivery": "init-container",
            "containers": { "app": ["JAVA_TOOL_OPTIONS"] }
        });
        let pod = |value: &str| {
            json!({
                "kind": "Pod",
                "metadata": { "annotations": { keys::INJECTED: receipt.to_string() } },
                "spec": { "containers": [{ "name": "app", "env": [{ "name": "JAVA_TOOL_OPTIONS", "value": value }] }] }
            })
        };
        let error = taken_out(
            &pod("-Xmx1g -javaagent:/javelin-agent/javaagent.jar"),
            PodPath::POD,
        )
        .unwrap_err();
        assert!(
            error.contains("JAVA_TOOL_OPTIONS was changed by a webhook"),
            "{error}"
        );
        let out = taken_out(
            &pod("-javaagent:/javelin-agent/javaagent.jar"),
            PodPath::POD,
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            out,
            json!({ "kind": "Pod", "spec": { "containers": [{ "name": "app" }] } })
        );
    }

    #[test]
    fn what_was_never_injected_stays() {
        let pod = json!({ "kind": "Pod", "spec": { "volumes": [{ "name": keys::AGENT_NAME }] } });
        assert_eq!(taken_out(&pod, PodPath::POD), Ok(None));
    }
}
