//! What has to be found, each by the interface of the store that has it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testbed::kube::Cluster;
use testbed::paths::Paths;

use super::WEST;
use super::ask::{self, Stores, order, until};
use super::values::{CLUSTER, Values, need};

/// What was found, for a person to look at.
pub(super) struct Found {
    /// The trace's id: 32 hexadecimal digits.
    pub(super) trace: String,
}

impl Found {
    /// What to ask, and of whom: paths below the API server.
    pub(super) fn questions(&self) -> Vec<(&'static str, String)> {
        vec![
            ("The trace", ask::trace_path(&self.trace)),
            ("Its log lines", ask::lines_path(&of_trace(&self.trace))),
            ("Requests a second", ask::series_path(PROMETHEUS, RATE)),
            (
                "Exemplars: from a metric to its traces",
                ask::exemplars_path(PROMETHEUS, BUCKETS),
            ),
            (
                "Both clusters in the central store",
                ask::series_path(CENTRAL, "redis_up"),
            ),
        ]
    }
}

/// Orders things, and looks until everything is there. Each line that it prints is one thing that was seen.
pub(super) fn prove(paths: &Paths, cluster: &Cluster) -> Result<Found> {
    let stores = Stores { cluster };
    let trace = from_exemplar_to_trace(&stores)?;
    log_lines(&stores, &trace)?;
    printed_lines(&stores)?;
    metrics(&stores)?;
    two_clusters(&stores)?;
    dashboards(paths, &stores)?;
    Ok(Found { trace })
}

fn seen(text: &str) {
    println!("seen: {text}");
}

/// An exemplar of the duration of requests to `orders` leads to a trace with both services and both databases; its id.
fn from_exemplar_to_trace(stores: &Stores<'_>) -> Result<String> {
    let what = "an exemplar that leads to a trace with both services and both databases";
    let id = until(what, || {
        let mut said = String::new();
        for item in ["tea", "coffee", "honey"] {
            said = order(stores.cluster, item)?;
        }
        let exemplars = stores.exemplars(PROMETHEUS, BUCKETS)?;
        for exemplar in &exemplars {
            let id = exemplar.pointer("/labels/trace_id").and_then(Value::as_str);
            let id = id.context("an exemplar without a trace")?;
            let trace = stores.trace(id)?;
            if trace.is_some_and(|trace| parts_of(&trace).is_superset(&wanted())) {
                return Ok(id.to_owned());
            }
        }
        anyhow::bail!(
            "{} exemplars lead to no such trace; the last order was answered {said:?}",
            exemplars.len()
        )
    })?;
    let parts: Vec<_> = wanted().into_iter().collect();
    seen(&format!(
        "an exemplar leads to one trace with {}: {id}",
        parts.join(", ")
    ));
    Ok(id)
}

fn wanted() -> BTreeSet<String> {
    ["orders", "stock", "postgresql", "redis"]
        .map(str::to_owned)
        .into()
}

/// The services of a trace, and the databases that its spans name.
fn parts_of(trace: &Value) -> BTreeSet<String> {
    let processes = trace["processes"].as_object().into_iter().flatten();
    let services = processes.filter_map(|(_, process)| process["serviceName"].as_str());
    let spans = trace["spans"].as_array().into_iter().flatten();
    let tags = spans.flat_map(|span| span["tags"].as_array().into_iter().flatten());
    // The second is its name before semantic conventions 1.30.
    let systems = tags.filter(|tag| tag["key"] == "db.system.name" || tag["key"] == "db.system");
    let systems = systems.filter_map(|tag| tag["value"].as_str());
    services.chain(systems).map(str::to_owned).collect()
}

