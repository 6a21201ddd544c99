use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::certs::store::authorities;
use crate::certs::{Authority, ServiceName};

const DAY: Duration = Duration::from_hours(24);
const LIFE: Duration = Duration::from_hours(24 * 300);

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn start() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY
}

fn authority() -> Authority {
    Authority::generate(&name(), LIFE, start()).unwrap()
}

fn contents(previous: &[&AuthorityCertificate]) -> Contents {
    let retired = |each: &&AuthorityCertificate| Retired::new((*each).clone(), start() + 2 * DAY);
    Contents {
        previous: previous.iter().map(retired).collect(),
        ..Contents::new(authority())
    }
}

/// Through the Secret's data and back, as the reconciler sees it.
fn stored(contents: &Contents) -> Stored {
    let data = contents
        .to_data()
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Stored::read(&data.collect(), &name())
}

fn entry(name: &str, bundle: impl Into<Vec<u8>>) -> BundleEntry {
    let bundle = bundle.into();
    BundleEntry {
        name: name.to_owned(),
        authorities: authorities(&bundle, &self::name()),
        bundle,
    }
}

fn served(issuer: &AuthorityCertificate, from: SystemTime) -> Served {
    Served {
        issuer: issuer.clone(),
        validity: Validity::starting(from, DAY),
        renew_at: from + DAY * 2 / 3,
    }
}

/// How things are; at first, nothing has happened at all.
struct World {
    stored: Stored,
    requested: bool,
    known: Option<Contents>,
    entries: Vec<BundleEntry>,
    served: Option<Served>,
    trust_levels: Vec<(AuthorityCertificate, TrustLevel)>,
    held: bool,
    now: SystemTime,
}

impl World {
    fn new(stored: Stored) -> Self {
        Self {
            stored,
            requested: false,
            known: None,
            entries: Vec::new(),
            served: None,
            trust_levels: Vec::new(),
            held: false,
            now: start(),
        }
    }

    /// All is well: `contents` stored and published, and a leaf of its authority served.
    fn steady(contents: &Contents) -> Self {
        Self {
            known: Some(contents.clone()),
            entries: vec![entry("a", contents.bundle()), entry("b", contents.bundle())],
            served: Some(served(contents.authority.certificate(), start())),
            ..Self::new(stored(contents))
        }
    }

    fn next(&self) -> Vec<Action> {
        next(&Observed {
            stored: &self.stored,
            requested: self.requested,
            known: self.known.as_ref(),
            entries: Some(&self.entries),
            served: self.served.as_ref(),
            trust_levels: &self.trust_levels,
            held: self.held,
            lifetimes: Lifetimes::default(),
            now: self.now,
        })
    }

    /// What is to be done, in short.
    #[track_caller]
    fn check(&self, expected: &str) {
        let actions = self.next();
        let short: Vec<String> = actions.iter().map(short).collect();
        assert_eq!(short.join(", "), expected);
    }
}

fn short(action: &Action) -> String {
    let cause = |cause: &Cause| match cause {
        Cause::Damaged(_) => "damaged".to_owned(),
        cause => format!("{cause:?}").to_lowercase(),
    };
    match action {
        Action::Create => "create".to_owned(),
        Action::Restore {
            contents,
            cause: why,
        } => format!("restore {} +{}", cause(why), contents.previous.len()),
        Action::Replace {
            cause: why,
            previous,
            ..
        } => format!("replace {} +{}", cause(why), previous.len()),
        Action::Adopt(contents) => format!("adopt +{}", contents.previous.len()),
        Action::Prepare { cause: why, .. } => format!("prepare {}", cause(why)),
        Action::Promote(contents) => format!("promote +{}", contents.previous.len()),
        Action::Prune(contents) => format!("prune +{}", contents.previous.len()),
        Action::Publish(names) => format!("publish {}", names.join(" ")),
        Action::Prove(_) => "prove".to_owned(),
        Action::Sign => "sign".to_owned(),
    }
}

