//! Taking an untyped object apart so that nothing in it is overlooked: what nobody has taken is a finding.
//!
//! Deliberately not here: what the fields mean.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

/// Something to be said of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionNote {
    /// Which resource.
    pub about: String,
    /// How bad it is.
    pub weight: Weight,
    /// Dotted.
    pub field: String,
    /// Why, and what to do instead.
    pub text: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Good to know.
    Note,
    /// Something was not carried over.
    Left,
}

impl fmt::Display for ConversionNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            about,
            weight,
            field,
            text,
        } = self;
        let weight = match weight {
            Weight::Note => "note",
            Weight::Left => "not carried over",
        };
        let line = format!("{about}: {weight}: {field}: {text}");
        // The text may quote the resource, which anybody may have written.
        f.write_str(&line.replace(char::is_control, "\u{fffd}"))
    }
}

/// The findings of one resource.
pub(super) struct Notes {
    about: String,
    pub(super) findings: Vec<ConversionNote>,
}

impl Notes {
    pub(super) fn about(resource: &Value) -> Self {
        let text = |key: &str| {
            resource
                .pointer("/metadata")
                .and_then(|m| m.get(key)?.as_str())
        };
        let namespace =
            text("namespace").map_or_else(String::new, |namespace| format!("{namespace}/"));
        Self {
            about: format!(
                "Instrumentation {namespace}{}",
                text("name").unwrap_or("(no name)")
            ),
            findings: Vec::new(),
        }
    }

    pub(super) fn left(&mut self, field: &str, text: impl Into<String>) {
        self.say(Weight::Left, field, text.into());
    }

    pub(super) fn note(&mut self, field: &str, text: impl Into<String>) {
        self.say(Weight::Note, field, text.into());
    }

    fn say(&mut self, weight: Weight, field: &str, text: String) {
        self.findings.push(ConversionNote {
            about: self.about.clone(),
            weight,
            field: field.to_owned(),
            text,
        });
    }
}

/// A mapping, and what nobody has taken from it yet.
pub(super) struct Mapping {
    path: String,
    members: Map<String, Value>,
}

impl Mapping {
    pub(super) fn new(path: &str, value: Option<&Value>, report: &mut Notes) -> Self {
        let members = match value {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(members)) => members.clone(),
            Some(_) => {
                report.left(path, "it is no mapping");
                Map::new()
            }
        };
        Self {
            path: path.to_owned(),
            members,
        }
    }

    /// The dotted path of a key.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.values().all(is_nothing)
    }

    pub(super) fn lacks(&self, key: &str) -> bool {
        self.members.get(key).is_none_or(is_nothing)
    }

    /// A value that says something.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.members.remove(key).filter(|value| !is_nothing(value))
    }

    pub(super) fn section(&mut self, key: &str, report: &mut Notes) -> Self {
        let value = self.members.remove(key);
        Self::new(&self.path(key), value.as_ref(), report)
    }

    pub(super) fn text(&mut self, key: &str, report: &mut Notes) -> Option<String> {
        let value = self.take(key)?;
        text_of(&value).or_else(|| self.wrong(key, "text", report))
    }

    pub(super) fn switch(&mut self, key: &str, report: &mut Notes) -> Option<bool> {
        let value = self.take(key)?;
        value
            .as_bool()
            .or_else(|| self.wrong(key, "true or false", report))
    }

    pub(super) fn texts(&mut self, key: &str, report: &mut Notes) -> Option<Vec<String>> {
        let value = self.take(key)?;
        let texts = value
            .as_array()
            .and_then(|list| list.iter().map(text_of).collect());
        texts.or_else(|| self.wrong(key, "a list of names", report))
    }

    pub(super) fn map(&mut self, key: &str, report: &mut Notes) -> BTreeMap<String, String> {
        let Some(value) = self.take(key) else {
            return BTreeMap::new();
        };
        let pairs = value.as_object().and_then(|members| {
            let pairs = members
                .iter()
                .map(|(key, value)| Some((key.clone(), text_of(value)?)));
            pairs.collect()
        });
        pairs
            .or_else(|| self.wrong(key, "names with texts", report))
            .unwrap_or_default()
    }

    /// The items of a list, with their paths.
    pub(super) fn items(&mut self, key: &str, report: &mut Notes) -> Vec<(String, Value)> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let path = self.path(key);
                let path = |at: usize| format!("{path}[{at}]");
                items
                    .into_iter()
                    .enumerate()
                    .map(|(at, item)| (path(at), item))
                    .collect()
            }
            Some(_) => self.wrong(key, "a list", report).unwrap_or_default(),
        }
    }

    /// Whatever is left is something that we do not know.
    pub(super) fn finish(self, report: &mut Notes) {
        for (key, value) in &self.members {
            if !is_nothing(value) {
                report.left(&self.path(key), "this version of Javelin does not know it");
            }
        }
    }

    fn wrong<T>(&self, key: &str, expected: &str, report: &mut Notes) -> Option<T> {
        report.left(&self.path(key), format!("it is not {expected}"));
        None
    }
}

/// Numbers and switches that somebody forgot to quote mean what they look like.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What the API server writes for a field that nobody set.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        // `metadata: {creationTimestamp: null}` of an unset template.
        Value::Object(members) => members.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
