//! What we read in YAML is what kubectl reads: held against its own library, by the program in `tests/yaml-judge`.
//!
//! `cargo xtask test unit` builds the judge and names it in `JAVELIN_YAML_JUDGE`. Without that variable the one is taken
//! that an earlier run has built.

use std::{
    env, fmt, fs,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

use javelin_manifest::{Documents, Syntax, Tree, edit, tree};
use proptest::prelude::*;
use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

struct Judge {
    _program: Child,
    requests: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

static JUDGE: LazyLock<Mutex<Judge>> = LazyLock::new(|| Mutex::new(Judge::start()));

impl Judge {
    fn start() -> Self {
        let program = env::var_os("JAVELIN_YAML_JUDGE")
            .map(PathBuf::from)
            .or_else(|| {
                let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
                let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)?;
                Some(cache.join("javelin/bin/yaml-judge"))
            });
        let program = program.filter(|path| path.is_file());
        let program = program
            .expect("the judge of YAML is not built: `cargo xtask test unit -- yaml::` builds it");
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            requests: child.stdin.take().unwrap(),
            verdicts: BufReader::new(child.stdout.take().unwrap()),
            _program: child,
        }
    }

    /// A judge that does not answer is no word on the text.
    fn verdict(&mut self, text: &str) -> Value {
        self.exchange(text).expect("the judge answers")
    }

    fn exchange(&mut self, text: &str) -> io::Result<Value> {
        write!(self.requests, "{}\n{text}", text.len())?;
        self.requests.flush()?;
        let mut line = String::new();
        self.verdicts.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn judge(&mut self, text: &str) -> Result<Value, String> {
        let mut verdict = self.verdict(text);
        match verdict.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(verdict["value"].take()),
        }
    }
}

/// What kubectl reads in one document.
fn theirs(text: &str) -> Result<Value, String> {
    JUDGE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .judge(text)
}

fn ours(text: &str) -> Result<Value, String> {
    tree::read(text, Syntax::Yaml).map_err(|error| error.to_string())
}

/// We read what kubectl reads, or refuse; what kubectl refuses is its own to tell.
fn compare(text: &str) -> Result<(), String> {
    let Ok(theirs) = theirs(text) else {
        return Ok(());
    };
    match ours(text) {
        Ok(ours) if !are_equal(&ours, &theirs) => Err(format!(
            "kubectl reads {theirs}\nand we read   {ours}\nin {text:?}:\n{text}"
        )),
        _ => Ok(()),
    }
}

/// Equal but for the last bit of a number with a fraction, in which the reader of the judge's words may err.
fn are_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= one.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| are_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(key, value): (&String, &Value)| {
                other.get(key).is_some_and(|other| are_equal(value, other))
            };
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one == other,
    }
}

/// The same, and we refuse nothing that kubectl reads.
#[track_caller]
fn agrees(text: &str) {
    let theirs = theirs(text);
    let ours = ours(text);
    assert_eq!(
        ours.is_ok(),
        theirs.is_ok(),
        "kubectl: {theirs:?}, and we: {ours:?}, in {text:?}"
    );
    if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
        assert_eq!(ours, theirs, "in {text:?}");
    }
}

