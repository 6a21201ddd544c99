use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::certs::{Authority, ServiceName};

const DAY: Duration = Duration::from_hours(24);
const LIFE: Duration = Duration::from_hours(24 * 300);

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn start() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY
}

fn contents(previous: Vec<AuthorityCertificate>) -> Contents {
    Contents {
        authority: Authority::generate(&name(), LIFE, start()).unwrap(),
        previous,
    }
}

/// Through the Secret's data and back, as the keeper sees it.
fn stored(contents: &Contents) -> Stored {
    let data = contents
        .to_data()
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Stored::read(&data.collect(), &name())
}

fn entry(name: &str, bundle: impl Into<Vec<u8>>) -> Entry {
    Entry {
        name: name.to_owned(),
        bundle: bundle.into(),
    }
}

fn served(issuer: &AuthorityCertificate, from: SystemTime) -> Served {
    Served {
        issuer: issuer.clone(),
        validity: Validity::starting(from, DAY),
        renew_at: from + DAY * 2 / 3,
    }
}

/// What is to be done, in short.
#[track_caller]
fn check(
    stored: &Stored,
    entries: &[Entry],
    served: Option<&Served>,
    now: SystemTime,
    expected: &str,
) {
    let actions = next(&Observed {
        stored,
        entries,
        served,
        now,
    });
    let short: Vec<String> = actions
        .iter()
        .map(|action| match action {
            Action::Replace {
                cause: Cause::Empty,
                previous,
            } => format!("replace empty +{}", previous.len()),
            Action::Replace {
                cause: Cause::Old,
                previous,
            } => format!("replace old +{}", previous.len()),
            Action::Replace {
                cause: Cause::Damaged(_),
                previous,
            } => format!("replace damaged +{}", previous.len()),
            Action::Prune(contents) => format!("prune +{}", contents.previous.len()),
            Action::Publish(names) => format!("publish {}", names.join(" ")),
            Action::Sign => "sign".to_owned(),
        })
        .collect();
    assert_eq!(short.join(", "), expected);
}

#[test]
fn the_first_replica_fills_the_secret_and_then_signs_and_publishes() {
    let contents = contents(Vec::new());
    let entries = [entry("a", ""), entry("b", "")];
    let bundled = [entry("a", contents.bundle()), entry("b", contents.bundle())];
    let served = served(contents.authority.certificate(), start());

    check(&Stored::Empty, &entries, None, start(), "replace empty +0");
    check(
        &stored(&contents),
        &entries,
        None,
        start(),
        "sign, publish a b",
    );
    check(&stored(&contents), &bundled, Some(&served), start(), "");
}

