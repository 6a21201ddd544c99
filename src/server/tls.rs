//! TLS: the certificate that is being served, and the handshake.
//!
//! The only file that names rustls, because its next release renames most of what is used here.
//!
//! Invariants: a certificate is swapped in only with the key that belongs to it; the configuration around it
//! (protocols, session cache) stays. The crypto provider is passed explicitly.
//!
//! Deliberately not here: where certificates come from ([`certs`](crate::certs)), and time limits (the
//! connection's task has them).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certs::{Leaf, ServiceName};

/// Makes aws-lc-rs the process's default, for libraries that ask for one (the Kubernetes client). Later calls
/// change nothing.
pub fn install_crypto_provider() {
    // An error means that there already is one: with one provider in the tree, it is the same.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// The certificate that is being served; none at first. Shared by the acceptor and by whoever renews it.
///
/// Chain and key are one value and one swap: a handshake never sees a part of each.
#[derive(Debug)]
pub struct Identity {
    current: ArcSwapOption<CertifiedKey>,
    /// What was served before the last switch, for as long as that is of use.
    previous: ArcSwapOption<CertifiedKey>,
    has_fallen_back: AtomicBool,
    falling_back: Notify,
    provider: Arc<CryptoProvider>,
}

impl Identity {
    /// One without a certificate: every handshake fails until there is one.
    pub fn new() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            previous: ArcSwapOption::empty(),
            has_fallen_back: AtomicBool::new(false),
            falling_back: Notify::new(),
            provider: provider(),
        }
    }

    /// Serves `leaf` from now on, if its key is its own. Else the one before it stays.
    pub fn install(&self, leaf: Leaf) -> Result<(), TlsError> {
        let key = self.certified(leaf)?;
        self.current.store(Some(key));
        Ok(())
    }

    /// The same for a leaf of another authority. Until [`forget_previous`](Self::forget_previous), the first client that
    /// refuses it puts the one before it back.
    pub fn switch(&self, leaf: Leaf) -> Result<(), TlsError> {
        let key = self.certified(leaf)?;
        self.previous.store(self.current.swap(Some(key)));
        Ok(())
    }

    /// There is no way back from the last switch any more.
    pub fn forget_previous(&self) {
        self.previous.store(None);
    }

    /// A client has refused what is being served. Gives whether another certificate is served from now on.
    pub(crate) fn fall_back(&self) -> bool {
        let Some(previous) = self.previous.swap(None) else {
            return false;
        };
        self.current.store(Some(previous));
        self.has_fallen_back.store(true, Ordering::SeqCst);
        self.falling_back.notify_one();
        true
    }

    /// Has that happened since this was last asked?
    pub fn take_fallen_back(&self) -> bool {
        self.has_fallen_back.swap(false, Ordering::SeqCst)
    }

    /// Waits until it happens.
    pub async fn fallen_back(&self) {
        self.falling_back.notified().await;
    }

    fn certified(&self, leaf: Leaf) -> Result<Arc<CertifiedKey>, TlsError> {
        CertifiedKey::from_der(leaf.chain, leaf.key, &self.provider)
            .map(Arc::new)
            .map_err(TlsError::Leaf)
    }

    /// Would a client that trusts `bundle` and calls us `name` accept what is being served?
    pub fn verify(
        &self,
        bundle: &[CertificateDer<'static>],
        name: &ServiceName,
        now: SystemTime,
    ) -> Result<(), TlsError> {
        let current = self.current.load();
        let served = current.as_ref().ok_or(TlsError::NoCertificate)?;
        let mut roots = RootCertStore::empty();
        // As in an API server: a certificate that cannot be read trusts nothing, and does not spoil the others.
        roots.add_parsable_certificates(bundle.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(TlsError::Bundle)?;
        let name = ServerName::try_from(name.to_string()).map_err(TlsError::Name)?;
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let (leaf, intermediates) = served.cert.split_first().ok_or(TlsError::NoCertificate)?;
        verifier
            .verify_server_cert(leaf, intermediates, &name, &[], now)
            .map_err(TlsError::Untrusted)?;
        Ok(())
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

/// Makes TLS streams of TCP streams. Clones share the session cache.
#[derive(Clone)]
pub struct Acceptor {
    acceptor: TlsAcceptor,
    identity: Arc<Identity>,
}

impl Acceptor {
    /// One that serves `identity`, whatever it is at the time. HTTP/1.1 alone is spoken, as by API servers.
    pub fn new(identity: Arc<Identity>) -> Result<Self, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&identity.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Protocols)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Identity>::clone(&identity));
        config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            identity,
        })
    }

    /// The handshake. As slow as the client likes: the caller sets the limit.
    ///
    /// A client that refuses the certificate of a new authority is the last one that gets it: the next handshake has
    /// the one before it.
    pub async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let accepted = Box::pin(self.acceptor.accept(stream)).await;
        accepted.map_err(|error| {
            if is_refusal(&error) {
                let fell_back = self.identity.fall_back();
                return HandshakeError::Refused { fell_back };
            }
            HandshakeError::Failed(error)
        })
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// A handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client says, by an alert, that it does not accept our certificate.
    #[error("the client does not trust the certificate")]
    Refused {
        /// Is another certificate served because of it?
        fell_back: bool,
    },
    /// Anything else.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
    /// The client took too long.
    #[error("the handshake took too long")]
    TooSlow,
}

/// Which alerts mean "not this certificate". Go's client sends `bad_certificate`, OpenSSL and rustls `unknown_ca`; rustls
/// `decrypt_error`, if it knows another authority of the same name, as all of ours have.
fn is_refusal(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(
        error,
        Some(rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
        ))
    )
}

/// A certificate cannot be served, or is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain is empty or unreadable, or the key is another certificate's.
    #[error("the certificate and its key cannot be served")]
    Leaf(#[source] rustls::Error),
    /// Nothing is being served yet.
    #[error("there is no certificate yet")]
    NoCertificate,
    /// No certificate in the caBundle can be used.
    #[error("the caBundle holds no usable certificate")]
    Bundle(#[source] VerifierBuilderError),
    /// Not a host name.
    #[error("the service's name is not a host name")]
    Name(#[source] InvalidDnsNameError),
    /// A client would refuse us.
    #[error("the caBundle does not verify the certificate that is being served")]
    Untrusted(#[source] rustls::Error),
    /// The provider speaks none of the protocol versions.
    #[error("the crypto provider supports no usable TLS version")]
    Protocols(#[source] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

#[cfg(test)]
mod tests;
