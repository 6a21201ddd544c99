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

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag};
use javelin_steps as steps;
use serde_json::{Map, Number, Value};

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

/// Makes values of nodes.
#[derive(Default)]
struct Values<'n, 't> {
    /// What aliases stand for. It is read anew at each of them, as `<<` needs its keys as they are written.
    anchors: HashMap<usize, &'n Node<'t>>,
    /// Anchors whose aliases are being read: one in itself would have no end.
    open: HashSet<usize>,
    /// How much was read for aliases so far.
    copied: usize,
    merged: HashMap<usize, HashSet<String>>,
}

impl<'n, 't> Values<'n, 't> {
    fn of(&mut self, node: &'n Node<'t>) -> Result<Value, Problem> {
        self.enter(node)?;
        Ok(match &node.shape {
            Shape::Scalar { .. } => written(scalar(node)?),
            Shape::Alias(id) => self.aliased(node, *id, Self::of)?,
            Shape::Sequence { items, .. } => {
                let items = items.iter().map(|item| self.of(item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Shape::Mapping { entries, .. } => {
                let mut members = Members::default();
                self.fill(&mut members, entries, false)?;
                if !members.merged.is_empty() && self.open.is_empty() {
                    self.merged.insert(node.start, members.merged);
                }
                Value::Object(members.map)
            }
        })
    }

    /// Knows the anchor from here on, and counts what an alias brings.
    fn enter(&mut self, node: &'n Node<'t>) -> Result<(), Problem> {
        steps::take(1);
        if node.anchor != 0 {
            self.anchors.insert(node.anchor, node);
        }
        if self.open.is_empty() {
            return Ok(());
        }
        self.copied += 1 + match &node.shape {
            Shape::Scalar { text, .. } => text.len() / TEXT_OF_ONE,
            _ => 0,
        };
        if self.copied > MAX_COPIED {
            return Err(node.problem("its aliases bring too many values"));
        }
        Ok(())
    }

    /// Does something with the node that an alias stands for.
    fn aliased<T>(
        &mut self,
        alias: &Node<'_>,
        id: usize,
        read: impl FnOnce(&mut Self, &'n Node<'t>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let target = self.anchors.get(&id).copied();
        let target = target.filter(|_| self.open.insert(id));
        let target = target.ok_or_else(|| alias.problem("an alias inside its own anchor"))?;
        let value = read(self, target)?;
        self.open.remove(&id);
        Ok(value)
    }

    /// Takes in the entries of a mapping, in their order, or of one that is merged into it.
    fn fill(
        &mut self,
        members: &mut Members,
        entries: &'n [(Node<'t>, Node<'t>)],
        is_merged: bool,
    ) -> Result<(), Problem> {
        for (key, value) in entries {
            if is_merge(key) {
                self.merge(members, value)?;
                continue;
            }
            self.enter(key)?;
            let raw = match &key.shape {
                Shape::Alias(id) => self.aliased(key, *id, |_, target| scalar(target))?,
                _ => scalar(key)?,
            };
            let name = name_of(&raw).map_err(|problem| key.problem(&problem))?;
            let value = self.of(value)?;
            let fits = members.set(name, raw, value, is_merged);
            fits.map_err(|problem| key.problem(&problem))?;
        }
        Ok(())
    }

    /// Takes in what `<<` names: a mapping, an alias of one, or a list of them, of which the first counts most.
    fn merge(&mut self, members: &mut Members, value: &'n Node<'t>) -> Result<(), Problem> {
        if let Shape::Sequence { items, .. } = &value.shape {
            self.enter(value)?;
            let mut items = items.iter().rev();
            return items.try_for_each(|item| self.merge_one(members, item));
        }
        self.merge_one(members, value)
    }

    fn merge_one(&mut self, members: &mut Members, node: &'n Node<'t>) -> Result<(), Problem> {
        self.enter(node)?;
        match &node.shape {
            Shape::Mapping { entries, .. } => self.fill(members, entries, true),
            Shape::Alias(id) => self.aliased(node, *id, |values, target| match &target.shape {
                Shape::Mapping { entries, .. } => {
                    values.enter(target)?;
                    values.fill(members, entries, true)
                }
                _ => Err(node.problem(NO_MAPPING)),
            }),
            _ => Err(node.problem(NO_MAPPING)),
        }
    }
}

/// A mapping that is being read.
#[derive(Default)]
struct Members {
    map: Map<String, Value>,
    /// What the names were that were no strings.
    odd: HashMap<String, Value>,
    /// Names whose values `<<` has brought last.
    merged: HashSet<String>,
}

impl Members {
    fn set(
        &mut self,
        name: String,
        raw: Value,
        value: Value,
        is_merged: bool,
    ) -> Result<(), String> {
        // `1` and `"1"` are two keys to the library, and then one to kubectl, which takes either by chance.
        let is_same = match (self.odd.get(&name), raw.is_string()) {
            (Some(before), _) => *before == raw,
            (None, is_string) => is_string || !self.map.contains_key(&name),
        };
        if !is_same {
            return Err(format!(
                "the key {name:?} is there twice, in two ways; leave one of them"
            ));
        }
        if !raw.is_string() {
            self.odd.insert(name.clone(), raw);
        }
        if is_merged {
            self.merged.insert(name.clone());
        } else if !self.merged.is_empty() {
            self.merged.remove(&name);
        }
        self.map.insert(name, value);
        Ok(())
    }
}

impl Node<'_> {
    fn problem(&self, text: &str) -> Problem {
        Problem {
            at: self.start,
            text: text.to_owned(),
        }
    }
}

/// Is it the key that merges a mapping into another?
pub(super) fn is_merge(key: &Node<'_>) -> bool {
    let Shape::Scalar { text, style, tag } = &key.shape else {
        return false;
    };
    text == "<<"
        && match tag.as_deref() {
            None => *style == ScalarStyle::Plain,
            Some(tag) => matches!(tag, "!" | "merge"),
        }
}

/// The name of a key that is written out; `None` for an alias, and for what is no name.
pub(super) fn written_name(key: &Node<'_>) -> Option<String> {
    name_of(&scalar(key).ok()?).ok()
}

/// The name that a key gets: JSON has no other keys than strings.
fn name_of(key: &Value) -> Result<String, String> {
    let problem = |what: &str| Err(format!("a key is {what}; put it into quotes"));
    match key {
        Value::String(name) => Ok(name.clone()),
        Value::Bool(_) => Ok(key.to_string()),
        Value::Number(number) if number.is_i64() => Ok(number.to_string()),
        Value::Number(number) if number.is_f64() => {
            // As kubectl does it: with the precision of 32 bits.
            #[expect(clippy::cast_possible_truncation, reason = "that is what it does")]
            let short = number.as_f64().unwrap_or_default() as f32;
            if short == 0.0 || (1e-4..1e6).contains(&short.abs()) {
                return Ok(short.to_string());
            }
            problem("a number that kubectl writes in another way")
        }
        Value::Number(_) => problem("too large a number"),
        Value::Null => problem("null"),
        Value::Array(_) | Value::Object(_) => problem("a list or a mapping"),
    }
}

/// What a scalar says, a number as it is written.
fn scalar(node: &Node<'_>) -> Result<Value, Problem> {
    let Shape::Scalar { text, style, tag } = &node.shape else {
        return Err(node.problem("a key is a list or a mapping"));
    };
    let value = match tag.as_deref() {
        None if *style != ScalarStyle::Plain => return Ok(Value::String(text.to_string())),
        None => plain(text),
        Some(tag @ ("int" | "float" | "bool" | "null" | "timestamp")) => {
            plain(text).and_then(|value| {
                let fits = match tag {
                    "int" => value.is_i64() || value.is_u64(),
                    "float" => value.is_number(),
                    "bool" => value.is_boolean(),
                    "null" => value.is_null(),
                    _ => value.is_string(),
                };
                fits.then_some(value)
                    .ok_or_else(|| format!("{text:?} is not what its tag says: {tag}"))
            })
        }
        Some("binary") => {
            let bytes = BASE64.decode(text.replace(['\r', '\n'], ""));
            let decoded = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            decoded
                .map(Value::String)
                .ok_or_else(|| "its tag is binary, and it is no text in base64".to_owned())
        }
        Some(_) => return Ok(Value::String(text.to_string())),
    };
    value.map_err(|problem| node.problem(&problem))
}

/// A value as kubectl writes it into JSON, and reads it again: a number without a fraction is an integer.
fn written(value: Value) -> Value {
    let float = value
        .as_f64()
        .filter(|float| value.is_f64() && float.fract() == 0.0 && float.abs() < 1e21);
    let Some(float) = float.filter(|float| *float != 0.0 || float.is_sign_positive()) else {
        return value;
    };
    // The fewest digits that are this number, and zeros behind them.
    let digits = float.to_string();
    let signed = digits.parse::<i64>().map(Value::from);
    signed
        .or_else(|_| digits.parse::<u64>().map(Value::from))
        .unwrap_or(value)
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
    // In one that begins with its point they stand between digits.
    if first == b'.' && has_loose_underscores(text) {
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
        // With a sign there are 63 bits.
        let signed = i128::from(magnitude) * if is_negative { -1 } else { 1 };
        if let Ok(signed) = i64::try_from(signed) {
            return Some(signed.into());
        }
        if !digits.starts_with(['-', '+']) {
            return Some(magnitude.into());
        }
    }
    // An odd one of the library's: it looks behind `0b` for a number of its own, sign and all.
    if let Some(rest) = digits
        .strip_prefix("0b")
        .filter(|rest| rest.starts_with(['-', '+']))
    {
        return i64::from_str_radix(rest, 2).ok().map(Number::from);
    }
    is_float(unsigned).then(|| digits.parse().ok().and_then(Number::from_f64))?
}

/// Is there an underscore that does not stand between two digits?
fn has_loose_underscores(text: &str) -> bool {
    let is_digit = |at: Option<usize>| {
        let byte = at.and_then(|at| text.as_bytes().get(at));
        byte.is_some_and(u8::is_ascii_digit)
    };
    text.match_indices('_')
        .any(|(at, _)| !is_digit(at.checked_sub(1)) || !is_digit(Some(at + 1)))
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

const NO_MAPPING: &str = "`<<` merges what is no mapping";

/// Values that aliases may bring in: a document of a few lines could otherwise fill the memory.
const MAX_COPIED: usize = 1_000_000;

/// As many bytes of text as one value takes beside it.
const TEXT_OF_ONE: usize = 64;

#[cfg(test)]
mod tests;
