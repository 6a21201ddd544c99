use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::{
    Policies,
    difference::{DIFFERENCES, Effect, OWN, sentences},
    expressions::{literal, said},
    version::KubernetesVersion,
};
use crate::config::Config;

fn config(text: &str) -> Config {
    Config::parse(text, "test").unwrap()
}

fn documents(config: &Config) -> Vec<Value> {
    Policies::of(config).unwrap().iter().cloned().collect()
}

fn expressions(documents: &[Value]) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    match value.as_str() {
                        Some(text) if key == "expression" || key == "messageExpression" => {
                            found.push(text.to_owned());
                        }
                        _ => collect(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for document in documents {
        collect(document, &mut found);
    }
    found
}

/// Reads one literal as the language's grammar has it, and gives what it means and what follows.
fn read_literal(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let mut chars = rest.chars();
        match chars.next()? {
            '\'' => return Some((value, chars.as_str())),
            '\\' => {
                let escape = chars.next()?;
                rest = chars.as_str();
                value.push(match escape {
                    '\\' | '\'' => escape,
                    'n' => '\n',
                    'U' => {
                        let digits = rest.get(..8)?;
                        rest = rest.get(8..)?;
                        char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                    }
                    _ => return None,
                });
            }
            '\n' | '\r' => return None,
            c => {
                value.push(c);
                rest = chars.as_str();
            }
        }
    }
}

/// Reads a map of literals, and nothing else.
fn read_map(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.strip_prefix("{\n")?.strip_suffix("\n}")?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (key, after) = read_literal(rest.strip_prefix("  ")?)?;
        let (value, after) = read_literal(after.strip_prefix(": ")?)?;
        entries.push((key, value));
        rest = after.strip_prefix(",\n").unwrap_or(after);
    }
    Some(entries)
}

#[test]
fn every_piece_has_what_it_refers_to() {
    let documents = documents(&config("annotations: true"));
    for expression in expressions(&documents) {
        assert!(!expression.contains(['«', '»']), "{expression}");
        assert!(expression.len() < 100_000);
    }
    for document in &documents {
        let variables = document["spec"]["variables"].as_array();
        let mut defined = BTreeSet::new();
        for variable in variables.into_iter().flatten() {
            let text = variable["expression"].as_str().unwrap();
            for part in text.split("variables.").skip(1) {
                let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                let name = end.map_or(part, |end| &part[..end]);
                assert!(
                    defined.contains(name),
                    "{} refers to {name}",
                    variable["name"]
                );
            }
            defined.insert(variable["name"].as_str().unwrap());
        }
    }
}

#[test]
fn every_code_of_the_expressions_has_a_sentence_and_each_of_ours_a_row() {
    let known: BTreeSet<_> = sentences().map(|(code, _)| code).collect();
    let text = expressions(&documents(&Config::default())).join("\n");
    let reason = text.split("'static-pod'").nth(1).unwrap();
    let reason = &reason[..reason.find(": ''").unwrap()];
    let given: BTreeSet<_> = reason
        .split("? '")
        .skip(1)
        .filter_map(|part| part.split_once('\'').map(|(code, _)| code))
        .filter(|code| code.contains('-'))
        .chain(["static-pod", "windows"])
        .collect();
    for code in &given {
        assert!(known.contains(code), "{code}");
    }
    for code in known.iter().filter(|code| code.starts_with(OWN)) {
        assert!(given.contains(code), "{code} is never given");
    }
    for code in given.iter().filter(|code| code.starts_with(OWN)) {
        assert!(
            DIFFERENCES
                .iter()
                .any(|row| matches!(row.effect, Effect::LeftAlone(listed) if listed == *code)),
            "{code} is not listed"
        );
    }
}

#[test]
fn every_profile_has_its_values_in_the_binding_of_labelled_namespaces() {
    let documents = documents(&config("profiles: {checkout: {}, stock: {}}"));
    let binding = documents
        .iter()
        .find(|document| document["metadata"]["name"] == "javelin-pods-by-namespace")
        .unwrap();
    let selector = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"];
    assert_eq!(selector[0]["values"], serde_json::json!(["kube-system"]));
    assert_eq!(
        selector[1]["values"],
        serde_json::json!(["true", "default", "checkout", "stock"])
    );
}

