//! One entry for each variable of ours that the engine names several times.
//!
//! The webhook keeps a value that may be absent under a repeated name: an empty entry, then references that are
//! skipped where their key is missing; the last one that is there counts. Server-side apply refuses such a list, and
//! `kubectl apply` merges it wrongly the second time. So it is decided here which one counts, from what is known of the
//! `ConfigMap`s and Secrets in the input.

use std::collections::BTreeSet;

use javelin_core::{mutate::keys, patch::PodPath};
use serde_json::Value;

/// Leaves one entry of each name of ours; gives the sources of which too little is known otherwise.
///
/// `has_key` tells whether a source (the member of `valueFrom`, its name, the key) has a key, if that is known.
pub(super) fn make(
    document: &mut Value,
    place: PodPath,
    has_key: impl Fn(&str, &str, &str) -> Option<bool>,
) -> Result<(), Vec<String>> {
    let mut unknown = BTreeSet::new();
    let pod = place.of_mut(document);
    let spec = pod
        .and_then(|pod| pod.get_mut("spec"))
        .and_then(Value::as_object_mut);
    for (list, containers) in spec.into_iter().flatten() {
        if list != "containers" && list != "initContainers" {
            continue;
        }
        for container in containers.as_array_mut().into_iter().flatten() {
            if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
                make_env(env, &has_key, &mut unknown);
            }
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    Err(unknown.into_iter().collect())
}

fn make_env(
    env: &mut Vec<Value>,
    has_key: &impl Fn(&str, &str, &str) -> Option<bool>,
    unknown: &mut BTreeSet<String>,
) {
    let name_of = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
    let names: BTreeSet<_> = env
        .iter()
        .filter_map(name_of)
        .filter(|name| keys::is_private(name))
        .collect();
    for name in names {
        let is_it =
            |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(name.as_str());
        let all: Vec<_> = env.iter().filter(|entry| is_it(entry)).cloned().collect();
        if all.len() < 2 {
            continue;
        }
        let mut counts = None;
        for entry in all {
            match presence(&entry, has_key) {
                Presence::Present(entry) => counts = Some(entry),
                Presence::Absent => {}
                Presence::Unknown(source) => {
                    unknown.insert(source);
                }
            }
        }
        let mut counts = counts;
        env.retain_mut(|entry| {
            if !is_it(entry) {
                return true;
            }
            // The first place is as good as any: no entry between them refers to it.
            counts.take().is_some_and(|one| {
                *entry = one;
                true
            })
        });
    }
}

enum Presence {
    /// Surely there: the entry, no longer optional.
    Present(Value),
    Absent,
    /// Not in the input: what it is called.
    Unknown(String),
}

fn presence(entry: &Value, has_key: impl Fn(&str, &str, &str) -> Option<bool>) -> Presence {
    let Some(source) = entry.get("valueFrom").and_then(Value::as_object) else {
        return Presence::Present(entry.clone());
    };
    let Some((kind, reference)) = source.iter().find(|(_, reference)| !reference.is_null()) else {
        return Presence::Present(entry.clone());
    };
    if reference.get("optional") != Some(&Value::Bool(true)) {
        return Presence::Present(entry.clone());
    }
    let text = |key: &str| {
        reference
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match has_key(kind, text("name"), text("key")) {
        Some(true) => {
            let mut entry = entry.clone();
            let kind = format!("/valueFrom/{kind}");
            if let Some(reference) = entry.pointer_mut(&kind).and_then(Value::as_object_mut) {
                reference.remove("optional");
            }
            Presence::Present(entry)
        }
        Some(false) => Presence::Absent,
        None => {
            let what = match kind.as_str() {
                "configMapKeyRef" => "ConfigMap",
                "secretKeyRef" => "Secret",
                other => other,
            };
            Presence::Unknown(format!("{what} {:?}", text("name")))
        }
    }
}
