//! Each thing that keeps an agent where it is, and what is written where none does.

use javelin_core::mutate::Receipt;
use serde_json::json;

use super::*;
use crate::standing::crash;

/// What the pods of a workload say, two of which crash with the agent while an older one without it is ready.
fn stuck() -> Evidence {
    evidence(&[
        pod("06:00:00", without(), ready()),
        pod("06:10:00", with(), crashing(3)),
        pod("06:10:30", with(), crashing(2)),
    ])
}

fn evidence(pods: &[PodFacts]) -> Evidence {
    let mut evidence = Evidence::default();
    for pod in pods {
        let receipt: Option<Receipt> = None;
        if pod
            .metadata
            .annotations
            .contains_key("javelin.dev/injected")
        {
            let crash = crash::find(pod, receipt.as_ref());
            evidence.add_injected(pod, crash.as_ref());
        } else {
            evidence.add_without(pod);
        }
    }
    evidence
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it is called with a literal"
)]
fn pod(time: &str, annotations: Value, status: Value) -> PodFacts {
    let created = format!("2026-11-30T{time}Z");
    let metadata = json!({"name": "p", "annotations": annotations, "creationTimestamp": created});
    let status = json!({"phase": "Running", "containerStatuses": [status]});
    serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
}

fn with() -> Value {
    json!({"javelin.dev/injected": "{}"})
}

fn without() -> Value {
    json!({})
}

fn ready() -> Value {
    json!({"name": "app", "ready": true})
}

fn starting() -> Value {
    json!({"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}})
}

fn crashing(restarts: u32) -> Value {
    let ended = json!({"terminated": {"reason": "Error", "exitCode": 1}});
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    json!({"name": "app", "restartCount": restarts, "state": waiting, "lastState": ended})
}

#[test]
fn a_rollout_that_is_stuck_with_the_agent_is_one() {
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Rollout"] {
        assert_eq!(stuck().judge(kind), Ok(()), "{kind}");
    }
    // The order in which a page has them tells nothing.
    let reversed = evidence(&[
        pod("06:10:30", with(), crashing(2)),
        pod("06:10:00", with(), crashing(3)),
        pod("06:00:00", without(), ready()),
    ]);
    assert_eq!(reversed.judge("Deployment"), Ok(()));
}

#[test]
fn everything_else_that_pods_say_keeps_the_agent() {
    let old = || pod("06:00:00", without(), ready());
    let bad = || pod("06:10:00", with(), crashing(3));
    for (what, pods, expected) in [
        ("none crashes", vec![old()], Refusal::NothingCrashes),
        (
            "one runs with it",
            vec![old(), bad(), pod("06:10:00", with(), ready())],
            Refusal::Runs,
        ),
        (
            "one starts",
            vec![old(), bad(), pod("06:10:00", with(), starting())],
            Refusal::Starts,
        ),
        (
            "too few restarts",
            vec![old(), pod("06:10:00", with(), crashing(2))],
            Refusal::FewRestarts,
        ),
        ("all were replaced", vec![bad()], Refusal::NoneBefore),
        (
            "the one before is not ready either",
            vec![pod("06:00:00", without(), crashing(9)), bad()],
            Refusal::NoneBefore,
        ),
        (
            "the one without is younger",
            vec![pod("06:10:00", without(), ready()), bad()],
            Refusal::NoneBefore,
        ),
        (
            "it is younger than the first that crashes",
            vec![
                pod("06:05:00", without(), ready()),
                bad(),
                pod("06:04:00", with(), crashing(1)),
            ],
            Refusal::NoneBefore,
        ),
    ] {
        assert_eq!(evidence(&pods).judge("Deployment"), Err(expected), "{what}");
    }
    for kind in [
        "Job",
        "CronJob",
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "Thing",
    ] {
        assert_eq!(stuck().judge(kind), Err(Refusal::Kind), "{kind}");
    }
}

const AROUND: Circumstances<'_> = Circumstances {
    namespace_asks: false,
    annotations_count: false,
    was_guarded: false,
    at: "2026-11-30T06:20:00Z",
};

fn orders(kind: &str) -> Workload {
    Workload {
        namespace: "shop".to_owned(),
        kind: kind.to_owned(),
        name: "orders".to_owned(),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it is called with a literal"
)]
fn target(labels: Value, template: Value) -> Value {
    json!({
        "metadata": {"name": "orders", "resourceVersion": "7", "labels": labels},
        "spec": {"template": {"metadata": template, "spec": {}}},
    })
}

fn labelled() -> Value {
    target(
        json!({INJECT: "true"}),
        json!({"labels": {FROM_WORKLOAD: "true"}}),
    )
}