#[test]
fn no_namespace_excluded_is_no_empty_list() {
    let documents = documents(&config("excludedNamespaces: []"));
    let text = serde_json::to_string(&documents).unwrap();
    assert!(!text.contains("\"values\":[]"), "{text}");
}

#[test]
fn annotations_are_looked_at_where_the_configuration_reads_them() {
    let of = |text: &str| documents(&config(text)).len();
    assert_eq!(of("annotations: true"), of("") + 2);
}

#[test]
fn what_policies_cannot_say_is_refused_by_its_key() {
    let text = "
profiles:
  a:
    otlp:
      endpoint: https://collector:4318
      tls: {caFrom: {configMap: ca}}
  b:
    env: {LONG: '"
        .to_owned()
        + &"x".repeat(100_000)
        + "'}";
    let refusals = Policies::of(&config(&text)).unwrap_err();
    let paths: Vec<_> = refusals.iter().map(|refusal| &refusal.path).collect();
    assert_eq!(paths, ["profiles.a.otlp.tls", "profiles.b.env"]);
}

#[test]
fn too_many_variables_cost_too_much() {
    let env: Vec<_> = (0..101).map(|n| format!("V{n}: x")).collect();
    let text = format!("default: {{env: {{{}}}}}", env.join(", "));
    let refusals = Policies::of(&config(&text)).unwrap_err();
    assert_eq!(refusals[0].path, "default.env");
}

#[test]
fn versions_are_read_as_clusters_write_them() {
    for (text, is_enough) in [
        ("1.36", true),
        ("v1.37.2", true),
        ("1.36+", true),
        ("v1.36.4-gke.100", true),
        ("2.0", true),
        ("1.35.9", false),
        ("v1.9", false),
    ] {
        let version = KubernetesVersion::parse(text).unwrap();
        assert_eq!(version.check().is_ok(), is_enough, "{text}");
    }
    for text in ["", "1", "new", "v.36"] {
        assert_eq!(KubernetesVersion::parse(text), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_literal_means_its_text_and_ends_where_it_ends(text in any::<String>(), rest in "['x\\\\]{0,3}") {
        let written = literal(&text) + " " + &rest;
        let (read, after) = read_literal(&written).unwrap();
        prop_assert_eq!(read, text);
        prop_assert_eq!(after, format!(" {rest}"));
    }

    /// Whatever is in a configuration: the expressions are the same, but for the maps of literals, which are nothing else.
    #[test]
    fn a_hostile_configuration_is_data(
        value in hostile(), image in "[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?", sidecar in hostile(), attribute in hostile(),
    ) {
        let text = serde_json::json!({
            "sidecars": [sidecar],
            "default": {
                "agent": { "image": image },
                "env": { "V": value },
                "resourceAttributes": { "a": format!("x{attribute}") },
            },
        });
        let hostile = config(&text.to_string());
        let profile = hostile.profiles().next().unwrap();
        let read = read_map(&said(profile, &hostile)).unwrap();
        let env = read.iter().find(|(key, _)| key == "env.V").map(|(_, value)| value.as_str());
        let escaped = value.replace('$', "$$");
        prop_assert_eq!(env, Some(escaped.as_str()));
        let (of_hostile, of_plain) = (expressions(&documents(&hostile)), expressions(&documents(&Config::default())));
        prop_assert_eq!(&of_hostile[1..], &of_plain[1..]);
        let yaml = serde_saphyr::to_string(&documents(&hostile)[0]).unwrap();
        let back: Value = serde_saphyr::from_str(&yaml).unwrap();
        prop_assert_eq!(&back, &documents(&hostile)[0]);
    }
}

/// Texts that would end a literal, a comment, an expression or a placeholder.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("'''".to_owned()),
        Just("' + variables.reason + '".to_owned()),
        Just("«INJECT»".to_owned()),
        Just("//".to_owned()),
        Just("\n".to_owned()),
        Just("$(X)".to_owned()),
        Just("}".to_owned()),
        any::<char>()
            .prop_filter("YAML has no such characters", |c| !c.is_control())
            .prop_map(String::from),
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}
