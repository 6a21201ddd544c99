//! How one pod stands: does it have the agent, was it missed, left alone on purpose, or is it older than the label?
//!
//! The rule of `javelin status` and of the audit ([`controller::audit`](crate::controller::audit)). A pod that asks for the
//! agent and has neither a receipt nor a note why not was created while nobody answered: it was **missed**. One that was
//! there before the label **waits** for a restart.
//!
//! Invariants: values in, values out. Owners are told from names, as the webhook does it; no ReplicaSet has to be read.
//!
//! Deliberately not here: what pods add up to, and who reads them.

use javelin_core::kinds::Kind;
use javelin_core::mutate::keys::{FROM_WORKLOAD, INJECT, INJECTED, MIRROR_POD, SKIPPED};
use javelin_core::mutate::pod::{Metadata, StringMap};
use javelin_core::mutate::{Owners, Receipt};
use serde::Serialize;

pub mod crash;
pub mod objects;

use objects::ObjectMetadata;

/// How one pod stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has the agent. The receipt, if it can be read.
    Injected(Option<Box<Receipt>>),
    /// It was created while nobody answered.
    Missed,
    /// It was left alone on purpose; the code of the reason.
    Skipped(String),
    /// It was there before the label; before which.
    Waiting(&'static str),
    /// It does not ask.
    Plain,
}

/// What asks for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelSource {
    /// The workload's own label.
    Workload,
    /// Its pod template's label or annotation.
    Template,
    /// The namespace's label.
    Namespace,
    /// Nothing any more.
    Nobody,
}

/// Whatever the label or an annotation asks for, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectionRequest {
    /// Where it stands.
    pub source: LabelSource,
    /// What it says.
    pub value: String,
    /// Does the pod itself carry it? Then it was there when the pod was created.
    is_on_pod: bool,
}

/// The label of a pod's workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadLabel {
    /// What it says.
    pub value: String,
    /// Could the webhook have copied it into the template, and has not?
    pub is_uncopied: bool,
}

/// The label of a pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceLabel {
    /// What it says.
    pub value: String,
    /// When it was last written, as far as that is known.
    pub since: Option<String>,
}

/// What counts for a pod beside its own metadata.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The label of its workload, if it has one.
    pub workload: Option<&'a WorkloadLabel>,
    /// The label of its namespace, if it has one.
    pub namespace: Option<&'a NamespaceLabel>,
    /// Does an annotation ask as a label does?
    pub annotations_count: bool,
}

impl Surroundings<'_> {
    /// What a pod asks for, in the order of the webhook.
    pub fn request(&self, pod: &ObjectMetadata) -> Option<InjectionRequest> {
        let request = |source, value: &str, is_on_pod| InjectionRequest {
            source,
            value: value.to_owned(),
            is_on_pod,
        };
        own_request(&pod.labels, &pod.annotations, self.annotations_count)
            .map(|value| request(LabelSource::Template, value, true))
            .or_else(|| {
                label(&pod.labels, FROM_WORKLOAD)
                    .map(|value| request(LabelSource::Workload, value, true))
            })
            .or_else(|| Some(request(LabelSource::Workload, &self.workload?.value, false)))
            .or_else(|| {
                let value = &self.namespace?.value;
                Some(request(LabelSource::Namespace, value, false))
            })
    }

    /// How a pod stands that asks for `request`.
    pub fn standing(&self, pod: &ObjectMetadata, request: Option<&InjectionRequest>) -> Standing {
        let annotation = |key: &str| label(&pod.annotations, key);
        if let Some(receipt) = annotation(INJECTED) {
            return Standing::Injected(serde_json::from_str(receipt).ok());
        }
        let Some(request) = request.filter(|request| request.is_yes()) else {
            return Standing::Plain;
        };
        if let Some(skipped) = annotation(SKIPPED) {
            let code = skipped.split(':').next().unwrap_or(skipped);
            return Standing::Skipped(code.trim().to_owned());
        }
        if annotation(MIRROR_POD).is_some() {
            return Standing::Skipped("static-pod".to_owned());
        }
        if request.is_on_pod {
            return Standing::Missed;
        }
        match request.source {
            // The webhook copies a label in the very moment in which it is set.
            LabelSource::Workload if self.workload.is_some_and(|label| label.is_uncopied) => {
                Standing::Missed
            }
            LabelSource::Workload => Standing::Waiting("older than the label"),
            _ if self.is_older_than_label(pod) => {
                Standing::Waiting("older than the namespace's label")
            }
            _ => Standing::Missed,
        }
    }

    /// As far as the API server has written down who set the label, and when.
    fn is_older_than_label(&self, pod: &ObjectMetadata) -> bool {
        let since = self.namespace.and_then(|label| label.since.as_deref());
        since.is_some_and(|since| pod.creation_timestamp.as_str() < since)
    }
}

