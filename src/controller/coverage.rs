//! Does every profile have a webhook entry?
//!
//! A profile takes effect as soon as the configuration names it, but a namespace's label reaches us only through an
//! entry, which the chart renders. One that is applied without the other would be a silent failure.
//!
//! Deliberately not here: reading the entries ([`api`](crate::api)), and mending what is missing: entries are
//! the chart's.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use javelin_core::config::Config;

use crate::metrics::Metrics;

/// The configuration that is in use, held against the entries that there are.
#[derive(Debug)]
pub struct Coverage {
    config: Arc<ArcSwap<Config>>,
    metrics: Arc<Metrics>,
    /// What was last said, so that it is said once.
    said: Vec<String>,
}

impl Coverage {
    /// One that has not seen any entries yet.
    pub fn new(config: Arc<ArcSwap<Config>>, metrics: Arc<Metrics>) -> Self {
        Self {
            config,
            metrics,
            said: Vec::new(),
        }
    }

    /// Tells of the profiles that are not among those with an entry, in the metric and, when that has changed, in the
    /// log.
    pub(super) fn judge(&mut self, with_entry: &BTreeSet<String>) {
        let missing = without_entry(&self.config.load(), with_entry);
        let count = i64::try_from(missing.len()).unwrap_or(i64::MAX);
        self.metrics.profiles_without_entry.set(count);
        if missing == self.said {
            return;
        }
        if missing.is_empty() {
            tracing::info!("every profile has its webhook entry");
        } else {
            tracing::warn!(
                profiles = missing.join(","),
                "profiles without a webhook entry: naming one on a namespace has no effect; a profile in the chart's \
                 values gets its entry with the next `helm upgrade`"
            );
        }
        self.said = missing;
    }
}

fn without_entry(config: &Config, with_entry: &BTreeSet<String>) -> Vec<String> {
    let names = config.profiles().map(|profile| &profile.name);
    names
        .filter(|name| !with_entry.contains(*name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
