//! What admission does not see, and a person should know: what other manifests tell of a pod's environment, and what
//! nobody can tell before the container runs.
//!
//! Pure, and for the command line only.
//!
//! Deliberately not here: what the pod alone tells. The engine warns of that ([`Warning`](crate::mutate::Warning)),
//! wherever it runs.

use std::{collections::HashSet, fmt};

use crate::{
    mutate::{
        Plan, keys,
        pod::{Container, EnvFrom, Pod},
        predicted_environment,
    },
    surroundings::Surroundings,
};

/// What the person should know. Display gives one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caveat {
    /// `envFrom` reads an object that is not among the manifests.
    UnseenEnvFrom {
        /// The container.
        container: String,
        /// Kind and name.
        source: String,
    },
    /// `envFrom` reads an object that has variables of ours.
    EnvFromSets {
        /// The container.
        container: String,
        /// Kind and name.
        source: String,
        /// The variables' names.
        variables: Vec<String>,
    },
    /// The container's own endpoint has the port of the other protocol.
    WrongPort {
        /// The container.
        container: String,
        /// The variable.
        variable: String,
        /// Its value.
        endpoint: String,
        /// The protocol in effect.
        protocol: String,
    },
    /// The image's tag is that of a Java before 8.
    OldJava {
        /// The container.
        container: String,
        /// The image.
        image: String,
    },
    /// Options and modules of the image, which no manifest shows.
    UnseenImage {
        /// The container.
        container: String,
        /// The image.
        image: String,
    },
}

/// What is to be known of a pod that the plan was carried out on.
pub fn of(
    pod: &Pod,
    plan: &Plan,
    namespace: Option<&str>,
    surroundings: &Surroundings,
) -> Vec<Caveat> {
    let mut caveats = Vec::new();
    let all = pod
        .spec
        .init_containers()
        .iter()
        .chain(&pod.spec.containers);
    let targets = plan.containers.iter().map(|each| each.name.as_str());
    let targets: HashSet<_> = targets.collect();
    let is_target = |container: &&Container| targets.contains(container.name.as_str());
    for container in all.filter(is_target) {
        of_env_from(container, namespace, surroundings, &mut caveats);
        of_endpoints(container, &mut caveats);
        of_image(pod, container, &mut caveats);
    }
    caveats
}

fn of_env_from(
    container: &Container,
    namespace: Option<&str>,
    surroundings: &Surroundings,
    caveats: &mut Vec<Caveat>,
) {
    // The keys get a prefix, where there is one, and are then other variables.
    let plain = |from: &&EnvFrom| from.prefix.as_deref().unwrap_or_default().is_empty();
    for from in container.env_from().iter().filter(plain) {
        let config_map = from.config_map_ref.as_ref();
        let secret = from.secret_ref.as_ref();
        let source = config_map
            .map(|of| ("configMapRef", "ConfigMap", &of.name))
            .or_else(|| secret.map(|of| ("secretRef", "Secret", &of.name)));
        let Some((reference, kind, name)) = source else {
            continue;
        };
        let (container, source) = (container.name.clone(), format!("{kind} {name}"));
        let Some(keys) = surroundings.keys_of(reference, namespace, name) else {
            caveats.push(Caveat::UnseenEnvFrom { container, source });
            continue;
        };
        let variables: Vec<_> = keys.iter().filter(|key| is_ours(key)).cloned().collect();
        if !variables.is_empty() {
            caveats.push(Caveat::EnvFromSets {
                container,
                source,
                variables,
            });
        }
    }
}

