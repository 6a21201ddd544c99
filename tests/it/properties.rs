//! What holds for every pod, however ugly.

use std::{collections::BTreeSet, sync::LazyLock};

use javelin_core::{
    config::Config,
    mutate::{
        self, Decision, InjectLabel, Namespace, Reason, Subject, Verdict, keys,
        pod::{Container, EnvVar, Pod},
    },
    patch::{Mutation, PodPath},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::ugly::pod;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// A defect of ours would show as `internal-error`: the patch did not apply, or a second pass was not empty.
    #[test]
    fn every_patch_applies_and_is_complete(pod in pod(), config in config()) {
        let (before, mutation) = treat(&pod, config);
        if let Decision::Skip(Reason::Internal(problem)) = &mutation.decision {
            panic!("{problem}: {pod}");
        }
        if let Decision::Inject(_) = mutation.decision {
            let (_, again) = treat(mutation.patch.result(), config);
            prop_assert_eq!(again.decision, Decision::Skip(Reason::AlreadyInjected));
            prop_assert!(again.patch.is_empty());
        }
        if !mutation.patch.is_empty() {
            let sent: json_patch::Patch = serde_json::from_slice(&mutation.patch.to_json().unwrap()).unwrap();
            let mut patched = pod.clone();
            json_patch::patch(&mut patched, &sent).unwrap();
            prop_assert_eq!(&patched, mutation.patch.result(), "what is sent, applied by somebody else's library");
        }
        prop_assert_eq!(&treat(&pod, config).1, &mutation, "the same input gives the same output: {:?}", before);
    }

    /// The explanation stops where the decision does, and for the same reason.
    #[test]
    fn an_explanation_ends_as_the_decision_does(pod in pod(), config in config()) {
        let parsed = Pod::from_value(&pod).unwrap();
        let subject = subject(&parsed);
        let stops: Vec<_> = mutate::explain(&subject, config)
            .into_iter()
            .filter(|step| step.verdict == Verdict::Stops)
            .map(|step| step.why)
            .collect();
        match mutate::decide(&subject, config) {
            Decision::Inject(_) => prop_assert_eq!(stops, Vec::<String>::new()),
            Decision::Skip(reason) => {
                prop_assert_eq!(stops, vec![format!("{}: {reason}", reason.code())]);
            }
        }
    }

    #[test]
    fn nothing_of_the_users_is_lost_or_reordered(pod in pod(), config in config()) {
        let (before, mutation) = treat(&pod, config);
        let Decision::Inject(_) = mutation.decision else { return Ok(()) };
        let after = Pod::from_value(mutation.patch.result()).unwrap();
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
                    // Behind ours where it refers to something that may hold the same keys.
                    let is_whole = value_after.starts_with(&value_before) || value_after.ends_with(&value_before);
                    prop_assert!(is_whole, "{value_before} {value_after}");
                }
            }
        }
    }

    /// With all of ours taken out again, and the variables that the receipt names out of both, the documents are equal.
    #[test]
    fn whatever_the_receipt_does_not_name_is_as_it_was(pod in pod(), config in config()) {
        let (_, mutation) = treat(&pod, config);
        let Decision::Inject(_) = mutation.decision else { return Ok(()) };
        let receipt = &mutation.patch.result()["metadata"]["annotations"][keys::INJECTED];
        let receipt: Value = serde_json::from_str(receipt.as_str().unwrap()).unwrap();
        prop_assert_eq!(without_ours(mutation.patch.result(), &receipt), without_ours(&pod, &receipt));
    }

    #[test]
    fn no_name_is_repeated_and_no_reference_of_ours_can_stay_literal(pod in pod(), config in config()) {
        let (before, mutation) = treat(&pod, config);
        let Decision::Inject(_) = mutation.decision else { return Ok(()) };
        let after = Pod::from_value(mutation.patch.result()).unwrap();
        for (old, new) in before.spec.containers.iter().zip(&after.spec.containers) {
            for (at, variable) in new.env().iter().enumerate() {
                prop_assert!(variable.value.is_none() || variable.value_from.is_none());
                let count = |container: &Container| container.env().iter().filter(|v| v.name == variable.name).count();
                // A literal for where the reference finds nothing.
                let private = [keys::OPTIONS_VARIABLE, keys::ATTRIBUTES_VARIABLE, keys::HEADERS_VARIABLE].contains(&variable.name.as_str());
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

/// A pod without what the engine adds. Lists and maps that are empty then are taken out: it adds those that it needs.
fn without_ours(document: &Value, receipt: &Value) -> Value {
    let mut pod = document.clone();
    let mut annotations = pod["metadata"]["annotations"].take();
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(keys::INJECTED);
        let volumes = annotations.get(keys::SAFE_TO_EVICT_VOLUMES);
        let volumes = volumes.and_then(Value::as_str).unwrap_or_default();
        let others: Vec<_> = volumes
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty() && !OURS.contains(name))
            .collect();
        let others = others.join(",");
        annotations.insert(keys::SAFE_TO_EVICT_VOLUMES.to_owned(), others.into());
    }
    pod["metadata"]["annotations"] = annotations;
    let is_ours = |object: &Value| OURS.iter().any(|name| object["name"] == *name);
    let without = |list: &mut Value, is_ours: &dyn Fn(&Value) -> bool| {
        if let Some(list) = list.as_array_mut() {
            list.retain(|object| !is_ours(object));
        }
    };
    without(&mut pod["spec"]["volumes"], &is_ours);
    without(&mut pod["spec"]["initContainers"], &is_ours);
    for list in ["containers", "initContainers"] {
        let containers = pod["spec"][list].as_array_mut();
        for container in containers.into_iter().flatten() {
            let named =
                receipt["containers"][container["name"].as_str().unwrap_or_default()].clone();
            let is_named = |variable: &Value| {
                named
                    .as_array()
                    .is_some_and(|names| names.contains(&variable["name"]))
            };
            without(&mut container["env"], &is_named);
            without(&mut container["volumeMounts"], &is_ours);
        }
    }
    pruned(pod)
}

/// Names of volumes, and of init containers.
const OURS: [&str; 3] = [keys::AGENT_NAME, keys::EXTENSIONS_NAME, keys::TLS_NAME];

fn pruned(value: Value) -> Value {
    let is_something = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    match value {
        Value::Array(list) => list.into_iter().map(pruned).collect(),
        Value::Object(map) => {
            let members = map.into_iter().map(|(key, value)| (key, pruned(value)));
            members.filter(|(_, value)| is_something(value)).collect()
        }
        value => value,
    }
}

fn treat(document: &Value, config: &Config) -> (Pod, Mutation) {
    let pod = Pod::from_value(document).unwrap();
    let mutation = Mutation::of(&subject(&pod), document, PodPath::POD, config);
    (pod, mutation)
}

/// One that says nothing special, or one of each way to bring the agent and its settings.
fn config() -> impl Strategy<Value = &'static Config> {
    static CONFIGS: LazyLock<Vec<Config>> = LazyLock::new(|| {
        let parse = |text: &&str| Config::parse(text, text).unwrap();
        CONFIGURATIONS.iter().map(parse).collect()
    });
    prop_oneof![
        1 => Just(&CONFIGS[0]),
        2 => (1..CONFIGURATIONS.len()).prop_map(|at| &CONFIGS[at]),
    ]
}

