//! `deploy/chart/README.md`: its table of values, from `values.yaml` and `values.schema.json`. All else in it is written by
//! hand.

use std::{fs, path::Path};

use serde_json::Value;

use super::row;

/// The page as it is, with the table between its two marks as it ought to be.
pub(super) fn page() -> String {
    let readme = file("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark after the table");
    format!("{before}{BEGIN}{}{END}{after}", table())
}

/// Of the chart.
fn file(name: &str) -> String {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/chart");
    fs::read_to_string(chart.join(name)).unwrap()
}

fn table() -> String {
    let values = serde_saphyr::from_str(&file("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&file("values.schema.json")).unwrap();
    let mut text = row(&["value", "default", "what"]) + &row(&["---", "---", "---"]);
    add(&mut text, "", &values, &schema, &schema);
    text
}

/// Of a group the description stands before that of its switch.
fn add(text: &mut String, path: &str, value: &Value, schema: &Value, root: &Value) {
    let schema = resolved(schema, root);
    let values = value.as_object().filter(|map| !map.is_empty());
    let properties = schema["properties"].as_object();
    if let (Some(values), Some(properties), false) = (values, properties, is_one(path)) {
        for (key, value) in values {
            let path = format!("{path}.{key}");
            let of_key = properties
                .get(key)
                .unwrap_or_else(|| panic!("{path} is not in the schema"));
            let mut of_key = of_key.clone();
            if let ("enabled", Some(group)) = (key.as_str(), described(schema, root)) {
                let switch = described(&of_key, root).unwrap_or_default();
                of_key["description"] = format!("{group} {switch}").into();
            }
            add(text, path.trim_start_matches('.'), value, &of_key, root);
        }
        return;
    }
    let what = match path.rsplit_once(".alerts.") {
        Some((_, alert)) => format!("[what it means, what to do](../../docs/runbooks/{alert}.md)"),
        None => described(schema, root)
            .unwrap_or_else(|| panic!("{path} has no description in the schema")),
    };
    *text += &row(&[&format!("`{path}`"), &default(value), &what]);
}

/// Values that are one thing to whoever reads the table, though they have keys: a profile, an alert.
fn is_one(path: &str) -> bool {
    path == "default" || path.contains(".alerts.")
}

/// The description stands beside a reference, as it is another one for each.
fn described(schema: &Value, root: &Value) -> Option<String> {
    let of = |schema: &Value| schema["description"].as_str().map(str::to_owned);
    of(schema).or_else(|| of(resolved(schema, root)))
}

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    // Only what says nothing of its own besides.
    let reference = schema["$ref"]
        .as_str()
        .filter(|_| schema["description"].is_null());
    let place = reference.and_then(|reference| reference.strip_prefix('#'));
    place
        .and_then(|place| root.pointer(place))
        .unwrap_or(schema)
}

fn default(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{}`", flow(other)),
    }
}

/// As YAML has it on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{key}: {}", flow(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => {
            let list = list.iter().map(flow).collect::<Vec<_>>();
            format!("[{}]", list.join(", "))
        }
        Value::String(text) if text.parse::<f64>().is_ok() => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const BEGIN: &str = "<!-- Written by `cargo xtask codegen` from values.yaml and values.schema.json; an edit here is lost. -->\n";
const END: &str = "<!-- End of what is written. -->\n";
