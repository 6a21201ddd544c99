//! Spellings.

use serde_json::{Value, json};

use super::*;
use crate::diagnose::check::tests::good;
use crate::diagnose::check::{Status, judge as judge_all};

#[test]
fn near_misses_of_the_key_are_told_and_other_keys_are_not() {
    for near in [
        "instrumentation.opentelemetry.io/inject-jave",
        "instrumentation.opentelemetry.io/injectjava",
        "instrumentation.opentelemetry.io/inject_java",
        "instrumentation.opentelemetry.io/java-inject",
        "instrumentation.opentelemetry.io/Inject-Java",
        "instrumentation.opentelemtry.io/inject-java",
        "opentelemetry.io/inject-java",
        "javelin.dev/inject-java",
        "inject-java",
    ] {
        assert!(is_near_miss(near), "{near}");
    }
    for other in [
        INJECT,
        "javelin.dev/from-workload",
        "instrumentation.opentelemetry.io/inject-go",
        "instrumentation.opentelemetry.io/inject-sdk",
        "instrumentation.opentelemetry.io/inject-python",
        "instrumentation.opentelemetry.io/container-names",
        "app.kubernetes.io/name",
        "app",
        "istio-injection",
        "sidecar.istio.io/inject",
    ] {
        assert!(!is_near_miss(other), "{other}");
    }
}

#[test]
fn a_value_is_suggested_where_one_is_near() {
    let config = good().config.unwrap().unwrap();
    assert_eq!(suggestion("True", &config), "was \"true\" meant?");
    assert_eq!(suggestion("chekout", &config), "was \"checkout\" meant?");
    assert!(
        suggestion("enabled", &config).starts_with("write one of: checkout, default, false, true")
    );
}

#[test]
fn what_is_written_wrong_is_found_on_objects_and_on_templates() {
    let namespace = |metadata: Value| object("Namespace", &json!({"metadata": metadata}));
    let wrong = json!({"instrumentation.opentelemetry.io/inject-jave": "true"});
    assert_eq!(
        told(namespace(json!({"name": "a", "labels": wrong}))),
        [Check::LabelKeys]
    );
    let template = json!({"spec": {"template": {"metadata": {"labels": wrong}}}});
    assert_eq!(told(object("Deployment", &template)), [Check::LabelKeys]);
    let job =
        json!({"spec": {"jobTemplate": {"spec": {"template": {"metadata": {"labels": wrong}}}}}});
    assert_eq!(told(object("CronJob", &job)), [Check::LabelKeys]);

    assert_eq!(
        told(namespace(json!({"name": "a", "labels": {INJECT: "True"}}))),
        [Check::LabelValues]
    );
    assert_eq!(
        told(namespace(json!({"name": "a", "labels": {INJECT: ""}}))),
        [Check::LabelValues]
    );
    assert_eq!(
        told(namespace(json!({"name": "a", "labels": {INJECT: "false"}}))),
        []
    );
    assert_eq!(
        told(namespace(
            json!({"name": "kube-system", "labels": {INJECT: "true"}})
        )),
        [Check::LabelExcluded]
    );
    assert_eq!(
        told(namespace(
            json!({"name": "kube-system", "labels": {INJECT: "false"}})
        )),
        []
    );
}

#[test]
fn the_label_on_a_kind_that_gives_it_to_no_pod_is_told() {
    let of = |version: &str, kind: &str, value: &str| {
        let mut facts = good();
        let metadata = json!({"name": "a", "namespace": "shop", "labels": {INJECT: value}});
        facts.other_kinds =
            vec![json!({"apiVersion": version, "kind": kind, "metadata": metadata})];
        told_of(&facts)
    };
    assert_eq!(
        of("flink.apache.org/v1beta1", "FlinkDeployment", "true"),
        [Check::LabelKinds]
    );
    assert_eq!(
        of("flink.apache.org/v1beta1", "FlinkDeployment", "false"),
        []
    );
    assert_eq!(
        of("v1", "ReplicationController", "true"),
        [Check::LabelKinds]
    );
    assert_eq!(of("argoproj.io/v1alpha1", "Rollout", "true"), []);
    let mut facts = good();
    facts.other_kinds_unseen = vec!["flinkdeployments".to_owned()];
    assert_eq!(told_of(&facts), [Check::LabelKinds]);
}

#[test]
fn an_annotation_in_the_labels_place_is_told_where_it_has_no_effect() {
    let annotated = json!({"annotations": {INJECT: "true"}});
    let on_workload = object("Deployment", &json!({"metadata": annotated}));
    let on_template = object(
        "Deployment",
        &json!({"spec": {"template": {"metadata": annotated}}}),
    );
    assert_eq!(told(on_workload.clone()), [Check::LabelAnnotations]);
    assert_eq!(told(on_template.clone()), [Check::LabelAnnotations]);
    let both = json!({"labels": {INJECT: "true"}, "annotations": {INJECT: "true"}});
    assert_eq!(told(object("Deployment", &json!({"metadata": both}))), []);
    let config = Config::parse("annotations: true", "").unwrap();
    let with_annotations = |object| {
        let mut findings = Findings(Vec::new());
        annotations([&object].into_iter(), &config, &mut findings);
        findings.0.iter().any(|each| each.status == Status::Failed)
    };
    assert!(
        with_annotations(on_workload),
        "on a workload it never counts"
    );
    assert!(!with_annotations(on_template));
}

fn object(kind: &'static str, value: &Value) -> Labelled {
    let object: Labelled = serde_json::from_value(value.clone()).unwrap();
    Labelled { kind, ..object }
}

fn told(object: Labelled) -> Vec<Check> {
    let mut facts = good();
    if object.kind == "Namespace" {
        facts.namespaces = Ok(vec![object]);
    } else {
        facts.workloads = vec![object];
    }
    told_of(&facts)
}

fn told_of(facts: &Facts) -> Vec<Check> {
    let findings = judge_all(facts).into_iter();
    let bad = findings.filter(|each| each.status != Status::Ok);
    bad.map(|each| each.check).collect()
}

#[test]
fn pods_of_nobody_count_and_what_has_a_controller_does_not() {
    let owned = |controller: bool| {
        let owner = json!({"kind": "ReplicaSet", "name": "x", "controller": controller});
        let pod = json!({"metadata": {"name": "x-1", "ownerReferences": [owner]}});
        let pod: Labelled = serde_json::from_value(pod).unwrap();
        pod.has_controller()
    };
    assert!(owned(true));
    assert!(!owned(false));
    assert!(!Labelled::default().has_controller());
    let pod =
        json!({"metadata": {"name": "alone", "namespace": "shop", "labels": {INJECT: "ture"}}});
    let pod: Labelled = serde_json::from_value(pod).unwrap();
    let mut facts = good();
    facts.workloads = vec![Labelled { kind: "Pod", ..pod }];
    let findings = judge_all(&facts);
    let failed = findings.iter().find(|each| each.status == Status::Failed);
    assert!(
        failed
            .unwrap()
            .message
            .starts_with("Pod shop/alone: the value \"ture\"")
    );
}
