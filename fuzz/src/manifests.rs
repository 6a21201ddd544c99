//! Manifests as text.

use std::{collections::HashSet, io::BufReader};

use javelin::offline::document::Document;
use javelin::ports::{self, PortsOptions, PortsReport};
use javelin::probe::advice::Platform;
use javelin_manifest::{Documents, Piece, Syntax, Tree};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::{
    mutator::{Numbers, change_value},
    within_steps,
};

/// A stream: its pieces are the stream, each says its line, and however the bytes come they are the same.
pub fn splitter(data: &[u8]) {
    let pieces = within_steps(data.len(), || pieces(data));
    let slowly = Documents::of(BufReader::with_capacity(1, data)).collect::<Result<Vec<_>, _>>();
    let Ok(pieces) = pieces else {
        assert!(slowly.is_err());
        assert!(str::from_utf8(data).is_err());
        return;
    };
    assert_eq!(slowly.expect("the same bytes"), pieces);
    let mut line = 1;
    let mut whole = String::new();
    for piece in &pieces {
        assert!(!piece.text.is_empty());
        assert_eq!(piece.line, line, "{piece:?}");
        line += piece.text.matches('\n').count();
        whole.push_str(&piece.text);
        if piece.is_json {
            // Whatever kubectl passes over around what it takes for JSON.
            let json = piece.text.trim_start_matches('\u{feff}').trim();
            let json = json.lines().filter(|line| !line.starts_with(['#', '%']));
            let json: Vec<_> = json.collect();
            // A number may be too large for a value, and is one all the same.
            let is_json = serde_json::from_str::<IgnoredAny>(&json.join("\n")).is_ok();
            assert!(is_json || piece.text.contains(['#', '%']), "{piece:?}");
        }
    }
    assert_eq!(whole.as_bytes(), data);
}

fn pieces(data: &[u8]) -> Result<Vec<Piece>, javelin_manifest::SplitError> {
    Documents::of(data).collect()
}

/// A number and a document: changed in some way that the number chooses, its text says what was meant, and is one document
/// as before. Unchanged, it keeps its bytes.
pub fn editor(data: &[u8]) {
    let Some((seed, text)) = data.split_first_chunk::<4>() else {
        return;
    };
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    // What the program edits is what the splitter gives it.
    let pieces_before = pieces(text.as_bytes());
    let Ok([piece]) = pieces_before.as_deref() else {
        return;
    };
    let Ok(tree) = within_steps(text.len(), || Tree::parse(text)) else {
        return;
    };
    // Nobody writes these: a carriage return alone as the end of a line, explicit keys, keys that are empty or of several lines, tags on
    // lines of their own, and tabs. Some of their documents are refused; so are some changes to what
    // merge keys share.
    let is_tag = |line: &str| line.trim_start().starts_with('!');
    let is_odd = text.replace("\r\n", "\n").contains('\r')
        || text.contains("? ")
        || text.contains("<<")
        || !piece.is_json && text.contains('\t')
        || text.lines().any(is_tag);
    if is_odd || !tree.value.is_object() || has_odd_key(&tree.value) {
        return;
    }
    let syntax = if piece.is_json {
        Syntax::Json
    } else {
        Syntax::Yaml
    };
    let same =
        javelin_manifest::edit(text, &tree, &tree.value, syntax).expect("nothing is to be changed");
    assert_eq!(same.text, text);
    assert_eq!(same.rewritten, [0; 0]);
    let mut new = tree.value.clone();
    let mut numbers = Numbers::from(u64::from(u32::from_le_bytes(*seed)));
    for _ in 0..=numbers.below(3) {
        change_value(&mut new, &mut numbers);
    }
    // What has no key is no manifest.
    if new.as_object().is_none_or(Map::is_empty) || has_odd_key(&new) {
        return;
    }
    let edited = within_steps(text.len(), || {
        javelin_manifest::edit(text, &tree, &new, syntax)
    });
    let Some(edited) = edited else {
        // Not every text of several lines can be put everywhere, and then the whole change is refused.
        let is_of_lines = has_line_break(&tree.value) || has_line_break(&new);
        assert!(is_of_lines, "cannot be made to say {new}:\n{text}");
        return;
    };
    let read = Tree::parse(&edited.text).expect("it can be read again");
    assert_eq!(read.value, new, "{}", edited.text);
    // Behind a `{…}` blank lines and comments are a piece of their own.
    let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let is_said = |piece: &&Piece| piece.text.lines().any(says);
    let count = pieces(edited.text.as_bytes()).map(|pieces| pieces.iter().filter(is_said).count());
    assert!(
        matches!(count, Ok(1)),
        "{count:?} documents:\n{}",
        edited.text
    );
}

/// Is there a key without a name, or of several lines? One that was left out reads as null.
fn has_odd_key(value: &Value) -> bool {
    let is_odd = |key: &str| key == "null" || key.is_empty() || key.contains(char::is_control);
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| is_odd(key) || has_odd_key(value)),
        Value::Array(items) => items.iter().any(has_odd_key),
        _ => false,
    }
}

fn has_line_break(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\n'),
        Value::Object(map) => map.values().any(has_line_break),
        Value::Array(items) => items.iter().any(has_line_break),
        _ => false,
    }
}

/// A list of objects: what they say of connections does not depend on their order, and an error says where it is and what to
/// do.
pub fn ports(data: &[u8]) {
    let Ok(values) = serde_json::from_slice::<Vec<Value>>(data) else {
        return;
    };
    let documents: Vec<_> = (1..)
        .zip(values)
        .map(|(number, value)| Document {
            origin: format!("objects.yaml, document {number}"),
            value,
        })
        .collect();
    // Of two objects with one name the first counts, and a namespace may be left out.
    let mut names = HashSet::new();
    let name = |document: &Document| document.value.pointer("/metadata/name").cloned();
    let mut all = documents.iter();
    if !all.all(|document| names.insert((document.kind().to_owned(), name(document)))) {
        return;
    }
    let backwards: Vec<_> = documents.iter().rev().cloned().collect();
    for stack in [false, true] {
        let options = PortsOptions {
            stack,
            platform: Platform::default(),
        };
        let report = within_steps(data.len(), || ports::report(&documents, options));
        match (report, ports::report(&backwards, options)) {
            (Ok(report), Ok(other)) => assert_eq!(sorted(report), sorted(other)),
            (Err(problem), Err(_)) => {
                assert!(!problem.place.is_empty() && !problem.remedy.is_empty());
            }
            (one, other) => panic!("{one:?}, and backwards {other:?}"),
        }
    }
}

/// Rows of a report, as lines that can be compared. What they were read in is told in the objects' order.
fn sorted(report: PortsReport) -> Vec<String> {
    let lines = report.rows.into_iter().map(|mut row| {
        row.read_in.sort();
        format!("{row:?}")
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines.dedup();
    lines
}
