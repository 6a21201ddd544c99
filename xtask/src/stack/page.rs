//! The page that shows a trace next to its log lines and metrics.
//!
//! `kubectl proxy` serves it, and passes its questions on to the stores: the page asks them itself, and nothing in it was
//! prepared.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use testbed::kube::Cluster;
use testbed::paths::Paths;

use super::NAMESPACE;
use super::proof::Found;

/// The page while it is served.
pub(super) struct Page<'a> {
    cluster: &'a Cluster,
    proxy: Child,
    /// Such as `http://127.0.0.1:8001`.
    address: String,
}

impl<'a> Page<'a> {
    /// Serves it at a port that is free. Only the page and the Services of the stack can be read through it: whoever is on
    /// this machine may call it.
    pub(super) fn serve(paths: &Paths, cluster: &'a Cluster) -> Result<Self> {
        let folder = paths.root().join("xtask/src/stack/page");
        let readable =
            format!("^/(stack/.*|api/v1/namespaces/{NAMESPACE}/services/[^/]+/proxy/.*)$");
        let mut proxy = cluster
            .kubectl_command()
            .args(["proxy", "--port=0", "--www-prefix=/stack/", "--www"])
            .arg(folder)
            .args(["--accept-paths", &readable])
            .arg("--reject-methods=^(POST|PUT|PATCH|DELETE)$")
            .stdout(Stdio::piped())
            .spawn()
            .context("kubectl did not start")?;
        let mut line = String::new();
        if let Some(output) = proxy.stdout.as_mut() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let port = line.trim().rsplit(':').next().unwrap_or_default();
        let address = format!("http://127.0.0.1:{port}");
        let page = Self {
            cluster,
            proxy,
            address,
        };
        ensure!(
            port.parse::<u16>().is_ok(),
            "kubectl proxy did not say where it listens: {line:?}"
        );
        Ok(page)
    }

    /// Whether the page and each question that it prints have an answer.
    pub(super) fn check(&self, found: &Found) -> Result<()> {
        let page = self.read("/stack/")?;
        ensure!(page.contains("<title>"), "/stack/ is not the page: {page}");
        for (what, question) in found.questions() {
            let answer = self.read(&question)?;
            ensure!(
                !answer.is_empty() && !answer.contains("\"result\":[]"),
                "{what}: nothing at {question}"
            );
        }
        Ok(())
    }

    fn read(&self, path: &str) -> Result<String> {
        let server = format!("--server={}", self.address);
        self.cluster.kubectl(&[&server, "get", "--raw", path])
    }

    /// Tells a person where to look.
    pub(super) fn tell(&self, found: &Found) {
        let Self { address, .. } = self;
        let trace = &found.trace;
        println!("\n== The trace, its log lines and its metrics, side by side");
        println!("{address}/stack/?trace={trace}");
        println!("\n== The same by hand");
        for (what, question) in found.questions() {
            println!("{what}:\n  curl '{address}{question}'");
        }
    }

    /// Waits until somebody ends it.
    pub(super) fn wait(mut self) -> Result<()> {
        let status = self.proxy.wait()?;
        ensure!(status.success(), "kubectl proxy ended with {status}");
        Ok(())
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}
