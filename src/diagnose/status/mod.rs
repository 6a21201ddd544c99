//! Which workloads have the agent, which were missed, and why others are without it: `javelin status`.
//!
//! One pure function of what was read. A pod that asks for the agent and has neither a receipt nor a note why not was
//! created while nobody answered: it was **missed**. One that was there before the label **waits** for a restart.
//!
//! Invariant: owners are told from names, as the webhook does it; no ReplicaSet has to be read.
//!
//! Deliberately not here: reading (`diagnose::inventory`), how it looks (`cli::status`), and restarting (`cli::restart`).

use std::collections::BTreeMap;

use javelin_core::config::{Config, DEFAULT_PROFILE, Profile};
use javelin_core::kinds::Kind;
use javelin_core::mutate::keys::{FROM_WORKLOAD, INJECT, INJECTED, MIRROR_POD, SKIPPED};
use javelin_core::mutate::pod::{Metadata, StringMap};
use javelin_core::mutate::{Owners, Receipt};
use serde::Serialize;

mod crash;
pub mod objects;
pub mod rollout;

use objects::{NamespaceFacts, PodFacts, WorkloadFacts};

/// What was read.
#[derive(Debug, Default)]
pub struct StatusFacts {
    /// Javelin's configuration; without it nobody knows what is outdated, or excluded.
    pub config: Option<Config>,
    /// Namespaces, as far as they may be read.
    pub namespaces: Vec<NamespaceFacts>,
    /// Workloads with a pod template.
    pub workloads: Vec<WorkloadFacts>,
    /// Pods.
    pub pods: Vec<PodFacts>,
}

/// A workload that asks for the agent, or a pod of nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// Its namespace.
    pub namespace: String,
    /// `Deployment` and the like; `Pod` for one of nobody.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The profile it asks for, as the label says it.
    pub profile: String,
    /// What asks for it.
    pub asked_by: LabelSource,
    /// Pods that have not ended.
    pub pods: usize,
    /// Have the agent.
    pub injected: usize,
    /// Were created while nobody answered.
    pub missed: usize,
    /// Were left alone on purpose.
    pub skipped: usize,
    /// Were there before the label.
    pub waiting: usize,
    /// Have the agent as an older configuration wanted it.
    pub outdated: usize,
    /// Have the agent and do not run.
    pub crashing: usize,
    /// Why, one for each kind of reason; and what is in the way of a restart that would bring the agent.
    pub details: Vec<String>,
    /// Why its pods cannot be replaced by a rolling restart, if so.
    pub no_restart: Option<&'static str>,
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

/// How one pod stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Injected {
        outdated: Option<String>,
        crash: Option<String>,
    },
    Missed,
    Skipped(String),
    Waiting(&'static str),
    /// It does not ask.
    Plain,
}

/// Whatever the label or an annotation asks for, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InjectionRequest {
    source: LabelSource,
    value: String,
    /// Does the pod itself carry it? Then it was there when the pod was created.
    is_on_pod: bool,
}

impl WorkloadStatus {
    /// As `kubectl` takes it: `deployment.apps/orders`.
    pub fn resource(&self) -> String {
        let kind = Kind::named(None, &self.kind);
        let kind = kind.map_or_else(|| self.kind.to_ascii_lowercase(), Kind::resource);
        format!("{kind}/{}", self.name)
    }

    /// How to run without the agent what does not run with it: a sentence, or a command and what it does. Nothing where
    /// no pod crashes.
    pub fn way_back(&self) -> Option<String> {
        if self.crashing == 0 {
            return None;
        }
        let (namespace, resource) = (&self.namespace, self.resource());
        Some(match (self.no_restart, self.asked_by) {
            (_, LabelSource::Nobody) => {
                format!("kubectl rollout restart -n {namespace} {resource}")
            }
            (Some(_), _) | (None, LabelSource::Template) => format!(
                "set the label {INJECT} to \"false\" in its manifest, and create its pods again"
            ),
            (None, LabelSource::Workload | LabelSource::Namespace) => {
                format!("kubectl label --overwrite -n {namespace} {resource} {INJECT}=false")
            }
        })
    }

    /// `shop/deployment.apps/orders`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.namespace, self.resource())
    }
}

