//! What a patched pod has to be, whatever decided on the patch: still its user's, and one that an API server takes.
//!
//! Each field that is not ours is compared with what it was, so that a defect in a rule of the engine costs the agent
//! and never the pod.
//!
//! Deliberately not here: whether the agent is complete in it, which the engine says of its own result.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::PatchError;
use crate::{
    mutate::{
        keys,
        pod::{Container, Pod},
    },
    steps,
};

/// Is everything but ours as it was?
pub(super) fn keeps_what_is_the_users(before: &Value, after: &Value) -> Result<(), PatchError> {
    same_but(before, after, "", &["metadata", "spec"])?;
    let (old, new) = (member(before, "metadata"), member(after, "metadata"));
    same_but(old, new, "metadata", &["annotations"])?;
    let (old, new) = (member(old, "annotations"), member(new, "annotations"));
    same_but(old, new, "annotation", &OUR_ANNOTATIONS)?;
    let (old, new) = (member(before, "spec"), member(after, "spec"));
    same_but(old, new, "spec", &OUR_LISTS)?;
    same_items(old, new, "volumes", &OUR_NAMES)?;
    only_one_is_added(old, new, "imagePullSecrets")?;
    let lists = [old, new].map(|spec| items(spec, "containers"));
    same_containers(lists.map(|list| list.iter().collect()))?;
    let lists = [old, new].map(|spec| items(spec, "initContainers").iter());
    same_containers(lists.map(|list| list.filter(|each| !is_named(each, &OUR_NAMES)).collect()))
}

/// Would the API server take what was added? What the user wrote is not looked at. The claims are volumes that the pods of the
/// template will have beside its own.
pub(super) fn is_taken_by_the_api_server(pod: &Pod, claims: &[&str]) -> Result<(), PatchError> {
    let volumes = pod.spec.volumes().iter().map(|volume| volume.name.as_str());
    let volumes: HashSet<_> = volumes.chain(claims.iter().copied()).collect();
    for container in pod
        .spec
        .init_containers()
        .iter()
        .chain(&pod.spec.containers)
    {
        for mount in container.volume_mounts() {
            let name = mount.name.as_str();
            if OUR_NAMES.contains(&name) && !volumes.contains(name) {
                return Err(PatchError::Refused(format!(
                    "no volume {name}, and mounts it"
                )));
            }
        }
        check_variables(container)?;
    }
    Ok(())
}

fn check_variables(container: &Container) -> Result<(), PatchError> {
    steps::take(container.env().len());
    for variable in container.env() {
        let name = variable.name.as_str();
        let has_value = variable
            .value
            .as_ref()
            .is_some_and(|value| !value.is_empty());
        let is_ours = keys::is_private(name) || COMPOSED.contains(&name);
        if is_ours && has_value && variable.value_from.is_some() {
            return Err(PatchError::Refused(format!(
                "{name} with a value and a source"
            )));
        }
    }
    Ok(())
}

fn same_containers([old, new]: [Vec<&Value>; 2]) -> Result<(), PatchError> {
    if old.len() != new.len() {
        return Err(not_ours("list of containers"));
    }
    for (old, new) in old.into_iter().zip(new) {
        same_but(old, new, "container", &["env", "volumeMounts"])?;
        same_items(old, new, "volumeMounts", &OUR_NAMES)?;
        same_variables(items(old, "env"), items(new, "env"))?;
    }
    Ok(())
}

/// Each of the user's entries is there as it was, in its order; the text of those that ours is joined to is in it.
fn same_variables(old: &[Value], new: &[Value]) -> Result<(), PatchError> {
    steps::take(old.len() + new.len());
    let is_kept =
        |entry: &&Value| !COMPOSED.contains(&name(entry)) && !keys::is_private(name(entry));
    let known: HashSet<_> = old.iter().map(name).collect();
    let kept = new.iter().filter(|entry| known.contains(name(entry)));
    if !old.iter().filter(is_kept).eq(kept.filter(is_kept)) {
        return Err(not_ours("variable"));
    }
    for variable in COMPOSED {
        let Some(old) = last_value(old, variable) else {
            continue;
        };
        // Behind ours where it refers to something that may hold the same keys.
        let is_in_it = |new: &str| new.starts_with(old) || new.ends_with(old);
        if !last_value(new, variable).is_some_and(is_in_it) {
            return Err(not_ours(variable));
        }
    }
    Ok(())
}

