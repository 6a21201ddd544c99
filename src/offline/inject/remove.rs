//! Takes out what the receipt names, and nothing else.
//!
//! Everything or nothing: an object of which one part cannot be taken out for sure stays as it is, and a person is told
//! which part. The receipt of a manifest says what was there before and what was written ([`Undo`]); that of a pod that
//! a webhook injected does not, and nothing is guessed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use data_encoding::HEXLOWER;
use javelin_core::{
    mutate::{Receipt, Undo, keys},
    patch::PodPath,
};
use javelin_steps as steps;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::receipt_of;

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
    for container in containers(before) {
        let name = text(container, "name");
        let Some(set) = names_of(&receipt, name) else {
            continue;
        };
        let lost = env_of(container).enumerate();
        let lost = lost.filter(|(_, entry)| is_ours(&set, text(entry, "name")));
        let lost: Vec<_> = lost.map(|(index, entry)| (index, entry.clone())).collect();
        if !lost.is_empty() {
            undo.env.insert(name.to_owned(), lost);
        }
    }
    for container in containers(after) {
        let name = text(container, "name");
        if let Some(set) = names_of(&receipt, name) {
            undo.written
                .insert(name.to_owned(), digest(container, &set));
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
    let undo = receipt.undo.as_ref().ok_or(
        "its receipt says what a webhook set, and not what was there before; take the manifest from where it was written",
    )?;
    check(pod, receipt, undo)?;
    annotations(pod, without_ours);
    drop_from(pod, "/spec/volumes", is_named_as_ours);
    drop_from(pod, "/spec/initContainers", is_named_as_ours);
    if let Some(secret) = &undo.image_pull_secret {
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
            drop_from(container, "/volumeMounts", is_named_as_ours);
            let recorded = undo.env.get(&name).map(Vec::as_slice);
            take_env(container, &set, recorded.unwrap_or_default());
        }
    }
    prune(pod);
    for (pointer, value) in &undo.empty {
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

/// Is everything that would be taken out as it was written, and nothing left behind that needs it?
fn check(pod: &Value, receipt: &Receipt, undo: &Undo) -> Result<(), String> {
    let mut missing: BTreeSet<_> = receipt.containers.keys().map(String::as_str).collect();
    for container in containers(pod) {
        let name = text(container, "name");
        let Some(set) = names_of(receipt, name) else {
            let mounts = container.get("volumeMounts").and_then(Value::as_array);
            if !is_named_as_ours(container) && mounts.into_iter().flatten().any(is_named_as_ours) {
                return Err(format!(
                    "container {name:?} has the agent's volume, and the receipt does not name it"
                ));
            }
            continue;
        };
        missing.remove(name);
        if undo.written.get(name) != Some(&digest(container, &set)) {
            let mut names: Vec<_> = set.into_iter().collect();
            names.sort_unstable();
            return Err(format!(
                "container {name:?}: of the variables that were written ({}) one was changed since; undo that, or take the \
                 manifest from where it was written",
                names.join(", ")
            ));
        }
    }
    missing.first().map_or(Ok(()), |name| {
        Err(format!(
            "the receipt names the container {name:?}, which is not there"
        ))
    })
}

/// Of the entries of ours in a container's environment. What an API server adds to them is none of it, nor the order of
/// keys.
fn digest(container: &Value, set: &HashSet<&str>) -> String {
    let mut hash = Sha256::new();
    for entry in env_of(container).filter(|entry| is_ours(set, text(entry, "name"))) {
        let source = entry.get("valueFrom").and_then(Value::as_object);
        let source = source.into_iter().flatten().map(|(kind, reference)| {
            let fields: BTreeMap<_, _> = reference.as_object().into_iter().flatten().collect();
            let fields = fields.into_iter().filter(|(key, value)| {
                *key != "apiVersion" && !(*key == "divisor" && **value == json!("0"))
            });
            (kind, fields.collect::<Vec<_>>())
        });
        let source: BTreeMap<_, _> = source.collect();
        hash.update(json!([text(entry, "name"), text(entry, "value"), source]).to_string());
    }
    let digest = hash.finalize();
    HEXLOWER.encode(&digest).chars().take(12).collect()
}

fn is_named_as_ours(value: &Value) -> bool {
    keys::VOLUMES.contains(&text(value, "name"))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = LISTS
        .into_iter()
        .filter_map(|list| pod.pointer(list)?.as_array());
    lists.flatten()
}

fn env_of(container: &Value) -> impl Iterator<Item = &Value> {
    let env = container.get("env").and_then(Value::as_array);
    steps::take(env.map_or(0, Vec::len));
    env.into_iter().flatten()
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

fn take_env(container: &mut Value, set: &HashSet<&str>, recorded: &[(usize, Value)]) {
    let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) else {
        return;
    };
    steps::take(env.len());
    let all = std::mem::take(env).into_iter();
    let mut kept = all.filter(|entry| !is_ours(set, text(entry, "name")));
    // Each where it stood: in the receipt they are in that order.
    for (at, entry) in recorded {
        let before = at.saturating_sub(env.len());
        env.extend(kept.by_ref().take(before));
        env.push(entry.clone());
    }
    env.extend(kept);
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

pub(super) const CANNOT: &str =
    "not-removable: this manifest cannot be taken back by --remove; keep the original";

const LISTS: [&str; 2] = ["/spec/initContainers", "/spec/containers"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_webhook_did_is_not_guessed() {
        let receipt = json!({
            "version": "1", "profile": "default", "config": "x", "delivery": "init-container",
            "containers": { "app": ["JAVA_TOOL_OPTIONS"] }
        });
        let env = json!([{ "name": "JAVA_TOOL_OPTIONS", "value": "-javaagent:/javelin-agent/javaagent.jar" }]);
        let pod = json!({
            "kind": "Pod",
            "metadata": { "annotations": { keys::INJECTED: receipt.to_string() } },
            "spec": { "containers": [{ "name": "app", "env": env }] }
        });
        let error = taken_out(&pod, PodPath::POD).unwrap_err();
        assert!(error.contains("not what was there before"), "{error}");
    }

    #[test]
    fn what_was_never_injected_stays() {
        let pod = json!({ "kind": "Pod", "spec": { "volumes": [{ "name": keys::AGENT_NAME }] } });
        assert_eq!(taken_out(&pod, PodPath::POD), Ok(None));
    }
}
