//! What has to be found, each by the interface of the store that has it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testbed::kube::Cluster;
use testbed::paths::Paths;

use super::WEST;
use super::ask::{self, Stores, until};
use super::values::{CLUSTER, Values};

/// What was found, for a person to look at.
pub(super) struct Found {
    /// Its id: 32 hexadecimal digits.
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
                ask::exemplars_path(BUCKETS),
            ),
            (
                "Both clusters in the central store",
                ask::series_path("thanos-query", "redis_up"),
            ),
        ]
    }
}

/// Orders things, and looks until everything is there. Each line that it prints is one thing that was seen.
pub(super) fn prove(paths: &Paths, cluster: &Cluster) -> Result<Found> {
    let stores = Stores { cluster };
    let trace = whole_trace(&stores)?;
    log_lines(&stores, &trace)?;
    printed_lines(&stores)?;
    metrics(&stores)?;
    exemplar(&stores)?;
    exporters(&stores)?;
    two_clusters(&stores)?;
    dashboards(paths, &stores)?;
    Ok(Found { trace })
}

fn seen(text: &str) {
    println!("seen: {text}");
}

/// One trace in which both services and both databases are; its id.
fn whole_trace(stores: &Stores<'_>) -> Result<String> {
    let found = until("a trace with both services and both databases", || {
        for item in ["tea", "coffee", "honey"] {
            stores.order(item)?;
        }
        let traces = stores.traces_of("orders")?;
        Ok(traces
            .into_iter()
            .find(|trace| parts_of(trace).is_superset(&wanted())))
    })?;
    let id = found["traceID"].as_str().context("a trace without an id")?;
    seen(&format!(
        "one trace with {}: {id}",
        wanted().into_iter().collect::<Vec<_>>().join(", ")
    ));
    Ok(id.to_owned())
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

/// The lines that both services logged while they worked on it, and each once.
fn log_lines(stores: &Stores<'_>, trace: &str) -> Result<()> {
    let lines = until("log lines of both services by the trace's id", || {
        let lines = stores.lines(&of_trace(trace))?;
        let services: BTreeSet<_> = lines
            .iter()
            .filter_map(|line| line["service.name"].as_str())
            .collect();
        Ok((services.len() == 2).then_some(lines))
    })?;
    let texts: Vec<_> = lines
        .iter()
        .filter_map(|line| line["_msg"].as_str())
        .collect();
    let distinct: BTreeSet<_> = texts.iter().collect();
    ensure!(
        texts.len() == distinct.len(),
        "a line came twice: {texts:?}"
    );
    seen(&format!("its log lines: {}", texts.join(" | ")));
    // What the same pods print is left out on the node.
    let printed = stores.lines("\"orders GET\" trace_id:\"\"")?;
    ensure!(
        printed.is_empty(),
        "printed lines of pods with the agent were shipped, too: {printed:?}"
    );
    Ok(())
}

/// What a pod without the agent prints comes by the node's agent, with the trace that its text names.
fn printed_lines(stores: &Stores<'_>) -> Result<()> {
    let line = until("a printed line by the trace that it names", || {
        let lines = stores.lines(&of_trace("00112233445566778899aabbccddeeff"))?;
        Ok(lines.into_iter().next())
    })?;
    for (key, expected) in [
        ("k8s.deployment.name", "printer"),
        ("k8s.cluster.name", CLUSTER),
    ] {
        ensure!(
            line[key] == expected,
            "a printed line has {key} {}, not {expected}: {line}",
            line[key]
        );
    }
    seen(
        "a line that a pod without the agent printed, with its trace, its Deployment and its cluster",
    );
    Ok(())
}

/// Rate, errors, duration, JVMs, and who calls whom.
fn metrics(stores: &Stores<'_>) -> Result<()> {
    let of_cluster =
        format!("target_info{{k8s_cluster_name=\"{CLUSTER}\", service_name=\"stock\"}}");
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
        (
            "stock calls PostgreSQL",
            "traces_service_graph_request_total{client=\"stock\", server=\"shop\"}",
        ),
        (
            "stock calls Redis",
            "traces_service_graph_request_total{client=\"stock\", server=~\"redis.*\"}",
        ),
    ] {
        some_series(stores, PROMETHEUS, what, query)?;
    }
    Ok(())
}

