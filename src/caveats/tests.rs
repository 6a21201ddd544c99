use serde_json::{Value, json};

use super::*;
use crate::{
    config::Config,
    mutate::{Decision, Namespace, NamespaceLabel, Owners, Subject},
    patch::{PodPath, Treatment},
};

/// The caveats of a pod with this container, beside these objects.
fn check(container: &Value, others: &[Value], expected: &[&str]) {
    let mut container = container.clone();
    container["name"] = "app".into();
    let document = json!({ "kind": "Pod", "metadata": {}, "spec": { "containers": [container] } });
    let mut surroundings = Surroundings::new(Some("shop".to_owned()), &[]);
    for object in others {
        surroundings.learn(object);
    }
    let pod = Pod::from_value(&document).unwrap();
    let subject = Subject {
        pod: &pod,
        namespace: Namespace {
            name: Some("shop"),
            inject: NamespaceLabel::Value("true"),
        },
        owners: Owners::of_pod(&pod.metadata),
        from_workload: None,
        claims: Vec::new(),
    };
    let treatment = Treatment::of(&subject, &document, PodPath::POD, &Config::default());
    let Decision::Inject(plan) = treatment.decision else {
        panic!("{:?}", treatment.decision);
    };
    let after = Pod::from_value(treatment.patch.result()).unwrap();
    let caveats = of(&after, &plan, Some("shop"), &surroundings);
    let codes: Vec<_> = caveats.iter().map(Caveat::code).collect();
    assert_eq!(codes, expected, "{caveats:?}");
}

#[test]
fn env_from_is_looked_up_among_the_manifests() {
    let container = json!({ "envFrom": [{ "configMapRef": { "name": "app" } }] });
    let object = |kind: &str, namespace: &str, key: &str| json!({ "kind": kind, "metadata": { "name": "app", "namespace": namespace }, "data": { key: "" } });
    check(&container, &[], &["unseen-env-from"]);
    check(
        &container,
        &[object("Secret", "shop", "A")],
        &["unseen-env-from"],
    );
    check(
        &container,
        &[object("ConfigMap", "other", "A")],
        &["unseen-env-from"],
    );
    check(&container, &[object("ConfigMap", "shop", "A")], &[]);
    check(
        &container,
        &[object("ConfigMap", "shop", "OTEL_SERVICE_NAME")],
        &["env-from-sets"],
    );
    let nowhere = json!({ "kind": "ConfigMap", "metadata": { "name": "app" } });
    check(&container, &[nowhere], &[]);
}

#[test]
fn a_port_of_the_other_protocol_is_seen() {
    let container = |endpoint: &str, protocol: Option<&str>| {
        let mut env = vec![json!({ "name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint })];
        env.extend(
            protocol.map(|it| json!({ "name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": it })),
        );
        json!({ "env": env })
    };
    check(&container("http://c:4317", None), &[], &["wrong-otlp-port"]);
    check(
        &container("http://c:4317/", Some("http/protobuf")),
        &[],
        &["wrong-otlp-port"],
    );
    check(
        &container("http://c:4318", Some("grpc")),
        &[],
        &["wrong-otlp-port"],
    );
    check(&container("http://c:4317", Some("grpc")), &[], &[]);
    check(&container("http://c:4318", None), &[], &[]);
    check(&container("http://4317.c", None), &[], &[]);
}

#[test]
fn an_image_tells_little() {
    check(
        &json!({ "image": "registry:5000/openjdk:7-jre" }),
        &[],
        &["old-java", "unseen-image"],
    );
    check(&json!({ "image": "openjdk:17" }), &[], &["unseen-image"]);
    check(&json!({ "image": "shop:7" }), &[], &["unseen-image"]);
}
