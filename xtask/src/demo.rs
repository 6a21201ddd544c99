//! `cargo xtask demo`: the main job, from an empty machine to the first trace.
//!
//! Everything in it is real: a Kubernetes with a kubelet, the chart by Helm, JVMs, a Collector. It fails when no
//! trace crosses both services, so it is a test as well.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use testbed::cluster;
use testbed::images;
use testbed::kube::Cluster;
use testbed::paths::{Paths, variable};
use testbed::progress::{self, Hint};
use testbed::spans::{self, Span};

use crate::stack;

/// How to run the demo.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Leave everything running and print the KUBECONFIG line
    #[arg(long)]
    keep: bool,
    /// Use the cluster that KUBECONFIG names, although it may be somebody's: creates the namespaces
    /// javelin-system, shop, warehouse and observability there
    #[arg(long)]
    yes: bool,
    /// Where that cluster's nodes pull javelin, javelin-shop and javelin-collector from
    #[arg(long, value_name = "REGISTRY")]
    image_prefix: Option<String>,
    /// Show the stack of deploy/stack instead: a shop with databases, and a page with one trace, its log lines and its
    /// metrics. It stays until Control-C
    #[arg(long, conflicts_with_all = ["keep", "yes", "image_prefix"])]
    stack: bool,
}

/// Runs the demo.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    if options.stack {
        return stack::show(paths);
    }
    let start = Instant::now();
    let theirs = Cluster::from_env(paths)?;
    let was_up = theirs.is_some() || cluster::status(paths)?.is_up();
    if let Some(theirs) = &theirs {
        ask_first(theirs, options)?;
    }
    let cluster = match theirs {
        Some(cluster) => cluster,
        None => cluster::up(paths)?,
    };
    let demo = Demo {
        cluster: &cluster,
        options,
    };
    let result = demo.show(paths, start);
    if options.keep {
        heading("Left running, as you asked");
        println!("{}", cluster.shell_lines());
        println!("# later: cargo xtask cluster down");
        return result;
    }
    let removed = if was_up {
        demo.remove()
    } else {
        cluster::down(paths)
    };
    // What went wrong first is what there is to know.
    result.and(removed)
}

fn ask_first(cluster: &Cluster, options: &Options) -> Result<()> {
    if options.yes || cluster.is_ours() {
        return Ok(());
    }
    let context = cluster.kubectl(&["config", "current-context"])?;
    bail!(
        "KUBECONFIG names the context \"{context}\": give --yes to run the demo there, or unset KUBECONFIG to have a \
         cluster of your own started"
    )
}

struct Demo<'a> {
    cluster: &'a Cluster,
    options: &'a Options,
}

