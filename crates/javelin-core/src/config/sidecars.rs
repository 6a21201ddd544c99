//! Containers that stand beside the application, some of them in front of it: never a target by themselves.
//!
//! Other injectors add them, or charts: those of `cp-helm-charts` put a JMX exporter first, `incubator/cassandra` its own.
//! `sidecars` in the configuration adds to these.

use crate::{mutate::pod::Container, steps};

/// Is it one by its name, its image, or the jar that it runs?
pub(super) fn is_known(container: &Container) -> bool {
    KNOWN.contains(&container.name.as_str())
        || container.image.as_deref().is_some_and(is_helpers_image)
        || runs_exporter(container)
}

/// By the last part of its path.
fn is_helpers_image(reference: &str) -> bool {
    steps::take(reference.len());
    let path = reference.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().unwrap_or_default();
    // `bitnami/jmx-exporter`, `solsson/kafka-prometheus-jmx-exporter`, `sscaling/jmx-prometheus-exporter`.
    (name.contains("jmx") && name.contains("exporter")) || IMAGES.contains(&name)
}

/// The JMX exporter as a program of its own; not where a shell puts it into the background of another.
fn runs_exporter(container: &Container) -> bool {
    let mut line = container.command.iter().chain(&container.args).flatten();
    line.any(|argument| {
        steps::take(argument.len());
        EXPORTERS.iter().any(|jar| argument.contains(jar))
            && !argument.replace("&&", "").contains('&')
    })
}

/// The jar's name up to version 1.0, and since.
const EXPORTERS: [&str; 2] = ["jmx_prometheus_httpserver", "jmx_prometheus_standalone"];

/// Images of helpers whose containers are called anything.
const IMAGES: [&str; 5] = [
    "cassandra-exporter",
    "cassandra_exporter",
    "configmap-reload",
    "k8s-sidecar",
    "prometheus-config-reloader",
];

/// Names of known sidecars.
pub(super) const KNOWN: [&str; 51] = [
    // Service meshes and application runtimes.
    "aws-appmesh-envoy",
    "cilium-envoy",
    "consul-connect-envoy-sidecar",
    "consul-dataplane",
    "daprd",
    "envoy",
    "envoy-sidecar",
    "istio-proxy",
    "kuma-sidecar",
    "linkerd-proxy",
    "nginx-mesh-sidecar",
    "osm-envoy",
    "traefik-mesh-proxy",
    // Secret agents and identity.
    "azwi-proxy",
    "infisical-agent",
    "kube-rbac-proxy",
    "oauth2-proxy",
    "secrets-store",
    "spiffe-helper",
    "vault-agent",
    // SQL proxies.
    "alloydb-auth-proxy",
    "cloud-sql-proxy",
    "cloudsql-proxy",
    "csql-proxy",
    "pgbouncer",
    // Log shippers.
    "filebeat",
    "fluent-bit",
    "fluentbit",
    "fluentd",
    "promtail",
    "vector",
    // Exporters that are JVMs of their own.
    "cassandra-exporter",
    "jmx",
    "jmx-exporter",
    "jmx-metrics",
    "prometheus-jmx-exporter",
    // Reloaders and tails of charts: Jenkins, Cassandra's operator, Sonatype Nexus.
    "audit-log",
    "config-reload",
    "config-reloader",
    "configmap-reload",
    "k8s-sidecar",
    "request-log",
    "server-system-logger",
    "tasks-log",
    // Telemetry agents.
    "cloudwatch-agent",
    "datadog-agent",
    "grafana-agent",
    "jaeger-agent",
    "otc-container",
    "otel-collector",
    "xray-daemon",
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(container: Value, is_sidecar: bool) {
        let container: Container = serde_json::from_value(container).unwrap();
        assert_eq!(is_known(&container), is_sidecar, "{container:?}");
    }

    #[test]
    fn a_helper_is_known_by_its_image_or_its_jar() {
        for image in [
            "bitnami/jmx-exporter:1.0.1",
            "registry:5000/mirror/kafka-prometheus-jmx-exporter@sha256:6f82",
            "sscaling/jmx-prometheus-exporter",
            "criteord/cassandra_exporter:2.0.2",
            "quay.io/kiwigrid/k8s-sidecar:1.27.4",
        ] {
            check(json!({ "name": "metrics", "image": image }), true);
        }
        let jar = "jmx_prometheus_httpserver.jar";
        let line = format!("sleep 10 && java -jar {jar} 5556 /c.yml");
        check(
            json!({ "name": "m", "command": ["java", "-jar", jar, "5556"] }),
            true,
        );
        check(
            json!({ "name": "m", "args": ["-jar", "/opt/jmx_prometheus_standalone-1.2.0.jar"] }),
            true,
        );
        check(json!({ "name": "m", "command": ["sh", "-c", line] }), true);
    }

    #[test]
    fn an_application_is_none() {
        for image in [
            "shop/invoice-exporter:1",
            "shop/jmx:1",
            "jmx-exporter/app",
            "app:jmx-exporter",
        ] {
            check(json!({ "name": "app", "image": image }), false);
        }
        let line = "java -jar jmx_prometheus_httpserver.jar 5556 c.yml & exec bin/app";
        check(
            json!({ "name": "app", "command": ["sh", "-c", line] }),
            false,
        );
        check(
            json!({ "name": "app", "args": ["-javaagent:/x/jmx_prometheus_javaagent.jar"] }),
            false,
        );
    }
}
