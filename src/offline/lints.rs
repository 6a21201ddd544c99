//! What admission does not see, and a person should know: what other manifests tell of a pod's environment, and what
//! nobody can tell before the container runs.
//!
//! Pure, and for the command line only.
//!
//! Deliberately not here: what the pod alone tells. The engine warns of that ([`Warning`](javelin_core::mutate::Warning)),
//! wherever it runs.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

use javelin_core::{
    config::Profile,
    mutate::{
        Plan, keys,
        pod::{Container, EnvFrom, Pod},
        predicted_environment,
    },
};
use serde_json::Value;

use crate::offline::inputs::Inputs;

/// What the person should know. Display gives one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lint {
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
    /// The pod may run on nodes of an architecture that our image is not for.
    OtherArchitecture {
        /// Those of the nodes.
        nodes: String,
        /// Ours.
        ours: &'static str,
    },
    /// Options and modules of the image, which no manifest shows.
    UnseenImage {
        /// The container.
        container: String,
        /// The image.
        image: String,
    },
}

/// What is to be known of a pod, and of what the plan made of it.
pub fn find(
    pod: &Pod,
    after: &Pod,
    plan: &Plan,
    namespace: Option<&str>,
    inputs: &Inputs,
) -> Vec<Lint> {
    let mut lints = Vec::new();
    let patched = after.spec.init_containers().iter();
    let patched = patched.chain(&after.spec.containers);
    let patched: HashMap<_, _> = patched.map(|each| (each.name.as_str(), each)).collect();
    for target in &plan.containers {
        let Some(container) = target.list.containers(pod).get(target.index) else {
            continue;
        };
        let own = Own::of(pod, container);
        of_env_from(&own, namespace, inputs, &mut lints);
        if let Some(patched) = patched.get(target.name.as_str()) {
            of_endpoints(patched, &mut lints);
        }
        if plan.loads_agent {
            of_image(&own, &mut lints);
        }
    }
    lints
}

/// Is the pod let onto nodes of another architecture than ours, by name? Only what our own image runs is bound to one.
pub fn of_nodes(pod: &Pod, profile: &Profile, ours: &'static str) -> Option<Lint> {
    if !profile.delivery.runs_own_copier() {
        return None;
    }
    let selector = pod.spec.node_selector.as_ref();
    let selected = ARCHITECTURE_LABELS
        .iter()
        .find_map(|label| selector?.get(*label));
    let terms = pod.spec.affinity.as_ref().and_then(|affinity| {
        let terms = affinity.pointer(REQUIRED_TERMS)?;
        terms.as_array()
    });
    let expressions = terms.into_iter().flatten().filter_map(|term| {
        let expressions = term.get("matchExpressions")?;
        expressions.as_array()
    });
    let named = expressions.flatten().filter(|expression| {
        let text = |key: &str| expression.get(key).and_then(Value::as_str);
        text("operator") == Some("In")
            && text("key").is_some_and(|key| ARCHITECTURE_LABELS.contains(&key))
    });
    let values = named.filter_map(|expression| expression.get("values")?.as_array());
    let required = values.flatten().filter_map(Value::as_str);
    // The selector holds beside the affinity.
    let nodes: BTreeSet<_> = match selected {
        Some(selected) => BTreeSet::from([selected.as_str()]),
        None => required.collect(),
    };
    let others: Vec<_> = nodes.into_iter().filter(|node| *node != ours).collect();
    (!others.is_empty()).then(|| Lint::OtherArchitecture {
        nodes: others.join(", "),
        ours,
    })
}

/// A container, and what it says itself, whatever envFrom and the image have.
struct Own<'a> {
    container: &'a Container,
    /// The variables that it surely sets. A key that may be missing leaves its variable to them.
    variables: HashSet<&'a str>,
    /// Is it known which options the agent's is joined to?
    has_options: bool,
}