#[test]
fn the_judge_is_of_the_same_versions_as_kubectl() {
    let read = |path: &str| fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let kubectl = read("crates/testbed/tools/kubernetes/go.mod");
    let judge = read("tests/yaml-judge/go.mod");
    let required = |manifest: &str, module: &str| {
        let mut lines = manifest
            .lines()
            .map(|line| line.trim().trim_start_matches("require "));
        let line = lines.find_map(|line| line.strip_prefix(module)?.strip_prefix(' '));
        line.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    for module in ["sigs.k8s.io/yaml", "go.yaml.in/yaml/v2"] {
        assert_eq!(
            required(&judge, module),
            required(&kubectl, module),
            "{module}"
        );
    }
}

#[test]
fn merged_keys_count_in_their_order() {
    for text in [
        "b: &b {image: theirs, env: [1]}\nc: {name: a, image: mine, <<: *b}\n",
        "b: &b {image: theirs}\nc: {<<: *b, image: mine}\n",
        "b: &b {x: 1, y: 2}\nc:\n  x: 3\n  <<: *b\n  y: 4\n",
        "a: &a {x: 1}\nb: &b {x: 2, <<: *a}\nc: {<<: [*a, *b], x: 3}\nd: {x: 3, <<: [*b, {x: 5}]}\n",
        "a: &a {x: {y: 1}}\nb: {x: {z: 2}, <<: *a}\n",
        "a: {x: 1, \"<<\": {x: 2}}\nb: {x: 1, ! \"<<\": {x: 2}}\nc: {x: 1, !!merge k: {x: 2}}\nd: {x: 1, !!merge <<: {x: 2}}\n",
        "a: &a {x: 1}\nb: &b [*a]\nc: {<<: *b}\n",
        "a: {<<: [[{x: 1}]]}\n",
        "a: {<<: }\n",
        "a: &a {x: 1, <<: *a}\n",
        "a: &a [1, *a]\n",
        "a: &a 1\nb: [*a, &a 2, *a]\nc: *a\n",
    ] {
        agrees(text);
    }
}

#[test]
fn scalars_and_keys_are_theirs() {
    for word in WORDS {
        compare(&format!("a: {word}\n")).unwrap();
        compare(&format!("{word}: a\n")).unwrap();
        compare(&format!("? {word}\n: a\n")).unwrap();
        compare(&format!("- {word}\n")).unwrap();
    }
    // Of what is said twice in two ways kubectl takes one by chance.
    for text in [
        "{1: a, \"1\": b}",
        "{yes: a, \"true\": b}",
        "{1: a, 1.0: b}",
        "{\"1\": a, <<: {1: b}}",
        "{~: a}",
    ] {
        ours(text).unwrap_err();
    }
}

#[test]
fn characters_of_yaml_1_1_are_no_others() {
    for at in ["\u{85}", "\u{2028}", "\u{2029}", "\u{feff}"] {
        for text in [
            format!("a: b{at}c: d\n"),
            format!("a: 'b{at}c'\n"),
            format!("# a{at}b: c\nd: e\n"),
            format!("\n{at}"),
            format!("{at}a: b\n"),
        ] {
            compare(&text).unwrap();
        }
    }
}

/// All documents that the repository has: the corpus, what comes out of it, and all that its tests and examples use.
fn documents() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<_> = [
        "tests/corpus",
        "tests/cases",
        "tests/cmd",
        "tests/it/manifests",
        "deploy/examples",
    ]
    .map(|folder| Path::new(ROOT).join(folder))
    .into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if let Some("yaml" | "yml" | "json") = ending {
                let text = fs::read_to_string(&path).unwrap();
                let pieces = Documents::of(text.as_bytes()).filter_map(Result::ok);
                found.extend(pieces.map(|piece| (path.clone(), piece.text)));
            }
        }
    }
    found
}

#[test]
fn all_manifests_of_the_repository_are_read_as_kubectl_reads_them() {
    let documents = documents();
    assert!(documents.len() > 300, "{}", documents.len());
    for (path, text) in documents {
        let theirs = theirs(&text);
        // What is wrong on purpose is wrong for both.
        let Ok(theirs) = theirs else { continue };
        assert_eq!(ours(&text).as_ref(), Ok(&theirs), "{}", path.display());
    }
}

/// A node to be written: in block or flow style, perhaps with an anchor.
#[derive(Debug, Clone)]
enum Node {
    Scalar(&'static str),
    Alias(usize),
    Sequence(Style, Vec<Self>),
    Mapping(Style, Vec<(&'static str, Self)>),
}

#[derive(Debug, Clone, Copy)]
struct Style {
    is_flow: bool,
    anchor: Option<usize>,
}

const SCALARS: [&str; 48] = [
    "a",
    "b",
    "x y",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "N",
    "~",
    "",
    "null",
    "1",
    "-1",
    "0123",
    "0o17",
    "0x1F",
    "0b11",
    "1_000",
    "1e3",
    ".5",
    "-0",
    "1.50",
    "12345678901234567890",
    "99999999999999999999",
    ".inf",
    ".nan",
    "12:30",
    "2020-01-01",
    "\"1\"",
    "'yes'",
    "\"a\\tb\"",
    "'it''s'",
    "!!str 1",
    "!!str yes",
    "!!int \"1\"",
    "!!float 1",
    "!!bool \"on\"",
    "!!null ''",
    "!x 1",
    "! \"1\"",
    "=",
    "<<",
    "a#b",
    "a: b",
    "- a",
    "!!binary aGk=",
    "@a",
];

const KEYS: [&str; 24] = [
    "<<", "<<", "<<", "<<", "a", "b", "c", "image", "env", "name", "a", "b", "on", "1", "\"1\"",
    "'a'", "0x1", "~", "true", "1.5", "!!str 1", "\"<<\"", "? a", "no",
];

fn style() -> impl Strategy<Value = Style> {
    (any::<bool>(), prop::option::weighted(0.5, 0..3_usize))
        .prop_map(|(is_flow, anchor)| Style { is_flow, anchor })
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        5 => prop::sample::select(SCALARS.to_vec()).prop_map(Node::Scalar),
        3 => (0..3_usize).prop_map(Node::Alias),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            1 => (style(), prop::collection::vec(inner.clone(), 0..4)).prop_map(|(style, items)| Node::Sequence(style, items)),
            3 => (style(), mapping(inner)).prop_map(|(style, entries)| Node::Mapping(style, entries)),
        ]
    })
}

