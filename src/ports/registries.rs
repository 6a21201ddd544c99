//! Where nodes pull images from.

use std::collections::{BTreeMap, BTreeSet};

use javelin_core::config::Config;

use super::index::Index;
use super::webhooks::Own;
use super::{Connection, Direction, PortsReport};
use crate::diagnose::check::Check;
use crate::diagnose::check::destination::Address;
use crate::offline::document::Document;
use crate::offline::images::{self, Uses};

/// Of Javelin's own pods, and of those that get the agent.
pub(super) fn of_javelin(
    index: &Index<'_>,
    own: &Own,
    config: Option<&(&Document, Config)>,
    report: &mut PortsReport,
) {
    let mut uses = Uses::new();
    let images = own
        .of(index)
        .map(|workload| images::of_object(&workload.document.value).sure);
    let agents = config.map(|(_, config)| images::of_config(config));
    for (image, what) in images.chain(agents).flatten() {
        uses.entry(image).or_default().extend(what);
    }
    rows(&uses, report);
}

/// Of all workloads.
pub(super) fn of_all(index: &Index<'_>, report: &mut PortsReport) {
    let mut uses = Uses::new();
    for document in index.documents {
        for (image, what) in images::of_object(&document.value).sure {
            uses.entry(image).or_default().extend(what);
        }
    }
    rows(&uses, report);
}

fn rows(uses: &Uses, report: &mut PortsReport) {
    let mut registries: BTreeMap<Option<&str>, BTreeSet<&String>> = BTreeMap::new();
    for (image, what) in uses {
        registries
            .entry(image.registry.as_deref())
            .or_default()
            .extend(what);
    }
    for (registry, users) in registries {
        if registry == Some("localhost") {
            report.note(
                "images of localhost/… are in no registry: nodes have to have them already"
                    .to_owned(),
            );
            continue;
        }
        // A registry's name may have a port and has no scheme; TLS is what container runtimes take unless told otherwise.
        let url = registry.map(|registry| format!("https://{registry}"));
        let address = url.as_deref().map(Address::of);
        if registry.is_none() {
            report.note("an image without a registry's name comes from the container runtime's own, most often docker.io".to_owned());
        }
        report.rows.push(Connection {
            from: "nodes".to_owned(),
            to: address
                .as_ref()
                .map_or("the container runtime's default registry", |address| {
                    address.host
                })
                .to_owned(),
            port: Some(address.as_ref().map_or(HTTPS, |address| address.port)),
            service_port: None,
            protocol: "TCP, TLS".to_owned(),
            direction: Direction::Outbound,
            purpose: "pulls images".to_owned(),
            closed: effect(&users),
            code: Some(Check::AgentImage.code()),
            read_in: users.into_iter().cloned().collect(),
        });
    }
}

/// On nodes that have the image, nothing.
fn effect(users: &BTreeSet<&String>) -> String {
    let is_agents =
        |user: &&String| user.starts_with("agent of") || user.starts_with("extensions of");
    let (agents, others) = users.iter().copied().partition::<Vec<_>, _>(is_agents);
    let who = match (agents.is_empty(), others.is_empty()) {
        (false, false) => "neither these pods nor those that get the agent start",
        (false, true) => "pods that get the agent do not start",
        (true, _) => "these pods do not start",
    };
    format!("on a node that lacks the image {who} (ErrImagePull)")
}

const HTTPS: u16 = 443;