impl<'a> Own<'a> {
    fn of(pod: &Pod, container: &'a Container) -> Self {
        let mut variables = HashSet::new();
        for entry in container.env() {
            let source = entry.value_from.as_ref().and_then(Value::as_object);
            let mut references = source.into_iter().flatten();
            if references.all(|(_, it)| it.get("optional") != Some(&Value::Bool(true))) {
                variables.insert(entry.name.as_str());
            }
        }
        let is_stated = pod.annotation(keys::JAVA_TOOL_OPTIONS_BASE).is_some();
        Self {
            container,
            has_options: is_stated || variables.contains("JAVA_TOOL_OPTIONS"),
            variables,
        }
    }
}

fn of_env_from(own: &Own<'_>, namespace: Option<&str>, inputs: &Inputs, lints: &mut Vec<Lint>) {
    // The keys get a prefix, where there is one, and are then other variables.
    let plain = |from: &&EnvFrom| from.prefix.as_deref().unwrap_or_default().is_empty();
    for from in own.container.env_from().iter().filter(plain) {
        let config_map = from.config_map_ref.as_ref();
        let secret = from.secret_ref.as_ref();
        let source = config_map
            .map(|of| ("configMapRef", "ConfigMap", &of.name))
            .or_else(|| secret.map(|of| ("secretRef", "Secret", &of.name)));
        let Some((reference, kind, name)) = source else {
            continue;
        };
        let (container, source) = (own.container.name.clone(), format!("{kind} {name}"));
        let Some(keys) = inputs.keys_of(reference, namespace, name) else {
            if !own.has_options {
                lints.push(Lint::UnseenEnvFrom { container, source });
            }
            continue;
        };
        let counts = |key: &&String| is_ours(key) && !own.variables.contains(key.as_str());
        let variables: Vec<_> = keys.iter().filter(counts).cloned().collect();
        if !variables.is_empty() {
            lints.push(Lint::EnvFromSets {
                container,
                source,
                variables,
            });
        }
    }
}

/// By convention 4317 is gRPC's and 4318 HTTP's, and the agent's own default is HTTP.
fn of_endpoints(container: &Container, lints: &mut Vec<Lint>) {
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
            lints.push(Lint::WrongPort {
                container: container.name.clone(),
                variable: name("ENDPOINT"),
                endpoint: endpoint.to_owned(),
                protocol: protocol.to_owned(),
            });
        }
    }
}

fn of_image(own: &Own<'_>, lints: &mut Vec<Lint>) {
    let Some(image) = own.container.image.clone() else {
        return;
    };
    let container = own.container.name.clone();
    if is_old_java(&image) {
        lints.push(Lint::OldJava {
            container: container.clone(),
            image: image.clone(),
        });
    }
    if !own.has_options {
        lints.push(Lint::UnseenImage { container, image });
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

impl Lint {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnseenEnvFrom { .. } => "unseen-env-from",
            Self::EnvFromSets { .. } => "env-from-sets",
            Self::WrongPort { .. } => "wrong-otlp-port",
            Self::OldJava { .. } => "old-java",
            Self::OtherArchitecture { .. } => "other-architecture",
            Self::UnseenImage { .. } => "unseen-image",
        }
    }

    /// Code and sentence.
    pub fn line(&self) -> String {
        format!("{}: {self}", self.code())
    }

    /// Is it so of nearly every pod, and said once for all of them?
    pub fn is_general(&self) -> bool {
        matches!(self, Self::UnseenImage { .. })
    }
}

impl fmt::Display for Lint {
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
                "container {container:?}: {image} is older than Java 8, and the agent does not start with it"
            ),
            Self::OtherArchitecture { nodes, ours } => write!(
                f,
                "it asks for {nodes} nodes, and this build of Javelin is for {ours}: an image for that alone does not \
                 run there, and the pod does not start; build one for both"
            ),
            Self::UnseenImage { container, image } => write!(
                f,
                "container {container:?}: no manifest shows whether {image} sets JAVA_TOOL_OPTIONS itself (if so, \
                 repeat it in the annotation {}), or lacks the module java.instrument",
                keys::JAVA_TOOL_OPTIONS_BASE
            ),
        }
    }
}

/// What the kubelet says of its node's architecture, now and before Kubernetes 1.14.
const ARCHITECTURE_LABELS: [&str; 2] = ["kubernetes.io/arch", "beta.kubernetes.io/arch"];

/// In an affinity.
const REQUIRED_TERMS: &str =
    "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

#[cfg(test)]
mod tests;
