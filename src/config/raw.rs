//! The configuration file as it is written, and nothing more: no defaults, no derived values.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawConfig {
    /// Namespaces that are never touched.
    pub(super) excluded_namespaces: Option<Vec<String>>,
    /// Names of sidecars, beside the known ones.
    pub(super) sidecars: Vec<String>,
    /// The profile that the value `true` means.
    pub(super) default: RawProfile,
    /// Further profiles, each laid over `default`.
    pub(super) profiles: BTreeMap<String, RawProfile>,
}

/// One profile: what is missing comes from `default`, and there from the built-in values.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawProfile {
    /// How the jar gets into the pod.
    pub(super) delivery: Option<String>,
    /// The agent.
    pub(super) agent: RawAgent,
    /// Where telemetry goes.
    pub(super) otlp: RawOtlp,
    /// Attributes for every pod.
    pub(super) resource_attributes: BTreeMap<String, String>,
    /// Compose options that may be absent at run time?
    pub(super) compose_optional: Option<bool>,
}

/// The agent's image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawAgent {
    pub(super) image: Option<String>,
    pub(super) image_pull_policy: Option<String>,
}

/// Endpoint and protocol: one is no use without the other.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawOtlp {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<String>,
}

impl RawProfile {
    /// This profile where it says something, `base` elsewhere.
    pub(super) fn over(&self, base: &Self) -> Self {
        // Destructured without `..`, so that a new key cannot be forgotten here.
        let Self {
            delivery,
            agent,
            otlp,
            resource_attributes,
            compose_optional,
        } = self;
        let mut attributes = base.resource_attributes.clone();
        attributes.extend(resource_attributes.clone());
        Self {
            delivery: delivery.clone().or_else(|| base.delivery.clone()),
            agent: RawAgent {
                image: agent.image.clone().or_else(|| base.agent.image.clone()),
                image_pull_policy: agent
                    .image_pull_policy
                    .clone()
                    .or_else(|| base.agent.image_pull_policy.clone()),
            },
            otlp: otlp.over(&base.otlp),
            resource_attributes: attributes,
            compose_optional: compose_optional.or(base.compose_optional),
        }
    }
}

impl RawOtlp {
    /// A profile that names another endpoint does not inherit the protocol of the one it leaves.
    fn over(&self, base: &Self) -> Self {
        if self.endpoint.is_some() {
            return self.clone();
        }
        Self {
            endpoint: base.endpoint.clone(),
            protocol: self.protocol.clone().or_else(|| base.protocol.clone()),
        }
    }
}
