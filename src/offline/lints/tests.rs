use javelin_core::{
    config::Config,
    mutate::{Decision, InjectLabel, Namespace, Subject},
    patch::{Mutation, PodPath},
};
use serde_json::{Value, json};

use super::*;

/// The lints of a pod with this container, beside these objects.
fn check(container: &Value, others: &[Value], expected: &[&str]) {
    let mut container = container.clone();
    container["name"] = "app".into();
    let document = json!({ "kind": "Pod", "metadata": {}, "spec": { "containers": [container] } });
    let mut inputs = Inputs::new(Some("shop".to_owned()), &[]);
    for object in others {
        inputs.learn(object);
    }
    let pod = Pod::from_value(&document).unwrap();
    let subject = Subject::of_pod(
        &pod,
        Namespace {
            name: Some("shop"),
            inject: InjectLabel::Value("true"),
        },
    );
    let mutation = Mutation::of(&subject, &document, PodPath::POD, &Config::default());
    let Decision::Inject(plan) = mutation.decision else {
        panic!("{:?}", mutation.decision);
    };
    let after = Pod::from_value(mutation.patch.result()).unwrap();
    let lints = find(&pod, &after, &plan, Some("shop"), &inputs);
    let codes: Vec<_> = lints.iter().map(Lint::code).collect();
    assert_eq!(codes, expected, "{lints:?}");
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

#[test]
fn what_the_container_says_itself_is_no_matter_of_the_image_or_env_from() {
    let from = json!([{ "configMapRef": { "name": "app" } }]);
    let key = |optional: bool| json!({ "secretKeyRef": { "name": "s", "key": "k", "optional": optional } });
    let container = |entry: Value| json!({ "image": "shop:7", "envFrom": from, "env": [entry] });
    let options =
        |member: &str, value: Value| json!({ "name": "JAVA_TOOL_OPTIONS", (member): value });
    check(&container(options("value", json!("-Xmx1g"))), &[], &[]);
    check(&container(options("valueFrom", key(false))), &[], &[]);
    check(
        &container(options("valueFrom", key(true))),
        &[],
        &["unseen-env-from", "unseen-image"],
    );
    check(
        &container(json!({ "name": "JAVA_OPTS", "value": "-Xmx1g" })),
        &[],
        &["unseen-env-from", "unseen-image"],
    );
    let map = json!({ "kind": "ConfigMap", "metadata": { "name": "app" }, "data": { "OTEL_SERVICE_NAME": "" } });
    let own = json!({ "name": "OTEL_SERVICE_NAME", "value": "mine" });
    check(&container(own), &[map], &["unseen-image"]);
}

/// The nodes of a pod with this in its spec that are not for us.
fn check_nodes(config: &str, spec: &Value, expected: Option<&str>) {
    let config = Config::parse(config, "").unwrap();
    let pod = Pod::from_value(&json!({ "spec": spec })).unwrap();
    let lint = of_nodes(&pod, config.profile("true").unwrap(), "amd64");
    let nodes = lint.map(|lint| match lint {
        Lint::OtherArchitecture { nodes, .. } => nodes,
        other => panic!("{other:?}"),
    });
    assert_eq!(nodes.as_deref(), expected, "{spec}");
}

#[test]
fn nodes_of_another_architecture_are_seen() {
    let selector = |key: &str, value: &str| json!({ "nodeSelector": { (key): value } });
    let affinity = |operator: &str, values: &[&str]| {
        let arch = json!({ "key": "kubernetes.io/arch", "operator": operator, "values": values });
        let zone = json!({ "key": "zone", "operator": "In", "values": ["a"] });
        let terms = json!([{ "matchExpressions": [zone, arch] }]);
        json!({ "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
        }})
    };
    let in_affinity = |values: &[&str]| json!({ "affinity": affinity("In", values) });
    check_nodes("", &selector("kubernetes.io/arch", "arm64"), Some("arm64"));
    check_nodes(
        "",
        &selector("beta.kubernetes.io/arch", "s390x"),
        Some("s390x"),
    );
    check_nodes("", &selector("kubernetes.io/arch", "amd64"), None);
    check_nodes("", &selector("kubernetes.io/os", "linux"), None);
    check_nodes("", &in_affinity(&["arm64"]), Some("arm64"));
    check_nodes(
        "",
        &in_affinity(&["s390x", "amd64", "arm64"]),
        Some("arm64, s390x"),
    );
    check_nodes("", &in_affinity(&["amd64"]), None);
    check_nodes(
        "",
        &json!({ "affinity": affinity("NotIn", &["arm64"]) }),
        None,
    );
    let both = json!({
        "nodeSelector": { "kubernetes.io/arch": "amd64" },
        "affinity": affinity("In", &["amd64", "arm64"]),
    });
    check_nodes("", &both, None);
    check_nodes("", &json!({ "nodeName": "arm" }), None);
    // Nothing of ours runs there, or it is not ours.
    let arm = selector("kubernetes.io/arch", "arm64");
    check_nodes("default: {delivery: image-volume}", &arm, None);
    check_nodes(
        "default: {delivery: preinstalled, agent: {path: /a.jar}}",
        &arm,
        None,
    );
    check_nodes(
        "default: {agent: {image: other, command: [cp]}}",
        &arm,
        None,
    );
}
