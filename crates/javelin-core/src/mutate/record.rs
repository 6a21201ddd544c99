//! The explanation of a decision: each rule that was evaluated, and its result.
//!
//! Only `--explain` uses it; elsewhere recording is off and costs nothing.
//!
//! Deliberately not here: rules, and their order ([`decide`](super::decide)); the changes themselves, which the patch shows
//! better; and what admission cannot see.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap, HashSet},
};

use super::{
    Context, InjectLabel, Reason, Subject,
    composition::Origin,
    environment::Environment,
    java::JAVA_TOOL_OPTIONS,
    keys,
    pod::{Container, EnvVar},
    resource::{self, Naming},
    sdk::{self, Place},
    target::{List, Target},
    tool_options,
};
use crate::{
    config::{Config, Delivery, Extensions, Profile},
    steps,
};

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is about, in a word or two.
    pub rule: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in a sentence without its full stop.
    pub why: String,
}

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It changes the pod, or decides how.
    Applies,
    /// It was looked at and changes nothing.
    Passes,
    /// The pod is left alone because of it.
    Stops,
}

/// What the steps of one decision have looked at.
#[derive(Default)]
pub(super) struct Record {
    steps: Option<Vec<Step>>,
}

impl Record {
    /// One that keeps what it is told.
    pub(super) fn on() -> Self {
        Self {
            steps: Some(Vec::new()),
        }
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }

    pub(super) fn applies(&mut self, rule: &str, why: impl FnOnce() -> String) {
        self.push(rule, Verdict::Applies, why);
    }

    pub(super) fn passes(&mut self, rule: &str, why: impl FnOnce() -> String) {
        self.push(rule, Verdict::Passes, why);
    }

    pub(super) fn stops(&mut self, rule: &str, reason: &Reason) {
        self.push(rule, Verdict::Stops, || {
            format!("{}: {reason}", reason.code())
        });
    }

    /// The outcome; a reason is what stops.
    pub(super) fn check<T>(&mut self, rule: &str, outcome: Result<T, Reason>) -> Result<T, Reason> {
        outcome.inspect_err(|reason| self.stops(rule, reason))
    }

    /// Drops the steps after the first `mark`.
    pub(super) fn forget_after(&mut self, mark: usize) {
        if let Some(steps) = &mut self.steps {
            steps.truncate(mark);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.as_ref().map_or(0, Vec::len)
    }

    fn push(&mut self, rule: &str, verdict: Verdict, why: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            let (rule, why) = (rule.to_owned(), why());
            steps.push(Step { rule, verdict, why });
        }
    }

    /// Who asks, and who is outranked.
    pub(super) fn selection(&mut self, subject: &Subject<'_>, config: &Config) {
        if self.steps.is_none() {
            return;
        }
        let pod = subject.pod;
        match subject.namespace.name {
            Some(name) if config.excludes(name) => {
                self.passes("namespace", || format!("{name} is in excludedNamespaces"));
            }
            Some(name) => self.passes("namespace", || {
                format!("{name} is not in excludedNamespaces")
            }),
            None => self.passes("namespace", || {
                "not named here, so no exclusion is known".into()
            }),
        }
        let annotation = pod.annotation(keys::INJECT);
        let namespace = match subject.namespace.inject {
            InjectLabel::Absent => None,
            InjectLabel::Value(value) => Some(value),
            InjectLabel::NoProfile => Some("(a value that names no profile)"),
        };
        let sources = [
            ("pod's label", pod.label(keys::INJECT)),
            (
                "pod's annotation",
                annotation.filter(|_| config.reads_annotations()),
            ),
            (
                "workload's label",
                subject
                    .from_workload
                    .or_else(|| pod.label(keys::FROM_WORKLOAD)),
            ),
            ("namespace's label", namespace),
        ];
        let mut decided_by: Option<&str> = None;
        for (rule, value) in sources {
            match (value, decided_by) {
                (None, _) if rule == "pod's annotation" && annotation.is_some() => {
                    self.passes(rule, || {
                        "is there, but annotations are off in the configuration".into()
                    });
                }
                (None, _) => self.passes(rule, || format!("no {}", keys::INJECT)),
                (Some(value), Some(stronger)) => {
                    self.passes(rule, || format!("{value:?}, outranked by the {stronger}"));
                }
                (Some(value), None) => {
                    decided_by = Some(rule);
                    self.applies(rule, || format!("{value:?} decides"));
                }
            }
        }
    }

