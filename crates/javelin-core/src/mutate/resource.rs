//! `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`: who is talking.
//!
//! Names and their sources follow the semantic conventions for Kubernetes attributes
//! (`docs/non-normative/k8s-attributes.md` in open-telemetry/semantic-conventions).

use std::{
    borrow::{Borrow, Cow},
    collections::{BTreeMap, HashSet},
};

use super::{
    Subject,
    composition::{Composition, Origin},
    environment::{Environment, field_variables},
    expansion, image,
    java::{self, Shown},
    keys,
    owner::Owner,
    pod::{Container, EnvVar},
};
use crate::{
    config::{Profile, is_attribute},
    kinds::Kind,
    steps,
};

/// The variable that outranks `service.name` in the attributes.
pub(super) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// The list of attributes: `key=value,key=value`, values percent-encoded.
pub(super) const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Attributes by key, values as they are written.
type Attributes<'a> = BTreeMap<&'a str, Cow<'a, str>>;

/// What the agent would be told wrongly because of the user's own text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttributesProblem {
    /// The list comes from somewhere that cannot be composed: ours are left out.
    NotALiteral,
    /// A part has no `=`: the agent fails to start.
    NotAPair,
}

/// What names the service, when we do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Naming {
    /// `OTEL_SERVICE_NAME`.
    Variable(String),
    /// `service.name` among the attributes: something that we cannot see may hold a name of the user's, and would be
    /// outranked by the variable.
    Attribute(String),
}

impl Naming {
    /// The name.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Variable(name) | Self::Attribute(name) => name,
        }
    }
}

/// Names the service, unless the user did in either way. Of several targets each gets a name of its own.
pub(super) fn naming(
    environment: &Environment<'_>,
    subject: &Subject<'_>,
    shown: &Shown<'_>,
    alone: bool,
    profile: &Profile,
) -> Option<Naming> {
    let container = shown.container;
    let own = attributes_text(shown).unwrap_or_default();
    if environment.has(SERVICE_NAME) || keys_of(own).any(|key| key == "service.name") {
        return None;
    }
    let mut name = service_name(subject, container, profile).0.to_owned();
    if !alone && name != container.name {
        name = format!("{name}-{}", container.name);
    }
    let composition = composition(container, profile);
    let origin = composition.origin(environment);
    let mut sources = container.env_from().iter();
    let is_hidden = !matches!(origin, Origin::Visible(_))
        || own.contains("$(")
        || sources.any(|source| source.may_bring(SERVICE_NAME));
    // A JVM in an image without a locale garbles other letters; attributes are encoded.
    let is_plain = name.is_ascii();
    if (is_hidden || !is_plain) && composition.obstacle(environment, origin).is_none() {
        Some(Naming::Attribute(name))
    } else {
        Some(Naming::Variable(name))
    }
}

