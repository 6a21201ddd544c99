//! `cargo xtask test`: everything that has to pass, what fails fastest first.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use testbed::agent;
use testbed::jdks;
use testbed::packages::{self, Group};
use testbed::paths::{Paths, variable};
use testbed::program;
use testbed::progress::note;
use testbed::toolchain::{self, Tool};

use crate::chart;
use crate::crates::Crate;
use crate::demo;
use crate::docs;
use crate::links;

mod dependencies;
mod on_cluster;

pub(crate) use on_cluster::{Earlier, alerts, matrix, scenario, upgrades};

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run these, in place of all
    #[arg(value_enum, value_name = "LAYER", conflicts_with = "no_cluster")]
    layers: Vec<Layer>,
    /// Run only the cases with this in their name, of the layers unit, jvm and cluster; the last on the cluster that is
    /// up, or on one that is started and stays
    #[arg(last = true, value_name = "PATTERN")]
    pattern: Option<String>,
    /// Leave out what needs a cluster
    #[arg(long)]
    no_cluster: bool,
}

/// A part of what has to pass; in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layer {
    /// The code is formatted
    Format,
    /// The words of code and pages are spelt right
    Spelling,
    /// Clippy finds nothing
    Clippy,
    /// Unit, golden and property tests, the command line, and what fuzzing has found before
    Unit,
    /// Clients that want to stop the server, for a short while
    Hostile,
    /// The code's documentation, the links of all pages, and the site where mdBook is built already
    Docs,
    /// Licences, sources and advisories of dependencies, and whether each is used
    Deny,
    /// The chart by both majors of Helm, its alerts by promtool, and its dashboard
    Chart,
    /// `javelin inject` between Helm, kustomize and kubectl
    Pipelines,
    /// The scripts of `deploy/stack`, between real registries, and the workflows
    Stack,
    /// The agent in real JVMs
    Jvm,
    /// Javelin on a real Kubernetes
    Cluster,
    /// `cargo xtask demo`
    Demo,
}

impl Layer {
    fn title(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Spelling => "spelling",
            Self::Clippy => "clippy",
            Self::Unit => "unit, golden and property tests",
            Self::Hostile => "hostile clients",
            Self::Docs => "documentation",
            Self::Deny => "dependencies",
            Self::Chart => "chart",
            Self::Pipelines => "pipelines",
            Self::Stack => "stack",
            Self::Jvm => "JVM",
            Self::Cluster => "cluster suite",
            Self::Demo => "demo",
        }
    }

    /// May some of it be run alone?
    fn has_cases(self) -> bool {
        matches!(self, Self::Unit | Self::Jvm | Self::Cluster)
    }

    fn needs_cluster(self) -> bool {
        matches!(self, Self::Cluster | Self::Demo)
    }

    fn run(self, paths: &Paths, pattern: Option<&str>) -> Result<()> {
        match self {
            Self::Format => cargo(paths, &["fmt", "--all", "--check"]),
            Self::Spelling => spelling(paths),
            Self::Clippy => cargo(
                paths,
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--locked",
                    "--",
                    "-Dwarnings",
                ],
            ),
            Self::Unit => unit(paths, pattern),
            Self::Hostile => succeed(hostile_suite(paths).env("JAVELIN_HOSTILE", "short")),
            Self::Docs => documentation(paths),
            Self::Deny => dependencies::check(paths),
            Self::Chart => chart::test(paths),
            Self::Pipelines => pipelines(paths),
            Self::Stack => stack(paths),
            Self::Jvm => jvm_suite(paths, pattern),
            Self::Cluster => on_cluster::suite(paths, pattern),
            Self::Demo => demo::run(paths, &demo::Options::default()),
        }
    }
}

