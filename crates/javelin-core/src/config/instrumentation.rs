//! The OpenTelemetry Operator's Instrumentation resource, as a configuration of ours.
//!
//! Shapes: `v1alpha1` as it is served, `v1beta1` as the operator's sources have it (`apis/v1beta1`). Invariant: what
//! comes out passes [`Config::parse`](super::Config::parse), and every field that has a value is carried over or is
//! a [`ConversionNote`]. The profile is put together without `..`, so a new key of ours does not compile before somebody has
//! asked here which field of theirs it takes.
//!
//! Deliberately not here: reading files and printing, and the annotations on the operator's pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Agent, Exporters, Otlp, Protocol, Sampler, check_profile_name,
    raw::{
        RawAgent, RawCa, RawClientCertificate, RawExporters, RawExtensions, RawOtlp, RawProfile,
        RawSampler, RawTls,
    },
    sdk,
};

mod env;
mod left;
mod section;

pub use section::{ConversionNote, Weight};

use env::{Env, refuse_attribute};
use section::{Mapping, Notes};

/// A configuration, and what is to be said of it.
#[derive(Debug)]
pub struct Conversion {
    /// A configuration file. Keys that nothing was said about are left out.
    pub configuration: Value,
    /// In the order of the resources.
    pub findings: Vec<ConversionNote>,
}

/// Is it a resource for [`Conversion::of`]?
pub fn is_instrumentation(object: &Value) -> bool {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    text("kind") == "Instrumentation" && text("apiVersion").starts_with("opentelemetry.io/")
}

impl Conversion {
    /// One resource becomes the default profile, several become profiles by their names.
    pub fn of(resources: &[Value]) -> Self {
        let mut findings = Vec::new();
        let mut profiles = BTreeMap::new();
        for resource in resources {
            let mut report = Notes::about(resource);
            let profile = pruned(profile_of(resource, &mut report));
            if let [_] = resources {
                findings.extend(report.findings);
                return Self {
                    configuration: json!({ "default": profile }),
                    findings,
                };
            }
            let name = name_of(resource, &profiles, &mut report);
            profiles.insert(name, profile);
            findings.extend(report.findings);
        }
        Self {
            configuration: json!({ "profiles": profiles }),
            findings,
        }
    }

    /// Was everything carried over?
    pub fn is_complete(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.weight == Weight::Note)
    }
}

/// A name that is a profile's and is not taken: their own, else with the namespace, else a number.
fn name_of(resource: &Value, taken: &BTreeMap<String, Value>, report: &mut Notes) -> String {
    let metadata = |key: &str| {
        resource
            .pointer("/metadata")
            .and_then(|m| m.get(key)?.as_str())
    };
    let own = metadata("name").unwrap_or_default().replace('.', "-");
    let namespace = metadata("namespace").unwrap_or_default();
    let numbered = (1..).map(|number| format!("instrumentation-{number}"));
    let mut candidates = [own.clone(), format!("{namespace}-{own}")]
        .into_iter()
        .chain(numbered);
    let is_free = |name: &String| check_profile_name(name).is_ok() && !taken.contains_key(name);
    let name = candidates.find(is_free).unwrap_or(own);
    let label = crate::mutate::keys::INJECT;
    report.note(
        "metadata.name",
        format!("is the profile {name}; the namespaces and workloads that it is for need the label {label}={name}"),
    );
    name
}

