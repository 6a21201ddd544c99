//! What pods add up to: the same as `javelin status` says, and no more of it than there is room for.

use javelin_core::mutate::keys::{INJECT, INJECTED, SKIPPED};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::diagnose::status::objects::WorkloadFacts;
use crate::diagnose::status::{StatusFacts, rows};
use crate::standing::objects::ObjectFacts;

#[test]
fn a_missed_pod_is_counted_for_its_workload_and_namespace() {
    let mut findings = findings();
    for name in ["a", "b"] {
        findings.pod(&asking("shop", name), true);
    }
    findings.pod(&asking("infra", "excluded"), true);
    assert_eq!(
        findings.by_namespace(),
        [
            (OTHERS.to_owned(), "missed", 0),
            (OTHERS.to_owned(), "crashing", 0),
            ("shop".to_owned(), "missed", 2),
            ("shop".to_owned(), "crashing", 0),
        ]
    );
    assert_eq!(findings.total(Finding::Missed), 2);
    assert_eq!(findings.affected.len(), 2);
}

#[test]
fn what_is_beyond_a_limit_is_counted_and_not_remembered() {
    let mut findings = findings();
    let beyond = 7;
    for at in 0..MOST_AFFECTED + beyond {
        let namespace = format!("n{at}");
        findings.pod(&asking(&namespace, "a"), true);
    }
    // One with more pods has its name before others.
    findings.pod(&asking("n9", "b"), true);
    assert_eq!(findings.affected.len(), MOST_AFFECTED);
    assert_eq!(findings.left_out, beyond as u64 + 1);
    let found = findings.by_namespace();
    assert_eq!(found.len(), (MOST_NAMESPACES + 1) * Finding::ALL.len());
    assert!(found.contains(&("n9".to_owned(), "missed", 2)));
    let pods: u64 = found.iter().map(|(_, _, pods)| pods).sum();
    assert_eq!(pods, (MOST_AFFECTED + beyond + 1) as u64);
    let others = (
        OTHERS.to_owned(),
        "missed",
        (MOST_AFFECTED + beyond - MOST_NAMESPACES) as u64,
    );
    assert!(found.contains(&others), "{found:?}");

    for at in 0..=MOST_LABELLED {
        findings.workload(
            "Deployment",
            &labelled(&at.to_string(), &json!({INJECT: "true"})),
        );
    }
    assert_eq!(findings.labelled.len(), MOST_LABELLED);
    assert_eq!(findings.left_out, beyond as u64 + 2);
}

#[test]
fn of_workloads_whose_label_was_copied_nothing_is_remembered() {
    let copied = json!({INJECT: "true", FROM_WORKLOAD: "true"});
    let mut findings = findings();
    findings.workload("Deployment", &labelled("orders", &copied));
    assert_eq!(findings.labelled.len(), 0);
    // A namespace's label counts after the workload's, which may say no.
    let namespace = json!({"name": "shop", "labels": {INJECT: "true"}});
    findings.namespace(&serde_json::from_value(namespace).unwrap());
    findings.workload("Deployment", &labelled("orders", &copied));
    assert_eq!(findings.labelled.len(), 1);
}

