//! Pod templates inside workloads, and the label rule.
//!
//! A person labels the Deployment; pods carry the labels of the *template*. So the value is copied into the
//! template as the Deployment is admitted, and the rollout that follows is Kubernetes' own. The copy has a key
//! of ours ([`keys::FROM_WORKLOAD`]), in the template and on the workload's metadata: a label that the user
//! put into the template is never touched, and a removal that was missed while we were away is made up for
//! at the next update, because the second webhook entry selects by our key.
//!
//! Where the audit's guard has taken the agent back, the label counts as `false` ([`guard`]).
//!
//! The value is copied as it stands, also one that names no profile: else a pod whose workload says nonsense would
//! fall back to what its namespace says.
//!
//! Whoever labels a workload is told what becomes of its pods. Of one without the label, in a namespace with it, the same is
//! told where the chart has it sent ([`warnings_of_unlabelled`]).

use serde::Deserialize;
use serde_json::Value;

use crate::{
    config::Config,
    guard,
    kinds::Kind,
    mutate::{
        self, Decision, InjectLabel, Namespace, Owners, Reason, Source, Subject, keys,
        pod::{Metadata, Pod, PodError, StringMap},
    },
    patch::{Patch, PatchError, PodPath},
};

/// A workload with a pod template, as far as it is read.
#[derive(Debug)]
pub struct Workload {
    kind: &'static Kind,
    metadata: Metadata,
    template: Pod,
    /// Why its pods do not change by themselves, if so.
    lint: Option<&'static str>,
}

/// What the label rule does to a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelling {
    /// What happened.
    pub change: Change,
    /// The patch; empty when everything is as it should be.
    pub patch: Patch,
    /// Sentences for the person at the terminal.
    pub warnings: Vec<String>,
}

/// What happened to our copy of the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The value was copied into the template.
    Labelled,
    /// The copy was taken away.
    Unlabelled,
    /// It was as it should be, or the namespace is excluded.
    Unchanged,
}

impl Workload {
    /// Decodes a workload; the error names the path of the wrong field.
    pub fn from_value(kind: &'static Kind, document: &Value) -> Result<Self, PodError> {
        #[derive(Deserialize)]
        struct Outer {
            #[serde(default)]
            metadata: Option<Metadata>,
        }
        let outer = Outer::deserialize(document);
        let Outer { metadata } = outer.or_else(|_| serde_path_to_error::deserialize(document))?;
        let template = kind.place.of(document);
        let template = template.ok_or_else(PodError::no_template)?;
        Ok(Self {
            kind,
            metadata: metadata.unwrap_or_default(),
            template: Pod::from_value(template)?,
            lint: lint(kind, document),
        })
    }

    /// Its own metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    fn is_owned(&self) -> bool {
        let mut owners = self.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true))
    }

    /// Has a Deployment left it behind? It still has its hash; one that is made anew takes it over, if it is as it was.
    fn is_left(&self) -> bool {
        let hashes = [keys::POD_TEMPLATE_HASH, keys::ROLLOUT_TEMPLATE_HASH];
        self.kind.is_derived && hashes.iter().any(|key| self.label(key).is_some())
    }

    /// What the guard has left on it.
    fn guard(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(keys::GUARDED).map(String::as_str)
    }
}

impl Change {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Labelled, Self::Unlabelled, Self::Unchanged];

    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Labelled => "labelled",
            Self::Unlabelled => "unlabelled",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The pod that stands in an object at `place`, and what the object says of it: its owners, the label to be copied, and
/// claims.
pub fn subject_in<'a>(
    document: &'a Value,
    place: PodPath,
    pod: &'a Pod,
    namespace: Namespace<'a>,
) -> Subject<'a> {
    if place == PodPath::POD {
        return Subject::of_pod(pod, namespace);
    }
    let metadata = document.get("metadata").unwrap_or(&Value::Null);
    let name = metadata.get("name").and_then(Value::as_str);
    let kind = Kind::of(document);
    Subject {
        pod,
        namespace,
        owners: Owners::of_workload(kind.map_or("", |kind| kind.name), name.unwrap_or_default()),
        from_workload: guard::label(metadata)
            .filter(|_| kind.is_some_and(|kind| kind.is_label_copied)),
        claims: claims(place, document),
    }
}

/// Names of the claim templates beside an object's pod template, as a `StatefulSet` has them: its controller puts each
/// claim in place of the template's volume of that name (`updateStorage` in `pkg/controller/statefulset`).
fn claims(place: PodPath, document: &Value) -> Vec<&str> {
    let around = place.parent_of(document);
    let claims = around.and_then(|around| around.get("volumeClaimTemplates")?.as_array());
    let claims = claims.into_iter().flatten();
    claims
        .filter_map(|claim| claim.pointer("/metadata/name")?.as_str())
        .collect()
}

