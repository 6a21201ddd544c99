//! The engine: a pod, what is known of its namespace and owners, and the configuration give a [`Decision`].
//!
//! Pure: no I/O, no clock, no randomness, nothing async. The webhook and every command call [`decide`], so what
//! the command line shows is what the cluster gets. All or nothing: a pod gets everything or is not touched.
//!
//! Deliberately absent: JSON Patch (see [`crate::patch`]), AdmissionReview (see [`crate::review`]), and the
//! workload around a pod template (see [`crate::workload`]).

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    config::{Config, Delivery, Profile},
    steps,
};

mod composition;
mod delivery;
mod environment;
mod expansion;
mod fit;
mod foreign;
mod image;
mod java;
pub mod keys;
mod owner;
mod parts;
mod plan;
pub mod pod;
mod probes;
mod reason;
mod receipt;
mod record;
mod resource;
mod sdk;
mod select;
mod size;
mod target;
mod tool_options;

pub use environment::EnvEdit;
pub use java::{AgentKind, words as jvm_words};
pub use owner::{Owner, Owners};
pub use parts::{InitContainerEdit, Json, Parts};
pub use plan::{ContainerPlan, Plan, Warning};
pub use reason::{Conflict, Reason, Source};
pub use receipt::{Receipt, Undo};
pub use record::{Step, Verdict};
pub use target::List;

// The tables and texts that a policy says in another language: see `crate::policy`.
pub(crate) use delivery::{VOLUME_SIZE_LIMIT, option, own_command};
pub(crate) use expansion::escape;
pub(crate) use java::{INJECTORS, OPENTELEMETRY, VENDORS};
pub(crate) use resource::encode;
pub(crate) use sdk::{Defaults, OTLP_PROPERTIES, endpoint_value, signal_settings};
pub(crate) use size::MAX_ANNOTATIONS;

use delivery::Needs;
use environment::Environment;
use expansion::Literals;
use java::{JAVA_TOOL_OPTIONS, Shown};
use pod::{Container, EnvVar, Pod, StringMap};
use record::Record;
use resource::{AttributesProblem, Naming};
use sdk::Place;
use target::{Target, Targets};

/// What is to be done with a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Instrument it, by this plan.
    Inject(Box<Plan>),
    /// Leave it alone, for this reason.
    Skip(Reason),
}

/// A pod, its namespace and its owners: the engine's input.
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
    /// Names of the volumes that the workload around a pod template puts in place of the template's own: its claim
    /// templates. A pod has them among its volumes already.
    pub claims: Vec<&'a str>,
}

impl<'a> Subject<'a> {
    /// A pod as it is created: what it does not say itself, nothing around it does.
    pub fn of_pod(pod: &'a Pod, namespace: Namespace<'a>) -> Self {
        Self {
            pod,
            namespace,
            owners: Owners::of_pod(&pod.metadata),
            from_workload: None,
            claims: Vec::new(),
        }
    }
}

/// What is known of a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Namespace<'a> {
    /// Its name; `None` for a manifest that leaves it to `kubectl`.
    pub name: Option<&'a str>,
    /// Its inject label.
    pub inject: InjectLabel<'a>,
}

/// The inject label of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectLabel<'a> {
    /// There is none, or it does not decide (`false`, and the pod's own label sent us here).
    Absent,
    /// Its value.
    Value(&'a str),
    /// Some value that names no profile: all that the catch-all entry of the webhook knows.
    NoProfile,
}

/// Decides about one pod. What an earlier pass has injected cannot be taken back: nothing that came in between makes a
/// skip of it.
pub fn decide(subject: &Subject<'_>, config: &Config) -> Decision {
    decide_on(subject, config, &mut Record::default())
}

/// The rules that [`decide`] evaluates, in order, up to the one that stops it.
pub fn explain(subject: &Subject<'_>, config: &Config) -> Vec<Step> {
    let mut record = Record::on();
    decide_on(subject, config, &mut record);
    record.into_steps()
}

