//! What a pod gets beside variables, as the Kubernetes API has it: `Volume`, `VolumeMount`, `Container`.
//!
//! Each is written as JSON once, from borrowed values, and the patch has that text as it is.
//!
//! Deliberately absent: what a pod lacks of it ([`delivery`](super::delivery)).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::pod::{EnvVar, Quantities, Resources};

/// A value as finished JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Writes it.
    pub(crate) fn of(value: &(impl Serialize + ?Sized)) -> Self {
        Self(serde_json::to_string(value).expect("text, and names that are text"))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Several as an array.
    pub(crate) fn array<'a>(elements: impl IntoIterator<Item = &'a Self>) -> Self {
        let elements: Vec<_> = elements.into_iter().map(Self::as_str).collect();
        Self(format!("[{}]", elements.join(",")))
    }
}

impl From<Json> for String {
    fn from(Json(text): Json) -> Self {
        text
    }
}

/// What the pod as a whole gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Volumes.
    pub volumes: Vec<Json>,
    /// What is to be done about the init containers that the delivery needs, in the order in which they run.
    pub init_containers: Vec<InitContainerEdit>,
    /// Name of a pull secret that the pod does not name itself.
    pub image_pull_secret: Option<String>,
}

/// An edit to the list of init containers.
#[derive(Debug, Clone, PartialEq)]
pub enum InitContainerEdit {
    /// Ours, to be put before all others.
    Add(Json),
    /// Other resources for ours, which is there: those of the target have changed.
    Resize {
        /// Its position.
        index: usize,
        /// The `resources`.
        resources: Json,
    },
}

#[derive(Serialize)]
pub(super) struct Volume<'a> {
    pub(super) name: &'static str,
    #[serde(flatten)]
    pub(super) source: VolumeSource<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum VolumeSource<'a> {
    EmptyDir {
        size_limit: &'static str,
    },
    Image {
        reference: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pull_policy: Option<&'static str>,
    },
    ConfigMap {
        name: &'a str,
        optional: bool,
    },
    PersistentVolumeClaim {
        claim_name: &'a str,
        read_only: bool,
    },
    Projected {
        sources: Vec<VolumeProjection<'a>>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum VolumeProjection<'a> {
    ConfigMap(ProjectedItems<'a>),
    Secret(ProjectedItems<'a>),
}

#[derive(Serialize)]
pub(super) struct ProjectedItems<'a> {
    pub(super) name: &'a str,
    pub(super) items: Vec<KeyToPath<'a>>,
    pub(super) optional: bool,
}

#[derive(Serialize)]
pub(super) struct KeyToPath<'a> {
    pub(super) key: &'a str,
    pub(super) path: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeMount {
    pub(super) name: &'static str,
    pub(super) mount_path: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only: bool,
}

/// An init container of ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitContainer<'a> {
    pub(super) name: &'static str,
    pub(super) image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_pull_policy: Option<&'static str>,
    pub(super) command: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) env: &'a [EnvVar],
    #[serde(skip_serializing_if = "CopiedResources::is_empty")]
    pub(super) resources: CopiedResources<'a>,
    pub(super) security_context: SecurityContext,
    pub(super) termination_message_policy: &'static str,
    pub(super) volume_mounts: [VolumeMount; 1],
}

/// What the `restricted` Pod Security level asks for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext {
    run_as_non_root: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_as_user: Option<i64>,
    allow_privilege_escalation: bool,
    read_only_root_filesystem: bool,
    capabilities: Capabilities,
    seccomp_profile: SeccompProfile,
}

#[derive(Serialize)]
struct Capabilities {
    drop: [&'static str; 1],
}

#[derive(Serialize)]
struct SeccompProfile {
    r#type: &'static str,
}

impl SecurityContext {
    /// With this uid, or the image's own.
    pub(super) fn restricted(run_as_user: Option<i64>) -> Self {
        Self {
            run_as_non_root: true,
            run_as_user,
            allow_privilege_escalation: false,
            read_only_root_filesystem: true,
            capabilities: Capabilities { drop: ["ALL"] },
            seccomp_profile: SeccompProfile {
                r#type: "RuntimeDefault",
            },
        }
    }
}

/// Requests and limits of the target, verbatim: the pod's effective request is the larger of the init
/// containers and the sum of the others, so it does not change, and neither does the `QoS` class; a `LimitRange`
/// and an exactly full `ResourceQuota` that admit the target admit the copy. Devices, huge pages and claims
/// stay behind: the copy would occupy them.
#[derive(Default, Serialize)]
pub(super) struct CopiedResources<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    requests: BTreeMap<&'a str, &'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<&'a str, &'a Value>,
}

impl<'a> CopiedResources<'a> {
    pub(super) fn of(resources: Option<&'a Resources>) -> Self {
        let copied = |quantities: &'a Option<Quantities>| {
            let quantities = quantities.iter().flatten();
            quantities
                .filter(|(name, _)| COPIED_RESOURCES.contains(&name.as_str()))
                .map(|(name, quantity)| (name.as_str(), quantity))
                .collect()
        };
        resources.map_or_else(Self::default, |resources| Self {
            requests: copied(&resources.requests),
            limits: copied(&resources.limits),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }

    /// Does the init container have these already? A `LimitRange` may have given it more, which is as well.
    pub(super) fn are_within(&self, there: Option<&Resources>) -> bool {
        let has = |wanted: &BTreeMap<&str, &Value>, quantities: Option<&Quantities>| {
            wanted.iter().all(|(name, quantity)| {
                quantities.is_some_and(|quantities| quantities.get(*name) == Some(*quantity))
            })
        };
        has(
            &self.requests,
            there.and_then(|there| there.requests.as_ref()),
        ) && has(&self.limits, there.and_then(|there| there.limits.as_ref()))
    }
}

/// What Kubernetes counts for every container.
const COPIED_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
