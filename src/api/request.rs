//! One request to the API server: its limit, and what went wrong.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use javelin_core::mutate::keys;
use tokio::time::timeout;

/// What a request was about, and what to do if it is not there.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) remedy: &'static str,
}

impl Target {
    pub(super) fn new(kind: &'static str, name: String, remedy: &'static str) -> Self {
        Self { kind, name, remedy }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A request to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no API server to speak to.
    #[error(
        "no Kubernetes API server is configured; give --tls-cert and --tls-key to serve without one"
    )]
    Connect(#[source] Box<kube::Error>),
    /// A person has none to speak to.
    #[error("there is no Kubernetes cluster to ask")]
    NoCluster(#[source] Box<dyn Error + Send + Sync>),
    /// Somebody else was faster: read again.
    #[error("{0} has changed in the meantime")]
    Conflict(Target),
    /// The object is not there.
    #[error("{0} does not exist; {remedy}", remedy = .0.remedy)]
    Missing(Target),
    /// It is there, and not ours to write.
    #[error(
        "the caBundles of {0} are somebody else's, by its annotation {annotation}: the certificate comes from \
         tls.existingSecret or tls.certManager",
        annotation = keys::CA_BUNDLE
    )]
    Elsewhere(Target),
    /// We may not do that.
    #[error(
        "access to {target} is denied ({message}); the Role and ClusterRole of the chart allow it"
    )]
    Denied {
        /// What we asked for.
        target: Target,
        /// The API server's words.
        message: String,
    },
    /// The API server said no.
    #[error("the API server refused the request for {target}: {code} {message}")]
    Refused {
        /// What we asked for.
        target: Target,
        /// The HTTP status.
        code: u16,
        /// The API server's words.
        message: String,
    },
    /// No answer, or none that can be read.
    #[error("the request for {target} failed")]
    Transport {
        /// What we asked for.
        target: Target,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("the API server did not answer the request for {0} in time")]
    TimedOut(Target),
}

impl ClusterError {
    /// Does the API server no longer have what the next page of a list would be of?
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code: 410, .. })
    }
}

/// Runs one request: with a limit, since the client itself waits for ever on a connection that has gone silent.
pub(super) async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, kube::Error>>,
    target: &Target,
) -> Result<T, ClusterError> {
    match timeout(limit, Box::pin(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(explain(error, target.clone())),
        Err(_) => Err(ClusterError::TimedOut(target.clone())),
    }
}

pub(super) fn explain(error: kube::Error, target: Target) -> ClusterError {
    match error {
        kube::Error::Api(status) if status.is_conflict() => ClusterError::Conflict(target),
        kube::Error::Api(status) if status.is_not_found() => ClusterError::Missing(target),
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => ClusterError::Denied {
            target,
            message: status.message,
        },
        kube::Error::Api(status) => ClusterError::Refused {
            target,
            code: status.code,
            message: status.message,
        },
        source => ClusterError::Transport {
            target,
            source: Box::new(source),
        },
    }
}

/// An ordinary request takes milliseconds; a busy API server queues one for a few seconds.
pub(super) const REQUEST: Duration = Duration::from_secs(10);
