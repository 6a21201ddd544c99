//! The variables of a resource: from the language's list, from the common one, with the first of a name winning.
//!
//! Deliberately not here: which of them have a key of ours.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::{Endpoint, profile, raw::RawKeyRef, variables},
    section::{Mapping, Notes},
};

/// The variables of a resource. Of several of a name the first counts, as in the operator.
pub(super) struct Env {
    /// Values with where they were said.
    pub(super) literals: BTreeMap<String, (String, String)>,
    pub(super) headers: Option<(String, RawKeyRef)>,
    /// Variables that are the address of the node, with where they were said, until an endpoint names them.
    node_ips: BTreeMap<String, String>,
    /// All names.
    seen: BTreeSet<String>,
}

impl Env {
    pub(super) fn of(items: Vec<(String, Value)>, report: &mut Notes) -> Self {
        let mut env = Self {
            literals: BTreeMap::new(),
            headers: None,
            node_ips: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        for (path, item) in items {
            let mut item = Mapping::new(&path, Some(&item), report);
            let name = item.text("name", report);
            let mut source = item.section("valueFrom", report);
            let value = if item.lacks("value") {
                Some(String::new())
            } else {
                item.text("value", report)
            };
            item.finish(report);
            let (Some(name), Some(value)) = (name, value) else {
                report.left(&path, "it is no variable with a name and a value");
                continue;
            };
            let path = format!("{path} ({name})");
            if !env.seen.insert(name.clone()) {
                continue;
            }
            if source.is_empty() {
                env.set(&name, path, value);
                continue;
            }
            let field = source.section("fieldRef", report).text("fieldPath", report);
            if field.as_deref() == Some("status.hostIP") {
                env.node_ips.insert(name, path);
                continue;
            }
            let mut secret = source.section("secretKeyRef", report);
            match (secret.text("name", report), secret.text("key", report)) {
                (Some(secret), Some(key)) if name == HEADERS => {
                    env.headers = Some((path, RawKeyRef { secret, key }));
                }
                _ => report.left(&path, ELSEWHERE),
            }
        }
        env
    }

    pub(super) fn set(&mut self, name: &str, path: String, value: String) {
        self.literals
            .entry(name.to_owned())
            .or_insert((path, value));
    }

    /// The variable, else the field; with where it was said.
    pub(super) fn take_or(
        &mut self,
        variable: &str,
        section: &mut Mapping,
        field: &str,
        report: &mut Notes,
    ) -> Option<(String, String)> {
        let field = section
            .text(field, report)
            .map(|value| (section.path(field), value));
        self.literals.remove(variable).or(field)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.literals.remove(name).map(|(_, value)| value)
    }

    /// An endpoint with the name that the node's address has here; `None` where it refers to anything else.
    pub(super) fn endpoint(&mut self, text: &str) -> Option<String> {
        let mut used = BTreeSet::new();
        let mut pieces = text.split("$(");
        let mut endpoint = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once(')')?;
            // The operator itself sets OTEL_NODE_IP; NODE_IP is what pods of people's own often have.
            let is_usual = ["OTEL_NODE_IP", "NODE_IP"].contains(&name) && !self.seen.contains(name);
            if !is_usual && !self.node_ips.contains_key(name) {
                return None;
            }
            used.insert(name);
            endpoint.push_str(Endpoint::NODE_IP);
            endpoint.push_str(rest);
        }
        self.node_ips
            .retain(|name, _| !used.contains(name.as_str()));
        Some(endpoint)
    }

    /// What the variable for attributes lists, where it can be taken apart.
    pub(super) fn attributes(&mut self, report: &mut Notes) -> BTreeMap<String, String> {
        let Some((path, list)) = self.literals.remove("OTEL_RESOURCE_ATTRIBUTES") else {
            return BTreeMap::new();
        };
        let mut attributes = BTreeMap::new();
        for pair in list.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            let problem = if value.contains('%') {
                Some(
                    "it is percent-encoded; write it in resourceAttributes as it is meant"
                        .to_owned(),
                )
            } else {
                refuse_attribute(&key, &value)
            };
            match problem {
                Some(problem) => report.left(&path, format!("{pair}: {problem}")),
                None => drop(attributes.insert(key, value)),
            }
        }
        attributes
    }

    /// What is no key of ours, as variables.
    pub(super) fn rest(self, report: &mut Notes) -> BTreeMap<String, String> {
        for path in self.node_ips.values() {
            report.left(path, ELSEWHERE);
        }
        let mut rest = BTreeMap::new();
        for (name, (path, value)) in self.literals {
            let reference = value.contains("$(").then(|| REFERENCE.to_owned());
            match variables::refuse_in_profile(&name, &value).or(reference) {
                Some(problem) => report.left(&path, problem),
                None => drop(rest.insert(name, value)),
            }
        }
        rest
    }
}

/// Why an attribute cannot be one of ours, if so.
pub(super) fn refuse_attribute(key: &str, value: &str) -> Option<String> {
    if value.contains("$(") {
        return Some(REFERENCE.to_owned());
    }
    let one = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    profile::check_attributes(&one)
        .err()
        .map(|problem| problem.problem)
}

const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

const ELSEWHERE: &str = "its value comes from elsewhere; only OTEL_EXPORTER_OTLP_HEADERS from a Secret, and the node's address in \
    the endpoint, are carried over; set it in the pods, or as a literal";

const REFERENCE: &str = "values are taken as they are written, and references in them are not resolved; set it in the pods";
