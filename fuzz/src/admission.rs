//! What an API server may send, and what the engine makes of the objects in it.

use std::collections::HashSet;
use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use javelin::offline::inject::{Injector, Operation, What};
use javelin::offline::inputs::Inputs;
use javelin_core::{
    config::Config,
    kinds::Kind,
    mutate::{self, Decision, InjectLabel, Namespace, Reason, Subject, Verdict, keys, pod::Pod},
    patch::{Mutation, PodPath},
    review::{self, Answer, Entry},
};
use k8s_openapi::{
    api::{apps, batch, core},
    serde::Deserialize,
};
use proptest::{
    strategy::{BoxedStrategy, Strategy as _, ValueTree as _},
    test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

use crate::{ugly, within_steps};

/// A body, to every entry: whatever can be answered is allowed, with its own UID; and with an object that is patched, the
/// next call has nothing to do.
pub fn envelope(data: &[u8]) {
    let config = config();
    let uid_of = |request: &Option<Value>| request.as_ref().map(|request| request["uid"].clone());
    for entry in [
        Entry::Pod,
        Entry::Namespace("checkout".to_owned()),
        Entry::UnknownNamespace,
        Entry::Workload,
        Entry::WorkloadWarning("checkout".to_owned()),
        Entry::UnknownWorkloadWarning,
        Entry::Probe,
    ] {
        let answer = within_steps(data.len(), || review::answer(&entry, data, config));
        assert_eq!(answer.is_ok(), review::undecided(&entry, data).is_ok());
        assert_eq!(answer.is_ok(), review::internal_error(&entry, data).is_ok());
        let Ok(answer) = answer else { return };
        assert!(
            entry.outcomes().contains(&answer.outcome.code),
            "{entry:?}: {}",
            answer.outcome.code
        );
        // `None` where it cannot be decoded as a whole, as its object need not be.
        let request = request_of(data);
        let uid = uid_of(&request);
        let patch = patch_of(&answer, uid.as_ref());
        assert!(patch.is_none() || !entry.only_warns(), "{entry:?}");
        for other in [
            review::undecided(&entry, data),
            review::internal_error(&entry, data),
        ] {
            let other = other.expect("the same body");
            assert_eq!(patch_of(&other, uid.as_ref()), None);
        }
        let object = request.as_ref().map(|request| &request["object"]);
        let kind = match &entry {
            Entry::Workload | Entry::WorkloadWarning(_) | Entry::UnknownWorkloadWarning => request
                .as_ref()
                .and_then(|request| request["kind"]["kind"].as_str()),
            // Only an object can have its annotation, and that is what it is asked about.
            Entry::Probe => None,
            _ => Some("Pod"),
        };
        let (Some(object), Some(kind)) = (object, kind) else {
            continue;
        };
        if !is_of_kubernetes(kind, object) {
            continue;
        }
        assert_ne!(answer.outcome.code, "internal-error", "{entry:?}");
        let (Some(patch), Some(mut again)) = (patch, request) else {
            continue;
        };
        json_patch::patch(&mut again["object"], &patch).expect("a patch that applies");
        // As an API server calls a second time.
        let body = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": again });
        let answer = review::answer(&entry, body.to_string().as_bytes(), config);
        let answer = answer.expect("a review");
        let patch = patch_of(&answer, uid.as_ref());
        assert_eq!(patch, None, "{entry:?}: a second time");
    }
}

fn request_of(body: &[u8]) -> Option<Value> {
    let review: Value = serde_json::from_slice(body).ok()?;
    review.get("request").cloned()
}

/// The patch of an answer, which has to be one that an API server takes.
fn patch_of(answer: &Answer, uid: Option<&Value>) -> Option<json_patch::Patch> {
    let body: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
    let response = &body["response"];
    assert_eq!(response["allowed"], json!(true));
    assert_eq!(response["uid"], json!(answer.uid));
    assert!(uid.is_none_or(|uid| response["uid"] == *uid));
    let patch = response.get("patch");
    let with_type = response.get("patchType");
    assert_eq!(patch.is_some(), with_type == Some(&json!("JSONPatch")));
    let patch = BASE64
        .decode(patch?.as_str().expect("base64"))
        .expect("base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a JSON Patch");
    assert!(!patch.0.is_empty());
    Some(patch)
}

/// An object, the label of its namespace and a configuration, as JSON: `{"config": "…", "label": "true", "object": {…}}`.
pub fn engine(data: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let given = input["config"].as_str();
    let given = given.and_then(|text| Config::parse(text, "fuzz").ok());
    let object = input["object"].clone();
    let label = input["label"].as_str();
    judge(&object, given.as_ref().unwrap_or(config()), label);
}

/// A pod as people write them, and worse; the bytes are the seed of the choices.
pub fn pods(data: &[u8]) {
    thread_local! {
        static PODS: BoxedStrategy<Value> = ugly::pod().boxed();
    }
    let mut seed = [0; 32];
    for (seed, byte) in seed.iter_mut().zip(data) {
        *seed = *byte;
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(RunnerConfig::default(), rng);
    let pod = PODS.with(|pods| pods.new_tree(&mut runner));
    judge(
        &pod.expect("nothing is rejected").current(),
        config(),
        Some("true"),
    );
}

/// Annotations of one pod, `key=value` in lines; a blank line begins the labels.
pub fn annotations(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (annotations, labels) = text.split_once("\n\n").unwrap_or((text, ""));
    let map = |lines: &str| -> Value {
        let pairs = lines.split('\n').filter_map(|line| line.split_once('='));
        let pairs = pairs.map(|(key, value)| (key.to_owned(), json!(value.replace("\\n", "\n"))));
        Value::Object(pairs.collect())
    };
    let object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "fuzz", "annotations": map(annotations), "labels": map(labels) },
        "spec": {
            "initContainers": [{ "name": "init", "image": "init" }],
            "containers": [
                { "name": "app", "image": "registry.example/app:1", "env": [{ "name": "A", "value": "a" }] },
                { "name": "other", "image": "other", "envFrom": [{ "configMapRef": { "name": "settings" } }] },
            ],
        },
    });
    judge(&object, config(), Some("true"));
}

