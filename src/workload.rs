//! Pod templates inside workloads, and the label rule.
//!
//! A person labels the Deployment; pods carry the labels of the *template*. So the value is copied into the
//! template as the Deployment is admitted, and the rollout that follows is Kubernetes' own. The copy has a key
//! of ours ([`keys::FROM_WORKLOAD`]), in the template and on the workload's metadata: a label that the user
//! himself put into the template is never touched, and a removal that was missed while we were away is mended
//! at the next update, because the second webhook entry selects by our key.
//!
//! Deliberately absent: kinds whose template is immutable once created; a patch on their update would be
//! refused by the API server and fail the user's command.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    config::Config,
    mutate::{
        self, Decision, Namespace, NamespaceLabel, Owners, Reason, Source, Subject, keys,
        pod::{Metadata, Pod, StringMap},
    },
    patch::{Patch, PatchError},
};

/// A workload with a pod template, as far as it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Workload {
    /// `Deployment`, …
    #[serde(default)]
    pub kind: String,
    /// Its own metadata.
    pub metadata: Metadata,
    /// The template around the pod.
    pub spec: WorkloadSpec,
}

/// The spec of a workload.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WorkloadSpec {
    /// The pods to be.
    pub template: Pod,
    /// A paused Deployment does not roll.
    #[serde(default)]
    pub paused: Option<bool>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The value was copied into the template.
    Labelled,
    /// The copy was taken away.
    Unlabelled,
    /// It was as it should be.
    Unchanged,
    /// Nothing was done, therefore.
    Skipped(Reason),
}

impl Workload {
    /// Decodes a workload; the error names the path of the wrong field.
    pub fn from_value(value: &Value) -> Result<Self, mutate::pod::PodError> {
        serde_path_to_error::deserialize(value).map_err(mutate::pod::PodError::from)
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }
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
    let skip = |reason: Reason, warnings| Labelling {
        change: Change::Skipped(reason),
        patch: Patch::default(),
        warnings,
    };
    if namespace.is_some_and(|name| config.excludes(name)) {
        return Ok(skip(Reason::NotSelected, Vec::new()));
    }
    let Some(value) = workload.label(keys::INJECT) else {
        let patch = Patch::for_labels(&StringMap::new(), &[keys::FROM_WORKLOAD], document)?;
        return Ok(removed(workload, patch));
    };
    let is_news = old != Some(value);
    if value != "false" && config.profile(value).is_none() {
        let reason = Reason::UnknownProfile {
            source: Source::Workload,
            value: Some(value.to_owned()),
        };
        let warnings = if is_news {
            vec![format!("{}: {reason}", reason.code())]
        } else {
            Vec::new()
        };
        return Ok(skip(reason, warnings));
    }
    let copy = StringMap::from([(keys::FROM_WORKLOAD.to_owned(), value.to_owned())]);
    let patch = Patch::for_labels(&copy, &[], document)?;
    let changed = !patch.is_empty();
    Ok(Labelling {
        change: if changed {
            Change::Labelled
        } else {
            Change::Unchanged
        },
        patch,
        // A word on every update would fill the logs of GitOps tools.
        warnings: if changed || is_news {
            outlook(workload, value, namespace, config)
        } else {
            Vec::new()
        },
    })
}

fn removed(workload: &Workload, patch: Patch) -> Labelling {
    if patch.is_empty() {
        return Labelling {
            change: Change::Unchanged,
            patch,
            warnings: Vec::new(),
        };
    }
    // A label that the user put into the template stays, and goes on to ask for the agent.
    let gone = workload.spec.template.label(keys::INJECT).is_none();
    let word = gone.then(|| "the label is gone: new pods start without the agent".to_owned());
    let warnings = word.into_iter().chain(paused(workload)).collect();
    Labelling {
        change: Change::Unlabelled,
        patch,
        warnings,
    }
}

/// What will happen to the pods, and what is in the way.
fn outlook(
    workload: &Workload,
    value: &str,
    namespace: Option<&str>,
    config: &Config,
) -> Vec<String> {
    if value == "false" {
        return vec!["labelled false: new pods start without the agent".to_owned()];
    }
    let subject = Subject {
        pod: &workload.spec.template,
        namespace: Namespace {
            name: namespace,
            inject: NamespaceLabel::Absent,
        },
        owners: Owners::of_workload(
            &workload.kind,
            workload.metadata.name.as_deref().unwrap_or_default(),
        ),
        from_workload: Some(value),
    };
    let mut warnings = match mutate::decide(&subject, config) {
        Decision::Skip(reason) => vec![format!("no agent: {}: {reason}", reason.code())],
        Decision::Inject(plan) => {
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
                .chain(plan.warnings.iter().map(ToString::to_string))
                .collect()
        }
    };
    warnings.extend(paused(workload));
    warnings
}

fn paused(workload: &Workload) -> Option<String> {
    let paused = workload.spec.paused == Some(true);
    paused.then(|| "the workload is paused: its pods change when it is resumed".to_owned())
}
