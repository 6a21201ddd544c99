//! What runs in the container: every Java that the machine has, under the strictest rules and as a native sidecar; no Java
//! at all; and one that cannot load an agent, which nobody knows beforehand.

use std::process::{Output, Stdio};

use javelin_core::mutate::keys;
use serde_json::{Value, json};

use crate::{
    cases::{INJECT, SOON, first_span, is_untouched, name_of, receipt},
    figures,
    kube::{Namespace, Result, apply, ensure, eventually, get, javelin, kubectl, pods},
    security::WITNESS,
};

/// Each version traced as a user without a name, on a read-only root, beside a native sidecar; and one in a native
/// sidecar. A container without Java, and without a C library, starts as ever.
pub(crate) fn all_start() -> Result {
    let namespace = Namespace::new("t-runtimes", &[(INJECT, "true")])?;
    let versions = versions();
    let mut traced = vec![as_a_native_sidecar()];
    traced.extend(versions.iter().map(|version| strict(version)));
    let without = without_java();
    let manifest = traced.iter().chain([&without]).map(|pod| {
        let mut pod = pod.clone();
        pod["metadata"]["namespace"] = json!(namespace.0);
        format!("{pod}\n")
    });
    apply(&manifest.collect::<String>())?;
    for pod in pods(namespace.0)? {
        ensure!(receipt(&pod).is_some(), "not injected: {pod}");
    }
    for pod in &traced {
        let pod = format!("pod/{}", name_of(pod));
        let wait = ["wait", "--for=condition=Ready", "--timeout=5m"];
        kubectl(&[&wait[..], &["-n", namespace.0, &pod]].concat())?;
    }
    for pod in &traced {
        let span = first_span(name_of(pod), namespace.0, pod);
        span.map_err(|error| format!("{}: {error}", name_of(pod)))?;
    }
    eventually("what has no Java has ended well", SOON, || {
        let pod = get(&["pod", "no-java", "-n", namespace.0])?;
        ensure!(pod["status"]["phase"] == "Succeeded", "{}", pod["status"]);
        Ok(())
    })?;
    figures::add(format!(
        "runtimes traced beside the example's: Java {}, each as uid {NAMELESS} on a read-only root",
        versions.join(", ")
    ));
    Ok(())
}

/// A runtime made without `java.instrument` ends at once. `javelin status` tells it, and what it says leads back.
pub(crate) fn one_that_loads_no_agent() -> Result {
    let namespace = Namespace::new("t-bare", &[])?;
    let mut deployment = bare_deployment(namespace.0);
    deployment["metadata"]["labels"] = json!({ INJECT: "true" });
    apply(&deployment.to_string())?;
    let note = eventually("status tells that it crashes", SOON, || {
        let output = status(&["-n", namespace.0, "--check"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let note = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(1)
                && told.contains("bare: CrashLoopBackOff, Error with exit code 1"),
            "{told}{note}"
        );
        Ok(note)
    })?;
    let commands: Vec<_> = note
        .lines()
        .filter_map(|line| Some(line.split_once("kubectl ")?.1))
        .map(|rest| rest.split_whitespace().collect::<Vec<_>>())
        .collect();
    let [why, way_out] = commands.as_slice() else {
        return Err(format!("no two commands: {note}"));
    };
    let log = kubectl(why)?;
    ensure!(log.contains("java.instrument"), "{why:?} said {log}");
    kubectl(way_out)?;
    eventually("it runs without the agent", SOON, || {
        let pods = pods(namespace.0)?;
        let [pod] = pods.as_slice() else {
            return Err(format!("{} pods", pods.len()));
        };
        let is_ready = &pod["status"]["containerStatuses"][0]["ready"];
        ensure!(is_untouched(pod) && *is_ready == true, "{pod}");
        Ok(())
    })?;
    let output = status(&["-n", namespace.0, "--check"]);
    ensure!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    Ok(())
}

// === Pods

/// It runs, and ends at once with the agent.
pub(crate) fn bare_deployment(namespace: &str) -> Value {
    let labels = json!({ "app": "bare" });
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": [java("bare", "bare")] });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "bare", "namespace": namespace },
        "spec": { "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels }, "spec": spec } },
    })
}

/// Nothing may be written but what the pod mounts, nobody has heard of the user, and there is a native sidecar.
fn strict(version: &str) -> Value {
    let name = format!("java-{version}");
    let mut container = java(&name, version);
    container["securityContext"] = json!({
        "readOnlyRootFilesystem": true, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
    });
    let mut pod = pod(&name, &container);
    pod["spec"]["securityContext"] = json!({
        "runAsUser": NAMELESS, "runAsGroup": 0, "fsGroup": NAMELESS, "seccompProfile": { "type": "RuntimeDefault" },
    });
    pod["spec"]["initContainers"] = json!([always(waits("beside"))]);
    pod
}

/// The application is the sidecar, and is named as a target.
fn as_a_native_sidecar() -> Value {
    let mut pod = pod("sidecar", &waits("main"));
    pod["spec"]["initContainers"] = json!([always(example("sidecar"))]);
    pod["metadata"]["annotations"] = json!({ keys::CONTAINER_NAMES: "sidecar" });
    pod
}

fn without_java() -> Value {
    let container =
        json!({ "name": "no-java", "image": WITNESS, "imagePullPolicy": "IfNotPresent" });
    let mut pod = pod("no-java", &container);
    pod["spec"]["restartPolicy"] = json!("Never");
    pod
}

fn pod(name: &str, container: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [container] },
    })
}

/// A server in the Java of that name.
fn java(name: &str, version: &str) -> Value {
    let image = if version == "8" { "java-8" } else { "runtimes" };
    let image = format!("localhost/javelin-{image}:1");
    let java = format!("/opt/java-{version}/bin/java");
    let container = json!({
        "name": name, "image": image, "imagePullPolicy": "IfNotPresent",
        "command": [java, "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", "/app", "Hello"],
    });
    serves(container)
}

/// The example, in the Java that compiles.
fn example(name: &str) -> Value {
    serves(json!({
        "name": name, "image": "localhost/javelin-shop:1", "imagePullPolicy": "IfNotPresent",
        "env": [{ "name": "SHOP_ROLE", "value": "stock" }],
    }))
}

fn serves(mut container: Value) -> Value {
    container["readinessProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 2 });
    container["resources"] = json!({ "requests": { "cpu": "100m" } });
    container
}

fn waits(name: &str) -> Value {
    json!({ "name": name, "image": "localhost/javelin-pause:1", "imagePullPolicy": "IfNotPresent" })
}

fn always(mut container: Value) -> Value {
    container["restartPolicy"] = json!("Always");
    container
}

// === What there is

/// Of the Java runtimes beside the example's.
#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask test` says what is in its images"
)]
fn versions() -> Vec<String> {
    let text = std::env::var("JAVELIN_JAVA_VERSIONS").unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn status(arguments: &[&str]) -> Output {
    let mut command = javelin(&["status"]);
    let command = command.args(arguments).stdin(Stdio::null());
    command.output().expect("javelin starts")
}

/// Such as OpenShift gives to each namespace.
const NAMELESS: u64 = 1_000_680_000;
