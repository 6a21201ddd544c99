//! What is in `tests/cluster`: the suite, and scenarios that take longer than a test may.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use testbed::cluster;
use testbed::image::Image;
use testbed::images;
use testbed::jdks;
use testbed::kube::Cluster;
use testbed::paths::Paths;
use testbed::progress::note;
use testbed::toolchain::{self, Tool};

use super::{cargo_command, choose, succeed};

/// A scenario of `tests/cluster` that takes longer than a test may, by a part of its name.
pub(crate) fn scenario(paths: &Paths, name: &str) -> Result<()> {
    on_a_cluster(paths, Some(name), &["--ignored"], &[])
}

/// The scenario in which each alert fires, with the Prometheus that it does so on.
pub(crate) fn alerts(paths: &Paths) -> Result<()> {
    let images = [
        images::tool(paths, Tool::Prometheus, "prometheus")?,
        images::tool(paths, Tool::KubeStateMetrics, "kube-state-metrics")?,
    ];
    let cluster = cluster::up(paths)?;
    for image in images {
        if !cluster.has_image(&image)? {
            cluster.load_image(&image)?;
        }
    }
    scenario(paths, "each_alert")
}

/// What was released before.
#[derive(Debug, clap::Args)]
pub(crate) struct Earlier {
    /// Its chart, a folder or an archive
    #[arg(long, value_name = "PATH")]
    chart: PathBuf,
    /// Its image, an archive
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
}

/// The scenario that goes from that version to this one and back.
pub(crate) fn upgrades(paths: &Paths, earlier: &Earlier) -> Result<()> {
    cluster::up(paths)?;
    cluster::load_image(&paths.bin(), &earlier.image)?;
    let chart = fs::canonicalize(&earlier.chart)
        .with_context(|| format!("failed to find {}", earlier.chart.display()))?;
    let variables = [("JAVELIN_EARLIER_CHART", chart.as_os_str())];
    on_a_cluster(paths, Some("an_upgrade"), &["--ignored"], &variables)
}

/// The suite in `tests/cluster`.
pub(super) fn suite(paths: &Paths, pattern: Option<&str>) -> Result<()> {
    on_a_cluster(paths, pattern, &[], &[])
}

/// The suite in `tests/cluster`, on the oldest Kubernetes that the chart allows. Each case that needs a newer one says so.
pub(crate) fn matrix(paths: &Paths) -> Result<()> {
    suite(&paths.with_oldest_kubernetes(), None)
}

/// What is in `tests/cluster`, on a fresh cluster of our own or on the one that `KUBECONFIG` names.
///
/// With a pattern, on our own as it is, when it is up: the suite then puts Javelin there anew as its first case would.
fn on_a_cluster(
    paths: &Paths,
    pattern: Option<&str>,
    options: &[&str],
    variables: &[(&str, &OsStr)],
) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args(["test", "--test", "cluster", "--locked"]);
    // Before anything is started for it.
    if let Some(pattern) = pattern {
        choose(&mut command, pattern)?;
    }
    let tools = toolchain::ensure(paths, &[Tool::Helm4, Tool::Helm3])?;
    let cluster = if let Some(theirs) = Cluster::from_env(paths)? {
        theirs
    } else {
        if pattern.is_none() {
            cluster::down(paths)?;
        }
        cluster::up(paths)?
    };
    let (runtimes, versions) = runtimes(paths)?;
    for image in [
        images::shop(paths)?,
        images::collector(paths)?,
        images::pause(paths)?,
        images::witness(paths)?,
    ]
    .into_iter()
    .chain(runtimes)
    {
        if !cluster.has_image(&image)? {
            cluster.load_image(&image)?;
        }
    }
    let product = images::javelin(paths)?;
    if !cluster.has_image(&product)? {
        cluster.load_image(&product)?;
        replace_replicas(&cluster)?;
    }
    command
        .args(options)
        .envs(variables.iter().copied())
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("JAVELIN_CLUSTER", "1")
        .env("JAVELIN_TOOLS", tools.program(""))
        .env("JAVA_HOME", jdks::java_home()?)
        .env("JAVELIN_IMAGE_FACTS", product.to_string())
        .env("JAVELIN_JAVA_VERSIONS", versions)
        // For a case that runs one of these chores itself.
        .envs(paths.kubernetes_variable());
    if cluster.is_ours() {
        command
            .env("JAVELIN_CLUSTER_LOGS", cluster::logs(paths))
            .env("JAVELIN_CLUSTER_NETWORK", cluster::network());
    }
    let outcome = succeed(&mut command);
    if let Some(pattern) = pattern
        && cluster.is_ours()
    {
        note(&format!(
            "The cluster stays up, with Javelin on it. Again: `cargo xtask test cluster -- {pattern}`. To look: \
             `cargo xtask cluster status`. To end it: `cargo xtask cluster down`."
        ));
    }
    outcome
}

/// Java beside that of the example, and its versions, as `8 25`.
fn runtimes(paths: &Paths) -> Result<(Vec<Image>, String)> {
    let (image, mut versions) = images::runtimes(paths)?;
    let mut images = vec![image];
    match images::java_8(paths) {
        Ok(image) => {
            images.push(image);
            versions.insert(0, 8);
        }
        Err(error) => note(&format!(
            "LEFT OUT: Java 8, which Debian's unstable distribution has. {error:#}"
        )),
    }
    let versions = versions.iter().map(u32::to_string).collect::<Vec<_>>();
    Ok((images, versions.join(" ")))
}

/// Those of an earlier run have its program: a name stands for another image now.
fn replace_replicas(cluster: &Cluster) -> Result<()> {
    let deployment = ["deployment/javelin", "--namespace=javelin-system"];
    let found = [
        &["get", "--ignore-not-found", "--output=name"],
        &deployment[..],
    ]
    .concat();
    if !cluster.kubectl(&found)?.is_empty() {
        cluster.kubectl(&[&["rollout", "restart"], &deployment[..]].concat())?;
    }
    Ok(())
}
