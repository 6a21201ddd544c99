//! How surely API servers trust an authority: for how long it has been in every caBundle, and whether a call came
//! through since.
//!
//! Kept by each replica for itself, on the clock that only goes forward. A time in the Secret would be another
//! replica's clock, which may be an hour off, and a replica that starts anew only waits once more.
//!
//! Deliberately not here: what follows from it ([`state`](super::state)), and asking for a call to come through.

use std::time::{Duration, Instant};

use super::AuthorityCertificate;
use super::store::{BundleEntry, bundle_certificates};

/// How far an authority has come with API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustLevel {
    /// Some entry's bundle lacks it, or it has not been there for long.
    Unsettled,
    /// In every entry's bundle for as long as API servers need to read it.
    Settled,
    /// And a call came through after that.
    Proven,
}

/// What one replica has seen.
#[derive(Debug, Default)]
pub struct Trust {
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    authority: AuthorityCertificate,
    since: Instant,
    proven: bool,
}

impl Trust {
    /// Looks at the entries as they are `at` this moment. An authority that any of them lacks has to begin again.
    pub fn observe<'a>(
        &mut self,
        entries: &[BundleEntry],
        authorities: impl Iterator<Item = &'a AuthorityCertificate>,
        at: Instant,
    ) {
        let bundles: Vec<_> = entries
            .iter()
            .map(|entry| bundle_certificates(&entry.bundle).unwrap_or_default())
            .collect();
        let everywhere = |authority: &AuthorityCertificate| {
            bundles
                .iter()
                .all(|bundle| bundle.contains(authority.der()))
        };
        let mut seen = Vec::new();
        for authority in authorities.filter(|each| everywhere(each)) {
            let before = self
                .seen
                .iter()
                .position(|each| each.authority == *authority);
            seen.push(before.map_or_else(
                || Seen {
                    authority: authority.clone(),
                    since: at,
                    proven: false,
                },
                |before| self.seen.swap_remove(before),
            ));
        }
        self.seen = seen;
    }

    /// A call came through that began after `authority` had settled.
    pub fn prove(&mut self, authority: &AuthorityCertificate) {
        for each in &mut self.seen {
            each.proven |= each.authority == *authority;
        }
    }

    /// A client has refused what `authority` signed: it has to begin again.
    pub fn forget(&mut self, authority: &AuthorityCertificate) {
        self.seen.retain(|each| each.authority != *authority);
    }

    /// How `authority` stands `at` this moment, if `settle` is how long API servers may take.
    pub fn trust_level(
        &self,
        authority: &AuthorityCertificate,
        settle: Duration,
        at: Instant,
    ) -> TrustLevel {
        let seen = self.seen.iter().find(|each| each.authority == *authority);
        match seen {
            Some(seen) if at.duration_since(seen.since) >= settle => {
                if seen.proven {
                    TrustLevel::Proven
                } else {
                    TrustLevel::Settled
                }
            }
            _ => TrustLevel::Unsettled,
        }
    }
}

#[cfg(test)]
mod tests;
