//! The few fields of workloads that tell how their pods will stand. What is missing has its default.

use javelin_core::guard;
use javelin_core::kinds::Kind;
use javelin_core::mutate::keys::{FROM_WORKLOAD, GUARDED, INJECT};
use serde::Deserialize;

use crate::diagnose::template::PodTemplates;
use crate::standing::WorkloadLabel;
use crate::standing::objects::ObjectMetadata;

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

    /// Was the agent taken back from it?
    pub fn is_guarded(&self) -> bool {
        let ObjectMetadata {
            labels,
            annotations,
            ..
        } = &self.metadata;
        let annotation = annotations.get(GUARDED).map(String::as_str);
        guard::holds(annotation, labels.get(INJECT).map(String::as_str))
    }

    /// Its label, if it has one.
    pub fn label(&self) -> Option<WorkloadLabel> {
        WorkloadLabel::of(self.kind, &self.metadata, self.has_copy())
    }
}