#[test]
fn what_pods_say_is_kept_of_workloads_that_crash_alone() {
    let pod = |at: usize, annotations: Value, status: Value| {
        let owner = json!({"kind": "StatefulSet", "name": format!("w{at}"), "controller": true});
        let metadata = json!({
            "name": "p", "namespace": "shop", "annotations": annotations, "ownerReferences": [owner],
            "creationTimestamp": format!("2026-11-23T06:00:{at:02}Z"),
        });
        let status = json!({"phase": "Running", "containerStatuses": [status]});
        serde_json::from_value::<PodFacts>(json!({"metadata": metadata, "status": status})).unwrap()
    };
    let ready = || json!({"name": "app", "ready": true});
    let crashes = json!({"name": "app", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
    let mut findings = findings();
    findings.look_closer(&pod(1, json!({}), ready()));
    let mut ended = pod(1, json!({INJECTED: "{}"}), ready());
    ended.status.phase = "Failed".to_owned();
    findings.look_closer(&ended);
    let mut bad = pod(2, json!({INJECTED: "{}"}), crashes);
    bad.metadata.owner_references[0].name = "w1".to_owned();
    findings.look_closer(&bad);
    findings.look_closer(&pod(3, json!({}), ready()));
    findings.settle();
    let judged: Vec<_> = findings
        .evidence
        .iter()
        .map(|(workload, evidence)| (workload.name.as_str(), evidence.judge(&workload.kind)))
        .collect();
    assert_eq!(judged, [("w1", Ok(()))]);
    for at in 0..MOST_EVIDENCE + 5 {
        findings.look_closer(&pod(at, json!({}), ready()));
    }
    assert_eq!(findings.evidence.len(), MOST_EVIDENCE);
    findings.look_closer(&pod(1, json!({INJECTED: "{}"}), ready()));
    let w1 = findings.evidence.iter().find(|(each, _)| each.name == "w1");
    assert!(
        w1.unwrap().1.judge("StatefulSet").is_err(),
        "there is room for what it has"
    );
}

proptest! {
    #[test]
    fn it_is_what_status_says(facts in cluster()) {
        let mut findings = Findings::new(Arc::new(facts.config.clone().unwrap()));
        for namespace in &facts.namespaces {
            findings.namespace(&namespace.metadata);
        }
        for workload in &facts.workloads {
            findings.workload(workload.kind, &workload.metadata);
        }
        // The API server leaves out those that have ended.
        let pods = facts.pods.iter().filter(|pod| pod.status.phase == "Running");
        for pod in pods.clone() {
            let is_ready = pod.status.container_statuses.iter().all(|status| status.ready);
            findings.pod(&pod.metadata, is_ready);
        }
        for pod in pods.filter(|pod| findings.suspects.contains(&pod.metadata.namespace)).collect::<Vec<_>>() {
            findings.look_closer(pod);
        }
        let mut expected = BTreeMap::new();
        for row in rows(&facts) {
            let workload = Workload { namespace: row.namespace, kind: row.kind, name: row.name };
            for (finding, pods) in [(Finding::Missed, row.missed), (Finding::Crashing, row.crashing)] {
                if pods > 0 {
                    expected.insert((workload.clone(), finding), pods as u64);
                }
            }
        }
        let found = findings.affected.into_iter().map(|(key, affected)| (key, affected.pods));
        prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    }
}

// === What all of them need

fn findings() -> Findings {
    let config = Config::parse("excludedNamespaces: [infra]", "").unwrap();
    Findings::new(Arc::new(config))
}

fn asking(namespace: &str, name: &str) -> ObjectMetadata {
    let metadata = json!({"name": name, "namespace": namespace, "labels": {INJECT: "true"}});
    serde_json::from_value(metadata).unwrap()
}

fn labelled(name: &str, labels: &Value) -> ObjectMetadata {
    serde_json::from_value(json!({"name": name, "namespace": "shop", "labels": labels})).unwrap()
}

/// Two namespaces, a few workloads that may be labelled, and pods in every state.
fn cluster() -> impl Strategy<Value = StatusFacts> {
    let namespaces = ["shop", "infra", "other"].map(namespace);
    let workloads = prop::collection::vec(workload(), 0..4);
    (
        namespaces,
        workloads,
        prop::collection::vec(pod(), 0..12),
        any::<bool>(),
    )
        .prop_map(|(namespaces, workloads, pods, annotations)| {
            let config = format!("{{excludedNamespaces: [infra], annotations: {annotations}}}");
            let mut seen = BTreeSet::new();
            let mut workloads: Vec<WorkloadFacts> = workloads;
            workloads.retain(|each| {
                let ObjectMetadata {
                    namespace, name, ..
                } = &each.metadata;
                seen.insert((namespace.clone(), each.kind, name.clone()))
            });
            StatusFacts {
                config: Some(Config::parse(&config, "").unwrap()),
                namespaces: namespaces.into(),
                workloads,
                pods: pods
                    .into_iter()
                    .map(|pod| serde_json::from_value(pod).unwrap())
                    .collect(),
            }
        })
}

fn label() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("true"), Some("checkout"), Some("false")])
}

