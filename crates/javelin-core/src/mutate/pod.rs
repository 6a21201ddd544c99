//! The fields of a Pod that the engine reads, and no others.
//!
//! Deliberately not `k8s_openapi`'s Pod: decoding a hundred unread fields costs more than deciding,
//! and a field that a newer Kubernetes adds must pass through untouched. `null` and a missing field are
//! the same here, as they are to the API server; whether the array *exists* in the document matters to the
//! patch, so optional arrays stay `Option`.

use std::{collections::BTreeMap, ops::Bound};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::java::shortened;
use crate::{patch::Node, steps};

/// Labels and annotations.
pub type StringMap = BTreeMap<String, String>;

/// A Pod, or the template of one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Labels, annotations, owners.
    #[serde(deserialize_with = "null_is_default")]
    pub metadata: Metadata,
    /// Containers and volumes.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: PodSpec,
}

/// The part of `ObjectMeta` that decides something.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Empty on CREATE of a pod with `generateName`: the API server fills it in after admission.
    pub name: Option<String>,
    /// What a controller sets instead of a name.
    pub generate_name: Option<String>,
    /// May be empty on CREATE: the request's own namespace counts.
    pub namespace: Option<String>,
    /// Labels.
    pub labels: Option<StringMap>,
    /// Annotations.
    pub annotations: Option<StringMap>,
    /// Owners; at most one of them is the controller.
    pub owner_references: Option<Vec<OwnerReference>>,
}

/// One owner.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OwnerReference {
    /// Kind, without its group.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Is it the managing controller?
    pub controller: Option<bool>,
}

/// `PodSpec`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// Regular containers.
    #[serde(deserialize_with = "null_is_default")]
    pub containers: Vec<Container>,
    /// Init containers, native sidecars among them.
    pub init_containers: Option<Vec<Container>>,
    /// Volumes.
    pub volumes: Option<Vec<Named>>,
    /// Secrets that images are pulled with.
    pub image_pull_secrets: Option<Vec<MaybeNamed>>,
    /// Pod-level requests and limits.
    pub resources: Option<Resources>,
    /// Pod-level security settings.
    pub security_context: Option<SecurityContext>,
    /// Node labels asked for.
    pub node_selector: Option<StringMap>,
    /// Affinity, as written.
    pub affinity: Option<Value>,
    /// Operating system stated by the pod.
    pub os: Option<Named>,
}

/// Anything of which only the name is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Named {
    /// Its name.
    pub name: String,
}

/// A `LocalObjectReference`, which may be without a name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MaybeNamed {
    /// Its name.
    pub name: Option<String>,
}

/// `PodSecurityContext`, or a container's own `SecurityContext`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecurityContext {
    /// The uid; of every container that does not say otherwise, or of this one.
    pub run_as_user: Option<i64>,
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Unique in the pod.
    pub name: String,
    /// Image reference.
    pub image: Option<String>,
    /// Entry point.
    pub command: Option<Vec<String>>,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// Environment, in order: `$(X)` refers to what comes earlier, the last of a name counts.
    pub env: Option<Vec<EnvVar>>,
    /// Whole `ConfigMaps` and Secrets as environment; every explicit entry hides a key of its name.
    pub env_from: Option<Vec<EnvFrom>>,
    /// Requests and limits.
    pub resources: Option<Resources>,
    /// Where the kubelet mounts a file for its last words.
    pub termination_message_path: Option<String>,
    /// Its own security settings.
    pub security_context: Option<SecurityContext>,
    /// When the kubelet restarts it, as written.
    pub liveness_probe: Option<Value>,
    /// When traffic comes to it, as written.
    pub readiness_probe: Option<Value>,
    /// What the kubelet waits for first, as written.
    pub startup_probe: Option<Value>,
    /// What runs after its start and before its end, as written.
    pub lifecycle: Option<Lifecycle>,
    /// Mounts.
    pub volume_mounts: Option<Vec<VolumeMount>>,
    /// Block devices.
    pub volume_devices: Option<Vec<VolumeDevice>>,
}

/// The hooks of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Lifecycle {
    /// After its start.
    pub post_start: Option<Value>,
    /// Before its end.
    pub pre_stop: Option<Value>,
}

/// Quantities by resource, as written: a string or a number.
pub type Quantities = BTreeMap<String, Value>;

/// Requests and limits.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// What the scheduler reserves.
    pub requests: Option<Quantities>,
    /// What the kernel enforces.
    pub limits: Option<Quantities>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    /// The volume's name.
    pub name: String,
    /// Absolute path in the container.
    pub mount_path: String,
}