fn decide_on(subject: &Subject<'_>, config: &Config, record: &mut Record) -> Decision {
    record.selection(subject, config);
    let looked_at = record.len();
    // Whoever did not ask is told that, whatever the size.
    let asked = record.check("selection", select::profile(subject, config));
    let asked = asked.and_then(|asked| {
        record.check("size", size::check(subject.pod))?;
        Ok(asked)
    });
    let decision = match asked.and_then(|asked| inject(subject, config, asked, record)) {
        Ok(plan) => return Decision::Inject(Box::new(plan)),
        // Its receipt was read for that.
        Err(Reason::AlreadyInjected) => Reason::AlreadyInjected,
        Err(_) if Receipt::of(subject.pod, config).is_some() => Reason::AlreadyInjected,
        Err(reason) => reason,
    };
    if decision == Reason::AlreadyInjected {
        record.forget_after(looked_at);
        record.stops("second pass", &decision);
    }
    Decision::Skip(decision)
}

/// Like [`decide`], but with the actual reason also for a pod with a receipt: the check of a patch uses it.
pub(crate) fn examine(subject: &Subject<'_>, config: &Config) -> Decision {
    let asked = select::profile(subject, config);
    match asked.and_then(|asked| inject(subject, config, asked, &mut Record::default())) {
        Ok(plan) => Decision::Inject(Box::new(plan)),
        Err(reason) => Decision::Skip(reason),
    }
}

/// What a container with these entries will find in its environment, as far as literals tell: the last entry of each
/// name, expanded as the kubelet does it. `None` stands for a value from elsewhere.
///
/// A reference to something that is no earlier literal stays as it is written: what envFrom, Services, keys and fields
/// hold is not known here. Every decision about a variable rests on these values.
pub fn predicted_environment(env: &[EnvVar]) -> BTreeMap<String, Option<String>> {
    let values = Literals::of(env).into_values();
    values
        .map(|(name, value)| (name.to_owned(), value.map(Cow::into_owned)))
        .collect()
}

/// What the steps of one decision share.
struct Context<'a> {
    subject: &'a Subject<'a>,
    profile: &'a Profile,
    /// The option that loads the agent, where one is loaded.
    option: Option<String>,
    /// What an earlier pass says it did: another webhook came after it, and we are asked again.
    before: Option<Receipt>,
    /// Is there one target only?
    alone: bool,
}

fn inject(
    subject: &Subject<'_>,
    config: &Config,
    asked: &Profile,
    record: &mut Record,
) -> Result<Plan, Reason> {
    let before = Receipt::of(subject.pod, config);
    let profile = profile(asked, config, before.as_ref());
    record.applies("selection", || format!("profile {}", profile.name));
    record.passes("platform", || {
        "neither a static pod nor one for Windows".to_owned()
    });
    let targets = targets(subject, config, before.as_ref());
    let Targets {
        containers: targets,
        warnings,
    } = record.check("containers", targets)?;
    record.containers(subject, config, &targets);
    // Made with another configuration, as in a pipeline: it stays as it was made.
    if before
        .as_ref()
        .is_some_and(|receipt| receipt.config != profile.hash)
    {
        return Err(Reason::AlreadyInjected);
    }
    let context = Context {
        subject,
        profile,
        option: option(profile),
        before,
        alone: targets.len() == 1,
    };
    context.plan(&targets, warnings, record)
}

/// The targets: those of an earlier pass, else what the pod asks for.
fn targets<'a>(
    subject: &Subject<'a>,
    config: &Config,
    before: Option<&Receipt>,
) -> Result<Targets<'a>, Reason> {
    let pod = subject.pod;
    let targets = match before {
        Some(receipt) => Targets {
            containers: receipt.targets(pod),
            warnings: Vec::new(),
        },
        None => target::choose(pod, config)?,
    };
    size::check_copies(subject, targets.containers.len())?;
    Ok(targets)
}

/// The profile of an earlier pass, where the configuration still has it, else the one that is asked for.
fn profile<'a>(asked: &'a Profile, config: &'a Config, before: Option<&Receipt>) -> &'a Profile {
    let named = before.and_then(|receipt| config.profile(&receipt.profile));
    named.unwrap_or(asked)
}

