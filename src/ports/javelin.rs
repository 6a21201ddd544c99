//! Whom Javelin's own pods call, and who else calls them.

use std::collections::{BTreeMap, BTreeSet};

use javelin_core::config::Config;
use serde_json::Value;

use super::index::{
    Index, IndexedWorkload, are_in_one, each_or_unknown, list, namespace_of, selector, variable,
    words,
};
use super::webhooks::{API_SERVERS, Own};
use super::{Connection, Direction, ManifestProblem, PortsReport};
use crate::offline::document::Document;
use crate::probe::Reachability;

impl Own {
    /// The workloads themselves.
    pub(super) fn of<'i, 'a>(
        &self,
        index: &'i Index<'a>,
    ) -> impl Iterator<Item = &'i IndexedWorkload<'a>> {
        self.workloads
            .iter()
            .filter_map(|at| index.workloads.get(*at))
    }

    /// Where its pods are, for people.
    pub(super) fn place(&self, index: &Index<'_>) -> String {
        let all: Vec<_> = self.workloads.iter().copied().collect();
        index.place(&all)
    }
}

/// The configuration that Javelin's pods mount, and where it stands.
pub(super) fn configuration<'a>(
    index: &Index<'a>,
    own: &Own,
) -> Result<Option<(&'a Document, Config)>, ManifestProblem> {
    for workload in own.of(index) {
        let volumes = list(workload.pod, "/spec/volumes").iter();
        let names = volumes.filter_map(|volume| volume.pointer("/configMap/name")?.as_str());
        for name in names {
            let namespace = namespace_of(workload.document);
            let found = index.kind("ConfigMap").find(|map| {
                map.text(&["metadata", "name"]) == Some(name)
                    && are_in_one(namespace, namespace_of(map))
            });
            let text = found.and_then(|map| Some((map, map.text(&["data", "config.yaml"])?)));
            if let Some((map, text)) = text {
                let config = Config::parse(text, "config.yaml").map_err(|error| {
                    let remedy = "correct the chart's values; `javelin config check` tells the same of a file";
                    ManifestProblem::at(map, "data.\"config.yaml\"", error.to_string(), remedy)
                })?;
                return Ok(Some((map, config)));
            }
        }
    }
    Ok(None)
}

/// Javelin keeps its certificates by the API server, unless they are somebody else's.
pub(super) fn api_server(index: &Index<'_>, own: &Own, report: &mut PortsReport) {
    let calling: Vec<_> = own
        .of(index)
        .filter(|each| !has_certificate(each))
        .collect();
    if calling.is_empty() {
        return;
    }
    let ports = index.of_slices_called(Some("default"), "kubernetes", None);
    let ports = ports.unwrap_or_default();
    if ports.is_empty() {
        report.note(
            "which port API servers listen on is not among the objects, often 6443: `kubectl get endpointslices -n default \
             -l kubernetes.io/service-name=kubernetes` tells it"
                .to_owned(),
        );
    }
    let row = |port: Option<u16>| {
        Connection {
        from: own.place(index),
        to: API_SERVERS.to_owned(),
        port,
        service_port: Some(OF_KUBERNETES),
        protocol: "TCP, TLS".to_owned(),
        direction: Direction::Outbound,
        purpose: "keeps its certificates: Secret, caBundles, and the probe".to_owned(),
        closed: "running replicas go on; one that starts does not become ready, caBundles are not repaired, and the authority is not replaced".to_owned(),
        code: None,
        read_in: calling.iter().map(|each| each.document.title()).collect(),
    }
    };
    report.rows.extend(each_or_unknown(&ports).map(row));
}

/// The kubelet's questions, which never leave the node: for forms that ask for every port that is listened on.
pub(super) fn probes(
    index: &Index<'_>,
    own: &Own,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    for at in &own.workloads {
        let Some(workload) = index.workloads.get(*at) else {
            continue;
        };
        let mut kinds: BTreeMap<(u16, &str), BTreeSet<&str>> = BTreeMap::new();
        for container in workload.containers() {
            for (key, kind) in PROBES {
                let Some((handler, speaks)) = handler(container, key) else {
                    continue;
                };
                let field = format!("{key}.port");
                if let Some(port) = workload.port(handler, &field)? {
                    kinds.entry((port, speaks)).or_default().insert(kind);
                }
            }
        }
        for ((port, speaks), kinds) in kinds {
            let kinds: Vec<_> = kinds.into_iter().collect();
            report.rows.push(Connection {
                from: "kubelet of the same node".to_owned(),
                to: index.place(&[*at]),
                port: Some(port),
                service_port: None,
                protocol: speaks.to_owned(),
                direction: Direction::Node,
                purpose: format!("probes: {}", kinds.join(", ")),
                closed: "no replica becomes ready, and API servers have nobody to call".to_owned(),
                code: Some(Reachability::NoEndpoint(String::new()).code()),
                read_in: vec![workload.document.title()],
            });
        }
    }
    Ok(())
}

