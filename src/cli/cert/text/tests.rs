use std::time::UNIX_EPOCH;

use super::*;
use crate::diagnose::certificates::{AuthorityReport, ReplicaReport, RotationStep, SecretReport};

const DAY: Duration = Duration::from_hours(24);

fn at(days: u32) -> Moment {
    Moment(UNIX_EPOCH + DAY * 20_000 + DAY * days)
}

#[test]
fn a_report_is_legible_without_colour() {
    let authority = |fingerprint: &str, role, days| AuthorityReport {
        fingerprint: fingerprint.to_owned(),
        role,
        not_before: at(0),
        not_after: at(730),
        trusted_until: at(days),
    };
    let entry = |name: &str, missing: &[&str], foreign: &[&str]| EntryReport {
        name: name.to_owned(),
        authorities: Some(vec!["aaaaaaaaaaaaaaaa".to_owned()]),
        equals_secret: Some(missing.is_empty() && foreign.is_empty()),
        missing: cells_of(missing),
        foreign: cells_of(foreign),
        ends: None,
    };
    let report = CertificateReport {
        time: at(1),
        service: "javelin.javelin-system.svc".to_owned(),
        secret: SecretReport {
            name: "javelin-system/javelin-ca".to_owned(),
            state: State::Sound,
            description: "authority aaaaaaaaaaaaaaaa signs".to_owned(),
            rotation_requested: false,
            authorities: vec![
                authority("aaaaaaaaaaaaaaaa", Role::Signing, 730),
                authority("bbbbbbbbbbbbbbbb", Role::Previous, 3),
            ],
        },
        webhook_configuration: "javelin".to_owned(),
        entries: vec![
            entry("pod.javelin.dev", &[], &[]),
            entry(
                "probe.javelin.dev",
                &["bbbbbbbbbbbbbbbb"],
                &["cccccccccccccccc"],
            ),
            EntryReport {
                authorities: Some(Vec::new()),
                ..entry("bare.javelin.dev", &["aaaaaaaaaaaaaaaa"], &[])
            },
        ],
        replicas: vec![
            ReplicaReport {
                pod: "javelin-1".to_owned(),
                ready: true,
                issuer: Some("aaaaaaaaaaaaaaaa".to_owned()),
                not_after: Some(at(2)),
                note: None,
            },
            ReplicaReport {
                pod: "javelin-22".to_owned(),
                ready: false,
                issuer: None,
                not_after: None,
                note: Some("has no certificate yet".to_owned()),
            },
        ],
        replicas_unknown: None,
        next: vec![
            RotationStep {
                from: None,
                what: "a replica writes".to_owned(),
            },
            RotationStep {
                from: Some(at(3)),
                what: "bbbbbbbbbbbbbbbb, which no longer signs, is removed".to_owned(),
            },
        ],
        problems: Vec::new(),
    };

    let expected = "\
Secret javelin-system/javelin-ca: authority aaaaaaaaaaaaaaaa signs
  AUTHORITY         ROLE      VALID FROM            VALID UNTIL                         TRUSTED UNTIL
  aaaaaaaaaaaaaaaa  signing   2024-10-04T00:00:00Z  2026-10-04T00:00:00Z (in 729 days)  2026-10-04T00:00:00Z (in 729 days)
  bbbbbbbbbbbbbbbb  previous  2024-10-04T00:00:00Z  2026-10-04T00:00:00Z (in 729 days)  2024-10-07T00:00:00Z (in 2 days)

Entries of MutatingWebhookConfiguration javelin that call javelin.javelin-system.svc
  ENTRY              TRUSTS
  pod.javelin.dev    aaaaaaaaaaaaaaaa  as the Secret
  probe.javelin.dev  aaaaaaaaaaaaaaaa  missing: bbbbbbbbbbbbbbbb; foreign: cccccccccccccccc
  bare.javelin.dev   (no caBundle)     missing: aaaaaaaaaaaaaaaa

Replicas
  POD         READY  AUTHORITY         VALID UNTIL
  javelin-1   yes    aaaaaaaaaaaaaaaa  2024-10-06T00:00:00Z (in 24 hours)
  javelin-22  no     -                 -                                   has no certificate yet

Next
  now: a replica writes
  2024-10-07T00:00:00Z (in 2 days): bbbbbbbbbbbbbbbb, which no longer signs, is removed
";
    assert_eq!(render(&report), expected);
}

fn cells_of(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn distances_have_two_of_their_unit_at_least() {
    let now = UNIX_EPOCH + DAY * 20_000;
    for (seconds, expected) in [
        (0, "in 0 seconds"),
        (119, "in 119 seconds"),
        (120, "in 2 minutes"),
        (7_199, "in 119 minutes"),
        (7_200, "in 2 hours"),
        (172_799, "in 47 hours"),
        (172_800, "in 2 days"),
        (7_344_000, "in 85 days"),
    ] {
        assert_eq!(distance(now + Duration::from_secs(seconds), now), expected);
    }
    assert_eq!(distance(now - DAY * 3, now), "3 days ago");
}
