//! What an audit has found so far: labels and pods in, one after the other, and what they add up to out.
//!
//! Invariants: no pod is kept. What is kept grows with the labelled namespaces, with the labelled workloads that matter, and
//! with the workloads that something is wrong with; both kinds of workloads have a limit, and what is beyond it is counted.
//!
//! Deliberately not here: how one pod stands ([`standing`](crate::standing)), reading, and telling.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use javelin_core::config::Config;
use javelin_core::mutate::keys::FROM_WORKLOAD;

use super::guard::Evidence;
use crate::standing::objects::{ObjectMetadata, PodFacts};
use crate::standing::{
    self, LabelSource, NamespaceLabel, Standing, Surroundings, WorkloadLabel, crash,
};

/// What can be wrong with a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Finding {
    /// It asks for the agent, and was created while nobody answered.
    Missed,
    /// It has the agent, and does not run.
    Crashing,
}

/// A workload, or a pod of nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Workload {
    pub(super) namespace: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// What is wrong with a workload, as far as there is room to remember it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Affected {
    pub(super) pods: u64,
    /// What asks for the agent, by the first of its pods.
    pub(super) asked_by: LabelSource,
    /// Which container of the first one does not run, and why.
    pub(super) detail: String,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Findings {
    config: Arc<Config>,
    namespaces: HashMap<String, NamespaceLabel>,
    labelled: HashMap<Workload, WorkloadLabel>,
    pods: BTreeMap<(String, Finding), u64>,
    /// What is wrong with which workload.
    pub(super) affected: BTreeMap<(Workload, Finding), Affected>,
    /// What the whole pods of workloads say that have one that crashes.
    pub(super) evidence: BTreeMap<Workload, Evidence>,
    /// Namespaces in which a pod with the agent is not ready.
    pub(super) suspects: BTreeSet<String>,
    /// Objects that could not be read, labelled workloads beyond the limit, and pods of affected ones beyond it.
    pub(super) left_out: u64,
}

impl Finding {
    pub(super) const ALL: [Self; 2] = [Self::Missed, Self::Crashing];

    /// The label of the metric.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Crashing => "crashing",
        }
    }
}

