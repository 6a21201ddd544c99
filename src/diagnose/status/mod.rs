//! Which workloads have the agent, which were missed, and why others are without it: `javelin status`.
//!
//! One pure function of what was read.
//!
//! Deliberately not here: how one pod stands ([`standing`]), reading (`diagnose::inventory`), how it looks (`cli::status`), and restarting (`cli::restart`).

use std::collections::BTreeMap;

use javelin_core::config::{Config, DEFAULT_PROFILE, Profile};
use javelin_core::guard;
use javelin_core::kinds::Kind;
use javelin_core::mutate::Receipt;
use serde::Serialize;

pub mod objects;
pub mod rollout;

use crate::standing::objects::{ObjectFacts, PodFacts};
use crate::standing::{
    self, InjectionRequest, LabelSource, NamespaceLabel, Standing, Surroundings, crash,
};
use objects::WorkloadFacts;

/// What was read.
#[derive(Debug, Default)]
pub struct StatusFacts {
    /// Javelin's configuration; without it nobody knows what is outdated, or excluded.
    pub config: Option<Config>,
    /// Namespaces, as far as they may be read.
    pub namespaces: Vec<ObjectFacts>,
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

impl WorkloadStatus {
    /// As `kubectl` takes it: `deployment.apps/orders`.
    pub fn resource(&self) -> String {
        standing::resource(&self.kind, &self.name)
    }

    /// How to run without the agent what does not run with it: a sentence, or a command and what it does. Nothing where
    /// no pod crashes, or the audit has done it already.
    pub fn way_back(&self) -> Option<String> {
        (self.crashing > 0 && !self.is_guarded()).then(|| {
            let has_obstacle = self.no_restart.is_some();
            standing::way_back(
                &self.namespace,
                &self.resource(),
                self.asked_by,
                has_obstacle,
            )
        })
    }

    /// The command that lets the agent be tried again; `None` where it was not taken back.
    pub fn try_again(&self) -> Option<String> {
        let kind = Kind::named(None, &self.kind)?;
        self.is_guarded()
            .then(|| guard::way_back(kind, Some(&self.namespace), &self.name))
    }

    fn is_guarded(&self) -> bool {
        self.details.iter().any(|detail| detail == guard::CODE)
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
        let (kind, name) = standing::owner(&pod.metadata);
        let key = (namespace.clone(), kind, name);
        let of_workload = facts.workload(&key).and_then(WorkloadFacts::label);
        let of_namespace = facts.namespace(namespace);
        let around = Surroundings {
            workload: of_workload.as_ref(),
            namespace: of_namespace.as_ref(),
            annotations_count: facts.do_annotations_count(),
        };
        let request = around.request(&pod.metadata);
        let mut standing = around.standing(&pod.metadata, request.as_ref());
        // It has our copy, which says no, on behalf of somebody who said yes.
        if standing == Standing::Plain && facts.is_guarded(&key) {
            standing = Standing::Skipped(guard::CODE.to_owned());
        }
        if standing == Standing::Plain || is_excluded(namespace) {
            continue;
        }
        let (mut outdated, mut crash) = (None, None);
        if let Standing::Injected(receipt) = &standing {
            outdated = facts.outdated(receipt.as_deref(), request.as_ref());
            crash = crash::find(pod, receipt.as_deref()).map(|crash| crash.detail);
        }
        let request = request
            .filter(InjectionRequest::is_yes)
            .unwrap_or_else(InjectionRequest::none);
        let row = rows
            .entry(key)
            .or_insert_with_key(|key| facts.row(key, request));
        row.count(standing, outdated, crash);
    }
    let rows = rows.into_iter().map(|(key, mut row)| {
        let guarded = facts.is_guarded(&key).then(|| guard::CODE.to_owned());
        row.note(guarded);
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

    /// Was the agent taken back from it?
    fn is_guarded(&self, key: &(String, String, String)) -> bool {
        self.workload(key).is_some_and(WorkloadFacts::is_guarded)
    }

    fn row(&self, key: &(String, String, String), request: InjectionRequest) -> WorkloadStatus {
        let (namespace, kind, name) = key.clone();
        let no_restart = match self.workload(key) {
            Some(workload) => rollout::obstacle(workload),
            None => standing::obstacle_of_kind(&kind),
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
        let on_template = template.and_then(|template| {
            let (labels, annotations) = (&template.labels, &template.annotations);
            standing::own_request(labels, annotations, self.do_annotations_count())
        });
        on_template
            .map(|value| InjectionRequest::new(LabelSource::Template, value))
            .or_else(|| {
                let label = workload.label()?;
                Some(InjectionRequest::new(LabelSource::Workload, &label.value))
            })
            .or_else(|| {
                let label = self.namespace(&workload.metadata.namespace)?;
                Some(InjectionRequest::new(LabelSource::Namespace, &label.value))
            })
    }

    fn do_annotations_count(&self) -> bool {
        self.config.as_ref().is_some_and(Config::reads_annotations)
    }

    fn namespace(&self, name: &str) -> Option<NamespaceLabel> {
        let mut namespaces = self.namespaces.iter();
        let namespace = namespaces.find(|each| each.metadata.name == name)?;
        NamespaceLabel::of(&namespace.metadata)
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

impl WorkloadStatus {
    fn count(&mut self, standing: Standing, outdated: Option<String>, crash: Option<String>) {
        self.pods += 1;
        let detail = match standing {
            Standing::Injected(_) => {
                self.injected += 1;
                self.outdated += usize::from(outdated.is_some());
                self.crashing += usize::from(crash.is_some());
                self.note(outdated);
                crash
            }
            Standing::Missed => {
                self.missed += 1;
                None
            }
            Standing::Skipped(code) => {
                self.skipped += 1;
                Some(code)
            }
            Standing::Waiting(why) => {
                self.waiting += 1;
                Some(why.to_owned())
            }
            Standing::Plain => None,
        };
        self.note(detail);
    }

    fn note(&mut self, detail: Option<String>) {
        let detail = detail.filter(|detail| !self.details.contains(detail));
        self.details.extend(detail);
    }
}

#[cfg(test)]
mod tests;
