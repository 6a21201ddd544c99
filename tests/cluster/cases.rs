//! The cases, in the order in which they run.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use testbed::spans::{self, Span};

use crate::{
    kube::{
        Namespace, Result, apply, ca_bundles, checkout, ensure, eventually, example, get, helm,
        javelin, kubectl, kubectl_output, kubectl_with, pods, wipe_ca_bundles,
    },
    settled::{javelin_is_gone, javelin_is_rolled_out},
};

pub(crate) const INJECT: &str = "instrumentation.opentelemetry.io/inject-java";
pub(crate) const SYSTEM: &str = "javelin-system";
const FROM_WORKLOAD: &str = "javelin.dev/from-workload";
pub(crate) const ENDPOINT: &str =
    "--set=default.otlp.endpoint=http://otel-collector.observability.svc:4318";
/// JVMs that start together on busy cores take their time.
const JVM_START: Duration = Duration::from_mins(5);
/// For whatever takes seconds, on however busy a machine.
pub(crate) const SOON: Duration = Duration::from_mins(3);

// === The installation

pub(crate) fn install() -> Result {
    apply(&example("collector/collector.yaml")?)?;
    install_with("helm", ENDPOINT)?;
    let name = [
        "mutatingwebhookconfiguration",
        "javelin",
        "--show-managed-fields",
    ];
    let configuration = get(&name)?;
    let entries = configuration["webhooks"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    // Eight, each with its two second chances, and the probe's.
    ensure!(entries.len() == 25, "{} entries", entries.len());
    for entry in &entries {
        let bundle = entry["clientConfig"]["caBundle"]
            .as_str()
            .unwrap_or_default();
        ensure!(
            !bundle.is_empty(),
            "the entry {} has no caBundle",
            entry["name"]
        );
    }
    eventually("the API server reaches each replica's probe", SOON, || {
        for pod in pods(SYSTEM)? {
            let metrics = kubectl(&["get", "--raw", &metrics_path(&pod)])?;
            let reached = metrics.contains("javelin_probe_result{result=\"reached\"} 1");
            ensure!(reached, "{} has not been reached", name_of(&pod));
        }
        Ok(())
    })?;
    // A manager that *applies* would own the entry, and Helm 4 could never remove it again.
    let managers = configuration["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let managers: Vec<_> = managers
        .iter()
        .filter(|manager| manager["manager"] == "javelin-ca")
        .collect();
    let updates = managers
        .iter()
        .all(|manager| manager["operation"] == "Update");
    ensure!(!managers.is_empty() && updates, "{managers:?}");
    kubectl(&[
        "rollout",
        "status",
        "-n",
        "observability",
        "deploy/otel-collector",
        "--timeout=2m",
    ])?;
    Ok(())
}

pub(crate) fn install_with(major: &str, values: &str) -> Result {
    let chart = checkout("deploy/chart").display().to_string();
    helm(
        major,
        &[
            "install",
            "javelin",
            &chart,
            "--namespace",
            SYSTEM,
            "--create-namespace",
            values,
            "--wait",
            "--timeout=2m",
        ],
    )?;
    javelin_is_rolled_out()
}

/// The release with other values, known to all when this returns.
pub(crate) fn upgrade_with(values: &[&str]) -> Result {
    let chart = checkout("deploy/chart").display().to_string();
    let release = ["upgrade", "javelin", &chart, "--namespace", SYSTEM];
    let how = ["--wait", "--timeout=2m"];
    helm("helm", &[&release[..], &how, values].concat())?;
    javelin_is_rolled_out()
}

/// The installation as the first case made it, whatever one that failed, or an earlier run, has left.
pub(crate) fn install_again() -> Result {
    apply(&example("collector/collector.yaml")?)?;
    let chart = checkout("deploy/chart").display().to_string();
    let release = ["upgrade", "--install", "javelin", &chart];
    let place = ["--namespace", SYSTEM, "--create-namespace", ENDPOINT];
    let how = [
        "--reset-values",
        "--force-conflicts",
        "--wait",
        "--timeout=2m",
    ];
    let _ = kubectl(&["scale", "deployment/javelin", "-n", SYSTEM, "--replicas=2"]);
    helm("helm", &[&release[..], &place, &how].concat())?;
    javelin_is_rolled_out()
}

/// Is there a release of Helm's?
pub(crate) fn is_installed() -> Result<bool> {
    let releases = helm("helm", &["list", "--namespace", SYSTEM, "--short"])?;
    Ok(releases.lines().any(|name| name == "javelin"))
}

/// What an earlier run has left.
pub(crate) fn take_away_if_there() -> Result {
    if is_installed()? {
        take_away()?;
    }
    Ok(())
}

/// Until nobody is left who could answer an API server that has not heard of it yet.
pub(crate) fn take_away() -> Result {
    let release = ["uninstall", "javelin", "--namespace", SYSTEM, "--wait"];
    helm("helm", &release)?;
    javelin_is_gone()
}

// === What is injected

pub(crate) fn labelled_deployment() -> Result {
    let namespace = Namespace::new("t-deployment", &[])?;
    apply(&java_deployment(namespace.0, "", ""))?;
    rolled_out(namespace.0)?;
    let before = pods(namespace.0)?;
    ensure!(
        before.iter().all(|pod| receipt(pod).is_none()),
        "injected before anybody asked"
    );

    let said = label("deployment/stock", namespace.0, &format!("{INJECT}=true"))?;
    ensure!(
        said.contains("OpenTelemetry Java agent in stock"),
        "kubectl showed no warning: {said:?}"
    );
    let pod = injected_pod(namespace.0)?;
    let span = first_span("stock", namespace.0, &pod)?;
    let expected = [
        ("service.name", "stock"),
        ("service.namespace", namespace.0),
        ("service.version", "1"),
        ("k8s.namespace.name", namespace.0),
        ("k8s.deployment.name", "stock"),
        ("k8s.pod.name", name_of(&pod)),
        (
            "k8s.pod.uid",
            pod["metadata"]["uid"].as_str().unwrap_or_default(),
        ),
        (
            "k8s.node.name",
            pod["spec"]["nodeName"].as_str().unwrap_or_default(),
        ),
        ("k8s.container.name", "stock"),
    ];
    for (key, value) in expected {
        ensure!(
            span.attribute(key) == value,
            "{key} is {:?}, not {value:?}",
            span.attribute(key)
        );
    }
    let instance = format!("{}.{}.stock", namespace.0, name_of(&pod));
    ensure!(
        span.attribute("service.instance.id") == instance,
        "{:?}",
        span.attribute("service.instance.id")
    );
    Ok(())
}

pub(crate) fn labelled_namespace() -> Result {
    let namespace = Namespace::new("t-namespace", &[(INJECT, "true")])?;
    apply(&java_deployment(namespace.0, "", ""))?;
    first_span("stock", namespace.0, &injected_pod(namespace.0)?)?;
    Ok(())
}

pub(crate) fn labelled_pod_template() -> Result {
    let namespace = Namespace::new("t-template", &[])?;
    apply(&java_deployment(
        namespace.0,
        &format!(", {INJECT}: 'true'"),
        "",
    ))?;
    first_span("stock", namespace.0, &injected_pod(namespace.0)?)?;
    Ok(())
}

pub(crate) fn opted_out() -> Result {
    let namespace = Namespace::new("t-opted-out", &[(INJECT, "true")])?;
    let labelled_false = pause_deployment(namespace.0).replacen(
        "metadata: {",
        &format!("metadata: {{labels: {{{INJECT}: 'false'}}, "),
        1,
    );
    let (_, said) = apply(&labelled_false)?;
    ensure!(
        said.contains("start without the agent"),
        "kubectl showed no warning: {said:?}"
    );
    eventually("the Deployment's pod", SOON, || {
        ensure!(pods(namespace.0)?.len() == 1, "none yet");
        Ok(())
    })?;
    let before = reviews()?;
    apply(&pause_pod(
        "says-false",
        namespace.0,
        &format!("{INJECT}: 'false'"),
        "",
    ))?;
    kubectl(&[
        "delete",
        "pods",
        "-n",
        namespace.0,
        "-l",
        "app=app",
        "--wait=true",
    ])?;
    eventually("another pod of the Deployment", SOON, || {
        ensure!(pods(namespace.0)?.len() == 2, "none yet");
        Ok(())
    })?;
    for pod in pods(namespace.0)? {
        ensure!(is_untouched(&pod), "{} was changed", name_of(&pod));
    }
    let after = reviews()?;
    ensure!(before == after, "{} reviews were sent", after - before);
    apply(&pause_pod("says-nothing", namespace.0, "app: other", ""))?;
    is_counted(after)
}

pub(crate) fn unlabelled() -> Result {
    let namespace = Namespace::new("t-unlabelled", &[])?;
    let before = reviews()?;
    apply(&pause_pod("plain", namespace.0, "app: plain", ""))?;
    ensure!(
        pods(namespace.0)?.iter().all(is_untouched),
        "an unlabelled pod was changed"
    );
    let after = reviews()?;
    ensure!(before == after, "{} reviews were sent", after - before);
    apply(&pause_pod(
        "labelled",
        namespace.0,
        &format!("{INJECT}: 'true'"),
        "",
    ))?;
    is_counted(after)
}

pub(crate) fn restricted() -> Result {
    let level = ("pod-security.kubernetes.io/enforce", "restricted");
    let namespace = Namespace::new("t-restricted", &[level])?;
    // All of it at the container, so that nothing of it holds for ours.
    let pod = pause_pod("app", namespace.0, &format!("{INJECT}: 'true'"), "");
    let own = "securityContext: {runAsNonRoot: true, runAsUser: 1000, ";
    apply(&pod.replace("securityContext: {", own))?;
    runs(namespace.0, "app")
}

/// The pod as the API server hands it to webhooks, once through `javelin preview` and once through the webhook.
pub(crate) fn preview() -> Result {
    let namespace = Namespace::new("t-preview", &[])?;
    let manifest = pause_pod(
        "app",
        namespace.0,
        "app: a",
        "securityContext: {runAsUser: 1000}",
    )
    .replace(
        "env: []",
        "env: [{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}, {name: A, value: $(B)}]",
    );
    let (text, _) = kubectl_with(&["create", "--dry-run=server", "-o", "json"], &manifest)?;
    let mut pod: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    pod["metadata"]["labels"][INJECT] = json!("true");
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "11111111-2222-3333-4444-555555555555", "operation": "CREATE", "namespace": namespace.0,
            "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": pod,
        },
    });
    let folder = scratch("preview")?;
    let [pod_file, review_file, config_file] =
        ["pod.json", "review.json", "config.yaml"].map(|f| folder.join(f));
    write(&pod_file, &pod.to_string())?;
    write(&review_file, &review.to_string())?;
    let config = get(&["configmap", "javelin", "-n", SYSTEM])?;
    write(
        &config_file,
        config["data"]["config.yaml"].as_str().unwrap_or_default(),
    )?;

    let url = format!("/api/v1/namespaces/{SYSTEM}/services/https:javelin:443/proxy/mutate/pod");
    let answer = kubectl(&[
        "create",
        "--raw",
        &url,
        "-f",
        &review_file.display().to_string(),
    ])?;
    let answer: Value =
        serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))?;
    let patch = answer["response"]["patch"]
        .as_str()
        .ok_or_else(|| format!("no patch: {answer}"))?;
    let from_webhook = BASE64.decode(patch).map_err(|error| error.to_string())?;

    let preview = javelin(&["preview", "-o", "patch", "-f"])
        .arg(&pod_file)
        .arg("--config")
        .arg(&config_file)
        .output()
        .map_err(|error| error.to_string())?;
    let from_preview = preview.stdout.strip_suffix(b"\n").unwrap_or_default();
    ensure!(
        from_preview.len() > 500,
        "{}",
        String::from_utf8_lossy(&preview.stderr)
    );
    ensure!(
        from_preview == from_webhook,
        "preview:\n{}\nwebhook:\n{}",
        String::from_utf8_lossy(from_preview),
        String::from_utf8_lossy(&from_webhook)
    );
    Ok(())
}

