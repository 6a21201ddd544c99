//! `cargo xtask stack`: the whole picture of `deploy/stack` on a real cluster, from a labelled shop to one trace, its log
//! lines and its metrics.
//!
//! The Collectors, Prometheus, the exporters and Thanos are real, and run with what the values say. Tempo and Loki are not
//! here: Jaeger and VictoriaLogs stand in for them behind the Collector's same exporters. Grafana is not here either; its
//! data sources' queries and the dashboards' are asked of Prometheus.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON: what is read and is not there is null, and what is written to is an object of this checkout's files"
)]

mod ask;
mod parts;
mod proof;
mod values;

use std::fs;
use std::process::Child;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testbed::cluster;
use testbed::images;
use testbed::kube::Cluster;
use testbed::paths::Paths;
use testbed::progress::{self, Hint};
use testbed::toolchain::Tool;

use proof::Found;
use values::{CLUSTER, Values};

/// Sets everything up on a fresh cluster of our own, looks for what has to be found, and takes it away.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let cluster = own_cluster(paths)?;
    let outcome = set_up(paths, &cluster).and_then(|()| proof::prove(paths, &cluster));
    let removed = cluster::down(paths);
    outcome?;
    removed
}

/// The same for a person: with links and queries, and a page that shows a trace with its log lines and metrics, until they
/// end it.
pub(crate) fn show(paths: &Paths) -> Result<()> {
    let start = Instant::now();
    let cluster = own_cluster(paths)?;
    set_up(paths, &cluster)?;
    let found = proof::prove(paths, &cluster)?;
    println!(
        "\nFrom the command to all of it: {} s.",
        start.elapsed().as_secs()
    );
    let mut page = serve_page(paths, &cluster)?;
    print_links(&found);
    println!(
        "\n# Control-C ends the page. The cluster stays: cargo xtask cluster down\n{}",
        cluster.shell_lines()
    );
    let status = page.wait()?;
    ensure!(status.success(), "kubectl proxy ended with {status}");
    Ok(())
}

/// Others may have what this puts everywhere: it wants a cluster that nobody else uses.
fn own_cluster(paths: &Paths) -> Result<Cluster> {
    if let Some(theirs) = Cluster::from_env(paths)? {
        ensure!(
            theirs.is_ours(),
            "KUBECONFIG names a cluster: unset it, and one is started for this"
        );
    }
    cluster::down(paths)?;
    cluster::up(paths)
}

fn load_images(paths: &Paths, cluster: &Cluster) -> Result<()> {
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
        images::databases(paths)?,
    ] {
        cluster.load_image(&image)?;
    }
    Ok(())
}

/// Everything as a person would have it, with the shop's pods labelled and restarted in the end.
fn set_up(paths: &Paths, cluster: &Cluster) -> Result<()> {
    load_images(paths, cluster)?;
    let values = Values::new(paths);
    let shop = fs::read_to_string(paths.root().join("deploy/examples/shop/databases.yaml"))?;
    cluster.apply(&shop)?;
    for namespace in ["shop", "warehouse"] {
        let label = "instrumentation.opentelemetry.io/inject-java=true";
        cluster.kubectl(&["label", "namespace", namespace, label])?;
    }
    cluster.apply(&stores(paths, &values)?)?;
    install_javelin(paths, &values, cluster)?;
    for target in [
        "deployment/orders",
        "deployment/postgres",
        "deployment/redis",
    ] {
        cluster.wait_for_rollout("shop", target)?;
    }
    let workloads = "deployments,daemonsets,statefulsets";
    let workloads = cluster.kubectl(&["get", workloads, "--output=name", IN_NAMESPACE])?;
    for target in workloads.lines() {
        cluster.wait_for_rollout(NAMESPACE, target)?;
    }
    for (namespace, deployment) in [
        ("shop", "deployment/orders"),
        ("warehouse", "deployment/stock"),
    ] {
        cluster.kubectl(&[
            "rollout",
            "restart",
            deployment,
            &format!("--namespace={namespace}"),
        ])?;
        cluster.wait_for_rollout(namespace, deployment)?;
    }
    Ok(())
}

/// The namespace with everything in it, as one list.
fn stores(paths: &Paths, values: &Values) -> Result<String> {
    let pod_logs = paths.cluster_state().join("pod-logs").display().to_string();
    let mut objects = parts::objects(values, &pod_logs, WEST)?;
    for text in include_str!("stores.yaml").split("\n---\n") {
        objects.push(serde_saphyr::from_str(text).context("stores.yaml is not YAML")?);
    }
    for object in &mut objects {
        object["metadata"]["namespace"] = json!(NAMESPACE);
    }
    objects.insert(
        0,
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
    );
    Ok(json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string())
}

/// By the values of the stack, with the image of here.
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

/// `kubectl proxy`, which serves the page, and passes its questions on to the stores.
fn serve_page(paths: &Paths, cluster: &Cluster) -> Result<Child> {
    let folder = paths.root().join("xtask/src/stack/page");
    let mut command = cluster.kubectl_command();
    command
        .args(["proxy", "--port", PORT, "--www-prefix=/stack/", "--www"])
        .arg(folder);
    command.spawn().context("kubectl did not start")
}

fn print_links(found: &Found) {
    let base = format!("http://127.0.0.1:{PORT}");
    println!(
        "\n== The trace, its log lines and its metrics, side by side\n{base}/stack/?trace={}",
        found.trace
    );
    println!("\n== The same by hand");
    for (what, question) in found.questions() {
        println!("{what}:\n  curl '{base}{question}'");
    }
}

/// Where the values put the stack, as `values/javelin.yaml` says.
const NAMESPACE: &str = "observability";
const IN_NAMESPACE: &str = "--namespace=observability";

/// The second cluster's name in the central store of metrics.
const WEST: &str = "west";

const PORT: &str = "8001";
