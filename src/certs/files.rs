//! A certificate that somebody else made (cert-manager, a corporate authority), from two PEM files.
//!
//! Deliberately not here: whether key and certificate belong together, which the TLS library knows
//! ([`Identity::install`](crate::server::tls::Identity::install)), and when to read again.

use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Leaf, Validity};

/// Where the two files are.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate, then intermediates.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Reads both.
    pub fn load(&self) -> Result<Leaf, FilesError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&read(&self.certificate)?)
                .collect::<Result<_, _>>()
                .map_err(|source| FilesError::Pem {
                    path: self.certificate.clone(),
                    source,
                })?;
        let validity = chain
            .first()
            .and_then(|leaf| X509Certificate::from_der(leaf).ok())
            .map(|(_, parsed)| Validity::of(&parsed))
            .ok_or_else(|| FilesError::NoCertificate(self.certificate.clone()))?;
        let key =
            PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|source| FilesError::Pem {
                path: self.key.clone(),
                source,
            })?;
        Ok(Leaf {
            chain,
            key,
            validity,
        })
    }
}

/// The files are of no use.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not PEM, or not of the right thing.
    #[error("{} is not valid PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// There is no X.509 certificate.
    #[error("{} holds no X.509 certificate", .0.display())]
    NoCertificate(PathBuf),
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    std::fs::read(path).map_err(|source| FilesError::Read {
        path: path.to_owned(),
        source,
    })
}
