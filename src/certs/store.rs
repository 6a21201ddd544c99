//! What the Secret holds, in and out.
//!
//! | key | content |
//! |---|---|
//! | `ca.crt`, `ca.key` | the authority that signs leaves, PEM |
//! | `next.crt`, `next.key` | its successor, while API servers learn to trust it, PEM |
//! | `previous.crt` | authorities that sign no more and that leaves may still come from, PEM, newest first |
//! | `previous.until` | until when each of those stays trusted, RFC 3339, one per line; without it, until it expires |
//! | `retired` | fingerprints of authorities that are not trusted any more, one per line, newest first |
//!
//! The bundle that API servers get is a function of this content and of nothing else, so that all replicas
//! write the same bytes.
//!
//! Deliberately not here: reading and writing the Secret ([`api`](crate::api)), and when to change it
//! ([`state`](super::state)).

use std::collections::BTreeMap;
use std::error::Error;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use super::hidden::Hidden;
use super::{Authority, AuthorityCertificate, ServiceName, without_content};
use crate::causes::with_causes;
use crate::time::{from_rfc3339, rfc3339};

/// The Secret, judged.
#[derive(Debug, Clone)]
pub enum Stored {
    /// There is none.
    Missing,
    /// As the chart ships it.
    Empty,
    /// Usable, though perhaps past its time.
    Sound(Contents),
    /// Something in it cannot be used.
    Damaged {
        /// What is wrong.
        error: StoreError,
        /// What can be used of it, if that is enough to sign with.
        usable: Option<Contents>,
        /// Certificates in it that are fine by themselves: leaves that they signed may still be being served.
        kept: Vec<AuthorityCertificate>,
    },
}

/// An entry of the live webhook configuration.
#[derive(Debug, Clone)]
pub struct BundleEntry {
    /// Its name.
    pub name: String,
    /// Its caBundle, PEM; empty when there is none.
    pub bundle: Vec<u8>,
    /// The authorities for our name that are in it.
    pub authorities: Vec<AuthorityCertificate>,
}

impl Stored {
    /// Judges the Secret's `data`.
    pub fn read(data: &BTreeMap<String, Hidden>, name: &ServiceName) -> Self {
        let data = Data { data, name };
        if [CERTIFICATE, KEY, NEXT_CERTIFICATE, NEXT_KEY, PREVIOUS]
            .iter()
            .all(|key| data.value(key).is_none())
        {
            return Self::Empty;
        }
        match data.contents() {
            Ok(contents) => Self::Sound(contents),
            Err(error) => Self::Damaged {
                error,
                usable: data.usable(),
                kept: data.every_certificate(),
            },
        }
    }
}

/// A usable Secret.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Signs leaves.
    pub authority: Authority,
    /// Will sign leaves, once API servers trust it.
    pub next: Option<Authority>,
    /// Authorities before it that may still be needed to verify a leaf, newest first.
    pub previous: Vec<Retired>,
    /// Fingerprints of those before them: a bundle that still has one of them is an old one.
    pub retired: Vec<String>,
}

/// An authority that signs no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// What is trusted.
    pub certificate: AuthorityCertificate,
    /// Until when.
    pub until: SystemTime,
}

impl Retired {
    /// For `until`, or for as long as it is valid, whichever ends first.
    pub fn new(certificate: AuthorityCertificate, until: SystemTime) -> Self {
        let until = until.min(certificate.validity().not_after);
        Self { certificate, until }
    }
}

