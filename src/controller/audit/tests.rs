//! Rounds against a stand-in for the API server: what is asked, what is told, and what becomes of refusals.

use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use javelin_core::mutate::keys::INJECTED;
use kube::Client;
use serde_json::json;

use super::guard::MOST_IN_A_WHILE;
use super::*;
use crate::api::client::Names;
use crate::certs::ServiceName;
use crate::standing::LabelSource;

/// What the stand-in answers: status and body, by method, path with query, and what was sent.
type Answers = Arc<Mutex<dyn FnMut(&Method, &str, &Value) -> (u16, Value) + Send>>;

/// What was sent, with the Events' reasons and notes.
type Log = Arc<Mutex<Vec<String>>>;

fn audit(mut answers: impl FnMut(&Method, &str) -> (u16, Value) + Send + 'static) -> (Audit, Log) {
    audit_of(move |method, uri, _| answers(method, uri))
}

fn audit_of(
    answers: impl FnMut(&Method, &str, &Value) -> (u16, Value) + Send + 'static,
) -> (Audit, Log) {
    let log = Log::default();
    let (noted, answers): (_, Answers) = (Arc::clone(&log), Arc::new(Mutex::new(answers)));
    let api_server = Router::new().fallback(async move |request: Request| {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let line = format!(
            "{} {} {} {}",
            parts.method,
            parts.uri,
            text("reason"),
            text("note")
        );
        noted.lock().unwrap().push(line.trim_end().to_owned());
        let uri = parts.uri.to_string();
        let (status, body) = answers.lock().unwrap()(&parts.method, &uri, &body);
        (
            StatusCode::from_u16(status).unwrap(),
            Body::from(body.to_string()),
        )
    });
    let names = Names {
        service: ServiceName::new("javelin", "javelin-system").unwrap(),
        secret: String::new(),
        configuration: String::new(),
        probe: String::new(),
    };
    let cluster = Cluster::over(Client::new(api_server, "default"), names);
    let pace = Pace {
        interval: Duration::ZERO,
        pause: Duration::ZERO,
    };
    let audit = Audit::new(
        cluster,
        Arc::default(),
        Arc::new(Metrics::new()),
        "javelin-1".to_owned(),
        pace,
    );
    (audit, log)
}

/// A cluster in which that is what the list of all pods says, page by page, and where one namespace is labelled.
fn with_pods(pages: &[Value]) -> impl FnMut(&Method, &str) -> (u16, Value) + Send + use<> {
    let pages = pages.to_vec();
    move |method, uri| {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let at: usize = query
            .rsplit_once('=')
            .map_or(0, |(_, at)| at.parse().unwrap_or(0));
        (
            200,
            match path {
                "/api/v1/namespaces/javelin-system/services/javelin" => {
                    json!({"spec": {"selector": {"app": "javelin"}}})
                }
                "/api/v1/namespaces/javelin-system/pods" => {
                    json!({"items": [replica("javelin-1", "True")]})
                }
                "/api/v1/pods" => {
                    let next = if at + 1 < pages.len() {
                        (at + 1).to_string()
                    } else {
                        String::new()
                    };
                    json!({"metadata": {"continue": next}, "rows": pages[at]})
                }
                "/api/v1/namespaces/shop/pods" => json!({"items": [crashing()]}),
                _ if *method == Method::POST => json!({"metadata": {}}),
                _ => json!({"metadata": {}, "items": null}),
            },
        )
    }
}

fn replica(name: &str, ready: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
}

fn row(name: &str, ready: &str, metadata: Value) -> Value {
    let mut metadata = metadata;
    metadata["name"] = name.into();
    metadata["namespace"] = "shop".into();
    json!({"cells": [name, ready, "Running", 0, "5d"], "object": {"kind": "PartialObjectMetadata", "metadata": metadata}})
}

fn missed(name: &str) -> Value {
    row(name, "1/1", json!({"labels": {INJECT: "true"}}))
}

/// With the agent, of the Deployment `orders`.
fn injected(ready: &str) -> Value {
    let owner = json!({"kind": "ReplicaSet", "name": "orders-7d9", "controller": true});
    let metadata = json!({
        "annotations": {INJECTED: "{}"}, "ownerReferences": [owner],
        "labels": {"pod-template-hash": "7d9", "javelin.dev/from-workload": "true"},
    });
    row("orders-7d9-x", ready, metadata)
}

