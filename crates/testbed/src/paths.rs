//! Where things are kept, and the only reads of the environment.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The folders that every verb works in.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
    cache: PathBuf,
    state: PathBuf,
    kubernetes: Kubernetes,
}

/// Which Kubernetes the cluster is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kubernetes {
    /// The one that everything is tried on.
    Newest,
    /// The oldest that the chart allows.
    Oldest,
}

impl Paths {
    /// By the variables that Cargo and XDG name.
    pub fn from_environment() -> Result<Self> {
        // Cargo sets it for `cargo xtask`; the value from build time may be another checkout's, when the two share a
        // target folder.
        let manifest = variable("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), Into::into);
        let root = manifest
            .parent()
            .map(Path::to_path_buf)
            .context("xtask is not in a checkout: run it as `cargo xtask`")?;
        Ok(Self {
            root,
            cache: user_folder("XDG_CACHE_HOME", ".cache")?,
            state: user_folder("XDG_STATE_HOME", ".local/state")?,
            kubernetes: Kubernetes::from_environment()?,
        })
    }

    /// The same, with the oldest Kubernetes.
    #[must_use]
    pub fn with_oldest_kubernetes(&self) -> Self {
        Self {
            kubernetes: Kubernetes::Oldest,
            ..self.clone()
        }
    }

    /// Which Kubernetes the cluster is made of.
    pub fn kubernetes(&self) -> Kubernetes {
        self.kubernetes
    }

    /// The variable by which a process of its own makes the cluster of the same.
    pub fn kubernetes_variable(&self) -> Option<(&'static str, &'static str)> {
        (self.kubernetes == Kubernetes::Oldest).then_some((KUBERNETES, "oldest"))
    }

    /// The root of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is dear to make and can be made again: tools, images, the agent's jar.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The tools under their usual names.
    pub fn bin(&self) -> PathBuf {
        self.cache.join(match self.kubernetes {
            Kubernetes::Newest => "bin",
            Kubernetes::Oldest => "bin-oldest-kubernetes",
        })
    }

    /// The logs of noisy builds.
    pub fn build_log(&self, name: &str) -> PathBuf {
        self.cache.join("logs").join(format!("{name}.log"))
    }

    /// What belongs to the running cluster.
    pub fn cluster_state(&self) -> PathBuf {
        self.state.join("cluster")
    }
}

impl Kubernetes {
    fn from_environment() -> Result<Self> {
        let Some(value) = variable(KUBERNETES) else {
            return Ok(Self::Newest);
        };
        match value.to_str() {
            Some("newest") => Ok(Self::Newest),
            Some("oldest") => Ok(Self::Oldest),
            _ => bail!(
                "{KUBERNETES} is \"{}\": it is either newest or oldest",
                value.display()
            ),
        }
    }
}

/// The variable that says which Kubernetes the cluster is made of.
const KUBERNETES: &str = "JAVELIN_KUBERNETES";

/// A variable that is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Finds a program on `PATH` and in the system folders that a non-login shell may not have there.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

fn user_folder(variable_name: &str, under_home: &str) -> Result<PathBuf> {
    let base = match (variable(variable_name), variable("HOME")) {
        (Some(base), _) => PathBuf::from(base),
        (None, Some(home)) => PathBuf::from(home).join(under_home),
        (None, None) => bail!(
            "neither {variable_name} nor HOME is set: set one of them to a folder that can be written"
        ),
    };
    if base.is_relative() {
        bail!(
            "{variable_name} is {}, which is not an absolute path: make it one",
            base.display()
        );
    }
    Ok(base.join("javelin"))
}
