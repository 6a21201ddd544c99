//! What the SDK inside the agent is told beside the endpoint: propagators, sampler, exporters.
//!
//! Names are those of the specification's environment variables, as the Java SDK's autoconfiguration knows them; an
//! extension of the agent may bring others.

use super::{
    Profile,
    error::Problem,
    names::{EXPORTERS, METRICS_EXPORTERS, PROPAGATORS, SAMPLERS},
    raw::{RawExporters, RawSampler},
};
use crate::spelling;

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
        check_name(".sampler.type", name, &SAMPLERS)?;
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
        // What an extension's sampler takes, it says itself.
        Some(_) if !SAMPLERS.contains(&sampler) => Ok(()),
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
        for (path, exporter, known) in [
            (".exporters.traces", traces, &EXPORTERS[..]),
            (".exporters.metrics", metrics, &METRICS_EXPORTERS[..]),
            (".exporters.logs", logs, &EXPORTERS[..]),
        ] {
            if let Some(exporter) = exporter {
                check_name(path, exporter, known)?;
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
        check_name(".propagators", name, &PROPAGATORS)?;
    }
    if names.len() > 1 && names.iter().any(|name| name == "none") {
        return Err(Problem::new(".propagators", "none goes with no other"));
    }
    Ok(names.to_vec())
}

/// A known name, or one that an extension of the agent may bring; a list, a reference or a sentence is none.
fn check_name(path: &str, name: &str, known: &[&str]) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(Problem::new(
        path,
        format!("{name:?} is not a name such as {known}"),
    ))
}

impl Profile {
    /// What is said by a name that is not among the known ones: a sentence for each.
    pub(super) fn unknown_names(&self) -> impl Iterator<Item = String> {
        let Exporters {
            traces,
            metrics,
            logs,
        } = &self.exporters;
        let sampler = self.sampler.as_ref().map(|sampler| &sampler.name);
        let names = [
            ("sampler.type", sampler, &SAMPLERS[..]),
            ("exporters.traces", traces.as_ref(), &EXPORTERS),
            ("exporters.metrics", metrics.as_ref(), &METRICS_EXPORTERS),
            ("exporters.logs", logs.as_ref(), &EXPORTERS),
        ];
        let names = names
            .into_iter()
            .filter_map(|(key, name, known)| Some((key, name?, known)));
        let propagators = self.propagators.iter();
        let propagators = propagators.map(|name| ("propagators", name, &PROPAGATORS[..]));
        let unknown = names
            .chain(propagators)
            .filter(|(_, name, known)| !known.contains(&name.as_str()));
        unknown.map(|(key, name, known)| {
            let meant = spelling::meant(name, known);
            let meant = meant.map_or_else(String::new, |known| format!("; did you mean {known:?}?"));
            format!(
                "{key}: {name:?} is not a name that Javelin knows, so the agent or an extension of it has to bring it{meant}"
            )
        })
    }
}
