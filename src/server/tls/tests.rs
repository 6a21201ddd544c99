use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;
use crate::certs::Authority;
use crate::time;

const DAY: Duration = Duration::from_hours(24);

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn authority() -> Authority {
    Authority::generate(&name(), 30 * DAY, time::now()).unwrap()
}

/// webpki is the verifier that we did not write.
#[test]
fn the_bundle_verifies_the_leaf_for_our_name_now_and_nothing_else() {
    let (ours, others) = (authority(), authority());
    let identity = Identity::new();
    identity
        .install(ours.sign_leaf(&name(), DAY, time::now()).unwrap())
        .unwrap();
    let (our_bundle, other_bundle) = (
        [ours.certificate().der().clone()],
        [others.certificate().der().clone()],
    );
    let both = [other_bundle[0].clone(), our_bundle[0].clone()];
    let another = ServiceName::new("javelin", "other").unwrap();

    identity.verify(&our_bundle, &name(), time::now()).unwrap();
    identity.verify(&both, &name(), time::now()).unwrap();
    let refused = |bundle: &[CertificateDer<'static>], name: &ServiceName, now| {
        identity.verify(bundle, name, now).unwrap_err()
    };
    assert!(matches!(
        refused(&other_bundle, &name(), time::now()),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&our_bundle, &another, time::now()),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&our_bundle, &name(), time::now() + 2 * DAY),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&our_bundle, &name(), time::now() - DAY),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&[], &name(), time::now()),
        TlsError::Bundle(_)
    ));
    assert!(matches!(
        refused(&[vec![1, 2, 3].into()], &name(), time::now()),
        TlsError::Bundle(_)
    ));
}

/// The name constraint binds: our own authority cannot vouch for anybody else.
#[test]
fn a_leaf_for_another_name_is_refused_even_if_our_authority_signed_it() {
    let ours = authority();
    let another = ServiceName::new("kube-apiserver", "default").unwrap();
    let identity = Identity::new();
    identity
        .install(ours.sign_leaf(&another, DAY, time::now()).unwrap())
        .unwrap();

    let refused = identity.verify(&[ours.certificate().der().clone()], &another, time::now());

    assert!(
        matches!(refused, Err(TlsError::Untrusted(_))),
        "{refused:?}"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused_and_the_old_certificate_stays() {
    let authority = authority();
    let sign = || authority.sign_leaf(&name(), DAY, time::now()).unwrap();
    let identity = Identity::new();
    let bundle = [authority.certificate().der().clone()];
    assert!(matches!(
        identity.verify(&bundle, &name(), time::now()),
        Err(TlsError::NoCertificate)
    ));
    identity.install(sign()).unwrap();

    let mixed = Leaf {
        key: sign().key,
        ..sign()
    };

    assert!(matches!(identity.install(mixed), Err(TlsError::Leaf(_))));
    identity.verify(&bundle, &name(), time::now()).unwrap();
}

/// What whoever signed a leaf of `authority` knows of it.
fn served(authority: &Authority) -> Served {
    let validity = authority.certificate().validity();
    Served {
        issuer: authority.certificate().clone(),
        validity,
        renew_at: validity.not_after,
    }
}

/// Serves a new leaf of `authority`, with a way back to what is being served.
fn switch(identity: &Identity, authority: &Authority) {
    let leaf = authority.sign_leaf(&name(), DAY, time::now()).unwrap();
    let seen = identity.current();
    let is_served = identity.replace(seen.as_ref(), leaf, served(authority), true);
    assert!(is_served.unwrap());
}

/// A client that trusts `authority`, and remembers sessions as browsers do.
fn client(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// What the client saw of a handshake, with the protocol, and what the server did.
async fn handshake(
    acceptor: &Acceptor,
    client: &Arc<ClientConfig>,
) -> (
    io::Result<(HandshakeKind, Vec<u8>)>,
    Result<(), HandshakeError>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name().to_string()).unwrap();
        let mut stream = TlsConnector::from(Arc::clone(client))
            .connect(name, stream)
            .await?;
        // Tickets come with the first byte.
        stream.read_u8().await?;
        let connection = stream.get_ref().1;
        let protocol = connection.alpn_protocol().unwrap_or_default().to_vec();
        Ok((connection.handshake_kind().unwrap(), protocol))
    };
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut secured = acceptor.accept(stream).await?;
        secured.write_all(b"x").await.unwrap();
        secured.flush().await.unwrap();
        Ok(())
    };
    tokio::join!(connecting, accepting)
}

