use proptest::prelude::*;
use serde_json::json;

use super::*;

fn operation(what: What, path: &str, value: &Value) -> Operation {
    let value = match what {
        What::Remove => String::new(),
        What::Add | What::Replace => value.to_string(),
    };
    Operation {
        what,
        path: path.to_owned(),
        value,
    }
}

/// What a document is after operations, from its text as from what it is decoded; `None` where they do not apply.
fn patched(document: &Value, operations: &[Operation]) -> Option<Value> {
    let text = document.to_string();
    let [of_text, of_value] = [Node::Text(&text), Node::Value(document)].map(|document| {
        let result = document.patched(operations).ok()?;
        Some(Value::deserialize(&result).unwrap())
    });
    assert_eq!(of_text, of_value);
    of_text
}

/// Documents with few names, so that paths lead somewhere.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i8>().prop_map(Value::from),
        "[a-c\"\\\\é/~ ]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let members = prop::collection::vec((name(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "0", "1", "a/b", "a~b", "\"", "-"]).prop_map(str::to_owned)
}

fn paths() -> impl Strategy<Value = String> {
    let tokens = prop::collection::vec(name(), 1..4);
    tokens.prop_map(|tokens| {
        let escaped = tokens.iter().map(|token| super::super::escaped(token));
        escaped.fold(String::new(), |path, token| path + "/" + &token)
    })
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let what = prop::sample::select(vec![What::Add, What::Replace, What::Remove]);
    let one = (what, paths(), documents());
    prop::collection::vec(
        one.prop_map(|(what, path, value)| operation(what, &path, &value)),
        1..4,
    )
}

proptest! {
    #[test]
    fn operations_apply_as_the_library_applies_them(document in documents(), operations in operations()) {
        let ours = patched(&document, &operations);
        let patch: json_patch::Patch = serde_json::from_str(&super::super::json_of(&operations)).unwrap();
        let mut theirs = document;
        let theirs = json_patch::patch(&mut theirs, &patch).ok().map(|()| theirs);
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn documents_are_the_same_as_texts_if_they_are_as_values(one in documents(), other in documents()) {
        let texts = [one.to_string(), other.to_string()];
        let [first, second] = texts.each_ref().map(|text| Node::Text(text));
        prop_assert!(first.is_same(&Node::Value(&one)) && Node::Value(&one).is_same(&first));
        prop_assert_eq!(first.is_same(&second), one == other);
        prop_assert_eq!(Node::Value(&one).is_same(&second), one == other);
    }
}

#[test]
fn a_result_is_a_document_of_its_own() {
    let document = json!({ "a": { "b/c": [1, 2], "d": "x" } });
    let operations = [
        operation(What::Add, "/a/b~1c/1", &json!({ "new": null })),
        operation(What::Replace, "/a/d", &json!("é\n")),
        operation(What::Add, "/a/b~1c/-", &json!(3)),
        operation(What::Remove, "/a/b~1c/0", &Value::Null),
    ];
    let result = patched(&document, &operations);
    assert_eq!(
        result,
        Some(json!({ "a": { "b/c": [{ "new": null }, 2, 3], "d": "é\n" } }))
    );
}

#[test]
fn the_last_of_a_name_counts_as_it_does_for_a_decoder() {
    let many: Vec<_> = (0..40).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let many = format!(r#"{{{},"k3":"last"}}"#, many.join(","));
    for text in [r#"{"a":1,"b":2,"\u0061":3}"#, many.as_str()] {
        let node = Node::Text(text);
        let decoded: Value = serde_json::from_str(text).unwrap();
        assert!(node.is_same(&Node::Value(&decoded)));
        let name = if text == many { "k3" } else { "a" };
        let member = node.member(name).unwrap().into_owned();
        assert!(member.is_same(&Node::Value(&decoded[name])));
        let kept: Vec<_> = node
            .members()
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        let names: Vec<_> = decoded.as_object().unwrap().keys().cloned().collect();
        assert_eq!(kept, names);
    }
}