/// Applies the label rule to a workload that is being created or updated.
///
/// `old` is the inject label before the update; `None` at creation, or where there was none.
pub fn apply_label_rule(
    workload: &Workload,
    document: &Value,
    old: Option<&str>,
    namespace: Option<&str>,
    config: &Config,
) -> Result<Labelling, PatchError> {
    let place = workload.kind.place;
    let unchanged = |patch| Labelling {
        change: Change::Unchanged,
        patch,
        warnings: Vec::new(),
    };
    if namespace.is_some_and(|name| config.excludes(name))
        || (workload.kind.is_derived && workload.is_owned())
        || workload.is_left()
    {
        return Ok(unchanged(Patch::default()));
    }
    let own = workload.label(keys::INJECT);
    let is_guarded = guard::holds(workload.guard(), own);
    let label = if is_guarded { Some(guard::VALUE) } else { own };
    let copy = label.map(|value| (keys::FROM_WORKLOAD.to_owned(), value.to_owned()));
    let gone: &[_] = if label.is_none() {
        &[keys::FROM_WORKLOAD]
    } else {
        &[]
    };
    // A guard that holds no more is not to hold again when the label comes back.
    let stale: &[_] = if is_guarded { &[] } else { &[keys::GUARDED] };
    let patch = Patch::for_labels(
        place,
        &copy.into_iter().collect::<StringMap>(),
        gone,
        stale,
        document,
    )?;
    // A word on every update would fill the logs of GitOps tools; but of one that is guarded somebody has to hear.
    let is_news = is_guarded || (label.is_some() && label != old);
    if patch.is_empty() && !is_news {
        return Ok(unchanged(patch));
    }
    let change = match (patch.is_empty(), label) {
        (true, _) => Change::Unchanged,
        (false, Some(_)) => Change::Labelled,
        (false, None) => Change::Unlabelled,
    };
    let mut template = workload.template.clone();
    // Our copy, as it was before: the new value is handed over apart.
    let labels = template.metadata.labels.get_or_insert_default();
    labels.remove(keys::FROM_WORKLOAD);
    let of_guard = guard::sentence(document, namespace);
    // What the namespace asks for is not known here.
    let namespace = Namespace {
        name: namespace,
        inject: InjectLabel::Absent,
    };
    let subject = subject(workload, &template, document, namespace, label);
    let decision = mutate::decide(&subject, config);
    let warnings = outlook(workload, decision, label.is_some(), of_guard);
    Ok(Labelling {
        change,
        patch,
        warnings,
    })
}

/// What whoever creates or changes a workload without the label is told, in a namespace that asks for the agent itself: what
/// becomes of its pods, as their own reviews will decide, and what is in the way. Where those are silent, as somebody wants
/// it so, this is, too; and so it is of what a controller makes, for no person would read it.
pub fn warnings_of_unlabelled(
    workload: &Workload,
    document: &Value,
    namespace: Namespace<'_>,
    config: &Config,
) -> Vec<String> {
    if workload.is_owned() || workload.is_left() {
        return Vec::new();
    }
    let subject = subject(workload, &workload.template, document, namespace, None);
    match mutate::decide(&subject, config) {
        Decision::Skip(reason) if reason.is_expected() => Vec::new(),
        decision => outlook(workload, decision, false, None),
    }
}

/// A pod of the workload's template, and what is known beside it.
fn subject<'a>(
    workload: &Workload,
    template: &'a Pod,
    document: &'a Value,
    namespace: Namespace<'a>,
    label: Option<&'a str>,
) -> Subject<'a> {
    let name = workload.metadata.name.as_deref().unwrap_or_default();
    Subject {
        pod: template,
        namespace,
        owners: Owners::of_workload(workload.kind.name, name),
        from_workload: label,
        claims: claims(workload.kind.place, document),
    }
}

/// What will happen to the pods, and what is in the way. `of_guard` is what is to be said where the guard keeps the agent away.
fn outlook(
    workload: &Workload,
    decision: Decision,
    is_labelled: bool,
    of_guard: Option<String>,
) -> Vec<String> {
    let mut warnings = match (decision, of_guard) {
        (Decision::Skip(Reason::OptedOut(Source::Workload)), Some(sentence)) => {
            vec![format!("no agent: {}: {sentence}", guard::CODE)]
        }
        (Decision::Skip(reason), _) if !reason.is_expected() => {
            vec![format!("no agent: {}: {reason}", reason.code())]
        }
        (Decision::Skip(Reason::AlreadyInjected), _) => {
            vec!["its template has the agent already, and keeps it".to_owned()]
        }
        (Decision::Skip(_), _) if is_labelled => {
            vec!["new pods start without the agent".to_owned()]
        }
        (Decision::Skip(_), _) => {
            vec!["new pods start without the agent, unless their namespace asks for it".to_owned()]
        }
        (Decision::Inject(plan), _) => {
            let names: Vec<_> = plan
                .containers
                .iter()
                .map(|container| container.name.as_str())
                .collect();
            let start = format!(
                "new pods start with the OpenTelemetry Java agent in {} (profile {})",
                names.join(", "),
                plan.profile
            );
            std::iter::once(start)
                .chain(plan.warnings.iter().map(mutate::Warning::line))
                .collect()
        }
    };
    warnings.extend(workload.lint.map(str::to_owned));
    warnings
}

/// What keeps a new template from reaching the pods.
fn lint(kind: &Kind, document: &Value) -> Option<&'static str> {
    let at = |pointer: &str| document.pointer(pointer).unwrap_or(&Value::Null);
    if at("/spec/paused") == &Value::Bool(true) {
        return Some("it is paused: its pods change when it is resumed");
    }
    if at("/spec/updateStrategy/type") == "OnDelete" {
        return Some("its update strategy is OnDelete: a pod changes when you delete it");
    }
    if at("/spec/updateStrategy/rollingUpdate/partition").as_u64() > Some(0) {
        return Some("its rolling update has a partition: pods below it stay as they are");
    }
    kind.delay
}
