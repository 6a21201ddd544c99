//! API servers that call webhooks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::index::{Index, Lead, each_or_unknown, list, port};
use super::{CORRECT, Connection, Direction, ManifestProblem, PortsReport};
use crate::api::client::Names;
use crate::certs::ServiceName;
use crate::diagnose::check::destination::Address;
use crate::offline::document::Document;
use crate::probe::Reachability;
use crate::probe::advice::{Installation, Platform, next_step};

/// Javelin's own pods.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// By their place in the index.
    pub(super) workloads: BTreeSet<usize>,
}

/// Entries of a configuration that call the same port.
struct Call<'a> {
    configuration: &'a Document,
    callee: Callee<'a>,
    entries: Vec<&'a Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Callee<'a> {
    Service(CalledService<'a>),
    Url(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct CalledService<'a> {
    namespace: &'a str,
    name: &'a str,
    port: u16,
}

/// What rows say beside who calls whom.
struct Words {
    purpose: String,
    closed: String,
    code: Option<&'static str>,
}

/// Those of Javelin's entries. Its pods are whoever is behind the Service that they call.
pub(super) fn of_javelin(
    index: &Index<'_>,
    platform: Platform,
    report: &mut PortsReport,
) -> Result<Own, ManifestProblem> {
    let mut own = Own::default();
    for call in calls(index, true)? {
        let words = Words {
            purpose: "admission: puts the agent into labelled pods".to_owned(),
            closed: effect_of_javelin(&call.entries),
            code: Some(Reachability::NoAnswer(String::new()).code()),
        };
        let rows = call.rows(&words, |service| {
            let lead = whole_lead(index, call.configuration, service)?;
            own.workloads.extend(&lead.workloads);
            for port in &lead.ports {
                if let Some(names) = call.names(service) {
                    let place = Installation {
                        platform,
                        port: *port,
                        names: &names,
                    };
                    report.next_step = next_step(&Reachability::NoAnswer(String::new()), &place);
                }
            }
            Ok(lead)
        })?;
        report.rows.extend(rows);
    }
    Ok(own)
}

/// Everybody else's.
pub(super) fn of_others(
    index: &Index<'_>,
    report: &mut PortsReport,
) -> Result<(), ManifestProblem> {
    for call in calls(index, false)? {
        let words = Words {
            purpose: format!("admission: {}", call.configuration.title()),
            closed: effect_of_others(&call.entries),
            code: None,
        };
        let rows = call.rows(&words, |service| {
            index.lead_of((service.namespace, service.name), service.port, report)
        })?;
        report.rows.extend(rows);
    }
    Ok(())
}

impl<'a> Call<'a> {
    /// One for each port; `lead` says where a Service leads to.
    fn rows(
        &self,
        words: &Words,
        lead: impl FnOnce(CalledService<'a>) -> Result<Lead, ManifestProblem>,
    ) -> Result<Vec<Connection>, ManifestProblem> {
        let row = Connection {
            from: API_SERVERS.to_owned(),
            to: String::new(),
            port: None,
            service_port: None,
            protocol: "TCP, TLS".to_owned(),
            direction: Direction::Outbound,
            purpose: words.purpose.clone(),
            closed: words.closed.clone(),
            code: words.code,
            read_in: vec![self.configuration.title()],
        };
        let service = match self.callee {
            Callee::Url(url) => {
                let Address { host, port, .. } = Address::of(url);
                return Ok(vec![Connection {
                    to: host.to_owned(),
                    port: Some(port),
                    ..row
                }]);
            }
            Callee::Service(service) => service,
        };
        let lead = lead(service)?;
        let row = Connection {
            to: lead.to,
            service_port: Some(service.port),
            direction: Direction::Inbound,
            read_in: [row.read_in, lead.read_in].concat(),
            ..row
        };
        let rows = each_or_unknown(&lead.ports).map(|port| Connection {
            port,
            ..row.clone()
        });
        Ok(rows.collect())
    }

    /// What advice calls things by; none where the Service has a name that no certificate could be for.
    fn names(&self, service: CalledService<'_>) -> Option<Names> {
        let name = self.configuration.text(&["metadata", "name"]);
        Some(Names {
            service: ServiceName::new(service.name, service.namespace).ok()?,
            secret: String::new(),
            configuration: name.unwrap_or_default().to_owned(),
            probe: String::new(),
        })
    }
}

/// Javelin's port is what all of this is about: it is known, or it is an error.
fn whole_lead(
    index: &Index<'_>,
    configuration: &Document,
    CalledService {
        namespace,
        name,
        port: called,
    }: CalledService<'_>,
) -> Result<Lead, ManifestProblem> {
    let field = "webhooks[].clientConfig.service";
    let Some(service) = index.service(Some(namespace), name) else {
        let what = format!("Service {namespace}/{name}, which it calls, is not among the objects");
        return Err(ManifestProblem::at(configuration, field, what, WHOLE));
    };
    let Some(lead) = index.lead(service, called)? else {
        let what = format!("{} has no port {called}, which it calls", service.title());
        return Err(ManifestProblem::at(configuration, field, what, CORRECT));
    };
    if let Some((field, what)) = &lead.gap {
        return Err(ManifestProblem::at(service, field, what, WHOLE));
    }
    if lead.ports.is_empty() {
        let what = format!(
            "no workload among the objects has pods that it selects, so the port behind {called} is not known"
        );
        return Err(ManifestProblem::at(service, "spec.selector", what, WHOLE));
    }
    Ok(lead)
}

fn calls<'a>(index: &Index<'a>, of_javelin: bool) -> Result<Vec<Call<'a>>, ManifestProblem> {
    let mut calls = Vec::new();
    let mutating = index.kind("MutatingWebhookConfiguration");
    for configuration in mutating.chain(index.kind("ValidatingWebhookConfiguration")) {
        let mut by_callee: BTreeMap<Callee<'_>, Vec<&Value>> = BTreeMap::new();
        for (at, entry) in list(&configuration.value, "/webhooks").iter().enumerate() {
            let name = entry
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if name.ends_with(SUFFIX) == of_javelin
                && let Some(callee) = callee(configuration, at, entry)?
            {
                by_callee.entry(callee).or_default().push(entry);
            }
        }
        calls.extend(by_callee.into_iter().map(|(callee, entries)| Call {
            configuration,
            callee,
            entries,
        }));
    }
    Ok(calls)
}

fn callee<'a>(
    configuration: &Document,
    at: usize,
    entry: &'a Value,
) -> Result<Option<Callee<'a>>, ManifestProblem> {
    let text = |path: &str| entry.pointer(path).and_then(Value::as_str);
    if let Some(url) = text("/clientConfig/url") {
        return Ok(Some(Callee::Url(url)));
    }
    let service = |key: &str| text(&format!("/clientConfig/service/{key}"));
    let (Some(namespace), Some(name)) = (service("namespace"), service("name")) else {
        return Ok(None);
    };
    let port = match entry.pointer("/clientConfig/service/port") {
        None | Some(Value::Null) => HTTPS,
        Some(value) => {
            let field = format!("webhooks[{at}].clientConfig.service.port");
            port(configuration, value, &field)?
        }
    };
    Ok(Some(Callee::Service(CalledService {
        namespace,
        name,
        port,
    })))
}

