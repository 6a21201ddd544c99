//! A certificate authority that can vouch for one name only, and the leaves that it signs.
//!
//! P-256, because every build of Go's and OpenSSL's verifiers takes it; a critical name constraint permits
//! nothing but the Service's name, so that a stolen key is of no use elsewhere; path length 0, so that it
//! cannot make further authorities. A serial is a hash of the certificate's fresh public key: random, positive,
//! 159 bits (rcgen's default).
//!
//! Invariant: an [`Authority`] or [`AuthorityCertificate`] exists only if it passed the checks for a given
//! name; whether it is still valid is asked with a time, since that changes.
//!
//! Deliberately not here: where authorities are kept, and when they are replaced.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Leaf, ServiceName, Validity, without_content};

/// An authority: its certificate and the key to sign with. Clones share both.
#[derive(Clone)]
pub struct Authority {
    certificate: AuthorityCertificate,
    key: Arc<Key>,
}

/// A key to sign with, overwritten when it goes.
struct Key(KeyPair);

impl Key {
    fn generate() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        key.map(Self).map_err(AuthorityError::Generate)
    }

    fn from_pem(text: &str) -> Result<Self, AuthorityError> {
        let block = pem::parse(text).map_err(|error| {
            let error = without_content(error).to_string();
            AuthorityError::Key(rcgen::Error::PemError(error))
        })?;
        let der = Zeroizing::new(block.into_contents());
        let key = KeyPair::try_from(der.as_slice());
        key.map(Self).map_err(AuthorityError::Key)
    }

    fn to_pem(&self) -> Zeroizing<String> {
        let block = Pem::new(KEY_TAG, self.0.serialize_der());
        let text = in_pem(&block);
        drop(Zeroizing::new(block.into_contents()));
        Zeroizing::new(text)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Authority {
    /// Makes a new one for `name`, with a new key.
    pub fn generate(
        name: &ServiceName,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let key = Key::generate()?;
        let validity = Validity::starting(now, lifetime);
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "javelin");
        params.distinguished_name.push(
            DnType::OrganizationalUnitName,
            "webhook certificate authority",
        );
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(name.to_string())],
            excluded_subtrees: Vec::new(),
        });
        params.not_before = validity.not_before.into();
        params.not_after = validity.not_after.into();
        let certificate = params
            .self_signed(&key.0)
            .map_err(AuthorityError::Generate)?;
        // Through the same checks as everything that is read: what we write, we can read again.
        let certificate = AuthorityCertificate::from_der(certificate.into(), name)?;
        Ok(Self {
            certificate,
            key: Arc::new(key),
        })
    }

    /// Reads one back. The certificate must be an authority's for exactly this `name`, and the key its own.
    pub fn from_pem(
        certificate: &str,
        key: &str,
        name: &ServiceName,
    ) -> Result<Self, AuthorityError> {
        let certificate = AuthorityCertificate::from_pem(certificate, name)?;
        let key = Key::from_pem(key)?;
        if certificate.public_key()? != key.0.subject_public_key_info() {
            return Err(AuthorityError::KeyMismatch);
        }
        Ok(Self {
            certificate,
            key: Arc::new(key),
        })
    }

    /// The certificate, which is public.
    pub fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// The private key in PKCS#8 PEM, for the Secret and for nothing else.
    pub fn key_pem(&self) -> Zeroizing<String> {
        self.key.to_pem()
    }

    /// Signs a leaf for `name` with a key that never leaves this process. It does not outlive the authority.
    pub fn sign_leaf(
        &self,
        name: &ServiceName,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Leaf, AuthorityError> {
        let key = Key::generate()?;
        let mut validity = Validity::starting(now, lifetime);
        validity.not_after = validity.not_after.min(self.certificate.validity.not_after);
        let mut params =
            CertificateParams::new([name.to_string()]).map_err(AuthorityError::Generate)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "javelin webhook");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.not_before = validity.not_before.into();
        params.not_after = validity.not_after.into();
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der, &self.key.0)
            .map_err(AuthorityError::Generate)?;
        let certificate = params
            .signed_by(&key.0, &issuer)
            .map_err(AuthorityError::Generate)?;
        Ok(Leaf {
            chain: vec![certificate.into()],
            key: Zeroizing::new(PrivateKeyDer::Pkcs8(key.0.serialize_der().into())),
            validity,
        })
    }
}