/// The lines that both services logged while they worked on it.
fn log_lines(stores: &Stores<'_>, trace: &str) -> Result<()> {
    let lines = until("log lines of both services by the trace's id", || {
        let lines = stores.lines(&of_trace(trace))?;
        let services = lines
            .iter()
            .filter_map(|line| line["service.name"].as_str());
        let services: BTreeSet<_> = services.collect();
        ensure!(services.len() == 2, "lines of {services:?}");
        Ok(lines)
    })?;
    let texts: Vec<_> = lines
        .iter()
        .filter_map(|line| line["_msg"].as_str())
        .collect();
    seen(&format!("its log lines: {}", texts.join(" | ")));
    Ok(())
}

/// What a pod without the agent prints comes by the node's agent, with the trace that its text names. What a pod with the
/// agent prints does not come that way: it came by OTLP already.
fn printed_lines(stores: &Stores<'_>) -> Result<()> {
    let line = until("a printed line by the trace that it names", || {
        let lines = stores.lines(&of_trace("00112233445566778899aabbccddeeff"))?;
        lines.into_iter().next().context("there is none")
    })?;
    for (key, expected) in [
        ("k8s.deployment.name", "printer"),
        ("k8s.cluster.name", CLUSTER),
    ] {
        let found = &line[key];
        ensure!(
            found == expected,
            "a printed line has {key} {found}, not {expected}: {line}"
        );
    }
    seen(
        "a line that a pod without the agent printed, with its trace, its Deployment and its cluster",
    );
    for words in ["\"orders GET\"", "\"stock GET\""] {
        let twice = stores.lines(&format!("{words} trace_id:\"\""))?;
        ensure!(
            twice.is_empty(),
            "what pods with the agent print was shipped, too: {twice:?}"
        );
    }
    Ok(())
}

/// Rate, errors, duration, JVMs, who calls whom, and both exporters.
fn metrics(stores: &Stores<'_>) -> Result<()> {
    let of_cluster =
        format!("target_info{{k8s_cluster_name=\"{CLUSTER}\", service_name=\"stock\"}}");
    let calls = |server: &str| {
        format!("traces_service_graph_request_total{{client=\"stock\", server=\"{server}\"}}")
    };
    for (what, query) in [
        ("requests a second", RATE),
        ("latency", LATENCY),
        (
            "the heap of a JVM",
            "jvm_memory_used_bytes{service_name=\"stock\", jvm_memory_type=\"heap\"}",
        ),
        ("the cluster's name on what agents send", &of_cluster),
        (
            "orders calls stock",
            "traces_service_graph_request_total{client=\"orders\", server=\"stock\"}",
        ),
        ("stock calls PostgreSQL", &calls("shop")),
        ("stock calls Redis", &calls("redis")),
        ("PostgreSQL by its exporter", "pg_up == 1"),
        ("Redis by its exporter", "redis_up == 1"),
    ] {
        some_series(stores, PROMETHEUS, what, query)?;
    }
    Ok(())
}

/// By remote write, each with its own external label; exemplars, too.
fn two_clusters(stores: &Stores<'_>) -> Result<()> {
    for cluster in [CLUSTER, WEST] {
        let query = format!("redis_up{{cluster=\"{cluster}\"}}");
        let what = format!("the cluster {cluster} in the central store");
        some_series(stores, CENTRAL, &what, &query)?;
    }
    let exemplars = until("exemplars in the central store", || {
        order(stores.cluster, "tea")?;
        let exemplars = stores.exemplars(CENTRAL, BUCKETS)?;
        ensure!(!exemplars.is_empty(), "there is none");
        Ok(exemplars.len())
    })?;
    seen(&format!("{exemplars} exemplars in the central store"));
    Ok(())
}