#[tokio::test]
async fn sessions_and_protocols_survive_a_renewal() {
    let authority = authority();
    let sign = || authority.sign_leaf(&name(), DAY, time::now()).unwrap();
    let identity = Arc::new(Identity::new());
    identity.install(sign()).unwrap();
    let acceptor = Acceptor::new(Arc::clone(&identity)).unwrap();
    let client = client(&authority);

    let (first, _) = handshake(&acceptor, &client).await;
    assert_eq!(
        first.unwrap(),
        (HandshakeKind::Full, ALPN_HTTP_1_1.to_vec())
    );
    identity.install(sign()).unwrap();

    let (second, _) = handshake(&acceptor, &client).await;
    assert_eq!(
        second.unwrap(),
        (HandshakeKind::Resumed, ALPN_HTTP_1_1.to_vec())
    );
}

#[tokio::test]
async fn the_first_client_that_refuses_a_new_authority_is_the_last_that_meets_it() {
    let (old, new) = (authority(), authority());
    let sign = |authority: &Authority| authority.sign_leaf(&name(), DAY, time::now()).unwrap();
    let identity = Arc::new(Identity::new());
    identity.install(sign(&old)).unwrap();
    let acceptor = Acceptor::new(Arc::clone(&identity)).unwrap();
    let of_old = client(&old);
    switch(&identity, &new);

    let (seen, accepted) = handshake(&acceptor, &of_old).await;
    assert!(seen.is_err());
    assert!(
        matches!(accepted, Err(HandshakeError::Refused { fell_back: true })),
        "{accepted:?}"
    );
    assert!(identity.look().refused().is_some() && identity.look().refused().is_none());
    identity.fallen_back().await;

    let (seen, _) = handshake(&acceptor, &of_old).await;
    seen.unwrap();
    // Nothing is left to go back to, whoever else complains.
    let (_, accepted) = handshake(&acceptor, &client(&new)).await;
    assert!(
        matches!(accepted, Err(HandshakeError::Refused { fell_back: false })),
        "{accepted:?}"
    );
    let (seen, _) = handshake(&acceptor, &of_old).await;
    seen.unwrap();
}

/// Refuses whatever it is presented, once something else is served.
#[derive(Debug)]
struct Late {
    identity: Arc<Identity>,
    then: Authority,
}

impl ServerCertVerifier for Late {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        switch(&self.identity, &self.then);
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[tokio::test]
async fn a_refusal_is_about_the_certificate_of_its_own_handshake() {
    let (old, new) = (authority(), authority());
    let identity = Arc::new(Identity::new());
    identity
        .install(old.sign_leaf(&name(), DAY, time::now()).unwrap())
        .unwrap();
    let acceptor = Acceptor::new(Arc::clone(&identity)).unwrap();
    let late = Late {
        identity: Arc::clone(&identity),
        then: new.clone(),
    };
    let refuses = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(late))
        .with_no_client_auth();

    // The certificate of the old authority is refused when that of the new one is being served already.
    let (_, accepted) = handshake(&acceptor, &Arc::new(refuses)).await;

    assert!(
        matches!(accepted, Err(HandshakeError::Refused { fell_back: false })),
        "{accepted:?}"
    );
    handshake(&acceptor, &client(&new)).await.0.unwrap();
}

#[tokio::test]
async fn whatever_else_ends_a_handshake_changes_nothing() {
    let (old, new) = (authority(), authority());
    let sign = |authority: &Authority| authority.sign_leaf(&name(), DAY, time::now()).unwrap();
    let identity = Arc::new(Identity::new());
    identity.install(sign(&old)).unwrap();
    switch(&identity, &new);
    let acceptor = Acceptor::new(Arc::clone(&identity)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();

    for nonsense in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x50",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        stream.shutdown().await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let error = acceptor.accept(accepted).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Failed(_)), "{error:?}");
    }
    assert!(identity.look().refused().is_none());
    handshake(&acceptor, &client(&new)).await.0.unwrap();
}
