//! Requests on the wire, and what becomes of the answers. The API server is a list of answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body as Answered;
use axum::extract::Request as Asked;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::json;

use super::*;

/// What was asked: method, path with query, `Accept` or `Content-Type`, and the body.
type Log = Arc<Mutex<Vec<String>>>;

fn reader(answers: &[(u16, Value)]) -> (Reader, Log) {
    let log = Log::default();
    let answers: VecDeque<_> = answers.to_vec().into();
    let (noted, answers) = (Arc::clone(&log), Arc::new(Mutex::new(answers)));
    let api_server = Router::new().fallback(async move |request: Asked| {
        let (parts, sent) = request.into_parts();
        let sent = sent.collect().await.unwrap().to_bytes();
        let header = |name| {
            parts
                .headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        let kind = [header("accept"), header("content-type")].concat();
        let line = format!(
            "{} {} {kind} {}",
            parts.method,
            parts.uri,
            String::from_utf8_lossy(&sent)
        );
        noted.lock().unwrap().push(line.trim_end().to_owned());
        let (status, body) = answers.lock().unwrap().pop_front().unwrap();
        (
            StatusCode::from_u16(status).unwrap(),
            Answered::from(body.to_string()),
        )
    });
    (Reader::over(Client::new(api_server, "default")), log)
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "code": code, "message": message}),
    )
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let (reader, log) = reader(&[
        (
            200,
            json!({"metadata": {"continue": "next"}, "items": [1, 2]}),
        ),
        (200, json!({"metadata": {}, "items": [3]})),
    ]);
    let found: Vec<u32> = reader
        .list("Numbers", "/api/v1/numbers", "labelSelector=a", Form::Whole)
        .await
        .unwrap();
    assert_eq!(found, [1, 2, 3]);
    assert_eq!(
        *log.lock().unwrap(),
        [
            "GET /api/v1/numbers?limit=500&labelSelector=a&continue= application/json",
            "GET /api/v1/numbers?limit=500&labelSelector=a&continue=next application/json",
        ]
    );
}

#[tokio::test]
async fn metadata_alone_comes_with_null_for_an_empty_list() {
    let (reader, log) = reader(&[(200, json!({"metadata": {}, "items": null}))]);
    let found: Vec<u32> = reader
        .list("Numbers", "/n", "", Form::Metadata)
        .await
        .unwrap();
    assert_eq!(found, Vec::<u32>::new());
    assert!(log.lock().unwrap()[0].ends_with(METADATA));
}

#[tokio::test]
async fn a_list_whose_next_page_is_gone_is_read_once_more() {
    let first = (200, json!({"metadata": {"continue": "next"}, "items": [1]}));
    let gone = refusal(410, "too old");
    let (asked, log) = reader(&[
        first.clone(),
        gone.clone(),
        first.clone(),
        (200, json!({"items": [2]})),
    ]);
    let found: Vec<u32> = asked.list("Numbers", "/n", "", Form::Whole).await.unwrap();
    assert_eq!(found, [1, 2]);
    assert_eq!(log.lock().unwrap().len(), 4);
    let (asked, _) = reader(&[first.clone(), gone.clone(), first, gone]);
    let found: Result<Vec<u32>, _> = asked.list("Numbers", "/n", "", Form::Whole).await;
    assert!(
        matches!(found, Err(ClusterError::Refused { code: 410, .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let of = async |answer: (u16, Value)| {
        let (reader, _) = reader(&[answer]);
        reader.get::<u32>("Number", "a", "/n").await.unwrap_err()
    };
    assert!(matches!(
        of(refusal(404, "")).await,
        ClusterError::Missing(_)
    ));
    let denied = of(refusal(403, "you cannot")).await;
    assert!(
        matches!(&denied, ClusterError::Denied { message, .. } if message == "you cannot"),
        "{denied}"
    );
    assert!(matches!(
        of(refusal(500, "")).await,
        ClusterError::Refused { code: 500, .. }
    ));
    assert!(matches!(
        of((200, json!("no number"))).await,
        ClusterError::Transport { .. }
    ));
}

#[tokio::test]
async fn a_restart_is_a_merge_patch_and_can_be_a_dry_run() {
    for (dry_run, query) in [(false, ""), (true, "&dryRun=All")] {
        let (reader, log) = reader(&[(200, json!({}))]);
        reader
            .restart("/w", &json!({"a": 1}), dry_run)
            .await
            .unwrap();
        let expected = format!(
            "PATCH /w?fieldManager=javelin-cli{query} application/merge-patch+json {{\"a\":1}}"
        );
        assert_eq!(*log.lock().unwrap(), [expected]);
    }
}

#[tokio::test]
async fn a_pod_that_is_tried_is_never_stored() {
    let (reader, log) = reader(&[refusal(403, "exceeded quota")]);
    let refusal = reader.try_pod("shop", &json!({})).await.unwrap();
    assert_eq!(refusal.unwrap_err().message, "exceeded quota");
    assert_eq!(
        *log.lock().unwrap(),
        [
            "POST /api/v1/namespaces/shop/pods?dryRun=All&fieldManager=javelin-cli application/json {}"
        ]
    );
}

#[tokio::test]
async fn kinds_are_found_in_their_preferred_versions() {
    let kind = |resource: &str, kind: &str, scope: &str, verb: &str| json!({ "resource": resource, "responseKind": { "kind": kind }, "scope": scope, "verbs": [verb] });
    let things = [
        kind("things", "Thing", "Namespaced", "list"),
        kind("clusterthings", "ClusterThing", "Cluster", "list"),
        kind("questions", "Question", "Namespaced", "create"),
    ];
    let (reader, log) = reader(&[(
        200,
        json!({"items": [
            {"metadata": {"name": "example.com"}, "versions": [{"version": "v1", "resources": things}, {"version": "v1beta1"}]},
            {"metadata": {"name": "metrics.example.com"}},
        ]}),
    )]);
    let kinds = reader.kinds().await.unwrap();
    let paths: Vec<_> = kinds
        .iter()
        .map(|kind| (kind.name.as_str(), kind.path()))
        .collect();
    assert_eq!(paths, [("Thing", "/apis/example.com/v1/things".to_owned())]);
    assert_eq!(*log.lock().unwrap(), [format!("GET /apis {DISCOVERY}")]);
}

#[tokio::test]
async fn a_group_is_there_or_not() {
    let groups = (200, json!({"groups": [{"name": "apps"}]}));
    let (asked, _) = reader(&[groups.clone(), groups, refusal(403, "")]);
    assert!(asked.has_group("apps").await);
    assert!(!asked.has_group("argoproj.io").await);
    assert!(
        !asked.has_group("apps").await,
        "who may not ask does not know"
    );
}
