use std::time::UNIX_EPOCH;

use super::*;
use crate::certs::store::{Retired, authorities as in_bundle};
use crate::certs::{Authority, ServiceName};

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn start() -> SystemTime {
    UNIX_EPOCH + DAY * 20_000
}

fn authority(days: u32) -> Authority {
    Authority::generate(&name(), DAY * days, start()).unwrap()
}

fn entry(entry: &str, bundle: &str) -> BundleEntry {
    BundleEntry {
        name: entry.to_owned(),
        authorities: in_bundle(bundle.as_bytes(), &name()),
        bundle: bundle.as_bytes().to_vec(),
    }
}

fn pod(pod: &str, issuer: Issuer, ends: SystemTime) -> ReplicaFacts {
    ReplicaFacts {
        pod: pod.to_owned(),
        ready: true,
        told: Ok(ReplicaCertificate {
            ends: Some(ends),
            issuer,
        }),
    }
}

fn from(authority: &Authority) -> Issuer {
    Issuer::Authority(authority.certificate().fingerprint())
}

/// Three authorities, and a cluster in which the first of them signs and all is well.
struct Scene {
    a: Authority,
    b: Authority,
    c: Authority,
    stored: Stored,
    requested: bool,
    entries: Option<Vec<BundleEntry>>,
    replicas: Result<Vec<ReplicaFacts>, String>,
    min_days: Option<u32>,
    now: SystemTime,
}

impl Scene {
    fn new() -> Self {
        let [a, b, c] = [300, 330, 360].map(authority);
        let mut scene = Self {
            stored: Stored::Missing,
            requested: false,
            entries: None,
            replicas: Ok(vec![
                pod("pod-1", from(&a), start() + DAY),
                pod("pod-2", from(&a), start() + DAY),
            ]),
            min_days: None,
            now: start(),
            a,
            b,
            c,
        };
        scene.store(Contents::new(scene.a.clone()));
        scene
    }

    /// Stores it, and publishes it.
    fn store(&mut self, contents: Contents) {
        let bundle = contents.bundle();
        self.entries = Some(["one", "two"].map(|name| entry(name, &bundle)).to_vec());
        self.stored = Stored::Sound(contents);
    }

    fn with_next(&mut self) -> &mut Self {
        self.store(Contents {
            next: Some(self.b.clone()),
            ..Contents::new(self.a.clone())
        });
        self
    }

    fn promoted(&mut self) -> &mut Self {
        let until = start() + DAY * 2;
        self.store(Contents {
            previous: vec![Retired::new(self.a.certificate().clone(), until)],
            ..Contents::new(self.b.clone())
        });
        self
    }

    fn overwrite(&mut self, bundle: &str) -> &mut Self {
        self.entries.as_mut().unwrap()[1] = entry("two", bundle);
        self
    }

    fn facts(&self) -> CertificateFacts<'_> {
        CertificateFacts {
            service: name().to_string(),
            secret_name: "javelin-system/javelin-ca".to_owned(),
            configuration_name: "javelin".to_owned(),
            stored: &self.stored,
            requested: self.requested,
            entries: self.entries.as_deref(),
            replicas: self.replicas.as_deref().map_err(String::as_str),
            min_days: self.min_days,
            now: self.now,
        }
    }

    fn report(&self) -> CertificateReport {
        CertificateReport::of(&self.facts())
    }

    /// With A, B and C for the authorities, which are others each time.
    fn named(&self, text: &str) -> String {
        let names = [(&self.a, "A"), (&self.b, "B"), (&self.c, "C")];
        names.iter().fold(text.to_owned(), |text, (each, name)| {
            text.replace(&each.certificate().fingerprint(), name)
        })
    }
}

#[track_caller]
fn check_problems(change: impl FnOnce(&mut Scene), expected: &[&str]) {
    let mut scene = Scene::new();
    change(&mut scene);
    let problems = scene.report().problems;
    let problems: Vec<_> = problems.iter().map(|each| scene.named(each)).collect();
    assert_eq!(problems, expected);
}

