//! Agents that are not ours: an OpenTelemetry one and a vendor's stop us, others live beside ours and are noted.
//!
//! One that came after us, by a webhook of its own, is noted too: ours is there already. Deliberately absent: how agents
//! are recognised (see `java`).

use super::{
    java::{self, AgentKind, Shown},
    keys,
    pod::Pod,
    reason::Reason,
    size::{MAX_AGENTS, at_most},
};

/// Looks for them in the pod's init containers and in each target. `option` is ours; without one no agent is loaded, and
/// whoever is there gets no second one.
pub(super) fn check(
    pod: &Pod,
    targets: &[Shown<'_>],
    option: Option<&str>,
    is_first_pass: bool,
) -> Result<Vec<String>, Reason> {
    let Some(option) = option else {
        return Ok(Vec::new());
    };
    let is_allowed = pod
        .annotation(keys::ALLOW_OTHER_AGENT)
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    let stops = |agent: AgentKind| match agent {
        AgentKind::OpenTelemetry => is_first_pass,
        AgentKind::Vendor(_) => is_first_pass && !is_allowed,
        AgentKind::Neighbour => false,
    };
    let mut notes = Vec::new();
    for container in pod.spec.init_containers() {
        let container = &container.name;
        match java::injector(container) {
            None => {}
            Some(agent) if stops(agent) => return Err(by_injector(container, agent)),
            Some(agent) => notes.push(beside(container, agent)),
        }
    }
    let mut count = 0;
    for shown in targets {
        let name = &shown.container.name;
        let agents = shown.agents();
        count += agents.len();
        if is_first_pass {
            at_most(MAX_AGENTS, count, "agents in its options")?;
        }
        for found in agents {
            let is_ours = java::is_ours(&found.option, option);
            if is_ours && !is_first_pass {
                continue;
            }
            let agent = if is_ours {
                AgentKind::OpenTelemetry
            } else {
                found.agent
            };
            match agent {
                AgentKind::OpenTelemetry if stops(agent) => {
                    return Err(Reason::ForeignAgent {
                        container: name.clone(),
                        option: java::shortened(&found.option),
                    });
                }
                AgentKind::Vendor(_) if stops(agent) => {
                    return Err(Reason::OtherAgent {
                        container: name.clone(),
                        agent,
                    });
                }
                AgentKind::OpenTelemetry | AgentKind::Vendor(_) => {
                    notes.push(beside(name, agent));
                }
                // What it is called may have changed since: the first pass noted it.
                AgentKind::Neighbour if is_first_pass => {
                    notes.push(format!("{name}: beside {}", java::shortened(&found.option)));
                }
                AgentKind::Neighbour => {}
            }
        }
    }
    Ok(notes)
}

fn by_injector(container: &str, agent: AgentKind) -> Reason {
    let container = container.to_owned();
    match agent {
        AgentKind::OpenTelemetry => Reason::ForeignInjector { container },
        agent => Reason::OtherAgent { container, agent },
    }
}

fn beside(container: &str, agent: AgentKind) -> String {
    format!("{container}: beside the {agent} agent")
}
