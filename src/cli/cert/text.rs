//! A report as a person reads it: a few tables that need no colour.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::diagnose::certificates::{CertificateReport, EntryReport, Moment, Role, State};
use crate::time::rfc3339;

pub(super) fn render(report: &CertificateReport) -> String {
    let Moment(now) = report.time;
    let mut text = String::new();
    secret(&mut text, report, now);
    entries(&mut text, report);
    replicas(&mut text, report, now);
    next(&mut text, report, now);
    text
}

fn secret(text: &mut String, report: &CertificateReport, now: SystemTime) {
    let secret = &report.secret;
    let _ = writeln!(text, "Secret {}: {}", secret.name, secret.description);
    if secret.state == State::Missing {
        text.push_str(
            "  With your own certificate there is none; certs/README.md says how to inspect yours. Otherwise the\n  \
             replicas create it again.\n",
        );
    }
    let mut rows = vec![cells([
        "AUTHORITY",
        "ROLE",
        "VALID FROM",
        "VALID UNTIL",
        "TRUSTED UNTIL",
    ])];
    for each in &secret.authorities {
        let role = match each.role {
            Role::Signing => "signing",
            Role::Next => "next",
            Role::Previous => "previous",
            Role::Stray => "stray",
        };
        let Moment(not_before) = each.not_before;
        rows.push(vec![
            each.fingerprint.clone(),
            role.to_owned(),
            rfc3339(not_before),
            moment(each.not_after, now),
            moment(each.trusted_until, now),
        ]);
    }
    table(text, &rows);
}

fn entries(text: &mut String, report: &CertificateReport) {
    let _ = writeln!(
        text,
        "\nEntries of MutatingWebhookConfiguration {} that call {}",
        report.webhook_configuration, report.service
    );
    let mut rows = vec![cells(["ENTRY", "TRUSTS", ""])];
    for entry in &report.entries {
        let trusts = match entry.authorities.as_deref() {
            None => "(not PEM)".to_owned(),
            Some([]) => "(no caBundle)".to_owned(),
            Some(authorities) => authorities.join(" "),
        };
        rows.push(vec![entry.name.clone(), trusts, verdict(entry)]);
    }
    table(text, &rows);
}

fn verdict(entry: &EntryReport) -> String {
    match entry.equals_secret {
        None => String::new(),
        Some(true) => "as the Secret".to_owned(),
        Some(false) => {
            let mut parts = Vec::new();
            if !entry.missing.is_empty() {
                parts.push(format!("missing: {}", entry.missing.join(" ")));
            }
            if !entry.foreign.is_empty() {
                parts.push(format!("foreign: {}", entry.foreign.join(" ")));
            }
            if parts.is_empty() {
                parts.push("not as the Secret".to_owned());
            }
            parts.join("; ")
        }
    }
}

fn replicas(text: &mut String, report: &CertificateReport, now: SystemTime) {
    let _ = writeln!(text, "\nReplicas");
    if let Some(why) = &report.replicas_unknown {
        let _ = writeln!(text, "  not shown: {why}");
    } else if report.replicas.is_empty() {
        let _ = writeln!(text, "  none");
    }
    let mut rows = vec![cells(["POD", "READY", "AUTHORITY", "VALID UNTIL", ""])];
    for each in &report.replicas {
        let unknown = || "-".to_owned();
        rows.push(vec![
            each.pod.clone(),
            if each.ready { "yes" } else { "no" }.to_owned(),
            each.issuer.clone().unwrap_or_else(unknown),
            each.not_after
                .map_or_else(unknown, |ends| moment(ends, now)),
            each.note.clone().unwrap_or_default(),
        ]);
    }
    table(text, &rows);
}

fn next(text: &mut String, report: &CertificateReport, now: SystemTime) {
    if report.next.is_empty() {
        return;
    }
    text.push_str("\nNext\n");
    for step in &report.next {
        let from = step
            .from
            .map_or_else(|| "now".to_owned(), |from| moment(from, now));
        let _ = writeln!(text, "  {from}: {}", step.what);
    }
}

/// Columns as wide as they have to be. Nothing, if there is only the heading.
fn table(text: &mut String, rows: &[Vec<String>]) {
    if rows.len() < 2 {
        return;
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "  {cell:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn cells<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn moment(Moment(time): Moment, now: SystemTime) -> String {
    format!("{} ({})", rfc3339(time), distance(time, now))
}

/// `in 85 days`, `3 hours ago`: in the largest unit of which there are two.
fn distance(time: SystemTime, now: SystemTime) -> String {
    let (length, is_past) = match time.duration_since(now) {
        Ok(length) => (length, false),
        Err(error) => (error.duration(), true),
    };
    let length = in_words(length);
    if is_past {
        format!("{length} ago")
    } else {
        format!("in {length}")
    }
}

fn in_words(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    let (unit, name) = unit.unwrap_or((1, "seconds"));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests;