/// A pod that is created again with everything of ours in it, as `kubectl debug --copy-to` does.
pub(crate) fn second_pass() -> Result {
    let namespace = Namespace::new("t-second", &[])?;
    apply(&pause_pod(
        "first",
        namespace.0,
        &format!("{INJECT}: 'true'"),
        "",
    ))?;
    let mut pod = get(&["pod", "first", "-n", namespace.0])?;
    let spec = pod["spec"].clone();
    pod["metadata"] = json!({
        "name": "second", "namespace": namespace.0,
        "labels": pod["metadata"]["labels"], "annotations": pod["metadata"]["annotations"],
    });
    pod.as_object_mut().map(|pod| pod.remove("status"));
    apply(&pod.to_string())?;
    let copy = get(&["pod", "second", "-n", namespace.0])?;
    ensure!(
        copy["spec"]["containers"] == spec["containers"],
        "the containers were changed again"
    );
    ensure!(
        copy["spec"]["initContainers"] == spec["initContainers"],
        "the init containers were changed again"
    );
    ensure!(
        copy["metadata"]["annotations"]["javelin.dev/skipped"].is_null(),
        "{}",
        copy["metadata"]
    );
    Ok(())
}

// === The way back

pub(crate) fn label_removed() -> Result {
    let namespace = Namespace::new("t-removed", &[])?;
    apply(&pause_deployment(namespace.0))?;
    label("deployment/app", namespace.0, &format!("{INJECT}=true"))?;
    injected_pod(namespace.0)?;
    let said = label("deployment/app", namespace.0, &format!("{INJECT}-"))?;
    ensure!(
        said.contains("start without the agent"),
        "kubectl showed no warning: {said:?}"
    );
    back_to_plain(namespace.0, "deployment/app")
}

