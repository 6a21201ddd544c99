//! A certificate that somebody else made (cert-manager, a corporate authority), from two PEM files.
//!
//! What is checked here is what an API server would refuse, said where it can be mended: order and signatures of the
//! chain, dates, name, purpose. All of it is a function of what the files held, the Service's name and the time.
//!
//! Deliberately not here: whether key and certificate belong together, which the TLS library knows
//! ([`Identity::install`](crate::server::tls::Identity::install)); whether anybody trusts the chain's end, which only
//! the API servers know; and when to read again ([`certificate_files`](crate::server::certificate_files)).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::{Leaf, ServiceName, Validity};

/// Where the two files are.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate, then intermediates.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Reads both, and checks them.
    pub fn load(&self, name: Option<&ServiceName>, now: SystemTime) -> Result<Leaf, FilesError> {
        self.check(&self.read()?, name, now)
    }

    /// Reads both, as they are at one moment as far as that can be had.
    pub fn read(&self) -> Result<PemPair, FilesError> {
        self.read_with(|path| std::fs::read(path))
    }

    /// A kubelet swaps a directory under us. If that was between the two, the certificate is another one afterwards.
    fn read_with(
        &self,
        mut read: impl FnMut(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<PemPair, FilesError> {
        let mut read = |path: &Path| {
            read(path).map_err(|source| FilesError::Read {
                path: path.to_owned(),
                source,
            })
        };
        let mut certificate = read(&self.certificate)?;
        for _ in 0..MAX_READS {
            let key = Zeroizing::new(read(&self.key)?);
            let again = read(&self.certificate)?;
            if again == certificate {
                return Ok(PemPair { certificate, key });
            }
            certificate = again;
        }
        Err(FilesError::Unsteady(self.certificate.clone()))
    }

    /// Judges what was read. With `name`, the certificate has to be for it. The time has to be within the validity of
    /// the certificate and of all intermediates.
    pub fn check(
        &self,
        contents: &PemPair,
        name: Option<&ServiceName>,
        now: SystemTime,
    ) -> Result<Leaf, FilesError> {
        let chain = chain(&self.certificate, &contents.certificate)?;
        let key = private_key(&self.key, &contents.key)?;
        let validity = Chain::parse(&self.certificate, &chain)?.judge(name, now)?;
        Ok(Leaf {
            chain,
            key,
            validity,
        })
    }
}

/// What both files held.
pub struct PemPair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl PemPair {
    /// What two files would hold, the certificate's and the key's.
    pub fn new(certificate: Vec<u8>, key: Vec<u8>) -> Self {
        Self {
            certificate,
            key: Zeroizing::new(key),
        }
    }

    /// Equal for equal contents, and of no use to whoever looks for the key.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        // The length keeps the two apart.
        hash.update(self.certificate.len().to_le_bytes());
        hash.update(&self.certificate);
        hash.update(&self.key);
        Fingerprint(hash.finalize().into())
    }
}

/// Nothing of the key.
impl fmt::Debug for PemPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

/// Tells [`PemPair`] from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

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
    /// It was another one at each look.
    #[error("{} changes while it is being read", .0.display())]
    Unsteady(PathBuf),
    /// A file is not PEM.
    #[error("{} is not valid PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// There is no certificate in PEM.
    #[error(
        "{path} holds no PEM block of a CERTIFICATE; if it is DER: \
         openssl x509 -inform der -in {path} -out NEW_FILE",
        path = .0.display()
    )]
    NoCertificate(PathBuf),
    /// A certificate cannot be read.
    #[error("{}: certificate {position} is not X.509; export it again", path.display())]
    NotX509 {
        /// In which file.
        path: PathBuf,
        /// Which, from 1.
        position: usize,
    },
    /// There is no private key.
    #[error(
        "{} holds no private key that can be used, but {found}; \
         a PRIVATE KEY (PKCS#8), an RSA PRIVATE KEY or an EC PRIVATE KEY in PEM is needed",
        path.display()
    )]
    NoKey {
        /// In which file.
        path: PathBuf,
        /// What there is.
        found: String,
    },
    /// There is more than one private key.
    #[error(
        "{} holds {count} private keys; leave only the one of the certificate",
        path.display()
    )]
    SeveralKeys {
        /// In which file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// Only a password opens the key.
    #[error(
        "the private key in {path} is encrypted, and nobody is here to type its password; \
         decrypt it: openssl pkey -in {path} -out NEW_FILE",
        path = .0.display()
    )]
    EncryptedKey(PathBuf),
    /// The file's order is wrong, or something is missing in between.
    #[error(
        "{}: {certificate} is not issued by {next}, which follows it; \
         the webhook's certificate comes first, then the one that issued it, and so on",
        path.display()
    )]
    BrokenChain {
        /// In which file.
        path: PathBuf,
        /// Which is not issued by the next.
        certificate: Which,
        /// The next.
        next: Which,
        /// How that is known.
        #[source]
        source: BrokenLink,
    },
    /// An API server would look for another name.
    #[error(
        "{}: {certificate} is for {found}, but API servers ask for {expected}; \
         have it issued with the subject alternative name DNS:{expected}",
        path.display()
    )]
    OtherName {
        /// In which file.
        path: PathBuf,
        /// Which.
        certificate: Which,
        /// The names that it has.
        found: String,
        /// The Service's.
        expected: String,
    },
    /// An API server would refuse it as a client's, for example.
    #[error(
        "{}: {certificate} has an extended key usage without server authentication; \
         have it issued with extendedKeyUsage = serverAuth",
        path.display()
    )]
    NotForServers {
        /// In which file.
        path: PathBuf,
        /// Which.
        certificate: Which,
    },
    /// Its time is over.
    #[error("{}: {certificate} expired on {at}; renew it", path.display())]
    Expired {
        /// In which file.
        path: PathBuf,
        /// Which.
        certificate: Which,
        /// notAfter.
        at: String,
    },
    /// Its time has not come.
    #[error(
        "{}: {certificate} is not valid before {at}; \
         if that is in the past, this node's clock is wrong",
        path.display()
    )]
    NotYetValid {
        /// In which file.
        path: PathBuf,
        /// Which.
        certificate: Which,
        /// notBefore.
        at: String,
    },
}

