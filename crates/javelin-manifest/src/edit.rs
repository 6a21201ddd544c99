//! Changes a text until it says another value, line by line: what is not changed keeps its bytes.
//!
//! Two values are compared along the places of the first one, and what differs is inserted, replaced or taken out in the
//! style that stands around it. Nothing leaves that was not read again and found equal to what it must say. Where an
//! edit in place cannot do it (anchors that others share, keys that are merged in, explicit keys), the smallest part
//! around it is written anew, which costs the comments in it, and the caller is told.
//!
//! Deliberately not here: what is to be changed.

use std::collections::{HashMap, HashSet};

use granit_parser::ScalarStyle;
use javelin_steps as steps;
use serde_json::{Map, Value};

use super::{
    render::{self, JsonLayout, Layout},
    tree::{self, Node, Shape, Syntax, Tree},
};

mod align;

use align::align;

/// A text that says what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// Lines of the old text at which something was written anew, comments in it lost.
    pub rewritten: Vec<usize>,
}

/// The text of a document, changed so that it says `new`; `None` if that cannot be done, which is a defect of ours.
pub fn edit<'t>(text: &'t str, tree: &'t Tree<'_>, new: &Value, syntax: Syntax) -> Option<Edited> {
    let root = tree.root.as_ref()?;
    // First everything in place, then ever larger parts anew.
    let depths = std::iter::once(usize::MAX).chain((0..DEEPEST).rev());
    for depth in depths {
        let mut editor = Editor::of(text, root, &tree.merged, (syntax, depth));
        if editor.change(root, &tree.value, new, 0).is_err()
            && editor.rewrite(root, new, 0).is_err()
        {
            continue;
        }
        let edited = editor.finish();
        let says = match syntax {
            Syntax::Json => serde_json::from_str(edited.text.trim_start_matches('\u{feff}')).ok(),
            Syntax::Yaml => tree::read(&edited.text, syntax).ok(),
        };
        if says.as_ref() == Some(new) {
            return Some(edited);
        }
    }
    None
}

/// A node that cannot be edited in place: whoever is around it may be written anew.
struct Cannot;

type Result<T = ()> = std::result::Result<T, Cannot>;

struct Editor<'t> {
    text: &'t str,
    /// Where its lines begin.
    lines: Vec<usize>,
    layout: Layout,
    json: JsonLayout<'t>,
    syntax: Syntax,
    merged: &'t HashMap<usize, HashSet<String>>,
    /// Nodes at this depth are written anew, if they change.
    depth: usize,
    /// What stands in place of which bytes.
    edits: Vec<(usize, usize, String)>,
    rewritten: Vec<usize>,
}

