//! Which of the other Services are called, and by whom, as far as manifests tell: whoever names a Service with its port, in a
//! variable, an argument, a configuration or a field, calls it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::index::{Index, Lead, are_in_one, each_or_unknown, list, namespace_of};
use super::webhooks::Own;
use super::{Connection, Direction, ManifestProblem, PortsReport};
use crate::diagnose::check::destination::Address;
use crate::offline::document::Document;

/// Services of Javelin's own that nothing told of yet; with `is_whole` all that is there.
pub(super) fn rows(
    index: &Index<'_>,
    own: &Own,
    is_whole: bool,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    if is_whole {
        called(index, report)?;
        remote_writes(index, report);
    }
    for service in index.services() {
        let workloads = index.behind(service);
        if is_whole || workloads.iter().any(|at| own.workloads.contains(at)) {
            rest(index, service, report)?;
        }
    }
    Ok(())
}

/// A port of a Service that somebody names.
struct Call {
    lead: Lead,
    /// By whom, and the objects that say so.
    by: BTreeMap<String, BTreeSet<String>>,
}

/// Those that are called by name.
fn called(index: &Index<'_>, report: &mut PortsReport) -> Result<(), ManifestProblem> {
    let mounts = mounts(index);
    // What was told already is told with more words there.
    let told: BTreeSet<String> = report
        .rows
        .iter()
        .flat_map(|row| row.read_in.iter().cloned())
        .collect();
    let mut calls: BTreeMap<(String, u16), Call> = BTreeMap::new();
    for document in index.documents {
        let is_told = document.kind() == "ConfigMap" && told.contains(&document.title());
        if is_told || NO_CALLERS.contains(&document.kind()) {
            continue;
        }
        let mut found = BTreeSet::new();
        strings(&document.value, &mut |text| {
            found.extend(mentions(text).map(|(host, port)| (host.to_owned(), port)));
        });
        for (host, port) in found {
            let Some(service) = service_of(index, document, &host) else {
                continue;
            };
            let Some(lead) = index.lead(service, port)? else {
                continue;
            };
            let key = (service.title(), port);
            let call = calls.entry(key).or_insert_with(|| Call {
                lead,
                by: BTreeMap::new(),
            });
            let by = call.by.entry(caller(index, &mounts, document)).or_default();
            by.insert(document.title());
        }
    }
    for ((service, port), Call { lead, by }) in calls {
        // What a program says of its own address is no call.
        for (from, said_in) in by.into_iter().filter(|(from, _)| *from != lead.to) {
            let read_in: Vec<_> = said_in.into_iter().chain(lead.read_in.clone()).collect();
            push(&from, &service, port, (&lead, &read_in), report);
        }
    }
    Ok(())
}

fn push(
    from: &str,
    service: &str,
    called: u16,
    (lead, read_in): (&Lead, &[String]),
    report: &mut PortsReport,
) {
    let row = |port: Option<u16>| {
        let (speaks, purpose) = WELL_KNOWN
            .iter()
            .find(|(known, ..)| *known == called || Some(*known) == port)
            .map_or_else(
                || (String::new(), named(lead, called)),
                |(_, speaks, purpose)| (format!(", {speaks}"), (*purpose).to_owned()),
            );
        Connection {
            from: from.to_owned(),
            to: lead.outside.clone().unwrap_or_else(|| lead.to.clone()),
            port,
            service_port: Some(called).filter(|_| lead.outside.is_none()),
            protocol: format!("{}{speaks}", lead.transport),
            direction: if lead.outside.is_some() {
                Direction::Outbound
            } else {
                Direction::Cluster
            },
            purpose,
            closed: "these calls fail".to_owned(),
            code: None,
            read_in: read_in.to_vec(),
        }
    };
    if lead.ports.is_empty() {
        let why = lead
            .gap
            .as_ref()
            .map_or("is not among the objects", |(_, what)| what.as_str());
        report.note(format!(
            "{service}, port {called}: the port of its pods is not known: {why}"
        ));
    }
    report.rows.extend(each_or_unknown(&lead.ports).map(row));
}

fn named(lead: &Lead, called: u16) -> String {
    if lead.name.is_empty() {
        format!("port {called}")
    } else {
        format!("port {called} ({})", lead.name)
    }
}

/// Ports of a Service that no row has: somebody may call them, and the objects do not tell who.
fn rest(
    index: &Index<'_>,
    service: &Document,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    let title = service.title();
    for (port, entry) in Index::ports(service)? {
        let Some(lead) = index.lead(service, port)? else {
            continue;
        };
        let is_told = report.rows.iter().any(|row| {
            let is_port = row.service_port == Some(port)
                || row.port.is_some_and(|wire| lead.ports.contains(&wire));
            is_port && row.read_in.contains(&title)
        });
        let node_port = entry.get("nodePort").and_then(Value::as_u64);
        let from_outside = ["NodePort", "LoadBalancer"]
            .contains(&service.text(&["spec", "type"]).unwrap_or_default());
        if !is_told || from_outside {
            let before = report.rows.len();
            let from = format!("whoever calls {title}");
            push(&from, &title, port, (&lead, &lead.read_in), report);
            for row in report.rows.iter_mut().skip(before).filter(|_| from_outside) {
                row.direction = Direction::Inbound;
            }
        }
        if let Some(node_port) = node_port.filter(|_| from_outside) {
            report.note(format!("{title}, port {port}: on nodes it is {node_port}"));
        }
    }
    Ok(())
}

