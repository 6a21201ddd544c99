//! Javelin's own chores, as `cargo xtask VERB`.
//!
//! - [`demo`] shows the main job, and [`mod@test`] is everything that has to pass.
//! - [`chart`] is what Helm makes of the chart, and [`docs`] the site of the pages.
//! - [`fuzz`] looks for what breaks a property, and [`bench`](mod@bench) says what a review costs.
//! - [`agent`] is the way to another version of the agent.
//! - [`plugin`] writes the archive and the manifest by which `kubectl krew` installs the command line.
//! - [`release`] writes everything that a release has into one folder.
//! - [`stack`] runs the stack of `deploy/stack` end to end: metrics, log lines and traces that lead to one another.
//!
//! What they run on, a Kubernetes and its tools and images, is [`testbed`].
//!
//! Results go to standard output, progress and errors to standard error.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod agent;
mod archive;
mod bench;
mod chart;
mod crates;
mod demo;
mod docs;
mod fuzz;
mod links;
mod plugin;
mod release;
mod stack;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use testbed::kube::Cluster;
use testbed::paths::Paths;
use testbed::platform::Platform;
use testbed::progress::Hint;
use testbed::toolchain::Tool;
use testbed::{cluster, images, progress, toolchain};

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  caused by: {cause}");
            }
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let paths = Paths::from_environment()?;
    match arguments.verb {
        Verb::Demo(options) => demo::run(&paths, &options).map(|()| ExitCode::SUCCESS),
        Verb::Test(options) => test::run(&paths, &options).map(|()| ExitCode::SUCCESS),
        Verb::Alerts => test::alerts(&paths).map(|()| ExitCode::SUCCESS),
        Verb::Faults => test::scenario(&paths, "dying_replica").map(|()| ExitCode::SUCCESS),
        Verb::Installs => test::scenario(&paths, "after_an_install").map(|()| ExitCode::SUCCESS),
        Verb::Matrix => test::matrix(&paths).map(|()| ExitCode::SUCCESS),
        Verb::Stack => stack::run(&paths).map(|()| ExitCode::SUCCESS),
        Verb::Upgrades(earlier) => test::upgrades(&paths, &earlier).map(|()| ExitCode::SUCCESS),
        Verb::Bench => bench::run(&paths).map(|()| ExitCode::SUCCESS),
        Verb::Codegen { check } => test::codegen(&paths, check).map(|()| ExitCode::SUCCESS),
        Verb::Docs => {
            println!("{}", docs::build(&paths)?.join("index.html").display());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Hostile => test::hostile(&paths).map(|()| ExitCode::SUCCESS),
        Verb::Fuzz(options) => fuzz::run(&paths, &options).map(|()| ExitCode::SUCCESS),
        Verb::Soak(options) => test::soak(&paths, &options).map(|()| ExitCode::SUCCESS),
        Verb::Bless => test::bless(&paths).map(|()| ExitCode::SUCCESS),
        Verb::Cluster { verb } => run_cluster(&paths, verb),
        Verb::Image {
            which,
            output,
            load,
            platform,
        } if platform.is_empty() => run_image(&paths, which, output, load),
        Verb::Image {
            platform, output, ..
        } => {
            let output = output.context("--platform wants --output FILE")?;
            println!("{}", release::image(&paths, &platform, &output)?);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Release(options) => release::run(&paths, &options).map(|()| ExitCode::SUCCESS),
        Verb::Notices { check } => release::notices::run(&paths, check).map(|()| ExitCode::SUCCESS),
        Verb::Plugin { output, base } => {
            println!("{}", plugin::write_to(&paths, &output, &base)?.display());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Agent { version } => agent::move_to(&paths, &version).map(|()| ExitCode::SUCCESS),
        Verb::Tools => {
            toolchain::ensure(&paths, &Tool::TESTS)?;
            println!("{}", paths.bin().display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_cluster(paths: &Paths, verb: ClusterVerb) -> Result<ExitCode> {
    match verb {
        ClusterVerb::Up => {
            let cluster = cluster::up(paths)?;
            println!("{}", cluster.shell_lines());
        }
        ClusterVerb::Down => cluster::down(paths)?,
        ClusterVerb::Status => {
            let status = cluster::status(paths)?;
            print!("{status}");
            if !status.is_up() {
                return Ok(ExitCode::from(1));
            }
        }
        ClusterVerb::RestartApiserver => cluster::restart_apiserver(paths)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run_image(paths: &Paths, which: Which, output: Option<PathBuf>, load: bool) -> Result<ExitCode> {
    let mut image = match which {
        Which::Javelin => images::javelin(paths)?,
        Which::Shop => images::shop(paths)?,
        Which::Collector => images::collector(paths)?,
        Which::Pause => images::pause(paths)?,
        Which::Witness => images::witness(paths)?,
        Which::Runtimes => images::runtimes(paths)?.0,
        Which::Java8 => images::java_8(paths)?,
    };
    if let Some(output) = output {
        image.copy_to(&output)?;
    }
    let compressed = progress::step(
        "Measuring what a registry would hold",
        Hint::default(),
        || image.compressed_size(),
    )?;
    println!("{image}, {compressed} compressed");
    if load {
        Cluster::of_the_user(paths)?.load_image(&image)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Javelin's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the main job: a labelled Deployment on a real Kubernetes comes up traced
    Demo(demo::Options),
    /// Run everything that has to pass
    Test(test::Options),
    /// Have each of the chart's alerts fire on a real Prometheus, by the fault that its runbook names, and resolve (about 22 min)
    Alerts,
    /// Measure what dying replicas cost, with second chances and without (about 30 min)
    Faults,
    /// Install 200 times, and create a pod right after each (about 45 min)
    Installs,
    /// Upgrade from the version before, roll back and upgrade again, with each Helm, while pods are created (about 10 min)
    Upgrades(test::Earlier),
    /// Run the cluster suite on the oldest Kubernetes that the chart allows
    Matrix,
    /// Run the stack of deploy/stack on a cluster of its own, and look for one trace, its log lines and its metrics (about 4 min once its tools are built)
    Stack,
    /// Let hostile clients at the server, for minutes; nobody else should use the machine meanwhile
    Hostile,
    /// Load the server with everything at once for an hour, and draw what it holds meanwhile
    Soak(test::Soak),
    /// Look for inputs that break a property, each target for a minute
    Fuzz(fuzz::Options),
    /// Count what a review allocates and executes, and time it beside a plain parse of its body
    Bench,
    /// Write the expected results of the golden cases anew
    Bless,
    /// Write the pages of docs/ that come from the code
    Codegen {
        /// Write nothing, and fail when a page differs
        #[arg(long)]
        check: bool,
    },
    /// Build the site of docs/ by mdBook, look at every link in it, and print where it begins
    Docs,
    /// A real one-node Kubernetes on this machine, without a container engine
    Cluster {
        #[command(subcommand)]
        verb: ClusterVerb,
    },
    /// Write an image archive that `docker load`, `kind load image-archive` and `skopeo copy oci-archive:` take
    Image {
        /// Which image to write
        #[arg(value_enum, default_value_t = Which::Javelin)]
        which: Which,
        /// Where to write it [default: a file in the user cache]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Also load it into the cluster: the one of `cluster up`, or the one that KUBECONFIG names
        #[arg(long)]
        load: bool,
        /// The product for these, as linux/amd64,linux/arm64, in one index; its programs are those of a release
        #[arg(long, value_delimiter = ',', requires = "output", conflicts_with_all = ["which", "load"])]
        platform: Vec<Platform>,
    },
    /// Write everything that a release has into a folder: images and programs for amd64 and arm64, chart, plugins, SBOM, sums
    Release(release::Options),
    /// Write THIRD-PARTY, the licences of what is in the program
    Notices {
        /// Write nothing, and fail when it differs
        #[arg(long)]
        check: bool,
    },
    /// Write the `kubectl` plugin: an archive, and the manifest by which krew installs it
    Plugin {
        /// The folder to write to
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Address of the folder in which the archive will be found
        #[arg(long, value_name = "URL")]
        base: String,
    },
    /// Move agent.lock to another version of the agent, list what changed in names of settings, and try it on the JVMs
    Agent {
        /// As in 2.33.1
        version: String,
    },
    /// Build every tool that `test` uses, and print the folder they are in
    Tools,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum ClusterVerb {
    /// Start it, or say that it is up already
    Up,
    /// Stop it and remove everything but its logs
    Down,
    /// Say what runs; the exit code is 1 when it is not up
    Status,
    /// Stop and start its API server, as an upgrade of a control plane does
    RestartApiserver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The product
    Javelin,
    /// The Java example application
    Shop,
    /// An OpenTelemetry Collector
    Collector,
    /// What holds a pod's namespaces open in the cluster of `cluster up`
    Pause,
    /// What the cluster suite reads environments by
    Witness,
    /// Every Java of this machine beside the one that compiles, and one without `java.instrument`
    Runtimes,
    /// Java 8, from Debian's unstable distribution
    #[value(name = "java-8")]
    Java8,
}
