//! From the values of `deploy/stack` to what the programs themselves read.
//!
//! The Collectors' configurations are in the values as they are. That of Prometheus is not: its operator makes it from a
//! resource, and no operator runs here. A key of `prometheusSpec` that is unknown here is an error, so that none is left
//! untested silently.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use testbed::paths::Paths;

/// The files of `deploy/stack`.
pub(super) struct Values {
    folder: PathBuf,
}

impl Values {
    pub(super) fn new(paths: &Paths) -> Self {
        let folder = paths.root().join("deploy/stack");
        Self { folder }
    }

    /// Where a file is, for Helm.
    pub(super) fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// A file with one document.
    pub(super) fn read(&self, file: &str) -> Result<Value> {
        let [document] = <[Value; 1]>::try_from(self.read_all(file)?)
            .map_err(|all| anyhow::anyhow!("{file} has {} documents, not one", all.len()))?;
        Ok(document)
    }

    /// A file with any number of documents.
    pub(super) fn read_all(&self, file: &str) -> Result<Vec<Value>> {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("failed to read {}: is the checkout whole?", path.display())
        })?;
        let documents = text.split("\n---\n").map(serde_saphyr::from_str);
        documents
            .collect::<Result<_, _>>()
            .with_context(|| format!("{file} is not YAML"))
    }

    /// The Collector's configuration from the values. Only the address for log lines changes, because VictoriaLogs has
    /// another path.
    pub(super) fn collector(&self, file: &str) -> Result<Value> {
        let values = self.read(file)?;
        let mut config = need(&values, file, "/alternateConfig")?.clone();
        if let Some(exporter) = config.pointer_mut("/exporters/otlp_http~1logs") {
            let endpoint = &exporter["endpoint"];
            ensure!(
                endpoint == LOKI_OTLP,
                "{file} sends log lines to {endpoint}, and {LOKI_OTLP} is expected"
            );
            exporter["endpoint"] = json!(VICTORIA_LOGS_OTLP);
        }
        Ok(config)
    }

    /// How Prometheus is started and what it reads, with the external labels of a cluster.
    pub(super) fn prometheus(&self, cluster: &str) -> Result<Prometheus> {
        let (own, overlay) = (
            "values/kube-prometheus-stack.yaml",
            format!("clusters/{CLUSTER}/kube-prometheus-stack.yaml"),
        );
        let mut values = self.read(own)?;
        // As Helm merges values files.
        json_patch::merge(&mut values, &self.read(&overlay)?);
        // Both servers use this overlay; only the cluster's name differs.
        let label = "/prometheus/prometheusSpec/externalLabels/cluster";
        let label = values.pointer_mut(label);
        *label.with_context(|| format!("{overlay} names no cluster"))? = json!(cluster);
        let spec = need(&values, own, "/prometheus/prometheusSpec")?.as_object();
        let mut prometheus = Prometheus::default();
        for (key, value) in spec.context("prometheusSpec is no object")? {
            prometheus
                .take(key, value)
                .with_context(|| format!("prometheusSpec.{key} of {own} or {overlay}"))?;
        }
        Ok(prometheus)
    }
}

/// What has to be in a file at a JSON pointer.
pub(super) fn need<'a>(values: &'a Value, file: &str, pointer: &str) -> Result<&'a Value> {
    let found = values.pointer(pointer).filter(|found| !found.is_null());
    found.with_context(|| format!("{file} has nothing at {pointer}"))
}

/// How a Prometheus is started.
#[derive(Debug)]
pub(super) struct Prometheus {
    pub(super) flags: Vec<String>,
    pub(super) config: Value,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            flags: Vec::new(),
            config: json!({ "global": { "scrape_interval": "5s" } }),
        }
    }
}