impl Options {
    /// What is to run, in order.
    fn chosen(&self) -> Result<Vec<Layer>> {
        let is_chosen = |layer: &Layer| {
            self.layers.contains(layer)
                || self.layers.is_empty() && !(self.no_cluster && layer.needs_cluster())
        };
        let all = Layer::value_variants().iter().copied();
        let chosen: Vec<_> = all.filter(is_chosen).collect();
        if self.pattern.is_some() {
            let names = |layers: &mut dyn Iterator<Item = Layer>| {
                let names = layers.filter_map(|layer| layer.to_possible_value());
                let names = names.map(|value| value.get_name().to_owned());
                names.collect::<Vec<_>>().join(", ")
            };
            let without = names(&mut chosen.iter().copied().filter(|layer| !layer.has_cases()));
            let with = names(
                &mut Layer::value_variants()
                    .iter()
                    .copied()
                    .filter(|layer| layer.has_cases()),
            );
            ensure!(
                !self.layers.is_empty(),
                "a pattern is for the cases of one layer: name it, one of {with}"
            );
            ensure!(
                without.is_empty(),
                "a pattern chooses among cases, and these layers have none: {without}; those that have are {with}"
            );
        }
        Ok(chosen)
    }
}

/// Runs all layers, or those that are named; the first failure ends it.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    if options.layers.is_empty() {
        warn_of_a_full_disk(paths);
    }
    let start = Instant::now();
    let mut done = Vec::new();
    for layer in options.chosen()? {
        let title = layer.title();
        note(&format!("\n=== {title}"));
        let before = Instant::now();
        layer
            .run(paths, options.pattern.as_deref())
            .with_context(|| format!("the step \"{title}\" failed"))?;
        done.push((title, before.elapsed()));
    }
    let is_all = options.layers.is_empty();
    note(if is_all {
        "\n=== all passed"
    } else {
        "\n=== passed, of what was named"
    });
    for (title, took) in done {
        note(&format!("{:>6} s  {title}", took.as_secs()));
    }
    note(&format!("{:>6} s  in all", start.elapsed().as_secs()));
    if options.no_cluster {
        note("Left out, as --no-cluster says: the cluster suite and the demo.");
    }
    Ok(())
}

/// On a full disk the linker dies of a bus error, which tells nobody why.
fn warn_of_a_full_disk(paths: &Paths) {
    const NEEDED: u64 = 14 << 30;
    let Ok(disk) = rustix::fs::statvfs(paths.root()) else {
        return;
    };
    let free = disk.f_bavail * disk.f_frsize;
    if free < NEEDED {
        note(&format!(
            "{} GiB are free on the disk of {}; from nothing, all of the tests write up to {} GiB",
            free >> 30,
            paths.root().display(),
            NEEDED >> 30
        ));
    }
}

/// The suite in `tests/hostile`, for as long as its figures need.
pub(crate) fn hostile(paths: &Paths) -> Result<()> {
    let mut command = hostile_suite(paths);
    name_release(paths, &mut command)?;
    succeed(command.env("JAVELIN_HOSTILE", "long"))
}

/// How long to load the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// For so long
    #[arg(long, default_value_t = 60.0, value_name = "N")]
    minutes: f64,
}

/// The soak in `tests/hostile`; draws `docs/soak.svg`.
pub(crate) fn soak(paths: &Paths, options: &Soak) -> Result<()> {
    let mut command = hostile_suite(paths);
    name_release(paths, &mut command)?;
    command.args(["--", "soak", "--exact"]);
    succeed(command.env("JAVELIN_SOAK", options.minutes.to_string()))
}

/// Tells the tests where the program of the image is, which this builds.
fn name_release(paths: &Paths, command: &mut Command) -> Result<()> {
    command.env("JAVELIN_PROGRAM", program::of_this_machine(paths)?);
    Ok(())
}

/// Writes the expected results of the golden cases, and of the transcripts, anew.
pub(crate) fn bless(paths: &Paths) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args(["test", "--test", "it"]);
    name_judge(paths, &mut command)?;
    succeed(command.env("JAVELIN_BLESS", "1").env("TRYCMD", "overwrite"))
}

/// Writes the pages of `docs/` that come from the code, or fails where one differs. The unit tests of [`run`] do
/// the latter, too.
pub(crate) fn codegen(paths: &Paths, check: bool) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args([
        "test",
        "--package",
        "javelin",
        "--lib",
        "--locked",
        "docs::",
    ]);
    if !check {
        command.env("JAVELIN_BLESS", "1");
    }
    succeed(&mut command)
}

