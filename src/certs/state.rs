//! What to do next about certificates: one pure function of what is stored, published and served, and of the
//! time.
//!
//! Level-triggered: it looks at how things are, never at what happened, so that a crash at any point, an edit
//! by somebody else and another replica's work are all the same case. Whoever asks does what it says, reads
//! again and asks again, until there is nothing left.
//!
//! | stored | published | served | action |
//! |---|---|---|---|
//! | nothing, damaged, or two thirds over | | | [`Action::Replace`] the authority |
//! | a predecessor has expired | | | [`Action::Prune`] it |
//! | sound | some entry has another bundle | | [`Action::Publish`] to those |
//! | sound | | nothing, or two thirds over, or about to be untrusted | [`Action::Sign`] |
//! | sound | everywhere | another authority's leaf | [`Action::Sign`] |
//!
//! Invariant: a leaf of a new authority is not served before every entry trusts it, unless there is no trusted
//! leaf to lose.
//!
//! Deliberately not here: the overlap of two authorities with proof in between; until then a replacement keeps
//! its predecessor in the bundle.

use std::time::SystemTime;

use super::store::{Contents, Stored};
use super::{AuthorityCertificate, Validity};

/// How things are.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The Secret.
    pub stored: &'a Stored,
    /// The entries of the live webhook configuration that call us.
    pub entries: &'a [Entry],
    /// The leaf that this replica serves.
    pub served: Option<&'a Served>,
    /// The time of day.
    pub now: SystemTime,
}

/// An entry of the live webhook configuration.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its caBundle, PEM; empty when there is none.
    pub bundle: Vec<u8>,
}

/// The leaf that this replica serves.
#[derive(Debug, Clone)]
pub struct Served {
    /// Who signed it.
    pub issuer: AuthorityCertificate,
    /// When it is valid.
    pub validity: Validity,
    /// When it is to be replaced: two thirds of its life, and a little less at random.
    pub renew_at: SystemTime,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Write a new authority to the Secret, and keep these beside it; then look again.
    Replace {
        /// Why.
        cause: Cause,
        /// Predecessors to keep.
        previous: Vec<AuthorityCertificate>,
    },
    /// Write the same authority with fewer predecessors to the Secret; then look again.
    Prune(Contents),
    /// Write the stored bundle to the entries of these names; then look again.
    Publish(Vec<String>),
    /// Sign a leaf with the stored authority and serve it.
    Sign,
}

/// Why an authority is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// There was none.
    Empty,
    /// There was something else; what was wrong with it.
    Damaged(String),
    /// Two thirds of its life are over.
    Old,
}

/// What to do next, in this order. Empty: all is well.
pub fn next(observed: &Observed<'_>) -> Vec<Action> {
    let contents = match observed.stored {
        Stored::Empty => {
            return vec![Action::Replace {
                cause: Cause::Empty,
                previous: Vec::new(),
            }];
        }
        Stored::Damaged { error, kept } => {
            let mut previous = kept.clone();
            previous.retain(|each| observed.now <= each.validity().not_after);
            previous.truncate(MAX_PREVIOUS);
            return vec![Action::Replace {
                cause: Cause::Damaged(error.to_string()),
                previous,
            }];
        }
        Stored::Sound(contents) => contents,
    };
    if contents.authority.certificate().validity().two_thirds() <= observed.now {
        return vec![Action::Replace {
            cause: Cause::Old,
            previous: contents.still_valid(observed.now),
        }];
    }
    if let Some(pruned) = without_expired(contents, observed.now) {
        return vec![Action::Prune(pruned)];
    }

    let stale: Vec<String> = observed
        .entries
        .iter()
        .filter(|entry| !contents.is_bundle(&entry.bundle))
        .map(|entry| entry.name.clone())
        .collect();
    let mut actions = Vec::new();
    // First, since it needs nobody's permission: a publication that fails must not keep a leaf from being
    // renewed.
    if must_sign(contents, stale.is_empty(), observed) {
        actions.push(Action::Sign);
    }
    if !stale.is_empty() {
        actions.push(Action::Publish(stale));
    }
    actions
}

fn must_sign(contents: &Contents, published: bool, observed: &Observed<'_>) -> bool {
    let Some(served) = observed.served else {
        return true;
    };
    if served.issuer == *contents.authority.certificate() {
        return served.renew_at <= observed.now;
    }
    // Another authority's leaf: it stays until the new authority is trusted everywhere, while it is of use at
    // all.
    let of_use =
        served.validity.contains(observed.now) && contents.previous.contains(&served.issuer);
    published || !of_use
}

fn without_expired(contents: &Contents, now: SystemTime) -> Option<Contents> {
    let mut pruned = contents.clone();
    pruned
        .previous
        .retain(|each| now <= each.validity().not_after);
    (pruned.previous.len() < contents.previous.len()).then_some(pruned)
}

/// In the ordinary way there is one predecessor at a time. Damage that comes back again and again must not grow
/// the bundle.
const MAX_PREVIOUS: usize = 4;

#[cfg(test)]
mod tests;
