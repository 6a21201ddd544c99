use serde_json::{Value, json};

use super::*;
use crate::mutate::{Decision, decide, explain};
use crate::mutate::{Namespace, pod::Pod};

fn with_subject<T>(pod: &Value, then: impl FnOnce(&Subject<'_>) -> T) -> T {
    let pod = Pod::from_value(pod).unwrap();
    then(&Subject::of_pod(
        &pod,
        Namespace {
            name: Some("shop"),
            inject: InjectLabel::Value("true"),
        },
    ))
}

#[test]
fn a_second_pass_explains_the_containers_of_the_first() {
    let config = Config::default();
    let first = json!({ "spec": { "containers": [{ "name": "app" }] } });
    let plan = with_subject(&first, |subject| match decide(subject, &config) {
        Decision::Inject(plan) => plan,
        Decision::Skip(reason) => panic!("{reason}"),
    });
    let second = json!({
        "metadata": { "annotations": plan.annotations },
        "spec": {
            "initContainers": [{ "name": keys::AGENT_NAME }],
            "containers": [{ "name": "in-front" }, { "name": "app" }],
        },
    });
    let steps = with_subject(&second, |subject| explain(subject, &config));
    let targets = steps.iter().filter(|step| step.rule == "containers");
    let targets = targets.filter(|step| step.verdict == Verdict::Applies);
    let targets: Vec<_> = targets.map(|step| step.why.as_str()).collect();
    assert!(
        matches!(targets[..], [why] if why.starts_with("app: ")),
        "{targets:?}"
    );
}
