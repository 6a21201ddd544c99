//! What holds for every pod, however ugly.

use std::collections::BTreeSet;

use javelin::{
    config::Config,
    mutate::{
        Decision, Namespace, NamespaceLabel, Owners, Reason, Subject, keys,
        pod::{Container, EnvVar, Pod},
    },
    patch::{PodPath, Treatment},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// A defect of ours would show as `internal-error`: the patch did not apply, or a second pass was not empty.
    #[test]
    fn every_patch_applies_and_is_complete(pod in pod()) {
        let (before, treatment) = treat(&pod);
        if let Decision::Skip(Reason::Internal(problem)) = &treatment.decision {
            panic!("{problem}: {pod}");
        }
        if let Decision::Inject(_) = treatment.decision {
            let (_, again) = treat(treatment.patch.result());
            prop_assert_eq!(again.decision, Decision::Skip(Reason::AlreadyInjected));
            prop_assert!(again.patch.is_empty());
        }
        prop_assert_eq!(&treat(&pod).1, &treatment, "the same input gives the same output: {:?}", before);
    }

    #[test]
    fn nothing_of_the_users_is_lost_or_reordered(pod in pod()) {
        let (before, treatment) = treat(&pod);
        let Decision::Inject(_) = treatment.decision else { return Ok(()) };
        let after = Pod::from_value(treatment.patch.result()).unwrap();
        for (old, new) in before.spec.containers.iter().zip(&after.spec.containers) {
            let touched = ["JAVA_TOOL_OPTIONS", "OTEL_RESOURCE_ATTRIBUTES"];
            let users = |env: &[EnvVar]| -> Vec<EnvVar> {
                let known: BTreeSet<_> = old.env().iter().map(|variable| &variable.name).collect();
                let kept = env.iter().filter(|v| known.contains(&v.name) && !touched.contains(&v.name.as_str()));
                kept.cloned().collect()
            };
            prop_assert_eq!(users(old.env()), users(new.env()));
            for name in touched {
                let value = |c: &Container| last(c, name).and_then(|variable| variable.value.clone());
                if let Some(value_before) = value(old) {
                    let value_after = value(new).unwrap_or_default();
                    prop_assert!(value_after.starts_with(&value_before), "{value_before} {value_after}");
                }
            }
        }
    }

    #[test]
    fn whatever_the_receipt_does_not_name_is_as_it_was(pod in pod()) {
        let (before, treatment) = treat(&pod);
        let Decision::Inject(_) = treatment.decision else { return Ok(()) };
        let mut after = Pod::from_value(treatment.patch.result()).unwrap();
        let receipt: Value = serde_json::from_str(after.annotation(keys::INJECTED).unwrap()).unwrap();
        for (container, old) in after.spec.containers.iter_mut().zip(&before.spec.containers) {
            if let Some(mounts) = &mut container.volume_mounts {
                mounts.retain(|mount| mount.name != keys::AGENT_NAME);
            }
            let listed: Vec<_> = receipt["containers"][&container.name]
                .as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let untouched = |variable: &&EnvVar| !listed.contains(&variable.name.as_str());
            let rest: Vec<_> = container.env().iter().filter(untouched).cloned().collect();
            let expected: Vec<_> = old.env().iter().filter(untouched).cloned().collect();
            prop_assert_eq!(rest, expected);
            prop_assert_eq!(container.volume_mounts(), old.volume_mounts());
        }
    }

    #[test]
    fn no_name_is_repeated_and_no_reference_of_ours_can_stay_literal(pod in pod()) {
        let (before, treatment) = treat(&pod);
        let Decision::Inject(_) = treatment.decision else { return Ok(()) };
        let after = Pod::from_value(treatment.patch.result()).unwrap();
        for (old, new) in before.spec.containers.iter().zip(&after.spec.containers) {
            for (at, variable) in new.env().iter().enumerate() {
                prop_assert!(variable.value.is_none() || variable.value_from.is_none());
                let count = |container: &Container| container.env().iter().filter(|v| v.name == variable.name).count();
                let private = [keys::OPTIONS_VARIABLE, keys::ATTRIBUTES_VARIABLE].contains(&variable.name.as_str());
                prop_assert!(private || count(new) <= count(old).max(1), "{} is repeated", variable.name);
                for (from, _) in variable.value.as_deref().unwrap_or_default().match_indices("$(JAVELIN_") {
                    let reference = &variable.value.as_deref().unwrap_or_default()[from + 2..];
                    let name = reference.split(')').next().unwrap();
                    let earlier = new.env()[..at].iter().any(|earlier| earlier.name == name);
                    prop_assert!(earlier, "{name} is not defined before {}", variable.name);
                }
            }
        }
    }
}

fn treat(document: &Value) -> (Pod, Treatment) {
    let pod = Pod::from_value(document).unwrap();
    let config = Config::parse("default: {otlp: {endpoint: 'http://c:4318'}}", "test").unwrap();
    let subject = Subject {
        pod: &pod,
        namespace: Namespace {
            name: Some("shop"),
            inject: NamespaceLabel::Value("true"),
        },
        owners: Owners::of_pod(&pod.metadata),
        from_workload: None,
    };
    let treatment = Treatment::of(&subject, document, PodPath::POD, &config);
    (pod, treatment)
}

