//! How the option that loads the agent gets into `JAVA_TOOL_OPTIONS` without losing what is there.
//!
//! | the container has | we do |
//! |---|---|
//! | nothing | set it |
//! | a literal | append, in place |
//! | `valueFrom` something that must exist | rename that entry, refer to it right behind it |
//! | `valueFrom` a key that may be absent | the same, with an empty entry of the private name before it |
//! | nothing, and the pod states the image's options | append to those |
//! | only `envFrom` | one optional reference to the key for each source, in order: envFrom's own meaning |
//!
//! An unresolved `$(X)` would stay literal and stop the JVM ("Unrecognized option: $(X)"): hence the empty
//! entry before each one that may be absent. Deliberately absent: a look at the ConfigMap or Secret itself.

use serde_json::{Value, json};

use super::{
    environment::Environment,
    expansion::{self, Literals},
    java::{self, JAVA_TOOL_OPTIONS},
    keys::{self, OPTIONS_VARIABLE},
    pod::{Container, EnvFrom, EnvVar},
    reason::Reason,
};

/// What the composition depends on beside the container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    /// The pod's own word on the base value, when admission cannot see it.
    pub base: Option<&'a str>,
    /// The profile's `composeOptional`.
    pub compose_optional: bool,
}

/// Adds the agent's option to the environment, or says why that cannot be done.
pub(super) fn add_agent(
    environment: &mut Environment,
    container: &Container,
    settings: Settings<'_>,
) -> Result<(), Reason> {
    match java::effective(container.env(), JAVA_TOOL_OPTIONS) {
        Some((
            at,
            EnvVar {
                value_from: Some(source),
                ..
            },
        )) => match (presence(source), settings.base) {
            (Presence::Unknown, Some(base)) => on_stated_base(environment, Some(at), base),
            (presence, _) => on_reference(environment, container, at, presence, settings),
        },
        Some((at, _)) => on_literal(environment, container, at),
        None => match settings.base {
            Some(base) => on_stated_base(environment, None, base),
            None => on_env_from(environment, container, settings),
        },
    }
}

/// The pod states what the image, or something that we cannot look into, has; its own entries need no statement.
fn on_stated_base(
    environment: &mut Environment,
    at: Option<usize>,
    base: &str,
) -> Result<(), Reason> {
    if java::words(base).is_none() {
        return Err(Reason::InvalidAnnotation {
            key: keys::JAVA_TOOL_OPTIONS_BASE.to_owned(),
            problem:
                "a quote has no partner, and the JVM refuses to start with it; close the quote"
                    .to_owned(),
        });
    }
    let variable = EnvVar::literal(JAVA_TOOL_OPTIONS, joined(&expansion::escape(base)));
    match at {
        Some(at) => environment.replace(at, variable),
        None => environment.push(variable),
    }
    Ok(())
}

fn on_literal(
    environment: &mut Environment,
    container: &Container,
    at: usize,
) -> Result<(), Reason> {
    let literals = Literals::of(container.env());
    let expanded = literals.get(JAVA_TOOL_OPTIONS).unwrap_or_default();
    if java::words(expanded).is_none() {
        return Err(Reason::UnparsableOptions {
            container: container.name.clone(),
            variable: JAVA_TOOL_OPTIONS.to_owned(),
        });
    }
    let value = environment
        .variables()
        .get(at)
        .and_then(|variable| variable.value.as_deref());
    environment.set_value(at, joined(value.unwrap_or_default()));
    Ok(())
}

fn on_reference(
    environment: &mut Environment,
    container: &Container,
    at: usize,
    presence: Presence,
    settings: Settings<'_>,
) -> Result<(), Reason> {
    let mut at = at;
    match presence {
        Presence::Required => {}
        Presence::Optional if settings.compose_optional => {
            // Where the key is absent, the kubelet falls back to an earlier entry of the name, or to envFrom.
            let is_earlier = container
                .env()
                .iter()
                .take(at)
                .any(|earlier| earlier.name == JAVA_TOOL_OPTIONS);
            let fallback = if is_earlier {
                "$(JAVA_TOOL_OPTIONS)"
            } else {
                ""
            };
            let references = container.env_from().iter().filter_map(key_reference);
            let references: Vec<_> = references.filter(|_| !is_earlier).collect();
            environment.insert(at, EnvVar::literal(OPTIONS_VARIABLE, fallback));
            at += 1;
            for reference in references {
                environment.insert(at, from_key(reference));
                at += 1;
            }
        }
        Presence::Optional => {
            return Err(Reason::OptionalOptions {
                container: container.name.clone(),
            });
        }
        Presence::Unknown => {
            return Err(Reason::UnknownOptionsSource {
                container: container.name.clone(),
            });
        }
    }
    environment.rename(at, OPTIONS_VARIABLE);
    environment.insert(at + 1, composed());
    Ok(())
}

fn on_env_from(
    environment: &mut Environment,
    container: &Container,
    settings: Settings<'_>,
) -> Result<(), Reason> {
    let references: Vec<_> = container
        .env_from()
        .iter()
        .filter_map(key_reference)
        .collect();
    if references.is_empty() {
        environment.push(EnvVar::literal(JAVA_TOOL_OPTIONS, keys::JAVAAGENT_OPTION));
        return Ok(());
    }
    if !settings.compose_optional {
        return Err(Reason::OptionalOptions {
            container: container.name.clone(),
        });
    }
    environment.push(EnvVar::literal(OPTIONS_VARIABLE, ""));
    for reference in references {
        environment.push(from_key(reference));
    }
    environment.push(composed());
    Ok(())
}

/// Can the source be absent when the container starts?
#[derive(Debug, Clone, Copy)]
enum Presence {
    Required,
    Optional,
    Unknown,
}

fn presence(source: &Value) -> Presence {
    let Some(fields) = source.as_object() else {
        return Presence::Unknown;
    };
    let mut presence = Presence::Unknown;
    for (kind, reference) in fields.iter().filter(|(_, reference)| !reference.is_null()) {
        presence = match kind.as_str() {
            "fieldRef" | "resourceFieldRef" => Presence::Required,
            "configMapKeyRef" | "secretKeyRef" | "fileKeyRef" => {
                match reference.get("optional").and_then(Value::as_bool) {
                    Some(true) => Presence::Optional,
                    _ => Presence::Required,
                }
            }
            _ => return Presence::Unknown,
        };
    }
    presence
}

/// The reference to the key of a source that would become `JAVA_TOOL_OPTIONS`, if its prefix allows any.
fn key_reference(source: &EnvFrom) -> Option<Value> {
    let key = JAVA_TOOL_OPTIONS.strip_prefix(source.prefix.as_deref().unwrap_or_default())?;
    if key.is_empty() {
        return None;
    }
    let (kind, reference) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(reference), _) => ("configMapKeyRef", reference),
        (None, Some(reference)) => ("secretKeyRef", reference),
        (None, None) => return None,
    };
    Some(json!({ kind: { "name": reference.name, "key": key, "optional": true } }))
}

fn from_key(reference: Value) -> EnvVar {
    EnvVar {
        name: OPTIONS_VARIABLE.to_owned(),
        value: None,
        value_from: Some(reference),
    }
}

fn composed() -> EnvVar {
    EnvVar::literal(
        JAVA_TOOL_OPTIONS,
        format!("$({OPTIONS_VARIABLE}) {}", keys::JAVAAGENT_OPTION),
    )
}

fn joined(base: &str) -> String {
    if base.is_empty() {
        return keys::JAVAAGENT_OPTION.to_owned();
    }
    format!("{base} {}", keys::JAVAAGENT_OPTION)
}
