//! Which workload's agent is taken back, and by what change: what was seen of its pods and the workload itself in, a
//! [`Change`] or a [`Refusal`] out. `docs/adr/0019` has why each of these is asked for.
//!
//! Invariants: values in, values out. An agent is taken back only where pods without it serve that are older than those that
//! crash with it, so that a rollout is stuck and nothing is lost by another one; and never from many workloads at once.
//!
//! Deliberately not here: reading, writing, and what a guarded workload is to everybody else ([`javelin_core::guard`]).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use javelin_core::guard;
use javelin_core::kinds::Kind;
use javelin_core::mutate::keys::{FROM_WORKLOAD, GUARDED, INJECT};
use javelin_core::mutate::pod::StringMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::findings::Workload;
use crate::standing::crash::Crash;
use crate::standing::objects::PodFacts;
use crate::standing::own_request;

/// What one look at the pods of a workload has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Pods with the agent that do not run.
    crashing: u64,
    /// How often that container of theirs was started again that was so most often.
    restarts: u32,
    /// Which container of the first of them, and why.
    detail: String,
    /// When the oldest of them was created.
    crashing_since: Option<String>,
    /// Is a pod with the agent ready?
    runs: bool,
    /// Is one about to start, or does it wait for something that is no crash?
    starts: bool,
    /// When the oldest ready pod without the agent was created.
    serving_since: Option<String>,
}

/// Why an agent is not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No pod of it crashes with the agent.
    NothingCrashes,
    /// Its pods are not replaced when its template changes.
    Kind,
    /// A pod with the agent is ready, so it is not the agent alone.
    Runs,
    /// A pod with the agent may still start.
    Starts,
    /// It may still get over it.
    FewRestarts,
    /// No pod without the agent is ready and older: nothing tells that it would run without.
    NoneBefore,
    /// It is about to be deleted.
    Gone,
    /// Its template is not in it, as in a Rollout that refers to a Deployment.
    NoTemplate,
    /// The template itself asks for the agent, before all that we could write.
    AskedByTemplate,
    /// Its new pods have no agent already.
    IsWithout,
    /// Nothing asks any more.
    NotAsked,
    /// It was done a while ago, and somebody has undone it.
    PutBack,
}