impl Contents {
    /// One with nothing but an authority.
    pub fn new(authority: Authority) -> Self {
        Self {
            authority,
            next: None,
            previous: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// The data of the Secret. `None` removes a key.
    pub fn to_data(&self) -> BTreeMap<&'static str, Option<Hidden>> {
        let (mut previous, mut until) = (String::new(), String::new());
        for each in &self.previous {
            previous.push_str(&each.certificate.to_pem());
            until.push_str(&rfc3339(each.until));
            until.push('\n');
        }
        let text = |text: String| (!text.is_empty()).then(|| Hidden::from(text));
        let next = self.next.as_ref();
        let certificate = |authority: &Authority| Hidden::from(authority.certificate().to_pem());
        let key = |authority: &Authority| Hidden::from(authority.key_pem());
        BTreeMap::from([
            (CERTIFICATE, Some(certificate(&self.authority))),
            (KEY, Some(key(&self.authority))),
            (NEXT_CERTIFICATE, next.map(certificate)),
            (NEXT_KEY, next.map(key)),
            (PREVIOUS, text(previous)),
            (PREVIOUS_UNTIL, text(until)),
            (RETIRED, text(self.retired.join("\n"))),
        ])
    }

    /// What state this is, in a sentence: an annotation of the Secret has it for people.
    pub fn describe(&self) -> String {
        let signing = self.authority.certificate();
        let mut text = format!(
            "authority {} signs until {}",
            signing.fingerprint(),
            rfc3339(signing.validity().not_after)
        );
        match &self.next {
            None => {
                text.push_str("; its successor is made from ");
                text.push_str(&rfc3339(signing.validity().two_thirds()));
            }
            Some(next) => {
                text.push_str("; its successor ");
                text.push_str(&next.certificate().fingerprint());
                text.push_str(" is being published, and signs once it is proven");
            }
        }
        for each in &self.previous {
            text.push_str("; ");
            text.push_str(&each.certificate.fingerprint());
            text.push_str(" signs no more and is trusted until ");
            text.push_str(&rfc3339(each.until));
        }
        text
    }

    /// The authorities that API servers should trust, the one that signs first.
    pub fn trusted(&self) -> impl Iterator<Item = &AuthorityCertificate> {
        let next = self.next.as_ref().map(Authority::certificate);
        let previous = self.previous.iter().map(|each| &each.certificate);
        std::iter::once(self.authority.certificate())
            .chain(next)
            .chain(previous)
    }

    /// Is `authority` among those?
    pub fn trusts(&self, authority: &AuthorityCertificate) -> bool {
        self.trusted().any(|each| each == authority)
    }

    /// Was `authority` trusted once, and is not to be trusted again?
    pub fn is_retired(&self, authority: &AuthorityCertificate) -> bool {
        self.retired.contains(&authority.fingerprint())
    }

    /// The caBundle: PEM, one block after the other.
    pub fn bundle(&self) -> String {
        self.trusted().map(AuthorityCertificate::to_pem).collect()
    }

    /// Is `bundle` this one? Order and white space do not matter; a certificate more or less does.
    pub fn is_bundle(&self, bundle: &[u8]) -> bool {
        let Some(found) = bundle_certificates(bundle) else {
            return false;
        };
        let wanted: Vec<_> = self.trusted().map(AuthorityCertificate::der).collect();
        wanted.len() == found.len() && wanted.iter().all(|each| found.contains(each))
    }
}

/// The certificates of a caBundle; `None` if any part of it is not one.
pub fn bundle_certificates(bundle: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let blocks = pem::parse_many(bundle).ok()?;
    Some(
        blocks
            .into_iter()
            .map(|block| block.into_contents().into())
            .collect(),
    )
}

/// Whatever in `text` is an authority's certificate for `name`; the rest is of no use to anybody.
pub fn authorities(text: &[u8], name: &ServiceName) -> Vec<AuthorityCertificate> {
    let found = bundle_certificates(text).unwrap_or_default();
    found
        .into_iter()
        .filter_map(|der| AuthorityCertificate::from_der(der, name).ok())
        .collect()
}

/// What cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A key of the Secret is missing or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A key of the Secret is not text.
    #[error("{0} is not text")]
    NotText(&'static str),
    /// Both are there, but are of no use.
    #[error("{key}: {error}")]
    Authority {
        /// The certificate's key in the Secret.
        key: &'static str,
        /// What is wrong, with its cause.
        error: String,
    },
    /// `previous.crt` holds something else, or less than it should.
    #[error("{PREVIOUS} is not whole: {0}")]
    Previous(String),
}

/// The data of a Secret, and the name that its authorities are for.
struct Data<'a> {
    data: &'a BTreeMap<String, Hidden>,
    name: &'a ServiceName,
}

