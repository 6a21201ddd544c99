//! Values as new text: YAML blocks for YAML, JSON for JSON and inside brackets.
//!
//! A string is written so that readers of YAML 1.1 and of 1.2 both take it for that string: without quotes only where
//! nobody could see a number, a truth value or nothing in it.

use std::fmt::Write as _;

use serde_json::Value;

/// How blocks are laid out in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// By how much a mapping is further in than the one around it.
    pub(super) unit: usize,
    /// By how much a list is further in than its key.
    pub(super) dash: usize,
    /// The end of a line.
    pub(super) eol: &'static str,
}

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JsonLayout<'a> {
    /// Several lines, each further in by this; all on one line if `None`.
    pub(super) unit: Option<&'a str>,
    /// Blanks after colons and commas?
    pub(super) is_spaced: bool,
    /// The end of a line.
    pub(super) eol: &'static str,
}

impl Layout {
    /// The lines of a mapping or a list that is not empty, from that column on.
    pub(super) fn block(self, value: &Value, column: usize) -> String {
        let mut out = String::new();
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let _ = write!(out, "{}", " ".repeat(column));
                    self.entry(&mut out, key, value, column);
                }
            }
            Value::Array(items) => {
                for item in items {
                    let _ = write!(out, "{}", " ".repeat(column));
                    self.item(&mut out, item, column);
                }
            }
            scalar => self.inline(&mut out, scalar, column),
        }
        out
    }

    /// One entry of a mapping at that column, from its key to the end of its last line.
    pub(super) fn entry(self, out: &mut String, key: &str, value: &Value, column: usize) {
        let _ = write!(out, "{}:", string(key));
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push_str(self.eol);
                out.push_str(&self.block(value, column + self.unit));
            }
            Value::Array(items) if !items.is_empty() => {
                out.push_str(self.eol);
                out.push_str(&self.block(value, column + self.dash));
            }
            _ => {
                out.push(' ');
                self.inline(out, value, column);
            }
        }
    }

    /// One item of a list at that column, from its dash to the end of its last line.
    pub(super) fn item(self, out: &mut String, value: &Value, column: usize) {
        out.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        let _ = write!(out, "{}", " ".repeat(column + 2));
                    }
                    self.entry(out, key, value, column + 2);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                out.push_str(self.block(value, column + 2).trim_start());
            }
            _ => self.inline(out, value, column),
        }
    }

    /// A value that is no block, and the end of its line.
    fn inline(self, out: &mut String, value: &Value, column: usize) {
        if let Value::String(text) = value
            && let Some(header) = literal_header(text)
        {
            out.push_str(header);
            out.push_str(self.eol);
            for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                if !line.is_empty() {
                    let _ = write!(out, "{}{line}", " ".repeat(column + self.unit));
                }
                out.push_str(self.eol);
            }
            return;
        }
        out.push_str(&scalar(value));
        out.push_str(self.eol);
    }
}

/// A scalar, or an empty collection, on one line.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

/// A string on one line.
fn string(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else if text.chars().all(is_printable) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        format!("\"{}\"", escape(text))
    }
}

/// Can it stand without quotes, in a block and between brackets, for readers of YAML 1.1 and of 1.2?
fn is_plain(text: &str) -> bool {
    let unsigned = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
    let unsigned = unsigned.unwrap_or(text);
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
    // A letter that no number has, in whatever base.
    let is_no_number = |c: char| c.is_ascii_alphabetic() && !"abcdefxoABCDEFXO".contains(c);
    let is_quantity = text.starts_with(|c: char| c.is_ascii_digit())
        && !text.contains(':')
        && text.contains(is_no_number);
    let starts = unsigned.starts_with(is_start) || text.starts_with("$(") || is_quantity;
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@$()=+".contains(c);
    let words = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
    ];
    starts
        && text.chars().all(is_safe)
        && !text.ends_with(':')
        && !words.iter().any(|word| unsigned.eq_ignore_ascii_case(word))
}

/// The header of a literal block that says this text, if one does.
fn literal_header(text: &str) -> Option<&'static str> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let fits = body.contains('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with(['\n', ' ', '\t'])
        && body.chars().all(|c| c == '\n' || is_printable(c));
    let header = if body.len() < text.len() { "|" } else { "|-" };
    fits.then_some(header)
}

/// Does it stand for itself in a text that anybody reads? Not line ends of any kind, marks of byte order and the like.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

/// Between double quotes, as JSON and YAML both read it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            // None of them is beyond the basic plane.
            c => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out
}

impl JsonLayout<'_> {
    /// A value, whose first line stands somewhere and whose others begin with `indent`.
    pub(super) fn value(self, value: &Value, indent: &str) -> String {
        let mut out = String::new();
        self.write(&mut out, value, indent);
        out
    }

    /// A key with its colon.
    pub(super) fn key(self, key: &str) -> String {
        let blank = if self.is_spaced { " " } else { "" };
        format!("\"{}\":{blank}", escape(key))
    }

    /// What stands between two members whose lines begin with `indent`.
    pub(super) fn comma(self, indent: &str) -> String {
        match (self.unit, self.is_spaced) {
            (Some(_), _) => format!(",{}{indent}", self.eol),
            (None, true) => ", ".to_owned(),
            (None, false) => ",".to_owned(),
        }
    }

    fn write(self, out: &mut String, value: &Value, indent: &str) {
        let inner = format!("{indent}{}", self.unit.unwrap_or_default());
        let open = |out: &mut String, first: bool| {
            if !first {
                out.push_str(&self.comma(&inner));
            } else if self.unit.is_some() {
                let _ = write!(out, "{}{inner}", self.eol);
            }
        };
        let close = |out: &mut String| {
            if self.unit.is_some() {
                let _ = write!(out, "{}{indent}", self.eol);
            }
        };
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('{');
                for (index, (key, value)) in map.iter().enumerate() {
                    open(out, index == 0);
                    out.push_str(&self.key(key));
                    self.write(out, value, &inner);
                }
                close(out);
                out.push('}');
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    open(out, index == 0);
                    self.write(out, item, &inner);
                }
                close(out);
                out.push(']');
            }
            Value::String(text) => {
                let _ = write!(out, "\"{}\"", escape(text));
            }
            other => {
                let _ = write!(out, "{other}");
            }
        }
    }
}
