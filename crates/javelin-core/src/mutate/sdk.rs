//! What the SDK inside the agent is told beside the resource: each variable only where the user set none.
//!
//! Precedence: the container's own entry, the pod's annotation `javelin.dev/env.<NAME>`, the profile. Variables that
//! only make sense together are set together or not at all.
//!
//! An explicit variable hides one of the same name that envFrom brings. So in containers with envFrom the profile's
//! settings go into a file that the agent reads below its environment (`docs/adr/0005`), where the profile fits one.

use serde_json::json;

use super::{
    environment::{Environment, field_variables},
    expansion,
    java::Shown,
    keys,
    pod::{EnvVar, Pod},
    reason::Reason,
};
use crate::{
    config::{
        Endpoint, Exporters, Otlp, Profile, Protocol, Sampler, SdkSettings, Tls, refuse_variable,
    },
    steps,
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
pub(crate) struct Defaults {
    properties: Vec<(String, String)>,
}

/// What the container says itself about where telemetry goes.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four answers to four questions"
)]
pub(super) struct UserSettings {
    /// Endpoint or protocol, by variables or by system properties, which outrank those?
    has_otlp: bool,
    /// A file of settings? The agent reads one.
    has_file: bool,
    /// May envFrom bring settings?
    may_hide: bool,
    /// May envFrom bring an endpoint, or headers for one?
    may_hide_otlp: bool,
}

impl UserSettings {
    /// Looks at what there is before the profile's settings are added.
    pub(super) fn of(environment: &Environment<'_>, shown: &Shown<'_>) -> Self {
        let brings = |name: &str| {
            let mut sources = shown.container.env_from().iter();
            sources.any(|source| source.may_bring(name))
        };
        steps::take(environment.variables().len());
        let has =
            |is: fn(&EnvVar) -> bool| environment.variables().iter().any(|variable| is(variable));
        let may_hide_otlp = brings(OTLP_PREFIX);
        Self {
            // Credentials without an endpoint: theirs is where we cannot look.
            has_otlp: has(is_otlp)
                || shown.sets_property(&OTLP_PROPERTIES)
                || (may_hide_otlp && has(is_credential)),
            has_file: has(|variable| {
                let is_ours = variable.value.as_deref() == Some(keys::DEFAULTS_FILE);
                variable.name == CONFIGURATION_FILE && !is_ours
            }) || shown.sets_property(&["otel.javaagent.configuration-file"]),
            may_hide: brings(SDK_PREFIX),
            may_hide_otlp,
        }
    }
}

/// Where the profile's settings go for this container, which other entries of ours may have been added to.
pub(super) fn place(
    environment: &Environment<'_>,
    users: UserSettings,
    profile: &Profile,
    is_again: bool,
) -> Place {
    if users.has_file || profile.fits_file().is_err() {
        return Place::Environment;
    }
    if environment.has(CONFIGURATION_FILE) {
        return Place::File;
    }
    let wants = match profile.sdk_settings {
        SdkSettings::Environment => false,
        SdkSettings::File => true,
        SdkSettings::Auto => users.may_hide,
    };
    // The init container of an earlier pass wrote no file, and the agent knows no "endpoint unless there is one".
    let is_possible = !is_again && !users.has_otlp;
    if wants && is_possible && !Defaults::of(profile).properties.is_empty() {
        Place::File
    } else {
        Place::Environment
    }
}

/// Adds what the pod's annotations say.
pub(super) fn add_annotated(environment: &mut Environment<'_>, pod: &Pod) -> Result<(), Reason> {
    for (name, value) in pod.annotations_under(keys::ENV_PREFIX) {
        if let Some(problem) = refuse_variable(name, value) {
            return Err(Reason::InvalidAnnotation {
                key: format!("{}{name}", keys::ENV_PREFIX),
                problem,
            });
        }
        environment.push_default(name, value);
    }
    Ok(())
}

