//! A [`Plan`] as a JSON Patch, applied to a copy and checked before anybody gets it.
//!
//! The API server refuses a pod whose patch does not *apply*, or whose result does not decode, even under
//! `failurePolicy: Ignore`. So nothing leaves here that was not tried: [`Mutation::of`] gives a patch that
//! applies to this very document, that leaves everything of the user's as it was, and whose result the engine itself
//! takes for complete.
//!
//! Deliberately absent: any diff of two documents. Operations are built from the plan, so unknown fields pass
//! untouched and a pod with three variables gets one `add`, not seven rewrites.

use std::{borrow::Cow, collections::HashSet};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};

use crate::{
    config::Config,
    mutate::{
        self, Decision, EnvEdit, InitContainerEdit, Json, Plan, Reason, Subject, keys,
        pod::{Pod, StringMap},
    },
    steps,
};

mod check;
mod node;

pub(crate) use node::Node;

/// What becomes of a document: the decision that stands in the end, and its patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Mutation {
    /// What was decided, or the defect that kept it from being done.
    pub decision: Decision,
    /// What to do to the document; often nothing.
    pub patch: Patch,
}

/// A JSON Patch (RFC 6902) that was tried on the document that it is for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    operations: Vec<Operation>,
    result: Value,
}

/// One of its operations.
#[derive(Debug, Clone, PartialEq)]
struct Operation {
    what: What,
    /// A JSON pointer.
    path: String,
    /// JSON; empty where something is taken away.
    value: String,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Add,
    Replace,
    Remove,
}

/// What decides about a pod: [`mutate::decide`], or in a test something that is wrong.
pub type Rules = fn(&Subject<'_>, &Config) -> Decision;

/// Where the pod stands in its document: the whole of it, or a workload's template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodPath {
    /// The list where it stands, and in which item.
    item: Option<(&'static [&'static str], usize)>,
    /// Where it stands, there.
    keys: &'static [&'static str],
}

