use std::os::unix::fs::symlink;

use pem::Pem;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use super::*;
use crate::certs::Authority;

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

/// A Secret as a kubelet mounts it: files that are links through `..data`, which it swaps.
struct Mount {
    folder: TempDir,
    generation: u32,
}

impl Mount {
    fn new(certificate: &str, key: &str) -> Self {
        let mut mount = Self {
            folder: tempfile::tempdir().unwrap(),
            generation: 0,
        };
        for file in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{file}"), mount.folder.path().join(file)).unwrap();
        }
        mount.swap(certificate, key);
        mount
    }

    fn swap(&mut self, certificate: &str, key: &str) {
        let root = self.folder.path();
        let old = format!("..2026_{}", self.generation);
        self.generation += 1;
        let new = format!("..2026_{}", self.generation);
        std::fs::create_dir(root.join(&new)).unwrap();
        std::fs::write(root.join(&new).join("tls.crt"), certificate).unwrap();
        std::fs::write(root.join(&new).join("tls.key"), key).unwrap();
        symlink(&new, root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        let _ = std::fs::remove_dir_all(root.join(old));
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles {
            certificate: self.folder.path().join("tls.crt"),
            key: self.folder.path().join("tls.key"),
        }
    }
}

/// A certificate and its key in PEM, and the only one that trusts it.
struct Pair {
    certificate: String,
    key: String,
    root: CertificateDer<'static>,
}

/// Valid from an hour before `from`.
fn pair(from: SystemTime, lifetime: Duration) -> Pair {
    let authority = Authority::generate(&name(), lifetime, from).unwrap();
    let leaf = authority.sign_leaf(&name(), lifetime, from).unwrap();
    Pair {
        certificate: pem::encode(&Pem::new("CERTIFICATE", leaf.chain[0].to_vec())),
        key: pem::encode(&Pem::new("PRIVATE KEY", leaf.key.secret_der())),
        root: authority.certificate().der().clone(),
    }
}

/// What runs, and what can be seen of it from outside.
struct Running {
    followed: FollowedCertificate,
    identity: Arc<Identity>,
    metrics: Arc<Metrics>,
}

fn open(mount: &Mount, now: SystemTime) -> Result<Running, CertificateError> {
    let identity = Arc::new(Identity::new());
    let metrics = Arc::new(Metrics::new());
    let followed = FollowedCertificate::open(
        mount.files(),
        Some(name()),
        Arc::clone(&identity),
        Arc::clone(&metrics),
        now,
    )?;
    Ok(Running {
        followed,
        identity,
        metrics,
    })
}

impl Running {
    fn serves(&self, pair: &Pair, now: SystemTime) -> bool {
        self.identity
            .verify(std::slice::from_ref(&pair.root), &name(), now)
            .is_ok()
    }

    fn metric(&self, name: &str) -> i64 {
        let text = self.metrics.encode().unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map_or(0, |value| value.parse().unwrap())
    }

