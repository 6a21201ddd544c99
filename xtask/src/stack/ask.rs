//! Questions to the stores, through the API server: no port of the cluster is open to this machine.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testbed::kube::Cluster;

use super::NAMESPACE;

/// The stores by the Services that the values talk to.
pub(super) struct Stores<'a> {
    pub(super) cluster: &'a Cluster,
}

impl Stores<'_> {
    /// A trace, with its spans and their processes; nothing where it is not known.
    pub(super) fn trace(&self, id: &str) -> Result<Option<Value>> {
        // It answers 404 for a trace that it has not got, and kubectl fails with that.
        let Ok(answer) = self.cluster.kubectl(&["get", "--raw", &trace_path(id)]) else {
            return Ok(None);
        };
        let answer: Value = serde_json::from_str(&answer).context("Jaeger gave no JSON")?;
        Ok(answer.pointer("/data/0").cloned())
    }

    /// The newest traces that a service is in.
    pub(super) fn traces_of(&self, service: &str) -> Result<Vec<Value>> {
        let path = format!("{TRACES}/api/traces?service={service}&limit=40");
        let answer = self.json(&path)?;
        let traces = answer.get("data").and_then(Value::as_array);
        Ok(traces.cloned().unwrap_or_default())
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

    /// Exemplars, each with its labels.
    pub(super) fn exemplars(&self, query: &str) -> Result<Vec<Value>> {
        let answer = self.json(&exemplars_path(query))?;
        let series = answer.get("data").and_then(Value::as_array).cloned();
        let exemplars = series.unwrap_or_default().into_iter().flat_map(|series| {
            let exemplars = series.get("exemplars").and_then(Value::as_array);
            exemplars.cloned().unwrap_or_default()
        });
        Ok(exemplars.collect())
    }

    /// An answer of the shop's, whatever its status is.
    pub(super) fn order(&self, item: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/shop/services/orders:http/proxy/order/{item}");
        // An error of the shop's is one of kubectl's, and some orders are meant to fail.
        self.cluster
            .kubectl_command()
            .args(["get", "--raw", &path])
            .output()?;
        Ok(())
    }

    fn json(&self, path: &str) -> Result<Value> {
        let answer = self.raw(path)?;
        serde_json::from_str(&answer).with_context(|| format!("{path} gave no JSON: {answer}"))
    }

    fn raw(&self, path: &str) -> Result<String> {
        self.cluster.kubectl(&["get", "--raw", path])
    }
}

pub(super) fn trace_path(id: &str) -> String {
    format!("{TRACES}/api/traces/{id}")
}

pub(super) fn lines_path(query: &str) -> String {
    format!(
        "{LINES}/select/logsql/query?limit=100&query={}",
        encoded(query)
    )
}

pub(super) fn series_path(service: &str, query: &str) -> String {
    format!(
        "{}/api/v1/query?query={}",
        service_path(service),
        encoded(query)
    )
}

/// Those of any time: the store keeps the newest ones alone.
pub(super) fn exemplars_path(query: &str) -> String {
    format!(
        "{}/api/v1/query_exemplars?start=0&end=9999999999&query={}",
        service_path("kps-prometheus"),
        encoded(query)
    )
}

fn service_path(service: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/services/{service}:http/proxy")
}

/// For a query of an address: what is not a letter or a digit is written by its bytes.
fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    bytes.collect()
}

/// Asks until there is an answer. An error is told when the time is over, and asked again before.
pub(super) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_mins(3);
    loop {
        let answer = ask();
        if let Ok(Some(answer)) = answer {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            answer.with_context(|| format!("{what}: not within three minutes"))?;
            bail!("{what}: not within three minutes");
        }
        sleep(Duration::from_millis(500));
    }
}

const TRACES: &str = "/api/v1/namespaces/observability/services/tempo:query/proxy";
const LINES: &str = "/api/v1/namespaces/observability/services/loki:http/proxy";

#[cfg(test)]
mod tests {
    #[test]
    fn a_query_keeps_nothing_that_an_address_has_a_meaning_for() {
        assert_eq!(super::encoded("a{b=\"c\"}&d"), "a%7Bb%3D%22c%22%7D%26d");
    }
}