/// A workload, as far as it is read before it is changed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Target {
    metadata: TargetMetadata,
    spec: TargetSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TargetMetadata {
    resource_version: String,
    deletion_timestamp: Option<String>,
    labels: StringMap,
    annotations: StringMap,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct TargetSpec {
    template: Option<Template>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Template {
    metadata: Option<TemplateMetadata>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct TemplateMetadata {
    labels: StringMap,
    annotations: StringMap,
}

/// What else counts for a workload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    /// Does its namespace ask for the agent?
    pub(super) namespace_asks: bool,
    /// Do annotations ask as labels do?
    pub(super) annotations_count: bool,
    /// Was it done to this workload within [`ONCE`]?
    pub(super) was_guarded: bool,
    /// The time, as RFC 3339.
    pub(super) at: &'a str,
}

/// What takes an agent back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// A merge patch, which names the version that it was decided about.
    pub(super) patch: Value,
    /// What is told on the workload.
    pub(super) note: String,
}

/// When which agents were taken back, as far as that counts.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<Workload, Instant>);

impl Evidence {
    /// A pod without the agent that has not ended.
    pub(super) fn add_without(&mut self, pod: &PodFacts) {
        if pod.is_ready() {
            earlier(&mut self.serving_since, &pod.metadata.creation_timestamp);
        }
    }

    /// A pod with the agent that has not ended, and what is wrong with it.
    pub(super) fn add_injected(&mut self, pod: &PodFacts, crash: Option<&Crash>) {
        let Some(crash) = crash else {
            let is_ready = pod.is_ready();
            self.runs |= is_ready;
            self.starts |= !is_ready;
            return;
        };
        if self.crashing == 0 {
            self.detail.clone_from(&crash.detail);
        }
        self.crashing += 1;
        self.restarts = self.restarts.max(crash.restarts);
        earlier(&mut self.crashing_since, &pod.metadata.creation_timestamp);
    }

    /// Does a pod of the workload crash with the agent?
    pub(super) fn is_of_crash(&self) -> bool {
        self.crashing > 0
    }

    /// Do the pods say that the agent keeps the workload from running, and nothing else?
    pub(super) fn judge(&self, kind: &str) -> Result<(), Refusal> {
        let kind = Kind::named(None, kind);
        if !self.is_of_crash() {
            return Err(Refusal::NothingCrashes);
        }
        if !kind.is_some_and(Kind::is_rolled_out) {
            return Err(Refusal::Kind);
        }
        if self.runs {
            return Err(Refusal::Runs);
        }
        if self.starts {
            return Err(Refusal::Starts);
        }
        if self.restarts < FEWEST_RESTARTS {
            return Err(Refusal::FewRestarts);
        }
        // RFC 3339 in UTC, as API servers write it, is sorted as text.
        let is_before = match (&self.serving_since, &self.crashing_since) {
            (Some(serving), Some(crashing)) => serving < crashing,
            _ => false,
        };
        if is_before {
            Ok(())
        } else {
            Err(Refusal::NoneBefore)
        }
    }

    /// For people.
    fn seen(&self) -> String {
        let (pods, verb) = match self.crashing {
            1 => ("1 pod".to_owned(), "does"),
            pods => (format!("{pods} pods"), "do"),
        };
        format!(
            "{pods} with the agent {verb} not run ({}), and older ones without it are ready",
            self.detail
        )
    }
}

impl Target {
    /// The change that takes the agent back from this workload, of which the evidence was judged.
    pub(super) fn change(
        &self,
        workload: &Workload,
        evidence: &Evidence,
        around: Circumstances<'_>,
    ) -> Result<Change, Refusal> {
        let metadata = &self.metadata;
        let kind = Kind::named(None, &workload.kind).ok_or(Refusal::Kind)?;
        if metadata.deletion_timestamp.is_some() {
            return Err(Refusal::Gone);
        }
        let template = self.spec.template.as_ref().ok_or(Refusal::NoTemplate)?;
        let none = TemplateMetadata::default();
        let template = template.metadata.as_ref().unwrap_or(&none);
        let (labels, annotations) = (&template.labels, &template.annotations);
        if own_request(labels, annotations, around.annotations_count).is_some() {
            return Err(Refusal::AskedByTemplate);
        }
        if labels
            .get(FROM_WORKLOAD)
            .is_some_and(|copy| copy == guard::VALUE)
        {
            return Err(Refusal::IsWithout);
        }
        let label = metadata.labels.get(INJECT).map(String::as_str);
        let asks = label.map_or(around.namespace_asks, |label| label != "false");
        if !asks {
            return Err(Refusal::NotAsked);
        }
        if around.was_guarded {
            return Err(Refusal::PutBack);
        }
        let seen = evidence.seen();
        let annotation = guard::note(label, &format!("{}: {seen}", around.at));
        let copy = json!({ FROM_WORKLOAD: guard::VALUE });
        Ok(Change {
            patch: json!({
                "metadata": {
                    "resourceVersion": metadata.resource_version,
                    "labels": copy,
                    "annotations": { GUARDED: annotation },
                },
                "spec": { "template": { "metadata": { "labels": copy } } },
            }),
            note: told(kind, workload, &seen),
        })
    }
}

impl Memory {
    /// Forgets what counts no more.
    pub(super) fn refresh(&mut self, at: Instant) {
        self.0.retain(|_, when| at.duration_since(*when) < ONCE);
    }

    /// Was it done to that one?
    pub(super) fn has(&self, workload: &Workload) -> bool {
        self.0.contains_key(workload)
    }

    /// It was done.
    pub(super) fn add(&mut self, workload: Workload, at: Instant) {
        self.0.insert(workload, at);
    }

    /// It was not done after all.
    pub(super) fn forget(&mut self, workload: &Workload) {
        self.0.remove(workload);
    }

    /// Would that many more be too many?
    pub(super) fn is_too_much(&self, more: usize, at: Instant) -> bool {
        let recent = self.0.values();
        let recent = recent.filter(|when| at.duration_since(**when) < WHILE);
        recent.count() + more > MOST_IN_A_WHILE
    }
}

/// What a person is told who looks at the workload.
fn told(kind: &Kind, workload: &Workload, seen: &str) -> String {
    let Workload {
        namespace, name, ..
    } = workload;
    let way_back = guard::way_back(kind, Some(namespace), name);
    // Its controller waits for such a pod before it goes on, whatever the template says now: kubernetes/kubernetes#67250.
    let by_hand = if kind.name == "StatefulSet" {
        ". A StatefulSet goes on when its pod that does not run is deleted"
    } else {
        ""
    };
    format!(
        "the OpenTelemetry Java agent was taken back: {seen}. To try it again: {way_back}{by_hand}"
    )
}

fn earlier(earliest: &mut Option<String>, time: &str) {
    if earliest.as_deref().is_none_or(|earliest| time < earliest) {
        *earliest = Some(time.to_owned());
    }
}

/// A container that was started again so often has failed four times, and the kubelet has waited for 10 and 20 s in between.
const FEWEST_RESTARTS: u32 = 3;

/// To as many workloads it is done in a [`WHILE`]. Where more crash at once it is not theirs that is wrong: a new version of
/// Javelin, of the agent or of the configuration is, and nothing that is wrong itself is to change all workloads.
pub(super) const MOST_IN_A_WHILE: usize = 5;
const WHILE: Duration = Duration::from_hours(1);

/// Not twice to the same workload within this time: whoever puts it back, as a tool may that replaces whole
/// objects, is not fought.
const ONCE: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
