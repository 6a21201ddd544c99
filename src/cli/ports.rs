//! `javelin ports`: who calls whom, as a table for a terminal, or for a security team's form.
//!
//! Deliberately not here: what is read (`diagnose::installed`), and what to make of it ([`ports`](crate::ports)).

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde_json::json;

use super::objects::Objects;
use super::person::Home;
use super::{Exit, Hinted, manifest, note, person, printable, table};
use crate::api::client::Cluster;
use crate::diagnose::installed::{Installed, installed};
use crate::markdown;
use crate::ports::{self, Connection, Direction, ManifestProblem, PortsOptions, PortsReport};
use crate::probe::advice::Platform;

/// List who calls whom, on which port, and what happens if it is closed
///
/// Reads manifests with -f, otherwise the cluster. PORT is the port on the wire, the pod's, which a firewall sees.
/// SERVICE is the port that the caller uses, if there is a Service in between. - in PORT means that the objects do not
/// contain it; a note says where to find it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("service", |arg| arg.help("Javelin's Service; its ConfigMap has the same name")))]
#[command(mut_arg("webhook_configuration", |arg| arg.help("Name of the MutatingWebhookConfiguration")))]
#[command(mut_arg("secret", |arg| arg.hide(true)))]
#[command(mut_arg("probe_configmap", |arg| arg.hide(true)))]
pub(super) struct Args {
    /// Manifests, a folder of them, or - for standard input, as `helm template` prints them; may be repeated
    #[arg(
        short,
        long = "filename",
        value_name = "FILE",
        conflicts_with = "context"
    )]
    filename: Vec<PathBuf>,
    /// Also list what is not Javelin's: Services and their callers, scrapes, remote write, webhooks, registries
    #[arg(long, requires = "filename")]
    stack: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    objects: Objects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Csv,
    Markdown,
    Json,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    let Args {
        filename,
        stack,
        output,
        home,
        objects,
    } = args;
    let report = if filename.is_empty() {
        person::runtime()?.block_on(Box::pin(of_cluster(home, objects)))?
    } else {
        let documents = manifest::read(&filename)?;
        let platform = Platform::default();
        ports::report(&documents, PortsOptions { stack, platform }).map_err(hinted)?
    };
    let text = match output {
        Format::Table => of_terminal(&report.rows),
        Format::Csv => csv(&report.rows),
        Format::Markdown => of_markdown(&report),
        Format::Json => json(&report)?,
    };
    anstream::stdout().write_all(text.as_bytes())?;
    if output != Format::Json {
        for each in &report.notes {
            note(&printable(&format!("note: {each}")));
        }
    }
    if output == Format::Table && !report.next_step.is_empty() {
        note(&format!(
            "\nIf the webhook's port is closed:\n{}",
            indented(&report.next_step)
        ));
    }
    Ok(Exit::Done)
}

async fn of_cluster(home: Home, objects: Objects) -> Result<PortsReport> {
    let Home {
        context,
        javelin_namespace,
    } = home;
    let names = objects.names(&javelin_namespace)?;
    let config = person::connection(context.as_deref()).await?;
    let cluster = Cluster::new(config, names).map_err(person::explain)?;
    let read = person::with_patience("asking the cluster", installed(&cluster)).await;
    let Installed {
        documents,
        version,
        warnings,
    } = read.map_err(person::explain)?;
    for warning in &warnings {
        note(&printable(&format!("warning: {warning}")));
    }
    let options = PortsOptions {
        stack: false,
        platform: Platform::of(&version),
    };
    ports::report(&documents, options).map_err(hinted)
}

fn hinted(problem: ManifestProblem) -> anyhow::Error {
    // An error in a configuration shows the place, in lines.
    let message = problem.to_string();
    let lines: Vec<_> = message.lines().map(printable).collect();
    let message = lines.join("\n");
    Hinted {
        message,
        hint: problem.remedy,
        source: None,
    }
    .into()
}

fn of_terminal(rows: &[Connection]) -> String {
    let lines: Vec<_> = rows
        .iter()
        .map(|row| cells(row, "-").map(|cell| printable(&cell)))
        .collect();
    table::render(&HEAD, &lines, |column, cell| match HEAD.get(column) {
        Some(&"DIRECTION") if cell == Direction::Inbound.as_str() => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    })
}

