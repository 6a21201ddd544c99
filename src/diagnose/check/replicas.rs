//! Service, endpoints, replicas, certificates, the probe, and whether nodes can pull the agent's image and run it.

use std::collections::BTreeSet;

use javelin_core::config::Profile;

use super::facts::{Certificates, Reach};
use super::objects::Node;
use super::{Check, Facts, Findings, UPGRADE, Unseen, some};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    service(facts, findings);
    replicas(facts, findings);
    addresses(facts, findings);
    certificates(facts, findings);
    reach(&facts.reach, findings);
    pulls(facts, findings);
    architectures(facts, findings);
}

fn service(facts: &Facts, findings: &mut Findings) {
    let check = Check::Service;
    let name = format!("Service {}/{}", facts.names.namespace, facts.names.service);
    match &facts.service {
        Ok(service) if service.spec.ports.iter().any(|port| port.port == PORT) => {
            findings.ok(check, format!("{name} has port {PORT}"));
        }
        Ok(_) => findings.fail(check, format!("{name} has no port {PORT}, which the entries call"), UPGRADE),
        Err(Unseen::Missing(_)) => findings.fail(
            check,
            format!("{name} does not exist"),
            "give --javelin-namespace and --service as the release has them, or run the same `helm upgrade` again",
        ),
        Err(unseen) => findings.unseen(check, unseen),
    }
}

fn replicas(facts: &Facts, findings: &mut Findings) {
    let check = Check::Replicas;
    let look = format!(
        "kubectl get pods -n {0}; kubectl describe pods -n {0}",
        facts.names.namespace
    );
    match &facts.replicas {
        Ok(replicas) => {
            let (ready, waiting): (Vec<_>, Vec<_>) = replicas.iter().partition(|each| each.ready);
            let waiting: Vec<_> = waiting.iter().map(|each| each.name.clone()).collect();
            match (ready.len(), waiting.as_slice()) {
                (0, []) => findings.fail(
                    check,
                    "Javelin has no pods: labelled pods are created without the agent",
                    format!("kubectl get deployment -n {}; is it scaled to 0?", facts.names.namespace),
                ),
                (0, _) => findings.fail(
                    check,
                    format!("no pod of Javelin is ready, and labelled pods are created without the agent: {}", some(&waiting)),
                    look,
                ),
                (1, []) => findings.warn(
                    check,
                    "only one pod of Javelin is ready, and there are no others",
                    "set replicas to 2 in the chart's values: pods that are created while the only one is down do not \
                     get the agent",
                ),
                (count, []) => findings.ok(check, format!("{count} pods of Javelin are ready")),
                (count, _) => findings.warn(
                    check,
                    format!("{count} pods of Javelin are ready; not ready: {}", some(&waiting)),
                    look,
                ),
            }
        }
        // That the Service is missing has been said.
        Err(Unseen::Missing(_)) => {}
        Err(unseen) => findings.unseen(check, unseen),
    }
}

fn addresses(facts: &Facts, findings: &mut Findings) {
    let check = Check::Endpoints;
    match &facts.addresses {
        Ok(addresses) if addresses.ready == 0 => findings.fail(
            check,
            format!(
                "Service {}/{} leads to no ready pod",
                facts.names.namespace, facts.names.service
            ),
            format!(
                "kubectl get endpointslices -n {} -l kubernetes.io/service-name={}",
                facts.names.namespace, facts.names.service
            ),
        ),
        Ok(addresses) => {
            let ports = addresses.ports.iter().map(|(_, port)| port.to_string());
            let ports = ports.collect::<Vec<_>>().join(", ");
            findings.ok(
                check,
                format!(
                    "the Service leads to {} ready pods, port {ports}",
                    addresses.ready
                ),
            );
        }
        Err(Unseen::Missing(_)) => {}
        Err(unseen) => findings.unseen(check, unseen),
    }
}

fn certificates(facts: &Facts, findings: &mut Findings) {
    let check = Check::Certificates;
    match &facts.certificates {
        Certificates::Own { description, problems } => {
            for problem in problems {
                findings.fail(check, problem, "`javelin cert show` has the details, and what happens next");
            }
            if problems.is_empty() {
                findings.ok(check, description);
            }
        }
        Certificates::Elsewhere => findings.ok(
            check,
            "the certificate is not Javelin's own; the next line shows whether the entries trust it",
        ),
        Certificates::Unseen(unseen) => findings.unseen(check, unseen),
    }
}