fn change(target: Value, around: Circumstances<'_>) -> Result<Change, Refusal> {
    decoded(target).change(&orders("Deployment"), &stuck(), around)
}

fn decoded(target: Value) -> Target {
    serde_json::from_value(target).unwrap()
}

#[test]
fn one_patch_writes_both_copies_and_the_note_at_the_version_that_was_read() {
    let seen = "2 pods with the agent do not run (app: CrashLoopBackOff, Error with exit code 1), and older ones without it are ready";
    let Change { patch, note } = change(labelled(), AROUND).unwrap();
    assert_eq!(
        patch,
        json!({
            "metadata": {
                "resourceVersion": "7",
                "labels": {FROM_WORKLOAD: "false"},
                "annotations": {GUARDED: format!("true: 2026-11-30T06:20:00Z: {seen}")},
            },
            "spec": {"template": {"metadata": {"labels": {FROM_WORKLOAD: "false"}}}},
        })
    );
    assert_eq!(
        note,
        format!(
            "the OpenTelemetry Java agent was taken back: {seen}. To try it again: kubectl annotate -n shop \
             deployment.apps/orders javelin.dev/guarded-"
        )
    );
    let namespace_asks = Circumstances {
        namespace_asks: true,
        ..AROUND
    };
    for template in [json!({"labels": {"app": "orders"}}), json!(null)] {
        let Change { patch, .. } = change(target(json!({}), template), namespace_asks).unwrap();
        let note = patch["metadata"]["annotations"][GUARDED].as_str().unwrap();
        assert!(note.starts_with("(none): 2026"), "{note}");
        assert!(guard::holds(Some(note), None));
    }
    let told = decoded(labelled()).change(&orders("StatefulSet"), &stuck(), AROUND);
    let told = told.unwrap().note;
    assert!(
        told.ends_with("when its pod that does not run is deleted"),
        "{told}"
    );
}

#[test]
fn everything_else_that_a_workload_says_keeps_it_as_it_is() {
    let copied = json!({"labels": {FROM_WORKLOAD: "true"}});
    let mut gone = labelled();
    gone["metadata"]["deletionTimestamp"] = "2026-11-30T06:19:00Z".into();
    let mut elsewhere = labelled();
    elsewhere["spec"] = json!({"workloadRef": {"kind": "Deployment", "name": "orders"}});
    let by_template = target(json!({INJECT: "true"}), json!({"labels": {INJECT: "true"}}));
    let annotated = target(
        json!({INJECT: "true"}),
        json!({"annotations": {INJECT: "true"}}),
    );
    let guarded = target(
        json!({INJECT: "true"}),
        json!({"labels": {FROM_WORKLOAD: "false"}}),
    );
    let says_no = target(json!({INJECT: "false"}), copied.clone());
    let unlabelled = target(json!({}), copied);
    let annotations_count = Circumstances {
        annotations_count: true,
        ..AROUND
    };
    let was_guarded = Circumstances {
        was_guarded: true,
        ..AROUND
    };
    for (target, around, expected) in [
        (gone, AROUND, Refusal::Gone),
        (elsewhere, AROUND, Refusal::NoTemplate),
        (by_template, AROUND, Refusal::AskedByTemplate),
        (
            annotated.clone(),
            annotations_count,
            Refusal::AskedByTemplate,
        ),
        (guarded.clone(), AROUND, Refusal::IsWithout),
        // Its pods that crash are still there: nobody has undone it.
        (guarded, was_guarded, Refusal::IsWithout),
        (says_no, AROUND, Refusal::NotAsked),
        (unlabelled, AROUND, Refusal::NotAsked),
        (labelled(), was_guarded, Refusal::PutBack),
    ] {
        assert_eq!(change(target.clone(), around), Err(expected), "{target}");
    }
    assert!(change(annotated, AROUND).is_ok(), "it does not count");
}

#[test]
fn few_are_changed_in_an_hour_and_none_twice_in_a_day() {
    let mut memory = Memory::default();
    let at = Instant::now();
    assert!(!memory.is_too_much(MOST_IN_A_WHILE, at));
    assert!(memory.is_too_much(MOST_IN_A_WHILE + 1, at));
    memory.add(orders("Deployment"), at);
    assert!(!memory.is_too_much(MOST_IN_A_WHILE - 1, at));
    assert!(memory.is_too_much(MOST_IN_A_WHILE, at));
    let later = at + WHILE;
    memory.refresh(later);
    assert!(!memory.is_too_much(MOST_IN_A_WHILE, later));
    assert!(memory.has(&orders("Deployment")));
    memory.refresh(at + ONCE);
    assert!(!memory.has(&orders("Deployment")));
}
