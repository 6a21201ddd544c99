//! The entries of the webhook configuration: as they are, as the chart makes them, and what is different.
//!
//! `javelin check` tells a person of each difference, and the reconciler's metric counts them.
//!
//! Deliberately not here: reading them ([`api`](crate::api)), and the authorities that they trust
//! ([`certs`](crate::certs)).

use std::collections::BTreeMap;

use javelin_core::mutate::keys::CA_BUNDLE;

mod drift;
mod expected;
mod objects;

pub use drift::{Difference, Drift};
pub use expected::{Expected, OUR_ENTRIES, Switches, expected, expression};
#[cfg(test)]
pub(crate) use expected::{OWN_NAMESPACE, made};
pub use objects::{
    Callee, ClientConfig, Expression, MatchCondition, MutatingWebhook, Rule, Selector,
};

/// Does somebody else keep the caBundles of a webhook configuration with these annotations? Then the certificate is not
/// Javelin's own.
pub fn are_bundles_kept_elsewhere(annotations: Option<&BTreeMap<String, String>>) -> bool {
    annotations.is_some_and(|all| all.contains_key(CA_BUNDLE))
}

/// The profile in the path of an entry for namespaces.
pub fn profile(path: &str) -> Option<&str> {
    let prefixes = [
        "/mutate/namespace/",
        "/second-chance/namespace/",
        "/warn/workload/",
    ];
    prefixes.iter().find_map(|prefix| path.strip_prefix(prefix))
}
