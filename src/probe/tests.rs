//! The texts are the API server's own client's (1.37, built with Go 1.26), called against servers that fail in each of
//! these ways, and a few of tunnels that people have reported.

use std::time::UNIX_EPOCH;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::FutureExt as _;
use kube::Client;
use serde_json::{Value, json};

use super::finding::{CODES, ENTRY, HEAD, TAIL, shortened};
use super::*;
use crate::api::client::Names;
use crate::certs::ServiceName;
use crate::shutdown::Shutdown;

/// A cluster that answers everything with `status` and `body`.
fn cluster(status: u16, body: &Value) -> Cluster {
    let names = Names {
        service: ServiceName::new("javelin", "javelin-system").unwrap(),
        secret: "javelin-ca".to_owned(),
        configuration: "javelin".to_owned(),
        probe: "javelin-probe".to_owned(),
    };
    let (status, body) = (StatusCode::from_u16(status).unwrap(), body.to_string());
    let api_server = Router::new().fallback(async move || (status, Body::from(body)));
    Cluster::over(Client::new(api_server, "default"), names)
}

/// What [`ask`] makes of a refusal.
async fn refused(code: u16, message: &str) -> Reachability {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
    });
    ask(&cluster(code, &status)).await
}

const CALLING: &str = r#"Internal error occurred: failed calling webhook "probe.javelin.dev": "#;
const POST: &str =
    r#"failed to call webhook: Post "https://javelin.javelin-system.svc:443/probe?timeout=3s": "#;

/// By the words behind `POST`.
const FAILED_REQUESTS: [(&str, &[&str]); 6] = [
    (
        "no-answer",
        &[
            "context deadline exceeded",
            "dial tcp 10.0.0.1:10250: i/o timeout",
            "dial tcp 10.0.0.1:10250: connect: connection timed out",
            "dial tcp 10.0.0.1:10250: connect: no route to host",
            "dial tcp [2001:db8::1]:10250: connect: network is unreachable",
            "net/http: TLS handshake timeout",
            "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
            "dial timeout, backstop",
            "No agent available",
            "proxy error from 127.0.0.1:6443 while dialing 10.42.0.40:10250, code 502: 502 Bad Gateway",
        ],
    ),
    (
        "refused",
        &[
            "dial tcp 10.0.0.1:443: connect: connection refused",
            "read tcp 10.0.0.9:54124->10.0.0.1:10250: read: connection reset by peer",
            "read unix @->/tunnel-uds/socket: read: connection reset by peer",
            "dial tcp 10.0.0.1:443: connect: operation not permitted",
        ],
    ),
    (
        "no-endpoint",
        &[
            r#"no endpoints available for service "javelin""#,
            r#"service "javelin" not found"#,
            r#"services "javelin" not found"#,
            r#"no service port 443 found for service "javelin""#,
            r#"cannot route to service with ClusterIP "None""#,
            r#"unsupported service type "ExternalName""#,
            "dial tcp: lookup javelin.javelin-system.svc on 10.0.0.2:53: no such host",
        ],
    ),
    (
        "untrusted",
        &[
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            r#"tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "javelin")"#,
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-23T03:17:30Z is after 2026-11-23T02:17:26Z",
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-23T03:17:30Z is before 2026-11-23T04:17:26Z",
            r#"tls: failed to verify certificate: x509: a root or intermediate certificate is not authorized to sign for this name: DNS name "javelin.javelin-system.svc" is not permitted by any constraint"#,
            "tls: failed to verify certificate: x509: failed to load system roots and no roots provided",
        ],
    ),
    (
        "somebody-else",
        &[
            "http: server gave HTTP response to HTTPS client",
            "EOF",
            "tls: first record does not look like a TLS handshake",
            "remote error: tls: certificate required",
            "remote error: tls: protocol version not supported",
            "tls: failed to verify certificate: x509: certificate is valid for ip-10-0-1-2.ec2.internal, not javelin.javelin-system.svc",
            "tls: failed to verify certificate: x509: certificate is valid for timeout, connection refused, not javelin.javelin-system.svc",
            "tls: failed to verify certificate: x509: certificate is not valid for any names, but wanted to match javelin.javelin-system.svc",
            "tls: failed to verify certificate: x509: certificate relies on legacy Common Name field, use SANs instead",
            "tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs",
        ],
    ),
    ("somebody-else", &["what nobody has thought of"]),
];

