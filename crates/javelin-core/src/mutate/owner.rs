//! Who made the pod, told from names alone: no ReplicaSet and no Job is ever looked up.

use super::{
    keys,
    pod::{Metadata, StringMap},
};

/// The chain of owners, nearest first: a ReplicaSet, then its Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners(Vec<Owner>);

/// One owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Owners {
    /// From the controller in `ownerReferences`, and what its name gives away.
    pub fn of_pod(metadata: &Metadata) -> Self {
        let references = metadata.owner_references.as_deref().unwrap_or_default();
        let Some(controller) = references
            .iter()
            .find(|owner| owner.controller == Some(true))
        else {
            return Self::default();
        };
        let nearest = Owner {
            kind: controller.kind.clone(),
            name: controller.name.clone(),
        };
        let labels = metadata.labels.as_ref();
        let above = match nearest.kind.as_str() {
            "ReplicaSet" => above_replica_set(&nearest.name, labels),
            "Job" => above_job(&nearest.name),
            _ => None,
        };
        Self(std::iter::once(nearest).chain(above).collect())
    }

    /// Of a pod template: its workload is known, what will stand between them is not.
    pub fn of_workload(kind: &str, name: &str) -> Self {
        if name.is_empty() {
            return Self::default();
        }
        Self(vec![Owner {
            kind: kind.to_owned(),
            name: name.to_owned(),
        }])
    }

    /// The chain, nearest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Owner> {
        self.0.iter()
    }
}

/// A Deployment names its `ReplicaSets` `<deployment>-<hash>` and puts the hash on every pod as a label
/// (`getNewReplicaSet` in the deployment controller); Argo Rollouts does the same with a key of its own.
fn above_replica_set(name: &str, labels: Option<&StringMap>) -> Option<Owner> {
    let above = |key: &str, kind: &str| {
        let hash = labels?.get(key).filter(|hash| !hash.is_empty())?;
        let name = name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
        (!name.is_empty()).then(|| Owner {
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    };
    above(keys::POD_TEMPLATE_HASH, "Deployment")
        .or_else(|| above(keys::ROLLOUT_TEMPLATE_HASH, "Rollout"))
}

/// A `CronJob` names its Jobs `<cronjob>-<minutes since 1970>` (`getJobName` in the cronjob controller): eight
/// digits since 1989. Fewer are part of a name that somebody chose.
fn above_job(name: &str) -> Option<Owner> {
    let (stem, digits) = name.rsplit_once('-')?;
    let scheduled = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit());
    (scheduled && !stem.is_empty()).then(|| Owner {
        kind: "CronJob".to_owned(),
        name: stem.to_owned(),
    })
}
