//! Why a pod gets what it gets: every rule that [`decide`](super::decide) looks at, in its order, with what it found.
//!
//! Invariant: it calls the engine's own functions, so that the last step says what the decision says; a property holds
//! the two together.
//!
//! Deliberately not here: the changes themselves, which the patch shows better, and what admission cannot see.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    Context, Decision, NamespaceLabel, Reason, Receipt, Subject, check_private_variables,
    composition::Origin,
    decide, delivery,
    environment::Environment,
    fit, foreign,
    java::JAVA_TOOL_OPTIONS,
    keys,
    pod::{Container, EnvVar},
    profile, resource,
    sdk::{self, Place},
    select, size,
    target::{List, Target},
    targets, tool_options,
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

/// Every rule up to the one that stops, or all of them.
pub fn explain(subject: &Subject<'_>, config: &Config) -> Vec<Step> {
    let mut steps = Steps::default();
    // Whatever stops has said so.
    let _ = examine(subject, config, &mut steps);
    steps.0
}

fn examine(subject: &Subject<'_>, config: &Config, steps: &mut Steps) -> Result<(), Stopped> {
    let pod = subject.pod;
    selection(subject, config, steps);
    if let Decision::Skip(reason @ Reason::AlreadyInjected) = decide(subject, config) {
        return Err(steps.stops("second pass", &reason));
    }
    let asked = steps.check("selection", select::profile(subject, config))?;
    steps.check("size", size::check(pod))?;
    let before = Receipt::of(pod, config);
    let profile = profile(asked, config, before.as_ref());
    steps.applies("selection", format!("profile {}", profile.name));
    steps.passes(
        "platform",
        "neither a static pod nor one for Windows".into(),
    );
    let targets = steps.check("containers", targets(subject, config, before.as_ref()))?;
    containers(subject, config, &targets.containers, steps);
    let option = delivery::option(profile);
    let is_first = before.is_none();
    let beside = foreign::check(pod, &targets.containers, option.as_deref(), is_first);
    let beside = steps.check("other agents", beside)?;
    if option.is_some() && beside.is_empty() {
        steps.passes(
            "other agents",
            "none in options, commands and init containers".into(),
        );
    }
    for note in beside {
        steps.passes("other agents", note);
    }
    let conflicts = delivery::check_conflicts(subject, &targets.containers, profile);
    if is_first {
        steps.check("names and paths", conflicts)?;
        steps.passes(
            "names and paths",
            "nothing of the pod's is where ours goes".into(),
        );
    }
    for target in &targets.containers {
        let container = target.container;
        let name = &container.name;
        if is_first {
            steps.check("variables", check_private_variables(container))?;
            if option.is_some() {
                let fits = fit::check(pod, container, profile, &mut Vec::new());
                steps.check("limits", fits)?;
                steps.passes("limits", format!("{name}: the agent fits into them"));
            }
        }
    }
    let context = Context {
        subject,
        profile,
        option,
        before,
        alone: targets.containers.len() == 1,
    };
    for target in &targets.containers {
        environment(&context, target, steps)?;
    }
    steps.applies("delivery", brings(profile));
    if let Some(extensions) = &profile.agent.extensions {
        let from = match extensions {
            Extensions::Image { image, folder } => format!("{folder} of {image}"),
            Extensions::ConfigMap(name) => format!("ConfigMap {name}"),
            Extensions::Claim { name, folder } => {
                format!("{folder}/ of PersistentVolumeClaim {name}")
            }
        };
        steps.applies("extensions", format!("the agent loads those in {from}"));
    }
    Ok(())
}