/// A block device in the container's file system.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDevice {
    /// The volume's name.
    #[serde(default)]
    pub name: String,
    /// Its path in the container, which no mount can have too.
    pub device_path: String,
}

/// One environment variable.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Literal text, in which `$(X)` refers to earlier entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where else the value comes from, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<Value>,
}

/// One source of `envFrom`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvFrom {
    /// Put before each key.
    pub prefix: Option<String>,
    /// A ConfigMap.
    pub config_map_ref: Option<Named>,
    /// A Secret.
    pub secret_ref: Option<Named>,
}

impl Pod {
    /// Decodes a Pod, or a pod template, from a document.
    pub fn from_value(value: &Value) -> Result<Self, PodError> {
        let pod = Self::deserialize(value);
        pod.or_else(|_| serde_path_to_error::deserialize(value).map_err(PodError::from))
    }

    /// Decodes a Pod from what a patch has made of a document.
    pub(crate) fn from_node(node: &Node<'_>) -> Result<Self, PodError> {
        let pod = Self::deserialize(node);
        pod.or_else(|_| serde_path_to_error::deserialize(node).map_err(PodError::from))
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata
            .annotations
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }

    /// The annotations whose keys begin so, without that beginning. No other is looked at.
    pub fn annotations_under<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let annotations = self.metadata.annotations.iter();
        let from = annotations
            .flat_map(move |all| all.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)));
        from.map_while(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())))
            .inspect(|(key, value)| steps::take(key.len() + value.len()))
    }
}

impl PodSpec {
    /// Init containers, none when the array is missing.
    pub fn init_containers(&self) -> &[Container] {
        self.init_containers.as_deref().unwrap_or_default()
    }

    /// Does it name that pull secret?
    pub fn pulls_with(&self, secret: &str) -> bool {
        let mut secrets = self.image_pull_secrets.iter().flatten();
        secrets.any(|named| named.name.as_deref() == Some(secret))
    }

    /// Volumes, none when the array is missing.
    pub fn volumes(&self) -> &[Named] {
        self.volumes.as_deref().unwrap_or_default()
    }
}

impl Container {
    /// Environment, empty when the array is missing.
    pub fn env(&self) -> &[EnvVar] {
        self.env.as_deref().unwrap_or_default()
    }

    /// `envFrom`, empty when the array is missing.
    pub fn env_from(&self) -> &[EnvFrom] {
        self.env_from.as_deref().unwrap_or_default()
    }

    /// All texts of it in which a JVM's options may stand, as they are written.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self
            .env()
            .iter()
            .filter_map(|variable| variable.value.as_deref());
        let line = self.command.iter().chain(&self.args).flatten();
        values
            .chain(line.map(String::as_str))
            .inspect(|text| steps::take(text.len()))
    }

    /// Mounts, none when the array is missing.
    pub fn volume_mounts(&self) -> &[VolumeMount] {
        self.volume_mounts.as_deref().unwrap_or_default()
    }

    /// Block devices, none when the array is missing.
    pub fn volume_devices(&self) -> &[VolumeDevice] {
        self.volume_devices.as_deref().unwrap_or_default()
    }
}

impl EnvFrom {
    /// May it bring a variable of that name, or one that begins so?
    pub fn may_bring(&self, name: &str) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        name.starts_with(prefix) || prefix.starts_with(name)
    }
}

impl EnvVar {
    /// A literal.
    pub fn literal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
            value_from: None,
        }
    }

    /// A field of the pod by the downward API.
    pub fn field(name: impl Into<String>, path: &str) -> Self {
        Self {
            name: name.into(),
            value: None,
            value_from: Some(serde_json::json!({ "fieldRef": { "fieldPath": path } })),
        }
    }
}

/// The object is not shaped like a Pod: the path of the field and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("field `{path}`: {problem}")]
pub struct PodError {
    path: String,
    problem: String,
}

impl PodError {
    /// The object has no pod in it, as an Argo Rollout that refers to a workload.
    pub(crate) fn no_template() -> Self {
        Self {
            path: "spec.template".to_owned(),
            problem: "it has no pod template of its own; label the workload that it refers to"
                .to_owned(),
        }
    }
}

impl From<serde_path_to_error::Error<serde_json::Error>> for PodError {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        // A parser quotes what it does not understand, whatever its length.
        Self {
            path: shortened(&error.path().to_string()),
            problem: shortened(&error.inner().to_string()),
        }
    }
}

fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
