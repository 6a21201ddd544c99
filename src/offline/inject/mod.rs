//! Manifests with the agent in them, and without it again: text in, text out, no cluster.
//!
//! What becomes of an object is the engine's decision, the same that the webhook carries out; here it is written into the
//! text of a manifest. Four things are different from an admission:
//!
//! - No variable is named twice. Where a value may come from envFrom the webhook composes it with a repeated name of
//!   ours; who applies such a manifest again is refused, or loses an entry. Whether a ConfigMap or Secret has the key
//!   is looked up in the same input; where it is not there, the value is not composed.
//! - What somebody's controller made is left alone: it is made anew from the object that a person applies.
//! - A skip leaves no word in the manifest: it is told to whoever runs this.
//! - The receipt says how to take everything out again, and what was written, so that nothing else is taken out.
//!
//! Deliberately not here: files (see `cli`), and how a text is edited (see [`javelin_manifest`]).

use std::borrow::Cow;

use javelin_core::{
    config::Config,
    guard, kinds,
    mutate::{Decision, Plan, Reason, Receipt, Source, keys, pod::Pod},
    patch::{Mutation, PodPath},
    workload,
};
use javelin_manifest::{Edited, Syntax, Tree, TreeError};
use serde_json::{Value, json};

use crate::agent;
use crate::offline::inputs::Inputs;
use crate::offline::lints;

pub mod remove;
mod unique;

/// What is done to manifests.
#[derive(Debug)]
pub struct Injector<'a> {
    config: &'a Config,
    /// The same without what a manifest cannot say.
    strict: Config,
    inputs: &'a Inputs,
    action: Operation,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Put the agent in.
    Inject,
    /// The same, and anew where an earlier run did it with another configuration or version.
    Update,
    /// Take it out.
    Remove,
}

/// A document after it.
#[derive(Debug, PartialEq)]
pub struct Injection {
    /// The new text; `None` where nothing changes.
    pub edited: Option<Edited>,
    /// What happened to each object with a pod in it.
    pub reports: Vec<ObjectReport>,
}

/// What happened to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectReport {
    /// Which one.
    pub object: ObjectName,
    /// What.
    pub what: What,
    /// What a person should know beside.
    pub warnings: Vec<String>,
}

/// An object's name, as it says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// Its namespace, if it names one.
    pub namespace: Option<String>,
    /// Its name, or the beginning of it.
    pub name: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The agent is in it.
    Injected {
        /// What each container gets, in a word or two.
        brings: &'static str,
        /// Its containers, and the service names that are from us.
        containers: Vec<(String, Option<String>)>,
        /// The profile's name.
        profile: String,
    },
    /// The agent is out of it.
    Removed,
    /// It stays as it is, which is what its labels say.
    Untouched,
    /// It stays as it is: code and sentence.
    Left {
        /// A stable code.
        code: String,
        /// Why.
        why: String,
    },
}

/// A document that cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] TreeError),
    /// Its text cannot be made to say what it must, a defect of ours.
    #[error(
        "its text cannot be changed without changing what else it says; please report this manifest"
    )]
    NotEdited,
}

impl ObjectName {
    fn of(object: &Value) -> Self {
        let text = |path: &str| {
            object
                .pointer(path)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
        Self {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: name.unwrap_or_else(|| "(no name)".to_owned()),
        }
    }

    /// `Kind namespace/name`, as a person would call it.
    pub fn title(&self) -> String {
        let namespace = self
            .namespace
            .as_ref()
            .map_or_else(String::new, |namespace| format!("{namespace}/"));
        format!("{} {namespace}{}", self.kind, self.name)
    }
}

impl<'a> Injector<'a> {
    /// With that configuration, and what is known of the objects around.
    pub fn new(config: &'a Config, inputs: &'a Inputs, action: Operation) -> Self {
        Self {
            config,
            strict: config.without_optional(),
            inputs,
            action,
        }
    }

    /// Changes one document: an object, a List of them, or nothing.
    pub fn document(&self, text: &str, syntax: Syntax) -> Result<Injection, InjectError> {
        let tree = Tree::parse(text)?;
        let (value, reports) = self.value(&tree.value);
        let edited = value.map(|value| {
            javelin_manifest::edit(text, &tree, &value, syntax).ok_or(InjectError::NotEdited)
        });
        Ok(Injection {
            edited: edited.transpose()?,
            reports,
        })
    }

