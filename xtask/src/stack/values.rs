//! From the values of `deploy/stack` to what the programs themselves read.
//!
//! The Collectors' configurations are in the values as they are. That of Prometheus is not: its operator makes it from a
//! resource, and no operator runs here. A key of the values that is unknown here is an error, so that none is left untested
//! without a word.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};
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

    /// What a Collector reads: the values' own, less the one address that another store of log lines has.
    pub(super) fn collector(&self, file: &str) -> Result<Value> {
        let values = self.read(file)?;
        let config = values.get("alternateConfig");
        let mut config = config
            .with_context(|| format!("{file} has no alternateConfig"))?
            .clone();
        if let Some(endpoint) = config.pointer_mut("/exporters/otlp_http~1logs/endpoint") {
            ensure!(
                endpoint == LOKI_OTLP,
                "{file} sends log lines to {endpoint}, and {LOKI_OTLP} is expected"
            );
            *endpoint = json!(VICTORIA_LOGS_OTLP);
        }
        Ok(config)
    }

    /// How Prometheus is started and what it reads, with the external labels of a cluster.
    pub(super) fn prometheus(&self, cluster: &str) -> Result<Prometheus> {
        let own = self.read("values/kube-prometheus-stack.yaml")?;
        let spec = section(&own, "/prometheus/prometheusSpec")?;
        let mut prometheus = Prometheus::default();
        for (key, value) in spec {
            prometheus
                .take(key, value)
                .with_context(|| format!("prometheusSpec.{key} of the values"))?;
        }
        let file = format!("clusters/{CLUSTER}/kube-prometheus-stack.yaml");
        let overlay = self.read(&file)?;
        for (key, value) in section(&overlay, "/prometheus/prometheusSpec")? {
            prometheus
                .take(key, value)
                .with_context(|| format!("prometheusSpec.{key} of {file}"))?;
        }
        // The overlay's own name is that of the first; the other's is all that differs.
        let labels = prometheus
            .config
            .pointer_mut("/global/external_labels/cluster");
        *labels.with_context(|| format!("{file} names no cluster"))? = json!(cluster);
        Ok(prometheus)
    }
}

fn section<'a>(values: &'a Value, pointer: &str) -> Result<&'a Map<String, Value>> {
    let section = values.pointer(pointer).and_then(Value::as_object);
    section.with_context(|| format!("there is no {pointer} in the values"))
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
            // Which monitors there are is the operator's, and what a pod has is Kubernetes'.
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

/// An entry of the values for a central store elsewhere, which wants a password: here it is next door.
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

/// Keys as Prometheus writes them. Those of maps that a person names do not come here.
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

/// The overlay that is tried.
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
        for file in [
            "values/opentelemetry-collector.yaml",
            "values/opentelemetry-collector-node.yaml",
        ] {
            values.collector(file).unwrap();
        }
    }
}