/// What all but JSON have, in the order of [`HEAD`].
fn cells(row: &Connection, nothing: &str) -> [String; 8] {
    let number =
        |port: Option<u16>| port.map_or_else(|| nothing.to_owned(), |port| port.to_string());
    [
        row.from.clone(),
        row.to.clone(),
        number(row.port),
        number(row.service_port),
        row.protocol.clone(),
        row.direction.as_str().to_owned(),
        row.purpose.clone(),
        row.code.map_or_else(
            || row.closed.clone(),
            |code| format!("{code}: {}", row.closed),
        ),
    ]
}

/// As RFC 4180 has it. A spreadsheet takes a cell that begins with one of four signs for a formula, and these cells are of
/// somebody's manifests.
fn csv(rows: &[Connection]) -> String {
    let cell = |text: &str| {
        let text = printable(text);
        let sign = if text.starts_with(['=', '+', '-', '@']) {
            "'"
        } else {
            ""
        };
        format!("\"{sign}{}\"", text.replace('"', "\"\""))
    };
    let mut text = HEAD
        .map(|head| head.to_ascii_lowercase().replace(' ', "_"))
        .join(",")
        + ",read_in\r\n";
    for row in rows {
        let mut line: Vec<_> = cells(row, "").iter().map(|each| cell(each)).collect();
        line.push(cell(&row.read_in.join("; ")));
        let _ = write!(text, "{}\r\n", line.join(","));
    }
    text
}

fn of_markdown(report: &PortsReport) -> String {
    let mut text = markdown::row(&HEAD);
    text += &markdown::row(&["---"; HEAD.len()]);
    for row in &report.rows {
        let cells = cells(row, "-").map(|cell| printable(&cell));
        text += &markdown::row(&cells.each_ref().map(String::as_str));
    }
    if !report.next_step.is_empty() {
        let next = indented(&report.next_step);
        let _ = write!(text, "\nIf the webhook's port is closed:\n\n{next}\n");
    }
    text
}

fn json(report: &PortsReport) -> Result<String> {
    let PortsReport {
        rows,
        notes,
        next_step,
    } = report;
    let all = json!({ "ports": rows, "notes": notes, "nextStep": next_step });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

/// Also what makes a block in Markdown.
fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

const HEAD: [&str; 8] = [
    "FROM",
    "TO",
    "PORT",
    "SERVICE",
    "PROTOCOL",
    "DIRECTION",
    "FOR",
    "WHEN CLOSED",
];

const EXAMPLES: &str = "\
inbound   from the control plane, or from outside, to nodes or pods    outbound  the reverse
cluster   between pods: NetworkPolicies, and rules between nodes       node      within one node

Examples:
  javelin ports                                                        what is installed
  helm template javelin deploy/chart -n javelin-system | javelin ports -f -
  helm template loki ./loki | javelin ports --stack -f - -f javelin.yaml -o markdown
  javelin ports -o csv > ports.csv                                     for a spreadsheet, or a form";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(to: &str) -> Connection {
        Connection {
            from: "nodes".to_owned(),
            to: to.to_owned(),
            port: Some(1),
            service_port: None,
            protocol: "TCP".to_owned(),
            direction: Direction::Outbound,
            purpose: String::new(),
            closed: String::new(),
            code: None,
            read_in: Vec::new(),
        }
    }

    #[test]
    fn whatever_a_manifest_says_stays_one_cell_and_no_formula() {
        let row = row("=HYPERLINK(\"x\")|\r\nb");
        let text = csv(std::slice::from_ref(&row));
        let line = text.lines().nth(1).unwrap();
        assert_eq!(
            line,
            "\"nodes\",\"'=HYPERLINK(\"\"x\"\")|\u{fffd}\u{fffd}b\",\"1\",\"\",\"TCP\",\"outbound\",\"\",\"\",\"\""
        );
        let report = PortsReport {
            rows: vec![row],
            ..PortsReport::default()
        };
        let text = of_markdown(&report);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("\\|\u{fffd}\u{fffd}b |"), "{text}");
    }
}
