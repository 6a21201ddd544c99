//! The handle on a cluster: the one of `cluster up`, or the one that `KUBECONFIG` names.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cluster;
use crate::image::Image;
use crate::paths::{Paths, find_program, variable};
use crate::process::{output, run};
use crate::progress::{self, Hint};
use crate::toolchain::{self, Tool};

/// A cluster that answers, and the programs to use it with.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// What `KUBECONFIG` is to be for it.
    pub kubeconfig: PathBuf,
    /// The folder of our programs.
    pub bin: PathBuf,
    whose: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Started by `cluster up`.
    Ours,
    /// Named by the environment.
    Theirs,
}

impl Cluster {
    /// The one that [`crate::cluster`] starts.
    pub fn own(kubeconfig: PathBuf, bin: PathBuf) -> Self {
        Self {
            kubeconfig,
            bin,
            whose: Whose::Ours,
        }
    }

    /// The cluster that the environment names, when it names one. It may be that of `cluster up`.
    pub fn from_env(paths: &Paths) -> Result<Option<Self>> {
        let Some(kubeconfig) = variable("KUBECONFIG").map(PathBuf::from) else {
            return Ok(None);
        };
        let bin = paths.bin();
        let ours = cluster::kubeconfig(paths);
        if fs::canonicalize(&kubeconfig)
            .is_ok_and(|found| fs::canonicalize(&ours).is_ok_and(|ours| ours == found))
        {
            return Ok(Some(Self::own(ours, bin)));
        }
        // Their own programs fit their cluster, and spare a build.
        let mut tools = Vec::new();
        if find_program("kubectl").is_none() {
            tools.push(Tool::Kubernetes);
        }
        if find_program("helm").is_none() {
            tools.push(Tool::Helm4);
        }
        toolchain::ensure(paths, &tools)?;
        Ok(Some(Self {
            kubeconfig,
            bin,
            whose: Whose::Theirs,
        }))
    }

    /// The cluster that the environment names, else that of `cluster up`, which must be up.
    pub fn of_the_user(paths: &Paths) -> Result<Self> {
        if let Some(cluster) = Self::from_env(paths)? {
            return Ok(cluster);
        }
        if !cluster::status(paths)?.is_up() {
            bail!(
                "no cluster: run `cargo xtask cluster up`, or set KUBECONFIG to one that you have"
            );
        }
        Ok(Self::own(cluster::kubeconfig(paths), paths.bin()))
    }

    /// Was it started by `cluster up`?
    pub fn is_ours(&self) -> bool {
        self.whose == Whose::Ours
    }

    /// Runs `kubectl` and gives what it wrote to standard output.
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        output(self.kubectl_command().args(arguments))
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        let mut command = self.kubectl_command();
        command
            .args(["apply", "--filename=-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn().context("kubectl did not start")?;
        if let Some(mut input) = child.stdin.take() {
            input
                .write_all(manifests.as_bytes())
                .context("kubectl did not read the manifests")?;
        }
        ensure!(child.wait()?.success(), "kubectl apply failed: see above");
        Ok(())
    }

    /// Waits until a workload, such as `deployment/orders`, has rolled out.
    pub fn wait_for_rollout(&self, namespace: &str, target: &str) -> Result<()> {
        let namespace = format!("--namespace={namespace}");
        progress::step(&format!("Waiting for {target}"), Hint::default(), || {
            self.kubectl(&["rollout", "status", "--timeout=3m", target, &namespace])
        })?;
        Ok(())
    }

    /// Runs `helm` and gives what it wrote to standard output.
    pub fn helm<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        output(self.command("helm").args(arguments))
    }

    /// `kubectl` on this cluster, for those who want its input, its output or its exit code.
    pub fn kubectl_command(&self) -> Command {
        self.command("kubectl")
    }

    /// Any of the programs, with `KUBECONFIG` set to this cluster.
    pub fn command(&self, program: &str) -> Command {
        let ours = self.bin.join(program);
        let theirs = (self.whose == Whose::Theirs)
            .then(|| find_program(program))
            .flatten();
        let mut command = Command::new(theirs.unwrap_or(ours));
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Is the image on the cluster's node, to the last bit? Of a cluster that is not ours nobody can tell from here.
    pub fn has_image(&self, image: &Image) -> Result<bool> {
        if self.whose == Whose::Theirs {
            return Ok(false);
        }
        cluster::has_image(&self.bin, image.reference(), image.digest())
    }

    /// Makes an image known to the cluster's node, with no registry between.
    pub fn load_image(&self, image: &Image) -> Result<()> {
        let archive = image.archive();
        let context = match self.whose {
            Whose::Ours => String::new(),
            Whose::Theirs => self.kubectl(&["config", "current-context"])?,
        };
        let name = format!("Loading {} into the cluster", image.reference());
        if self.whose == Whose::Ours {
            return progress::step(&name, Hint::default(), || {
                cluster::load_image(&self.bin, archive)
            });
        }
        let mut command = if let Some(kind) = context.strip_prefix("kind-") {
            let mut command = Command::new("kind");
            command
                .args(["load", "image-archive", "--name", kind])
                .arg(archive);
            command
        } else if let Some(k3d) = context.strip_prefix("k3d-") {
            let mut command = Command::new("k3d");
            command
                .args(["image", "import", "--cluster", k3d])
                .arg(archive);
            command
        } else {
            bail!(
                "images cannot be loaded into the cluster of the context \"{context}\" from here: load {archive} on its \
                 nodes, or push it to a registry that they pull from (`skopeo copy oci-archive:{archive} \
                 docker://REGISTRY/{name}`) and give `--image-prefix REGISTRY`",
                archive = archive.display(),
                name = image.reference().trim_start_matches("localhost/"),
            )
        };
        progress::step(&name, Hint::default(), || run(&mut command))
    }

    /// What to type to use it from a shell.
    pub fn shell_lines(&self) -> String {
        format!(
            "export KUBECONFIG={}\nexport PATH={}:$PATH",
            self.kubeconfig.display(),
            self.bin.display()
        )
    }
}
