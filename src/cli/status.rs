//! `javelin status`: which workloads have the agent, and why others do not, with the rights of the person who runs it.
//!
//! Deliberately not here: what is read (`diagnose::inventory`), and what to make of it ([`status`](crate::diagnose::status)).

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use javelin_core::kinds::Kind;

use super::{Exit, note, person, table};
use crate::diagnose::inventory::inventory;
use crate::diagnose::status::{self, WorkloadStatus};

/// Show which workloads have the agent, which were missed, and why others do not have it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: person::NamespaceOptions,
    /// Output format; name prints one line per workload for kubectl: -n NAMESPACE KIND/NAME
    #[arg(short, long, value_enum, default_value_t = Format::Table, conflicts_with = "missed")]
    output: Format,
    /// Print only workloads with missed pods, in the format of -o name
    #[arg(long)]
    missed: bool,
    /// Exit with 1 if pods were missed, or crash with the agent
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Name,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    person::block_on(show(args))
}

async fn show(args: Args) -> Result<Exit> {
    let Args {
        place,
        output,
        missed,
        check,
    } = args;
    let (cluster, scope) = place.connect().await?;
    let read = person::with_patience("asking the cluster", inventory(&cluster, &scope)).await;
    let seen = person::seen(read)?;
    let mut rows = status::rows(&seen.facts);
    if missed {
        rows.retain(|row| row.missed > 0);
    }
    let text = match output {
        _ if missed => names(&rows),
        Format::Name => names(&rows),
        Format::Json => serde_json::to_string_pretty(&rows)? + "\n",
        Format::Table => table_of(&rows),
    };
    anstream::stdout().write_all(text.as_bytes())?;
    if rows.is_empty() && output == Format::Table {
        let what = if missed {
            "no workload was missed"
        } else {
            "no workload asks for the agent"
        };
        note(what);
    }
    if output == Format::Table && !missed {
        notes_on_crashes(&rows);
        notes_on_guarded(&rows);
    }
    let is_bad = rows.iter().any(|row| row.missed > 0 || row.crashing > 0);
    Ok(if check && is_bad {
        Exit::Found
    } else {
        Exit::Done
    })
}

/// Of the first workload that crashes; with the others it is the same.
fn notes_on_crashes(rows: &[WorkloadStatus]) {
    let crashing = rows.iter().find_map(|row| Some((row, row.way_back()?)));
    if let Some((row, way_back)) = crashing {
        let (namespace, resource) = (&row.namespace, row.resource());
        note(&format!("\n{resource} does not run with the agent."));
        // `kubectl logs` finds pods of no other kinds.
        if Kind::named(None, &row.kind).is_none_or(|kind| kind.has_logs) {
            note(&format!(
                "  Why:  kubectl logs --all-containers -n {namespace} {resource}"
            ));
        }
        note(&format!("  Back: {way_back}"));
    }
}

/// Of the first workload that the audit has taken the agent back from.
fn notes_on_guarded(rows: &[WorkloadStatus]) {
    let guarded = rows.iter().find_map(|row| Some((row, row.try_again()?)));
    if let Some((row, try_again)) = guarded {
        let (namespace, resource) = (&row.namespace, row.resource());
        note(&format!(
            "\n{resource} starts without the agent, which the audit has taken back."
        ));
        note(&format!(
            "  Why:   kubectl describe -n {namespace} {resource}"
        ));
        note(&format!("  Again: {try_again}"));
    }
}

/// Each line is what `xargs -L1 kubectl VERB` needs.
fn names(rows: &[WorkloadStatus]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "-n {} {}", row.namespace, row.resource());
    }
    text
}

fn table_of(rows: &[WorkloadStatus]) -> String {
    let head = [
        "NAMESPACE",
        "WORKLOAD",
        "PROFILE",
        "PODS",
        "INJECTED",
        "MISSED",
        "SKIPPED",
        "WAITING",
        "OUTDATED",
        "CRASHING",
        "DETAILS",
    ];
    let mut lines = Vec::new();
    let count = |number: usize| {
        if number == 0 {
            "-".to_owned()
        } else {
            number.to_string()
        }
    };
    for row in rows {
        lines.push([
            row.namespace.clone(),
            row.resource(),
            row.profile.clone(),
            count(row.pods),
            count(row.injected),
            count(row.missed),
            count(row.skipped),
            count(row.waiting),
            count(row.outdated),
            count(row.crashing),
            row.details.join("; "),
        ]);
    }
    table::render(&head, &lines, |column, cell| match head.get(column) {
        Some(&("MISSED" | "CRASHING")) if cell != "-" => AnsiColor::Red.on_default(),
        Some(&("SKIPPED" | "WAITING" | "OUTDATED")) if cell != "-" => {
            AnsiColor::Yellow.on_default()
        }
        _ => Style::new(),
    })
}

const EXAMPLES: &str = "\
MISSED    created while Javelin did not answer OUTDATED  has the agent of an older configuration
WAITING   older than the label                 CRASHING  has the agent, and does not run
SKIPPED   left alone; docs/reasons.md says why

Examples:
  javelin status                                          in the namespace of the context
  javelin status -A -o json | jq '.[] | select(.crashing > 0)'
  javelin status -A --missed | xargs -L1 kubectl get      each line is -n NAMESPACE KIND/NAME
  javelin restart --missed -A                             restarts what was missed";
