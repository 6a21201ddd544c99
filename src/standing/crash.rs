//! Does a pod that has the agent not run, and what is said of it?

use javelin_core::mutate::Receipt;
use javelin_core::mutate::keys;

use super::objects::{ContainerStatus, PodFacts};

/// What is wrong with a pod that has the agent and does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// Which container, and why.
    pub detail: String,
    /// How often that one was started again.
    pub restarts: u32,
}

/// The first container of ours, or with the agent, that does not run.
pub fn find(pod: &PodFacts, receipt: Option<&Receipt>) -> Option<Crash> {
    let ours = |status: &&ContainerStatus| keys::VOLUMES.contains(&status.name.as_str());
    let is_target = |status: &&ContainerStatus| {
        receipt.is_none_or(|receipt| receipt.containers.contains_key(&status.name))
    };
    let init = pod.status.init_container_statuses.iter();
    let agent = init.clone().find(ours).and_then(waits_or_failed);
    let targets = init
        .filter(is_target)
        .chain(pod.status.container_statuses.iter().filter(is_target));
    agent.or_else(|| targets.filter(|status| !ours(status)).find_map(crashes))
}

/// The init container that brings the jar: without it nothing starts.
fn waits_or_failed(status: &ContainerStatus) -> Option<Crash> {
    let crash = |detail| Crash {
        detail,
        restarts: status.restart_count,
    };
    let waiting = status.state.waiting.as_ref();
    if let Some(waiting) = waiting.filter(|waiting| !HARMLESS.contains(&waiting.reason.as_str())) {
        return Some(crash(format!("{}: {}", status.name, waiting.reason)));
    }
    let ended = status
        .state
        .terminated
        .as_ref()
        .filter(|ended| ended.exit_code != 0)?;
    Some(crash(format!(
        "{}: {}, exit code {}",
        status.name, ended.reason, ended.exit_code
    )))
}

fn crashes(status: &ContainerStatus) -> Option<Crash> {
    let waiting = status
        .state
        .waiting
        .as_ref()
        .map(|waiting| waiting.reason.as_str());
    let waiting = waiting.filter(|reason| !HARMLESS.contains(reason));
    // One that has failed, was started again and is ready now has got over it.
    let ended = [&status.state, &status.last_state].map(|state| state.terminated.as_ref());
    let ended = ended
        .into_iter()
        .flatten()
        .find(|ended| ended.exit_code != 0);
    let word = waiting.or_else(|| {
        (!status.ready && status.restart_count > 0 && ended.is_some()).then_some("restarted")
    })?;
    let ended = ended.map(|ended| format!(", {} with exit code {}", ended.reason, ended.exit_code));
    Some(Crash {
        detail: format!("{}: {word}{}", status.name, ended.unwrap_or_default()),
        restarts: status.restart_count,
    })
}

/// Why containers wait that will start.
const HARMLESS: [&str; 2] = ["PodInitializing", "ContainerCreating"];
