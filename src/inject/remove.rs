//! Takes out what the receipt names, and nothing else.
//!
//! Everything or nothing: an object of which one part cannot be taken out for sure stays as it is, and a person is told
//! which part. What was only added is known by its name; what was changed is in the receipt of a manifest
//! ([`Undo`]), not in that of a pod that a webhook injected.

use serde_json::{Value, json};

use super::receipt_of;
use crate::{
    mutate::{Receipt, Undo, keys},
    patch::PodPath,
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
        annotations(new_pod, None);
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
            let Some(set) = receipt.containers.get(name) else {
                continue;
            };
            let env = container.get("env").and_then(Value::as_array);
            let is_lost = |entry: &Value| is_ours(set, text(entry, "name"));
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
    // A word of ours that was there before is not missed.
    let mut expected = before.clone();
    annotations(&mut expected, None);
    let mut back = after.clone();
    let is_back = take(&mut back, &receipt).is_ok() && {
        annotations(&mut back, None);
        back == expected
    };
    is_back.then_some(()).ok_or_else(|| CANNOT.to_owned())
}

fn take(pod: &mut Value, receipt: &Receipt) -> Result<(), String> {
    annotations(pod, Some(receipt));
    let ours = |value: &Value| [keys::AGENT_NAME, keys::TLS_NAME].contains(&text(value, "name"));
    drop_from(pod, "/spec/volumes", ours);
    drop_from(pod, "/spec/initContainers", |container| {
        text(container, "name") == keys::AGENT_NAME
    });
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
            let Some(set) = receipt.containers.get(&name) else {
                continue;
            };
            drop_from(container, "/volumeMounts", ours);
            let recorded = receipt
                .undo
                .as_ref()
                .map(|undo| undo.env.get(&name).map(Vec::as_slice).unwrap_or_default());
            take_env(container, &name, set, recorded)?;
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

/// Our annotations, and our word in one of the autoscaler's.
fn annotations(pod: &mut Value, receipt: Option<&Receipt>) {
    let Some(all) = pod
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let had = all.len();
    all.remove(keys::SKIPPED);
    if receipt.is_some() {
        all.remove(keys::INJECTED);
        let volumes = all
            .get(keys::SAFE_TO_EVICT_VOLUMES)
            .and_then(Value::as_str)
            .map(str::to_owned);
        match volumes.as_deref() {
            Some(keys::AGENT_NAME) => {
                all.remove(keys::SAFE_TO_EVICT_VOLUMES);
            }
            Some(volumes) => {
                if let Some(rest) = volumes
                    .strip_suffix(keys::AGENT_NAME)
                    .and_then(|rest| rest.strip_suffix(','))
                {
                    all.insert(keys::SAFE_TO_EVICT_VOLUMES.to_owned(), json!(rest));
                }
            }
            None => {}
        }
    }
    if all.is_empty() && had > 0 {
        remove(pod, "/metadata", "annotations");
        if pod.get("metadata") == Some(&json!({})) {
            remove(pod, "", "metadata");
        }
    }
}

fn take_env(
    container: &mut Value,
    name: &str,
    set: &[String],
    recorded: Option<&[(usize, Value)]>,
) -> Result<(), String> {
    let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    if recorded.is_none() {
        let unsure = env.iter().find(|entry| !is_surely_added(entry, env));
        let unsure = unsure.filter(|entry| is_ours(set, text(entry, "name")));
        if let Some(entry) = unsure {
            return Err(format!(
                "container {name:?}: {} was changed by a webhook, which does not write down what it was; take the manifest \
                 from where it was written",
                text(entry, "name")
            ));
        }
    }
    env.retain(|entry| !is_ours(set, text(entry, "name")));
    for (at, entry) in recorded.unwrap_or_default() {
        env.insert((*at).min(env.len()), entry.clone());
    }
    Ok(())
}

/// Is nothing of the user's in this entry of ours? Known without a record for those that are never composed.
fn is_surely_added(entry: &Value, env: &[Value]) -> bool {
    let value = text(entry, "value");
    let is_composed = env.iter().any(|entry| {
        [keys::OPTIONS_VARIABLE, keys::ATTRIBUTES_VARIABLE].contains(&text(entry, "name"))
    });
    match text(entry, "name") {
        "JAVA_TOOL_OPTIONS" => {
            value.starts_with("-javaagent:") && !value.contains([' ', '\t', '\n'])
        }
        // Ours are sorted and stand behind the user's.
        "OTEL_RESOURCE_ATTRIBUTES" => value.starts_with("k8s.container.name="),
        keys::OPTIONS_VARIABLE | keys::ATTRIBUTES_VARIABLE => false,
        _ => !is_composed || entry.get("valueFrom").is_none(),
    }
}

fn is_ours(set: &[String], variable: &str) -> bool {
    keys::is_private(variable) || set.iter().any(|name| name == variable)
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