/// All that needs nothing but this checkout, and the judge of YAML. With a pattern without the documentation's examples, and without the cases of
/// other layers, which would be ignored here.
fn unit(paths: &Paths, pattern: Option<&str>) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args(["test", "--workspace", "--locked"]);
    name_judge(paths, &mut command)?;
    if let Some(pattern) = pattern {
        command.args(["--lib", "--bins", "--test", "it", "--test", "replay"]);
        choose(&mut command, pattern)?;
    }
    succeed(&mut command)
}

/// The program as tests have it. Built by itself it would have other features of its dependencies than with everybody's
/// tests, so that all of them were compiled once more.
pub(crate) fn program_of_tests(paths: &Paths) -> Result<PathBuf> {
    cargo(
        paths,
        &["test", "--workspace", "--locked", "--no-run", "--quiet"],
    )?;
    Ok(program::target_folder(paths)?.join("debug/javelin"))
}

/// Tells the tests where the program is that reads YAML as kubectl does.
fn name_judge(paths: &Paths, command: &mut Command) -> Result<()> {
    let tools = toolchain::ensure(paths, &[Tool::YamlJudge])?;
    command.env("JAVELIN_YAML_JUDGE", tools.program("yaml-judge"));
    Ok(())
}

/// Runs only those with the pattern in their name; an error when there is none, since nothing would then be tested.
fn choose(command: &mut Command, pattern: &str) -> Result<()> {
    command.arg("--");
    let program = command.get_program().to_owned();
    let words: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
    let mut listing = Command::new(&program);
    listing.args(&words).args([pattern, "--list"]);
    if let Some(folder) = command.get_current_dir() {
        listing.current_dir(folder);
    }
    // Compiling may take a while, and is seen on standard error.
    let output = listing
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} did not start", program.display()))?;
    ensure!(
        output.status.success(),
        "{listing:?} ended with {}",
        output.status
    );
    let count = cases_in(&String::from_utf8_lossy(&output.stdout));
    ensure!(
        count > 0,
        "no case of this layer has {pattern:?} in its name: `{} {} --list` shows them",
        program.display(),
        words.join(OsStr::new(" ")).display()
    );
    note(&format!("{count} with {pattern:?} in their name"));
    command.arg(pattern);
    Ok(())
}

/// How many tests are in what `--list` printed.
fn cases_in(listing: &str) -> usize {
    listing
        .lines()
        .filter(|line| line.ends_with(": test"))
        .count()
}

fn hostile_suite(paths: &Paths) -> Command {
    let mut command = cargo_command(paths);
    command.args(["test", "--test", "hostile", "--locked"]);
    command
}

