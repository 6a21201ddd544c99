//! What each field becomes has a golden case in `tests/cases/instrumentation`; here is what holds for any input.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::config::Config;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_what_comes_out_is_a_good_configuration(resources in vec(resource(), 1..4)) {
        let conversion = Conversion::of(&resources);
        let yaml = serde_saphyr::to_string(&conversion.configuration).unwrap();
        let config = Config::parse(&yaml, "f").map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
        let expected = if resources.len() == 1 { 1 } else { resources.len() + 1 };
        prop_assert_eq!(config.profiles().count(), expected);
        for finding in &conversion.findings {
            prop_assert!(!finding.to_string().contains(char::is_control));
        }
    }

    #[test]
    fn nothing_is_lost_in_silence(spec in tree()) {
        // A key that nobody knows, at any level that is taken apart.
        for path in ["/spec", "/spec/java", "/spec/exporter", "/spec/sampler", "/spec/resource", "/spec/defaults"] {
            let mut resource = json!({ "apiVersion": "opentelemetry.io/v1alpha1", "kind": "Instrumentation" });
            let mut place = &mut resource;
            for key in path.split('/').skip(1) {
                place = &mut place[key];
            }
            *place = json!({ "newKey": spec });
            let is_something = !Conversion::of(&[resource]).findings.is_empty();
            prop_assert_eq!(is_something, says_something(&spec), "{} {}", path, spec);
        }
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(says_something),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn resource() -> impl Strategy<Value = Value> {
    let version = select(vec![
        "opentelemetry.io/v1alpha1",
        "opentelemetry.io/v1beta1",
        "opentelemetry.io/v1",
    ]);
    let name = select(vec![
        json!("a"),
        json!("default"),
        json!("a.b"),
        json!("A\n"),
        json!(1),
        Value::Null,
    ]);
    (version, name, tree(), spec()).prop_map(|(version, name, annotations, spec)| {
        let metadata = json!({ "name": name, "namespace": name, "annotations": annotations });
        json!({ "apiVersion": version, "kind": "Instrumentation", "metadata": metadata, "spec": spec })
    })
}

/// A spec with fields of the right names, and values that may or may not fit.
fn spec() -> impl Strategy<Value = Value> {
    let fields = vec(
        (select(PATHS.to_vec()), prop_oneof![value(), tree()]),
        0..10,
    );
    fields.prop_map(|fields| {
        let mut spec = json!({});
        for (path, value) in fields {
            let mut place = &mut spec;
            for key in path.split('.') {
                if !place.is_object() {
                    *place = json!({});
                }
                place = &mut place[key];
            }
            *place = value;
        }
        spec
    })
}

fn value() -> impl Strategy<Value = Value> {
    let variable = (select(NAMES.to_vec()), select(TEXTS.to_vec()));
    let variable = variable.prop_map(|(name, value)| json!({ "name": name, "value": value }));
    let secret = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    let host = json!({ "fieldRef": { "apiVersion": "v1", "fieldPath": "status.hostIP" } });
    let from = (select(NAMES.to_vec()), select(vec![secret, host]));
    let from = from.prop_map(|(name, source)| json!({ "name": name, "valueFrom": source }));
    prop_oneof![
        select(TEXTS.to_vec()).prop_map(|text| json!(text)),
        vec(prop_oneof![variable, from], 0..5).prop_map(Value::Array),
        vec(select(TEXTS.to_vec()), 0..3).prop_map(|texts| json!(texts)),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|switch| json!(switch)),
        any::<i32>().prop_map(|number| json!(number)),
        ".{0,6}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop_oneof![select(TEXTS.to_vec()).prop_map(str::to_owned), ".{0,4}"];
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map(key, inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

const PATHS: [&str; 24] = [
    "exporter",
    "exporter.endpoint",
    "exporter.protocol",
    "exporter.tls",
    "exporter.tls.ca_file",
    "sampler",
    "sampler.type",
    "sampler.argument",
    "propagators",
    "resource.resourceAttributes",
    "resource.attributes",
    "resource.resourceAttributes.a",
    "resource.addK8sUIDAttributes",
    "env",
    "java.env",
    "java.image",
    "java.resources",
    "envConfig",
    "envConfig.exporter.endpoint",
    "envConfig.env",
    "imagePullPolicy",
    "nodejs.image",
    "defaults",
    "java",
];

const NAMES: [&str; 16] = [
    "OTEL_SERVICE_NAME",
    "OTEL_METRICS_EXPORTER",
    "OTEL_JAVAAGENT_ENABLED",
    "NODE_IP",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_RESOURCE_ATTRIBUTES",
    "JAVA_TOOL_OPTIONS",
    "JAVELIN_X",
    "1A",
    "OTEL_X",
];

const TEXTS: [&str; 19] = [
    "my.sampler",
    "http://$(OTEL_X):4317",
    "",
    "http://c:4317",
    "http://c:4318",
    "http://$(OTEL_NODE_IP):4317",
    "c:4317",
    "grpc",
    "http/json",
    "0.25",
    "$(A)",
    "traceidratio",
    "always_on",
    "tracecontext,b3",
    "b3",
    "a=b,c=,d,e=%20",
    "/ca.crt",
    "\u{1b}[31m\n",
    "on",
];