#[track_caller]
fn check_next(change: impl FnOnce(&mut Scene), expected: &[&str]) {
    let mut scene = Scene::new();
    change(&mut scene);
    let next = scene.report().next;
    let next = next.iter().map(|step| {
        let from = step
            .from
            .map_or_else(|| "now".to_owned(), |Moment(from)| rfc3339(from));
        scene.named(&format!("{from} {}", step.what))
    });
    assert_eq!(next.collect::<Vec<_>>(), expected);
}

#[test]
fn a_rotation_is_no_problem_at_any_step() {
    check_problems(|_| {}, &[]);
    check_problems(
        |scene| {
            scene.with_next();
        },
        &[],
    );
    check_problems(
        |scene| {
            scene.promoted();
        },
        &[],
    );
    check_problems(|scene| scene.requested = true, &[]);
    // Published to one of them so far.
    check_problems(
        |scene| {
            let bundle = scene.a.certificate().to_pem();
            scene.with_next().overwrite(&bundle);
        },
        &[],
    );
}

#[test]
fn an_entry_that_does_not_trust_what_is_served_is_a_problem() {
    let two = "two: authority A, which signs, is not trusted";
    check_problems(
        |scene| {
            scene.overwrite("");
        },
        &[two],
    );
    check_problems(
        |scene| {
            scene.overwrite("what is this?");
        },
        &[two],
    );
    check_problems(
        |scene| {
            let foreign = scene.c.certificate().to_pem();
            scene.overwrite(&foreign);
        },
        &[two],
    );
    check_problems(
        |scene| {
            let without_a = scene.b.certificate().to_pem();
            scene.promoted().overwrite(&without_a);
        },
        &["two: authority A, from which pod-1 has its certificate, is not trusted"],
    );
    // Nobody calls a pod that is not ready.
    check_problems(
        |scene| {
            let without_a = scene.b.certificate().to_pem();
            scene.promoted().overwrite(&without_a);
            let (b, ends) = (from(&scene.b), scene.now + DAY);
            let replicas = scene.replicas.as_mut().unwrap();
            replicas[0].ready = false;
            replicas[1] = pod("pod-2", b, ends);
        },
        &[],
    );
    // Who is not allowed to ask pods still sees this.
    check_problems(
        |scene| {
            scene.replicas = Err("denied".to_owned());
            scene.overwrite("");
        },
        &[two],
    );
}

#[test]
fn without_entries_nothing_is_called() {
    check_problems(
        |scene| scene.entries = None,
        &["MutatingWebhookConfiguration javelin does not exist, so nothing calls Javelin"],
    );
    check_problems(
        |scene| scene.entries = Some(Vec::new()),
        &[
            "no entry of MutatingWebhookConfiguration javelin calls Service javelin.javelin-system.svc",
        ],
    );
}

#[test]
fn what_ends_soon_is_a_problem_without_a_successor() {
    let within = |days: u32| move |scene: &mut Scene| scene.min_days = Some(days);
    let ends =
        "authority A, which signs, expires at 2025-07-31T00:00:00Z, and it has no successor yet";
    check_problems(within(300), &[]);
    check_problems(within(301), &[ends]);
    check_problems(
        |scene| {
            scene.with_next();
            scene.min_days = Some(301);
        },
        &[],
    );
    check_problems(
        |scene| {
            scene.with_next();
            scene.min_days = Some(331);
        },
        &[
            "authority A, which signs, expires at 2025-07-31T00:00:00Z, and its successor also expires soon",
        ],
    );
    // Predecessors have one, and leaves are renewed.
    check_problems(
        |scene| {
            scene.promoted();
            scene.min_days = Some(30);
        },
        &[],
    );
    // Somebody should have made one long ago.
    let leaves = |scene: &mut Scene| {
        let (issuer, ends) = (from(&scene.a), scene.now + DAY);
        scene.replicas = Ok(vec![pod("pod-1", issuer, ends)]);
    };
    check_problems(
        |scene| {
            scene.now = start() + DAY * 294;
            leaves(scene);
        },
        &[ends],
    );
    check_problems(
        |scene| {
            scene.now = start() + DAY * 301;
            leaves(scene);
        },
        &["authority A, which signs, expired at 2025-07-31T00:00:00Z"],
    );
}

