//! What a profile can say beyond the default: other deliveries, settings below envFrom, annotations. All by a
//! `helm upgrade` of the running installation, whose values stay for the cases that come later.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    cases::{
        INJECT, SOON, first_span, injected_pod, is_untouched, java_deployment, pause_pod, receipt,
        upgrade_with,
    },
    kube::{
        Namespace, Result, apply, checkout, ensure, eventually, get, is_at_least, jdk, kubectl,
        kubectl_with, pods,
    },
    settled::replicas_know,
};

/// One Deployment for each delivery beside the default one, all at once.
pub(crate) fn deliveries() -> Result {
    upgrade()?;
    let foreign = Namespace::new("t-foreign", &[])?;
    let user = "securityContext: {runAsUser: 2000},";
    apply(&java_deployment(foreign.0, &labelled("foreign"), user))?;
    if is_at_least(35, "volumes of images")? {
        of_volumes()?;
    }
    is_traced(&foreign, "init-container")?;
    let notes = pods(foreign.0)?;
    let notes: Vec<_> = notes.iter().filter_map(receipt).collect();
    ensure!(
        notes.iter().all(|note| note.contains("runs as 2000")),
        "{notes:?}"
    );
    Ok(())
}

/// The deliveries of whose pods an image is a volume.
fn of_volumes() -> Result {
    let volume = Namespace::new("t-volume", &[])?;
    let there = Namespace::new("t-there", &[])?;
    apply(&java_deployment(volume.0, &labelled("volume"), ""))?;
    // An image that brings its own jar; here the jar comes into it as a volume.
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("{{reference: 'localhost/javelin:{version}', pullPolicy: IfNotPresent}}");
    let own = format!("volumes: [{{name: own, image: {image}}}],");
    let mount = "volumeMounts: [{name: own, mountPath: /opt/agent}], readinessProbe:";
    let with_jar = java_deployment(there.0, &labelled("there"), &own);
    apply(&with_jar.replace("readinessProbe:", mount))?;
    is_traced(&volume, "image-volume")?;
    is_traced(&there, "preinstalled")
}

fn is_traced(namespace: &Namespace, delivery: &str) -> Result {
    let pod = injected_pod(namespace.0)?;
    let receipt = receipt(&pod).unwrap_or_default();
    ensure!(
        receipt.contains(&format!("\"delivery\":\"{delivery}\"")),
        "{}: {receipt}",
        namespace.0
    );
    first_span("stock", namespace.0, &pod)?;
    Ok(())
}

/// An extension out of a `ConfigMap` changes what the agent says; a profile without an agent gives its variables.
pub(crate) fn extensions() -> Result {
    upgrade()?;
    let extended = Namespace::new("t-extended", &[])?;
    let alone = Namespace::new("t-variables", &[])?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let jar = extension(folder.path())?;
    let from_file = format!("--from-file={jar}");
    let of_namespace = ["-n", extended.0, from_file.as_str()];
    kubectl(&[&["create", "configmap", "extensions"], &of_namespace[..]].concat())?;
    apply(&java_deployment(extended.0, &labelled("extended"), ""))?;
    apply(&java_deployment(alone.0, &labelled("variables"), ""))?;
    let pod = injected_pod(extended.0)?;
    let span = first_span("stock", extended.0, &pod)?;
    ensure!(
        span.attribute("extension") == "loaded",
        "the extension added no attribute: {span:?}"
    );
    let pod = injected_pod(alone.0)?;
    let environment = pod["spec"]["containers"][0]["env"].to_string();
    ensure!(
        environment.contains("OTEL_EXPORTER_OTLP_ENDPOINT")
            && !environment.contains("JAVA_TOOL_OPTIONS")
            && pod["spec"]["initContainers"].is_null(),
        "{}",
        pod["spec"]
    );
    Ok(())
}

