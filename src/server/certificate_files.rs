//! A certificate that somebody else makes, followed by the content of its two files.
//!
//! Contents are compared on an interval, for the reason that [`config_file`](super::config_file) gives. What is there
//! is judged again for as long as it is not what is being served: a certificate may only have to wait for its time.
//!
//! Invariant: a pair that cannot be used changes nothing but a metric and a log line; the last good pair stays, even
//! past its end, because there is nothing better. Each cause is told once, not at every look.
//!
//! Deliberately not here: what makes a pair good ([`certs::files`](crate::certs::files), and [`tls`](super::tls) for
//! the key).

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::tls::{Identity, TlsError};
use crate::certs::files::{CertificateFiles, FilesError, Fingerprint, PemPair};
use crate::certs::{ServiceName, Validity};
use crate::metrics::Metrics;
use crate::time;

/// Two files, and what was last served from them.
#[derive(Debug)]
pub struct FollowedCertificate {
    place: Place,
    metrics: Arc<Metrics>,
    served: Served,
    /// What could not be used, and why; none when the files hold what is being served.
    refused: Option<(Option<Fingerprint>, String)>,
    /// When the end was last told, and which.
    told: Option<(SystemTime, End)>,
}

/// From where, for whom, to where.
#[derive(Debug)]
struct Place {
    files: CertificateFiles,
    name: Option<ServiceName>,
    identity: Arc<Identity>,
}

#[derive(Debug)]
struct Served {
    fingerprint: Fingerprint,
    validity: Validity,
}

/// What is worth telling about the end of what is being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Near,
    Over,
}

impl FollowedCertificate {
    /// Reads both files for the first time, and serves them in `identity`. There is no last good pair yet, so any
    /// error is one. With `name`, the certificate has to be for it.
    pub fn open(
        files: CertificateFiles,
        name: Option<ServiceName>,
        identity: Arc<Identity>,
        metrics: Arc<Metrics>,
        now: SystemTime,
    ) -> Result<Self, CertificateError> {
        let place = Place {
            files,
            name,
            identity,
        };
        let served = place.install(&place.files.read()?, now)?;
        metrics.leaf_expires(served.validity.not_after);
        let mut opened = Self {
            place,
            metrics,
            served,
            refused: None,
            told: None,
        };
        opened.tell_of_the_end(now);
        Ok(opened)
    }

    /// Reads the files again and again.
    pub async fn follow(mut self) -> Infallible {
        loop {
            sleep(POLL_INTERVAL).await;
            self.refresh(time::now());
        }
    }

    /// Reads the files once more, and serves them if they have changed for the good.
    fn refresh(&mut self, now: SystemTime) {
        // A few KiB from a local mount: not worth a blocking thread.
        let found = self.place.files.read();
        let fingerprint = found.as_ref().ok().map(PemPair::fingerprint);
        if self.refused.is_some() || fingerprint != Some(self.served.fingerprint) {
            let installed = found
                .map_err(CertificateError::from)
                .and_then(|contents| self.place.install(&contents, now));
            match installed {
                Ok(served) => self.take_over(served),
                Err(error) => self.refuse(fingerprint, error),
            }
        }
        self.tell_of_the_end(now);
    }

    fn take_over(&mut self, served: Served) {
        self.metrics.certificate_reloaded(true);
        self.metrics.leaf_expires(served.validity.not_after);
        self.served = served;
        self.refused = None;
        self.told = None;
        tracing::info!(path = %self.place.files.certificate.display(), "certificate reloaded");
    }

    fn refuse(&mut self, fingerprint: Option<Fingerprint>, error: CertificateError) {
        let error = format!("{:#}", anyhow::Error::from(error));
        let refused = Some((fingerprint, error));
        if self.refused == refused {
            return;
        }
        self.metrics.certificate_reloaded(false);
        if let Some((_, error)) = &refused {
            tracing::error!(
                error,
                "certificate not reloaded; the last good one is still being served"
            );
        }
        self.refused = refused;
    }

    fn tell_of_the_end(&mut self, now: SystemTime) {
        let end = self.end_to_tell(now);
        let path = self.place.files.certificate.display();
        match end {
            None => {}
            Some(End::Near) => {
                let left = self.served.validity.not_after.duration_since(now);
                tracing::warn!(
                    %path,
                    hours_left = left.unwrap_or_default().as_secs() / 3600,
                    "the certificate that is being served expires soon, and its files hold no later one; renew it"
                );
            }
            Some(End::Over) => tracing::error!(
                %path,
                "the certificate that is being served has expired; API servers refuse it, and pods start without \
                 the agent; replace what is in the files"
            ),
        }
    }

    /// At once when it comes near and when it has come, then once a day.
    fn end_to_tell(&mut self, now: SystemTime) -> Option<End> {
        let validity = self.served.validity;
        let end = if validity.not_after < now {
            End::Over
        } else if validity.ending() <= now {
            End::Near
        } else {
            return None;
        };
        let is_told = self.told.is_some_and(|(when, told)| {
            // A clock that was put back may tell once more.
            told == end && now.duration_since(when).is_ok_and(|ago| ago < A_DAY)
        });
        if is_told {
            return None;
        }
        self.told = Some((now, end));
        Some(end)
    }
}

impl Place {
    fn install(&self, contents: &PemPair, now: SystemTime) -> Result<Served, CertificateError> {
        let leaf = self.files.check(contents, self.name.as_ref(), now)?;
        let validity = leaf.validity;
        self.identity
            .install(leaf)
            .map_err(|source| CertificateError::Pair {
                certificate: self.files.certificate.clone(),
                key: self.files.key.clone(),
                source,
            })?;
        Ok(Served {
            fingerprint: contents.fingerprint(),
            validity,
        })
    }
}

/// The files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One of them says why by itself.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Each is good, but not with the other.
    #[error(
        "{} cannot be served with {}; the key has to be that of the first certificate \
         (compare: openssl x509 -noout -pubkey -in {}; openssl pkey -pubout -in {})",
        certificate.display(), key.display(), certificate.display(), key.display()
    )]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// The kubelet itself takes up to a minute or two to bring a changed Secret; ten seconds more do not matter.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

const A_DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
