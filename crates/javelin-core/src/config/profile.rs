//! One way to instrument a pod.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    error::Problem,
    image,
    names::{not_one_of, one_of},
    otlp::{Otlp, Protocol},
    raw::{RawAgent, RawExtensions, RawProfile},
    sdk::{self, Exporters, Sampler},
    variables,
};
use crate::{dns, quantity};

/// One way to instrument a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// `default`, or its key under `profiles`: a DNS label.
    pub name: String,
    /// How the jar gets into the pod.
    pub delivery: Delivery,
    /// The agent's image.
    pub agent: Agent,
    /// Where telemetry goes; the agent's own default when absent.
    pub otlp: Option<Otlp>,
    /// Attributes for every pod of the profile. The pod's own win.
    pub resource_attributes: BTreeMap<String, String>,
    /// `OTEL_PROPAGATORS`; the agent's own default when empty.
    pub propagators: Vec<String>,
    /// Which traces are kept; the agent's own default when absent.
    pub sampler: Option<Sampler>,
    /// What becomes of each signal; the agent's own default where absent.
    pub exporters: Exporters,
    /// Further variables. The container's own win.
    pub env: BTreeMap<String, String>,
    /// Containers with a smaller memory limit are left alone; bytes.
    pub minimum_memory: f64,
    /// May values that are possibly absent at run time be composed with ours?
    pub compose_optional: bool,
    /// Where the SDK's settings go.
    pub sdk_settings: SdkSettings,
    /// Do `app.kubernetes.io/instance`, `…/name` and `…/version` tell the service's name and version?
    pub use_labels: bool,
    /// First 12 hexadecimal digits of the SHA-256 of all that the profile says: tells two receipts apart.
    pub hash: String,
}

/// How the jar gets into the pod, if it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// An init container copies it into an emptyDir.
    InitContainer {
        /// What a foreign image runs to copy it; ours knows by itself.
        command: Option<Vec<String>>,
    },
    /// The image itself is mounted. Kubernetes 1.36 or later, with containerd 2.2 or later.
    ImageVolume {
        /// The jar's absolute path in the image.
        path: String,
    },
    /// The application's own image has it.
    Preinstalled {
        /// The jar's absolute path in the container.
        path: String,
    },
    /// No agent: variables alone, for an application that has the SDK in it.
    VariablesOnly,
}

/// Where the settings of the SDK go: endpoint, propagators, sampler, exporters, further `OTEL_*` variables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SdkSettings {
    /// Into the file for containers with envFrom, if they fit into one, else into the environment.
    #[default]
    Auto,
    /// Into the container's environment, where they are easy to see, and hide what envFrom or the image brings.
    Environment,
    /// Into a file beside the jar, which the agent ranks below every variable.
    File,
}

/// The image that carries the jar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Image reference.
    pub image: String,
    /// When the kubelet pulls it; Kubernetes' own default when absent.
    pub image_pull_policy: Option<PullPolicy>,
    /// A Secret of the pod's namespace to pull it with, added to the pod's own.
    pub image_pull_secret: Option<String>,
    /// Jars that the agent loads beside its own.
    pub extensions: Option<Extensions>,
}

/// Extensions of the agent (`otel.javaagent.extensions`), and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extensions {
    /// A folder of an image, which has `cp` in it: an init container copies it. With the delivery `image-volume` the
    /// image is mounted instead.
    Image {
        /// Image reference.
        image: String,
        /// Absolute path, without a slash at the end.
        folder: String,
    },
    /// The keys of a `ConfigMap` in the pod's namespace, which may be absent.
    ConfigMap(String),
    /// A folder of a `PersistentVolumeClaim` in the pod's namespace. Without the claim no pod starts.
    Claim {
        /// Its name.
        name: String,
        /// Absolute path, without a slash at the end; empty for all of it.
        folder: String,
    },
}

/// `imagePullPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Always ask the registry.
    Always,
    /// Only when the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

