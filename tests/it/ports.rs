//! `javelin ports` of a cluster, against a stand-in for the API server: what is asked for, and what may not be read.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use axum::http::Method;
use javelin_manifest::{Documents, Syntax, tree};
use serde_json::{Value, json};

use super::api_server::{Answers, api_server, kubeconfig};

/// What answers a GET of each path.
struct Objects(BTreeMap<&'static str, (u16, Value)>);

impl Answers for Objects {
    fn answer(&mut self, _: &Method, uri: &str, _: &str, _: &[u8]) -> (u16, String) {
        let path = uri.split('?').next().unwrap();
        let (code, value) = self.0.get(path).cloned().unwrap_or_else(|| {
            (
                404,
                json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": path }),
            )
        });
        (code, value.to_string())
    }
}

/// The objects of the transcripts as a cluster has them, with what it alone knows: lists do not say what their items are.
fn cluster() -> Objects {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd/ports/javelin.yaml");
    let text = fs::read(file).unwrap();
    let documents = Documents::of(text.as_slice());
    let mut by_kind: BTreeMap<String, Value> = documents
        .map(|piece| tree::read(&piece.unwrap().text, Syntax::Yaml).unwrap())
        .map(|object| (object["kind"].as_str().unwrap().to_owned(), object))
        .collect();
    let mut take = |kind: &str| by_kind.remove(kind).unwrap();
    let list = |mut object: Value| {
        let fields = object.as_object_mut().unwrap();
        fields.remove("kind");
        fields.remove("apiVersion");
        json!({ "metadata": {}, "items": [object] })
    };
    let slice = |service: &str, namespace: &str, port: u16| {
        json!({ "metadata": {}, "items": [{
            "metadata": {
                "name": "x", "namespace": namespace, "labels": { "kubernetes.io/service-name": service },
            },
            "ports": [{ "name": "otlp-http", "port": port }],
        }] })
    };
    let collector = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "otel-collector", "namespace": "observability" },
        "spec": { "ports": [{ "name": "otlp-http", "port": 4318, "targetPort": "otlp" }] },
    });
    let denied = "networkpolicies is forbidden: User \"me\" cannot list resource \"networkpolicies\" in API group \
                  \"networking.k8s.io\" in the namespace \"javelin-system\"";
    let denied = json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": denied });
    Objects(BTreeMap::from([
        ("/version", (200, version())),
        ("/apis", (200, json!({ "groups": [] }))),
        (CONFIGURATION, (200, take("MutatingWebhookConfiguration"))),
        (CONFIG_MAP, (200, take("ConfigMap"))),
        (SERVICES, (200, list(take("Service")))),
        (DEPLOYMENTS, (200, list(take("Deployment")))),
        (POLICIES, (403, denied)),
        (SLICES, (200, slice("kubernetes", "default", 6443))),
        (SLICES_OF_DNS, (200, json!({ "metadata": {}, "items": [] }))),
        (COLLECTOR, (200, collector)),
        (
            SLICES_OF_COLLECTOR,
            (200, slice("otel-collector", "observability", 14318)),
        ),
    ]))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.1-gke.100", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    })
}

fn ports(objects: Objects, arguments: &[&str]) -> Output {
    let address = api_server(Arc::new(Mutex::new(objects)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    fs::write(&file, kubeconfig(address, "t")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_javelin"))
        .arg("ports")
        .args(arguments)
        .env("KUBECONFIG", &file)
        .output()
        .unwrap()
}

#[test]
fn a_cluster_tells_what_a_rendering_cannot() {
    let output = ports(cluster(), &["-o", "json"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["ports"].as_array().unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row["port"].as_u64(), row["servicePort"].as_u64()))
        .collect();
    let expected = [
        (Some(10250), Some(443)),
        (Some(6443), Some(443)),
        (Some(14318), Some(4318)),
        (None, Some(53)),
        (None, Some(53)),
        (Some(443), None),
        (Some(8080), None),
    ];
    assert_eq!(found, expected, "{report:#}");
    let next = report["nextStep"].as_str().unwrap();
    assert!(next.starts_with("GKE lets the control plane"), "{next}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "warning: NetworkPolicy: you may not list networkpolicies.networking.k8s.io in namespace javelin-system\n"
    );
}

#[test]
fn nothing_of_javelin_in_a_cluster_is_an_error_with_a_remedy() {
    let mut objects = cluster();
    objects.0.remove(CONFIGURATION);
    let output = ports(objects, &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("hint: "), "{said}");
}

const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/javelin";
const CONFIG_MAP: &str = "/api/v1/namespaces/javelin-system/configmaps/javelin";
const SERVICES: &str = "/api/v1/namespaces/javelin-system/services";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/javelin-system/deployments";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/javelin-system/networkpolicies";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const SLICES_OF_DNS: &str = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
const COLLECTOR: &str = "/api/v1/namespaces/observability/services/otel-collector";
const SLICES_OF_COLLECTOR: &str =
    "/apis/discovery.k8s.io/v1/namespaces/observability/endpointslices";
