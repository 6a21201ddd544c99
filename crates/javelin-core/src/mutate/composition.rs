//! Values that admission cannot see, kept under a private name so that ours can be put beside them.
//!
//! | the container has | what becomes of it |
//! |---|---|
//! | `valueFrom` something that must exist | that entry gets the private name |
//! | `valueFrom` a key that may be absent | the same, with an empty entry of the private name before it |
//! | only `envFrom` | an empty entry, and one optional reference to the key for each source, in order: envFrom's own meaning |
//!
//! An unresolved `$(X)` would stay literal: hence the empty entry before each one that may be absent. Deliberately
//! absent: a look at the ConfigMap or Secret itself.

use serde_json::{Value, json};

use super::{
    environment::Environment,
    java,
    pod::{Container, EnvFrom, EnvVar},
};
use crate::steps;

/// A variable whose value is to be kept under another name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Composition<'a> {
    /// The variable.
    pub(super) name: &'static str,
    /// The name of ours that it gets.
    pub(super) private: &'static str,
    /// The container that it belongs to.
    pub(super) container: &'a Container,
    /// May a value be composed that is possibly absent at run time?
    pub(super) compose_optional: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nowhere, or a literal at that position.
    Visible(Option<usize>),
    /// An entry at that position that refers to something.
    Reference(usize),
    /// Perhaps from envFrom.
    EnvFrom,
}

/// Why a value cannot be composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It may be absent at run time, and the profile forbids that.
    Optional,
    /// It comes from a kind of source that this version does not know.
    UnknownSource,
}

impl Composition<'_> {
    /// Where the value comes from, by the last entry of the name: the one that the kubelet takes.
    pub(super) fn origin(&self, environment: &Environment<'_>) -> Origin {
        match java::effective(environment.variables(), self.name) {
            Some((at, variable)) if variable.value_from.is_some() => Origin::Reference(at),
            Some((at, _)) => Origin::Visible(Some(at)),
            None if self.sources().next().is_some() => Origin::EnvFrom,
            None => Origin::Visible(None),
        }
    }

    /// What keeps a value of that origin from being composed, if anything does.
    pub(super) fn obstacle(
        &self,
        environment: &Environment<'_>,
        origin: Origin,
    ) -> Option<Obstacle> {
        let presence = match origin {
            Origin::Visible(_) => return None,
            Origin::EnvFrom => Presence::Optional,
            Origin::Reference(at) => presence_at(environment, at),
        };
        match presence {
            Presence::Required => None,
            Presence::Optional => (!self.compose_optional).then_some(Obstacle::Optional),
            Presence::Unknown => Some(Obstacle::UnknownSource),
        }
    }

    /// Keeps a value that is not visible under the private name; gives the position right behind it.
    pub(super) fn keep(
        &self,
        environment: &mut Environment<'_>,
        origin: Origin,
    ) -> Result<usize, Obstacle> {
        if let Some(obstacle) = self.obstacle(environment, origin) {
            return Err(obstacle);
        }
        let Origin::Reference(at) = origin else {
            let end = environment.variables().len();
            return Ok(self.keep_all(environment, end, "", self.sources().collect()));
        };
        let mut at = at;
        if matches!(presence_at(environment, at), Presence::Optional) {
            let (fallback, references) = self.fallback(environment, at)?;
            at = self.keep_all(environment, at, &fallback, references);
        }
        environment.rename(at, self.private);
        Ok(at + 1)
    }

    /// What the kubelet falls back to where the optional key of the entry at `at` is absent: an earlier entry that
    /// surely has a value, else the last of envFrom and of earlier optional keys that is there, else nothing.
    fn fallback(
        &self,
        environment: &Environment<'_>,
        at: usize,
    ) -> Result<(String, Vec<Value>), Obstacle> {
        steps::take(at);
        let mut references: Vec<_> = self.sources().collect();
        for (position, earlier) in environment.variables().iter().enumerate().take(at) {
            if earlier.name != self.name {
                continue;
            }
            let Some(source) = &earlier.value_from else {
                return Ok((format!("$({})", self.name), Vec::new()));
            };
            match presence_at(environment, position) {
                Presence::Required => return Ok((format!("$({})", self.name), Vec::new())),
                Presence::Optional => references.push(source.clone()),
                Presence::Unknown => return Err(Obstacle::UnknownSource),
            }
        }
        Ok((String::new(), references))
    }

    /// Adds entries of the private name: one that is always there, then one for each reference. Gives the position
    /// behind them.
    fn keep_all(
        &self,
        environment: &mut Environment<'_>,
        at: usize,
        first: &str,
        references: Vec<Value>,
    ) -> usize {
        environment.insert(at, EnvVar::literal(self.private, first));
        let mut at = at + 1;
        for reference in references {
            let variable = EnvVar {
                name: self.private.to_owned(),
                value: None,
                value_from: Some(reference),
            };
            environment.insert(at, variable);
            at += 1;
        }
        at
    }

    fn sources(&self) -> impl Iterator<Item = Value> {
        steps::take(self.container.env_from().len());
        let sources = self.container.env_from().iter();
        sources.filter_map(|source| key_reference(source, self.name))
    }
}

/// Can the source be absent when the container starts?
#[derive(Debug, Clone, Copy)]
enum Presence {
    Required,
    Optional,
    Unknown,
}

fn presence_at(environment: &Environment<'_>, at: usize) -> Presence {
    let variable = environment.variables().get(at);
    let source = variable.and_then(|variable| variable.value_from.as_ref());
    let Some(fields) = source.and_then(Value::as_object) else {
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

/// The reference to the key of a source that would become that variable, if its prefix allows any.
fn key_reference(source: &EnvFrom, name: &str) -> Option<Value> {
    let key = name.strip_prefix(source.prefix.as_deref().unwrap_or_default())?;
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