impl Profile {
    pub(super) fn from_raw(name: &str, raw: &RawProfile) -> Result<Self, Problem> {
        let RawProfile {
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
        } = raw;
        let mut profile = Self {
            name: name.to_owned(),
            delivery: Delivery::from_raw(delivery.as_deref(), agent)?,
            agent: Agent::from_raw(agent)?,
            otlp: Otlp::from_raw(otlp)?,
            resource_attributes: check_attributes(resource_attributes)?,
            propagators: sdk::propagators(propagators.as_deref().unwrap_or_default())?,
            sampler: Sampler::from_raw(sampler)?,
            exporters: Exporters::from_raw(exporters)?,
            env: variables::check(env)?,
            minimum_memory: minimum(minimum_memory.as_deref().unwrap_or("128Mi"))?,
            compose_optional: compose_optional.unwrap_or(true),
            sdk_settings: sdk_settings
                .as_deref()
                .map_or(Ok(SdkSettings::Auto), SdkSettings::parse)?,
            use_labels: use_labels_for_resource_attributes.unwrap_or(false),
            hash: String::new(),
        };
        if profile.sdk_settings == SdkSettings::File {
            profile
                .fits_file()
                .map_err(|why| Problem::new(".sdkSettings", why))?;
        }
        profile.check_said_once()?;
        profile.hash = super::short_hash(&profile);
        Ok(profile)
    }
}

impl Profile {
    /// A setting in `env` that has a key of its own would mean one thing in a variable and another in a file.
    fn check_said_once(&self) -> Result<(), Problem> {
        let said = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.otlp.is_some()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", self.otlp.is_some()),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                self.otlp
                    .as_ref()
                    .is_some_and(|otlp| otlp.headers_from.is_some()),
            ),
            ("OTEL_PROPAGATORS", !self.propagators.is_empty()),
            ("OTEL_TRACES_EXPORTER", self.exporters.traces.is_some()),
            ("OTEL_METRICS_EXPORTER", self.exporters.metrics.is_some()),
            ("OTEL_LOGS_EXPORTER", self.exporters.logs.is_some()),
            ("OTEL_JAVAAGENT_EXTENSIONS", self.agent.extensions.is_some()),
        ];
        let twice = said
            .iter()
            .find(|(name, is_said)| *is_said && self.env.contains_key(*name));
        twice.map_or(Ok(()), |(name, _)| {
            Err(Problem::new(
                format!(".env.{name}"),
                "a key of the profile says it as well; leave one of them out",
            ))
        })
    }

    /// Can its settings stand in a file that the agent ranks below the environment? Why not, else.
    ///
    /// Such a file is not conditional: what belongs to one endpoint would also be sent to the user's own.
    pub fn fits_file(&self) -> Result<(), &'static str> {
        if !self.delivery.runs_own_copier() {
            return Err(
                "a file needs the delivery init-container with Javelin's own image, which writes it",
            );
        }
        if self.env.contains_key("OTEL_JAVAAGENT_CONFIGURATION_FILE") {
            return Err("env names a file already, and the agent reads one; write environment");
        }
        if self
            .env
            .keys()
            .any(|name| name.starts_with("OTEL_EXPORTER_OTLP_"))
        {
            return Err(
                "env has variables of the exporter, which would also apply to an endpoint of the user's; write environment",
            );
        }
        let Some(otlp) = &self.otlp else {
            return Ok(());
        };
        if otlp.headers_from.is_some() || otlp.tls.is_some() {
            return Err(
                "headers and certificates would also go to an endpoint of the user's; write environment",
            );
        }
        if otlp.protocol != Protocol::HttpProtobuf {
            return Err(
                "the protocol grpc would also apply to an endpoint of the user's; write environment",
            );
        }
        Ok(())
    }
}

impl Profile {
    /// Is an image of the profile pulled into the pod, which a pull secret of its own may be for?
    pub fn pulls_image(&self) -> bool {
        let extensions = self.agent.extensions.as_ref();
        self.delivery.uses_image() || matches!(extensions, Some(Extensions::Image { .. }))
    }
}

impl SdkSettings {
    /// As written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Environment => "environment",
            Self::File => "file",
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let all = [Self::Auto, Self::Environment, Self::File];
        one_of(".sdkSettings", text, all.map(|each| (each.as_str(), each)))
    }
}

