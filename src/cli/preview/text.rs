//! What a person reads.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use javelin_core::mutate::{Decision, Verdict};
use similar::{ChangeTag, TextDiff};

use super::{super::note, Mutated, Skip};
use crate::offline::lints::Lint;

/// What was decided, on stderr. What is so of nearly every pod is said with the first.
pub(super) fn tell(mutated: &Mutated, is_first_unseen: &mut bool) {
    let title = mutated.document.title();
    if let Some(Skip { code, why }) = mutated.skip() {
        note(&format!("{title}: skipped: {code}: {why}"));
    }
    match &mutated.mutation.decision {
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
    for lint in &mutated.lints {
        if !lint.is_general() || std::mem::take(is_first_unseen) {
            note(&format!("{title}: {}", line(lint)));
        }
    }
    if let Some(why) = &mutated.not_by_inject {
        note(&format!(
            "{title}: in the cluster the webhook does this; javelin inject does not: {why}"
        ));
    }
    if let Some(dry_run) = &mutated.dry_run {
        note(&format!("{title}: {dry_run}"));
    }
}

fn line(lint: &Lint) -> String {
    let word = if lint.is_general() { "note" } else { "warning" };
    format!("{word}: {}", lint.line())
}

/// Every rule that was looked at: `+` changes or decides something, `x` stops.
pub(super) fn explanation(out: &mut impl Write, mutated: &Mutated) -> io::Result<()> {
    if mutated.steps.is_empty() {
        return Ok(());
    }
    let (bold, title) = (Style::new().bold(), mutated.document.title());
    writeln!(out, "{bold}{title} ({}){bold:#}", mutated.document.origin)?;
    let width = mutated.steps.iter().map(|step| step.rule.len()).max();
    let width = width.unwrap_or_default();
    for step in &mutated.steps {
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
    let is_injected = matches!(mutated.mutation.decision, Decision::Inject(_));
    for restriction in mutated.restrictions.iter().filter(|_| is_injected) {
        let style = Style::new().dimmed();
        writeln!(
            out,
            "{style}  {:width$}  {restriction}: admits the pod with the agent if it does so without; --server tries it{style:#}",
            "admission"
        )?;
    }
    writeln!(out)
}

/// A unified diff of the object; nothing where it stays as it is.
pub(super) fn diff(out: &mut impl Write, mutated: &Mutated) -> anyhow::Result<()> {
    if mutated.mutation.patch.is_empty() {
        return Ok(());
    }
    let document = &mutated.document;
    let before = serde_saphyr::to_string(&document.value)?;
    let after = serde_saphyr::to_string(mutated.result())?;
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
