//! Values that are names: those that the agent knows by itself, and the reading of a key that takes one of a few.
//!
//! Source of the agent's: <https://opentelemetry.io/docs/languages/java/configuration/>.

use super::error::Problem;

/// The value that a key's text names.
pub(super) fn one_of<T, const N: usize>(
    key: &'static str,
    text: &str,
    choices: [(&'static str, T); N],
) -> Result<T, Problem> {
    let names = choices.each_ref().map(|(name, _)| *name);
    let found = choices.into_iter().find(|(name, _)| *name == text);
    found.map_or_else(
        || Err(not_one_of(key, text, &names)),
        |(_, value)| Ok(value),
    )
}

/// What is said of a text that names no value of its key.
pub(super) fn not_one_of(key: &'static str, text: &str, names: &[&str]) -> Problem {
    Problem::new(key, format!("{text:?} is not one of: {}", names.join(", ")))
}

pub(super) const PROPAGATORS: [&str; 8] = [
    "tracecontext",
    "baggage",
    "b3",
    "b3multi",
    "jaeger",
    "xray",
    "ottrace",
    "none",
];

pub(super) const SAMPLERS: [&str; 9] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
    "jaeger_remote",
    "parentbased_jaeger_remote",
    "xray",
];

pub(super) const EXPORTERS: [&str; 3] = ["otlp", "console", "none"];

pub(super) const METRICS_EXPORTERS: [&str; 4] = ["otlp", "prometheus", "console", "none"];
