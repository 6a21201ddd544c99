//! Keeps certificates in order: reads, asks [`certs::state`](crate::certs::state) what to do, does it, reads
//! again.
//!
//! Invariants:
//! - The webhook configuration is read *before* the Secret. If another replica changes the Secret and publishes
//!   in between, our own publication names a stale version and is refused; a bundle of an older Secret cannot
//!   overwrite a newer one's for good.
//! - Nothing is written that is right already, and what others keep overwriting is repaired more and more
//!   slowly.
//! - Without an API server, the last known authority goes on signing leaves; nothing that works is taken away.
//!
//! Deliberately not here: the decisions, and the requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::client::{Cluster, ClusterError, ConfigurationState};
use super::coverage::Coverage;
use super::pace::{Pace, Throttle};
use crate::certs::state::{self, Action, Cause, Entry, Observed, Served};
use crate::certs::store::{Contents, Stored, bundle_certificates};
use crate::certs::{Authority, AuthorityCertificate, AuthorityError, Lifetimes};
use crate::metrics::Metrics;
use crate::server::readiness::{Condition, Readiness};
use crate::server::tls::{Identity, TlsError};
use crate::time::{jittered, now};

/// What the keeper works with.
#[derive(Debug)]
pub struct Keeper {
    cluster: Cluster,
    identity: Arc<Identity>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    lifetimes: Lifetimes,
    coverage: Coverage,
    /// The Secret as it was last read, for as long as the API server cannot be asked.
    known: Option<Contents>,
    served: Option<Served>,
    /// What was last said about trust, so that it is said once.
    said: Option<String>,
    /// The bundle that was last written, to know a repair from news.
    published: Option<String>,
    publishing: Throttle,
    storing: Throttle,
    retries: Pace,
    conflicts: Pace,
}

impl Keeper {
    /// One that has not read anything yet.
    pub fn new(
        cluster: Cluster,
        identity: Arc<Identity>,
        readiness: Arc<Readiness>,
        metrics: Arc<Metrics>,
        lifetimes: Lifetimes,
        coverage: Coverage,
    ) -> Self {
        Self {
            cluster,
            identity,
            readiness,
            metrics,
            lifetimes,
            coverage,
            known: None,
            served: None,
            said: None,
            published: None,
            publishing: Throttle::of_repairs(),
            storing: Throttle::of_repairs(),
            retries: Pace::of_retries(),
            conflicts: Pace::of_conflicts(),
        }
    }