impl Prometheus {
    /// What the operator makes of a key of its resource `Prometheus`.
    fn take(&mut self, key: &str, value: &Value) -> Result<()> {
        match key {
            "enableOTLPReceiver" => {
                ensure!(value == true, "the Collector's metrics would be refused");
                self.flags.push("--web.enable-otlp-receiver".to_owned());
            }
            "enableFeatures" => {
                let features = value.as_array().context("not a list")?;
                let features = features.iter().filter_map(Value::as_str);
                let features = features.collect::<Vec<_>>().join(",");
                self.flags.push(format!("--enable-feature={features}"));
            }
            "retention" => self.flag("storage.tsdb.retention.time", value)?,
            "retentionSize" => self.flag("storage.tsdb.retention.size", value)?,
            "otlp" => self.set("otlp", snake_case(value)),
            "tsdb" => self.set_in("storage", "tsdb", snake_case(value)),
            "exemplars" => {
                let size = value.get("maxSize").context("no maxSize")?;
                self.set_in("storage", "exemplars", json!({ "max_exemplars": size }));
            }
            "externalLabels" => self.set_in("global", "external_labels", value.clone()),
            "remoteWrite" => {
                let writes = value.as_array().context("not a list")?;
                let writes = writes.iter().map(to_thanos).collect::<Result<Vec<_>>>()?;
                self.set("remote_write", Value::Array(writes));
            }
            // Only the operator or Kubernetes reads these.
            "serviceMonitorSelectorNilUsesHelmValues"
            | "podMonitorSelectorNilUsesHelmValues"
            | "ruleSelectorNilUsesHelmValues"
            | "probeSelectorNilUsesHelmValues"
            | "scrapeConfigSelectorNilUsesHelmValues"
            | "storageSpec"
            | "resources" => {}
            _ => bail!("`cargo xtask stack` does not know it: say in values.rs what becomes of it"),
        }
        Ok(())
    }

    fn flag(&mut self, name: &str, value: &Value) -> Result<()> {
        let value = value.as_str().context("not a text")?;
        self.flags.push(format!("--{name}={value}"));
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value) {
        self.config[key] = value;
    }

    fn set_in(&mut self, section: &str, key: &str, value: Value) {
        self.config[section][key] = value;
    }
}

/// The values write to a remote store with a password; here Thanos is in the same namespace.
fn to_thanos(write: &Value) -> Result<Value> {
    let mut write = write.as_object().context("not an object")?.clone();
    let url = write.get("url").and_then(Value::as_str).unwrap_or_default();
    let path = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'));
    let (_, path) = path.with_context(|| format!("{url} has no path"))?;
    let url = json!(format!("http://thanos-receive:19291/{path}"));
    write.insert("url".to_owned(), url);
    write.remove("basicAuth");
    Ok(snake_case(&Value::Object(write)))
}

/// Keys as Prometheus writes them. Not for maps with keys of a person's choice, such as `externalLabels`.
fn snake_case(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| (snake(key), snake_case(value)));
            Value::Object(members.collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(snake_case).collect()),
        other => other.clone(),
    }
}

fn snake(key: &str) -> String {
    let mut snake = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The overlay in `clusters/` that is run.
pub(super) const CLUSTER: &str = "example";

const LOKI_OTLP: &str = "http://loki:3100/otlp";
const VICTORIA_LOGS_OTLP: &str = "http://loki:3100/insert/opentelemetry";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_those_of_prometheus() {
        let spec = json!({ "outOfOrderTimeWindow": "30m", "list": [{ "sourceLabels": ["a"] }] });
        let expected =
            json!({ "out_of_order_time_window": "30m", "list": [{ "source_labels": ["a"] }] });
        assert_eq!(snake_case(&spec), expected);
    }

    #[test]
    fn a_key_that_nobody_tries_is_told() {
        let error = Prometheus::default().take("scrapeInterval", &json!("1m"));
        assert!(error.unwrap_err().to_string().contains("values.rs"));
    }

    #[test]
    fn the_values_of_this_checkout_are_understood() {
        let paths = Paths::from_environment().unwrap();
        let values = Values::new(&paths);
        let prometheus = values.prometheus("west").unwrap();
        assert_eq!(
            prometheus.config["global"]["external_labels"]["cluster"],
            "west"
        );
        assert_eq!(
            prometheus.config["otlp"]["keep_identifying_resource_attributes"],
            true
        );
        assert_eq!(
            prometheus.config["remote_write"][0]["url"],
            "http://thanos-receive:19291/api/v1/receive"
        );
        let gateway = values.collector("values/opentelemetry-collector.yaml");
        let logs = gateway.unwrap()["exporters"]["otlp_http/logs"]["endpoint"].clone();
        assert_eq!(logs, VICTORIA_LOGS_OTLP);
        values
            .collector("values/opentelemetry-collector-node.yaml")
            .unwrap();
    }
}