fn last<'a>(container: &'a Container, name: &str) -> Option<&'a EnvVar> {
    container
        .env()
        .iter()
        .rfind(|variable| variable.name == name)
}

fn pod() -> impl Strategy<Value = Value> {
    let metadata = (
        option::of(select(vec!["a", "b-0"])),
        option::of(Just("gen-")),
        option::of(select(vec!["keep", "a,javelin-agent", ""])),
        option::of(select(vec![
            "orders-5d4f8c7b9",
            "migrate-29384756",
            "plain",
        ])),
    );
    let containers = vec(container(), 1..4);
    let extras = (
        option::of(vec(container(), 0..2)),
        option::of(select(vec!["data", "javelin-agent"])),
    );
    (metadata, containers, extras).prop_map(
        |((name, generate, evict, owner), mut containers, extras)| {
            for (index, container) in containers.iter_mut().enumerate() {
                container["name"] = json!(format!("c{index}"));
            }
            let (init, volume) = extras;
            let init = init.map(|mut init| {
                for (index, container) in init.iter_mut().enumerate() {
                    container["name"] = json!(format!("i{index}"));
                }
                init
            });
            let mut pod =
                json!({ "kind": "Pod", "metadata": {}, "spec": { "containers": containers } });
            let mut set = |path: &str, key: &str, value: Option<Value>| {
                if let Some(value) = value {
                    pod.pointer_mut(path).unwrap()[key] = value;
                }
            };
            set("/metadata", "name", name.map(|name| json!(name)));
            set(
                "/metadata",
                "generateName",
                generate.map(|name| json!(name)),
            );
            set(
                "/metadata",
                "annotations",
                evict.map(|v| json!({ keys::SAFE_TO_EVICT_VOLUMES: v, "o/k~e": "y" })),
            );
            set(
                "/metadata",
                "labels",
                owner.map(|_| json!({ "pod-template-hash": "5d4f8c7b9" })),
            );
            let kind = if owner == Some("migrate-29384756") {
                "Job"
            } else {
                "ReplicaSet"
            };
            set(
                "/metadata",
                "ownerReferences",
                owner.map(|n| json!([{ "kind": kind, "name": n, "controller": true }])),
            );
            set("/spec", "initContainers", init.map(|init| json!(init)));
            set(
                "/spec",
                "volumes",
                volume.map(|name| json!([{ "name": name, "emptyDir": {} }])),
            );
            pod
        },
    )
}

fn container() -> impl Strategy<Value = Value> {
    let env = option::of(vec(variable(), 0..6));
    let env_from = option::of(vec(
        select(vec![
            json!({ "configMapRef": { "name": "cm" } }),
            json!({ "secretRef": { "name": "s" }, "prefix": "JAVA_" }),
            json!({ "secretRef": { "name": "s" }, "prefix": "X_" }),
        ]),
        0..3,
    ));
    let mounts = option::of(vec(
        select(vec![
            json!({ "name": "data", "mountPath": "/data" }),
            json!({ "name": "data", "mountPath": "/javelin-agent/" }),
            json!({ "name": "data", "mountPath": "/javelin-agents" }),
        ]),
        0..2,
    ));
    let resources = option::of(select(vec![
        json!({}),
        json!({ "limits": { "memory": "1Gi", "nvidia.com/gpu": 1 } }),
        json!({ "requests": { "cpu": 1, "memory": "256Mi" }, "limits": { "cpu": "2" } }),
    ]));
    let image = option::of(select(vec!["app:1", "r:5000/app", "app@sha256:abc"]));
    (env, env_from, mounts, resources, image).prop_map(
        |(env, env_from, mounts, resources, image)| {
            let mut container = json!({});
            let members = [
                ("env", env.map(|v| json!(v))),
                ("envFrom", env_from.map(|v| json!(v))),
                ("volumeMounts", mounts.map(|v| json!(v))),
                ("resources", resources),
                ("image", image.map(|v| json!(v))),
            ];
            for (key, value) in members {
                if let Some(value) = value {
                    container[key] = value;
                }
            }
            container
        },
    )
}

fn variable() -> impl Strategy<Value = Value> {
    let names = vec![
        "JAVA_TOOL_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SERVICE_NAME",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "JDK_JAVA_OPTIONS",
        "BASE",
        "OTHER",
    ];
    let values = vec![
        json!({}),
        json!({ "value": "" }),
        json!({ "value": "-Xmx1g -Da='b c'" }),
        json!({ "value": "-Da='b" }),
        json!({ "value": "$(BASE) $(LATER) $$ $" }),
        json!({ "value": "team=a,service.name=b" }),
        json!({ "value": "team=a,", "other": 1 }),
        json!({ "value": "$(OTEL_RESOURCE_ATTRIBUTES),x=$(OTHER)" }),
        json!({ "value": "-javaagent:/opt/jmx_exporter.jar=8080:/c.yaml" }),
        json!({ "value": "-javaagent:/opt/dd-java-agent.jar" }),
        json!({ "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }),
        json!({ "valueFrom": { "configMapKeyRef": { "name": "s", "key": "k", "optional": true } } }),
        json!({ "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }),
        json!({ "valueFrom": { "somethingNew": {} } }),
    ];
    (select(names), select(values)).prop_map(|(name, mut variable)| {
        variable["name"] = json!(name);
        variable
    })
}
