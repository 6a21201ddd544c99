//! What the Secret holds, in and out.
//!
//! | key | content |
//! |---|---|
//! | `ca.crt`, `ca.key` | the authority that signs leaves, PEM |
//! | `previous.crt` | authorities that it replaced and that leaves may still come from, PEM, newest first |
//!
//! The bundle that API servers get is a function of this content and of nothing else, so that all replicas
//! write the same bytes.
//!
//! Deliberately not here: reading and writing the Secret ([`cluster`](crate::cluster)), and when to change it
//! ([`state`](super::state)).

use std::collections::BTreeMap;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use super::{Authority, AuthorityCertificate, AuthorityError, ServiceName};

/// The Secret's data, judged.
#[derive(Debug)]
pub enum Stored {
    /// As the chart ships it.
    Empty,
    /// Usable, though perhaps past its time.
    Sound(Contents),
    /// There is something, but nothing to sign with.
    Damaged {
        /// What is wrong.
        error: StoreError,
        /// Certificates in it that are fine by themselves: leaves that they signed are still being served.
        kept: Vec<AuthorityCertificate>,
    },
}

impl Stored {
    /// Judges the Secret's `data`.
    pub fn read(data: &BTreeMap<String, Vec<u8>>, name: &ServiceName) -> Self {
        let value = |key: &str| data.get(key).filter(|value| !value.is_empty());
        let (certificate, key) = (value(CERTIFICATE), value(KEY));
        let mut previous = value(PREVIOUS).map_or_else(Vec::new, |text| certificates(text, name));
        let error = match (certificate, key) {
            (None, None) if previous.is_empty() => return Self::Empty,
            (Some(certificate), Some(key)) => match read_authority(certificate, key, name) {
                Ok(authority) => {
                    previous.retain(|each| each != authority.certificate());
                    return Self::Sound(Contents {
                        authority,
                        previous,
                    });
                }
                Err(error) => error,
            },
            (None, _) => StoreError::Missing(CERTIFICATE),
            (Some(_), None) => StoreError::Missing(KEY),
        };
        let mut kept = certificate.map_or_else(Vec::new, |text| certificates(text, name));
        kept.append(&mut previous);
        Self::Damaged { error, kept }
    }
}

/// A usable Secret.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Signs leaves.
    pub authority: Authority,
    /// Authorities before it that may still be needed to verify a leaf, newest first.
    pub previous: Vec<AuthorityCertificate>,
}

impl Contents {
    /// The data of the Secret. `None` removes a key.
    pub fn to_data(&self) -> BTreeMap<&'static str, Option<Vec<u8>>> {
        let previous: String = self
            .previous
            .iter()
            .map(AuthorityCertificate::to_pem)
            .collect();
        BTreeMap::from([
            (
                CERTIFICATE,
                Some(self.authority.certificate().to_pem().into_bytes()),
            ),
            (KEY, Some(self.authority.key_pem().into_bytes())),
            (
                PREVIOUS,
                (!previous.is_empty()).then(|| previous.into_bytes()),
            ),
        ])
    }

    /// The authorities that API servers should trust, the one that signs first.
    pub fn trusted(&self) -> impl Iterator<Item = &AuthorityCertificate> {
        std::iter::once(self.authority.certificate()).chain(&self.previous)
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

    /// The predecessors that are still valid, this content's own authority among them: what a successor keeps.
    pub fn still_valid(&self, now: SystemTime) -> Vec<AuthorityCertificate> {
        self.trusted()
            .filter(|each| now <= each.validity().not_after)
            .cloned()
            .collect()
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

/// Why there is nothing to sign with.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key of the Secret is missing or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A key of the Secret is not text.
    #[error("{0} is not text")]
    NotText(&'static str),
    /// Both are there, but are of no use.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

fn read_authority(
    certificate: &[u8],
    key: &[u8],
    name: &ServiceName,
) -> Result<Authority, StoreError> {
    let certificate = str::from_utf8(certificate).map_err(|_| StoreError::NotText(CERTIFICATE))?;
    let key = str::from_utf8(key).map_err(|_| StoreError::NotText(KEY))?;
    Ok(Authority::from_pem(certificate, key, name)?)
}

/// Whatever in `text` is an authority's certificate for `name`; the rest is of no use to anybody.
fn certificates(text: &[u8], name: &ServiceName) -> Vec<AuthorityCertificate> {
    let found = bundle_certificates(text).unwrap_or_default();
    found
        .into_iter()
        .filter_map(|der| AuthorityCertificate::from_der(der, name).ok())
        .collect()
}

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const PREVIOUS: &str = "previous.crt";