/// A removal that the webhook never saw is mended by whatever update comes next.
pub(crate) fn webhook_away() -> Result {
    let namespace = Namespace::new("t-away", &[])?;
    apply(&pause_deployment(namespace.0))?;
    label("deployment/app", namespace.0, &format!("{INJECT}=true"))?;
    injected_pod(namespace.0)?;

    kubectl(&["scale", "-n", SYSTEM, "deploy/javelin", "--replicas=0"])?;
    eventually("no replica left", SOON, || {
        let left = pods(SYSTEM)?.len()
            + get(&["pods", "-n", SYSTEM])?["items"]
                .as_array()
                .map_or(0, Vec::len);
        ensure!(left == 0, "{left} pods");
        Ok(())
    })?;
    apply(&pause_pod(
        "blind",
        namespace.0,
        &format!("{INJECT}: 'true'"),
        "",
    ))?;
    kubectl(&[
        "wait",
        "-n",
        namespace.0,
        "--for=condition=Ready",
        "pod/blind",
        "--timeout=60s",
    ])?;
    ensure!(
        is_untouched(&get(&["pod", "blind", "-n", namespace.0])?),
        "who injected it?"
    );
    label("deployment/app", namespace.0, &format!("{INJECT}-"))?;
    ensure!(
        copy_of_label(namespace.0)? == "true",
        "who took the copy away?"
    );

    kubectl(&["scale", "-n", SYSTEM, "deploy/javelin", "--replicas=2"])?;
    javelin_is_rolled_out()?;
    let update = ["annotate", "-n", namespace.0, "deployment/app", "update=1"];
    kubectl(&update)?;
    ensure!(
        copy_of_label(namespace.0)?.is_empty(),
        "the copy is there after an update"
    );
    back_to_plain(namespace.0, "deployment/app")
}