    /// Reconciles whenever `changed` says so, and once a minute in any case.
    pub async fn run(mut self, changed: Arc<Notify>) -> Infallible {
        loop {
            match Box::pin(self.reconcile()).await {
                // Elapsed or notified: the same.
                Ok(Progress::Settled) => drop(timeout(jittered(REREAD), changed.notified()).await),
                Ok(Progress::Deferred(wait)) => {
                    // Whoever is overwriting notifies us each time: reading must not become a storm either.
                    sleep(wait.min(DEFERRED)).await;
                    drop(timeout(wait.saturating_sub(DEFERRED), changed.notified()).await);
                }
                Ok(Progress::Wrote) => {}
                Err(KeeperError::Cluster(ClusterError::Conflict(target))) => {
                    tracing::debug!(object = %target, "another replica was first; reading again");
                    sleep(self.conflicts.next(Instant::now())).await;
                }
                Err(error) => {
                    self.renew_from_memory(now());
                    let delay = self.retries.next(Instant::now());
                    let error = anyhow::Error::from(error);
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "certificates cannot be looked after; trying again"
                    );
                    drop(timeout(delay, changed.notified()).await);
                }
            }
        }
    }

    /// One round.
    async fn reconcile(&mut self) -> Result<Progress, KeeperError> {
        let configuration = match self.cluster.configuration().await {
            // Without one there is nothing to publish to, but a leaf can be signed already.
            outcome @ (Ok(_) | Err(ClusterError::Missing(_))) => outcome,
            Err(error) => return Err(error.into()),
        };
        if let Ok(found) = &configuration {
            self.coverage.judge(&found.profiles);
        }
        let secret = self.cluster.secret().await?;
        let now = now();
        let stored = Stored::read(&secret.data, &self.cluster.names().service);
        if let Stored::Sound(contents) = &stored {
            self.metrics
                .authority_expires(contents.authority.certificate().validity().not_after);
            self.known = Some(contents.clone());
        }

        let entries = configuration
            .as_ref()
            .map_or(&[][..], |found| &found.entries);
        let mut progress = Progress::Settled;
        let actions = state::next(&Observed {
            stored: &stored,
            entries,
            served: self.served.as_ref(),
            now,
        });
        for action in actions {
            match action {
                Action::Replace { cause, previous } => {
                    return self
                        .replace_authority(&secret.version, &cause, previous, now)
                        .await;
                }
                Action::Prune(contents) => {
                    self.cluster
                        .write_secret(&secret.version, contents.to_data())
                        .await?;
                    tracing::info!("expired certificate authorities removed from the Secret");
                    return Ok(Progress::Wrote);
                }
                Action::Sign => self.sign(now)?,
                Action::Publish(names) => {
                    progress = self.publish(configuration.as_ref().ok(), &names).await?;
                }
            }
        }
        self.judge(
            configuration.as_ref().map(|found| found.entries.as_slice()),
            now,
        );
        Ok(progress)
    }

    async fn replace_authority(
        &mut self,
        version: &str,
        cause: &Cause,
        previous: Vec<AuthorityCertificate>,
        now: SystemTime,
    ) -> Result<Progress, KeeperError> {
        if let Some(wait) = self.storing.wait(Instant::now()) {
            return Ok(Progress::Deferred(wait));
        }
        let name = &self.cluster.names().service;
        let authority =
            Authority::generate(name, self.lifetimes.authority, now).map_err(KeeperError::Sign)?;
        let kept = previous.len();
        let contents = Contents {
            authority,
            previous,
        };
        self.cluster
            .write_secret(version, contents.to_data())
            .await?;
        self.storing.used(Instant::now());
        match cause {
            Cause::Empty => tracing::info!("certificate authority made: the Secret was empty"),
            Cause::Old => tracing::info!(
                kept,
                "certificate authority replaced: two thirds of its life were over"
            ),
            Cause::Damaged(error) => {
                tracing::warn!(
                    error,
                    kept,
                    "certificate authority replaced: the one in the Secret could not be used"
                );
            }
        }
        Ok(Progress::Wrote)
    }

    async fn publish(
        &mut self,
        configuration: Option<&ConfigurationState>,
        names: &[String],
    ) -> Result<Progress, KeeperError> {
        // Both are there, or there would be nothing to publish.
        let (Some(configuration), Some(contents)) = (configuration, &self.known) else {
            return Ok(Progress::Settled);
        };
        let bundle = contents.bundle();
        if self.published.as_ref() != Some(&bundle) {
            self.publishing = Throttle::of_repairs();
        }
        if let Some(wait) = self.publishing.wait(Instant::now()) {
            return Ok(Progress::Deferred(wait));
        }
        self.cluster
            .write_bundle(&configuration.version, names, &bundle)
            .await?;
        self.publishing.used(Instant::now());
        self.published = Some(bundle);
        self.metrics.ca_bundle_writes.inc_by(names.len() as u64);
        tracing::info!(entries = names.join(","), "caBundle written");
        Ok(Progress::Wrote)
    }

    /// Signs a leaf with the authority that was last read, and serves it.
    fn sign(&mut self, now: SystemTime) -> Result<(), KeeperError> {
        let Some(contents) = &self.known else {
            return Ok(());
        };
        let name = &self.cluster.names().service;
        let leaf = contents
            .authority
            .sign_leaf(name, self.lifetimes.leaf, now)
            .map_err(KeeperError::Sign)?;
        let validity = leaf.validity;
        self.identity.install(leaf).map_err(KeeperError::Install)?;
        // Of what is left, not of the whole: notBefore lies in the past.
        let renew_in = validity.not_after.duration_since(now).unwrap_or_default() * 2 / 3;
        let issuer = contents.authority.certificate().clone();
        self.served = Some(Served {
            issuer,
            validity,
            renew_at: now + jittered(renew_in),
        });
        self.metrics.leaf_expires(validity.not_after);
        self.readiness.set(Condition::Certificate, true);
        tracing::info!(renew_in_seconds = renew_in.as_secs(), "certificate signed");
        Ok(())
    }

    /// The Secret cannot be read: goes on with what is known of it.
    fn renew_from_memory(&mut self, now: SystemTime) {
        if self
            .served
            .as_ref()
            .is_some_and(|served| served.renew_at <= now)
            && let Err(error) = self.sign(now)
        {
            tracing::error!(%error, "the certificate could not be renewed");
        }
    }

    /// Is what we serve trusted by every entry that calls us? Says so, when that has changed.
    fn judge(&mut self, entries: Result<&[Entry], &ClusterError>, now: SystemTime) {
        let verdict = match entries {
            Err(error) => Err(error.to_string()),
            Ok([]) => Err(format!(
                "no entry of MutatingWebhookConfiguration {} calls Service {}",
                self.cluster.names().configuration,
                self.cluster.names().service,
            )),
            Ok(entries) => entries
                .iter()
                .try_for_each(|entry| self.is_trusted_by(entry, now)),
        };
        self.readiness.set(Condition::Trusted, verdict.is_ok());
        let sentence = match verdict {
            Ok(()) => "every webhook entry trusts the certificate".to_owned(),
            Err(why) => why,
        };
        if self.said.as_ref() != Some(&sentence) {
            tracing::info!(verdict = sentence, "trust");
            self.said = Some(sentence);
        }
    }

    fn is_trusted_by(&self, entry: &Entry, now: SystemTime) -> Result<(), String> {
        let bundle = bundle_certificates(&entry.bundle).unwrap_or_default();
        self.identity
            .verify(&bundle, &self.cluster.names().service, now)
            .map_err(|error| format!("entry {}: {error}", entry.name))
    }
}

/// What a round has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing is left to do.
    Settled,
    /// Something is left to do, but it was done only just now: somebody else keeps undoing it.
    Deferred(Duration),
    /// The Secret or the webhook configuration was written: read again.
    Wrote,
}

/// A round failed.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("a certificate could not be signed")]
    Sign(#[source] AuthorityError),
    #[error("the signed certificate could not be installed")]
    Install(#[source] TlsError),
}

/// For what a watch has missed, and for the wall clock: timers stand still while a machine is suspended, so a
/// renewal is never left to one alone.
const REREAD: Duration = Duration::from_mins(1);

/// While a repair has to wait, at least this long between two rounds.
const DEFERRED: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