fn crashing() -> Value {
    let mut pod = injected("0/1")["object"].clone();
    let state = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    pod["status"] =
        json!({"phase": "Running", "containerStatuses": [{"name": "app", "state": state}]});
    pod
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "code": code, "message": message}),
    )
}

#[track_caller]
fn told(audit: &Audit, lines: &[&str]) {
    let text = audit.metrics.encode().unwrap();
    for line in lines {
        assert!(
            text.lines().any(|each| each == *line),
            "{line} is missing in:\n{text}"
        );
    }
}

#[tokio::test]
async fn missed_and_crashing_pods_are_shown_and_told_once() {
    let pages = [
        json!([missed("a"), injected("2/2")]),
        json!([injected("0/1"), missed("b")]),
    ];
    let (mut audit, log) = audit(with_pods(&pages));
    audit.look_once().await;
    told(
        &audit,
        &[
            r#"javelin_audit_pods{pod_namespace="shop",reason="missed"} 2"#,
            r#"javelin_audit_pods{pod_namespace="shop",reason="crashing"} 1"#,
            r#"javelin_audit_pods{pod_namespace="(others)",reason="missed"} 0"#,
            r#"javelin_audit_rounds_total{result="complete"} 1"#,
            r#"javelin_workload_events_total{result="written"} 3"#,
        ],
    );
    let asked = log.lock().unwrap().clone();
    let pods: Vec<_> = asked
        .iter()
        .filter(|line| line.contains("&fieldSelector"))
        .collect();
    assert_eq!(pods.len(), 3, "{asked:#?}");
    let events: Vec<_> = asked
        .iter()
        .filter(|line| line.starts_with("POST"))
        .collect();
    assert_eq!(
        events,
        [
            "POST /apis/events.k8s.io/v1/namespaces/shop/events? AgentCrashing 1 pod with the OpenTelemetry Java agent that do not \
         run (app: CrashLoopBackOff). To run without it again: kubectl label --overwrite -n shop deployment.apps/orders \
         instrumentation.opentelemetry.io/inject-java=false",
            "POST /apis/events.k8s.io/v1/namespaces/shop/events? AgentMissed 1 pod without the OpenTelemetry Java agent, created \
         while Javelin did not answer: nobody would make it anew: delete it and create it again",
            "POST /apis/events.k8s.io/v1/namespaces/shop/events? AgentMissed 1 pod without the OpenTelemetry Java agent, created \
         while Javelin did not answer: nobody would make it anew: delete it and create it again",
        ]
    );
    audit.look_once().await;
    told(
        &audit,
        &[r#"javelin_workload_events_total{result="written"} 3"#],
    );
}

#[tokio::test]
async fn where_every_pod_is_ready_none_is_read_whole() {
    let (mut audit, log) = audit(with_pods(&[json!([injected("1/1")])]));
    audit.look_once().await;
    told(
        &audit,
        &[r#"javelin_audit_rounds_total{result="complete"} 1"#],
    );
    let log = log.lock().unwrap();
    assert!(
        log.iter().all(|line| !line.contains("/namespaces/shop/")),
        "{log:#?}"
    );
}

#[tokio::test]
async fn a_round_whose_next_page_is_gone_begins_anew() {
    let mut answers = with_pods(&[json!([missed("a")]), json!([missed("b")])]);
    let mut gone = 1;
    let (mut audit, _) = audit(move |method, uri| {
        if uri.starts_with("/api/v1/pods") && uri.ends_with("continue=1") && gone > 0 {
            gone -= 1;
            return refusal(410, "too old");
        }
        answers(method, uri)
    });
    audit.look_once().await;
    told(
        &audit,
        &[
            r#"javelin_audit_pods{pod_namespace="shop",reason="missed"} 2"#,
            r#"javelin_audit_rounds_total{result="complete"} 1"#,
            r#"javelin_audit_rounds_total{result="failed"} 0"#,
        ],
    );
}

#[tokio::test]
async fn what_is_refused_is_said_and_what_was_found_stays_until_it_is_found_again() {
    let mut answers = with_pods(&[json!([missed("a")])]);
    let is_denied = Arc::new(Mutex::new(false));
    let denied = Arc::clone(&is_denied);
    let (mut audit, _) = audit(move |method, uri| {
        if uri.starts_with("/apis/apps/v1/daemonsets") && *denied.lock().unwrap() {
            return refusal(403, "daemonsets is forbidden");
        }
        answers(method, uri)
    });
    audit.look_once().await;
    *is_denied.lock().unwrap() = true;
    for round in 1..=2 {
        audit.look_once().await;
        told(
            &audit,
            &[
                r#"javelin_audit_pods{pod_namespace="shop",reason="missed"} 1"#,
                &format!("javelin_audit_rounds_total{{result=\"failed\"}} {round}"),
            ],
        );
        assert!(
            audit.said.contains("DaemonSet") && audit.said.contains("daemonsets is forbidden"),
            "{}",
            audit.said
        );
    }
    *is_denied.lock().unwrap() = false;
    audit.look_once().await;
    told(
        &audit,
        &[r#"javelin_audit_rounds_total{result="complete"} 2"#],
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_read_hides_no_other() {
    let broken = row("broken", "1/1", json!({"labels": ["no map"]}));
    let (mut audit, _) = audit(with_pods(&[json!([broken, missed("a"), {"no": "row"}])]));
    audit.look_once().await;
    told(
        &audit,
        &[
            r#"javelin_audit_pods{pod_namespace="shop",reason="missed"} 1"#,
            r#"javelin_audit_rounds_total{result="incomplete"} 1"#,
        ],
    );
    assert!(audit.said.ends_with("left out: 2"), "{}", audit.said);
}

#[tokio::test]
async fn the_first_ready_replica_alone_looks() {
    let mut answers = with_pods(&[json!([missed("a")])]);
    let first = Arc::new(Mutex::new("False"));
    let is_ready = Arc::clone(&first);
    let (mut audit, log) = audit(move |method, uri| {
        if uri.starts_with("/api/v1/namespaces/javelin-system/pods") {
            let replicas = [
                replica("javelin-0", *is_ready.lock().unwrap()),
                replica("javelin-1", "True"),
            ];
            return (200, json!({ "items": replicas }));
        }
        answers(method, uri)
    });
    audit.look_once().await;
    told(
        &audit,
        &[r#"javelin_audit_pods{pod_namespace="shop",reason="missed"} 1"#],
    );
    *first.lock().unwrap() = "True";
    log.lock().unwrap().clear();
    audit.look_once().await;
    let text = audit.metrics.encode().unwrap();
    assert!(!text.contains(r#"pod_namespace="shop""#), "{text}");
    told(&audit, &["javelin_audit_last_round_timestamp_seconds 0"]);
    assert_eq!(log.lock().unwrap().len(), 2, "it has looked");
}

// === The guard

/// So many Deployments of one namespace, labelled and stuck with the agent, and what is sent about them.
struct Stuck {
    names: Vec<String>,
    /// As they are now; none that is not in it can be read.
    objects: Mutex<std::collections::BTreeMap<String, Value>>,
    patches: Mutex<Vec<(String, Value)>>,
}

impl Stuck {
    fn new(count: usize) -> Arc<Self> {
        let names: Vec<_> = (0..count).map(|at| format!("app{at}")).collect();
        let objects = names.iter().map(|name| (name.clone(), Self::labelled()));
        Arc::new(Self {
            objects: Mutex::new(objects.collect()),
            names,
            patches: Mutex::default(),
        })
    }

    fn labelled() -> Value {
        json!({
            "metadata": {"resourceVersion": "7", "labels": {INJECT: "true"}},
            "spec": {"template": {"metadata": {"labels": {"javelin.dev/from-workload": "true"}}}},
        })
    }

    /// The pods of all of them, whole: one that crashes, and an older one that is ready.
    fn pods(&self) -> Vec<Value> {
        let of = |name: &String| {
            let mut bad = crashing();
            bad["metadata"]["ownerReferences"][0]["name"] = format!("{name}-7d9").into();
            bad["metadata"]["creationTimestamp"] = "2026-11-30T06:10:00Z".into();
            bad["status"]["containerStatuses"][0]["restartCount"] = 3.into();
            let mut old = bad.clone();
            old["metadata"]["annotations"] = json!({});
            old["metadata"]["labels"] = json!({"pod-template-hash": "7d9"});
            old["metadata"]["creationTimestamp"] = "2026-11-30T06:00:00Z".into();
            old["status"] =
                json!({"phase": "Running", "containerStatuses": [{"name": "app", "ready": true}]});
            [bad, old]
        };
        self.names.iter().flat_map(of).collect()
    }

    fn answers(
        self: &Arc<Self>,
    ) -> impl FnMut(&Method, &str, &Value) -> (u16, Value) + Send + use<> {
        let stuck = Arc::clone(self);
        let mut others = with_pods(&[json!([injected("0/1")])]);
        move |method, uri, body| {
            let (path, _) = uri.split_once('?').unwrap_or((uri, ""));
            if path == "/api/v1/namespaces/shop/pods" {
                return (200, json!({"items": stuck.pods()}));
            }
            let Some(name) = path.strip_prefix("/apis/apps/v1/namespaces/shop/deployments/") else {
                return others(method, uri);
            };
            let mut objects = stuck.objects.lock().unwrap();
            let Some(object) = objects.get_mut(name) else {
                return refusal(404, "not found");
            };
            if *method == Method::PATCH {
                assert!(uri.ends_with("?fieldManager=javelin-guard"), "{uri}");
                let version = &body["metadata"]["resourceVersion"];
                if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
                    return refusal(409, "conflict");
                }
                stuck
                    .patches
                    .lock()
                    .unwrap()
                    .push((name.to_owned(), body.clone()));
                json_patch::merge(object, body);
                object["metadata"]["resourceVersion"] = "8".into();
            }
            (200, object.clone())
        }
    }

    fn patched(&self) -> Vec<String> {
        let patches = self.patches.lock().unwrap();
        patches.iter().map(|(name, _)| name.clone()).collect()
    }
}

fn guarding(stuck: &Arc<Stuck>) -> (Audit, Log) {
    let (audit, log) = audit_of(stuck.answers());
    (audit.with_guard(true), log)
}

#[tokio::test]
async fn an_agent_is_taken_back_once_and_told_instead_of_the_crash() {
    let stuck = Stuck::new(1);
    let (mut audit, log) = guarding(&stuck);
    audit.look_once().await;
    told(
        &audit,
        &[r#"javelin_audit_guarded_total{result="taken_back"} 1"#],
    );
    assert_eq!(stuck.patched(), ["app0"]);
    let object = stuck.objects.lock().unwrap()["app0"].clone();
    let note = object["metadata"]["annotations"]["javelin.dev/guarded"]
        .as_str()
        .unwrap();
    assert!(note.starts_with("true: 20"), "{note}");
    let copy = |at: &str| object.pointer(at).unwrap()["javelin.dev/from-workload"].clone();
    assert_eq!(copy("/metadata/labels"), "false");
    assert_eq!(copy("/spec/template/metadata/labels"), "false");
    let events = events_of(&log);
    let [event] = events.as_slice() else {
        panic!("{events:#?}");
    };
    assert!(
        event.contains("events? AgentTakenBack the OpenTelemetry"),
        "{event}"
    );
    assert!(
        event.ends_with("annotate -n shop deployment.apps/app0 javelin.dev/guarded-"),
        "{event}"
    );

    // Its pods are still there for a while.
    audit.look_once().await;
    assert_eq!(stuck.patched(), ["app0"]);
    told(
        &audit,
        &[
            r#"javelin_audit_guarded_total{result="taken_back"} 1"#,
            r#"javelin_audit_guarded_total{result="put_back"} 0"#,
        ],
    );
    assert_eq!(audit.guard_said, "");

    // Somebody who writes the whole object anew has the last word.
    *stuck.objects.lock().unwrap().get_mut("app0").unwrap() = Stuck::labelled();
    audit.look_once().await;
    assert_eq!(stuck.patched(), ["app0"]);
    told(
        &audit,
        &[r#"javelin_audit_guarded_total{result="put_back"} 1"#],
    );
    assert!(
        audit
            .guard_said
            .contains("shop/deployment.apps/app0 crashes"),
        "{}",
        audit.guard_said
    );
}

#[tokio::test]
async fn without_the_guard_nothing_is_written() {
    let stuck = Stuck::new(1);
    let (mut audit, log) = audit_of(stuck.answers());
    audit.look_once().await;
    assert_eq!(stuck.patched(), [""; 0]);
    let events = events_of(&log);
    assert!(
        matches!(events.as_slice(), [event] if event.contains("AgentCrashing")),
        "{events:#?}"
    );
    let asked = log.lock().unwrap();
    assert!(
        asked.iter().all(|line| !line.contains("deployments/app0?")),
        "{asked:#?}"
    );
}

#[tokio::test]
async fn where_many_crash_at_once_none_is_touched() {
    let stuck = Stuck::new(MOST_IN_A_WHILE + 1);
    let (mut audit, _) = guarding(&stuck);
    audit.look_once().await;
    assert_eq!(stuck.patched(), [""; 0]);
    told(
        &audit,
        &[
            r#"javelin_audit_guarded_total{result="too_many"} 1"#,
            r#"javelin_audit_guarded_total{result="taken_back"} 0"#,
        ],
    );
    assert!(
        audit.guard_said.starts_with("more than 5 workloads"),
        "{}",
        audit.guard_said
    );
    let stuck = Stuck::new(MOST_IN_A_WHILE);
    let (mut audit, _) = guarding(&stuck);
    audit.look_once().await;
    assert_eq!(stuck.patched().len(), MOST_IN_A_WHILE);
}

#[tokio::test]
async fn what_has_changed_in_the_meantime_or_is_gone_is_left_alone() {
    let stuck = Stuck::new(2);
    stuck.objects.lock().unwrap().remove("app0");
    let mut answers = stuck.answers();
    let changes = Arc::clone(&stuck);
    let (audit, log) = audit_of(move |method, uri, body| {
        let answer = answers(method, uri, body);
        if *method == Method::GET && uri.contains("deployments/app1") {
            let mut objects = changes.objects.lock().unwrap();
            let version = &mut objects.get_mut("app1").unwrap()["metadata"]["resourceVersion"];
            *version = format!("{}0", version.as_str().unwrap()).into();
        }
        answer
    });
    let mut audit = audit.with_guard(true);
    audit.look_once().await;
    assert_eq!(stuck.patched(), [""; 0]);
    told(
        &audit,
        &[r#"javelin_audit_guarded_total{result="failed"} 1"#],
    );
    assert!(
        audit.guard_said.contains("has changed in the meantime"),
        "{}",
        audit.guard_said
    );
    let events = events_of(&log);
    assert!(
        events.iter().all(|event| event.contains("AgentCrashing")),
        "{events:#?}"
    );
}

/// It may have been done, and then would be again, past all limits.
#[tokio::test]
async fn a_change_whose_answer_is_lost_counts_as_done_and_a_refused_one_does_not() {
    for (status, is_done) in [(504, true), (500, true), (409, false), (403, false)] {
        let stuck = Stuck::new(1);
        let mut answers = stuck.answers();
        let (audit, _) = audit_of(move |method, uri, body| {
            let answer = answers(method, uri, body);
            if *method == Method::PATCH {
                return refusal(status, "lost");
            }
            answer
        });
        let mut audit = audit.with_guard(true);
        audit.look_once().await;
        assert_eq!(stuck.patched(), ["app0"], "{status}");
        told(
            &audit,
            &[r#"javelin_audit_guarded_total{result="failed"} 1"#],
        );
        let memory = audit.guard.as_ref().unwrap();
        assert_eq!(memory.has(&app("app0")), is_done, "{status}");
    }
}

fn app(name: &str) -> Workload {
    Workload {
        namespace: "shop".to_owned(),
        kind: "Deployment".to_owned(),
        name: name.to_owned(),
    }
}

fn events_of(log: &Log) -> Vec<String> {
    let log = log.lock().unwrap();
    log.iter()
        .filter(|line| line.starts_with("POST"))
        .cloned()
        .collect()
}

#[test]
fn an_event_has_the_remedy() {
    let of = |kind: &str, finding, asked_by| {
        let workload = Workload {
            namespace: "shop".to_owned(),
            kind: kind.to_owned(),
            name: "orders".to_owned(),
        };
        let detail = "app: Error, exit code 1".to_owned();
        notice(
            &workload,
            finding,
            &Affected {
                pods: 2,
                asked_by,
                detail,
            },
        )
        .note
    };
    assert_eq!(
        of("Deployment", Finding::Missed, LabelSource::Workload),
        "2 pods without the OpenTelemetry Java agent, created while Javelin did not answer: `javelin restart --missed -n \
         shop` restarts what was missed in the namespace"
    );
    let note = of("Job", Finding::Crashing, LabelSource::Namespace);
    assert!(
        note.ends_with("in its manifest, and create its pods again"),
        "{note}"
    );
    let note = of("Rollout", Finding::Crashing, LabelSource::Nobody);
    assert!(
        note.ends_with("again: kubectl rollout restart -n shop rollout.argoproj.io/orders"),
        "{note}"
    );
}

#[test]
fn readiness_is_as_it_is_printed_and_what_is_not_understood_is_looked_at() {
    let of = |ready: Value| is_ready(&["a".into(), ready]);
    assert!(of("2/2".into()));
    for other in ["1/2".into(), "ready".into(), 2.into(), Value::Null] {
        assert!(!of(other));
    }
    assert!(!is_ready(&[]));
}