#[test]
fn the_first_replica_fills_the_secret_and_then_signs_and_publishes() {
    let contents = contents(&[]);
    let unpublished = World {
        entries: vec![entry("a", ""), entry("b", "")],
        ..World::new(Stored::Empty)
    };

    unpublished.check("replace empty +0");
    World {
        stored: stored(&contents),
        ..unpublished
    }
    .check("sign, publish a b");
    World::steady(&contents).check("");
}

#[test]
fn only_entries_with_another_bundle_are_published_to() {
    let contents = contents(&[]);
    let other = ServiceName::new("javelin", "other").unwrap();
    let other = Authority::generate(&other, LIFE, start()).unwrap();
    let other = other.certificate().to_pem();
    let spaced = format!("\n{}\n\n", contents.bundle().replace('\n', "\r\n"));
    let twofold = contents.bundle() + &other;
    let case = |bundle: &str, expected: &str| {
        World {
            entries: vec![entry("right", contents.bundle()), entry("this", bundle)],
            ..World::steady(&contents)
        }
        .check(expected);
    };

    case(&contents.bundle(), "");
    case(&spaced, "");
    case("", "publish this");
    case("nonsense", "publish this");
    case(&other, "publish this");
    case(&twofold, "publish this");
}

#[test]
fn order_within_a_bundle_does_not_matter() {
    let old = contents(&[]);
    let new = contents(&[old.authority.certificate()]);
    let swapped = old.bundle() + &new.authority.certificate().to_pem();

    World {
        entries: vec![entry("a", swapped)],
        ..World::steady(&new)
    }
    .check("");
}

#[test]
fn a_leaf_is_renewed_when_its_time_has_come_whatever_else_fails() {
    let contents = contents(&[]);
    let mut world = World::steady(&contents);
    let due = start() + DAY * 2 / 3;

    world.now = due - Duration::from_secs(1);
    world.check("");
    world.now = due;
    world.check("sign");
    world.entries = vec![entry("a", "")];
    world.check("sign, publish a");
    world.stored = Stored::Missing;
    world.check("sign, create");
}

#[test]
fn a_rotation_goes_step_by_step() {
    let old = contents(&[]);
    let mut world = World {
        now: start() + LIFE * 2 / 3,
        ..World::steady(&old)
    };
    world.served = Some(served(old.authority.certificate(), world.now));
    world.check("prepare old");

    let prepared = Contents {
        next: Some(authority()),
        ..old.clone()
    };
    let next = prepared.next.as_ref().unwrap().certificate().clone();
    world.stored = stored(&prepared);
    world.now = start();
    world.served = Some(served(old.authority.certificate(), start()));
    world.check("publish a b");
    world.entries = vec![entry("a", prepared.bundle()), entry("b", prepared.bundle())];
    world.check("");
    world.trust_levels = vec![(next.clone(), TrustLevel::Settled)];
    world.check("prove");
    world.trust_levels = vec![(next.clone(), TrustLevel::Proven)];
    world.check("promote +1");

    let Some(Action::Promote(promoted)) = world.next().pop() else {
        panic!("it is to be promoted");
    };
    assert!(*promoted.authority.certificate() == next && promoted.next.is_none());
    // The same bundle: nothing is published again.
    world.stored = stored(&promoted);
    world.check("sign");
    world.trust_levels = vec![(next.clone(), TrustLevel::Settled)];
    world.check("prove");
    world.trust_levels = Vec::new();
    world.check("");

    world.served = Some(served(&next, start()));
    world.check("");
    world.now = start() + 2 * DAY + Duration::from_secs(1);
    world.served = Some(served(&next, world.now));
    world.check("prune +0");
}

#[test]
fn somebody_can_ask_for_a_rotation() {
    let contents = contents(&[]);
    let asked = World {
        requested: true,
        ..World::steady(&contents)
    };
    asked.check("prepare requested");

    // Nothing that is still trusted is given up for it.
    let certificates: Vec<_> = (0..4).map(|_| authority()).collect();
    let many: Vec<_> = certificates.iter().map(Authority::certificate).collect();
    let full = self::contents(&many);
    World {
        requested: true,
        ..World::steady(&full)
    }
    .check("");
}

