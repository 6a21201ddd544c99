//! One document, read as `kubectl` reads it, and where in its text each value stands.
//!
//! `kubectl` (sigs.k8s.io/yaml over go-yaml 2) reads YAML 1.1: `on` is true, `0123` is 83, `~` is null, of a key that
//! occurs twice the last counts, and every key becomes a string. `<<` brings its keys where it stands: it overwrites
//! what is before it, and what is behind it overwrites them. What is decided here must rest on the same values, so
//! everything is resolved by its rules, not by those of YAML 1.2. What it reads by chance, or cannot be told apart from
//! what it reads otherwise, is an error here. `tests/it/yaml.rs` holds this against the library itself.
//!
//! Deliberately not here: several documents in one text (see [`super::split`]).

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::Range,
};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag};
use javelin_steps as steps;
use serde_json::Value;

mod scalars;
mod values;

pub(super) use values::{is_merge, written_name};

use values::Values;

/// A document that was read.
#[derive(Debug)]
pub struct Tree<'t> {
    /// The outermost node; `None` for a document of nothing but comments.
    pub(super) root: Option<Node<'t>>,
    /// Names in mappings, by the first byte of each mapping, whose values `<<` has brought last.
    pub(super) merged: HashMap<usize, HashSet<String>>,
    /// What it says.
    pub value: Value,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// As JSON.
    Json,
    /// As YAML, in whatever style.
    Yaml,
}

/// A document that cannot be read: neither YAML nor JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct TreeError {
    /// The line of the text, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
}

/// A value's place in the text: bytes.
#[derive(Debug)]
pub(super) struct Node<'t> {
    /// Its first byte, behind anchor and tag.
    pub(super) start: usize,
    /// The byte behind its last one, without the line's end.
    pub(super) end: usize,
    /// The anchor's number, or 0.
    anchor: usize,
    /// The dash or the colon before it; its own first byte where there is none.
    pub(super) lead: usize,
    /// Has it an anchor or a tag?
    pub(super) has_properties: bool,
    pub(super) shape: Shape<'t>,
}

#[derive(Debug)]
pub(super) enum Shape<'t> {
    Scalar {
        text: Cow<'t, str>,
        style: ScalarStyle,
        /// The name of one of YAML's own tags, `!` for the one that says nothing, or nothing for any other.
        tag: Option<String>,
    },
    Sequence {
        is_flow: bool,
        items: Vec<Node<'t>>,
    },
    Mapping {
        is_flow: bool,
        entries: Vec<(Node<'t>, Node<'t>)>,
    },
    Alias(usize),
}

impl Node<'_> {
    fn behind(self, lead: usize) -> Self {
        Self { lead, ..self }
    }

    fn find(&self, path: &str) -> Option<Range<usize>> {
        let Shape::Mapping { entries, .. } = &self.shape else {
            return None;
        };
        steps::take(entries.len());
        // A key may hold dots itself, as attributes do: the longest that fits.
        let fitting = entries.iter().filter_map(|(key, value)| {
            let Shape::Scalar { text, .. } = &key.shape else {
                return None;
            };
            let rest = path.strip_prefix(&**text)?;
            let is_whole = rest.is_empty() || rest.starts_with('.');
            is_whole.then_some((text.len(), key, value, rest))
        });
        let (_, key, value, rest) = fitting.max_by_key(|(length, ..)| *length)?;
        let found = match value.shape {
            Shape::Scalar { .. } if value.start < value.end => Some(value.start..value.end),
            Shape::Mapping { .. } => value.find(rest.strip_prefix('.').unwrap_or(rest)),
            _ => None,
        };
        Some(found.unwrap_or(key.start..key.end))
    }
}

impl<'t> Tree<'t> {
    /// Reads the one document of a text.
    pub fn parse(text: &'t str) -> Result<Self, TreeError> {
        check_characters(text).map_err(|problem| problem.at(text))?;
        let mut reader = Reader::of(text);
        let root = reader.document()?;
        let mut values = Values::default();
        let value = root.as_ref().map(|root| values.of(root));
        let value = value.transpose().map_err(|problem| problem.at(text))?;
        let merged = values.merged;
        Ok(Self {
            root,
            merged,
            value: value.unwrap_or_default(),
        })
    }

    /// The bytes of the value at a path, whose keys have dots between them: of a scalar, else of the nearest key above it.
    pub fn find(&self, path: &str) -> Option<Range<usize>> {
        self.root.as_ref()?.find(path)
    }
}

/// Reads what one text says, where its places are of no interest.
pub fn read(text: &str, syntax: Syntax) -> Result<Value, TreeError> {
    let json = text.trim_start_matches('\u{feff}');
    if syntax == Syntax::Json
        && let Ok(value) = serde_json::from_str(json)
    {
        return Ok(value);
    }
    Ok(Tree::parse(text)?.value)
}