impl InjectionRequest {
    /// Of what is not the pod's own.
    pub fn new(source: LabelSource, value: &str) -> Self {
        Self {
            source,
            value: value.to_owned(),
            is_on_pod: false,
        }
    }

    /// Of a pod that has the agent, and that nothing asks for any more.
    pub fn none() -> Self {
        Self::new(LabelSource::Nobody, "")
    }

    /// Does it ask for the agent, rather than to be left alone?
    pub fn is_yes(&self) -> bool {
        self.value != "false"
    }
}

impl WorkloadLabel {
    /// Of a workload of that kind; `has_copy` if its template has our copy of the label. `None` without the label.
    pub fn of(kind: &str, metadata: &ObjectMetadata, has_copy: bool) -> Option<Self> {
        let kind = Kind::named(None, kind);
        let is_mutable = kind.is_some_and(|kind| kind.is_label_copied_on("UPDATE"));
        // Where the template never changes, it is copied at creation alone.
        let is_later = metadata.labelled_at() > Some(metadata.creation_timestamp.as_str());
        Some(Self {
            value: label(&metadata.labels, INJECT)?.to_owned(),
            is_uncopied: !has_copy && (is_mutable || !is_later),
        })
    }
}

impl NamespaceLabel {
    /// `None` of a namespace without the label.
    pub fn of(metadata: &ObjectMetadata) -> Option<Self> {
        Some(Self {
            value: label(&metadata.labels, INJECT)?.to_owned(),
            since: metadata.labelled_at().map(str::to_owned),
        })
    }
}

/// What the labels of a pod or of a template ask for, or the annotations where those count.
pub fn own_request<'a>(
    labels: &'a StringMap,
    annotations: &'a StringMap,
    annotations_count: bool,
) -> Option<&'a str> {
    label(labels, INJECT).or_else(|| label(annotations, INJECT).filter(|_| annotations_count))
}

/// Kind and name of the uppermost owner that can be told from names; of the pod itself, if it has none.
pub fn owner(pod: &ObjectMetadata) -> (String, String) {
    let metadata = Metadata {
        labels: Some(pod.labels.clone()),
        owner_references: Some(pod.owner_references.clone()),
        ..Metadata::default()
    };
    let owners = Owners::of_pod(&metadata);
    owners.iter().next_back().map_or_else(
        || ("Pod".to_owned(), pod.name.clone()),
        |owner| (owner.kind.clone(), owner.name.clone()),
    )
}

/// A workload as `kubectl` takes it: `deployment.apps/orders`.
pub fn resource(kind: &str, name: &str) -> String {
    let resource = Kind::named(None, kind).map(Kind::resource);
    format!(
        "{}/{name}",
        resource.unwrap_or_else(|| kind.to_ascii_lowercase())
    )
}

/// Why pods of a kind cannot be replaced by a rolling restart; `None` if they can.
pub fn obstacle_of_kind(kind: &str) -> Option<&'static str> {
    match Kind::named(None, kind) {
        Some(kind) => kind.obstacle,
        None => Some("it is not known how it replaces its pods"),
    }
}

/// How to run a workload without the agent that does not run with it: a sentence, or a command and what it does. `resource`
/// is as [`resource`] has it.
pub fn way_back(
    namespace: &str,
    resource: &str,
    asked_by: LabelSource,
    has_obstacle: bool,
) -> String {
    match asked_by {
        LabelSource::Nobody => format!("kubectl rollout restart -n {namespace} {resource}"),
        LabelSource::Workload | LabelSource::Namespace if !has_obstacle => {
            format!("kubectl label --overwrite -n {namespace} {resource} {INJECT}=false")
        }
        _ => format!(
            "set the label {INJECT} to \"false\" in its manifest, and create its pods again"
        ),
    }
}

fn label<'a>(map: &'a StringMap, key: &str) -> Option<&'a str> {
    map.get(key).map(String::as_str)
}
