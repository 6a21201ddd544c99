//! A configuration written out: every key with the value that is in effect.
//!
//! Invariant: what comes out is a file, and reads as the same configuration, hashes included. Both sides are taken
//! apart without `..`, so a new key does not compile before it is here.
//!
//! Deliberately not here: YAML and JSON, and what the keys mean ([`reference`](super::reference)).

use serde_json::Value;

use super::{
    Agent, Ca, ClientCertificate, Config, DEFAULT_PROFILE, Delivery, Exporters, Extensions, KeyRef,
    Otlp, Profile, Sampler, Tls,
    raw::{
        RawAgent, RawCa, RawClientCertificate, RawConfig, RawExporters, RawExtensions, RawKeyRef,
        RawOtlp, RawProfile, RawSampler, RawTls,
    },
};
use crate::quantity::MEBI;

impl Config {
    /// The whole file. What is left to the agent, or to Kubernetes, is `null`.
    pub fn effective(&self) -> Value {
        let Self {
            excluded_namespaces,
            annotations,
            sidecars,
            default,
            profiles,
        } = self;
        value_of(&RawConfig {
            excluded_namespaces: Some(excluded_namespaces.iter().cloned().collect()),
            annotations: *annotations,
            sidecars: sidecars.iter().cloned().collect(),
            default: written(default),
            profiles: profiles
                .iter()
                .map(|(name, profile)| (name.clone(), written(profile)))
                .collect(),
        })
    }

    /// A file with one profile alone; `None` when there is none of that name.
    pub fn effective_profile(&self, name: &str) -> Option<Value> {
        let profile = self.profile(name)?;
        let value = value_of(&written(profile));
        Some(if profile.name == DEFAULT_PROFILE {
            serde_json::json!({ (DEFAULT_PROFILE): value })
        } else {
            serde_json::json!({ "profiles": { (profile.name.as_str()): value } })
        })
    }
}

fn written(profile: &Profile) -> RawProfile {
    let Profile {
        name: _,
        delivery,
        agent,
        otlp,
        resource_attributes,
        propagators,
        sampler,
        exporters,
        env,
        minimum_memory,
        compose_optional,
        use_labels,
        sdk_settings,
        // Follows from all others.
        hash: _,
    } = profile;
    RawProfile {
        delivery: Some(delivery.as_str().to_owned()),
        agent: written_agent(agent, delivery),
        otlp: otlp.as_ref().map(written_otlp).unwrap_or_default(),
        resource_attributes: resource_attributes.clone(),
        propagators: Some(propagators.clone()),
        sampler: sampler.as_ref().map(written_sampler).unwrap_or_default(),
        exporters: written_exporters(exporters),
        env: env.clone(),
        minimum_memory: Some(written_bytes(*minimum_memory)),
        compose_optional: Some(*compose_optional),
        use_labels_for_resource_attributes: Some(*use_labels),
        sdk_settings: Some(sdk_settings.as_str().to_owned()),
    }
}

fn written_agent(agent: &Agent, delivery: &Delivery) -> RawAgent {
    let Agent {
        image,
        image_pull_policy,
        image_pull_secret,
        extensions,
    } = agent;
    let (command, path) = match delivery {
        Delivery::InitContainer { command } => (command.clone(), None),
        Delivery::VariablesOnly => (None, None),
        Delivery::ImageVolume { path } | Delivery::Preinstalled { path } => {
            (None, Some(path.clone()))
        }
    };
    RawAgent {
        image: Some(image.clone()),
        image_pull_policy: image_pull_policy.map(|policy| policy.as_str().to_owned()),
        image_pull_secret: image_pull_secret.clone(),
        command,
        path,
        extensions: extensions.as_ref().map(written_extensions),
    }
}

fn written_extensions(extensions: &Extensions) -> RawExtensions {
    let written = RawExtensions::default();
    match extensions {
        Extensions::Image { image, folder } => RawExtensions {
            image: Some(image.clone()),
            folder: Some(root_or(folder)),
            ..written
        },
        Extensions::ConfigMap(name) => RawExtensions {
            config_map: Some(name.clone()),
            ..written
        },
        Extensions::Claim { name, folder } => RawExtensions {
            claim: Some(name.clone()),
            folder: Some(root_or(folder)),
            ..written
        },
    }
}

fn root_or(folder: &str) -> String {
    if folder.is_empty() { "/" } else { folder }.to_owned()
}

fn written_otlp(otlp: &Otlp) -> RawOtlp {
    let Otlp {
        endpoint,
        protocol,
        headers_from,
        tls,
    } = otlp;
    RawOtlp {
        endpoint: Some(endpoint.as_str().to_owned()),
        protocol: Some(protocol.as_str().to_owned()),
        headers_from: headers_from
            .as_ref()
            .map(|KeyRef { secret, key }| RawKeyRef {
                secret: secret.clone(),
                key: key.clone(),
            }),
        tls: tls.as_ref().map(written_tls),
    }
}

fn written_tls(tls: &Tls) -> RawTls {
    let Tls { ca, client } = tls;
    let ca_from = ca.as_ref().map(|ca| {
        let (config_map, secret, key) = match ca {
            Ca::ConfigMap { name, key } => (Some(name.clone()), None, key),
            Ca::Secret(KeyRef { secret, key }) => (None, Some(secret.clone()), key),
        };
        RawCa {
            config_map,
            secret,
            key: Some(key.clone()),
        }
    });
    let client_certificate_from = client.as_ref().map(|client| {
        let ClientCertificate {
            secret,
            certificate,
            private_key,
        } = client;
        RawClientCertificate {
            secret: secret.clone(),
            certificate: Some(certificate.clone()),
            private_key: Some(private_key.clone()),
        }
    });
    RawTls {
        ca_from,
        client_certificate_from,
    }
}

fn written_sampler(sampler: &Sampler) -> RawSampler {
    let Sampler { name, argument } = sampler;
    RawSampler {
        r#type: Some(name.clone()),
        argument: argument.clone(),
    }
}

fn written_exporters(exporters: &Exporters) -> RawExporters {
    let Exporters {
        traces,
        metrics,
        logs,
    } = exporters;
    RawExporters {
        traces: traces.clone(),
        metrics: metrics.clone(),
        logs: logs.clone(),
    }
}

/// As a quantity: in `Mi` where that is a whole number.
fn written_bytes(bytes: f64) -> String {
    let mebibytes = bytes / MEBI;
    if bytes > 0.0 && mebibytes.fract() == 0.0 {
        return format!("{mebibytes}Mi");
    }
    // The shortest text that reads as the same number.
    format!("{bytes}")
}

fn value_of(raw: &impl serde::Serialize) -> Value {
    serde_json::to_value(raw)
        .unwrap_or_else(|_| unreachable!("names, texts and switches are always JSON"))
}

#[cfg(test)]
mod tests;