    /// Changes what a document says; `None` where nothing changes.
    pub fn value(&self, value: &Value) -> (Option<Value>, Vec<ObjectReport>) {
        let Some(items) = items_of(value) else {
            return self.object(value);
        };
        let mut reports = Vec::new();
        let mut changed = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let (new, more) = self.object(item);
            changed.extend(new.map(|new| (index, new)));
            reports.extend(more);
        }
        if changed.is_empty() {
            return (None, reports);
        }
        let mut new = value.clone();
        for (index, item) in changed {
            if let Some(slot) = new.get_mut("items").and_then(|items| items.get_mut(index)) {
                *slot = item;
            }
        }
        (Some(new), reports)
    }

    /// Why the agent is not put into a pod of an object, though the webhook does so to such a pod.
    pub fn obstacle(&self, object: &Value, place: PodPath, webhook: &Mutation) -> Option<String> {
        if !matches!(webhook.decision, Decision::Inject(_)) {
            return None;
        }
        let mut result = webhook.patch.result().clone();
        if unique::make(&mut result, place, |_, _, _| None).is_ok() {
            return None;
        }
        let mut report = ObjectReport::of(object);
        self.inject(object, place, &mut report);
        match report.what {
            What::Left { code, why } if code != OWNED => Some(format!("{code}: {why}")),
            _ => None,
        }
    }

    fn object(&self, object: &Value) -> (Option<Value>, Vec<ObjectReport>) {
        let places = kinds::pods(object);
        let mut new: Option<Value> = None;
        let mut reports = Vec::new();
        for place in &places {
            let object = new.as_ref().unwrap_or(object);
            let mut report = ObjectReport::of(object);
            let changed = match self.action {
                Operation::Inject | Operation::Update => self.inject(object, *place, &mut report),
                Operation::Remove => Self::remove(object, *place, &mut report),
            };
            if !reports.contains(&report) {
                reports.push(report);
            }
            let changed = changed.filter(|changed| changed != object);
            if changed.is_some() {
                new = changed;
            }
        }
        if places.is_empty()
            && self.action != Operation::Remove
            && controller(object).is_none()
            && let Some(why) = kinds::passed_over(object)
        {
            reports.push(ObjectReport {
                what: What::left(kinds::UNKNOWN, &why),
                ..ObjectReport::of(object)
            });
        }
        (new, reports)
    }

    fn remove(object: &Value, place: PodPath, report: &mut ObjectReport) -> Option<Value> {
        match remove::taken_out(object, place) {
            Ok(new) => {
                if new.is_some() {
                    report.what = What::Removed;
                }
                new
            }
            Err(problem) => {
                report.what = What::left("cannot-be-removed", &problem);
                None
            }
        }
    }

    fn inject(&self, object: &Value, place: PodPath, report: &mut ObjectReport) -> Option<Value> {
        let pod = match Pod::from_value(place.of(object)?) {
            Ok(pod) => pod,
            Err(error) => {
                report.what =
                    What::left("unreadable", &format!("no pod can be made of it: {error}"));
                return None;
            }
        };
        let mutation = self.mutation(object, place, &pod, self.config);
        if let Some(owner) = controller(object)
            && !mutation.patch.is_empty()
        {
            report.what = What::left(
                OWNED,
                &format!("{owner} made it, and makes it anew; label that"),
            );
            return None;
        }
        let (mutation, mut value) = self.named_once(object, place, &pod, mutation, report)?;
        match mutation.decision {
            Decision::Skip(Reason::AlreadyInjected) => self.again(object, place, report),
            Decision::Skip(Reason::NotSelected) => {
                if let Some(why) = kinds::label_not_copied(object) {
                    report.what = What::left(kinds::NOT_COPIED, &why);
                }
                None
            }
            Decision::Skip(Reason::OptedOut(Source::Workload)) => {
                let namespace = self.inputs.namespace_of(object);
                if let Some(why) = guard::sentence(object, namespace) {
                    report.what = What::left(guard::CODE, &why);
                }
                None
            }
            Decision::Skip(reason) => {
                if !reason.is_expected() {
                    report.what = What::left(reason.code(), &reason.to_string());
                }
                None
            }
            Decision::Inject(plan) => {
                let profile = self.config.profile(&plan.profile);
                let of_nodes =
                    profile.and_then(|it| lints::of_nodes(&pod, it, agent::architecture()));
                Self::finish(object, place, &pod, &plan, &mut value, report);
                report.warnings.extend(of_nodes.map(|lint| lint.line()));
                Some(value)
            }
        }
    }

