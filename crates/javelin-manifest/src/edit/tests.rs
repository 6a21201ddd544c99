use proptest::prelude::*;
use serde_json::json;

use super::*;

fn changed(text: &str, new: &Value) -> Edited {
    let syntax = if text.starts_with('{') {
        Syntax::Json
    } else {
        Syntax::Yaml
    };
    edit(text, &Tree::parse(text).unwrap(), new, syntax).unwrap()
}

/// There and back: the text after the change, which must be taken back to the byte.
fn there_and_back(text: &str, new: &Value) -> String {
    let old = Tree::parse(text).unwrap().value;
    let edited = changed(text, new);
    assert!(edited.rewritten.is_empty(), "{edited:?}");
    assert_eq!(
        changed(&edited.text, &old).text,
        text,
        "back from:\n{}",
        edited.text
    );
    edited.text
}

#[test]
fn entries_are_added_behind_the_last_and_taken_out_again() {
    assert_eq!(
        there_and_back(
            "a: 1 # one\nb:\n    c: x\n    # about d\n    d: f # why\n# end\n",
            &json!({ "a": 1, "b": { "c": "x", "d": "f", "e": { "f": "true" } }, "g": [1] })
        ),
        "a: 1 # one\nb:\n    c: x\n    # about d\n    d: f # why\n    e:\n        f: 'true'\ng:\n- 1\n# end\n"
    );
}

#[test]
fn a_blank_stays_behind_a_colon_without_a_value() {
    assert_eq!(
        there_and_back("a: {b: }\n", &json!({ "a": { "b": null, "c": 1 } })),
        "a: {b: , \"c\": 1}\n"
    );
    let removed = changed("a: {b: , d: 1}\n", &json!({ "a": { "b": null } }));
    assert_eq!(removed.text, "a: {b: }\n");
    let glued = changed("a: {b:}\n", &json!({ "a": { "b": null, "c": 1 } }));
    assert_eq!(glued.text, "a: {b: , \"c\": 1}\n");
}

#[test]
fn items_are_added_in_their_places() {
    assert_eq!(
        there_and_back(
            "l:\n  # first\n  - name: a\n    v: 1\n\n  # second\n  - name: b\n    w: |\n      t\n",
            &json!({ "l": [
                { "name": "z" },
                { "name": "a", "v": 1, "x": [{ "y": "-javaagent:/a.jar" }] },
                { "name": "m" },
                { "name": "b", "w": "t\n" },
                { "name": "e", "o": {} },
            ] })
        ),
        "l:\n  - name: z\n  # first\n  - name: a\n    v: 1\n    x:\n      - 'y': -javaagent:/a.jar\n  - name: m\n\n  # second\n  \
         - name: b\n    w: |\n      t\n  - name: e\n    o: {}\n"
    );
}

#[test]
fn the_last_line_needs_no_end() {
    assert_eq!(
        there_and_back(
            "a:\n- b: 1",
            &json!({ "a": [{ "b": 1, "c": "x" }], "d": "e" })
        ),
        "a:\n- b: 1\n  c: x\nd: e"
    );
}

#[test]
fn lines_end_as_they_do() {
    assert_eq!(
        there_and_back(
            "a: 1\r\nb: 2\r\n",
            &json!({ "a": 1, "b": 2, "c": { "d": "e" } })
        ),
        "a: 1\r\nb: 2\r\nc:\r\n  d: e\r\n"
    );
}

#[test]
fn strings_keep_their_style_when_they_grow() {
    for (text, value) in [
        ("a: -Xmx1g # x\n", "a: -Xmx1g -javaagent:/x.jar # x\n"),
        ("a: '-Dx=''y'''\n", "a: '-Dx=''y'' -javaagent:/x.jar'\n"),
        (
            "a: \"-Xmx\\u0031g\"\n",
            "a: \"-Xmx\\u0031g -javaagent:/x.jar\"\n",
        ),
        (
            "a: >-\n  -Xmx1g\n  -Dx=y\nb: 1\n",
            "a: >-\n  -Xmx1g\n  -Dx=y\n  -javaagent:/x.jar\nb: 1\n",
        ),
        (
            "a: -Xmx1g\n  -Dx=y\n",
            "a: -Xmx1g\n  -Dx=y -javaagent:/x.jar\n",
        ),
    ] {
        let mut new = Tree::parse(text).unwrap().value;
        let old = new["a"].as_str().unwrap().to_owned();
        new["a"] = format!("{old} -javaagent:/x.jar").into();
        assert_eq!(there_and_back(text, &new), value);
        new["a"] = format!("-javaagent:/x.jar {old}").into();
        let _ = changed(text, &new);
    }
}

#[test]
fn brackets_stay_brackets() {
    assert_eq!(
        there_and_back(
            "a: {b: 1}\nc: []\nd: {}\n",
            &json!({ "a": { "b": 1, "e": "x" }, "c": [{ "f": "no" }], "d": { "g": null } })
        ),
        "a: {b: 1, \"e\": \"x\"}\nc: [{\"f\": \"no\"}]\nd: {\"g\": null}\n"
    );
    assert_eq!(
        there_and_back(
            "a: [{name: b}, {name: c}]\n",
            &json!({ "a": [{ "name": "x" }, { "name": "b" }, { "name": "c", "d": 1 }] })
        ),
        "a: [{\"name\": \"x\"}, {name: b}, {name: c, \"d\": 1}]\n"
    );
}

