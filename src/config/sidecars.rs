//! Containers that other injectors add, some of them in front of the application: never a target by themselves.
//!
//! `sidecars` in the configuration adds to these.

/// Names of known sidecars.
pub(super) const KNOWN: [&str; 38] = [
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
    // Telemetry agents.
    "cloudwatch-agent",
    "datadog-agent",
    "grafana-agent",
    "jaeger-agent",
    "otc-container",
    "otel-collector",
    "xray-daemon",
];
