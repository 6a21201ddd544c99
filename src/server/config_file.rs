//! The configuration file, followed by content.
//!
//! Contents are compared on an interval. File events would be missed: a kubelet replaces a mounted ConfigMap by
//! swapping a symbolic link above it, and a watch on the file hears of the first swap only.
//!
//! Invariant: a file that cannot be used changes nothing but a metric and a log line; the last good
//! configuration stays.
//!
//! Deliberately not here: what a configuration may say ([`config`](javelin_core::config)).

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use javelin_core::config::{Config, ConfigError};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::metrics::Metrics;
use crate::time::now;

/// A file, and what was last read from it.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    current: Arc<ArcSwap<Config>>,
    changed: Arc<Notify>,
    /// What the file held when it was last judged; an error to read it is kept as its message.
    seen: Result<String, String>,
}

impl ConfigFile {
    /// Reads the file for the first time. There is no last good configuration yet, so any error is one.
    pub fn open(path: &Path) -> Result<Self, ConfigFileError> {
        let text = read(path)?;
        let config = Config::parse(&text, &path.to_string_lossy())?;
        warn_of(&config);
        Ok(Self {
            path: path.to_owned(),
            current: Arc::new(ArcSwap::from_pointee(config)),
            changed: Arc::default(),
            seen: Ok(text),
        })
    }

    /// Always the last good configuration.
    pub fn current(&self) -> Arc<ArcSwap<Config>> {
        Arc::clone(&self.current)
    }

    /// Notified of each configuration that is taken over.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Reads the file again and again.
    pub async fn follow(mut self, metrics: Arc<Metrics>) -> Infallible {
        metrics.config_in_effect(&self.current.load(), now());
        loop {
            sleep(POLL_INTERVAL).await;
            self.refresh(&metrics);
        }
    }

    /// Reads the file once more, and takes it over if it has changed for the good.
    fn refresh(&mut self, metrics: &Metrics) {
        // A few KiB from a local mount: not worth a blocking thread.
        let found = read(&self.path);
        let seen = found.as_ref().map_err(ToString::to_string).cloned();
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        let parsed = found.and_then(|text| Ok(Config::parse(&text, &self.path.to_string_lossy())?));
        metrics.config_reloaded(parsed.is_ok());
        match parsed {
            Ok(config) => {
                metrics.config_in_effect(&config, now());
                self.current.store(Arc::new(config));
                self.changed.notify_one();
                tracing::info!(path = %self.path.display(), "configuration reloaded");
                warn_of(&self.current.load());
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!(
                    error = format!("{error:#}"),
                    "configuration not reloaded; the last good one stays in use"
                );
            }
        }
    }
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says something that is refused.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
}

fn warn_of(config: &Config) {
    for warning in config.warnings() {
        tracing::warn!(warning, "configuration");
    }
}

fn read(path: &Path) -> Result<String, ConfigFileError> {
    std::fs::read_to_string(path).map_err(|source| ConfigFileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The kubelet itself takes up to a minute or two to bring a changed ConfigMap; ten seconds more do not matter.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
