//! Why a configuration is refused, and where in the file.
//!
//! Values are checked long after the text was parsed, and the structs they are checked in know no lines. So the
//! place of a wrong value is looked up in a second pass over the text, which only a refused file pays for. What
//! that pass does not find (a key that is missing, or merged in by `<<`) is placed at the nearest key above it.
//!
//! Deliberately not here: what is wrong. That is said where it is found.

use std::{fmt, ops::Range};

use javelin_manifest::Tree;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _};

use super::reference;
use crate::spelling;

/// A configuration that was refused. Display names the file, the place and what is wrong; below it stand the lines
/// and, where there is one, a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// File name.
    origin: String,
    /// Unknown only for what is wrong with the text as a whole.
    place: Option<Place>,
    /// What is wrong and what would be right.
    problem: String,
    hint: Option<String>,
}

/// A wrong value, before it is known in which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Dotted, from the profile on.
    pub(super) path: String,
    pub(super) problem: String,
}

/// A place in a text, and how it looks there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    snippet: String,
}

impl ConfigError {
    /// Not YAML, an unknown key, or a value of the wrong type.
    pub(super) fn syntax(text: &str, origin: &str, error: &serde_saphyr::Error) -> Self {
        let error = error.without_snippet();
        let (problem, hint) = match error {
            serde_saphyr::Error::SerdeUnknownField {
                field, expected, ..
            } => (
                format!("unknown key {field:?}"),
                Some(hint_for_key(field, expected)),
            ),
            other => (
                DefaultMessageFormatter.format_message(other).into_owned(),
                None,
            ),
        };
        let place = error.location().map(|location| {
            let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            let length = match error {
                serde_saphyr::Error::SerdeUnknownField { field, .. } => field.chars().count(),
                _ => 1,
            };
            Place::new(text, at(location.line()), at(location.column()), length)
        });
        Self {
            origin: origin.to_owned(),
            place,
            problem: printable(&problem),
            hint,
        }
    }

    /// A value that makes no sense.
    pub(super) fn value(text: &str, origin: &str, path: &str, problem: &str) -> Self {
        // Only a refused file is read a second time.
        let tree = Tree::parse(text).ok();
        let place = tree
            .and_then(|tree| tree.find(path))
            .map(|range| Place::of(text, range));
        Self {
            origin: origin.to_owned(),
            place,
            problem: printable(&format!("{path}: {problem}")),
            hint: None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            place,
            problem,
            hint,
        } = self;
        write!(f, "{origin}: ")?;
        if let Some(Place { line, column, .. }) = place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(problem)?;
        if let Some(Place { snippet, .. }) = place {
            write!(f, "\n{snippet}")?;
        }
        hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for ConfigError {}

impl Problem {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }
}

impl Place {
    /// Of some bytes of the text.
    fn of(text: &str, range: Range<usize>) -> Self {
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        let (before, here) = (part(0..range.start), part(range));
        let line = before.rsplit('\n').next().unwrap_or_default();
        let length = if here.contains('\n') {
            1
        } else {
            here.chars().count()
        };
        Self::new(
            text,
            1 + before.matches('\n').count(),
            1 + line.chars().count(),
            length,
        )
    }

    fn new(text: &str, line: usize, column: usize, length: usize) -> Self {
        Self {
            line,
            column,
            snippet: snippet(text, line, column, length),
        }
    }
}

/// The line with a mark under the place, and up to two lines before it: keys are told apart by what they stand in.
fn snippet(text: &str, line: usize, column: usize, length: usize) -> String {
    // Far to the right, as in JSON on one line, only the surroundings are of use.
    let skipped = (column + length)
        .saturating_sub(SNIPPET_WIDTH)
        .min(column - column.min(1));
    let digits = line.to_string().len();
    let lines = text.lines().enumerate().map(|(at, text)| (at + 1, text));
    let shown = lines.filter(|(at, _)| (line.saturating_sub(2)..=line).contains(at));
    let mut snippet = format!("{:digits$} |\n", "");
    for (at, text) in shown {
        // A tab or an escape sequence would move the mark, or the terminal.
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text
            .chars()
            .skip(skipped)
            .take(SNIPPET_WIDTH)
            .map(visible)
            .collect();
        snippet.push_str(format!("{at:digits$} | {text}").trim_end());
        snippet.push('\n');
    }
    let before = column.saturating_sub(skipped + 1);
    let mark = "^".repeat(length.clamp(1, SNIPPET_WIDTH));
    snippet + &format!("{:digits$} | {:before$}{mark}", "", "")
}

/// A key may hold what a terminal would act on.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// What the person may have meant, in the order of likelihood: a slip of the finger, a key of another place, or none
/// of these.
fn hint_for_key(field: &str, expected: &[&str]) -> String {
    if let Some(known) = spelling::meant(field, expected) {
        return format!("did you mean {known:?}?");
    }
    match reference::homes_of(field).as_slice() {
        [] => format!("known here: {}", expected.join(", ")),
        homes => format!("there is {}", homes.join(", and ")),
    }
}

/// As wide as a terminal, without the line's number.
const SNIPPET_WIDTH: usize = 100;

#[cfg(test)]
mod tests;