fn reach(reach: &Reach, findings: &mut Findings) {
    let Reach {
        code,
        meaning,
        said,
        next_step,
    } = reach;
    let check = Check::Reachable;
    let said = said
        .as_ref()
        .map(|said| format!(" Said: {said}"))
        .unwrap_or_default();
    let message = format!("{code}: {meaning}{said}");
    match *code {
        REACHED => findings.ok(check, *meaning),
        NOT_ASKED => findings.warn(check, message, next_step),
        _ => findings.fail(check, message, next_step),
    }
}

fn pulls(facts: &Facts, findings: &mut Findings) {
    let check = Check::AgentImage;
    match &facts.pulls {
        Ok(pulls) => {
            for pull in pulls {
                findings.fail(
                    check,
                    format!("{}: {}", pull.pod, pull.message),
                    pull_hint(&pull.message),
                );
            }
            if pulls.is_empty() {
                findings.ok(check, "no pod waits for the agent's image");
            }
        }
        Err(unseen) => findings.unseen(check, unseen),
    }
}

/// The copier in the agent's image is a program. It surely runs where replicas run, which are of the same image.
fn architectures(facts: &Facts, findings: &mut Findings) {
    let check = Check::NodeArchitectures;
    let copies = |profile: &Profile| profile.delivery.runs_own_copier();
    if facts
        .config()
        .is_some_and(|config| !config.profiles().any(copies))
    {
        findings.ok(
            check,
            "no profile runs a program of Javelin's image in pods",
        );
        return;
    }
    let nodes = match &facts.nodes {
        Ok(nodes) => nodes,
        Err(unseen) => return findings.unseen(check, unseen),
    };
    let of = |node: &Node| {
        let architecture = &node.status.node_info.architecture;
        Some(architecture.clone()).filter(|text| !text.is_empty())
    };
    let ready = facts.replicas.iter().flatten().filter(|each| each.ready);
    let homes: BTreeSet<_> = ready.filter_map(|each| each.node.as_deref()).collect();
    let is_home = |node: &&Node| {
        let name = node.metadata.name.as_deref();
        name.is_some_and(|name| homes.contains(name))
    };
    let proven: BTreeSet<_> = nodes.iter().filter(is_home).filter_map(of).collect();
    // No replica runs, or nobody may see where: that is told by others.
    if proven.is_empty() {
        return;
    }
    let others = nodes.iter().filter_map(|node| {
        let architecture = of(node).filter(|text| !proven.contains(text))?;
        let name = node.metadata.name.as_deref().unwrap_or_default();
        Some(format!("{name} ({architecture})"))
    });
    let others: Vec<_> = others.collect();
    let proven = Vec::from_iter(proven).join(", ");
    if others.is_empty() {
        findings.ok(
            check,
            format!("every node is {proven}, like the nodes on which Javelin runs"),
        );
    } else {
        findings.warn(
            check,
            format!("Javelin runs on {proven}, and nothing shows that its image is for other nodes, too: {}", some(&others)),
            "if it is not, labelled pods on these nodes do not start (exec format error): build the image for all of \
             these architectures, or keep labelled pods away with a nodeSelector on kubernetes.io/arch",
        );
    }
}

/// By the words of container runtimes and registries.
fn pull_hint(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    PULL_HINTS
        .iter()
        .find(|(words, _)| words.iter().any(|word| message.contains(word)))
        .map_or("kubectl describe pod says more; the image is `agent.image` of the profile, or image.* of the chart", |(_, hint)| hint)
}

/// What the entries call.
const PORT: u16 = 443;

/// Of the probe's findings, by their codes.
const REACHED: &str = "reached";
const NOT_ASKED: &str = "could-not-probe";

const PULL_HINTS: [(&[&str], &str); 4] = [
    (
        &[
            "unauthorized",
            "authorization failed",
            "denied",
            "403",
            "401",
            "authentication required",
        ],
        "the registry requires a login: set agent.imagePullSecret in the profile to a Secret of the pod's namespace",
    ),
    (
        &["not found", "manifest unknown", "404"],
        "the image is not in that registry: mirror it (`javelin images` lists what is needed), or correct image.registry \
         and image.tag of the chart",
    ),
    (
        &["x509", "certificate", "server gave http response to https"],
        "the node's container runtime does not trust the registry: give it the registry's authority on every node",
    ),
    (
        &[
            "no such host",
            "timeout",
            "timed out",
            "deadline exceeded",
            "connection refused",
            "no route",
        ],
        "the node does not reach that registry: set image.registry of the chart to your mirror",
    ),
];
