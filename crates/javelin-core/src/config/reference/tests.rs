use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::config::{Config, raw::RawConfig};

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
    let schema: Value = serde_json::from_str(include_str!(
        "../../../../../deploy/chart/values.schema.json"
    ))
    .unwrap();
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
    let keys = FILE.iter().filter(|key| !matches!(key.kind, Kind::Profile));
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
            Kind::OneOf(choices) => ("zzz", "is not one of:", choices),
            Kind::Name(choices) => ("z z", "is not a name such as", choices),
            Kind::Names(choices) => ("[z z]", "is not a name such as", choices),
            Kind::Text
            | Kind::Switch
            | Kind::Quantity
            | Kind::List
            | Kind::Map
            | Kind::Profile
            | Kind::Profiles => {
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
fn the_examples_can_be_used() {
    // What excludes something else stands in a file of its own, with what it needs.
    let alone: [(&str, &[(&str, &str)]); 6] = [
        ("delivery", &[]),
        ("agent.path", &[("delivery", "image-volume")]),
        ("agent.extensions.configMap", &[]),
        ("agent.extensions.claim", &[]),
        ("sdkSettings", &[]),
        ("otlp.tls.caFrom.secret", &[("otlp.endpoint", "https://c")]),
    ];
    let is_alone = |path: &str| alone.iter().any(|(other, _)| *other == path);
    let all = PROFILE.iter().filter(|key| !is_alone(key.path));
    let all: Vec<_> = all.map(|key| (key.path, key.example)).collect();
    Config::parse(&file_with(&all), "the examples").unwrap();
    for key in PROFILE {
        if let Some((_, needs)) = alone.iter().find(|(path, _)| *path == key.path) {
            let keys = [&[(key.path, key.example)], *needs].concat();
            Config::parse(&file_with(&keys), key.path).unwrap();
        }
    }
    for key in FILE {
        Config::parse(&format!("{}: {}", key.path, key.example), key.path).unwrap();
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
