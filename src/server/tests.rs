//! At the boundary: a real port, a real handshake, a real client. Nothing here waits for a fixed time; what has
//! to come is waited for with a deadline.

mod client;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use javelin_core::config::Config;
use javelin_core::mutate::{self, keys};
use javelin_core::review::{self, Answer, Entry, Malformed, Outcome};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::client::Client;
use super::body::MAX_BODY_BYTES;
use super::connection::Transport;
use super::readiness::{Condition, Readiness};
use super::refusals::Refusals;
use super::routes::{Decide, Reviews};
use super::tls::{Acceptor, Identity};
use super::{Limits, admin, listener};
use crate::certs::{Authority, ServiceName};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::time;

const NAME: &str = "javelin.javelin-system.svc";
const DEADLINE: Duration = Duration::from_secs(10);
const REVIEW: &str =
    r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1"}}"#;

struct Running {
    address: SocketAddr,
    authority: Authority,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(engine: Decide, limits: Limits) -> Self {
        let name = ServiceName::new("javelin", "javelin-system").unwrap();
        let authority = Authority::generate(&name, Duration::from_hours(24), time::now()).unwrap();
        let identity = Arc::new(Identity::new());
        identity
            .install(
                authority
                    .sign_leaf(&name, Duration::from_hours(1), time::now())
                    .unwrap(),
            )
            .unwrap();
        let metrics = Arc::new(Metrics::new());
        let shutdown = Shutdown::new();
        let config = Arc::new(ArcSwap::from_pointee(Config::parse("", "test").unwrap()));
        let refusals = Arc::new(Refusals::new(Arc::clone(&metrics)));
        let reviews = Reviews::new(config, Arc::clone(&refusals), limits, engine);
        let transport = Transport::Tls(Acceptor::new(identity).unwrap(), refusals);
        let port = listener::bind((Ipv4Addr::LOCALHOST, 0).into())
            .await
            .unwrap();
        let address = port.local_addr().unwrap();
        let task = tokio::spawn(listener::serve(
            port,
            transport,
            reviews.router(),
            shutdown.clone(),
            limits,
        ));
        Self {
            address,
            authority,
            metrics,
            shutdown,
            task,
        }
    }

    async fn connect(&self) -> Client {
        let root = self.authority.certificate().der();
        Client::http1(
            client::tls(self.address, NAME, root, b"http/1.1")
                .await
                .unwrap(),
        )
        .await
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        self.connect()
            .await
            .send(request(method, path, body))
            .await
            .unwrap()
    }

    async fn finished(self) {
        timeout(DEADLINE, self.task)
            .await
            .expect("the server did not end")
            .unwrap();
    }