/// What becomes of pods: by the entries' own failurePolicy and patience, second chances included.
fn effect_of_javelin(entries: &[&Value]) -> String {
    let of_pods = entries
        .iter()
        .filter(|entry| resources(entry).any(|resource| ["pods", "*"].contains(&resource)));
    let of_pods: Vec<_> = of_pods.copied().collect();
    if of_pods.iter().any(|entry| !is_ignored(entry)) {
        return "new pods with the label are refused: an entry for pods has failurePolicy Fail"
            .to_owned();
    }
    let seconds = patience(&of_pods);
    format!(
        "new pods start without the agent, each up to {seconds} s later; running ones are untouched"
    )
}

fn effect_of_others(entries: &[&Value]) -> String {
    let names = |is_wanted: fn(&Value) -> bool| {
        let wanted = entries.iter().filter(|entry| is_wanted(entry));
        let names: BTreeSet<_> = wanted.flat_map(|entry| resources(entry)).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    let refused = names(|entry| !is_ignored(entry));
    if refused.is_empty() {
        let seconds = patience(entries);
        let passed = names(is_ignored);
        return format!("writes of {passed} pass unseen, each up to {seconds} s later");
    }
    format!("writes of {refused} are refused")
}

/// How long one object may wait, in seconds: an entry, and then its second chances.
fn patience(entries: &[&Value]) -> u64 {
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in entries {
        let name = entry
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let first = name.split(SECOND_CHANCE).next().unwrap_or_default();
        let first = first.strip_suffix(SUFFIX).unwrap_or(first);
        let seconds = entry.get("timeoutSeconds").and_then(Value::as_u64);
        let all = by_name.entry(first).or_default();
        *all = all.saturating_add(seconds.unwrap_or(USUAL_PATIENCE));
    }
    by_name.into_values().max().unwrap_or_default()
}

fn is_ignored(entry: &Value) -> bool {
    entry.get("failurePolicy").and_then(Value::as_str) == Some("Ignore")
}

fn resources(entry: &Value) -> impl Iterator<Item = &str> {
    let rules = list(entry, "/rules").iter();
    let all = rules.flat_map(|rule| list(rule, "/resources"));
    all.filter_map(Value::as_str)
}

/// Who calls.
pub(super) const API_SERVERS: &str = "API servers (control plane)";

/// What the names of all of Javelin's entries end with.
const SUFFIX: &str = ".javelin.dev";

/// In the name of an entry that repeats another.
const SECOND_CHANCE: &str = ".second-chance";

/// Where an entry says nothing: of `clientConfig.service.port`, and of `timeoutSeconds`.
const HTTPS: u16 = 443;
const USUAL_PATIENCE: u64 = 10;

const WHOLE: &str = "give the whole rendering of the chart, as `helm template` prints it";