/// Compiles the extension into a jar.
fn extension(folder: &Path) -> Result<String> {
    let service = "io.opentelemetry.sdk.autoconfigure.spi.AutoConfigurationCustomizerProvider";
    let services = folder.join("META-INF/services");
    let written = fs::create_dir_all(&services)
        .and_then(|()| fs::write(services.join(service), "Extension\n"));
    written.map_err(|error| error.to_string())?;
    let sources = checkout("tests/cluster/extension").display().to_string();
    let own = format!("{sources}/Extension.java");
    let folder = folder.display().to_string();
    let to = [
        "--release",
        "11",
        "-d",
        &folder,
        "-sourcepath",
        &sources,
        &own,
    ];
    jdk("javac", &to)?;
    let jar = format!("{folder}/extension.jar");
    let members = ["-C", &folder, "Extension.class", "-C", &folder, "META-INF"];
    jdk(
        "jar",
        &[&["--create", "--file", &jar], &members[..]].concat(),
    )?;
    Ok(jar)
}

/// What envFrom brings wins, the rest comes from the file: the endpoint does, or no span would arrive.
pub(crate) fn settings_below_env_from() -> Result {
    let namespace = Namespace::new("t-env-from", &[])?;
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings", "namespace": namespace.0 },
        "data": {
            "OTEL_SERVICE_NAME": "of-the-user",
            "OTEL_RESOURCE_ATTRIBUTES": "team=blue,service.version=of-the-user",
            "JAVA_TOOL_OPTIONS": "-Dof.the.user=yes",
        },
    });
    apply(&settings.to_string())?;
    let from = "envFrom: [{configMapRef: {name: settings}}], readinessProbe:";
    let deployment = java_deployment(namespace.0, &labelled("true"), "");
    apply(&deployment.replace("readinessProbe:", from))?;
    let pod = injected_pod(namespace.0)?;
    let environment = pod["spec"]["containers"][0]["env"].to_string();
    ensure!(
        !environment.contains("OTEL_EXPORTER_OTLP_ENDPOINT")
            && environment.contains("/javelin-agent/defaults.properties"),
        "{environment}"
    );
    let span = first_span("of-the-user", namespace.0, &pod)?;
    for (key, value) in [
        ("team", "blue"),
        ("service.version", "of-the-user"),
        ("k8s.namespace.name", namespace.0),
        ("k8s.container.name", "stock"),
    ] {
        ensure!(
            span.attribute(key) == value,
            "{key} is {:?}, not {value:?}",
            span.attribute(key)
        );
    }
    Ok(())
}

/// Of each combination that an entry is for, or that none may be for: what comes back of a dry run.
pub(crate) fn annotations() -> Result {
    upgrade()?;
    let plain = Namespace::new("t-annotated", &[])?;
    let off = Namespace::new("t-annotated-off", &[(INJECT, "false")])?;
    let on = Namespace::new("t-annotated-on", &[(INJECT, "true")])?;
    eventually("the entries for annotations are called", SOON, || {
        for namespace in [&plain, &off] {
            let pod = dry_run(namespace.0, "", Some("true"))?;
            ensure!(receipt(&pod).is_some(), "{}: {pod}", namespace.0);
        }
        Ok(())
    })?;
    let copy = |value: &str| format!("javelin.dev/from-workload: '{value}'");
    for (namespace, labels, annotation, expected) in [
        (&plain, String::new(), Some(" TRUE "), true),
        (&plain, String::new(), Some("volume"), true),
        (&plain, String::new(), Some("false"), false),
        (&plain, String::new(), None, false),
        (&plain, format!("{INJECT}: 'false'"), Some("true"), false),
        (&plain, copy("false"), Some("true"), true),
        (&plain, copy("true"), Some("False"), false),
        (&off, String::new(), Some("true"), true),
        (&off, String::new(), None, false),
        (&on, String::new(), Some("false"), false),
        (&on, copy("false"), Some("true"), true),
        (&on, copy("false"), None, false),
        (&on, String::new(), None, true),
    ] {
        let pod = dry_run(namespace.0, &labels, annotation)?;
        let case = (namespace.0, &labels, annotation);
        ensure!(receipt(&pod).is_some() == expected, "{case:?}: {pod}");
        ensure!(is_untouched(&pod) != expected, "{case:?}: {pod}");
    }
    let refused = dry_run(plain.0, "", Some("observability/java"))?;
    let word = refused["metadata"]["annotations"]["javelin.dev/skipped"].as_str();
    ensure!(
        word.is_some_and(|word| word.contains("OpenTelemetry Operator")),
        "{word:?}"
    );
    Ok(())
}

