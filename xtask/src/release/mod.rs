//! `cargo xtask release`: everything that a release has, in one folder, the same bytes from the same commit.
//!
//! - [`tree`](mod@tree) is what Cargo resolves for the program; [`sbom`] and [`notices`] write it down.
//! - [`trial`] runs every program, by an emulator where it has to, and holds their answers against each other.
//! - [`sign`] is the one thing that differs from run to run.
//!
//! Deliberately not here: publishing. The folder is all of it; `.github/workflows/release.yaml` shows one way.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use testbed::agent;
use testbed::image::{hex, write_index};
use testbed::images::Product;
use testbed::paths::Paths;
use testbed::platform::Platform;
use testbed::process::{create_folder, output, read, run as run_quietly, write};
use testbed::program::{self, Released};
use testbed::progress::{self, Hint, note};
use testbed::toolchain::{self, Tool};

use crate::archive::Files;
use crate::crates::Crate;
use crate::plugin;

pub(crate) mod notices;
mod sbom;
mod sign;
mod tree;
mod trial;

/// What to release.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder to write to; it must be empty, or not be there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The address of the repository, for the labels of the image and the fields of the chart
    #[arg(long, value_name = "URL")]
    source: String,
    /// The address of the folder that the files will be in, for krew [default: by the source, as GitHub has it]
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    /// Sign by this private key, in PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Only for these
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM", default_values_t = Platform::ALL)]
    platform: Vec<Platform>,
}

/// Writes the folder.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let commit = Commit::of_checkout(paths)?;
    let notes = notes(paths)?;
    let folder = empty_folder(&options.output)?;
    let tools = toolchain::ensure(paths, &[Tool::Helm4])?;
    let programs = programs(paths, &options.platform)?;
    trial::run(paths, &programs)?;
    let release = Release {
        paths,
        options,
        commit,
        folder,
        helm: tools.program("helm"),
    };
    progress::step("Writing the archives", Hint::default(), || {
        release.command_lines(&programs)?;
        release.chart()?;
        release.manifest()?;
        release.helm_plugin()?;
        write(
            &release.file("sbom.cdx.json"),
            sbom::write(paths, &release.commit.created)?,
        )?;
        write(&release.folder.join("NOTES.md"), notes)
    })?;
    let digest = progress::step("Writing the image", Hint::default(), || {
        release.image(&programs)
    })?;
    release.facts(&programs, &digest)?;
    release.sums()?;
    match &options.key {
        Some(key) => sign::run(paths, key, &release.folder)?,
        None => note("LEFT OUT: the signature, which wants `--key FILE`"),
    }
    println!("{}", release.folder.display());
    Ok(())
}

/// One index of images, for `cargo xtask image --platform`.
pub(crate) fn image(paths: &Paths, platforms: &[Platform], archive: &Path) -> Result<String> {
    let programs = programs(paths, platforms)?;
    progress::step("Writing the image", Hint::default(), || {
        index(paths, &programs, "", None, archive)
    })
}

fn programs(paths: &Paths, platforms: &[Platform]) -> Result<Vec<Released>> {
    let auditable = CARGO_AUDITABLE.ensure(paths)?;
    let released = platforms
        .iter()
        .map(|platform| program::released(paths, *platform, &auditable));
    released.collect()
}

fn index(
    paths: &Paths,
    programs: &[Released],
    source: &str,
    commit: Option<&Commit>,
    archive: &Path,
) -> Result<String> {
    let mut images = Vec::new();
    for program in programs {
        let product = Product {
            platform: program.platform,
            program: &program.program,
            source,
            revision: commit.map_or("", |commit| &commit.revision),
        };
        let mut image = product.image(paths, &format!("localhost/javelin:{VERSION}"))?;
        if let Some(commit) = commit {
            image = image.created(&commit.created);
        }
        images.push(image);
    }
    write_index(&images, archive)
}

/// What a release is of.
struct Commit {
    revision: String,
    /// As `2026-01-31T12:00:00Z`.
    created: String,
}