/// Where a probe asks, and in what.
fn handler<'a>(container: &'a Value, probe: &str) -> Option<(&'a Value, &'static str)> {
    let probe = container.get(probe)?;
    if let Some(port) = probe.pointer("/httpGet/port") {
        let is_tls = probe
            .pointer("/httpGet/scheme")
            .is_some_and(|scheme| scheme == "HTTPS");
        return Some((port, if is_tls { "TCP, TLS" } else { "TCP, HTTP" }));
    }
    let grpc = probe.pointer("/grpc/port").map(|port| (port, "TCP, gRPC"));
    grpc.or_else(|| Some((probe.pointer("/tcpSocket/port")?, "TCP")))
}

/// What policies of the cluster say of Javelin's pods: one that is forgotten closes as well as a firewall does.
pub(super) fn policies(
    index: &Index<'_>,
    own: &Own,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    let inbound: Vec<_> = report
        .rows
        .iter()
        .filter(|row| row.direction == Direction::Inbound)
        .filter_map(|row| row.port)
        .collect();
    for workload in own.of(index) {
        // None applies to the node's network.
        if workload.has_host_network() {
            continue;
        }
        for policy in index.kind("NetworkPolicy") {
            if !applies(policy, workload) {
                continue;
            }
            let title = policy.title();
            let types = list(&policy.value, "/spec/policyTypes");
            let has = |kind: &str| types.iter().any(|each| each == kind);
            let ingress = list(&policy.value, "/spec/ingress");
            // Without a list it is for what comes in, and for what goes out if it has rules for that.
            if types.is_empty() || has("Ingress") {
                for port in &inbound {
                    if !admits(ingress, workload, *port)? {
                        report.note(format!(
                            "{title} lets nobody to TCP {port} of these pods, API servers included"
                        ));
                    }
                }
            }
            let egress = list(&policy.value, "/spec/egress");
            if has("Egress") || types.is_empty() && !egress.is_empty() {
                let ways = ways(egress);
                report.note(format!("{title} closes the way out of these pods{ways}"));
            }
        }
    }
    Ok(())
}

fn applies(policy: &Document, workload: &IndexedWorkload<'_>) -> bool {
    let selector = selector(&policy.value, "/spec/podSelector");
    are_in_one(namespace_of(policy), namespace_of(workload.document))
        && selector.is_some_and(|selector| workload.is_selected(&selector))
}

/// Does a rule let somebody to that port?
fn admits(
    rules: &[Value],
    workload: &IndexedWorkload<'_>,
    wanted: u16,
) -> Result<bool, ManifestProblem> {
    for rule in rules {
        let ports = list(rule, "/ports");
        if ports.is_empty() {
            return Ok(true);
        }
        for entry in ports {
            let Some(value) = entry.get("port").filter(|port| !port.is_null()) else {
                return Ok(true);
            };
            let first = workload.port(value, "spec.ingress[].ports[].port")?;
            let last = entry.get("endPort").and_then(Value::as_u64);
            let last = last.or_else(|| first.map(u64::from)).unwrap_or_default();
            if first.is_some_and(|first| first <= wanted) && u64::from(wanted) <= last {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The ports of rules, as a sentence goes on with them.
fn ways(rules: &[Value]) -> String {
    let mut ways = Vec::new();
    for rule in rules {
        let ports = list(rule, "/ports");
        if ports.is_empty() {
            ways.push("any port of some peers".to_owned());
        }
        ways.extend(ports.iter().map(|entry| {
            let protocol = entry
                .get("protocol")
                .and_then(Value::as_str)
                .unwrap_or("TCP");
            match entry.get("port") {
                Some(Value::String(name)) => format!("{name}/{protocol}"),
                Some(port) => format!("{port}/{protocol}"),
                None => format!("any {protocol}"),
            }
        }));
    }
    if ways.is_empty() {
        return String::new();
    }
    format!(", but for {}", ways.join(", "))
}

/// Is somebody else's certificate served? Then the API server is asked for nothing.
fn has_certificate(workload: &IndexedWorkload<'_>) -> bool {
    workload.containers().any(|container| {
        words(container).any(|word| word == "--tls-cert" || word.starts_with("--tls-cert="))
            || variable(container, "JAVELIN_TLS_CERT").is_some()
    })
}

/// The Service `kubernetes`, by which pods call API servers.
const OF_KUBERNETES: u16 = 443;

const PROBES: [(&str, &str); 3] = [
    ("startupProbe", "startup"),
    ("livenessProbe", "liveness"),
    ("readinessProbe", "readiness"),
];
