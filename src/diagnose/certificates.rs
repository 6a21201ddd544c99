//! What is served, who trusts it, what happens next and what is wrong, for a person or a job that looks:
//! `javelin cert`.
//!
//! One pure function of what was read, as [`state`](crate::certs::state) is. What it says about the next step is what
//! [`state::next`](crate::certs::state::next) will do; only the standing of authorities, which each replica keeps for itself,
//! cannot be seen from outside.
//!
//! Invariant: nothing in a [`CertificateReport`] comes from a private key.
//!
//! Deliberately not here: reading it from the cluster, and how it looks on a terminal (`cli::cert`).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use serde::{Serialize, Serializer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::certs::authority::fingerprint;
use crate::certs::state::MOST_RETIRED;
use crate::certs::store::{BundleEntry, Contents, Stored, bundle_certificates};
use crate::certs::{AuthorityCertificate, Validity};
use crate::metrics::served::{Issuer, ReplicaCertificate};
use crate::time::rfc3339;

/// What was read.
#[derive(Debug)]
pub struct CertificateFacts<'a> {
    /// The Service's name, as certificates have it.
    pub service: String,
    /// The Secret's name, with its namespace.
    pub secret_name: String,
    /// The webhook configuration's name.
    pub configuration_name: String,
    /// The Secret.
    pub stored: &'a Stored,
    /// Does it carry somebody's request to replace the authority?
    pub requested: bool,
    /// The entries that call our Service; `None` if there is no webhook configuration.
    pub entries: Option<&'a [BundleEntry]>,
    /// The Service's pods, or why they could not be asked.
    pub replicas: Result<&'a [ReplicaFacts], &'a str>,
    /// What ends within so many days is a problem.
    pub min_days: Option<u32>,
    /// The time of day.
    pub now: SystemTime,
}

/// A pod of the Service.
#[derive(Debug, Clone)]
pub struct ReplicaFacts {
    /// Its name.
    pub pod: String,
    /// Does the Service send calls to it?
    pub ready: bool,
    /// What it tells of its certificate, or why it could not be asked.
    pub told: Result<ReplicaCertificate, String>,
}

/// All of it, judged.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateReport {
    /// When.
    pub time: Moment,
    /// The name that certificates are for.
    pub service: String,
    /// The Secret.
    pub secret: SecretReport,
    /// The name of the webhook configuration.
    pub webhook_configuration: String,
    /// Its entries that call the Service.
    pub entries: Vec<EntryReport>,
    /// The Service's pods.
    pub replicas: Vec<ReplicaReport>,
    /// Why `replicas` is empty, if they could not be asked.
    pub replicas_unknown: Option<String>,
    /// What happens next, soonest first.
    pub next: Vec<RotationStep>,
    /// What is wrong: one sentence each.
    pub problems: Vec<String>,
}

/// The Secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretReport {
    /// `namespace/name`.
    pub name: String,
    /// Of what use it is.
    pub state: State,
    /// The same in a sentence.
    pub description: String,
    /// Has somebody asked for another authority?
    pub rotation_requested: bool,
    /// The one that signs first.
    pub authorities: Vec<AuthorityReport>,
}

/// Of what use the Secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is none.
    Missing,
    /// There is nothing in it.
    Empty,
    /// All of it can be used.
    Sound,
    /// Some of it cannot.
    Damaged,
}

/// An authority of the Secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityReport {
    /// Tells it from others.
    pub fingerprint: String,
    /// What it is there for.
    pub role: Role,
    /// The first moment.
    pub not_before: Moment,
    /// The last moment.
    pub not_after: Moment,
    /// Until when it stays in the bundle; in the ordinary way it is replaced before that.
    pub trusted_until: Moment,
}

/// What an authority is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Signs leaves.
    Signing,
    /// Will sign them.
    Next,
    /// Signed them, and some may still be served.
    Previous,
    /// Lies in a damaged Secret and is of no use by itself.
    Stray,
}

