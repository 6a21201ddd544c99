//! `javelin preview`: the engine over manifests. What it shows is what the cluster gets.

use std::{collections::BTreeMap, fs, io::Write, path::PathBuf};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use similar::{ChangeTag, TextDiff};

use super::{
    Exit,
    manifest::{self, Document},
    note,
};
use crate::{
    config::Config,
    mutate::{Decision, Namespace, NamespaceLabel, Subject, keys, pod::Pod},
    patch::{PodPath, Treatment},
    workload,
};

/// Show what the agent would change in manifests, without a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A manifest, a folder of manifests, or - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// Javelin's configuration [default: built-in values]
    #[arg(long, value_name = "FILE", env = "JAVELIN_CONFIG")]
    config: Option<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// A label of that namespace; may be repeated. Namespaces in the manifests are read as well
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    namespace_label: Vec<(String, String)>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Diff)]
    output: Output,
    /// Exit with 1 when something would change
    #[arg(long)]
    check: bool,
    /// When to use colours; `NO_COLOR` is honoured
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Unified diff of each object
    Diff,
    /// JSON Patch, one line for each object with a pod
    Patch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args {
        filename,
        config,
        namespace,
        namespace_label,
        output,
        check,
        color,
    } = args;
    match color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let config = read_config(config.as_ref())?;
    let documents = manifest::read(filename)?;
    let mut namespaces = labels_of_namespaces(&documents);
    if let Some((_, value)) = namespace_label.iter().rfind(|(key, _)| key == keys::INJECT) {
        namespaces.insert(namespace.clone(), value.clone());
    }

    let mut stdout = anstream::stdout().lock();
    let mut changes = false;
    for document in &documents {
        // Others have kinds of the same names, and some of them no pod template.
        let path = PodPath::of_kind(document.kind());
        let Some(path) = path.filter(|path| path.of(&document.value).is_some()) else {
            continue;
        };
        let treatment = treat(document, path, namespace.as_deref(), &namespaces, &config)?;
        changes |= !treatment.patch.is_empty();
        tell(document, &treatment.decision);
        match output {
            Output::Diff => print_diff(&mut stdout, document, &treatment)?,
            Output::Patch => writeln!(stdout, "{}", serde_json::to_string(&treatment.patch)?)?,
        }
    }
    Ok(if *check && changes {
        Exit::Found
    } else {
        Exit::Done
    })
}

pub(super) fn read_config(file: Option<&PathBuf>) -> anyhow::Result<Config> {
    let Some(file) = file else {
        return Ok(Config::default());
    };
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Config::parse(&text, &file.display().to_string())?)
}

/// The inject labels of the Namespaces among the documents.
fn labels_of_namespaces(documents: &[Document]) -> BTreeMap<Option<String>, String> {
    let namespaces = documents
        .iter()
        .filter(|document| document.kind() == "Namespace");
    namespaces
        .filter_map(|document| {
            let name = document.text(&["metadata", "name"])?.to_owned();
            Some((
                Some(name),
                document
                    .text(&["metadata", "labels", keys::INJECT])?
                    .to_owned(),
            ))
        })
        .collect()
}

fn treat(
    document: &Document,
    path: PodPath,
    namespace: Option<&str>,
    namespaces: &BTreeMap<Option<String>, String>,
    config: &Config,
) -> anyhow::Result<Treatment> {
    let place = || format!("{}: {}", document.origin, document.title());
    let pod = path
        .of(&document.value)
        .with_context(|| format!("{} has no pod template", place()))?;
    let pod = Pod::from_value(pod).with_context(|| format!("{} cannot be read", place()))?;
    let name = document.text(&["metadata", "namespace"]).or(namespace);
    let label = namespaces.get(&name.map(str::to_owned));
    let (owners, from_workload) = workload::surroundings(document.kind(), &document.value, &pod);
    let subject = Subject {
        pod: &pod,
        namespace: Namespace {
            name,
            inject: label.map_or(NamespaceLabel::Absent, |value| NamespaceLabel::Value(value)),
        },
        owners,
        from_workload,
    };
    Ok(Treatment::of(&subject, &document.value, path, config))
}

/// What was decided, on stderr.
fn tell(document: &Document, decision: &Decision) {
    let title = document.title();
    match decision {
        Decision::Skip(reason) => note(&format!("{title}: skipped: {}: {reason}", reason.code())),
        Decision::Inject(plan) => {
            for container in &plan.containers {
                let service = container.service_name.as_deref().map_or_else(
                    || "its own service name".to_owned(),
                    |name| format!("service name {name}"),
                );
                let profile = &plan.profile;
                note(&format!(
                    "{title}: container {}: agent, {service}, profile {profile}",
                    container.name
                ));
            }
            plan.warnings
                .iter()
                .for_each(|warning| note(&format!("{title}: warning: {}", warning.line())));
        }
    }
}

fn print_diff(
    out: &mut impl Write,
    document: &Document,
    treatment: &Treatment,
) -> anyhow::Result<()> {
    if treatment.patch.is_empty() {
        return Ok(());
    }
    let before = serde_saphyr::to_string(&document.value)?;
    let after = serde_saphyr::to_string(treatment.patch.result())?;
    let (bold, title, origin) = (Style::new().bold(), document.title(), &document.origin);
    writeln!(out, "{bold}--- {title} ({origin}){bold:#}")?;
    writeln!(out, "{bold}+++ {title} with the agent{bold:#}")?;
    let diff = TextDiff::from_lines(&before, &after);
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let style = AnsiColor::Cyan.on_default();
        writeln!(out, "{style}{}{style:#}", hunk.header())?;
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', AnsiColor::Red.on_default()),
                ChangeTag::Insert => ('+', AnsiColor::Green.on_default()),
                ChangeTag::Equal => (' ', Style::new()),
            };
            writeln!(
                out,
                "{style}{sign}{}{style:#}",
                change.value().trim_end_matches('\n')
            )?;
        }
    }
    Ok(())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write KEY=VALUE".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  javelin preview -f deployment.yaml
  kustomize build . | javelin preview -f - --config javelin.yaml
  javelin preview -f k8s/ -n shop --namespace-label instrumentation.opentelemetry.io/inject-java=true";
