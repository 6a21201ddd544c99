//! `javelin check`: everything between a label and a trace, with the rights of the person who runs it.
//!
//! Deliberately not here: what is asked (`diagnose::gather`), and what to make of it ([`check`](crate::diagnose::check)).

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde::Serialize;
use tokio::time::sleep;

use super::objects::Objects;
use super::person::Home;
use super::{Exit, cert, duration, note, person};
use crate::api::client::Cluster;
use crate::diagnose::certificates::{CertificateReport, Role};
use crate::diagnose::check::facts::Certificates;
use crate::diagnose::check::{self, Finding, Section, Status, Unseen};
use crate::diagnose::gather::gather;

/// Check everything between a label and a trace, and print what to do
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("service", |arg| arg.help("Javelin's Service; its ConfigMap has the same name")))]
#[command(mut_arg("secret", |arg| arg.hide(true)))]
#[command(mut_arg("probe_configmap", |arg| arg.hide(true)))]
pub(super) struct Args {
    /// Also try a labelled pod in this namespace, as a dry run
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Repeat until no check fails, at most for this long [5m if not given]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, num_args = 0..=1, require_equals = true,
        default_missing_value = "5m")]
    wait: Option<Duration>,
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    objects: Objects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    person::block_on(check(args))
}

async fn check(args: Args) -> Result<Exit> {
    let Args {
        namespace,
        output,
        wait,
        home: Home {
            context,
            javelin_namespace,
        },
        objects,
    } = args;
    let names = objects.names(&javelin_namespace)?;
    let config = person::connection(context.as_deref()).await?;
    let cluster = Cluster::impatient(config, names).map_err(person::explain)?;
    let deadline = wait.map(|wait| Instant::now() + wait);
    let mut said = String::new();
    let findings = loop {
        let asked = Box::pin(gather(
            &cluster,
            namespace.as_deref(),
            certificates(&cluster),
        ));
        let result = person::with_patience("asking the cluster", asked).await;
        let last = deadline.is_none_or(|deadline| Instant::now() + POLL > deadline);
        match result {
            Ok(facts) => {
                let findings = check::judge(&facts);
                if last || worst(&findings) < Status::Failed {
                    break findings;
                }
                let failed = codes(&findings, Status::Failed);
                person::once(&mut said, format!("waiting for {failed}"));
            }
            Err(error) if last => return Err(person::explain(error)),
            // The API server may be away for a moment.
            Err(error) => person::once(&mut said, error.to_string()),
        }
        sleep(POLL).await;
    };
    let text = match output {
        Format::Text => text(&findings),
        Format::Json => json(&findings)?,
    };
    anstream::stdout().write_all(text.as_bytes())?;
    if output == Format::Text {
        note(&summary(&findings));
    }
    Ok(if worst(&findings) == Status::Failed {
        Exit::Found
    } else {
        Exit::Done
    })
}

/// What `javelin cert` makes of them.
async fn certificates(cluster: &Cluster) -> Certificates {
    let seen = match cert::Readings::of(cluster).await {
        Ok(seen) => seen,
        Err(error) => {
            let text = format!("{error:#}");
            let is_denied = text.starts_with("access to ");
            let unseen = if is_denied {
                Unseen::Denied
            } else {
                Unseen::Failed
            };
            return Certificates::Unseen(unseen(text));
        }
    };
    let report = CertificateReport::of(&seen.facts(cluster, None));
    let mut authorities = report.secret.authorities.iter();
    let signing = authorities.find(|each| each.role == Role::Signing);
    // That there is no webhook configuration, and no ready pod, is said elsewhere.
    let told = |problem: &String| {
        !problem.starts_with("no pod of Service")
            && !problem.starts_with("MutatingWebhookConfiguration")
    };
    let mut problems: Vec<_> = report
        .problems
        .iter()
        .filter(|each| told(each))
        .cloned()
        .collect();
    if signing.is_none() && problems.is_empty() {
        problems.push(format!(
            "Secret {}: {}",
            report.secret.name, report.secret.description
        ));
    }
    let description = signing.map_or_else(String::new, |signing| {
        format!(
            "every entry trusts authority {}, which signs",
            signing.fingerprint
        )
    });
    Certificates::Own {
        description,
        problems,
    }
}

fn worst(findings: &[Finding]) -> Status {
    findings
        .iter()
        .map(|finding| finding.status)
        .max()
        .unwrap_or(Status::Ok)
}

/// Which checks stand so, by their codes.
fn codes(findings: &[Finding], status: Status) -> String {
    let found = findings.iter().filter(|finding| finding.status == status);
    let mut codes: Vec<_> = found.map(|finding| finding.check.code()).collect();
    codes.dedup();
    codes.join(", ")
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut section: Option<Section> = None;
    let bold = Style::new().bold();
    for finding in findings {
        if section != Some(finding.section) {
            let gap = if section.is_some() { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{bold}{}{bold:#}", finding.section.title());
            section = Some(finding.section);
        }
        let (mark, style) = match finding.status {
            Status::Ok => ("✓", AnsiColor::Green.on_default()),
            Status::Warning => ("‼", AnsiColor::Yellow.on_default()),
            Status::Failed => ("×", AnsiColor::Red.on_default().bold()),
        };
        let mut lines = finding.message.lines();
        let _ = writeln!(
            text,
            "{style}{mark}{style:#} {}",
            lines.next().unwrap_or_default()
        );
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
        for (at, line) in finding
            .hint
            .iter()
            .flat_map(|hint| hint.lines())
            .enumerate()
        {
            let lead = if at == 0 { "hint:" } else { "     " };
            let _ = writeln!(text, "    {lead} {line}");
        }
        if finding.hint.is_some() {
            let _ = writeln!(text, "    see docs/check.md#{}", finding.check.code());
        }
    }
    text
}

fn summary(findings: &[Finding]) -> String {
    let count = |status: Status| findings.iter().filter(|each| each.status == status).count();
    let (ok, warnings, failed) = (
        count(Status::Ok),
        count(Status::Warning),
        count(Status::Failed),
    );
    format!("{ok} in order, {warnings} warnings, {failed} failed")
}

fn json(findings: &[Finding]) -> Result<String> {
    #[derive(Serialize)]
    struct Output<'a> {
        status: Status,
        findings: &'a [Finding],
    }
    let output = Output {
        status: worst(findings),
        findings,
    };
    Ok(serde_json::to_string_pretty(&output)? + "\n")
}

/// While it waits.
const POLL: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Exits with 0 if no check failed, with or without warnings; with 1 if a check failed; with 2 if the
cluster could not be reached. docs/check.md explains each check.

Examples:
  javelin check
  javelin check -n shop                        tries a labelled pod in shop
  javelin check --wait=2m                      after an installation
  javelin check -o json | jq '.findings[] | select(.status != \"ok\")'";