/// By convention 4317 is gRPC's and 4318 HTTP's, and the agent's own default is HTTP.
fn of_endpoints(container: &Container, caveats: &mut Vec<Caveat>) {
    let environment = predicted_environment(container.env());
    let value = |name: &str| environment.get(name)?.as_deref();
    for signal in ["", "TRACES_", "METRICS_", "LOGS_"] {
        let name = |what: &str| format!("OTEL_EXPORTER_OTLP_{signal}{what}");
        let Some(endpoint) = value(&name("ENDPOINT")) else {
            continue;
        };
        let protocol = value(&name("PROTOCOL")).or_else(|| value("OTEL_EXPORTER_OTLP_PROTOCOL"));
        let protocol = protocol.unwrap_or("http/protobuf");
        let others = if protocol == "grpc" { "4318" } else { "4317" };
        let authority = endpoint.split("://").last().unwrap_or(endpoint);
        let authority = authority.split('/').next().unwrap_or(authority);
        if authority.rsplit_once(':').map(|(_, port)| port) == Some(others) {
            caveats.push(Caveat::WrongPort {
                container: container.name.clone(),
                variable: name("ENDPOINT"),
                endpoint: endpoint.to_owned(),
                protocol: protocol.to_owned(),
            });
        }
    }
}

fn of_image(pod: &Pod, container: &Container, caveats: &mut Vec<Caveat>) {
    let Some(image) = container.image.clone() else {
        return;
    };
    let container = container.name.clone();
    if is_old_java(&image) {
        caveats.push(Caveat::OldJava {
            container: container.clone(),
            image: image.clone(),
        });
    }
    // Somebody who states what the image has knows of it.
    if pod.annotation(keys::JAVA_TOOL_OPTIONS_BASE).is_none() {
        caveats.push(Caveat::UnseenImage { container, image });
    }
}

/// `openjdk:7-jre`, `registry/java:6`, …
fn is_old_java(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    let Some((name, tag)) = last.split_once(':') else {
        return false;
    };
    let is_java = ["java", "jre", "jdk", "openjdk"].contains(&name);
    let digits = tag.split(|c: char| !c.is_ascii_digit()).next();
    is_java && digits.is_some_and(|major| ["5", "6", "7"].contains(&major))
}

/// Does the variable decide something about the agent?
fn is_ours(variable: &str) -> bool {
    variable == "JAVA_TOOL_OPTIONS" || variable.starts_with("OTEL_")
}

impl Caveat {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnseenEnvFrom { .. } => "unseen-env-from",
            Self::EnvFromSets { .. } => "env-from-sets",
            Self::WrongPort { .. } => "wrong-otlp-port",
            Self::OldJava { .. } => "old-java",
            Self::UnseenImage { .. } => "unseen-image",
        }
    }

    /// Is it so of nearly every pod, and said once for all of them?
    pub fn is_general(&self) -> bool {
        matches!(self, Self::UnseenImage { .. })
    }
}

impl fmt::Display for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnseenEnvFrom { container, source } => write!(
                f,
                "container {container:?}: envFrom reads {source}, which is not among the manifests; its OTEL_* and \
                 JAVA_TOOL_OPTIONS, if any, are kept"
            ),
            Self::EnvFromSets {
                container,
                source,
                variables,
            } => write!(
                f,
                "container {container:?}: envFrom brings {} from {source}",
                variables.join(", ")
            ),
            Self::WrongPort {
                container,
                variable,
                endpoint,
                protocol,
            } => {
                let other = if protocol == "grpc" {
                    "http/protobuf"
                } else {
                    "grpc"
                };
                write!(
                    f,
                    "container {container:?}: {variable} is {endpoint}, whose port is {other}'s by convention, and the \
                     protocol is {protocol}"
                )
            }
            Self::OldJava { container, image } => write!(
                f,
                "container {container:?}: {image} is a Java before 8, with which the agent does not start"
            ),
            Self::UnseenImage { container, image } => write!(
                f,
                "container {container:?}: no manifest shows whether {image} sets JAVA_TOOL_OPTIONS itself (if so, say it in \
                 the annotation {}), or lacks the module java.instrument",
                keys::JAVA_TOOL_OPTIONS_BASE
            ),
        }
    }
}

#[cfg(test)]
mod tests;
