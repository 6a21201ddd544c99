//! Does the API server reach us, and if not, why?
//!
//! It is asked to pretend to create a `ConfigMap` that one entry of the webhook configuration selects. The
//! answer to that review adds an annotation; if it comes back, the call was made. That entry alone has
//! `failurePolicy: Fail`: when the call fails, the API server refuses the pretended `ConfigMap`, and its refusal
//! has the exact cause (`docs/adr/0007`).
//!
//! Invariant: the result is told (a metric, `/readyz?verbose`, and an Event when it changes) and changes nothing. Readiness
//! that hung on it would have no way back: without an endpoint there is no call, without a call no endpoint. Only the
//! replicas of a new release that are not its first wait for a call to come through, and not for long
//! (`docs/adr/0011`).
//!
//! Deliberately not here: the answer to the review ([`review`](javelin_core::review)), and what to do about a finding
//! ([`advice`](super::advice)).

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{sleep, timeout};

use super::advice::{Place, Platform, next_step};
use super::client::{Cluster, ClusterError};
use super::events::{Happening, Reporter};
use crate::causes::with_causes;
use crate::metrics::Metrics;
use crate::server::readiness::{Condition, Readiness};
use crate::time::{jittered, now, rfc3339};

/// What a probe found. Where the API server said something, its words are kept, shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The annotation came back.
    Reached,
    /// Nobody answered in time: packets are dropped on the way, or a tunnel has no way on.
    NoAnswer(String),
    /// The connection was refused, or reset.
    Refused(String),
    /// The Service has no address to call: no ready replica, or it is not there.
    NoEndpoint(String),
    /// Our certificate and the entry's caBundle do not match, or the clocks differ.
    Untrusted(String),
    /// The call failed in any other way: most often because it was not Javelin who answered.
    SomebodyElse(String),
    /// The pretended `ConfigMap` was admitted, and nobody tried to call us.
    NotCalled,
    /// The question could not be put.
    CouldNotProbe(String),
}

impl Finding {
    /// Judges what came back: whether the annotation was there, or why there was no `ConfigMap`.
    pub fn of(annotated: Result<bool, &ClusterError>) -> Self {
        match annotated {
            Ok(true) => Self::Reached,
            Ok(false) => Self::NotCalled,
            Err(error) => match error {
                ClusterError::Refused { message, .. } => Self::of_refusal(message),
                _ => None,
            }
            .unwrap_or_else(|| Self::CouldNotProbe(shortened(&with_causes(error)))),
        }
    }

    /// The metric's label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NoAnswer(_) => "no-answer",
            Self::Refused(_) => "refused",
            Self::NoEndpoint(_) => "no-endpoint",
            Self::Untrusted(_) => "untrusted",
            Self::SomebodyElse(_) => "somebody-else",
            Self::NotCalled => "not-called",
            Self::CouldNotProbe(_) => "could-not-probe",
        }
    }

    /// What it means, in one sentence.
    pub fn meaning(&self) -> &'static str {
        match self {
            Self::Reached => "The API server reaches this webhook.",
            Self::NoAnswer(_) => {
                "The API server calls this webhook and gets no answer in time: packets are dropped on the way."
            }
            Self::Refused(_) => {
                "The API server calls this webhook and the connection is refused: nothing listens there, \
                 no replica is ready, or a firewall rejects it."
            }
            Self::NoEndpoint(_) => {
                "The API server has no address to call: the Service is gone, or no replica behind it is ready."
            }
            Self::Untrusted(_) => {
                "The API server does not trust the certificate that it gets: it does not match the entry's \
                 caBundle, or the clocks differ."
            }
            Self::SomebodyElse(_) => {
                "The API server's call fails in a way that is not Javelin's: somebody else answers at its \
                 address, or something between them interferes."
            }
            Self::NotCalled => {
                "The API server does not call this webhook: the entry probe.javelin.dev is missing, was \
                 changed, or is an older chart's, which hides failures."
            }
            Self::CouldNotProbe(_) => {
                "Whether the API server reaches this webhook could not be found out: the question itself \
                 was refused, or got no answer."
            }
        }
    }

    /// The API server's words, or the client's.
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Reached | Self::NotCalled => None,
            Self::NoAnswer(said)
            | Self::Refused(said)
            | Self::NoEndpoint(said)
            | Self::Untrusted(said)
            | Self::SomebodyElse(said)
            | Self::CouldNotProbe(said) => Some(said),
        }
    }

    /// Of the API server's words when it refused the `ConfigMap`; `None` if that was not because of our entry.
    fn of_refusal(message: &str) -> Option<Self> {
        if let Some((_, denial)) = message.split_once("admission webhook \"") {
            // Javelin never does, nor does it forbid dry runs.
            return denial
                .strip_prefix(ENTRY)?
                .starts_with('"')
                .then(|| Self::SomebodyElse(shortened(message)));
        }
        // The first name: what another webhook says may quote ours.
        let (_, failure) = message.split_once("failed calling webhook \"")?;
        let reason = failure.strip_prefix(ENTRY)?.strip_prefix('"')?;
        let reason = reason.strip_prefix(": ").unwrap_or(reason);
        let reason = reason
            .strip_prefix("failed to call webhook: ")
            .unwrap_or(reason);
        Some(kind_of(reason)(shortened(reason)))
    }
}

