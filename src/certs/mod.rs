//! Certificates: who signs, what is served, and what to do next.
//!
//! ```text
//! authority   a name-constrained CA and the leaves that it signs      (pure but for key generation)
//! store       the Secret's data <-> an authority, its successor, its predecessors (pure)
//! state       what is stored, published and served + now -> actions   (pure)
//! serving     which leaf is presented, and which can come back        (pure)
//! trust       how long, and how surely, API servers trust an authority  (pure)
//! files       a certificate that somebody else made, from two files
//! hidden      bytes that nobody is to see
//! ```
//!
//! Invariants: nothing here talks to a cluster or asks the clock; whatever is parsed is also checked, so that a
//! value of these types can be used as it is.
//!
//! Deliberately not here: TLS itself ([`server::tls`](crate::server::tls)) and the Kubernetes API
//! ([`controller`](crate::controller)).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use javelin_core::dns;
use pem::PemError;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use zeroize::Zeroizing;

pub use authority::{Authority, AuthorityCertificate, AuthorityError};

pub mod authority;
pub mod files;
pub mod hidden;
pub mod serving;
pub mod state;
pub mod store;
pub mod trust;

/// The name that the API server asks for in the handshake: `<service>.<namespace>.svc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    service: String,
    namespace: String,
}

impl ServiceName {
    /// Checks that both parts are DNS labels, as Kubernetes does.
    pub fn new(service: &str, namespace: &str) -> Result<Self, InvalidServiceName> {
        for part in [service, namespace] {
            if !dns::is_label(part) {
                return Err(InvalidServiceName(part.to_owned()));
            }
        }
        Ok(Self {
            service: service.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// The Service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The Service's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.svc", self.service, self.namespace)
    }
}

/// Neither a Service nor a Namespace can have this name.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a DNS label (lower-case letters, digits and `-`, at most 63)")]
pub struct InvalidServiceName(String);

/// How long certificates live, and how long a new authority waits.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of the authority in the Secret.
    pub authority: Duration,
    /// Of the leaf that each replica signs for itself.
    pub leaf: Duration,
    /// How long an authority is in every caBundle before anything that it signed is served: API servers read the
    /// webhook configuration each at its own time.
    pub settle: Duration,
}

impl Lifetimes {
    /// Checks that there is time for a rotation: a successor settles and leaves are renewed in the last third of an
    /// authority's life.
    pub fn new(
        authority: Duration,
        leaf: Duration,
        settle: Duration,
    ) -> Result<Self, LifetimesError> {
        if leaf < SHORTEST_LEAF {
            return Err(LifetimesError::Leaf);
        }
        if authority > LONGEST_AUTHORITY {
            return Err(LifetimesError::TooLong);
        }
        if authority / 3 < leaf || authority / 6 < settle {
            return Err(LifetimesError::Authority);
        }
        Ok(Self {
            authority,
            leaf,
            settle,
        })
    }

    /// How long an authority that signs no more stays trusted: a replica that has not heard of its successor may sign
    /// with it once more, and that leaf lives its whole life.
    pub fn retirement(&self) -> Duration {
        self.leaf * 2
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            authority: 730 * DAY,
            leaf: DAY,
            settle: Duration::from_mins(2),
        }
    }
}

/// These lifetimes do not go together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifetimesError {
    /// Too short to be renewed in time.
    #[error("certificates live for at least 5 seconds: make --leaf-lifetime longer")]
    Leaf,
    /// Longer than a certificate can say.
    #[error(
        "a certificate authority lives for at most 100 years: make --authority-lifetime shorter"
    )]
    TooLong,
    /// Too short for a rotation.
    #[error(
        "a certificate authority lives for at least 3 times --leaf-lifetime and 6 times --settle-time: make \
         --authority-lifetime longer"
    )]
    Authority,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

impl Validity {
    /// One that begins [`CLOCK_SKEW`] before `now` and ends `lifetime` after it.
    pub fn starting(now: SystemTime, lifetime: Duration) -> Self {
        Self {
            not_before: now - CLOCK_SKEW,
            not_after: now + lifetime,
        }
    }

    /// Is `now` inside?
    pub fn contains(&self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// When what is valid so was signed: [`CLOCK_SKEW`] after `not_before`.
    pub fn signed(&self) -> SystemTime {
        self.not_before + CLOCK_SKEW
    }

    /// When two thirds of the life are over that began with the signature: time to replace what is valid so.
    pub fn two_thirds(&self) -> SystemTime {
        let signed = self.signed();
        let whole = self.not_after.duration_since(signed).unwrap_or_default();
        signed + whole * 2 / 3
    }

    /// When less than a tenth is left, or less than a week if that is less: whoever was to replace what is valid so
    /// has not done it.
    pub fn ending(&self) -> SystemTime {
        const WEEK: Duration = Duration::from_hours(7 * 24);
        let whole = self
            .not_after
            .duration_since(self.not_before)
            .unwrap_or_default();
        self.not_after - WEEK.min(whole / 10)
    }

    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            not_before: from_timestamp(validity.not_before.timestamp()),
            not_after: from_timestamp(validity.not_after.timestamp()),
        }
    }
}

/// A certificate to serve, with its key.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate, then intermediates, if any.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key, PKCS#8, SEC1 or PKCS#1. Its `Debug` shows nothing, and it is overwritten when it goes.
    pub key: Zeroizing<PrivateKeyDer<'static>>,
    /// When the certificate is valid, and the intermediates with it.
    pub validity: Validity,
}

/// notBefore lies this far back: clocks of API servers and nodes differ, and Go refuses a certificate from the
/// future.
pub const CLOCK_SKEW: Duration = Duration::from_hours(1);

const SHORTEST_LEAF: Duration = Duration::from_secs(5);
const LONGEST_AUTHORITY: Duration = Duration::from_hours(100 * 365 * 24);

/// The same without the words of a PEM that is damaged: a line of a key that stands where a header may be is taken for one.
fn without_content(error: PemError) -> PemError {
    match error {
        PemError::InvalidHeader(_) => PemError::InvalidHeader("[not shown]".to_owned()),
        other => other,
    }
}

fn from_timestamp(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
