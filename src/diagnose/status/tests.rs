//! How each pod is counted, and in which row.

use javelin_core::mutate::keys::{FROM_WORKLOAD, GUARDED, INJECT, INJECTED, SKIPPED};
use serde_json::{Value, json};

use super::*;

const HASH: &str = "6d4cf56db6";

#[test]
fn a_pod_that_asks_and_has_neither_receipt_nor_reason_was_missed() {
    let row = only(&StatusFacts {
        workloads: vec![deployment(
            json!({"name": "orders", "labels": {INJECT: "true"}}),
            json!({FROM_WORKLOAD: "true"}),
        )],
        pods: vec![
            pod(json!({FROM_WORKLOAD: "true"}), json!({})),
            pod(
                json!({FROM_WORKLOAD: "true"}),
                json!({INJECTED: receipt(&Config::default())}),
            ),
            pod(
                json!({FROM_WORKLOAD: "true"}),
                json!({SKIPPED: "does-not-fit: too small"}),
            ),
            // It was there before the label, and the rollout goes on.
            pod(json!({}), json!({})),
        ],
        config: Some(Config::default()),
        ..StatusFacts::default()
    });
    assert_eq!(row.title(), "shop/deployment.apps/orders");
    assert_eq!(
        (row.profile.as_str(), row.asked_by),
        ("default", LabelSource::Workload)
    );
    assert_eq!(
        (row.pods, row.injected, row.missed, row.skipped, row.waiting),
        (4, 1, 1, 1, 1)
    );
    assert_eq!((row.outdated, row.crashing), (0, 0));
    assert_eq!(row.details, ["does-not-fit", "older than the label"]);
    assert_eq!(row.no_restart, None);
    // Scripts read `-o json`: no name in it is ours to change.
    assert_eq!(
        serde_json::to_value(&row).unwrap(),
        json!({
            "namespace": "shop",
            "kind": "Deployment",
            "name": "orders",
            "profile": "default",
            "askedBy": "workload",
            "pods": 4,
            "injected": 1,
            "missed": 1,
            "skipped": 1,
            "waiting": 1,
            "outdated": 0,
            "crashing": 0,
            "details": ["does-not-fit", "older than the label"],
            "noRestart": null,
        })
    );
    for (source, name) in [
        (LabelSource::Template, "template"),
        (LabelSource::Namespace, "namespace"),
        (LabelSource::Nobody, "nobody"),
    ] {
        assert_eq!(serde_json::to_value(source).unwrap(), name);
    }
}

#[test]
fn a_label_that_was_never_copied_was_missed_where_it_can_be_copied() {
    let facts = |kind: &'static str, owner: Value| {
        let workload = json!({"metadata": {"name": "orders", "namespace": "shop", "labels": {INJECT: "true"}}, "spec": {"template": {}}});
        let mut pod = pod(json!({}), json!({}));
        pod.metadata.owner_references = serde_json::from_value(json!([owner])).unwrap();
        let workload: WorkloadFacts = serde_json::from_value(workload).unwrap();
        StatusFacts {
            workloads: vec![WorkloadFacts { kind, ..workload }],
            pods: vec![pod],
            ..StatusFacts::default()
        }
    };
    let owner = |kind: &str| json!({"kind": kind, "name": "orders", "controller": true});
    let row = only(&facts("StatefulSet", owner("StatefulSet")));
    assert_eq!((row.missed, row.waiting), (1, 0));
    assert_eq!(row.details, [] as [&str; 0]);
    // A Job's template never changes: what counts is the label that it was created with.
    let job = |labelled: Option<&str>| {
        let mut facts = facts("Job", owner("Job"));
        let job = &mut facts.workloads[0].metadata;
        job.creation_timestamp = "2026-11-23T06:00:00Z".to_owned();
        if let Some(time) = labelled {
            job.managed_fields = namespace("true", time).metadata.managed_fields;
        }
        only(&facts)
    };
    for at_creation in [Some("2026-11-23T06:00:00Z"), None] {
        let row = job(at_creation);
        assert_eq!((row.missed, row.waiting), (1, 0), "{at_creation:?}");
        assert_eq!(
            row.details,
            ["a Job's template never changes: delete it and create it again"]
        );
    }
    let row = job(Some("2026-11-23T06:00:01Z"));
    assert_eq!((row.missed, row.waiting), (0, 1));
    assert_eq!(row.details, ["older than the label"]);
}

