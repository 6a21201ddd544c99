//! Tools built from Go modules: Kubernetes, containerd, Helm, kustomize, a Collector, `CoreDNS`, crane with a registry, promtool,
//! actionlint, the judge of YAML, and what `cargo xtask stack` and `cargo xtask alerts` run.
//!
//! Each lives in the user cache under a key of its module's files and link flags, so a second run and a fresh clone
//! cost nothing. A build happens in a temporary folder that is renamed into place when it is whole. One lock keeps two
//! runs from building the same thing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::paths::{Kubernetes, Paths, find_program};
use crate::process::{create_folder, lock_file, output, run_logged};
use crate::progress::{self, Hint};

mod recipes;

use recipes::Recipe;

/// Bumped when the way of building changes.
const RECIPE: &str = "1";

/// What can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// API server, kubelet, `kubectl` and the rest. With [`Kubernetes::Oldest`] those of [`Tool::OldestKubernetes`] take their places.
    Kubernetes,
    /// Those of a cluster, of the oldest version that the chart allows. `kubectl` and `etcd` are the newest's.
    OldestKubernetes,
    /// With runc and what it needs of the network.
    Containerd,
    /// Names in the cluster.
    CoreDns,
    /// The newer of two majors that people have.
    Helm4,
    /// The older one.
    Helm3,
    /// With which `javelin inject` is a plugin.
    Kustomize,
    /// OpenTelemetry's, which gets the traces.
    Collector,
    /// Copies images between registries, and is one.
    Crane,
    /// Reads YAML as kubectl does.
    YamlJudge,
    /// Tests alerts.
    Promtool,
    /// Lints workflows.
    Actionlint,
    /// The store of metrics.
    Prometheus,
    /// Tells Prometheus of the API server's objects.
    KubeStateMetrics,
    /// Metrics of several clusters.
    Thanos,
    /// A store of traces.
    Jaeger,
    /// A store of log lines.
    VictoriaLogs,
    /// A Collector with what the values of `deploy/stack` use.
    StackCollector,
}

/// The folder of programs that the tools asked for are in.
#[derive(Debug, Clone)]
pub struct Toolchain {
    bin: PathBuf,
}

