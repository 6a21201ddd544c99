//! What a patched pod has to be, whatever decided on the patch: still its user's, and one that an API server takes.
//!
//! Each field that is not ours is compared with what it was, so that a defect in a rule of the engine costs the agent
//! and never the pod.
//!
//! Deliberately not here: whether the agent is complete in it, which the engine says of its own result.

use std::{borrow::Cow, collections::HashSet};

use super::{
    Node, PatchError,
    node::{Member, pairs},
};
use crate::{
    mutate::{
        keys,
        pod::{Container, Pod},
    },
    steps,
};

/// Is everything but ours as it was?
pub(super) fn keeps_what_is_the_users(
    before: &Node<'_>,
    after: &Node<'_>,
) -> Result<(), PatchError> {
    let [before, after] = [before, after].map(Node::members);
    same_but(&before, &after, "", &["metadata", "spec"])?;
    let [metadata, spec] =
        ["metadata", "spec"].map(|name| [&before, &after].map(|pod| member(pod, name)));
    let [old, new] = metadata.map(|each| each.map_or_else(Cow::default, Node::members));
    same_but(&old, &new, "metadata", &["annotations"])?;
    let [old, new] = [&old, &new].map(|metadata| member(metadata, "annotations"));
    let [old, new] = [old, new].map(|each| each.map_or_else(Cow::default, Node::members));
    same_but(&old, &new, "annotation", &OUR_ANNOTATIONS)?;
    let [old, new] = spec.map(|each| each.map_or_else(Cow::default, Node::members));
    same_but(&old, &new, "spec", &OUR_LISTS)?;
    same_items(&old, &new, "volumes", &OUR_NAMES)?;
    only_one_is_added(&old, &new, "imagePullSecrets")?;
    let lists = [&old, &new].map(|spec| items(spec, "containers"));
    same_containers(lists.each_ref().map(|list| list.iter().collect()))?;
    let lists = [&old, &new].map(|spec| items(spec, "initContainers"));
    let users = lists.each_ref().map(|list| {
        let users = list.iter().filter(|each| !is_named(each, &OUR_NAMES));
        users.collect()
    });
    same_containers(users)
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

fn same_containers([old, new]: [Vec<&Node<'_>>; 2]) -> Result<(), PatchError> {
    if old.len() != new.len() {
        return Err(not_ours("list of containers"));
    }
    for (old, new) in old.into_iter().zip(new) {
        if old.is_untouched(new) {
            continue;
        }
        let [old, new] = [old, new].map(Node::members);
        same_but(&old, &new, "container", &["env", "volumeMounts"])?;
        same_items(&old, &new, "volumeMounts", &OUR_NAMES)?;
        same_variables(&items(&old, "env"), &items(&new, "env"))?;
    }
    Ok(())
}

/// Each of the user's entries is there as it was, in its order; the text of those that ours is joined to is in it.
fn same_variables(old: &[Node<'_>], new: &[Node<'_>]) -> Result<(), PatchError> {
    steps::take(old.len() + new.len());
    let [old, new] = [old, new].map(|list| {
        let named = list.iter().map(|entry| (name(entry), entry));
        named.collect::<Vec<_>>()
    });
    let is_kept = |(name, _): &&(Cow<'_, str>, &Node<'_>)| {
        !COMPOSED.contains(&name.as_ref()) && !keys::is_private(name)
    };
    let known: HashSet<_> = old.iter().map(|(name, _)| name.as_ref()).collect();
    let mut kept = new.iter().filter(|(name, _)| known.contains(name.as_ref()));
    let mut kept = kept.by_ref().filter(is_kept);
    let all_are = old.iter().filter(is_kept).all(|(_, old)| {
        let new = kept.next();
        new.is_some_and(|(_, new)| old.is_same(new))
    });
    if !all_are || kept.next().is_some() {
        return Err(not_ours("variable"));
    }
    for variable in COMPOSED {
        let Some(old) = last_value(&old, variable) else {
            continue;
        };
        // Behind ours where it refers to something that may hold the same keys.
        let is_in_it = |new: String| new.starts_with(&*old) || new.ends_with(&*old);
        if !last_value(&new, variable).is_some_and(is_in_it) {
            return Err(not_ours(variable));
        }
    }
    Ok(())
}

/// The text of the last entry of that name: the one that the kubelet takes.
fn last_value(env: &[(Cow<'_, str>, &Node<'_>)], variable: &str) -> Option<String> {
    let (_, entry) = env.iter().rfind(|(name, _)| name == variable)?;
    Some(entry.member("value")?.as_str()?.into_owned())
}

/// The same members but for these, and for those that are nothing.
fn same_but(
    old: &[Member<'_>],
    new: &[Member<'_>],
    what: &str,
    but: &[&str],
) -> Result<(), PatchError> {
    let others = |members: &[Member<'_>]| {
        let all = members.iter();
        all.filter(|(key, value)| !but.contains(&key.as_ref()) && !value.is_null())
            .count()
    };
    let is_kept = pairs(old, new).all(|(key, value, there)| {
        but.contains(&key) || value.is_null() || there.is_some_and(|there| value.is_same(there))
    });
    if is_kept && others(old) == others(new) {
        return Ok(());
    }
    Err(not_ours(what))
}

/// The same items in their order, but for ours.
fn same_items(
    old: &[Member<'_>],
    new: &[Member<'_>],
    list: &str,
    but: &[&str],
) -> Result<(), PatchError> {
    let [old, new] = [old, new].map(|members| items(members, list));
    let [mut old, mut new] = [&old, &new].map(|list| list.iter().peekable());
    let is_ours = |each: &&Node<'_>| is_named(each, but);
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return Ok(()),
            // Nobody has to look whose it is.
            (Some(before), Some(after)) if before.is_untouched(after) => {
                old.next();
                new.next();
                continue;
            }
            _ => {}
        }
        if new.next_if(is_ours).is_some() || old.next_if(is_ours).is_some() {
            continue;
        }
        match (old.next(), new.next()) {
            (Some(before), Some(after)) if before.is_same(after) => {}
            _ => return Err(not_ours(list)),
        }
    }
}

fn only_one_is_added(old: &[Member<'_>], new: &[Member<'_>], list: &str) -> Result<(), PatchError> {
    let [old, new] = [old, new].map(|members| items(members, list));
    let added = new.get(old.len()..).unwrap_or_default();
    let is_reference = |added: &Node<'_>| added.is_object() && !name(added).is_empty();
    let starts_with = old.len() <= new.len()
        && old
            .iter()
            .zip(new.iter())
            .all(|(old, new)| old.is_same(new));
    if starts_with && added.len() <= 1 && added.iter().all(is_reference) {
        return Ok(());
    }
    Err(not_ours(list))
}

fn not_ours(what: &str) -> PatchError {
    PatchError::NotOurs(what.to_owned())
}

fn member<'n, 'a>(members: &'n [Member<'a>], key: &str) -> Option<&'n Node<'a>> {
    let mut members = members.iter();
    members.find_map(|(name, node)| (name == key).then_some(node))
}

fn items<'n, 'a>(members: &'n [Member<'a>], key: &str) -> Cow<'n, [Node<'a>]> {
    member(members, key).map_or_else(Cow::default, Node::items)
}

fn name<'n>(node: &'n Node<'_>) -> Cow<'n, str> {
    node.text_of("name").unwrap_or_default()
}

fn is_named(node: &Node<'_>, names: &[&str]) -> bool {
    names.contains(&name(node).as_ref())
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
