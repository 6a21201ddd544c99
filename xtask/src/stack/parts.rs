//! The objects of the stack: what its charts would make of the values, for the parts that run here.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::images;

use super::NAMESPACE;
use super::values::{CLUSTER, Values, need};

/// All that is put into the stack's namespace. `pod_logs` is the node's folder of them, `west` the name of a second cluster.
pub(super) fn objects(values: &Values, pod_logs: &str, west: &str) -> Result<Vec<Value>> {
    let mut objects = gateway(values)?;
    objects.extend(node_agent(values, pod_logs)?);
    objects.extend(prometheus(values, "kps-prometheus", CLUSTER)?);
    objects.extend(prometheus(values, "west-prometheus", west)?);
    objects.extend(postgres_exporter(values)?);
    objects.extend(redis_exporter(values)?);
    objects.extend(thanos(values)?);
    Ok(objects)
}

/// The Collector of `values/opentelemetry-collector.yaml`, with the name of a cluster as its overlay gives it.
fn gateway(values: &Values) -> Result<Vec<Value>> {
    let file = "values/opentelemetry-collector.yaml";
    let (own, config) = (values.read(file)?, values.collector(file)?);
    let overlay_file = format!("clusters/{CLUSTER}/opentelemetry-collector.yaml");
    let overlay = values.read(&overlay_file)?;
    let mut container = collector_container(&own, file)?;
    let named = need(&overlay, &overlay_file, "/extraEnvs")?;
    add(&mut container, "env", named)?;
    let pod = json!({
        "automountServiceAccountToken": false,
        "containers": [container],
        "volumes": [config_volume("otel-collector")],
    });
    let ports = [("otlp", 4317), ("otlp-http", 4318), ("metrics", 8888)];
    Ok(vec![
        config_map("otel-collector", "config.yaml", &config.to_string()),
        workload("Deployment", "otel-collector", &pod),
        service("otel-collector", &ports),
    ])
}

/// The Collector of `values/opentelemetry-collector-node.yaml`, with its rights and its volumes.
fn node_agent(values: &Values, pod_logs: &str) -> Result<Vec<Value>> {
    let file = "values/opentelemetry-collector-node.yaml";
    let (own, config) = (values.read(file)?, values.collector(file)?);
    let mut container = collector_container(&own, file)?;
    add(&mut container, "env", need(&own, file, "/extraEnvs")?)?;
    let mounts = need(&own, file, "/extraVolumeMounts")?;
    add(&mut container, "volumeMounts", mounts)?;
    let mut volumes = need(&own, file, "/extraVolumes")?.clone();
    for volume in volumes.as_array_mut().context("extraVolumes is no list")? {
        match volume["name"].as_str() {
            // This cluster's kubelet uses another folder for pod logs.
            Some("pods") => volume["hostPath"]["path"] = json!(pod_logs),
            // An emptyDir, so that nothing stays on the host.
            _ => *volume = json!({ "name": volume["name"], "emptyDir": {} }),
        }
    }
    let mut pod =
        json!({ "containers": [container], "volumes": volumes, "serviceAccountName": "otel-node" });
    add(&mut pod, "volumes", &json!([config_volume("otel-node")]))?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "otel-node" }, "rules": need(&own, file, "/clusterRole/rules")?,
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "otel-node" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "otel-node" },
        "subjects": [{ "kind": "ServiceAccount", "name": "otel-node", "namespace": NAMESPACE }],
    });
    Ok(vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "otel-node" } }),
        role,
        binding,
        config_map("otel-node", "config.yaml", &config.to_string()),
        workload("DaemonSet", "otel-node", &pod),
    ])
}