/// A row for each workload that asks for the agent, sorted by name.
pub fn rows(facts: &StatusFacts) -> Vec<WorkloadStatus> {
    let mut rows: BTreeMap<(String, String, String), WorkloadStatus> = BTreeMap::new();
    let is_excluded = |namespace: &str| {
        let config = facts.config.as_ref();
        config.is_some_and(|config| config.excludes(namespace))
    };
    for workload in &facts.workloads {
        let namespace = &workload.metadata.namespace;
        let Some(request) = facts.request_of(workload).filter(InjectionRequest::is_yes) else {
            continue;
        };
        if !is_excluded(namespace) {
            let key = (
                namespace.clone(),
                workload.kind.to_owned(),
                workload.metadata.name.clone(),
            );
            let row = facts.row(&key, request);
            rows.insert(key, row);
        }
    }
    for pod in facts.pods.iter().filter(|pod| pod.is_alive()) {
        let namespace = &pod.metadata.namespace;
        let (kind, name) = owner(pod);
        let key = (namespace.clone(), kind, name);
        let workload = facts.workload(&key);
        let request = facts.request(pod, workload);
        let state = facts.state(pod, workload, request.as_ref());
        if state == State::Plain || is_excluded(namespace) {
            continue;
        }
        let request = request
            .filter(InjectionRequest::is_yes)
            .unwrap_or_else(InjectionRequest::none);
        let row = rows
            .entry(key)
            .or_insert_with_key(|key| facts.row(key, request));
        row.count(state);
    }
    let rows = rows.into_values().map(|mut row| {
        let obstacle = row.no_restart.filter(|_| row.missed > 0);
        row.note(obstacle.map(str::to_owned));
        row
    });
    rows.collect()
}

impl StatusFacts {
    fn workload(&self, key: &(String, String, String)) -> Option<&WorkloadFacts> {
        let (namespace, kind, name) = key;
        self.workloads.iter().find(|each| {
            each.metadata.namespace == *namespace
                && each.kind == kind
                && each.metadata.name == *name
        })
    }

    fn row(&self, key: &(String, String, String), request: InjectionRequest) -> WorkloadStatus {
        let (namespace, kind, name) = key.clone();
        let no_restart = match self.workload(key) {
            Some(workload) => rollout::obstacle(workload),
            None => rollout::obstacle_of_kind(&kind),
        };
        WorkloadStatus {
            namespace,
            kind,
            name,
            profile: if request.value == "true" {
                DEFAULT_PROFILE.to_owned()
            } else {
                request.value
            },
            asked_by: request.source,
            pods: 0,
            injected: 0,
            missed: 0,
            skipped: 0,
            waiting: 0,
            outdated: 0,
            crashing: 0,
            details: Vec::new(),
            no_restart,
        }
    }

    /// What a workload's new pods would ask for.
    fn request_of(&self, workload: &WorkloadFacts) -> Option<InjectionRequest> {
        let template = workload.template();
        let on_template =
            template.and_then(|template| self.own(&template.labels, &template.annotations));
        let request = |source, value: &str| InjectionRequest {
            source,
            value: value.to_owned(),
            is_on_pod: false,
        };
        on_template
            .map(|value| request(LabelSource::Template, value))
            .or_else(|| {
                label(&workload.metadata.labels, INJECT)
                    .map(|value| request(LabelSource::Workload, value))
            })
            .or_else(|| self.of_namespace(&workload.metadata.namespace))
    }

    /// What a pod asks for, in the order of the webhook.
    fn request(
        &self,
        pod: &PodFacts,
        workload: Option<&WorkloadFacts>,
    ) -> Option<InjectionRequest> {
        let metadata = &pod.metadata;
        let request = |source, value: &str| InjectionRequest {
            source,
            value: value.to_owned(),
            is_on_pod: true,
        };
        let own = self.own(&metadata.labels, &metadata.annotations);
        own.map(|value| request(LabelSource::Template, value))
            .or_else(|| {
                label(&metadata.labels, FROM_WORKLOAD)
                    .map(|value| request(LabelSource::Workload, value))
            })
            .or_else(|| {
                let value = label(&workload?.metadata.labels, INJECT)?;
                Some(InjectionRequest {
                    is_on_pod: false,
                    ..request(LabelSource::Workload, value)
                })
            })
            .or_else(|| self.of_namespace(&metadata.namespace))
    }

    /// The pod's own label, or its annotation where those count.
    fn own<'a>(&self, labels: &'a StringMap, annotations: &'a StringMap) -> Option<&'a str> {
        let annotations_count = self.config.as_ref().is_some_and(Config::reads_annotations);
        label(labels, INJECT).or_else(|| label(annotations, INJECT).filter(|_| annotations_count))
    }

    fn of_namespace(&self, name: &str) -> Option<InjectionRequest> {
        let namespace = self
            .namespaces
            .iter()
            .find(|each| each.metadata.name == name)?;
        let value = label(&namespace.metadata.labels, INJECT)?;
        Some(InjectionRequest {
            source: LabelSource::Namespace,
            value: value.to_owned(),
            is_on_pod: false,
        })
    }