    fn refused(&self, reason: &str) -> u64 {
        self.count(&format!(r#"javelin_refusals_total{{reason="{reason}"}}"#))
    }

    fn count(&self, metric: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", NAME)
        .body(Full::new(body.into()))
        .unwrap()
}

/// Says which entry it was asked for.
fn tell_entry(entry: &Entry, body: &[u8], _config: &Config) -> Result<Answer, Malformed> {
    serde_json::from_slice::<serde_json::Value>(body)?;
    Ok(answer(format!("{entry:?}")))
}

fn answer(body: impl Into<Vec<u8>>) -> Answer {
    let outcome = Outcome {
        code: "injected",
        namespace: "shop".to_owned(),
        name: "cart".to_owned(),
        dry_run: false,
        profile: Some("default".to_owned()),
        warned: false,
    };
    Answer {
        uid: "u-1".to_owned(),
        body: body.into(),
        outcome,
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("it never came true that {what}"));
}

#[tokio::test]
async fn every_path_is_its_entry_and_a_query_is_ignored() {
    let server = Running::start(tell_entry, Limits::default()).await;
    let mut client = server.connect().await;
    for (path, entry) in [
        ("/mutate/pod", "Pod"),
        ("/mutate/pod?timeout=10s", "Pod"),
        (
            "/mutate/namespace/checkout?timeout=3s",
            r#"Namespace("checkout")"#,
        ),
        ("/mutate/namespace", "UnknownNamespace"),
        ("/mutate/workload", "Workload"),
        ("/second-chance/pod?timeout=1s", "Pod"),
        (
            "/second-chance/namespace/checkout",
            r#"Namespace("checkout")"#,
        ),
        ("/second-chance/namespace", "UnknownNamespace"),
        ("/second-chance/workload", "Workload"),
        (
            "/warn/workload/checkout?timeout=1s",
            r#"WorkloadWarning("checkout")"#,
        ),
        ("/warn/workload?timeout=1s", "UnknownWorkloadWarning"),
        ("/probe", "Probe"),
    ] {
        // One connection for all: it is kept open.
        let response = client
            .send(request(Method::POST, path, REVIEW))
            .await
            .unwrap();
        assert_eq!(
            (response.status(), &response.body()[..]),
            (StatusCode::OK, entry.as_bytes()),
            "{path}"
        );
        assert_eq!(response.headers()["content-type"], "application/json");
    }
    assert_eq!(
        server.count(r#"javelin_reviews_total{entry="pod",outcome="injected"}"#),
        3
    );
    for (entry, times) in [("pod", 1), ("namespace", 1), ("workload", 1)] {
        let series =
            format!(r#"javelin_second_chances_total{{entry="{entry}",outcome="injected"}}"#);
        assert_eq!(server.count(&series), times, "{series}");
    }
    for entry in ["workload-warning", "workload-warning-unknown"] {
        let series = format!(r#"javelin_reviews_total{{entry="{entry}",outcome="injected"}}"#);
        assert_eq!(server.count(&series), 1, "{series}");
    }
    assert_eq!(server.count("javelin_open_connections"), 1);
}

#[tokio::test]
async fn a_dry_run_is_counted_apart_and_injects_nothing() {
    let engine: Decide = |_, body, _| {
        let mut answer = answer("");
        answer.outcome.dry_run = body == b"dry";
        Ok(answer)
    };
    let server = Running::start(engine, Limits::default()).await;
    for body in ["dry", "dry", "wet"] {
        server.send(Method::POST, "/mutate/pod", body).await;
    }
    server.send(Method::POST, "/probe", "dry").await;
    for (series, times) in [
        (
            r#"javelin_reviews_total{entry="pod",outcome="injected"}"#,
            3,
        ),
        (
            r#"javelin_dry_runs_total{entry="pod",outcome="injected"}"#,
            2,
        ),
        (r#"javelin_injections_total{profile="default"}"#, 1),
    ] {
        assert_eq!(server.count(series), times, "{series}");
    }
    let text = server.metrics.encode().unwrap();
    assert!(!text.contains(r#"javelin_dry_runs_total{entry="probe""#));
}

#[tokio::test]
async fn http2_is_not_spoken() {
    let server = Running::start(tell_entry, Limits::default()).await;
    let root = server.authority.certificate().der();
    let refused = client::tls(server.address, NAME, root, b"h2").await;
    assert!(refused.is_err());
    until("it is counted", || server.refused("handshake") == 1).await;
}

#[tokio::test]
async fn everything_else_is_refused() {
    let server = Running::start(tell_entry, Limits::default()).await;
    for (method, path, status) in [
        (Method::GET, "/mutate/pod", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/", StatusCode::NOT_FOUND),
        (Method::POST, "/mutate", StatusCode::NOT_FOUND),
        (Method::POST, "/mutate/pod/", StatusCode::NOT_FOUND),
        (Method::POST, "/mutate/namespace/a/b", StatusCode::NOT_FOUND),
        (Method::POST, "/mutate/probe", StatusCode::NOT_FOUND),
        (
            Method::GET,
            "/second-chance/pod",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (Method::POST, "/second-chance/probe", StatusCode::NOT_FOUND),
        (Method::POST, "/warn/pod", StatusCode::NOT_FOUND),
        (
            Method::GET,
            "/warn/workload/checkout",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (Method::GET, "/metrics", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(
            server.send(method, path, REVIEW).await.status(),
            status,
            "{path}"
        );
    }
    let response = server.send(Method::POST, "/mutate/pod", "{").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(
        response.body().starts_with(b"not an "),
        "{:?}",
        response.body()
    );
    assert_eq!(server.count("javelin_malformed_requests_total"), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_declared_or_not() {
    let server = Running::start(tell_entry, Limits::default()).await;
    let exact = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES - 2));
    assert_eq!(
        server
            .send(Method::POST, "/mutate/pod", exact)
            .await
            .status(),
        StatusCode::OK
    );

    // Declared: refused before a byte of it is sent.
    let head = format!(
        "POST /mutate/pod HTTP/1.1\r\nhost: x\r\n{CONTENT_LENGTH}: {}\r\n\r\n",
        MAX_BODY_BYTES + 1
    );
    assert!(
        raw(&server, head.as_bytes())
            .await
            .starts_with("HTTP/1.1 413 ")
    );

    // Not declared: refused when it has become too much.
    let mut chunked =
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    chunked.extend_from_slice(format!("{:x}\r\n", MAX_BODY_BYTES + 1).as_bytes());
    chunked.resize(chunked.len() + MAX_BODY_BYTES + 1, b'x');
    assert!(raw(&server, &chunked).await.starts_with("HTTP/1.1 413 "));
}

/// Sends bytes and reads what comes back, up to the end of the headers.
async fn raw(server: &Running, bytes: &[u8]) -> String {
    let root = server.authority.certificate().der();
    let stream = client::tls(server.address, NAME, root, b"http/1.1")
        .await
        .unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let mut answer = Vec::new();
    let read = async {
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
            if from.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    // The server may answer and hang up before it has read everything.
    let write = async {
        let _ = to.write_all(bytes).await;
        let _ = to.flush().await;
    };
    timeout(DEADLINE, async { tokio::join!(read, write) })
        .await
        .expect("no answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits {
        body: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let head = "POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    assert!(
        raw(&server, head.as_bytes())
            .await
            .starts_with("HTTP/1.1 408 ")
    );
}

#[tokio::test]
async fn a_silent_client_holds_nobody_up_and_is_dropped() {
    let limits = Limits {
        handshake: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut garbage = TcpStream::connect(server.address).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();

    assert_eq!(
        server.send(Method::POST, "/probe", REVIEW).await.status(),
        StatusCode::OK
    );

    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, silent.read_to_end(&mut rest))
        .await
        .expect("the silent client was not dropped");
    until("both handshakes are counted", || {
        server.count("javelin_tls_handshake_failures_total") == 2
    })
    .await;
}

async fn is_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut rest))
        .await
        .expect("the connection stayed open");
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_long_before_an_idle_one() {
    let limits = Limits {
        first_request: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let root = server.authority.certificate().der();
    let mut kept = server.connect().await;
    kept.send(request(Method::POST, "/probe", REVIEW))
        .await
        .unwrap();
    let connect = || client::tls(server.address, NAME, root, b"http/1.1");
    let mut silent = connect().await.unwrap();
    let mut slow = connect().await.unwrap();
    slow.write_all(b"POST /probe HTTP/1.1\r\nhost: ")
        .await
        .unwrap();
    slow.flush().await.unwrap();
    is_closed(&mut silent).await;
    is_closed(&mut slow).await;
    assert_eq!(server.refused("silent"), 2);
    let response = kept.send(request(Method::POST, "/probe", REVIEW)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let root = server.authority.certificate().der();
    let mut stream = client::tls(server.address, NAME, root, b"http/1.1")
        .await
        .unwrap();
    is_closed(&mut stream).await;
}

#[tokio::test]
async fn over_its_share_an_address_is_turned_away_and_others_are_served() {
    let limits = Limits {
        connections: 4,
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let from = async |last: u8| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.connect(server.address).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(from(2).await);
    }
    is_closed(&mut from(2).await).await;
    assert_eq!(server.refused("too-many-connections"), 1);
    let answer = server.send(Method::POST, "/probe", REVIEW).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn over_the_connection_limit_clients_wait_for_their_turn() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let first = server.connect().await;
    let second = server.send(Method::POST, "/probe", REVIEW);
    let mut second = std::pin::pin!(second);
    assert!(
        timeout(Duration::from_millis(50), &mut second)
            .await
            .is_err(),
        "it was served beyond the limit"
    );
    drop(first);
    assert_eq!(
        timeout(DEADLINE, second)
            .await
            .expect("it was never served")
            .status(),
        StatusCode::OK
    );
}

/// Six of these once held all memory that there was.
#[tokio::test]
async fn headers_and_silence_take_no_memory_from_others() {
    let server = Running::start(tell_entry, Limits::default()).await;
    let root = server.authority.certificate().der();
    let mut silent = Vec::new();
    for _ in 0..24 {
        let mut stream = client::tls(server.address, NAME, root, b"http/1.1")
            .await
            .unwrap();
        let head = format!(
            "POST /mutate/pod HTTP/1.1\r\nhost: x\r\n{CONTENT_LENGTH}: {MAX_BODY_BYTES}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        silent.push(stream);
    }
    let mut client = server.connect().await;
    let large = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES - 2));
    for body in [REVIEW.to_owned(), large] {
        let response = client
            .send(request(Method::POST, "/mutate/pod", body))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(server.refused("overloaded"), 0);
}

#[tokio::test]
async fn without_memory_a_large_body_is_a_503_without_retry_after_and_an_ordinary_one_is_served() {
    let limits = Limits {
        large_bytes: 0,
        queue: Duration::from_millis(10),
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let large = "x".repeat(100_000);
    let response = server.send(Method::POST, "/mutate/pod", large).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.headers().contains_key(RETRY_AFTER));
    assert_eq!(server.refused("overloaded"), 1);
    let response = server.send(Method::POST, "/mutate/pod", REVIEW).await;
    assert_eq!(response.status(), StatusCode::OK);
}

static STUCK: AtomicBool = AtomicBool::new(true);

/// Never ends for large bodies while [`STUCK`].
fn stuck_on_large(entry: &Entry, body: &[u8], config: &Config) -> Result<Answer, Malformed> {
    while body.len() > 100_000 && STUCK.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    tell_entry(entry, body, config)
}

/// Ends the work of all that are stuck on this.
struct Release(&'static AtomicBool);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// One thread serves both ports here, as the test's runtime has one. The engine blocks, and nobody notices.
#[tokio::test]
async fn an_engine_that_blocks_holds_up_neither_livez_nor_ordinary_reviews() {
    // Whatever happens here: threads that never end would keep the runtime from ending.
    let release = Release(&STUCK);
    let server = Running::start(stuck_on_large, Limits::default()).await;
    let readiness = Arc::new(Readiness::new(&[], Shutdown::new()));
    let admin = admin_port(readiness).await;
    let large = format!("{REVIEW}{}", " ".repeat(100_000));
    let mut overdue = tokio::task::JoinSet::new();
    for _ in 0..Limits::default().large_threads {
        let mut client = server.connect().await;
        let request = request(Method::POST, "/mutate/pod?timeout=3s", large.clone());
        overdue.spawn(async move { client.send(request).await.unwrap() });
    }
    let mut client = server.connect().await;
    let mut answers = Vec::new();
    while answers.len() < Limits::default().large_threads {
        if let Some(answer) = overdue.try_join_next() {
            answers.push(answer.unwrap());
        }
        assert!(get(admin, "/livez").await.starts_with("HTTP/1.1 200 "));
        let answer = client.send(request(Method::POST, "/probe", REVIEW)).await;
        assert_eq!(&answer.unwrap().body()[..], b"Probe");
    }
    answers.iter().for_each(assert_admitted_unchanged);
    assert_eq!(server.refused("late"), 2);
    // All threads for such bodies are lost, so others are not kept waiting for them.
    let mut send = async |path| {
        client
            .send(request(Method::POST, path, large.clone()))
            .await
    };
    assert_admitted_unchanged(&send("/mutate/pod").await.unwrap());
    assert_eq!(server.refused("stuck"), 1);
    // Admitted without its annotation, the probe's ConfigMap would say that nobody called.
    let refused = send("/probe").await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(release);
    let recovered = async { while send("/mutate/pod").await.unwrap().body() != "Pod" {} };
    timeout(DEADLINE, recovered).await.expect("it stays stuck");
}

static SLOW: AtomicBool = AtomicBool::new(true);

/// The engine with a rule that is slow while [`SLOW`].
fn with_a_slow_rule(entry: &Entry, body: &[u8], config: &Config) -> Result<Answer, Malformed> {
    let engine = review::Engine {
        decide: |subject, config| {
            let began = std::time::Instant::now();
            // Not for ever: should it block the test's one thread, the test fails by what it gets.
            while SLOW.load(Ordering::SeqCst) && began.elapsed() < DEADLINE {
                std::thread::yield_now();
            }
            mutate::decide(subject, config)
        },
        ..review::Engine::OURS
    };
    engine.answer(entry, body, config)
}

/// The fault that `review/tests/faults.rs` cannot put in, as only the server knows of time. One thread accepts, shakes hands
/// and answers `/livez` here.
#[tokio::test]
async fn a_slow_rule_costs_the_agent_and_nothing_else() {
    let release = Release(&SLOW);
    let server = Running::start(with_a_slow_rule, Limits::default()).await;
    let admin = admin_port(Arc::new(Readiness::new(&[], Shutdown::new()))).await;
    let pod = json!({
        "metadata": { "name": "cart", "labels": { keys::INJECT: "true" } },
        "spec": { "containers": [{ "name": "cart", "image": "cart:1" }] },
    });
    let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
    let asked = json!({
        "uid": "u-1", "operation": "CREATE", "kind": kind, "namespace": "shop", "object": pod,
    });
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked,
    });
    let ask = || request(Method::POST, "/mutate/pod?timeout=1s", body.to_string());
    let threads = Limits::default().ordinary_threads;
    let mut overdue = tokio::task::JoinSet::new();
    for _ in 0..threads {
        let (mut client, request) = (server.connect().await, ask());
        overdue.spawn(async move { client.send(request).await.unwrap() });
    }
    let mut answers = Vec::new();
    while answers.len() < threads {
        if let Some(answer) = overdue.try_join_next() {
            answers.push(answer.unwrap());
        }
        assert!(get(admin, "/livez").await.starts_with("HTTP/1.1 200 "));
        server.connect().await;
    }
    answers.iter().for_each(assert_admitted_unchanged);
    assert_eq!(server.refused("late"), 2);
    // Whoever comes now does not wait for rules that do not end.
    let mut client = server.connect().await;
    assert_admitted_unchanged(&client.send(ask()).await.unwrap());
    assert_eq!(server.refused("stuck"), 1);
    let injected = || server.count(r#"javelin_reviews_total{entry="pod",outcome="injected"}"#);
    assert_eq!(injected(), 0);
    drop(release);
    // What the slow ones came to in the end has gone to nobody.
    let recovered = async {
        while injected() == 0 {
            client.send(ask()).await.unwrap();
        }
    };
    timeout(DEADLINE, recovered).await.expect("it stays stuck");
    let answer = client.send(ask()).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert!(answer["response"]["patch"].is_string(), "{answer}");
    assert_eq!(injected(), 2);
}

#[track_caller]
fn assert_admitted_unchanged(answer: &Response<Bytes>) {
    let review: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(
        (answer.status(), &review["response"]["uid"]),
        (StatusCode::OK, &"u-1".into())
    );
    assert_eq!(review["response"]["allowed"], true);
    assert!(review["response"].get("patch").is_none());
}

/// 50,000 chunks of a byte each once took a buffer each.
#[tokio::test]
async fn a_body_in_chunks_of_one_byte_is_read() {
    let server = Running::start(tell_entry, Limits::default()).await;
    let mut chunked =
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let padded = format!("{REVIEW}{}", " ".repeat(50_000));
    for byte in padded.bytes() {
        chunked.extend_from_slice(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert!(raw(&server, &chunked).await.starts_with("HTTP/1.1 200 "));
}

/// A length beside the chunks may have made somebody between believe that what follows is another request.
#[tokio::test]
async fn a_body_in_chunks_is_the_last_of_its_connection() {
    let server = Running::start(tell_entry, Limits::default()).await;
    let root = server.authority.certificate().der();
    for lengths in ["", "content-length: 4\r\n"] {
        let mut stream = client::tls(server.address, NAME, root, b"http/1.1")
            .await
            .unwrap();
        let request = format!(
            "POST /probe HTTP/1.1\r\nhost: x\r\n{lengths}transfer-encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answers = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut answers))
            .await
            .expect("the connection is kept");
        let answers = String::from_utf8_lossy(&answers);
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    }
}

#[test]
fn few_descriptors_mean_few_connections() {
    let connections = |descriptors| {
        [Limits::default(), Limits::of_admin_port()]
            .map(|limits| limits.within(descriptors).connections)
    };
    assert_eq!(connections(1024), [512, 64]);
    assert_eq!(connections(128), [85, 10]);
    assert_eq!(connections(0), [1, 1]);
}

/// Answers more than any buffer between the two holds.
#[expect(clippy::unnecessary_wraps, reason = "it has to be an `Decide`")]
fn verbose(_: &Entry, _: &[u8], _: &Config) -> Result<Answer, Malformed> {
    Ok(answer(vec![b'x'; 20 * 1024 * 1024]))
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_dropped() {
    let limits = Limits {
        write: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(verbose, limits).await;
    let root = server.authority.certificate().der();
    let mut stream = client::tls(server.address, NAME, root, b"http/1.1")
        .await
        .unwrap();
    let head = format!(
        "POST /probe HTTP/1.1\r\nhost: x\r\n{CONTENT_LENGTH}: {}\r\n\r\n{REVIEW}",
        REVIEW.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    until("it is dropped", || {
        server.count("javelin_open_connections") == 0
    })
    .await;
    assert_eq!(server.refused("slow-reader"), 1);
}

#[tokio::test]
async fn a_panic_becomes_an_answer_with_the_uid() {
    let server = Running::start(|_, _, _| panic!("on purpose"), Limits::default()).await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        // Twice on one connection: it survives.
        let response = client
            .send(request(Method::POST, "/mutate/pod", REVIEW))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let review: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(review["response"]["uid"], "u-1");
        assert_eq!(review["response"]["allowed"], true);
    }
    assert_eq!(server.count("javelin_panics_total"), 2);
}

#[tokio::test]
async fn draining_says_close_and_goes_on_serving() {
    let server = Running::start(tell_entry, Limits::default()).await;
    let mut kept = server.connect().await;
    let response = kept
        .send(request(Method::POST, "/probe", REVIEW))
        .await
        .unwrap();
    assert!(!response.headers().contains_key(CONNECTION));

    server.shutdown.drain();

    let response = kept
        .send(request(Method::POST, "/probe", REVIEW))
        .await
        .unwrap();
    assert_eq!(
        (response.status(), &response.headers()[CONNECTION]),
        (StatusCode::OK, &"close".parse().unwrap())
    );
    assert_eq!(
        server.send(Method::POST, "/probe", REVIEW).await.status(),
        StatusCode::OK
    );
    server.shutdown.close();
    server.finished().await;
}

static ENTERED: AtomicBool = AtomicBool::new(false);
static LEAVE: AtomicBool = AtomicBool::new(false);

/// Takes as long as the test wants.
#[expect(clippy::unnecessary_wraps, reason = "it has to be an `Decide`")]
fn slow(_: &Entry, _: &[u8], _: &Config) -> Result<Answer, Malformed> {
    ENTERED.store(true, Ordering::SeqCst);
    while !LEAVE.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    Ok(answer("in time"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn closing_finishes_what_was_asked_and_takes_nothing_new() {
    let server = Running::start(slow, Limits::default()).await;
    let mut busy = server.connect().await;
    let _idle = server.connect().await;
    let answer =
        tokio::spawn(async move { busy.send(request(Method::POST, "/probe", REVIEW)).await });
    until("the request is being answered", || {
        ENTERED.load(Ordering::SeqCst)
    })
    .await;

    server.shutdown.close();

    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, refused)
        .await
        .expect("connections are still accepted");
    assert!(
        !server.task.is_finished(),
        "it did not wait for the request"
    );
    LEAVE.store(true, Ordering::SeqCst);
    assert_eq!(&answer.await.unwrap().unwrap().body()[..], b"in time");
    server.finished().await;
}

#[tokio::test]
async fn closing_does_not_wait_for_ever() {
    let limits = Limits {
        close: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(tell_entry, limits).await;
    let root = server.authority.certificate().der();
    let mut stuck = client::tls(server.address, NAME, root, b"http/1.1")
        .await
        .unwrap();
    stuck
        .write_all(b"POST /probe HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
        .await
        .unwrap();
    stuck.flush().await.unwrap();
    until("the connection is open", || {
        server.count("javelin_open_connections") == 1
    })
    .await;

    server.shutdown.close();

    server.finished().await;
}

async fn admin_port(readiness: Arc<Readiness>) -> SocketAddr {
    let port = listener::bind((Ipv4Addr::LOCALHOST, 0).into())
        .await
        .unwrap();
    let address = port.local_addr().unwrap();
    tokio::spawn(listener::serve(
        port,
        Transport::Plain,
        admin::router(readiness, Arc::new(Metrics::new())),
        Shutdown::new(),
        Limits::of_admin_port(),
    ));
    address
}

async fn get(address: SocketAddr, path: &str) -> String {
    get_accepting(address, path, "*/*").await
}

async fn get_accepting(address: SocketAddr, path: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer))
        .await
        .expect("no answer")
        .unwrap();
    answer
}

#[tokio::test]
async fn the_admin_port_tells_about_readiness_and_metrics() {
    let shutdown = Shutdown::new();
    let readiness = Arc::new(Readiness::new(&[Condition::Certificate], shutdown.clone()));
    let address = admin_port(Arc::clone(&readiness)).await;
    let get = |path: &'static str| get(address, path);

    assert!(get("/livez").await.starts_with("HTTP/1.1 200 "));
    assert!(get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(get("/readyz?verbose").await.contains("[-]certificate: "));
    readiness.set(Condition::Certificate, true);
    assert!(get("/readyz").await.starts_with("HTTP/1.1 200 "));
    assert!(get("/readyz?verbose").await.contains("[+]certificate: "));
    readiness.note("probe: no-answer\n".to_owned());
    assert!(get("/readyz").await.ends_with("\r\n\r\nok\n"));
    let verbose = get("/readyz?verbose").await;
    assert!(verbose.ends_with("\nprobe: no-answer\nok\n"), "{verbose}");
    let metrics = get("/metrics").await;
    assert!(metrics.contains("\r\ncontent-type: text/plain; version=0.0.4;"));
    assert!(metrics.contains("# TYPE javelin_build_info gauge\n"));
    let metrics = get_accepting(address, "/metrics", "application/openmetrics-text").await;
    assert!(metrics.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0;"));
    assert!(metrics.ends_with("\n# EOF\n"));
    shutdown.drain();
    assert!(get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(get("/livez").await.starts_with("HTTP/1.1 200 "));
}