/// Every query of the dashboards, and of the links from a trace to metrics, has data. For that one item makes stock fail
/// meanwhile.
fn dashboards(paths: &Paths, stores: &Stores<'_>) -> Result<()> {
    let queries = dashboard_queries(paths)?;
    ensure!(
        queries.len() > 10,
        "only {} queries were found",
        queries.len()
    );
    // No number: stock answers 500, for the panel of errors.
    redis(stores.cluster, "set pieces:honey spoilt ex 600")?;
    let outcome = queries.iter().try_for_each(|(what, query)| {
        let query = query
            .replace("$__rate_interval", "2m")
            .replace("$$__tags", "service_name=\"orders\"")
            .replace("$namespace", ".*")
            .replace("$service", ".*");
        until(&format!("data for {what}: {query}"), || {
            for item in ["honey", "tea", "nothing"] {
                order(stores.cluster, item)?;
            }
            let series = stores.series(PROMETHEUS, &query)?;
            ensure!(series.iter().any(is_number), "no data: {series:?}");
            Ok(())
        })
    });
    redis(stores.cluster, "del pieces:honey")?;
    outcome?;
    seen(&format!(
        "data for each of {} queries of dashboards, and of links from a trace to metrics",
        queries.len()
    ));
    Ok(())
}

/// Queries, each with the panel or the link that has it.
fn dashboard_queries(paths: &Paths) -> Result<Vec<(String, String)>> {
    let mut queries = Vec::new();
    for file in ["dashboards/http.json", "dashboards/jvm.json"] {
        let path = paths.root().join("deploy/stack").join(file);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let dashboard: Value = serde_json::from_str(&text).with_context(|| file.to_owned())?;
        for panel in dashboard["panels"].as_array().context("no panels")? {
            let title = panel["title"].as_str().unwrap_or_default();
            let targets = panel["targets"].as_array().into_iter().flatten();
            let expressions = targets.filter_map(|target| target["expr"].as_str());
            queries.extend(expressions.map(|query| (format!("{file}: {title}"), query.to_owned())));
        }
    }
    let file = "values/kube-prometheus-stack.yaml";
    let grafana = Values::new(paths).read(file)?;
    let sources = need(&grafana, file, "/grafana/additionalDataSources")?.as_array();
    let links = sources
        .into_iter()
        .flatten()
        .filter_map(|source| source["jsonData"]["tracesToMetrics"]["queries"].as_array());
    queries.extend(links.flatten().filter_map(|link| {
        let name = link["name"].as_str().unwrap_or_default();
        let query = link["query"].as_str()?.to_owned();
        Some((format!("from a trace to {name}"), query))
    }));
    Ok(queries)
}

/// A command of Redis'; an error of its own is one here.
fn redis(cluster: &Cluster, command: &str) -> Result<()> {
    let command = format!("redis-cli -e --pass example --no-auth-warning {command}");
    let place = ["exec", "--namespace=shop", "deployment/redis", "--"];
    cluster.kubectl(&[&place[..], &["sh", "-c", &command]].concat())?;
    Ok(())
}

fn some_series(stores: &Stores<'_>, service: &str, what: &str, query: &str) -> Result<()> {
    let series = until(&format!("{what}: {query}"), || {
        let said = order(stores.cluster, "tea")?;
        let mut series = stores.series(service, query)?.into_iter();
        // A rate is 0 before its second sample.
        let some = series.find(|series| is_number(series) && series["value"][1] != "0");
        some.with_context(|| format!("no such series; an order was answered {said:?}"))
    })?;
    let value = series["value"][1].as_str().unwrap_or_default();
    seen(&format!("{what}: {value}"));
    Ok(())
}

/// A share of nothing is none.
fn is_number(series: &Value) -> bool {
    let value = series["value"][1].as_str().unwrap_or_default();
    value.parse::<f64>().is_ok_and(|value| !value.is_nan())
}

/// The lines of a trace, as the store of log lines is asked for them.
fn of_trace(id: &str) -> String {
    format!("trace_id:={id}")
}

const PROMETHEUS: &str = "kps-prometheus";
const CENTRAL: &str = "thanos-query";
const RATE: &str = "sum by (service_name) (rate(http_server_request_duration_seconds_count{service_name=\"orders\"}[2m]))";
const LATENCY: &str =
    "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[2m])))";
const BUCKETS: &str = "http_server_request_duration_seconds_bucket{service_name=\"orders\"}";
