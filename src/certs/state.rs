//! What to do next about certificates: one pure function of what is stored, published and served, and of the
//! time.
//!
//! Level-triggered: it looks at how things are, never at what happened, so that a crash at any point, an edit
//! by somebody else and another replica's work are all the same case. Whoever asks does what it says, reads
//! again and asks again, until there is nothing left.
//!
//! A rotation, each step by whichever replica comes first:
//!
//! ```text
//!            ca   next  previous   caBundle   leaves of
//! steady     A                     A          A
//! Prepare    A    B                A          A           two thirds of A's life are over, or somebody asks
//! Publish    A    B                A B        A           then a settle time, and a call that came through: Prove
//! Promote    B          A          A B        A, then B   each replica signs anew, when it has seen the same
//! Prune      B                     B          B           when the last leaf of A has ended
//! ```
//!
//! | stored | else | action |
//! |---|---|---|
//! | no Secret | | [`Action::Create`] it |
//! | nothing, or damaged | this replica knows what was there | [`Action::Restore`] that |
//! | nothing, or damaged, or expired | | [`Action::Replace`] the authority, and keep what is trusted |
//! | sound | a live bundle has an authority that is neither in it nor retired | [`Action::Adopt`] it: leaves may come from it |
//! | sound | two thirds over, or asked for | [`Action::Prepare`] a successor |
//! | a successor | asked for | [`Action::Prepare`] another: the key of this one lay in the same Secret |
//! | a successor | in every bundle for the settle time | [`Action::Prove`] |
//! | a successor | proven | [`Action::Promote`] it |
//! | a predecessor | its time is over | [`Action::Prune`] it |
//! | sound | some entry has another bundle | [`Action::Publish`] to those |
//! | sound | nothing is served, or its time has come, or the authority is another and proven | [`Action::Sign`] |
//!
//! Invariants, which a model of three replicas explores: every bundle that is published has the authority of
//! every leaf that may still be served; a leaf of a new authority is served only after that was published to
//! every entry, settled and proven, unless there is no trusted leaf to lose. Nothing that lay in the Secret when somebody
//! asked for a rotation is trusted once that is done and its predecessors are pruned.
//!
//! What is published never takes an authority out of a bundle that the Secret does not say is retired. A bundle is
//! swapped against the version that was looked at, so that holds whatever a replica has missed, and whatever was
//! restored to the Secret. One exception: with `MOST_KEPT` predecessors there is no room for another one, and an entry
//! that lacks something that the Secret has gets that, and nothing else.
//!
//! Deliberately not here: doing it, and clocks.

use std::time::SystemTime;

use super::store::{BundleEntry, Contents, Retired, Stored};
use super::trust::TrustLevel;
use super::{AuthorityCertificate, Lifetimes, Validity};

/// How things are.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The Secret.
    pub stored: &'a Stored,
    /// Does the Secret carry somebody's request to replace the authority?
    pub requested: bool,
    /// What this replica last knew to be in it.
    pub known: Option<&'a Contents>,
    /// The entries of the live webhook configuration that call us; `None` if there is no configuration.
    pub entries: Option<&'a [BundleEntry]>,
    /// The leaf that this replica serves.
    pub served: Option<&'a Served>,
    /// How authorities stand with API servers, as this replica has seen it. Those that are not named are unsettled.
    pub trust_levels: &'a [(AuthorityCertificate, TrustLevel)],
    /// Has a client refused the last switch to another authority, a short while ago?
    pub held: bool,
    /// How long certificates are to live.
    pub lifetimes: Lifetimes,
    /// The time of day.
    pub now: SystemTime,
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
    /// Create the Secret, without data; then look again.
    Create,
    /// Write what was known back to the Secret; then look again.
    Restore {
        /// What is to be there.
        contents: Contents,
        /// Why.
        cause: Cause,
    },
    /// Write a new authority to the Secret that signs at once, and keep these beside it; then look again.
    Replace {
        /// Why.
        cause: Cause,
        /// Predecessors to keep.
        previous: Vec<Retired>,
        /// Fingerprints of those that are not to be trusted again.
        retired: Vec<String>,
    },
    /// Write this to the Secret, with authorities that live bundles have and the Secret does not; then look again.
    Adopt(Contents),
    /// Write this, with a new authority as the successor, to the Secret; then look again.
    Prepare {
        /// Without a successor.
        contents: Contents,
        /// Why.
        cause: Cause,
    },
    /// Write this, in which the successor has become the authority, to the Secret; then look again.
    Promote(Contents),
    /// Write this, without the predecessors whose time is over, to the Secret; then look again.
    Prune(Contents),
    /// Write the stored bundle to the entries of these names; then look again.
    Publish(Vec<String>),
    /// Find out whether calls come through, and note that for this authority; then look again.
    Prove(AuthorityCertificate),
    /// Sign a leaf with the stored authority, or the known one, and serve it.
    Sign,
}