pub(crate) fn restart_under_load() -> Result {
    let namespace = Namespace::new("t-load", &[(INJECT, "true")])?;
    kubectl(&["rollout", "restart", "-n", SYSTEM, "deploy/javelin"])?;
    let rolling = || -> Result<bool> {
        let deployment = get(&["deployment", "javelin", "-n", SYSTEM])?;
        let status = &deployment["status"];
        let is = |key: &str, value: u64| status[key].as_u64().unwrap_or_default() == value;
        let seen = status["observedGeneration"] == deployment["metadata"]["generation"];
        Ok(!(seen && is("updatedReplicas", 2) && is("replicas", 2) && is("availableReplicas", 2)))
    };
    let deadline = Instant::now() + Duration::from_mins(2);
    let (mut created, mut blind) = (0, Vec::new());
    // Ten at a time, until the rollout is over and a hundred are done.
    while rolling()? || created < 100 {
        ensure!(Instant::now() < deadline, "the rollout does not end");
        let pods = (created..created + 10)
            .map(|n| pause_pod(&format!("p{n}"), namespace.0, "app: load", ""));
        let batch = pods.collect::<Vec<_>>().join("---\n");
        let (text, _) = kubectl_with(&["create", "--dry-run=server", "-o", "json"], &batch)?;
        created += 10;
        let stream = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        for answer in stream {
            let answer = answer.map_err(|error| error.to_string())?;
            let list = answer["items"]
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![answer.clone()]);
            blind.extend(
                list.iter()
                    .filter(|pod| receipt(pod).is_none())
                    .map(|pod| name_of(pod).to_owned()),
            );
        }
    }
    ensure!(
        blind.is_empty(),
        "of {created} pods, these came out without the agent: {blind:?}"
    );
    Ok(())
}

pub(crate) fn wiped_ca_bundle() -> Result {
    let before = ca_bundles()?;
    wipe_ca_bundles()?;
    eventually("every caBundle is back", SOON, || {
        ensure!(ca_bundles()? == before, "not yet");
        Ok(())
    })
}

// === The end

