//! `cargo xtask stack`: the whole picture of `deploy/stack` on a real cluster, from a labelled shop to one trace, its log
//! lines and its metrics.
//!
//! The Collectors, Prometheus, the exporters and Thanos are real, and run with what the values say. Tempo and Loki are not
//! here: Jaeger and VictoriaLogs stand in for them behind the same exporters of the Collector. Grafana and Prometheus'
//! operator are not here either: the queries of dashboards and of links from traces to metrics are asked of Prometheus,
//! and what it scrapes it is told by address.

#![expect(
    clippy::indexing_slicing,
    reason = "reading a missing key of JSON gives null, and we only write into objects that we made or read from this checkout"
)]

mod ask;
mod page;
mod parts;
mod proof;
mod values;

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::cluster;
use testbed::images;
use testbed::kube::Cluster;
use testbed::paths::Paths;
use testbed::process::{output, write};
use testbed::progress::{self, Hint};
use testbed::toolchain::Tool;

use crate::demo::wait_for_webhook;
use page::Page;
use values::{CLUSTER, Values};

/// Sets everything up on a fresh cluster of our own, looks for what has to be found, and takes it away.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let cluster = own_cluster(paths)?;
    let outcome = set_up(paths, &cluster).and_then(|()| {
        let found = proof::prove(paths, &cluster)?;
        Page::serve(paths, &cluster)?.check(&found)
    });
    let outcome = outcome.with_context(|| match keep_logs(paths, &cluster) {
        Ok(file) => format!("how things were is in {file}"),
        Err(error) => format!("how things were cannot be told: {error:#}"),
    });
    let removed = cluster::down(paths);
    outcome?;
    removed
}

/// The same for a person: with links and queries, and a page that shows a trace with its log lines and metrics, until they
/// end it.
pub(crate) fn show(paths: &Paths) -> Result<()> {
    let start = Instant::now();
    let cluster = own_cluster(paths)?;
    let stays = format!(
        "the cluster stays up; to look at it:\n{}\n# to end it: cargo xtask cluster down",
        cluster.shell_lines()
    );
    let found = set_up(paths, &cluster).and_then(|()| proof::prove(paths, &cluster));
    let found = found.with_context(|| stays.clone())?;
    println!("\nReady after {} s.", start.elapsed().as_secs());
    let page = Page::serve(paths, &cluster)?;
    page.tell(&found);
    println!("\nControl-C ends the page, and {stays}");
    page.wait()
}

/// This installs cluster-wide objects, and fills all of a node: it takes no cluster that somebody uses.
fn own_cluster(paths: &Paths) -> Result<Cluster> {
    if let Some(theirs) = Cluster::from_env(paths)? {
        ensure!(
            theirs.is_ours(),
            "KUBECONFIG names a cluster: unset it, because this starts its own"
        );
    }
    ensure!(
        !cluster::status(paths)?.is_up(),
        "a cluster is up already: end it with `cargo xtask cluster down`, because this starts its own"
    );
    cluster::up(paths)
}

/// The databases first: their image fails on a machine that is not Debian's, and all else takes half an hour.
fn load_images(paths: &Paths, cluster: &Cluster) -> Result<()> {
    cluster.load_image(&images::databases(paths)?)?;
    for (tool, program) in [
        (Tool::StackCollector, "otelcol-contrib"),
        (Tool::VictoriaLogs, "victoria-logs"),
        (Tool::Thanos, "thanos"),
        (Tool::Prometheus, "prometheus"),
        (Tool::Jaeger, "jaeger"),
    ] {
        cluster.load_image(&images::tool(paths, tool, program)?)?;
    }
    for image in [
        images::javelin(paths)?,
        images::shop(paths)?,
        images::shop_with_databases(paths)?,
    ] {
        cluster.load_image(&image)?;
    }
    Ok(())
}