/// Why an authority is made or brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// There was none.
    Empty,
    /// There was something else; what was wrong with it.
    Damaged(String),
    /// Two thirds of its life are over.
    Old,
    /// Its life is over.
    Expired,
    /// Somebody asked for it.
    Requested,
}

/// What to do next, in this order. Empty: all is well.
pub fn next(observed: &Observed<'_>) -> Vec<Action> {
    match observed.stored {
        Stored::Missing => while_missing(observed),
        Stored::Empty => vec![mend(observed, &Cause::Empty, None, &[])],
        Stored::Damaged {
            error,
            usable,
            kept,
        } => {
            let cause = Cause::Damaged(error.to_string());
            vec![mend(observed, &cause, usable.as_ref(), kept)]
        }
        Stored::Sound(contents) => on_sound(contents, observed),
    }
}

/// No Secret: leaves are renewed with what is known. Without a webhook configuration either, the release is being
/// uninstalled, and the Secret is not to outlive it.
fn while_missing(observed: &Observed<'_>) -> Vec<Action> {
    let due = |served: &Served| served.renew_at <= observed.now;
    let sign = observed.known.is_some() && observed.served.is_none_or(due);
    let mut actions = Vec::new();
    if sign {
        actions.push(Action::Sign);
    }
    if observed.entries.is_some() {
        actions.push(Action::Create);
    }
    actions
}

/// Nothing in the Secret can be relied on, but what is known of it, or can still be read, stays trusted. What live
/// bundles have beyond that is adopted later, before anything is published.
fn mend(
    observed: &Observed<'_>,
    cause: &Cause,
    usable: Option<&Contents>,
    kept: &[AuthorityCertificate],
) -> Action {
    // A replica that has slept may know less than the Secret still says.
    let is_same = |known: &&Contents| {
        usable.is_none_or(|usable| usable.authority.certificate() == known.authority.certificate())
    };
    let known = observed.known.filter(is_same);
    let base = known
        .or(usable)
        .filter(|base| is_valid(base.authority.certificate(), observed.now));
    let mut previous = base.map_or_else(Vec::new, |base| base.previous.clone());
    for each in kept.iter().filter(|each| is_valid(each, observed.now)) {
        let is_new = !base.is_some_and(|base| base.trusts(each))
            && !previous.iter().any(|other| other.certificate == *each);
        if is_new {
            previous.push(retiring(each.clone(), observed));
        }
    }
    previous.truncate(MOST_KEPT);
    match base {
        Some(base) => Action::Restore {
            contents: Contents {
                previous,
                ..base.clone()
            },
            cause: cause.clone(),
        },
        None => Action::Replace {
            cause: cause.clone(),
            previous,
            retired: known
                .or(usable)
                .map_or_else(Vec::new, |base| base.retired.clone()),
        },
    }
}

