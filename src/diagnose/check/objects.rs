//! The few fields of Kubernetes objects that decide something here. What is missing has its default.

use javelin_core::mutate::pod::Metadata;
use serde::Deserialize;
use serde_json::Value;

use crate::diagnose::template::PodTemplates;
use crate::entries::MutatingWebhook;

/// A `MutatingWebhookConfiguration`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WebhookConfiguration {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// Its entries.
    pub webhooks: Vec<MutatingWebhook>,
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
