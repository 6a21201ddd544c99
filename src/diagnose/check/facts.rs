//! What was asked of the cluster, and what could not be seen.

use javelin_core::config::Config;
use serde_json::Value;

use super::destination::Collector;
use super::objects::{Addresses, Labelled, Node, Service, TriedPod, WebhookConfiguration};
use super::seen::{Seen, Unseen, right};

/// All of it.
#[derive(Debug)]
pub struct Facts {
    /// What the objects are called.
    pub names: ObjectNames,
    /// The API server's version, such as `v1.37.2`.
    pub version: String,
    /// Nodes.
    pub nodes: Seen<Vec<Node>>,
    /// Javelin's configuration, or what is wrong in it.
    pub config: Seen<Result<Config, String>>,
    /// What Javelin's account may do.
    pub account: Seen<Vec<Right>>,
    /// Our webhook configuration.
    pub configuration: Seen<WebhookConfiguration>,
    /// Everybody else's.
    pub others: Seen<Vec<WebhookConfiguration>>,
    /// The Service that the API server calls.
    pub service: Seen<Service>,
    /// Where it leads to.
    pub addresses: Seen<Addresses>,
    /// The pods behind it.
    pub replicas: Seen<Vec<Replica>>,
    /// Authority, leaves and bundles.
    pub certificates: Certificates,
    /// What the probe found.
    pub reach: Reach,
    /// Pods that wait for the agent's image.
    pub pulls: Seen<Vec<Pull>>,
    /// Where each profile sends to.
    pub collectors: Vec<Collector>,
    /// All namespaces.
    pub namespaces: Seen<Vec<Labelled>>,
    /// Workloads and pods without a controller; what could not be seen of them.
    pub workloads: Vec<Labelled>,
    /// Why some of those are not there.
    pub workloads_unseen: Vec<Unseen>,
    /// What has the label and is none of those: `apiVersion`, `kind` and `metadata` of each.
    pub other_kinds: Vec<Value>,
    /// Which kinds could not be looked at for that, such as `sparkapplications.sparkoperator.k8s.io`.
    pub other_kinds_unseen: Vec<String>,
    /// A pod that was created as a dry run, if one was asked for.
    pub dry_run: Option<DryRun>,
}

/// What Javelin's objects are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectNames {
    /// Javelin's namespace.
    pub namespace: String,
    /// Service and `ConfigMap`.
    pub service: String,
    /// The account of its pods; as the chart names it where no pod tells.
    pub account: String,
    /// The webhook configuration.
    pub configuration: String,
}

/// Something that Javelin's account has to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// Such as `get Secret javelin-ca`.
    pub what: String,
    /// Is it?
    pub is_allowed: bool,
}

/// A pod of Javelin's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Does the Service send calls to it?
    pub ready: bool,
    /// The node that it is on, once it is on one.
    pub node: Option<String>,
}

/// Whose certificate is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificates {
    /// Javelin's own: what is wrong with it, by `javelin cert`.
    Own {
        /// The authority that signs, in a sentence.
        description: String,
        /// One sentence each.
        problems: Vec<String>,
    },
    /// Somebody else's.
    Elsewhere,
    /// It could not be read.
    Unseen(Unseen),
}

/// What the probe found, with the next step (`probe`, `probe::advice`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The finding's code.
    pub code: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// The API server's words.
    pub said: Option<String>,
    /// What to do.
    pub next_step: String,
}

/// A pod that waits for the agent's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// `namespace/name`.
    pub pod: String,
    /// The kubelet's sentence.
    pub message: String,
}

/// A pod that was created as a dry run.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// Where.
    pub namespace: String,
    /// What came back, with the label.
    pub labelled: Admission,
    /// The same without, if the first was refused.
    pub plain: Option<Admission>,
}

/// What the API server made of it.
#[derive(Debug, Clone)]
pub enum Admission {
    /// It would have been created, as this.
    Admitted(Box<TriedPod>),
    /// It would not; the API server's sentence.
    Refused(String),
    /// The person may not create pods there, or there was no answer.
    Unseen(Unseen),
}

impl Facts {
    /// The configuration, where it can be read.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref().ok()?.as_ref().ok()
    }

    /// The rights that the person lacks, such as `list deployments.apps`.
    pub fn denied(&self) -> Vec<String> {
        let certificates = match &self.certificates {
            Certificates::Unseen(unseen) => Some(unseen),
            Certificates::Own { .. } | Certificates::Elsewhere => None,
        };
        let dry_run = self.dry_run.as_ref().map(|tried| &tried.labelled);
        let dry_run = dry_run.and_then(|outcome| match outcome {
            Admission::Unseen(unseen) => Some(unseen),
            Admission::Admitted(_) | Admission::Refused(_) => None,
        });
        let seen = [
            self.nodes.as_ref().err(),
            self.config.as_ref().err(),
            self.account.as_ref().err(),
            self.configuration.as_ref().err(),
            self.others.as_ref().err(),
            self.service.as_ref().err(),
            self.addresses.as_ref().err(),
            self.replicas.as_ref().err(),
            certificates,
            dry_run,
            self.pulls.as_ref().err(),
            self.namespaces.as_ref().err(),
        ];
        let collectors = self.collectors.iter().flat_map(Collector::unseen);
        let all = seen.into_iter().flatten();
        let all = all.chain(&self.workloads_unseen).chain(collectors);
        let mut denied: Vec<_> = all
            .filter_map(|unseen| match unseen {
                Unseen::Denied(why) => Some(right(why)),
                Unseen::Missing(_) | Unseen::Failed(_) => None,
            })
            .collect();
        denied.sort_unstable();
        denied.dedup();
        denied
    }
}
