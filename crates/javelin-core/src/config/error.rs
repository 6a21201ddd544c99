//! Why a configuration is refused, and where in the file.
//!
//! Values are checked long after the text was parsed, and the structs they are checked in know no lines. So the
//! place of a wrong value is looked up in a second pass over the text, which only a refused file pays for. What
//! that pass does not find (a key that is missing, or merged in by `<<`) is placed at the nearest key above it.
//!
//! Deliberately not here: what is wrong. That is said where it is found.

use std::fmt;

use serde_saphyr::{
    DefaultMessageFormatter, MessageFormatter as _,
    granit_parser::{Event, Parser, ScanError, Span},
};

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
        let place = locate(text, path).map(|span| {
            let length = if span.end.line() == span.start.line() {
                span.end.col().saturating_sub(span.start.col())
            } else {
                1
            };
            Place::new(text, span.start.line(), span.start.col() + 1, length)
        });
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

/// Where the value of a dotted path stands, or the nearest key above it.
fn locate(text: &str, path: &str) -> Option<Span> {
    let mut events = Parser::new_from_str(text);
    let root = loop {
        match events.next()? {
            Ok((Event::DocumentStart(..), _)) => break node(&mut events)?,
            Ok(_) => {}
            Err(_) => return None,
        }
    };
    root.find(path)
}

/// As much of a YAML node as it takes to find one.
enum Node {
    /// A scalar that stands here.
    Scalar(Span),
    /// Keys, where they stand, and their values.
    Mapping(Vec<(String, Span, Self)>),
    /// Lists and aliases: no path leads into one.
    Other,
}

impl Node {
    fn find(&self, path: &str) -> Option<Span> {
        let Self::Mapping(members) = self else {
            return None;
        };
        // A key may hold dots itself, as attributes do: the longest that fits.
        let rest_after = |key: &str| {
            path.strip_prefix(key)
                .filter(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let fitting = members
            .iter()
            .filter_map(|(key, span, value)| Some((key, span, value, rest_after(key)?)));
        let (_, key, value, rest) = fitting.max_by_key(|(key, ..)| key.len())?;
        let found = match value {
            Self::Scalar(span) if !span.is_empty() => Some(*span),
            Self::Scalar(_) | Self::Other => None,
            Self::Mapping(_) => value.find(rest.strip_prefix('.').unwrap_or(rest)),
        };
        Some(found.unwrap_or(*key))
    }
}

/// Reads one node; `None` where the text ends early. The parser bounds the depth.
fn node<'a>(
    events: &mut impl Iterator<Item = Result<(Event<'a>, Span), ScanError>>,
) -> Option<Node> {
    node_from(next(events)?, events)
}

fn node_from<'a>(
    (event, span): (Event<'a>, Span),
    events: &mut impl Iterator<Item = Result<(Event<'a>, Span), ScanError>>,
) -> Option<Node> {
    Some(match event {
        Event::Scalar(..) => Node::Scalar(span),
        Event::SequenceStart(..) => loop {
            match next(events)? {
                (Event::SequenceEnd, _) => break Node::Other,
                item => drop(node_from(item, events)?),
            }
        },
        Event::MappingStart(..) => {
            let mut members = Vec::new();
            loop {
                match next(events)? {
                    (Event::MappingEnd, _) => break Node::Mapping(members),
                    (Event::Scalar(key, ..), span) => {
                        members.push((key.into_owned(), span, node(events)?));
                    }
                    key => {
                        node_from(key, events)?;
                        node(events)?;
                    }
                }
            }
        }
        _ => Node::Other,
    })
}

/// The next event that is part of the tree.
fn next<'a>(
    events: &mut impl Iterator<Item = Result<(Event<'a>, Span), ScanError>>,
) -> Option<(Event<'a>, Span)> {
    loop {
        match events.next()?.ok()? {
            (Event::Comment(..) | Event::Anchor(..), _) => {}
            event => return Some(event),
        }
    }
}

/// As wide as a terminal, without the line's number.
const SNIPPET_WIDTH: usize = 100;

#[cfg(test)]
mod tests;
