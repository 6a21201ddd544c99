//! The API server is the judge: what it takes without the agent it takes with it.

use std::{collections::BTreeMap, env};

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::{
    api::Api,
    cases::INJECT,
    figures,
    kube::{Namespace, Result, ensure, is_at_least},
    trial::{Engine, Problems, Trial},
    ugly,
};

/// A large sample of ugly pods, each created three times by dry run: as it is, with the engine's patch, and through
/// the webhook.
pub(crate) fn ugly_pods() -> Result {
    let namespace = Namespace::new("t-judge", &[(INJECT, "true")])?;
    let (api, engine) = (Api::new()?, Engine::of_cluster()?);
    let (count, seed) = (
        number("JAVELIN_UGLY_PODS", 400)?,
        number("JAVELIN_UGLY_SEED", 1)?,
    );
    println!(
        "  {count} pods; JAVELIN_UGLY_SEED={seed} JAVELIN_UGLY_PODS={count} makes the same ones"
    );
    let pods = sample(seed, count)?;
    let trials = engine.trials(&api, namespace.0, &pods)?;
    let mut problems = Problems::default();
    let mut refusals = BTreeMap::<_, usize>::new();
    let (mut admitted, mut injected) = (0, 0);
    let mut unknown = 0;
    for (pod, trial) in pods.iter().zip(&trials) {
        let original = match trial.original.admitted() {
            Ok(original) => original,
            Err(refusal) => {
                let cause = &trial.original.body["details"]["causes"][0];
                let cause = cause["message"].as_str().unwrap_or(&refusal);
                *refusals.entry(cause.to_owned()).or_default() += 1;
                continue;
            }
        };
        // An API server before 1.34 takes them away, and shows the webhook another pod than the engine was given.
        let of_pod = |pod: &Value| pod["spec"]["resources"].clone();
        if !of_pod(pod).is_null() && of_pod(original).is_null() {
            unknown += 1;
            continue;
        }
        admitted += 1;
        injected += usize::from(trial.pair.is_injected);
        problems.add(pod, is_the_engines(trial));
    }
    problems.none()?;
    let percent = admitted * 100 / pods.len();
    let enough = if is_at_least(36, "ugly pods with newer fields")? {
        60
    } else {
        40
    };
    ensure!(
        percent > enough && injected * 3 > admitted,
        "of {count} pods {admitted} are admitted and {injected} injected: too few to judge by; refused: {refusals:#?}"
    );
    figures::add(format!(
        "ugly pods: {count} (seed {seed}), {admitted} ({percent} %) admitted without the agent; \
         of these {injected} injected, all admitted and as the engine says; {unknown} left out, whose resources of the pod \
         are unknown there"
    ));
    Ok(())
}

fn is_the_engines(trial: &Trial) -> Result {
    let Some(admitted) = trial.admitted()? else {
        return Ok(());
    };
    let (patched, live) = (comparable(admitted.patched), comparable(admitted.live));
    ensure!(
        patched == live,
        "the webhook's pod is not the engine's:\n{}",
        difference(&patched, &live)
    );
    Ok(())
}

/// Without what the server makes up, times among it, and what keeps the one from the webhook. In-tree admission adds its token
/// volume before the webhook is called: so the order of volumes tells nothing.
pub(crate) fn comparable(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let name = pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let generated = pod["metadata"]["generateName"].as_str().unwrap_or_default();
    if !generated.is_empty() && name.starts_with(generated) {
        pod["metadata"]["name"] = json!(generated);
    }
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        for key in ["uid", "creationTimestamp", "managedFields"] {
            metadata.remove(key);
        }
    }
    pod["status"]
        .as_object_mut()
        .map(|status| status.remove("conditions"));
    if let Some(labels) = pod.pointer_mut("/metadata/labels") {
        labels.as_object_mut().map(|labels| labels.remove(INJECT));
        if labels.as_object().is_none_or(Map::is_empty) {
            pod["metadata"].as_object_mut().map(|m| m.remove("labels"));
        }
    }
    let volumes = pod["spec"]["volumes"].as_array();
    let tokens: Vec<_> = volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| volume["name"].as_str())
        .filter(|name| name.starts_with("kube-api-access-"))
        .map(str::to_owned)
        .collect();
    let mut text = pod.to_string();
    for token in tokens {
        text = text.replace(&token, "kube-api-access");
    }
    let mut pod: Value = serde_json::from_str(&text).unwrap_or_default();
    sort(&mut pod["spec"]["volumes"]);
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            sort(&mut container["volumeMounts"]);
        }
    }
    pod.sort_all_objects();
    pod
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(Value::to_string);
    }
}

pub(crate) fn difference(one: &Value, other: &Value) -> String {
    let [one, other] = [one, other].map(|value| format!("{value:#}\n"));
    let difference = similar::TextDiff::from_lines(&one, &other);
    difference.unified_diff().context_radius(2).to_string()
}

pub(crate) fn sample(seed: u64, count: u64) -> Result<Vec<Value>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let pod = ugly::pod();
    let pods = (0..count).map(|_| Ok(pod.new_tree(&mut runner)?.current()));
    pods.collect::<std::result::Result<_, proptest::test_runner::Reason>>()
        .map_err(|error| error.to_string())
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a person asks for another sample"
)]
pub(crate) fn number(variable: &str, default: u64) -> Result<u64> {
    let Ok(text) = env::var(variable) else {
        return Ok(default);
    };
    text.parse()
        .map_err(|error| format!("{variable}={text}: {error}"))
}