/// Who asks, and who is outranked.
fn selection(subject: &Subject<'_>, config: &Config, steps: &mut Steps) {
    let pod = subject.pod;
    match subject.namespace.name {
        Some(name) if config.excludes(name) => {
            steps.passes("namespace", format!("{name} is in excludedNamespaces"));
        }
        Some(name) => steps.passes("namespace", format!("{name} is not in excludedNamespaces")),
        None => steps.passes(
            "namespace",
            "not named here, so no exclusion is known".into(),
        ),
    }
    let annotation = pod.annotation(keys::INJECT);
    let namespace = match subject.namespace.inject {
        NamespaceLabel::Absent => None,
        NamespaceLabel::Value(value) => Some(value),
        NamespaceLabel::NoProfile => Some("(a value that names no profile)"),
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
                steps.passes(
                    rule,
                    "is there, but annotations are off in the configuration".into(),
                );
            }
            (None, _) => steps.passes(rule, format!("no {}", keys::INJECT)),
            (Some(value), Some(stronger)) => {
                steps.passes(rule, format!("{value:?}, outranked by the {stronger}"));
            }
            (Some(value), None) => {
                decided_by = Some(rule);
                steps.applies(rule, format!("{value:?} decides"));
            }
        }
    }
}

/// Which containers, and why not the others.
fn containers(subject: &Subject<'_>, config: &Config, targets: &[Target<'_>], steps: &mut Steps) {
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
                steps.applies("containers", why);
            } else {
                steps.passes("containers", why);
            }
        }
    }
}

/// What becomes of each variable that we know.
fn environment(
    context: &Context<'_>,
    target: &Target<'_>,
    steps: &mut Steps,
) -> Result<(), Stopped> {
    let (profile, container) = (context.profile, target.container);
    let before = Environment::new(container.env());
    let outcome = context.environment(container, &mut Vec::new());
    let (after, naming, place) = steps.check("environment", outcome)?;
    let name = &container.name;
    if context.option.is_some() {
        let options = options(context, container, &before);
        steps.applies(JAVA_TOOL_OPTIONS, format!("{name}: {options}"));
    } else {
        steps.passes(JAVA_TOOL_OPTIONS, format!("{name}: no agent is loaded"));
    }
    if let Some(naming) = naming {
        let (_, how) = resource::service_name(context.subject, container, profile);
        steps.applies(
            resource::SERVICE_NAME,
            format!("{name}: {}, {how}", naming.as_str()),
        );
    } else {
        let why = format!("{name}: the container names its service itself");
        steps.passes(resource::SERVICE_NAME, why);
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
            (None, Some(value)) => steps.applies(variable, format!("{name}: {value}")),
            (Some(_), _) if was == is => {
                steps.passes(variable, format!("{name}: the container's own stays"));
            }
            (Some(_), _) => {
                steps.applies(
                    variable,
                    format!("{name}: the container's own, with ours added"),
                );
            }
            (None, None) if place == Place::File => {
                let file = keys::DEFAULTS_FILE;
                steps.applies(
                    variable,
                    format!("{name}: in {file}, below what envFrom brings"),
                );
            }
            (None, None) if profile.otlp.is_none() => {
                let why =
                    format!("{name}: the profile names none, so the agent sends to localhost");
                steps.passes(variable, why);
            }
            (None, None) => {
                let why = format!("{name}: the container says itself where telemetry goes");
                steps.passes(variable, why);
            }
        }
    }
    Ok(())
}

/// How the option that loads the agent gets into `JAVA_TOOL_OPTIONS`.
fn options(context: &Context<'_>, container: &Container, before: &Environment) -> &'static str {
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
fn last_ones(env: &[EnvVar]) -> HashMap<&str, &EnvVar> {
    steps::take(env.len());
    env.iter()
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

/// A rule has stopped, and a step says so.
struct Stopped;

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn applies(&mut self, rule: &str, why: String) {
        self.push(rule, Verdict::Applies, why);
    }

    fn passes(&mut self, rule: &str, why: String) {
        self.push(rule, Verdict::Passes, why);
    }

    fn stops(&mut self, rule: &str, reason: &Reason) -> Stopped {
        self.push(rule, Verdict::Stops, format!("{}: {reason}", reason.code()));
        Stopped
    }

    fn check<T>(&mut self, rule: &str, outcome: Result<T, Reason>) -> Result<T, Stopped> {
        outcome.map_err(|reason| self.stops(rule, &reason))
    }

    fn push(&mut self, rule: &str, verdict: Verdict, why: String) {
        let rule = rule.to_owned();
        self.0.push(Step { rule, verdict, why });
    }
}

#[cfg(test)]
mod tests;
