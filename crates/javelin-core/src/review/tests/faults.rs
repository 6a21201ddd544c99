//! An engine with a defect in it: whatever fails, the pod is admitted as it is. A rule that is slow is in `server/tests.rs`,
//! where deadlines are kept.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::mutate::{EnvEdit, InitContainerEdit, Json, Plan, pod::EnvVar};

/// What comes of a pod, and of a workload around it, with that engine.
fn asked(engine: Engine, entry: &Entry, object: &Value) -> Value {
    let mut review = request(object);
    if *entry == Entry::Workload {
        review["request"]["kind"] = json!({ "group": "apps", "kind": "Deployment" });
    }
    let (body, config) = (review.to_string(), Config::default());
    let answer = catch_unwind(AssertUnwindSafe(|| {
        engine.answer(entry, body.as_bytes(), &config)
    }));
    // What the server does with a panic.
    let answer = answer.unwrap_or_else(|_| internal_error(entry, body.as_bytes()));
    let answer: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    answer["response"].clone()
}

fn assert_admitted_unchanged(response: &Value) {
    assert_eq!(response["allowed"], true);
    assert_eq!(response["uid"], "the-uid");
    assert_eq!(response["patch"], Value::Null, "{response}");
    assert_eq!(response["patchType"], Value::Null);
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("internal-error"), "{warning}");
}

fn user() -> Value {
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({ "team": "shop" });
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    pod["spec"]["initContainers"] = json!([{ "name": "first", "image": "i" }]);
    pod["spec"]["containers"][0]["env"] = json!([
        { "name": "A", "value": "1" },
        { "name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g" },
        { "name": "B", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
    ]);
    pod
}

/// A plan that was changed before it is carried out.
fn lying(change: fn(&mut Plan)) -> impl Fn(&Subject<'_>, &Config) -> Decision {
    move |subject, config| match mutate::decide(subject, config) {
        Decision::Inject(mut plan) => {
            change(&mut plan);
            Decision::Inject(plan)
        }
        skip @ Decision::Skip(_) => skip,
    }
}

macro_rules! lies {
    ($($change:expr),+ $(,)?) => {
        [$({
            let rules: Rules = |subject, config| lying($change)(subject, config);
            (stringify!($change), rules)
        }),+]
    };
}

#[test]
fn a_rule_that_lies_changes_no_pod() {
    let lies = lies![
        |plan| plan.containers.clear(),
        |plan| plan.containers[0].env.clear(),
        |plan| plan.containers[0].env.reverse(),
        |plan| plan.containers[0].env.push(EnvEdit::Remove { at: 0 }),
        |plan| plan.containers[0].env.push(EnvEdit::Remove { at: 1_000 }),
        |plan| plan.containers[0].env.push(EnvEdit::SetValue {
            at: 0,
            value: "2".to_owned()
        }),
        |plan| plan.containers[0].env.push(EnvEdit::SetValue {
            at: 2,
            value: "both".to_owned()
        }),
        |plan| plan.containers[0].env.push(EnvEdit::Rename {
            at: 0,
            name: "C".to_owned()
        }),
        |plan| plan.containers[0].env.push(EnvEdit::Insert {
            at: 0,
            variable: EnvVar::literal("A", "3")
        }),
        |plan| plan.containers[0].env.push(EnvEdit::SetValue {
            at: 1,
            value: "-javaagent:/javelin-agent/javaagent.jar".to_owned()
        }),
        |plan| plan.containers[0].env.push(EnvEdit::Replace {
            at: 0,
            variable: EnvVar::literal("A", "4")
        }),
        |plan| plan.containers[0].mounts.clear(),
        |plan| plan.containers[0]
            .mounts
            .push(Json::of(&json!({ "name": "data", "mountPath": "/x" }))),
        |plan| plan.containers[0]
            .mounts
            .push(Json::of(&json!({ "mountPath": 1 }))),
        |plan| plan.containers[0].index = 1,
        |plan| plan.containers[0].list = mutate::List::InitContainers,
        |plan| plan.parts.volumes.clear(),
        |plan| plan
            .parts
            .volumes
            .push(Json::of(&json!({ "name": "javelin-agent" }))),
        |plan| plan
            .parts
            .volumes
            .push(Json::of(&json!({ "name": "more" }))),
        |plan| plan.parts.volumes.push(Json::of(&json!("no volume"))),
        |plan| plan.parts.init_containers.clear(),
        |plan| plan.parts.init_containers = vec![InitContainerEdit::Resize {
            index: 0,
            resources: Json::of(&json!({ "limits": { "memory": "1Ki" } }))
        }],
        |plan| plan.parts.init_containers = vec![InitContainerEdit::Add(Json::of(&json!({})))],
        |plan| plan.annotations.clear(),
        |plan| {
            plan.annotations
                .insert("team".to_owned(), "mine".to_owned());
        },
        |plan| plan.stale_annotations.push("team"),
    ];
    for (lie, decide) in lies {
        let engine = Engine {
            decide,
            ..Engine::OURS
        };
        println!("{lie}");
        assert_admitted_unchanged(&asked(engine, &Entry::Pod, &user()));
    }
    // The same pod without a lie.
    assert!(asked(Engine::OURS, &Entry::Pod, &user())["patch"].is_string());
}

#[test]
fn a_panic_and_a_patch_that_cannot_be_written_change_no_pod() {
    let engines = [
        Engine {
            decide: |_, _| panic!("on purpose"),
            ..Engine::OURS
        },
        Engine {
            encode: |_| Err(serde::ser::Error::custom("on purpose")),
            ..Engine::OURS
        },
        Engine {
            encode: |_| panic!("on purpose"),
            ..Engine::OURS
        },
    ];
    for engine in engines {
        assert_admitted_unchanged(&asked(engine, &Entry::Pod, &user()));
    }
    let deployment = json!({
        "metadata": { "name": "orders", "labels": { keys::INJECT: "true" } },
        "spec": { "template": user() },
    });
    let unwritable = engines[1];
    for (entry, object) in [(Entry::Workload, deployment), (Entry::Probe, json!({}))] {
        assert!(asked(Engine::OURS, &entry, &object)["patch"].is_string());
        assert_admitted_unchanged(&asked(unwritable, &entry, &object));
    }
}
