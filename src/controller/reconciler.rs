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

use super::coverage::Coverage;
use super::events::{EventReason, EventRecorder};
use crate::api::client::{Cluster, ConfigurationState, SecretChange};
use crate::api::request::ClusterError;
use crate::certs::state::{self, Action, Cause, Observed, Served};
use crate::certs::store::{BundleEntry, Contents, Retired, Stored, bundle_certificates};
use crate::certs::trust::{Trust, TrustLevel};
use crate::certs::{Authority, AuthorityCertificate, AuthorityError, Lifetimes};
use crate::controller::backoff::{Backoff, RateLimit};
use crate::metrics::Metrics;
use crate::probe::{self, Reachability};
use crate::server::readiness::{Condition, Readiness};
use crate::server::tls::{Identity, Presented, TlsError};
use crate::time::{jittered, now, rfc3339};

/// What a reconciler works with.
#[derive(Debug)]
pub struct Reconciler {
    cluster: Cluster,
    identity: Arc<Identity>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    recorder: EventRecorder,
    lifetimes: Lifetimes,
    coverage: Coverage,
    /// The Secret as it was last read, for as long as the API server cannot be asked.
    known: Option<Contents>,
    trust: Trust,
    /// No switch to another authority before this moment: the last one was refused by a client.
    held_until: Option<Instant>,
    /// What was last said about trust, so that it is said once.
    said: Option<String>,
    /// Since when the Secret has been gone.
    gone_since: Option<Instant>,
    /// The generation of the webhook configuration, and since when it is that.
    generation: Option<(i64, Instant)>,
    /// When it is to be touched.
    touch_at: Option<Instant>,
    /// The bundle that was last written, to know a repair from news.
    published: Option<String>,
    publishing: RateLimit,
    storing: RateLimit,
    holds: Backoff,
    proving: RateLimit,
    retries: Backoff,
    conflicts: Backoff,
}

impl Reconciler {
    /// One that has not read anything yet.
    pub fn new(
        cluster: Cluster,
        identity: Arc<Identity>,
        readiness: Arc<Readiness>,
        metrics: Arc<Metrics>,
        recorder: EventRecorder,
        lifetimes: Lifetimes,
        coverage: Coverage,
    ) -> Self {
        Self {
            cluster,
            identity,
            readiness,
            metrics,
            recorder,
            lifetimes,
            coverage,
            known: None,
            trust: Trust::default(),
            held_until: None,
            said: None,
            gone_since: None,
            generation: None,
            touch_at: None,
            published: None,
            publishing: RateLimit::of_repairs(),
            storing: RateLimit::of_repairs(),
            holds: Backoff::new(lifetimes.settle, LONGEST_HOLD, LONGEST_HOLD),
            proving: RateLimit::of_proofs(),
            retries: Backoff::of_retries(),
            conflicts: Backoff::of_conflicts(),
        }
    }