fn on_sound(contents: &Contents, observed: &Observed<'_>) -> Vec<Action> {
    // First, since it needs nobody's permission: a write that fails must not keep a leaf from being renewed.
    let mut actions = Vec::from_iter(leaf(contents, observed));
    let mut forgotten = forgotten(contents, observed);
    let room = MOST_KEPT.saturating_sub(contents.previous.len());
    if room > 0 && !forgotten.is_empty() {
        forgotten.truncate(room);
        let mut contents = contents.clone();
        contents.previous.extend(forgotten);
        actions.push(Action::Adopt(contents));
        return actions;
    }
    // Without room for them, an entry that lacks nothing keeps them until there is.
    let has_them = |entry: &BundleEntry| {
        let mut forgotten = forgotten.iter();
        forgotten.any(|each| entry.authorities.contains(&each.certificate))
    };
    let is_left = |entry: &BundleEntry| {
        let mut trusted = contents.trusted();
        has_them(entry) && trusted.all(|each| entry.authorities.contains(each))
    };
    let entries = observed.entries.unwrap_or_default().iter();
    let stale: Vec<String> = entries
        .filter(|entry| !contents.is_bundle(&entry.bundle) && !is_left(entry))
        .map(|entry| entry.name.clone())
        .collect();
    if !stale.is_empty() {
        actions.push(Action::Publish(stale));
    }
    actions.extend(rotation(contents, observed));
    actions
}

/// Authorities in live bundles that the Secret has nothing of, not even that their time is over.
fn forgotten(contents: &Contents, observed: &Observed<'_>) -> Vec<Retired> {
    let mut forgotten: Vec<Retired> = Vec::new();
    let entries = observed.entries.unwrap_or_default().iter();
    for each in entries.flat_map(|entry| &entry.authorities) {
        let is_known = contents.trusts(each) || contents.is_retired(each);
        let is_new = forgotten.iter().all(|other| other.certificate != *each);
        if !is_known && is_new && is_valid(each, observed.now) {
            forgotten.push(retiring(each.clone(), observed));
        }
    }
    forgotten
}

/// Trusted for as long as leaves of it may be served.
fn retiring(authority: AuthorityCertificate, observed: &Observed<'_>) -> Retired {
    Retired::new(authority, observed.now + observed.lifetimes.retirement())
}

fn is_valid(authority: &AuthorityCertificate, now: SystemTime) -> bool {
    now <= authority.validity().not_after
}

/// What becomes of the leaf; nothing, for the time being, if there is nothing to do.
fn leaf(contents: &Contents, observed: &Observed<'_>) -> Option<Action> {
    let Some(served) = observed.served else {
        return Some(Action::Sign);
    };
    let signing = contents.authority.certificate();
    if served.issuer == *signing {
        return (served.renew_at <= observed.now).then_some(Action::Sign);
    }
    // Another authority's leaf: it stays until the new authority is proven, while it is of use at all.
    let mut entries = observed.entries.unwrap_or_default().iter();
    let is_trusted = contents.trusts(&served.issuer)
        || !contents.is_retired(&served.issuer)
            && entries.any(|entry| entry.authorities.contains(&served.issuer));
    if !served.validity.contains(observed.now) || !is_trusted {
        return Some(Action::Sign);
    }
    match trust_level(signing, observed) {
        TrustLevel::Proven | TrustLevel::Settled if served.is_ending(observed.now) => {
            Some(Action::Sign)
        }
        _ if observed.held => None,
        TrustLevel::Proven => Some(Action::Sign),
        TrustLevel::Settled => Some(Action::Prove(signing.clone())),
        TrustLevel::Unsettled => None,
    }
}

impl Served {
    /// Is it time to be less particular about what follows it? From the middle between the moment to renew it and its
    /// end.
    pub fn is_ending(&self, now: SystemTime) -> bool {
        let rest = self.validity.not_after.duration_since(self.renew_at);
        self.renew_at + rest.unwrap_or_default() / 2 <= now
    }
}

