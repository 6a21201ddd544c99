//! What the SDK inside the agent is told beside the endpoint: propagators, sampler, exporters.
//!
//! Names are those of the specification's environment variables, as the Java SDK's autoconfiguration knows them.

use super::{
    error::Problem,
    raw::{RawExporters, RawSampler},
};

/// Which traces are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampler {
    /// `OTEL_TRACES_SAMPLER`.
    pub name: String,
    /// `OTEL_TRACES_SAMPLER_ARG`.
    pub argument: Option<String>,
}

/// What becomes of each signal; `None` leaves it to the agent, whose default is `otlp`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exporters {
    /// `OTEL_TRACES_EXPORTER`.
    pub traces: Option<String>,
    /// `OTEL_METRICS_EXPORTER`.
    pub metrics: Option<String>,
    /// `OTEL_LOGS_EXPORTER`.
    pub logs: Option<String>,
}

impl Sampler {
    pub(super) fn from_raw(raw: &RawSampler) -> Result<Option<Self>, Problem> {
        let RawSampler { r#type, argument } = raw;
        let Some(name) = r#type else {
            return match argument {
                None => Ok(None),
                Some(_) => Err(Problem::new(
                    ".sampler.type",
                    "missing; an argument alone has no effect",
                )),
            };
        };
        one_of(".sampler.type", name, &SAMPLERS)?;
        check_argument(name, argument.as_deref())
            .map_err(|problem| Problem::new(".sampler.argument", problem))?;
        Ok(Some(Self {
            name: name.clone(),
            argument: argument.clone(),
        }))
    }
}

/// The SDK fails to start, or falls back in silence, on an argument that does not fit.
fn check_argument(sampler: &str, argument: Option<&str>) -> Result<(), String> {
    let takes_ratio = sampler.ends_with("traceidratio");
    let takes_pairs = sampler.ends_with("jaeger_remote");
    match argument {
        None => Ok(()),
        Some(text) if takes_ratio => {
            let ratio = text
                .parse::<f64>()
                .ok()
                .filter(|ratio| (0.0..=1.0).contains(ratio));
            ratio
                .map(drop)
                .ok_or_else(|| format!("{text:?} is not a ratio between 0 and 1, such as 0.25"))
        }
        Some(text) if takes_pairs => {
            let is_pair = |pair: &str| {
                pair.split_once('=')
                    .is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
            };
            let all = text.split(',').all(is_pair);
            all.then_some(()).ok_or_else(|| format!("{text:?} is not a list such as endpoint=http://c:14250,initialSamplingRate=0.25"))
        }
        Some(_) => Err(format!("{sampler} takes none")),
    }
}

impl Exporters {
    pub(super) fn from_raw(raw: &RawExporters) -> Result<Self, Problem> {
        let RawExporters {
            traces,
            metrics,
            logs,
        } = raw;
        for (path, exporter) in [
            (".exporters.traces", traces),
            (".exporters.metrics", metrics),
            (".exporters.logs", logs),
        ] {
            if let Some(exporter) = exporter {
                one_of(
                    path,
                    exporter,
                    if path.ends_with("metrics") {
                        &METRICS_EXPORTERS
                    } else {
                        &EXPORTERS
                    },
                )?;
            }
        }
        Ok(Self {
            traces: traces.clone(),
            metrics: metrics.clone(),
            logs: logs.clone(),
        })
    }
}

pub(super) fn propagators(names: &[String]) -> Result<Vec<String>, Problem> {
    for name in names {
        one_of(".propagators", name, &PROPAGATORS)?;
    }
    if names.len() > 1 && names.iter().any(|name| name == "none") {
        return Err(Problem::new(".propagators", "none goes with no other"));
    }
    Ok(names.to_vec())
}

fn one_of(path: &str, value: &str, known: &[&str]) -> Result<(), Problem> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(Problem::new(
        path,
        format!("{value:?} is not one of: {}", known.join(", ")),
    ))
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