/// The profile that says the same, as far as there is one.
fn profile_of(resource: &Value, report: &mut Notes) -> RawProfile {
    let version = resource
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is_beta = match version {
        "opentelemetry.io/v1alpha1" => false,
        "opentelemetry.io/v1beta1" => true,
        other => {
            report.left(
                "apiVersion",
                format!("{other} is not known; v1alpha1 and v1beta1 are"),
            );
            return RawProfile::default();
        }
    };
    let mut spec = Mapping::new("spec", resource.get("spec"), report);
    let mut nested = spec.section("envConfig", report);
    // v1beta1 moved what becomes variables below a key of its own.
    let sdk = if is_beta { &mut nested } else { &mut spec };
    let mut exporter = sdk.section("exporter", report);
    let propagators = sdk.texts("propagators", report);
    let mut sampler = sdk.section("sampler", report);
    let nested_env = nested.items("env", report);
    nested.finish(report);
    let mut resource_section = spec.section("resource", report);
    let mut java = spec.section("java", report);
    let env = [
        java.items("env", report),
        spec.items("env", report),
        nested_env,
    ]
    .concat();
    let mut env = Env::of(env, report);
    for language in left::LANGUAGES {
        left::language(resource, language, spec.section(language, report), report);
    }
    left::java(&mut java, report);
    let use_labels_for_resource_attributes = left::defaults(&mut spec, report);

    let mut resource_attributes = attributes(&mut resource_section, report);
    resource_attributes.extend(env.attributes(report));
    left::resource(resource_section, report);
    let otlp = otlp(&mut exporter, &mut env, report);
    exporter.finish(report);
    let profile = RawProfile {
        delivery: None,
        agent: agent(resource, &mut spec, &mut java, report),
        otlp,
        resource_attributes,
        propagators: propagator_list(propagators, &mut env, report),
        sampler: sampler_of(&mut sampler, &mut env, report),
        exporters: exporters(&mut env),
        env: env.rest(report),
        minimum_memory: None,
        compose_optional: None,
        use_labels_for_resource_attributes,
        sdk_settings: None,
    };
    sampler.finish(report);
    java.finish(report);
    spec.finish(report);
    profile
}

fn agent(resource: &Value, spec: &mut Mapping, java: &mut Mapping, report: &mut Notes) -> RawAgent {
    let image = java.text("image", report);
    let image = image.filter(|image| !left::is_operators_image(resource, "java", Some(image)));
    let command = image.is_some().then(|| {
        report.note(&java.path("image"), OPERATORS_IMAGE);
        ["cp", "/javaagent.jar", "/javelin-agent/javaagent.jar"]
            .map(str::to_owned)
            .to_vec()
    });
    let extensions = extensions(java, report);
    let agent = RawAgent {
        image,
        image_pull_policy: spec.text("imagePullPolicy", report),
        image_pull_secret: None,
        command,
        path: None,
        extensions,
    };
    match Agent::from_raw(&agent) {
        Ok(_) => agent,
        Err(problem) => {
            report.left("spec.java.image, spec.imagePullPolicy", problem.problem);
            RawAgent::default()
        }
    }
}

/// The operator copies a folder of each of several images; a profile names one source.
fn extensions(java: &mut Mapping, report: &mut Notes) -> Option<RawExtensions> {
    let items = java.items("extensions", report);
    let (path, extension) = items.first()?;
    for (path, _) in items.iter().skip(1) {
        report.left(
            path,
            "a profile has one image with extensions; put all jars into one",
        );
    }
    let mut section = Mapping::new(path, Some(extension), report);
    let extensions = RawExtensions {
        image: section.text("image", report),
        folder: section.text("dir", report),
        ..RawExtensions::default()
    };
    section.finish(report);
    Some(extensions)
}

