//! The few fields of Kubernetes objects that tell how pods stand. What is missing has its default.

use javelin_core::kinds::Kind;
use javelin_core::mutate::keys::{FROM_WORKLOAD, INJECT};
use javelin_core::mutate::pod::{OwnerReference, StringMap};
use serde::Deserialize;
use serde_json::Value;

use crate::diagnose::template::PodTemplates;

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
    pub fields_v1: Value,
}

/// A namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NamespaceFacts {
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

/// Something with a pod template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WorkloadFacts {
    /// Its own metadata.
    pub metadata: ObjectMetadata,
    /// The template, and how it is rolled out.
    pub spec: Spec,
    /// Lists do not say it of their items, so whoever reads them does.
    #[serde(skip)]
    pub kind: &'static str,
}

/// A pod template, and how it is rolled out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// Are new templates held back?
    pub paused: bool,
    /// How pods are replaced, of a `StatefulSet` or `DaemonSet`.
    pub update_strategy: Option<Strategy>,
    /// Where the template is.
    #[serde(flatten)]
    pub templates: PodTemplates<ObjectMetadata>,
}

/// How pods are replaced.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Strategy {
    /// `RollingUpdate` or `OnDelete`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Details of the first.
    pub rolling_update: Option<RollingUpdate>,
}

/// Details of a rolling update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RollingUpdate {
    /// Pods below it stay as they are.
    pub partition: u32,
}

impl ObjectMetadata {
    /// When the inject label was last written, as far as that is known: RFC 3339 in UTC and whole seconds, so that texts
    /// compare as times do.
    pub fn labelled_at(&self) -> Option<&str> {
        let key = format!("f:{INJECT}");
        let wrote = |manager: &&Manager| {
            let labels = manager
                .fields_v1
                .get("f:metadata")
                .and_then(|metadata| metadata.get("f:labels"));
            labels.is_some_and(|labels| labels.get(&key).is_some())
        };
        let times = self.managed_fields.iter().filter(wrote);
        times.map(|manager| manager.time.as_str()).max()
    }
}

impl PodFacts {
    /// Has it neither ended, nor to go?
    pub fn is_alive(&self) -> bool {
        let has_ended = matches!(self.status.phase.as_str(), "Succeeded" | "Failed");
        self.metadata.deletion_timestamp.is_none() && !has_ended
    }
}

impl WorkloadFacts {
    /// Its pod template's metadata.
    pub fn template(&self) -> Option<&ObjectMetadata> {
        self.spec.templates.metadata()
    }

    /// Does the template have our copy of its label?
    pub fn has_copy(&self) -> bool {
        self.template()
            .is_some_and(|template| template.labels.contains_key(FROM_WORKLOAD))
    }

    /// Is it part of another workload, which is looked at itself? An operator's Deployment is not, whoever owns it.
    pub fn is_derived(&self) -> bool {
        let mut owners = self.metadata.owner_references.iter();
        owners.any(|owner| {
            let kind = Kind::named(None, self.kind);
            let is_workload = kind.is_some_and(|kind| kind.is_made_by(&owner.kind));
            is_workload && owner.controller == Some(true)
        })
    }

    /// Was its label there when the webhook could have copied it? Where the template never changes, at creation alone.
    pub fn was_copyable(&self) -> bool {
        let metadata = &self.metadata;
        let is_later = metadata.labelled_at() > Some(metadata.creation_timestamp.as_str());
        self.is_mutable() || !is_later
    }

    /// Is its label copied into the template whenever it changes?
    pub fn is_mutable(&self) -> bool {
        let kind = Kind::named(None, self.kind);
        kind.is_some_and(|kind| kind.is_label_copied_on("UPDATE"))
    }
}