/// A patch that must not leave: a defect of ours.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The document does not have what an operation expects.
    #[error("the patch does not apply: {0}")]
    DoesNotApply(String),
    /// The result is no pod any more.
    #[error("the patched pod cannot be read: {0}")]
    Unreadable(#[from] mutate::pod::PodError),
    /// The engine would go on, or refuse, on its own result.
    #[error("a second pass over the patched pod is not empty: {0}")]
    NotIdempotent(String),
    /// Something of the user's is not as it was.
    #[error("the patched pod has another {0} than its user wrote")]
    NotOurs(String),
    /// The API server would refuse the result, and with it the pod.
    #[error("the patched pod has {0}")]
    Refused(String),
    /// Something of ours is there twice.
    #[error("the patched pod has the {0} {1} twice")]
    Repeated(&'static str, String),
}

impl Mutation {
    /// Decides about a pod and carries the decision out on its document.
    ///
    /// A skip that the user did not ask for leaves a word on a pod; in a workload's template the same word
    /// would cause a rollout, so there it does not.
    pub fn of(subject: &Subject<'_>, document: &Value, place: PodPath, config: &Config) -> Self {
        let decision = mutate::decide(subject, config);
        Self::carrying_out(decision, subject, &Node::Value(document), place, config)
    }

    /// Carries out what was decided, by whomever: nothing that is decided wrongly gets through.
    pub(crate) fn carrying_out(
        decision: Decision,
        subject: &Subject<'_>,
        document: &Node<'_>,
        place: PodPath,
        config: &Config,
    ) -> Self {
        let word = |reason: &Reason| Tried::word(reason, document);
        let tried = match &decision {
            Decision::Inject(plan) => Tried::for_pod(plan, subject, document, place, config),
            Decision::Skip(reason) if place == PodPath::POD && !reason.is_expected() => {
                word(reason)
            }
            Decision::Skip(_) => Ok(Tried::default()),
        };
        let error = match tried {
            Ok(Tried {
                patch,
                is_too_much: false,
            }) => return Self { decision, patch },
            Ok(_) => Reason::AnnotationsFull,
            // Whoever is mistaken about a pod leaves no word on it either.
            Err(error) => {
                return Self {
                    decision: Decision::Skip(Reason::Internal(error.to_string())),
                    patch: Patch::default(),
                };
            }
        };
        // There is no patch but a word, if there is room for that.
        let word = (place == PodPath::POD).then(|| word(&error).ok()).flatten();
        let word = word.filter(|word| !word.is_too_much);
        Self {
            decision: Decision::Skip(error),
            patch: word.map(|word| word.patch).unwrap_or_default(),
        }
    }
}

impl PodPath {
    /// The document is the pod.
    pub const POD: Self = Self::at(&[]);
    /// `spec.template` of a workload.
    pub const TEMPLATE: Self = Self::at(&["spec", "template"]);

    /// `template` of a `PodTemplate`.
    pub const POD_TEMPLATE: Self = Self::at(&["template"]);

    /// The template of a `CronJob`'s Jobs.
    pub const JOB_TEMPLATE: Self = Self::at(&["spec", "jobTemplate", "spec", "template"]);

    pub(crate) const fn at(keys: &'static [&'static str]) -> Self {
        Self { keys, item: None }
    }

    /// The same in an item of a list.
    pub(crate) fn in_item(self, list: &'static [&'static str], index: usize) -> Self {
        let item = Some((list, index));
        Self { item, ..self }
    }

    /// The pod in its document.
    pub fn of(self, document: &Value) -> Option<&Value> {
        find(self.around(document)?, self.keys)
    }

    /// The same, to be changed.
    pub fn of_mut(self, document: &mut Value) -> Option<&mut Value> {
        let around = match self.item {
            Some((list, index)) => find_mut(document, list)?.get_mut(index)?,
            None => document,
        };
        find_mut(around, self.keys)
    }

    fn around(self, document: &Value) -> Option<&Value> {
        match self.item {
            Some((list, index)) => find(document, list)?.get(index),
            None => Some(document),
        }
    }

    /// As a JSON pointer has it.
    fn tokens(self) -> Vec<String> {
        let (list, index) = self.item.unzip();
        let list = list.into_iter().flatten().map(|key| (*key).to_owned());
        let index = index.map(|index| index.to_string());
        let keys = self.keys.iter().map(|key| (*key).to_owned());
        list.chain(index).chain(keys).collect()
    }

    /// What the pod's template is a member of; `None` where the document is the pod.
    pub(crate) fn parent_of(self, document: &Value) -> Option<&Value> {
        let (_, above) = self.keys.split_last()?;
        find(self.around(document)?, above)
    }
}

/// A patch that applies, and leaves everything of the user's.
#[derive(Debug, Default)]
struct Tried {
    patch: Patch,
    /// Would the annotations be more than Kubernetes takes?
    is_too_much: bool,
}

impl Tried {
    /// The patch that carries out a plan.
    fn for_pod(
        plan: &Plan,
        subject: &Subject<'_>,
        document: &Node<'_>,
        place: PodPath,
        config: &Config,
    ) -> Result<Self, PatchError> {
        let pod = subject.pod;
        let mut operations = Operations::on(document, place);
        operations.set_metadata("annotations", &plan.annotations);
        operations.remove_metadata("annotations", &plan.stale_annotations);
        let exists = pod.spec.volumes.is_some();
        operations.append(&["spec", "volumes"], exists, &plan.parts.volumes);
        for target in &plan.containers {
            let Some(container) = target.list.containers(pod).get(target.index) else {
                continue;
            };
            let index = target.index.to_string();
            let at = |list| ["spec", target.list.as_str(), index.as_str(), list];
            operations.edit_env(at("env"), container.env.is_some(), &target.env);
            let exists = container.volume_mounts.is_some();
            operations.append(&at("volumeMounts"), exists, &target.mounts);
        }
        let secret = plan.parts.image_pull_secret.iter();
        let secret: Vec<_> = secret
            .map(|name| Json::of(&json!({ "name": name })))
            .collect();
        let exists = pod.spec.image_pull_secrets.is_some();
        operations.append(&["spec", "imagePullSecrets"], exists, &secret);
        // Last, since it moves every init container one further.
        operations.edit_init_containers(
            pod.spec.init_containers.is_some(),
            &plan.parts.init_containers,
        );
        Self::of(operations.list, document, place, |result| {
            check(subject, document, result, place, config)
        })
    }

