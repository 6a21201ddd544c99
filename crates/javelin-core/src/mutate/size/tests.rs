//! Pods of hostile sizes. Before there were limits, or ways of one pass, each took seconds to minutes: nothing is timed
//! here, but none of them would come back while somebody waits.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what `json!` makes is given away, which is shorter at each place"
)]

use serde_json::{Value, json};

use crate::{
    config::Config,
    mutate::{Decision, InjectLabel, Namespace, Plan, Reason, Subject, decide, keys, pod::Pod},
};

fn decided(annotations: Value, containers: Value) -> Decision {
    let pod = Pod::from_value(&json!({
        "metadata": { "name": "app", "annotations": annotations },
        "spec": { "containers": containers },
    }));
    let pod = pod.unwrap();
    let subject = Subject::of_pod(
        &pod,
        Namespace {
            name: Some("shop"),
            inject: InjectLabel::Value("true"),
        },
    );
    decide(&subject, &Config::default())
}

fn too_large(annotations: Value, containers: Value) -> &'static str {
    match decided(annotations, containers) {
        Decision::Skip(Reason::TooLarge { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

fn plan(annotations: Value, containers: Value) -> Box<Plan> {
    match decided(annotations, containers) {
        Decision::Inject(plan) => plan,
        other @ Decision::Skip(_) => panic!("{other:?}"),
    }
}

fn app(members: Value) -> Value {
    let mut container = json!({ "name": "app" });
    let members = members.as_object().unwrap().clone();
    container.as_object_mut().unwrap().extend(members);
    json!([container])
}

fn many<T>(count: usize, of: impl Fn(usize) -> T) -> Vec<T> {
    (0..count).map(of).collect()
}

#[test]
fn a_list_of_many_names() {
    let list = |count| many(count, |n| format!("a{n}")).join(",");
    let listed = |count| json!({ keys::CONTAINER_NAMES: format!("app,{}", list(count)) });
    assert_eq!(
        too_large(listed(10_000), app(json!({}))),
        "names in a list of containers"
    );
    let Decision::Skip(reason) = decided(listed(100_000), app(json!({}))) else {
        panic!("100,000 names were looked at");
    };
    assert_eq!(reason, Reason::AnnotationsFull);
    assert_eq!(plan(listed(999), app(json!({}))).warnings.len(), 999);
}

#[test]
fn many_agents_in_arguments() {
    let args = |count| app(json!({ "args": many(count, |n| format!("-javaagent:a{n}.jar")) }));
    assert_eq!(too_large(json!({}), args(60_000)), "agents in its options");
    plan(json!({}), args(1_000));
}

#[test]
fn agents_inside_each_other_in_one_argument() {
    for part in ["=-javaagent:", "(-javaagent:"] {
        let argument = format!("x{}", part.repeat(100_000));
        let containers = app(json!({ "args": [argument] }));
        assert_eq!(too_large(json!({}), containers), "agents in its options");
    }
}

#[test]
fn expansions_in_vain_are_charged() {
    let env = |entries| {
        let mut env = vec![json!({ "name": "A", "value": "x".repeat(100_000) })];
        env.extend(many(
            entries,
            |n| json!({ "name": format!("B{n}"), "value": "$(A)$(A)" }),
        ));
        app(json!({ "env": env }))
    };
    let what = "bytes once $(NAME) is resolved";
    assert_eq!(too_large(json!({}), env(30_000)), what);
    assert_eq!(too_large(json!({}), env(15)), "bytes in one variable");
    let args = json!({
        "env": [{ "name": "A", "value": "x".repeat(100_000) }],
        "args": many(80_000, |_| "$(A)"),
    });
    assert_eq!(too_large(json!({}), app(args)), what);
}

#[test]
fn references_without_an_end_are_read_once() {
    let value = |count| json!({ "env": [{ "name": "A", "value": "$(".repeat(count) }] });
    plan(json!({}), app(value(60_000)));
    assert_eq!(
        too_large(json!({}), app(value(1_000_000))),
        "bytes in one variable"
    );
}

#[test]
fn many_variables_and_many_attributes_by_annotation() {
    let mut annotations = serde_json::Map::new();
    for n in 0..4_000 {
        annotations.insert(format!("{}X{n}", keys::ENV_PREFIX), json!("v"));
        annotations.insert(format!("{}a{n}", keys::RESOURCE_PREFIX), json!("v"));
    }
    let attributes = many(10_000, |n| format!("b{n}=v")).join(",");
    let env = json!([{ "name": "OTEL_RESOURCE_ATTRIBUTES", "value": attributes }]);
    plan(annotations.clone().into(), app(json!({ "env": env })));
    annotations.insert(keys::CONTAINER_NAMES.to_owned(), json!("*"));
    let containers = many(1_000, |n| json!({ "name": format!("c{n}") }));
    assert_eq!(
        too_large(annotations.into(), containers.into()),
        "bytes of metadata for its containers"
    );
}

#[test]
fn attributes_that_refer_to_much_are_cut_once() {
    let own = many(10_000, |n| format!("$(R{n})")).join(",");
    let mut env = vec![json!({ "name": "OTEL_RESOURCE_ATTRIBUTES", "value": own })];
    env.extend(many(
        50_000,
        |n| json!({ "name": format!("V{n}"), "value": "" }),
    ));
    plan(json!({}), app(json!({ "env": env })));
}

#[test]
fn many_places_that_a_variable_may_come_from() {
    let source = |n| json!({ "configMapRef": { "name": format!("m{n}") } });
    let sources = |count| app(json!({ "envFrom": many(count, source) }));
    assert_eq!(
        too_large(json!({}), sources(101)),
        "envFrom sources in one container"
    );
    plan(json!({}), sources(100));
    let key = json!({ "secretKeyRef": { "name": "s", "key": "k", "optional": true } });
    let entry = json!({ "name": "JAVA_TOOL_OPTIONS", "valueFrom": key });
    let entries = app(json!({ "env": vec![entry; 101] }));
    assert_eq!(too_large(json!({}), entries), "entries of one variable");
}

#[test]
fn a_pod_larger_than_any_that_runs_gets_the_agent() {
    let env = many(
        1_000,
        |n| json!({ "name": format!("V{n}"), "value": "value" }),
    );
    let containers = many(100, |n| json!({ "name": format!("c{n}"), "env": env }));
    let all = json!({ keys::CONTAINER_NAMES: "*" });
    assert_eq!(plan(all.clone(), containers.into()).containers.len(), 100);
    let containers = many(1_001, |n| json!({ "name": format!("c{n}") }));
    assert_eq!(too_large(all, containers.into()), "containers");
}

#[test]
fn a_pod_that_did_not_ask_is_not_told_of_its_size() {
    let containers = many(1_001, |n| json!({ "name": format!("c{n}") }));
    let pod = Pod::from_value(&json!({ "spec": { "containers": containers } })).unwrap();
    let subject = Subject::of_pod(
        &pod,
        Namespace {
            name: Some("shop"),
            inject: InjectLabel::Absent,
        },
    );
    let decision = decide(&subject, &Config::default());
    assert_eq!(decision, Decision::Skip(Reason::NotSelected));
}

/// Without the agent the first of each pair starts; with it Linux would refuse to run the program (`E2BIG`).
#[test]
fn an_environment_that_only_ours_makes_too_large_is_left_alone() {
    let literal = |name: &str, length| json!({ "name": name, "value": "x".repeat(length) });
    let env = |entries: Vec<Value>| app(json!({ "env": entries }));
    let options = |length| env(vec![literal("JAVA_TOOL_OPTIONS", length)]);
    assert_eq!(
        too_large(json!({}), options(128 * 1024 - 30)),
        "bytes in one variable"
    );
    plan(json!({}), options(128 * 1024 - 100));
    let whole = |last| {
        let mut entries = many(16, |n| literal(&format!("A{n}"), 128 * 1024 - 100));
        entries.push(literal("B", last));
        env(entries)
    };
    let what = "bytes in one container's variables";
    assert_eq!(too_large(json!({}), whole(1_300)), what);
    assert_eq!(too_large(json!({}), whole(100_000)), what);
    plan(json!({}), whole(10));
}
