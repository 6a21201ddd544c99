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
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use tokio::net::TcpStream;
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
    provider: Arc<CryptoProvider>,
}

impl Identity {
    /// One without a certificate: every handshake fails until there is one.
    pub fn new() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            provider: provider(),
        }
    }

    /// Serves `leaf` from now on, if its key is its own. Else the one before it stays.
    pub fn install(&self, leaf: Leaf) -> Result<(), TlsError> {
        let key =
            CertifiedKey::from_der(leaf.chain, leaf.key, &self.provider).map_err(TlsError::Leaf)?;
        self.current.store(Some(Arc::new(key)));
        Ok(())
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
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// One that serves `identity`, whatever it is at the time. HTTP/2 and HTTP/1.1 are offered; the API server
    /// takes the latter.
    pub fn new(identity: Arc<Identity>) -> Result<Self, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&identity.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Protocols)?
            .with_no_client_auth()
            .with_cert_resolver(identity);
        config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP_1_1.to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The handshake. As slow as the client likes: the caller sets the limit.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Secured> {
        let stream = Box::pin(self.0.accept(stream)).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_H2);
        Ok(Secured { stream, http2 })
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Secured {
    /// To read requests from.
    pub stream: TlsStream<TcpStream>,
    /// Was HTTP/2 agreed on?
    pub http2: bool,
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

const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

#[cfg(test)]
mod tests;
