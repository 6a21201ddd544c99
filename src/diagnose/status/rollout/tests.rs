//! Rollouts as they go, and what has none.

use super::*;

#[test]
fn a_deployment_is_done_when_only_new_pods_are_there_and_ready() {
    let of = |status: Value| {
        progress(
            "Deployment",
            &json!({"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status}),
        )
    };
    let done = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
    let but = |key: &str, value: u64| {
        let mut status = done.clone();
        status[key] = json!(value);
        match of(status) {
            Progress::Waiting(what) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(done.clone()), Progress::Done);
    assert_eq!(
        but("observedGeneration", 1),
        "its controller has not seen it yet"
    );
    assert_eq!(but("updatedReplicas", 1), "1 of 3 pods are new");
    assert_eq!(but("replicas", 4), "1 old pods are still there");
    assert_eq!(but("availableReplicas", 2), "2 of 3 new pods are ready");
    let mut late = done.clone();
    late["availableReplicas"] = json!(2);
    late["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too late"}]);
    assert_eq!(of(late), Progress::Failed("too late".to_owned()));
    assert_ne!(of(Value::Null), Progress::Done);
}

#[test]
fn other_kinds_have_other_counts() {
    let of = |kind: &str, status: Value| {
        progress(
            kind,
            &json!({"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status}),
        )
    };
    let set = |current: &str| json!({"observedGeneration": 1, "updatedReplicas": 2, "readyReplicas": 2, "updateRevision": "b", "currentRevision": current});
    assert_eq!(of("StatefulSet", set("b")), Progress::Done);
    assert!(matches!(of("StatefulSet", set("a")), Progress::Waiting(_)));
    let daemons = |available: u64| json!({"observedGeneration": 1, "desiredNumberScheduled": 5, "updatedNumberScheduled": 5, "numberAvailable": available});
    assert_eq!(of("DaemonSet", daemons(5)), Progress::Done);
    assert!(matches!(of("DaemonSet", daemons(4)), Progress::Waiting(_)));
    let rollout = json!({"observedGeneration": "1", "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    assert_eq!(of("Rollout", rollout), Progress::Done);
}

#[test]
fn what_cannot_be_restarted_says_why() {
    let of = |kind: &'static str, spec: Value| {
        let workload: WorkloadFacts = serde_json::from_value(json!({ "spec": spec })).unwrap();
        obstacle(&WorkloadFacts { kind, ..workload }).unwrap_or("nothing")
    };
    assert_eq!(of("Deployment", json!({})), "nothing");
    assert!(of("Deployment", json!({"paused": true})).contains("paused"));
    let strategy = |strategy: Value| json!({ "updateStrategy": strategy });
    assert_eq!(
        of(
            "StatefulSet",
            strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}))
        ),
        "nothing"
    );
    assert!(
        of(
            "StatefulSet",
            strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}))
        )
        .contains("partition")
    );
    assert!(of("DaemonSet", strategy(json!({"type": "OnDelete"}))).contains("OnDelete"));
    for kind in ["Job", "CronJob", "Pod", "ReplicaSet", "SparkApplication"] {
        assert!(obstacle_of_kind(kind).is_some(), "{kind}");
        assert_eq!(path(kind, "shop", "a"), None);
    }
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Rollout"] {
        assert!(
            obstacle_of_kind(kind).is_none() && path(kind, "shop", "a").is_some(),
            "{kind}"
        );
    }
}

#[test]
fn a_restart_is_what_kubectl_and_argo_do() {
    let time = "2026-11-23T06:00:00Z";
    let patched = patch("Deployment", time);
    let annotations = patched
        .pointer("/spec/template/metadata/annotations")
        .unwrap();
    assert_eq!(annotations["kubectl.kubernetes.io/restartedAt"], time);
    assert_eq!(patch("Rollout", time)["spec"]["restartAt"], time);
    let at = path("StatefulSet", "shop", "db");
    assert_eq!(
        at.as_deref(),
        Some("/apis/apps/v1/namespaces/shop/statefulsets/db")
    );
}
