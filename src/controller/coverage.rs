//! Are the webhook's entries those of the configuration?
//!
//! A profile takes effect as soon as the configuration names it, but a namespace's label reaches us only through an
//! entry, which the chart renders. One that is applied without the other would be a silent failure, and so would an entry
//! that somebody has changed.
//!
//! Deliberately not here: reading the entries ([`api`](crate::api)), what they should be ([`entries`](crate::entries)), and
//! mending what is missing: entries are the chart's.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use javelin_core::config::Config;

use crate::entries::{Drift, MutatingWebhook};
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

    /// Tells, in metrics, how far the entries that call us are from what the chart makes, and of profiles without an entry
    /// also in the log, when that has changed.
    pub(super) fn judge(&mut self, own_namespace: &str, entries: &[MutatingWebhook]) {
        let config = self.config.load();
        let drift = Drift::of_entries(&config, own_namespace, entries);
        self.metrics.webhook_entries_drifted(drift);
        let paths = entries.iter().filter_map(MutatingWebhook::path);
        let with_entry = paths.filter_map(|path| path.strip_prefix("/mutate/namespace/"));
        let missing = without_entry(&config, &with_entry.collect());
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

fn without_entry(config: &Config, with_entry: &BTreeSet<&str>) -> Vec<String> {
    let names = config.profiles().map(|profile| &profile.name);
    names
        .filter(|name| !with_entry.contains(name.as_str()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
