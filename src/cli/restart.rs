//! `javelin restart --missed`: a rolling restart of exactly the workloads whose pods were created while nobody answered.
//!
//! Invariant: one after the other, and no further than the first that does not come up as it should: whatever is wrong
//! with one may be wrong with all.
//!
//! Deliberately not here: which were missed, and what a restart is ([`status`](crate::diagnose::status)).

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

use super::{Exit, Hinted, duration, note, person};
use crate::api::client::Cluster;
use crate::diagnose::inventory::{Scope, inventory, progress, restart as send};
use crate::diagnose::status::rollout::Progress;
use crate::diagnose::status::{self, WorkloadStatus};
use crate::time::{now, rfc3339};

/// Restart workloads whose pods were missed, one at a time
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Restart the workloads that `javelin status --missed` lists: with pods created while Javelin did not answer
    #[arg(long, required = true)]
    missed: bool,
    #[command(flatten)]
    place: person::NamespaceOptions,
    /// List the workloads, check with the API server, and restart nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// How long to wait between two workloads
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pause: Duration,
    /// Stop if a workload takes longer to become ready
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    timeout: Duration,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    person::block_on(restart(args))
}

async fn restart(args: Args) -> Result<Exit> {
    let Args {
        missed: _,
        place,
        dry_run,
        yes,
        pause,
        timeout,
    } = args;
    let (cluster, scope) = place.connect().await?;
    let read = person::with_patience("asking the cluster", inventory(&cluster, &scope)).await;
    let rows = status::rows(&person::seen(read)?.facts);
    let missed = rows.into_iter().filter(|row| row.missed > 0);
    let (rows, left): (Vec<_>, Vec<_>) = missed.partition(|row| row.no_restart.is_none());
    for row in &left {
        note(&format!(
            "{} is not restarted: {}",
            row.title(),
            row.no_restart.unwrap_or_default()
        ));
    }
    if rows.is_empty() {
        note("there is nothing to restart");
        return Ok(Exit::Done);
    }
    if dry_run {
        for row in &rows {
            send(&cluster, reference(row), &rfc3339(now()), true)
                .await
                .map_err(person::explain)?;
            say(&format!(
                "{} would be restarted ({} pods missed)",
                row.title(),
                row.missed
            ))?;
        }
        return Ok(Exit::Done);
    }
    if !yes && !confirmed(&rows)? {
        note("nothing was restarted");
        return Ok(Exit::Done);
    }
    let count = rows.len();
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            sleep(pause).await;
        }
        note(&format!("{} ({} of {count}) …", row.title(), at + 1));
        if let Err(why) = one(&cluster, row, timeout).await? {
            note(&format!("{}: {why}", row.title()));
            let rest: Vec<_> = rows
                .iter()
                .skip(at + 1)
                .map(WorkloadStatus::title)
                .collect();
            if !rest.is_empty() {
                note(&format!("not restarted: {}", rest.join(", ")));
            }
            return Ok(Exit::Found);
        }
        say(&format!("{} restarted", row.title()))?;
    }
    Ok(Exit::Done)
}

/// Restarts one, and waits for it. The inner error is why the others had better wait.
async fn one(
    cluster: &Cluster,
    row: &WorkloadStatus,
    timeout: Duration,
) -> Result<Result<(), String>> {
    send(cluster, reference(row), &rfc3339(now()), false)
        .await
        .map_err(person::explain)?;
    let deadline = Instant::now() + timeout;
    let mut said = String::new();
    loop {
        let what = match progress(cluster, reference(row)).await {
            Ok(Progress::Done) => break,
            Ok(Progress::Failed(why)) => {
                return Ok(Err(format!("it does not become ready: {why}")));
            }
            Ok(Progress::Waiting(what)) => what,
            // The API server may be away for a moment.
            Err(error) => error.to_string(),
        };
        person::once(&mut said, format!("  {what}"));
        if Instant::now() + POLL > deadline {
            let seconds = timeout.as_secs();
            return Ok(Err(format!(
                "it did not become ready within {seconds} s: {what}"
            )));
        }
        sleep(POLL).await;
    }
    // New pods without the agent would be missed again, and so would all others.
    let scope = Scope::Namespace(row.namespace.clone());
    let seen = inventory(cluster, &scope).await.map_err(person::explain)?;
    let after = status::rows(&seen.facts)
        .into_iter()
        .find(|each| each.title() == row.title());
    Ok(match after {
        Some(after) if after.missed > 0 => Err(format!(
            "{} of its new pods were missed again; `javelin check` says why Javelin does not answer",
            after.missed
        )),
        _ => Ok(()),
    })
}

/// Asks the person, who has to be there.
fn confirmed(rows: &[WorkloadStatus]) -> Result<bool> {
    for row in rows {
        note(&format!("{} ({} pods missed)", row.title(), row.missed));
    }
    if !io::stdin().is_terminal() {
        bail!(Hinted {
            message: "cannot ask for confirmation: there is no terminal".to_owned(),
            hint: "pass --yes, or preview with --dry-run".to_owned(),
            source: None,
        });
    }
    let mut stderr = anstream::stderr();
    write!(
        stderr,
        "Restart these {}, one at a time? [y/N] ",
        rows.len()
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

fn reference(row: &WorkloadStatus) -> (&str, &str, &str) {
    (&row.kind, &row.namespace, &row.name)
}

fn say(line: &str) -> io::Result<()> {
    writeln!(anstream::stdout(), "{line}")
}

/// While it waits.
const POLL: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Each workload is restarted as with `kubectl rollout restart`, and must be ready with the agent before
the next one. The command stops at the first that is not, with exit code 1; exit code 2 means wrong
usage, or that the cluster could not be reached. Jobs, pods without a workload and everything else
without a rolling restart are listed and skipped.

Examples:
  javelin restart --missed -n shop --dry-run
  javelin restart --missed -A --yes --pause 30s";
