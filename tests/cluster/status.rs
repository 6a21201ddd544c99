//! `javelin status` and `javelin restart` as the person at the terminal runs them.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::{
    cases::{INJECT, SOON, pause_pod, receipt},
    check::scale,
    kube::{Namespace, Result, apply, ensure, eventually, javelin, kubectl, pods},
};

/// Workloads in every state; what was missed is mended by a restart, and nothing else is restarted.
pub(crate) fn missed_and_mended() -> Result {
    let namespace = Namespace::new("t-status", &[])?;
    let of = |name: &str, spec: &str| deployment(name, namespace.0, spec);
    apply(&of("injected", ""))?;
    apply(&of("skipped", ", resources: {limits: {memory: 32Mi}}"))?;
    eventually("both are as they should be", SOON, || {
        let rows = rows(namespace.0)?;
        counts(&rows, "injected", "injected", 1)?;
        counts(&rows, "skipped", "skipped", 1)
    })?;

    scale(0)?;
    let missed = apply(&of("missed", "")).and_then(|_| {
        apply(&pause_pod(
            "alone",
            namespace.0,
            &format!("{INJECT}: 'true'"),
            "",
        ))
    });
    let missed = missed.and_then(|_| {
        eventually("both are there without the agent", SOON, || {
            let rows = rows(namespace.0)?;
            counts(&rows, "missed", "missed", 1)?;
            counts(&rows, "alone", "missed", 1)
        })
    });
    scale(2)?;
    missed?;

    let output = run(&["status", "--missed", "-n", namespace.0]);
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        names == "-n t-status deployment.apps/missed\n-n t-status pod/alone\n",
        "{output:?}"
    );
    let output = run(&["status", "-A", "--check"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.code() == Some(1) && table.contains("t-status   deployment.apps/missed"),
        "{table}{output:?}"
    );

    let before = generations(namespace.0)?;
    let output = run(&["restart", "--missed", "-n", namespace.0, "--dry-run"]);
    ensure!(
        output.status.success() && generations(namespace.0)? == before,
        "{output:?}"
    );
    let output = run(&["restart", "--missed", "-n", namespace.0]);
    ensure!(
        output.status.code() == Some(2) && generations(namespace.0)? == before,
        "restarted without being asked: {output:?}"
    );
    let output = run(&[
        "restart",
        "--missed",
        "-n",
        namespace.0,
        "--yes",
        "--timeout",
        "60s",
    ]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && said == "t-status/deployment.apps/missed restarted\n",
        "{output:?}"
    );
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        notes.contains("t-status/pod/alone is not restarted"),
        "{notes}"
    );
    let rows = rows(namespace.0)?;
    counts(&rows, "missed", "missed", 0)?;
    counts(&rows, "missed", "injected", 1)?;
    let injected = pods(namespace.0)?
        .iter()
        .filter(|pod| receipt(pod).is_some())
        .count();
    ensure!(injected == 2, "{injected} pods have the agent");
    let after = generations(namespace.0)?;
    let changed: Vec<_> = before
        .iter()
        .zip(&after)
        .filter(|(one, other)| one != other)
        .collect();
    ensure!(
        changed.len() == 1,
        "restarted was more than one: {before:?} {after:?}"
    );
    Ok(())
}