    /// The result with each variable named once, as nobody can apply a manifest that names one twice a second time. `None`
    /// where that cannot be; the report says why.
    fn named_once(
        &self,
        object: &Value,
        place: PodPath,
        pod: &Pod,
        mutation: Mutation,
        report: &mut ObjectReport,
    ) -> Option<(Mutation, Value)> {
        let mut value = mutation.patch.result().clone();
        if !matches!(mutation.decision, Decision::Inject(_)) {
            return Some((mutation, value));
        }
        let namespace = self.inputs.namespace_of(object);
        let made = unique::make(&mut value, place, |kind, name, key| {
            let keys = self.inputs.keys_of(kind, namespace, name);
            keys.map(|keys| keys.contains(key))
        });
        let Err(sources) = made else {
            return Some((mutation, value));
        };
        let sources = sources.join(", ");
        let mutation = self.mutation(object, place, pod, &self.strict);
        let mut value = mutation.patch.result().clone();
        // The profile allows it: what is in the way is that the manifests do not tell.
        if let Decision::Skip(Reason::OptionalOptions { container }) = mutation.decision {
            let reason = Reason::UnseenOptions { container, sources };
            report.what = What::left(reason.code(), &reason.to_string());
            return None;
        }
        report.warnings.push(format!(
            "not in the input: {sources}; a manifest cannot name a variable twice, so what may come from there is not \
             kept. Add it to the input, or state JAVA_TOOL_OPTIONS in the annotation {}",
            keys::JAVA_TOOL_OPTIONS_BASE
        ));
        let never = |_: &str, _: &str, _: &str| None;
        if matches!(mutation.decision, Decision::Inject(_))
            && unique::make(&mut value, place, never).is_err()
        {
            report.what = What::left(
                "repeated-variable",
                "its headers would need a variable that is named twice",
            );
            return None;
        }
        Some((mutation, value))
    }

    /// What becomes of an object that has the agent: it stays as it is, unless it would be another one today and that was
    /// asked for.
    fn again(&self, object: &Value, place: PodPath, report: &mut ObjectReport) -> Option<Value> {
        let before = receipt_of(place.of(object)?)?;
        let mut renewed = ObjectReport {
            what: What::Untouched,
            warnings: Vec::new(),
            ..report.clone()
        };
        let new = match remove::taken_out(object, place) {
            Ok(original) => self.inject(&original?, place, &mut renewed),
            Err(problem) => {
                renewed.what = What::left("cannot-be-removed", &problem);
                None
            }
        };
        let now = match &new {
            Some(new) => receipt_of(place.of(new)?)?,
            // Whatever is in the way of another one, this one is as the configuration has it.
            None if self.is_current(&before) => return None,
            None => {
                let obstacle = match renewed.what {
                    What::Left { code, why } => format!("{code}: {why}"),
                    _ => "nothing asks for it any more".to_owned(),
                };
                report
                    .warnings
                    .push(format!("{OTHER}, and cannot be put in anew: {obstacle}"));
                return None;
            }
        };
        let is_other = (&before.profile, &before.config) != (&now.profile, &now.config);
        if self.action == Operation::Update && (is_other || before.version != now.version) {
            *report = renewed;
            return new;
        }
        if is_other {
            report.warnings.push(format!(
                "{OTHER} (profile {:?}); --update puts it in anew",
                before.profile
            ));
        }
        None
    }

    /// Does the configuration say what it said then?
    fn is_current(&self, receipt: &Receipt) -> bool {
        let profile = self.config.profile(&receipt.profile);
        profile.is_some_and(|profile| profile.hash == receipt.config)
    }

    fn mutation(&self, object: &Value, place: PodPath, pod: &Pod, config: &Config) -> Mutation {
        let namespace = self.inputs.namespace_around(object);
        let subject = workload::subject_in(object, place, pod, namespace);
        Mutation::of(&subject, object, place, config)
    }

    /// What a second pass adds to, without the agent: what is added now is to be taken out as well, then. Where a webhook
    /// was first there is no way back.
    fn original(object: &Value, place: PodPath, report: &mut ObjectReport) -> Option<Value> {
        receipt_of(place.of(object)?)?.undo?;
        let original = remove::taken_out(object, place);
        original.unwrap_or_else(|problem| {
            report
                .warnings
                .push(format!("{}: {problem}", remove::CANNOT));
            None
        })
    }