/// The text of the last entry of that name: the one that the kubelet takes.
fn last_value<'a>(env: &'a [Value], variable: &str) -> Option<&'a str> {
    let entry = env.iter().rfind(|entry| name(entry) == variable)?;
    entry.get("value")?.as_str()
}

/// The same members but for these, and for those that are nothing.
fn same_but(old: &Value, new: &Value, what: &str, but: &[&str]) -> Result<(), PatchError> {
    let others = |value: &'_ Value| {
        let all = value.as_object().into_iter().flatten();
        all.filter(|(key, value)| !but.contains(&key.as_str()) && !value.is_null())
            .count()
    };
    let nothing = Map::new();
    let [all, those] = [old, new].map(|value| value.as_object().unwrap_or(&nothing));
    let is_kept = members(all, those).all(|(key, value, there)| {
        but.contains(&key) || value.is_null() || there.is_some_and(|there| is_same(value, there))
    });
    if is_kept && others(old) == others(new) {
        return Ok(());
    }
    Err(not_ours(what))
}

/// The same items in their order, but for ours.
fn same_items(old: &Value, new: &Value, list: &str, but: &[&str]) -> Result<(), PatchError> {
    let [old, new] = [old, new].map(|value| {
        items(value, list)
            .iter()
            .filter(|each| !is_named(each, but))
    });
    if old.clone().count() == new.clone().count()
        && old.zip(new).all(|(old, new)| is_same(old, new))
    {
        return Ok(());
    }
    Err(not_ours(list))
}

/// Equal? `==` would look every member up, and hash its name for it.
fn is_same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut members = members(old, new);
            old.len() == new.len()
                && members.all(|(_, value, there)| there.is_some_and(|there| is_same(value, there)))
        }
        (Value::Array(old), Value::Array(new)) => {
            let mut items = old.iter().zip(new);
            old.len() == new.len() && items.all(|(old, new)| is_same(old, new))
        }
        _ => old == new,
    }
}

/// The members of an object, each with that of the other, which stands at the same place as a rule.
fn members<'a>(
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'a str, &'a Value, Option<&'a Value>)> {
    let mut others = new.iter();
    old.iter().map(move |(key, value)| {
        let there = others.next().filter(|(other, _)| *other == key);
        let there = there.map(|(_, value)| value);
        (key.as_str(), value, there.or_else(|| new.get(key)))
    })
}

fn only_one_is_added(old: &Value, new: &Value, list: &str) -> Result<(), PatchError> {
    let (old, new) = (items(old, list), items(new, list));
    let added = new.get(old.len()..).unwrap_or_default();
    let is_reference = |added: &Value| added.is_object() && !name(added).is_empty();
    if new.starts_with(old) && added.len() <= 1 && added.iter().all(is_reference) {
        return Ok(());
    }
    Err(not_ours(list))
}

fn not_ours(what: &str) -> PatchError {
    PatchError::NotOurs(what.to_owned())
}

fn member<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let items = value.get(key).and_then(Value::as_array);
    items.map(Vec::as_slice).unwrap_or_default()
}

fn name(value: &Value) -> &str {
    value
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn is_named(value: &Value, names: &[&str]) -> bool {
    names.contains(&name(value))
}

const OUR_ANNOTATIONS: [&str; 3] = [keys::INJECTED, keys::SKIPPED, keys::SAFE_TO_EVICT_VOLUMES];
const OUR_LISTS: [&str; 4] = [
    "containers",
    "initContainers",
    "volumes",
    "imagePullSecrets",
];
const OUR_NAMES: [&str; 3] = keys::VOLUMES;

/// Variables to which ours is joined.
const COMPOSED: [&str; 2] = ["JAVA_TOOL_OPTIONS", "OTEL_RESOURCE_ATTRIBUTES"];
