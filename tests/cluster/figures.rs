//! What the suite measures, printed at its end. Ratios where the machine's speed matters.

use std::{env, fs, sync::Mutex};

use serde_json::Value;

use crate::{
    cases::{INJECT, SOON, SYSTEM, name_of},
    kube::{Namespace, Result, ensure, eventually, kubectl, kubectl_with, pods},
};

static FIGURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints what was measured, and the image's facts that `cargo xtask test` passes on.
#[expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask test` measured the image when it wrote it"
)]
pub(crate) fn print() {
    println!("figures:");
    println!(
        "  image: {}",
        env::var("JAVELIN_IMAGE_FACTS").unwrap_or_else(|_| "not measured".to_owned())
    );
    for figure in FIGURES.lock().expect("no test panics in here").iter() {
        println!("  {figure}");
    }
    println!();
}

/// Adds a line to what is printed in the end.
pub(crate) fn add(figure: String) {
    FIGURES.lock().expect("no test panics in here").push(figure);
}

/// Measures, on the installation as the other cases left it.
pub(crate) fn take() -> Result {
    let mut figures = vec![admission_time()?];
    for pod in pods(SYSTEM)? {
        figures.push(format!(
            "start to ready: {} ms ({})",
            start_to_ready(name_of(&pod))?,
            name_of(&pod)
        ));
    }
    figures.extend(resident_memory());
    figures.into_iter().for_each(add);
    Ok(())
}

/// The API server's own word on how long the webhook takes, and how much that is of a whole pod creation.
fn admission_time() -> Result<String> {
    let namespace = Namespace::new("t-figures", &[(INJECT, "true")])?;
    let pod = |n| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p{n}, namespace: {}}}, \
                 spec: {{containers: [{{name: a, image: a, env: [{{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}}]}}]}}}}\n",
            namespace.0
        )
    };
    let batch = (0..50).map(pod).collect::<Vec<String>>().join("---\n");
    let before = Times::read()?;
    for _ in 0..4 {
        kubectl_with(&["create", "--dry-run=server"], &batch)?;
    }
    // The API server's histograms may lag a moment behind its answers.
    let after = eventually("the API server counts its calls", SOON, || {
        let now = Times::read()?;
        ensure!(
            now.webhook.1.total_cmp(&(before.webhook.1 + 200.0)).is_ge(),
            "{} calls",
            now.webhook.1 - before.webhook.1
        );
        Ok(now)
    })?;
    let mean = |before: (f64, f64), after: (f64, f64)| {
        (after.0 - before.0) / (after.1 - before.1) * 1_000.0
    };
    let (webhook, create) = (
        mean(before.webhook, after.webhook),
        mean(before.create, after.create),
    );
    Ok(format!(
        "admission, by the API server's own metrics over 200 pods: {webhook:.1} ms a pod, {:.0} % of its {create:.1} ms",
        webhook / create * 100.0
    ))
}

/// Sum of seconds and count of calls, since the API server's start.
struct Times {
    webhook: (f64, f64),
    create: (f64, f64),
}

impl Times {
    fn read() -> Result<Self> {
        let metrics = kubectl(&["get", "--raw", "/metrics"])?;
        let sum = |name: &str, labels: &[&str]| -> f64 {
            let lines = metrics
                .lines()
                .filter(|line| line.starts_with(&format!("{name}{{")));
            let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
            lines
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum()
        };
        let pair = |name: &str, labels: &[&str]| {
            (
                sum(&format!("{name}_sum"), labels),
                sum(&format!("{name}_count"), labels),
            )
        };
        Ok(Self {
            webhook: pair(
                "apiserver_admission_webhook_admission_duration_seconds",
                &["name=\"namespace-default.javelin.dev\""],
            ),
            create: pair(
                "apiserver_request_duration_seconds",
                &[
                    "resource=\"pods\"",
                    "subresource=\"\"",
                    "verb=\"POST\"",
                    "dry_run=\"All\"",
                ],
            ),
        })
    }
}

/// Between a replica's first line and the one that says that it is ready.
fn start_to_ready(pod: &str) -> Result<i64> {
    let log = kubectl(&["logs", "-n", SYSTEM, pod])?;
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let start = lines
        .first()
        .and_then(milliseconds)
        .ok_or("no first line")?;
    let ready = lines
        .iter()
        .find(|line| line.to_string().contains("\"ready\""))
        .and_then(milliseconds);
    Ok(ready.ok_or("it never said that it is ready")? - start)
}

/// The time of day of `2026-11-22T21:40:00.123456Z`.
fn milliseconds(line: &Value) -> Option<i64> {
    let (_, time) = line["timestamp"]
        .as_str()?
        .trim_end_matches('Z')
        .split_once('T')?;
    let mut parts = time.split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let (seconds, fraction) = parts.next()?.split_once('.')?;
    let seconds: i64 = seconds.parse().ok()?;
    let thousandths: i64 = fraction.get(..3)?.parse().ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + thousandths)
}

/// Of each `javelin serve` that runs on this machine: none when the cluster's nodes are elsewhere.
fn resident_memory() -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let memory = processes.filter_map(|process| {
        let command = fs::read_to_string(process.path().join("cmdline")).ok()?;
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: f64 = resident.trim().trim_end_matches(" kB").parse().ok()?;
        command
            .starts_with("/javelin\0serve")
            .then(|| format!("resident memory: {:.1} MiB", kibibytes / 1024.0))
    });
    memory.collect()
}