#[test]
fn what_is_of_no_use_is_a_problem() {
    check_problems(
        |scene| scene.stored = Stored::Empty,
        &["Secret javelin-system/javelin-ca holds no authority yet"],
    );
    check_problems(
        |scene| {
            let data = BTreeMap::from([
                ("ca.crt".to_owned(), scene.a.certificate().to_pem().into()),
                ("ca.key".to_owned(), b"-----BEGIN".to_vec().into()),
            ]);
            scene.stored = Stored::read(&data, &name());
        },
        &[
            "Secret javelin-system/javelin-ca: what it holds cannot be used: ca.crt: the private key cannot be read: \
             PEM error: malformedframing",
        ],
    );
    check_problems(
        |scene| scene.now = start() + DAY * 2,
        &[
            "pod-1 serves a certificate that expires at 2024-10-05T00:00:00Z",
            "pod-2 serves a certificate that expires at 2024-10-05T00:00:00Z",
        ],
    );
    check_problems(
        |scene| {
            let nothing = ReplicaCertificate::from_metrics("");
            scene.replicas.as_mut().unwrap()[0].told = Ok(nothing);
        },
        &["pod-1 has no certificate"],
    );
    check_problems(
        |scene| {
            let replicas = scene.replicas.as_mut().unwrap();
            for each in replicas {
                each.ready = false;
            }
        },
        &["no pod of Service javelin.javelin-system.svc is ready"],
    );
}

#[test]
fn a_certificate_of_ones_own_counts_by_its_date() {
    let own = |scene: &mut Scene| {
        let ends = scene.now + DAY * 20;
        scene.stored = Stored::Missing;
        scene.replicas = Ok(vec![pod("pod-1", Issuer::Files, ends)]);
    };
    check_problems(own, &[]);
    check_problems(
        |scene| {
            own(scene);
            scene.overwrite("");
            scene.min_days = Some(30);
        },
        &["pod-1 serves a certificate that expires at 2024-10-24T00:00:00Z"],
    );
    check_problems(
        |scene| {
            own(scene);
            scene.min_days = Some(310);
            let longer = scene.a.certificate().to_pem() + &scene.b.certificate().to_pem();
            scene.overwrite(&longer);
        },
        &[
            "one: the last certificate of its caBundle expires at 2025-07-31T00:00:00Z",
            "pod-1 serves a certificate that expires at 2024-10-24T00:00:00Z",
        ],
    );
}

#[test]
fn what_happens_next_is_what_the_replicas_will_do() {
    check_next(|_| {}, &["2025-04-22T00:00:00Z a successor of A is made"]);
    let made = "now a replica makes a successor of A";
    check_next(|scene| scene.requested = true, &[made]);
    check_next(|scene| scene.now = start() + DAY * 200, &[made]);
    check_next(
        |scene| {
            scene.with_next();
        },
        &[
            "now the successor B is in every caBundle; it signs after the settle time (2m by default) and a call that \
             comes through",
        ],
    );
    check_next(
        |scene| {
            let old = scene.a.certificate().to_pem();
            scene.with_next().overwrite(&old);
        },
        &["now the successor B is being published: 1 of 2 entries have it"],
    );
    check_next(
        |scene| {
            scene.promoted();
        },
        &[
            "now pod-1 changes from authority A, once the one that signs is proven",
            "now pod-2 changes from authority A, once the one that signs is proven",
            "2024-10-06T00:00:00Z A, which no longer signs, is removed",
            "2025-05-12T00:00:00Z a successor of B is made",
        ],
    );
    check_next(
        |scene| {
            scene.overwrite("");
        },
        &[
            "now a replica writes the Secret's bundle to two",
            "2025-04-22T00:00:00Z a successor of A is made",
        ],
    );
}

