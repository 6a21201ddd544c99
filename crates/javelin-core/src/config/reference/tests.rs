use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::{
    config::{Config, raw::RawConfig},
    policy::Policies,
};

/// The keys that serde knows at a place: it lists them when it meets another.
fn known_at(place: &str) -> Option<Vec<&'static str>> {
    let parts = place.split('.').filter(|part| !part.is_empty());
    let (open, close): (String, String) = parts.map(|part| (format!("{{{part}: "), "}")).unzip();
    let text = format!("{open}{{no-such-key: 1}}{close}");
    match serde_saphyr::from_str::<RawConfig>(&text)
        .err()?
        .without_snippet()
    {
        serde_saphyr::Error::SerdeUnknownField { expected, .. } => Some(expected.clone()),
        _ => None,
    }
}

/// All keys below a place, dotted.
fn known_below(place: &str) -> BTreeSet<String> {
    let join = |key: &str| format!("{place}.{key}").trim_start_matches('.').to_owned();
    let mut leaves = BTreeSet::new();
    for key in known_at(place).unwrap_or_default() {
        let below = known_at_value(&join(key));
        if below.is_empty() {
            leaves.insert(join(key));
        }
        leaves.extend(below);
    }
    leaves
}

fn known_at_value(place: &str) -> BTreeSet<String> {
    // A map takes any key, so it is a leaf; so is a text, of whose error there is no list.
    let text_or_map = known_at(place).is_none();
    if text_or_map {
        BTreeSet::new()
    } else {
        known_below(place)
    }
}

fn paths(keys: &[Key]) -> BTreeSet<String> {
    keys.iter().map(|key| key.path.to_owned()).collect()
}

#[test]
fn the_table_has_every_key_that_serde_has() {
    assert_eq!(
        paths(FILE),
        known_at("")
            .unwrap()
            .into_iter()
            .map(str::to_owned)
            .collect()
    );
    let profile = known_below("default").into_iter();
    let profile = profile
        .map(|key| key.trim_start_matches("default.").to_owned())
        .collect();
    assert_eq!(paths(PROFILE), profile);
}

#[test]
fn the_table_has_every_key_that_the_chart_has() {
    fn leaves(schema: &Value, place: &str, found: &mut BTreeSet<String>) {
        let Some(properties) = schema["properties"].as_object() else {
            found.insert(place.to_owned());
            return;
        };
        for (key, schema) in properties {
            leaves(
                schema,
                format!("{place}.{key}").trim_start_matches('.'),
                found,
            );
        }
    }
    let schema = schema_of_chart();
    let mut profile = BTreeSet::new();
    leaves(&schema["definitions"]["profile"], "", &mut profile);
    assert_eq!(paths(PROFILE), profile);
    for key in FILE {
        assert!(schema["properties"].get(key.path).is_some(), "{}", key.path);
    }
}

#[test]
fn the_defaults_are_what_an_empty_file_means() {
    let effective = Config::default().effective();
    let at = |root: &Value, path: &str| {
        path.split('.')
            .fold(root.clone(), |value, key| value[key].clone())
    };
    let keys = FILE
        .iter()
        .filter(|key| !matches!(key.kind, ValueKind::Profile));
    for (root, key) in keys
        .map(|key| (&effective, key))
        .chain(PROFILE.iter().map(|key| (&effective["default"], key)))
    {
        let default: Value = serde_saphyr::from_str(key.default).unwrap();
        assert_eq!(at(root, key.path), default, "{}", key.path);
        assert_eq!(
            default.is_null(),
            !key.unset.is_empty(),
            "{}: what holds when it is unset?",
            key.path
        );
    }
}

#[test]
fn the_choices_are_those_of_the_checks() {
    for key in PROFILE {
        let (wrong, said, choices) = match key.kind {
            ValueKind::OneOf(choices) => ("zzz", "is not one of:", choices),
            ValueKind::Name(choices) => ("z z", "is not a name such as", choices),
            ValueKind::Names(choices) => ("[z z]", "is not a name such as", choices),
            ValueKind::Text
            | ValueKind::Switch
            | ValueKind::Quantity
            | ValueKind::List
            | ValueKind::Map
            | ValueKind::Profile
            | ValueKind::Profiles => {
                continue;
            }
        };
        let error = Config::parse(&file_with(&[(key.path, wrong)]), "f")
            .unwrap_err()
            .to_string();
        let expected = format!("{said} {}\n", choices.join(", "));
        assert!(error.contains(&expected), "{}: {error}", key.path);
    }
}

#[test]
fn the_chart_takes_the_same_kinds_and_choices() {
    let schema = schema_of_chart();
    for key in PROFILE {
        let place = key
            .path
            .split('.')
            .fold(&schema["definitions"]["profile"], |place, part| {
                &place["properties"][part]
            });
        let place = resolved(place, &schema);
        let choices = |place: &Value| place["anyOf"][0]["enum"].clone();
        let (found, expected) = match key.kind {
            ValueKind::OneOf(names) => (place["enum"].clone(), serde_json::json!(names)),
            ValueKind::Name(names) => (choices(place), serde_json::json!(names)),
            ValueKind::Names(names) => (choices(&place["items"]), serde_json::json!(names)),
            ValueKind::Text | ValueKind::Quantity => (place["type"].clone(), "string".into()),
            ValueKind::Switch => (place["type"].clone(), "boolean".into()),
            ValueKind::List => (place["type"].clone(), "array".into()),
            ValueKind::Map | ValueKind::Profile | ValueKind::Profiles => {
                (place["type"].clone(), "object".into())
            }
        };
        assert_eq!(found, expected, "{}", key.path);
    }
}