impl Commit {
    fn of_checkout(paths: &Paths) -> Result<Self> {
        let git = |arguments: &[&str]| {
            output(
                Command::new("git")
                    .args(arguments)
                    .env("TZ", "UTC")
                    .current_dir(paths.root()),
            )
        };
        let changed = git(&["status", "--porcelain"])?;
        ensure!(
            changed.is_empty(),
            "the checkout has changes, and a release is of a commit: commit or remove them\n{changed}"
        );
        Ok(Self {
            revision: git(&["rev-parse", "HEAD"])?,
            created: git(&[
                "log",
                "-1",
                "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
                "--format=%cd",
            ])?,
        })
    }
}

struct Release<'a> {
    paths: &'a Paths,
    options: &'a Options,
    commit: Commit,
    folder: PathBuf,
    helm: PathBuf,
}

impl Release<'_> {
    /// A file's name has the version in it, as files are often carried without their folder.
    fn file(&self, rest: &str) -> PathBuf {
        self.folder.join(format!("javelin-{VERSION}-{rest}"))
    }

    fn command_lines(&self, programs: &[Released]) -> Result<()> {
        let root = self.paths.root();
        let mut all = Vec::new();
        for program in programs {
            let rest = format!("linux-{}.tar.gz", program.platform.architecture());
            Files::default()
                .copy("javelin", 0o755, &program.program)?
                .copy("LICENSE", 0o644, &root.join("LICENSE"))?
                .copy("THIRD-PARTY", 0o644, &root.join("THIRD-PARTY"))?
                .pack(&self.file(&rest))?;
            all.push((program.platform, program.program.as_path()));
        }
        let source = self.options.source.trim_end_matches('/');
        let base = self.options.base.clone();
        let base = base.unwrap_or_else(|| format!("{source}/releases/download/v{VERSION}"));
        plugin::write_all(self.paths, &self.folder, &base, &all)?;
        Ok(())
    }

    /// As Helm packages it, but without the time at which it did.
    fn chart(&self) -> Result<()> {
        let work = self.folder.join(".work");
        let chart = work.join("javelin");
        copy_folder(&self.paths.root().join("deploy/chart"), &chart)?;
        let about = chart.join("Chart.yaml");
        let text = String::from_utf8(read(&about)?)?;
        write(
            &about,
            with_origin(&text, &self.options.source, &self.commit.revision)?,
        )?;
        run_quietly(
            Command::new(&self.helm)
                .arg("package")
                .arg(&chart)
                .arg("--destination")
                .arg(&work),
        )?;
        let name = format!("javelin-{VERSION}.tgz");
        Files::of_archive(&work.join(&name))
            .context(
                "Helm's package has another name: is the version in Chart.yaml that of Cargo.toml?",
            )?
            .pack(&self.folder.join(&name))?;
        fs::remove_dir_all(&work).with_context(|| format!("failed to remove {}", work.display()))
    }

    /// For those without Helm.
    fn manifest(&self) -> Result<()> {
        let chart = self.folder.join(format!("javelin-{VERSION}.tgz"));
        let rendered = output(
            Command::new(&self.helm)
                .args(["template", "javelin"])
                .arg(chart)
                .args(["--namespace=javelin-system", "--no-hooks"])
                // The oldest that the chart allows.
                .arg("--kube-version=1.30.0")
                .arg(format!("--set=image.registry={REGISTRY}"))
                .arg(format!("--set=default.otlp.endpoint={ENDPOINT}"))
                .arg("--set=tests.enabled=false"),
        )?;
        write(
            &self.folder.join("install.yaml"),
            format!("{INSTALL_HEAD}{rendered}\n"),
        )
    }

    fn helm_plugin(&self) -> Result<()> {
        let root = self.paths.root();
        let plugin = root.join("deploy/helm-plugin/plugin.yaml");
        Files::default()
            .copy("javelin/plugin.yaml", 0o644, &plugin)?
            .copy("javelin/LICENSE", 0o644, &root.join("LICENSE"))?
            .pack(&self.file("helm-plugin.tgz"))
    }

    /// Gives the digest of the index.
    fn image(&self, programs: &[Released]) -> Result<String> {
        let archive = self.file("image.tar");
        let source = &self.options.source;
        index(self.paths, programs, source, Some(&self.commit), &archive)
    }

    /// What made it, for whoever wants to make it again.
    fn facts(&self, programs: &[Released], digest: &str) -> Result<()> {
        let lock = agent::lock(self.paths)?;
        let compilers: serde_json::Map<_, _> = programs
            .iter()
            .map(|program| (program.platform.to_string(), json!(program.compiler)))
            .collect();
        let facts = json!({
            "version": VERSION,
            "source": self.options.source,
            "revision": self.commit.revision,
            "created": self.commit.created,
            "image": digest,
            "agent": { "version": lock.version, "sha256": lock.sha256 },
            "compilers": compilers,
            "cargo-auditable": CARGO_AUDITABLE.version,
        });
        write(
            &self.folder.join("release.json"),
            serde_json::to_string_pretty(&facts)? + "\n",
        )
    }

    /// As `sha256sum --check` reads it.
    fn sums(&self) -> Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let mut sums = String::new();
        for name in names {
            let digest = hex(&Sha256::digest(read(&self.folder.join(&name))?));
            writeln!(sums, "{digest}  {name}")?;
        }
        write(&self.folder.join(SUMS), sums)
    }
}