/// An entry of the webhook configuration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryReport {
    /// Its name.
    pub name: String,
    /// Fingerprints of the certificates in its caBundle; `null` if that is not PEM.
    pub authorities: Option<Vec<String>>,
    /// Is that the Secret's bundle? `null` without one.
    pub equals_secret: Option<bool>,
    /// What the Secret's bundle has beyond that.
    pub missing: Vec<String>,
    /// What it has beyond the Secret's bundle.
    pub foreign: Vec<String>,
    /// When the last of the certificates ends.
    pub ends: Option<Moment>,
}

impl EntryReport {
    fn has(&self, authority: &str) -> bool {
        let mut authorities = self.authorities.iter().flatten();
        authorities.any(|each| each == authority)
    }
}

/// A pod of the Service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaReport {
    /// Its name.
    pub pod: String,
    /// Does the Service send calls to it?
    pub ready: bool,
    /// Fingerprint of the authority that its certificate comes from; `null` if that is not known.
    pub issuer: Option<String>,
    /// When its certificate ends; `null` if that is not known.
    pub not_after: Option<Moment>,
    /// Why something is not known.
    pub note: Option<String>,
}

/// Something that will happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RotationStep {
    /// When; `null` for what is under way.
    pub from: Option<Moment>,
    /// What, in a sentence.
    pub what: String,
}

/// A point in time, which JSON has in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub SystemTime);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

impl CertificateReport {
    /// Judges what was read.
    pub fn of(facts: &CertificateFacts<'_>) -> Self {
        let entries = facts.entries.unwrap_or_default().iter();
        let entries: Vec<_> = entries.map(|entry| facts.entry(entry)).collect();
        let replicas = facts.replicas.unwrap_or_default().iter();
        Self {
            time: Moment(facts.now),
            service: facts.service.clone(),
            secret: facts.secret(),
            webhook_configuration: facts.configuration_name.clone(),
            next: facts.next(&entries),
            problems: facts.problems(&entries),
            entries,
            replicas: replicas.map(replica).collect(),
            replicas_unknown: facts.replicas.err().map(str::to_owned),
        }
    }
}

/// How far a rotation has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotation {
    /// There is something to wait for, as the sentence says.
    Waiting(String),
    /// This authority signs, and every replica that tells serves a certificate of it.
    Done(String),
}

impl Rotation {
    /// How far has that one come which replaces the authority `before`?
    pub fn of(before: &str, facts: &CertificateFacts<'_>) -> Self {
        let Stored::Sound(contents) = facts.stored else {
            return Self::Waiting("the Secret cannot be used; a replica repairs it".to_owned());
        };
        let signing = contents.authority.certificate().fingerprint();
        if contents.next.is_some() || signing == before {
            return Self::Waiting(facts.rotation(contents));
        }
        let late: Vec<_> = facts
            .of_other_issuers(&signing)
            .map(|(pod, _)| pod)
            .collect();
        if !late.is_empty() {
            let late = late.join(", ");
            return Self::Waiting(format!(
                "authority {signing} signs; not yet changed to it: {late}"
            ));
        }
        if facts.replicas.is_ok() && facts.told().next().is_none() {
            return Self::Waiting(format!("authority {signing} signs; no replica is ready"));
        }
        Self::Done(signing)
    }
}

