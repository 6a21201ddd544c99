//! What became of pods, told on their workloads: Events, for whoever looks at a Deployment and not at Javelin.
//!
//! A replica counts what it decides by workload and outcome, and a task writes it down at intervals. `docs/adr/0017` has
//! why it is done so.
//!
//! Invariants: a review waits for nothing here; what is remembered and what is written in a while has a limit, and what goes
//! beyond it is counted; a dry run is never told.
//!
//! Deliberately not here: pods that nobody decided about. The [`audit`](super::audit) finds those, and writes its Events as
//! this does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use javelin_core::review::{self, Origin, Outcome};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use tokio::time::sleep;

use crate::api::client::Cluster;
use crate::controller::events::event_about;
use crate::metrics::{Metrics, WorkloadEventResult};

/// Counts decisions for the task that tells them. Clones count together.
#[derive(Debug, Clone)]
pub struct WorkloadEvents {
    metrics: Arc<Metrics>,
    tally: Arc<Mutex<Tally>>,
}

/// What is told of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Told {
    /// Pods got the agent, with this profile.
    Injected(String),
    /// Pods that were meant to have it did not get it; the code of the reason.
    Skipped(&'static str),
}

/// Decisions that have not been told, and when others were.
#[derive(Debug, Default)]
struct Tally(HashMap<(Origin, Told), Count>);

#[derive(Debug, Default)]
struct Count {
    pods: u64,
    /// When it was last told.
    told: Option<Instant>,
}

impl WorkloadEvents {
    /// Nothing is counted yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            tally: Arc::default(),
        }
    }

    /// Counts a decision on a pod, if it is one that people are told of. `body` is the review that came by `entry`.
    pub fn decided(&self, entry: &review::Entry, outcome: &Outcome, body: &[u8]) {
        if outcome.dry_run || !entry.is_for_pods() {
            return;
        }
        let told = match &outcome.profile {
            Some(profile) => Told::Injected(profile.clone()),
            None if outcome.warned && outcome.code != review::OVERLOADED => {
                Told::Skipped(outcome.code)
            }
            None => return,
        };
        let Some(origin) = review::origin(body) else {
            return;
        };
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if !tally.count(origin, told) {
            self.metrics.workload_event(WorkloadEventResult::Dropped);
        }
    }

    /// Writes what is due, at intervals.
    pub async fn write(self, cluster: Cluster, instance: String) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            let due = {
                let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.due(Instant::now())
            };
            for (origin, told, pods) in due {
                let notice = notice(&told, pods);
                write_notice(&cluster, &self.metrics, origin, notice, &instance).await;
            }
        }
    }
}

impl Tally {
    /// Adds a pod; `false` where there is no room for another workload.
    fn count(&mut self, origin: Origin, told: Told) -> bool {
        let is_full = self.0.len() >= MOST_REMEMBERED;
        match self.0.entry((origin, told)) {
            Entry::Occupied(entry) => entry.into_mut().pods += 1,
            Entry::Vacant(_) if is_full => return false,
            Entry::Vacant(entry) => entry.insert(Count::default()).pods += 1,
        }
        true
    }

    /// Takes what is to be told now, those first that have waited longest, and forgets what has been quiet for long.
    fn due(&mut self, at: Instant) -> Vec<(Origin, Told, u64)> {
        let is_quiet = |count: &Count| {
            let told = count.told;
            told.is_none_or(|told| at.duration_since(told) >= QUIET)
        };
        self.0.retain(|_, count| count.pods > 0 || !is_quiet(count));
        let mut due: Vec<_> = self
            .0
            .iter_mut()
            .filter(|(_, count)| count.pods > 0 && is_quiet(count))
            .collect();
        due.sort_by_key(|(_, count)| count.told);
        due.truncate(MOST_AT_ONCE);
        due.into_iter()
            .map(|((origin, told), count)| {
                let pods = std::mem::take(&mut count.pods);
                count.told = Some(at);
                (origin.clone(), told.clone(), pods)
            })
            .collect()
    }
}

/// What an Event on a workload says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// What was being done.
    pub(super) action: &'static str,
    /// `Normal` or `Warning`.
    pub(super) kind: &'static str,
    pub(super) reason: &'static str,
    pub(super) note: String,
}

/// Writes an Event on a workload, and counts what becomes of it.
pub(super) async fn write_notice(
    cluster: &Cluster,
    metrics: &Metrics,
    mut origin: Origin,
    notice: Notice,
    instance: &str,
) {
    if origin.uid.is_none() {
        // Without it the Event is found by `kubectl get events --for` all the same.
        origin.uid = cluster.uid(&origin).await.ok().flatten();
    }
    let written = cluster.create_event(&event(origin, notice, instance)).await;
    metrics.workload_event(match written {
        Ok(()) => WorkloadEventResult::Written,
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::debug!(error, "an Event of a workload was not written");
            WorkloadEventResult::Failed
        }
    });
}

fn notice(told: &Told, pods: u64) -> Notice {
    let count = match pods {
        1 => "1 pod".to_owned(),
        pods => format!("{pods} pods"),
    };
    let (reason, note, kind) = match told {
        Told::Injected(profile) => (
            "AgentInjected",
            format!("{count} created with the OpenTelemetry Java agent, profile {profile}"),
            "Normal",
        ),
        Told::Skipped(code) => (
            "AgentSkipped",
            format!(
                "{count} created without the OpenTelemetry Java agent: {code}. The annotation javelin.dev/skipped of the \
                 pod has the reason, docs/reasons.md#{code} what to do"
            ),
            "Warning",
        ),
    };
    Notice {
        action: "Admission",
        kind,
        reason,
        note,
    }
}

fn event(origin: Origin, notice: Notice, instance: &str) -> Event {
    let Origin {
        api_version,
        kind: of_workload,
        namespace,
        name,
        uid,
    } = origin;
    let regarding = ObjectReference {
        api_version: Some(api_version),
        kind: Some(of_workload),
        name: Some(name),
        namespace: Some(namespace),
        uid,
        ..ObjectReference::default()
    };
    let Notice {
        action,
        kind,
        reason,
        note,
    } = notice;
    Event {
        action: Some(action.to_owned()),
        ..event_about(regarding, kind, reason, &note, instance)
    }
}

/// How often what has come together is written: a rollout's pods come within it.
const INTERVAL: Duration = Duration::from_secs(5);

/// The same of the same workload again is told after that: a crash loop or an autoscaler makes pods all day.
const QUIET: Duration = Duration::from_mins(10);

/// Events at an interval.
const MOST_AT_ONCE: usize = 10;

/// Workloads and outcomes that are remembered, some 300 bytes each.
const MOST_REMEMBERED: usize = 1_000;

#[cfg(test)]
mod tests;
