//! Certificates of somebody else, and what may lie in the Secret.

use std::{
    collections::BTreeMap,
    error::Error,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use javelin::certs::{
    Authority, ServiceName,
    files::{CertificateFiles, PemPair},
    hidden::Hidden,
    store::{self, Stored},
};
use pem::Pem;
use serde_json::Value;

/// Two files, with a line `~` between certificate and key, both with the words of `filled`; or the DER of one certificate.
/// Taken is only what is in time, and no error quotes the key.
pub fn certificates(data: &[u8]) {
    let (certificate, key) = match str::from_utf8(data) {
        Ok(text) => {
            let (certificate, key) = text.split_once("\n~\n").unwrap_or((text, "{leaf.key}"));
            (filled(certificate), filled(key))
        }
        Err(_) => (
            pem::encode(&Pem::new("CERTIFICATE", data)),
            filled("{leaf.key}"),
        ),
    };
    let files = CertificateFiles {
        certificate: PathBuf::from("tls.crt"),
        key: PathBuf::from("tls.key"),
    };
    let _ = store::bundle_certificates(certificate.as_bytes());
    let contents = PemPair::new(certificate.into_bytes(), key.clone().into_bytes());
    match files.check(&contents, Some(&name()), now()) {
        Ok(leaf) => {
            assert!(!leaf.chain.is_empty());
            assert!(leaf.validity.not_before <= now() && now() <= leaf.validity.not_after);
        }
        Err(error) => assert_hides(&error, key.as_bytes()),
    }
}

/// The data of a Secret, as a JSON object with the words of `filled`: what is sound is the same when it was written and read again, and what is damaged
/// is told without a word of it.
pub fn secret(data: &[u8]) {
    let Ok(Value::Object(map)) = serde_json::from_slice(data) else {
        return;
    };
    let text = |value: &Value| value.as_str().map(|text| Hidden::from(filled(text)));
    let data: BTreeMap<_, _> = map
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
        .collect();
    let contents = match Stored::read(&data, &name()) {
        Stored::Missing => unreachable!("there is one"),
        Stored::Empty => return,
        Stored::Sound(contents) => contents,
        Stored::Damaged { error, usable, .. } => {
            for key in ["ca.key", "next.key"] {
                assert_hides(&error, data.get(key).map_or(b"", Hidden::bytes));
            }
            let Some(usable) = usable else { return };
            usable
        }
    };
    let written = contents.to_data().into_iter();
    let written: BTreeMap<_, _> = written
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect();
    let Stored::Sound(again) = Stored::read(&written, &name()) else {
        panic!("what was written is not sound: {}", contents.describe());
    };
    assert_eq!(again.bundle(), contents.bundle());
    assert_eq!(again.previous, contents.previous);
    assert_eq!(again.describe(), contents.describe());
    assert!(contents.is_bundle(contents.bundle().as_bytes()));
}

/// No line of a key, and nothing as long as one, is in an error or in what has caused it.
fn assert_hides(error: &dyn Error, key: &[u8]) {
    let key = String::from_utf8_lossy(key);
    let secrets: Vec<_> = key
        .lines()
        .map(str::trim)
        .filter(|line| line.len() >= 32 && !line.contains("-----"))
        .collect();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let told = format!("{error} {error:?}");
        for secret in &secrets {
            assert!(!told.contains(secret), "{told}");
        }
        cause = error.source();
    }
}

/// A text with `{a.crt}`, `{a.key}`, the same of `b` and `c`, which are authorities, and of `leaf`, which `a` has signed: new ones
/// in each process, so that no key is in a corpus. `{a.key~7}` has another byte there, and `{a.key-7}` ends before it.
fn filled(text: &str) -> String {
    thread_local! {
        static PEMS: [(String, String); 8] = pems();
    }
    let mut parts = text.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (word, behind) = part.split_once('}').unwrap_or(("", part));
        let (word, at) = word.split_at(word.find(['~', '-']).unwrap_or(word.len()));
        let found = PEMS.with(|pems| pems.iter().find(|(name, _)| name == word).cloned());
        match found {
            Some((_, pem)) => out.push_str(&damaged(pem, at)),
            None => out.extend(["{", part.strip_suffix(behind).unwrap_or_default()]),
        }
        out.push_str(behind);
    }
    out
}

fn damaged(mut pem: String, how: &str) -> String {
    let at = how.get(1..).and_then(|number| number.parse::<usize>().ok());
    let at = at.map_or(pem.len(), |at| at % pem.len());
    if how.starts_with('-') {
        pem.truncate(at);
    } else if let Some(end) = (at < pem.len()).then_some(at + 1) {
        pem.replace_range(at..end, if pem[at..end] == *"x" { "y" } else { "x" });
    }
    pem
}

fn pems() -> [(String, String); 8] {
    let [a, b, c] =
        [0; 3].map(|_| Authority::generate(&name(), 300 * DAY, now()).expect("an authority"));
    let leaf = a.sign_leaf(&name(), 30 * DAY, now()).expect("a leaf");
    let certificate = |authority: &Authority| authority.certificate().to_pem();
    let key = |authority: &Authority| authority.key_pem().to_string();
    let leaf_pem = pem::encode(&Pem::new("CERTIFICATE", leaf.chain[0].to_vec()));
    let leaf_key = pem::encode(&Pem::new("PRIVATE KEY", leaf.key.secret_der()));
    [
        ("a.crt", certificate(&a)),
        ("a.key", key(&a)),
        ("b.crt", certificate(&b)),
        ("b.key", key(&b)),
        ("c.crt", certificate(&c)),
        ("c.key", key(&c)),
        ("leaf.crt", leaf_pem),
        ("leaf.key", leaf_key),
    ]
    .map(|(name, pem)| (name.to_owned(), pem))
}

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").expect("a name")
}

/// When the certificates in the corpus are valid: the end of November 2026.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_796_000_000)
}

const DAY: Duration = Duration::from_hours(24);