const CONFIGURATIONS: [&str; 9] = [
    "default: {otlp: {endpoint: 'http://c:4318'}}",
    "default: {sdkSettings: file, otlp: {endpoint: 'http://$(NODE_IP):4318'}, propagators: [b3], env: {PRICE: '$5'}}",
    "default: {otlp: {endpoint: 'https://c:4318', tls: {caFrom: {secret: ca}, clientCertificateFrom: {secret: client}}}}",
    "default: {delivery: image-volume, otlp: {endpoint: 'http://c:4318', headersFrom: {secret: a, key: b}}}",
    "default: {delivery: preinstalled, agent: {path: /opt/agent.jar}, otlp: {endpoint: 'http://c:4318'}}",
    "default: {delivery: none, otlp: {endpoint: 'http://c:4317', protocol: grpc}}",
    "default: {composeOptional: false, otlp: {endpoint: 'http://c:4318'}, resourceAttributes: {team: shop}}",
    "default: {agent: {extensions: {image: b, folder: /e}}, otlp: {endpoint: 'http://c:4318'}}",
    "default: {exporters: {metrics: none}}\nprofiles: {checkout: {otlp: {endpoint: 'http://c:4318'}}, bare: {delivery: none}}",
];

fn subject(pod: &Pod) -> Subject<'_> {
    Subject::of_pod(
        pod,
        Namespace {
            name: Some("shop"),
            inject: InjectLabel::Value("true"),
        },
    )
}

fn last<'a>(container: &'a Container, name: &str) -> Option<&'a EnvVar> {
    container
        .env()
        .iter()
        .rfind(|variable| variable.name == name)
}
