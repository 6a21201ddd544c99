//! The engine: a pod, what is known of its namespace and owners, and the configuration give a [`Decision`].
//!
//! Pure: no I/O, no clock, no randomness, nothing async. The webhook and every command call [`decide`], so what
//! the command line shows is what the cluster gets. All or nothing: a pod gets everything or is not touched.
//!
//! Deliberately absent: JSON Patch (see [`crate::patch`]), AdmissionReview (see [`crate::review`]), and the
//! workload around a pod template (see [`crate::workload`]).

use std::collections::BTreeMap;

use crate::config::{Config, Profile};

mod delivery;
mod environment;
mod expansion;
mod fit;
mod image;
mod java;
pub mod keys;
mod owner;
mod plan;
pub mod pod;
mod reason;
mod resource;
mod sdk;
mod select;
mod target;
mod tool_options;

pub use delivery::Parts;
pub use environment::EnvEdit;
pub use java::Agent;
pub use owner::{Owner, Owners};
pub use plan::{ContainerPlan, Plan, Receipt, Warning};
pub use reason::{Conflict, Reason, Source};
pub use target::List;

use environment::Environment;
use expansion::Literals;
use java::JAVA_TOOL_OPTIONS;
use pod::{Container, EnvVar, Pod, StringMap};
use resource::AttributesProblem;
use target::{Target, Targets};

/// What is to be done with a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Instrument it, so.
    Inject(Box<Plan>),
    /// Leave it alone, therefore.
    Skip(Reason),
}

/// A pod and what is known of its surroundings.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The pod, or a pod template.
    pub pod: &'a Pod,
    /// Its namespace.
    pub namespace: Namespace<'a>,
    /// Who made it.
    pub owners: Owners,
    /// The inject label of the workload around a pod template. On a pod, our copy in its labels says it.
    pub from_workload: Option<&'a str>,
}

/// What is known of a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Namespace<'a> {
    /// Its name; `None` for a manifest that leaves it to `kubectl`.
    pub name: Option<&'a str>,
    /// Its inject label.
    pub inject: NamespaceLabel<'a>,
}

/// The inject label of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceLabel<'a> {
    /// There is none, or it does not decide (`false`, and the pod's own label sent us here).
    Absent,
    /// Its value.
    Value(&'a str),
    /// Some value that names no profile: all that the catch-all entry of the webhook knows.
    NoProfile,
}

/// Decides about one pod.
pub fn decide(subject: &Subject<'_>, config: &Config) -> Decision {
    match inject(subject, config) {
        Ok(plan) => Decision::Inject(Box::new(plan)),
        Err(reason) => Decision::Skip(reason),
    }
}

fn inject(subject: &Subject<'_>, config: &Config) -> Result<Plan, Reason> {
    let pod = subject.pod;
    let profile = select::profile(subject, config)?;
    if is_complete(pod) {
        return Err(Reason::AlreadyInjected);
    }
    let Targets {
        containers: targets,
        unknown,
    } = target::choose(pod, config)?;
    let mut notes = Vec::new();
    for target in &targets {
        notes.extend(check_agents(pod, target.container)?);
        check_private_variables(target.container)?;
    }
    delivery::check_conflicts(pod, &targets)?;

    let unknown = unknown
        .into_iter()
        .map(|name| Warning::UnknownContainer { name });
    let mut warnings: Vec<_> = unknown.collect();
    let mut plans = Vec::new();
    let mut changed = BTreeMap::new();
    for Target {
        list,
        index,
        container,
    } in &targets
    {
        fit::check(pod, container, profile, &mut warnings)?;
        let alone = targets.len() == 1;
        let environment = environment(subject, container, alone, profile, &mut warnings)?;
        changed.insert(container.name.clone(), environment.changed_names());
        plans.push(ContainerPlan {
            list: *list,
            index: *index,
            name: container.name.clone(),
            service_name: added_service_name(&environment, container),
            env: environment.into_edits(),
        });
    }
    let receipt = Receipt {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: profile.name.clone(),
        config: profile.hash.clone(),
        image: profile.agent.image.clone(),
        delivery: profile.delivery.as_str().to_owned(),
        containers: changed,
        notes,
    };
    Ok(Plan {
        profile: profile.name.clone(),
        parts: delivery::parts(pod, &targets, profile),
        containers: plans,
        annotations: annotations(pod, &receipt),
        warnings,
    })
}