fn documentation(paths: &Paths) -> Result<()> {
    links::check(paths.root())?;
    if docs::is_quick(paths) {
        docs::build(paths)?;
    } else {
        note("LEFT OUT: the site. `cargo xtask docs` builds mdBook for it");
    }
    let mut command = cargo_command(paths);
    command.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    succeed(command.env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// `typos`, over all that is committed; `typos.toml` has the words that it does not know.
fn spelling(paths: &Paths) -> Result<()> {
    succeed(Command::new(TYPOS.ensure(paths)?).current_dir(paths.root()))
}

/// `javelin inject` between the programs that people use it with; `kubectl` only where the cluster's programs are built.
fn pipelines(paths: &Paths) -> Result<()> {
    let tools = toolchain::ensure(paths, &[Tool::Helm4, Tool::Helm3, Tool::Kustomize])?;
    for tests in ["pipelines::", "inject::"] {
        let mut command = cargo_command(paths);
        command.args(["test", "--test", "it", "--locked", tests]);
        succeed(command.env("JAVELIN_TOOLS", tools.program("")))?;
    }
    Ok(())
}

/// The workflows, linted. The scripts of `deploy/stack`: linted, and run between registries. Where `JAVELIN_CHARTS` names the charts, their values
/// are rendered, too.
fn stack(paths: &Paths) -> Result<()> {
    packages::ensure(paths, &[Group::Stack])?;
    let mut lint = Command::new("shellcheck");
    lint.args(["install.sh", "mirror.sh"])
        .current_dir(paths.root().join("deploy/stack"));
    succeed(&mut lint)?;
    let tools = toolchain::ensure(
        paths,
        &[Tool::Crane, Tool::Helm4, Tool::Helm3, Tool::Actionlint],
    )?;
    // It finds the workflows by itself, and shellcheck for what they run.
    succeed(Command::new(tools.program("actionlint")).current_dir(paths.root()))?;
    for tests in ["mirror::", "stack::"] {
        let mut command = cargo_command(paths);
        command.args(["test", "--test", "it", "--locked", tests]);
        succeed(command.env("JAVELIN_TOOLS", tools.program("")))?;
    }
    if variable("JAVELIN_CHARTS").is_none() {
        note(
            "LEFT OUT: rendering the values of deploy/stack. The charts are others'; name a folder of them in \
             JAVELIN_CHARTS",
        );
    }
    Ok(())
}

/// The suite in `tests/jvm`, on the JDK that compiles and on others that the machine has.
pub(crate) fn jvm_suite(paths: &Paths, pattern: Option<&str>) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args(["test", "--test", "jvm", "--locked"]);
    if let Some(pattern) = pattern {
        choose(&mut command, pattern)?;
    }
    packages::ensure(paths, &[Group::Java])?;
    let agent = agent::jar(paths)?;
    let jdks = jdks::find()?;
    for jdk in &jdks {
        note(&format!("Java {} in {}", jdk.major, jdk.home.display()));
    }
    if !jdks.iter().any(|jdk| jdk.major == NEWEST_JAVA) {
        note(&format!(
            "LEFT OUT: Java {NEWEST_JAVA}. No JDK of it is in {}; install one there, or name it in JAVA_HOME",
            jdks::FOLDER
        ));
    }
    let homes = env::join_paths(jdks.iter().map(|jdk| &jdk.home))
        .context("a JDK's folder has a colon in its name: move it")?;
    command
        .env("JAVELIN_JVM", homes)
        .env("JAVELIN_JAVAAGENT", agent);
    succeed(&mut command)
}

fn cargo(paths: &Paths, arguments: &[&str]) -> Result<()> {
    succeed(cargo_command(paths).args(arguments))
}

pub(crate) fn cargo_command(paths: &Paths) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths.root());
    command
}

/// Runs with its output on ours: whoever waits wants to see it.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{} did not start", command.get_program().display()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

const TYPOS: Crate = Crate {
    name: "typos-cli",
    program: "typos",
    version: "1.52.0",
    options: &[],
    first_time: Duration::from_mins(2),
};
/// The newest version with long support: the suite ought to see it.
const NEWEST_JAVA: u32 = 25;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Layer, Options, cases_in};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn chosen(line: &str) -> Result<Vec<Layer>, String> {
        let words = ["test"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.options.chosen().map_err(|error| error.to_string())
    }

    #[test]
    fn layers_run_in_their_own_order_and_each_once() {
        assert_eq!(
            chosen("").unwrap().len(),
            <Layer as clap::ValueEnum>::value_variants().len()
        );
        assert_eq!(chosen("--no-cluster").unwrap().last(), Some(&Layer::Jvm));
        let two = [Layer::Format, Layer::Cluster];
        assert_eq!(chosen("cluster format cluster").unwrap(), two);
        assert_eq!(chosen("cluster -- label").unwrap(), [Layer::Cluster]);
    }

    #[test]
    fn what_is_no_layer_is_told_with_all_that_are() {
        let told = chosen("clustre").unwrap_err();
        let layers = "format, spelling, clippy, unit, hostile, docs, deny, chart, pipelines, stack, jvm, cluster, demo";
        assert!(
            told.contains("'clustre'") && told.contains(layers),
            "{told}"
        );
        chosen("--no-cluster cluster").unwrap_err();
    }

    #[test]
    fn a_pattern_wants_a_layer_that_has_cases() {
        let told = chosen("-- label").unwrap_err();
        assert!(
            told.contains("name it, one of unit, jvm, cluster"),
            "{told}"
        );
        let told = chosen("unit clippy chart -- label").unwrap_err();
        assert!(told.contains("have none: clippy, chart;"), "{told}");
    }

    #[test]
    fn cases_are_counted_as_they_are_listed() {
        assert_eq!(cases_in("\nignored: there is no cluster\n"), 0);
        assert_eq!(cases_in("0 tests, 0 benchmarks\n"), 0);
        let listing = "a::b: test\nc: test\n\n2 tests, 0 benchmarks\n";
        assert_eq!(cases_in(listing), 2);
    }
}