/// An exemplar of a request's duration leads to a trace that the other store has.
fn exemplar(stores: &Stores<'_>) -> Result<()> {
    let id = until("an exemplar whose trace is known", || {
        stores.order("tea")?;
        for exemplar in stores.exemplars(BUCKETS)? {
            let id = exemplar
                .pointer("/labels/trace_id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !id.is_empty() && stores.trace(id)?.is_some() {
                return Ok(Some(id.to_owned()));
            }
        }
        Ok(None)
    })?;
    seen(&format!(
        "an exemplar of a request's duration that leads to the trace {id}"
    ));
    Ok(())
}

fn exporters(stores: &Stores<'_>) -> Result<()> {
    for (what, query) in [
        ("PostgreSQL by its exporter", "pg_up == 1"),
        ("Redis by its exporter", "redis_up == 1"),
    ] {
        some_series(stores, PROMETHEUS, what, query)?;
    }
    Ok(())
}

/// By remote write, each with its own external label.
fn two_clusters(stores: &Stores<'_>) -> Result<()> {
    for cluster in [CLUSTER, WEST] {
        let query = format!("redis_up{{cluster=\"{cluster}\"}}");
        let what = format!("the cluster {cluster} in the central store");
        some_series(stores, "thanos-query", &what, &query)?;
    }
    Ok(())
}

/// Every query of the dashboards, and of the links from a trace to metrics, has data.
fn dashboards(paths: &Paths, stores: &Stores<'_>) -> Result<()> {
    let mut queries = Vec::new();
    for file in ["dashboards/http.json", "dashboards/jvm.json"] {
        let text = fs::read_to_string(paths.root().join("deploy/stack").join(file))?;
        let dashboard: Value = serde_json::from_str(&text).with_context(|| file.to_owned())?;
        let panels = dashboard["panels"].as_array().context("no panels")?;
        for panel in panels {
            let targets = panel["targets"].as_array().into_iter().flatten();
            let title = panel["title"].as_str().unwrap_or_default();
            queries.extend(
                targets
                    .filter_map(|target| target["expr"].as_str())
                    .map(|query| (format!("{file}: {title}"), query.to_owned())),
            );
        }
    }
    let grafana = Values::new(paths).read("values/kube-prometheus-stack.yaml")?;
    let sources = grafana["grafana"]["additionalDataSources"]
        .as_array()
        .context("no data sources")?;
    let links = sources
        .iter()
        .filter_map(|source| source["jsonData"]["tracesToMetrics"]["queries"].as_array());
    queries.extend(links.flatten().filter_map(|link| {
        let name = link["name"].as_str().unwrap_or_default();
        Some((
            format!("from a trace to {name}"),
            link["query"].as_str()?.to_owned(),
        ))
    }));
    ensure!(
        queries.len() > 10,
        "only {} queries were found",
        queries.len()
    );

    // A number that is none makes stock fail.
    let password = "--pass example --no-auth-warning";
    let spoil = format!("redis-cli {password} set pieces:honey spoilt");
    stores.cluster.kubectl(&[
        "exec",
        "--namespace=shop",
        "deployment/redis",
        "--",
        "sh",
        "-c",
        &spoil,
    ])?;
    let count = queries.len();
    for (what, query) in queries {
        let query = query
            .replace("$__rate_interval", "2m")
            .replace("$$__tags", "service_name=\"orders\"")
            .replace("$namespace", ".*")
            .replace("$service", ".*");
        until(&format!("data for {what}: {query}"), || {
            for item in ["honey", "tea", "nothing"] {
                stores.order(item)?;
            }
            Ok(stores.series(PROMETHEUS, &query)?.into_iter().next())
        })?;
    }
    seen(&format!(
        "data for each of {count} queries of dashboards and data sources"
    ));
    Ok(())
}

fn some_series(stores: &Stores<'_>, service: &str, what: &str, query: &str) -> Result<()> {
    let series = until(&format!("{what}: {query}"), || {
        stores.order("tea")?;
        let series = stores.series(service, query)?.into_iter();
        // A rate is 0 before its second sample, and a share of nothing is no number.
        Ok(series
            .into_iter()
            .find(|series| !matches!(series["value"][1].as_str(), Some("0" | "NaN"))))
    })?;
    let value = series["value"][1].as_str().unwrap_or_default();
    seen(&format!("{what}: {value}"));
    Ok(())
}

/// The lines of a trace, as the store of log lines is asked for them.
fn of_trace(id: &str) -> String {
    format!("trace_id:={id}")
}

const PROMETHEUS: &str = "kps-prometheus";
const RATE: &str = "sum by (service_name) (rate(http_server_request_duration_seconds_count{service_name=\"orders\"}[2m]))";
const LATENCY: &str =
    "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[2m])))";
const BUCKETS: &str = "http_server_request_duration_seconds_bucket";
