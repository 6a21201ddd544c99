//! `javelin policy`: the same injection without a webhook, as admission policies.
//!
//! Deliberately not here: what the policies say ([`policy`](javelin_core::policy)).

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use javelin_core::{
    config::Config,
    policy::{
        Policies,
        difference::{DIFFERENCES, Effect},
        version::{FIRST, KubernetesVersion},
    },
};

use super::{Exit, Hinted, note, person};
use crate::api::client;

/// Write admission policies that inject without a webhook, for Kubernetes 1.36 and later
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Javelin's configuration [default: built-in values]
    #[arg(long, value_name = "FILE", env = "JAVELIN_CONFIG")]
    config: Option<PathBuf>,
    /// The cluster's version; below 1.36 nothing is written
    #[arg(long, value_name = "VERSION", value_parser = version, conflicts_with = "from_cluster")]
    kubernetes_version: Option<KubernetesVersion>,
    /// Ask the cluster of the current context for its version
    #[arg(long)]
    from_cluster: bool,
    /// The context of the kubeconfig to ask
    #[arg(long, value_name = "NAME", requires = "from_cluster")]
    context: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
    /// Print only what policies do differently from the webhook
    #[arg(long)]
    differences: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let Args {
        config,
        kubernetes_version,
        from_cluster,
        context,
        output,
        differences,
    } = args;
    if *differences {
        return print(&listed("")).map(|()| Exit::Done);
    }
    let text = config.as_ref().map(|file| {
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    });
    let text = text.transpose()?.unwrap_or_default();
    let origin = config.as_ref().map_or_else(
        || "the built-in configuration".to_owned(),
        |file| file.display().to_string(),
    );
    let config = Config::parse(&text, &origin)?;
    let version = if *from_cluster {
        Some(version_of_cluster(context.as_deref())?)
    } else {
        *kubernetes_version
    };
    if let Some(version) = version {
        version.check().map_err(|error| Hinted {
            message: error.to_string(),
            hint: "use the webhook there, or `javelin inject` in the pipeline".to_owned(),
            source: None,
        })?;
    } else {
        note(&format!(
            "note: for Kubernetes {FIRST} and later; --from-cluster asks yours, --kubernetes-version states it"
        ));
    }
    let documents = match Policies::of(&config) {
        Ok(documents) => documents,
        Err(refusals) => {
            return Err(refused(&refusals, &text, &origin).into());
        }
    };
    match output {
        Format::Json => print(&(serde_json::to_string_pretty(&documents.into_list())? + "\n"))?,
        Format::Yaml => {
            let mut text = header();
            for document in documents.iter() {
                text += "---\n";
                text += &serde_saphyr::to_string(document)?;
            }
            print(&text)?;
        }
    }
    Ok(Exit::Done)
}

/// All that is in the way, each with its place in the file.
fn refused(refusals: &[javelin_core::policy::Unsupported], text: &str, origin: &str) -> Hinted {
    let mut message = "policies cannot express this configuration".to_owned();
    let mut hints: Vec<&str> = Vec::new();
    for refusal in refusals {
        let error = Config::refuse(text, origin, &refusal.path, &refusal.problem);
        let _ = write!(message, "\n  {}", error.to_string().replace('\n', "\n  "));
        if !hints.contains(&refusal.hint) {
            hints.push(refusal.hint);
        }
    }
    Hinted {
        message,
        hint: hints.join("; "),
        source: None,
    }
}

fn version_of_cluster(context: Option<&str>) -> Result<KubernetesVersion> {
    let text = person::runtime()?.block_on(async {
        let config = client::of_context(context).await?;
        client::server_version(config).await
    })?;
    KubernetesVersion::parse(&text)
        .with_context(|| format!("the API server says that its version is {text:?}"))
}

/// What a person who finds the file has to know.
fn header() -> String {
    format!(
        "# Written by `javelin policy` {version}: the OpenTelemetry Java agent for labelled pods, by admission policies\n\
         # and no webhook. For Kubernetes {FIRST} and later.\n\
         #\n\
         # Differences from the webhook:\n{differences}",
        version = env!("CARGO_PKG_VERSION"),
        differences = listed("# "),
    )
}

/// The differences, one on each line.
fn listed(before: &str) -> String {
    let mut text = String::new();
    for (title, is_here) in [
        (
            "A pod is left alone where the webhook injects (the code is in javelin.dev/skipped):",
            (|effect| matches!(effect, Effect::LeftAlone(_))) as fn(Effect) -> bool,
        ),
        ("A pod differs from the webhook's:", |effect| {
            effect == Effect::Differs
        }),
        ("Around the pods:", |effect| effect == Effect::Around),
    ] {
        let _ = writeln!(text, "{before}{title}");
        for row in DIFFERENCES.iter().filter(|row| is_here(row.effect)) {
            let _ = writeln!(text, "{before}- {}", row.line());
        }
    }
    text
}

fn print(text: &str) -> Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn version(text: &str) -> Result<KubernetesVersion, String> {
    KubernetesVersion::parse(text).ok_or_else(|| "write a version such as 1.36".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  javelin policy --differences
  javelin policy --config javelin.yaml --kubernetes-version 1.36 > policy.yaml
  javelin policy --config javelin.yaml --from-cluster | kubectl apply -f -
  kubectl delete -f policy.yaml                          removes them again";