fn schema_of_chart() -> Value {
    let text = include_str!("../../../../../deploy/chart/values.schema.json");
    serde_json::from_str(text).unwrap()
}

/// What a schema refers to, if it does.
fn resolved<'a>(place: &'a Value, root: &'a Value) -> &'a Value {
    let reference = place["$ref"]
        .as_str()
        .or_else(|| place["allOf"][0]["$ref"].as_str());
    let found = reference.and_then(|reference| root.pointer(reference.trim_start_matches('#')));
    found.unwrap_or(place)
}

/// A key that policies forgot would be without effect, and nobody would be told.
#[test]
fn policies_say_every_key_or_refuse_it() {
    for key in PROFILE {
        let needs = needs(key.path);
        let parse = |keys: &[(&str, &str)]| Config::parse(&file_with(keys), key.path);
        // Half of a pair is refused: then nothing at all stands on the other side.
        let without = parse(needs).unwrap_or_default();
        // The example may be what holds anyway; the last choice is not.
        let value = match key.kind {
            ValueKind::OneOf(choices) => choices.last().unwrap(),
            _ => key.example,
        };
        let with = parse(&[&[(key.path, value)], needs].concat()).unwrap();
        match Policies::of(&with) {
            Err(refusals) => {
                let path = format!("default.{}", key.path);
                assert!(
                    refusals
                        .iter()
                        .any(|refusal| path.starts_with(&refusal.path)),
                    "{path}: {refusals:?}"
                );
            }
            Ok(documents) => {
                // The hash is in the receipt, and differs for any key.
                let text = |documents: Policies, config: &Config| {
                    let hash = config.default.hash.as_str();
                    documents.into_list().to_string().replace(hash, "")
                };
                let before = text(Policies::of(&without).unwrap(), &without);
                assert_ne!(text(documents, &with), before, "{} has no effect", key.path);
            }
        }
    }
}

#[test]
fn the_examples_can_be_used() {
    // What excludes something else stands in a file of its own.
    let alone = [
        "delivery",
        "agent.path",
        "agent.extensions.configMap",
        "agent.extensions.claim",
        "sdkSettings",
        "otlp.tls.caFrom.secret",
    ];
    let all = PROFILE.iter().filter(|key| !alone.contains(&key.path));
    let all: Vec<_> = all.map(|key| (key.path, key.example)).collect();
    Config::parse(&file_with(&all), "the examples").unwrap();
    for key in PROFILE {
        let keys = [&[(key.path, key.example)], needs(key.path)].concat();
        Config::parse(&file_with(&keys), key.path).unwrap();
    }
    for key in FILE {
        Config::parse(&format!("{}: {}", key.path, key.example), key.path).unwrap();
    }
}

/// The further keys without which a key's example is refused.
fn needs(path: &str) -> &'static [(&'static str, &'static str)] {
    const ENDPOINT: (&str, &str) = ("otlp.endpoint", "https://c");
    const CA: (&str, &str) = ("otlp.tls.caFrom.configMap", "c");
    const CLIENT: (&str, &str) = ("otlp.tls.clientCertificateFrom.secret", "c");
    match path {
        "agent.path" => &[("delivery", "image-volume")],
        "agent.extensions.image" => &[("agent.extensions.folder", "/extensions")],
        "agent.extensions.folder" => &[("agent.extensions.claim", "c")],
        "otlp.headersFrom.secret" => &[ENDPOINT, ("otlp.headersFrom.key", "headers")],
        "otlp.headersFrom.key" => &[ENDPOINT, ("otlp.headersFrom.secret", "c")],
        "otlp.tls.caFrom.key" => &[ENDPOINT, CA],
        "otlp.tls.clientCertificateFrom.certificate"
        | "otlp.tls.clientCertificateFrom.privateKey" => &[ENDPOINT, CLIENT],
        "otlp.protocol" => &[("otlp.endpoint", "http://c")],
        // Without a setting there is nothing to put anywhere.
        "sdkSettings" => &[("exporters.logs", "none")],
        "sampler.argument" => &[("sampler.type", "traceidratio")],
        _ if path.starts_with("otlp.tls.") => &[ENDPOINT],
        _ => &[],
    }
}

/// A configuration whose default profile has these keys.
fn file_with(keys: &[(&str, &str)]) -> String {
    let mut root = serde_json::json!({});
    for (path, value) in keys {
        let value: Value = serde_saphyr::from_str(value).unwrap();
        *path
            .split('.')
            .fold(&mut root["default"], |place, key| &mut place[key]) = value;
    }
    root.to_string()
}
