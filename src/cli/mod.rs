//! The command line: one verb per file. The only place that prints and that reads the environment.

use std::{
    error::Error,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod cert;
mod check;
mod completions;
mod config;
mod duration;
mod images;
mod inject;
mod install;
mod man;
mod manifest;
mod objects;
mod person;
mod policy;
mod ports;
mod preview;
mod progress;
mod restart;
mod serve;
mod status;
mod table;

/// Puts the OpenTelemetry Java agent into labelled Kubernetes pods.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// When to use colours: auto, always or never; `NO_COLOR` is honoured
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(Box<serve::Args>),
    Preview(preview::Args),
    Inject(inject::Args),
    Config(config::Args),
    Cert(Box<cert::Args>),
    Images(images::Args),
    Ports(Box<ports::Args>),
    Policy(policy::Args),
    Check(Box<check::Args>),
    Status(status::Args),
    Restart(restart::Args),
    Install(install::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// How a run ended, and the program's exit code. What is worse is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    /// 0: done.
    Done,
    /// 1: done, and something was found (`preview --check`: something would change; `config check`: a bad file).
    Found,
    /// 2: wrong usage, or the environment is in the way.
    Failed,
}

/// An error that knows what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Hinted {
    message: String,
    hint: String,
    source: Option<anyhow::Error>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    // clap itself ends the program with 2 on wrong usage and with 0 after help.
    let matches = command().get_matches();
    let Cli { verb, color } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let result = match verb {
        Verb::Serve(args) => serve::run(*args).map(|()| Exit::Done),
        Verb::Preview(args) => preview::run(&args),
        Verb::Inject(args) => inject::run(&args),
        Verb::Config(args) => config::run(&args),
        Verb::Cert(args) => cert::run(*args),
        Verb::Images(args) => images::run(&args),
        Verb::Ports(args) => ports::run(*args),
        Verb::Policy(args) => policy::run(&args),
        Verb::Check(args) => check::run(*args),
        Verb::Status(args) => status::run(args),
        Verb::Restart(args) => restart::run(args),
        Verb::Install(args) => install::run(&args).map(|()| Exit::Done),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
    };
    result.unwrap_or_else(|error| report(&error)).into()
}

/// The whole command line, under the name that it was called by.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let called = std::env::args_os().next().map(PathBuf::from);
    let called = called.as_deref().and_then(Path::file_stem);
    if called.is_some_and(|name| name == PLUGIN) {
        return command.bin_name("kubectl javelin");
    }
    command
}

/// Tells a person what went wrong: the error, its causes, a hint.
fn report(error: &anyhow::Error) -> Exit {
    let closed = |cause: &(dyn Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    // Whoever reads our output has read enough.
    if error.chain().any(closed) {
        return Exit::Done;
    }
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let mut text = format!("{style}error:{style:#} {error}\n");
    for cause in error.chain().skip(1) {
        let _ = writeln!(text, "  {cause}");
    }
    for hinted in error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Hinted>())
    {
        let _ = writeln!(text, "\nhint: {}", hinted.hint);
    }
    note(text.trim_end());
    Exit::Failed
}

/// A line for the person, on stderr. Failing to write it is nobody's problem.
fn note(line: &str) {
    use io::Write as _;
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// A text of somebody's manifests, for a terminal or a line of its own.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Found => Self::from(1),
            Exit::Failed => Self::from(2),
        }
    }
}

/// The name by which `kubectl` finds it.
const PLUGIN: &str = "kubectl-javelin";

const EXAMPLES: &str = "\
Examples:
  javelin preview -f deployment.yaml          what the agent changes, as a diff
  helm template shop | javelin preview -f -   the same for a chart
  javelin preview -f pod.yaml -o patch        the JSON Patch that the webhook sends
  javelin config check javelin.yaml           whether a configuration is good
  javelin cert show --min-days 30             whether certificates are valid, and stay valid";
