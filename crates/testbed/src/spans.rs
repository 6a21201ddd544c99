//! Spans, as the Collector's file exporter writes them: one line of OTLP/JSON for each batch.
//!
//! `cargo xtask demo` and the cluster suite both read them with this, so that the demo and the tests read the same.

use std::collections::BTreeMap;

use serde_json::Value;

/// One span with the resource that sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// Empty at the root of a trace.
    pub parent: String,
    /// As in `GET /cart`.
    pub name: String,
    /// `service.name`, `k8s.*` and the rest, as text.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// A resource attribute, empty when it is missing.
    pub fn attribute(&self, key: &str) -> &str {
        self.resource.get(key).map_or("", String::as_str)
    }

    /// `service.name`.
    pub fn service(&self) -> &str {
        self.attribute("service.name")
    }
}

/// All spans in a Collector's output. Lines that are something else are passed over.
pub fn parse(output: &str) -> Vec<Span> {
    let batches = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    batches
        .flat_map(|batch| elements(&batch, "resourceSpans"))
        .flat_map(|batch| spans_of(&batch))
        .collect()
}

fn spans_of(batch: &Value) -> Vec<Span> {
    let resource = batch.get("resource").unwrap_or(&Value::Null);
    let resource: BTreeMap<_, _> = elements(resource, "attributes")
        .iter()
        .map(|pair| (text(pair, "key"), value_text(pair.get("value"))))
        .collect();
    let scopes = elements(batch, "scopeSpans");
    let spans = scopes.iter().flat_map(|scope| elements(scope, "spans"));
    spans
        .map(|span| Span {
            trace: text(&span, "traceId"),
            id: text(&span, "spanId"),
            parent: text(&span, "parentSpanId"),
            name: text(&span, "name"),
            resource: resource.clone(),
        })
        .collect()
}

/// `{"stringValue": "a"}`, `{"intValue": "1"}`, …: the one member, as text.
fn value_text(value: Option<&Value>) -> String {
    let member = value
        .and_then(Value::as_object)
        .and_then(|members| members.values().next());
    match member {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn elements(value: &Value, key: &str) -> Vec<Value> {
    let elements = value.get(key).and_then(Value::as_array);
    elements.cloned().unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
