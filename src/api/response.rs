//! What the API server answered to a person's request, and what that means.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::request::{ClusterError, Target};

/// What was answered, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Was it done?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The API server's sentence when it refuses, or the body as it is.
    pub fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Status {
            message: String,
        }
        serde_json::from_slice::<Status>(&self.body).map_or_else(
            |_| {
                let text = String::from_utf8_lossy(&self.body);
                text.trim().chars().take(MOST_SHOWN).collect()
            },
            |status| status.message,
        )
    }
}

pub(super) fn decode<T: DeserializeOwned>(
    answer: &Response,
    target: &Target,
) -> Result<T, ClusterError> {
    accept(answer, target)?;
    serde_json::from_slice(&answer.body).map_err(|source| ClusterError::Transport {
        target: target.clone(),
        source: Box::new(kube::Error::SerdeError(source)),
    })
}

pub(super) fn accept(answer: &Response, target: &Target) -> Result<(), ClusterError> {
    if answer.is_success() {
        return Ok(());
    }
    let target = target.clone();
    Err(match answer.status {
        404 => ClusterError::Missing(target),
        409 => ClusterError::Conflict(target),
        401 | 403 => ClusterError::Denied {
            target,
            message: answer.message(),
        },
        code => ClusterError::Refused {
            target,
            code,
            message: answer.message(),
        },
    })
}

/// Of an answer that is no sentence of the API server's.
const MOST_SHOWN: usize = 300;
