//! `cargo xtask test`: everything that has to pass, what fails fastest first.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cluster;
use crate::demo;
use crate::images;
use crate::jdks;
use crate::kube::Cluster;
use crate::packages::{self, Group};
use crate::paths::{Paths, variable};
use crate::process::{create_folder, output, read, run as run_quietly, run_logged, write};
use crate::progress::{self, Hint, note};
use crate::toolchain::{self, Tool};

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave out what needs a cluster
    #[arg(long)]
    no_cluster: bool,
}

/// Runs all steps; the first failure ends it.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let mut steps: Vec<(&str, Step)> = vec![
        ("format", |paths| cargo(paths, &["fmt", "--all", "--check"])),
        ("clippy", |paths| {
            cargo(
                paths,
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--locked",
                    "--",
                    "-Dwarnings",
                ],
            )
        }),
        ("unit, golden and property tests", |paths| {
            cargo(paths, &["test", "--workspace", "--locked"])
        }),
        ("hostile clients", |paths| hostile_suite(paths, "short")),
        ("documentation", documentation),
        ("dependencies", dependencies),
        ("chart", chart),
        ("pipelines", pipelines),
        ("JVM", jvm_suite),
    ];
    if !options.no_cluster {
        steps.push(("cluster suite", cluster_suite));
        steps.push(("demo", |paths| demo::run(paths, &demo::Options::default())));
    }
    let start = Instant::now();
    let mut done = Vec::new();
    for (name, step) in steps {
        note(&format!("\n=== {name}"));
        let before = Instant::now();
        step(paths).with_context(|| format!("the step \"{name}\" failed"))?;
        done.push((name, before.elapsed()));
    }
    note("\n=== all passed");
    for (name, took) in done {
        note(&format!("{:>6} s  {name}", took.as_secs()));
    }
    note(&format!("{:>6} s  in all", start.elapsed().as_secs()));
    if options.no_cluster {
        note("Left out, as --no-cluster says: the cluster suite and the demo.");
    }
    Ok(())
}

/// The suite in `tests/hostile`, for as long as its figures need.
pub(crate) fn hostile(paths: &Paths) -> Result<()> {
    hostile_suite(paths, "long")
}

/// Writes the expected results of the golden cases, and of the transcripts, anew.
pub(crate) fn bless(paths: &Paths) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args(["test", "--test", "it"]);
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

type Step = fn(&Paths) -> Result<()>;

fn hostile_suite(paths: &Paths, length: &str) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args(["test", "--test", "hostile", "--locked"]);
    succeed(command.env("JAVELIN_HOSTILE", length))
}

