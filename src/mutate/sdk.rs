//! What the SDK inside the agent is told beside the resource: each variable only where the user set none.
//!
//! Precedence: the container's own entry, the pod's annotation `javelin.dev/env.<NAME>`, the profile. Variables that
//! only make sense together are set together or not at all.
//!
//! An explicit variable hides one of the same name that envFrom brings. So in containers with envFrom the profile's
//! settings go into a file that the agent reads below its environment (`docs/adr/0005`), where the profile fits one.

use serde_json::json;

use super::{
    environment::Environment,
    expansion, keys,
    pod::{Container, EnvVar, Pod},
    reason::Reason,
};
use crate::config::{
    Endpoint, Exporters, Otlp, Profile, Sampler, SdkSettings, Tls, refuse_variable,
};

/// Where a container's SDK gets the profile's settings from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its own environment.
    Environment,
    /// The file [`keys::DEFAULTS_FILE`], which the agent ranks below the environment.
    File,
}

/// The settings of a profile for that file: properties of the SDK, values as the init container's command has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defaults {
    properties: Vec<(String, String)>,
}

/// Where the profile's settings go for this container, which other entries of ours may have been added to.
pub(super) fn place(
    environment: &Environment,
    container: &Container,
    profile: &Profile,
    is_again: bool,
) -> Place {
    let named = |variable: &&EnvVar| variable.name == CONFIGURATION_FILE;
    if let Some(variable) = environment.variables().iter().find(named) {
        // Only one file is ever read.
        let is_ours = variable.value.as_deref() == Some(keys::DEFAULTS_FILE);
        return if is_ours {
            Place::File
        } else {
            Place::Environment
        };
    }
    let wants = match profile.sdk_settings {
        SdkSettings::Environment => false,
        SdkSettings::File => true,
        SdkSettings::Auto => {
            let mut sources = container.env_from().iter();
            sources.any(|source| source.may_bring(SDK_PREFIX)) && profile.fits_file().is_ok()
        }
    };
    // The init container of an earlier pass wrote no file, and the agent knows no "endpoint unless he has one".
    let is_possible = !is_again && !environment.variables().iter().any(is_users_otlp);
    if wants && is_possible && !Defaults::of(profile).properties.is_empty() {
        Place::File
    } else {
        Place::Environment
    }
}

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
pub(super) fn add_profile(environment: &mut Environment, profile: &Profile, place: Place) {
    let is_users = environment.variables().iter().any(is_users_otlp);
    if place == Place::File {
        environment.push_default(CONFIGURATION_FILE, keys::DEFAULTS_FILE);
    } else {
        if let Some(otlp) = &profile.otlp {
            add_otlp(environment, otlp);
        }
        for (name, value) in signal_settings(profile) {
            environment.push_default(name, &value);
        }
        if let Some(sampler) = &profile.sampler {
            add_sampler(environment, sampler);
        }
    }
    for (name, value) in &profile.env {
        let is_in_file = place == Place::File && property(name).is_some();
        // What belongs to our endpoint, as headers do, goes to no other.
        let is_elsewheres = is_users && name.starts_with(OTLP_PREFIX);
        if !is_in_file && !is_elsewheres {
            environment.push_default(name, value);
        }
    }
}

/// The certificates that this environment points to.
pub(super) fn tls_of<'p>(environment: &Environment, profile: &'p Profile) -> Option<&'p Tls> {
    let tls = profile.otlp.as_ref()?.tls.as_ref()?;
    let points = |variable: &EnvVar| {
        let value = variable.value.as_deref().unwrap_or_default();
        variable.name.starts_with(OTLP_PREFIX) && value.starts_with(keys::TLS_DIR)
    };
    environment.variables().iter().any(points).then_some(tls)
}

impl Defaults {
    /// The settings of a profile. The protocol is not among them: a file that says one would apply it to an endpoint
    /// of the user's.
    pub(super) fn of(profile: &Profile) -> Self {
        let mut settings = Vec::new();
        if let Some(otlp) = &profile.otlp {
            settings.push((ENDPOINT, endpoint_value(&otlp.endpoint)));
        }
        let escaped = |text: &str| expansion::escape(text);
        settings.extend(
            signal_settings(profile)
                .into_iter()
                .map(|(name, value)| (name, escaped(&value))),
        );
        if let Some(sampler) = &profile.sampler {
            settings.push((SAMPLER, sampler.name.clone()));
            let argument = sampler.argument.as_deref().map(escaped);
            settings.extend(argument.map(|argument| (SAMPLER_ARGUMENT, argument)));
        }
        for (name, value) in &profile.env {
            settings.push((name, escaped(value)));
        }
        let properties = settings
            .into_iter()
            .filter_map(|(name, value)| Some((property(name)?, value)));
        Self {
            properties: properties.collect(),
        }
    }