impl Delivery {
    /// As written in the configuration and in receipts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InitContainer { .. } => INIT_CONTAINER,
            Self::ImageVolume { .. } => IMAGE_VOLUME,
            Self::Preinstalled { .. } => PREINSTALLED,
            Self::VariablesOnly => NONE,
        }
    }

    /// Does a JVM of the pod start with the agent?
    pub fn loads_agent(&self) -> bool {
        *self != Self::VariablesOnly
    }

    /// Does a program of Javelin's own image run in the pod, to copy the jar?
    pub fn runs_own_copier(&self) -> bool {
        matches!(self, Self::InitContainer { command: None })
    }

    /// Does the pod get the jar by way of the agent's image?
    pub fn uses_image(&self) -> bool {
        matches!(self, Self::InitContainer { .. } | Self::ImageVolume { .. })
    }

    fn from_raw(delivery: Option<&str>, agent: &RawAgent) -> Result<Self, Problem> {
        let RawAgent { command, path, .. } = agent;
        let delivery = delivery.unwrap_or(INIT_CONTAINER);
        if delivery != INIT_CONTAINER && command.is_some() {
            return Err(Problem::new(
                ".agent.command",
                format!(
                    "is for the delivery {INIT_CONTAINER}; with {delivery} nothing runs, leave it out"
                ),
            ));
        }
        match delivery {
            INIT_CONTAINER if path.is_some() => Err(Problem::new(
                ".agent.path",
                format!(
                    "is for the deliveries {IMAGE_VOLUME} and {PREINSTALLED}; an image of your own says with \
                     agent.command how its jar is copied"
                ),
            )),
            INIT_CONTAINER => Ok(Self::InitContainer {
                command: command.as_deref().map(check_command).transpose()?,
            }),
            IMAGE_VOLUME => Ok(Self::ImageVolume {
                path: check_path(path.as_deref().unwrap_or(DEFAULT_PATH))?,
            }),
            PREINSTALLED => {
                let missing = "missing; write the jar's path in the application's image, such as /opt/agent.jar";
                let path = path.as_deref();
                let path = path.ok_or_else(|| Problem::new(".agent.path", missing))?;
                Ok(Self::Preinstalled {
                    path: check_path(path)?,
                })
            }
            NONE if path.is_some() => Err(Problem::new(
                ".agent.path",
                format!("is of no use with the delivery {NONE}: no jar is loaded; leave it out"),
            )),
            NONE if agent.extensions.is_some() => Err(Problem::new(
                ".agent.extensions",
                format!("is of no use with the delivery {NONE}: no agent is loaded; leave it out"),
            )),
            NONE => Ok(Self::VariablesOnly),
            other => Err(not_one_of(".delivery", other, &DELIVERIES)),
        }
    }
}

fn check_command(command: &[String]) -> Result<Vec<String>, Problem> {
    if command.first().is_some_and(|program| !program.is_empty()) {
        return Ok(command.to_vec());
    }
    Err(Problem::new(
        ".agent.command",
        "is empty; write a list such as [cp, /javaagent.jar, /javelin-agent/javaagent.jar]",
    ))
}

/// The path becomes a word of `JAVA_TOOL_OPTIONS`, behind `-javaagent:` and before a `=`, if any.
fn check_path(path: &str) -> Result<String, Problem> {
    if path.len() > MAX_PATH {
        let problem = format!("is longer than the {MAX_PATH} bytes that Linux takes as a path");
        return Err(Problem::new(".agent.path", problem));
    }
    if is_plain_path(path) {
        return Ok(path.to_owned());
    }
    Err(Problem::new(
        ".agent.path",
        format!("{path:?} is not an absolute path of a file, without spaces, quotes, = and $"),
    ))
}

/// Absolute, of letters that neither the JVM nor a list of options reads as anything else.
fn is_plain_path(path: &str) -> bool {
    let fits = |c: char| c.is_ascii_graphic() && !"'\"=$".contains(c);
    let is_plain = !path.split('/').any(|part| part == "..") && !path.ends_with('/');
    path.starts_with('/') && is_plain && path.len() <= MAX_PATH && path.chars().all(fits)
}

impl Agent {
    pub(super) fn from_raw(raw: &RawAgent) -> Result<Self, Problem> {
        let RawAgent {
            image,
            image_pull_policy,
            image_pull_secret,
            // Read with the delivery that they belong to.
            command: _,
            path: _,
            extensions,
        } = raw;
        let image = image.clone().unwrap_or_else(|| DEFAULT_IMAGE.to_owned());
        image::check(&image).map_err(|problem| Problem::new(".agent.image", problem))?;
        let image_pull_policy = image_pull_policy
            .as_deref()
            .map(PullPolicy::parse)
            .transpose()?;
        let image_pull_secret = image_pull_secret.clone();
        if let Some(name) = image_pull_secret
            .as_deref()
            .filter(|name| !dns::is_subdomain(name))
        {
            return Err(Problem::new(
                ".agent.imagePullSecret",
                format!("{name:?} is not a Secret's name"),
            ));
        }
        Ok(Self {
            image,
            image_pull_policy,
            image_pull_secret,
            extensions: extensions.as_ref().map(Extensions::from_raw).transpose()?,
        })
    }
}