fn mapping(inner: impl Strategy<Value = Node>) -> impl Strategy<Value = Vec<(&'static str, Node)>> {
    prop::collection::vec((prop::sample::select(KEYS.to_vec()), inner), 0..6)
}

fn document() -> impl Strategy<Value = String> {
    mapping(node()).prop_map(|entries| {
        let mut writer = Writer::default();
        let style = Style {
            is_flow: false,
            anchor: None,
        };
        writer.node(&Node::Mapping(style, entries), 0, false, false);
        writer.text.trim_start_matches('\n').to_owned()
    })
}

/// Writes a document in which most anchors are known, and most of what is merged is a mapping.
#[derive(Default)]
struct Writer {
    text: String,
    /// Which of the anchors there are, and whether each is a mapping.
    anchors: [Option<bool>; 3],
}

impl Writer {
    fn say(&mut self, text: fmt::Arguments<'_>) {
        self.text.push_str(&text.to_string());
    }

    fn node(&mut self, node: &Node, column: usize, inside_flow: bool, is_merged: bool) {
        match node {
            Node::Alias(anchor) => match self.anchors[*anchor] {
                Some(is_mapping) if is_mapping || !is_merged => {
                    self.say(format_args!("*a{anchor} "));
                }
                _ => self.text.push_str("{a: 1, c: 2}"),
            },
            Node::Scalar(_) if is_merged => self.text.push_str("{image: 1, b: 2}"),
            Node::Scalar(text) if inside_flow && text.contains(": ") => self.text.push('b'),
            Node::Scalar(text) => self.text.push_str(text),
            Node::Sequence(style, items) => {
                let is_flow = self.open(*style, inside_flow, items.is_empty(), '[');
                for item in items {
                    self.lead(column, is_flow, "- ");
                    self.node(item, column + 2, is_flow, is_merged);
                    self.text.push_str(if is_flow { ", " } else { "" });
                }
                self.close(*style, is_flow, ']');
            }
            Node::Mapping(style, entries) => {
                let is_flow = self.open(*style, inside_flow, entries.is_empty(), '{');
                for (key, value) in entries {
                    self.lead(column, is_flow, "");
                    let key = if is_flow {
                        key.trim_start_matches("? ")
                    } else {
                        key
                    };
                    self.text.push_str(key);
                    if key.starts_with('?') {
                        self.lead(column, false, "");
                    }
                    self.text.push_str(": ");
                    self.node(value, column + 2, is_flow, *key == *"<<");
                    self.text.push_str(if is_flow { ", " } else { "" });
                }
                self.close(*style, is_flow, '}');
            }
        }
    }

    fn open(&mut self, style: Style, inside_flow: bool, is_empty: bool, bracket: char) -> bool {
        if let Some(anchor) = style.anchor {
            self.say(format_args!("&a{anchor} "));
        }
        let is_flow = inside_flow || style.is_flow || is_empty;
        if is_flow {
            self.text.push(bracket);
        }
        is_flow
    }

    fn lead(&mut self, column: usize, is_flow: bool, dash: &str) {
        if !is_flow {
            self.say(format_args!("\n{:column$}{dash}", ""));
        }
    }

    fn close(&mut self, style: Style, is_flow: bool, bracket: char) {
        if is_flow {
            self.text.push(bracket);
        }
        if let Some(anchor) = style.anchor {
            self.anchors[anchor] = Some(bracket == '}');
        }
    }
}

/// Pieces of YAML, one behind the other, of which most are no document.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "a", "b: ", "c: ", "- ", "\n", "\n", "\n", "\n  ", "\n  ", "\n    ", "{", "}", "[", "]",
        ", ", "&a ", "*a", "*a ", "<<: ", "'", "\"", "#", " # x", "|\n  ", ">\n  ", "|-\n  ",
        ">+\n  ", "|2\n  ", "!!str ", "! ", "? ", ": ", ":", "1", "~", "\t", " ", "\\n", "\\\n",
        "yes", "0x1", "%", "x y", "---", "...\n", "--- ", "\r\n", "''", "-", "@", "a:b", "\u{e9}",
        "\u{feff}", "\\/", "`", "=",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 1..14)
        .prop_map(|pieces| pieces.concat())
}

