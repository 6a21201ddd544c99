use std::process::Command;
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};

use super::*;
use crate::server::tls::Identity;
use crate::time;

const DAY: Duration = Duration::from_hours(24);
const NAME: &str = "javelin.javelin-system.svc";

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn files() -> CertificateFiles {
    CertificateFiles {
        certificate: "tls.crt".into(),
        key: "tls.key".into(),
    }
}

/// Somebody who issues.
struct Corporate {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Corporate {
    fn root(name: &str) -> Self {
        Self::new(&authority(name), None)
    }

    fn new(params: &CertificateParams, above: Option<&Self>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = sign(params, &key, above);
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params.clone(), key),
        }
    }

    /// Certificate and key in PEM.
    fn issue(&self, params: &CertificateParams, key: &KeyPair) -> String {
        sign(params, key, Some(self)).pem()
    }
}

fn sign(params: &CertificateParams, key: &KeyPair, above: Option<&Corporate>) -> Certificate {
    match above {
        Some(above) => params.signed_by(key, &above.issuer).unwrap(),
        None => params.self_signed(key).unwrap(),
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (time::now() - DAY).into();
    params.not_after = (time::now() + 90 * DAY).into();
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn leaf(names: &[&str]) -> CertificateParams {
    let mut params = named("webhook");
    params.subject_alt_names = CertificateParams::new(
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>(),
    )
    .unwrap()
    .subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn judge(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Leaf, FilesError> {
    let contents = PemPair {
        certificate: certificate.as_ref().to_vec(),
        key: key.as_ref().to_vec().into(),
    };
    files().check(&contents, Some(&name()), time::now())
}

/// The message, and those below it.
fn refusal(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> String {
    format!(
        "{:#}",
        anyhow::Error::from(judge(certificate, key).unwrap_err())
    )
}

/// A root, an intermediate, a leaf for our name and its key.
struct Chain3 {
    root: Corporate,
    middle: Corporate,
    leaf: String,
    key: KeyPair,
}

fn chain3() -> Chain3 {
    let root = Corporate::root("root");
    let middle = Corporate::new(&authority("issuing"), Some(&root));
    let key = KeyPair::generate().unwrap();
    Chain3 {
        leaf: middle.issue(&leaf(&[NAME]), &key),
        root,
        middle,
        key,
    }
}

#[test]
fn a_chain_in_order_is_taken_with_and_without_its_root() {
    let Chain3 {
        root,
        middle,
        leaf,
        key,
    } = chain3();
    let key = key.serialize_pem();

    let short = judge(format!("{leaf}{}", middle.pem), &key).unwrap();
    let long = judge(format!("{leaf}{}{}", middle.pem, root.pem), &key).unwrap();
    assert_eq!((short.chain.len(), long.chain.len()), (2, 3));

    // And a verifier that we did not write takes it.
    let identity = Identity::new();
    identity.install(short).unwrap();
    let trusted = CertificateDer::from_pem_slice(root.pem.as_bytes()).unwrap();
    identity.verify(&[trusted], &name(), time::now()).unwrap();
}

#[test]
fn every_kind_of_key_is_taken() {
    let root = Corporate::root("root");
    for (kind, algorithm) in [
        ("RSA", &PKCS_RSA_SHA256),
        ("P-256", &PKCS_ECDSA_P256_SHA256),
        ("P-384", &PKCS_ECDSA_P384_SHA384),
        ("Ed25519", &PKCS_ED25519),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = root.issue(&leaf(&[NAME]), &key);
        let leaf = judge(certificate, key.serialize_pem()).unwrap();
        Identity::new()
            .install(leaf)
            .unwrap_or_else(|error| panic!("{kind}: {error:?}"));
    }
}

/// OpenSSL writes what rcgen does not: the older forms, and encrypted ones.
#[test]
fn every_form_of_a_key_is_taken_but_for_encrypted_ones() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .output()
            .ok()?;
        assert!(output.status.success(), "{arguments}: {output:?}");
        Some(())
    };
    if openssl("ecparam -genkey -name prime256v1 -out ec.pem").is_none() {
        eprintln!("skipped: there is no openssl here");
        return;
    }
    for arguments in [
        "genrsa -traditional -out rsa.pem 2048",
        "pkcs8 -topk8 -nocrypt -in rsa.pem -out rsa8.pem",
        "pkcs8 -topk8 -nocrypt -in ec.pem -out ec8.pem",
        "pkcs8 -topk8 -passout pass:secret -in ec.pem -out encrypted8.pem",
        "rsa -traditional -aes128 -passout pass:secret -in rsa.pem -out encrypted1.pem",
        "ec -aes128 -passout pass:secret -in ec.pem -out encryptedec.pem",
    ] {
        openssl(arguments).unwrap();
    }
    let root = Corporate::root("root");
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    for (file, label, same) in [
        ("rsa.pem", "BEGIN RSA PRIVATE KEY", "rsa8.pem"),
        ("rsa8.pem", "BEGIN PRIVATE KEY", "rsa8.pem"),
        // With a block of parameters before it, as `ecparam` writes it.
        ("ec.pem", "BEGIN EC PRIVATE KEY", "ec8.pem"),
        ("ec8.pem", "BEGIN PRIVATE KEY", "ec8.pem"),
    ] {
        let text = read(file);
        assert!(text.contains(label), "{file}: {text}");
        let certificate = root.issue(&leaf(&[NAME]), &KeyPair::from_pem(&read(same)).unwrap());
        Identity::new()
            .install(judge(certificate, text).unwrap())
            .unwrap_or_else(|error| panic!("{file}: {error:?}"));
    }
    let certificate = root.issue(&leaf(&[NAME]), &KeyPair::generate().unwrap());
    for file in ["encrypted8.pem", "encrypted1.pem", "encryptedec.pem"] {
        assert_eq!(
            refusal(&certificate, read(file)),
            "the private key in tls.key is encrypted, and nobody is here to type its password; \
             decrypt it: openssl pkey -in tls.key -out NEW_FILE",
            "{file}"
        );
    }
}

#[test]
fn what_stands_around_the_blocks_does_not_matter() {
    let Chain3 {
        middle, leaf, key, ..
    } = chain3();
    let key = key.serialize_pem();
    let (first, second) = (&leaf, &middle.pem);
    let windows = |text: &str| text.replace('\n', "\r\n");
    for (what, certificate, key) in [
        ("plain", format!("{first}{second}"), key.clone()),
        (
            "Windows",
            windows(&format!("{first}{second}")),
            windows(&key),
        ),
        (
            "byte order marks",
            format!("\u{feff}{first}\u{feff}{second}"),
            format!("\u{feff}{key}"),
        ),
        (
            "text",
            format!("subject=/CN=webhook\n{first}\nissuer=/CN=issuing: -----\n{second}the end"),
            format!("Bag Attributes\n    localKeyID: 01\n{key}"),
        ),
        (
            "indentation",
            format!("{first}{second}").replace('\n', "\n    "),
            key.replace('\n', "\n\t"),
        ),
        (
            "a file with all",
            format!("{key}{first}{second}"),
            format!("{first}{key}"),
        ),
    ] {
        let taken = judge(certificate, key).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(taken.chain.len(), 2, "{what}");
    }
}

#[test]
fn a_file_that_is_not_what_it_should_be_says_so() {
    let Chain3 {
        middle, leaf, key, ..
    } = chain3();
    let key = key.serialize_pem();
    let chain = format!("{leaf}{}", middle.pem);
    let garbage = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    let der = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
    // One byte too many after the certificate.
    let trailing = ::pem::Pem::new("CERTIFICATE", [&der[..], &[0]].concat());
    for (certificate, key, expected) in [
        (
            ::pem::encode(&trailing).into(),
            key.clone(),
            "tls.crt: certificate 1 is not X.509",
        ),
        (
            b"".to_vec(),
            key.clone(),
            "tls.crt holds no PEM block of a CERTIFICATE; if it is DER: openssl x509 -inform der -in tls.crt",
        ),
        (der.to_vec(), key.clone(), "tls.crt holds no PEM block"),
        (
            key.clone().into(),
            key.clone(),
            "tls.crt holds no PEM block",
        ),
        (
            garbage.into(),
            key.clone(),
            "tls.crt: certificate 1 is not X.509",
        ),
        (
            format!("{leaf}{garbage}").into(),
            key.clone(),
            "tls.crt: certificate 2 is not X.509",
        ),
        // Cut off: what is missing must not go unnoticed.
        (
            chain[..chain.len() - 40].into(),
            key.clone(),
            "tls.crt is not valid PEM: missing section end marker",
        ),
        (
            chain.clone().into(),
            String::new(),
            "tls.key holds no private key that can be used, but no PEM at all",
        ),
        (
            chain.clone().into(),
            leaf.clone(),
            "tls.key holds no private key that can be used, but CERTIFICATE; a PRIVATE KEY (PKCS#8)",
        ),
        (
            chain.clone().into(),
            format!("{key}{key}"),
            "tls.key holds 2 private keys; leave only the one of the certificate",
        ),
        (
            chain.clone().into(),
            key[..key.len() - 30].to_owned(),
            "tls.key is not valid PEM",
        ),
    ] {
        let said = refusal(&certificate, &key);
        assert!(said.starts_with(expected), "{said}\nis not\n{expected}");
        assert!(!said.contains("MIG"), "part of a key: {said}");
    }
}

#[test]
fn each_certificate_has_to_be_issued_by_the_next() {
    let Chain3 {
        root,
        middle,
        leaf: ours,
        key,
    } = chain3();
    let stranger = Corporate::root("stranger");
    let renewed = Corporate::new(&authority("issuing"), Some(&root));
    let powerless = Corporate::new(&named("issuing"), Some(&root));
    let by_powerless = powerless.issue(&leaf(&[NAME]), &key);
    let key = key.serialize_pem();
    for (chain, expected) in [
        (
            [&ours, &stranger.pem],
            "tls.crt: certificate 1 (CN=webhook) is not issued by certificate 2 (CN=stranger), which follows it; \
             the webhook's certificate comes first, then the one that issued it, and so on: its issuer is CN=issuing",
        ),
        (
            [&ours, &renewed.pem],
            "tls.crt: certificate 1 (CN=webhook) is not issued by certificate 2 (CN=issuing), which follows it; \
             the webhook's certificate comes first, then the one that issued it, and so on: \
             its signature is not of that one's key; has the authority been renewed with a new key?",
        ),
        (
            [&by_powerless, &powerless.pem],
            "tls.crt: certificate 1 (CN=webhook) is not issued by certificate 2 (CN=issuing), which follows it; \
             the webhook's certificate comes first, then the one that issued it, and so on: \
             that is not a certificate authority's",
        ),
        // The wrong way round.
        (
            [&middle.pem, &ours],
            "tls.crt: certificate 1 (CN=issuing) is not issued by certificate 2 (CN=webhook), which follows it; \
             the webhook's certificate comes first, then the one that issued it, and so on: its issuer is CN=root",
        ),
    ] {
        assert_eq!(refusal(chain.map(String::as_str).concat(), &key), expected);
    }
    let late = format!("{ours}{}{}", middle.pem, stranger.pem);
    assert!(refusal(late, &key).starts_with(
        "tls.crt: certificate 2 (CN=issuing) is not issued by certificate 3 (CN=stranger)"
    ));
}

#[test]
fn the_name_has_to_be_the_services() {
    let root = Corporate::root("root");
    let key = KeyPair::generate().unwrap();
    let with = |names: &[&str]| root.issue(&leaf(names), &key);
    let pem = key.serialize_pem();
    for good in [
        &[NAME][..],
        &["javelin.example.com", NAME],
        &["JAVELIN.javelin-system.SVC"],
        &["*.javelin-system.svc"],
    ] {
        judge(with(good), &pem).unwrap_or_else(|error| panic!("{good:?}: {error:?}"));
    }
    for (bad, found) in [
        (
            &["javelin", "javelin.javelin-system"][..],
            "javelin, javelin.javelin-system",
        ),
        (
            &["javelin.javelin-system.svc.cluster.local"],
            "javelin.javelin-system.svc.cluster.local",
        ),
        (&["*.svc"], "*.svc"),
        (
            &["10.0.0.1"],
            "no DNS name (the common name does not count)",
        ),
        (&[], "no DNS name (the common name does not count)"),
    ] {
        assert_eq!(
            refusal(with(bad), &pem),
            format!(
                "tls.crt: certificate 1 (CN=webhook) is for {found}, but API servers ask for {NAME}; \
                 have it issued with the subject alternative name DNS:{NAME}"
            )
        );
        // Without a namespace nobody knows the name.
        let contents = PemPair {
            certificate: with(bad).into(),
            key: pem.clone().into_bytes().into(),
        };
        files().check(&contents, None, time::now()).unwrap();
    }
}

#[test]
fn the_purpose_has_to_be_a_servers_if_it_is_said() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};

    let root = Corporate::root("root");
    let key = KeyPair::generate().unwrap();
    let with = |purposes: &[ExtendedKeyUsagePurpose]| {
        let mut params = leaf(&[NAME]);
        params.extended_key_usages = purposes.to_vec();
        root.issue(&params, &key)
    };
    for good in [&[][..], &[ServerAuth], &[ClientAuth, ServerAuth], &[Any]] {
        judge(with(good), key.serialize_pem())
            .unwrap_or_else(|error| panic!("{good:?}: {error:?}"));
    }
    assert_eq!(
        refusal(with(&[ClientAuth]), key.serialize_pem()),
        "tls.crt: certificate 1 (CN=webhook) has an extended key usage without server authentication; \
         have it issued with extendedKeyUsage = serverAuth"
    );
}

#[test]
fn the_time_has_to_be_that_of_the_certificate_and_of_all_intermediates() {
    let root = Corporate::root("root");
    let now = time::now();
    // In days from now.
    let chain = |ours: (i32, i32), theirs: (i32, i32)| {
        let between = |mut params: CertificateParams, (from, to): (i32, i32)| {
            let at = |days: i32| {
                let away = DAY * days.unsigned_abs();
                if days < 0 { now - away } else { now + away }
            };
            params.not_before = at(from).into();
            params.not_after = at(to).into();
            params
        };
        let middle = Corporate::new(&between(authority("issuing"), theirs), Some(&root));
        let key = KeyPair::generate().unwrap();
        let leaf = middle.issue(&between(leaf(&[NAME]), ours), &key);
        (format!("{leaf}{}", middle.pem), key.serialize_pem())
    };
    let whole = |time: SystemTime| time::unix_seconds(time);

    let (certificate, key) = chain((-1, 30), (-2, 20));
    let validity = judge(certificate, key).unwrap().validity;
    assert_eq!(
        (whole(validity.not_before), whole(validity.not_after)),
        (whole(now - DAY), whole(now + 20 * DAY)),
        "what all have in common"
    );
    for (ours, theirs, expected) in [
        (
            (-3, -1),
            (-3, 9),
            "tls.crt: certificate 1 (CN=webhook) expired on ",
        ),
        (
            (1, 3),
            (-3, 9),
            "tls.crt: certificate 1 (CN=webhook) is not valid before ",
        ),
        (
            (-1, 3),
            (-3, -1),
            "tls.crt: certificate 2 (CN=issuing) expired on ",
        ),
        (
            (-1, 3),
            (1, 3),
            "tls.crt: certificate 2 (CN=issuing) is not valid before ",
        ),
    ] {
        let (certificate, key) = chain(ours, theirs);
        let said = refusal(certificate, key);
        assert!(said.starts_with(expected), "{said}");
    }
}

/// A root is whoever trusts it's own affair: it may even have expired.
#[test]
fn an_expired_root_at_the_end_is_passed_over() {
    let mut old = authority("root");
    old.not_before = (time::now() - 2 * DAY).into();
    old.not_after = (time::now() - DAY).into();
    let root = Corporate::new(&old, None);
    let key = KeyPair::generate().unwrap();
    let leaf = root.issue(&leaf(&[NAME]), &key);

    let taken = judge(format!("{leaf}{}", root.pem), key.serialize_pem()).unwrap();

    assert!(taken.validity.not_after > time::now());
}

#[test]
fn a_swap_between_the_two_files_is_noticed_and_read_again() {
    // Which generation each read finds. The swap comes after the first certificate.
    let read = |generations: &[u8]| {
        let mut generations = generations.iter();
        files().read_with(|_| Ok(vec![*generations.next().unwrap()]))
    };
    for (finds, expected) in [
        (&[1, 1, 1][..], 1),
        (&[1, 2, 2, 2, 2], 2),
        (&[1, 1, 2, 2, 2], 2),
    ] {
        let contents = read(finds).unwrap();
        assert_eq!(
            (contents.certificate, contents.key),
            (vec![expected], vec![expected].into()),
            "{finds:?}"
        );
    }
    assert!(matches!(
        read(&[1, 2, 2, 3, 3, 4, 4]),
        Err(FilesError::Unsteady(_))
    ));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = CertificateFiles {
        certificate: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
    };
    std::fs::write(&files.certificate, "").unwrap();
    let error = files.load(None, time::now()).unwrap_err();
    assert!(error.to_string().ends_with("tls.key cannot be read"));
}

#[test]
fn a_fingerprint_tells_contents_apart_and_debug_shows_no_key() {
    let of = |certificate: &str, key: &str| PemPair {
        certificate: certificate.into(),
        key: key.as_bytes().to_vec().into(),
    };
    assert_eq!(of("a", "b").fingerprint(), of("a", "b").fingerprint());
    assert_ne!(of("a", "b").fingerprint(), of("ab", "").fingerprint());
    assert_ne!(of("a", "b").fingerprint(), of("a", "c").fingerprint());
    assert_eq!(format!("{:?}", of("a", "b")), "Contents { .. }");
}

/// The same with a kubelet's mount: the files are links through a link, and that is what changes.
#[test]
fn a_mount_that_is_swapped_between_the_two_files_gives_a_pair_of_one_generation() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path();
    let swap_to = |generation: &str| {
        std::os::unix::fs::symlink(generation, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    for generation in ["..2026_1", "..2026_2"] {
        std::fs::create_dir(mount.join(generation)).unwrap();
        for file in ["tls.crt", "tls.key"] {
            std::fs::write(mount.join(generation).join(file), generation).unwrap();
        }
    }
    swap_to("..2026_1");
    for file in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), mount.join(file)).unwrap();
    }
    let files = CertificateFiles {
        certificate: mount.join("tls.crt"),
        key: mount.join("tls.key"),
    };
    let mut reads = 0;

    let contents = files
        .read_with(|path| {
            reads += 1;
            if reads == 2 {
                swap_to("..2026_2");
            }
            std::fs::read(path)
        })
        .unwrap();

    assert_eq!(
        (contents.certificate, contents.key),
        (b"..2026_2".to_vec(), b"..2026_2".to_vec().into())
    );
}
