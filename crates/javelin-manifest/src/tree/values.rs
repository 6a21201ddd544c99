//! What nodes say: aliases followed, `<<` merged, names of keys.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use granit_parser::ScalarStyle;
use javelin_steps as steps;
use serde_json::{Map, Value};

use super::{
    Node, Problem, Shape,
    scalars::{name_of, plain, written},
};

/// Makes values of nodes.
#[derive(Default)]
pub(super) struct Values<'n, 't> {
    /// What aliases stand for. It is read anew at each of them, as `<<` needs its keys as they are written.
    anchors: HashMap<usize, &'n Node<'t>>,
    /// Anchors whose aliases are being read: one in itself would have no end.
    open: HashSet<usize>,
    /// How much was read for aliases so far.
    copied: usize,
    pub(super) merged: HashMap<usize, HashSet<String>>,
}

impl<'n, 't> Values<'n, 't> {
    pub(super) fn of(&mut self, node: &'n Node<'t>) -> Result<Value, Problem> {
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
pub(crate) fn is_merge(key: &Node<'_>) -> bool {
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
pub(crate) fn written_name(key: &Node<'_>) -> Option<String> {
    name_of(&scalar(key).ok()?).ok()
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

const NO_MAPPING: &str = "`<<` merges what is no mapping";

/// Values that aliases may bring in: a document of a few lines could otherwise fill the memory.
const MAX_COPIED: usize = 1_000_000;

/// As many bytes of text as one value takes beside it.
const TEXT_OF_ONE: usize = 64;
