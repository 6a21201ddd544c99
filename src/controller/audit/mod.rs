//! Looks for pods that were missed, and for those that have the agent and do not run: page by page, slowly, over and over.
//!
//! No review sees either of them. Of a pod that nobody answered for there was no review, and what becomes of a pod after its
//! creation is nobody's review. `docs/adr/0018` has why it is done so, and what it costs.
//!
//! Where the guard is switched on, it takes back the agent of a workload whose rollout is stuck with it (`docs/adr/0019`).
//!
//! Invariants: of pods only metadata and what `kubectl get` prints are read, and whole ones only in namespaces in which one
//! with the agent is not ready; none is kept. The first of the ready replicas, by name, is the one that looks. A round that
//! fails changes nothing that was told before. Nothing is written but Events, and what the guard decides.
//!
//! Deliberately not here: how one pod stands ([`standing`]), and mending what was missed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use javelin_core::config::Config;
use javelin_core::kinds::{self, Kind};
use javelin_core::mutate::keys::INJECT;
use javelin_core::review::Origin;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::sleep;

use self::findings::{Affected, Finding, Findings, Workload};
use self::guard::Memory;
use super::workload_events::{Notice, write_notice};
use crate::api::client::Cluster;
use crate::api::reader::{Form, Readable, Reader, Row};
use crate::api::request::ClusterError;
use crate::metrics::{AuditResult, Metrics};
use crate::standing::{self, objects::ObjectFacts, objects::PodFacts};
use crate::time::{jittered, now};

mod findings;
mod guard;
mod guarding;

pub(crate) use findings::{OTHERS, REASONS};

/// How often, and how slowly.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one round to the next.
    pub interval: Duration,
    /// Before each page.
    pub pause: Duration,
}

/// What an audit works with.
#[derive(Debug)]
pub struct Audit {
    cluster: Cluster,
    config: Arc<ArcSwap<Config>>,
    metrics: Arc<Metrics>,
    /// The pod that this is.
    pod: String,
    pace: Pace,
    /// Whose agent was taken back; `None` where that is not done.
    guard: Option<Memory>,
    /// What the guard last said in the log.
    guard_said: String,
    /// Of what there is an Event, and since when.
    told: HashMap<(Workload, Finding), Instant>,
    /// What was last said in the log, so that it is said once.
    said: String,
}

/// A list of the API server.
struct List {
    kind: &'static str,
    path: String,
    query: String,
    form: Form,
    /// Objects in a page.
    limit: u32,
}

impl Audit {
    /// One that has not looked yet. `pod` is the name of the pod that this is.
    pub fn new(
        cluster: Cluster,
        config: Arc<ArcSwap<Config>>,
        metrics: Arc<Metrics>,
        pod: String,
        pace: Pace,
    ) -> Self {
        Self {
            cluster,
            config,
            metrics,
            pod,
            pace,
            guard: None,
            guard_said: String::new(),
            told: HashMap::new(),
            said: String::new(),
        }
    }

    /// The same, which also takes agents back that keep workloads from running, or does not.
    #[must_use]
    pub fn with_guard(mut self, is_on: bool) -> Self {
        self.guard = is_on.then(Memory::default);
        self
    }

    /// Looks for ever.
    pub async fn run(mut self) -> Infallible {
        let mut wait = self.pace.interval.min(FIRST);
        loop {
            sleep(jittered(wait)).await;
            wait = self.pace.interval;
            Box::pin(self.look_once()).await;
        }
    }

    /// Looks, if that is this replica's to do, and tells what is found.
    pub async fn look_once(&mut self) {
        let began = Instant::now();
        match self.round().await {
            Ok(Some(findings)) => {
                self.show(&findings, began.elapsed());
                self.take_back(&findings).await;
                self.tell(&findings).await;
            }
            Ok(None) => {
                self.metrics.audited_elsewhere();
                self.told.clear();
                self.say("another replica audits".to_owned(), false);
            }
            Err(error) => {
                self.metrics.audit_round(AuditResult::Failed);
                let error = anyhow::Error::from(error);
                self.say(format!("the audit failed: {error:#}"), true);
            }
        }
    }