/// Endpoint and protocol as they go together, then the headers. In the operator, too, variables win over fields.
fn otlp(exporter: &mut Mapping, env: &mut Env, report: &mut Notes) -> RawOtlp {
    let endpoint = env.take_or("OTEL_EXPORTER_OTLP_ENDPOINT", exporter, "endpoint", report);
    let protocol = env.take_or("OTEL_EXPORTER_OTLP_PROTOCOL", exporter, "protocol", report);
    let tls = tls(exporter.section("tls", report), env, report);
    let is_said = endpoint.is_some();
    let lost = |otlp: &RawOtlp| {
        let is_lost = is_said && otlp.endpoint.is_none();
        is_lost.then_some(WITHOUT_ENDPOINT)
    };
    let protocol = protocol.filter(|(path, protocol)| {
        let known = Protocol::parse(protocol);
        known
            .map_err(|problem| report.left(path, problem.problem))
            .is_ok()
    });
    let endpoint = endpoint.and_then(|(path, text)| {
        let endpoint = env.endpoint(&text);
        if endpoint.is_none() {
            report.left(&path, format!("{text:?} {ENDPOINT_REFERENCE}"));
        }
        Some((path, endpoint?))
    });
    let (protocol_path, protocol) = protocol.unzip();
    let (endpoint_path, endpoint) = endpoint.unzip();
    let mut otlp = RawOtlp {
        endpoint,
        protocol,
        headers_from: None,
        tls: None,
    };
    let path = endpoint_path.or(protocol_path).unwrap_or_default();
    let by_port = RawOtlp {
        protocol: Some("grpc".to_owned()),
        ..otlp.clone()
    };
    if let Err(problem) = Otlp::from_raw(&otlp) {
        if otlp.protocol.is_none() && Otlp::from_raw(&by_port).is_ok() {
            report.note(&path, GRPC_BY_PORT);
            otlp = by_port;
        } else {
            let why = lost(&otlp).map_or(problem.problem, str::to_owned);
            report.left(&path, why);
            otlp = RawOtlp::default();
        }
    }
    if tls.is_some() {
        let with_tls = RawOtlp {
            tls,
            ..otlp.clone()
        };
        otlp = or_left(with_tls, otlp, lost, "spec.exporter.tls", report);
    }
    if let Some((path, headers)) = env.headers.take() {
        let with_headers = RawOtlp {
            headers_from: Some(headers),
            ..otlp.clone()
        };
        otlp = or_left(with_headers, otlp, lost, &path, report);
    }
    otlp
}

/// The first if it passes, else the second, with a word on what is left out.
fn or_left(
    better: RawOtlp,
    otlp: RawOtlp,
    lost: impl Fn(&RawOtlp) -> Option<&'static str>,
    path: &str,
    report: &mut Notes,
) -> RawOtlp {
    match Otlp::from_raw(&better) {
        Ok(_) => better,
        Err(problem) => {
            let why = lost(&otlp).map_or(problem.problem, str::to_owned);
            report.left(path, why);
            otlp
        }
    }
}

/// Files that the pod has anyway are variables; names of files are keys of the Secret or ConfigMap to be mounted.
fn tls(mut tls: Mapping, env: &mut Env, report: &mut Notes) -> Option<RawTls> {
    let secret = tls.text("secretName", report);
    let config_map = tls.text("configMapName", report);
    let mut key = |name: &str, variable: &str| match tls.text(name, report) {
        Some(path) if path.starts_with('/') => {
            env.set(variable, tls.path(name), path);
            None
        }
        key => key,
    };
    let ca = key("ca_file", "OTEL_EXPORTER_OTLP_CERTIFICATE");
    let certificate = key("cert_file", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
    let private_key = key("key_file", "OTEL_EXPORTER_OTLP_CLIENT_KEY");
    let has_key = ca.is_some() || certificate.is_some() || private_key.is_some();
    if has_key && secret.is_none() && config_map.is_none() {
        report.left(
            &tls.path("secretName"),
            "is missing, and its files are no absolute paths",
        );
    }
    tls.finish(report);
    // In the operator, too, a ConfigMap is asked for the CA before the Secret.
    let has_source = config_map.is_some() || secret.is_some();
    let ca_from = ca.filter(|_| has_source).map(|key| RawCa {
        secret: secret.clone().filter(|_| config_map.is_none()),
        config_map,
        key: Some(key),
    });
    let is_client = certificate.is_some() || private_key.is_some();
    let client = secret.filter(|_| is_client);
    let client_certificate_from = client.map(|secret| RawClientCertificate {
        secret,
        certificate,
        private_key,
    });
    let is_said = ca_from.is_some() || client_certificate_from.is_some();
    is_said.then_some(RawTls {
        ca_from,
        client_certificate_from,
    })
}

fn attributes(section: &mut Mapping, report: &mut Notes) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for name in ["resourceAttributes", "attributes"] {
        for (key, value) in section.map(name, report) {
            match refuse_attribute(&key, &value) {
                Some(problem) => report.left(&format!("{}.{key}", section.path(name)), problem),
                None => drop(all.insert(key, value)),
            }
        }
    }
    all
}