/// Characters that are something else in YAML 1.1 than in 1.2: breaks of lines, and a mark of the byte order that is not at
/// the beginning. In JSON they are none.
fn check_characters(text: &str) -> Result<(), Problem> {
    steps::take(text.len());
    let json = text.strip_prefix('\u{feff}').unwrap_or(text);
    let marks = text.len() - json.len();
    let Some(at) = json.find(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']) else {
        return Ok(());
    };
    if serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok() {
        return Ok(());
    }
    let found = json.get(at..).and_then(|rest| rest.chars().next());
    let found = found.unwrap_or_default().escape_unicode();
    Err(Problem {
        at: marks + at,
        text: format!(
            "kubectl takes the character {found} for something else; leave it out, or write it as an escape in double quotes"
        ),
    })
}

struct Reader<'t> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    /// Where the last token ended: an empty value stands behind it.
    last: usize,
    /// A place behind a token, and the next one that is no blank and no comment: many empty values may stand there.
    passed: Option<(usize, usize)>,
}

impl<'t> Reader<'t> {
    fn of(text: &'t str) -> Self {
        let options = granit_parser::options! {
            emit_comments: false,
            emit_anchor_events: true,
            block_scalar_eof_without_line_feed: true,
        };
        Self {
            text,
            events: Parser::new_from_str_with_options(text, options),
            last: 0,
            passed: None,
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), TreeError> {
        match self.events.next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(TreeError::from(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Node<'t>>, TreeError> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {
                    self.last = self.last.max(end_of(span));
                }
                // What is behind it reads as `kubectl` reads it: not at all. The cutter leaves no second document here.
                event if root.is_none() => root = Some(self.node(event, span)?),
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node<'t>, TreeError> {
        Ok(match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| name_of_tag(&tag));
                self.scalar((text, style, tag), anchor, span)?
            }
            Event::Alias(id) => {
                self.last = end_of(span);
                Node {
                    start: start_of(span),
                    end: self.last,
                    lead: start_of(span),
                    anchor: 0,
                    has_properties: false,
                    shape: Shape::Alias(id),
                }
            }
            Event::SequenceStart(style, anchor, _) => {
                self.sequence(style == StructureStyle::Flow, anchor, span)?
            }
            Event::MappingStart(style, anchor, _) => {
                self.mapping(style == StructureStyle::Flow, anchor, span)?
            }
            // Nothing else is a node; an alias without its anchor is an error before it comes here.
            _ => Node {
                start: self.last,
                end: self.last,
                lead: self.last,
                anchor: 0,
                has_properties: true,
                shape: Shape::Alias(0),
            },
        })
    }

    fn sequence(
        &mut self,
        is_flow: bool,
        anchor: usize,
        span: Span,
    ) -> Result<Node<'t>, TreeError> {
        let has_properties = anchor != 0 || span.tag_start().is_some();
        self.open(anchor, is_flow, span)?;
        let mut items = Vec::new();
        let mut start = start_of(span);
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break span;
            }
            if !is_flow {
                let dash = self.skip_to(b'-', span);
                // The parser is behind it already where the dashes are not indented.
                start = dash.filter(|_| items.is_empty()).unwrap_or(start);
            }
            let lead = self.last.saturating_sub(1);
            let item = self.node(event, span)?;
            items.push(if is_flow { item } else { item.behind(lead) });
        };
        self.close(is_flow, end);
        Ok(Node {
            start,
            end: self.last,
            lead: start,
            anchor,
            has_properties,
            shape: Shape::Sequence { is_flow, items },
        })
    }

    fn mapping(&mut self, is_flow: bool, anchor: usize, span: Span) -> Result<Node<'t>, TreeError> {
        let start = start_of(span);
        let has_properties = anchor != 0 || span.tag_start().is_some();
        self.open(anchor, is_flow, span)?;
        let mut entries = Vec::new();
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break span;
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let colon = self.skip_to(b':', span);
            let value = self.node(event, span)?;
            let value = match colon {
                Some(colon) => value.behind(colon),
                None => value,
            };
            entries.push((key, value));
        };
        self.close(is_flow, end);
        Ok(Node {
            start,
            end: self.last,
            lead: start,
            anchor,
            has_properties,
            shape: Shape::Mapping { is_flow, entries },
        })
    }

    fn scalar(
        &mut self,
        (text, style, tag): (Cow<'t, str>, ScalarStyle, Option<String>),
        anchor: usize,
        span: Span,
    ) -> Result<Node<'t>, TreeError> {
        let (mut start, mut end) = (start_of(span), end_of(span));
        // The parser gives `~` for nothing.
        let is_empty = start == end && style == ScalarStyle::Plain;
        let text = if is_empty { Cow::Borrowed("") } else { text };
        if anchor != 0 {
            let (_, span) = self.next()?;
            self.last = self.last.max(end_of(span));
        }
        self.last = self.last.max(span.tag_span().map_or(0, end_of));
        if is_empty {
            (start, end) = (self.last, self.last);
        } else if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            start = self.start_of_block(start);
            end = self.end_of_block(start, end, &text);
        }
        self.last = end;
        Ok(Node {
            start,
            end,
            lead: start,
            anchor,
            has_properties: anchor != 0 || span.tag_start().is_some(),
            shape: Shape::Scalar { text, style, tag },
        })
    }

    /// Passes anchor and tag, and the bracket of a flow collection. A block has no beginning of its own: the parser may
    /// be behind its first dash already.
    fn open(&mut self, anchor: usize, is_flow: bool, span: Span) -> Result<(), TreeError> {
        if anchor != 0 {
            let (_, span) = self.next()?;
            self.last = self.last.max(end_of(span));
        }
        let tag = span.tag_span().map_or(0, end_of);
        let bracket = if is_flow { end_of(span) } else { 0 };
        self.last = self.last.max(tag).max(bracket);
        Ok(())
    }

    /// A flow collection ends with its bracket, a block with its last entry.
    fn close(&mut self, is_flow: bool, end: Span) {
        if is_flow {
            self.last = end_of(end);
        }
    }

    /// Passes the indicator that is the next byte but for blanks and comments: an empty value stands behind it.
    fn skip_to(&mut self, indicator: u8, before: Span) -> Option<usize> {
        let at = match self.passed {
            Some((behind, at)) if behind == self.last => at,
            _ => self.next_token(),
        };
        self.passed = Some((self.last, at));
        let is_there = self.text.as_bytes().get(at) == Some(&indicator);
        // An explicit key may be without a value, and so without the indicator.
        let is_there = is_there && at <= start_of(before);
        if is_there {
            self.last = at + 1;
        }
        is_there.then_some(at)
    }

    /// The next byte behind the last token that is no blank and no comment.
    fn next_token(&self) -> usize {
        let all = self.text.get(self.last..).unwrap_or_default();
        let mut rest = all.trim_start();
        while rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            rest = rest.trim_start();
        }
        steps::take(all.len() - rest.len());
        self.text.len() - rest.len()
    }

    /// A block scalar begins with its `|` or `>`, which is the next byte but for blanks and comments.
    fn start_of_block(&self, content: usize) -> usize {
        let before = self.text.get(self.last..content).unwrap_or_default();
        steps::take(before.len());
        before.find(['|', '>']).map_or(content, |at| self.last + at)
    }

    /// A block scalar ends with its last line that is not blank, and with the blank ones behind where it keeps them.
    fn end_of_block(&self, start: usize, end: usize, value: &str) -> usize {
        let text = self.text.get(start..end).unwrap_or_default();
        steps::take(text.len());
        let header = text.lines().next().unwrap_or_default();
        let keeps = header.split('#').next().unwrap_or_default();
        let keeps = keeps.contains('+') || value.trim().is_empty();
        let kept = if keeps {
            // The blanks before what comes next are not its own.
            let lines = text.trim_end_matches([' ', '\t']);
            let lines = if lines.ends_with('\n') { lines } else { text };
            lines.strip_suffix('\n').unwrap_or(lines)
        } else {
            text.trim_end_matches([' ', '\t', '\r', '\n'])
        };
        start + kept.strip_suffix('\r').unwrap_or(kept).len()
    }
}

fn start_of(span: Span) -> usize {
    span.byte_range().map_or(0, |range| range.start)
}

fn end_of(span: Span) -> usize {
    span.byte_range().map_or(0, |range| range.end)
}

impl From<&ScanError> for TreeError {
    fn from(error: &ScanError) -> Self {
        Self {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            problem: error.info(),
        }
    }
}

/// What a value cannot be in a manifest, and the byte where it stands.
struct Problem {
    at: usize,
    text: String,
}

impl Problem {
    fn at(self, text: &str) -> TreeError {
        let before = text.get(..self.at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        TreeError {
            line: 1 + before.matches('\n').count(),
            column: 1 + line.chars().count(),
            problem: self.text,
        }
    }
}

fn name_of_tag(tag: &Tag) -> String {
    if tag.handle().is_empty() && tag.suffix() == "!" {
        return "!".to_owned();
    }
    let name = tag.suffix_in_namespace("tag:yaml.org,2002:");
    name.map_or_else(String::new, Cow::into_owned)
}

#[cfg(test)]
mod tests;