/// Installs the stack, the shop and Javelin, and then labels and restarts the shop, as a person does.
fn set_up(paths: &Paths, cluster: &Cluster) -> Result<()> {
    load_images(paths, cluster)?;
    let values = Values::new(paths);
    let shop = paths.root().join("deploy/examples/shop/databases.yaml");
    let shop =
        fs::read_to_string(&shop).with_context(|| format!("failed to read {}", shop.display()))?;
    cluster.apply(&shop)?;
    cluster.apply(&stores(paths, &values)?)?;
    install_javelin(paths, &values, cluster)?;
    for target in ["deployment/postgres", "deployment/redis"] {
        cluster.wait_for_rollout("shop", target)?;
    }
    let workloads = "deployments,daemonsets,statefulsets";
    let workloads = cluster.kubectl(&["get", workloads, "--output=name", IN_NAMESPACE])?;
    for target in workloads.lines() {
        cluster.wait_for_rollout(NAMESPACE, target)?;
    }
    wait_for_webhook(cluster)?;
    for (namespace, name) in [("shop", "orders"), ("warehouse", "stock")] {
        let label = "instrumentation.opentelemetry.io/inject-java=true";
        cluster.kubectl(&["label", "namespace", namespace, label])?;
        let target = format!("deployment/{name}");
        let place = format!("--namespace={namespace}");
        cluster.kubectl(&["rollout", "restart", &target, &place])?;
        cluster.wait_for_rollout(namespace, &target)?;
        let of_name = format!("--selector=app.kubernetes.io/name={name}");
        let pods = cluster.kubectl(&["get", "pods", "--output=json", &place, &of_name])?;
        ensure!(
            pods.contains("javelin.dev/injected")
                && pods.contains(&format!("k8s.cluster.name={CLUSTER}")),
            "the pod of {target} has no agent, or not the cluster's name: look at `javelin check -n {namespace}`"
        );
    }
    Ok(())
}

/// What tells most about a failure, in a file that outlives the cluster.
fn keep_logs(paths: &Paths, cluster: &Cluster) -> Result<String> {
    let mut text = String::new();
    for words in [
        "get pods --all-namespaces --output=wide",
        "get events --all-namespaces --sort-by=.lastTimestamp",
        "logs --namespace=observability deployment/otel-collector --tail=50",
        "logs --namespace=observability daemonset/otel-node --tail=50",
        "logs --namespace=observability statefulset/thanos-receive --tail=50",
    ] {
        let said = output(cluster.kubectl_command().args(words.split(' ')));
        let said = said.unwrap_or_else(|error| format!("{error:#}"));
        writeln!(text, "=== kubectl {words}\n{said}")?;
    }
    let file = cluster::logs(paths).join("stack.txt");
    write(&file, text)?;
    Ok(file.display().to_string())
}

/// The namespace with everything in it, as one list.
fn stores(paths: &Paths, values: &Values) -> Result<String> {
    let pod_logs = paths.cluster_state().join("pod-logs").display().to_string();
    let mut objects = parts::objects(values, &pod_logs, WEST)?;
    for text in include_str!("stores.yaml").split("\n---\n") {
        objects.push(serde_saphyr::from_str(text).context("stores.yaml is not YAML")?);
    }
    let is_namespaced = |object: &Value| {
        let kind = object["kind"].as_str().unwrap_or_default();
        !kind.starts_with("ClusterRole")
    };
    for object in objects.iter_mut().filter(|object| is_namespaced(object)) {
        object["metadata"]["namespace"] = json!(NAMESPACE);
    }
    objects.insert(
        0,
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
    );
    Ok(json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string())
}

/// Installs the chart with the stack's values and the image built here.
fn install_javelin(paths: &Paths, values: &Values, cluster: &Cluster) -> Result<()> {
    let chart = paths.root().join("deploy/chart").display().to_string();
    let files = [
        values.path("values/javelin.yaml"),
        values.path(&format!("clusters/{CLUSTER}/javelin.yaml")),
    ];
    let files = files.map(|file| format!("--values={file}"));
    let mut arguments = vec![
        "install",
        "javelin",
        &chart,
        "--namespace=javelin-system",
        "--create-namespace",
        "--set=image.registry=localhost",
        "--wait",
        "--timeout=3m",
    ];
    arguments.extend(files.iter().map(String::as_str));
    progress::step("Installing Javelin", Hint::default(), || {
        cluster.helm(&arguments)
    })?;
    Ok(())
}

/// Where the values put the stack, as `values/javelin.yaml` says.
const NAMESPACE: &str = "observability";
const IN_NAMESPACE: &str = "--namespace=observability";

/// The second cluster's name in the central store of metrics.
const WEST: &str = "west";
