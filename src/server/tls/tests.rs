use std::time::Duration;

use super::*;
use crate::certs::Authority;
use crate::time;

const DAY: Duration = Duration::from_hours(24);

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn authority() -> Authority {
    Authority::generate(&name(), 30 * DAY, time::now()).unwrap()
}

/// webpki is the verifier that we did not write.
#[test]
fn the_bundle_verifies_the_leaf_for_our_name_now_and_nothing_else() {
    let (ours, others) = (authority(), authority());
    let identity = Identity::new();
    identity
        .install(ours.sign_leaf(&name(), DAY, time::now()).unwrap())
        .unwrap();
    let (our_bundle, other_bundle) = (
        [ours.certificate().der().clone()],
        [others.certificate().der().clone()],
    );
    let both = [other_bundle[0].clone(), our_bundle[0].clone()];
    let another = ServiceName::new("javelin", "other").unwrap();

    identity.verify(&our_bundle, &name(), time::now()).unwrap();
    identity.verify(&both, &name(), time::now()).unwrap();
    let refused = |bundle: &[CertificateDer<'static>], name: &ServiceName, now| {
        identity.verify(bundle, name, now).unwrap_err()
    };
    assert!(matches!(
        refused(&other_bundle, &name(), time::now()),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&our_bundle, &another, time::now()),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&our_bundle, &name(), time::now() + 2 * DAY),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&our_bundle, &name(), time::now() - DAY),
        TlsError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&[], &name(), time::now()),
        TlsError::Bundle(_)
    ));
    assert!(matches!(
        refused(&[vec![1, 2, 3].into()], &name(), time::now()),
        TlsError::Bundle(_)
    ));
}

/// The name constraint binds: our own authority cannot vouch for anybody else.
#[test]
fn a_leaf_for_another_name_is_refused_even_if_our_authority_signed_it() {
    let ours = authority();
    let another = ServiceName::new("kube-apiserver", "default").unwrap();
    let identity = Identity::new();
    identity
        .install(ours.sign_leaf(&another, DAY, time::now()).unwrap())
        .unwrap();

    let refused = identity.verify(&[ours.certificate().der().clone()], &another, time::now());

    assert!(
        matches!(refused, Err(TlsError::Untrusted(_))),
        "{refused:?}"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused_and_the_old_certificate_stays() {
    let authority = authority();
    let sign = || authority.sign_leaf(&name(), DAY, time::now()).unwrap();
    let identity = Identity::new();
    let bundle = [authority.certificate().der().clone()];
    assert!(matches!(
        identity.verify(&bundle, &name(), time::now()),
        Err(TlsError::NoCertificate)
    ));
    identity.install(sign()).unwrap();

    let mixed = Leaf {
        key: sign().key,
        ..sign()
    };

    assert!(matches!(identity.install(mixed), Err(TlsError::Leaf(_))));
    identity.verify(&bundle, &name(), time::now()).unwrap();
}