/// An operator's Deployment counts though it has an owner, and a Job that was labelled from the start was missed.
pub(crate) fn owned_and_immutable() -> Result {
    let namespace = Namespace::new("t-status-owned", &[])?;
    apply(&format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: owner, namespace: {}}}}}",
        namespace.0
    ))?;
    let uid = kubectl(&[
        "get",
        "configmap",
        "owner",
        "-n",
        namespace.0,
        "-o",
        "jsonpath={.metadata.uid}",
    ])?;
    let spec = "template: {metadata: {labels: {app: x}}, spec: {
    terminationGracePeriodSeconds: 0, restartPolicy: RESTART,
    containers: [{name: app, image: 'localhost/javelin-pause:1', imagePullPolicy: IfNotPresent}]}}";
    let metadata = |name: &str| {
        format!(
            "{{name: {name}, namespace: {}, labels: {{{INJECT}: 'true'}}, ownerReferences: [
  {{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}, controller: true}}]}}",
            namespace.0
        )
    };
    let deployment = format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {}, spec: {{selector: {{matchLabels: {{app: x}}}}, {}}}}}",
        metadata("owned"),
        spec.replace("RESTART", "Always"),
    );
    let job = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {}, spec: {{{}}}}}",
        metadata("once"),
        spec.replace("RESTART", "Never"),
    );
    scale(0)?;
    let missed = apply(&deployment).and_then(|_| apply(&job)).and_then(|_| {
        eventually("both were missed", SOON, || {
            let rows = rows(namespace.0)?;
            counts(&rows, "owned", "missed", 1)?;
            counts(&rows, "once", "missed", 1)
        })
    });
    scale(2)?;
    missed?;
    let output = run(&[
        "restart",
        "--missed",
        "-n",
        namespace.0,
        "--yes",
        "--timeout",
        "60s",
    ]);
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success() && notes.contains("t-status-owned/job.batch/once is not restarted"),
        "{output:?}"
    );
    counts(&rows(namespace.0)?, "owned", "injected", 1)
}

/// One that does not come up ends it, and the next one is left alone.
pub(crate) fn a_restart_stops_at_the_first_that_fails() -> Result {
    let namespace = Namespace::new("t-stop", &[])?;
    scale(0)?;
    let created = ["a", "b"]
        .iter()
        .try_for_each(|name| apply(&deployment(name, namespace.0, "")).map(|_| ()));
    let created = created.and_then(|()| {
        eventually("both were missed", SOON, || {
            let rows = rows(namespace.0)?;
            counts(&rows, "a", "missed", 1)?;
            counts(&rows, "b", "missed", 1)
        })
    });
    let before = generations(namespace.0);
    // Nobody answers still: the first is missed again, and so would the second be.
    let output = run(&[
        "restart",
        "--missed",
        "-n",
        namespace.0,
        "--yes",
        "--timeout",
        "60s",
    ]);
    let after = generations(namespace.0);
    scale(2)?;
    created?;
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1)
            && notes.contains("missed again")
            && notes.contains("not restarted: t-stop/deployment.apps/b"),
        "{output:?}"
    );
    let (before, after) = (before?, after?);
    ensure!(
        before[0] != after[0] && before[1] == after[1],
        "{before:?} {after:?}"
    );
    Ok(())
}

/// What `javelin status` counts of the workload.
fn counts(rows: &[Value], name: &str, key: &str, expected: u64) -> Result {
    let row = rows.iter().find(|row| row["name"] == name);
    let row = row.ok_or_else(|| format!("{name} has no row"))?;
    ensure!(row[key] == expected, "{key} is not {expected}: {row}");
    Ok(())
}

fn rows(namespace: &str) -> Result<Vec<Value>> {
    let output = run(&["status", "-n", namespace, "-o", "json"]);
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))
}

/// Of every Deployment, by name: it grows with each change.
fn generations(namespace: &str) -> Result<Vec<String>> {
    let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.generation}{'\\n'}{end}";
    let text = kubectl(&["get", "deployments", "-n", namespace, "-o", path])?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// With nobody at the terminal.
fn run(arguments: &[&str]) -> Output {
    let mut command = javelin(arguments);
    command
        .stdin(Stdio::null())
        .output()
        .expect("javelin starts")
}

fn deployment(name: &str, namespace: &str, more: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{
  selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}, {INJECT}: 'true'}}}}, spec: {{
    terminationGracePeriodSeconds: 0,
    containers: [{{name: app, image: 'localhost/javelin-pause:1', imagePullPolicy: IfNotPresent{more}}}]}}}}}}}}"
    )
}
