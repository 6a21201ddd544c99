//! The requests on the wire, seen by a stand-in for the API server. What a real one makes of them, the cluster
//! suite shows.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt;

use super::*;

/// What was asked, in one line, and its body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// A cluster that answers everything with `status` and `body`, and notes what it was asked.
fn cluster(status: u16, body: &Value) -> (Cluster, Asked) {
    let names = Names {
        service: ServiceName::new("javelin", "javelin-system").unwrap(),
        secret: "javelin-ca".to_owned(),
        configuration: "javelin".to_owned(),
        probe: "javelin-probe".to_owned(),
    };
    let asked = Asked::default();
    let (noted, status, body) = (
        Arc::clone(&asked),
        StatusCode::from_u16(status).unwrap(),
        body.to_string(),
    );
    let api_server = Router::new().fallback(async move |request: Request| {
        let (parts, sent) = request.into_parts();
        let content_type = parts
            .headers
            .get(CONTENT_TYPE)
            .map_or("", |value| value.to_str().unwrap());
        let line = format!("{} {} {content_type}", parts.method, parts.uri);
        let sent = sent.collect().await.unwrap().to_bytes();
        noted
            .lock()
            .unwrap()
            .push((line, serde_json::from_slice(&sent).unwrap_or_default()));
        (status, Body::from(body))
    });
    (
        Cluster::over(Client::new(api_server, "default"), names),
        asked,
    )
}

fn only(asked: &Asked) -> (String, Value) {
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    asked[0].clone()
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": format!("the server says {reason}"),
    })
}

#[tokio::test]
async fn a_secret_is_swapped_by_a_merge_patch_with_its_version() {
    let (cluster, asked) = cluster(200, &json!({ "metadata": { "resourceVersion": "8" } }));
    let data = BTreeMap::from([
        ("ca.crt", Some(b"x".to_vec().into())),
        ("previous.crt", None),
    ]);

    let change = SecretChange {
        data,
        description: "all is well".to_owned(),
        fulfils_request: true,
    };
    cluster.write_secret("7", change).await.unwrap();

    let (line, body) = only(&asked);
    assert_eq!(
        line,
        "PATCH /api/v1/namespaces/javelin-system/secrets/javelin-ca?&fieldManager=javelin-ca \
         application/merge-patch+json"
    );
    let expected = json!({
        "resourceVersion": "7",
        "annotations": { (keys::CERTIFICATES): "all is well", (keys::ROTATE): null },
    });
    assert_eq!(body["metadata"], expected);
    assert_eq!(
        body["data"],
        json!({ "ca.crt": "eA==", "previous.crt": null })
    );
}

