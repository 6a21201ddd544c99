//! Does the API server reach us?
//!
//! It is asked to pretend to create a `ConfigMap` that one entry of the webhook configuration selects. The
//! answer to that review adds an annotation; if it comes back, the call was made. If not, the time that it took
//! tells why: a black hole costs the entry's whole timeout, a refusal nothing.
//!
//! Invariant: the result is told (a metric, and a log line when it changes) and changes nothing. Readiness that
//! hung on it would have no way back: without an endpoint there is no call, without a call no endpoint.
//!
//! Deliberately not here: the answer to the review ([`review`](crate::review)).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::client::{Cluster, ClusterError};
use crate::metrics::Metrics;
use crate::server::readiness::Readiness;
use crate::time::jittered;

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The annotation came back.
    Reached,
    /// The call was made and nobody answered: packets are dropped on the way.
    NoAnswer,
    /// The call failed at once: no endpoint, a closed port, or a certificate that is not trusted.
    Refused,
    /// The question could not be put.
    CouldNotProbe(String),
}

impl Finding {
    /// Judges what came back: whether the annotation was there, and the time that it took.
    pub fn of(annotated: Result<bool, &ClusterError>, took: Duration) -> Self {
        match annotated {
            Ok(true) => Self::Reached,
            Ok(false) if took >= SHORTEST_TIMEOUT => Self::NoAnswer,
            Ok(false) => Self::Refused,
            Err(error) => Self::CouldNotProbe(error.to_string()),
        }
    }

    /// The metric's label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NoAnswer => "no-answer",
            Self::Refused => "refused",
            Self::CouldNotProbe(_) => "could-not-probe",
        }
    }
}

/// Probes once ready, and then at intervals. `port` is where we listen, for the advice.
pub async fn run(
    cluster: Cluster,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    port: u16,
) -> Infallible {
    readiness.reached().await;
    let mut told: Option<Finding> = None;
    let mut suspected: u32 = 0;
    loop {
        let healthy = told == Some(Finding::Reached) && suspected == 0;
        sleep(jittered(if healthy { INTERVAL } else { SUSPICIOUS })).await;
        let began = Instant::now();
        let annotated = cluster.probe().await;
        let finding = Finding::of(annotated.as_ref().copied(), began.elapsed());
        // An endpoint takes a while to be known everywhere, and a single failure may be a passing one.
        suspected = if finding == Finding::Reached {
            0
        } else {
            suspected + 1
        };
        if told.as_ref() != Some(&finding) && (suspected == 0 || suspected >= SUSPICIONS) {
            metrics.probed(finding.code(), &CODES);
            tell(&finding, port);
            told = Some(finding);
        }
    }
}

fn tell(finding: &Finding, port: u16) {
    let result = finding.code();
    match finding {
        Finding::Reached => tracing::info!(result, "the API server reaches this webhook"),
        Finding::NoAnswer => tracing::warn!(
            result,
            port,
            "the API server gets no answer from this webhook: its packets are dropped on the way; \
             allow TCP from the control plane to the nodes and pods on this port"
        ),
        Finding::Refused => tracing::warn!(
            result,
            port,
            "the API server cannot call this webhook: no endpoint, a refused connection or a certificate that it does not trust"
        ),
        Finding::CouldNotProbe(error) => {
            tracing::warn!(
                result,
                error,
                "could not find out whether the API server reaches this webhook"
            );
        }
    }
}

const CODES: [&str; 4] = ["reached", "no-answer", "refused", "could-not-probe"];

/// The smallest `timeoutSeconds` that an entry can have: whatever takes longer was waiting for us.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

const INTERVAL: Duration = Duration::from_mins(5);

/// Between probes while the result is anything but good.
const SUSPICIOUS: Duration = Duration::from_secs(5);

/// How many failures in a row make one.
const SUSPICIONS: u32 = 3;

#[cfg(test)]
mod tests;