impl<'t> Editor<'t> {
    fn of(
        text: &'t str,
        root: &Node<'_>,
        merged: &'t HashMap<usize, HashSet<String>>,
        (syntax, depth): (Syntax, usize),
    ) -> Self {
        let first = text.find('\n').and_then(|at| text.get(..at));
        let eol = match first {
            Some(line) if line.ends_with('\r') => "\r\n",
            _ => "\n",
        };
        let unit = json_unit(text, root);
        // Between brackets in YAML new members are on one line, unless the others are not.
        let is_spaced = syntax == Syntax::Yaml || unit.is_some() || text.contains("\": ");
        steps::take(text.len());
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            lines: std::iter::once(0).chain(ends).collect(),
            layout: Layout {
                unit: find_step(text, root, is_mapping).unwrap_or(2).max(1),
                dash: find_step(text, root, is_sequence).unwrap_or(0),
                eol,
            },
            json: JsonLayout {
                unit,
                is_spaced,
                eol,
            },
            syntax,
            merged,
            depth,
            edits: Vec::new(),
            rewritten: Vec::new(),
        }
    }

    /// Makes a node say another value, in place.
    fn change(&mut self, node: &Node<'_>, old: &Value, new: &Value, depth: usize) -> Result {
        if old == new {
            return Ok(());
        }
        if depth >= self.depth {
            return self.rewrite(node, new, depth);
        }
        let mark = (self.edits.len(), self.rewritten.len());
        let changed = match (&node.shape, old, new) {
            (Shape::Mapping { is_flow, entries }, Value::Object(old), Value::Object(new)) => {
                let place = Place {
                    node,
                    is_flow: *is_flow,
                    depth,
                };
                self.mapping(place, entries, old, new)
            }
            (Shape::Sequence { is_flow, items }, Value::Array(old), Value::Array(new)) => {
                let place = Place {
                    node,
                    is_flow: *is_flow,
                    depth,
                };
                self.sequence(place, items, old, new)
            }
            (
                Shape::Scalar {
                    style, tag: None, ..
                },
                Value::String(old),
                Value::String(new),
            ) => self.string(node, *style, old, new),
            _ => Err(Cannot),
        };
        if changed.is_ok() {
            return Ok(());
        }
        self.edits.truncate(mark.0);
        self.rewritten.truncate(mark.1);
        self.rewrite(node, new, depth)
    }

    fn mapping(
        &mut self,
        place: Place<'_>,
        entries: &[(Node<'_>, Node<'_>)],
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Result {
        if entries.iter().any(|(key, _)| tree::is_merge(key))
            && !old.keys().all(|key| new.contains_key(key))
        {
            return Err(Cannot);
        }
        if new.is_empty() && !place.is_flow {
            return Err(Cannot);
        }
        let changes = self.changes(place, entries, old, new)?;
        let removed: Vec<_> = changes
            .iter()
            .filter(|(_, _, after)| after.is_none())
            .map(|(index, ..)| *index)
            .collect();
        for (index, before, after) in changes {
            let Some((key, value)) = entries.get(index) else {
                return Err(Cannot);
            };
            match after {
                Some(after) => self.change(value, before, after, place.depth + 1)?,
                None if place.is_flow => {}
                None => self.remove_lines(key.start, value.end.max(value.lead + 1))?,
            }
        }
        let added: Vec<_> = new
            .iter()
            .filter(|(key, _)| !old.contains_key(*key))
            .collect();
        if place.is_flow {
            let spans: Vec<_> = entries
                .iter()
                .map(|(key, value)| (key.start, value.end.max(key.end)))
                .collect();
            let members = added
                .iter()
                .map(|(key, value)| Member::Entry(key, value))
                .collect();
            self.remove_members(place.node, &spans, &removed)?;
            return self.add_members(place.node, &spans, &removed, vec![(spans.len(), members)]);
        }
        if added.is_empty() {
            return Ok(());
        }
        let (key, value) = entries.last().ok_or(Cannot)?;
        let column = self.column(place.node.start).ok_or(Cannot)?;
        let mut lines = String::new();
        for (key, value) in added {
            lines.push_str(&" ".repeat(column));
            self.layout.entry(&mut lines, key, value, column);
        }
        self.insert_behind(value.end.max(key.end), &lines)
    }

    /// What differs of the keys that are there, in the order of the text: which entry, its value, and the new one.
    fn changes<'v>(
        &self,
        place: Place<'_>,
        entries: &[(Node<'_>, Node<'_>)],
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
    ) -> Result<Vec<(usize, &'v Value, Option<&'v Value>)>> {
        let merged = self.merged.get(&place.node.start);
        // Of a key that occurs twice, the last counts.
        let named = entries.iter().enumerate();
        let named = named.filter_map(|(index, (name, _))| Some((tree::written_name(name)?, index)));
        let index_of: HashMap<_, _> = named.collect();
        steps::take(entries.len());
        let mut changes = Vec::new();
        for (key, before) in old {
            let after = new.get(key);
            if after == Some(before) {
                continue;
            }
            // What is written before a `<<` that brings the same key says nothing.
            let index = index_of
                .get(key)
                .filter(|_| merged.is_none_or(|merged| !merged.contains(key)));
            changes.push((*index.ok_or(Cannot)?, before, after));
        }
        changes.sort_by_key(|(index, ..)| *index);
        Ok(changes)
    }

    fn sequence(
        &mut self,
        place: Place<'_>,
        items: &[Node<'_>],
        old: &[Value],
        new: &[Value],
    ) -> Result {
        if items.len() != old.len() || (new.is_empty() && !place.is_flow) {
            return Err(Cannot);
        }
        let mut pairs = align(old, new).into_iter().peekable();
        // What comes before the old item of that number.
        let mut added: Vec<(usize, Vec<&Value>)> = Vec::new();
        let mut removed = Vec::new();
        let mut next = 0;
        for (index, (item, before)) in items.iter().zip(old).enumerate() {
            steps::take(1);
            let Some((_, partner)) = pairs.next_if(|(old, _)| *old == index) else {
                removed.push(index);
                continue;
            };
            if partner > next {
                let fresh = new.get(next..partner).unwrap_or_default();
                added.push((index, fresh.iter().collect()));
            }
            next = partner + 1;
            let after = new.get(partner).ok_or(Cannot)?;
            self.change(item, before, after, place.depth + 1)?;
        }
        let rest = new.get(next..).unwrap_or_default();
        if !rest.is_empty() {
            added.push((items.len(), rest.iter().collect()));
        }
        if place.is_flow {
            let spans: Vec<_> = items.iter().map(|item| (item.start, item.end)).collect();
            self.remove_members(place.node, &spans, &removed)?;
            let added = added
                .into_iter()
                .map(|(at, values)| (at, values.into_iter().map(Member::Item).collect()));
            return self.add_members(place.node, &spans, &removed, added.collect());
        }
        for index in removed {
            let item = items.get(index).ok_or(Cannot)?;
            self.remove_lines(item.lead, item.end.max(item.lead + 1))?;
        }
        let first = items.first().ok_or(Cannot)?;
        let column = self.column_of_dash(first.lead).ok_or(Cannot)?;
        for (index, values) in added {
            let mut lines = String::new();
            for value in values {
                lines.push_str(&" ".repeat(column));
                self.layout.item(&mut lines, value, column);
            }
            match index.checked_sub(1).and_then(|before| items.get(before)) {
                Some(before) => self.insert_behind(before.end.max(before.lead + 1), &lines)?,
                None => self.insert_at(self.above_comments(first.lead), lines),
            }
        }
        Ok(())
    }

    /// A string that got longer or shorter at one end keeps its style; another one is written anew.
    fn string(&mut self, node: &Node<'_>, style: ScalarStyle, old: &str, new: &str) -> Result {
        let raw = self.text.get(node.start..node.end).ok_or(Cannot)?;
        let (open, close) = match style {
            ScalarStyle::Plain => (0, 0),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (1, 1),
            ScalarStyle::Folded => return self.folded(node, raw, old, new),
            ScalarStyle::Literal => return Err(Cannot),
        };
        let (start, end) = (node.start + open, node.end.saturating_sub(close));
        let inner = self.text.get(start..end).ok_or(Cannot)?;
        let written = |part: &str| -> std::result::Result<String, Cannot> {
            match style {
                ScalarStyle::DoubleQuoted => Ok(render::escape(part)),
                _ if !part.chars().all(render::is_printable) => Err(Cannot),
                ScalarStyle::SingleQuoted => Ok(part.replace('\'', "''")),
                _ if is_plain_part(part) => Ok(part.to_owned()),
                _ => Err(Cannot),
            }
        };
        let edit = if let Some(more) = new.strip_prefix(old).filter(|_| !old.is_empty()) {
            (end, end, written(more)?)
        } else if let Some(more) = new.strip_suffix(old).filter(|_| !old.is_empty()) {
            (start, start, written(more)?)
        } else if let Some(less) = old.strip_prefix(new).filter(|_| !new.is_empty()) {
            let kept = inner.strip_suffix(&written(less)?).ok_or(Cannot)?;
            (start + kept.len(), end, String::new())
        } else if let Some(less) = old.strip_suffix(new).filter(|_| !new.is_empty()) {
            let kept = inner.strip_prefix(&written(less)?).ok_or(Cannot)?;
            (start, end - kept.len(), String::new())
        } else {
            return Err(Cannot);
        };
        self.edits.push(edit);
        Ok(())
    }

    /// A folded block gets one line more or less: what the fold joins with a blank.
    fn folded(&mut self, node: &Node<'_>, raw: &str, old: &str, new: &str) -> Result {
        let last = raw.rsplit('\n').next().unwrap_or_default();
        let indent = last.len() - last.trim_start().len();
        if let Some(more) = new
            .strip_prefix(old)
            .and_then(|more| more.strip_prefix(' '))
        {
            if !raw.contains('\n')
                || more.starts_with(' ')
                || !more.chars().all(render::is_printable)
            {
                return Err(Cannot);
            }
            let line = format!("{}{}{more}", self.layout.eol, " ".repeat(indent));
            self.edits.push((node.end, node.end, line));
            return Ok(());
        }
        let less = old
            .strip_prefix(new)
            .and_then(|less| less.strip_prefix(' '));
        if less != Some(last.trim()) {
            return Err(Cannot);
        }
        let kept = raw.len() - last.len();
        let kept = raw
            .get(..kept)
            .unwrap_or_default()
            .trim_end_matches(['\r', '\n']);
        self.edits
            .push((node.start + kept.len(), node.end, String::new()));
        Ok(())
    }

    /// Puts new text in place of a node, in block style where the old one is no flow.
    fn rewrite(&mut self, node: &Node<'_>, new: &Value, depth: usize) -> Result {
        if node.has_properties {
            return Err(Cannot);
        }
        let is_block = match &node.shape {
            Shape::Mapping { is_flow, .. } | Shape::Sequence { is_flow, .. } => !is_flow,
            Shape::Scalar { .. } | Shape::Alias(_) => false,
        };
        let is_collection = match new {
            Value::Object(map) => !map.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => false,
        };
        let is_long = |text: &str| text.contains('\n');
        let has_lines = self.text.get(node.start..node.end).is_some_and(is_long);
        // What is gone was meant to be.
        let is_gone = new.is_null() || (new.as_str().is_none() && !is_collection);
        if has_lines && !is_gone {
            self.rewritten.push(self.line(node.start));
        }
        if depth == 0 {
            let text = if self.syntax == Syntax::Json || !is_collection {
                self.json.value(new, "")
            } else {
                let column = self.column(node.start).ok_or(Cannot)?;
                self.layout.block(new, column).trim().to_owned()
            };
            self.edits.push((node.start, node.end, text));
            return Ok(());
        }
        if self.is_in_flow(node) {
            let indent = self.indent(node.start).to_owned();
            let text = self.json.value(new, &indent);
            self.edits.push((node.start, node.end, text));
            return Ok(());
        }
        self.rewrite_in_block(node, new, is_collection, is_block)
    }

    /// Rewrites what stands behind a dash or a colon, in lines of its own where it is a collection.
    fn rewrite_in_block(
        &mut self,
        node: &Node<'_>,
        new: &Value,
        is_collection: bool,
        is_block: bool,
    ) -> Result {
        let text = self.text.get(node.lead..).unwrap_or_default();
        let behind = node.lead + 1;
        let end = node.end.max(behind);
        if !is_collection {
            // Nothing is what stands there where a key has no value.
            let is_null_in_mapping = new.is_null() && text.starts_with(':');
            let new = if is_null_in_mapping {
                String::new()
            } else {
                format!(" {}", render::scalar(new))
            };
            self.edits.push((behind, end, new));
            return Ok(());
        }
        if text.starts_with('-') {
            let column = self.column_of_dash(node.lead).ok_or(Cannot)?;
            let mut item = String::new();
            self.layout.item(&mut item, new, column);
            let item = item.trim_start_matches('-').trim_end();
            self.edits.push((behind, end, item.to_owned()));
            return Ok(());
        }
        if !text.starts_with(':') {
            return Err(Cannot);
        }
        let key = self.indent_with_dashes(node.lead);
        let column = key
            + if new.is_array() {
                self.layout.dash
            } else {
                self.layout.unit
            };
        let lines = self.layout.block(new, column);
        if node.start > node.end.saturating_sub(1) || !is_block {
            // What stood on the key's own line goes, a comment there stays.
            if end > behind {
                self.edits.push((behind, end, String::new()));
            }
            return self.insert_behind(end, &lines);
        }
        let lines = lines.trim_end().to_owned();
        self.edits
            .push((behind, end, format!("{}{lines}", self.layout.eol)));
        Ok(())
    }

    /// Takes out whole lines.
    fn remove_lines(&mut self, start: usize, end: usize) -> Result {
        let from = self.line_start(start);
        let is_alone = |text: &str| text.chars().all(|c| c == ' ');
        if !self.text.get(from..start).is_some_and(is_alone) || !self.ends_line(end) {
            return Err(Cannot);
        }
        let to = self.line_end(end);
        self.edits.push((from, to, String::new()));
        Ok(())
    }

    /// Adds whole lines behind the one in which something ends.
    fn insert_behind(&mut self, end: usize, lines: &str) -> Result {
        if !self.ends_line(end) {
            return Err(Cannot);
        }
        let at = self.line_end(end);
        let has_end = self.text.get(..at).is_some_and(|text| text.ends_with('\n'));
        let lines = if has_end {
            lines.to_owned()
        } else {
            let lines = lines.strip_suffix(self.layout.eol).unwrap_or(lines);
            format!("{}{lines}", self.layout.eol)
        };
        self.insert_at(at, lines);
        Ok(())
    }

    fn insert_at(&mut self, at: usize, text: String) {
        self.edits.push((at, at, text));
    }

    /// Takes members out of brackets: each with the comma before it, the first with the one behind it.
    fn remove_members(
        &mut self,
        node: &Node<'_>,
        spans: &[(usize, usize)],
        removed: &[usize],
    ) -> Result {
        if removed.is_empty() {
            return Ok(());
        }
        self.is_bracketed(node)?;
        if removed.len() == spans.len() {
            self.edits
                .push((node.start + 1, node.end.saturating_sub(1), String::new()));
            return Ok(());
        }
        // They come in order.
        let mut leading = removed.iter().enumerate();
        let first_kept = leading
            .find(|(at, index)| at != *index)
            .map_or(removed.len(), |(at, _)| at);
        let span = |index: usize| spans.get(index).copied().ok_or(Cannot);
        if first_kept > 0 {
            self.edits
                .push((span(0)?.0, span(first_kept)?.0, String::new()));
        }
        for index in removed.iter().copied().filter(|index| *index > first_kept) {
            let (start, gap) = self.behind(span(index - 1)?.1);
            let end = span(index)?.1.max(start);
            self.edits.push((start, end, gap.to_owned()));
        }
        Ok(())
    }

    /// Where something may stand behind a member between brackets, and what keeps it apart: behind a colon without a
    /// value comes a blank, since `a:,` is the key `a:` to kubectl.
    fn behind(&self, end: usize) -> (usize, &'static str) {
        let (before, after) = self.text.split_at_checked(end).unwrap_or_default();
        match before.ends_with(':') {
            true if after.starts_with([' ', '\t', '\n']) => (end + 1, ""),
            true => (end, " "),
            false => (end, ""),
        }
    }

    /// Adds members between brackets, each group before the old member of that number.
    fn add_members(
        &mut self,
        node: &Node<'_>,
        spans: &[(usize, usize)],
        removed: &[usize],
        added: Vec<(usize, Vec<Member<'_>>)>,
    ) -> Result {
        let mut is_first = removed.len() == spans.len();
        let own = self.text.get(node.start..node.end).unwrap_or_default();
        steps::take(own.len());
        let has_lines = own.contains('\n');
        let first = spans.first().copied();
        let is_long = match first {
            None => self.syntax == Syntax::Json && self.json.unit.is_some(),
            Some((first, _)) => {
                let before = self.text.get(node.start..first);
                before.is_some_and(|text| text.contains('\n'))
            }
        };
        let json = JsonLayout {
            unit: self.json.unit.filter(|_| is_long),
            ..self.json
        };
        let outer = self.indent(node.start).to_owned();
        let inner = match first {
            Some((start, _)) if has_lines => self.indent(start).to_owned(),
            _ => format!("{outer}{}", json.unit.unwrap_or_default()),
        };
        for (index, members) in added.into_iter().filter(|(_, members)| !members.is_empty()) {
            self.is_bracketed(node)?;
            let texts = members.iter().map(|member| match member {
                Member::Entry(key, value) => {
                    format!("{}{}", json.key(key), json.value(value, &inner))
                }
                Member::Item(value) => json.value(value, &inner),
            });
            let text = texts.collect::<Vec<_>>().join(&json.comma(&inner));
            if is_first {
                is_first = false;
                let text = if is_long {
                    let eol = json.eol;
                    format!("{eol}{inner}{text}{eol}{outer}")
                } else {
                    text
                };
                self.insert_at(node.start + 1, text);
            } else if let Some((_, end)) = index.checked_sub(1).and_then(|before| spans.get(before))
            {
                let (at, gap) = self.behind(*end);
                self.insert_at(at, format!("{gap}{}{text}", json.comma(&inner)));
            } else {
                let (start, _) = first.ok_or(Cannot)?;
                self.insert_at(start, format!("{text}{}", json.comma(&inner)));
            }
        }
        Ok(())
    }

    fn is_bracketed(&self, node: &Node<'_>) -> Result {
        let text = self.text.get(node.start..node.end).unwrap_or_default();
        (text.starts_with(['{', '['])).then_some(()).ok_or(Cannot)
    }

    /// Is the node between the brackets of another one? Then its colon, or its comma, is no line's.
    fn is_in_flow(&self, node: &Node<'_>) -> bool {
        if self.syntax == Syntax::Json || node.lead == node.start {
            return true;
        }
        // A member of a block stands at the end of its line.
        let line = self.text.get(self.line_start(node.lead)..node.lead);
        let line = line.unwrap_or_default().trim_start();
        !self.ends_line(node.end.max(node.lead + 1))
            || line.trim_start_matches(['-', ' ']).starts_with(['{', '['])
    }

    /// Is nothing behind it on its line but blanks and a comment?
    fn ends_line(&self, end: usize) -> bool {
        let all = self.text.get(end..).unwrap_or_default();
        let text = all.trim_start_matches([' ', '\t']);
        steps::take(1 + all.len() - text.len());
        let rest = text.trim_start_matches('\r');
        rest.is_empty()
            || rest.starts_with('\n')
            || (text.starts_with('#') && text.len() < all.len())
    }

    /// The number of the line, from 1.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    fn line_start(&self, at: usize) -> usize {
        let line = self.line(at).saturating_sub(1);
        self.lines.get(line).copied().unwrap_or_default()
    }

    fn line_end(&self, at: usize) -> usize {
        let next = self.lines.get(self.line(at)).copied();
        next.unwrap_or(self.text.len())
    }

    /// The column of a block mapping: before it on the line are blanks and dashes only.
    fn column(&self, at: usize) -> Option<usize> {
        let before = self.text.get(self.line_start(at)..at)?;
        let before = before.trim_start_matches('\u{feff}');
        before
            .bytes()
            .all(|byte| matches!(byte, b' ' | b'-'))
            .then_some(before.len())
    }

    /// The column of a dash: before it on the line are blanks only.
    fn column_of_dash(&self, at: usize) -> Option<usize> {
        let before = self.text.get(self.line_start(at)..at)?;
        before
            .bytes()
            .all(|byte| byte == b' ')
            .then_some(before.len())
    }

    /// The blanks at the beginning of a line.
    fn indent(&self, at: usize) -> &'t str {
        let line = self.text.get(self.line_start(at)..).unwrap_or_default();
        let rest = line.trim_start_matches([' ', '\t']);
        line.get(..line.len() - rest.len()).unwrap_or_default()
    }

    /// The column of the key on a line, behind the dashes of lists.
    fn indent_with_dashes(&self, at: usize) -> usize {
        let line = self.text.get(self.line_start(at)..at).unwrap_or_default();
        let mut rest = line.trim_start_matches(' ');
        while let Some(item) = rest.strip_prefix("- ") {
            rest = item.trim_start_matches(' ');
        }
        line.len() - rest.len()
    }

    /// The beginning of a line, or of the comments right above it, which belong to it.
    fn above_comments(&self, at: usize) -> usize {
        let mut start = self.line_start(at);
        while start > 0 {
            let before = self.line_start(start - 1);
            let line = self.text.get(before..start).unwrap_or_default();
            if !line.trim_start().starts_with('#') {
                break;
            }
            start = before;
        }
        start
    }

    fn finish(mut self) -> Edited {
        // Those at one place stay in the order in which they came: from the inside out.
        self.edits.sort_by_key(|(start, ..)| *start);
        let mut text = String::with_capacity(self.text.len() + 4096);
        let mut at = 0;
        for (start, end, new) in &self.edits {
            text.push_str(self.text.get(at..*start).unwrap_or_default());
            // Behind a last line without an end, unless that line is gone.
            let has_end = *start == self.text.len() && text.ends_with('\n');
            let bare = new.strip_prefix(self.layout.eol).filter(|_| has_end);
            text.push_str(bare.unwrap_or(new));
            at = at.max(*end);
        }
        text.push_str(self.text.get(at..).unwrap_or_default());
        // Where the last line had no end and is gone, the one before it loses its own.
        if text.ends_with('\n') && !self.text.ends_with('\n') {
            text.pop();
            text.truncate(text.trim_end_matches('\r').len());
        }
        self.rewritten.sort_unstable();
        self.rewritten.dedup();
        Edited {
            text,
            rewritten: self.rewritten,
        }
    }
}

