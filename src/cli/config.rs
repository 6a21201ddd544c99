//! `javelin config`: what the configuration says, whether it is good, and where one may come from.
//!
//! Deliberately not here: what any of it means. [`config`](javelin_core::config) parses and converts; this reads and prints.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use javelin_core::config::{
    Config,
    instrumentation::{Conversion, is_instrumentation},
};
use serde_json::Value;

use super::{Exit, Hinted, manifest, note, preview, report};

/// Show and check configurations, or make one from the OpenTelemetry Operator's
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(Show),
    Check(Check),
    FromInstrumentation(FromInstrumentation),
}

/// Print every key with the value that is in effect
///
/// Built-in values are filled in, and each profile is merged with the default one. The output is an equivalent
/// configuration; null means that the agent or Kubernetes decides.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW_EXAMPLES)]
struct Show {
    /// Javelin's configuration [default: built-in values]
    #[arg(long, value_name = "FILE", env = "JAVELIN_CONFIG")]
    config: Option<PathBuf>,
    /// Print only this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

/// Check configurations, and show where they are wrong
///
/// Prints one line for each valid file on standard output, with its profiles and their hashes; errors on standard
/// error. A name that Javelin does not know, of a sampler for example, is only a warning, and the file is still valid.
/// Exits with 1 if a file is refused, with 2 if a file cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct Check {
    /// A configuration, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "config")]
    files: Vec<PathBuf>,
    /// The same as FILE, for consistency with the other verbs; may be repeated
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
}

/// Turn the OpenTelemetry Operator's Instrumentation resources into a configuration
///
/// The configuration goes to standard output; the chart's values have the same keys. One resource becomes the default
/// profile, several become a profile each. What could not be converted is listed on standard error, with what to do
/// instead, and the exit code is then 1.
#[derive(Debug, clap::Args)]
#[command(after_help = FROM_INSTRUMENTATION_EXAMPLES)]
struct FromInstrumentation {
    /// A manifest, a folder of manifests, or - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args { verb } = args;
    match verb {
        Verb::Show(args) => show(args),
        Verb::Check(args) => check(args),
        Verb::FromInstrumentation(args) => from_instrumentation(args),
    }
}

fn show(args: &Show) -> anyhow::Result<Exit> {
    let Show {
        config,
        profile,
        output,
    } = args;
    let config = preview::read_config(config.as_ref())?;
    let value = match profile {
        None => config.effective(),
        Some(name) => config.effective_profile(name).ok_or_else(|| Hinted {
            message: format!("there is no profile {name:?}"),
            hint: format!("available profiles: {}", names(&config).join(", ")),
            source: None,
        })?,
    };
    let text = match output {
        Format::Yaml => serde_saphyr::to_string(&value)?,
        Format::Json => serde_json::to_string_pretty(&value)? + "\n",
    };
    print(&text)?;
    Ok(Exit::Done)
}

fn check(args: &Check) -> anyhow::Result<Exit> {
    let Check { files, config } = args;
    let mut worst = Exit::Done;
    for file in files.iter().chain(config) {
        worst = worst.max(check_file(file)?);
    }
    Ok(worst)
}

/// Says it of one file. Only a failure to say it is an error: the other files are of interest, too.
fn check_file(file: &Path) -> anyhow::Result<Exit> {
    let (origin, text) = match read(file) {
        Ok(read) => read,
        Err(error) => return Ok(report(&error)),
    };
    match Config::parse(&text, &origin) {
        Ok(config) => {
            let profiles = config
                .profiles()
                .map(|profile| format!("{} ({})", profile.name, profile.hash));
            let profiles = profiles.collect::<Vec<_>>().join(", ");
            print(&format!("{origin}: good: {profiles}\n"))?;
            warn_of(&config, &origin);
            Ok(Exit::Done)
        }
        Err(error) => {
            report(&error.into());
            Ok(Exit::Found)
        }
    }
}

fn from_instrumentation(args: &FromInstrumentation) -> anyhow::Result<Exit> {
    let FromInstrumentation { filename } = args;
    let documents = manifest::read(filename)?;
    let values = documents.into_iter().map(|document| document.value);
    let resources: Vec<Value> = values.filter(is_instrumentation).collect();
    if resources.is_empty() {
        return Err(Hinted {
            message: "no Instrumentation of opentelemetry.io among the manifests".to_owned(),
            hint:
                "kubectl get instrumentations -A -o yaml | javelin config from-instrumentation -f -"
                    .to_owned(),
            source: None,
        }
        .into());
    }
    let conversion = Conversion::of(&resources);
    let text = serde_saphyr::to_string(&conversion.configuration)?;
    // Whatever was in the resources: what is printed is good, or not printed.
    let config = Config::parse(&text, "the configuration");
    let config = config.context("a defect in Javelin, please report it")?;
    print(&text)?;
    warn_of(&config, "the configuration");
    conversion
        .findings
        .iter()
        .for_each(|finding| note(&finding.to_string()));
    Ok(if conversion.is_complete() {
        Exit::Done
    } else {
        Exit::Found
    })
}

fn warn_of(config: &Config, origin: &str) {
    for warning in config.warnings() {
        note(&format!("{origin}: warning: {warning}"));
    }
}

/// A file's name as errors give it, and its text.
fn read(file: &Path) -> anyhow::Result<(String, String)> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(("standard input".to_owned(), text));
    }
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    Ok((name, text))
}

fn names(config: &Config) -> Vec<&str> {
    config
        .profiles()
        .map(|profile| profile.name.as_str())
        .collect()
}

fn print(text: &str) -> io::Result<()> {
    anstream::stdout().write_all(text.as_bytes())
}

const SHOW_EXAMPLES: &str = "\
Examples:
  javelin config show
  javelin config show --config javelin.yaml --profile checkout
  javelin config show --config javelin.yaml -o json | jq .default.otlp";

const CHECK_EXAMPLES: &str = "\
Examples:
  javelin config check javelin.yaml
  kubectl get configmap javelin -o jsonpath='{.data.config\\.yaml}' | javelin config check -";

const FROM_INSTRUMENTATION_EXAMPLES: &str = "\
Examples:
  javelin config from-instrumentation -f instrumentation.yaml > values.yaml
  kubectl get instrumentations -A -o yaml | javelin config from-instrumentation -f -";