#[test]
fn what_is_in_the_way_of_a_restart_is_told_with_what_was_missed() {
    for (spec, expected) in [
        (json!({"paused": true}), "it is paused"),
        (json!({"updateStrategy": {"type": "OnDelete"}}), "OnDelete"),
        (
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}),
            "has a partition",
        ),
    ] {
        let mut workload = deployment(
            json!({"name": "orders", "labels": {INJECT: "true"}}),
            json!({}),
        );
        workload.spec = serde_json::from_value(spec).unwrap();
        let row = only(&StatusFacts {
            workloads: vec![workload],
            pods: vec![pod(json!({}), json!({}))],
            ..StatusFacts::default()
        });
        assert_eq!(row.missed, 1);
        assert_eq!(row.details.len(), 1, "{row:?}");
        assert!(row.details[0].contains(expected), "{row:?}");
    }
}

#[test]
fn workloads_of_operators_count_and_parts_of_other_workloads_do_not() {
    let is_derived = |kind: &'static str, owner: &str, controller: bool| {
        let owner = json!({"kind": owner, "name": "x", "controller": controller});
        let workload = json!({"metadata": {"name": "x-1", "ownerReferences": [owner]}});
        let workload: WorkloadFacts = serde_json::from_value(workload).unwrap();
        WorkloadFacts { kind, ..workload }.is_derived()
    };
    assert!(!is_derived("Deployment", "Kafka", true));
    assert!(!is_derived("StatefulSet", "Prometheus", true));
    assert!(!is_derived("Job", "JobSet", true));
    assert!(!is_derived("Job", "CronJob", false));
    assert!(is_derived("Job", "CronJob", true));
    assert!(is_derived("ReplicaSet", "Deployment", true));
    assert!(is_derived("ReplicaSet", "Rollout", true));
}

#[test]
fn a_pod_of_a_labelled_namespace_was_missed_unless_it_is_older_than_the_label() {
    let facts = |created: &str| {
        let mut pod = pod(json!({}), json!({}));
        pod.metadata.creation_timestamp = created.to_owned();
        StatusFacts {
            namespaces: vec![namespace("true", "2026-11-23T06:00:00Z")],
            pods: vec![pod],
            ..StatusFacts::default()
        }
    };
    let row = only(&facts("2026-11-23T05:59:59Z"));
    assert_eq!(
        (row.missed, row.waiting, row.asked_by),
        (0, 1, LabelSource::Namespace)
    );
    let row = only(&facts("2026-11-23T06:00:00Z"));
    assert_eq!((row.missed, row.waiting), (1, 0));
}

#[test]
fn false_wins_over_the_namespace_and_such_pods_are_in_no_row() {
    for (labels, workload) in [
        (json!({INJECT: "false"}), json!({})),
        (json!({FROM_WORKLOAD: "false"}), json!({})),
        (json!({}), json!({INJECT: "false"})),
    ] {
        let facts = StatusFacts {
            namespaces: vec![namespace("true", "2026-11-23T06:00:00Z")],
            workloads: vec![deployment(
                json!({"name": "orders", "labels": workload}),
                labels.clone(),
            )],
            pods: vec![pod(labels, json!({}))],
            ..StatusFacts::default()
        };
        let found = rows(&facts);
        assert!(found.iter().all(|row| row.pods == 0), "{found:?}");
    }
}

#[test]
fn pods_that_have_ended_or_go_and_excluded_namespaces_do_not_count() {
    let asking = || pod(json!({INJECT: "true"}), json!({}));
    let mut ended = asking();
    ended.status.phase = "Succeeded".to_owned();
    let mut going = asking();
    going.metadata.deletion_timestamp = Some("2026-11-23T06:00:00Z".to_owned());
    let facts = StatusFacts {
        pods: vec![ended, going],
        ..StatusFacts::default()
    };
    assert_eq!(rows(&facts), []);
    let config = Config::parse("excludedNamespaces: [shop]", "").unwrap();
    let facts = StatusFacts {
        pods: vec![asking()],
        config: Some(config),
        ..StatusFacts::default()
    };
    assert_eq!(rows(&facts), []);
}

#[test]
fn an_annotation_asks_only_where_the_configuration_says_so() {
    let facts = |text: &str| StatusFacts {
        pods: vec![pod(json!({}), json!({INJECT: "true"}))],
        config: Some(Config::parse(text, "").unwrap()),
        ..StatusFacts::default()
    };
    assert_eq!(rows(&facts("annotations: false")), []);
    assert_eq!(only(&facts("annotations: true")).missed, 1);
}

