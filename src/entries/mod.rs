//! The entries of the webhook configuration: as they are, as the chart makes them, and what is different.
//!
//! `javelin check` tells a person of each difference, and the reconciler's metric counts them.
//!
//! Deliberately not here: reading them ([`api`](crate::api)), and the authorities that they trust
//! ([`certs`](crate::certs)).

mod drift;
mod expected;
mod objects;

pub use drift::{Difference, Drift};
pub use expected::{Expected, OUR_ENTRIES, Switches, expected, expression};
pub use objects::{
    Callee, ClientConfig, Expression, MatchCondition, MutatingWebhook, Rule, Selector,
};

/// The profile in the path of an entry for namespaces.
pub fn profile(path: &str) -> Option<&str> {
    let prefixes = [
        "/mutate/namespace/",
        "/second-chance/namespace/",
        "/warn/workload/",
    ];
    prefixes.iter().find_map(|prefix| path.strip_prefix(prefix))
}