/// Why a certificate is not issued by another.
#[derive(Debug, thiserror::Error)]
pub enum BrokenLink {
    /// It says itself that somebody else issued it.
    #[error("its issuer is {0}")]
    OtherIssuer(String),
    /// That one may not issue any.
    #[error("that is not a certificate authority's")]
    NotAnAuthority,
    /// Same names, but another key.
    #[error(
        "its signature is not of that one's key; has the authority been renewed with a new key?"
    )]
    OtherKey,
}

/// A certificate of a file, as messages name it.
#[derive(Debug)]
pub struct Which {
    /// From 1.
    position: usize,
    /// Empty for many: the subject alternative name is what counts.
    subject: String,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {}", self.position)?;
        if !self.subject.is_empty() {
            write!(f, " ({})", self.subject)?;
        }
        Ok(())
    }
}

/// All certificates of a file, parsed; there is at least the leaf.
struct Chain<'a> {
    path: &'a Path,
    leaf: Parsed<'a>,
    others: Vec<Parsed<'a>>,
}

struct Parsed<'a> {
    position: usize,
    x509: X509Certificate<'a>,
}

impl<'a> Chain<'a> {
    fn parse(path: &'a Path, chain: &'a [CertificateDer<'static>]) -> Result<Self, FilesError> {
        let mut all = chain
            .iter()
            .zip(1..)
            .map(|(der, position)| match X509Certificate::from_der(der) {
                Ok(([], x509)) => Ok(Parsed { position, x509 }),
                _ => Err(FilesError::NotX509 {
                    path: path.to_owned(),
                    position,
                }),
            });
        let leaf = all
            .next()
            .ok_or_else(|| FilesError::NoCertificate(path.to_owned()))??;
        Ok(Self {
            path,
            leaf,
            others: all.collect::<Result<_, _>>()?,
        })
    }

    /// Everything that an API server would refuse, but for the trust in the chain's end.
    fn judge(&self, name: Option<&ServiceName>, now: SystemTime) -> Result<Validity, FilesError> {
        for (certificate, next) in self.all().zip(&self.others) {
            is_issued_by(&certificate.x509, &next.x509).map_err(|source| {
                FilesError::BrokenChain {
                    path: self.path.to_owned(),
                    certificate: certificate.which(),
                    next: next.which(),
                    source,
                }
            })?;
        }
        if let Some(name) = name {
            self.is_for(&name.to_string())?;
        }
        self.is_for_servers()?;
        self.validity(now)
    }

    fn is_for(&self, expected: &str) -> Result<(), FilesError> {
        let names = dns_names(&self.leaf.x509);
        if names.iter().any(|name| covers(name, expected)) {
            return Ok(());
        }
        let found = if names.is_empty() {
            // What older tools put the name into. Go looks at it no more.
            "no DNS name (the common name does not count)".to_owned()
        } else {
            names.join(", ")
        };
        Err(FilesError::OtherName {
            path: self.path.to_owned(),
            certificate: self.leaf.which(),
            found,
            expected: expected.to_owned(),
        })
    }

    fn is_for_servers(&self) -> Result<(), FilesError> {
        let allowed = match self.leaf.x509.extended_key_usage() {
            Ok(None) => true,
            Ok(Some(usage)) => usage.value.server_auth || usage.value.any,
            // More than one such extension: no verifier takes that.
            Err(_) => false,
        };
        if allowed {
            return Ok(());
        }
        Err(FilesError::NotForServers {
            path: self.path.to_owned(),
            certificate: self.leaf.which(),
        })
    }

    /// The time that all have in common, which must include `now`. A root that closes the chain is left out: whoever
    /// trusts it has a copy of their own.
    fn validity(&self, now: SystemTime) -> Result<Validity, FilesError> {
        let mut common = Validity::of(&self.leaf.x509);
        for certificate in self.all() {
            let x509 = &certificate.x509;
            let is_root = certificate.position > 1 && x509.subject() == x509.issuer();
            if is_root {
                continue;
            }
            let validity = Validity::of(x509);
            if validity.not_after < now {
                return Err(FilesError::Expired {
                    path: self.path.to_owned(),
                    certificate: certificate.which(),
                    at: x509.validity().not_after.to_string(),
                });
            }
            if now < validity.not_before {
                return Err(FilesError::NotYetValid {
                    path: self.path.to_owned(),
                    certificate: certificate.which(),
                    at: x509.validity().not_before.to_string(),
                });
            }
            common.not_before = common.not_before.max(validity.not_before);
            common.not_after = common.not_after.min(validity.not_after);
        }
        Ok(common)
    }

    fn all(&self) -> impl Iterator<Item = &Parsed<'a>> {
        std::iter::once(&self.leaf).chain(&self.others)
    }
}

