//! What became of a pod that was created as a dry run, and who refused it.

use std::fmt;

use serde_json::Value;

use super::request::{ClusterError, Target};
use super::response::{Response, accept, decode};

/// The API server would not create a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRefusal {
    /// Who said no.
    pub by: Refuser,
    /// The API server's words.
    pub message: String,
}

/// Who refuses a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refuser {
    /// The namespace's Pod Security level.
    PodSecurity,
    /// A `ResourceQuota`.
    Quota,
    /// A `LimitRange`.
    LimitRange,
    /// Somebody's admission webhook, by the name of its entry: Kyverno, Gatekeeper, …
    Webhook(String),
    /// A `ValidatingAdmissionPolicy`, by its name.
    Policy(String),
    /// The one who asks may not create pods there.
    Rights,
    /// The API server itself: the pod is not valid, or something else is wrong.
    Other,
}

/// The pod as it would have been stored, or who refuses it. A missing login is an error, as nobody has looked at the pod.
pub(super) fn tried(
    answer: &Response,
    target: &Target,
) -> Result<Result<Value, PodRefusal>, ClusterError> {
    match accept(answer, target) {
        Err(ClusterError::Denied { message, .. } | ClusterError::Refused { message, .. })
            if answer.status != 401 =>
        {
            Ok(Err(PodRefusal::of(message)))
        }
        Err(error) => Err(error),
        Ok(()) => decode(answer, target).map(Ok),
    }
}

impl PodRefusal {
    /// Who it was, from the API server's sentence.
    fn of(message: String) -> Self {
        let quoted = |before: &str| {
            let (_, rest) = message.split_once(before)?;
            let rest = rest.strip_prefix(['"', '\''])?;
            let (name, _) = rest.split_once(['"', '\''])?;
            Some(name.to_owned())
        };
        let by = if let Some(name) = quoted("admission webhook ") {
            Refuser::Webhook(name)
        } else if let Some(name) = quoted("ValidatingAdmissionPolicy ") {
            Refuser::Policy(name)
        } else if message.contains("violates PodSecurity") {
            Refuser::PodSecurity
        } else if message.contains("exceeded quota") || message.contains("failed quota") {
            Refuser::Quota
        } else if LIMIT_RANGE.iter().any(|words| message.contains(words)) {
            Refuser::LimitRange
        } else if message.contains("cannot create resource") {
            Refuser::Rights
        } else {
            Refuser::Other
        };
        Self { by, message }
    }
}

impl fmt::Display for Refuser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodSecurity => f.write_str("Pod Security"),
            Self::Quota => f.write_str("a ResourceQuota"),
            Self::LimitRange => f.write_str("a LimitRange"),
            Self::Webhook(name) => write!(f, "the admission webhook {name}"),
            Self::Policy(name) => write!(f, "the ValidatingAdmissionPolicy {name}"),
            Self::Rights => f.write_str("your own rights"),
            Self::Other => f.write_str("the API server"),
        }
    }
}

/// What the `LimitRanger` admission plugin says.
const LIMIT_RANGE: [&str; 3] = [
    "usage per Container",
    "usage per Pod",
    "limit to request ratio per",
];

#[cfg(test)]
mod tests;
