use serde_json::json;

use super::*;
use crate::mutate::{InjectLabel, Namespace, Owners};

fn document() -> Value {
    json!({
        "metadata": { "name": "app", "labels": { (keys::INJECT): "true" } },
        "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
    })
}

fn subject(pod: &Pod) -> Subject<'_> {
    Subject {
        pod,
        namespace: Namespace {
            name: Some("shop"),
            inject: InjectLabel::Absent,
        },
        owners: Owners::default(),
        from_workload: None,
        claims: Vec::new(),
    }
}

/// The plan for [`document`], changed, and carried out on another document.
fn carried_out(document: &Value, change: impl FnOnce(&mut Plan)) -> Result<Patch, PatchError> {
    let pod = Pod::from_value(&self::document())?;
    let subject = subject(&pod);
    let config = Config::default();
    let Decision::Inject(mut plan) = mutate::decide(&subject, &config) else {
        panic!("nothing is in the way");
    };
    change(&mut plan);
    let document = Node::Value(document);
    let tried = Tried::for_pod(&plan, &subject, &document, PodPath::POD, &config)?;
    Ok(tried.patch)
}

#[test]
fn a_plan_as_it_is_made_leaves() {
    assert!(!carried_out(&document(), |_| {}).unwrap().is_empty());
}

#[test]
fn a_plan_that_leaves_something_out_does_not_leave() {
    let changes: [fn(&mut Plan); 4] = [
        |plan| plan.containers[0].env.clear(),
        |plan| plan.containers[0].mounts.clear(),
        |plan| plan.parts.volumes.clear(),
        |plan| plan.parts.init_containers.clear(),
    ];
    for change in changes {
        let error = carried_out(&document(), change).unwrap_err();
        assert!(matches!(error, PatchError::NotIdempotent(_)), "{error}");
    }
}

#[test]
fn nothing_of_ours_is_there_twice() {
    for (list, what) in [("volumes", "volume"), ("initContainers", "init container")] {
        let mut document = document();
        document["spec"][list] = json!([{ "name": keys::AGENT_NAME }]);
        let document = Node::Value(&document);
        let mut operations = Operations::on(&document, PodPath::POD);
        operations.append(
            &["spec", list],
            true,
            &[Json::of(&json!({ "name": keys::AGENT_NAME }))],
        );
        let result = document.patched(&operations.list).unwrap();
        let pod = Pod::from_node(&document).unwrap();
        let config = Config::default();
        let error = check(&subject(&pod), &document, &result, PodPath::POD, &config);
        let error = error.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the patched pod has the {what} javelin-agent twice")
        );
    }
}

#[test]
fn what_does_not_apply_does_not_leave() {
    let mut without_containers = document();
    without_containers["spec"] = json!({});
    let error = carried_out(&without_containers, |_| {}).unwrap_err();
    assert!(matches!(error, PatchError::DoesNotApply(_)), "{error}");
}

#[test]
fn our_own_agent_is_known_whatever_its_length() {
    // A path over what is shown of an option, that looks like the OpenTelemetry agent's.
    let path = format!("/{}/opentelemetry-javaagent.jar", "a".repeat(4_000));
    let text = format!("default: {{delivery: preinstalled, agent: {{path: {path}}}}}");
    let config = Config::parse(&text, "test").unwrap();
    let document = json!({
        "metadata": { "name": "app", "labels": { (keys::INJECT): "true" } },
        "spec": { "containers": [{ "name": "app" }] },
    });
    let pod = Pod::from_value(&document).unwrap();
    let mutation = Mutation::of(&subject(&pod), &document, PodPath::POD, &config);
    assert!(
        matches!(mutation.decision, Decision::Inject(_)),
        "{:?}",
        mutation.decision
    );
}

/// Of decoded documents as of texts.
fn keeps(before: &Value, after: &Value) -> bool {
    let texts = [before, after].map(Value::to_string);
    let [old, new] = texts.each_ref().map(|text| Node::Text(text));
    let of_texts = check::keeps_what_is_the_users(&old, &new).is_ok();
    let [old, new] = [before, after].map(Node::Value);
    assert_eq!(check::keeps_what_is_the_users(&old, &new).is_ok(), of_texts);
    of_texts
}

#[test]
fn members_in_another_order_are_the_same_and_others_are_not() {
    let pod = |affinity: Value| json!({ "spec": { "affinity": affinity } });
    let before = pod(json!({ "a": [{ "x": 1, "y": 2 }], "b": 2 }));
    let same = pod(json!({ "b": 2, "a": [{ "y": 2, "x": 1 }] }));
    assert!(keeps(&before, &same));
    for other in [
        json!({ "a": [{ "x": 1, "y": 2 }] }),
        json!({ "a": [{ "x": 1, "y": 2 }], "b": 3 }),
        json!({ "a": [{ "x": 1, "y": 2 }], "c": 2 }),
        json!({ "a": [{ "x": 1, "y": 2 }], "b": 2, "c": 3 }),
        json!({ "a": [{ "x": 1, "y": 2 }, {}], "b": 2 }),
        json!({ "a": [{ "x": 1 }], "b": 2 }),
    ] {
        assert!(!keeps(&before, &pod(other.clone())), "{other}");
    }
}

/// The document of a review is without them, whatever the object has.
#[test]
fn managed_fields_are_nothing_that_a_patch_may_add() {
    let mut after = document();
    after["metadata"]["managedFields"] = json!([]);
    assert!(!keeps(&document(), &after));
}