impl Parsed<'_> {
    fn which(&self) -> Which {
        Which {
            position: self.position,
            subject: self.x509.subject().to_string(),
        }
    }
}

fn chain(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, FilesError> {
    CertificateDer::pem_slice_iter(&tidy(bytes))
        .collect::<Result<_, _>>()
        .map_err(|source| FilesError::Pem {
            path: path.to_owned(),
            source,
        })
}

fn private_key(path: &Path, bytes: &[u8]) -> Result<Zeroizing<PrivateKeyDer<'static>>, FilesError> {
    let bytes = Zeroizing::new(tidy(bytes));
    let labels: Vec<&str> = labels(&bytes).collect();
    // First, because the older way puts headers into the block, which is then no valid one.
    let is_encrypted =
        |line: &[u8]| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
    if labels.contains(&"ENCRYPTED PRIVATE KEY") || lines(&bytes).any(is_encrypted) {
        return Err(FilesError::EncryptedKey(path.to_owned()));
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(&bytes)
        .map(|key| key.map(Zeroizing::new))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| FilesError::Pem {
            path: path.to_owned(),
            source,
        })?;
    match (keys.pop(), keys.len()) {
        (Some(only), 0) => Ok(only),
        (Some(_), others) => Err(FilesError::SeveralKeys {
            path: path.to_owned(),
            count: others + 1,
        }),
        (None, _) => Err(FilesError::NoKey {
            path: path.to_owned(),
            found: if labels.is_empty() {
                "no PEM at all".to_owned()
            } else {
                labels.join(", ")
            },
        }),
    }
}

/// Without what editors and the pasting of files put around lines: the end of a line in Windows' manner, byte order
/// marks (in the middle, too, where files were put together), indentation. The PEM reader would pass over a block that
/// begins so.
fn tidy(bytes: &[u8]) -> Vec<u8> {
    let mut tidied = Vec::with_capacity(bytes.len());
    for line in lines(bytes) {
        let line = line.trim_ascii();
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        tidied.extend_from_slice(line.trim_ascii());
        tidied.push(b'\n');
    }
    tidied
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| matches!(byte, b'\n' | b'\r'))
}

/// What the PEM blocks say they are.
fn labels(bytes: &[u8]) -> impl Iterator<Item = &str> {
    lines(bytes).filter_map(|line| {
        let line = str::from_utf8(line).ok()?;
        line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")
    })
}

fn is_issued_by(
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
) -> Result<(), BrokenLink> {
    // Byte by byte, as Go does it.
    if certificate.issuer().as_raw() != issuer.subject().as_raw() {
        return Err(BrokenLink::OtherIssuer(certificate.issuer().to_string()));
    }
    if !issuer.is_ca() {
        return Err(BrokenLink::NotAnAuthority);
    }
    match certificate.verify_signature(Some(issuer.public_key())) {
        // What an API server can verify and we cannot is not ours to refuse.
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => Ok(()),
        Err(_) => Err(BrokenLink::OtherKey),
    }
}

fn dns_names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| &extension.value.general_names);
    names
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(dns) => Some(*dns),
            _ => None,
        })
        .collect()
}

/// As Go does it: a wildcard stands for the first label, and for one label.
fn covers(pattern: &str, name: &str) -> bool {
    let rest = pattern
        .strip_prefix("*.")
        .zip(name.split_once('.').map(|(_, rest)| rest));
    pattern.eq_ignore_ascii_case(name)
        || rest.is_some_and(|(pattern, rest)| pattern.eq_ignore_ascii_case(rest))
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Swaps are minutes apart.
const MAX_READS: usize = 3;

#[cfg(test)]
mod tests;
