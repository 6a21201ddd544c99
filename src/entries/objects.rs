//! The few fields of an entry that decide something. What is missing has its default.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MutatingWebhook {
    /// Unique in the configuration.
    pub name: String,
    /// Who is called.
    pub client_config: ClientConfig,
    /// What for.
    pub rules: Vec<Rule>,
    /// What becomes of the object when the call fails.
    pub failure_policy: Option<String>,
    /// Of which namespaces.
    pub namespace_selector: Selector,
    /// Of which objects.
    pub object_selector: Selector,
    /// Further conditions.
    pub match_conditions: Vec<MatchCondition>,
}

impl MutatingWebhook {
    /// What is asked of the Service, where one is called.
    pub fn path(&self) -> Option<&str> {
        self.client_config.service.as_ref()?.path.as_deref()
    }
}

/// Who is called.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientConfig {
    /// A Service of the cluster.
    pub service: Option<Callee>,
    /// Anybody else.
    pub url: Option<String>,
    /// Whom to trust; base64 of PEM.
    pub ca_bundle: Option<String>,
}

/// A Service of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Callee {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What is asked of it.
    pub path: Option<String>,
}

/// What an entry is called for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// When.
    pub operations: Vec<String>,
    /// For what.
    pub resources: Vec<String>,
}

/// A label selector.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// Labels that must be there.
    pub match_labels: BTreeMap<String, String>,
    /// More than that.
    pub match_expressions: Vec<Expression>,
}

/// One requirement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    pub operator: String,
    /// Its values.
    pub values: Vec<String>,
}

impl Selector {
    /// Does it select what has these labels? An operator that Kubernetes does not have selects nothing.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut wanted = self.match_labels.iter();
        let has_labels = wanted.all(|(key, value)| labels.get(key) == Some(value));
        let mut expressions = self.match_expressions.iter();
        has_labels
            && expressions.all(
                |Expression {
                     key,
                     operator,
                     values,
                 }| {
                    let value = labels.get(key);
                    match operator.as_str() {
                        "In" => value.is_some_and(|value| values.contains(value)),
                        "NotIn" => value.is_none_or(|value| !values.contains(value)),
                        "Exists" => value.is_some(),
                        "DoesNotExist" => value.is_none(),
                        _ => false,
                    }
                },
            )
    }
}

/// A condition in CEL.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MatchCondition {
    /// Its name.
    pub name: String,
}