#[test]
fn what_has_another_configuration_profile_or_image_is_outdated() {
    let of = |value: &str, receipt: String| {
        let config = Config::parse(
            "{default: {agent: {image: 'r/javelin:2'}}, profiles: {checkout: {}}}",
            "",
        )
        .unwrap();
        let pods = vec![pod(json!({INJECT: value}), json!({INJECTED: receipt}))];
        let row = only(&StatusFacts {
            pods,
            config: Some(config),
            ..StatusFacts::default()
        });
        assert_eq!(
            (row.injected, row.outdated),
            (1, usize::from(!row.details.is_empty()))
        );
        row.details.join("; ")
    };
    let config = Config::parse(
        "{default: {agent: {image: 'r/javelin:2'}}, profiles: {checkout: {}}}",
        "",
    )
    .unwrap();
    let current = receipt(&config);
    let with = |key: &str, value: &str| {
        let mut receipt: Value = serde_json::from_str(&current).unwrap();
        receipt[key] = json!(value);
        receipt.to_string()
    };
    assert_eq!(of("true", current.clone()), "");
    assert_eq!(
        of("true", with("config", "0")),
        "has an older configuration"
    );
    assert_eq!(
        of("true", with("image", "r/javelin:1")),
        "has the agent of r/javelin:1"
    );
    assert_eq!(of("checkout", current.clone()), "has profile default");
    assert_eq!(of("gone", current.clone()), "profile gone no longer exists");
    assert_eq!(
        of("false", current.clone()),
        "has the agent, but nothing asks for it any more"
    );
    // Another version may hash the same profile in another way.
    let mut other: Value = serde_json::from_str(&with("config", "0")).unwrap();
    other["version"] = json!("0.0.1");
    assert_eq!(of("true", other.to_string()), "");
}

#[test]
fn of_what_crashes_there_is_a_way_back() {
    let of = |workload: Value, template: Value, pod_labels: Value| {
        let mut pod = pod(pod_labels, json!({INJECTED: receipt(&Config::default())}));
        let state = json!({"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        pod.status = serde_json::from_value(json!({"containerStatuses": [state]})).unwrap();
        let row = only(&StatusFacts {
            workloads: vec![deployment(workload, template)],
            pods: vec![pod],
            ..StatusFacts::default()
        });
        row.way_back().unwrap()
    };
    let (labelled, plain) = (
        json!({"name": "orders", "labels": {INJECT: "true"}}),
        json!({"name": "orders"}),
    );
    assert_eq!(
        of(
            labelled,
            json!({FROM_WORKLOAD: "true"}),
            json!({FROM_WORKLOAD: "true"})
        ),
        format!("kubectl label --overwrite -n shop deployment.apps/orders {INJECT}=false")
    );
    assert_eq!(
        of(
            plain.clone(),
            json!({INJECT: "true"}),
            json!({INJECT: "true"})
        ),
        format!("set the label {INJECT} to \"false\" in its manifest, and create its pods again")
    );
    assert_eq!(
        of(plain, json!({}), json!({})),
        "kubectl rollout restart -n shop deployment.apps/orders"
    );
}

#[test]
fn containers_with_the_agent_that_do_not_run_crash() {
    let of = |status: Value| {
        let mut pod = pod(
            json!({INJECT: "true"}),
            json!({INJECTED: receipt(&Config::default())}),
        );
        pod.status = serde_json::from_value(status).unwrap();
        let row = only(&StatusFacts {
            pods: vec![pod],
            config: Some(Config::default()),
            ..StatusFacts::default()
        });
        assert_eq!(row.crashing, usize::from(!row.details.is_empty()));
        row.details.join("; ")
    };
    let app = |state: Value| json!({"containerStatuses": [state]});
    let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
    let killed = json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}});
    assert_eq!(
        of(app(
            json!({"name": "app", "restartCount": 4, "state": waiting("CrashLoopBackOff"), "lastState": killed})
        )),
        "app: CrashLoopBackOff, OOMKilled with exit code 137"
    );
    assert_eq!(
        of(app(
            json!({"name": "app", "restartCount": 1, "ready": false, "state": {}, "lastState": killed})
        )),
        "app: restarted, OOMKilled with exit code 137"
    );
    assert_eq!(
        of(app(
            json!({"name": "app", "restartCount": 1, "ready": true, "state": {}, "lastState": killed})
        )),
        ""
    );
    assert_eq!(
        of(app(
            json!({"name": "app", "state": waiting("PodInitializing")})
        )),
        ""
    );
    // Not one of ours.
    assert_eq!(
        of(app(
            json!({"name": "sidecar", "state": waiting("CrashLoopBackOff")})
        )),
        ""
    );
    let init = |state: Value| json!({"initContainerStatuses": [{"name": "javelin-agent", "state": state}]});
    assert_eq!(
        of(init(waiting("ImagePullBackOff"))),
        "javelin-agent: ImagePullBackOff"
    );
    assert_eq!(
        of(init(
            json!({"terminated": {"reason": "Error", "exitCode": 1}})
        )),
        "javelin-agent: Error, exit code 1"
    );
    assert_eq!(
        of(init(
            json!({"terminated": {"reason": "Completed", "exitCode": 0}})
        )),
        ""
    );
}

