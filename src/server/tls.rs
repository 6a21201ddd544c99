//! TLS: the certificate that is being served, and the handshake.
//!
//! The only file that names rustls, because its next release renames most of what is used here.
//!
//! Invariants: a certificate is swapped in only with the key that belongs to it; the configuration around it
//! (protocols, session cache) stays. An alert is about the certificate that its own handshake presented. The crypto
//! provider is passed explicitly.
//!
//! Deliberately not here: where certificates come from ([`certs`](crate::certs)), and time limits (the
//! connection's task has them).

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certs::serving::Serving;
use crate::certs::state::Served;
use crate::certs::{Leaf, ServiceName};

/// Makes aws-lc-rs the process's default, for libraries that ask for one (the Kubernetes client). Later calls
/// change nothing.
pub fn install_crypto_provider() {
    // An error means that there already is one: with one provider in the tree, it is the same.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// The certificate that is being served; none at first. Shared by the acceptor and by whoever renews it, and the only note
/// of what that is.
///
/// Chain, key and way back are one value and one swap: a handshake never sees a part of each.
#[derive(Debug)]
pub struct Identity {
    serving: ArcSwap<Serving<Presented>>,
    falling_back: Notify,
    provider: Arc<CryptoProvider>,
}

/// A certificate as handshakes present it. Equal to its clones alone.
#[derive(Debug, Clone)]
pub struct Presented {
    key: Arc<CertifiedKey>,
    served: Option<Arc<Served>>,
}

impl Presented {
    fn of(leaf: Leaf, served: Option<Served>) -> Result<Self, TlsError> {
        // As `CertifiedKey::from_der` does it, which would keep a copy of the key that nobody overwrites.
        let key = aws_lc_rs::sign::any_supported_type(&leaf.key).map_err(TlsError::Leaf)?;
        let key = Arc::new(CertifiedKey::new(leaf.chain, key));
        let served = served.map(Arc::new);
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self { key, served })
            }
            Err(error) => Err(TlsError::Leaf(error)),
        }
    }

    /// What whoever signed it has to know of it. None for what somebody else made.
    pub fn served(&self) -> Option<&Served> {
        self.served.as_deref()
    }
}

impl PartialEq for Presented {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.key, &other.key)
    }
}

impl Eq for Presented {}

impl Identity {
    /// One without a certificate: every handshake fails until there is one.
    pub fn new() -> Self {
        Self {
            serving: ArcSwap::from_pointee(Serving::NOTHING),
            falling_back: Notify::new(),
            provider: provider(),
        }
    }

    /// Serves `leaf` from now on, whatever was served before, if its key is its own. Else that one stays.
    pub fn install(&self, leaf: Leaf) -> Result<(), TlsError> {
        let presented = Presented::of(leaf, None)?;
        self.serving.store(Arc::new(Serving::only(presented)));
        Ok(())
    }

    /// Serves `leaf` in place of the one that was `seen`. Gives whether it does: not if a client has refused that one in the
    /// meantime. With a `way_back`, the first client that refuses the new one brings back the one before it.
    pub fn replace(
        &self,
        seen: Option<&Presented>,
        leaf: Leaf,
        served: Served,
        way_back: bool,
    ) -> Result<bool, TlsError> {
        let presented = Presented::of(leaf, Some(served))?;
        Ok(self.change(|serving| serving.replaced(seen, presented.clone(), way_back)))
    }

    /// What is being served, with a refusal that nobody had taken note of. That is hereby done.
    pub fn look(&self) -> Arc<Serving<Presented>> {
        self.serving.rcu(|serving| serving.noted())
    }

    /// What is being served.
    pub fn current(&self) -> Option<Presented> {
        self.serving.load().current().cloned()
    }

    /// There is no way back from the last switch any more, unless what it leads to `is_of_use`.
    pub fn keep_way_back_if(&self, is_of_use: impl Fn(&Served) -> bool) {
        let of_use = |previous: &Presented| previous.served().is_some_and(&is_of_use);
        self.serving.rcu(|serving| serving.with_way_back_if(of_use));
    }

    /// A client has refused what it was `presented`. Gives whether another certificate is served because of that.
    pub(crate) fn refuse(&self, presented: &Presented) -> bool {
        let fell_back = self.change(|serving| serving.refused_by_a_client(presented));
        if fell_back {
            self.falling_back.notify_one();
        }
        fell_back
    }

    /// Waits until that happens.
    pub async fn fallen_back(&self) {
        self.falling_back.notified().await;
    }

    /// Swaps what is served for what `change` makes of it. Gives whether that was anything.
    fn change(&self, change: impl Fn(&Serving<Presented>) -> Option<Serving<Presented>>) -> bool {
        let before = self
            .serving
            .rcu(|serving| change(serving).map_or_else(|| Arc::clone(serving), Arc::new));
        change(&before).is_some()
    }

    /// Would a client that trusts `bundle` and calls us `name` accept what is being served?
    pub fn verify(
        &self,
        bundle: &[CertificateDer<'static>],
        name: &ServiceName,
        now: SystemTime,
    ) -> Result<(), TlsError> {
        let presented = self.current().ok_or(TlsError::NoCertificate)?;
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
        let (leaf, intermediates) = presented
            .key
            .cert
            .split_first()
            .ok_or(TlsError::NoCertificate)?;
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

/// One handshake: presents what is being served when the client's hello comes, and remembers what that was.
#[derive(Debug)]
struct Handshake {
    identity: Arc<Identity>,
    presented: ArcSwapOption<Presented>,
}

impl Handshake {
    fn of(identity: &Arc<Identity>) -> Arc<Self> {
        Arc::new(Self {
            identity: Arc::clone(identity),
            presented: ArcSwapOption::empty(),
        })
    }

    /// The client does not accept what it got.
    fn refused(&self) -> bool {
        let presented = self.presented.load();
        presented
            .as_ref()
            .is_some_and(|presented| self.identity.refuse(presented))
    }
}

impl ResolvesServerCert for Handshake {
    /// A client may say hello twice, if it has to choose another key exchange; what counts is what it gets then.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let presented = self.identity.current()?;
        let key = Arc::clone(&presented.key);
        self.presented.store(Some(Arc::new(presented)));
        Some(key)
    }
}

/// Makes TLS streams of TCP streams. Clones share the session cache.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    identity: Arc<Identity>,
}

impl Acceptor {
    /// One that serves `identity`, whatever it is at the time. HTTP/1.1 alone is spoken, as by API servers.
    pub fn new(identity: Arc<Identity>) -> Result<Self, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&identity.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Protocols)?
            .with_no_client_auth()
            .with_cert_resolver(Handshake::of(&identity));
        config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            identity,
        })
    }

    /// The handshake. As slow as the client likes: the caller sets the limit.
    ///
    /// A client that refuses the certificate of a new authority is the last one that gets it: the next handshake has
    /// the one before it.
    pub async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let handshake = Handshake::of(&self.identity);
        // Shares everything with the others but this.
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::<Handshake>::clone(&handshake);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepted = Box::pin(acceptor.accept(stream)).await;
        accepted.map_err(|error| {
            if is_refusal(&error) {
                let fell_back = handshake.refused();
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
