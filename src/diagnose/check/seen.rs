//! What could be seen of a cluster, or why not.

use std::fmt;

/// Something of the cluster.
pub type Seen<T> = Result<T, Unseen>;

/// What could not be seen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// The person may not; the API server's sentence, which names the right.
    Denied(String),
    /// It is not there; what.
    Missing(String),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(why) => write!(f, "you may not {}", right(why)),
            Self::Missing(what) => write!(f, "{what} does not exist"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// The right that is missing, from the API server's sentence: `… cannot list resource "deployments" in API group "apps" at
/// the cluster scope`. Anything else stays as it is.
pub(super) fn right(why: &str) -> String {
    let of_sentence = || {
        let (_, rest) = why.split_once(" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (group, rest) = rest.split_once('"')?;
        let dot = if group.is_empty() { "" } else { "." };
        let place = rest.strip_prefix(" in the namespace \"");
        let place = place.and_then(|place| place.split('"').next());
        let place = place.map(|place| format!(" in namespace {place}"));
        Some(format!(
            "{verb} {resource}{dot}{group}{}",
            place.unwrap_or_default()
        ))
    };
    of_sentence().unwrap_or_else(|| why.to_owned())
}