/// By the words behind `CALLING`: not of the request, but of its answer, or before it.
const FAILED_CALLS: [(&str, &str); 17] = [
    (
        "somebody-else",
        "failed to call webhook: the server could not find the requested resource",
    ),
    (
        "somebody-else",
        "failed to call webhook: the server rejected our request for an unknown reason",
    ),
    (
        "somebody-else",
        "failed to call webhook: the server does not allow this method on the requested resource",
    ),
    (
        "somebody-else",
        "failed to call webhook: the server is currently unable to handle the request",
    ),
    (
        "somebody-else",
        "failed to call webhook: the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
    (
        "somebody-else",
        r#"failed to call webhook: an error on the server ("upstream connect error or disconnect/reset before headers. reset reason: connection timeout") has prevented the request from succeeding"#,
    ),
    // The body of a 403 is told as it is.
    (
        "somebody-else",
        "failed to call webhook: <html>connection refused, blocked by policy</html>",
    ),
    (
        "somebody-else",
        r#"failed to call webhook: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#,
    ),
    (
        "somebody-else",
        "failed to call webhook: 0-length response with status code: 200 and content type: application/json",
    ),
    (
        "somebody-else",
        "failed to call webhook: converting (v1.Status) to (v1.AdmissionReview): unknown conversion",
    ),
    (
        "somebody-else",
        r#"failed to call webhook: Post "/login": stopped after 10 redirects"#,
    ),
    (
        "somebody-else",
        "received invalid webhook response: webhook response was absent",
    ),
    (
        "somebody-else",
        "received undecodable patch in webhook response: unexpected end of JSON input",
    ),
    (
        "somebody-else",
        "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)",
    ),
    (
        "untrusted",
        "could not get REST client: unable to load root certificates: unable to parse bytes as PEM block",
    ),
    // As it was said before Kubernetes 1.23.
    (
        "refused",
        r#"Post "https://javelin.javelin-system.svc:443/probe?timeout=3s": dial tcp 10.0.0.1:443: connect: connection refused"#,
    ),
    ("somebody-else", ""),
];

#[tokio::test]
async fn a_failed_call_of_our_entry_tells_its_cause() {
    for (code, causes) in FAILED_REQUESTS {
        for cause in causes {
            let finding = refused(500, &format!("{CALLING}{POST}{cause}")).await;
            assert_eq!(finding.code(), code, "{cause}");
            // Enough of it to be recognised.
            let start: String = cause.chars().take(60).collect();
            assert!(finding.said().unwrap().contains(&start), "{finding:?}");
        }
    }
    for (code, failure) in FAILED_CALLS {
        let finding = refused(500, &format!("{CALLING}{failure}")).await;
        assert_eq!(finding.code(), code, "{failure}");
    }
    let silent = r#"Internal error occurred: failed calling webhook "probe.javelin.dev"; no further details available"#;
    assert_eq!(refused(500, silent).await.code(), "somebody-else");
    let denied = r#"admission webhook "probe.javelin.dev" denied the request: no"#;
    assert_eq!(refused(400, denied).await.code(), "somebody-else");
}

#[tokio::test]
async fn what_is_not_about_our_entry_says_nothing_about_us() {
    for (code, message) in [
        (
            500,
            r#"Internal error occurred: failed calling webhook "x.y": failed to call webhook: Post "https://x.y.svc:443/": dial tcp 10.0.0.1:443: connect: connection refused"#,
        ),
        (
            500,
            r#"Internal error occurred: failed calling webhook "x.y": failed to call webhook: failed calling webhook "probe.javelin.dev": EOF"#,
        ),
        (
            500,
            r#"Internal error occurred: failed calling webhook "probe.javelin.dev.example.com": EOF"#,
        ),
        (
            400,
            r#"admission webhook "x.y" denied the request: failed calling webhook "probe.javelin.dev": EOF"#,
        ),
        (
            403,
            r#"configmaps "javelin-probe" is forbidden: exceeded quota: none"#,
        ),
        (
            422,
            r#"configmaps "javelin-probe" is forbidden: ValidatingAdmissionPolicy 'labels' denied request"#,
        ),
        (404, r#"namespaces "javelin-system" not found"#),
        (409, "Operation cannot be fulfilled"),
        (
            504,
            "Timeout: request did not complete within requested timeout",
        ),
    ] {
        let finding = refused(code, message).await;
        assert_eq!(finding.code(), "could-not-probe", "{message}: {finding:?}");
    }
    let finding = refused(403, "exceeded quota: none").await;
    assert!(
        finding.said().unwrap().contains("exceeded quota"),
        "{finding:?}"
    );
    // Its cause is behind the error, not in it.
    let finding = ask(&cluster(200, &json!("no ConfigMap"))).await;
    assert_eq!(finding.code(), "could-not-probe");
    let said = finding.said().unwrap();
    assert!(
        said.contains("failed: ") && said.contains("invalid type"),
        "{said}"
    );
}

#[tokio::test]
async fn only_the_annotation_proves_the_call() {
    for (annotations, finding) in [
        (json!({ "javelin.dev/probe": "x" }), Reachability::Reached),
        (json!({ "other": "x" }), Reachability::NotCalled),
    ] {
        let config_map = json!({ "metadata": { "annotations": annotations } });
        assert_eq!(ask(&cluster(200, &config_map)).await, finding);
    }
}

pub(in crate::probe) fn every_finding() -> [Reachability; 8] {
    let said = || "its words".to_owned();
    [
        Reachability::Reached,
        Reachability::NoAnswer(said()),
        Reachability::Refused(said()),
        Reachability::NoEndpoint(said()),
        Reachability::Untrusted(said()),
        Reachability::SomebodyElse(said()),
        Reachability::NotCalled,
        Reachability::CouldNotProbe(said()),
    ]
}

#[test]
fn every_code_is_a_label_of_the_metric() {
    assert_eq!(every_finding().map(|finding| finding.code()), CODES);
}

#[test]
fn a_failure_is_told_when_it_lasts_and_once() {
    let mut opinion = Opinion::default();
    let dropped = |at: &str| Reachability::NoAnswer(at.to_owned());
    let mut hear = |finding: &Reachability| (opinion.is_changed_by(finding), opinion.interval());

    assert_eq!(hear(&Reachability::Reached), (true, INTERVAL));
    assert_eq!(hear(&Reachability::Reached), (false, INTERVAL));
    assert_eq!(hear(&dropped("1")), (false, SUSPICIOUS));
    assert_eq!(hear(&Reachability::Reached), (false, INTERVAL));
    assert_eq!(hear(&dropped("2")), (false, SUSPICIOUS));
    assert_eq!(hear(&Reachability::NotCalled), (false, SUSPICIOUS));
    assert_eq!(hear(&dropped("3")), (true, SUSPICIOUS));
    assert_eq!(hear(&dropped("4")), (false, SUSPICIOUS));
    assert_eq!(hear(&Reachability::NotCalled), (true, SUSPICIOUS));
    assert_eq!(hear(&Reachability::Reached), (true, INTERVAL));
}

#[tokio::test]
async fn a_replica_of_a_new_release_is_ready_once_another_is_reached_and_in_any_case_in_the_end() {
    const NEVER: Duration = Duration::from_hours(1);
    let replica = || Readiness::new(&[Condition::Listening, Condition::Way], Shutdown::new());
    let reached = json!({ "metadata": { "annotations": { "javelin.dev/probe": "x" } } });
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500,
        "message": format!("{CALLING}{POST}dial tcp 10.0.0.1:443: connect: connection refused"),
    });
    let (reached, refused) = (cluster(200, &reached), cluster(500, &refused));

    let starting = replica();
    let wait = follow_the_first(&reached, &starting, NEVER);
    assert!(wait.now_or_never().is_none(), "its own port comes first");

    let readiness = replica();
    readiness.set(Condition::Listening, true);
    let wait = follow_the_first(&refused, &readiness, NEVER);
    assert!(wait.now_or_never().is_none());
    assert!(!readiness.is_ready());
    follow_the_first(&reached, &readiness, NEVER).await;
    assert!(readiness.is_ready());

    let readiness = replica();
    readiness.set(Condition::Listening, true);
    follow_the_first(&refused, &readiness, BETWEEN_TRIES).await;
    assert!(readiness.is_ready());
}

