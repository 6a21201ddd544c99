//! How the option that loads the agent gets into `JAVA_TOOL_OPTIONS` without losing what is there.
//!
//! | the container has | we do |
//! |---|---|
//! | nothing | set it |
//! | a literal | append, in place |
//! | our option already | leave it |
//! | nothing, and the pod states the image's options | append to those |
//! | `valueFrom` or `envFrom` | keep that under a private name, and refer to it (see `composition`) |

use super::{
    composition::{Composition, Obstacle, Origin},
    environment::Environment,
    expansion,
    java::{self, JAVA_TOOL_OPTIONS, Shown},
    keys::{self, OPTIONS_VARIABLE},
    pod::{Container, EnvVar},
    reason::Reason,
};

/// What the option depends on beside the container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    /// The option that loads the agent: one word, without quotes.
    pub option: &'a str,
    /// The profile's `composeOptional`.
    pub compose_optional: bool,
}

/// Adds the agent's option to the environment, or says why that cannot be done.
pub(super) fn add_agent(
    environment: &mut Environment<'_>,
    shown: &Shown<'_>,
    settings: Settings<'_>,
) -> Result<(), Reason> {
    let Settings {
        option,
        compose_optional,
    } = settings;
    let container = shown.container;
    let composition = composition(container, compose_optional);
    let origin = composition.origin(environment);
    let obstacle = composition.obstacle(environment, origin);
    // The pod's own word on what admission cannot see.
    match (origin, shown.base) {
        (Origin::Visible(Some(at)), _) => on_literal(environment, shown, at, option)?,
        (Origin::Visible(None), None) => {
            environment.push(EnvVar::literal(JAVA_TOOL_OPTIONS, option));
        }
        (Origin::Visible(None) | Origin::EnvFrom, Some(base)) => {
            environment.push(on_stated_base(base, option)?);
        }
        (Origin::Reference(at), Some(base)) if obstacle.is_some() => {
            environment.replace(at, on_stated_base(base, option)?);
        }
        (hidden @ (Origin::Reference(_) | Origin::EnvFrom), _) => {
            let behind = composition
                .keep(environment, hidden)
                .map_err(|obstacle| reason(obstacle, container))?;
            let composed = format!("$({OPTIONS_VARIABLE}) {option}");
            environment.insert(behind, EnvVar::literal(JAVA_TOOL_OPTIONS, composed));
        }
    }
    Ok(())
}

/// How the container's own value is kept where it cannot be seen.
pub(super) fn composition(container: &Container, compose_optional: bool) -> Composition<'_> {
    Composition {
        name: JAVA_TOOL_OPTIONS,
        private: OPTIONS_VARIABLE,
        container,
        compose_optional,
    }
}

fn reason(obstacle: Obstacle, container: &Container) -> Reason {
    let container = container.name.clone();
    match obstacle {
        Obstacle::Optional => Reason::OptionalOptions { container },
        Obstacle::UnknownSource => Reason::UnknownOptionsSource { container },
    }
}

/// The pod states what the image, or something that we cannot look into, has; its own entries need no statement.
fn on_stated_base(base: &str, option: &str) -> Result<EnvVar, Reason> {
    if java::words(base).is_none() {
        return Err(Reason::InvalidAnnotation {
            key: keys::JAVA_TOOL_OPTIONS_BASE.to_owned(),
            problem:
                "a quote has no partner, and the JVM refuses to start with it; close the quote"
                    .to_owned(),
        });
    }
    let value = joined(&expansion::escape(base), option);
    Ok(EnvVar::literal(JAVA_TOOL_OPTIONS, value))
}

fn on_literal(
    environment: &mut Environment<'_>,
    shown: &Shown<'_>,
    at: usize,
    option: &str,
) -> Result<(), Reason> {
    let value = environment
        .variables()
        .get(at)
        .and_then(|variable| variable.value.as_deref())
        .unwrap_or_default();
    // As it is written where it is too large to be resolved: ours is seen in it a second time.
    let expanded = shown.literals.get(JAVA_TOOL_OPTIONS).unwrap_or(value);
    let words = java::words(expanded).ok_or_else(|| Reason::UnparsableOptions {
        container: shown.container.name.clone(),
        variable: JAVA_TOOL_OPTIONS.to_owned(),
    })?;
    if words.iter().any(|word| java::is_ours(word, option)) {
        return Ok(());
    }
    let value = joined(value, option);
    environment.set_value(at, value);
    Ok(())
}

fn joined(base: &str, option: &str) -> String {
    if base.is_empty() {
        return option.to_owned();
    }
    format!("{base} {option}")
}
