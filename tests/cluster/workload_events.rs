//! Events on workloads, as `kubectl describe` shows them.

use serde_json::Value;

use crate::{
    cases::{ENDPOINT, INJECT, SOON, counted, install_again, upgrade_with},
    kube::{Namespace, Result, apply, ensure, eventually, get, kubectl},
};

/// A Deployment whose pods get the agent, one whose pods may not have it, and one that nobody labelled.
pub(crate) fn on_a_deployment() -> Result {
    upgrade_with(&[ENDPOINT, "--set=workloadEvents.enabled=true"])?;
    let namespace = Namespace::new("t-workload-events", &[])?;
    let traced = format!("{INJECT}: 'true'");
    let other = "JAVA_TOOL_OPTIONS, value: '-javaagent:/opt/dd-java-agent.jar'";
    apply(&deployment(namespace.0, "traced", &traced, "A, value: b"))?;
    apply(&deployment(namespace.0, "other", &traced, other))?;
    apply(&deployment(namespace.0, "plain", "a: b", "A, value: b"))?;

    for (name, reason, words) in [
        ("traced", "AgentInjected", "profile default"),
        ("other", "AgentSkipped", "other-agent"),
    ] {
        eventually("the Event is there", SOON, || {
            let told = kubectl(&["describe", "deployment", name, "-n", namespace.0])?;
            ensure!(told.contains(reason) && told.contains(words), "{told}");
            Ok(())
        })?;
    }
    let events = get(&["events.events.k8s.io", "-n", namespace.0])?;
    let events = events["items"].as_array().cloned().unwrap_or_default();
    let ours = |event: &&Value| event["reportingController"] == "javelin.dev/webhook";
    let about: Vec<_> = events
        .iter()
        .filter(ours)
        .map(|event| event["regarding"]["name"].as_str().unwrap_or_default())
        .collect();
    ensure!(!about.contains(&"plain"), "{about:?}");
    let failed = counted("javelin_workload_events_total{result=\"failed\"}")?;
    ensure!(failed == 0, "{failed} Events were refused");
    drop(namespace);
    install_again()
}

/// With pods that nobody has to start: the Event tells of their creation.
fn deployment(namespace: &str, name: &str, label: &str, variable: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: {namespace}, labels: {{{label}}}}}, \
         spec: {{replicas: 2, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: \
         {name}}}}}, spec: {{schedulingGates: [{{name: javelin.dev/test}}], containers: [{{name: app, image: \
         localhost/none, env: [{{name: {variable}}}]}}]}}}}}}}}"
    )
}