/// Adds what the profile says.
pub(super) fn add_profile(
    environment: &mut Environment<'_>,
    users: UserSettings,
    profile: &Profile,
    place: Place,
) {
    if place == Place::File {
        environment.push_default(CONFIGURATION_FILE, keys::DEFAULTS_FILE);
    } else {
        if let Some(otlp) = profile.otlp.as_ref().filter(|_| !users.has_otlp) {
            add_otlp(environment, otlp, users.may_hide_otlp);
        }
        for (name, value) in signal_settings(profile) {
            environment.push_default(name, &value);
        }
    }
    let sampler = profile.sampler.as_ref();
    if let Some(sampler) = sampler.filter(|sampler| place == Place::Environment || is_pair(sampler))
    {
        add_sampler(environment, sampler);
    }
    for (name, value) in &profile.env {
        let is_in_file = place == Place::File && property(name).is_some();
        // What belongs to our endpoint, as headers do, goes to no other.
        let is_elsewheres = users.has_otlp && name.starts_with(OTLP_PREFIX);
        if !is_in_file && !is_elsewheres {
            environment.push_default(name, value);
        }
    }
}

/// The certificates that this environment points to.
pub(super) fn tls_of<'p>(environment: &Environment<'_>, profile: &'p Profile) -> Option<&'p Tls> {
    let tls = profile.otlp.as_ref()?.tls.as_ref()?;
    let points = |variable: &EnvVar| {
        let value = variable.value.as_deref().unwrap_or_default();
        variable.name.starts_with(OTLP_PREFIX) && value.starts_with(keys::TLS_DIR)
    };
    let mut variables = environment.variables().iter();
    variables.any(|variable| points(variable)).then_some(tls)
}