impl Extensions {
    fn from_raw(raw: &RawExtensions) -> Result<Self, Problem> {
        let RawExtensions {
            image,
            config_map,
            claim,
            folder,
        } = raw;
        let at =
            |key: &str, problem: String| Problem::new(format!(".agent.extensions{key}"), problem);
        let object = |key: &str, name: &String| {
            if dns::is_subdomain(name) {
                return Ok(name.clone());
            }
            Err(at(key, format!("{name:?} is not the name of an object")))
        };
        let folder = folder.as_deref().map(|folder| {
            let is_root = folder == "/";
            let fits = is_root || (is_plain_path(folder) && !folder.contains(','));
            let problem = || {
                let why =
                    "is not an absolute path of a folder, without spaces, quotes, commas, = and $";
                at(".folder", format!("{folder:?} {why}"))
            };
            let folder = if is_root { "" } else { folder };
            fits.then(|| folder.to_owned()).ok_or_else(problem)
        });
        let folder = folder.transpose()?;
        match (image, config_map, claim) {
            (Some(image), None, None) => {
                image::check(image).map_err(|problem| at(".image", problem))?;
                let missing = "missing; write where in the image the jars are, such as /extensions";
                let folder = folder.ok_or_else(|| at(".folder", missing.to_owned()))?;
                Ok(Self::Image {
                    image: image.clone(),
                    folder,
                })
            }
            (None, Some(_), None) if folder.is_some() => Err(at(
                ".folder",
                "a ConfigMap has no folders: each of its keys is a jar; leave it out".to_owned(),
            )),
            (None, Some(name), None) => Ok(Self::ConfigMap(object(".configMap", name)?)),
            (None, None, Some(name)) => Ok(Self::Claim {
                name: object(".claim", name)?,
                folder: folder.unwrap_or_default(),
            }),
            _ => Err(at(
                "",
                "names not one source; write one of: image, configMap, claim".to_owned(),
            )),
        }
    }
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let all = [Self::Always, Self::IfNotPresent, Self::Never];
        let named = all.map(|each| (each.as_str(), each));
        one_of(".agent.imagePullPolicy", text, named)
    }
}

fn minimum(text: &str) -> Result<f64, Problem> {
    let bytes = quantity::parse(&Value::from(text)).filter(|bytes| *bytes >= 0.0);
    bytes.ok_or_else(|| {
        Problem::new(
            ".minimumMemory",
            format!("{text:?} is not a quantity, such as 128Mi"),
        )
    })
}

/// The SDK drops a pair with an empty value, and decodes values but no keys.
pub(super) fn check_attributes(
    raw: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Problem> {
    for (key, value) in raw {
        let at = |problem: String| Problem::new(format!(".resourceAttributes.{key}"), problem);
        if key == "service.name" {
            return Err(at(
                "every pod of the profile would have it; annotate pods with resource.opentelemetry.io/service.name"
                    .to_owned(),
            ));
        }
        if !is_attribute(key) {
            return Err(at(format!("{key:?} is not an attribute's name")));
        }
        if value.is_empty() {
            return Err(at(format!(
                "{key} has an empty value, which the SDK drops; leave the line out"
            )));
        }
    }
    Ok(raw.clone())
}

/// Can it be a key in the SDK's list of attributes, which is read as it is?
pub(crate) fn is_attribute(key: &str) -> bool {
    let fits = |c: char| c.is_ascii_graphic() && !"'\",=%$".contains(c);
    !key.is_empty() && key.chars().all(fits)
}

/// Every delivery, as written.
pub(super) const DELIVERIES: [&str; 4] = [INIT_CONTAINER, IMAGE_VOLUME, PREINSTALLED, NONE];
const INIT_CONTAINER: &str = "init-container";
const IMAGE_VOLUME: &str = "image-volume";
const PREINSTALLED: &str = "preinstalled";
pub(super) const NONE: &str = "none";

/// `PATH_MAX` of Linux (`include/uapi/linux/limits.h`), less the zero byte at the end.
pub(crate) const MAX_PATH: usize = 4_095;

/// Where our own image, and the operator's, has the jar.
const DEFAULT_PATH: &str = "/javaagent.jar";

/// What a pod pulls when the configuration names no image: the one that this version is released as.
const DEFAULT_IMAGE: &str = concat!("localhost/javelin:", env!("CARGO_PKG_VERSION"));