fn documentation(paths: &Paths) -> Result<()> {
    let mut command = cargo_command(paths);
    command.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    succeed(command.env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// `cargo deny`: licences, sources, versions, advisories.
///
/// The advisories come from `JAVELIN_ADVISORY_DB`, a tar archive of them, where there is no way to their own
/// repository. Where there is neither, they are left out, and that is said.
fn dependencies(paths: &Paths) -> Result<()> {
    let program = cargo_deny(paths)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(["--workspace", "--locked"])
            .args(arguments)
            .current_dir(paths.root());
        command
    };
    succeed(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    if let Some(archive) = variable("JAVELIN_ADVISORY_DB") {
        let Mirror { config, repository } = mirror_of_advisories(paths, Path::new(&archive))?;
        let mut check = deny(&["--config", &config, "check", "advisories"]);
        // Git then takes the mirror wherever the database's own address is named.
        check
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", format!("url.{repository}.insteadOf"))
            .env("GIT_CONFIG_VALUE_0", ADVISORIES);
        return succeed(&mut check);
    }
    let reachable = run_quietly(Command::new("git").args(["ls-remote", ADVISORIES, "HEAD"]));
    if reachable.is_err() {
        note(&format!(
            "SKIPPED: advisories. {ADVISORIES} cannot be reached; name a tar archive of it in JAVELIN_ADVISORY_DB"
        ));
        return Ok(());
    }
    succeed(&mut deny(&["check", "advisories"]))
}

/// The program, built into the cache when it is missing.
fn cargo_deny(paths: &Paths) -> Result<PathBuf> {
    let root = paths.cache().join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        let log = paths.build_log("cargo-deny");
        let hint = Hint {
            first_time: Some(Duration::from_mins(5)),
            log: Some(&log),
        };
        progress::step(&format!("Building cargo-deny {CARGO_DENY}"), hint, || {
            let mut command = Command::new("cargo");
            command
                .args([
                    "install",
                    "cargo-deny",
                    "--locked",
                    "--version",
                    CARGO_DENY,
                    "--root",
                ])
                .arg(&root)
                // Not the checkout's: it has settings of its own.
                .current_dir(paths.cache());
            run_logged(&command, &log)
        })?;
    }
    Ok(program)
}

/// The advisories of an archive, as a git repository.
struct Mirror {
    /// A copy of `deny.toml` that keeps them apart from those of the network.
    config: String,
    /// The repository's address.
    repository: String,
}

fn mirror_of_advisories(paths: &Paths, archive: &Path) -> Result<Mirror> {
    let folder = paths.cache().join("advisory-db");
    let databases = paths.cache().join("advisory-dbs");
    for stale in [&folder, &databases] {
        let _ = fs::remove_dir_all(stale);
    }
    create_folder(&folder)?;
    let git = |arguments: &[&str]| {
        let identity = [
            "-c",
            "user.name=javelin",
            "-c",
            "user.email=javelin@localhost",
        ];
        run_quietly(
            Command::new("git")
                .args(identity)
                .arg("-C")
                .arg(&folder)
                .args(arguments),
        )
    };
    run_quietly(
        Command::new("tar")
            .arg("-xf")
            .arg(archive)
            .arg("-C")
            .arg(&folder),
    )
    .context("JAVELIN_ADVISORY_DB must be a tar archive of the advisory database")?;
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message=as archived"])?;
    let settings = String::from_utf8(read(&paths.root().join("deny.toml"))?)?;
    let theirs = "$CARGO_HOME/advisory-dbs";
    ensure!(
        settings.contains(theirs) && settings.contains(ADVISORIES),
        "deny.toml does not name {theirs} and {ADVISORIES}"
    );
    let config = paths.cache().join("deny.toml");
    write(
        &config,
        settings.replace(theirs, &databases.display().to_string()),
    )?;
    Ok(Mirror {
        config: config.display().to_string(),
        repository: format!("file://{}", folder.display()),
    })
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

/// Lint, and the same bytes from two renders, by both majors of Helm.
fn chart(paths: &Paths) -> Result<()> {
    let tools = toolchain::ensure(paths, &[Tool::Helm4, Tool::Helm3])?;
    let chart = paths.root().join("deploy/chart");
    for helm in ["helm", "helm3"] {
        let helm = |arguments: &[&str]| {
            let mut command = Command::new(tools.program(helm));
            // The Kubernetes that Helm was built for may be older than the chart allows.
            command
                .args(arguments)
                .arg("--kube-version=1.37.2")
                .current_dir(paths.root());
            command
        };
        let chart = chart.display().to_string();
        succeed(&mut helm(&["lint", "--strict", &chart]))?;
        let render = || {
            output(&mut helm(&[
                "template",
                "javelin",
                &chart,
                "--set=profiles.checkout.delivery=init-container",
            ]))
        };
        let first = render()?;
        ensure!(first == render()?, "two renders of the chart differ");
        ensure!(
            !first.contains("caBundle:"),
            "the chart mentions caBundle, which is the server's to write"
        );
        let with = |values: &[&str]| {
            output(helm(&["template", "javelin", &chart, "--namespace=ns"]).args(values))
        };
        check_images(
            paths,
            &with(&["--set=profiles.checkout.agent.image=example.com/agent:2"])?,
        )?;
        check_existing_secret(&with(&[SECRET, BUNDLE_VALUE])?)?;
        check_cert_manager(&with(&[WITH_CERT_MANAGER, ISSUER])?)?;
        for values in [
            // Two sources; a second writer of the caBundle; nobody who signs; no certificate in it; a key in it.
            &[SECRET, WITH_CERT_MANAGER, ISSUER][..],
            &[BUNDLE_VALUE],
            &[WITH_CERT_MANAGER],
            &[SECRET, "--set=tls.caBundle=bm8="],
            &[SECRET, BUNDLE_VALUE_WITH_KEY],
            &["--set=tls.noSuchKey=a"],
        ] {
            ensure!(with(values).is_err(), "the chart takes {values:?}");
        }
    }
    Ok(())
}

/// `javelin images` lists what the chart names, and nothing else.
fn check_images(paths: &Paths, rendered: &str) -> Result<()> {
    let lines = rendered
        .lines()
        .map(|line| line.trim().trim_start_matches("- "));
    let images = lines.filter_map(|line| line.strip_prefix("image: "));
    let named: BTreeSet<_> = images.map(|image| image.trim_matches('"')).collect();
    ensure!(named.len() == 2, "the chart names {named:?}");
    let file = paths.cache().join("rendered.yaml");
    write(&file, rendered)?;
    let mut command = cargo_command(paths);
    command
        .args([
            "run",
            "--quiet",
            "--package=javelin",
            "--locked",
            "--",
            "images",
            "-f",
        ])
        .arg(&file);
    let listed = output(&mut command)?;
    let listed: BTreeSet<_> = listed.lines().collect();
    ensure!(
        listed == named,
        "the chart uses {named:?}, and `javelin images` lists {listed:?}"
    );
    Ok(())
}

/// A caBundle in each entry, and nothing that asks the API server for anything.
fn check_existing_secret(rendered: &str) -> Result<()> {
    check_files(rendered, "secretName: \"corporate\"")?;
    let bundle = format!("clientConfig:\n      caBundle: {BUNDLE}\n");
    let (entries, bundles) = (count(rendered, "clientConfig:"), count(rendered, &bundle));
    ensure!(
        entries > 5 && entries == bundles,
        "of {entries} entries {bundles} have the caBundle"
    );
    ensure!(
        !rendered.contains("cert-manager"),
        "cert-manager has no part in this"
    );
    Ok(())
}

/// A Certificate into the Secret that is mounted, for the Service's name, and cert-manager to write the caBundle.
fn check_cert_manager(rendered: &str) -> Result<()> {
    check_files(rendered, "secretName: \"javelin-tls\"")?;
    for expected in [
        "kind: Certificate\n",
        "secretName: javelin-tls\n",
        "    - javelin.ns.svc\n",
        "cert-manager.io/inject-ca-from: ns/javelin\n",
    ] {
        ensure!(
            rendered.contains(expected),
            "{expected:?} is missing with cert-manager"
        );
    }
    ensure!(
        !rendered.contains("caBundle:"),
        "the caBundle is cert-manager's to write"
    );
    Ok(())
}

fn check_files(rendered: &str, mount: &str) -> Result<()> {
    for expected in [
        mount,
        "--tls-cert=/etc/javelin-tls/tls.crt\n",
        "--tls-key=/etc/javelin-tls/tls.key\n",
        "automountServiceAccountToken: false\n",
        "javelin.dev/ca-bundle: external\n",
    ] {
        ensure!(rendered.contains(expected), "{expected:?} is missing");
    }
    for useless in [
        "kind: Secret\n",
        "kind: Role",
        "kind: ClusterRole",
        "--secret=",
    ] {
        ensure!(!rendered.contains(useless), "{useless:?} is of no use");
    }
    Ok(())
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// The suite in `tests/jvm`, on the JDK that compiles and on others that the machine has.
fn jvm_suite(paths: &Paths) -> Result<()> {
    packages::ensure(paths, &[Group::Java])?;
    let agent = images::agent(paths)?;
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
    let mut command = cargo_command(paths);
    command
        .args(["test", "--test", "jvm", "--locked"])
        .env("JAVELIN_JVM", homes)
        .env("JAVELIN_JAVAAGENT", agent);
    succeed(&mut command)
}

/// The suite in `tests/cluster`, on a fresh cluster of our own or on the one that `KUBECONFIG` names.
fn cluster_suite(paths: &Paths) -> Result<()> {
    let tools = toolchain::ensure(paths, &[Tool::Helm4, Tool::Helm3])?;
    let cluster = if let Some(theirs) = Cluster::from_env(paths)? {
        theirs
    } else {
        cluster::down(paths)?;
        cluster::up(paths)?
    };
    let product = images::javelin(paths)?;
    for image in [
        &product,
        &images::shop(paths)?,
        &images::collector(paths)?,
        &images::pause(paths)?,
        &images::witness(paths)?,
    ] {
        cluster.load_image(image)?;
    }
    let mut command = cargo_command(paths);
    command
        .args(["test", "--test", "cluster", "--locked", "--"])
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("JAVELIN_CLUSTER", "1")
        .env("JAVELIN_TOOLS", tools.program(""))
        .env("JAVELIN_IMAGE_FACTS", product.to_string());
    if cluster.is_ours() {
        command.env("JAVELIN_CLUSTER_LOGS", cluster::logs(paths));
    }
    succeed(&mut command)
}

fn cargo(paths: &Paths, arguments: &[&str]) -> Result<()> {
    succeed(cargo_command(paths).args(arguments))
}

fn cargo_command(paths: &Paths) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths.root());
    command
}

/// Runs with its output on ours: whoever waits wants to see it.
fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{} did not start", command.get_program().display()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

const SECRET: &str = "--set=tls.existingSecret=corporate";
const WITH_CERT_MANAGER: &str = "--set=tls.certManager.enabled=true";
const ISSUER: &str = "--set=tls.certManager.issuerRef.name=corporate";
/// The chart looks at the labels alone.
const BUNDLE_VALUE: &str =
    "--set=tls.caBundle=-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----";
const BUNDLE_VALUE_WITH_KEY: &str =
    "--set=tls.caBundle=-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----";
const BUNDLE: &str =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFRSUQKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

const CARGO_DENY: &str = "0.20.2";
const ADVISORIES: &str = "https://github.com/rustsec/advisory-db";

/// The newest version with long support: the suite ought to see it.
const NEWEST_JAVA: u32 = 25;
