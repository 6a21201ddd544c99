//! What Javelin does to pods: one YAML file, the same in the cluster and on the command line.
//!
//! The file becomes a `RawConfig` (what is written), and that a [`Config`] (what is meant): past
//! [`Config::parse`] nothing is checked again. Deliberately absent: reading files, environment variables and
//! flags that override single keys.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::mutate::keys;

mod otlp;
mod raw;
mod sidecars;

pub use otlp::{Endpoint, Otlp, Protocol};
use raw::{RawAgent, RawConfig, RawProfile};

/// A configuration that holds its invariants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    excluded_namespaces: BTreeSet<String>,
    sidecars: BTreeSet<String>,
    default: Profile,
    profiles: BTreeMap<String, Profile>,
}

/// One way to instrument a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// A configuration that was refused. Display names the file, the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not YAML, an unknown key, or a value of the wrong type.
    #[error("{origin}: {problem}")]
    Syntax {
        /// File name.
        origin: String,
        /// Line, column and snippet.
        problem: String,
    },
    /// A value that makes no sense.
    #[error("{origin}: {path}: {problem}")]
    Value {
        /// File name.
        origin: String,
        /// Dotted path of the key.
        path: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// A wrong value, before it is known in which file.
pub(crate) struct Problem {
    path: &'static str,
    problem: String,
}

impl Config {
    /// Reads YAML. `origin` is the name that errors give the text.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        // An empty file, or one of comments, is a configuration that says nothing.
        let raw: Option<RawConfig> =
            serde_saphyr::from_str(text).map_err(|error| ConfigError::Syntax {
                origin: origin.to_owned(),
                problem: error.to_string(),
            })?;
        Self::from_raw(&raw.unwrap_or_default()).map_err(|(prefix, Problem { path, problem })| {
            ConfigError::Value {
                origin: origin.to_owned(),
                path: format!("{prefix}{path}"),
                problem,
            }
        })
    }

    /// The profile of an inject label's value: `true` is the default one.
    pub fn profile(&self, value: &str) -> Option<&Profile> {
        match value {
            "true" | DEFAULT_PROFILE => Some(&self.default),
            name => self.profiles.get(name),
        }
    }

    /// Names of the profiles beside `default`, sorted.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// Is the namespace left alone whatever its labels say?
    pub fn excludes(&self, namespace: &str) -> bool {
        self.excluded_namespaces.contains(namespace)
    }

    /// Is it the name of a container that others inject?
    pub fn is_sidecar(&self, container: &str) -> bool {
        sidecars::KNOWN.contains(&container) || self.sidecars.contains(container)
    }

    fn from_raw(raw: &RawConfig) -> Result<Self, (String, Problem)> {
        let RawConfig {
            excluded_namespaces,
            sidecars,
            default,
            profiles,
        } = raw;
        let excluded_namespaces = excluded_namespaces.clone().map_or_else(
            || keys::DEFAULT_EXCLUDED_NAMESPACES.map(str::to_owned).into(),
            BTreeSet::from_iter,
        );
        let named = profiles.iter().map(|(name, overlay)| {
            let at = format!("profiles.{name}");
            check_profile_name(name).map_err(|problem| (at.clone(), problem))?;
            let profile = Profile::from_raw(name, &overlay.over(default)).map_err(|p| (at, p))?;
            Ok((name.clone(), profile))
        });
        let profiles = named.collect::<Result<_, _>>()?;
        let default = Profile::from_raw(DEFAULT_PROFILE, default)
            .map_err(|problem| (DEFAULT_PROFILE.to_owned(), problem))?;
        Ok(Self {
            excluded_namespaces,
            sidecars: sidecars.iter().cloned().collect(),
            default,
            profiles,
        })
    }
}

impl Profile {
    fn from_raw(name: &str, raw: &RawProfile) -> Result<Self, Problem> {
        let RawProfile {
            delivery,
            agent,
            otlp,
            resource_attributes,
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
        Ok(Self {
            image,
            image_pull_policy,
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

impl Default for Config {
    /// The built-in values: what an empty file means.
    fn default() -> Self {
        let empty = RawProfile::default();
        let default = Profile::from_raw(DEFAULT_PROFILE, &empty)
            .unwrap_or_else(|_| unreachable!("the built-in values pass their own checks"));
        Self {
            excluded_namespaces: keys::DEFAULT_EXCLUDED_NAMESPACES.map(str::to_owned).into(),
            sidecars: BTreeSet::new(),
            default,
            profiles: BTreeMap::new(),
        }
    }
}

impl Problem {
    fn new(path: &'static str, problem: impl Into<String>) -> Self {
        Self {
            path,
            problem: problem.into(),
        }
    }
}

/// A profile's name is a label value, a path segment and part of a webhook entry's name at once.
fn check_profile_name(name: &str) -> Result<(), Problem> {
    if [DEFAULT_PROFILE, "true", "false", "unknown"].contains(&name) {
        return Err(Problem::new(
            "",
            "the name is taken: `true` means `default`, `false` opts out, `unknown` is an entry of the webhook",
        ));
    }
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=MAX_PROFILE_NAME).contains(&name.len());
    if fits && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(());
    }
    Err(Problem::new(
        "",
        "a profile's name is a DNS label: a-z, 0-9 and - inside, at most 53 characters",
    ))
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

/// Name of the profile that `true` means.
pub const DEFAULT_PROFILE: &str = "default";

/// What a pod pulls when the configuration names no image: the one that this version is released as.
const DEFAULT_IMAGE: &str = concat!("localhost/javelin:", env!("CARGO_PKG_VERSION"));

/// A DNS label has 63; `namespace-` comes before it in the webhook entry's name.
const MAX_PROFILE_NAME: usize = 53;

#[cfg(test)]
mod tests;
