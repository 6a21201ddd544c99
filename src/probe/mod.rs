//! Does the API server reach us, and if not, why?
//!
//! As a dry run, a `ConfigMap` is created that one entry of the webhook configuration selects. The
//! answer to that review adds an annotation; if it comes back, the call was made. That entry alone has
//! `failurePolicy: Fail`: when the call fails, the API server refuses the `ConfigMap`, and its refusal
//! has the exact cause (`docs/adr/0007`).
//!
//! Invariant: the result is told (a metric, `/readyz?verbose`, and an Event when it changes) and changes nothing. Readiness
//! that hung on it would have no way back: without an endpoint there is no call, without a call no endpoint. Only the
//! replicas of a new release that are not its first wait for a call to come through, and not for long
//! (`docs/adr/0011`).
//!
//! Deliberately not here: the answer to the review ([`review`](javelin_core::review)), and what to do about a finding
//! ([`advice`]).

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{sleep, timeout};

use self::advice::{Installation, Platform, next_step};
use crate::api::client::Cluster;
use crate::controller::events::{EventReason, EventRecorder};
use crate::metrics::Metrics;
use crate::server::readiness::{Condition, Readiness};
use crate::time::{jittered, now, rfc3339};

pub mod advice;
pub(crate) mod finding;

pub use finding::Reachability;

/// Has the API server call us, and judges what comes of it.
pub async fn ask(cluster: &Cluster) -> Reachability {
    Reachability::of(cluster.probe().await.as_ref().copied())
}

/// Probes once ready, and then at intervals. `port` is where we listen, for the advice.
pub async fn run(
    cluster: Cluster,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    recorder: EventRecorder,
    port: u16,
) -> Infallible {
    follow_the_first(&cluster, &readiness, LONGEST_WAIT).await;
    readiness.reached().await;
    let mut platform: Option<Platform> = None;
    let mut opinion = Opinion::default();
    loop {
        sleep(jittered(opinion.interval())).await;
        let finding = ask(&cluster).await;
        let at = now();
        if finding == Reachability::Reached {
            metrics.probe_reached(at);
        }
        if platform.is_none() && depends_on_platform(&finding) {
            // It stays the same; if it cannot be told now, the next probe asks again.
            platform = cluster
                .version()
                .await
                .ok()
                .map(|version| Platform::of(&version));
        }
        let place = Installation {
            platform: platform.unwrap_or_default(),
            port,
            names: cluster.names(),
        };
        let report = Report {
            next_step: next_step(&finding, &place),
            finding,
            at,
        };
        readiness.note(report.to_string());
        if opinion.is_changed_by(&report.finding) {
            metrics.probed(report.finding.code());
            tell(&report, &recorder);
        }
    }
}

/// Holds this replica back, if [`Condition::Way`] is all that it lacks, until the API server reaches one, or for `longest`:
/// then there is no way that anybody could wait for, and whatever is found later says so.
async fn follow_the_first(cluster: &Cluster, readiness: &Readiness, longest: Duration) {
    readiness.lacks_at_most(Condition::Way).await;
    if readiness.is_ready() {
        return;
    }
    let way = async {
        while ask(cluster).await != Reachability::Reached {
            sleep(jittered(BETWEEN_TRIES)).await;
        }
    };
    if timeout(longest, way).await.is_err() {
        tracing::warn!(
            "no call of the API server has come through to another replica; not waiting any longer"
        );
    }
    readiness.set(Condition::Way, true);
}

/// What has been told, and whether it may be about to change.
#[derive(Debug, Default)]
struct Opinion {
    /// A code: the words of one kind of failure differ each time, by an address or the time of day.
    told: Option<&'static str>,
    /// Failures in a row. An endpoint takes a while to be known everywhere, and a single failure may be a passing one.
    failures: u32,
}

impl Opinion {
    /// Is this news? Then it counts as told.
    fn is_changed_by(&mut self, finding: &Reachability) -> bool {
        self.failures = if *finding == Reachability::Reached {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let is_certain = self.failures == 0 || self.failures >= SUSPICIONS;
        let is_news = is_certain && self.told != Some(finding.code());
        if is_news {
            self.told = Some(finding.code());
        }
        is_news
    }

    /// How long until the next probe.
    fn interval(&self) -> Duration {
        let is_good = self.told == Some(Reachability::Reached.code()) && self.failures == 0;
        if is_good { INTERVAL } else { SUSPICIOUS }
    }
}

/// A finding, and what there is to say of it. Its `Display` is the block in `/readyz?verbose`.
#[derive(Debug)]
struct Report {
    finding: Reachability,
    at: SystemTime,
    next_step: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, at) = (self.finding.code(), rfc3339(self.at));
        writeln!(f, "probe: {code} at {at}")?;
        writeln!(f, "  {}", self.finding.meaning())?;
        if let Some(said) = self.finding.said() {
            writeln!(f, "  Said: {said}")?;
        }
        for (at, line) in self.next_step.lines().enumerate() {
            let lead = if at == 0 { "Next:" } else { "     " };
            writeln!(f, "  {lead} {line}")?;
        }
        Ok(())
    }
}

/// Says that the finding is another one than before.
fn tell(report: &Report, recorder: &EventRecorder) {
    let finding = &report.finding;
    let what = if *finding == Reachability::Reached {
        EventReason::WebhookReached
    } else {
        EventReason::WebhookNotReached
    };
    let mut note = format!("{}: {}", finding.code(), finding.meaning());
    if let Some(said) = finding.said() {
        note = format!("{note} Said: {said}");
    }
    if !report.next_step.is_empty() {
        // One line of the log is one event.
        note = format!("{note} Next: {}", report.next_step.replace('\n', " "));
    }
    recorder.tell(what, note);
}

/// Does what to do about it differ from one platform to another?
fn depends_on_platform(finding: &Reachability) -> bool {
    matches!(
        finding,
        Reachability::NoAnswer(_) | Reachability::Refused(_) | Reachability::SomebodyElse(_)
    )
}

const INTERVAL: Duration = Duration::from_mins(5);

/// How long a replica of a new release waits for a way to the first one. That one is ready at the kubelet's next look, two
/// seconds later at most, and kube-proxy knows it a second after that.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Between two tries to find it.
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// Between probes while the result is anything but good.
const SUSPICIOUS: Duration = Duration::from_secs(5);

/// How many failures in a row make one.
const SUSPICIONS: u32 = 3;

#[cfg(test)]
pub(super) mod tests;