    /// Reconciles whenever `changed` says so, and once a minute in any case.
    pub async fn run(mut self, changed: Arc<Notify>) -> Infallible {
        loop {
            match Box::pin(self.reconcile()).await {
                // Elapsed, notified, or refused by a client: the same.
                Ok(Progress::Settled) => {
                    let wait = jittered(self.rest(now()));
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = changed.notified() => {}
                        () = self.identity.fallen_back() => {}
                    }
                }
                Ok(Progress::Deferred(wait)) => {
                    let wait = self.put_off(wait, now());
                    // Whoever is overwriting notifies us each time: reading must not become a storm either.
                    sleep(wait.min(DEFERRED)).await;
                    drop(timeout(wait.saturating_sub(DEFERRED), changed.notified()).await);
                }
                Ok(Progress::Wrote) => {}
                Err(ReconcileError::Cluster(ClusterError::Conflict(target))) => {
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

    /// How long nothing has to be looked at, if nothing changes. Short against everything that certificates wait for, and
    /// never past the end of the one that is being served.
    fn rest(&self, now: SystemTime) -> Duration {
        let presented = self.identity.current();
        let served = presented.as_ref().and_then(Presented::served);
        let ends = served.map(|served| served.validity.not_after);
        let left = ends.map(|end| end.duration_since(now).unwrap_or_default());
        let rest = REREAD
            .min(self.lifetimes.leaf / 12)
            .min(self.lifetimes.settle);
        let rest = left.map_or(rest, |left| rest.min(left + JUST_AFTER));
        let touch = self
            .touch_at
            .map(|at| at.saturating_duration_since(Instant::now()));
        touch.map_or(rest, |touch| rest.min(touch + JUST_AFTER))
    }

    /// How long a round waits that has put something off: no longer than one that had nothing to do, as a certificate may end
    /// meanwhile.
    fn put_off(&self, wait: Duration, now: SystemTime) -> Duration {
        wait.min(self.rest(now))
    }

    /// One round.
    async fn reconcile(&mut self) -> Result<Progress, ReconcileError> {
        let configuration = match self.cluster.own_configuration().await {
            // Without one there is nothing to publish to, but a leaf can be signed already.
            outcome @ (Ok(_) | Err(ClusterError::Missing(_) | ClusterError::Elsewhere(_))) => {
                outcome
            }
            Err(error) => return Err(error.into()),
        };
        let looked = Instant::now();
        if let Ok(found) = &configuration {
            let own_namespace = self.cluster.names().service.namespace();
            self.coverage.judge(own_namespace, &found.selecting);
        }
        let secret = match self.cluster.secret().await {
            Ok(secret) => {
                self.gone_since = None;
                Some(secret)
            }
            Err(ClusterError::Missing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let now = now();
        let stored = secret.as_ref().map_or(Stored::Missing, |secret| {
            Stored::read(&secret.data, &self.cluster.names().service)
        });
        if let Stored::Sound(contents) = &stored {
            self.learn(contents, now);
        }
        let entries = configuration
            .as_ref()
            .ok()
            .map(|found| found.entries.as_slice());
        let presented = self.look();
        let trust_levels = self.trust_levels(entries.unwrap_or_default(), looked);
        let actions = state::next(&Observed {
            stored: &stored,
            requested: secret.as_ref().is_some_and(|secret| secret.requested),
            known: self.known.as_ref(),
            entries,
            served: presented.as_ref().and_then(Presented::served),
            trust_levels: &trust_levels,
            held: self.held_until.is_some_and(|until| looked < until),
            lifetimes: self.lifetimes,
            now,
        });

        let version = secret.as_ref().map_or("", |secret| &secret.version);
        let entries = entries.unwrap_or_default();
        self.identity
            .keep_way_back_if(|before| is_way_back(before, entries, now));
        let mut progress = Progress::Settled;
        for action in actions {
            let came_to = match action {
                Action::Sign => self.sign(presented.as_ref(), entries, now)?,
                Action::Publish(names) => self.publish(configuration.as_ref().ok(), &names).await?,
                Action::Prove(authority) => self.prove(&authority).await,
                change => Box::pin(self.change_secret(version, change, now)).await?,
            };
            progress = progress.and(came_to);
        }
        if progress == Progress::Settled
            && let Ok(found) = &configuration
        {
            progress = self.touch(found, looked).await?;
        }
        self.judge(
            configuration.as_ref().map(|found| found.entries.as_slice()),
            now,
        );
        Ok(progress)
    }

    /// Takes note of what the Secret holds.
    fn learn(&mut self, contents: &Contents, now: SystemTime) {
        let validity = contents.authority.certificate().validity();
        self.metrics.authority_expires(validity.not_after);
        // Of an older authority others are ready, or nobody is, and then waiting helps nobody.
        let age = now.duration_since(validity.signed());
        if age.is_ok_and(|age| age > NEW_RELEASE) {
            self.readiness.set(Condition::Way, true);
        }
        self.known = Some(contents.clone());
    }

    /// Has API servers read the webhook configuration again, once it has come to rest.
    ///
    /// An API server compiles the entries when it first needs them, and keeps what comes of that until the next change. A
    /// change in the middle of it is lost: what was there before is kept (`getMutatingWebhookConfigurations` in
    /// `mutating_webhook_manager.go` of k8s.io/apiserver, as of 1.37). A caBundle that is wiped and repaired within
    /// milliseconds is just that, and without one more change the API server would never know of the repair.
    async fn touch(
        &mut self,
        found: &ConfigurationState,
        looked: Instant,
    ) -> Result<Progress, ReconcileError> {
        let Some(generation) = found.generation else {
            return Ok(Progress::Settled);
        };
        let since = match self.generation {
            Some((known, since)) if known == generation => since,
            _ => {
                self.generation = Some((generation, looked));
                looked
            }
        };
        self.touch_at = (found.touched != Some(generation)).then(|| since + AT_REST);
        if self.touch_at.is_none_or(|at| Instant::now() < at) {
            return Ok(Progress::Settled);
        }
        self.cluster.touch(&found.version, generation).await?;
        Ok(Progress::Wrote)
    }

    /// How all authorities stand that anything depends on.
    fn trust_levels(
        &mut self,
        entries: &[BundleEntry],
        looked: Instant,
    ) -> Vec<(AuthorityCertificate, TrustLevel)> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        self.trust.observe(entries, known.trusted(), looked);
        let settle = self.lifetimes.settle;
        known
            .trusted()
            .map(|each| (each.clone(), self.trust.trust_level(each, settle, looked)))
            .collect()
    }

    /// Whatever is to be written to the Secret.
    async fn change_secret(
        &mut self,
        version: &str,
        change: Action,
        now: SystemTime,
    ) -> Result<Progress, ReconcileError> {
        let is_repair = matches!(
            change,
            Action::Create | Action::Restore { .. } | Action::Replace { .. }
        );
        if is_repair && let Some(wait) = self.storing.wait(Instant::now()) {
            return Ok(Progress::Deferred(wait));
        }
        if matches!(change, Action::Create) {
            return self.create_secret().await;
        }
        let Some((contents, reason, note)) = self.contents_after(change, now)? else {
            return Ok(Progress::Settled);
        };
        let change = SecretChange {
            data: contents.to_data(),
            description: contents.describe(),
            // By a new key alone. What was promoted existed before the request, and may be what it is about.
            fulfils_request: matches!(
                reason,
                EventReason::AuthorityMade
                    | EventReason::AuthorityPrepared
                    | EventReason::AuthorityReplaced
            ),
        };
        // Times in it were right when it was decided. A process that was suspended in between has to decide again.
        if crate::time::now().duration_since(now).unwrap_or_default() > LONGEST_ROUND {
            return Ok(Progress::Wrote);
        }
        self.cluster.write_secret(version, change).await?;
        if reason == EventReason::AuthorityMade {
            // The one that all the others wait for.
            self.readiness.set(Condition::Way, true);
        }
        if is_repair {
            self.storing.used(Instant::now());
        }
        self.recorder.tell(reason, note);
        Ok(Progress::Wrote)
    }

    /// Makes the empty Secret, once it is certain that nobody else is about to.
    async fn create_secret(&mut self) -> Result<Progress, ReconcileError> {
        let since = *self.gone_since.get_or_insert_with(Instant::now);
        let wait = GONE_FOR_GOOD.saturating_sub(since.elapsed());
        if !wait.is_zero() {
            return Ok(Progress::Deferred(wait));
        }
        self.cluster.create_secret().await?;
        self.storing.used(Instant::now());
        let note = format!(
            "Secret {} was gone and has been created",
            self.cluster.names().secret
        );
        self.recorder.tell(EventReason::SecretCreated, note);
        Ok(Progress::Wrote)
    }

    /// What the Secret is to hold, and what to say of it; nothing where that is not about the Secret.
    fn contents_after(
        &self,
        change: Action,
        now: SystemTime,
    ) -> Result<Option<(Contents, EventReason, String)>, ReconcileError> {
        Ok(Some(match change {
            Action::Restore { contents, cause } => {
                let note = format!(
                    "the certificate authority was written back to the Secret, because {}; for another one, run \
                     `javelin cert rotate`",
                    because(&cause)
                );
                (contents, EventReason::AuthorityRestored, note)
            }
            Action::Replace {
                cause,
                previous,
                retired,
            } => self.replacement(&cause, previous, retired, now)?,
            Action::Adopt(contents) => {
                let note = "the authority of the certificate that is being served was missing in the Secret, and \
                            has been added";
                (contents, EventReason::AuthorityAdopted, note.to_owned())
            }
            Action::Prepare { contents, cause } => {
                let next = self.new_authority(now)?;
                let note = format!(
                    "a new certificate authority, {}, is being published, because {}; it signs once API servers \
                     trust it",
                    next.certificate().fingerprint(),
                    because(&cause)
                );
                let contents = Contents {
                    next: Some(next),
                    ..contents
                };
                (contents, EventReason::AuthorityPrepared, note)
            }
            Action::Promote(contents) => {
                let note = format!(
                    "certificate authority {} signs from now on, until {}",
                    contents.authority.certificate().fingerprint(),
                    rfc3339(contents.authority.certificate().validity().not_after)
                );
                (contents, EventReason::AuthorityPromoted, note)
            }
            Action::Prune(contents) => {
                let note = "certificate authorities that nothing comes from any more are no longer trusted";
                (contents, EventReason::AuthorityPruned, note.to_owned())
            }
            Action::Create | Action::Sign | Action::Publish(_) | Action::Prove(_) => {
                return Ok(None);
            }
        }))
    }

    /// A new authority that signs at once, since there is none that could.
    fn replacement(
        &self,
        cause: &Cause,
        previous: Vec<Retired>,
        retired: Vec<String>,
        now: SystemTime,
    ) -> Result<(Contents, EventReason, String), ReconcileError> {
        let authority = self.new_authority(now)?;
        let fingerprint = authority.certificate().fingerprint();
        let (reason, note) = if *cause == Cause::Empty && previous.is_empty() {
            let note = format!("certificate authority {fingerprint} made: the Secret was empty");
            (EventReason::AuthorityMade, note)
        } else {
            let note = format!(
                "certificate authority {fingerprint} made, because {}; {} earlier ones stay trusted",
                because(cause),
                previous.len()
            );
            (EventReason::AuthorityReplaced, note)
        };
        let contents = Contents {
            previous,
            retired,
            ..Contents::new(authority)
        };
        Ok((contents, reason, note))
    }

    fn new_authority(&self, now: SystemTime) -> Result<Authority, ReconcileError> {
        let name = &self.cluster.names().service;
        Authority::generate(name, self.lifetimes.authority, now).map_err(ReconcileError::Sign)
    }

    async fn publish(
        &mut self,
        configuration: Option<&ConfigurationState>,
        names: &[String],
    ) -> Result<Progress, ReconcileError> {
        // Both are there, or there would be nothing to publish.
        let (Some(configuration), Some(contents)) = (configuration, &self.known) else {
            return Ok(Progress::Settled);
        };
        let bundle = contents.bundle();
        let is_repair = self.published.as_ref() == Some(&bundle);
        if !is_repair {
            self.publishing = RateLimit::of_repairs();
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
        let entries = names.join(",");
        tracing::info!(entries, "caBundle written");
        if is_repair {
            let note = format!(
                "somebody had changed the caBundle of {} of MutatingWebhookConfiguration {}; it is as it was",
                names.join(", "),
                self.cluster.names().configuration
            );
            self.recorder.tell(EventReason::CaBundleRepaired, note);
        }
        Ok(Progress::Wrote)
    }

    /// Does a call of the API server come through, now that the bundles have settled?
    async fn prove(&mut self, authority: &AuthorityCertificate) -> Progress {
        // Rounds come more often, for other reasons.
        if let Some(wait) = self.proving.wait(Instant::now()) {
            return Progress::Deferred(wait);
        }
        let finding = probe::ask(&self.cluster).await;
        if finding == Reachability::Reached {
            self.trust.prove(authority);
            return Progress::Wrote;
        }
        tracing::warn!(
            result = finding.code(),
            said = finding.said().unwrap_or_default(),
            "no call comes through, so that the certificate authority is not exchanged yet"
        );
        let failed = Instant::now();
        self.proving.used(failed);
        self.proving
            .wait(failed)
            .map_or(Progress::Wrote, Progress::Deferred)
    }

    /// Signs a leaf with the authority that was last read, and serves it in place of what was `presented`.
    fn sign(
        &self,
        presented: Option<&Presented>,
        entries: &[BundleEntry],
        now: SystemTime,
    ) -> Result<Progress, ReconcileError> {
        let Some(contents) = &self.known else {
            return Ok(Progress::Settled);
        };
        let name = &self.cluster.names().service;
        let leaf = contents
            .authority
            .sign_leaf(name, self.lifetimes.leaf, now)
            .map_err(ReconcileError::Sign)?;
        let validity = leaf.validity;
        let issuer = contents.authority.certificate().clone();
        let is_switch = |before: &Served| {
            before.issuer != issuer && !before.is_ending(now) && is_way_back(before, entries, now)
        };
        let before = presented.and_then(Presented::served);
        let way_back = before.is_some_and(is_switch);
        // Of what is left, not of the whole: notBefore lies in the past.
        let renew_in = validity.not_after.duration_since(now).unwrap_or_default() * 2 / 3;
        let served = Served {
            issuer: issuer.clone(),
            validity,
            renew_at: now + jittered(renew_in),
        };
        let is_served = self
            .identity
            .replace(presented, leaf, served, way_back)
            .map_err(ReconcileError::Install)?;
        if !is_served {
            // A client has refused what this was decided about.
            return Ok(Progress::Wrote);
        }
        tracing::info!(
            renew_in_seconds = renew_in.as_secs(),
            authority = issuer.fingerprint(),
            "certificate signed"
        );
        self.metrics.leaf_comes_from(issuer.fingerprint());
        self.metrics.certificates_signed.inc();
        self.metrics.leaf_expires(validity.not_after);
        self.readiness.set(Condition::Certificate, true);
        Ok(Progress::Settled)
    }

    /// What is being served. If that is so because a client refused what came after it, takes note of that.
    fn look(&mut self) -> Option<Presented> {
        let serving = self.identity.look();
        let served = serving.current().and_then(Presented::served);
        if let Some(refused) = serving.refused().and_then(Presented::served) {
            let hold = self.holds.next(Instant::now());
            self.held_until = Some(Instant::now() + hold);
            self.trust.forget(&refused.issuer);
            if let Some(served) = served {
                self.metrics.leaf_expires(served.validity.not_after);
                self.metrics.leaf_comes_from(served.issuer.fingerprint());
            }
            let note = format!(
                "a client did not trust the certificate of authority {}; the one before it is served again, and the \
                 next try is in {} s",
                refused.issuer.fingerprint(),
                hold.as_secs()
            );
            self.recorder.tell(EventReason::CertificateRefused, note);
        }
        serving.current().cloned()
    }

    /// The Secret cannot be read: goes on with what is known of it.
    fn renew_from_memory(&mut self, now: SystemTime) {
        let presented = self.look();
        let served = presented.as_ref().and_then(Presented::served);
        if served.is_none_or(|served| now < served.renew_at) {
            return;
        }
        if let Err(error) = self.sign(presented.as_ref(), &[], now) {
            tracing::error!(%error, "the certificate could not be renewed");
        }
    }

    /// Is what we serve trusted by every entry that calls us? Says so, when that has changed.
    fn judge(&mut self, entries: Result<&[BundleEntry], &ClusterError>, now: SystemTime) {
        let verdicts: Vec<_> = entries
            .iter()
            .copied()
            .flatten()
            .map(|entry| self.is_trusted_by(entry, now))
            .collect();
        let trusting = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
        self.metrics
            .webhook_entries_are(trusting, verdicts.len() - trusting);
        let verdict = match entries {
            Err(error) => Err(error.to_string()),
            Ok([]) => Err(format!(
                "no entry of MutatingWebhookConfiguration {} calls Service {}",
                self.cluster.names().configuration,
                self.cluster.names().service,
            )),
            Ok(_) => verdicts.into_iter().collect(),
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

    fn is_trusted_by(&self, entry: &BundleEntry, now: SystemTime) -> Result<(), String> {
        let bundle = bundle_certificates(&entry.bundle).unwrap_or_default();
        self.identity
            .verify(&bundle, &self.cluster.names().service, now)
            .map_err(|error| format!("entry {}: {error}", entry.name))
    }
}

/// May `before` come back, if a client refuses what follows it? Not if nobody would accept it either.
fn is_way_back(before: &Served, entries: &[BundleEntry], now: SystemTime) -> bool {
    let mut entries = entries.iter();
    before.validity.contains(now) && entries.all(|entry| entry.authorities.contains(&before.issuer))
}

fn because(cause: &Cause) -> String {
    match cause {
        Cause::Empty => "the Secret was empty".to_owned(),
        Cause::Damaged(error) => format!("what was in the Secret cannot be used ({error})"),
        Cause::Old => "two thirds of the life of the one before it are over".to_owned(),
        Cause::Expired => "the one before it has expired".to_owned(),
        Cause::Requested => "somebody asked for it".to_owned(),
    }
}

/// What a round has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing is left to do.
    Settled,
    /// Something is left to do, but it was done only just now: somebody else keeps undoing it.
    Deferred(Duration),
    /// The Secret or the webhook configuration was written, or something else has changed: read again.
    Wrote,
}

impl Progress {
    /// Both: whatever is due first.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wrote, _) | (_, Self::Wrote) => Self::Wrote,
            (Self::Deferred(one), Self::Deferred(another)) => Self::Deferred(one.min(another)),
            (Self::Deferred(wait), Self::Settled) | (Self::Settled, Self::Deferred(wait)) => {
                Self::Deferred(wait)
            }
            (Self::Settled, Self::Settled) => Self::Settled,
        }
    }
}

/// A round failed.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
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

/// Wakes when a certificate has ended, and not just before.
const JUST_AFTER: Duration = Duration::from_millis(50);

/// From reading to writing; each request has a limit far below.
const LONGEST_ROUND: Duration = Duration::from_mins(5);

/// So young is the authority of a release that is just being installed. Whoever starts later finds its maker ready, or finds
/// nobody.
const NEW_RELEASE: Duration = Duration::from_secs(20);

/// Between two attempts to switch, while clients keep refusing.
const LONGEST_HOLD: Duration = Duration::from_hours(1);

/// Whoever deletes the whole release may take the Secret away first, and one that is created then would be in the way of
/// the next installation. Nothing is lost meanwhile: the authority is known.
const GONE_FOR_GOOD: Duration = Duration::from_secs(5);

/// After the last change of the webhook configuration: an API server has long compiled it by then, or has what is wrong.
const AT_REST: Duration = Duration::from_secs(3);

/// While a repair has to wait, at least this long between two rounds.
const DEFERRED: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
