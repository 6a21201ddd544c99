//! What the input says about the places in which its objects are: labels of Namespaces, keys of `ConfigMap`s and
//! Secrets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::mutate::keys;

/// Gathered over the whole input, before anything is changed: it holds names and keys, no values.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The namespace of objects that name none.
    namespace: Option<String>,
    /// Inject labels by namespace.
    labels: BTreeMap<Option<String>, String>,
    /// Keys by kind, namespace and name.
    sources: HashMap<(SourceKind, Option<String>, String), BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SourceKind {
    ConfigMap,
    Secret,
}

impl Surroundings {
    /// Nothing is known but the namespace of objects that name none, and its labels.
    pub fn new(namespace: Option<String>, labels: &[(String, String)]) -> Self {
        let label = labels.iter().rfind(|(key, _)| key == keys::INJECT);
        let label = label.map(|(_, value)| (namespace.clone(), value.clone()));
        Self {
            namespace,
            labels: label.into_iter().collect(),
            sources: HashMap::new(),
        }
    }

    /// Takes in what an object says about others. What was said on the command line about a namespace stays.
    pub fn learn(&mut self, object: &Value) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else {
            return;
        };
        let kind = match kind {
            "Namespace" => {
                let labels = object.pointer("/metadata/labels");
                let label = labels.and_then(|labels| labels.get(keys::INJECT)?.as_str());
                if let Some(label) = label {
                    self.labels
                        .entry(Some(name.to_owned()))
                        .or_insert_with(|| label.to_owned());
                }
                return;
            }
            "ConfigMap" => SourceKind::ConfigMap,
            "Secret" => SourceKind::Secret,
            _ => return,
        };
        let parts = ["data", "stringData", "binaryData"].into_iter();
        let maps = parts.filter_map(|part| object.get(part)?.as_object());
        let keys = maps.flat_map(|map| map.keys().cloned()).collect();
        let namespace = self.namespace_of(object).map(str::to_owned);
        self.sources
            .insert((kind, namespace, name.to_owned()), keys);
    }

    /// Could an object with this text say anything to [`Surroundings::learn`]? A quick look, to save the reading.
    pub fn may_learn(text: &str) -> bool {
        text.match_indices("kind").any(|(at, word)| {
            let rest = text.get(at + word.len()..).unwrap_or_default();
            let rest = rest.trim_start_matches(['"', '\'', ':', ' ', '\t', '\r', '\n']);
            ["Namespace", "ConfigMap", "Secret"]
                .iter()
                .any(|kind| rest.starts_with(kind))
        })
    }

    /// The namespace that an object will be in; `None` where that is left to `kubectl`.
    pub fn namespace_of<'a>(&'a self, object: &'a Value) -> Option<&'a str> {
        let own = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        own.or(self.namespace.as_deref())
    }

    /// The inject label of a namespace.
    pub fn inject_label(&self, namespace: Option<&str>) -> Option<&str> {
        let key = namespace.map(str::to_owned);
        self.labels.get(&key).map(String::as_str)
    }

    /// Has the ConfigMap (`configMapKeyRef`) or Secret (`secretKeyRef`) that key? `None`: it is not in the input.
    pub fn has_key(
        &self,
        reference: &str,
        namespace: Option<&str>,
        name: &str,
        key: &str,
    ) -> Option<bool> {
        let kind = match reference {
            "configMapKeyRef" => SourceKind::ConfigMap,
            "secretKeyRef" => SourceKind::Secret,
            _ => return None,
        };
        let source = (kind, namespace.map(str::to_owned), name.to_owned());
        Some(self.sources.get(&source)?.contains(key))
    }
}