    /// What is found now; `None` where another replica is to look.
    async fn round(&self) -> Result<Option<Findings>, ClusterError> {
        let replicas = self.cluster.pods().await?;
        let ready = replicas.iter().filter(|replica| replica.ready);
        if ready.map(|replica| &replica.name).min() != Some(&self.pod) {
            return Ok(None);
        }
        let found = match self.look().await {
            // The rest of a list is gone, and what was counted of it would be counted twice.
            Err(error) if error.is_gone() => self.look().await,
            found => found,
        };
        found.map(Some)
    }

    async fn look(&self) -> Result<Findings, ClusterError> {
        let reader = self.cluster.reader();
        let mut findings = Findings::new(self.config.load_full());
        let namespaces = List::labelled("Namespaces", "/api/v1/namespaces".to_owned());
        let take =
            |findings: &mut Findings, found: ObjectFacts| findings.namespace(&found.metadata);
        self.read(&reader, namespaces, &mut findings, take).await?;
        let has_rollouts = reader.has_group(kinds::ARGO).await;
        for kind in Kind::with_status().filter(|kind| kind.group != kinds::ARGO || has_rollouts) {
            let workloads = List::labelled(kind.name, kind.path(None));
            let take = |findings: &mut Findings, found: ObjectFacts| {
                findings.workload(kind.name, &found.metadata);
            };
            self.read(&reader, workloads, &mut findings, take).await?;
        }
        let pods = List::pods("/api/v1/pods".to_owned(), Form::Table);
        let take = |findings: &mut Findings, row: Row<ObjectFacts>| {
            findings.pod(&row.object.metadata, is_ready(&row.cells));
        };
        self.read(&reader, pods, &mut findings, take).await?;
        for namespace in std::mem::take(&mut findings.suspects) {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            let take = |findings: &mut Findings, pod: PodFacts| findings.look_closer(&pod);
            self.read(&reader, List::pods(path, Form::Whole), &mut findings, take)
                .await?;
            findings.settle();
        }
        Ok(findings)
    }

    /// Reads a list page by page, with a pause before each.
    async fn read<T: DeserializeOwned>(
        &self,
        reader: &Reader,
        list: List,
        findings: &mut Findings,
        take: impl Fn(&mut Findings, T) + Send,
    ) -> Result<(), ClusterError> {
        let List {
            kind,
            path,
            query,
            form,
            limit,
        } = list;
        let mut from = String::new();
        loop {
            sleep(jittered(self.pace.pause)).await;
            let page = reader
                .page(kind, &path, &query, form, (limit, &from))
                .await?;
            let (objects, next) = page.into_parts();
            for Readable(object) in objects {
                match object {
                    Some(object) => take(findings, object),
                    None => findings.left_out += 1,
                }
            }
            let Some(next) = next else {
                return Ok(());
            };
            from = next;
        }
    }

    fn show(&mut self, findings: &Findings, took: Duration) {
        let left_out = findings.left_out;
        self.metrics.audit_round(if left_out == 0 {
            AuditResult::Complete
        } else {
            AuditResult::Incomplete
        });
        self.metrics.audited(findings.by_namespace(), now(), took);
        let [missed, crashing] = Finding::ALL.map(|finding| findings.total(finding));
        let is_warning = missed + crashing + left_out > 0;
        let said = format!(
            "pods that were missed: {missed}; that have the agent and do not run: {crashing}; objects that the audit left out: {left_out}"
        );
        self.say(said, is_warning);
    }

    fn say(&mut self, what: String, is_warning: bool) {
        say_once(&mut self.said, what, is_warning);
    }

    /// Writes an Event for each workload of which there is none from the last hour, for so many in a round.
    async fn tell(&mut self, findings: &Findings) {
        let at = Instant::now();
        self.told.retain(|key, told| {
            findings.affected.contains_key(key) && at.duration_since(*told) < QUIET
        });
        let news = findings
            .affected
            .iter()
            .filter(|(key, _)| !self.told.contains_key(*key))
            .take(MOST_EVENTS);
        let news: Vec<_> = news.collect();
        for (key, affected) in news {
            let (workload, finding) = key;
            self.write_event(workload, notice(workload, *finding, affected))
                .await;
            // Also where it was refused: it would keep others from being told.
            self.told.insert(key.clone(), at);
        }
    }

