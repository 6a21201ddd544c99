//! The configuration file as it is written, and nothing more: no defaults, no derived values.
//!
//! Serialised, a key that says nothing is `null`, which also reads as nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawConfig {
    /// Namespaces that are never touched.
    pub(super) excluded_namespaces: Option<Vec<String>>,
    /// Does the inject key also count as an annotation?
    pub(super) annotations: bool,
    /// Names of sidecars, beside the known ones.
    pub(super) sidecars: Vec<String>,
    /// The profile that the value `true` means.
    pub(super) default: RawProfile,
    /// Further profiles, each laid over `default`.
    pub(super) profiles: BTreeMap<String, RawProfile>,
}

/// One profile: what is missing comes from `default`, and there from the built-in values.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
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
    /// Names for `OTEL_PROPAGATORS`.
    pub(super) propagators: Option<Vec<String>>,
    /// Which traces are kept.
    pub(super) sampler: RawSampler,
    /// What becomes of each signal.
    pub(super) exporters: RawExporters,
    /// Further variables.
    pub(super) env: BTreeMap<String, String>,
    /// Containers with a smaller memory limit are left alone: a quantity.
    pub(super) minimum_memory: Option<String>,
    /// Compose values that may be absent at run time?
    pub(super) compose_optional: Option<bool>,
    /// Do the recommended labels tell the service's name and version?
    pub(super) use_labels_for_resource_attributes: Option<bool>,
    /// Where the SDK's settings go.
    pub(super) sdk_settings: Option<String>,
}

/// The agent's image.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawAgent {
    pub(super) image: Option<String>,
    pub(super) image_pull_policy: Option<String>,
    pub(super) image_pull_secret: Option<String>,
    /// What the init container runs.
    pub(super) command: Option<Vec<String>>,
    /// Where the jar is in its image.
    pub(super) path: Option<String>,
    /// Jars that the agent loads beside its own.
    pub(super) extensions: Option<RawExtensions>,
}

/// One source of extensions, and where in it they are.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawExtensions {
    pub(super) image: Option<String>,
    pub(super) config_map: Option<String>,
    pub(super) claim: Option<String>,
    pub(super) folder: Option<String>,
}

/// Endpoint and protocol: one is no use without the other.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawOtlp {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) headers_from: Option<RawKeyRef>,
    pub(super) tls: Option<RawTls>,
}

/// Certificates for the connection to the endpoint, from the pod's namespace.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawTls {
    pub(super) ca_from: Option<RawCa>,
    pub(super) client_certificate_from: Option<RawClientCertificate>,
}

/// A key of a ConfigMap or of a Secret.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawCa {
    pub(super) config_map: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) key: Option<String>,
}

/// Two keys of a Secret.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RawClientCertificate {
    pub(super) secret: String,
    pub(super) certificate: Option<String>,
    pub(super) private_key: Option<String>,
}

/// A key of a Secret in the pod's namespace.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RawKeyRef {
    pub(super) secret: String,
    pub(super) key: String,
}

/// Sampler with its argument: a number, or text for the samplers that take some.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawSampler {
    pub(super) r#type: Option<String>,
    pub(super) argument: Option<String>,
}

/// Exporter of each signal.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RawExporters {
    pub(super) traces: Option<String>,
    pub(super) metrics: Option<String>,
    pub(super) logs: Option<String>,
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
            propagators,
            sampler,
            exporters,
            env,
            minimum_memory,
            compose_optional,
            use_labels_for_resource_attributes,
            sdk_settings,
        } = self;
        Self {
            delivery: either(delivery.as_ref(), base.delivery.as_ref()),
            agent: agent.over(&base.agent, delivery.as_deref()),
            otlp: otlp.over(&base.otlp),
            resource_attributes: merged(resource_attributes, &base.resource_attributes),
            propagators: either(propagators.as_ref(), base.propagators.as_ref()),
            // A type and the argument of another one would not fit.
            sampler: if sampler.r#type.is_some() || sampler.argument.is_some() {
                sampler
            } else {
                &base.sampler
            }
            .clone(),
            exporters: RawExporters {
                traces: either(exporters.traces.as_ref(), base.exporters.traces.as_ref()),
                metrics: either(exporters.metrics.as_ref(), base.exporters.metrics.as_ref()),
                logs: either(exporters.logs.as_ref(), base.exporters.logs.as_ref()),
            },
            env: merged(env, &base.env),
            minimum_memory: either(minimum_memory.as_ref(), base.minimum_memory.as_ref()),
            compose_optional: compose_optional.or(base.compose_optional),
            use_labels_for_resource_attributes: use_labels_for_resource_attributes
                .or(base.use_labels_for_resource_attributes),
            sdk_settings: either(sdk_settings.as_ref(), base.sdk_settings.as_ref()),
        }
    }
}

fn either<T: Clone>(own: Option<&T>, base: Option<&T>) -> Option<T> {
    own.or(base).cloned()
}

fn merged(
    own: &BTreeMap<String, String>,
    base: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut merged = base.clone();
    merged.extend(own.clone());
    merged
}

impl RawAgent {
    /// The command and the path belong to an image, or to a delivery: who names another one does not inherit them. Nor
    /// does who wants no agent inherit its extensions.
    fn over(&self, base: &Self, delivery: Option<&str>) -> Self {
        let Self {
            image,
            image_pull_policy,
            image_pull_secret,
            command,
            path,
            extensions,
        } = self;
        let fits = image.is_none() && delivery.is_none();
        let loads_agent = delivery != Some(super::profile::NONE);
        Self {
            image: either(image.as_ref(), base.image.as_ref()),
            image_pull_policy: either(image_pull_policy.as_ref(), base.image_pull_policy.as_ref()),
            image_pull_secret: either(image_pull_secret.as_ref(), base.image_pull_secret.as_ref()),
            command: either(command.as_ref(), base.command.as_ref().filter(|_| fits)),
            path: either(path.as_ref(), base.path.as_ref().filter(|_| fits)),
            extensions: either(
                extensions.as_ref(),
                base.extensions.as_ref().filter(|_| loads_agent),
            ),
        }
    }
}

impl RawOtlp {
    /// A profile that names another endpoint does not inherit the protocol, or the credentials, of the one it leaves.
    fn over(&self, base: &Self) -> Self {
        if self.endpoint.is_some() {
            return self.clone();
        }
        Self {
            endpoint: base.endpoint.clone(),
            protocol: either(self.protocol.as_ref(), base.protocol.as_ref()),
            headers_from: either(self.headers_from.as_ref(), base.headers_from.as_ref()),
            tls: either(self.tls.as_ref(), base.tls.as_ref()),
        }
    }
}
