//! Who calls whom, at which port, and what happens when that is closed: objects in, rows out, for a security team's form.
//!
//! ```text
//! index       workloads, Services, and how a Service's port becomes a pod's
//! webhooks    API servers that call webhooks, Javelin's and others'
//! javelin     whom Javelin's own pods call, and who else calls them
//! telemetry   where the agents send to
//! scrapes     who asks for metrics
//! registries  where nodes pull from
//! stack       which of the other Services are called, and by whom
//! ```
//!
//! Invariants: pure. A port is the one on the wire, which is a pod's and not its Service's: whoever calls a Service, an API
//! server included, has become a caller of a pod before any firewall sees it. Nothing is guessed: what the objects do not
//! tell is absent, and a note says so.
//!
//! Deliberately not here: where the objects come from (`diagnose::installed`, or manifests), and printing (`cli::ports`).

use std::collections::HashSet;

use serde::Serialize;

use crate::offline::document::Document;
use crate::probe::advice::Platform;

mod index;
mod javelin;
mod registries;
mod scrapes;
mod stack;
mod telemetry;
mod webhooks;

use index::Index;

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Who opens it.
    pub from: String,
    /// Who listens.
    pub to: String,
    /// Where, on the wire; absent where the objects do not tell.
    pub port: Option<u16>,
    /// What the caller names, where a Service is between.
    pub service_port: Option<u16>,
    /// Of the transport, and what is spoken in it: `TCP, TLS`.
    pub protocol: String,
    /// Past which firewalls it goes.
    pub direction: Direction,
    /// What it is for.
    pub purpose: String,
    /// What happens when it is closed.
    pub closed: String,
    /// The finding of the probe (`docs/probe.md`), or the check (`docs/check.md`), that tells it then.
    pub code: Option<&'static str>,
    /// The objects that say so.
    pub read_in: Vec<String>,
}

/// Past which firewalls a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the control plane, or from outside, to nodes or pods.
    Inbound,
    /// From nodes or pods to the control plane, or from any of them to somewhere outside.
    Outbound,
    /// Between pods of the cluster: a `NetworkPolicy` sees it, and between nodes the network's own rules.
    Cluster,
    /// Within one node.
    Node,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PortsReport {
    /// Connections, the webhook's first.
    pub rows: Vec<Connection>,
    /// What the objects leave open, one sentence each.
    pub notes: Vec<String>,
    /// What to do when the webhook's port is closed; empty without a webhook.
    pub next_step: String,
}

/// What is wanted, and what is known beside the objects.
#[derive(Debug, Clone, Copy, Default)]
pub struct PortsOptions {
    /// Also what is not Javelin's?
    pub stack: bool,
    /// Who runs the control plane.
    pub platform: Platform,
}

/// Something in an object that cannot be, or is not there and has to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ManifestProblem {
    /// File, document, object and field.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Finds all of it.
pub fn report(
    documents: &[Document],
    options: PortsOptions,
) -> Result<PortsReport, ManifestProblem> {
    let index = Index::of(documents);
    let mut report = PortsReport::default();
    let own = webhooks::of_javelin(&index, options.platform, &mut report)?;
    if own.workloads.is_empty() && !options.stack {
        return Err(nothing_of_javelin());
    }
    let config = javelin::configuration(&index, &own)?;
    javelin::api_server(&index, &own, &mut report);
    if let Some((document, config)) = &config {
        telemetry::rows(&index, document, config, &mut report)?;
    }
    telemetry::of_javelin(&index, &own, &mut report)?;
    if options.stack {
        registries::of_all(&index, &mut report);
    } else {
        registries::of_javelin(&index, &own, config.as_ref(), &mut report);
    }
    scrapes::rows(&index, (!options.stack).then_some(&own), &mut report)?;
    javelin::probes(&index, &own, &mut report)?;
    javelin::policies(&index, &own, &mut report)?;
    if options.stack {
        webhooks::of_others(&index, &mut report)?;
    }
    stack::rows(&index, &own, options.stack, &mut report)?;
    let mut seen = HashSet::new();
    report.rows.retain(|row| seen.insert(row.clone()));
    report.notes.sort();
    report.notes.dedup();
    Ok(report)
}

fn nothing_of_javelin() -> ManifestProblem {
    ManifestProblem {
        place: "MutatingWebhookConfiguration".to_owned(),
        what: "none that has entries of Javelin's is there".to_owned(),
        remedy: "give the whole rendering of the chart (helm template javelin deploy/chart … | javelin ports -f -), or add \
                 --stack for other charts; policies of `javelin policy` and `javelin inject` need no port"
            .to_owned(),
    }
}

impl Direction {
    /// As in a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Cluster => "cluster",
            Self::Node => "node",
        }
    }
}

impl ManifestProblem {
    fn at(document: &Document, field: &str, what: impl Into<String>, remedy: &str) -> Self {
        Self {
            place: format!("{}, {}: {field}", document.origin, document.title()),
            what: what.into(),
            remedy: remedy.to_owned(),
        }
    }
}

impl PortsReport {
    fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

/// What to do where a manifest is wrong.
const CORRECT: &str = "correct the manifest, or render it anew";
