//! `javelin preview` on objects in the cluster, and what the API server says of the pods.

use std::process::Output;

use serde_json::Value;

use crate::{
    cases::{INJECT, SOON},
    kube::{Namespace, Result, apply, ensure, eventually, javelin, kubectl_with},
};

/// Reads a live object, tries its pod, and tells who refuses it, and whether the agent is the reason.
pub(crate) fn server() -> Result {
    let namespace = Namespace::new("t-preview-live", &[(INJECT, "true")])?;
    apply(&deployment(namespace.0))?;
    let record = one(&["--server", "-o", "json"])?;
    ensure!(
        record["decision"] == "inject" && record["server"]["admitted"] == true,
        "{record:#}"
    );

    apply(POLICY)?;
    let outcome = eventually("the policy is in force", SOON, || {
        let record = one(&["--server", "-o", "json"])?;
        ensure!(record["server"]["admitted"] == false, "{record:#}");
        Ok(record["server"].clone())
    });
    kubectl_with(&["delete"], POLICY)?;
    let server = outcome?;
    ensure!(
        server["by"] == "the ValidatingAdmissionPolicy t-preview-live"
            && server["alsoWithoutAgent"] == false,
        "{server:#}"
    );

    let labels = [
        (INJECT, "true"),
        ("pod-security.kubernetes.io/enforce", "restricted"),
    ];
    let _strict = Namespace::new("t-preview-strict", &labels)?;
    // Only warned of: the Deployment itself is not a pod.
    apply(&deployment("t-preview-strict"))?;
    let output = preview(&[
        "--from-cluster",
        "t-preview-strict/deploy/orders",
        "--server",
    ]);
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1)
            && told.contains("refused by Pod Security")
            && told.contains("without the agent it is refused, too"),
        "{output:?}"
    );

    let output = preview(&["--from-cluster", "t-preview-live/deployment/nobody"]);
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(2)
            && told.contains("Deployment t-preview-live/nobody does not exist"),
        "{output:?}"
    );
    Ok(())
}

/// The record of the one object that was asked for.
fn one(arguments: &[&str]) -> Result<Value> {
    let from = ["--from-cluster", "t-preview-live/deployment/orders"];
    let output = preview(&[&from, arguments].concat());
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))
}

fn preview(arguments: &[&str]) -> Output {
    javelin(&[&["preview"], arguments].concat())
        .output()
        .expect("javelin starts")
}

fn deployment(namespace: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: orders, namespace: {namespace}}}, spec: \
         {{replicas: 0, selector: {{matchLabels: {{app: orders}}}}, template: {{metadata: {{labels: {{app: orders}}}}, \
         spec: {{containers: [{{name: app, image: 'localhost/javelin-pause:1'}}]}}}}}}}}"
    )
}

/// Forbids our init container, as an image policy would.
const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: t-preview-live}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - {expression: \"!object.spec.?initContainers.orValue([]).exists(c, c.name == 'javelin-agent')\", message: no agent here}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: t-preview-live}
spec:
  policyName: t-preview-live
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: t-preview-live}}}
";