impl Demo<'_> {
    fn show(&self, paths: &Paths, start: Instant) -> Result<()> {
        self.load_images(paths)?;
        self.install(paths)?;
        let set_up = start.elapsed();

        heading("A pod of the service orders, before");
        let before = self.pod("shop", "orders")?;
        print!("{before}");

        heading("Turn it on: a label on one Deployment, and one on a namespace");
        self.say_and_run(&[
            "label",
            "deployment",
            "orders",
            "--namespace=shop",
            INJECT_TRUE,
        ])?;
        self.say_and_run(&["label", "namespace", "warehouse", INJECT_TRUE])?;
        self.say_and_run(&[
            "rollout",
            "restart",
            "deployment/stock",
            "--namespace=warehouse",
        ])?;
        self.wait_for("shop", "orders")?;
        self.wait_for("warehouse", "stock")?;

        heading("The same service, after: what changed in the pod");
        print_difference(&before, &self.pod("shop", "orders")?)?;

        heading("The first traces that the Collector received");
        let spans = self.first_spans()?;
        print_trace(&spans);

        let total = start.elapsed();
        println!(
            "\nFrom the command to a running shop with Javelin beside it: {} s; to the first trace: {} s.",
            set_up.as_secs(),
            total.as_secs()
        );
        Ok(())
    }

    fn load_images(&self, paths: &Paths) -> Result<()> {
        if self.options.image_prefix.is_some() {
            return Ok(());
        }
        for image in [
            images::javelin(paths)?,
            images::shop(paths)?,
            images::collector(paths)?,
        ] {
            self.cluster.load_image(&image)?;
        }
        Ok(())
    }

    fn install(&self, paths: &Paths) -> Result<()> {
        self.wait_for_leftovers()?;
        for manifest in ["collector/collector.yaml", "shop/shop.yaml"] {
            let file = paths.root().join("deploy/examples").join(manifest);
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("failed to read {}", file.display()))?;
            let prefix = self.options.image_prefix.as_deref().unwrap_or("localhost");
            self.cluster
                .apply(&text.replace("localhost/", &format!("{prefix}/")))?;
        }
        let chart = paths.root().join("deploy/chart").display().to_string();
        let mut arguments = vec![
            "upgrade",
            "--install",
            "javelin",
            chart.as_str(),
            "--namespace=javelin-system",
            "--create-namespace",
            "--set=default.otlp.endpoint=http://otel-collector.observability.svc:4318",
            "--wait",
            "--timeout=3m",
        ];
        let registry = self
            .options
            .image_prefix
            .as_ref()
            .map(|prefix| format!("--set=image.registry={prefix}"));
        arguments.extend(registry.as_deref());
        progress::step(
            "Installing the chart: helm install javelin deploy/chart",
            Hint::default(),
            || self.cluster.helm(&arguments),
        )?;
        for (namespace, name) in [
            ("observability", "otel-collector"),
            ("shop", "orders"),
            ("warehouse", "stock"),
        ] {
            self.wait_for(namespace, name)?;
        }
        wait_for_webhook(self.cluster)
    }

    /// Nothing can be created in a namespace that is being deleted, as after an earlier demo that was interrupted.
    fn wait_for_leftovers(&self) -> Result<()> {
        let namespaces = self
            .cluster
            .kubectl(&["get", "namespaces", "--output=json"])?;
        let list: Value = serde_json::from_str(&namespaces).context("kubectl printed no JSON")?;
        let leaving = elements(&list, "/items")
            .filter(|namespace| text(namespace, "/status/phase") == "Terminating")
            .map(|namespace| text(namespace, "/metadata/name"));
        for name in leaving.filter(|name| NAMESPACES.contains(name)) {
            let namespace = format!("namespace/{name}");
            let what = format!("Waiting for the end of an earlier {namespace}");
            progress::step(&what, Hint::default(), || {
                self.cluster
                    .kubectl(&["wait", "--for=delete", "--timeout=3m", &namespace])
            })?;
        }
        Ok(())
    }

    /// Runs kubectl as a person would, with the command on screen and its own words, warnings included.
    fn say_and_run(&self, arguments: &[&str]) -> Result<()> {
        println!("$ kubectl {}", arguments.join(" "));
        let status = self.cluster.kubectl_command().args(arguments).status();
        ensure!(
            status.context("kubectl did not start")?.success(),
            "kubectl failed: see above"
        );
        Ok(())
    }

    fn wait_for(&self, namespace: &str, deployment: &str) -> Result<()> {
        let target = format!("deployment/{deployment}");
        self.cluster.wait_for_rollout(namespace, &target)
    }

    /// What an application sees of its pod: environment, mounts, init containers, annotations.
    fn pod(&self, namespace: &str, name: &str) -> Result<String> {
        let text = self.cluster.kubectl(&[
            "get",
            "pods",
            "--output=json",
            &format!("--namespace={namespace}"),
            &format!("--selector=app.kubernetes.io/name={name}"),
        ])?;
        let list: Value = serde_json::from_str(&text).context("kubectl printed no JSON")?;
        let mut pods = elements(&list, "/items");
        // The old pod may still be on its way out.
        let pod = pods.rfind(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        Ok(summary(pod.context("no pod: look at kubectl get events")?))
    }

    /// Orders something until a trace that crosses both services has arrived; gives its spans.
    fn first_spans(&self) -> Result<Vec<Span>> {
        let order = "/api/v1/namespaces/shop/services/orders:http/proxy/order/tea";
        println!("$ kubectl get --raw {order}");
        let answer = self.cluster.kubectl(&["get", "--raw", order])?;
        println!("{answer}");
        progress::step("Waiting for its trace", Hint::default(), || {
            let deadline = Instant::now() + Duration::from_mins(2);
            while Instant::now() < deadline {
                let log = self.cluster.kubectl(&[
                    "logs",
                    "--namespace=observability",
                    "deploy/otel-collector",
                ])?;
                if let Some(trace) = crossing_trace(&spans::parse(&log)) {
                    return Ok(trace);
                }
                self.cluster.kubectl(&["get", "--raw", order])?;
                sleep(Duration::from_millis(500));
            }
            bail!("no trace that crosses both services arrived within two minutes")
        })
    }

    fn remove(&self) -> Result<()> {
        progress::step("Removing the demo", Hint::default(), || {
            self.cluster.helm(&[
                "uninstall",
                "javelin",
                "--namespace=javelin-system",
                "--ignore-not-found",
                "--wait",
            ])?;
            let mut arguments = vec!["delete", "namespace", "--ignore-not-found", "--timeout=3m"];
            arguments.extend(NAMESPACES);
            self.cluster.kubectl(&arguments)
        })?;
        Ok(())
    }
}

