//! Reviews as API servers send them: what each decision costs is counted on these, and timed.

#![expect(
    clippy::indexing_slicing,
    reason = "members of a document that stands here"
)]

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use javelin_core::{
    config::Config,
    review::{self, Entry},
};
use serde_json::{Value, json};

/// A review, and what comes of it.
pub(crate) struct Sample {
    /// What it shows, in a word or two.
    pub(crate) name: String,
    /// By which entry it comes.
    pub(crate) entry: Entry,
    /// The code of the decision.
    pub(crate) code: &'static str,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// What a small installation configures.
pub(crate) fn config() -> Config {
    Config::parse(CONFIG, "samples").expect("a valid configuration")
}

/// As a file.
pub(crate) const CONFIG: &str = "
default:
  agent: {image: 'registry.example.com/javelin:0.2.0'}
  otlp: {endpoint: 'http://otel-collector.observability.svc:4318'}
";

/// One of each kind of decision.
pub(crate) fn decisions() -> Vec<Sample> {
    let injected = Sample::of_pod("injected", "injected", &pod("true"));
    let again = patched(&injected);
    vec![
        Sample::of_pod("skipped", "opted-out", &pod("false")),
        Sample::of_pod("already injected", "already-injected", &again),
        workload(),
        injected,
    ]
}

/// Injections into pods so large that a review has about these bytes: variables, managed fields and what `kubectl apply`
/// keeps, as large objects have them.
pub(crate) fn sizes() -> Vec<Sample> {
    [1_000, 10_000, 50_000, 250_000, 2_000_000]
        .map(of_size)
        .into()
}

impl Sample {
    fn of_pod(name: &str, code: &'static str, pod: &Value) -> Self {
        let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
        let resource = json!({ "group": "", "version": "v1", "resource": "pods" });
        Self {
            name: name.to_owned(),
            entry: Entry::Pod,
            code,
            body: review("CREATE", &kind, &resource, pod, &Value::Null),
        }
    }
}

fn review(operation: &str, kind: &Value, resource: &Value, object: &Value, old: &Value) -> Vec<u8> {
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0b3fd1a4-5d0c-4a55-9d0c-6d9e1f6d7a10",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "namespace": "shop",
            "operation": operation,
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "c5d5a3a0-9a6a-4f0a-a1f8-0f4a4e6d1b0e",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
            },
            "object": object,
            "oldObject": old,
            "dryRun": false,
            "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" },
        },
    });
    review.to_string().into_bytes()
}

