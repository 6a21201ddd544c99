//! The few fields of Kubernetes objects that decide something here. What is missing has its default.

use std::collections::BTreeMap;

use javelin_core::mutate::pod::Metadata;
use serde::Deserialize;
use serde_json::Value;

use crate::diagnose::template::PodTemplates;

/// A `MutatingWebhookConfiguration`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WebhookConfiguration {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// Its entries.
    pub webhooks: Vec<MutatingWebhook>,
}

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

/// A Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// What it is.
    pub spec: ServiceSpec,
}

/// What a Service is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ClusterIP` and the like.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `None` for a headless one.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// Of the type `ExternalName`.
    pub external_name: Option<String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name, if there are several.
    pub name: Option<String>,
    /// The number that is called.
    pub port: u16,
}

/// An `EndpointSlice`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EndpointSlice {
    /// Addresses.
    pub endpoints: Option<Vec<SliceEndpoint>>,
    /// Ports of each.
    pub ports: Option<Vec<EndpointPort>>,
}

/// An address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SliceEndpoint {
    /// How it is.
    pub conditions: Conditions,
}

/// How an address is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Absent means yes.
    pub ready: Option<bool>,
}

/// A port of addresses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    /// The Service port's name.
    pub name: Option<String>,
    /// Where the pod listens.
    pub port: Option<u16>,
}

/// Where a Service leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// So many are ready.
    pub ready: usize,
    /// So many are there and not ready.
    pub waiting: usize,
    /// Name of the Service port, and the port of the ready pods.
    pub ports: Vec<(String, u16)>,
}

impl Addresses {
    /// All slices of a Service together.
    pub fn of(slices: &[EndpointSlice]) -> Self {
        let mut all = Self::default();
        for slice in slices {
            let endpoints = slice.endpoints.as_deref().unwrap_or_default();
            let ready = endpoints
                .iter()
                .filter(|endpoint| endpoint.conditions.ready != Some(false))
                .count();
            all.ready += ready;
            all.waiting += endpoints.len() - ready;
            if ready > 0 {
                for port in slice.ports.iter().flatten() {
                    let named = port
                        .port
                        .map(|n| (port.name.clone().unwrap_or_default(), n));
                    all.ports.extend(named);
                }
            }
        }
        all.ports.sort();
        all.ports.dedup();
        all
    }
}

/// Any object, by its metadata, and that of its pod template, if it has one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Labelled {
    /// Its own.
    pub metadata: Metadata,
    /// Where the template is.
    pub spec: PodTemplates<Metadata>,
    /// `Deployment` and the like; lists do not say it of their items, so whoever reads them does.
    #[serde(skip)]
    pub kind: &'static str,
}

impl Labelled {
    /// Its pod template's metadata.
    pub fn template(&self) -> Option<&Metadata> {
        self.spec.metadata()
    }

    /// Does something else look after it?
    pub fn has_controller(&self) -> bool {
        let mut owners = self.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true))
    }

    /// `Deployment shop/orders`.
    pub fn title(&self) -> String {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        match self.metadata.namespace.as_deref() {
            Some(namespace) => format!("{} {namespace}/{name}", self.kind),
            None => format!("{} {name}", self.kind),
        }
    }
}

/// A node, as far as it says what runs on it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name.
    pub metadata: Metadata,
    /// Where it says so.
    pub status: NodeStatus,
}

/// Where a node says what runs on it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    /// Versions.
    pub node_info: NodeInfo,
}

/// Versions of what runs on a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// Such as `containerd://2.2.0`.
    pub container_runtime_version: String,
    /// `amd64`, `arm64` and the like: as Go calls it.
    pub architecture: String,
}

/// An Event of the core API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    /// About whom.
    pub involved_object: Involved,
    /// A word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// About whom an Event is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Involved {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which container.
    pub field_path: String,
}

/// A pod of the dry run, or any.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TriedPod {
    /// Where the receipt is.
    pub metadata: Metadata,
    /// Where the volume is.
    pub spec: Value,
}