    /// The patch that leaves a word on a pod that is skipped.
    fn word(reason: &Reason, document: &Node<'_>) -> Result<Self, PatchError> {
        let word = format!("{}: {reason}", reason.code());
        let operations = Operations::for_annotation(keys::SKIPPED, &word, document);
        Self::of(operations, document, PodPath::POD, |_| Ok(()))
    }

    fn of(
        operations: Vec<Operation>,
        document: &Node<'_>,
        place: PodPath,
        check: impl FnOnce(&Node<'_>) -> Result<(), PatchError>,
    ) -> Result<Self, PatchError> {
        let result = document.patched(&operations)?;
        check(&result)?;
        if operations.is_empty() {
            return Ok(Self::default());
        }
        let is_too_much = !has_room(&result, place);
        let decoded = match document {
            Node::Value(_) => Value::deserialize(&result)
                .map_err(|error| PatchError::DoesNotApply(error.to_string()))?,
            _ => Value::Null,
        };
        drop(result);
        Ok(Self {
            patch: Patch {
                operations,
                result: decoded,
            },
            is_too_much,
        })
    }
}

impl Patch {
    /// The patch that sets one annotation of the document.
    pub(crate) fn for_annotation(
        key: &str,
        value: &str,
        document: &Node<'_>,
    ) -> Result<Self, PatchError> {
        let operations = Operations::for_annotation(key, value, document);
        let tried = Tried::of(operations, document, PodPath::POD, |_| Ok(()))?;
        Ok(tried.patch)
    }

    /// The patch that sets and takes away labels of a workload and of its pod template, and takes away annotations of the
    /// workload alone.
    pub fn for_labels(
        template: PodPath,
        set: &StringMap,
        remove: &[&str],
        stale_annotations: &[&str],
        document: &Value,
    ) -> Result<Self, PatchError> {
        let document = Node::Value(document);
        let mut list = Vec::new();
        for base in [PodPath::POD, template] {
            let mut operations = Operations::on(&document, base);
            operations.set_metadata("labels", set);
            operations.remove_metadata("labels", remove);
            if base == PodPath::POD {
                operations.remove_metadata("annotations", stale_annotations);
            }
            list.append(&mut operations.list);
        }
        let tried = Tried::of(list, &document, template, |_| Ok(()))?;
        Ok(tried.patch)
    }

    /// The document after the patch, where it was decoded before; null otherwise, and where there is nothing to do.
    pub fn result(&self) -> &Value {
        &self.result
    }

    /// As it is sent.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(json_of(&self.operations).into_bytes())
    }

