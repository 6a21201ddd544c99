//! `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`: who is talking.
//!
//! Names and their sources follow the semantic conventions for Kubernetes attributes
//! (`docs/non-normative/k8s-attributes.md` in open-telemetry/semantic-conventions).

use std::collections::BTreeMap;

use super::{
    Subject,
    environment::Environment,
    expansion::{self, Literals},
    image, java, keys,
    owner::Owner,
    pod::{Container, EnvVar},
};

/// The variable that outranks `service.name` in the attributes.
pub(super) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// The list of attributes: `key=value,key=value`, values percent-encoded.
pub(super) const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// What the agent would be told wrongly because of the user's own text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttributesProblem {
    /// The list comes from a ConfigMap or the like: ours are left out.
    NotALiteral,
    /// A part has no `=`: the agent fails to start.
    NotAPair,
}

/// Sets the service's name, unless the user did in either way. Of several targets each gets a name of its own.
pub(super) fn add_service_name(
    environment: &mut Environment,
    subject: &Subject<'_>,
    container: &Container,
    alone: bool,
) {
    let own = attributes_text(container).unwrap_or_default();
    if environment.has(SERVICE_NAME) || keys_of(&own).any(|key| key == "service.name") {
        return;
    }
    let mut name = service_name(subject, container);
    if !alone && name != container.name {
        name = format!("{name}-{}", container.name);
    }
    environment.push(EnvVar::literal(SERVICE_NAME, expansion::escape(&name)));
}

/// Adds our attributes behind the user's own, and before them the variables that they refer to.
pub(super) fn add_attributes(
    environment: &mut Environment,
    subject: &Subject<'_>,
    container: &Container,
    fixed: &BTreeMap<String, String>,
) -> Option<AttributesProblem> {
    let own = java::effective(environment.variables(), RESOURCE_ATTRIBUTES);
    let own = own.map(|(at, variable)| (at, variable.clone()));
    if let Some((
        _,
        EnvVar {
            value_from: Some(_),
            ..
        },
    )) = own
    {
        return Some(AttributesProblem::NotALiteral);
    }
    let expanded = attributes_text(container).unwrap_or_default();
    let pairs = attributes(subject, container, fixed)
        .into_iter()
        .filter(|(key, _)| !keys_of(&expanded).any(|own| own == key))
        .map(|(key, value)| format!("{}={value}", encode(&key)))
        .collect::<Vec<_>>()
        .join(",");
    let private = private_variables(&pairs);
    match own {
        None => {
            environment.extend(private);
            environment.push(EnvVar::literal(RESOURCE_ATTRIBUTES, pairs));
        }
        Some((at, variable)) => {
            let own = variable.value.unwrap_or_default();
            let value = [own.as_str(), &pairs]
                .into_iter()
                .filter(|part| !part.is_empty());
            let value = value
                .collect::<Vec<_>>()
                .join(if own.ends_with(',') { "" } else { "," });
            if must_stay(environment.variables(), at, &own) {
                for variable in private.into_iter().rev() {
                    environment.insert(at, variable);
                }
                if let Some((at, _)) = java::effective(environment.variables(), RESOURCE_ATTRIBUTES)
                {
                    environment.set_value(at, value);
                }
            } else {
                environment.remove(at);
                environment.extend(private);
                environment.push(EnvVar::literal(RESOURCE_ATTRIBUTES, value));
            }
        }
    }
    // What a reference to something else will bring is not known here.
    let is_broken =
        |part: &str| !part.trim().is_empty() && !part.contains('=') && !part.contains("$(");
    expanded
        .split(',')
        .any(is_broken)
        .then_some(AttributesProblem::NotAPair)
}

/// Moving an entry to the end must not change what any `$(X)` means: neither one of a later entry that
/// refers to it, nor one in its own text that would meet a definition of X on the way.
fn must_stay(variables: &[EnvVar], at: usize, own: &str) -> bool {
    variables.iter().skip(at + 1).any(|later| {
        let text = later.value.as_deref().unwrap_or_default();
        expansion::refers_to(text, RESOURCE_ATTRIBUTES) || expansion::refers_to(own, &later.name)
    })
}

/// The user's own list, with `$(X)` of earlier literals resolved.
fn attributes_text(container: &Container) -> Option<String> {
    Literals::of(container.env())
        .get(RESOURCE_ATTRIBUTES)
        .map(str::to_owned)
}