/// Limited as the values say: `memory_limiter` takes a share of that.
fn collector_container(own: &Value, file: &str) -> Result<Value> {
    Ok(json!({
        "name": "collector",
        "image": image("otelcol-contrib"),
        "args": ["--config=/conf/config.yaml"],
        // The chart sets it.
        "env": [{ "name": "MY_POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
        "readinessProbe": { "httpGet": { "path": "/", "port": 13133 }, "periodSeconds": 2 },
        "resources": need(own, file, "/resources")?,
        "securityContext": need(own, file, "/securityContext")?,
        "volumeMounts": [{ "name": "config", "mountPath": "/conf" }],
    }))
}

/// An image of one of the toolchain's programs.
fn image(program: &str) -> String {
    format!("localhost/javelin-{program}:1")
}

/// A Prometheus as the values want it, that scrapes the exporters and the gateway.
fn prometheus(values: &Values, name: &str, cluster: &str) -> Result<Vec<Value>> {
    let mut prometheus = values.prometheus(cluster)?;
    let jobs = [
        ("postgres-exporter", "postgres-exporter:9187"),
        ("redis-exporter", "redis-exporter:9121"),
        ("otel-collector", "otel-collector:8888"),
    ];
    let jobs = jobs.map(
        |(job, target)| json!({ "job_name": job, "static_configs": [{ "targets": [target] }] }),
    );
    prometheus.config["scrape_configs"] = json!(jobs);
    let mut arguments = vec![
        "--config.file=/conf/prometheus.yml".to_owned(),
        "--storage.tsdb.path=/data".to_owned(),
    ];
    arguments.extend(prometheus.flags);
    let pod = json!({
        "automountServiceAccountToken": false,
        "securityContext": { "fsGroup": 65532 },
        "containers": [{
            "name": "prometheus",
            "image": image("prometheus"),
            "args": arguments,
            "readinessProbe": { "httpGet": { "path": "/-/ready", "port": 9090 }, "periodSeconds": 2 },
            "volumeMounts": [{ "name": "config", "mountPath": "/conf" }, { "name": "data", "mountPath": "/data" }],
        }],
        "volumes": [config_volume(name), { "name": "data", "emptyDir": {} }],
    });
    Ok(vec![
        config_map(name, "prometheus.yml", &prometheus.config.to_string()),
        workload("Deployment", name, &pod),
        service(name, &[("http", 9090)]),
    ])
}

/// The chart turns `config.datasource` into these variables.
fn postgres_exporter(values: &Values) -> Result<Vec<Value>> {
    let file = "values/prometheus-postgres-exporter.yaml";
    let own = values.read(file)?;
    let text = |key: &str| {
        let pointer = format!("/config/datasource/{key}");
        let text = need(&own, file, &pointer)?.as_str();
        text.with_context(|| format!("{pointer} of {file} is no text"))
    };
    let address = format!(
        "{}:{}/{}?sslmode={}",
        text("host")?,
        text("port")?,
        text("database")?,
        text("sslmode")?
    );
    let secret = need(&own, file, "/config/datasource/passwordSecret")?;
    let environment = json!([
        { "name": "DATA_SOURCE_URI", "value": address },
        { "name": "DATA_SOURCE_USER", "value": text("user")? },
        { "name": "DATA_SOURCE_PASS", "valueFrom": { "secretKeyRef": secret } },
    ]);
    let program = "prometheus-postgres-exporter";
    exporter((&own, file), program, secret, &environment, 9187)
}

fn redis_exporter(values: &Values) -> Result<Vec<Value>> {
    let file = "values/prometheus-redis-exporter.yaml";
    let own = values.read(file)?;
    let secret = need(&own, file, "/auth/secret")?;
    let environment = json!([
        { "name": "REDIS_ADDR", "value": need(&own, file, "/redisAddress")? },
        { "name": "REDIS_PASSWORD", "valueFrom": { "secretKeyRef": secret } },
    ]);
    let program = "prometheus-redis-exporter";
    exporter((&own, file), program, secret, &environment, 9121)
}

/// With the Secret that a person makes by hand, as the values say.
fn exporter(
    (own, file): (&Value, &str),
    program: &str,
    secret: &Value,
    environment: &Value,
    port: u16,
) -> Result<Vec<Value>> {
    let name = need(own, file, "/fullnameOverride")?;
    let name = name.as_str().context("fullnameOverride is no text")?;
    let key = secret["key"].as_str().context("the Secret has no key")?;
    let pod = json!({
        "automountServiceAccountToken": false,
        "securityContext": own["podSecurityContext"],
        "containers": [{
            "name": "exporter",
            "image": images::DATABASES,
            "command": [program],
            "env": environment,
            "resources": need(own, file, "/resources")?,
            "securityContext": own["securityContext"],
            "readinessProbe": { "tcpSocket": { "port": port }, "periodSeconds": 2 },
        }],
    });
    Ok(vec![
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": secret["name"] },
            "stringData": { key: "example" },
        }),
        workload("Deployment", name, &pod),
        service(name, &[("http", port)]),
    ])
}

/// `central/thanos.yaml` with our image, and an emptyDir, because this cluster has no `StorageClass`.
fn thanos(values: &Values) -> Result<Vec<Value>> {
    let mut objects = values.read_all("central/thanos.yaml")?;
    for object in &mut objects {
        if object["kind"] == "StatefulSet" {
            let spec = object["spec"].as_object_mut().context("no spec")?;
            let claims = spec.remove("volumeClaimTemplates");
            ensure!(
                claims.is_some(),
                "the StatefulSet has no volumeClaimTemplates"
            );
            let pod = &mut object["spec"]["template"]["spec"];
            add(pod, "volumes", &json!([{ "name": "data", "emptyDir": {} }]))?;
        }
        let containers = object.pointer_mut("/spec/template/spec/containers");
        for container in containers
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container["image"] = json!(image("thanos"));
        }
    }
    Ok(objects)
}

/// Appends to a list, which may not be there yet.
fn add(object: &mut Value, key: &str, more: &Value) -> Result<()> {
    let more = more
        .as_array()
        .with_context(|| format!("the values have no list for {key}"))?;
    if object[key].is_null() {
        object[key] = json!([]);
    }
    let list = object[key]
        .as_array_mut()
        .with_context(|| format!("{key} is no list"))?;
    list.extend(more.iter().cloned());
    Ok(())
}

fn workload(kind: &str, name: &str, pod: &Value) -> Value {
    let labels = json!({ "app.kubernetes.io/name": name });
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name, "labels": labels },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    })
}

fn service(name: &str, ports: &[(&str, u16)]) -> Value {
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, port)| json!({ "name": name, "port": port }))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app.kubernetes.io/name": name }, "ports": ports },
    })
}

/// JSON is YAML.
fn config_map(name: &str, file: &str, contents: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { file: contents } })
}

fn config_volume(name: &str) -> Value {
    json!({ "name": "config", "configMap": { "name": name } })
}