#[test]
fn a_request_discards_the_successor_that_leaked_with_the_authority() {
    let mut contents = contents(&[]);
    let leaked = authority();
    contents.next = Some(leaked.clone());
    let mut world = World {
        requested: true,
        trust_levels: vec![(leaked.certificate().clone(), TrustLevel::Proven)],
        ..World::steady(&contents)
    };

    world.check("prepare requested");
    let Some(Action::Prepare { contents, .. }) = world.next().pop() else {
        panic!("another is to be prepared");
    };
    assert!(contents.next.is_none() && contents.is_retired(leaked.certificate()));

    // Not even an expired authority makes way for it.
    world.now = start() + LIFE + DAY;
    world.check("sign, replace requested +0");
    let Some(Action::Replace { retired, .. }) = world.next().pop() else {
        panic!("another is to be made");
    };
    assert_eq!(retired, [leaked.certificate().fingerprint()]);
}

#[test]
fn an_authority_that_can_hardly_sign_any_more_does_not_wait_for_the_proof() {
    let mut contents = contents(&[]);
    let late = start() + LIFE - DAY / 2;
    let next = Authority::generate(&name(), LIFE, late).unwrap();
    contents.next = Some(next.clone());
    let mut world = World {
        now: late,
        ..World::steady(&contents)
    };
    world.served = Some(served(contents.authority.certificate(), late));

    world.check("");
    world.trust_levels = vec![(next.certificate().clone(), TrustLevel::Settled)];
    world.check("promote +1");

    world.trust_levels = Vec::new();
    world.now = start() + LIFE + DAY;
    world.check("sign, promote +1");
}

#[test]
fn a_successor_that_waited_for_too_long_is_made_anew() {
    let young = Authority::generate(&name(), 10 * LIFE, start()).unwrap();
    let mut contents = Contents::new(young);
    contents.next = Some(authority());
    let mut world = World {
        now: start() + LIFE * 2 / 3,
        ..World::steady(&contents)
    };
    world.served = Some(served(contents.authority.certificate(), world.now));

    world.check("prepare old");
}

#[test]
fn an_expired_authority_without_a_successor_is_replaced_at_once() {
    let contents = contents(&[]);
    World {
        now: start() + LIFE + DAY,
        ..World::steady(&contents)
    }
    .check("sign, replace expired +0");
}

#[test]
fn a_new_authoritys_leaf_waits_until_every_entry_trusts_it_and_calls_come_through() {
    let old = contents(&[]);
    let new = contents(&[old.authority.certificate()]);
    let signing = new.authority.certificate().clone();
    let mut world = World {
        served: Some(served(old.authority.certificate(), start())),
        entries: vec![entry("a", new.bundle()), entry("b", old.bundle())],
        ..World::steady(&new)
    };

    world.check("publish b");
    // Not even when it is due: it is still valid and trusted.
    world.now = start() + DAY * 2 / 3;
    world.check("publish b");
    world.now = start() + DAY + Duration::from_secs(1);
    world.check("sign, publish b");

    world.entries = vec![entry("a", new.bundle())];
    let ending = start() + DAY * 5 / 6;
    for (now, trust_level, held, expected) in [
        (start(), TrustLevel::Unsettled, false, ""),
        (start(), TrustLevel::Settled, false, "prove"),
        (start(), TrustLevel::Proven, false, "sign"),
        (start(), TrustLevel::Settled, true, ""),
        (start(), TrustLevel::Proven, true, ""),
        // Before it ends, it is exchanged for what has settled at least, refused or not.
        (ending, TrustLevel::Unsettled, false, ""),
        (ending, TrustLevel::Settled, false, "sign"),
        (ending, TrustLevel::Settled, true, "sign"),
        (ending, TrustLevel::Proven, true, "sign"),
    ] {
        world.now = now;
        world.trust_levels = vec![(signing.clone(), trust_level)];
        world.held = held;
        world.check(expected);
    }
}

