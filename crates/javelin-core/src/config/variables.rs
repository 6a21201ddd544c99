//! Which variables may be set by hand: in a profile's `env`, and in the pod annotations `javelin.dev/env.<NAME>`.

use std::collections::BTreeMap;

use super::error::Problem;

pub(super) fn check(env: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Problem> {
    for (name, value) in env {
        if let Some(problem) = refuse_in_profile(name, value) {
            return Err(Problem::new(format!(".env.{name}"), problem));
        }
    }
    Ok(env.clone())
}

/// Why a variable cannot be set in a profile's `env`, if so.
pub(super) fn refuse_in_profile(name: &str, value: &str) -> Option<String> {
    let has_key = HAVE_KEYS.iter().find(|(taken, _)| *taken == name);
    refuse_variable(name, value).or_else(|| Some(has_key?.1.to_owned()))
}

/// Why a variable cannot be set by hand, if so.
pub fn refuse_variable(name: &str, value: &str) -> Option<String> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Some(
            "a variable's name has letters, digits and _, and does not start with a digit"
                .to_owned(),
        );
    }
    if name.starts_with("JAVELIN_") {
        return Some("variables of that prefix are Javelin's own".to_owned());
    }
    // The agent then also starts in keytool, jcmd and the like, which it leaves alone by itself.
    if name == "OTEL_JAVAAGENT_ENABLED" && value != "false" {
        return Some(
            "it switches off the agent's own guard for JDK tools; leave it out".to_owned(),
        );
    }
    let instead = INSTEAD.iter().find(|(taken, _)| *taken == name)?;
    Some(instead.1.to_owned())
}

/// Variables that a profile has keys for, which know what belongs together; a pod's annotation may set them all the same.
const HAVE_KEYS: [(&str, &str); 3] = [
    (
        "OTEL_SERVICE_NAME",
        "every pod of the profile would have it; annotate pods with resource.opentelemetry.io/service.name",
    ),
    ("OTEL_TRACES_SAMPLER", "use sampler.type"),
    ("OTEL_TRACES_SAMPLER_ARG", "use sampler.argument"),
];

/// Variables that are put together from several sources, and what to use for them.
pub(crate) const INSTEAD: [(&str, &str); 2] = [
    (
        "JAVA_TOOL_OPTIONS",
        "ours is appended to it; state a base value in the pod annotation javelin.dev/java-tool-options",
    ),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "use resourceAttributes, or the pod annotation resource.opentelemetry.io/<attribute>",
    ),
];