    /// What `javelin install` is told of them.
    pub(super) fn arguments(&self) -> impl Iterator<Item = String> {
        let pairs = self.properties.iter();
        pairs.flat_map(|(key, value)| ["--default".to_owned(), format!("{key}={value}")])
    }

    /// The variables that their values refer to.
    pub(super) fn variables(&self) -> Vec<EnvVar> {
        let refers = |name: &str| {
            let mut values = self.properties.iter().map(|(_, value)| value);
            values.any(|value| expansion::refers_to(value, name))
        };
        keys::FIELD_VARIABLES
            .iter()
            .filter(|(name, _)| refers(name))
            .map(|(name, path)| EnvVar::field(*name, path))
            .collect()
    }
}

/// The name of the property that a variable of the SDK stands for; `None` for other variables.
fn property(variable: &str) -> Option<String> {
    let is_sdk = variable.starts_with(SDK_PREFIX);
    is_sdk.then(|| variable.to_ascii_lowercase().replace('_', "."))
}

/// Propagators and exporters: each stands for itself.
fn signal_settings(profile: &Profile) -> Vec<(&'static str, String)> {
    let Exporters {
        traces,
        metrics,
        logs,
    } = &profile.exporters;
    let propagators = (!profile.propagators.is_empty()).then(|| profile.propagators.join(","));
    let settings = [
        ("OTEL_PROPAGATORS", propagators),
        ("OTEL_TRACES_EXPORTER", traces.clone()),
        ("OTEL_METRICS_EXPORTER", metrics.clone()),
        ("OTEL_LOGS_EXPORTER", logs.clone()),
    ];
    let set = settings.into_iter();
    set.filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// An endpoint or a protocol of the user's. One of a single signal counts as well: our protocol would apply to his
/// endpoint, or ours to his protocol.
fn is_users_otlp(variable: &EnvVar) -> bool {
    let rest = variable.name.strip_prefix(OTLP_PREFIX);
    rest.is_some_and(|rest| rest.ends_with("ENDPOINT") || rest.ends_with("PROTOCOL"))
}

fn endpoint_value(endpoint: &Endpoint) -> String {
    let reference = format!("$({})", keys::NODE_IP_VARIABLE);
    endpoint.as_str().replace(Endpoint::NODE_IP, &reference)
}

/// Endpoint and protocol together, and only when the user set neither: one of each would not fit. Headers are
/// credentials for that endpoint, and go to no other; so are certificates.
fn add_otlp(environment: &mut Environment, otlp: &Otlp) {
    let Otlp {
        endpoint,
        protocol,
        headers_from,
        tls,
    } = otlp;
    if environment.variables().iter().any(is_users_otlp) {
        return;
    }
    let value = endpoint_value(endpoint);
    let fields = keys::FIELD_VARIABLES
        .iter()
        .filter(|(name, _)| expansion::refers_to(&value, name));
    fields.for_each(|(name, path)| environment.push(EnvVar::field(*name, path)));
    environment.push(EnvVar::literal(ENDPOINT, value));
    environment.push(EnvVar::literal(PROTOCOL, protocol.as_str()));
    if let Some(from) = headers_from.as_ref().filter(|_| !environment.has(HEADERS)) {
        environment.push(EnvVar {
            name: HEADERS.to_owned(),
            value: None,
            // Optional: in a namespace without the Secret telemetry is refused, but the pod starts.
            value_from: Some(json!({ "secretKeyRef": { "name": from.secret, "key": from.key, "optional": true } })),
        });
    }
    let Some(Tls { ca, client }) = tls else {
        return;
    };
    let file = |name: &str| format!("{}/{name}", keys::TLS_DIR);
    if ca.is_some() {
        environment.push_default(CERTIFICATE, &file(CA_FILE));
    }
    // A certificate and the key of another one would not fit.
    if client.is_some() && !environment.has(CLIENT_CERTIFICATE) && !environment.has(CLIENT_KEY) {
        environment.push_default(CLIENT_CERTIFICATE, &file(CERTIFICATE_FILE));
        environment.push_default(CLIENT_KEY, &file(KEY_FILE));
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

/// Names of the files in [`keys::TLS_DIR`].
pub(super) const CA_FILE: &str = "ca.crt";
pub(super) const CERTIFICATE_FILE: &str = "tls.crt";
pub(super) const KEY_FILE: &str = "tls.key";

/// Settings with which the SDK does not start when they are empty.
pub(super) const EMPTY_IS_BROKEN: [&str; 2] = [ENDPOINT, SAMPLER];

/// Names the agent's file of defaults.
const CONFIGURATION_FILE: &str = "OTEL_JAVAAGENT_CONFIGURATION_FILE";

/// What the names of the SDK's variables begin with.
const SDK_PREFIX: &str = "OTEL_";
const OTLP_PREFIX: &str = "OTEL_EXPORTER_OTLP_";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