/// Ready pods are not yet reached: the API server learns of their addresses a moment later, and a label that comes
/// earlier is admitted without us.
pub(crate) fn wait_for_webhook(cluster: &Cluster) -> Result<()> {
    let label = format!("--labels={INJECT_TRUE}");
    let try_out = [
        "run",
        "try-out",
        "--image=try-out",
        // Not one with a Pod Security level: this pod would not meet it.
        "--namespace=default",
        "--dry-run=server",
        "--output=jsonpath={.metadata.annotations}",
        label.as_str(),
    ];
    let what = "Waiting until the API server reaches Javelin";
    progress::step(what, Hint::default(), || {
        let deadline = Instant::now() + Duration::from_mins(1);
        while Instant::now() < deadline {
            if cluster.kubectl(&try_out)?.contains("javelin.dev/") {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        bail!(
            "the API server did not reach Javelin within a minute; is there a firewall between them?"
        )
    })
}

/// The pod's lines, those that were not there before marked.
fn print_difference(before: &str, after: &str) -> Result<()> {
    let known: BTreeSet<_> = before.lines().collect();
    let colour = std::io::stdout().is_terminal() && variable("NO_COLOR").is_none();
    let (green, plain) = if colour {
        ("\u{1b}[32m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    ensure!(
        before != after,
        "the pod is as it was: look at kubectl logs -n javelin-system deploy/javelin"
    );
    for line in after.lines().filter(|line| !line.starts_with("name:")) {
        if known.contains(line) {
            println!("  {line}");
        } else {
            println!("{green}+ {line}{plain}");
        }
    }
    Ok(())
}

/// The spans of one trace with both services in it.
fn crossing_trace(spans: &[Span]) -> Option<Vec<Span>> {
    let mut traces: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(&span.trace).or_default().push(span);
    }
    let crosses = |trace: &&Vec<&Span>| {
        ["orders", "stock"]
            .iter()
            .all(|service| trace.iter().any(|span| span.service() == *service))
    };
    let trace = traces.values().find(crosses)?;
    Some(trace.iter().copied().cloned().collect())
}

/// A trace as a tree, each span with who sent it.
fn print_trace(spans: &[Span]) {
    let known: BTreeSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
    let roots = spans
        .iter()
        .filter(|span| !known.contains(span.parent.as_str()));
    for root in roots {
        println!("trace {}", root.trace);
        print_branch(spans, root, 1);
    }
}

fn print_branch(spans: &[Span], span: &Span, depth: usize) {
    let indent = "  ".repeat(depth);
    println!("{indent}{}", span.name);
    for key in [
        "service.name",
        "k8s.namespace.name",
        "k8s.deployment.name",
        "k8s.pod.name",
        "k8s.container.name",
        "k8s.node.name",
    ] {
        println!("{indent}    {key}={}", span.attribute(key));
    }
    let children = spans.iter().filter(|child| child.parent == span.id);
    children.for_each(|child| print_branch(spans, child, depth + 1));
}

/// The lines that matter, one thing a line, so that two pods can be held against each other.
fn summary(pod: &Value) -> String {
    let mut lines = vec![format!("name: {}", text(pod, "/metadata/name"))];
    let annotations = pod
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        lines.push(format!(
            "annotation {key}: {}",
            value.as_str().unwrap_or_default()
        ));
    }
    for (kind, list) in [
        ("init container", "/spec/initContainers"),
        ("container", "/spec/containers"),
    ] {
        for container in elements(pod, list) {
            lines.push(format!(
                "{kind} {}: {}",
                text(container, "/name"),
                text(container, "/image")
            ));
            for variable in elements(container, "/env") {
                let source = variable.get("valueFrom").map(Value::to_string);
                let value = source.unwrap_or_else(|| text(variable, "/value").to_owned());
                lines.push(format!("  env {}: {value}", text(variable, "/name")));
            }
            let mounts = elements(container, "/volumeMounts");
            lines.extend(mounts.map(|mount| format!("  mount {}", text(mount, "/mountPath"))));
        }
    }
    lines.join("\n") + "\n"
}

fn elements<'a>(value: &'a Value, pointer: &str) -> impl DoubleEndedIterator<Item = &'a Value> {
    let elements = value.pointer(pointer).and_then(Value::as_array);
    elements.map(Vec::as_slice).unwrap_or_default().iter()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn heading(text: &str) {
    println!("\n== {text}");
}

/// Where the demo puts Javelin, the examples and the Collector.
const NAMESPACES: [&str; 4] = ["javelin-system", "shop", "warehouse", "observability"];

const INJECT_TRUE: &str = "instrumentation.opentelemetry.io/inject-java=true";
