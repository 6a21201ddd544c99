//! Pods, created at a steady rate for as long as something else happens, and what became of each.
//!
//! No more are under way at once than an API server has in hand on a machine that is not busy: one that cannot keep up is
//! given fewer a second, or the calls that time out in its queue would be counted against the webhook.
//!
//! They are really created, not tried, but no scheduler takes them, so that the kubelet has nothing to do.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    api::Api,
    cases::{INJECT, receipt},
    kube::{Namespace, Result, ensure, kubectl},
};

/// A pod that somebody asked for.
#[derive(Debug, Clone)]
struct Asked {
    at: Instant,
    name: String,
    /// With the agent, without it, or not created at all.
    outcome: std::result::Result<bool, String>,
}

/// What became of all of them.
pub(crate) struct Tally {
    asked: Vec<Asked>,
    /// For how long.
    took: Duration,
    /// What the API server's log has of calls that failed; `None` where it cannot be read.
    failed_calls: Option<Vec<String>>,
    /// Calls that the API server went on without.
    failed_open: u64,
    /// Calls of entries that are there for what a failed call has left undecided.
    second_chances: u64,
}

/// Creates [`RATE`] pods a second in a labelled namespace while `meanwhile` runs.
pub(crate) fn during(namespace: &'static str, meanwhile: impl FnOnce() -> Result) -> Result<Tally> {
    at_rate(RATE, MOST_OPEN, namespace, meanwhile)
}

/// The same with another number of pods a second, and of those under way at once.
pub(crate) fn at_rate(
    rate: u32,
    most_open: usize,
    namespace: &'static str,
    meanwhile: impl FnOnce() -> Result,
) -> Result<Tally> {
    let namespace = Namespace::new(namespace, &[(INJECT, "true")])?;
    let api = Api::new()?;
    let (log, before) = (LogPosition::now(), Calls::counted()?);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let begun = Instant::now();
    let creating = {
        let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
        thread::spawn(move || create(&api, (rate, most_open), namespace.0, &stop, &asked))
    };
    let outcome = meanwhile();
    stop.store(true, Ordering::SeqCst);
    creating
        .join()
        .map_err(|_| "the thread that creates pods panicked")?;
    let took = begun.elapsed();
    // First: where the API server is gone, it says why, and what follows does not.
    outcome?;
    // One request instead of thousands; the namespace then has nothing left to delete.
    let path = format!("/api/v1/namespaces/{}/pods", namespace.0);
    Api::new()?.delete_collection(&path)?;
    let asked = Mutex::lock(&asked)
        .map_err(|error| error.to_string())?
        .clone();
    let after = Calls::counted()?;
    Ok(Tally {
        asked,
        took,
        failed_calls: log.map(|log| log.failed_calls()).transpose()?,
        // A restarted API server counts anew.
        failed_open: after.failed_open.saturating_sub(before.failed_open),
        second_chances: after.second_chances.saturating_sub(before.second_chances),
    })
}

fn create(
    api: &Api,
    (rate, most_open): (u32, usize),
    namespace: &str,
    stop: &AtomicBool,
    asked: &Arc<Mutex<Vec<Asked>>>,
) {
    let pause = Duration::from_secs(1) / rate;
    let mut due = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let name = format!("p{number}");
        let asked = Arc::clone(asked);
        let at = Instant::now();
        api.create(namespace, &pod(&name), move |answer| {
            let outcome = answer.and_then(|answer| {
                let pod = answer.admitted()?;
                Ok(receipt(pod).is_some())
            });
            if let Ok(mut asked) = asked.lock() {
                asked.push(Asked { at, name, outcome });
            }
        });
        api.wait_for_room(most_open);
        // What a busy moment has kept back is not made up for.
        due = Instant::now().max(due + pause);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    api.finish();
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "schedulerName": "nobody",
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "app", "image": "localhost/javelin-pause:1" }],
        },
    })
}

impl Tally {
    /// Every pod has the agent, at the rate that was wanted; nothing failed.
    pub(crate) fn is_without_a_gap(&self) -> Result {
        self.is_at_rate()?;
        let blind = self.blind(|_| true);
        ensure!(blind.is_empty(), "{self}: without the agent: {blind:?}");
        let refused = self.refused();
        ensure!(refused.is_empty(), "{self}: not created: {refused:?}");
        let failed = self.failed_calls.as_deref().unwrap_or_default();
        ensure!(failed.is_empty(), "{self}: calls that failed: {failed:#?}");
        ensure!(
            self.failed_open == 0,
            "{self}: the API server failed open {} times",
            self.failed_open
        );
        ensure!(
            self.second_chances == 0,
            "{self}: {} second chances were called, and no call had failed",
            self.second_chances
        );
        Ok(())
    }

