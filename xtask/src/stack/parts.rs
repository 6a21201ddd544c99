//! The objects of the stack: what its charts would make of the values, for the parts that run here.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::NAMESPACE;
use super::values::{CLUSTER, Values};

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
    let config = values.collector("values/opentelemetry-collector.yaml")?;
    let overlay = values.read(&format!("clusters/{CLUSTER}/opentelemetry-collector.yaml"))?;
    let mut container = collector_container();
    add(&mut container, "env", &overlay["extraEnvs"])?;
    let mut pod =
        json!({ "containers": [container], "volumes": [config_volume("otel-collector")] });
    pod["automountServiceAccountToken"] = json!(false);
    Ok(vec![
        config_map("otel-collector", "config.yaml", &config.to_string()),
        workload("Deployment", "otel-collector", &pod),
        service(
            "otel-collector",
            &[("otlp", 4317), ("otlp-http", 4318), ("metrics", 8888)],
        ),
    ])
}

/// The Collector of `values/opentelemetry-collector-node.yaml`, with its rights and its volumes.
fn node_agent(values: &Values, pod_logs: &str) -> Result<Vec<Value>> {
    let file = "values/opentelemetry-collector-node.yaml";
    let (own, config) = (values.read(file)?, values.collector(file)?);
    let mut container = collector_container();
    add(&mut container, "env", &own["extraEnvs"])?;
    add(&mut container, "volumeMounts", &own["extraVolumeMounts"])?;
    container["securityContext"] = own["securityContext"].clone();
    let mut volumes = own["extraVolumes"].clone();
    for volume in volumes.as_array_mut().context("no extraVolumes")? {
        match volume["name"].as_str() {
            // The kubelet here keeps them elsewhere.
            Some("pods") => volume["hostPath"]["path"] = json!(pod_logs),
            // Nothing is left on the machine.
            _ => *volume = json!({ "name": volume["name"], "emptyDir": {} }),
        }
    }
    let mut pod =
        json!({ "containers": [container], "volumes": volumes, "serviceAccountName": "otel-node" });
    add(&mut pod, "volumes", &json!([config_volume("otel-node")]))?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": NODE_ROLE }, "rules": own["clusterRole"]["rules"],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": NODE_ROLE },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NODE_ROLE },
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

/// What is bound to the whole cluster, and goes when the namespace has gone.
pub(super) const NODE_ROLE: &str = "javelin-stack-otel-node";

fn collector_container() -> Value {
    json!({
        "name": "collector",
        "image": "localhost/javelin-otelcol-contrib:1",
        "args": ["--config=/conf/config.yaml"],
        // The chart sets it.
        "env": [{ "name": "MY_POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
        "readinessProbe": { "httpGet": { "path": "/", "port": 13133 }, "periodSeconds": 2 },
        "resources": { "limits": { "memory": "512Mi" } },
        "volumeMounts": [{ "name": "config", "mountPath": "/conf" }],
    })
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
            "image": "localhost/javelin-prometheus:1",
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

/// By the address, database and user of the values; the chart makes these variables of them.
fn postgres_exporter(values: &Values) -> Result<Vec<Value>> {
    let own = values.read("values/prometheus-postgres-exporter.yaml")?;
    let source = &own["config"]["datasource"];
    let text = |key: &str| {
        source[key]
            .as_str()
            .with_context(|| format!("datasource.{key} is no text"))
    };
    let address = format!(
        "{}:{}/{}?sslmode={}",
        text("host")?,
        text("port")?,
        text("database")?,
        text("sslmode")?
    );
    let environment = json!([
        { "name": "DATA_SOURCE_URI", "value": address },
        { "name": "DATA_SOURCE_USER", "value": text("user")? },
        { "name": "DATA_SOURCE_PASS", "valueFrom": { "secretKeyRef": source["passwordSecret"] } },
    ]);
    Ok(exporter(
        &own,
        "prometheus-postgres-exporter",
        &source["passwordSecret"],
        &environment,
        9187,
    ))
}

fn redis_exporter(values: &Values) -> Result<Vec<Value>> {
    let own = values.read("values/prometheus-redis-exporter.yaml")?;
    let secret = &own["auth"]["secret"];
    let environment = json!([
        { "name": "REDIS_ADDR", "value": own["redisAddress"] },
        { "name": "REDIS_PASSWORD", "valueFrom": { "secretKeyRef": secret } },
    ]);
    Ok(exporter(
        &own,
        "prometheus-redis-exporter",
        secret,
        &environment,
        9121,
    ))
}

/// With the Secret that a person makes by hand, as the values say.
fn exporter(
    own: &Value,
    program: &str,
    secret: &Value,
    environment: &Value,
    port: u16,
) -> Vec<Value> {
    let name = own["fullnameOverride"].as_str().unwrap_or_default();
    let key = secret["key"].as_str().unwrap_or_default();
    let pod = json!({
        "automountServiceAccountToken": false,
        "containers": [{
            "name": "exporter",
            "image": "localhost/javelin-databases:1",
            "command": [program],
            "env": environment,
            "readinessProbe": { "tcpSocket": { "port": port }, "periodSeconds": 2 },
        }],
    });
    vec![
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": secret["name"] },
            "stringData": { key: "example" },
        }),
        workload("Deployment", name, &pod),
        service(name, &[("http", port)]),
    ]
}

/// `central/thanos.yaml`, with the image of here, and a volume that ends with its pod: no storage is provisioned here.
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
            container["image"] = json!("localhost/javelin-thanos:1");
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
