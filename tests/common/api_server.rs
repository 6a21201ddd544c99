//! A stand-in for the API server: the Secret and the webhook configuration as replicas read and write them, and a probe that
//! always comes through.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{Method, StatusCode, header::CONTENT_TYPE},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use javelin::{
    server::{Limits, connection::Transport, listener},
    shutdown::Shutdown,
};
use serde_json::{Value, json};

/// What an API server knows.
pub(crate) trait Answers: Send + 'static {
    /// Status and body, to a request with that content type and body.
    fn answer(&mut self, method: &Method, uri: &str, kind: &str, body: &[u8]) -> (u16, String);
}

/// The two objects, whatever else was sent, and what must not be seen.
pub(crate) struct Objects {
    version: u64,
    pub(crate) secret: Value,
    pub(crate) configuration: Value,
    /// The next answer about the Secret, in place of the Secret.
    pub(crate) nonsense: Option<String>,
    /// Has the caBundle as it is, for clients that trust it.
    pub(crate) trusted: Option<PathBuf>,
    pub(crate) sent: Vec<String>,
    /// Each authority's that was ever written, in PEM.
    pub(crate) keys: BTreeSet<String>,
}

impl Answers for Objects {
    fn answer(&mut self, method: &Method, uri: &str, kind: &str, body: &[u8]) -> (u16, String) {
        let patch = if *method == Method::GET {
            None
        } else {
            let patch: Value = serde_json::from_slice(body).unwrap_or_default();
            self.note(uri, &patch);
            Some(patch)
        };
        // A watch that ends at once.
        if uri.contains("watch=") {
            return (200, String::new());
        }
        if uri.contains("/secrets/") {
            if let Some(nonsense) = self.nonsense.take() {
                return (200, nonsense);
            }
            if let Some(patch) = patch.filter(|_| kind.contains("merge-patch")) {
                if patch["metadata"]["resourceVersion"]
                    != self.secret["metadata"]["resourceVersion"]
                {
                    return (409, status(409, "Conflict"));
                }
                json_patch::merge(&mut self.secret, &patch);
                self.changed(|objects| &mut objects.secret);
            }
            return (200, self.secret.to_string());
        }
        if uri.contains("/mutatingwebhookconfigurations/") {
            if let Some(patch) = patch {
                let bundle = &patch["webhooks"][0]["clientConfig"]["caBundle"];
                self.configuration["webhooks"][0]["clientConfig"]["caBundle"] = bundle.clone();
                self.trust();
                self.changed(|objects| &mut objects.configuration);
            }
            return (200, self.configuration.to_string());
        }
        if uri.contains("/configmaps/") {
            let annotations = json!({ "javelin.dev/probe": "x" });
            return (
                200,
                json!({ "metadata": { "annotations": annotations } }).to_string(),
            );
        }
        (404, status(404, "NotFound"))
    }
}

impl Objects {
    pub(crate) fn new() -> Self {
        let entry = json!({
            "name": "pod.javelin.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": { "service": { "name": "javelin", "namespace": "javelin-system" } },
        });
        Self {
            version: 1,
            secret: json!({ "metadata": { "resourceVersion": "1" } }),
            configuration: json!({ "metadata": { "resourceVersion": "1" }, "webhooks": [entry] }),
            nonsense: None,
            trusted: None,
            sent: Vec::new(),
            keys: BTreeSet::new(),
        }
    }

    /// Before whoever published it hears of that. By renaming: nobody is to read a half.
    fn trust(&self) {
        let bundle = &self.configuration["webhooks"][0]["clientConfig"]["caBundle"];
        if let (Some(file), Some(bundle)) = (&self.trusted, bundle.as_str()) {
            let new = file.with_extension("new");
            fs::write(&new, STANDARD.decode(bundle).unwrap()).unwrap();
            fs::rename(new, file).unwrap();
        }
    }

    fn changed(&mut self, object: impl Fn(&mut Self) -> &mut Value) {
        self.version += 1;
        let version = self.version.to_string();
        object(self)["metadata"]["resourceVersion"] = version.into();
    }

    /// What was sent, without the Secret's data, which is where keys belong.
    fn note(&mut self, uri: &str, patch: &Value) {
        let mut patch = patch.clone();
        if let Some(data) = patch.as_object_mut().and_then(|patch| patch.remove("data")) {
            let keys = ["ca.key", "next.key"].map(|key| data[key].as_str().map(str::to_owned));
            for key in keys.into_iter().flatten() {
                let text = String::from_utf8(STANDARD.decode(key).unwrap()).unwrap();
                self.keys.insert(text);
            }
        }
        self.sent.push(format!("{uri} {patch}"));
    }

    pub(crate) fn edit_secret(&mut self, edit: impl FnOnce(&mut Value)) {
        edit(&mut self.secret);
        self.changed(|objects| &mut objects.secret);
    }

    /// Asks whoever keeps the Secret for another authority.
    pub(crate) fn ask_for_rotation(&mut self) {
        self.edit_secret(|secret| {
            secret["metadata"]["annotations"]["javelin.dev/rotate"] = "now".into();
        });
    }
}

fn status(code: u16, reason: &str) -> String {
    json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "" })
        .to_string()
}

/// What leads there, with a token.
pub(crate) fn kubeconfig(address: SocketAddr, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{ "name": "here", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "me", "user": { "token": token } }],
        "contexts": [{ "name": "here", "context": { "cluster": "here", "user": "me" } }],
    })
    .to_string()
}

/// One that answers until the test ends.
pub(crate) fn api_server(objects: Arc<Mutex<impl Answers>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let router = Router::new().fallback(async move |request: Request| {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let kind = parts.headers.get(CONTENT_TYPE);
        let kind = kind.map_or("", |kind| kind.to_str().unwrap());
        let uri = parts.uri.to_string();
        let mut objects = objects.lock().unwrap();
        let (code, text) = objects.answer(&parts.method, &uri, kind, &body);
        (StatusCode::from_u16(code).unwrap(), Body::from(text))
    });
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (shutdown, limits) = (Shutdown::new(), Limits::default());
            listener::serve(listener, Transport::Plain, router, shutdown, limits).await;
        });
    });
    address
}