/// The container's environment with everything of ours in it.
fn environment(
    subject: &Subject<'_>,
    container: &Container,
    alone: bool,
    profile: &Profile,
    warnings: &mut Vec<Warning>,
) -> Result<Environment, Reason> {
    let mut environment = Environment::new(container.env());
    let settings = tool_options::Settings {
        base: subject.pod.annotation(keys::JAVA_TOOL_OPTIONS_BASE),
        compose_optional: profile.compose_optional,
    };
    tool_options::add_agent(&mut environment, container, settings)?;
    sdk::add_annotated(&mut environment, subject.pod)?;
    resource::add_service_name(&mut environment, subject, container, alone);
    sdk::add_profile(&mut environment, profile);
    let problem = resource::add_attributes(
        &mut environment,
        subject,
        container,
        &profile.resource_attributes,
    );

    let name = || container.name.clone();
    let literals = Literals::of(environment.variables());
    let options = literals.get(JAVA_TOOL_OPTIONS);
    if options.is_some_and(|options| options.len() > java::JAVA_8_OPTIONS_LIMIT) {
        warnings.push(Warning::LongOptions { container: name() });
    }
    warnings.extend(problem.map(|problem| match problem {
        AttributesProblem::NotALiteral => Warning::AttributesNotLiteral { container: name() },
        AttributesProblem::NotAPair => Warning::AttributesBroken { container: name() },
    }));
    Ok(environment)
}

fn added_service_name(environment: &Environment, container: &Container) -> Option<String> {
    let name = resource::SERVICE_NAME;
    if java::effective(container.env(), name).is_some() {
        return None;
    }
    Literals::of(environment.variables())
        .get(name)
        .map(str::to_owned)
}

/// Other agents in the container: an OpenTelemetry one and a vendor's stop us, others are noted.
fn check_agents(pod: &Pod, container: &Container) -> Result<Vec<String>, Reason> {
    let mut notes = Vec::new();
    let allowed = pod
        .annotation(keys::ALLOW_OTHER_AGENT)
        .is_some_and(|value| value.trim() == "true");
    let base = pod.annotation(keys::JAVA_TOOL_OPTIONS_BASE);
    for found in java::agents(container, base) {
        let name = &container.name;
        match found.agent {
            Agent::OpenTelemetry => {
                return Err(Reason::ForeignAgent {
                    container: name.clone(),
                    option: found.option,
                });
            }
            agent @ Agent::Vendor(_) if !allowed => {
                return Err(Reason::OtherAgent {
                    container: name.clone(),
                    agent,
                });
            }
            agent @ Agent::Vendor(_) => {
                notes.push(format!("{name}: beside the {agent} agent, as annotated"));
            }
            Agent::Neighbour => notes.push(format!("{name}: beside {}", found.option)),
        }
    }
    Ok(notes)
}

fn check_private_variables(container: &Container) -> Result<(), Reason> {
    let fields = keys::FIELD_VARIABLES.iter().map(|(name, _)| *name);
    let names: Vec<_> = fields.chain([keys::OPTIONS_VARIABLE]).collect();
    let private = |variable: &&EnvVar| names.contains(&variable.name.as_str());
    container
        .env()
        .iter()
        .find(private)
        .map_or(Ok(()), |variable| {
            Err(Reason::Conflict(Conflict::Variable {
                container: container.name.clone(),
                name: variable.name.clone(),
            }))
        })
}

/// Is this our own result, nothing missing? The API server calls again when another webhook came after us.
fn is_complete(pod: &Pod) -> bool {
    let receipt = pod.annotation(keys::INJECTED);
    let Some(receipt) = receipt.and_then(|text| serde_json::from_str::<Receipt>(text).ok()) else {
        return false;
    };
    let has_volume = pod
        .spec
        .volumes()
        .iter()
        .any(|volume| volume.name == keys::AGENT_NAME);
    let has_init = pod
        .spec
        .init_containers()
        .iter()
        .any(|container| container.name == keys::AGENT_NAME);
    let injected = |name: &String| {
        let mut containers = pod
            .spec
            .init_containers()
            .iter()
            .chain(&pod.spec.containers);
        containers.any(|container| {
            let options = java::effective(container.env(), JAVA_TOOL_OPTIONS);
            let options = options.and_then(|(_, variable)| variable.value.as_deref());
            container.name == *name
                && container
                    .volume_mounts()
                    .iter()
                    .any(|mount| mount.name == keys::AGENT_NAME)
                && options.is_some_and(|options| options.contains(keys::JAVAAGENT_OPTION))
        })
    };
    has_volume
        && has_init
        && !receipt.containers.is_empty()
        && receipt.containers.keys().all(injected)
}

fn annotations(pod: &Pod, receipt: &Receipt) -> StringMap {
    // A struct of strings always serialises.
    let receipt = serde_json::to_string(receipt).unwrap_or_default();
    let volumes = pod
        .annotation(keys::SAFE_TO_EVICT_VOLUMES)
        .map(str::trim)
        .unwrap_or_default();
    let mut annotations = StringMap::from([(keys::INJECTED.to_owned(), receipt)]);
    if !volumes
        .split(',')
        .any(|name| name.trim() == keys::AGENT_NAME)
    {
        let names = [volumes, keys::AGENT_NAME]
            .into_iter()
            .filter(|part| !part.is_empty());
        let value = names.collect::<Vec<_>>().join(",");
        annotations.insert(keys::SAFE_TO_EVICT_VOLUMES.to_owned(), value);
    }
    annotations
}
