//! Logs: structured, to standard error, and also to a Collector, where that is wanted ([`otlp`]).
//!
//! Invariant: no pod contents, ever. A line about a review carries its entry, namespace, name, UID, outcome
//! code and whether it was a dry run; nothing else of the object. That is why the panic hook here tells where,
//! and not what: the message of a panic may quote the value that caused it.
//!
//! Deliberately not here: metrics ([`metrics`](crate::metrics)), and what the other verbs print.

use std::io;

use javelin_core::spelling;
use tracing_subscriber::filter::{LevelFilter, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use self::otlp::Otlp;

pub mod otlp;
pub mod traces;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter {filter:?} is not valid; an example: `info,javelin=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// What should be a level is none.
    #[error(
        "the log filter {filter:?} is not valid: {word:?} is no level; the nearest is {nearest}, and there are {}; \
         one for a part of the program is written javelin::certs=debug",
        LEVELS.join(", ")
    )]
    Level {
        /// What was given.
        filter: String,
        /// What stands where a level should.
        word: String,
        /// The level that is written most like it.
        nearest: &'static str,
    },
    /// Somebody else was first.
    #[error("a logger is already installed")]
    AlreadyInstalled(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Installs the process's logger and a panic hook that logs the place, never the message.
///
/// One line says so, whatever the filter keeps: who has set it too narrow sees at least that, and the filter. What the filter
/// keeps also goes to `otlp`, if that sends log lines.
pub fn init(format: LogFormat, filter: &str, otlp: Option<&Otlp>) -> Result<(), TelemetryError> {
    let filter = complete(filter)?;
    let parsed = EnvFilter::builder()
        .parse(&filter)
        .map_err(|source| TelemetryError::Filter {
            filter: filter.clone(),
            source,
        })?;
    tracing::subscriber::with_default(Registry::default().with(lines(format)), || {
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, log = filter, "starting");
    });
    let sent = otlp.and_then(Otlp::bridge);
    // What sending logs would be sent, and so without end.
    let sent = sent.map(|sent| sent.with_filter(filter_fn(|line| !is_of_sending(line.target()))));
    Registry::default()
        .with(lines(format))
        .with(sent)
        .with(parsed)
        .try_init()
        .map_err(|error| TelemetryError::AlreadyInstalled(error.into()))?;

    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or("unnamed"), "panic");
    }));
    Ok(())
}

fn lines(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer()
        .with_writer(io::stderr)
        // It would tell of a line that could not be written where it could not be written, and panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .boxed(),
    }
}

fn is_of_sending(target: &str) -> bool {
    let parts = [
        "hyper",
        "opentelemetry",
        "rustls",
        "javelin::telemetry::otlp",
    ];
    parts.iter().any(|part| target.starts_with(part))
}

/// The filter with a level for what it does not name. A word that is no level would be taken for the name of a part of
/// the program, and everything else be silenced.
fn complete(filter: &str) -> Result<String, TelemetryError> {
    let parts = || filter.split(',').map(str::trim);
    let mut has_level = false;
    for part in parts().filter(|part| !part.is_empty() && !part.contains(['[', ']', '{', '}'])) {
        let (target, word) = part.rsplit_once('=').unwrap_or(("", part));
        if word.is_empty() || word.parse::<LevelFilter>().is_err() {
            return Err(TelemetryError::Level {
                filter: filter.to_owned(),
                word: word.to_owned(),
                nearest: spelling::nearest(word, &LEVELS).map_or(DEFAULT, |(_, level)| level),
            });
        }
        has_level |= target.is_empty();
    }
    let default = [DEFAULT].into_iter().filter(|_| !has_level);
    let parts = default.chain(parts().filter(|part| !part.is_empty()));
    Ok(parts.collect::<Vec<_>>().join(","))
}

/// What is logged when nobody says anything, of the whole program or of the rest of it.
const DEFAULT: &str = "info";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_a_level_for_the_whole_program() {
        for (filter, expected) in [
            ("", "info"),
            (" , ", "info"),
            ("warn", "warn"),
            ("WARN", "WARN"),
            ("off", "off"),
            ("javelin::certs=debug", "info,javelin::certs=debug"),
            ("kube=trace, error", "kube=trace,error"),
            (
                "warn,javelin[span{a=b}]=debug",
                "warn,javelin[span{a=b}]=debug",
            ),
        ] {
            assert_eq!(complete(filter).unwrap(), expected, "{filter:?}");
            EnvFilter::builder().parse(expected).unwrap();
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_an_error_that_names_the_nearest() {
        for (filter, nearest) in [
            ("warning", "warn"),
            ("eror", "error"),
            ("javelin", "warn"),
            ("info,javelin::certs=debg", "debug"),
            ("info,debgu", "debug"),
            ("javelin=", "off"),
        ] {
            let error = complete(filter).unwrap_err().to_string();
            let said = format!("is no level; the nearest is {nearest}, ");
            assert!(error.contains(&said), "{error}");
        }
    }
}
