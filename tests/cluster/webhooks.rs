//! Mutating webhooks of somebody else: a server of the test's own, in the network of the cluster's API server.
//!
//! Only where that network is known, which is on our own cluster. What a pod becomes is a function of the path and the pod;
//! the answer is the difference as JSON Patch, as most webhooks make it.

use std::{
    convert::Infallible,
    fs::File,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd as _,
    path::PathBuf,
    sync::Arc,
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::kube::Result;

/// Serves until it is dropped.
pub(crate) struct Webhooks {
    _runtime: Runtime,
    address: String,
    bundle: String,
}

impl Webhooks {
    /// `change` does to a pod what the webhook of that path does.
    pub(crate) fn serve(network: PathBuf, change: fn(&str, &mut Value)) -> Result<Self> {
        let listener = inside(network, || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
            listener.set_nonblocking(true).map_err(said)?;
            Ok(listener)
        })?;
        let port = listener.local_addr().map_err(said)?.port();
        let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).map_err(said)?;
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der())?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                let config = config.with_no_client_auth();
                config.with_single_cert(vec![own.cert.der().clone()], key)
            });
        let acceptor = TlsAcceptor::from(Arc::new(config.map_err(said)?));
        let runtime = Runtime::new().map_err(said)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(said)?
        };
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whoever goes away is the API server, and it says so in its log.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let answer = service_fn(move |request| answer(request, change));
                        let connection = http1::Builder::new();
                        let _ = connection
                            .serve_connection(TokioIo::new(stream), answer)
                            .await;
                    }
                });
            }
        });
        Ok(Self {
            _runtime: runtime,
            address: format!("https://127.0.0.1:{port}"),
            bundle: BASE64.encode(own.cert.pem()),
        })
    }

    /// What a webhook's entry says of the server.
    pub(crate) fn client_config(&self, path: &str) -> Value {
        json!({ "url": format!("{}/{path}", self.address), "caBundle": self.bundle })
    }
}

/// Where the API server of our own cluster has its loopback address.
#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask test` says that the cluster is ours"
)]
pub(crate) fn network() -> Option<PathBuf> {
    std::env::var("JAVELIN_CLUSTER_NETWORK")
        .ok()
        .map(PathBuf::from)
}

/// By a thread of its own, which ends in there: the sockets that it gives back stay.
pub(crate) fn inside<T: Send + 'static>(
    network: PathBuf,
    act: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let thread = thread::spawn(move || {
        let network = File::open(network).map_err(said)?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(said)?;
        act()
    });
    let outcome = thread.join();
    outcome.map_err(|_| "the thread in the network panicked")?
}

async fn answer(
    request: Request<Incoming>,
    change: fn(&str, &mut Value),
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let whose = request.uri().path().trim_start_matches('/').to_owned();
    let body = request.into_body().collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let asked = &review["request"];
    let mut changed = asked["object"].clone();
    change(&whose, &mut changed);
    let patch = json_patch::diff(&asked["object"], &changed);
    let mut response = json!({ "uid": asked["uid"], "allowed": true });
    if !patch.0.is_empty() {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(BASE64.encode(json!(patch).to_string()));
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    let mut answer = Response::new(Full::from(review.to_string()));
    let json = hyper::header::HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    Ok(answer)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn said(error: impl ToString) -> String {
    error.to_string()
}
