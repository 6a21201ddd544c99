//! The few fields of Kubernetes objects that tell how pods stand. What is missing has its default.

use std::collections::BTreeMap;

use javelin_core::mutate::keys::INJECT;
use javelin_core::mutate::pod::{OwnerReference, StringMap};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Of any object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectMetadata {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Labels.
    pub labels: StringMap,
    /// Annotations.
    pub annotations: StringMap,
    /// Who made it.
    pub owner_references: Vec<OwnerReference>,
    /// When, as RFC 3339.
    pub creation_timestamp: String,
    /// Is it on its way out?
    pub deletion_timestamp: Option<String>,
    /// Who has written what, and when.
    pub managed_fields: Vec<Manager>,
}

/// Somebody who has written fields of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Manager {
    /// When last.
    pub time: String,
    /// Which fields.
    pub fields_v1: Fields,
}

/// The fields that somebody has written, as far as they tell of labels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    #[serde(rename = "f:metadata")]
    metadata: MetadataFields,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(
    clippy::zero_sized_map_values,
    reason = "it is read as the map that it is"
)]
struct MetadataFields {
    #[serde(rename = "f:labels")]
    labels: BTreeMap<String, IgnoredAny>,
}

/// Any object of which nothing but its metadata is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ObjectFacts {
    /// All that is read of it.
    pub metadata: ObjectMetadata,
}

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodFacts {
    /// Labels, annotations, owners.
    pub metadata: ObjectMetadata,
    /// How it is.
    pub status: PodStatus,
}

/// How a pod is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Running` and the like.
    pub phase: String,
    /// Of init containers.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Of regular ones.
    pub container_statuses: Vec<ContainerStatus>,
}

/// How a container is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Is it ready?
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: u32,
    /// What it does.
    pub state: ContainerState,
    /// What it did before that.
    pub last_state: ContainerState,
}

/// What a container does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It waits.
    pub waiting: Option<Why>,
    /// It has ended.
    pub terminated: Option<Why>,
}

/// Why a container waits, or has ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Why {
    /// A word.
    pub reason: String,
    /// 0 is success.
    pub exit_code: i32,
}

impl ObjectMetadata {
    /// When the inject label was last written, as far as that is known: RFC 3339 in UTC and whole seconds, so that texts
    /// compare as times do.
    pub fn labelled_at(&self) -> Option<&str> {
        let key = format!("f:{INJECT}");
        let wrote = |manager: &&Manager| manager.fields_v1.metadata.labels.contains_key(&key);
        let times = self.managed_fields.iter().filter(wrote);
        times.map(|manager| manager.time.as_str()).max()
    }
}

impl PodFacts {
    /// Are all its containers ready?
    pub fn is_ready(&self) -> bool {
        let mut containers = self.status.container_statuses.iter().peekable();
        containers.peek().is_some() && containers.all(|status| status.ready)
    }

    /// Has it neither ended, nor to go?
    pub fn is_alive(&self) -> bool {
        let has_ended = matches!(self.status.phase.as_str(), "Succeeded" | "Failed");
        self.metadata.deletion_timestamp.is_none() && !has_ended
    }
}