pub(crate) fn uninstall() -> Result {
    let namespace = Namespace::new("t-uninstall", &[(INJECT, "true")])?;
    for (major, next) in [("helm", Some("helm3")), ("helm3", None)] {
        helm(
            major,
            &["uninstall", "javelin", "--namespace", SYSTEM, "--wait"],
        )?;
        eventually("nothing of Javelin is left", SOON, nothing_left)?;
        let name = format!("after-{major}");
        apply(&pause_pod(&name, namespace.0, "app: a", ""))?;
        ensure!(
            is_untouched(&get(&["pod", &name, "-n", namespace.0])?),
            "something still injects"
        );
        if let Some(next) = next {
            install_with(next, ENDPOINT)?;
            pods_get_the_agent(namespace.0)?;
        }
    }
    kubectl(&[
        "delete",
        "namespace",
        SYSTEM,
        "observability",
        "--timeout=3m",
    ])?;
    Ok(())
}

/// Of those that say nothing themselves.
pub(crate) fn pods_get_the_agent(namespace: &str) -> Result {
    eventually("pods get the agent", SOON, || {
        let pod = pause_pod("p", namespace, "app: a", "");
        let (text, _) = kubectl_with(&["create", "--dry-run=server", "-o", "json"], &pod)?;
        let pod: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        ensure!(receipt(&pod).is_some(), "not this one");
        Ok(())
    })
}

pub(crate) fn nothing_left() -> Result {
    let mut left = BTreeSet::new();
    let kinds = kubectl(&["api-resources", "--verbs=list", "-o", "name"])?;
    let kinds: Vec<_> = kinds
        .split_whitespace()
        .filter(|kind| !kind.starts_with("events"))
        .collect();
    let objects = kubectl(&[
        "get",
        &kinds.join(","),
        "-A",
        "-o",
        "name",
        "--ignore-not-found",
    ])?;
    left.extend(
        objects
            .lines()
            .filter(|name| name.contains("javelin") && *name != "namespace/javelin-system"),
    );
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

// === Helpers

pub(crate) fn java_deployment(namespace: &str, labels: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: stock, namespace: {namespace}}}, spec: {{
  selector: {{matchLabels: {{app: stock}}}}, template: {{metadata: {{labels: {{app: stock{labels}}}}}, spec: {{{spec}
    containers: [{{name: stock, image: 'localhost/javelin-shop:1', imagePullPolicy: IfNotPresent,
      env: [{{name: SHOP_ROLE, value: stock}}], resources: {{limits: {{memory: 384Mi}}, requests: {{cpu: 50m}}}},
      readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 2, timeoutSeconds: 2}}}}]}}}}}}}}"
    )
}

pub(crate) fn pause_deployment(namespace: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: app, namespace: {namespace}}}, spec: {{
  selector: {{matchLabels: {{app: app}}}}, template: {{metadata: {{labels: {{app: app}}}}, spec: {{
    terminationGracePeriodSeconds: 0,
    containers: [{{name: app, image: 'localhost/javelin-pause:1', imagePullPolicy: IfNotPresent}}]}}}}}}}}"
    )
}

pub(crate) fn pause_pod(name: &str, namespace: &str, labels: &str, spec: &str) -> String {
    let spec = if spec.is_empty() {
        String::new()
    } else {
        format!("{spec},")
    };
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}, spec: {{
  terminationGracePeriodSeconds: 0, {spec}
  containers: [{{name: app, image: 'localhost/javelin-pause:1', imagePullPolicy: IfNotPresent, env: [], resources: {{}},
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}},
      seccompProfile: {{type: RuntimeDefault}}}}}}]}}}}\n"
    )
}

pub(crate) fn label(object: &str, namespace: &str, label: &str) -> Result<String> {
    let output = kubectl_output(&["label", object, "-n", namespace, label]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "kubectl label failed: {said}");
    Ok(said)
}

fn rolled_out(namespace: &str) -> Result {
    kubectl(&[
        "rollout",
        "status",
        "-n",
        namespace,
        "deployment/stock",
        "--timeout=2m",
    ])?;
    Ok(())
}

/// The one pod that is left after the rollout, injected and ready.
pub(crate) fn injected_pod(namespace: &str) -> Result<Value> {
    eventually(
        "the injected pod is the only one, and ready",
        JVM_START,
        || {
            let pods = pods(namespace)?;
            let [pod] = pods.as_slice() else {
                return Err(format!("{} pods", pods.len()));
            };
            ensure!(receipt(pod).is_some(), "not injected");
            let ready = pod["status"]["conditions"].as_array().into_iter().flatten();
            ensure!(
                ready
                    .into_iter()
                    .any(|c| c["type"] == "Ready" && c["status"] == "True"),
                "{}",
                pod["status"]
            );
            Ok(pod.clone())
        },
    )
}

