//! What a configuration says and policies cannot.

use std::fmt;

use super::expressions;
use crate::config::{Config, DEFAULT_PROFILE, Profile};

/// A key of the configuration that policies cannot say. Display gives one sentence; [`Unsupported::hint`] what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Dotted, from the top of the file.
    pub path: String,
    /// Why not.
    pub problem: String,
    /// What to do.
    pub hint: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Everything that is in the way.
pub(super) fn all(config: &Config) -> Vec<Unsupported> {
    config
        .profiles()
        .flat_map(|profile| of_profile(profile, config))
        .collect()
}

fn of_profile(profile: &Profile, config: &Config) -> Vec<Unsupported> {
    let at = |key: &str| {
        if profile.name == DEFAULT_PROFILE {
            format!("{DEFAULT_PROFILE}.{key}")
        } else {
            format!("profiles.{}.{key}", profile.name)
        }
    };
    let mut refusals = Vec::new();
    if !profile.delivery.loads_agent() {
        refusals.push(Unsupported {
            path: at("delivery"),
            problem: "policies always load the agent".to_owned(),
            hint: "set the variables in the manifests (javelin inject), or use the webhook for this profile",
        });
    }
    if profile.agent.extensions.is_some() {
        refusals.push(Unsupported {
            path: at("agent.extensions"),
            problem: "policies bring the agent alone".to_owned(),
            hint: "put the extensions into the agent's image, or use the webhook for this profile",
        });
    }
    if profile.otlp.as_ref().is_some_and(|otlp| otlp.tls.is_some()) {
        refusals.push(Unsupported {
            path: at("otlp.tls"),
            problem: "policies mount no certificates".to_owned(),
            hint: "send to a collector of the cluster that needs none, or use the webhook for this profile",
        });
    }
    let entries = profile.env.len() + profile.resource_attributes.len();
    if entries > MAX_ENTRIES {
        refusals.push(Unsupported {
            path: at(if profile.env.len() > profile.resource_attributes.len() {
                "env"
            } else {
                "resourceAttributes"
            }),
            problem: format!(
                "the profile has {entries} variables and attributes: an expression that adds more than {MAX_ENTRIES} to \
                 each container costs more than the API server allows"
            ),
            hint: "say less in the profile, or use the webhook",
        });
    }
    let size = expressions::said(profile, config).chars().count();
    if size > MAX_LETTERS {
        refusals.push(Unsupported {
            path: at(if profile.env.is_empty() {
                "resourceAttributes"
            } else {
                "env"
            }),
            problem: format!(
                "the profile has {size} letters as an expression, and the API server reads {MAX_LETTERS}"
            ),
            hint: "say less in the profile, or use the webhook",
        });
    }
    refusals
}

/// Well within what a pod of 20 targets is tried with in `tests/cluster/policy.rs`.
const MAX_ENTRIES: usize = 100;

/// What the parser of expressions takes (`ParserExpressionSizeLimit` in cel-go).
const MAX_LETTERS: usize = 100_000;
