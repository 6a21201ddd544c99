//! What whoever applies a workload reads at the terminal, in namespaces that ask for the agent themselves.

use std::process::Output;

use crate::{
    cases::{ENDPOINT, INJECT, SOON, counted, install_again, label, upgrade_with},
    kube::{Namespace, Result, apply, ensure, eventually, get, kubectl_output, kubectl_with},
};

/// Once for each new template, and never for what changes no template, has the label, or is in another namespace.
pub(crate) fn reach_the_terminal() -> Result {
    upgrade_with(&[ENDPOINT, "--set=webhook.workloadWarnings=true"])?;
    let namespace = Namespace::new("t-warnings", &[(INJECT, "true")])?;
    let unknown = Namespace::new("t-warnings-unknown", &[(INJECT, "nonsense")])?;
    let plain = Namespace::new("t-warnings-plain", &[])?;
    // API servers keep connections apart for each entry.
    for namespace in [&namespace, &unknown] {
        eventually("the entry that only warns is called", SOON, || {
            let tried = deployment("tried", namespace.0, "", "200Mi");
            let (_, said) = kubectl_with(&["create", "--dry-run=server"], &tried)?;
            ensure!(!lines(&said).is_empty(), "not yet: {said:?}");
            Ok(())
        })?;
    }

    let before = counted(CALLS)?;
    let (_, said) = apply(&deployment("app", namespace.0, "", "200Mi"))?;
    tells(&said, &[STARTS, "little-memory: container \"app\""])?;
    eventually("its ReplicaSet is there", SOON, || {
        let made = get(&["replicasets", "-n", namespace.0])?;
        let made = made["items"].as_array().map_or(0, Vec::len);
        ensure!(made == 1, "{made}");
        Ok(())
    })?;
    let calls = counted(CALLS)? - before;
    ensure!(calls == 1, "{calls} calls: was the ReplicaSet sent, too?");
    for silent in [
        apply(&deployment("app", namespace.0, "", "200Mi"))?.1,
        stderr(&["scale", "deployment/app", "-n", namespace.0, "--replicas=1"])?,
        stderr(&["annotate", "deployment/app", "-n", namespace.0, "a=b"])?,
    ] {
        tells(&silent, &[])?;
    }
    let (_, said) = apply(&deployment("app", namespace.0, "", "210Mi"))?;
    tells(&said, &[STARTS, "little-memory"])?;

    // By the entry that copies the label, and by no other: not when the label is new, nor with a new template.
    tells(
        &label("deployment/app", namespace.0, &format!("{INJECT}=true"))?,
        &[STARTS, "little-memory"],
    )?;
    let labels = format!("{INJECT}: 'true'");
    let (_, said) = apply(&deployment("other", namespace.0, &labels, "200Mi"))?;
    tells(&said, &[STARTS, "little-memory"])?;

    let (_, said) = apply(&deployment("app", unknown.0, "", "200Mi"))?;
    tells(&said, &["no agent: unknown-profile: the namespace's label"])?;
    let (_, said) = apply(&deployment("app", plain.0, "", "200Mi"))?;
    tells(&said, &[])?;
    drop((namespace, unknown, plain));
    install_again()
}

/// Are these Javelin's warnings, in this order and no others?
fn tells(said: &str, expected: &[&str]) -> Result {
    let lines = lines(said);
    let is_so = lines.len() == expected.len()
        && lines
            .iter()
            .zip(expected)
            .all(|(line, part)| line.contains(part));
    ensure!(
        is_so,
        "{expected:?} was expected, and kubectl said {said:?}"
    );
    Ok(())
}

/// What kubectl shows of Javelin's.
fn lines(said: &str) -> Vec<&str> {
    let lines = said.lines();
    lines
        .filter(|line| line.starts_with("Warning: javelin: "))
        .collect()
}

fn stderr(arguments: &[&str]) -> Result<String> {
    let Output { status, stderr, .. } = kubectl_output(arguments);
    let said = String::from_utf8_lossy(&stderr).into_owned();
    ensure!(status.success(), "kubectl {arguments:?} failed: {said}");
    Ok(said)
}

/// With pods that nobody has to start.
fn deployment(name: &str, namespace: &str, labels: &str, memory: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}, \
         spec: {{replicas: 0, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: \
         {name}}}}}, spec: {{schedulingGates: [{{name: javelin.dev/test}}], containers: [{{name: app, image: \
         localhost/none, resources: {{limits: {{memory: {memory}}}}}}}]}}}}}}}}"
    )
}

const STARTS: &str = "new pods start with the OpenTelemetry Java agent in app (profile default)";

const CALLS: &str = "javelin_reviews_total{entry=\"workload-warning\",";
