//! What `javelin serve` sends to a Collector: spans of reviews and log lines, over HTTP and HTTPS, to a stand-in that keeps what it
//! was sent. Reviews come as an API server sends them, over TLS and with `traceparent`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::LogRecord,
    trace::v1::Span,
};
use prost::Message as _;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::running::{Running, free_ports, get};

/// Long, because others may be using the machine.
const DEADLINE: Duration = Duration::from_mins(1);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0bb902b7";

const NAME: &str = "javelin.javelin-system.svc";

/// Each request's path and body.
type Kept = Mutex<Vec<(String, Vec<u8>)>>;

/// A Collector that keeps what it is sent.
struct Collector {
    port: u16,
    kept: Arc<Kept>,
}

impl Collector {
    fn start(status: &'static str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::<Kept>::default();
        let sink = Arc::clone(&kept);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, sink, tls) = (stream.unwrap(), Arc::clone(&sink), tls.clone());
                // A client that goes away ends its thread.
                thread::spawn(move || match tls {
                    None => keep(stream, &sink, status),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        keep(StreamOwned::new(connection, stream), &sink, status);
                    }
                });
            }
        });
        Self { port, kept }
    }

    fn all<T>(&self, path: &str, read: impl Fn(&[u8]) -> Vec<T>) -> Vec<T> {
        let kept = self.kept.lock().unwrap();
        let bodies = kept.iter().filter(|(to, _)| to == path);
        bodies.flat_map(|(_, body)| read(body)).collect()
    }

    fn spans(&self) -> Vec<(Attributes, Span)> {
        self.all("/v1/traces", |body| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let mut spans = Vec::new();
            for of_resource in request.resource_spans {
                let resource = attributes(of_resource.resource.unwrap().attributes);
                let of_scopes = of_resource.scope_spans.into_iter();
                let all = of_scopes.flat_map(|of_scope| of_scope.spans);
                spans.extend(all.map(|span| (resource.clone(), span)));
            }
            spans
        })
    }

    fn lines(&self) -> Vec<LogRecord> {
        self.all("/v1/logs", |body| {
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            let of_resources = request.resource_logs.into_iter();
            let of_scopes = of_resources.flat_map(|of_resource| of_resource.scope_logs);
            of_scopes
                .flat_map(|of_scope| of_scope.log_records)
                .collect()
        })
    }
}

/// Requests until the client has no more.
fn keep(stream: impl Read + Write, sink: &Kept, status: &str) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(head)) = head_of(&mut stream) {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        sink.lock().unwrap().push((path, body));
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        stream.get_mut().flush().unwrap();
    }
}

/// Up to the empty line; nothing where the client has gone.
fn head_of(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

type Attributes = BTreeMap<String, String>;

fn attributes(of: Vec<KeyValue>) -> Attributes {
    of.into_iter()
        .map(|attribute| (attribute.key, text(attribute.value)))
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

/// `javelin serve` with a certificate of its own, which sends to a Collector.
struct Javelin {
    running: Running,
    folder: tempfile::TempDir,
    port: u16,
    admin: u16,
    root: CertificateDer<'static>,
}

impl Javelin {
    fn start(endpoint: &str, further: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        fs::write(path("tls.crt"), made.cert.pem()).unwrap();
        fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        let [port, admin] = free_ports();
        let child = Command::new(env!("CARGO_BIN_EXE_javelin"))
            .env_clear()
            .env("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=javelin-1")
            .env("OTEL_BSP_SCHEDULE_DELAY", "20")
            .env("OTEL_BLRP_SCHEDULE_DELAY", "20")
            .args(["serve", "--drain-grace=0s", "--otlp-endpoint", endpoint])
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(format!("--admin-listen=127.0.0.1:{admin}"))
            .arg(format!("--tls-cert={}", path("tls.crt").display()))
            .arg(format!("--tls-key={}", path("tls.key").display()))
            .args(further)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(path("log")).unwrap())
            .spawn();
        let javelin = Self {
            running: Running(child.unwrap()),
            port,
            admin,
            root: made.cert.der().clone(),
            folder,
        };
        javelin.until("it serves", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        javelin
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let end = Instant::now() + DEADLINE;
        while !is_so() {
            assert!(Instant::now() < end, "{what}: {}", self.log());
            thread::yield_now();
        }
    }

    /// A review of a pod with this in `traceparent`; gives the answer's first line.
    fn review(&self, flags: &str) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        write!(
            stream,
            "POST /mutate/pod?timeout=3s HTTP/1.1\r\nhost: {NAME}\r\ntraceparent: 00-{TRACE}-{CALLER}-{flags}\r\n\
             content-length: {}\r\n\r\n{REVIEW}",
            REVIEW.len()
        )
        .unwrap();
        let mut first = String::new();
        BufReader::new(stream).read_line(&mut first).unwrap();
        first.trim_end().to_owned()
    }

    fn metric(&self, series: &str) -> u64 {
        let text = get(self.admin, "/metrics");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    fn terminate(&mut self) {
        let pid = self.running.0.id().to_string();
        let status = Command::new("kill").arg(pid).status().unwrap();
        assert!(status.success());
        let end = Instant::now() + DEADLINE;
        while self.running.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "it goes on: {}", self.log());
            thread::yield_now();
        }
    }
}

const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"CREATE","namespace":"shop","kind":{"group":"","version":"v1","kind":"Pod"},"object":{"metadata":{"name":"cart","labels":{"instrumentation.opentelemetry.io/inject-java":"true"}},"spec":{"containers":[{"name":"app","image":"a","env":[{"name":"PASSWORD","value":"secret-of-the-pod"}]}]}}}}"#;

