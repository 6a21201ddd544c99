use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    Tree::parse(text).unwrap().value
}

fn error(text: &str) -> String {
    Tree::parse(text).unwrap_err().to_string()
}

/// All places, as the texts that stand there.
fn places(text: &str) -> Vec<String> {
    fn walk(node: &Node<'_>, text: &str, found: &mut Vec<String>) {
        found.push(text[node.start..node.end].to_owned());
        match &node.shape {
            Shape::Sequence { items, .. } => {
                for item in items {
                    walk(item, text, found);
                }
            }
            Shape::Mapping { entries, .. } => {
                for (key, value) in entries {
                    walk(key, text, found);
                    walk(value, text, found);
                }
            }
            _ => {}
        }
    }
    let tree = Tree::parse(text).unwrap();
    let mut found = Vec::new();
    walk(&tree.root.unwrap(), text, &mut found);
    found
}

#[test]
fn scalars_are_what_kubectl_makes_of_them() {
    let text = "{a: yes, b: on, c: 0123, d: 1e3, e: ~, f: y, g: 0o17, h: 1_000, i: 12:30:45, j: 2020-01-01, k: .5, \
                l: +1, m: 0x1F, n1: 1., o: 0b11, p: -0, s: =, t: 09, u: 12345678901234567890, v: 1.5e3, w: Yes, \
                x: \"\\u00e9\", y1: 'on', z: -7, q: \"1\", r: !!str 1}";
    assert_eq!(
        value(text),
        json!({
            "a": true, "b": true, "c": 83, "d": 1000, "e": null, "f": true, "g": 15, "h": 1000, "i": "12:30:45",
            "j": "2020-01-01", "k": 0.5, "l": 1, "m": 31, "n1": 1, "o": 3, "p": 0, "s": "=", "t": 9,
            "u": 12_345_678_901_234_567_890_u64, "v": 1500, "w": true, "x": "é", "y1": "on", "z": -7, "q": "1",
            "r": "1",
        })
    );
}

#[test]
fn keys_are_strings_and_the_last_of_equal_ones_counts() {
    assert_eq!(
        value("on: 1\n5: x\na: 1\na: 2\n"),
        json!({ "true": 1, "5": "x", "a": 2 })
    );
}

#[test]
fn anchors_aliases_and_merges_are_resolved() {
    let text = "base: &b {x: 1, z: 2}\na: *b\nc:\n  z: 3\n  <<: *b\nd: {<<: [{x: 9}, *b]}\n";
    assert_eq!(
        value(text),
        json!({ "base": { "x": 1, "z": 2 }, "a": { "x": 1, "z": 2 }, "c": { "z": 2, "x": 1 }, "d": { "x": 9, "z": 2 } })
    );
}

#[test]
fn aliases_cannot_fill_the_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text = format!("{text}a{level}: &a{level} [{before}]\n");
    }
    assert!(error(&text).contains("too many values"), "{}", error(&text));
}

#[test]
fn errors_name_line_and_column() {
    assert!(
        error("a: 1\n b: 2\n").starts_with("line 2, column "),
        "{}",
        error("a: 1\n b: 2\n")
    );
    assert!(
        error("a: *nobody\n").starts_with("line 1, column 4"),
        "{}",
        error("a: *nobody\n")
    );
    assert!(error("a:\n  - .inf\n").starts_with("line 2, column 5: .inf"));
    assert!(error("? [a]\n: b\n").contains("a key is a list"));
}

#[test]
fn every_value_has_its_place() {
    let text = "# c\na: 1 # one\nb:\n- x: 'y'\n  z:\n# c\n- - 2\n-\nc: |\n  t\n\n  u\n\n# d\nd: {e: [f, g]}\ne: >-\n  h\n";
    assert_eq!(
        places(text),
        [
            text.trim_start_matches("# c\n").trim_end(),
            "a",
            "1",
            "b",
            "- x: 'y'\n  z:\n# c\n- - 2\n-",
            "x: 'y'\n  z:",
            "x",
            "'y'",
            "z",
            "",
            "- 2",
            "2",
            "",
            "c",
            "|\n  t\n\n  u",
            "d",
            "{e: [f, g]}",
            "e",
            "[f, g]",
            "f",
            "g",
            "e",
            ">-\n  h",
        ]
    );
}

#[test]
fn kept_lines_belong_to_a_block_that_keeps_them() {
    assert_eq!(places("a: |+\n  t\n\n\nb: 1\n")[2], "|+\n  t\n\n");
    assert_eq!(places("a: |\n  t\n\n\nb: 1\n")[2], "|\n  t");
}

#[test]
fn json_with_tabs_is_read_too() {
    assert_eq!(
        value("{\n\t\"a\": [1,\n\t\t\"\\u00e9\\/\"]\n}\n"),
        json!({ "a": [1, "é/"] })
    );
}