/// What holds for every object that an API server can have sent; of others, that nothing panics.
fn judge(object: &Value, config: &Config, label: Option<&str>) {
    let length = object.to_string().len();
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or("Pod");
    if !is_of_kubernetes(kind, object) {
        if let Ok(pod) = Pod::from_value(object) {
            within_steps(length, || {
                Mutation::of(&subject(&pod, label), object, PodPath::POD, config)
            });
        }
        let inputs = Inputs::default();
        let inject = Injector::new(config, &inputs, Operation::Inject);
        within_steps(length, || inject.value(object));
        return;
    }
    if kind == "Pod" && Pod::from_value(object).is_ok() {
        within_steps(length, || judge_pod(object, config, label));
    } else if Kind::named(None, kind).is_some_and(|kind| kind.is_label_copied) {
        within_steps(length, || judge_workload(object, kind, config));
    }
    within_steps(length, || judge_manifest(object, config, label));
}

/// Can it be decoded as its kind, as an API server has done before it asks?
fn is_of_kubernetes(kind: &str, object: &Value) -> bool {
    fn is<'a, T: Deserialize<'a>>(object: &'a Value) -> bool {
        T::deserialize(object).is_ok()
    }
    has_sound_names(object)
        && match kind {
            "Pod" => is::<core::v1::Pod>(object),
            "Deployment" => is::<apps::v1::Deployment>(object),
            "StatefulSet" => is::<apps::v1::StatefulSet>(object),
            "DaemonSet" => is::<apps::v1::DaemonSet>(object),
            "Job" => is::<batch::v1::Job>(object),
            "CronJob" => is::<batch::v1::CronJob>(object),
            _ => false,
        }
}

/// Has every container a name, and no two containers or volumes the same? A pod of which that is not so is refused after
/// admission, and left alone by us.
fn has_sound_names(value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            let are_distinct = |suffix: &str| {
                let lists = map
                    .iter()
                    .filter(|(key, _)| key.to_lowercase().ends_with(suffix));
                let mut elements = lists.filter_map(|(_, list)| list.as_array()).flatten();
                let mut names = HashSet::new();
                elements.all(|each| {
                    let name = each["name"].as_str();
                    name.is_some_and(|name| !name.is_empty() && names.insert(name))
                })
            };
            are_distinct("containers")
                && are_distinct("volumes")
                && map.values().all(has_sound_names)
        }
        Value::Array(items) => items.iter().all(has_sound_names),
        _ => true,
    }
}