    /// Nothing to do?
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = RawValue::from_string(json_of(&self.operations));
        json.map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

/// A JSON Patch.
fn json_of(operations: &[Operation]) -> String {
    let lengths = operations.iter();
    let lengths = lengths.map(|operation| operation.path.len() + operation.value.len() + 48);
    let mut json = String::with_capacity(lengths.sum());
    json.push('[');
    for operation in operations {
        if json.len() > 1 {
            json.push(',');
        }
        let what = match operation.what {
            What::Add => "add",
            What::Replace => "replace",
            What::Remove => "remove",
        };
        json.extend([r#"{"op":""#, what, r#"","path":"#, &text(&operation.path)]);
        if operation.what != What::Remove {
            json.extend([r#","value":"#, &operation.value]);
        }
        json.push('}');
    }
    json.push(']');
    json
}

/// Is the patched document still its user's, and the pod in it complete?
fn check(
    subject: &Subject<'_>,
    document: &Node<'_>,
    result: &Node<'_>,
    place: PodPath,
    config: &Config,
) -> Result<(), PatchError> {
    let path = place.tokens();
    let [before, after] = [document, result].map(|whole| whole.find(&path));
    let nothing = Node::Value(&Value::Null);
    let after = after.as_deref().unwrap_or(&nothing);
    let patched = Pod::from_node(after)?;
    check::keeps_what_is_the_users(before.as_deref().unwrap_or(&nothing), after)?;
    let spec = &patched.spec;
    check_once("volume", spec.volumes().iter().map(|volume| &volume.name))?;
    let names = spec.init_containers().iter();
    check_once("init container", names.map(|container| &container.name))?;
    let again = Subject {
        pod: &patched,
        ..subject.clone()
    };
    match mutate::examine(&again, config) {
        Decision::Skip(Reason::AlreadyInjected) => {
            check::is_taken_by_the_api_server(&patched, &subject.claims)
        }
        Decision::Skip(reason) => Err(PatchError::NotIdempotent(reason.code().to_owned())),
        Decision::Inject(_) => Err(PatchError::NotIdempotent(
            "it would inject again".to_owned(),
        )),
    }
}

/// Operations on one pod, template or workload in a document, built in order.
struct Operations<'d, 'a> {
    base: Vec<String>,
    object: Option<Cow<'d, Node<'a>>>,
    list: Vec<Operation>,
}

impl<'d, 'a> Operations<'d, 'a> {
    fn on(document: &'d Node<'a>, place: PodPath) -> Self {
        let base = place.tokens();
        Self {
            object: document.find(&base),
            base,
            list: Vec::with_capacity(16),
        }
    }

    fn for_annotation(key: &str, value: &str, document: &'d Node<'a>) -> Vec<Operation> {
        let mut operations = Self::on(document, PodPath::POD);
        let entries = StringMap::from([(key.to_owned(), value.to_owned())]);
        operations.set_metadata("annotations", &entries);
        operations.list
    }

    fn found(&self, path: &[&str]) -> Option<Cow<'_, Node<'a>>> {
        self.object.as_ref()?.find(path)
    }

    /// Sets entries of `metadata.labels` or `metadata.annotations`, and creates what is missing above them:
    /// a Job's template arrives as `metadata: {}`, a `CronJob`'s without.
    fn set_metadata(&mut self, map: &str, entries: &StringMap) {
        let existing = self.found(&["metadata", map]);
        let existing = existing.filter(|existing| existing.is_object());
        let Some(existing) = existing else {
            if entries.is_empty() {
                return;
            }
            if self
                .found(&["metadata"])
                .is_none_or(|there| there.is_null())
            {
                self.operate(What::Add, &["metadata"], "{}".to_owned());
            }
            return self.add(&["metadata", map], entries);
        };
        let existing = existing.members();
        let is_there = |(key, value): &(&String, &String)| {
            let there = existing.iter().find(|(there, _)| there == *key);
            let there = there.and_then(|(_, there)| there.as_str());
            there.as_deref() == Some(*value)
        };
        let missing: Vec<_> = entries.iter().filter(|entry| !is_there(entry)).collect();
        for (key, value) in missing {
            self.add(&["metadata", map, key], value);
        }
    }

    fn remove_metadata(&mut self, map: &str, keys: &[&str]) {
        for key in keys {
            if self.found(&["metadata", map, key]).is_some() {
                self.operate(What::Remove, &["metadata", map, key], String::new());
            }
        }
    }

    /// Adds elements at the end, or the whole array where there is none.
    fn append(&mut self, array: &[&str], exists: bool, elements: &[Json]) {
        if exists {
            for element in elements {
                self.add_json(&[array, &["-"]].concat(), element.clone());
            }
        } else if !elements.is_empty() {
            self.add_json(array, Json::array(elements));
        }
    }

    /// Adds those that are new in front, or the whole array where there is none.
    fn edit_init_containers(&mut self, exists: bool, edits: &[InitContainerEdit]) {
        const LIST: [&str; 2] = ["spec", "initContainers"];
        let mut added = Vec::new();
        for edit in edits {
            match edit {
                InitContainerEdit::Resize { index, resources } => {
                    let index = index.to_string();
                    let at = [&LIST[..], &[&index, "resources"]].concat();
                    self.add_json(&at, resources.clone());
                }
                InitContainerEdit::Add(container) => added.push(container),
            }
        }
        if exists {
            for container in added.into_iter().rev() {
                self.add_json(&[&LIST[..], &["0"]].concat(), container.clone());
            }
        } else if !added.is_empty() {
            self.add_json(&LIST, Json::array(added));
        }
    }

    fn edit_env(&mut self, env: [&str; 4], exists: bool, edits: &[EnvEdit]) {
        if edits.is_empty() {
            return;
        }
        if !exists {
            // Every edit of an empty list is an insertion, and they come in order.
            let variables = edits.iter().filter_map(|edit| match edit {
                EnvEdit::Insert { variable, .. } => Some(variable),
                _ => None,
            });
            return self.add(&env, &variables.collect::<Vec<_>>());
        }
        steps::take(edits.len());
        let [spec, list, index, env] = env;
        for edit in edits {
            let (EnvEdit::Insert { at, .. }
            | EnvEdit::SetValue { at, .. }
            | EnvEdit::Rename { at, .. }
            | EnvEdit::Replace { at, .. }
            | EnvEdit::Remove { at }) = edit;
            let entry = [spec, list, index, env, &at.to_string()];
            let member = |name| [spec, list, index, env, entry[4], name];
            match edit {
                EnvEdit::Insert { variable, .. } => self.add(&entry, variable),
                // `add`, since the entry may be without a value.
                EnvEdit::SetValue { value, .. } => self.add(&member("value"), value),
                EnvEdit::Rename { name, .. } => {
                    self.operate(What::Replace, &member("name"), text(name));
                }
                EnvEdit::Replace { variable, .. } => {
                    self.operate(What::Replace, &entry, Json::of(variable).into());
                }
                EnvEdit::Remove { .. } => self.operate(What::Remove, &entry, String::new()),
            }
        }
    }

    fn add(&mut self, path: &[&str], value: &(impl Serialize + ?Sized)) {
        self.add_json(path, Json::of(value));
    }

    fn add_json(&mut self, path: &[&str], value: Json) {
        self.operate(What::Add, path, value.into());
    }

    fn operate(&mut self, what: What, path: &[&str], value: String) {
        let mut pointer = String::with_capacity(64);
        let base = self.base.iter().map(String::as_str);
        for token in base.chain(path.iter().copied()) {
            pointer.extend(["/", &escaped(token)]);
        }
        self.list.push(Operation {
            what,
            path: pointer,
            value,
        });
    }
}

/// A token of a JSON pointer.
fn escaped(token: &str) -> Cow<'_, str> {
    if token.contains(['~', '/']) {
        return token.replace('~', "~0").replace('/', "~1").into();
    }
    token.into()
}

fn text(text: &str) -> String {
    Json::of(text).into()
}

/// An admission that fills an object's annotations beyond what Kubernetes allows fails the user's command.
fn has_room(document: &Node<'_>, place: PodPath) -> bool {
    let mut path = place.tokens();
    path.extend(["metadata", "annotations"].map(str::to_owned));
    let Some(annotations) = document.find(&path) else {
        return true;
    };
    let members = annotations.members();
    // A text is no longer than it is written.
    bytes(&members, Node::length) <= mutate::MAX_ANNOTATIONS
        || bytes(&members, |value| {
            value.as_str().map_or(0, |text| text.len())
        }) <= mutate::MAX_ANNOTATIONS
}

fn bytes<'a>(members: &[node::Member<'a>], of: impl Fn(&Node<'a>) -> usize) -> usize {
    let sizes = members.iter().map(|(key, value)| key.len() + of(value));
    sizes.sum()
}

fn find<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn find_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| value.get_mut(key))
}

fn check_once<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), PatchError> {
    let mut found = HashSet::new();
    let ours = names.filter(|name| keys::VOLUMES.contains(&name.as_str()));
    for name in ours {
        if !found.insert(name) {
            return Err(PatchError::Repeated(what, name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