    /// Which containers, and why not the others.
    pub(super) fn containers(
        &mut self,
        subject: &Subject<'_>,
        config: &Config,
        targets: &[Target<'_>],
    ) {
        if self.steps.is_none() {
            return;
        }
        let spec = &subject.pod.spec;
        let lists = [
            (List::InitContainers, spec.init_containers()),
            (List::Containers, &spec.containers),
        ];
        let is_listed = [keys::CONTAINER_NAMES, keys::JAVA_CONTAINER_NAMES]
            .iter()
            .any(|key| {
                subject
                    .pod
                    .annotation(key)
                    .is_some_and(|names| !names.trim().is_empty())
            });
        let stated = subject.pod.annotation(keys::DEFAULT_CONTAINER);
        for (list, containers) in lists {
            let here = targets.iter().filter(|target| target.list == list);
            let here: HashSet<_> = here.map(|target| target.index).collect();
            for (index, container) in containers.iter().enumerate() {
                steps::take(1);
                let name = &container.name;
                let is_target = here.contains(&index);
                let why = match (is_target, is_listed) {
                    (true, true) => "the annotation names it",
                    (true, false) if stated == Some(name) => "kubectl takes it by default",
                    (true, false) => "the first that is not a known sidecar",
                    (false, true) => "the annotation does not name it",
                    (false, false) if list == List::InitContainers => {
                        "init containers get the agent by annotation only"
                    }
                    (false, false) if config.is_sidecar(container) => "a known sidecar",
                    (false, false) => "another one is the application's",
                };
                let why = format!("{name}: {why}");
                if is_target {
                    self.applies("containers", || why);
                } else {
                    self.passes("containers", || why);
                }
            }
        }
    }

    /// What becomes of each variable that we know.
    pub(super) fn environment(
        &mut self,
        context: &Context<'_>,
        target: &Target<'_>,
        (after, naming, place): (&Environment<'_>, Option<&Naming>, Place),
    ) {
        if self.steps.is_none() {
            return;
        }
        let (profile, container) = (context.profile, target.container);
        let before = Environment::new(container.env());
        let name = &container.name;
        if context.option.is_some() {
            let options = options(context, container, &before);
            self.applies(JAVA_TOOL_OPTIONS, || format!("{name}: {options}"));
        } else {
            self.passes(JAVA_TOOL_OPTIONS, || format!("{name}: no agent is loaded"));
        }
        if let Some(naming) = naming {
            let (_, how) = resource::service_name(context.subject, container, profile);
            self.applies(resource::SERVICE_NAME, || {
                format!("{name}: {}, {how}", naming.as_str())
            });
        } else {
            let why = format!("{name}: the container names its service itself");
            self.passes(resource::SERVICE_NAME, || why);
        }
        let is_known = |variable: &String| {
            let ours = [JAVA_TOOL_OPTIONS, resource::SERVICE_NAME];
            !ours.contains(&variable.as_str()) && !keys::is_private(variable)
        };
        let mut variables: BTreeSet<_> = after.changed_names().into_iter().collect();
        let own = container.env().iter().map(|entry| entry.name.clone());
        variables.extend(own.filter(|name| name.starts_with(sdk::SDK_PREFIX)));
        variables.insert(sdk::ENDPOINT.to_owned());
        let (old, new) = (last_ones(container.env()), last_ones(after.variables()));
        for variable in variables.iter().filter(|variable| is_known(variable)) {
            let (was, is) = (old.get(variable.as_str()), new.get(variable.as_str()));
            let value = is.map(|is| is.value.as_deref().unwrap_or("from a reference"));
            match (was, value) {
                (None, Some(value)) => self.applies(variable, || format!("{name}: {value}")),
                (Some(_), _) if was == is => {
                    self.passes(variable, || format!("{name}: the container's own stays"));
                }
                (Some(_), _) => {
                    self.applies(variable, || {
                        format!("{name}: the container's own, with ours added")
                    });
                }
                (None, None) if place == Place::File => {
                    let file = keys::DEFAULTS_FILE;
                    self.applies(variable, || {
                        format!("{name}: in {file}, below what envFrom brings")
                    });
                }
                (None, None) if profile.otlp.is_none() => {
                    let why =
                        format!("{name}: the profile names none, so the agent sends to localhost");
                    self.passes(variable, || why);
                }
                (None, None) => {
                    let why = format!("{name}: the container says itself where telemetry goes");
                    self.passes(variable, || why);
                }
            }
        }
    }

    /// How the agent and its extensions come into the pod.
    pub(super) fn delivery(&mut self, profile: &Profile) {
        self.applies("delivery", || brings(profile));
        if let Some(extensions) = &profile.agent.extensions {
            self.applies("extensions", || {
                let from = match extensions {
                    Extensions::Image { image, folder } => format!("{folder} of {image}"),
                    Extensions::ConfigMap(name) => format!("ConfigMap {name}"),
                    Extensions::Claim { name, folder } => {
                        format!("{folder}/ of PersistentVolumeClaim {name}")
                    }
                };
                format!("the agent loads those in {from}")
            });
        }
    }
}

/// How the option that loads the agent gets into `JAVA_TOOL_OPTIONS`.
fn options(context: &Context<'_>, container: &Container, before: &Environment<'_>) -> &'static str {
    let (pod, profile) = (context.subject.pod, context.profile);
    let base = pod.annotation(keys::JAVA_TOOL_OPTIONS_BASE);
    let origin = tool_options::composition(container, profile.compose_optional).origin(before);
    match (origin, base) {
        (Origin::Visible(None), None) => "the container sets none: ours alone",
        (Origin::Visible(None) | Origin::EnvFrom, Some(_)) => {
            "ours follows what the annotation states of the image"
        }
        (Origin::Visible(Some(_)), _) => "a literal: ours is part of it",
        (Origin::Reference(_), _) => "from elsewhere: kept under another name, ours refers to it",
        (Origin::EnvFrom, None) => {
            "perhaps from envFrom: kept under another name, ours refers to it"
        }
    }
}

/// The last entry of each name: the one that the kubelet takes.
fn last_ones(env: &[impl Borrow<EnvVar>]) -> HashMap<&str, &EnvVar> {
    steps::take(env.len());
    env.iter()
        .map(Borrow::<EnvVar>::borrow)
        .map(|entry| (entry.name.as_str(), entry))
        .collect()
}

fn brings(profile: &Profile) -> String {
    match &profile.delivery {
        Delivery::InitContainer { .. } => format!(
            "an init container copies the jar from {}; it has the container's requests and limits",
            profile.agent.image
        ),
        Delivery::ImageVolume { .. } => {
            format!("{} is mounted as a volume", profile.agent.image)
        }
        Delivery::Preinstalled { path } => format!("the application's image has {path}"),
        Delivery::VariablesOnly => "variables alone: no agent is loaded".to_owned(),
    }
}

#[cfg(test)]
mod tests;
