//! What a person reads.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use javelin_core::mutate::{Decision, Verdict};
use similar::{ChangeTag, TextDiff};

use super::{super::note, Skip, Treated};
use crate::caveats::Caveat;

/// What was decided, on stderr. What is so of nearly every pod is said with the first.
pub(super) fn tell(treated: &Treated, is_first_unseen: &mut bool) {
    let title = treated.document.title();
    if let Some(Skip { code, why }) = treated.skip() {
        note(&format!("{title}: skipped: {code}: {why}"));
    }
    match &treated.treatment.decision {
        Decision::Skip(_) => {}
        Decision::Inject(plan) => {
            let what = plan.brings();
            for container in &plan.containers {
                let service = container.service_name.as_deref().map_or_else(
                    || "its own service name".to_owned(),
                    |name| format!("service name {name}"),
                );
                let profile = &plan.profile;
                note(&format!(
                    "{title}: container {}: {what}, {service}, profile {profile}",
                    container.name
                ));
            }
            let warnings = plan.warnings.iter();
            warnings.for_each(|warning| note(&format!("{title}: warning: {}", warning.line())));
        }
    }
    for caveat in &treated.caveats {
        if !caveat.is_general() || std::mem::take(is_first_unseen) {
            note(&format!("{title}: {}", line(caveat)));
        }
    }
    if let Some(why) = &treated.not_by_inject {
        note(&format!(
            "{title}: in the cluster the webhook does this; javelin inject does not: {why}"
        ));
    }
    if let Some(trial) = &treated.trial {
        note(&format!("{title}: {trial}"));
    }
}

fn line(caveat: &Caveat) -> String {
    let word = if caveat.is_general() {
        "note"
    } else {
        "warning"
    };
    format!("{word}: {}", caveat.line())
}

/// Every rule that was looked at: `+` changes or decides something, `x` stops.
pub(super) fn explanation(out: &mut impl Write, treated: &Treated) -> io::Result<()> {
    if treated.steps.is_empty() {
        return Ok(());
    }
    let (bold, title) = (Style::new().bold(), treated.document.title());
    writeln!(out, "{bold}{title} ({}){bold:#}", treated.document.origin)?;
    let width = treated.steps.iter().map(|step| step.rule.len()).max();
    let width = width.unwrap_or_default();
    for step in &treated.steps {
        let (sign, style) = match step.verdict {
            Verdict::Applies => ('+', AnsiColor::Green.on_default()),
            Verdict::Passes => (' ', Style::new().dimmed()),
            Verdict::Stops => ('x', AnsiColor::Red.on_default()),
        };
        writeln!(
            out,
            "{style}{sign} {:width$}  {}{style:#}",
            step.rule, step.why
        )?;
    }
    let is_injected = matches!(treated.treatment.decision, Decision::Inject(_));
    for restriction in treated.restrictions.iter().filter(|_| is_injected) {
        let style = Style::new().dimmed();
        writeln!(
            out,
            "{style}  {:width$}  {restriction}: admits with the agent what it admits without; --server tries it{style:#}",
            "admission"
        )?;
    }
    writeln!(out)
}

/// A unified diff of the object; nothing where it stays as it is.
pub(super) fn diff(out: &mut impl Write, treated: &Treated) -> anyhow::Result<()> {
    if treated.treatment.patch.is_empty() {
        return Ok(());
    }
    let document = &treated.document;
    let before = serde_saphyr::to_string(&document.value)?;
    let after = serde_saphyr::to_string(treated.result())?;
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
            let line = change.value().trim_end_matches('\n');
            writeln!(out, "{style}{sign}{line}{style:#}")?;
        }
    }
    Ok(())
}