#[test]
fn whoever_refuses_for_ever_delays_a_switch_and_nothing_else() {
    let old = contents(&[]);
    let mut new = contents(&[old.authority.certificate()]);
    let next = authority();
    new.next = Some(next.clone());
    let mut world = World {
        served: Some(served(old.authority.certificate(), start())),
        trust_levels: vec![(next.certificate().clone(), TrustLevel::Proven)],
        held: true,
        ..World::steady(&new)
    };
    world.check("promote +2");

    // Nor is the old authority trusted for longer.
    new.next = None;
    world.stored = stored(&new);
    world.entries = vec![entry("a", new.bundle())];
    world.now = start() + 2 * DAY + Duration::from_secs(1);
    world.check("sign, prune +0");
}

#[test]
fn an_authority_of_a_live_bundle_is_adopted_before_a_bundle_without_it_is_published() {
    let (old, new) = (contents(&[]), contents(&[]));
    let mut world = World {
        served: Some(served(old.authority.certificate(), start())),
        entries: vec![entry("a", old.bundle()), entry("b", "")],
        ..World::steady(&new)
    };
    world.check("adopt +1");
    world.entries.truncate(1);
    world.check("adopt +1");

    let Some(Action::Adopt(adopted)) = world.next().pop() else {
        panic!("it is to be adopted");
    };
    world.stored = stored(&adopted);
    world.check("publish a");

    // Its time was over: the bundle is an old one.
    let mut retired = new.clone();
    retired.retired = vec![old.authority.certificate().fingerprint()];
    world.stored = stored(&retired);
    world.check("sign, publish a");

    // Somebody else has published without it, so that nobody trusts it any more.
    world.stored = stored(&new);
    world.entries = vec![entry("a", new.bundle())];
    world.check("sign");
}

#[test]
fn what_is_adopted_has_a_limit_and_is_valid() {
    let expired = Authority::generate(&name(), DAY, start() - 2 * DAY).unwrap();
    let many: String = (0..10)
        .map(|_| authority().certificate().to_pem())
        .collect();
    let contents = contents(&[]);
    let mut world = World::steady(&contents);

    world.entries = vec![entry("a", expired.certificate().to_pem())];
    world.check("publish a");
    world.entries = vec![entry("a", many.clone())];
    world.check("adopt +8");

    // What there is no room for stays where it is, as long as nothing else is missing there.
    let Some(Action::Adopt(full)) = world.next().pop() else {
        panic!("they are to be adopted");
    };
    world.stored = stored(&full);
    world.entries = vec![entry("a", contents.bundle() + &many)];
    world.check("");
    world.entries = vec![entry("a", many)];
    world.check("publish a");
}

#[test]
fn whatever_was_retired_once_is_never_adopted_again() {
    let leaked = authority();
    let mut contents = contents(&[authority().certificate()]);
    // Long ago: many others were retired since.
    contents.retired = (0..100).map(|each| format!("{each:016x}")).collect();
    contents.retired.push(leaked.certificate().fingerprint());
    let over = start() + 2 * DAY + Duration::from_secs(1);
    let mut world = World {
        now: over,
        ..World::steady(&contents)
    };
    world.served = Some(served(contents.authority.certificate(), over));
    let Some(Action::Prune(pruned)) = world.next().pop() else {
        panic!("a predecessor is to be pruned");
    };

    world.stored = stored(&pruned);
    let old_bundle = pruned.bundle() + &leaked.certificate().to_pem();
    world.entries = vec![entry("a", old_bundle)];
    world.check("publish a");
}

#[test]
fn a_predecessor_is_kept_for_its_time_and_for_our_own_leaf() {
    let old = authority();
    let contents = contents(&[old.certificate()]);
    let mut world = World::steady(&contents);
    let over = start() + 2 * DAY + Duration::from_secs(1);

    world.check("");
    world.now = over;
    world.served = Some(served(contents.authority.certificate(), over));
    world.check("prune +0");
    let Some(Action::Prune(pruned)) = world.next().pop() else {
        panic!("it is to be pruned");
    };
    assert!(pruned.is_retired(old.certificate()));
    world.served = Some(served(old.certificate(), over));
    world.check("");
}

/// The data of a Secret, as it may be found.
type Found = &'static [(&'static str, &'static str)];