/// What may be taken for a number, or for something else.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+]?[0-9_.]{1,6}([eE][-+]?[0-9]{1,3})?",
        "[-+]?0[xXoObB]?[-+]?[0-9a-f_]{0,20}",
        "[-+]?[0-9]{15,25}(\\.[0-9]{0,3})?",
        "[yYnNoOfFtT.~][a-zA-Z]{0,4}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, max_global_rejects: 65536, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_are_read_as_kubectl_reads_them(text in document()) {
        compare(&text).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn whatever_kubectl_reads_we_read_or_refuse(text in soup()) {
        compare(&text).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn numbers_and_words_are_read_as_kubectl_reads_them(word in word()) {
        compare(&format!("a: {word}\n")).map_err(TestCaseError::fail)?;
        compare(&format!("{word}: a\n")).map_err(TestCaseError::fail)?;
    }

    /// Merges, anchors and all: what an edited text says to kubectl is what was meant, or there is no edited text.
    #[test]
    fn kubectl_reads_what_an_edit_means(text in document(), added in prop::sample::select(vec!["image", "env", "new"]), path in any::<prop::sample::Index>()) {
        let Ok(tree) = Tree::parse(&text) else { return Ok(()) };
        let mut new = tree.value.clone();
        let mut mappings = Vec::new();
        pointers(&new, String::new(), &mut mappings);
        let pointer = path.get(&mappings);
        if let Some(mapping) = new.pointer_mut(pointer).and_then(Value::as_object_mut) {
            mapping.insert(added.to_owned(), json!([{ "name": "JAVA_TOOL_OPTIONS" }]));
        }
        if let (Some(edited), Ok(_)) = (edit(&text, &tree, &new, Syntax::Yaml), theirs(&text)) {
            let theirs = theirs(&edited.text).map_err(TestCaseError::fail)?;
            prop_assert!(are_equal(&theirs, &new), "{}\nbecame\n{}\nread as {}", text, edited.text, theirs);
        }
    }
}

/// Where the mappings of a value are.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                pointers(
                    value,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
            found.push(at);
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers(value, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Scalars that YAML 1.1, YAML 1.2 and Go's reader take for different things.
const WORDS: &[&str] = &[
    "~",
    "",
    "null",
    "Null",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "n",
    "true",
    "True",
    "0",
    "-0",
    "+0",
    "-0.0",
    "0123",
    "-0123",
    "08",
    "0o17",
    "0O17",
    "0x1F",
    "-0x1f",
    "0b11",
    "0B11",
    "-0b11",
    "0b-11",
    "0b+1",
    "-0b-1",
    "+0b11",
    "1_000",
    "_1",
    "1__0_",
    ".5_0",
    "-.5_0",
    "1_0.5",
    "1e3",
    "1e6",
    "1E+5",
    "1e",
    ".5",
    "5.",
    ".",
    "+",
    "-x",
    "1e400",
    ".1e400",
    "1e-400",
    "1e20",
    "1e21",
    "1.5e300",
    "12345678901234567890",
    "18446744073709551615",
    "18446744073709551616",
    "+18446744073709551615",
    "-9223372036854775808",
    "-9223372036854775809",
    "0xFFFFFFFFFFFFFFFF",
    "+0xFFFFFFFFFFFFFFFF",
    "1.2345678901234567e18",
    "1.8446744073709552e19",
    "9007199254740993.0",
    "0777777777777777777777777",
    "12:30:45",
    "2020-01-01",
    "2020-01-01T00:00:00Z",
    "=",
    "<<",
    "0.1",
    "1.10",
    "100000.5",
    "a",
    "!!str 1",
    "!!str ~",
    "!!str",
    "!!int \"5\"",
    "!!int 1.5",
    "!!int x",
    "!!float 5",
    "!!float x",
    "!!bool \"yes\"",
    "!!bool 1",
    "!!null x",
    "!!null ''",
    "! \"5\"",
    "! 5",
    "! 'x'",
    "!x 5",
    "!!binary aGk=",
    "!!binary x",
    "!!timestamp 2020-01-01",
    "!!timestamp 5",
    "!!set 5",
    "!<tag:yaml.org,2002:int> \"7\"",
    "!!map {a: 1}",
    "!!str {a: 1}",
    "!!str [1]",
    "\"\\u00e9\\/\\x41\\e\"",
    "'it''s'",
];