fn time() -> impl Strategy<Value = String> {
    (0..4).prop_map(|second| format!("2026-11-23T06:00:0{second}Z"))
}

fn namespace(name: &'static str) -> impl Strategy<Value = ObjectFacts> {
    (label(), time()).prop_map(move |(label, time)| {
        let metadata = json!({"name": name, "labels": only(&[(INJECT, label)]), "managedFields": wrote(&time)});
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    })
}

fn workload() -> impl Strategy<Value = WorkloadFacts> {
    let kind = select(vec!["Deployment", "Job"]);
    let named = (
        kind,
        select(vec!["shop", "infra"]),
        select(vec!["orders", "carts"]),
    );
    (named, label(), any::<bool>(), time(), time()).prop_map(
        |((kind, namespace, name), label, is_copied, created, labelled)| {
            let copy = label.filter(|_| is_copied);
            let metadata = json!({
                "name": name, "namespace": namespace, "creationTimestamp": created,
                "labels": only(&[(INJECT, label), (FROM_WORKLOAD, copy)]), "managedFields": wrote(&labelled),
            });
            let template = json!({"metadata": {"labels": only(&[(FROM_WORKLOAD, copy)])}});
            let facts: WorkloadFacts =
                serde_json::from_value(json!({"metadata": metadata, "spec": {"template": template}})).unwrap();
            WorkloadFacts { kind, ..facts }
        },
    )
}

fn pod() -> impl Strategy<Value = Value> {
    let owner = select(vec![
        None,
        Some(("Deployment", "orders")),
        Some(("Job", "carts")),
    ]);
    let asks = (label(), label(), label());
    let noted = select(vec![
        None,
        Some((INJECTED, "{}")),
        Some((SKIPPED, "does-not-fit: small")),
    ]);
    let state = (
        select(vec!["Running", "Succeeded"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (select(vec!["shop", "infra"]), owner, asks, noted, time(), state).prop_map(
        |(namespace, owner, (own, copy, annotation), noted, created, (phase, ready, crashes, goes))| {
            let owners = owner.map(|(kind, name)| json!({"kind": kind, "name": name, "controller": true}));
            let mut annotations = only(&[(INJECT, annotation)]);
            if let Some((key, value)) = noted {
                annotations[key] = value.into();
            }
            let waiting = (crashes && !ready).then(|| json!({"reason": "CrashLoopBackOff"}));
            let metadata = json!({
                "name": "alone", "namespace": namespace, "labels": only(&[(INJECT, own), (FROM_WORKLOAD, copy)]),
                "annotations": annotations, "ownerReferences": Vec::from_iter(owners), "creationTimestamp": created,
                "deletionTimestamp": goes.then_some("2026-11-23T06:00:09Z"),
            });
            let status = json!({"name": "app", "ready": ready, "state": {"waiting": waiting}});
            json!({"metadata": metadata, "status": {"phase": phase, "containerStatuses": [status]}})
        },
    )
}

fn only(labels: &[(&str, Option<&str>)]) -> Value {
    let there = labels
        .iter()
        .filter_map(|(key, value)| Some(((*key).to_owned(), json!((*value)?))));
    Value::Object(there.collect())
}

fn wrote(time: &str) -> Value {
    json!([{"time": time, "fieldsV1": {"f:metadata": {"f:labels": {".": {}, format!("f:{INJECT}"): {}}}}}])
}
