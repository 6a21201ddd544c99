//! Questions to the stores, through the API server: no port of the cluster is open to this machine.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testbed::kube::Cluster;
use testbed::promql::encoded;

use super::NAMESPACE;

/// The stores by the Services that the values talk to.
pub(super) struct Stores<'a> {
    pub(super) cluster: &'a Cluster,
}

impl Stores<'_> {
    /// A trace, with its spans and their processes; nothing where it is not known.
    pub(super) fn trace(&self, id: &str) -> Result<Option<Value>> {
        let path = trace_path(id);
        let mut command = self.cluster.kubectl_command();
        let output = command.args(["get", "--raw", &path]).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            // Jaeger answers 404 for a trace that it does not have.
            if said.contains("NotFound") {
                return Ok(None);
            }
            bail!("{path}: {said}");
        }
        let answer: Value =
            serde_json::from_slice(&output.stdout).context("Jaeger gave no JSON")?;
        Ok(answer.pointer("/data/0").cloned())
    }

    /// Log lines, by a query in the store's own language.
    pub(super) fn lines(&self, query: &str) -> Result<Vec<Value>> {
        let answer = self.raw(&lines_path(query))?;
        let lines = answer.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .context("the store of log lines gave no JSON")
    }

    /// What PromQL gives now: each series with its labels and its value.
    pub(super) fn series(&self, service: &str, query: &str) -> Result<Vec<Value>> {
        let answer = self.json(&series_path(service, query))?;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        Ok(result
            .with_context(|| format!("{query}: {answer}"))?
            .clone())
    }

    /// The exemplars of a query, each with its labels.
    pub(super) fn exemplars(&self, service: &str, query: &str) -> Result<Vec<Value>> {
        let answer = self.json(&exemplars_path(service, query))?;
        let series = answer.get("data").and_then(Value::as_array).cloned();
        let exemplars = series.unwrap_or_default().into_iter().flat_map(|series| {
            let exemplars = series.get("exemplars").and_then(Value::as_array);
            exemplars.cloned().unwrap_or_default()
        });
        Ok(exemplars.collect())
    }

    fn json(&self, path: &str) -> Result<Value> {
        let answer = self.raw(path)?;
        serde_json::from_str(&answer).with_context(|| format!("{path} gave no JSON: {answer}"))
    }

    fn raw(&self, path: &str) -> Result<String> {
        self.cluster.kubectl(&["get", "--raw", path])
    }
}

/// Orders something, and gives what the shop said. Some orders are meant to fail, and an error of the shop's is one of
/// kubectl's.
pub(super) fn order(cluster: &Cluster, item: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/shop/services/orders:http/proxy/order/{item}");
    let mut command = cluster.kubectl_command();
    let output = command.args(["get", "--raw", &path]).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

pub(super) fn trace_path(id: &str) -> String {
    format!("{}/api/traces/{id}", service_path("tempo", "query"))
}

pub(super) fn lines_path(query: &str) -> String {
    format!(
        "{}/select/logsql/query?limit=100&query={}",
        service_path("loki", "http"),
        encoded(query)
    )
}

pub(super) fn series_path(service: &str, query: &str) -> String {
    format!(
        "{}/api/v1/query?query={}",
        service_path(service, "http"),
        encoded(query)
    )
}

/// Without a range of time: Prometheus keeps only the newest exemplars anyway.
pub(super) fn exemplars_path(service: &str, query: &str) -> String {
    format!(
        "{}/api/v1/query_exemplars?start=0&end=9999999999&query={}",
        service_path(service, "http"),
        encoded(query)
    )
}

fn service_path(service: &str, port: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/services/{service}:{port}/proxy")
}

/// Retries until there is an answer; the last error is returned after three minutes.
pub(super) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_mins(3);
    loop {
        let answer = ask();
        if answer.is_ok() || Instant::now() > deadline {
            return answer.with_context(|| format!("{what}: not within three minutes"));
        }
        sleep(Duration::from_millis(500));
    }
}