impl<'a> CertificateFacts<'a> {
    /// What can be used of the Secret.
    fn contents(&self) -> Option<&'a Contents> {
        match self.stored {
            Stored::Sound(contents) => Some(contents),
            Stored::Damaged { usable, .. } => usable.as_ref(),
            Stored::Missing | Stored::Empty => None,
        }
    }

    /// What the replicas tell that are called.
    fn told(&self) -> impl Iterator<Item = (&'a str, &'a ReplicaCertificate)> {
        let replicas = self.replicas.unwrap_or_default().iter();
        replicas
            .filter(|replica| replica.ready)
            .filter_map(|replica| Some((replica.pod.as_str(), replica.told.as_ref().ok()?)))
    }

    /// Those among them whose certificate comes from another of our authorities than `signing`, and from which.
    fn of_other_issuers(&self, signing: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.told()
            .filter_map(move |(pod, told)| match &told.issuer {
                Issuer::Authority(issuer) if issuer != signing => Some((pod, issuer.as_str())),
                _ => None,
            })
    }

    fn secret(&self) -> SecretReport {
        let (state, description) = match self.stored {
            Stored::Missing => (State::Missing, "it does not exist".to_owned()),
            Stored::Empty => (State::Empty, "it holds no authority yet".to_owned()),
            Stored::Sound(contents) => (State::Sound, contents.describe()),
            Stored::Damaged { error, .. } => {
                let description = format!("what it holds cannot be used: {error}");
                (State::Damaged, description)
            }
        };
        let mut authorities: Vec<_> = self.contents().map(authorities).unwrap_or_default();
        if let Stored::Damaged { kept, .. } = self.stored {
            for each in kept {
                let fingerprint = each.fingerprint();
                if authorities
                    .iter()
                    .all(|other| other.fingerprint != fingerprint)
                {
                    authorities.push(authority(each, Role::Stray, each.validity().not_after));
                }
            }
        }
        SecretReport {
            name: self.secret_name.clone(),
            state,
            description,
            rotation_requested: self.requested,
            authorities,
        }
    }

    fn entry(&self, entry: &BundleEntry) -> EntryReport {
        let found = bundle_certificates(&entry.bundle)
            .filter(|found| entry.bundle.is_empty() || !found.is_empty());
        let wanted: Vec<_> = self
            .contents()
            .map(|contents| contents.trusted().map(AuthorityCertificate::fingerprint))
            .into_iter()
            .flatten()
            .collect();
        let of_bundle = found
            .as_ref()
            .map(|found| found.iter().map(fingerprint).collect::<Vec<_>>());
        let has = |list: &[String], one: &String| list.contains(one);
        let present = of_bundle.as_deref().unwrap_or_default();
        EntryReport {
            name: entry.name.clone(),
            equals_secret: self
                .contents()
                .map(|contents| contents.is_bundle(&entry.bundle)),
            missing: wanted
                .iter()
                .filter(|one| !has(present, one))
                .cloned()
                .collect(),
            foreign: present
                .iter()
                .filter(|one| !has(&wanted, one))
                .cloned()
                .collect(),
            ends: found.iter().flatten().filter_map(end).max().map(Moment),
            authorities: of_bundle,
        }
    }

    fn next(&self, entries: &[EntryReport]) -> Vec<RotationStep> {
        let soon = |what: String| RotationStep { from: None, what };
        let contents = match self.stored {
            Stored::Sound(contents) => contents,
            Stored::Missing => return Vec::new(),
            Stored::Empty => return vec![soon("a replica makes an authority".to_owned())],
            Stored::Damaged { .. } => return vec![soon("a replica repairs the Secret".to_owned())],
        };
        let signing = contents.authority.certificate();
        let due = signing.validity().two_thirds();
        let mut steps = Vec::new();
        if contents.next.is_some() || self.requested || due <= self.now {
            steps.push(soon(self.rotation(contents)));
        } else {
            steps.push(RotationStep {
                from: Some(Moment(due)),
                what: format!("a successor of {} is made", signing.fingerprint()),
            });
        }
        let stale = entries
            .iter()
            .filter(|entry| entry.equals_secret == Some(false));
        if contents.next.is_none() && stale.clone().next().is_some() {
            let names: Vec<_> = stale.map(|entry| entry.name.as_str()).collect();
            let names = names.join(", ");
            steps.push(soon(format!(
                "a replica writes the Secret's bundle to {names}"
            )));
        }
        for (pod, issuer) in self.of_other_issuers(&signing.fingerprint()) {
            steps.push(soon(format!(
                "{pod} changes from authority {issuer}, once the one that signs is proven"
            )));
        }
        for each in &contents.previous {
            steps.push(RotationStep {
                from: Some(Moment(each.until)),
                what: format!(
                    "{}, which no longer signs, is removed",
                    each.certificate.fingerprint()
                ),
            });
        }
        steps.sort_by_key(|step| step.from);
        steps
    }

    /// What the rotation that is asked for, due or under way waits for.
    fn rotation(&self, contents: &Contents) -> String {
        let signing = contents.authority.certificate().fingerprint();
        let Some(next) = &contents.next else {
            if contents.previous.len() >= MOST_RETIRED {
                let first = contents.previous.iter().map(|each| each.until).min();
                return format!(
                    "a successor of {signing} has to wait: {} predecessors are still trusted, the first of them \
                     until {}",
                    contents.previous.len(),
                    first.map(rfc3339).unwrap_or_default()
                );
            }
            return format!("a replica makes a successor of {signing}");
        };
        let entries = self.entries.unwrap_or_default();
        let successor = next.certificate();
        let with = |entry: &&BundleEntry| entry.authorities.contains(successor);
        let (have, all) = (entries.iter().filter(with).count(), entries.len());
        let successor = successor.fingerprint();
        if self.requested {
            return format!(
                "a replica makes another successor of {signing} in place of {successor}"
            );
        }
        if have < all {
            return format!(
                "the successor {successor} is being published: {have} of {all} entries have it"
            );
        }
        format!(
            "the successor {successor} is in every caBundle; it signs after the settle time (2m by default) and a \
             call that comes through"
        )
    }

    fn problems(&self, entries: &[EntryReport]) -> Vec<String> {
        let mut problems = Vec::from_iter(self.problem_of_secret());
        let configuration = &self.configuration_name;
        match self.entries {
            None => problems.push(format!(
                "MutatingWebhookConfiguration {configuration} does not exist, so nothing calls Javelin"
            )),
            Some([]) => problems.push(format!(
                "no entry of MutatingWebhookConfiguration {configuration} calls Service {}",
                self.service
            )),
            Some(_) => problems.extend(self.problems_of_trust(entries)),
        }
        problems.extend(self.problems_of_replicas());
        problems
    }

    fn problem_of_secret(&self) -> Option<String> {
        let secret = &self.secret_name;
        let contents = match self.stored {
            // As it should be with a certificate of one's own; whoever else is without says so elsewhere.
            Stored::Missing => return None,
            Stored::Empty => return Some(format!("Secret {secret} holds no authority yet")),
            Stored::Damaged { error, .. } => {
                return Some(format!(
                    "Secret {secret}: what it holds cannot be used: {error}"
                ));
            }
            Stored::Sound(contents) => contents,
        };
        let signing = contents.authority.certificate();
        let (fingerprint, ends) = (signing.fingerprint(), signing.validity().not_after);
        let when = rfc3339(ends);
        if ends < self.now {
            return Some(format!(
                "authority {fingerprint}, which signs, expired at {when}"
            ));
        }
        let next = contents.next.as_ref();
        let ends = next.map_or(ends, |next| {
            next.certificate().validity().not_after.max(ends)
        });
        let is_late = next.is_none() && signing.validity().ending() <= self.now;
        (is_late || self.is_near(ends)).then(|| {
            let next = if next.is_some() {
                "its successor also expires soon"
            } else {
                "it has no successor yet"
            };
            format!("authority {fingerprint}, which signs, expires at {when}, and {next}")
        })
    }

    /// Whoever serves, and whoever may do so in a moment, has to be trusted by every entry.
    fn problems_of_trust(&self, entries: &[EntryReport]) -> Vec<String> {
        let mut needed: BTreeMap<String, String> = BTreeMap::new();
        let is_files = self.told().any(|(_, told)| told.issuer == Issuer::Files);
        if let Some(contents) = self.contents().filter(|_| !is_files) {
            let signing = contents.authority.certificate().fingerprint();
            needed.insert(signing, "which signs".to_owned());
        }
        for (pod, told) in self.told() {
            if let Issuer::Authority(issuer) = &told.issuer {
                let serves = || format!("from which {pod} has its certificate");
                needed.entry(issuer.clone()).or_insert_with(serves);
            }
        }
        let mut problems = Vec::new();
        for (authority, why) in needed {
            let without: Vec<_> = entries
                .iter()
                .filter(|entry| !entry.has(&authority))
                .map(|entry| entry.name.as_str())
                .collect();
            if !without.is_empty() {
                let without = without.join(", ");
                problems.push(format!(
                    "{without}: authority {authority}, {why}, is not trusted"
                ));
            }
        }
        // Ours are judged by the Secret. Without a caBundle it is the API servers' own authorities that count.
        if self.contents().is_none() {
            for entry in entries {
                if let Some(Moment(ends)) = entry.ends.filter(|Moment(ends)| self.is_over(*ends)) {
                    let (name, ends) = (&entry.name, rfc3339(ends));
                    problems.push(format!(
                        "{name}: the last certificate of its caBundle expires at {ends}"
                    ));
                }
            }
        }
        problems
    }

    fn problems_of_replicas(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (pod, told) in self.told() {
            let Some(ends) = told.ends else {
                problems.push(format!("{pod} has no certificate"));
                continue;
            };
            // A leaf of ours is renewed long before, however short its life is.
            let is_near = told.issuer == Issuer::Files && self.is_near(ends);
            if ends < self.now || is_near {
                let ends = rfc3339(ends);
                problems.push(format!("{pod} serves a certificate that expires at {ends}"));
            }
        }
        let is_ready = |replica: &ReplicaFacts| replica.ready;
        if self
            .replicas
            .is_ok_and(|replicas| !replicas.iter().any(is_ready))
        {
            problems.push(format!("no pod of Service {} is ready", self.service));
        }
        problems
    }

    fn is_over(&self, ends: SystemTime) -> bool {
        ends < self.now || self.is_near(ends)
    }

    fn is_near(&self, ends: SystemTime) -> bool {
        let days = self.min_days.map(|days| DAY * days);
        days.is_some_and(|days| ends < self.now + days)
    }
}