fn keys_of(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .filter_map(|pair| Some(pair.split_once('=')?.0.trim()))
}

/// Annotation, owners from the one that a person named, pod name, container name.
fn service_name(subject: &Subject<'_>, container: &Container) -> String {
    if let Some(name) = annotated(subject, "service.name") {
        return name.to_owned();
    }
    let metadata = &subject.pod.metadata;
    let owner = subject
        .owners
        .iter()
        .next_back()
        .map(|owner| owner.name.as_str());
    let name = metadata.name.as_deref().filter(|name| !name.is_empty());
    // The API server adds its random suffix after admission; what comes before it is stable.
    let generated = metadata
        .generate_name
        .as_deref()
        .map(|name| name.trim_end_matches('-'));
    owner
        .or(name)
        .or_else(|| generated.filter(|name| !name.is_empty()))
        .unwrap_or(&container.name)
        .to_owned()
}

/// All attributes by key, values encoded and with references to [`keys::FIELD_VARIABLES`]. The order of
/// precedence, lowest first: what is derived for `service.*`, the profile's, what Kubernetes tells, the pod's
/// annotations.
fn attributes(
    subject: &Subject<'_>,
    container: &Container,
    fixed: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut attributes: BTreeMap<String, String> = fixed
        .iter()
        .map(|(key, value)| (key.clone(), encode(value)))
        .collect();
    let namespace = subject
        .namespace
        .name
        .map_or_else(|| "$(JAVELIN_NAMESPACE)".to_owned(), encode);
    let mut set = |key: &str, value: String| {
        if !(key.starts_with("service.") && fixed.contains_key(key)) {
            attributes.insert(key.to_owned(), value);
        }
    };
    set("k8s.namespace.name", namespace.clone());
    set("k8s.pod.name", "$(JAVELIN_POD_NAME)".to_owned());
    set("k8s.pod.uid", "$(JAVELIN_POD_UID)".to_owned());
    set("k8s.node.name", "$(JAVELIN_NODE_NAME)".to_owned());
    set("k8s.container.name", encode(&container.name));
    set("service.namespace", namespace.clone());
    set(
        "service.instance.id",
        format!(
            "{namespace}.$(JAVELIN_POD_NAME).{}",
            encode(&container.name)
        ),
    );
    if let Some(version) = container.image.as_deref().and_then(image::version) {
        set("service.version", encode(&version));
    }
    for owner in subject.owners.iter() {
        if let Some(key) = owner_attribute(owner) {
            set(key, encode(&owner.name));
        }
    }
    for (key, value) in subject.pod.metadata.annotations.iter().flatten() {
        match key.strip_prefix(keys::RESOURCE_PREFIX) {
            // `service.name` has a variable of its own, and the SDK drops a pair without a value.
            Some("" | "service.name") | None => {}
            Some(_) if value.is_empty() => {}
            Some(attribute) => {
                attributes.insert(attribute.to_owned(), encode(value));
            }
        }
    }
    attributes
}

fn annotated<'a>(subject: &Subject<'a>, attribute: &str) -> Option<&'a str> {
    let value = subject
        .pod
        .annotation(&format!("{}{attribute}", keys::RESOURCE_PREFIX))?
        .trim();
    (!value.is_empty()).then_some(value)
}

fn owner_attribute(owner: &Owner) -> Option<&'static str> {
    Some(match owner.kind.as_str() {
        "Deployment" => "k8s.deployment.name",
        "ReplicaSet" => "k8s.replicaset.name",
        "StatefulSet" => "k8s.statefulset.name",
        "DaemonSet" => "k8s.daemonset.name",
        "CronJob" => "k8s.cronjob.name",
        "Job" => "k8s.job.name",
        // The conventions have no attribute for other kinds.
        _ => return None,
    })
}

/// The variables that the text refers to, from the downward API.
fn private_variables(text: &str) -> Vec<EnvVar> {
    keys::FIELD_VARIABLES
        .iter()
        .filter(|(name, _)| expansion::refers_to(text, name))
        .map(|(name, path)| EnvVar::field(*name, path))
        .collect()
}

/// Percent-encodes a value as the Java SDK decodes it: W3C Baggage's octets pass, less those that separate
/// pairs here, and less `$`, which the kubelet would look at, and `+`, which older SDKs read as a space.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |nibble: u8| {
                char::from_digit(u32::from(nibble), 16)
                    .unwrap_or('0')
                    .to_ascii_uppercase()
            };
            encoded.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