#[test]
fn entries_tell_what_they_lack_and_what_they_have_beyond_the_secret() {
    let mut scene = Scene::new();
    let other = scene.a.certificate().to_pem() + &scene.c.certificate().to_pem();
    scene.with_next().overwrite(&other);

    let report = scene.report();

    let [one, two] = &report.entries[..] else {
        panic!("{report:?}");
    };
    assert_eq!(one.equals_secret, Some(true));
    assert!(one.missing.is_empty() && one.foreign.is_empty());
    assert_eq!(two.equals_secret, Some(false));
    assert_eq!(two.missing, [scene.b.certificate().fingerprint()]);
    assert_eq!(two.foreign, [scene.c.certificate().fingerprint()]);
    let expiry = scene.c.certificate().validity().not_after;
    assert_eq!(two.ends, Some(Moment(expiry)));
}

#[test]
fn a_rotation_is_done_when_every_replica_serves_the_new_authority() {
    let check = |change: &dyn Fn(&mut Scene), expected: &str| {
        let mut scene = Scene::new();
        let before = scene.a.certificate().fingerprint();
        change(&mut scene);
        let told = match Rotation::of(&before, &scene.facts()) {
            Rotation::Waiting(what) => what,
            Rotation::Done(authority) => format!("done: {authority}"),
        };
        assert_eq!(scene.named(&told), expected);
    };
    check(&|_| {}, "a replica makes a successor of A");
    check(
        &|scene| {
            scene.with_next();
        },
        "the successor B is in every caBundle; it signs after the settle time (2m by default) and a call that comes \
         through",
    );
    check(
        &|scene| {
            scene.with_next();
            scene.requested = true;
        },
        "a replica makes another successor of A in place of B",
    );
    check(
        &|scene| {
            scene.promoted();
        },
        "authority B signs; not yet changed to it: pod-1, pod-2",
    );
    let switch = |scene: &mut Scene, at: usize| {
        let (b, ends) = (from(&scene.b), scene.now + DAY);
        scene.replicas.as_mut().unwrap()[at] = pod("pod", b, ends);
    };
    check(
        &|scene| {
            scene.promoted();
            switch(scene, 0);
        },
        "authority B signs; not yet changed to it: pod-2",
    );
    check(
        &|scene| {
            scene.promoted();
            switch(scene, 0);
            switch(scene, 1);
        },
        "done: B",
    );
    // Older ones do not tell, and whoever may not ask has to do without.
    check(
        &|scene| {
            scene.promoted();
            scene.replicas = Ok(vec![pod("pod", Issuer::Untold, scene.now + DAY)]);
        },
        "done: B",
    );
    check(
        &|scene| {
            scene.promoted();
            scene.replicas = Err("denied".to_owned());
        },
        "done: B",
    );
    check(
        &|scene| {
            scene.promoted();
            scene.replicas = Ok(Vec::new());
        },
        "authority B signs; no replica is ready",
    );
    check(
        &|scene| scene.stored = Stored::Empty,
        "the Secret cannot be used; a replica repairs it",
    );
}

#[test]
fn a_rotation_too_many_waits_for_the_first_predecessor_to_go() {
    let mut scene = Scene::new();
    let retired = |days| Retired::new(authority(300).certificate().clone(), start() + DAY * days);
    scene.store(Contents {
        previous: [4, 2, 3, 5].map(retired).to_vec(),
        ..Contents::new(scene.a.clone())
    });
    scene.requested = true;

    let first = &scene.report().next[0].what;

    assert_eq!(
        scene.named(first),
        "a successor of A has to wait: 4 predecessors are still trusted, the first of them until \
         2024-10-06T00:00:00Z"
    );
}

#[test]
fn no_private_key_is_in_a_report() {
    let mut scene = Scene::new();
    scene.with_next();

    let json = serde_json::to_string(&scene.report()).unwrap();

    for authority in [&scene.a, &scene.b] {
        let key = authority.key_pem();
        let line = key.lines().nth(1).unwrap();
        assert!(!json.contains(line), "{json}");
    }
    assert!(!json.contains("PRIVATE"), "{json}");
    assert!(
        json.contains(r#""role":"next","notBefore":"2024-10-03T23:00:00Z","notAfter":"#),
        "{json}"
    );
}
