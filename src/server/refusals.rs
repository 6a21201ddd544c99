//! What is not served, or not as asked: counted, and told in the log once a minute for each kind.
//!
//! Invariant: no client can write the log full. A line has the kind and how many there were, nothing of a client's.
//!
//! Deliberately not here: what makes a refusal, and what the client is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;

/// Why something was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// More bytes or more reviews at once than there is room for.
    Overloaded,
    /// Every thread that could decide works on a review that nobody waits for any more.
    Stuck,
    /// Deciding took longer than the API server waits; the review was admitted unchanged.
    Late,
    /// The body is no AdmissionReview.
    Malformed,
    /// The body is larger than a review can be.
    TooLarge,
    /// The body took too long.
    SlowBody,
    /// The body ended early, or its framing is wrong.
    BrokenBody,
    /// No HTTP/1.1, or headers without measure.
    NotHttp,
    /// A connection without a request.
    Silent,
    /// The client does not take its answer.
    SlowReader,
    /// A TLS handshake failed, or took too long.
    Handshake,
    /// One address has more connections than its share.
    TooManyConnections,
    /// The process has no file descriptors left.
    NoDescriptors,
}

impl Refusal {
    /// Each of them.
    pub(crate) const ALL: [Self; 13] = [
        Self::Overloaded,
        Self::Stuck,
        Self::Late,
        Self::Malformed,
        Self::TooLarge,
        Self::SlowBody,
        Self::BrokenBody,
        Self::NotHttp,
        Self::Silent,
        Self::SlowReader,
        Self::Handshake,
        Self::TooManyConnections,
        Self::NoDescriptors,
    ];

    /// The value of the metric's label, and a sentence for the log.
    pub(crate) fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Overloaded => ("overloaded", "more reviews at once than there is room for"),
            Self::Stuck => (
                "stuck",
                "every deciding thread is busy with a review that is overdue; others are admitted unchanged",
            ),
            Self::Late => (
                "late",
                "a review could not be decided in time; it was admitted unchanged",
            ),
            Self::Malformed => ("malformed", "a body is not an AdmissionReview"),
            Self::TooLarge => ("too-large", "a body is larger than 8 MiB"),
            Self::SlowBody => ("slow-body", "a body took too long"),
            Self::BrokenBody => ("broken-body", "a body did not arrive whole"),
            Self::NotHttp => (
                "not-http",
                "a request is not HTTP/1.1, or its headers are too large",
            ),
            Self::Silent => ("silent", "a connection was closed, as no request came"),
            Self::SlowReader => ("slow-reader", "a client does not take its answers"),
            Self::Handshake => ("handshake", "a TLS handshake failed or took too long"),
            Self::TooManyConnections => (
                "too-many-connections",
                "one address has more connections than its share; further ones are closed",
            ),
            Self::NoDescriptors => (
                "no-descriptors",
                "accepting a connection failed; it is tried again",
            ),
        }
    }
}

/// Counts refusals and tells of them.
#[derive(Debug)]
pub struct Refusals {
    metrics: Arc<Metrics>,
    told: Mutex<HashMap<Refusal, Told>>,
}

/// What the log has of one kind.
#[derive(Debug)]
struct Told {
    last: Instant,
    /// How many there were since.
    untold: u64,
}

impl Refusals {
    /// None so far, and each kind in the metrics at zero.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        for refusal in Refusal::ALL {
            metrics.refused(refusal.told().0, 0);
        }
        Self {
            metrics,
            told: Mutex::default(),
        }
    }

    /// The metrics that they are counted in.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Counts one.
    pub fn note(&self, refusal: Refusal) {
        let (kind, sentence) = refusal.told();
        self.metrics.refused(kind, 1);
        if let Some(count) = self.due(refusal, Instant::now()) {
            tracing::warn!(refusal = kind, count, "{sentence}");
        }
    }

    /// How many a line would tell of, if it is time for one.
    fn due(&self, refusal: Refusal, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_kind) = told.get_mut(&refusal) else {
            let first = Told {
                last: now,
                untold: 0,
            };
            told.insert(refusal, first);
            return Some(1);
        };
        of_kind.untold += 1;
        if now.duration_since(of_kind.last) < BETWEEN_LINES {
            return None;
        }
        of_kind.last = now;
        Some(std::mem::take(&mut of_kind.untold))
    }
}

/// Between two lines of a kind.
const BETWEEN_LINES: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_once_a_minute_with_how_many_there_were() {
        let refusals = Refusals::new(Arc::new(Metrics::new()));
        let start = Instant::now();
        let due = |refusal, seconds| refusals.due(refusal, start + Duration::from_secs(seconds));
        assert_eq!(due(Refusal::Silent, 0), Some(1));
        assert_eq!(due(Refusal::Silent, 1), None);
        assert_eq!(due(Refusal::Late, 1), Some(1), "each kind has its own");
        assert_eq!(due(Refusal::Silent, 59), None);
        assert_eq!(due(Refusal::Silent, 60), Some(3));
        assert_eq!(due(Refusal::Silent, 61), None);
    }
}
