//! The handler that does nothing: it reads the body and answers a constant, with the libraries that the program has.

use std::{convert::Infallible, fs, net::Ipv4Addr, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, body::Incoming, header::CONTENT_TYPE, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An AdmissionReview that allows.
pub(crate) const ANSWER: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"0b3fd1a4-5d0c-4a55-9d0c-6d9e1f6d7a10","allowed":true}}"#;

/// Serves until it is killed.
pub(crate) fn serve(folder: &Path, port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let acceptor = TlsAcceptor::from(Arc::new(config(folder)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                let _ = connection.await;
            });
        }
    });
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert!(!body.is_empty());
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

fn config(folder: &Path) -> ServerConfig {
    let read = |name| fs::read(folder.join(name)).unwrap();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read("tls.crt")).collect();
    let key = PrivateKeyDer::from_pem_slice(&read("tls.key")).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// As many as the program has.
const WORKER_THREADS: usize = 2;