impl Defaults {
    /// The settings of a profile. The protocol is not among them: a file that says one would apply it to an endpoint
    /// of the user's.
    pub(crate) fn of(profile: &Profile) -> Self {
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
        // With an argument it is a pair, of which a file could not keep one half from the user's other.
        let sampler = profile.sampler.as_ref().filter(|sampler| !is_pair(sampler));
        settings.extend(sampler.map(|sampler| (SAMPLER, sampler.name.clone())));
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
    pub(crate) fn arguments(&self) -> impl Iterator<Item = String> {
        let pairs = self.properties.iter();
        pairs.flat_map(|(key, value)| ["--default".to_owned(), format!("{key}={value}")])
    }

    /// The variables that their values refer to.
    pub(super) fn variables(&self) -> Vec<EnvVar> {
        let values = self.properties.iter().map(|(_, value)| value.as_str());
        field_variables(&values.collect::<Vec<_>>().join(" "))
    }
}

/// The name of the property that a variable of the SDK stands for; `None` for other variables.
fn property(variable: &str) -> Option<String> {
    let is_sdk = variable.starts_with(SDK_PREFIX) && variable != DECLARATIVE_FILE;
    is_sdk.then(|| variable.to_ascii_lowercase().replace('_', "."))
}

/// Propagators and exporters: each stands for itself.
pub(crate) fn signal_settings(profile: &Profile) -> Vec<(&'static str, String)> {
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

/// An endpoint or a protocol. One of a single signal counts as well: our protocol would apply to the container's endpoint,
/// or our endpoint to its protocol.
fn is_otlp(variable: &EnvVar) -> bool {
    let rest = variable.name.strip_prefix(OTLP_PREFIX);
    rest.is_some_and(|rest| rest.ends_with("ENDPOINT") || rest.ends_with("PROTOCOL"))
}

/// Headers, or a client's key or certificate.
fn is_credential(variable: &EnvVar) -> bool {
    let rest = variable.name.strip_prefix(OTLP_PREFIX);
    rest.is_some_and(|rest| {
        rest.ends_with("HEADERS") || rest.ends_with("KEY") || rest.ends_with("CLIENT_CERTIFICATE")
    })
}

fn is_pair(sampler: &Sampler) -> bool {
    sampler.argument.is_some()
}

pub(crate) fn endpoint_value(endpoint: &Endpoint) -> String {
    let reference = format!("$({})", keys::NODE_IP_VARIABLE);
    endpoint.as_str().replace(Endpoint::NODE_IP, &reference)
}

/// Endpoint and protocol together, and only when the user set neither: one of each would not fit. Headers are
/// credentials for that endpoint, and go to no other; so are certificates.
///
/// Where envFrom may bring some of them, nothing of it is left open: its headers would go to our endpoint, and ours to its
/// endpoint of a single signal.
fn add_otlp(environment: &mut Environment<'_>, otlp: &Otlp, may_hide: bool) {
    let Otlp {
        endpoint,
        protocol,
        headers_from,
        tls,
    } = otlp;
    let value = endpoint_value(endpoint);
    let mut fields = field_variables(&value);
    fields.retain(|field| !environment.has(&field.name));
    environment.extend(fields);
    environment.push(EnvVar::literal(ENDPOINT, &*value));
    environment.push(EnvVar::literal(PROTOCOL, protocol.as_str()));
    let headers = headers_from.as_ref().map(|from| EnvVar {
        name: HEADERS.to_owned(),
        value: None,
        // Optional: in a namespace without the Secret telemetry is refused, but the pod starts.
        value_from: Some(
            json!({ "secretKeyRef": { "name": from.secret, "key": from.key, "optional": true } }),
        ),
    });
    if may_hide {
        close(environment, &value, *protocol, headers);
    } else if let Some(headers) = headers.filter(|_| !environment.has(HEADERS)) {
        environment.push(headers);
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

/// Sets all that envFrom could bring about endpoints: to our own values, and headers to nothing where we have none.
fn close(
    environment: &mut Environment<'_>,
    endpoint: &str,
    protocol: Protocol,
    headers: Option<EnvVar>,
) {
    // Where our Secret is absent, the kubelet would take envFrom's: hence a name of ours, which is always defined.
    environment.push(EnvVar::literal(keys::HEADERS_VARIABLE, ""));
    if let Some(headers) = headers {
        environment.push(EnvVar {
            name: keys::HEADERS_VARIABLE.to_owned(),
            ..headers
        });
    }
    let reference = format!("$({})", keys::HEADERS_VARIABLE);
    environment.push(EnvVar::literal(HEADERS, &*reference));
    for signal in ["traces", "metrics", "logs"] {
        let name = |what: &str| format!("{OTLP_PREFIX}{}_{what}", signal.to_ascii_uppercase());
        // Only the general endpoint gets its path from the SDK.
        let path = match protocol {
            Protocol::HttpProtobuf => format!("{}/v1/{signal}", endpoint.trim_end_matches('/')),
            Protocol::Grpc => endpoint.to_owned(),
        };
        environment.push(EnvVar::literal(name("ENDPOINT"), path));
        environment.push(EnvVar::literal(name("PROTOCOL"), protocol.as_str()));
        environment.push(EnvVar::literal(name("HEADERS"), &*reference));
    }
}

/// Both or neither: the argument is of no use to another sampler.
fn add_sampler(environment: &mut Environment<'_>, sampler: &Sampler) {
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

/// Names a file of declarative configuration, with which the agent reads no other setting.
pub(super) const DECLARATIVE_FILE: &str = "OTEL_CONFIG_FILE";

/// Names the agent's file of defaults.
const CONFIGURATION_FILE: &str = "OTEL_JAVAAGENT_CONFIGURATION_FILE";

/// What the names of the SDK's variables begin with.
pub(super) const SDK_PREFIX: &str = "OTEL_";
/// The system properties of an endpoint or a protocol.
pub(crate) const OTLP_PROPERTIES: [&str; 8] = [
    "otel.exporter.otlp.endpoint",
    "otel.exporter.otlp.protocol",
    "otel.exporter.otlp.traces.endpoint",
    "otel.exporter.otlp.traces.protocol",
    "otel.exporter.otlp.metrics.endpoint",
    "otel.exporter.otlp.metrics.protocol",
    "otel.exporter.otlp.logs.endpoint",
    "otel.exporter.otlp.logs.protocol",
];
const OTLP_PREFIX: &str = "OTEL_EXPORTER_OTLP_";
pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
