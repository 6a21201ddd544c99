use super::*;
use crate::certs::{Authority, ServiceName};
use crate::time;

const SETTLE: Duration = Duration::from_secs(10);

fn authority() -> AuthorityCertificate {
    let name = ServiceName::new("javelin", "javelin-system").unwrap();
    let authority = Authority::generate(&name, Duration::from_hours(10), time::now()).unwrap();
    authority.certificate().clone()
}

fn entry(authorities: &[&AuthorityCertificate]) -> BundleEntry {
    let bundle: String = authorities.iter().map(|each| each.to_pem()).collect();
    BundleEntry {
        name: "a".to_owned(),
        bundle: bundle.into_bytes(),
        authorities: authorities.iter().map(|each| (*each).clone()).collect(),
    }
}

#[test]
fn an_authority_settles_in_every_entry_and_is_proven_after_that() {
    let (old, new) = (authority(), authority());
    let all = [&old, &new];
    let at = Instant::now();
    let mut trust = Trust::default();
    let later = |seconds| at + Duration::from_secs(seconds);

    trust.observe(&[entry(&all), entry(&[&old])], all.into_iter(), at);
    assert_eq!(
        trust.trust_level(&old, SETTLE, later(10)),
        TrustLevel::Settled
    );
    assert_eq!(
        trust.trust_level(&new, SETTLE, later(10)),
        TrustLevel::Unsettled
    );

    trust.observe(&[entry(&all), entry(&all)], all.into_iter(), later(5));
    assert_eq!(
        trust.trust_level(&new, SETTLE, later(14)),
        TrustLevel::Unsettled
    );
    assert_eq!(
        trust.trust_level(&new, SETTLE, later(15)),
        TrustLevel::Settled
    );
    trust.observe(&[entry(&all), entry(&all)], all.into_iter(), later(16));
    assert_eq!(
        trust.trust_level(&new, SETTLE, later(16)),
        TrustLevel::Settled
    );
    trust.prove(&new);
    assert_eq!(
        trust.trust_level(&new, SETTLE, later(16)),
        TrustLevel::Proven
    );
    assert_eq!(
        trust.trust_level(&old, SETTLE, later(16)),
        TrustLevel::Settled
    );

    // Wiped in between, however short: API servers may have seen that, too.
    trust.observe(&[entry(&all), entry(&[])], all.into_iter(), later(17));
    trust.observe(&[entry(&all), entry(&all)], all.into_iter(), later(18));
    assert_eq!(
        trust.trust_level(&new, SETTLE, later(27)),
        TrustLevel::Unsettled
    );
    assert_eq!(
        trust.trust_level(&new, SETTLE, later(28)),
        TrustLevel::Settled
    );
}

#[test]
fn what_a_client_has_refused_begins_again() {
    let new = authority();
    let at = Instant::now();
    let mut trust = Trust::default();
    trust.observe(&[entry(&[&new])], [&new].into_iter(), at);
    trust.prove(&new);
    assert_eq!(
        trust.trust_level(&new, SETTLE, at + SETTLE),
        TrustLevel::Proven
    );

    trust.forget(&new);
    trust.observe(&[entry(&[&new])], [&new].into_iter(), at + SETTLE);

    assert_eq!(
        trust.trust_level(&new, SETTLE, at + SETTLE),
        TrustLevel::Unsettled
    );
    assert_eq!(
        trust.trust_level(&new, SETTLE, at + SETTLE * 2),
        TrustLevel::Settled
    );
}