impl Context<'_> {
    fn plan(
        &self,
        targets: &[Target<'_>],
        mut warnings: Vec<Warning>,
        record: &mut Record,
    ) -> Result<Plan, Reason> {
        let (pod, profile) = (self.subject.pod, self.profile);
        let base = pod.annotation(keys::JAVA_TOOL_OPTIONS_BASE);
        let shown = targets.iter();
        let shown: Vec<_> = shown
            .map(|target| Shown::of(target.container, base))
            .collect();
        let mut notes = self.check_other_agents(&shown, record)?;
        // What is there already is ours, and cannot be taken back.
        if self.before.is_none() {
            self.check_room(targets, &mut warnings, record)?;
        }
        let (mut containers, mut changed) = (Vec::new(), BTreeMap::new());
        let mut needs = Needs::default();
        let mut defaults = None;
        for (target, shown) in targets.iter().zip(&shown) {
            let container = target.container;
            let environment = self.environment(shown, &mut warnings);
            let (environment, naming, place) = record.check("environment", environment)?;
            record.environment(self, target, (&environment, naming.as_ref(), place));
            let here = Needs {
                tls: sdk::tls_of(&environment, profile),
                extensions: delivery::extensions_of(&environment, profile),
                defaults: None,
            };
            needs.tls = needs.tls.or(here.tls);
            needs.extensions = needs.extensions.or(here.extensions);
            if place == Place::File {
                defaults.get_or_insert_with(|| Defaults::of(profile));
                notes.push(format!(
                    "{}: the SDK's settings are in {}, below what envFrom brings",
                    container.name,
                    keys::DEFAULTS_FILE
                ));
            }
            let mounts = delivery::mounts(container, profile, here);
            let (env, names) = environment.into_edits();
            changed.insert(container.name.clone(), names);
            containers.push(ContainerPlan {
                list: target.list,
                index: target.index,
                name: container.name.clone(),
                service_name: naming.map(|naming| naming.as_str().to_owned()),
                env,
                mounts,
            });
        }
        record.delivery(profile);
        needs.defaults = defaults.as_ref();
        let parts = delivery::parts(pod, targets, profile, needs, &mut notes);
        let skipped = pod.annotation(keys::SKIPPED);
        let mut plan = Plan {
            is_first: self.before.is_none(),
            profile: profile.name.clone(),
            loads_agent: self.option.is_some(),
            parts,
            containers,
            annotations: safe_to_evict(pod, profile, needs),
            stale_annotations: skipped.map(|_| keys::SKIPPED).into_iter().collect(),
            warnings,
        };
        let receipt = self.receipt(changed, notes, plan.changes_nothing())?;
        plan.annotations.insert(keys::INJECTED.to_owned(), receipt);
        Ok(plan)
    }

    /// Notes of what another agent makes of ours; an error where it keeps ours out.
    fn check_other_agents(
        &self,
        shown: &[Shown<'_>],
        record: &mut Record,
    ) -> Result<Vec<String>, Reason> {
        let option = self.option.as_deref();
        let notes = foreign::check(self.subject.pod, shown, option, self.before.is_none());
        let notes = record.check("other agents", notes)?;
        if option.is_some() && notes.is_empty() {
            record.passes("other agents", || {
                "none in options, commands and init containers".to_owned()
            });
        }
        for note in &notes {
            record.passes("other agents", || note.clone());
        }
        Ok(notes)
    }

    /// The receipt as its annotation has it. Where nothing is left to do, the pod has the same already.
    fn receipt(
        &self,
        changed: BTreeMap<String, Vec<String>>,
        notes: Vec<String>,
        changes_nothing: bool,
    ) -> Result<String, Reason> {
        let receipt = self.before.clone();
        let receipt = receipt.unwrap_or_else(|| Receipt::new(self.profile));
        let receipt = receipt.with(changed, notes);
        if changes_nothing && self.before.as_ref() == Some(&receipt) {
            return Err(Reason::AlreadyInjected);
        }
        // Without it nobody would know the pod again.
        serde_json::to_string(&receipt)
            .map_err(|error| Reason::Internal(format!("the receipt: {error}")))
    }

    /// Is there room for what is ours, in names, paths and limits?
    fn check_room(
        &self,
        targets: &[Target<'_>],
        warnings: &mut Vec<Warning>,
        record: &mut Record,
    ) -> Result<(), Reason> {
        let conflicts = delivery::check_conflicts(self.subject, targets, self.profile);
        record.check("names and paths", conflicts)?;
        record.passes("names and paths", || {
            "nothing of the pod's is where ours goes".to_owned()
        });
        for target in targets {
            let container = target.container;
            record.check("variables", check_private_variables(container))?;
            if self.option.is_some() {
                let fits = fit::check(self.subject.pod, container, self.profile, warnings);
                record.check("limits", fits)?;
                let name = &container.name;
                record.passes("limits", || format!("{name}: the agent fits into them"));
                warnings.extend(probes::warning(container));
                warnings.extend(image::warning(container));
            }
        }
        Ok(())
    }

    /// The container's environment with everything of ours in it, the service's name if it is from us, and where the
    /// profile's settings are.
    fn environment<'a>(
        &self,
        shown: &Shown<'a>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(Environment<'a>, Option<Naming>, Place), Reason> {
        let (subject, profile) = (self.subject, self.profile);
        let container = shown.container;
        let mut environment = Environment::new(container.env());
        if let Some(option) = &self.option {
            let settings = tool_options::Settings {
                option,
                compose_optional: profile.compose_optional,
            };
            tool_options::add_agent(&mut environment, shown, settings)?;
        }
        sdk::add_annotated(&mut environment, subject.pod)?;
        let naming = resource::naming(&environment, subject, shown, self.alone, profile);
        if let Some(Naming::Variable(name)) = &naming {
            environment.push_default(resource::SERVICE_NAME, name);
        }
        let users = sdk::UserSettings::of(&environment, shown);
        let place = sdk::place(&environment, users, profile, self.before.is_some());
        sdk::add_profile(&mut environment, users, profile, place);
        delivery::add_extensions(&mut environment, profile);
        let problem =
            resource::add_attributes(&mut environment, subject, shown, naming.as_ref(), profile);

        let name = || container.name.clone();
        let literals = Literals::of(environment.variables());
        size::check_environment(&literals)?;
        let options = literals.get(JAVA_TOOL_OPTIONS);
        let is_long = |options: &str| options.len() > java::JAVA_8_OPTIONS_LIMIT;
        if self.option.is_some() && options.is_some_and(is_long) {
            warnings.push(Warning::LongOptions { container: name() });
        }
        let empty = sdk::EMPTY_IS_BROKEN
            .into_iter()
            .filter(|name| literals.get(name) == Some(""));
        warnings.extend(empty.map(|variable| Warning::EmptySetting {
            container: name(),
            variable: variable.to_owned(),
        }));
        if literals
            .get(sdk::DECLARATIVE_FILE)
            .is_some_and(|file| !file.is_empty())
        {
            warnings.push(Warning::DeclarativeFile { container: name() });
        }
        warnings.extend(problem.map(|problem| match problem {
            AttributesProblem::NotALiteral => Warning::AttributesNotLiteral { container: name() },
            AttributesProblem::NotAPair => Warning::AttributesBroken { container: name() },
        }));
        Ok((environment, naming, place))
    }
}

fn check_private_variables(container: &Container) -> Result<(), Reason> {
    let mut variables = container.env().iter();
    steps::take(container.env().len());
    let private = variables.find(|variable| keys::is_private(&variable.name));
    private.map_or(Ok(()), |variable| {
        Err(Reason::Conflict(Conflict::Variable {
            container: container.name.clone(),
            name: variable.name.clone(),
        }))
    })
}

/// Our emptyDirs hold nothing that a node's end would lose: the autoscaler may know, with the user's volumes kept.
fn safe_to_evict(pod: &Pod, profile: &Profile, needs: Needs<'_>) -> StringMap {
    let volumes = pod.annotation(keys::SAFE_TO_EVICT_VOLUMES);
    let volumes = volumes.map(str::trim).unwrap_or_default();
    steps::take(volumes.len());
    let is_named = |ours: &&str| volumes.split(',').any(|name| name.trim() == *ours);
    let copies_agent = matches!(profile.delivery, Delivery::InitContainer { .. });
    let agent = copies_agent.then_some(keys::AGENT_NAME);
    let copies_extensions = needs.extensions.is_some() && delivery::copies_extensions(profile);
    let extensions = copies_extensions.then_some(keys::EXTENSIONS_NAME);
    let ours = agent.into_iter().chain(extensions);
    let missing: Vec<_> = ours.filter(|name| !is_named(name)).collect();
    if missing.is_empty() {
        return StringMap::new();
    }
    let names = [volumes].into_iter().chain(missing);
    let names: Vec<_> = names.filter(|part| !part.is_empty()).collect();
    StringMap::from([(keys::SAFE_TO_EVICT_VOLUMES.to_owned(), names.join(","))])
}