fn empty_folder(folder: &Path) -> Result<PathBuf> {
    create_folder(folder)?;
    let mut entries = fs::read_dir(folder)?;
    ensure!(
        entries.next().is_none(),
        "{} is not empty: a release has a folder of its own",
        folder.display()
    );
    fs::canonicalize(folder).with_context(|| format!("failed to find {}", folder.display()))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    create_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            write(&target, read(&entry.path())?)?;
        }
    }
    Ok(())
}

/// The chart's own words with where it comes from; Helm makes annotations of an OCI registry of them.
fn with_origin(chart: &str, source: &str, revision: &str) -> Result<String> {
    const ANNOTATIONS: &str = "\nannotations:\n";
    let origin = format!(
        "\nhome: {source}\nsources:\n  - {source}{ANNOTATIONS}  org.opencontainers.image.revision: {revision}\n"
    );
    ensure!(
        chart.matches(ANNOTATIONS).count() == 1,
        "Chart.yaml has no line `annotations:`, or several"
    );
    Ok(chart.replace(ANNOTATIONS, &origin))
}

/// The section of this version; in a rehearsal, what is not released yet.
fn notes(paths: &Paths) -> Result<String> {
    let changes = String::from_utf8(read(&paths.root().join("CHANGELOG.md"))?)?;
    if let Some(notes) = section(&changes, VERSION) {
        return Ok(notes);
    }
    note(&format!(
        "A REHEARSAL: CHANGELOG.md has no section `## [{VERSION}]`, and NOTES.md is what it has under `[Unreleased]`"
    ));
    section(&changes, "Unreleased")
        .context("CHANGELOG.md has nothing under `## [Unreleased]` either")
}

fn section(changes: &str, version: &str) -> Option<String> {
    let (_, rest) = changes.split_once(&format!("\n## [{version}]"))?;
    let (_, rest) = rest.split_once('\n')?;
    let text = rest.split("\n## [").next()?.trim();
    (!text.is_empty()).then(|| format!("{text}\n"))
}

const SUMS: &str = "SHA256SUMS";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `install.yaml` has in the place of what only its reader knows.
const REGISTRY: &str = "registry.example.com";
const ENDPOINT: &str = "http://otel-collector.observability.svc:4318";

const INSTALL_HEAD: &str = "\
# Javelin for those without Helm: the chart with its defaults, rendered. With your registry and the address of your
# Collector in their places:
#
#   sed -e 's|registry.example.com|YOUR-REGISTRY|' -e 's|http://otel-collector.observability.svc:4318|YOUR-ENDPOINT|' \\
#       install.yaml | kubectl apply -f -
#
# A later version is applied in the same way. The Secret is empty here, and applying it keeps what the cluster has in it.
apiVersion: v1
kind: Namespace
metadata:
  name: javelin-system
";

const CARGO_AUDITABLE: Crate = Crate {
    name: "cargo-auditable",
    program: "cargo-auditable",
    version: "0.7.7",
    options: &[],
    first_time: Duration::from_mins(2),
};

#[cfg(test)]
mod tests;