    fn state(
        &self,
        pod: &PodFacts,
        workload: Option<&WorkloadFacts>,
        request: Option<&InjectionRequest>,
    ) -> State {
        let annotation = |key: &str| label(&pod.metadata.annotations, key);
        if let Some(receipt) = annotation(INJECTED) {
            let receipt: Option<Receipt> = serde_json::from_str(receipt).ok();
            return State::Injected {
                outdated: self.outdated(receipt.as_ref(), request),
                crash: crash::describe(pod, receipt.as_ref()),
            };
        }
        let Some(request) = request.filter(|request| request.is_yes()) else {
            return State::Plain;
        };
        if let Some(skipped) = annotation(SKIPPED) {
            let code = skipped.split(':').next().unwrap_or(skipped);
            return State::Skipped(code.trim().to_owned());
        }
        if annotation(MIRROR_POD).is_some() {
            return State::Skipped("static-pod".to_owned());
        }
        if request.is_on_pod {
            return State::Missed;
        }
        match (request.source, workload) {
            // The webhook copies a label in the very moment in which it is set.
            (LabelSource::Workload, Some(workload))
                if workload.was_copyable() && !workload.has_copy() =>
            {
                State::Missed
            }
            (LabelSource::Workload, _) => State::Waiting("older than the label"),
            _ if self.is_older_than_label(pod) => {
                State::Waiting("older than the namespace's label")
            }
            _ => State::Missed,
        }
    }

    /// As far as the API server has written down who set the label, and when.
    fn is_older_than_label(&self, pod: &PodFacts) -> bool {
        let namespace = self
            .namespaces
            .iter()
            .find(|each| each.metadata.name == pod.metadata.namespace);
        let labelled = namespace.and_then(|each| each.metadata.labelled_at());
        labelled.is_some_and(|labelled| pod.metadata.creation_timestamp.as_str() < labelled)
    }

    fn outdated(
        &self,
        receipt: Option<&Receipt>,
        request: Option<&InjectionRequest>,
    ) -> Option<String> {
        let Some(request) = request.filter(|request| request.is_yes()) else {
            return Some("has the agent, but nothing asks for it any more".to_owned());
        };
        let (config, receipt) = (self.config.as_ref()?, receipt?);
        let Some(profile) = config.profile(&request.value) else {
            return Some(format!("profile {} no longer exists", request.value));
        };
        why_outdated(receipt, profile)
    }
}

fn why_outdated(receipt: &Receipt, profile: &Profile) -> Option<String> {
    if receipt.profile != profile.name {
        return Some(format!("has profile {}", receipt.profile));
    }
    if receipt
        .image
        .as_ref()
        .is_some_and(|image| *image != profile.agent.image)
    {
        let image = receipt.image.as_deref().unwrap_or_default();
        return Some(format!("has the agent of {image}"));
    }
    // Another version may hash the same profile in another way.
    let is_comparable = receipt.version == env!("CARGO_PKG_VERSION");
    (is_comparable && receipt.config != profile.hash)
        .then(|| "has an older configuration".to_owned())
}

impl InjectionRequest {
    fn none() -> Self {
        Self {
            source: LabelSource::Nobody,
            value: String::new(),
            is_on_pod: false,
        }
    }

    fn is_yes(&self) -> bool {
        self.value != "false"
    }
}

impl WorkloadStatus {
    fn count(&mut self, state: State) {
        self.pods += 1;
        let detail = match state {
            State::Injected { outdated, crash } => {
                self.injected += 1;
                self.outdated += usize::from(outdated.is_some());
                self.crashing += usize::from(crash.is_some());
                self.note(outdated);
                crash
            }
            State::Missed => {
                self.missed += 1;
                None
            }
            State::Skipped(code) => {
                self.skipped += 1;
                Some(code)
            }
            State::Waiting(why) => {
                self.waiting += 1;
                Some(why.to_owned())
            }
            State::Plain => None,
        };
        self.note(detail);
    }

    fn note(&mut self, detail: Option<String>) {
        let detail = detail.filter(|detail| !self.details.contains(detail));
        self.details.extend(detail);
    }
}

/// The uppermost owner that can be told from names; the pod itself, if it has none.
fn owner(pod: &PodFacts) -> (String, String) {
    let metadata = Metadata {
        labels: Some(pod.metadata.labels.clone()),
        owner_references: Some(pod.metadata.owner_references.clone()),
        ..Metadata::default()
    };
    let owners = Owners::of_pod(&metadata);
    owners.iter().next_back().map_or_else(
        || ("Pod".to_owned(), pod.metadata.name.clone()),
        |owner| (owner.kind.clone(), owner.name.clone()),
    )
}

fn label<'a>(map: &'a StringMap, key: &str) -> Option<&'a str> {
    map.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests;