    /// Successes, failures, and whether the last was one of the former.
    fn reloads(&self) -> (i64, i64, i64) {
        (
            self.metric(r#"javelin_certificate_reloads_total{result="success"}"#),
            self.metric(r#"javelin_certificate_reloads_total{result="failure"}"#),
            self.metric("javelin_certificate_last_reload_success"),
        )
    }
}

#[test]
fn a_kubelets_swap_is_taken_over_and_the_metric_follows() {
    let now = time::now();
    let (first, second) = (pair(now, A_DAY), pair(now, 2 * A_DAY));
    let mut mount = Mount::new(&first.certificate, &first.key);
    let mut running = open(&mount, now).unwrap();
    let expiry = |running: &Running| running.metric("javelin_leaf_not_after_timestamp_seconds");
    assert!(running.serves(&first, now));
    assert_eq!(expiry(&running), time::unix_seconds(now + A_DAY));

    running.followed.refresh(now);
    assert_eq!(running.reloads(), (0, 0, 1), "nothing has changed");

    mount.swap(&second.certificate, &second.key);
    for _ in 0..3 {
        running.followed.refresh(now);
    }
    assert!(running.serves(&second, now) && !running.serves(&first, now));
    assert_eq!(running.reloads(), (1, 0, 1));
    assert_eq!(expiry(&running), time::unix_seconds(now + 2 * A_DAY));
}

#[test]
fn a_pair_of_two_generations_is_refused_until_both_are_of_one() {
    let now = time::now();
    let (first, second) = (pair(now, A_DAY), pair(now, A_DAY));
    let mut mount = Mount::new(&first.certificate, &first.key);
    let mut running = open(&mount, now).unwrap();

    for (certificate, key) in [(&second, &first), (&first, &second)] {
        mount.swap(&certificate.certificate, &key.key);
        running.followed.refresh(now);
        assert!(running.serves(&first, now), "the last good pair stays");
    }
    assert_eq!(running.reloads(), (0, 2, 0));

    mount.swap(&second.certificate, &second.key);
    running.followed.refresh(now);
    assert!(running.serves(&second, now));
    assert_eq!(running.reloads(), (1, 2, 1));
}

#[test]
fn each_cause_is_told_once_and_the_last_good_pair_stays() {
    let now = time::now();
    let good = pair(now, A_DAY);
    let expired = pair(now - 3 * A_DAY, A_DAY);
    let mut mount = Mount::new(&good.certificate, &good.key);
    let mut running = open(&mount, now).unwrap();
    let mut failures = 0;
    let mut refused = |running: &mut Running, what: &str| {
        failures += 1;
        for _ in 0..3 {
            running.followed.refresh(now);
            assert!(running.serves(&good, now), "{what}");
            assert_eq!(running.reloads(), (0, failures, 0), "{what}");
        }
    };

    mount.swap(&good.certificate, "");
    refused(&mut running, "no key");
    mount.swap(&good.certificate, "");
    running.followed.refresh(now);
    mount.swap(&expired.certificate, &expired.key);
    refused(&mut running, "expired");
    mount.swap("", &good.key);
    refused(&mut running, "no certificate");
    std::fs::remove_file(mount.folder.path().join("..data")).unwrap();
    refused(&mut running, "no file");

    mount.swap(&good.certificate, &good.key);
    for _ in 0..3 {
        running.followed.refresh(now);
    }
    assert!(running.serves(&good, now));
    assert_eq!(
        running.reloads(),
        (1, failures, 1),
        "what is served is what is there again"
    );
}

#[test]
fn a_certificate_from_the_future_is_served_when_its_time_has_come() {
    let now = time::now();
    let (first, future) = (pair(now, 9 * A_DAY), pair(now + 2 * A_DAY, 9 * A_DAY));
    let mut mount = Mount::new(&first.certificate, &first.key);
    let mut running = open(&mount, now).unwrap();

    mount.swap(&future.certificate, &future.key);
    running.followed.refresh(now);
    assert!(running.serves(&first, now));

    // The same files, another time.
    let then = now + 2 * A_DAY;
    running.followed.refresh(then);
    assert!(running.serves(&future, then));
    assert_eq!(running.reloads(), (1, 1, 1));
}

#[test]
fn the_end_is_told_when_it_is_near_when_it_has_come_and_once_a_day() {
    let now = time::now();
    // 101 hours in all, with the one before it begins: a tenth is ten hours and six minutes.
    let only = pair(now, Duration::from_hours(100));
    let mount = Mount::new(&only.certificate, &only.key);
    let mut running = open(&mount, now).unwrap();
    let mut told = |hours: u64| {
        running
            .followed
            .end_to_tell(now + Duration::from_hours(hours))
    };

    assert_eq!(told(89), None);
    assert_eq!(told(90), Some(End::Near));
    assert_eq!(told(91), None);
    assert_eq!(told(101), Some(End::Over), "at once, whatever was told");
    assert_eq!(told(124), None);
    assert_eq!(told(125), Some(End::Over));
    // The clock is put back.
    assert_eq!(told(90), Some(End::Near));
    assert_eq!(told(91), None);

    running.followed.refresh(now + Duration::from_hours(200));
    assert!(
        running.serves(&only, now),
        "there is nothing better to serve"
    );
    assert_eq!(running.reloads(), (0, 0, 1));
}

#[test]
fn a_new_certificate_is_told_of_anew() {
    let now = time::now();
    let (first, second) = (pair(now, A_DAY), pair(now, A_DAY));
    let mut mount = Mount::new(&first.certificate, &first.key);
    let mut running = open(&mount, now + 23 * A_DAY / 24).unwrap();
    assert!(running.followed.told.is_some(), "at the start");

    mount.swap(&second.certificate, &second.key);
    running.followed.refresh(now);

    assert!(running.followed.told.is_none());
}

#[test]
fn a_first_pair_has_to_be_good() {
    let now = time::now();
    let (ours, others) = (pair(now, A_DAY), pair(now, A_DAY));
    let refusal = |certificate: &str, key: &str, now: SystemTime| {
        let mount = Mount::new(certificate, key);
        let error = anyhow::Error::from(open(&mount, now).err().unwrap());
        format!("{error:#}").replace(&mount.folder.path().display().to_string(), "")
    };

    assert_eq!(
        refusal(&ours.certificate, &others.key, now),
        "/tls.crt cannot be served with /tls.key; the key has to be that of the first certificate \
         (compare: openssl x509 -noout -pubkey -in /tls.crt; openssl pkey -pubout -in /tls.key): \
         the certificate and its key cannot be served: keys may not be consistent: KeyMismatch"
    );
    assert!(
        refusal(&ours.certificate, &ours.key, now + 2 * A_DAY)
            .starts_with("/tls.crt: certificate 1 (CN=javelin webhook) expired on ")
    );
    assert_eq!(
        refusal("", &ours.key, now).split(';').next(),
        Some("/tls.crt holds no PEM block of a CERTIFICATE")
    );
}
