use serde_json::{Value, json};

use super::*;

fn origin(name: &str) -> Origin {
    Origin {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: None,
    }
}

fn injected() -> Told {
    Told::Injected("default".to_owned())
}

fn outcome(code: &'static str, profile: Option<&str>, warned: bool, dry_run: bool) -> Outcome {
    Outcome {
        code,
        namespace: "shop".to_owned(),
        name: "orders-".to_owned(),
        dry_run,
        profile: profile.map(str::to_owned),
        warned,
    }
}

fn review(owners: &Value) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "the-uid",
            "namespace": "shop",
            "object": { "metadata": { "ownerReferences": owners }, "spec": { "containers": [] } },
        },
    });
    review.to_string().into_bytes()
}

#[test]
fn pods_of_one_workload_and_outcome_are_told_together_and_not_again_for_a_while() {
    let start = Instant::now();
    let mut tally = Tally::default();
    for _ in 0..3 {
        assert!(tally.count(origin("orders"), injected()));
    }
    assert!(tally.count(origin("orders"), Told::Skipped("other-agent")));
    let mut due = tally.due(start);
    due.sort_by_key(|(_, _, pods)| *pods);
    let expected = [
        (origin("orders"), Told::Skipped("other-agent"), 1),
        (origin("orders"), injected(), 3),
    ];
    assert_eq!(due, expected);

    assert!(tally.count(origin("orders"), injected()));
    assert_eq!(tally.due(start + QUIET / 2), []);
    assert_eq!(
        tally.due(start + QUIET),
        [(origin("orders"), injected(), 1)]
    );
    assert_eq!(tally.due(start + QUIET * 2), []);
    assert!(tally.0.is_empty(), "{tally:?}");
}

#[test]
fn what_is_written_and_remembered_has_a_limit_and_nobody_waits_for_ever() {
    let start = Instant::now();
    let mut tally = Tally::default();
    for at in 0..MOST_REMEMBERED {
        assert!(tally.count(origin(&at.to_string()), injected()));
    }
    assert!(!tally.count(origin("one more"), injected()));
    // One that is there already has its room.
    assert!(tally.count(origin("0"), injected()));
    let mut told = 0;
    let intervals = MOST_REMEMBERED / MOST_AT_ONCE;
    for at in 0..u32::try_from(intervals).unwrap() {
        let due = tally.due(start + INTERVAL * at);
        assert_eq!(due.len(), MOST_AT_ONCE);
        told += due.len();
    }
    assert_eq!(told, MOST_REMEMBERED);
}

#[test]
fn only_what_somebody_asked_for_is_told_and_no_dry_run() {
    let owners = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": true }]);
    let of_workload = review(&owners);
    let metrics = Arc::new(Metrics::new());
    let counted_of = |entry: &review::Entry, outcome: &Outcome, body: &[u8]| {
        let events = WorkloadEvents::new(Arc::clone(&metrics));
        events.decided(entry, outcome, body);
        let mut tally = events.tally.lock().unwrap();
        tally.due(Instant::now()).len()
    };
    let counted = |outcome: &Outcome, body: &[u8]| counted_of(&review::Entry::Pod, outcome, body);
    assert_eq!(
        counted(
            &outcome("injected", Some("default"), true, false),
            &of_workload
        ),
        1
    );
    assert_eq!(
        counted(&outcome("other-agent", None, true, false), &of_workload),
        1
    );
    assert_eq!(
        counted(
            &outcome("injected", Some("default"), false, true),
            &of_workload
        ),
        0
    );
    assert_eq!(
        counted(&outcome("opted-out", None, false, false), &of_workload),
        0
    );
    assert_eq!(
        counted(
            &outcome(review::OVERLOADED, None, true, false),
            &of_workload
        ),
        0
    );
    // A workload that has an owner itself, as operators make them, is no pod.
    for entry in [
        review::Entry::Workload,
        review::Entry::WorkloadWarning("default".to_owned()),
    ] {
        let told = outcome("labelled", None, true, false);
        assert_eq!(counted_of(&entry, &told, &of_workload), 0, "{entry:?}");
    }
    let of_nobody = review(&json!([]));
    assert_eq!(
        counted(
            &outcome("injected", Some("default"), false, false),
            &of_nobody
        ),
        0
    );
}

#[test]
fn an_event_is_about_the_workload_in_its_namespace() {
    let told = Told::Skipped("other-agent");
    let event = event(origin("orders"), notice(&told, 2), "javelin-1");
    let regarding = event.regarding.unwrap();
    assert_eq!(regarding.kind.as_deref(), Some("Deployment"));
    assert_eq!(regarding.name.as_deref(), Some("orders"));
    assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let note = event.note.unwrap();
    assert!(note.starts_with("2 pods created without"), "{note}");
    assert!(note.contains("docs/reasons.md#other-agent"), "{note}");
}