/// A Deployment compares the templates of its `ReplicaSets` with its own, and would make new ones for ever.
pub(crate) fn replica_sets() -> Result {
    let namespace = Namespace::new("t-replicasets", &[])?;
    let template = json!({
        "metadata": { "labels": { "app": "a" } },
        "spec": { "containers": [{ "name": "app", "image": "localhost/javelin-pause:1", "imagePullPolicy": "IfNotPresent" }] },
    });
    let workload = |kind: &str, name: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": { "name": name, "namespace": namespace.0, "labels": { INJECT: "true" } },
            "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "a" } }, "template": template },
        })
    };
    let pod_template = json!({
        "apiVersion": "v1", "kind": "PodTemplate",
        "metadata": { "name": "template", "namespace": namespace.0, "labels": { INJECT: "true" } },
        "template": template,
    });
    for object in [
        workload("ReplicaSet", "alone"),
        workload("Deployment", "whole"),
        pod_template,
    ] {
        apply(&object.to_string())?;
    }
    let copy = "javelin.dev/from-workload";
    let alone = get(&["replicaset", "alone", "-n", namespace.0])?;
    ensure!(
        alone["spec"]["template"]["metadata"]["labels"][copy] == "true",
        "{alone}"
    );
    let kept = get(&["podtemplate", "template", "-n", namespace.0])?;
    ensure!(
        kept["template"]["metadata"]["labels"][copy] == "true",
        "{kept}"
    );
    let settled = |generation: i64| {
        eventually("the Deployment's controller has seen it", SOON, || {
            let whole = get(&["deployment", "whole", "-n", namespace.0])?;
            let seen = whole["status"]["observedGeneration"].as_i64();
            ensure!(seen >= Some(generation), "{seen:?}");
            Ok(())
        })
    };
    settled(1)?;
    // Each scaling is an update of the ReplicaSet by its controller, which comes by our entry if any does.
    for replicas in 1..4 {
        let scale = format!("--replicas={replicas}");
        kubectl(&["scale", "deployment/whole", "-n", namespace.0, &scale])?;
        settled(replicas + 1)?;
    }
    let sets = get(&["replicasets", "-n", namespace.0])?;
    let sets = sets["items"].as_array().cloned().unwrap_or_default();
    let owned = |set: &&Value| set["metadata"]["ownerReferences"].is_array();
    let owned: Vec<_> = sets.iter().filter(owned).collect();
    ensure!(owned.len() == 1, "{} ReplicaSets", owned.len());
    Ok(())
}

fn upgrade() -> Result {
    upgrade_with(&[
        "--reuse-values",
        "--set=annotations=true",
        "--set=profiles.volume.delivery=image-volume",
        "--set=profiles.foreign.agent.command={/javelin,install,--to,/javelin-agent}",
        "--set=profiles.there.delivery=preinstalled",
        "--set=profiles.extended.agent.extensions.configMap=extensions",
        "--set=profiles.variables.delivery=none",
        "--set=profiles.there.agent.path=/opt/agent/javaagent.jar",
    ])?;
    // Each replica reads its own file, which the kubelet brings up to date by and by.
    replicas_know("there")
}

fn dry_run(namespace: &str, labels: &str, annotation: Option<&str>) -> Result<Value> {
    let pod = pause_pod("try-out", namespace, labels, "");
    let annotated = annotation.map_or_else(
        || pod.clone(),
        |value| {
            let annotations = format!("metadata: {{annotations: {{{INJECT}: '{value}'}}, ");
            pod.replacen("metadata: {", &annotations, 1)
        },
    );
    let (text, _) = kubectl_with(&["create", "--dry-run=server", "-o", "json"], &annotated)?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn labelled(value: &str) -> String {
    format!(", {INJECT}: '{value}'")
}
