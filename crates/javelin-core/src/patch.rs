//! A [`Plan`] as a JSON Patch, applied to a copy and checked before anybody gets it.
//!
//! The API server refuses a pod whose patch does not *apply*, or whose result does not decode, even under
//! `failurePolicy: Ignore`. So nothing leaves here that was not tried: [`Patch::for_pod`] gives a patch that
//! applies to this very document, that leaves everything of the user's as it was, and whose result the engine itself
//! takes for complete.
//!
//! Deliberately absent: any diff of two documents. Operations are built from the plan, so unknown fields pass
//! untouched and a pod with three variables gets one `add`, not seven rewrites.

use std::collections::HashSet;

use json_patch::{
    AddOperation, PatchOperation, RemoveOperation, ReplaceOperation, jsonptr::PointerBuf,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    config::Config,
    mutate::{
        self, Decision, EnvEdit, InitContainerEdit, Plan, Reason, Subject, keys,
        pod::{Pod, StringMap},
    },
    steps,
};

mod check;

/// What becomes of a document: the decision that stands in the end, and its patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Mutation {
    /// What was decided, or the defect that kept it from being done.
    pub decision: Decision,
    /// What to do to the document; often nothing.
    pub patch: Patch,
}

/// A JSON Patch (RFC 6902) that was tried on the document that it is for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patch {
    operations: Vec<PatchOperation>,
    #[serde(skip)]
    result: Value,
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
    DoesNotApply(#[from] json_patch::PatchError),
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
        Self::carrying_out(decision, subject, document, place, config)
    }

    /// Carries out what was decided, by whomever: nothing that is decided wrongly gets through.
    pub(crate) fn carrying_out(
        decision: Decision,
        subject: &Subject<'_>,
        document: &Value,
        place: PodPath,
        config: &Config,
    ) -> Self {
        let patch = match &decision {
            Decision::Inject(plan) => Patch::for_pod(plan, subject, document, place, config),
            Decision::Skip(reason) if place == PodPath::POD && !reason.is_expected() => {
                Patch::for_skip(reason, document)
            }
            Decision::Skip(_) => Ok(Patch::default()),
        };
        let error = match patch {
            Ok(patch) if has_room(place.of(patch.result())) => return Self { decision, patch },
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
        let word = (place == PodPath::POD).then(|| Patch::for_skip(&error, document).ok());
        let word = word.flatten().filter(|word| has_room(Some(word.result())));
        Self {
            decision: Decision::Skip(error),
            patch: word.unwrap_or_default(),
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

impl Patch {
    /// The patch that carries out a plan.
    pub fn for_pod(
        plan: &Plan,
        subject: &Subject<'_>,
        document: &Value,
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
            let at = ["spec", target.list.as_str(), index.as_str()];
            operations.edit_env(&at, container.env.is_some(), &target.env);
            operations.append(
                &[at.as_slice(), &["volumeMounts"]].concat(),
                container.volume_mounts.is_some(),
                &target.mounts,
            );
        }
        let secret = plan.parts.image_pull_secret.as_slice();
        let exists = pod.spec.image_pull_secrets.is_some();
        operations.append(&["spec", "imagePullSecrets"], exists, secret);
        // Last, since it moves every init container one further.
        operations.edit_init_containers(
            pod.spec.init_containers.is_some(),
            &plan.parts.init_containers,
        );
        let patch = Self::applied(operations.list, document)?;
        patch.check(subject, document, place, config)?;
        Ok(patch)
    }

    /// The patch that leaves a word on a pod that is skipped.
    pub fn for_skip(reason: &Reason, document: &Value) -> Result<Self, PatchError> {
        Self::for_annotation(
            keys::SKIPPED,
            &format!("{}: {reason}", reason.code()),
            document,
        )
    }

    /// The patch that sets one annotation of the document.
    pub fn for_annotation(key: &str, value: &str, document: &Value) -> Result<Self, PatchError> {
        let mut operations = Operations::on(document, PodPath::POD);
        operations.set_metadata(
            "annotations",
            &StringMap::from([(key.to_owned(), value.to_owned())]),
        );
        Self::applied(operations.list, document)
    }

    /// The patch that sets and takes away labels of a workload and of its pod template.
    pub fn for_labels(
        template: PodPath,
        set: &StringMap,
        remove: &[&str],
        document: &Value,
    ) -> Result<Self, PatchError> {
        let mut list = Vec::new();
        for base in [PodPath::POD, template] {
            let mut operations = Operations::on(document, base);
            operations.set_metadata("labels", set);
            operations.remove_metadata("labels", remove);
            list.append(&mut operations.list);
        }
        Self::applied(list, document)
    }

    fn applied(operations: Vec<PatchOperation>, document: &Value) -> Result<Self, PatchError> {
        if operations.is_empty() {
            return Ok(Self::default());
        }
        let mut result = document.clone();
        json_patch::patch(&mut result, &operations)?;
        Ok(Self { operations, result })
    }

    /// The document after the patch; null when there is nothing to do.
    pub fn result(&self) -> &Value {
        &self.result
    }

    /// As it is sent.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Nothing to do?
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    fn check(
        &self,
        subject: &Subject<'_>,
        document: &Value,
        place: PodPath,
        config: &Config,
    ) -> Result<(), PatchError> {
        let [before, after] = [document, &self.result].map(|whole| place.of(whole));
        let after = after.unwrap_or(&Value::Null);
        let patched = Pod::from_value(after)?;
        check::keeps_what_is_the_users(before.unwrap_or(&Value::Null), after)?;
        let spec = &patched.spec;
        check_once("volume", spec.volumes().iter().map(|volume| &volume.name))?;
        let names = spec
            .init_containers()
            .iter()
            .map(|container| &container.name);
        check_once("init container", names)?;
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
}

/// Operations on one pod, template or workload in a document, built in order.
struct Operations<'a> {
    base: Vec<String>,
    object: &'a Value,
    list: Vec<PatchOperation>,
}

impl<'a> Operations<'a> {
    fn on(document: &'a Value, place: PodPath) -> Self {
        Self {
            base: place.tokens(),
            object: place.of(document).unwrap_or(&Value::Null),
            list: Vec::new(),
        }
    }

    /// Sets entries of `metadata.labels` or `metadata.annotations`, and creates what is missing above them:
    /// a Job's template arrives as `metadata: {}`, a `CronJob`'s without.
    fn set_metadata(&mut self, map: &str, entries: &StringMap) {
        let existing = find(self.object, &["metadata", map]).and_then(Value::as_object);
        let Some(existing) = existing else {
            if entries.is_empty() {
                return;
            }
            if find(self.object, &["metadata"]).is_none_or(Value::is_null) {
                self.add(&["metadata"], json!({}));
            }
            return self.add(&["metadata", map], json!(entries));
        };
        for (key, value) in entries {
            if existing.get(key).and_then(Value::as_str) != Some(value) {
                self.add(&["metadata", map, key], json!(value));
            }
        }
    }

    fn remove_metadata(&mut self, map: &str, keys: &[&str]) {
        for key in keys {
            if find(self.object, &["metadata", map, key]).is_some() {
                self.remove(&["metadata", map, key]);
            }
        }
    }

    /// Adds elements at the end, or the whole array where there is none.
    fn append(&mut self, array: &[&str], exists: bool, elements: &[Value]) {
        if exists {
            for element in elements {
                self.add(&[array, &["-"]].concat(), element.clone());
            }
        } else if !elements.is_empty() {
            self.add(array, json!(elements));
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
                    self.add(&at, resources.clone());
                }
                InitContainerEdit::Add(container) => added.push(container),
            }
        }
        if exists {
            for container in added.into_iter().rev() {
                self.add(&[&LIST[..], &["0"]].concat(), container.clone());
            }
        } else if !added.is_empty() {
            self.add(&LIST, json!(added));
        }
    }

    fn edit_env(&mut self, container: &[&str], exists: bool, edits: &[EnvEdit]) {
        let env = [container, &["env"]].concat();
        if edits.is_empty() {
            return;
        }
        if !exists {
            // Every edit of an empty list is an insertion, and they come in order.
            let variables = edits.iter().filter_map(|edit| match edit {
                EnvEdit::Insert { variable, .. } => Some(json!(variable)),
                _ => None,
            });
            return self.add(&env, variables.collect());
        }
        steps::take(edits.len());
        for edit in edits {
            let at = |at: &usize| at.to_string();
            match edit {
                EnvEdit::Insert {
                    at: position,
                    variable,
                } => {
                    self.add(
                        &[&env, &[at(position).as_str()][..]].concat(),
                        json!(variable),
                    );
                }
                EnvEdit::SetValue {
                    at: position,
                    value,
                } => {
                    // `add`, since the entry may be without a value.
                    self.add(
                        &[&env, &[at(position).as_str(), "value"][..]].concat(),
                        json!(value),
                    );
                }
                EnvEdit::Rename { at: position, name } => {
                    self.replace(
                        &[&env, &[at(position).as_str(), "name"][..]].concat(),
                        json!(name),
                    );
                }
                EnvEdit::Replace {
                    at: position,
                    variable,
                } => {
                    self.replace(
                        &[&env, &[at(position).as_str()][..]].concat(),
                        json!(variable),
                    );
                }
                EnvEdit::Remove { at: position } => {
                    self.remove(&[&env, &[at(position).as_str()][..]].concat());
                }
            }
        }
    }

    fn add(&mut self, path: &[&str], value: Value) {
        let path = self.pointer(path);
        self.list
            .push(PatchOperation::Add(AddOperation { path, value }));
    }

    fn replace(&mut self, path: &[&str], value: Value) {
        let path = self.pointer(path);
        self.list
            .push(PatchOperation::Replace(ReplaceOperation { path, value }));
    }

    fn remove(&mut self, path: &[&str]) {
        let path = self.pointer(path);
        self.list
            .push(PatchOperation::Remove(RemoveOperation { path }));
    }

    fn pointer(&self, path: &[&str]) -> PointerBuf {
        let base = self.base.iter().map(String::as_str);
        PointerBuf::from_tokens(base.chain(path.iter().copied()))
    }
}

/// An admission that fills an object's annotations beyond what Kubernetes allows fails the user's command.
fn has_room(pod: Option<&Value>) -> bool {
    let annotations = pod
        .and_then(|pod| find(pod, &["metadata", "annotations"]))
        .and_then(Value::as_object);
    let sizes = annotations
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len));
    sizes.sum::<usize>() <= mutate::MAX_ANNOTATIONS
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