    /// An Event on a workload, by this replica.
    async fn write_event(&self, workload: &Workload, notice: Notice) {
        let about = origin(workload);
        write_notice(&self.cluster, &self.metrics, about, notice, &self.pod).await;
    }
}

impl List {
    /// What carries the label, by metadata alone.
    fn labelled(kind: &'static str, path: String) -> Self {
        Self {
            kind,
            path,
            query: format!("labelSelector={INJECT}"),
            form: Form::Metadata,
            limit: PAGE,
        }
    }

    /// Pods that have not ended: those that have leave nothing to be mended. Metadata does not tell, but the API server can
    /// select by it.
    fn pods(path: String, form: Form) -> Self {
        Self {
            kind: "Pods",
            path,
            query: "fieldSelector=status.phase!%3DSucceeded,status.phase!%3DFailed".to_owned(),
            form,
            limit: if form == Form::Whole {
                WHOLE_PAGE
            } else {
                PAGE
            },
        }
    }
}

/// In the log, if it is not what was said last.
fn say_once(said: &mut String, what: String, is_warning: bool) {
    if *said == what {
        return;
    }
    if is_warning {
        tracing::warn!("{what}");
    } else if !what.is_empty() {
        tracing::info!("{what}");
    }
    *said = what;
}

/// Are all containers of a pod ready, by what `kubectl get` prints, such as `2/2`? What cannot be read is not.
fn is_ready(cells: &[Value]) -> bool {
    let ready = cells.get(1).and_then(Value::as_str);
    let ready = ready.and_then(|ready| ready.split_once('/'));
    ready.is_some_and(|(ready, all)| ready == all)
}

fn origin(workload: &Workload) -> Origin {
    let kind = Kind::named(None, &workload.kind);
    Origin {
        api_version: kind.map(Kind::api_version).unwrap_or_default(),
        kind: workload.kind.clone(),
        namespace: workload.namespace.clone(),
        name: workload.name.clone(),
        uid: None,
    }
}

fn notice(workload: &Workload, finding: Finding, affected: &Affected) -> Notice {
    let Workload {
        namespace,
        kind,
        name,
    } = workload;
    let obstacle = standing::obstacle_of_kind(kind);
    let (reason, note) = match finding {
        Finding::Missed => {
            let remedy = obstacle.map_or_else(
                || {
                    format!(
                        "`javelin restart --missed -n {namespace}` restarts what was missed in the namespace"
                    )
                },
                str::to_owned,
            );
            let what = "without the OpenTelemetry Java agent, created while Javelin did not answer";
            ("AgentMissed", format!("{what}: {remedy}"))
        }
        Finding::Crashing => {
            let resource = standing::resource(kind, name);
            let way_back =
                standing::way_back(namespace, &resource, affected.asked_by, obstacle.is_some());
            let detail = &affected.detail;
            let what = "with the OpenTelemetry Java agent that do not run";
            (
                "AgentCrashing",
                format!("{what} ({detail}). To run without it again: {way_back}"),
            )
        }
    };
    let count = match affected.pods {
        1 => "1 pod".to_owned(),
        pods => format!("{pods} pods"),
    };
    Notice {
        action: "Audit",
        kind: "Warning",
        reason,
        note: format!("{count} {note}"),
    }
}

/// The first round begins after that at the latest: a new replica has to be ready by then.
const FIRST: Duration = Duration::from_mins(1);

/// Objects in a page: some 2 MiB of metadata, and as much of whole pods.
const PAGE: u32 = 500;
const WHOLE_PAGE: u32 = 100;

/// As long as API servers keep Events, if nobody has told them otherwise.
const QUIET: Duration = Duration::from_hours(1);

/// Events in a round; the others have theirs in later ones.
const MOST_EVENTS: usize = 20;

#[cfg(test)]
mod tests;