    /// How many calls the API server went on without.
    pub(crate) fn failed_open(&self) -> u64 {
        self.failed_open
    }

    /// How many calls there were of entries that are there for what a failed call has left undecided.
    pub(crate) fn second_chances(&self) -> u64 {
        self.second_chances
    }

    /// Enough to say something by: what a busy machine still does.
    pub(crate) fn is_at_rate(&self) -> Result {
        let wanted = self.took.as_secs() * AT_LEAST;
        ensure!(
            self.asked.len() as u64 >= wanted,
            "{self}: too few for a load"
        );
        Ok(())
    }

    /// Nothing failed because of certificates.
    pub(crate) fn is_without_a_tls_error(&self) -> Result {
        let failed = self.failed_calls.as_deref().unwrap_or_default().iter();
        let tls: Vec<_> = failed
            .filter(|line| line.contains("x509") || line.contains("tls:"))
            .collect();
        ensure!(tls.is_empty(), "{self}: {tls:#?}");
        Ok(())
    }

    /// Did calls come to nothing for that reason, by the API server's log?
    pub(crate) fn has_failed_by(&self, reason: &str) -> bool {
        let failed = self.failed_calls.as_deref().unwrap_or_default();
        failed.iter().any(|line| line.contains(reason))
    }

    /// Pods without the agent that were asked for at such a moment.
    pub(crate) fn blind(&self, at: impl Fn(Instant) -> bool) -> Vec<&str> {
        let blind = |asked: &&Asked| asked.outcome == Ok(false) && at(asked.at);
        self.asked
            .iter()
            .filter(blind)
            .map(|asked| &*asked.name)
            .collect()
    }

    /// What the API server said of pods that it did not create.
    pub(crate) fn refused(&self) -> Vec<&str> {
        let refusals = self
            .asked
            .iter()
            .filter_map(|asked| asked.outcome.as_ref().err());
        refusals.map(String::as_str).collect()
    }

    fn per_second(&self) -> f64 {
        let asked = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        f64::from(asked) / self.took.as_secs_f64()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blind = self.blind(|_| true).len();
        write!(
            f,
            "{} pods in {} s ({:.0} a second), {blind} of them without the agent, {} not created",
            self.asked.len(),
            self.took.as_secs(),
            self.per_second(),
            self.refused().len(),
        )
    }
}

/// A place in the API server's log.
pub(crate) struct LogPosition {
    file: PathBuf,
    length: usize,
}

impl LogPosition {
    /// Its end. Only of our own cluster.
    pub(crate) fn now() -> Option<Self> {
        let file = logs()?.join("kube-apiserver.log");
        let length = fs::read(&file).ok()?.len();
        Some(Self { file, length })
    }

    /// Lines since then about calls of our webhook that came to nothing.
    pub(crate) fn failed_calls(&self) -> Result<Vec<String>> {
        let all = fs::read(&self.file).map_err(|error| error.to_string())?;
        // A restarted API server may have begun a new one.
        let new = all.get(self.length..).unwrap_or(&all);
        let text = String::from_utf8_lossy(new);
        let failed = text.lines().filter(|line| {
            line.contains("failing open") || line.contains("failed calling webhook")
        });
        // The probe fails closed, and is told of it.
        let ours = failed.filter(|line| line.contains(".javelin.dev") && !line.contains("probe."));
        Ok(ours.map(str::to_owned).collect())
    }
}

/// Where our own cluster has its logs.
#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask test` says that the cluster is ours"
)]
pub(crate) fn logs() -> Option<PathBuf> {
    std::env::var("JAVELIN_CLUSTER_LOGS")
        .ok()
        .map(PathBuf::from)
}

/// Calls of our webhook since the API server's start, by its own metrics.
struct Calls {
    failed_open: u64,
    second_chances: u64,
}

impl Calls {
    fn counted() -> Result<Self> {
        let metrics = kubectl(&["get", "--raw", "/metrics"])?;
        let sum = |metric: &str, name: &str| {
            let lines = metrics
                .lines()
                .filter(|line| line.starts_with(metric) && line.contains(name));
            lines
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
                .sum()
        };
        Ok(Self {
            failed_open: sum(
                "apiserver_admission_webhook_fail_open_count{",
                ".javelin.dev",
            ),
            second_chances: sum(
                "apiserver_admission_webhook_request_total{",
                ".second-chance",
            ),
        })
    }
}

const RATE: u32 = 25;

/// Pods a second below which it is no load.
const AT_LEAST: u64 = 5;

/// Requests under way at once.
const MOST_OPEN: usize = 30;
