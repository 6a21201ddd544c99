//! Who asks for metrics: what the Prometheus Operator is told by its monitors, of Services and of pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::index::{Index, are_in_one, labels_of, list, namespace_of, selector};
use super::webhooks::Own;
use super::{Connection, Direction, ManifestProblem, PortsReport};
use crate::offline::document::Document;

/// Of `only` these workloads, or of all.
pub(super) fn rows(
    index: &Index<'_>,
    only: Option<&Own>,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    let is_wanted = |at: &usize| only.is_none_or(|own| own.workloads.contains(at));
    for monitor in index.kind("PodMonitor") {
        for workload in of_pods(index, monitor).into_iter().filter(is_wanted) {
            for (at, endpoint) in list(&monitor.value, "/spec/podMetricsEndpoints")
                .iter()
                .enumerate()
            {
                let field = format!("spec.podMetricsEndpoints[{at}]");
                let ports = port_of_pod(index, workload, endpoint, &field)?;
                let read_in = Vec::new();
                report.rows.extend(
                    ports.map(|port| row(index, monitor, endpoint, (workload, port), read_in)),
                );
            }
        }
    }
    for monitor in index.kind("ServiceMonitor") {
        for service in of_services(index, monitor) {
            let workloads = index.behind(service);
            let is_known = workloads.iter().any(is_wanted);
            for endpoint in list(&monitor.value, "/spec/endpoints") {
                if is_known {
                    let to: Vec<_> = workloads.iter().copied().filter(is_wanted).collect();
                    of_service(index, monitor, (service, endpoint), &to, report)?;
                } else if only.is_none() {
                    of_slices(index, monitor, (service, endpoint), report)?;
                }
            }
        }
    }
    Ok(())
}

fn of_service(
    index: &Index<'_>,
    monitor: &Document,
    (service, endpoint): (&Document, &Value),
    workloads: &[usize],
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    for workload in workloads {
        let ports = match endpoint.get("targetPort").filter(|port| !port.is_null()) {
            Some(target) => index
                .workloads
                .get(*workload)
                .map(|each| each.port(target, "targetPort of a ServiceMonitor"))
                .transpose()?
                .flatten()
                .into_iter()
                .collect(),
            None => by_name(index, service, endpoint)?,
        };
        for port in ports {
            let read_in = vec![service.title()];
            report
                .rows
                .push(row(index, monitor, endpoint, (*workload, port), read_in));
        }
    }
    Ok(())
}

fn of_slices(
    index: &Index<'_>,
    monitor: &Document,
    (service, endpoint): (&Document, &Value),
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    for port in by_name(index, service, endpoint)? {
        report.rows.push(Connection {
            to: format!("pods behind {}", service.title()),
            ..of_monitor(monitor, endpoint, port, vec![service.title()])
        });
    }
    Ok(())
}

/// The pods' port that a Service has under that name.
fn by_name(
    index: &Index<'_>,
    service: &Document,
    endpoint: &Value,
) -> Result<BTreeSet<u16>, ManifestProblem> {
    let name = endpoint
        .get("port")
        .and_then(Value::as_str)
        .unwrap_or_default();
    for (port, entry) in Index::ports(service)? {
        if entry
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            == name
        {
            let lead = index.lead(service, port)?;
            return Ok(lead.map(|lead| lead.ports).unwrap_or_default());
        }
    }
    Ok(BTreeSet::new())
}

fn port_of_pod(
    index: &Index<'_>,
    workload: usize,
    endpoint: &Value,
    field: &str,
) -> Result<Option<u16>, ManifestProblem> {
    let keys = ["port", "portNumber", "targetPort"];
    let value = keys
        .iter()
        .find_map(|key| endpoint.get(*key).filter(|port| !port.is_null()));
    match (index.workloads.get(workload), value) {
        (Some(workload), Some(value)) => workload.port(value, field),
        _ => Ok(None),
    }
}

fn row(
    index: &Index<'_>,
    monitor: &Document,
    endpoint: &Value,
    (workload, port): (usize, u16),
    mut read_in: Vec<String>,
) -> Connection {
    let document = index
        .workloads
        .get(workload)
        .map(|each| each.document.title());
    read_in.extend(document);
    Connection {
        to: index.place(&[workload]),
        ..of_monitor(monitor, endpoint, port, read_in)
    }
}

fn of_monitor(monitor: &Document, endpoint: &Value, port: u16, read_in: Vec<String>) -> Connection {
    let is_tls = endpoint
        .get("scheme")
        .and_then(Value::as_str)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Connection {
        from: "Prometheus".to_owned(),
        to: String::new(),
        port: Some(port),
        // Prometheus asks each pod by its own address.
        service_port: None,
        protocol: if is_tls {
            "TCP, HTTP over TLS"
        } else {
            "TCP, HTTP"
        }
        .to_owned(),
        direction: Direction::Cluster,
        purpose: "metrics".to_owned(),
        closed: "that target is down in Prometheus; nothing else changes".to_owned(),
        code: None,
        read_in: [vec![monitor.title()], read_in].concat(),
    }
}

fn of_pods(index: &Index<'_>, monitor: &Document) -> Vec<usize> {
    let Some(selector) = selector(&monitor.value, "/spec/selector") else {
        return Vec::new();
    };
    let namespaces = namespaces(monitor);
    let found: BTreeSet<_> = namespaces
        .iter()
        .flat_map(|namespace| index.selected(*namespace, &selector))
        .collect();
    found.into_iter().collect()
}

fn of_services<'a>(index: &Index<'a>, monitor: &Document) -> Vec<&'a Document> {
    let Some(selector) = selector(&monitor.value, "/spec/selector") else {
        return Vec::new();
    };
    let namespaces = namespaces(monitor);
    let is_there = |service: &&Document| {
        let own = namespace_of(service);
        namespaces
            .iter()
            .any(|namespace| are_in_one(*namespace, own))
            && selector.selects(&labels_of(&service.value))
    };
    index.services().filter(is_there).collect()
}

/// Where a monitor looks; `None` is anywhere.
fn namespaces(monitor: &Document) -> Vec<Option<&str>> {
    let selector = monitor.value.pointer("/spec/namespaceSelector");
    if selector.and_then(|each| each.get("any")) == Some(&Value::Bool(true)) {
        return vec![None];
    }
    let names: Vec<_> = list(&monitor.value, "/spec/namespaceSelector/matchNames")
        .iter()
        .map(Value::as_str)
        .collect();
    if names.is_empty() {
        return vec![namespace_of(monitor)];
    }
    names
}