#[test]
fn names_are_as_kubectl_takes_them() {
    let mut row = only(&StatusFacts {
        pods: vec![pod(json!({INJECT: "true"}), json!({}))],
        ..StatusFacts::default()
    });
    for (kind, resource) in [
        ("Deployment", "deployment.apps/orders"),
        ("StatefulSet", "statefulset.apps/orders"),
        ("CronJob", "cronjob.batch/orders"),
        ("Rollout", "rollout.argoproj.io/orders"),
        ("Pod", "pod/orders"),
    ] {
        row.kind = kind.to_owned();
        assert_eq!(row.resource(), resource);
    }
}

#[test]
fn a_guarded_workload_says_so_with_the_way_back() {
    let copy = json!({FROM_WORKLOAD: "false"});
    let crashes = |pod: PodFacts| {
        let state = json!({"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let status = json!({"phase": "Running", "containerStatuses": [state]});
        PodFacts {
            status: serde_json::from_value(status).unwrap(),
            ..pod
        }
    };
    let facts = |metadata: Value, namespaces: Vec<ObjectFacts>| StatusFacts {
        workloads: vec![deployment(metadata, copy.clone())],
        pods: vec![
            pod(copy.clone(), json!({})),
            crashes(pod(json!({}), json!({INJECTED: "{}"}))),
        ],
        namespaces,
        ..StatusFacts::default()
    };
    let labelled = |note: &str| json!({"name": "orders", "labels": {INJECT: "true"}, "annotations": {GUARDED: note}});
    let unlabelled = json!({"name": "orders", "annotations": {GUARDED: "(none): why"}});
    let asks = vec![namespace("true", "2026-11-23T06:00:00Z")];
    for facts in [
        facts(labelled("true: why"), Vec::new()),
        facts(unlabelled, asks),
    ] {
        let row = only(&facts);
        assert_eq!((row.pods, row.skipped, row.crashing), (2, 1, 1), "{row:?}");
        assert!(row.details.contains(&"guarded".to_owned()), "{row:?}");
        let command = "kubectl annotate -n shop deployment.apps/orders javelin.dev/guarded-";
        assert_eq!(row.try_again().as_deref(), Some(command));
        assert_eq!(row.way_back(), None);
    }
    // The label has changed since, and no review has seen it.
    let row = only(&facts(labelled("checkout: why"), Vec::new()));
    assert_eq!((row.pods, row.skipped), (1, 0));
    assert_eq!(row.try_again(), None);
    assert!(row.way_back().is_some());
}

#[test]
fn a_workload_without_pods_has_a_row() {
    let workload = deployment(
        json!({"name": "orders", "labels": {INJECT: "checkout"}}),
        json!({}),
    );
    let row = only(&StatusFacts {
        workloads: vec![workload],
        ..StatusFacts::default()
    });
    assert_eq!((row.pods, row.profile.as_str()), (0, "checkout"));
}

// === What all of them need

fn only(facts: &StatusFacts) -> WorkloadStatus {
    let mut rows = rows(facts);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}

fn receipt(config: &Config) -> String {
    let profile = config.profile("true").unwrap();
    json!({
        "version": env!("CARGO_PKG_VERSION"), "profile": profile.name, "config": profile.hash,
        "image": profile.agent.image, "delivery": "init-container", "containers": {"app": []},
    })
    .to_string()
}

/// A pod of the Deployment `orders`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it is called with a literal"
)]
fn pod(mut labels: Value, annotations: Value) -> PodFacts {
    labels["pod-template-hash"] = json!(HASH);
    let owner = json!({"kind": "ReplicaSet", "name": format!("orders-{HASH}"), "controller": true});
    let metadata = json!({
        "name": "orders-1", "namespace": "shop", "labels": labels, "annotations": annotations, "ownerReferences": [owner],
    });
    serde_json::from_value(json!({"metadata": metadata, "status": {"phase": "Running"}})).unwrap()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it is called with a literal"
)]
fn deployment(mut metadata: Value, template_labels: Value) -> WorkloadFacts {
    metadata["namespace"] = json!("shop");
    let spec = json!({"template": {"metadata": {"labels": template_labels}}});
    let workload: WorkloadFacts =
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
    WorkloadFacts {
        kind: "Deployment",
        ..workload
    }
}

fn namespace(value: &str, labelled: &str) -> ObjectFacts {
    let fields = json!({"f:metadata": {"f:labels": {format!("f:{INJECT}"): {}}}});
    let managed = json!([
        {"time": "2020-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:other": {}}}}},
        {"time": labelled, "fieldsV1": fields},
    ]);
    let metadata = json!({"name": "shop", "labels": {INJECT: value}, "managedFields": managed});
    serde_json::from_value(json!({ "metadata": metadata })).unwrap()
}