fn judge_pod(object: &Value, config: &Config, label: Option<&str>) {
    let (pod, mutation) = treat(object, config, label);
    if let Decision::Skip(Reason::Internal(problem)) = &mutation.decision {
        panic!("{problem}: {object}");
    }
    let patch = mutation.patch.to_json().expect("a patch is JSON");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a JSON Patch");
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).expect("a patch that applies");
    if !patch.0.is_empty() {
        assert_eq!(&patched, mutation.patch.result());
    }
    let (_, again) = treat(&patched, config, label);
    assert!(again.patch.is_empty(), "a second time: {object}");
    let expected = match &mutation.decision {
        Decision::Inject(_) => Decision::Skip(Reason::AlreadyInjected),
        skip @ Decision::Skip(_) => skip.clone(),
    };
    assert_eq!(again.decision, expected, "a second time: {object}");
    let explanation = mutate::explain(&subject(&pod, label), config);
    let stops = explanation
        .iter()
        .filter(|step| step.verdict == Verdict::Stops);
    let stops: Vec<_> = stops.map(|step| step.why.clone()).collect();
    // Where there is no room for its annotation, a plan comes to nothing in the end.
    match mutate::decide(&subject(&pod, label), config) {
        Decision::Inject(_) => assert_eq!(stops, [""; 0], "{object}"),
        Decision::Skip(reason) => {
            assert_eq!(stops, [format!("{}: {reason}", reason.code())], "{object}");
        }
    }
}

fn judge_workload(object: &Value, kind: &str, config: &Config) {
    let review = |object: &Value| {
        let request = json!({
            "uid": "u-1", "operation": "CREATE", "kind": { "kind": kind }, "namespace": "shop", "object": object,
        });
        let body = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
        let answer = review::answer(&Entry::Workload, body.to_string().as_bytes(), config);
        let answer = answer.expect("a review");
        assert_ne!(answer.outcome.code, "internal-error", "{object}");
        patch_of(&answer, Some(&request["uid"]))
    };
    let Some(patch) = review(object) else { return };
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).expect("a patch that applies");
    assert_eq!(review(&patched), None, "a second time: {object}");
}

/// Put in and taken out again, an object is as it was.
fn judge_manifest(object: &Value, config: &Config, label: Option<&str>) {
    let labels = label.map(|label| (keys::INJECT.to_owned(), label.to_owned()));
    let labels: Vec<_> = labels.into_iter().collect();
    let inputs = Inputs::new(Some("shop".to_owned()), &labels);
    let inject = Injector::new(config, &inputs, Operation::Inject);
    let (Some(injected), reports) = inject.value(object) else {
        return;
    };
    let is_defect =
        |what: &What| matches!(what, What::Left { code, .. } if code == "internal-error");
    assert!(
        !reports.iter().any(|report| is_defect(&report.what)),
        "{object}"
    );
    let (again, _) = inject.value(&injected);
    assert_eq!(again, None, "a second time: {object}");
    let warnings = reports.iter().flat_map(|report| &report.warnings);
    // It says so where the way back is closed; and what had the agent before is not ours to take out.
    if warnings
        .into_iter()
        .any(|warning| warning.starts_with("not-removable"))
        || object.to_string().contains("javelin")
    {
        return;
    }
    let remove = Injector::new(config, &inputs, Operation::Remove);
    let (removed, _) = remove.value(&injected);
    assert_eq!(removed.as_ref(), Some(object), "there and back");
}

/// What the engine makes of a pod.
pub(crate) fn treat(object: &Value, config: &Config, label: Option<&str>) -> (Pod, Mutation) {
    let pod = Pod::from_value(object).expect("it can be read");
    let mutation = Mutation::of(&subject(&pod, label), object, PodPath::POD, config);
    (pod, mutation)
}

fn subject<'a>(pod: &'a Pod, label: Option<&'a str>) -> Subject<'a> {
    Subject::of_pod(
        pod,
        Namespace {
            name: Some("shop"),
            inject: label.map_or(InjectLabel::Absent, InjectLabel::Value),
        },
    )
}

/// That of most golden cases.
pub(crate) fn config() -> &'static Config {
    static CONFIG: LazyLock<Config> = LazyLock::new(|| {
        let text = include_str!("../../tests/common/default.yaml");
        Config::parse(text, "fuzz").expect("a good configuration")
    });
    &CONFIG
}
