//! All that `javelin status` looks at, and what `javelin restart` does: requests in, [`StatusFacts`] out.
//!
//! In a large cluster most namespaces have nothing to do with us. So labels are looked for first, which the API server
//! selects by itself, and only namespaces in which there are some are read.
//!
//! Invariant: what may not be read is a warning, and the rest is told all the same.

use std::collections::BTreeSet;

use javelin_core::config::Config;
use javelin_core::kinds::{self, Kind};
use javelin_core::mutate::keys::{FROM_WORKLOAD, INJECT};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::client::Cluster;
use crate::api::reader::{Form, Reader};
use crate::api::request::ClusterError;
use crate::diagnose::check::Unseen;
use crate::diagnose::gather;
use crate::diagnose::status::StatusFacts;
use crate::diagnose::status::objects::WorkloadFacts;
use crate::diagnose::status::rollout::{self, Progress};
use crate::standing::objects::{ObjectFacts, PodFacts};

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In one namespace.
    Namespace(String),
    /// Everywhere.
    All,
}

/// What was read.
#[derive(Debug)]
pub struct Inventory {
    /// All of it.
    pub facts: StatusFacts,
    /// What could not be read, one sentence each.
    pub warnings: Vec<String>,
    /// Could no list be read at all? Then nothing is known.
    pub is_blind: bool,
}

/// Reads it.
pub async fn inventory(cluster: &Cluster, scope: &Scope) -> Result<Inventory, ClusterError> {
    let reader = cluster.reader();
    // Whoever does not even tell its version is not there.
    cluster.version().await?;
    let has_rollouts = reader.has_group(kinds::ARGO).await;
    let kinds = Kind::with_status().filter(|kind| kind.group != kinds::ARGO || has_rollouts);
    let mut inventory = Census {
        kinds: kinds.collect(),
        reader,
        facts: StatusFacts::default(),
        warnings: BTreeSet::new(),
        lists: 0,
    };
    inventory.facts.config = match gather::config(&inventory.reader, &cluster.names().service).await
    {
        Ok(Ok(config)) => Some(config),
        Ok(Err(why)) => inventory.warn(format!("Javelin's configuration: {why}")),
        Err(why) => inventory.warn(format!(
            "Javelin's configuration cannot be read, so it is not known what is outdated: {why}"
        )),
    };
    match scope {
        Scope::Namespace(name) => {
            let path = format!("/api/v1/namespaces/{name}");
            match gather::seen(
                inventory
                    .reader
                    .get::<ObjectFacts>("Namespace", name, &path)
                    .await,
            ) {
                Ok(namespace) => inventory.facts.namespaces.push(namespace),
                Err(Unseen::Missing(what)) => inventory
                    .warn(format!("{what} does not exist"))
                    .unwrap_or_default(),
                Err(why) => inventory
                    .warn(format!("the label of namespace {name}: {why}"))
                    .unwrap_or_default(),
            }
            inventory.read(name).await;
        }
        Scope::All => {
            for name in inventory.namespaces().await {
                inventory.read(&name).await;
            }
        }
    }
    Ok(Inventory {
        facts: inventory.facts,
        warnings: inventory.warnings.into_iter().collect(),
        is_blind: inventory.lists == 0,
    })
}

/// Restarts a workload, or has the API server say whether it would.
pub async fn restart(
    cluster: &Cluster,
    (kind, namespace, name): (&str, &str, &str),
    time: &str,
    dry_run: bool,
) -> Result<(), ClusterError> {
    let path = rollout::path(kind, namespace, name).unwrap_or_default();
    cluster
        .reader()
        .restart(&path, &rollout::patch(kind, time), dry_run)
        .await
}

/// How far that is.
pub async fn progress(
    cluster: &Cluster,
    (kind, namespace, name): (&str, &str, &str),
) -> Result<Progress, ClusterError> {
    let path = rollout::path(kind, namespace, name).unwrap_or_default();
    let object: Value = cluster.reader().get("path", &path, &path).await?;
    Ok(rollout::progress(kind, &object))
}

/// What was read so far.
struct Census {
    reader: Reader,
    kinds: Vec<&'static Kind>,
    facts: StatusFacts,
    warnings: BTreeSet<String>,
    /// How many could be read.
    lists: usize,
}

impl Census {
    /// Always `None`, or whatever stands for nothing.
    fn warn<T>(&mut self, what: String) -> Option<T> {
        self.warnings.insert(what);
        None
    }

    /// Namespaces in which something asks for the agent.
    async fn namespaces(&mut self) -> BTreeSet<String> {
        // Annotations cannot be selected by.
        let everywhere = self
            .facts
            .config
            .as_ref()
            .is_some_and(Config::reads_annotations);
        let selector = format!("labelSelector={INJECT}");
        let query = if everywhere { "" } else { &selector };
        let found: Vec<ObjectFacts> = self
            .list("Namespaces", "/api/v1/namespaces", query, Form::Metadata)
            .await;
        let mut names: BTreeSet<_> = found
            .iter()
            .map(|each| each.metadata.name.clone())
            .collect();
        self.facts.namespaces = found;
        let mut collections: Vec<_> = self
            .kinds
            .iter()
            .map(|kind| (kind.name, kind.path(None), INJECT))
            .collect();
        for key in [INJECT, FROM_WORKLOAD] {
            collections.push(("Pods", "/api/v1/pods".to_owned(), key));
        }
        for (kind, path, key) in collections {
            let query = format!("labelSelector={key}");
            let found: Vec<ObjectFacts> = self.list(kind, &path, &query, Form::Metadata).await;
            names.extend(found.into_iter().map(|each| each.metadata.namespace));
        }
        names
    }

    /// All workloads and pods of a namespace.
    async fn read(&mut self, namespace: &str) {
        for kind in self.kinds.clone() {
            let path = kind.path(Some(namespace));
            let found: Vec<WorkloadFacts> = self.list(kind.name, &path, "", Form::Whole).await;
            let found = found.into_iter().map(|each| WorkloadFacts {
                kind: kind.name,
                ..each
            });
            let found = found.filter(|each| !each.is_derived());
            self.facts.workloads.extend(found);
        }
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let pods: Vec<PodFacts> = self.list("Pods", &path, "", Form::Whole).await;
        self.facts.pods.extend(pods);
    }

    async fn list<T: DeserializeOwned>(
        &mut self,
        kind: &'static str,
        path: &str,
        query: &str,
        form: Form,
    ) -> Vec<T> {
        match gather::seen(self.reader.list(kind, path, query, form).await) {
            Ok(found) => {
                self.lists += 1;
                found
            }
            Err(why) => self.warn(format!("{kind}: {why}")).unwrap_or_default(),
        }
    }
}
