//! What an earlier pass says it did, in an annotation of the pod.
//!
//! The API server calls again when another webhook came after us. The receipt then says which containers were targets;
//! everything else is looked at anew.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    delivery, keys,
    pod::Pod,
    target::{self, List, Target},
};
use crate::{
    config::{Config, Profile},
    steps,
};

/// The annotation [`INJECTED`](super::keys::INJECTED): small, and enough to see later what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Javelin's version.
    pub version: String,
    /// The profile's name.
    pub profile: String,
    /// Hash of what the profile said.
    pub config: String,
    /// The agent's image; absent when the jar was there before us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How the jar got in.
    pub delivery: String,
    /// Containers, with the variables that were set or changed.
    pub containers: BTreeMap<String, Vec<String>>,
    /// Why something was chosen that is not the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What to do to get the former text back; only manifests have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
}

/// What `javelin inject` changed beside adding things, so that it can take everything out again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Undo {
    /// Entries of containers' environments that were changed or moved: where each stood, and how it was.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Vec<(usize, Value)>>,
    /// A digest of what was written into each container's environment: what was changed since is nobody's to take out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub written: BTreeMap<String, String>,
    /// Lists and mappings of the pod that were there and empty, or null, by their JSON pointers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub empty: BTreeMap<String, Value>,
    /// The pull secret, if it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<String>,
}

impl Receipt {
    /// Of a first pass, which has done nothing yet.
    pub(crate) fn new(profile: &Profile) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: profile.name.clone(),
            config: profile.hash.clone(),
            image: profile
                .delivery
                .uses_image()
                .then(|| profile.agent.image.clone()),
            delivery: profile.delivery.as_str().to_owned(),
            containers: BTreeMap::new(),
            notes: Vec::new(),
            undo: None,
        }
    }

    /// The targets of that pass, as far as the pod still has them. What another webhook put in since is none.
    pub(super) fn targets<'a>(&self, pod: &'a Pod) -> Vec<Target<'a>> {
        let init = target::in_list(List::InitContainers, pod.spec.init_containers());
        init.chain(target::in_list(List::Containers, &pod.spec.containers))
            .filter(|target| self.containers.contains_key(&target.container.name))
            .collect()
    }

    /// Of an earlier pass over this very pod. One that was copied along with other annotations, into a pod without
    /// anything of ours in it, says nothing.
    pub(super) fn of(pod: &Pod, config: &Config) -> Option<Self> {
        let text = pod.annotation(keys::INJECTED)?;
        steps::take(text.len());
        let receipt: Self = serde_json::from_str(text).ok()?;
        let volumes = pod.spec.volumes().iter().map(|volume| &volume.name);
        let containers = pod.spec.init_containers().iter();
        let containers = containers.map(|container| &container.name);
        let has_parts = volumes
            .chain(containers)
            .any(|name| name == keys::AGENT_NAME);
        let targets = receipt.targets(pod);
        let mut variables = targets.iter().flat_map(|target| target.container.env());
        let has_variables = variables.any(|variable| keys::is_private(&variable.name));
        let profile = config.profile(&receipt.profile);
        let option = profile.and_then(delivery::option);
        // Variables with names of the user's choice are all that there is of ours.
        let has_only_variables = || {
            profile.is_some_and(|profile| !profile.delivery.loads_agent())
                && targets.iter().any(|target| {
                    let names = receipt.containers.get(&target.container.name);
                    let there = target.container.env().iter();
                    let there: HashSet<_> = there.map(|variable| &variable.name).collect();
                    names.is_some_and(|names| names.iter().all(|name| there.contains(name)))
                })
        };
        // As it is written: a pod of any size is asked this, before anything in it is resolved.
        let has_option = || {
            let mut texts = targets.iter().flat_map(|target| target.container.texts());
            option.is_some_and(|option| texts.any(|text| text.contains(&option)))
        };
        let has_ours = has_parts || has_variables || has_option() || has_only_variables();
        (!targets.is_empty() && has_ours).then_some(receipt)
    }

    /// The same, with what this pass does.
    pub(super) fn with(
        mut self,
        changed: BTreeMap<String, Vec<String>>,
        notes: Vec<String>,
    ) -> Self {
        for (container, names) in changed {
            let known = self.containers.entry(container).or_default();
            known.extend(names);
            known.sort();
            known.dedup();
        }
        let mut known: HashSet<_> = self.notes.iter().cloned().collect();
        let new = notes.into_iter().filter(|note| known.insert(note.clone()));
        self.notes.extend(new);
        self
    }
}
