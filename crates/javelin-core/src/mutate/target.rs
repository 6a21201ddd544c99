//! Which containers run the application?
//!
//! The annotations' list, else the container that `kubectl` takes by default, else the first that is not a known
//! sidecar. Only a list can name init containers, and sidecars.

use std::collections::HashSet;

use super::{
    keys::{CONTAINER_NAMES, DEFAULT_CONTAINER, JAVA_CONTAINER_NAMES},
    plan::Warning,
    pod::{Container, Pod},
    reason::Reason,
    size::{MAX_CONTAINERS, at_most},
};
use crate::{config::Config, steps};

/// A container that gets the agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// Which list it stands in.
    pub(super) list: List,
    /// Its position there.
    pub(super) index: usize,
    /// The container.
    pub(super) container: &'a Container,
}

/// The two lists of containers in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `spec.initContainers`.
    InitContainers,
    /// `spec.containers`.
    Containers,
}

/// The targets of a pod, in the order in which they start; never none.
#[derive(Debug)]
pub(super) struct Targets<'a> {
    pub(super) containers: Vec<Target<'a>>,
    /// What is to be said of the choice.
    pub(super) warnings: Vec<Warning>,
}

impl List {
    /// Its containers in a pod.
    pub fn containers(self, pod: &Pod) -> &[Container] {
        match self {
            Self::InitContainers => pod.spec.init_containers(),
            Self::Containers => &pod.spec.containers,
        }
    }

    /// The key in `spec`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InitContainers => "initContainers",
            Self::Containers => "containers",
        }
    }
}

/// Chooses the targets.
pub(super) fn choose<'a>(pod: &'a Pod, config: &Config) -> Result<Targets<'a>, Reason> {
    let mut containers = pod.spec.containers.iter();
    if pod.spec.containers.is_empty() || containers.any(|container| container.name.is_empty()) {
        return Err(Reason::NoTargetContainer { asked: Vec::new() });
    }
    let names = listed(pod)?;
    if !names.is_empty() {
        return by_name(pod, config, names);
    }
    let stated = pod.annotation(DEFAULT_CONTAINER);
    let mut regular = in_list(List::Containers, &pod.spec.containers);
    let stated = regular
        .clone()
        .find(|target| Some(target.container.name.as_str()) == stated);
    if let Some(target) = stated {
        return Ok(Targets {
            containers: vec![target],
            warnings: Vec::new(),
        });
    }
    let is_candidate = |target: &Target<'_>| !config.is_sidecar(target.container);
    let target = regular.find(is_candidate).ok_or(Reason::OnlySidecars)?;
    let others = regular.filter(is_candidate).count();
    let warning = (others > 0).then(|| Warning::FirstOfSeveral {
        container: target.container.name.clone(),
        others,
    });
    Ok(Targets {
        containers: vec![target],
        warnings: warning.into_iter().collect(),
    })
}

fn by_name<'a>(pod: &'a Pod, config: &Config, mut names: Vec<&str>) -> Result<Targets<'a>, Reason> {
    let everything = names.contains(&ALL);
    names.retain(|name| *name != ALL);
    let asked: HashSet<_> = names.iter().copied().collect();
    let everywhere = || {
        let init = in_list(List::InitContainers, pod.spec.init_containers());
        init.chain(in_list(List::Containers, &pod.spec.containers))
    };
    let is_target = |target: &Target<'_>| {
        let name = target.container.name.as_str();
        let is_regular = target.list == List::Containers;
        asked.contains(name) || (everything && is_regular && !config.is_sidecar(target.container))
    };
    let containers: Vec<_> = everywhere().filter(is_target).collect();
    let there: HashSet<_> = everywhere()
        .map(|target| target.container.name.as_str())
        .collect();
    let is_unknown = |name: &&str| !there.contains(name);
    let unknown: Vec<_> = names
        .iter()
        .copied()
        .filter(is_unknown)
        .map(str::to_owned)
        .collect();
    match (containers.is_empty(), everything) {
        (false, _) => {
            let unknown = unknown.into_iter();
            let warnings = unknown.map(|name| Warning::UnknownContainer { name });
            Ok(Targets {
                containers,
                warnings: warnings.collect(),
            })
        }
        (true, true) => Err(Reason::OnlySidecars),
        (true, false) => Err(Reason::NoTargetContainer { asked: unknown }),
    }
}

/// Both annotations together, each name once. An empty value says nothing: templates render such.
fn listed(pod: &Pod) -> Result<Vec<&str>, Reason> {
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for key in [CONTAINER_NAMES, JAVA_CONTAINER_NAMES] {
        let value = pod.annotation(key).unwrap_or_default();
        steps::take(value.len());
        for name in value
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name != ALL && !name.chars().all(is_name) {
                return Err(Reason::InvalidAnnotation {
                    key: key.to_owned(),
                    problem: format!(
                        "{name:?} cannot be a container's name; write names with commas between"
                    ),
                });
            }
            if seen.insert(name) {
                names.push(name);
            }
            at_most(MAX_CONTAINERS, names.len(), "names in a list of containers")?;
        }
    }
    Ok(names)
}

pub(super) fn in_list(
    list: List,
    containers: &[Container],
) -> impl Iterator<Item = Target<'_>> + Clone {
    steps::take(containers.len());
    containers
        .iter()
        .enumerate()
        .map(move |(index, container)| Target {
            list,
            index,
            container,
        })
}

/// Stands for all regular containers that are not known sidecars.
const ALL: &str = "*";
