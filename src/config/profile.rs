//! One way to instrument a pod.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Problem,
    otlp::Otlp,
    raw::{RawAgent, RawProfile},
    sdk::{self, Exporters, Sampler},
    variables,
};
use crate::{dns, quantity};

/// One way to instrument a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// `default`, or its key under `profiles`: a DNS label.
    pub name: String,
    /// How the jar gets into the pod.
    pub delivery: Delivery,
    /// The agent's image.
    pub agent: Agent,
    /// Where telemetry goes; the agent's own default when absent.
    pub otlp: Option<Otlp>,
    /// Attributes for every pod of the profile. The pod's own win.
    pub resource_attributes: BTreeMap<String, String>,
    /// `OTEL_PROPAGATORS`; the agent's own default when empty.
    pub propagators: Vec<String>,
    /// Which traces are kept; the agent's own default when absent.
    pub sampler: Option<Sampler>,
    /// What becomes of each signal; the agent's own default where absent.
    pub exporters: Exporters,
    /// Further variables. The container's own win.
    pub env: BTreeMap<String, String>,
    /// Containers with a smaller memory limit are left alone; bytes.
    pub minimum_memory: f64,
    /// May options that are possibly absent at run time be composed with ours?
    pub compose_optional: bool,
    /// First 12 hexadecimal digits of the SHA-256 of all that the profile says: tells two receipts apart.
    pub hash: String,
}

/// How the jar gets into the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// An init container copies it into an emptyDir.
    InitContainer,
}

/// The image that carries the jar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Image reference.
    pub image: String,
    /// When the kubelet pulls it; Kubernetes' own default when absent.
    pub image_pull_policy: Option<PullPolicy>,
    /// A Secret of the pod's namespace to pull it with, added to the pod's own.
    pub image_pull_secret: Option<String>,
}

/// `imagePullPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Always ask the registry.
    Always,
    /// Only when the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

impl Profile {
    pub(super) fn from_raw(name: &str, raw: &RawProfile) -> Result<Self, Problem> {
        let RawProfile {
            delivery,
            agent,
            otlp,
            resource_attributes,
            propagators,
            sampler,
            exporters,
            env,
            minimum_memory,
            compose_optional,
        } = raw;
        let mut profile = Self {
            name: name.to_owned(),
            delivery: delivery
                .as_deref()
                .map_or(Ok(Delivery::InitContainer), Delivery::parse)?,
            agent: Agent::from_raw(agent)?,
            otlp: Otlp::from_raw(otlp)?,
            resource_attributes: check_attributes(resource_attributes)?,
            propagators: sdk::propagators(propagators.as_deref().unwrap_or_default())?,
            sampler: Sampler::from_raw(sampler)?,
            exporters: Exporters::from_raw(exporters)?,
            env: variables::check(env)?,
            minimum_memory: minimum(minimum_memory.as_deref().unwrap_or("128Mi"))?,
            compose_optional: compose_optional.unwrap_or(true),
            hash: String::new(),
        };
        // `Debug` of a struct of plain values is a complete and stable text of all it says.
        let digest = Sha256::digest(format!("{profile:?}"));
        profile.hash = format!("{digest:x}").chars().take(12).collect();
        Ok(profile)
    }
}

impl Delivery {
    /// As written in the configuration and in receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InitContainer => "init-container",
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "init-container" => Ok(Self::InitContainer),
            other => Err(Problem::new(
                ".delivery",
                format!("{other:?} is not one of: init-container"),
            )),
        }
    }
}

impl Agent {
    fn from_raw(raw: &RawAgent) -> Result<Self, Problem> {
        let RawAgent {
            image,
            image_pull_policy,
            image_pull_secret,
        } = raw;
        let image = image.clone().unwrap_or_else(|| DEFAULT_IMAGE.to_owned());
        if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Problem::new(
                ".agent.image",
                format!("{image:?} is not an image reference"),
            ));
        }
        let image_pull_policy = image_pull_policy
            .as_deref()
            .map(PullPolicy::parse)
            .transpose()?;
        let image_pull_secret = image_pull_secret.clone();
        if let Some(name) = image_pull_secret
            .as_deref()
            .filter(|name| !dns::is_subdomain(name))
        {
            return Err(Problem::new(
                ".agent.imagePullSecret",
                format!("{name:?} is not a Secret's name"),
            ));
        }
        Ok(Self {
            image,
            image_pull_policy,
            image_pull_secret,
        })
    }
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        [Self::Always, Self::IfNotPresent, Self::Never]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| {
                Problem::new(
                    ".agent.imagePullPolicy",
                    format!("{text:?} is not one of: Always, IfNotPresent, Never"),
                )
            })
    }
}

fn minimum(text: &str) -> Result<f64, Problem> {
    let bytes = quantity::parse(&Value::from(text)).filter(|bytes| *bytes >= 0.0);
    bytes.ok_or_else(|| {
        Problem::new(
            ".minimumMemory",
            format!("{text:?} is not a quantity, such as 128Mi"),
        )
    })
}

fn check_attributes(raw: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Problem> {
    // The SDK drops a pair with an empty value, and splits keys nowhere: a separator in one would be lost.
    for (key, value) in raw {
        if key.is_empty() || key.contains([',', '=', '%']) || key.contains(char::is_whitespace) {
            return Err(Problem::new(
                ".resourceAttributes",
                format!("{key:?} is not an attribute's name"),
            ));
        }
        if value.is_empty() {
            return Err(Problem::new(
                ".resourceAttributes",
                format!("{key} has an empty value, which the SDK drops; leave the line out"),
            ));
        }
    }
    Ok(raw.clone())
}

/// What a pod pulls when the configuration names no image: the one that this version is released as.
const DEFAULT_IMAGE: &str = concat!("localhost/javelin:", env!("CARGO_PKG_VERSION"));
