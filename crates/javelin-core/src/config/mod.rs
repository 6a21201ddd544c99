//! What Javelin does to pods: one YAML file, the same in the cluster and on the command line.
//!
//! The file becomes a `RawConfig` (what is written), and that a [`Config`] (what is meant): past
//! [`Config::parse`] nothing is checked again. Deliberately absent: reading files, environment variables and
//! flags that override single keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::{dns, mutate::pod::Container};

mod error;
mod image;
pub mod instrumentation;
mod names;
mod otlp;
mod profile;
mod raw;
pub mod reference;
mod sdk;
mod show;
mod sidecars;
mod variables;

pub use error::ConfigError;
pub use image::check as check_image;
pub use otlp::{Ca, ClientCertificate, Endpoint, KeyRef, Otlp, Protocol, Tls};
pub use profile::{Agent, Delivery, Extensions, Profile, PullPolicy, SdkSettings};
pub(crate) use profile::{MAX_PATH, is_attribute};
pub use sdk::{Exporters, Sampler};
pub(crate) use variables::INSTEAD;
pub use variables::refuse_variable;

use error::Problem;
use raw::{RawConfig, RawProfile};

/// A configuration that holds its invariants.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    excluded_namespaces: BTreeSet<String>,
    annotations: bool,
    sidecars: BTreeSet<String>,
    default: Profile,
    profiles: BTreeMap<String, Profile>,
}

impl Config {
    /// Reads YAML. `origin` is the name that errors give the text.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        // An empty file, or one of comments, is a configuration that says nothing.
        let raw: Option<RawConfig> = serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::syntax(text, origin, &error))?;
        Self::from_raw(&raw.unwrap_or_default()).map_err(|(prefix, Problem { path, problem })| {
            ConfigError::value(text, origin, &format!("{prefix}{path}"), &problem)
        })
    }

    /// A refusal of what stands at a path of this text, for a reason that is not the configuration's own.
    pub fn refuse(text: &str, origin: &str, path: &str, problem: &str) -> ConfigError {
        ConfigError::value(text, origin, path, problem)
    }

    /// All profiles: the default one, then the others by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        [&self.default].into_iter().chain(self.profiles.values())
    }

    /// The profile of an inject label's value: `true` is the default one.
    pub fn profile(&self, value: &str) -> Option<&Profile> {
        match value {
            "true" | DEFAULT_PROFILE => Some(&self.default),
            name => self.profiles.get(name),
        }
    }

    /// Is the namespace left alone whatever its labels say?
    pub fn excludes(&self, namespace: &str) -> bool {
        self.excluded_namespaces.contains(namespace)
    }

    /// Does the inject key also count as an annotation of a pod?
    pub fn reads_annotations(&self) -> bool {
        self.annotations
    }

    /// Does it stand beside the application, by its name or by what it runs?
    pub fn is_sidecar(&self, container: &Container) -> bool {
        self.sidecars.contains(&container.name) || sidecars::is_known(container)
    }

    /// All names by which such containers are known.
    pub fn sidecars(&self) -> impl Iterator<Item = &str> {
        let known = sidecars::KNOWN.into_iter();
        known.chain(self.sidecars.iter().map(String::as_str))
    }

    /// Namespaces that are left alone.
    pub fn excluded_namespaces(&self) -> impl Iterator<Item = &str> {
        self.excluded_namespaces.iter().map(String::as_str)
    }

    /// First 12 hexadecimal digits of the SHA-256 of all that it means: tells whether two replicas have the same.
    pub fn hash(&self) -> String {
        short_hash(self)
    }

    /// What is taken as it is written though it may be a slip: a sentence for each.
    pub fn warnings(&self) -> BTreeSet<String> {
        self.profiles().flat_map(Profile::unknown_names).collect()
    }

    /// The same, but nothing is composed that may be absent at run time: that takes a variable which is named twice, and
    /// nobody can apply such a manifest a second time.
    #[must_use]
    pub fn without_optional(&self) -> Self {
        let mut config = self.clone();
        for profile in [&mut config.default]
            .into_iter()
            .chain(config.profiles.values_mut())
        {
            profile.compose_optional = false;
        }
        config
    }

    fn from_raw(raw: &RawConfig) -> Result<Self, (String, Problem)> {
        let RawConfig {
            excluded_namespaces,
            annotations,
            sidecars,
            default,
            profiles,
        } = raw;
        let excluded_namespaces = excluded_namespaces.clone().map_or_else(
            || DEFAULT_EXCLUDED_NAMESPACES.map(str::to_owned).into(),
            BTreeSet::from_iter,
        );
        // First, so that what is wrong in it is not said of the profiles that inherit it.
        let base = Profile::from_raw(DEFAULT_PROFILE, default)
            .map_err(|problem| (DEFAULT_PROFILE.to_owned(), problem))?;
        let named = profiles.iter().map(|(name, overlay)| {
            let at = format!("profiles.{name}");
            check_profile_name(name).map_err(|problem| (at.clone(), problem))?;
            let profile = Profile::from_raw(name, &overlay.over(default)).map_err(|p| (at, p))?;
            Ok((name.clone(), profile))
        });
        let profiles = named.collect::<Result<_, _>>()?;
        Ok(Self {
            excluded_namespaces,
            annotations: *annotations,
            sidecars: sidecars.iter().cloned().collect(),
            default: base,
            profiles,
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
            excluded_namespaces: DEFAULT_EXCLUDED_NAMESPACES.map(str::to_owned).into(),
            annotations: false,
            sidecars: BTreeSet::new(),
            default,
            profiles: BTreeMap::new(),
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
    if name.len() <= MAX_PROFILE_NAME && dns::is_label(name) {
        return Ok(());
    }
    Err(Problem::new(
        "",
        "a profile's name is a DNS label: a-z, 0-9 and - inside, at most 53 characters",
    ))
}

/// Name of the profile that `true` means.
pub const DEFAULT_PROFILE: &str = "default";

/// Namespaces that are never touched unless the configuration says otherwise.
const DEFAULT_EXCLUDED_NAMESPACES: [&str; 1] = ["kube-system"];

/// A DNS label has 63; `namespace-` comes before it in the webhook entry's name.
const MAX_PROFILE_NAME: usize = 53;

/// First 12 hexadecimal digits of the SHA-256 of all that it says: `Debug` of a struct of plain values, in ordered maps, is a
/// complete and stable text of that.
fn short_hash(of: &impl Debug) -> String {
    let digest = Sha256::digest(format!("{of:?}"));
    HEXLOWER.encode(&digest).chars().take(12).collect()
}

#[cfg(test)]
mod tests;