#[tokio::test]
async fn a_bundle_is_written_by_a_strategic_merge_patch_by_entry_name_and_nothing_else() {
    let (cluster, asked) = cluster(200, &json!({ "metadata": { "resourceVersion": "8" } }));

    cluster
        .write_bundle(
            "7",
            &["a.javelin.dev".to_owned(), "b.javelin.dev".to_owned()],
            "x",
        )
        .await
        .unwrap();

    let (line, body) = only(&asked);
    assert_eq!(
        line,
        "PATCH /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/javelin?&fieldManager=javelin-ca \
         application/strategic-merge-patch+json"
    );
    let expected = json!({
        "metadata": { "resourceVersion": "7" },
        "webhooks": [
            { "name": "a.javelin.dev", "clientConfig": { "caBundle": "eA==" } },
            { "name": "b.javelin.dev", "clientConfig": { "caBundle": "eA==" } },
        ],
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn only_entries_that_call_our_service_are_ours() {
    let entry = |name: &str, client: Value| json!({ "name": name, "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"] });
    let service = |name: &str, namespace: &str| json!({ "service": { "name": name, "namespace": namespace } });
    let mut bundled = service("javelin", "javelin-system");
    bundled["caBundle"] = "eA==".into();
    let (cluster, _) = cluster(
        200,
        &json!({
            "metadata": { "resourceVersion": "7" },
            "webhooks": [
                entry("ours", service("javelin", "javelin-system")),
                entry("bundled", bundled),
                entry("other-service", service("other", "javelin-system")),
                entry("other-namespace", service("javelin", "other")),
                entry("url", json!({ "url": "https://example.com" })),
            ],
        }),
    );

    let configuration = cluster.configuration().await.unwrap();

    assert_eq!(configuration.version, "7");
    let entries: Vec<_> = configuration
        .entries
        .iter()
        .map(|entry| (&*entry.name, &*entry.bundle))
        .collect();
    assert_eq!(entries, [("ours", &b""[..]), ("bundled", b"x")]);
}

#[tokio::test]
async fn ca_bundles_of_somebody_else_are_read_and_not_kept() {
    let own_certificate = json!({
        "metadata": { "resourceVersion": "7", "annotations": { (keys::CA_BUNDLE): "external" } },
        "webhooks": [],
    });
    let (cluster, _) = cluster(200, &own_certificate);

    assert!(cluster.configuration().await.unwrap().is_kept_elsewhere);
    let refused = cluster.own_configuration().await;
    assert!(
        matches!(refused, Err(ClusterError::Elsewhere(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_probe_is_a_dry_run() {
    for (annotations, reached) in [
        (json!({ (keys::PROBE): "x" }), true),
        (json!({ "other": "x" }), false),
    ] {
        let (cluster, asked) = cluster(200, &json!({ "metadata": { "annotations": annotations } }));

        assert_eq!(cluster.probe().await.unwrap(), reached);

        let (line, body) = only(&asked);
        assert_eq!(
            line,
            "PATCH /api/v1/namespaces/javelin-system/configmaps/javelin-probe?&dryRun=All&fieldManager=javelin-probe \
             application/apply-patch+yaml"
        );
        assert_eq!(body["metadata"]["labels"][keys::PROBE], "true");
    }
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let failing = async |code, reason| {
        cluster(code, &status(code, reason))
            .0
            .secret()
            .await
            .unwrap_err()
    };

    assert!(matches!(
        failing(409, "Conflict").await,
        ClusterError::Conflict(_)
    ));
    assert_eq!(
        failing(404, "NotFound").await.to_string(),
        "Secret javelin-system/javelin-ca does not exist; \
         it is made again; if that is refused, run the same `helm upgrade` again to bring it back"
    );
    assert_eq!(
        failing(403, "Forbidden").await.to_string(),
        "access to Secret javelin-system/javelin-ca is denied (the server says Forbidden); \
         the Role and ClusterRole of the chart allow it"
    );
    assert_eq!(
        failing(500, "InternalError").await.to_string(),
        "the API server refused the request for Secret javelin-system/javelin-ca: 500 the server says InternalError"
    );
}

#[tokio::test]
async fn the_version_is_asked_of_its_own_path() {
    let version = json!({
        "major": "1", "minor": "33", "gitVersion": "v1.33.4-gke.1172000", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    });
    let (cluster, asked) = cluster(200, &version);

    assert_eq!(cluster.version().await.unwrap(), "v1.33.4-gke.1172000");
    assert_eq!(only(&asked).0, "GET /version ");
}

#[tokio::test]
async fn a_rotation_is_requested_with_the_version_and_by_a_manager_of_its_own() {
    let (cluster, asked) = cluster(200, &json!({ "metadata": { "resourceVersion": "8" } }));

    cluster.request_rotation("7", "today", true).await.unwrap();

    let (line, body) = only(&asked);
    assert_eq!(
        line,
        "PATCH /api/v1/namespaces/javelin-system/secrets/javelin-ca?&dryRun=All&fieldManager=javelin-cli \
         application/merge-patch+json"
    );
    let metadata = json!({ "resourceVersion": "7", "annotations": { (keys::ROTATE): "today" } });
    assert_eq!(body, json!({ "metadata": metadata }));
}

#[tokio::test]
async fn metrics_come_by_the_proxy_and_as_they_are() {
    let (cluster, asked) = cluster(200, &json!("javelin_panics_total 0"));

    let text = cluster.metrics("javelin-1", 8080).await.unwrap();

    assert_eq!(text, "\"javelin_panics_total 0\"");
    let (line, _) = only(&asked);
    assert_eq!(
        line.trim_end(),
        "GET /api/v1/namespaces/javelin-system/pods/javelin-1:8080/proxy/metrics"
    );
}

#[tokio::test]
async fn a_service_without_a_selector_has_no_pods_rather_than_everybodys() {
    let (cluster, asked) = cluster(200, &json!({ "spec": {} }));

    assert_eq!(cluster.pods().await.unwrap(), []);

    let (line, _) = only(&asked);
    assert_eq!(
        line.trim_end(),
        "GET /api/v1/namespaces/javelin-system/services/javelin"
    );
}

#[test]
fn a_pod_tells_its_admin_port_and_whether_it_is_called() {
    let pod = |ready: &str, port: i32| {
        let pod = json!({
            "metadata": { "name": "a" },
            "spec": { "nodeName": "one", "serviceAccountName": "corporate", "containers": [
                { "name": "sidecar" },
                { "name": "javelin", "args": ["serve", "--audit"], "ports": [
                    { "name": "webhook", "containerPort": 10250 },
                    { "name": "admin", "containerPort": port },
                ] },
            ] },
            "status": { "conditions": [
                { "type": "Initialized", "status": "True" },
                { "type": "Ready", "status": ready },
            ] },
        });
        to_pod(serde_json::from_value(pod).unwrap())
    };
    let state = |ready, admin_port| PodState {
        name: "a".to_owned(),
        ready,
        admin_port,
        node: Some("one".to_owned()),
        account: Some("corporate".to_owned()),
        arguments: vec!["serve".to_owned(), "--audit".to_owned()],
    };
    assert_eq!(pod("True", 8080), state(true, Some(8080)));
    assert_eq!(pod("False", 9090), state(false, Some(9090)));
    assert_eq!(pod("Unknown", -1), state(false, None));
    assert_eq!(to_pod(Pod::default()).admin_port, None);
}

#[test]
fn no_value_of_a_secret_is_in_a_debug_text() {
    let planted = || b"planted".to_vec().into();
    let state = SecretState {
        version: "7".to_owned(),
        data: BTreeMap::from([("ca.key".to_owned(), planted())]),
        requested: false,
    };
    let change = SecretChange {
        data: BTreeMap::from([("ca.key", Some(planted()))]),
        description: String::new(),
        fulfils_request: false,
    };

    let text = format!("{state:?} {change:?}");

    let bytes = format!("{:?}", b"planted");
    assert!(
        !text.contains("planted") && !text.contains(&bytes),
        "{text}"
    );
    assert_eq!(text.matches("[7 bytes]").count(), 2, "{text}");
}

#[tokio::test]
async fn what_is_no_secret_is_not_quoted() {
    for answer in [
        json!({ "data": "planted" }),
        json!({ "data": { "ca.key": "planted!" } }),
    ] {
        let (cluster, _) = cluster(200, &answer);

        let error = cluster.secret().await.unwrap_err();

        let debug = format!("{error:?}");
        let text = format!("{debug} {:#}", anyhow::Error::new(error));
        assert!(!text.contains("planted"), "{text}");
    }
}