/// The next write to the Secret, or the question that comes before it.
fn rotation(contents: &Contents, observed: &Observed<'_>) -> Option<Action> {
    let now = observed.now;
    let validity = contents.authority.certificate().validity();
    let expired = validity.not_after < now;
    if observed.requested && contents.next.is_some() {
        return Some(without_successor(contents, expired));
    }
    if let Some(next) = &contents.next {
        let certificate = next.certificate();
        // It waited for too long to be proven, or clocks disagree.
        if certificate.validity().two_thirds() <= now && !expired {
            return Some(prepare(contents, Cause::Old));
        }
        // Too late to wait for a call to come through: the authority can hardly sign a whole leaf any more.
        let hurry = validity.not_after < now + observed.lifetimes.leaf;
        return match trust_level(certificate, observed) {
            _ if expired => Some(Action::Promote(promoted(contents, next, observed))),
            TrustLevel::Proven => Some(Action::Promote(promoted(contents, next, observed))),
            TrustLevel::Settled if hurry => {
                Some(Action::Promote(promoted(contents, next, observed)))
            }
            TrustLevel::Settled => Some(Action::Prove(certificate.clone())),
            TrustLevel::Unsettled => None,
        };
    }
    if expired {
        return Some(Action::Replace {
            cause: Cause::Expired,
            previous: contents.previous.clone(),
            retired: contents.retired.clone(),
        });
    }
    let cause = if observed.requested {
        Some(Cause::Requested)
    } else {
        (validity.two_thirds() <= now).then_some(Cause::Old)
    };
    // Nothing that is still trusted is given up for a new one: with too many of them, it waits.
    let cause = cause.filter(|_| contents.previous.len() < MOST_RETIRED);
    if let Some(cause) = cause {
        return Some(prepare(contents, cause));
    }
    pruned(contents, observed).map(Action::Prune)
}

fn trust_level(authority: &AuthorityCertificate, observed: &Observed<'_>) -> TrustLevel {
    let mut trust_levels = observed.trust_levels.iter();
    let found = trust_levels.find(|(each, _)| each == authority);
    found.map_or(TrustLevel::Unsettled, |(_, trust_level)| *trust_level)
}

fn prepare(contents: &Contents, cause: Cause) -> Action {
    let contents = Contents {
        next: None,
        ..contents.clone()
    };
    Action::Prepare { contents, cause }
}

/// Somebody asks for a rotation in the middle of one: whatever the reason, it holds for the successor as well. No leaf
/// comes from it yet, so it leaves the bundles at once, for good.
fn without_successor(contents: &Contents, expired: bool) -> Action {
    let discarded = contents
        .next
        .iter()
        .map(|next| next.certificate().fingerprint());
    let retired = remembered(discarded, contents);
    if expired {
        return Action::Replace {
            cause: Cause::Requested,
            previous: contents.previous.clone(),
            retired,
        };
    }
    let contents = Contents {
        retired,
        ..contents.clone()
    };
    prepare(&contents, Cause::Requested)
}

/// The fingerprints that are never trusted again, with these in front.
fn remembered(fingerprints: impl Iterator<Item = String>, contents: &Contents) -> Vec<String> {
    let mut retired: Vec<_> = fingerprints
        .chain(contents.retired.iter().cloned())
        .collect();
    retired.truncate(MOST_REMEMBERED);
    retired
}

fn promoted(contents: &Contents, next: &super::Authority, observed: &Observed<'_>) -> Contents {
    let mut previous = vec![retiring(contents.authority.certificate().clone(), observed)];
    previous.extend(contents.previous.iter().cloned());
    Contents {
        authority: next.clone(),
        next: None,
        previous,
        retired: contents.retired.clone(),
    }
}

/// Without the predecessors whose time is over, if there are any. That of our own leaf stays.
fn pruned(contents: &Contents, observed: &Observed<'_>) -> Option<Contents> {
    let is_ours = |each: &Retired| {
        observed.served.is_some_and(|served| {
            served.issuer == each.certificate && served.validity.contains(observed.now)
        })
    };
    let is_over = |each: &Retired| each.until < observed.now && !is_ours(each);
    let (over, previous): (Vec<_>, Vec<_>) = contents.previous.iter().cloned().partition(is_over);
    if over.is_empty() {
        return None;
    }
    let over = over.iter().map(|each| each.certificate.fingerprint());
    Some(Contents {
        previous,
        retired: remembered(over, contents),
        ..contents.clone()
    })
}

/// In the ordinary way there is one predecessor at a time; whoever asks for rotations faster than leaves end has to wait.
pub(crate) const MOST_RETIRED: usize = 4;

/// Damage that comes back again and again must not grow the bundle without a limit.
const MOST_KEPT: usize = 8;

/// Predecessors go four in two days at most ([`MOST_RETIRED`]), so these are five years of rotations without a pause, and an
/// authority lives for two. At 17 bytes each they are 70 KB of the 1 MiB that a Secret may have.
const MOST_REMEMBERED: usize = 4096;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