#[test]
fn long_words_lose_their_middle_and_their_line_ends() {
    assert_eq!(shortened("one\nline\u{1b}[31m"), "one line [31m");
    let exact = "x".repeat(HEAD + TAIL);
    assert_eq!(shortened(&exact), exact);
    let long = format!("start{}end", "é".repeat(1_000));
    let short = shortened(&long);
    assert_eq!(short.chars().count(), HEAD + TAIL + 3);
    assert!(short.starts_with("starté") && short.ends_with("éend") && short.contains("é … é"));
}

#[test]
fn a_report_is_a_block_of_whole_lines() {
    let report = |finding, next_step: &str| Report {
        finding,
        at: UNIX_EPOCH,
        next_step: next_step.to_owned(),
    };
    let failed = report(
        Reachability::Refused("connection refused".to_owned()),
        "Do this:\nthat",
    );
    assert_eq!(
        failed.to_string(),
        "probe: refused at 1970-01-01T00:00:00Z\n  \
         The API server calls this webhook and the connection is refused: nothing listens there, \
         no replica is ready, or a firewall rejects it.\n  \
         Said: connection refused\n  \
         Next: Do this:\n        \
         that\n"
    );
    assert_eq!(
        report(Reachability::Reached, "").to_string(),
        "probe: reached at 1970-01-01T00:00:00Z\n  The API server reaches this webhook.\n"
    );
}

/// A failing call of any other entry must never refuse anything.
#[test]
fn in_the_chart_the_probes_entry_alone_fails_closed() {
    let template = include_str!("../../deploy/chart/templates/webhook.yaml");
    let (others, probe) = template
        .split_once(&format!("- name: {ENTRY}\n"))
        .expect("the entry");
    assert!(probe.contains("\n    failurePolicy: Fail\n"));
    assert!(!others.contains("failurePolicy: Fail"));
    assert_eq!(template.matches("failurePolicy:").count(), 2);
}