/// Without the key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// The public half of an authority. Equal when the bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    der: CertificateDer<'static>,
    validity: Validity,
}

impl AuthorityCertificate {
    /// Reads a single PEM block and checks that it is an authority's for `name`.
    pub fn from_pem(text: &str, name: &ServiceName) -> Result<Self, AuthorityError> {
        let block =
            pem::parse(text).map_err(|error| AuthorityError::Pem(without_content(error)))?;
        if block.tag() != PEM_TAG {
            return Err(AuthorityError::NotACertificate(block.tag().to_owned()));
        }
        Self::from_der(block.into_contents().into(), name)
    }

    /// Checks that `der` is the certificate of an authority which may sign for `name`, and for nothing beside
    /// it.
    pub fn from_der(
        der: CertificateDer<'static>,
        name: &ServiceName,
    ) -> Result<Self, AuthorityError> {
        let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| AuthorityError::Der)?;
        if !rest.is_empty() {
            return Err(AuthorityError::Der);
        }
        if !may_sign_certificates(&parsed) {
            return Err(AuthorityError::NotAnAuthority);
        }
        if !is_constrained_to(&parsed, name) {
            return Err(AuthorityError::OtherName {
                expected: name.to_string(),
            });
        }
        let validity = Validity::of(&parsed);
        Ok(Self { der, validity })
    }

    /// The certificate in DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// When it is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Tells it from others, for people: the first 16 hexadecimal digits of the certificate's SHA-256.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.der)
    }

    /// The certificate in PEM: always the same text for the same certificate.
    pub fn to_pem(&self) -> String {
        in_pem(&Pem::new(PEM_TAG, self.der.to_vec()))
    }

    /// The `SubjectPublicKeyInfo`, DER.
    fn public_key(&self) -> Result<Vec<u8>, AuthorityError> {
        let (_, parsed) = X509Certificate::from_der(&self.der).map_err(|_| AuthorityError::Der)?;
        Ok(parsed.public_key().raw.to_vec())
    }
}

/// Fingerprint and dates, not the bytes.
impl fmt::Debug for AuthorityCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityCertificate")
            .field("fingerprint", &self.fingerprint())
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// An authority could not be made, or what was read is none that we can use.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// No PEM.
    #[error("the certificate is not PEM")]
    Pem(#[source] pem::PemError),
    /// PEM, but of something else.
    #[error("expected a CERTIFICATE, found a {0}")]
    NotACertificate(String),
    /// PEM, but not X.509 inside.
    #[error("the certificate is not X.509")]
    Der,
    /// Not allowed to sign certificates.
    #[error("the certificate is not a certificate authority's")]
    NotAnAuthority,
    /// Made for another Service, or not constrained.
    #[error(
        "the authority is not constrained to {expected}: it belongs to another release or to somebody else"
    )]
    OtherName {
        /// The name that we serve.
        expected: String,
    },
    /// The key cannot be read.
    #[error("the private key cannot be read")]
    Key(#[source] rcgen::Error),
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// Making a key or signing failed.
    #[error("generating the certificate failed")]
    Generate(#[source] rcgen::Error),
}

/// The first 16 hexadecimal digits of a certificate's SHA-256, whoever's it is.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    HEXLOWER.encode(&digest).chars().take(16).collect()
}

fn in_pem(block: &Pem) -> String {
    pem::encode_config(block, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

fn may_sign_certificates(certificate: &X509Certificate<'_>) -> bool {
    let key_usage = certificate.key_usage().ok().flatten();
    certificate.is_ca() && key_usage.is_some_and(|usage| usage.value.key_cert_sign())
}

/// Exactly our own constraint: critical, one permitted subtree, that of `name`.
fn is_constrained_to(certificate: &X509Certificate<'_>, name: &ServiceName) -> bool {
    let Ok(Some(constraints)) = certificate.name_constraints() else {
        return false;
    };
    let permitted = constraints
        .value
        .permitted_subtrees
        .as_deref()
        .unwrap_or_default();
    let expected = name.to_string();
    constraints.critical
        && matches!(permitted, [only] if matches!(&only.base, GeneralName::DNSName(dns) if *dns == expected))
}

const PEM_TAG: &str = "CERTIFICATE";
const KEY_TAG: &str = "PRIVATE KEY";

#[cfg(test)]
mod tests;