/// What is wrong, what has replaced what, and what follows for who does not know what was there and for who does.
const DAMAGES: [(&str, Found, &str, &str); 9] = [
    (
        "nothing",
        &[
            ("ca.crt", ""),
            ("ca.key", ""),
            ("next.crt", ""),
            ("next.key", ""),
            ("previous.crt", ""),
        ],
        "replace empty +0",
        "restore empty +1",
    ),
    (
        "no key",
        &[("ca.key", "")],
        "replace damaged +3",
        "restore damaged +1",
    ),
    (
        "a foreign key",
        &[("ca.key", "stranger")],
        "replace damaged +3",
        "restore damaged +1",
    ),
    (
        "no certificate",
        &[("ca.crt", "")],
        "replace damaged +2",
        "restore damaged +1",
    ),
    (
        "another release's",
        &[("ca.crt", "stranger"), ("ca.key", "stranger")],
        "replace damaged +2",
        "restore damaged +1",
    ),
    (
        "not even text",
        &[("ca.crt", "\u{0}nonsense")],
        "replace damaged +2",
        "restore damaged +1",
    ),
    (
        "no key of the successor",
        &[("next.key", "")],
        "restore damaged +2",
        "restore damaged +1",
    ),
    (
        "predecessors cut off",
        &[("previous.crt", "half")],
        "restore damaged +0",
        "restore damaged +1",
    ),
    (
        "predecessors all gone",
        &[("previous.crt", "blank")],
        "restore damaged +0",
        "restore damaged +1",
    ),
];

#[test]
fn whatever_cannot_be_used_is_mended_and_what_is_trusted_stays() {
    let old = authority();
    let mut good = contents(&[old.certificate()]);
    good.next = Some(authority());
    let stranger = Authority::generate(
        &ServiceName::new("javelin", "other").unwrap(),
        LIFE,
        start(),
    )
    .unwrap();
    for (what, changes, without_memory, with_memory) in DAMAGES {
        let mut data: BTreeMap<_, _> = good
            .to_data()
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect();
        for (key, value) in changes {
            let value = match (*value, *key) {
                ("stranger", "ca.crt") => stranger.certificate().to_pem(),
                ("stranger", _) => stranger.key_pem().to_string(),
                ("half", _) => old.certificate().to_pem()[..200].to_owned(),
                ("blank", _) => "\n".to_owned(),
                (text, _) => text.to_owned(),
            };
            data.insert((*key).to_owned(), value.into());
        }
        let mut world = World::new(Stored::read(&data, &name()));
        let short_of = |world: &World| {
            world
                .next()
                .iter()
                .map(short)
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(short_of(&world), without_memory, "{what}, unknown");
        world.known = Some(good.clone());
        assert_eq!(short_of(&world), with_memory, "{what}, known");
        let Some(Action::Restore { contents, .. }) = world.next().pop() else {
            panic!("{what}: it is to be restored");
        };
        assert!(good.trusted().all(|each| contents.trusts(each)), "{what}");
    }
}

#[test]
fn a_missing_secret_is_created_while_there_is_a_configuration() {
    let contents = contents(&[]);
    let mut world = World {
        stored: Stored::Missing,
        ..World::steady(&contents)
    };
    world.check("create");

    world.entries = Vec::new();
    let actions = next(&Observed {
        stored: &world.stored,
        requested: false,
        known: world.known.as_ref(),
        entries: None,
        served: world.served.as_ref(),
        trust_levels: &[],
        held: false,
        lifetimes: Lifetimes::default(),
        now: world.now,
    });
    assert!(
        actions.is_empty(),
        "the release is being uninstalled: {actions:?}"
    );
}

#[test]
fn all_replicas_compute_the_same_bundle() {
    let old = contents(&[]);
    let written = contents(&[old.authority.certificate()]);
    let (Stored::Sound(one), Stored::Sound(other)) = (stored(&written), stored(&written)) else {
        panic!("what was written is sound");
    };

    assert_eq!(one.bundle(), other.bundle());
    assert_eq!(one.bundle(), written.bundle());
    assert_eq!(one.previous, written.previous);
}