/// Adds our attributes, and before them the variables that they refer to. Of a key that occurs twice the SDK takes the
/// last: so ours stand behind the user's where all of those are known, without keys that are there, and before them where not.
pub(super) fn add_attributes(
    environment: &mut Environment<'_>,
    subject: &Subject<'_>,
    shown: &Shown<'_>,
    naming: Option<&Naming>,
    profile: &Profile,
) -> Option<AttributesProblem> {
    let container = shown.container;
    let expanded = attributes_text(shown).unwrap_or_default();
    let mut attributes = attributes(subject, container, profile);
    if let Some(Naming::Attribute(name)) = naming {
        attributes.insert("service.name", encode(name));
    }
    let own: HashSet<_> = keys_of(expanded).collect();
    attributes.retain(|key, _| !own.contains(key));
    let pairs = joined(&attributes);
    let private = field_variables(&pairs);
    let composition = composition(container, profile);
    match composition.origin(environment) {
        hidden @ (Origin::Reference(_) | Origin::EnvFrom) => {
            let Ok(mut behind) = composition.keep(environment, hidden) else {
                return Some(AttributesProblem::NotALiteral);
            };
            let composed = format!("{pairs},$({})", keys::ATTRIBUTES_VARIABLE);
            let composed = EnvVar::literal(RESOURCE_ATTRIBUTES, composed);
            let private = missing(private, environment, behind);
            for variable in private.into_iter().chain([composed]) {
                environment.insert(behind, variable);
                behind += 1;
            }
        }
        // Everything is there.
        Origin::Visible(_) if pairs.is_empty() => {}
        Origin::Visible(None) => {
            let end = environment.variables().len();
            environment.extend(missing(private, environment, end));
            environment.push(EnvVar::literal(RESOURCE_ATTRIBUTES, pairs));
        }
        Origin::Visible(Some(at)) => {
            // What a reference to something else brings is not known here.
            let is_known = !expanded.contains("$(");
            join(environment, at, &pairs, private, is_known);
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

fn composition<'a>(container: &'a Container, profile: &Profile) -> Composition<'a> {
    Composition {
        name: RESOURCE_ATTRIBUTES,
        private: keys::ATTRIBUTES_VARIABLE,
        container,
        compose_optional: profile.compose_optional,
    }
}

/// Puts our pairs behind the user's own in the entry at `at`, or before them.
fn join(
    environment: &mut Environment<'_>,
    at: usize,
    pairs: &str,
    private: Vec<EnvVar>,
    is_behind: bool,
) {
    let variable = environment.variables().get(at);
    let own = variable.and_then(|variable| variable.value.clone());
    let own = own.unwrap_or_default();
    let value = if !is_behind {
        format!("{pairs},{own}")
    } else if own.is_empty() || own.ends_with(',') {
        format!("{own}{pairs}")
    } else {
        format!("{own},{pairs}")
    };
    if must_stay(environment.variables(), at, &own) {
        let private = missing(private, environment, at);
        let behind = at + private.len();
        for variable in private.into_iter().rev() {
            environment.insert(at, variable);
        }
        environment.set_value(behind, value);
    } else {
        environment.remove(at);
        let end = environment.variables().len();
        environment.extend(missing(private, environment, end));
        environment.push(EnvVar::literal(RESOURCE_ATTRIBUTES, value));
    }
}

/// Those that are not defined before that position: an earlier pass may have put them there.
fn missing(mut variables: Vec<EnvVar>, environment: &Environment<'_>, at: usize) -> Vec<EnvVar> {
    let earlier = environment.variables().get(..at).unwrap_or_default();
    steps::take(earlier.len());
    variables.retain(|variable| earlier.iter().all(|there| there.name != variable.name));
    variables
}

/// Moving an entry to the end must not change what any `$(X)` means: neither one of a later entry that
/// refers to it, nor one in its own text that would meet a definition of X on the way.
fn must_stay(variables: &[impl Borrow<EnvVar>], at: usize, own: &str) -> bool {
    let references: HashSet<_> = expansion::references(own).collect();
    let mut later = variables.iter().map(Borrow::<EnvVar>::borrow).skip(at + 1);
    later.any(|later| {
        let text = later.value.as_deref().unwrap_or_default();
        expansion::refers_to(text, RESOURCE_ATTRIBUTES) || references.contains(later.name.as_str())
    })
}

/// The user's own list, with `$(X)` of earlier literals resolved; as it is written where that is too large.
fn attributes_text<'a>(shown: &'a Shown<'_>) -> Option<&'a str> {
    let (_, own) = java::effective(shown.container.env(), RESOURCE_ATTRIBUTES)?;
    let literal = shown.literals.get(RESOURCE_ATTRIBUTES);
    literal.or(own.value.as_deref())
}

/// Keys that have a value: the SDK drops a pair without one.
fn keys_of(list: &str) -> impl Iterator<Item = &str> {
    steps::take(list.len());
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(key, _)| key.trim())
}

/// Annotation, labels if the profile says so, owners from the one that a person named, pod name, container name; and
/// which of these it was.
pub(super) fn service_name<'a>(
    subject: &'a Subject<'_>,
    container: &'a Container,
    profile: &Profile,
) -> (&'a str, &'static str) {
    if let Some(name) = annotated(subject, "service.name") {
        return (name, "by its annotation");
    }
    let mut labels = keys::NAME_LABELS
        .iter()
        .filter_map(|key| labelled(subject, key, profile));
    if let Some(name) = labels.next() {
        return (name, "by its label");
    }
    if let Some(owner) = subject.owners.iter().next_back() {
        return (&owner.name, "after its workload");
    }
    let metadata = &subject.pod.metadata;
    let is_there = |name: &&str| !name.is_empty();
    if let Some(name) = metadata.name.as_deref().filter(is_there) {
        return (name, "after the pod");
    }
    // The API server adds its random suffix after admission; what comes before it is stable.
    let generated = metadata.generate_name.as_deref();
    let generated = generated.map(|name| name.trim_end_matches('-'));
    if let Some(name) = generated.filter(is_there) {
        return (name, "after the pod");
    }
    (&container.name, "after the container")
}