/// A collection that is being changed.
#[derive(Clone, Copy)]
struct Place<'n> {
    node: &'n Node<'n>,
    is_flow: bool,
    depth: usize,
}

/// A new member between brackets.
enum Member<'v> {
    Entry(&'v str, &'v Value),
    Item(&'v Value),
}

/// Can it be put into a scalar without quotes, wherever that stands?
fn is_plain_part(text: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " -_./:@$()=+%,".contains(c);
    text.chars().all(is_safe) && !text.contains(": ") && !text.ends_with([' ', ':'])
}

fn is_mapping(node: &Node<'_>) -> bool {
    matches!(node.shape, Shape::Mapping { is_flow: false, .. })
}

fn is_sequence(node: &Node<'_>) -> bool {
    matches!(node.shape, Shape::Sequence { is_flow: false, .. })
}

/// By how much the first such block is further in than the mapping around it.
fn find_step(text: &str, node: &Node<'_>, is: fn(&Node<'_>) -> bool) -> Option<usize> {
    let column = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        before.len() - before.rfind('\n').map_or(0, |newline| newline + 1)
    };
    match &node.shape {
        Shape::Mapping {
            is_flow: false,
            entries,
        } => entries.iter().find_map(|(_, value)| {
            if is(value) {
                return column(value.start).checked_sub(column(node.start));
            }
            find_step(text, value, is)
        }),
        Shape::Sequence {
            is_flow: false,
            items,
        } => items.iter().find_map(|item| find_step(text, item, is)),
        _ => None,
    }
}

/// The blanks by which members of the outermost brackets are further in, if they stand on lines of their own.
fn json_unit<'t>(text: &'t str, root: &Node<'_>) -> Option<&'t str> {
    let first = match &root.shape {
        Shape::Mapping {
            is_flow: true,
            entries,
        } => entries.first().map(|(key, _)| key.start),
        Shape::Sequence {
            is_flow: true,
            items,
        } => items.first().map(|item| item.start),
        _ => return Some("  "),
    }?;
    let between = text.get(root.start + 1..first)?;
    let (_, indent) = between.rsplit_once('\n')?;
    Some(indent)
}

/// How far in the smallest part is that may be written anew.
const DEEPEST: usize = 8;

#[cfg(test)]
mod tests;