/// Which finding a failed call is, by the words of Go's `net/http` and of the API server.
fn kind_of(reason: &str) -> fn(String) -> Finding {
    let any = |cause: &str, words: &[&str]| words.iter().any(|word| cause.contains(word));
    // An error of Go's HTTP client names the URL. Anything else is about an answer, whose text is the answerer's.
    let cause = reason
        .strip_prefix("Post \"")
        .and_then(|named| named.split_once("\": "));
    let Some((_, cause)) = cause else {
        return if reason.contains("unable to load root certificates") {
            Finding::Untrusted
        } else {
            Finding::SomebodyElse
        };
    };
    let cause = cause.to_ascii_lowercase();
    if cause.contains("x509: ") {
        // Before everything else: a certificate says what its maker wants.
        if any(&cause, &OTHER_NAME) {
            Finding::SomebodyElse
        } else {
            Finding::Untrusted
        }
    } else if NO_ADDRESS.iter().any(|start| cause.starts_with(start)) {
        Finding::NoEndpoint
    } else if any(&cause, &REFUSED) {
        Finding::Refused
    } else if any(&cause, &NO_ANSWER) {
        Finding::NoAnswer
    } else {
        Finding::SomebodyElse
    }
}

/// Has the API server call us, and judges what comes of it.
pub async fn ask(cluster: &Cluster) -> Finding {
    Finding::of(cluster.probe().await.as_ref().copied())
}

/// Probes once ready, and then at intervals. `port` is where we listen, for the advice.
pub async fn run(
    cluster: Cluster,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    reporter: Reporter,
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
        if finding == Finding::Reached {
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
        let place = Place {
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
            tell(&report, &reporter);
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
        while ask(cluster).await != Finding::Reached {
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
    fn is_changed_by(&mut self, finding: &Finding) -> bool {
        self.failures = if *finding == Finding::Reached {
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
        let is_good = self.told == Some(Finding::Reached.code()) && self.failures == 0;
        if is_good { INTERVAL } else { SUSPICIOUS }
    }
}

/// A finding, and what there is to say of it. Its `Display` is the block in `/readyz?verbose`.
#[derive(Debug)]
struct Report {
    finding: Finding,
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
fn tell(report: &Report, reporter: &Reporter) {
    let finding = &report.finding;
    let what = if *finding == Finding::Reached {
        Happening::WebhookReached
    } else {
        Happening::WebhookNotReached
    };
    let mut note = format!("{}: {}", finding.code(), finding.meaning());
    if let Some(said) = finding.said() {
        note = format!("{note} Said: {said}");
    }
    if !report.next_step.is_empty() {
        // One line of the log is one event.
        note = format!("{note} Next: {}", report.next_step.replace('\n', " "));
    }
    reporter.tell(what, note);
}

/// Does what to do about it differ from one platform to another?
fn depends_on_platform(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::NoAnswer(_) | Finding::Refused(_) | Finding::SomebodyElse(_)
    )
}

/// In one line, and cut in its middle: what failed stands at the end, what it was about at the start.
fn shortened(text: &str) -> String {
    let text: Vec<char> = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match (
        text.get(..HEAD),
        text.get(text.len().saturating_sub(TAIL)..),
    ) {
        (Some(head), Some(tail)) if text.len() > HEAD + TAIL => {
            head.iter().chain(&[' ', '…', ' ']).chain(tail).collect()
        }
        _ => text.into_iter().collect(),
    }
}

/// The entry of the webhook configuration that the probe's `ConfigMap` is sent to.
const ENTRY: &str = "probe.javelin.dev";

/// Of each finding, for the metric.
pub(crate) const CODES: [&str; 8] = [
    "reached",
    "no-answer",
    "refused",
    "no-endpoint",
    "untrusted",
    "somebody-else",
    "not-called",
    "could-not-probe",
];

/// Go checks the name before the issuer, so these are said of any certificate that is not for us.
const OTHER_NAME: [&str; 4] = [
    "certificate is valid for ",
    "certificate is not valid for any names",
    "certificate relies on legacy common name field",
    "cannot validate certificate for ",
];

/// Of the API server when it looks for the Service's address; it looks one up by DNS only if it knows no other way.
const NO_ADDRESS: [&str; 7] = [
    "no endpoints available for service ",
    "no service port ",
    "service \"",
    "services \"",
    "cannot route to service ",
    "unsupported service type ",
    "dial tcp: lookup ",
];

/// The last two are of a filter on the control plane node itself.
const REFUSED: [&str; 4] = [
    "connection refused",
    "connection reset by peer",
    "operation not permitted",
    "permission denied",
];

/// The last two are of tunnels (konnectivity, k3s), which end where nothing can be seen from here.
const NO_ANSWER: [&str; 8] = [
    "deadline exceeded",
    "timeout",
    "timed out",
    "no route to host",
    "network is unreachable",
    "host is down",
    "proxy error from ",
    "no agent available",
];

/// Of what was said, this much is kept.
const HEAD: usize = 200;
const TAIL: usize = 100;

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