/// All attributes by key, values encoded and with references to [`keys::FIELD_VARIABLES`]. The order of
/// precedence, lowest first: what is derived for `service.*`, the profile's, what Kubernetes tells, the pod's
/// annotations.
fn attributes<'a>(
    subject: &'a Subject<'_>,
    container: &'a Container,
    profile: &'a Profile,
) -> Attributes<'a> {
    let fixed = &profile.resource_attributes;
    let own = fixed.iter();
    let mut attributes: Attributes<'a> = own
        .map(|(key, value)| (key.as_str(), encode(value)))
        .collect();
    let namespace = subject
        .namespace
        .name
        .map_or(Cow::Borrowed("$(JAVELIN_NAMESPACE)"), encode);
    let name = encode(&container.name);
    let instance = format!("{namespace}.$(JAVELIN_POD_NAME).{name}");
    let mut set = |key: &'a str, value: Cow<'a, str>| {
        if !(key.starts_with("service.") && fixed.contains_key(key)) {
            attributes.insert(key, value);
        }
    };
    set("k8s.namespace.name", namespace.clone());
    set("k8s.pod.name", Cow::Borrowed("$(JAVELIN_POD_NAME)"));
    set("k8s.pod.uid", Cow::Borrowed("$(JAVELIN_POD_UID)"));
    set("k8s.node.name", Cow::Borrowed("$(JAVELIN_NODE_NAME)"));
    set("k8s.container.name", name);
    set("service.namespace", namespace);
    set("service.instance.id", Cow::Owned(instance));
    let version = labelled(subject, keys::VERSION_LABEL, profile).map(Cow::Borrowed);
    let version = version.or_else(|| container.image.as_deref().and_then(image::version));
    if let Some(version) = version {
        set("service.version", encoded(version));
    }
    for owner in subject.owners.iter() {
        if let Some(key) = owner_attribute(owner) {
            set(key, encode(&owner.name));
        }
    }
    for (attribute, value) in subject.pod.annotations_under(keys::RESOURCE_PREFIX) {
        // `service.name` has a variable of its own, and the SDK drops a pair without a value. What no attribute can be called
        // is no annotation either: the API server refuses such a pod.
        if attribute != "service.name" && is_attribute(attribute) && !value.is_empty() {
            attributes.insert(attribute, encode(value));
        }
    }
    attributes
}

/// As the variable has them.
fn joined(attributes: &Attributes<'_>) -> String {
    let pairs = attributes.iter();
    let length = pairs
        .clone()
        .map(|(key, value)| key.len() + value.len() + 2);
    let mut joined = String::with_capacity(length.sum());
    for (key, value) in pairs {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.extend([*key, "=", value.as_ref()]);
    }
    joined
}

fn annotated<'a>(subject: &Subject<'a>, attribute: &str) -> Option<&'a str> {
    let value = subject
        .pod
        .annotation(&format!("{}{attribute}", keys::RESOURCE_PREFIX))?
        .trim();
    (!value.is_empty()).then_some(value)
}

/// A recommended label, where the profile reads them.
fn labelled<'a>(subject: &Subject<'a>, key: &str, profile: &Profile) -> Option<&'a str> {
    let value = subject.pod.label(key)?.trim();
    (profile.use_labels && !value.is_empty()).then_some(value)
}

fn owner_attribute(owner: &Owner) -> Option<&'static str> {
    Kind::named(None, &owner.kind)?.attribute
}

/// Percent-encodes a value as the Java SDK decodes it: W3C Baggage's octets pass, less those that separate
/// pairs here, and less `$`, which the kubelet would look at, and `+`, which older SDKs read as a space.
pub(crate) fn encode(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte);
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
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
    Cow::Owned(encoded)
}

/// The same of a text that may be made for this.
fn encoded(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => encode(text),
        Cow::Owned(text) => Cow::Owned(encode(&text).into_owned()),
    }
}

#[cfg(test)]
mod tests;
