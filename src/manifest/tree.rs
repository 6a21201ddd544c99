//! One document, read as `kubectl` reads it, and where in its text each value stands.
//!
//! `kubectl` (sigs.k8s.io/yaml over go-yaml 2) reads YAML 1.1: `on` is true, `0123` is 83, `~` is null, of a key that
//! occurs twice the last counts, and every key becomes a string. What is decided here must rest on the same values, so
//! scalars are resolved by its rules, not by those of YAML 1.2.
//!
//! Deliberately not here: several documents in one text (see [`super::split`]).

use std::{borrow::Cow, collections::HashMap};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle};
use serde_json::{Map, Number, Value};

use crate::steps;

/// A document that was read.
#[derive(Debug)]
pub struct Tree<'t> {
    /// The outermost node; `None` for a document of nothing but comments.
    pub(super) root: Option<Node<'t>>,
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
}

impl<'t> Tree<'t> {
    /// Reads the one document of a text.
    pub fn parse(text: &'t str) -> Result<Self, TreeError> {
        let mut reader = Reader::of(text);
        let root = reader.document()?;
        let mut values = Values::default();
        let value = root.as_ref().map(|root| values.of(root));
        let value = value.transpose().map_err(|problem| problem.at(text))?;
        Ok(Self {
            root,
            value: value.unwrap_or_default(),
        })
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
        let has_tag = span.tag_start().is_some();
        Ok(match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.core_suffix().unwrap_or("!").to_owned());
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
                let is_flow = style == StructureStyle::Flow;
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
                Node {
                    start,
                    end: self.last,
                    lead: start,
                    anchor,
                    has_properties: anchor != 0 || has_tag,
                    shape: Shape::Sequence { is_flow, items },
                }
            }
            Event::MappingStart(style, anchor, _) => {
                let is_flow = style == StructureStyle::Flow;
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
                Node {
                    start: start_of(span),
                    end: self.last,
                    lead: start_of(span),
                    anchor,
                    has_properties: anchor != 0 || has_tag,
                    shape: Shape::Mapping { is_flow, entries },
                }
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

/// Makes values of nodes.
#[derive(Default)]
struct Values {
    anchors: HashMap<usize, Value>,
    /// How much was copied for aliases so far.
    copied: usize,
}

impl Values {
    /// Copies a value, as long as there is not too much of it.
    fn copy(&mut self, value: &Value) -> Result<Value, String> {
        self.copied += size(value);
        if self.copied > MAX_COPIED {
            return Err("its aliases bring too many values".to_owned());
        }
        Ok(value.clone())
    }

    fn of(&mut self, node: &Node<'_>) -> Result<Value, Problem> {
        let problem = |text: String| Problem {
            at: node.start,
            text,
        };
        let value = match &node.shape {
            Shape::Scalar { text, style, tag } => {
                scalar(text, *style, tag.as_deref()).map_err(problem)?
            }
            Shape::Alias(id) => {
                let value = self.anchors.remove(id);
                let value =
                    value.ok_or_else(|| problem("an alias inside its own anchor".to_owned()))?;
                let copy = self.copy(&value).map_err(problem)?;
                self.anchors.insert(*id, value);
                copy
            }
            Shape::Sequence { items, .. } => {
                let items = items.iter().map(|item| self.of(item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Shape::Mapping { entries, .. } => {
                let mut map = Map::new();
                let mut merged = Vec::new();
                for (key, value) in entries {
                    let is_merge = is_merge(key);
                    let name = self.of(key)?;
                    let value = self.of(value)?;
                    if is_merge {
                        merged.push(value);
                    } else {
                        let name = name_of(name).ok_or_else(|| Problem {
                            at: key.start,
                            text: "a key is a list or a mapping".to_owned(),
                        })?;
                        map.insert(name, value);
                    }
                }
                // What is written at the place itself wins, then the first of those that are merged.
                let merged = merged.into_iter().flat_map(|value| match value {
                    Value::Array(several) => several,
                    one => vec![one],
                });
                for value in merged {
                    let Value::Object(entries) = value else {
                        return Err(problem("`<<` merges what is no mapping".to_owned()));
                    };
                    for (key, value) in entries {
                        map.entry(key).or_insert(value);
                    }
                }
                Value::Object(map)
            }
        };
        if node.anchor != 0 {
            let copy = self.copy(&value).map_err(problem)?;
            self.anchors.insert(node.anchor, copy);
        }
        Ok(value)
    }
}

/// Is it the key that merges a mapping into another?
pub(super) fn is_merge(key: &Node<'_>) -> bool {
    matches!(&key.shape, Shape::Scalar { text, style: ScalarStyle::Plain, tag: None } if text == "<<")
}

/// The name that a key gets: JSON has no other keys than strings.
pub(super) fn name_of(key: Value) -> Option<String> {
    match key {
        Value::String(name) => Some(name),
        Value::Bool(_) | Value::Number(_) | Value::Null => Some(key.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// How many values a value has in it; a long text counts as several.
fn size(value: &Value) -> usize {
    steps::take(1);
    let of_text = |text: &str| text.len() / TEXT_OF_ONE;
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => {
            let members = map.iter();
            1 + members
                .map(|(key, value)| of_text(key) + size(value))
                .sum::<usize>()
        }
        Value::String(text) => 1 + of_text(text),
        _ => 1,
    }
}

/// What a scalar says.
pub(super) fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    let is_plain = style == ScalarStyle::Plain;
    match tag {
        None if is_plain => plain(text),
        Some("int" | "float" | "bool" | "null") => plain(text),
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// A scalar without quotes, by the rules of go-yaml 2.
fn plain(text: &str) -> Result<Value, String> {
    let word = match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Value::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!(
                "{text} is no value that an object can have; quote it"
            ));
        }
        _ => None,
    };
    Ok(word
        .or_else(|| number(text).map(Value::Number))
        .unwrap_or_else(|| Value::String(text.to_owned())))
}

/// `0x1F`, `0123`, `1_000`, `1e3`.
fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let digits: Cow<'_, str> = if text.contains('_') {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    let (is_negative, unsigned) = match digits.as_bytes().first() {
        Some(b'-') => (true, digits.get(1..)?),
        Some(b'+') => (false, digits.get(1..)?),
        _ => (false, digits.as_ref()),
    };
    if let Some(magnitude) = integer(unsigned) {
        let number = if is_negative {
            i128::from(magnitude)
                .checked_neg()
                .and_then(|value| i64::try_from(value).ok())
                .map(Number::from)
        } else {
            Some(Number::from(magnitude))
        };
        if number.is_some() {
            return number;
        }
    }
    is_float(unsigned).then(|| digits.parse().ok().and_then(Number::from_f64))?
}

fn integer(digits: &str) -> Option<u64> {
    let lower = |prefix: [&str; 2]| prefix.iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (rest, radix) = if let Some(rest) = lower(["0x", "0X"]) {
        (rest, 16)
    } else if let Some(rest) = lower(["0b", "0B"]) {
        (rest, 2)
    } else if let Some(rest) = lower(["0o", "0O"]) {
        (rest, 8)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (digits, 8)
    } else {
        (digits, 10)
    };
    // Two signs are none.
    let is_number = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u64::from_str_radix(rest, radix).ok().filter(|_| is_number)
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let has_digits = !whole.is_empty() || (!fraction.is_empty() && mantissa.contains('.'));
    let exponent = exponent
        .get(1..)
        .map(|rest| rest.strip_prefix(['-', '+']).unwrap_or(rest));
    has_digits
        && are_digits(whole)
        && are_digits(fraction)
        && exponent.is_none_or(|digits| !digits.is_empty() && are_digits(digits))
}

/// Values that aliases may bring in: a document of a few lines could otherwise fill the memory.
const MAX_COPIED: usize = 1_000_000;

/// As many bytes of text as one value takes beside it.
const TEXT_OF_ONE: usize = 64;

#[cfg(test)]
mod tests;
