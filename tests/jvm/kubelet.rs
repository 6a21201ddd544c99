//! A container's environment as the kubelet makes it (`makeEnvironmentVariables` in `kubelet_pods.go`).
//!
//! Written from Kubernetes' source and not from the engine's `expansion`, on purpose: the two check each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A key of a `ConfigMap`, a Secret or a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    kind: &'static str,
    object: String,
    key: String,
}

/// What a container finds outside of its own manifest: these keys are there, others are not.
pub(crate) type World = BTreeSet<Entry>;

/// The variable of all this.
pub(crate) const OPTIONS: &str = "JAVA_TOOL_OPTIONS";

/// Each world that the container may wake up in: optional keys, and those of envFrom, are there or not.
pub(crate) fn worlds(container: &Value) -> Vec<World> {
    let mut always = World::new();
    let mut maybe = World::new();
    for variable in list(container, "env") {
        if let Some((key, optional)) = reference(&variable["valueFrom"]) {
            if optional {
                maybe.insert(key);
            } else {
                always.insert(key);
            }
        }
    }
    for source in list(container, "envFrom") {
        maybe.extend(source_key(source));
    }
    maybe.retain(|key| !always.contains(key));
    let mut worlds = vec![always];
    for key in maybe {
        let with = worlds.clone().into_iter().map(|mut world| {
            world.insert(key.clone());
            world
        });
        worlds.extend(with.collect::<Vec<_>>());
    }
    worlds
}

/// The variables that the container's process gets; envFrom brings [`OPTIONS`] and nothing else.
pub(crate) fn environment(container: &Value, world: &World) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for source in list(container, "envFrom") {
        if let Some(key) = source_key(source).filter(|key| world.contains(key)) {
            variables.insert(OPTIONS.to_owned(), key.text());
        }
    }
    for variable in list(container, "env") {
        let name = variable["name"].as_str().expect("a name").to_owned();
        let text = variable["value"].as_str().unwrap_or_default();
        let source = &variable["valueFrom"];
        let value = if !text.is_empty() {
            expand(text, &variables)
        } else if source.is_null() {
            String::new()
        } else {
            match reference(source) {
                // An optional key that is not there leaves what an earlier entry, or envFrom, brought.
                Some((key, _)) if !world.contains(&key) => continue,
                Some((key, _)) => key.text(),
                None => field(source),
            }
        };
        variables.insert(name, value);
    }
    variables
}

/// A literal, or a source that this kubelet knows?
pub(crate) fn is_known(source: &Value) -> bool {
    let fields = ["fieldRef", "resourceFieldRef"];
    source.is_null()
        || reference(source).is_some()
        || fields.iter().any(|field| source.get(field).is_some())
}

impl Entry {
    /// A text that is told from others, and whose value has blanks and quotes.
    fn text(&self) -> String {
        let Self { kind, object, key } = self;
        format!("-Dfrom.{kind}.{object}.{key}='yes, it is' -Dand=\"{object}'s\"")
    }
}

fn field(source: &Value) -> String {
    match source["fieldRef"]["fieldPath"].as_str() {
        Some("metadata.name") => "app-6f5d-x2x4z".to_owned(),
        Some("metadata.namespace") => "shop".to_owned(),
        Some("metadata.uid") => "0b6f2a8e-7f1c-4f0e-9d1e-2f6d3a5b7c91".to_owned(),
        Some("spec.nodeName") => "node-1".to_owned(),
        Some("status.hostIP") => "192.0.2.7".to_owned(),
        _ => "-Dfrom.field=yes".to_owned(),
    }
}

fn reference(source: &Value) -> Option<(Entry, bool)> {
    let kinds = [
        ("configMapKeyRef", CONFIG_MAP),
        ("secretKeyRef", SECRET),
        ("fileKeyRef", "file"),
    ];
    let (reference, kind) = kinds
        .into_iter()
        .find_map(|(field, kind)| Some((source.get(field)?, kind)))?;
    let key = Entry {
        kind,
        object: reference["name"].as_str().unwrap_or_default().to_owned(),
        key: reference["key"].as_str()?.to_owned(),
    };
    Some((key, reference["optional"].as_bool() == Some(true)))
}

/// The key of an envFrom source that becomes [`OPTIONS`], if its prefix allows one.
fn source_key(source: &Value) -> Option<Entry> {
    let key = OPTIONS.strip_prefix(source["prefix"].as_str().unwrap_or_default())?;
    let sources = [("configMapRef", CONFIG_MAP), ("secretRef", SECRET)];
    let (object, kind) = sources
        .into_iter()
        .find_map(|(field, kind)| Some((source.get(field)?["name"].as_str()?, kind)))?;
    (!key.is_empty()).then(|| Entry {
        kind,
        object: object.to_owned(),
        key: key.to_owned(),
    })
}

/// `Expand` of `third_party/forked/golang/expansion/expand.go`, a byte at a time as there.
fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != '$' {
            expanded.push(character);
            continue;
        }
        match characters.peek() {
            Some((_, '$')) => {
                characters.next();
                expanded.push('$');
            }
            Some((_, '(')) => match text[at + 2..].find(')') {
                Some(length) => {
                    let name = &text[at + 2..at + 2 + length];
                    match variables.get(name) {
                        Some(value) => expanded.push_str(value),
                        None => expanded.extend(["$(", name, ")"]),
                    }
                    characters.by_ref().find(|(_, character)| *character == ')');
                }
                None => expanded.push('$'),
            },
            _ => expanded.push('$'),
        }
    }
    expanded
}

fn list<'a>(container: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    container[field].as_array().into_iter().flatten()
}

const CONFIG_MAP: &str = "configmap";
const SECRET: &str = "secret";