fn back_to_plain(namespace: &str, deployment: &str) -> Result {
    eventually("the Deployment rolls out without the agent", SOON, || {
        ensure!(
            copy_of_label(namespace)?.is_empty(),
            "the copy of the label is still there"
        );
        let marker =
            get(&[deployment, "-n", namespace])?["metadata"]["labels"][FROM_WORKLOAD].clone();
        ensure!(marker.is_null(), "the marker is still there: {marker}");
        let pods = pods(namespace)?;
        let of_it: Vec<_> = pods
            .iter()
            .filter(|pod| pod["metadata"]["labels"]["app"] == "app")
            .collect();
        let names: Vec<_> = of_it.iter().map(|pod| name_of(pod)).collect();
        ensure!(
            !of_it.is_empty() && of_it.iter().all(|pod| is_untouched(pod)),
            "pods: {names:?}"
        );
        Ok(())
    })
}

pub(crate) fn copy_of_label(namespace: &str) -> Result<String> {
    let deployment = get(&["deployment", "app", "-n", namespace])?;
    let copy = &deployment["spec"]["template"]["metadata"]["labels"][FROM_WORKLOAD];
    Ok(copy.as_str().unwrap_or_default().to_owned())
}

fn runs(namespace: &str, pod: &str) -> Result {
    kubectl(&[
        "wait",
        "-n",
        namespace,
        "--for=condition=Ready",
        &format!("pod/{pod}"),
        "--timeout=60s",
    ])?;
    ensure!(
        receipt(&get(&["pod", pod, "-n", namespace])?).is_some(),
        "{pod} was not injected"
    );
    Ok(())
}

/// Asks the pod for something until one of its spans has reached the Collector.
pub(crate) fn first_span(service: &str, namespace: &str, pod: &Value) -> Result<Span> {
    let pod = name_of(pod);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/stock/tea");
    eventually("a span of the pod reaches the Collector", JVM_START, || {
        kubectl(&["get", "--raw", &path])?;
        let output = kubectl(&["logs", "-n", "observability", "deploy/otel-collector"])?;
        let spans = spans::parse(&output);
        let of_pod = spans
            .into_iter()
            .find(|span| span.attribute("k8s.pod.name") == pod);
        let span = of_pod.ok_or("none yet")?;
        ensure!(
            span.service() == service,
            "it is from the service {:?}",
            span.service()
        );
        Ok(span)
    })
}

/// All reviews that all replicas have answered, the probe's aside.
fn reviews() -> Result<u64> {
    let mut sum = 0;
    for pod in pods(SYSTEM)? {
        let metrics = kubectl(&["get", "--raw", &metrics_path(&pod)])?;
        let lines = metrics
            .lines()
            .filter(|l| l.starts_with("javelin_reviews_total{") && !l.contains("\"probe\""));
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        sum += counts.sum::<u64>();
    }
    Ok(sum)
}

/// What was sent is counted: else a counter that stays where it is proves nothing.
fn is_counted(before: u64) -> Result {
    eventually("the counter counts what is sent", SOON, || {
        let now = reviews()?;
        ensure!(now > before, "it stays at {now}");
        Ok(())
    })
}

/// The sum of a metric over all replicas.
pub(crate) fn counted(metric: &str) -> Result<u64> {
    let mut sum = 0;
    for pod in pods(SYSTEM)? {
        let metrics = kubectl(&["get", "--raw", &metrics_path(&pod)])?;
        let lines = metrics.lines().filter(|line| line.starts_with(metric));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        sum += values.sum::<u64>();
    }
    Ok(sum)
}

pub(crate) fn metrics_path(pod: &Value) -> String {
    format!(
        "/api/v1/namespaces/{SYSTEM}/pods/{}:8080/proxy/metrics",
        name_of(pod)
    )
}

pub(crate) fn receipt(pod: &Value) -> Option<&str> {
    pod["metadata"]["annotations"]["javelin.dev/injected"].as_str()
}

pub(crate) fn is_untouched(pod: &Value) -> bool {
    receipt(pod).is_none() && !pod["spec"].to_string().contains("javelin-agent")
}

pub(crate) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn scratch(name: &str) -> Result<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

fn write(file: &Path, text: &str) -> Result {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
