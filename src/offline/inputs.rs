//! What manifests say about the places in which their objects are: labels of Namespaces, keys of `ConfigMap`s and
//! Secrets, and what admission measures pods against.
//!
//! Pure, and for the command line only: the webhook sees one pod at a time, and must not read other objects.
//!
//! Deliberately not here: what follows from it ([`lints`](crate::offline::lints), [`inject`](crate::offline::inject)).

use std::collections::{BTreeMap, BTreeSet};

use javelin_core::mutate::{InjectLabel, Namespace, keys};
use serde_json::Value;

/// Gathered over the whole input, before anything is decided: it holds names and keys, no values.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The namespace of objects that name none.
    namespace: Option<String>,
    /// Inject labels by namespace.
    labels: BTreeMap<Option<String>, String>,
    /// Keys of what a container's environment may come from.
    sources: BTreeMap<Source, BTreeSet<String>>,
    /// Namespace and words.
    restrictions: BTreeSet<(Option<String>, String)>,
}

/// A `ConfigMap` or `Secret`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    kind: &'static str,
    namespace: Option<String>,
    name: String,
}

impl Inputs {
    /// Nothing is known but the namespace of objects that name none, and its labels.
    pub fn new(namespace: Option<String>, labels: &[(String, String)]) -> Self {
        let label = labels.iter().rfind(|(key, _)| key == keys::INJECT);
        let label = label.map(|(_, value)| (namespace.clone(), value.clone()));
        Self {
            namespace,
            labels: label.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Takes in what an object says about others. What was said on the command line about a namespace stays.
    pub fn learn(&mut self, object: &Value) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else {
            return;
        };
        let namespace = self.namespace_of(object).map(str::to_owned);
        match kind {
            "Namespace" => self.learn_labels(object, name),
            "ConfigMap" | "Secret" => {
                let parts = ["data", "stringData", "binaryData"].into_iter();
                let maps = parts.filter_map(|part| object.get(part)?.as_object());
                let keys = maps.flat_map(|map| map.keys().cloned()).collect();
                let source = Source {
                    kind: if kind == "Secret" {
                        "Secret"
                    } else {
                        "ConfigMap"
                    },
                    namespace,
                    name: name.to_owned(),
                };
                self.sources.insert(source, keys);
            }
            "LimitRange" | "ResourceQuota" => {
                self.restrictions
                    .insert((namespace, format!("{kind} {name}")));
            }
            _ => {}
        }
    }

    fn learn_labels(&mut self, namespace: &Value, name: &str) {
        let labels = namespace.pointer("/metadata/labels");
        let label = |key| labels.and_then(|labels| labels.get(key)?.as_str());
        if let Some(label) = label(keys::INJECT) {
            self.labels
                .entry(Some(name.to_owned()))
                .or_insert_with(|| label.to_owned());
        }
        if let Some(level) = label(ENFORCE) {
            let level = format!("Pod Security level {level}");
            self.restrictions.insert((Some(name.to_owned()), level));
        }
    }

    /// Could an object with this text say anything to [`Inputs::learn`]? A quick look, to save the reading.
    pub fn may_learn(text: &str) -> bool {
        text.match_indices("kind").any(|(at, word)| {
            let rest = text.get(at + word.len()..).unwrap_or_default();
            let rest = rest.trim_start_matches(['"', '\'', ':', ' ', '\t', '\r', '\n']);
            KINDS.iter().any(|kind| rest.starts_with(kind))
        })
    }

    /// The namespace that an object will be in; `None` where that is left to `kubectl`.
    pub fn namespace_of<'a>(&'a self, object: &'a Value) -> Option<&'a str> {
        let own = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            // As a template leaves it that was given none; kubectl takes it for none, too.
            .filter(|name| !name.is_empty());
        own.or(self.namespace.as_deref())
    }

    /// That namespace, with its inject label.
    pub fn namespace_around<'a>(&'a self, object: &'a Value) -> Namespace<'a> {
        let name = self.namespace_of(object);
        let label = self.inject_label(name);
        Namespace {
            name,
            inject: label.map_or(InjectLabel::Absent, InjectLabel::Value),
        }
    }

    /// The inject label of a namespace.
    fn inject_label(&self, namespace: Option<&str>) -> Option<&str> {
        let key = namespace.map(str::to_owned);
        self.labels.get(&key).map(String::as_str)
    }

    /// The keys of a ConfigMap (`configMapRef`, `configMapKeyRef`) or Secret (`secretRef`, `secretKeyRef`). `None`: it is not
    /// in the input.
    pub fn keys_of(
        &self,
        reference: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<&BTreeSet<String>> {
        let kind = match reference {
            "configMapRef" | "configMapKeyRef" => "ConfigMap",
            "secretRef" | "secretKeyRef" => "Secret",
            _ => return None,
        };
        self.sources.get(&Source {
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// What pods of the namespace are measured against.
    pub fn restrictions(&self, namespace: Option<&str>) -> impl Iterator<Item = &str> {
        let first = (namespace.map(str::to_owned), String::new());
        let from = self.restrictions.range(first..);
        from.take_while(move |(of, _)| of.as_deref() == namespace)
            .map(|(_, what)| what.as_str())
    }
}

const KINDS: [&str; 5] = [
    "Namespace",
    "ConfigMap",
    "Secret",
    "LimitRange",
    "ResourceQuota",
];

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn restrictions_are_those_of_the_pods_namespace() {
        let mut inputs = Inputs::new(Some("shop".to_owned()), &[]);
        let labels = json!({ (ENFORCE): "restricted" });
        for object in [
            json!({ "kind": "Namespace", "metadata": { "name": "shop", "labels": labels } }),
            json!({ "kind": "LimitRange", "metadata": { "name": "limits" } }),
            json!({ "kind": "ResourceQuota", "metadata": { "name": "q", "namespace": "other" } }),
        ] {
            assert!(Inputs::may_learn(&object.to_string()));
            inputs.learn(&object);
        }
        let here: Vec<_> = inputs.restrictions(Some("shop")).collect();
        assert_eq!(here, ["LimitRange limits", "Pod Security level restricted"]);
    }

    #[test]
    fn an_empty_namespace_is_none() {
        let inputs = Inputs::new(Some("shop".to_owned()), &[]);
        let object = json!({ "metadata": { "namespace": "" } });
        assert_eq!(inputs.namespace_of(&object), Some("shop"));
        assert_eq!(Inputs::default().namespace_of(&object), None);
    }

    #[test]
    fn a_label_that_was_given_stays() {
        let given = (keys::INJECT.to_owned(), "false".to_owned());
        let mut inputs = Inputs::new(Some("shop".to_owned()), &[given]);
        let labels = json!({ (keys::INJECT): "true" });
        inputs.learn(
            &json!({ "kind": "Namespace", "metadata": { "name": "shop", "labels": labels } }),
        );
        assert_eq!(inputs.inject_label(Some("shop")), Some("false"));
        assert!(!Inputs::may_learn(
            "kind: Deployment\nspec: {envFrom: [{secretRef: {name: Secret}}]}"
        ));
    }
}