/// Where Prometheus sends what it has, by the Operator's resource.
fn remote_writes(index: &Index<'_>, report: &mut PortsReport) {
    for prometheus in index
        .kind("Prometheus")
        .chain(index.kind("PrometheusAgent"))
    {
        let urls = list(&prometheus.value, "/spec/remoteWrite").iter();
        for url in urls.filter_map(|each| each.get("url")?.as_str()) {
            let Address {
                is_tls, host, port, ..
            } = Address::of(url);
            // One within the cluster is among those that are called by name.
            if service_of(index, prometheus, host).is_some() {
                continue;
            }
            report.rows.push(Connection {
                from: format!("pods of {}", prometheus.title()),
                to: host.to_owned(),
                port: Some(port),
                service_port: None,
                protocol: if is_tls { "TCP, HTTP over TLS" } else { "TCP, HTTP" }.to_owned(),
                direction: Direction::Outbound,
                purpose: "remote write".to_owned(),
                closed: "samples wait in Prometheus for about two hours, and are lost over there after that".to_owned(),
                code: None,
                read_in: vec![prometheus.title()],
            });
        }
    }
}

/// The Service that a host name means to whoever is in that object's namespace.
fn service_of<'a>(index: &Index<'a>, caller: &Document, host: &str) -> Option<&'a Document> {
    let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    match labels.as_slice() {
        [name] => index.service(namespace_of(caller), name),
        // `grafana.com` may be anybody's: a Service is meant where one says that this is its namespace.
        [name, namespace] => index
            .service(Some(namespace), name)
            .filter(|service| namespace_of(service).is_some()),
        [name, namespace, "svc", ..] => index.service(Some(namespace), name),
        _ => None,
    }
}

/// Who reads an object: the workloads that mount it, or it is its own.
fn caller(index: &Index<'_>, mounts: &Mounts<'_>, document: &Document) -> String {
    let name = document.text(&["metadata", "name"]).unwrap_or_default();
    let namespace = namespace_of(document);
    let readers = mounts.get(&(document.kind(), name)).into_iter().flatten();
    let readers = readers.filter(|at| {
        let workload = index.workloads.get(**at);
        workload.is_some_and(|each| are_in_one(namespace, namespace_of(each.document)))
    });
    let readers: Vec<_> = readers.copied().collect();
    if !readers.is_empty() {
        return index.place(&readers);
    }
    let title = document.title();
    match document.kind() {
        "ConfigMap" | "Secret" => format!("whoever reads {title}"),
        _ => format!("pods of {title}"),
    }
}

/// Workloads by the kind and name of what their pods mount, or take variables from.
type Mounts<'a> = BTreeMap<(&'static str, &'a str), BTreeSet<usize>>;

fn mounts<'a>(index: &Index<'a>) -> Mounts<'a> {
    fn walk<'a>(value: &'a Value, at: usize, mounts: &mut Mounts<'a>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, at, mounts)),
            Value::Object(fields) => {
                for (key, field) in fields {
                    let name = field.get("name").and_then(Value::as_str);
                    let kind = match key.as_str() {
                        "configMap" | "configMapRef" | "configMapKeyRef" => "ConfigMap",
                        "secret" | "secretRef" | "secretKeyRef" => "Secret",
                        _ => "",
                    };
                    let name = name.or_else(|| field.get("secretName")?.as_str());
                    if let Some(name) = name.filter(|_| !kind.is_empty()) {
                        mounts.entry((kind, name)).or_default().insert(at);
                    }
                    walk(field, at, mounts);
                }
            }
            _ => {}
        }
    }
    let mut mounts = Mounts::new();
    for (at, workload) in index.workloads.iter().enumerate() {
        walk(workload.pod, at, &mut mounts);
    }
    mounts
}

/// All strings of an object.
fn strings<'a>(value: &'a Value, see: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, see)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Each `host:port` of a text, and each URL without one, with its scheme's. A host ends before a colon, so that each
/// character is looked at once or twice.
fn mentions(text: &str) -> impl Iterator<Item = (&str, u16)> {
    text.match_indices(':').filter_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + 1..)?);
        if let Some(rest) = after.strip_prefix("//") {
            let end = rest.find(|c| !is_of_host(c)).unwrap_or(rest.len());
            let (host, rest) = rest.split_at(end);
            let port = if before.ends_with("https") { 443 } else { 80 };
            let is_http = before.ends_with("http") || before.ends_with("https");
            return (is_http && !rest.starts_with(':') && !host.is_empty()).then_some((host, port));
        }
        let digits = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        let port = after.get(..digits)?.parse().ok()?;
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| is_of_host(*c))
            .last()?
            .0;
        Some((before.get(start..)?, port))
    })
}

fn is_of_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.'
}

/// Ports by convention: <https://opentelemetry.io/docs/specs/otlp/>.
const WELL_KNOWN: [(u16, &str, &str); 2] = [
    (4317, "gRPC", "OTLP: traces, metrics, logs"),
    (4318, "HTTP", "OTLP: traces, metrics, logs"),
];

/// What speaks of hosts and ports, and calls nobody by that.
const NO_CALLERS: [&str; 8] = [
    "Service",
    "EndpointSlice",
    "Endpoints",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ServiceMonitor",
    "PodMonitor",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_ports_are_found_in_texts() {
        let found = |text| mentions(text).collect::<Vec<_>>();
        assert_eq!(found("endpoint: tempo:4317"), [("tempo", 4317)]);
        assert_eq!(
            found("http://loki.obs.svc:3100/otlp,kafka-0.kafka:9092"),
            [("loki.obs.svc", 3100), ("kafka-0.kafka", 9092)]
        );
        assert_eq!(found("https://a.b/c http://d"), [("a.b", 443), ("d", 80)]);
        for none in [
            "${env:MY_POD_IP}:4317",
            "ftp://a",
            "12:",
            ":80",
            "é:80",
            "a:99999",
            "::",
        ] {
            assert_eq!(found(none), [], "{none}");
        }
    }
}