impl Findings {
    /// Nothing is found yet.
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            namespaces: HashMap::new(),
            labelled: HashMap::new(),
            pods: BTreeMap::new(),
            affected: BTreeMap::new(),
            evidence: BTreeMap::new(),
            suspects: BTreeSet::new(),
            left_out: 0,
        }
    }

    /// A namespace, before the workloads in it.
    pub(super) fn namespace(&mut self, metadata: &ObjectMetadata) {
        if let Some(label) = NamespaceLabel::of(metadata) {
            self.namespaces.insert(metadata.name.clone(), label);
        }
    }

    /// A workload of that kind, before its pods. A label that was copied counts for pods by the copy that they carry, and
    /// only where the namespace has a label, too, for older ones as well.
    pub(super) fn workload(&mut self, kind: &str, metadata: &ObjectMetadata) {
        let has_copy = metadata.labels.contains_key(FROM_WORKLOAD);
        let Some(label) = WorkloadLabel::of(kind, metadata, has_copy) else {
            return;
        };
        if has_copy && !self.namespaces.contains_key(&metadata.namespace) {
            return;
        }
        if self.labelled.len() >= MOST_LABELLED {
            self.left_out += 1;
            return;
        }
        let workload = Workload {
            namespace: metadata.namespace.clone(),
            kind: kind.to_owned(),
            name: metadata.name.clone(),
        };
        self.labelled.insert(workload, label);
    }

    /// A pod that has not ended. Whether one with the agent runs, only the whole pod tells ([`Findings::look_closer`]); where
    /// all its containers are ready, it does.
    pub(super) fn pod(&mut self, pod: &ObjectMetadata, is_ready: bool) {
        if pod.deletion_timestamp.is_some() {
            return;
        }
        let (workload, asked_by, standing) = self.judge(pod);
        match standing {
            Standing::Missed => self.count(workload, Finding::Missed, asked_by, String::new),
            Standing::Injected(_) if !is_ready && !self.config.excludes(&pod.namespace) => {
                self.suspects.insert(workload.namespace);
            }
            _ => {}
        }
    }

    /// A whole pod of a namespace in [`Findings::suspects`].
    pub(super) fn look_closer(&mut self, pod: &PodFacts) {
        if !pod.is_alive() {
            return;
        }
        let (workload, asked_by, standing) = self.judge(&pod.metadata);
        let Standing::Injected(receipt) = standing else {
            if let Some(evidence) = self.evidence_of(&workload) {
                evidence.add_without(pod);
            }
            return;
        };
        let crash = crash::find(pod, receipt.as_deref());
        if let Some(evidence) = self.evidence_of(&workload) {
            evidence.add_injected(pod, crash.as_ref());
        }
        if let Some(crash) = crash {
            self.count(workload, Finding::Crashing, asked_by, || crash.detail);
        }
    }

    /// All pods of a namespace were looked at: of workloads that do not crash nothing is kept.
    pub(super) fn settle(&mut self) {
        self.evidence.retain(|_, evidence| evidence.is_of_crash());
    }

    /// Does the label of a namespace ask for the agent?
    pub(super) fn does_namespace_ask(&self, name: &str) -> bool {
        let label = self.namespaces.get(name);
        label.is_some_and(|label| label.value != "false")
    }

    /// Do annotations ask as labels do?
    pub(super) fn annotations_count(&self) -> bool {
        self.config.reads_annotations()
    }

    /// Where there is room for it.
    fn evidence_of(&mut self, workload: &Workload) -> Option<&mut Evidence> {
        let is_full = self.evidence.len() >= MOST_EVIDENCE;
        if is_full && !self.evidence.contains_key(workload) {
            return None;
        }
        Some(self.evidence.entry(workload.clone()).or_default())
    }

    /// Pods by namespace and finding. Namespaces with most of them have their name, the others are one.
    pub(super) fn by_namespace(&self) -> Vec<(String, &'static str, u64)> {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for ((namespace, _), pods) in &self.pods {
            *totals.entry(namespace).or_default() += pods;
        }
        let mut names: Vec<_> = totals.into_iter().collect();
        names.sort_by_key(|(_, pods)| std::cmp::Reverse(*pods));
        names.truncate(MOST_NAMESPACES);
        let names: BTreeSet<_> = names.into_iter().map(|(name, _)| name).collect();
        let mut found: BTreeMap<(&str, Finding), u64> = names
            .iter()
            .chain(&[OTHERS])
            .flat_map(|name| Finding::ALL.map(|finding| ((*name, finding), 0)))
            .collect();
        for ((namespace, finding), pods) in &self.pods {
            let name = names.get(namespace.as_str()).copied().unwrap_or(OTHERS);
            *found.entry((name, *finding)).or_default() += pods;
        }
        let found = found.into_iter();
        found
            .map(|((name, finding), pods)| (name.to_owned(), finding.as_str(), pods))
            .collect()
    }

    /// Pods of which that is so.
    pub(super) fn total(&self, finding: Finding) -> u64 {
        let pods = self.pods.iter().filter(|((_, each), _)| *each == finding);
        pods.map(|(_, pods)| pods).sum()
    }

    fn judge(&self, pod: &ObjectMetadata) -> (Workload, LabelSource, Standing) {
        let (kind, name) = standing::owner(pod);
        let namespace = pod.namespace.clone();
        let workload = Workload {
            namespace,
            kind,
            name,
        };
        let around = Surroundings {
            workload: self.labelled.get(&workload),
            namespace: self.namespaces.get(&pod.namespace),
            annotations_count: self.annotations_count(),
        };
        let request = around.request(pod);
        let standing = around.standing(pod, request.as_ref());
        let asked_by = request
            .filter(standing::InjectionRequest::is_yes)
            .map_or(LabelSource::Nobody, |request| request.source);
        (workload, asked_by, standing)
    }

    fn count(
        &mut self,
        workload: Workload,
        finding: Finding,
        asked_by: LabelSource,
        detail: impl FnOnce() -> String,
    ) {
        if self.config.excludes(&workload.namespace) {
            return;
        }
        let of_namespace = (workload.namespace.clone(), finding);
        *self.pods.entry(of_namespace).or_default() += 1;
        let is_full = self.affected.len() >= MOST_AFFECTED;
        match self.affected.entry((workload, finding)) {
            Entry::Occupied(entry) => entry.into_mut().pods += 1,
            Entry::Vacant(_) if is_full => self.left_out += 1,
            Entry::Vacant(entry) => {
                entry.insert(Affected {
                    pods: 1,
                    asked_by,
                    detail: detail(),
                });
            }
        }
    }
}

/// All label values of [`Finding`].
pub(crate) const REASONS: [&str; 2] = [Finding::Missed.as_str(), Finding::Crashing.as_str()];

/// Where pods of namespaces are counted that have no label value of their own. No namespace can be called so.
pub(crate) const OTHERS: &str = "(others)";

/// Namespaces with a label value of their own.
const MOST_NAMESPACES: usize = 50;

/// Labelled workloads that are remembered for the length of a round, some 200 bytes each.
const MOST_LABELLED: usize = 10_000;

/// Workloads, and what is wrong with them, that are remembered for their Events, some 300 bytes each. Their pods are
/// counted beyond that, too.
const MOST_AFFECTED: usize = 1_000;

/// Workloads of one namespace whose pods are remembered while they are read, and those of others that crash, some 300 bytes
/// each. What is beyond that is not guarded.
const MOST_EVIDENCE: usize = 1_000;

#[cfg(test)]
mod tests;