/// A pod of a Deployment's, as it is when webhooks are called.
fn pod(inject: &str) -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "generateName": "orders-7d4b9c6f5d-",
            "labels": {
                "app.kubernetes.io/name": "orders",
                "instrumentation.opentelemetry.io/inject-java": inject,
                "pod-template-hash": "7d4b9c6f5d",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "orders-7d4b9c6f5d",
                "uid": "4a1d7c52-7f0c-4c53-8c5c-3f6f0f2f1f11",
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "volumes": [{
                "name": "kube-api-access-x7z2k",
                "projected": {
                    "sources": [
                        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                    ],
                    "defaultMode": 420,
                },
            }],
            "containers": [{
                "name": "orders",
                "image": "registry.example.com/shop/orders:1.4.2",
                "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
                "env": [
                    { "name": "JAVA_TOOL_OPTIONS", "value": "-XX:MaxRAMPercentage=75 -Dfile.encoding=UTF-8" },
                    { "name": "SPRING_PROFILES_ACTIVE", "value": "production" },
                    { "name": "DATABASE_URL", "value": "jdbc:postgresql://postgres.shop.svc:5432/orders" },
                    { "name": "DATABASE_PASSWORD", "valueFrom": { "secretKeyRef": { "name": "orders-db", "key": "password" } } },
                ],
                "resources": {
                    "limits": { "cpu": "2", "memory": "1Gi" },
                    "requests": { "cpu": "250m", "memory": "512Mi" },
                },
                "volumeMounts": [{
                    "name": "kube-api-access-x7z2k",
                    "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                }],
                "livenessProbe": {
                    "httpGet": { "path": "/actuator/health/liveness", "port": "http", "scheme": "HTTP" },
                    "initialDelaySeconds": 30,
                    "periodSeconds": 10,
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "orders",
            "securityContext": { "runAsNonRoot": true },
            "schedulerName": "default-scheduler",
            "enableServiceLinks": true,
        },
    })
}

/// A Deployment whose template has had our label since long, as a change of its replicas sends it.
fn workload() -> Sample {
    let mut template = pod("true");
    let labels = json!({ "app.kubernetes.io/name": "orders", "javelin.dev/from-workload": "true" });
    template["metadata"] = json!({ "labels": labels });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "orders",
            "namespace": "shop",
            "labels": {
                "instrumentation.opentelemetry.io/inject-java": "true",
                "javelin.dev/from-workload": "true",
            },
        },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app.kubernetes.io/name": "orders" } },
            "template": { "metadata": template["metadata"], "spec": template["spec"] },
        },
    });
    let kind = json!({ "group": "apps", "version": "v1", "kind": "Deployment" });
    let resource = json!({ "group": "apps", "version": "v1", "resource": "deployments" });
    Sample {
        name: "workload without a change".to_owned(),
        entry: Entry::Workload,
        code: "unchanged",
        body: review("UPDATE", &kind, &resource, &deployment, &deployment),
    }
}

/// The pod of a review with the answer's patch in it.
fn patched(sample: &Sample) -> Value {
    let answer = review::answer(&sample.entry, &sample.body, &config()).expect("a review");
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let patch = answer["response"]["patch"].as_str().expect("a patch");
    let patch = BASE64.decode(patch).expect("base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a JSON Patch");
    let mut review: Value = serde_json::from_slice(&sample.body).expect("JSON");
    let pod = &mut review["request"]["object"];
    json_patch::patch(pod, &patch).expect("a patch that applies");
    pod.take()
}

fn of_size(bytes: usize) -> Sample {
    let mut pod = pod("true");
    let missing = |pod: &Value| {
        let there = Sample::of_pod("", "injected", pod).body.len();
        bytes.saturating_sub(there)
    };
    if missing(&pod) == 0 {
        let labels = pod["metadata"]["labels"].clone();
        let containers = json!([{ "name": "orders", "image": "orders:1" }]);
        pod = json!({ "metadata": { "labels": labels }, "spec": { "containers": containers } });
    } else {
        let share = missing(&pod) / 4;
        let applied = "{\\\"name\\\":\\\"orders\\\"},".repeat(share.min(MAX_ANNOTATION) / 26);
        pod["metadata"]["annotations"] =
            json!({ "kubectl.kubernetes.io/last-applied-configuration": applied });
        let env = pod["spec"]["containers"][0]["env"].as_array_mut();
        let variable = |n: usize| json!({ "name": format!("FEATURE_{n:05}"), "value": "some words of a setting" });
        env.expect("a list")
            .extend((0..share.min(MAX_ENVIRONMENT) / 61).map(variable));
        // The rest.
        let field = |n: usize| {
            (
                format!("f:some-field-{n:06}"),
                json!({ ".": {}, "f:name": {} }),
            )
        };
        let fields: serde_json::Map<_, _> = (0..missing(&pod) / 46).map(field).collect();
        pod["metadata"]["managedFields"] =
            json!([{ "manager": "kubectl", "fieldsType": "FieldsV1", "fieldsV1": fields }]);
    }
    Sample::of_pod(&format!("{} kB", bytes / 1_000), "injected", &pod)
}

/// Kubernetes takes 256 KiB of annotations, ours among them.
const MAX_ANNOTATION: usize = 200_000;

/// Nobody has more in one container.
const MAX_ENVIRONMENT: usize = 100_000;
