//! A profile as a map of texts, for the expressions to read as `variables.params`.
//!
//! Everything that can be decided without the pod is decided here: values are escaped and encoded, lists are in order.
//! A key that is absent says that the profile does not say it.

use std::collections::BTreeMap;

use crate::{
    config::{Config, Delivery, Otlp, Profile, Protocol, PullPolicy, SdkSettings},
    dns,
    mutate::{self, Receipt},
};

/// What the profile says, and what of the configuration all profiles share.
pub(super) fn from_profile(profile: &Profile, config: &Config) -> BTreeMap<String, String> {
    let Profile {
        // The map's own.
        name: _,
        delivery,
        agent,
        otlp,
        resource_attributes,
        // With the exporters, in `signal_settings`.
        propagators: _,
        sampler,
        exporters: _,
        env,
        minimum_memory,
        compose_optional,
        sdk_settings,
        use_labels,
        // In the receipt.
        hash: _,
    } = profile;
    let mut data = BTreeMap::new();
    let mut set = |key: &str, value: &str| {
        data.insert(key.to_owned(), value.to_owned());
    };
    // What is no label is no container's name either.
    let sidecars = config.sidecars().filter(|name| dns::is_label(name));
    set("sidecars", &sidecars.collect::<Vec<_>>().join(","));
    set("delivery", delivery.as_str());
    set("option", &mutate::option(profile).unwrap_or_default());
    set("receipt", &receipt(profile));
    set("image", &agent.image);
    let policy = agent.image_pull_policy.map(PullPolicy::as_str);
    set("pullPolicy", policy.unwrap_or_default());
    let secret = agent.image_pull_secret.as_deref();
    set("pullSecret", secret.unwrap_or_default());
    set("minimumMemory", &minimum_memory.to_string());
    set("composeOptional", &compose_optional.to_string());
    set("useLabels", &use_labels.to_string());
    let attributes = resource_attributes.iter();
    let attributes = attributes.map(|(key, value)| format!("{key}={}", mutate::encode(value)));
    set("attributes", &attributes.collect::<Vec<_>>().join("\n"));
    let defaults: Vec<_> = mutate::Defaults::of(profile).arguments().collect();
    let settings = if defaults.is_empty() || profile.fits_file().is_err() {
        SdkSettings::Environment
    } else {
        *sdk_settings
    };
    set("settings", settings.as_str());
    if settings != SdkSettings::Environment {
        for (at, argument) in defaults.iter().enumerate() {
            set(&format!("default.{at:04}"), argument);
        }
    }
    if let Delivery::InitContainer { command } = delivery {
        copier(command.as_deref(), &mut set);
    }
    if let Some(otlp) = otlp {
        destination(otlp, &mut set);
    }
    for (name, value) in mutate::signal_settings(profile) {
        set(&format!("set.{name}"), &mutate::escape(&value));
    }
    if let Some(sampler) = sampler {
        set("sampler", &sampler.name);
        if let Some(argument) = &sampler.argument {
            set("samplerArgument", &mutate::escape(argument));
        }
    }
    for (name, value) in env {
        set(&format!("env.{name}"), &mutate::escape(value));
    }
    data
}

fn copier(command: Option<&[String]>, mut set: impl FnMut(&str, &str)) {
    set("ownImage", &command.is_none().to_string());
    let own = mutate::own_command(None);
    for (at, word) in command.unwrap_or(&own).iter().enumerate() {
        set(&format!("command.{at:04}"), word);
    }
}

fn destination(otlp: &Otlp, mut set: impl FnMut(&str, &str)) {
    let endpoint = mutate::endpoint_value(&otlp.endpoint);
    set("endpoint", &endpoint);
    set("protocol", otlp.protocol.as_str());
    for signal in ["traces", "metrics", "logs"] {
        let of_signal = match otlp.protocol {
            Protocol::HttpProtobuf => format!("{}/v1/{signal}", endpoint.trim_end_matches('/')),
            Protocol::Grpc => endpoint.clone(),
        };
        set(&format!("endpoint.{signal}"), &of_signal);
    }
    if let Some(from) = &otlp.headers_from {
        set("headersSecret", &from.secret);
        set("headersKey", &from.key);
    }
}

/// The receipt up to the containers.
fn receipt(profile: &Profile) -> String {
    // Without it no policy would know its own pods again. In a string of JSON no quote stands alone.
    let whole = serde_json::to_string(&Receipt::new(profile));
    let whole = whole.expect("a struct of strings serialises");
    let before = whole.split_once(",\"containers\"");
    let (before, _) = before.expect("a receipt has its containers");
    before.to_owned()
}
