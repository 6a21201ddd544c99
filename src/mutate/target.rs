//! Which container runs the application?

use super::{
    keys::DEFAULT_CONTAINER,
    pod::{Container, Pod},
    reason::Reason,
};

/// Positions of the target containers in `spec.containers`: the one that `kubectl` takes by default, else the
/// first that is not a known sidecar.
pub(super) fn containers(pod: &Pod) -> Result<Vec<usize>, Reason> {
    let containers = &pod.spec.containers;
    if containers.is_empty() {
        return Err(Reason::NoTargetContainer);
    }
    let stated = pod.annotation(DEFAULT_CONTAINER);
    let stated = containers
        .iter()
        .position(|container| Some(container.name.as_str()) == stated);
    let first = || {
        containers
            .iter()
            .position(|container| !is_sidecar(container))
    };
    stated
        .or_else(first)
        .map(|at| vec![at])
        .ok_or(Reason::OnlySidecars)
}

fn is_sidecar(container: &Container) -> bool {
    SIDECARS.contains(&container.name.as_str())
}

/// Containers that other injectors add, some of them in front of the application.
const SIDECARS: [&str; 18] = [
    // Service meshes.
    "istio-proxy",
    "linkerd-proxy",
    "envoy",
    "envoy-sidecar",
    "consul-dataplane",
    "kuma-sidecar",
    "osm-envoy",
    "daprd",
    // Secret agents.
    "vault-agent",
    "secrets-store",
    // SQL proxies.
    "cloud-sql-proxy",
    "cloudsql-proxy",
    // Log shippers and telemetry agents.
    "fluent-bit",
    "fluentd",
    "filebeat",
    "promtail",
    "otc-container",
    "datadog-agent",
];