impl Toolchain {
    /// Where this program is.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// Builds those of the tools that are missing.
pub fn ensure(paths: &Paths, tools: &[Tool]) -> Result<Toolchain> {
    let mut builds = Vec::new();
    for tool in tools {
        builds.push(Build::of(*tool, paths)?);
        // After the newest, whose links it replaces.
        if *tool == Tool::Kubernetes && paths.kubernetes() == Kubernetes::Oldest {
            builds.push(Build::of(Tool::OldestKubernetes, paths)?);
        }
    }
    if builds.iter().any(|build| !build.is_done()) {
        let _lock = lock_file(
            &paths.cache().join("lock"),
            "Waiting for another xtask that builds tools",
        )?;
        remove_unfinished(paths)?;
        for build in builds.iter().filter(|build| !build.is_done()) {
            build.run(paths)?;
        }
    }
    let bin = paths.bin();
    create_folder(&bin)?;
    for build in &builds {
        build.link_into(&bin)?;
    }
    Ok(Toolchain { bin })
}

impl Tool {
    /// What `cargo xtask test` uses, in the order in which they are built.
    pub const TESTS: [Self; 11] = [
        Self::Kubernetes,
        Self::Containerd,
        Self::CoreDns,
        Self::Helm4,
        Self::Collector,
        Self::Helm3,
        Self::Kustomize,
        Self::Crane,
        Self::YamlJudge,
        Self::Promtool,
        Self::Actionlint,
    ];
}

/// One tool at one version.
struct Build {
    recipe: Recipe,
    source: PathBuf,
    version: String,
    link_flags: String,
    go_needed: Version,
    target: PathBuf,
}

type Version = Vec<u32>;

impl Build {
    fn of(tool: Tool, paths: &Paths) -> Result<Self> {
        let recipe = tool.recipe();
        let source = paths.root().join(tool.folder()).join(recipe.module);
        let manifest_path = source.join("go.mod");
        let manifest = fs::read_to_string(&manifest_path).with_context(|| {
            format!(
                "failed to read {}: is the checkout whole?",
                manifest_path.display()
            )
        })?;
        let version = required_version(&manifest, recipe.versioned_by)
            .with_context(|| {
                format!(
                    "{} requires no {}",
                    manifest_path.display(),
                    recipe.versioned_by
                )
            })?
            .to_owned();
        let go_needed = manifest
            .lines()
            .find_map(|line| line.strip_prefix("go "))
            .map(parse_version)
            .with_context(|| format!("{} has no `go` line", manifest_path.display()))?;
        let link_flags = format!("-s -w {}", expand(recipe.version_flags, &version))
            .trim_end()
            .to_owned();

        let mut files = Vec::new();
        for entry in fs::read_dir(&source)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| {
                extension == "go" || extension == "mod" || extension == "sum"
            }) {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let contents = crate::process::read(&path)?;
                files.push((name, contents));
            }
        }
        let key = key(&[RECIPE, recipe.package, recipe.tags, &link_flags], files);
        let target = paths
            .cache()
            .join("tools")
            .join(format!("{}-{version}-{key}", recipe.module));
        Ok(Self {
            recipe,
            source,
            version,
            link_flags,
            go_needed,
            target,
        })
    }

    fn is_done(&self) -> bool {
        self.target.is_dir()
    }

    fn run(&self, paths: &Paths) -> Result<()> {
        let go = find_go()?;
        self.check_go(&go)?;
        let folder = paths.cache().join("tools").join(format!(
            "{UNFINISHED}{}-{}",
            self.recipe.module,
            process::id()
        ));
        create_folder(&folder)?;
        let log = paths.build_log(self.recipe.module);
        let hint = Hint {
            first_time: Some(Duration::from_mins(self.recipe.minutes)),
            log: Some(&log),
        };
        let name = format!("Building {} v{}", self.recipe.title, self.version);
        progress::step(&name, hint, || run_logged(&self.command(&go, &folder), &log)).with_context(|| {
            format!(
                "{} was not built: Go modules must be reachable (`go env GOPROXY` in {}); run the same command again \
                 to go on from where it stopped",
                self.recipe.title,
                self.source.display()
            )
        })?;
        for (built, names) in self.recipe.programs {
            for name in *names {
                if name != built {
                    let path = folder.join(name);
                    symlink(built, &path)
                        .with_context(|| format!("failed to link {}", path.display()))?;
                }
            }
        }
        fs::rename(&folder, &self.target)
            .with_context(|| format!("failed to move the build to {}", self.target.display()))
    }

    fn command(&self, go: &Path, folder: &Path) -> Command {
        let mut command = Command::new(go);
        command
            .current_dir(&self.source)
            .arg("build")
            .args(["-tags", self.recipe.tags]);
        command.args(["-ldflags", &self.link_flags]);
        // A folder with a slash at its end takes any number of programs, each under its package's name.
        command
            .arg("-o")
            .arg(folder.join(""))
            .arg(self.recipe.package);
        command
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-trimpath -mod=readonly -buildvcs=false")
            .env("GOWORK", "off")
            .env_remove("GOOS")
            .env_remove("GOARCH");
        command
    }

    fn check_go(&self, go: &Path) -> Result<()> {
        let said = output(
            Command::new(go)
                .arg("version")
                .current_dir(&self.source)
                .env("GOWORK", "off"),
        )?;
        let found = said
            .split_whitespace()
            .find_map(|word| word.strip_prefix("go1."))
            .map(|rest| parse_version(&format!("1.{rest}")));
        match found {
            Some(found) if found >= self.go_needed => Ok(()),
            _ => bail!(
                "{} needs Go {} or newer and `{} version` says \"{said}\": install a newer Go and put it first on PATH",
                self.recipe.title,
                self.go_needed
                    .iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join("."),
                go.display()
            ),
        }
    }

    /// Puts the tool under its usual names into the folder that people have on their `PATH`.
    fn link_into(&self, bin: &Path) -> Result<()> {
        for name in self.recipe.programs.iter().flat_map(|(_, names)| *names) {
            let wanted = self.target.join(name);
            let link = bin.join(name);
            if fs::read_link(&link).is_ok_and(|found| found == wanted) {
                continue;
            }
            let temporary = bin.join(format!(".{name}-{}", process::id()));
            symlink(&wanted, &temporary)
                .and_then(|()| fs::rename(&temporary, &link))
                .with_context(|| format!("failed to link {}", link.display()))?;
        }
        Ok(())
    }
}

fn find_go() -> Result<PathBuf> {
    let usual = PathBuf::from("/usr/local/go/bin/go");
    find_program("go").or_else(|| usual.is_file().then_some(usual)).context(
        "Go is not installed, and the cluster's programs are built from Go modules: install Go (https://go.dev/doc/install) \
         and put it on PATH",
    )
}

/// What a killed run left. Only under the lock: nobody else is building.
fn remove_unfinished(paths: &Paths) -> Result<()> {
    let tools = paths.cache().join("tools");
    create_folder(&tools)?;
    for entry in fs::read_dir(&tools)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("failed to remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

const UNFINISHED: &str = ".unfinished-";

fn key(settings: &[&str], mut files: Vec<(String, Vec<u8>)>) -> String {
    files.sort();
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    for setting in settings {
        add(setting.as_bytes());
    }
    for (name, contents) in &files {
        add(name.as_bytes());
        add(contents);
    }
    crate::image::hex(&hash.finalize())
        .chars()
        .take(12)
        .collect()
}

/// The version, without its `v`, that a `go.mod` requires of a module.
fn required_version<'a>(manifest: &'a str, module: &str) -> Option<&'a str> {
    manifest.lines().find_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("require ").unwrap_or(line);
        let mut words = line.split_whitespace();
        (words.next() == Some(module))
            .then(|| words.next())?
            .and_then(|version| version.strip_prefix('v'))
    })
}

fn expand(flags: &str, version: &str) -> String {
    let mut parts = version.split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    flags
        .replace("{}", version)
        .replace("{major}", major)
        .replace("{minor}", minor)
}

/// The leading numbers of `1.26.8` or `1.27rc1`.
fn parse_version(text: &str) -> Version {
    let mut numbers = Vec::new();
    for part in text.trim().split('.') {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse() else { break };
        numbers.push(number);
        if digits.len() < part.len() {
            break;
        }
    }
    numbers
}

#[cfg(test)]
mod tests;