impl<'a> Data<'a> {
    fn value(&self, key: &str) -> Option<&'a [u8]> {
        let value = self.data.get(key).map(Hidden::bytes);
        value.filter(|value| !value.is_empty())
    }

    fn text(&self, key: &'static str) -> Result<&'a str, StoreError> {
        let value = self.value(key).ok_or(StoreError::Missing(key))?;
        str::from_utf8(value).map_err(|_| StoreError::NotText(key))
    }

    fn authority(
        &self,
        certificate: &'static str,
        key: &'static str,
    ) -> Result<Authority, StoreError> {
        let text = self.text(certificate)?;
        Authority::from_pem(text, self.text(key)?, self.name).map_err(|error| {
            StoreError::Authority {
                key: certificate,
                error: with_causes(&error),
            }
        })
    }

    /// All of it, if all of it is sound.
    fn contents(&self) -> Result<Contents, StoreError> {
        let authority = self.authority(CERTIFICATE, KEY)?;
        let next = self.next()?;
        let previous = self.previous(&authority)?;
        Ok(Contents {
            authority,
            next,
            previous,
            retired: self.retired(),
        })
    }

    /// Whatever is sound, if it is enough to sign with.
    fn usable(&self) -> Option<Contents> {
        let authority = self.authority(CERTIFICATE, KEY).ok()?;
        let previous = self.previous(&authority).unwrap_or_default();
        Some(Contents {
            authority,
            next: self.next().unwrap_or_default(),
            previous,
            retired: self.retired(),
        })
    }

    fn next(&self) -> Result<Option<Authority>, StoreError> {
        let exists = [NEXT_CERTIFICATE, NEXT_KEY].map(|key| self.value(key).is_some());
        match exists {
            [false, false] => Ok(None),
            _ => self.authority(NEXT_CERTIFICATE, NEXT_KEY).map(Some),
        }
    }

    /// Those before `authority`, which is none of them whatever is written.
    fn previous(&self, authority: &Authority) -> Result<Vec<Retired>, StoreError> {
        let Some(text) = self.value(PREVIOUS) else {
            return Ok(Vec::new());
        };
        let not_whole = |error: &dyn Error| StoreError::Previous(with_causes(error));
        let blocks = pem::parse_many(text).map_err(|error| not_whole(&without_content(error)))?;
        let until = self.value(PREVIOUS_UNTIL).unwrap_or_default();
        let until: Vec<_> = str::from_utf8(until).unwrap_or_default().lines().collect();
        // What is cut off inside of a block reads like text around the blocks.
        if !text.trim_ascii_end().ends_with(END_OF_BLOCK) || blocks.len() < until.len() {
            return Err(StoreError::Previous("it is cut off".to_owned()));
        }
        let mut previous = Vec::new();
        for (at, block) in blocks.into_iter().enumerate() {
            let der = CertificateDer::from(block.into_contents());
            let certificate = AuthorityCertificate::from_der(der, self.name)
                .map_err(|error| not_whole(&error))?;
            let expiry = certificate.validity().not_after;
            if certificate == *authority.certificate() {
                continue;
            }
            let until = until.get(at).and_then(|until| from_rfc3339(until));
            previous.push(Retired::new(certificate, until.unwrap_or(expiry)));
        }
        Ok(previous)
    }

    fn retired(&self) -> Vec<String> {
        let text = self.value(RETIRED).unwrap_or_default();
        let lines = str::from_utf8(text).unwrap_or_default().lines();
        lines.map(str::to_owned).collect()
    }

    /// Of every key, whatever is wrong with the rest.
    fn every_certificate(&self) -> Vec<AuthorityCertificate> {
        [CERTIFICATE, NEXT_CERTIFICATE, PREVIOUS]
            .iter()
            .filter_map(|key| self.value(key))
            .flat_map(|text| authorities(text, self.name))
            .collect()
    }
}

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const PREVIOUS: &str = "previous.crt";
const PREVIOUS_UNTIL: &str = "previous.until";
const RETIRED: &str = "retired";

const END_OF_BLOCK: &[u8] = b"-----END CERTIFICATE-----";

#[cfg(test)]
mod tests;