#[test]
fn only_entries_with_another_bundle_are_published_to() {
    let contents = contents(Vec::new());
    let served = served(contents.authority.certificate(), start());
    let stored = stored(&contents);
    let other = self::contents(Vec::new()).bundle();
    let spaced = format!("\n{}\n\n", contents.bundle().replace('\n', "\r\n"));
    let twofold = contents.bundle() + &other;
    let case = |bundle: &str, expected: &str| {
        let entries = [entry("right", contents.bundle()), entry("this", bundle)];
        check(&stored, &entries, Some(&served), start(), expected);
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
    let old = contents(Vec::new());
    let new = contents(vec![old.authority.certificate().clone()]);
    let served = served(new.authority.certificate(), start());
    let swapped = old.bundle() + &new.authority.certificate().to_pem();

    check(
        &stored(&new),
        &[entry("a", swapped)],
        Some(&served),
        start(),
        "",
    );
}

#[test]
fn a_leaf_is_renewed_when_its_time_has_come() {
    let contents = contents(Vec::new());
    let entries = [entry("a", contents.bundle())];
    let served = served(contents.authority.certificate(), start());
    let stored = stored(&contents);

    check(
        &stored,
        &entries,
        Some(&served),
        served.renew_at - Duration::from_secs(1),
        "",
    );
    check(&stored, &entries, Some(&served), served.renew_at, "sign");
    // Publishing may be failing at the time; the same authority's leaf does not depend on it.
    check(
        &stored,
        &[entry("a", "")],
        Some(&served),
        served.renew_at,
        "sign, publish a",
    );
}

#[test]
fn an_old_authority_is_replaced_and_kept_while_it_is_valid() {
    let contents = contents(Vec::new());
    let stored = stored(&contents);
    let expired = contents.authority.certificate().validity().not_after + DAY;

    check(&stored, &[], None, start() + LIFE / 2, "sign");
    check(&stored, &[], None, start() + LIFE * 2 / 3, "replace old +1");
    check(&stored, &[], None, expired, "replace old +0");
}

#[test]
fn a_new_authoritys_leaf_waits_until_every_entry_trusts_it() {
    let old = contents(Vec::new());
    let new = contents(vec![old.authority.certificate().clone()]);
    let stored = stored(&new);
    let served = served(old.authority.certificate(), start());
    let untold = [entry("a", new.bundle()), entry("b", old.bundle())];
    let told = [entry("a", new.bundle()), entry("b", new.bundle())];

    check(&stored, &untold, Some(&served), start(), "publish b");
    // Not even when it is due: it is still valid and trusted.
    check(
        &stored,
        &untold,
        Some(&served),
        served.renew_at,
        "publish b",
    );
    check(
        &stored,
        &untold,
        Some(&served),
        start() + 2 * DAY,
        "sign, publish b",
    );
    check(&stored, &told, Some(&served), start(), "sign");
}

#[test]
fn a_leaf_that_nothing_will_trust_is_replaced_at_once() {
    let (gone, new) = (contents(Vec::new()), contents(Vec::new()));
    let served = served(gone.authority.certificate(), start());

    check(
        &stored(&new),
        &[entry("a", gone.bundle())],
        Some(&served),
        start(),
        "sign, publish a",
    );
}

#[test]
fn an_expired_predecessor_is_pruned_in_the_secret_first() {
    let old = Authority::generate(&name(), DAY, start()).unwrap();
    let contents = contents(vec![old.certificate().clone()]);
    let served = served(contents.authority.certificate(), start());
    let entries = [entry("a", contents.bundle())];

    check(
        &stored(&contents),
        &entries,
        Some(&served),
        start() + DAY / 2,
        "",
    );
    check(
        &stored(&contents),
        &entries,
        None,
        start() + 2 * DAY,
        "prune +0",
    );
}

#[test]
fn whatever_cannot_sign_is_replaced_and_what_is_still_trusted_is_kept() {
    let contents = contents(Vec::new());
    let (certificate, key) = (
        contents.authority.certificate().to_pem(),
        contents.authority.key_pem(),
    );
    let stranger = Authority::generate(
        &ServiceName::new("javelin", "other").unwrap(),
        LIFE,
        start(),
    )
    .unwrap();
    let stranger = (stranger.certificate().to_pem(), stranger.key_pem());
    let case = |data: &[(&str, &str)], expected: &str| {
        let data: BTreeMap<String, Vec<u8>> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
            .collect();
        check(&Stored::read(&data, &name()), &[], None, start(), expected);
    };

    case(&[("ca.crt", ""), ("ca.key", "")], "replace empty +0");
    case(&[("unrelated", "x")], "replace empty +0");
    case(&[("ca.crt", &certificate)], "replace damaged +1");
    case(&[("ca.key", &key)], "replace damaged +0");
    case(
        &[("ca.crt", "nonsense"), ("ca.key", &key)],
        "replace damaged +0",
    );
    case(
        &[("ca.crt", &certificate), ("ca.key", "nonsense")],
        "replace damaged +1",
    );
    case(
        &[("ca.crt", &stranger.0), ("ca.key", &stranger.1)],
        "replace damaged +0",
    );
    case(
        &[
            ("ca.crt", &certificate),
            ("ca.key", &key),
            ("previous.crt", "nonsense"),
        ],
        "sign",
    );
}

#[test]
fn both_replicas_compute_the_same_bundle() {
    let old = contents(Vec::new());
    let written = contents(vec![old.authority.certificate().clone()]);
    let (Stored::Sound(one), Stored::Sound(other)) = (stored(&written), stored(&written)) else {
        panic!("what was written is sound");
    };

    assert_eq!(one.bundle(), other.bundle());
    assert_eq!(one.bundle(), written.bundle());
    assert_eq!(one.previous, written.previous);
}