fn propagator_list(
    spec: Option<Vec<String>>,
    env: &mut Env,
    report: &mut Notes,
) -> Option<Vec<String>> {
    let names = |list: String| list.split(',').map(|name| name.trim().to_owned()).collect();
    let chosen = env.take("OTEL_PROPAGATORS").map(names).or(spec)?;
    match sdk::propagators(&chosen) {
        Ok(chosen) => Some(chosen),
        Err(problem) => {
            report.left("spec.propagators", problem.problem);
            None
        }
    }
}

fn sampler_of(section: &mut Mapping, env: &mut Env, report: &mut Notes) -> RawSampler {
    let spec = RawSampler {
        r#type: section.text("type", report),
        argument: section.text("argument", report),
    };
    let variables = RawSampler {
        r#type: env.take("OTEL_TRACES_SAMPLER"),
        argument: env.take("OTEL_TRACES_SAMPLER_ARG"),
    };
    // In the operator, too, either variable keeps both of the resource's out.
    let is_said = variables.r#type.is_some() || variables.argument.is_some();
    let chosen = if is_said { variables } else { spec };
    match Sampler::from_raw(&chosen) {
        Ok(_) => chosen,
        Err(problem) => {
            let key = problem.path.rsplit('.').next().unwrap_or_default();
            report.left(&section.path(key), problem.problem);
            RawSampler::default()
        }
    }
}

/// Variables with a name that we know of are keys; others, such as a list, stay variables.
fn exporters(env: &mut Env) -> RawExporters {
    let mut one = |variable: &str, raw: fn(Option<String>) -> RawExporters| {
        let value = env.literals.get(variable).map(|(_, value)| value.clone());
        Exporters::from_raw(&raw(value))
            .ok()
            .and_then(|_| env.take(variable))
    };
    RawExporters {
        traces: one("OTEL_TRACES_EXPORTER", |traces| RawExporters {
            traces,
            ..RawExporters::default()
        }),
        metrics: one("OTEL_METRICS_EXPORTER", |metrics| RawExporters {
            metrics,
            ..RawExporters::default()
        }),
        logs: one("OTEL_LOGS_EXPORTER", |logs| RawExporters {
            logs,
            ..RawExporters::default()
        }),
    }
}

/// The profile as JSON, without what says nothing.
fn pruned(profile: RawProfile) -> Value {
    fn prune(value: Value) -> Option<Value> {
        match value {
            Value::Null => None,
            Value::Object(members) => {
                let members = members
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, prune(value)?)));
                let members: serde_json::Map<_, _> = members.collect();
                (!members.is_empty()).then(|| members.into())
            }
            value => Some(value),
        }
    }
    let value = serde_json::to_value(profile).expect("a profile as it is written serialises");
    prune(value).unwrap_or_else(|| json!({}))
}

const OPERATORS_IMAGE: &str =
    "is taken with the command of the operator, cp; leave both out to use Javelin's own image";

const ENDPOINT_REFERENCE: &str = "refers to a variable that is not the node's address (fieldRef: status.hostIP); \
    write an endpoint that all pods can use, or set it in the pods";

const WITHOUT_ENDPOINT: &str = "not taken, as the endpoint was not";

const GRPC_BY_PORT: &str = "the port is grpc's, so the protocol is grpc; with the operator, agents since 2.0 send \
    http/protobuf there unless OTEL_EXPORTER_OTLP_PROTOCOL says otherwise";

#[cfg(test)]
mod tests;