fn exports(signal: &str, result: &str) -> String {
    format!("javelin_otlp_requests_total{{signal=\"{signal}\",result=\"{result}\"}}")
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[test]
fn a_review_goes_on_with_the_trace_of_the_api_server_and_its_line_belongs_to_it() {
    let collector = Collector::start("200 OK", None);
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let mut javelin = Javelin::start(&endpoint, &[]);
    assert_eq!(javelin.review("01"), "HTTP/1.1 200 OK");
    javelin.until("both spans are there", || collector.spans().len() == 2);
    let spans = collector.spans();
    let named = |name: &str| spans.iter().find(|(_, span)| span.name == name).unwrap();
    let (resource, review) = named("review pod");
    let (_, decision) = named("decide");
    for span in [review, decision] {
        assert_eq!(hex(&span.trace_id), TRACE);
    }
    assert_eq!(hex(&review.parent_span_id), CALLER);
    assert_eq!(decision.parent_span_id, review.span_id);
    assert!(review.start_time_unix_nano <= decision.start_time_unix_nano);
    assert!(decision.end_time_unix_nano <= review.end_time_unix_nano);
    let said = attributes(review.attributes.clone());
    for (key, value) in [
        ("javelin.entry", "pod"),
        ("javelin.outcome", "injected"),
        ("javelin.profile", "default"),
        ("javelin.dry_run", "false"),
        ("javelin.second_chance", "false"),
        ("k8s.namespace.name", "shop"),
    ] {
        assert_eq!(said.get(key).map(String::as_str), Some(value), "{said:?}");
    }
    for (key, value) in [
        ("service.name", "javelin"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("k8s.pod.name", "javelin-1"),
    ] {
        assert_eq!(resource.get(key).map(String::as_str), Some(value));
    }

    let reviewed = || {
        let mut lines = collector.lines().into_iter();
        lines.find(|line| text(line.body.clone()) == "reviewed")
    };
    javelin.until("the line is there", || reviewed().is_some());
    let line = reviewed().unwrap();
    assert_eq!(hex(&line.trace_id), TRACE);
    assert_eq!(line.span_id, review.span_id);
    assert!(javelin.metric(&exports("traces", "success")) >= 1);
    assert!(javelin.metric(&exports("logs", "success")) >= 1);
    assert_eq!(javelin.metric(&exports("traces", "failure")), 0);

    javelin.terminate();
    let last = collector.lines().pop().unwrap();
    assert_eq!(
        text(last.body),
        "drained",
        "what is left is sent at the end"
    );
    for (_, body) in collector.kept.lock().unwrap().iter() {
        let said = String::from_utf8_lossy(body);
        assert!(!said.contains("secret-of-the-pod"), "{said}");
    }
}

#[test]
fn a_trace_that_the_api_server_does_not_keep_is_not_sent() {
    let collector = Collector::start("200 OK", None);
    let endpoint = format!("http://127.0.0.1:{}/", collector.port);
    let mut javelin = Javelin::start(&endpoint, &["--otlp-signals=traces"]);
    assert_eq!(javelin.review("00"), "HTTP/1.1 200 OK");
    assert_eq!(javelin.review("01"), "HTTP/1.1 200 OK");
    javelin.terminate();
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "of the second one: {spans:?}");
    assert!(collector.lines().is_empty(), "nobody asked for these");
}

#[test]
fn a_collector_that_refuses_costs_a_line_and_no_review() {
    let collector = Collector::start("400 Bad Request", None);
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let mut javelin = Javelin::start(&endpoint, &["--otlp-signals=traces"]);
    for times in 1..=3 {
        assert_eq!(javelin.review("01"), "HTTP/1.1 200 OK");
        let failed = || javelin.metric(&exports("traces", "failure")) >= times;
        javelin.until("it is counted", failed);
    }
    javelin.terminate();
    let told = javelin.log().matches("refuses what is sent").count();
    assert_eq!(told, 1, "{}", javelin.log());
}

#[test]
fn a_collector_with_a_certificate_is_trusted_by_the_authority_that_was_named() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let collector = Collector::start("200 OK", Some(Arc::new(tls)));
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("https://localhost:{}", collector.port);
    let started = |certificate: &str| {
        let file = folder.path().join("ca.crt");
        fs::write(&file, certificate).unwrap();
        Javelin::start(&endpoint, &["--otlp-ca", file.to_str().unwrap()])
    };

    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let javelin = started(&stranger.cert.pem());
    javelin.review("01");
    let failed = || javelin.metric(&exports("traces", "failure")) >= 1;
    javelin.until("it is not trusted", failed);
    assert!(collector.kept.lock().unwrap().is_empty());
    drop(javelin);

    let javelin = started(&made.cert.pem());
    javelin.review("01");
    javelin.until("both spans are there", || collector.spans().len() == 2);
}

#[test]
fn an_endpoint_that_cannot_be_used_ends_the_start_with_a_remedy() {
    for (flags, said) in [
        (
            &["--otlp-endpoint=http://collector:4318/v1/traces"][..],
            "without a path, as in http://otel-collector.observability.svc:4318",
        ),
        (
            &["--otlp-endpoint=https://collector:4318"],
            "name them with --otlp-ca FILE",
        ),
        (
            &[
                "--otlp-endpoint=https://collector:4318",
                "--otlp-ca=/dev/null",
            ],
            "the certificates of --otlp-ca /dev/null cannot be used",
        ),
        (&["--otlp-signals=traces"], "--otlp-endpoint"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_javelin"))
            .env_clear()
            .arg("serve")
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(said), "{flags:?}: {errors}");
    }
}