#[test]
fn json_stays_json_with_its_indent() {
    assert_eq!(
        there_and_back(
            "{\"a\":[1],\"b\":{}}\n",
            &json!({ "a": [1, { "c": "d" }], "b": { "e": [] } })
        ),
        "{\"a\":[1,{\"c\":\"d\"}],\"b\":{\"e\":[]}}\n"
    );
    assert_eq!(
        there_and_back(
            "{\n\t\"a\": [\n\t\t1\n\t],\n\t\"b\": {}\n}",
            &json!({ "a": [1, { "c": "d" }], "b": { "e": 2 } })
        ),
        "{\n\t\"a\": [\n\t\t1,\n\t\t{\n\t\t\t\"c\": \"d\"\n\t\t}\n\t],\n\t\"b\": {\n\t\t\"e\": 2\n\t}\n}"
    );
}

#[test]
fn a_key_without_a_value_gets_one() {
    assert_eq!(
        changed(
            "a: # none\nb: ~\nc: null # n\n",
            &json!({ "a": { "x": 1 }, "b": ["y"], "c": { "z": 2 } })
        )
        .text,
        "a: # none\n  x: 1\nb:\n- 'y'\nc: # n\n  z: 2\n"
    );
}

#[test]
fn a_value_that_others_share_is_written_out() {
    let text = "l:\n- name: a\n  env: &e # shared\n  - name: X\n- name: b\n  env: *e\n";
    let new = json!({ "l": [{ "name": "a", "env": [{ "name": "X" }, { "name": "Y" }] }, { "name": "b", "env": [{ "name": "X" }] }] });
    let edited = changed(text, &new);
    assert_eq!(
        edited.text,
        "l:\n- name: a\n  env:\n  - name: X\n  - name: 'Y'\n- name: b\n  env:\n  - name: X\n"
    );
    assert_eq!(edited.rewritten, [2]);
    let through_alias = json!({ "l": [{ "name": "a", "env": [{ "name": "X" }] }, { "name": "b", "env": [{ "name": "X" }, { "name": "Y" }] }] });
    assert_eq!(
        changed(text, &through_alias).text,
        "l:\n- name: a\n  env: &e # shared\n  - name: X\n- name: b\n  env:\n  - name: X\n  - name: 'Y'\n"
    );
}

#[test]
fn merged_keys_are_written_out_where_they_change() {
    let text = "x: &x\n  a: 1\n  b: {c: 2}\nw:\n  <<: *x\n  d: 3\n";
    let new = json!({ "x": { "a": 1, "b": { "c": 2 } }, "w": { "a": 1, "b": { "c": 2, "n": 4 }, "d": 3 } });
    let edited = changed(text, &new);
    assert!(
        edited.text.starts_with("x: &x\n  a: 1\n  b: {c: 2}\nw:\n"),
        "{}",
        edited.text
    );
    assert_eq!(edited.rewritten, [5]);
    let added = json!({ "x": { "a": 1, "b": { "c": 2 } }, "w": { "a": 1, "b": { "c": 2 }, "d": 3, "e": 5 } });
    assert_eq!(changed(text, &added).text, format!("{text}  e: 5\n"));
}

#[test]
fn comments_and_markers_around_stay_where_they_are() {
    let text = "# licence\n---\n# Source: x\nkind: Pod\n...\n";
    assert_eq!(
        there_and_back(text, &json!({ "kind": "Pod", "a": "b" })),
        "# licence\n---\n# Source: x\nkind: Pod\na: b\n...\n"
    );
}

/// Objects with names, as manifests have them, and texts that YAML may take for something else.
fn value() -> impl Strategy<Value = Value> {
    let words = [
        "a",
        "yes",
        "1e3",
        "0123",
        "~",
        "",
        " x ",
        "a: b",
        "#c",
        "it's",
        "say \"hi\"",
        "two\nlines",
        "two\nlines\n",
        "é☃",
        "- x",
        "{}",
        "64Mi",
        "12:30",
        "-javaagent:/x.jar",
        "$(A),b=c",
        "tab\there",
        "%d",
        "@x",
        "!y",
        "*z",
        "&a",
        "\u{85}",
    ];
    let leaf = prop_oneof![
        4 => prop::sample::select(words.to_vec()).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let node = leaf.prop_recursive(4, 40, 5, |inner| {
        let keys = prop::sample::select(vec!["name", "env", "on", "value", "a b", "c/d", "e"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..5).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    });
    prop::collection::vec(
        (prop::sample::select(vec!["kind", "spec", "metadata"]), node),
        1..4,
    )
    .prop_map(|entries| {
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    })
}

proptest! {
    #[test]
    fn any_text_can_be_made_to_say_anything(old in value(), new in value(), crlf in any::<bool>()) {
        let block = Layout { unit: 2, dash: 0, eol: if crlf { "\r\n" } else { "\n" } };
        for (text, syntax) in [
            (block.block(&old, 0), Syntax::Yaml),
            (Layout { unit: 4, dash: 2, ..block }.block(&old, 0), Syntax::Yaml),
            (serde_json::to_string_pretty(&old).unwrap(), Syntax::Json),
            (old.to_string(), Syntax::Json),
        ] {
            let tree = Tree::parse(&text).unwrap();
            prop_assert_eq!(&tree.value, &old, "{}", text);
            let edited = edit(&text, &tree, &new, syntax);
            prop_assert!(edited.is_some(), "{} -> {}", text, new);
        }
    }
}
