//! What a probe found, by what came back, in the words of the API server and of Go.
//!
//! Deliberately not here: what to do about it ([`advice`](super::advice)).

use crate::api::request::ClusterError;
use crate::causes::with_causes;

/// What a probe found. Where the API server said something, its words are kept, shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reachability {
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
    /// The `ConfigMap` was admitted, and nobody tried to call us.
    NotCalled,
    /// The question could not be put.
    CouldNotProbe(String),
}

impl Reachability {
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
                "The API server's call fails in a way that Javelin does not cause: something else answers at its \
                 address, or something between them interferes."
            }
            Self::NotCalled => {
                "The API server does not call this webhook: the entry probe.javelin.dev is missing, was \
                 changed, or is an older chart's, which hides failures."
            }
            Self::CouldNotProbe(_) => {
                "The probe could not find out whether the API server reaches this webhook: the probe itself \
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
fn kind_of(reason: &str) -> fn(String) -> Reachability {
    let any = |cause: &str, words: &[&str]| words.iter().any(|word| cause.contains(word));
    // An error of Go's HTTP client names the URL. Anything else is about an answer, whose text is the answerer's.
    let cause = reason
        .strip_prefix("Post \"")
        .and_then(|named| named.split_once("\": "));
    let Some((_, cause)) = cause else {
        return if reason.contains("unable to load root certificates") {
            Reachability::Untrusted
        } else {
            Reachability::SomebodyElse
        };
    };
    let cause = cause.to_ascii_lowercase();
    if cause.contains("x509: ") {
        // Before everything else: a certificate says what its maker wants.
        if any(&cause, &OTHER_NAME) {
            Reachability::SomebodyElse
        } else {
            Reachability::Untrusted
        }
    } else if NO_ADDRESS.iter().any(|start| cause.starts_with(start)) {
        Reachability::NoEndpoint
    } else if any(&cause, &REFUSED) {
        Reachability::Refused
    } else if any(&cause, &NO_ANSWER) {
        Reachability::NoAnswer
    } else {
        Reachability::SomebodyElse
    }
}

/// In one line, and cut in its middle: what failed stands at the end, what it was about at the start.
pub(super) fn shortened(text: &str) -> String {
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
pub(super) const ENTRY: &str = "probe.javelin.dev";

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
pub(super) const HEAD: usize = 200;
pub(super) const TAIL: usize = 100;
