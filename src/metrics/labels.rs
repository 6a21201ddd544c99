//! Labels, and the closed sets that their values come from.

use javelin_core::review::Entry;
use prometheus_client::encoding::EncodeLabelSet;

use crate::telemetry::otlp::Signal;

/// One of each kind: their labels are all that there are.
pub(crate) const ENTRIES: [Entry; 7] = [
    Entry::Pod,
    Entry::Namespace(String::new()),
    Entry::UnknownNamespace,
    Entry::Workload,
    Entry::WorkloadWarning(String::new()),
    Entry::UnknownWorkloadWarning,
    Entry::Probe,
];

/// The label of an entry: a closed set, so a namespace's profile is left out.
pub fn entry_label(entry: &Entry) -> &'static str {
    match entry {
        Entry::Pod => "pod",
        Entry::Namespace(_) => "namespace",
        Entry::UnknownNamespace => "namespace-unknown",
        Entry::Workload => "workload",
        Entry::WorkloadWarning(_) => "workload-warning",
        Entry::UnknownWorkloadWarning => "workload-warning-unknown",
        Entry::Probe => "probe",
    }
}

/// What came of a request to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiAnswer {
    /// 1xx to 3xx.
    Success,
    /// 401 and 403: a right is missing.
    Denied,
    /// 404: the object is not there.
    NotFound,
    /// 409: somebody else was faster.
    Conflict,
    /// Any other 4xx but 429.
    Refused,
    /// 429 and 5xx: not now.
    Unavailable,
    /// No answer, or none in time.
    NoAnswer,
}

impl ApiAnswer {
    pub(super) const ALL: [Self; 7] = [
        Self::Success,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::Refused,
        Self::Unavailable,
        Self::NoAnswer,
    ];

    /// By the HTTP status, or its absence.
    pub fn of_status(status: Option<u16>) -> Self {
        match status {
            None => Self::NoAnswer,
            Some(..=399) => Self::Success,
            Some(401 | 403) => Self::Denied,
            Some(404) => Self::NotFound,
            Some(409) => Self::Conflict,
            Some(429 | 500..) => Self::Unavailable,
            Some(_) => Self::Refused,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::NoAnswer => "no-answer",
        }
    }
}

/// What became of an Event on a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadEventResult {
    /// It is there.
    Written,
    /// The API server did not take it.
    Failed,
    /// More workloads at once than are remembered.
    Dropped,
}

impl WorkloadEventResult {
    pub(super) const ALL: [Self; 3] = [Self::Written, Self::Failed, Self::Dropped];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReviewLabels {
    pub(super) entry: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TrustLabels {
    pub(super) trusts_certificate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DriftLabels {
    pub(super) drift: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ProfileLabels {
    pub(super) profile: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ConfigLabels {
    pub(super) hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EntryLabels {
    pub(super) entry: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabels {
    pub(super) result: &'static str,
}

impl ResultLabels {
    pub(super) fn of(result: &'static str) -> Self {
        Self { result }
    }

    pub(super) fn of_success(success: bool) -> Self {
        Self::of(result_of(success))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

fn result_of(success: bool) -> &'static str {
    if success { "success" } else { "failure" }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OtlpLabels {
    pub(super) signal: &'static str,
    pub(super) result: &'static str,
}

impl OtlpLabels {
    pub(super) fn of(signal: Signal, success: bool) -> Self {
        Self {
            signal: signal.as_str(),
            result: result_of(success),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AuthorityLabels {
    pub(super) authority: String,
}
