use std::process::Command;
use std::time::UNIX_EPOCH;

use super::*;
use crate::time;

const DAY: Duration = Duration::from_hours(24);

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn authority() -> Authority {
    Authority::generate(&name(), 730 * DAY, time::now()).unwrap()
}

#[test]
fn what_is_written_can_be_read_again() {
    let made = authority();

    let read = Authority::from_pem(&made.certificate().to_pem(), &made.key_pem(), &name()).unwrap();

    assert_eq!(read.certificate(), made.certificate());
    assert_eq!(read.certificate().to_pem(), made.certificate().to_pem());
    assert_eq!(read.certificate().validity(), made.certificate().validity());
}

#[test]
fn refuses_what_it_could_not_sign_with() {
    let (one, other) = (authority(), authority());
    let (certificate, key) = (one.certificate().to_pem(), one.key_pem());
    let stranger = ServiceName::new("javelin", "another").unwrap();
    let leaf = one.sign_leaf(&name(), DAY, time::now()).unwrap();
    let leaf = pem::encode(&Pem::new("CERTIFICATE", leaf.chain[0].to_vec()));
    let unconstrained = {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .self_signed(&Key::generate().unwrap().0)
            .unwrap()
            .pem()
    };

    let refused = |certificate: &str, key: &str, name: &ServiceName| {
        Authority::from_pem(certificate, key, name)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(&certificate, &other.key_pem(), &name()),
        AuthorityError::KeyMismatch.to_string()
    );
    assert!(refused(&certificate, &key, &stranger).contains("javelin.another.svc"));
    assert_eq!(
        refused(&leaf, &key, &name()),
        AuthorityError::NotAnAuthority.to_string()
    );
    assert!(refused(&unconstrained, &key, &name()).contains("not constrained"));
    assert_eq!(
        refused(&key, &key, &name()),
        "expected a CERTIFICATE, found a PRIVATE KEY"
    );
    assert_eq!(refused("", &key, &name()), "the certificate is not PEM");
    assert_eq!(
        refused(&certificate, "", &name()),
        "the private key cannot be read"
    );
}

#[test]
fn a_leaf_does_not_outlive_its_authority() {
    let now = time::now();
    let short = Authority::generate(&name(), Duration::from_hours(2), now).unwrap();

    let leaf = short.sign_leaf(&name(), DAY, now).unwrap();

    assert!(leaf.validity.not_after <= now + Duration::from_hours(2));
}

#[test]
fn serials_are_positive_and_differ() {
    let authority = authority();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let leaf = authority.sign_leaf(&name(), DAY, time::now()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&leaf.chain[0]).unwrap();
        assert!(parsed.raw_serial().len() <= 20);
        assert!(parsed.raw_serial()[0] < 0x80, "negative");
        assert!(seen.insert(parsed.raw_serial_as_string()));
    }
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?}", authority());
    assert!(
        !text.contains("KeyPair") && !text.contains("PRIVATE"),
        "{text}"
    );
}

/// A verifier that we did not write: OpenSSL's, which also reads the extensions aloud.
#[test]
fn openssl_accepts_the_leaf_for_our_name_and_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let authority = authority();
    let leaf = authority.sign_leaf(&name(), DAY, time::now()).unwrap();
    std::fs::write(file("ca.pem"), authority.certificate().to_pem()).unwrap();
    std::fs::write(
        file("leaf.pem"),
        pem::encode(&Pem::new("CERTIFICATE", leaf.chain[0].to_vec())),
    )
    .unwrap();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .ok()?;
        Some((
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ))
    };
    let verify = |host: &str| {
        openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            "ca.pem",
            "-verify_hostname",
            host,
            "leaf.pem",
        ])
    };

    let Some((accepted, said)) = verify("javelin.javelin-system.svc") else {
        eprintln!("skipped: there is no openssl here");
        return;
    };
    assert!(accepted, "{said}");
    assert!(!verify("javelin.other.svc").unwrap().0);
    let (_, text) = openssl(&["x509", "-in", "ca.pem", "-noout", "-text"]).unwrap();
    for expected in [
        "X509v3 Name Constraints: critical",
        "DNS:javelin.javelin-system.svc",
        "CA:TRUE, pathlen:0",
        "Certificate Sign, CRL Sign",
        "X509v3 Subject Key Identifier",
        "NIST CURVE: P-256",
    ] {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
}

#[test]
fn dates_come_from_the_caller() {
    let now = UNIX_EPOCH + 20_000 * DAY;
    let authority = Authority::generate(&name(), DAY, now).unwrap();

    assert_eq!(
        authority.certificate().validity(),
        Validity::starting(now, DAY)
    );
}