fn authorities(contents: &Contents) -> Vec<AuthorityReport> {
    let signing = contents.authority.certificate();
    let ends = |each: &AuthorityCertificate| each.validity().not_after;
    let mut all = vec![authority(signing, Role::Signing, ends(signing))];
    if let Some(next) = &contents.next {
        let next = next.certificate();
        all.push(authority(next, Role::Next, ends(next)));
    }
    let previous = contents.previous.iter();
    all.extend(previous.map(|each| authority(&each.certificate, Role::Previous, each.until)));
    all
}

fn authority(
    certificate: &AuthorityCertificate,
    role: Role,
    trusted_until: SystemTime,
) -> AuthorityReport {
    let Validity {
        not_before,
        not_after,
    } = certificate.validity();
    AuthorityReport {
        fingerprint: certificate.fingerprint(),
        role,
        not_before: Moment(not_before),
        not_after: Moment(not_after),
        trusted_until: Moment(trusted_until),
    }
}

fn replica(replica: &ReplicaFacts) -> ReplicaReport {
    let (issuer, not_after, note) = match &replica.told {
        Err(why) => (None, None, Some(why.clone())),
        Ok(told) => {
            let (issuer, note) = match &told.issuer {
                Issuer::Authority(issuer) => (Some(issuer.clone()), None),
                Issuer::Files => (None, Some("from files (--tls-cert)".to_owned())),
                Issuer::Untold => (
                    None,
                    Some("its version does not report the issuer".to_owned()),
                ),
            };
            match told.ends {
                Some(ends) => (issuer, Some(Moment(ends)), note),
                None => (issuer, None, Some("has no certificate yet".to_owned())),
            }
        }
    };
    ReplicaReport {
        pod: replica.pod.clone(),
        ready: replica.ready,
        issuer,
        not_after,
        note,
    }
}

fn end(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(Validity::of(&parsed).not_after)
}

const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
