//! Where the agents send to, and Javelin itself, and who tells them its address.

use std::net::IpAddr;

use javelin_core::config::{Config, Otlp, Protocol};

use super::index::{Index, each_or_unknown};
use super::webhooks::Own;
use super::{Connection, Direction, ManifestProblem, PortsReport};
use crate::diagnose::check::Check;
use crate::diagnose::check::destination::{Address, Collector, Destination, ServiceDestination};
use crate::offline::document::Document;

/// A row for each place that profiles send to.
pub(super) fn rows(
    index: &Index<'_>,
    document: &Document,
    config: &Config,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    let mut callers = Vec::new();
    for collector in Collector::all(config) {
        let profiles = collector.profiles.join(", ");
        let Some(otlp) = &collector.otlp else {
            let why = match collector.place {
                Destination::Variable => {
                    "says by a variable where it sends to, which is not looked at"
                }
                _ => {
                    "has no endpoint: its agents send to localhost in their own pods, which is no port to open"
                }
            };
            report.note(format!("profile {profiles} {why}"));
            continue;
        };
        let Address { host, .. } = Address::of(otlp.endpoint.as_str());
        let from = format!("pods with the agent (profile {profiles})");
        let row = of_endpoint(otlp, &from, document);
        let host_alone = host.trim_matches(['[', ']']);
        match &collector.place {
            Destination::Pod => {
                report.note(format!(
                    "profile {profiles} sends to {host} in the pod itself, which is no port to open"
                ));
                continue;
            }
            Destination::Node => {
                report.rows.push(Connection {
                    to: "the pod's own node".to_owned(),
                    direction: Direction::Node,
                    ..row
                });
                continue;
            }
            Destination::EachNamespace(name) => {
                report.note(format!(
                    "Service {name} is another one in each namespace, so its pods' port is not known"
                ));
                report.rows.push(Connection {
                    to: format!("pods behind Service {name} of each namespace"),
                    port: None,
                    service_port: row.port,
                    direction: Direction::Cluster,
                    ..row
                });
            }
            Destination::Service(place) => of_service(index, place, &row, report)?,
            Destination::Outside(_) | Destination::Variable => report.rows.push(row),
        }
        if host_alone.parse::<IpAddr>().is_err() {
            callers.push(from);
        }
    }
    let closed = "telemetry is lost; the application has most likely the same trouble";
    names(index, &callers, closed, document, report)
}

/// Where Javelin's own traces and log lines go.
pub(super) fn of_javelin(
    index: &Index<'_>,
    own: &Own,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    for workload in own.of(index) {
        let Some(url) = workload.setting("--otlp-endpoint", "JAVELIN_OTLP_ENDPOINT") else {
            continue;
        };
        let Address {
            is_tls, host, port, ..
        } = Address::of(url);
        let from = own.place(index);
        let row = Connection {
            from: from.clone(),
            to: host.to_owned(),
            port: Some(port),
            service_port: None,
            protocol: protocol(Protocol::HttpProtobuf, is_tls, false).to_owned(),
            direction: Direction::Outbound,
            purpose: "OTLP: Javelin's own traces and log lines".to_owned(),
            closed: "they are lost; reviews go on".to_owned(),
            code: None,
            read_in: vec![workload.document.title()],
        };
        match Destination::of_url(url) {
            Destination::Service(place) => of_service(index, &place, &row, report)?,
            _ => report.rows.push(row),
        }
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_err() {
            let closed = "Javelin's own telemetry is lost; reviews go on";
            names(index, &[from], closed, workload.document, report)?;
        }
    }
    Ok(())
}

/// As if it were outside: other places differ from that.
fn of_endpoint(otlp: &Otlp, from: &str, document: &Document) -> Connection {
    let Address {
        is_tls, host, port, ..
    } = Address::of(otlp.endpoint.as_str());
    let is_mutual = otlp.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    Connection {
        from: from.to_owned(),
        to: host.to_owned(),
        port: Some(port),
        service_port: None,
        protocol: protocol(otlp.protocol, is_tls, is_mutual).to_owned(),
        direction: Direction::Outbound,
        purpose: "OTLP: traces, metrics, logs".to_owned(),
        closed: "telemetry is lost; the application goes on".to_owned(),
        code: Some(Check::CollectorOtlp.code()),
        read_in: vec![document.title()],
    }
}

fn of_service(
    index: &Index<'_>,
    place: &ServiceDestination,
    row: &Connection,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    let ServiceDestination {
        namespace,
        name,
        port: called,
        ..
    } = place;
    let lead = index.lead_of((namespace, name), *called, report)?;
    let read_in = [row.read_in.clone(), lead.read_in.clone()].concat();
    if let Some(host) = lead.outside {
        report.rows.push(Connection {
            to: host,
            read_in,
            ..row.clone()
        });
        return Ok(());
    }
    let row = |port: Option<u16>| Connection {
        to: lead.to.clone(),
        port,
        service_port: Some(*called),
        direction: Direction::Cluster,
        read_in: read_in.clone(),
        ..row.clone()
    };
    report.rows.extend(each_or_unknown(&lead.ports).map(row));
    Ok(())
}

/// Whoever calls a name asks for its address first.
fn names(
    index: &Index<'_>,
    callers: &[String],
    closed: &str,
    document: &Document,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    if callers.is_empty() {
        return Ok(());
    }
    let ports = index.of_slices_called(Some("kube-system"), "kube-dns", Some("dns"))?;
    for transport in ["UDP", "TCP"] {
        let row = |port: Option<u16>| Connection {
            from: callers.join("; "),
            to: "cluster DNS".to_owned(),
            port,
            service_port: Some(DNS),
            protocol: format!("{transport}, DNS"),
            direction: Direction::Cluster,
            purpose: "the address of the OTLP endpoint".to_owned(),
            closed: closed.to_owned(),
            code: None,
            read_in: vec![document.title()],
        };
        report.rows.extend(each_or_unknown(&ports).map(row));
    }
    if ports.is_empty() {
        report.note("which port the pods of the cluster's DNS listen on is not among the objects, mostly 53 as well".to_owned());
    }
    Ok(())
}

fn protocol(protocol: Protocol, is_tls: bool, is_mutual: bool) -> &'static str {
    match (protocol, is_tls, is_mutual) {
        (Protocol::HttpProtobuf, false, _) => "TCP, HTTP",
        (Protocol::HttpProtobuf, true, false) => "TCP, HTTP over TLS",
        (Protocol::HttpProtobuf, true, true) => "TCP, HTTP over mTLS",
        (Protocol::Grpc, false, _) => "TCP, gRPC",
        (Protocol::Grpc, true, false) => "TCP, gRPC over TLS",
        (Protocol::Grpc, true, true) => "TCP, gRPC over mTLS",
    }
}

const DNS: u16 = 53;