    /// Writes into the receipt how to take it out again, and tells what was done.
    fn finish(
        object: &Value,
        place: PodPath,
        pod: &Pod,
        plan: &Plan,
        value: &mut Value,
        report: &mut ObjectReport,
    ) {
        let secret = plan.parts.image_pull_secret.as_deref();
        let original = if plan.is_first {
            Some(Cow::Borrowed(object))
        } else {
            Self::original(object, place, report).map(Cow::Owned)
        };
        if let Some(original) = original
            && let Err(problem) = remove::record(&original, value, place, secret)
        {
            report.warnings.push(problem);
        }
        if let Some(secret) = secret
            && pod
                .spec
                .image_pull_secrets
                .as_ref()
                .is_none_or(Vec::is_empty)
        {
            report.warnings.push(format!(
                "image-pull-secret: it named no pull secrets and now names {secret:?}, so those of its ServiceAccount no \
                 longer count; name them too, or give {secret:?} to the ServiceAccount and not to the profile"
            ));
        }
        report
            .warnings
            .extend(kinds::lint(object).map(str::to_owned));
        report.warnings.extend(
            plan.warnings
                .iter()
                .map(javelin_core::mutate::Warning::line),
        );
        let containers = plan.containers.iter();
        report.what = What::Injected {
            brings: plan.brings(),
            containers: containers
                .map(|container| (container.name.clone(), container.service_name.clone()))
                .collect(),
            profile: plan.profile.clone(),
        };
    }
}

impl ObjectReport {
    fn of(object: &Value) -> Self {
        Self {
            object: ObjectName::of(object),
            what: What::Untouched,
            warnings: Vec::new(),
        }
    }

    /// Is it not as it was asked for? What somebody's controller makes is asked for elsewhere.
    pub fn is_left(&self) -> bool {
        matches!(&self.what, What::Left { code, .. } if code != OWNED)
    }
}

impl What {
    fn left(code: &str, why: &str) -> Self {
        Self::Left {
            code: code.to_owned(),
            why: why.to_owned(),
        }
    }
}

/// The items of a `List`, a `PodList`, a `ResourceList`.
pub fn items_of(value: &Value) -> Option<&Vec<Value>> {
    let kind = value.get("kind").and_then(Value::as_str)?;
    value
        .get("items")
        .filter(|_| kind.ends_with("List"))?
        .as_array()
}

/// A `ResourceList` as kustomize hands it to a function, with what happened as its results.
pub fn with_results(list: &Value, reports: &[ObjectReport]) -> Value {
    let results: Vec<_> = reports.iter().flat_map(results_of).collect();
    let mut list = list.clone();
    if let Some(map) = list.as_object_mut() {
        map.remove("results");
        if !results.is_empty() {
            map.insert("results".to_owned(), Value::Array(results));
        }
    }
    list
}

fn results_of(report: &ObjectReport) -> Vec<Value> {
    let ObjectName {
        api_version,
        kind,
        namespace,
        name,
    } = &report.object;
    let mut reference = json!({ "apiVersion": api_version, "kind": kind, "name": name });
    if let (Some(namespace), Some(map)) = (namespace, reference.as_object_mut()) {
        map.insert("namespace".to_owned(), json!(namespace));
    }
    let result = |severity: &str, message: String| json!({ "message": message, "severity": severity, "resourceRef": reference });
    let left = match &report.what {
        What::Left { code, why } => Some(result("warning", format!("{code}: {why}"))),
        _ => None,
    };
    let warnings = report
        .warnings
        .iter()
        .map(|warning| result("warning", warning.clone()));
    left.into_iter().chain(warnings).collect()
}

/// Who made it, as `Kind name`.
fn controller(object: &Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners
        .iter()
        .find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    let text = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{} {}", text("kind"), text("name")))
}

/// The receipt of a pod.
fn receipt_of(pod: &Value) -> Option<Receipt> {
    let annotations = pod.pointer("/metadata/annotations")?;
    serde_json::from_str(annotations.get(keys::INJECTED)?.as_str()?).ok()
}

const OWNED: &str = "owned";

const OTHER: &str = "other-configuration: the agent was put in with another configuration";

#[cfg(test)]
mod tests;
