//! What the SDK inside the agent is told beside the resource: each variable only where the user set none.
//!
//! Precedence: the container's own entry, the pod's annotation `javelin.dev/env.<NAME>`, the profile. Variables that
//! only make sense together are set together or not at all.

use serde_json::json;

use super::{
    environment::Environment,
    expansion, keys,
    pod::{EnvVar, Pod},
    reason::Reason,
};
use crate::config::{Endpoint, Exporters, Otlp, Profile, Sampler, refuse_variable};

/// Adds what the pod's annotations say.
pub(super) fn add_annotated(environment: &mut Environment, pod: &Pod) -> Result<(), Reason> {
    for (key, value) in pod.metadata.annotations.iter().flatten() {
        let Some(name) = key.strip_prefix(keys::ENV_PREFIX) else {
            continue;
        };
        if let Some(problem) = refuse_variable(name, value) {
            return Err(Reason::InvalidAnnotation {
                key: key.clone(),
                problem,
            });
        }
        environment.push_default(name, value);
    }
    Ok(())
}

/// Adds what the profile says.
pub(super) fn add_profile(environment: &mut Environment, profile: &Profile) {
    if let Some(otlp) = &profile.otlp {
        add_otlp(environment, otlp);
    }
    if !profile.propagators.is_empty() {
        environment.push_default("OTEL_PROPAGATORS", &profile.propagators.join(","));
    }
    if let Some(sampler) = &profile.sampler {
        add_sampler(environment, sampler);
    }
    let Exporters {
        traces,
        metrics,
        logs,
    } = &profile.exporters;
    let exporters = [
        ("OTEL_TRACES_EXPORTER", traces),
        ("OTEL_METRICS_EXPORTER", metrics),
        ("OTEL_LOGS_EXPORTER", logs),
    ];
    for (name, exporter) in exporters {
        if let Some(exporter) = exporter {
            environment.push_default(name, exporter);
        }
    }
    for (name, value) in &profile.env {
        environment.push_default(name, value);
    }
}

/// Endpoint and protocol together, and only when the user set neither: one of each would not fit. Headers are
/// credentials for that endpoint, and go to no other.
fn add_otlp(environment: &mut Environment, otlp: &Otlp) {
    let Otlp {
        endpoint,
        protocol,
        headers_from,
    } = otlp;
    // One of a single signal counts as well: our protocol would apply to his endpoint, or ours to his protocol.
    let is_users = |variable: &EnvVar| {
        let rest = variable.name.strip_prefix("OTEL_EXPORTER_OTLP_");
        rest.is_some_and(|rest| rest.ends_with("ENDPOINT") || rest.ends_with("PROTOCOL"))
    };
    if environment.variables().iter().any(is_users) {
        return;
    }
    let text = endpoint.as_str();
    if text.contains(Endpoint::NODE_IP) {
        let fields = keys::FIELD_VARIABLES
            .iter()
            .filter(|(name, _)| *name == keys::NODE_IP_VARIABLE);
        fields.for_each(|(name, path)| environment.push(EnvVar::field(*name, path)));
    }
    let reference = format!("$({})", keys::NODE_IP_VARIABLE);
    environment.push(EnvVar::literal(
        ENDPOINT,
        text.replace(Endpoint::NODE_IP, &reference),
    ));
    environment.push(EnvVar::literal(PROTOCOL, protocol.as_str()));
    if let Some(from) = headers_from.as_ref().filter(|_| !environment.has(HEADERS)) {
        environment.push(EnvVar {
            name: HEADERS.to_owned(),
            value: None,
            // Optional: in a namespace without the Secret telemetry is refused, but the pod starts.
            value_from: Some(json!({ "secretKeyRef": { "name": from.secret, "key": from.key, "optional": true } })),
        });
    }
}

/// Both or neither: the argument is of no use to another sampler.
fn add_sampler(environment: &mut Environment, sampler: &Sampler) {
    if environment.has(SAMPLER) || environment.has(SAMPLER_ARGUMENT) {
        return;
    }
    environment.push(EnvVar::literal(SAMPLER, &*sampler.name));
    if let Some(argument) = &sampler.argument {
        environment.push(EnvVar::literal(
            SAMPLER_ARGUMENT,
            expansion::escape(argument),
        ));
    }
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
