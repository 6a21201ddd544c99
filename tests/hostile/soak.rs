//! A long time with everything at once: what the process holds in the end is what it held in the beginning.
//!
//! Reviews of all kinds, a configuration and a certificate that are replaced, and every half minute some seconds of somebody
//! hostile. Memory, descriptors and threads are sampled, judged by [`Series::is_flat`], and drawn (`docs/soak.svg`).

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    LARGE_HEAD,
    attack::{Attacker, names, pod, post, review},
    note,
    picture::Picture,
    server::Server,
};

/// Between two samples.
const PACE: Duration = Duration::from_secs(2);

/// Between the beginnings of two hostile episodes, and how long each lasts.
const EVERY: Duration = Duration::from_secs(30);
const EPISODE: Duration = Duration::from_secs(5);

/// One figure over time.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    /// What it may grow by: what an allocator keeps, or a moment's chance.
    pub(crate) slack: f64,
    pub(crate) values: Vec<f64>,
}

impl Series {
    fn new(name: &'static str, slack: f64) -> Self {
        Self {
            name,
            slack,
            values: Vec::new(),
        }
    }

    /// The medians of the second quarter and of the second half. The first quarter is left out, as caches fill.
    pub(crate) fn medians(&self) -> (f64, f64) {
        let quarter = self.values.len() / 4;
        let median = |values: &[f64]| {
            let mut sorted = values.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        };
        (
            median(&self.values[quarter..2 * quarter]),
            median(&self.values[2 * quarter..]),
        )
    }

    /// Does the second half hold no more than the second quarter, but for a tenth and the slack?
    fn is_flat(&self) -> bool {
        let (early, late) = self.medians();
        late <= 1.1 * early + self.slack
    }
}

/// What all threads share.
struct Soak {
    server: Server,
    is_over: AtomicBool,
    counts: [(&'static str, AtomicUsize); 6],
}

impl Soak {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn count(&self, what: &str) {
        let found = self.counts.iter().find(|(name, _)| *name == what).unwrap();
        found.1.fetch_add(1, Ordering::SeqCst);
    }

    /// Asks again and again, on a new connection for each hundredth; each answer has to have `expected` in it.
    fn ask(&self, what: &str, path: &str, body: &str, expected: &str, pause: Duration) {
        let request = post(path, body.as_bytes());
        while self.goes_on() {
            let mut client = self.server.client();
            for _ in 0..100 {
                if !self.goes_on() {
                    return;
                }
                let answer = client.ask(&request).unwrap();
                assert!(
                    answer.starts_with("HTTP/1.1 200 ") && answer.contains(expected),
                    "{what}: {answer}"
                );
                self.count(what);
                thread::sleep(pause);
            }
        }
    }

    /// Replaces the configuration or the certificate, and waits until that is in use.
    fn replace(&self) {
        for round in 1.. {
            let (kind, counter) = if round % 2 == 0 {
                ("certificates", "javelin_certificate_reloads_total")
            } else {
                ("configurations", "javelin_config_reloads_total")
            };
            let counter = format!(r#"{counter}{{result="success"}}"#);
            let before = self.server.metric(&counter);
            if kind == "certificates" {
                self.server.renew();
            } else {
                self.server.configure(&format!(
                    "default: {{otlp: {{endpoint: 'http://collector-{round}:4318'}}}}\n"
                ));
            }
            while self.server.metric(&counter) == before {
                if !self.goes_on() {
                    return;
                }
                thread::sleep(Duration::from_millis(500));
            }
            self.count(kind);
            let next = Instant::now() + Duration::from_secs(10);
            while Instant::now() < next {
                if !self.goes_on() {
                    return;
                }
                thread::sleep(Duration::from_millis(200));
            }
        }
    }

    /// Episodes of one attack after the other.
    fn attack(&self, began: Instant, episodes: &Mutex<Vec<(Duration, Duration)>>) {
        let malformed = post("/mutate/pod", b"{\"apiVersion\":\"\xff\xfe\"}");
        let large = post(
            "/mutate/pod",
            review(&pod(700, &names("app", 700))).as_bytes(),
        );
        let deep = post("/mutate/pod", "[".repeat(1_000_000).as_bytes());
        let attacks: [&(dyn Fn(&Attacker) + Sync); 7] = [
            &|attacker| attacker.send(LARGE_HEAD),
            &|attacker| attacker.send_and_close(&malformed),
            &|attacker| attacker.trickle(b"POST /mutate/pod HTTP/1.1\r\n", b"x: y\r\n"),
            &|attacker| attacker.send_plain(&[0; 5000]),
            &|attacker| drop(attacker.hold(100)),
            &|attacker| attacker.send_and_close(&large),
            &|attacker| attacker.send_and_close(&deep),
        ];
        let mut next = began + EVERY;
        for attack in attacks.iter().cycle() {
            while Instant::now() < next {
                if !self.goes_on() {
                    return;
                }
                thread::sleep(Duration::from_millis(200));
            }
            next += EVERY;
            let attacker = self.server.attacker();
            let from = began.elapsed();
            thread::scope(|scope| {
                scope.spawn(|| attacker.run(12, attack));
                thread::sleep(EPISODE);
                attacker.end();
            });
            episodes.lock().unwrap().push((from, began.elapsed()));
            self.count("hostile episodes");
        }
    }

    /// Samples until the end.
    fn sample(&self, end: Instant) -> [Series; 3] {
        let mut series = [
            Series::new("resident memory, MiB", 4.0),
            Series::new("descriptors", 8.0),
            Series::new("threads", 2.0),
        ];
        let mut next = Instant::now();
        while next < end {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next += PACE;
            let sample = self.server.sample();
            for (series, value) in series.iter_mut().zip(sample) {
                series.values.push(value);
            }
        }
        series
    }
}

/// For so many minutes.
pub(crate) fn soak(minutes: f64) {
    let soak = Soak {
        server: Server::start(":"),
        is_over: AtomicBool::new(false),
        counts: [
            "injections",
            "skips",
            "workloads",
            "configurations",
            "certificates",
            "hostile episodes",
        ]
        .map(|name| (name, AtomicUsize::new(0))),
    };
    let injected = review(&pod(3, &names("app", 3)));
    let skipped = review(r#"{"metadata":{"name":"cart"},"spec":{"containers":[{"name":"app"}]}}"#);
    let labelled = pod(1, "");
    let workload = review(&format!(
        r#"{{"metadata":{{"name":"cart","labels":{{"instrumentation.opentelemetry.io/inject-java":"true"}}}},"spec":{{"template":{labelled}}}}}"#
    ));
    let workload = workload.replace(r#""kind":"Pod""#, r#""kind":"Deployment""#);
    let (began, episodes) = (Instant::now(), Mutex::default());
    let series = thread::scope(|scope| {
        // Also when a client fails, or nobody would ever end.
        let _end = End(&soak);
        let pause = Duration::from_millis;
        let load = [
            (
                "injections",
                "/mutate/pod",
                &injected,
                r#""patch":"#,
                pause(5),
            ),
            ("skips", "/mutate/pod", &skipped, "not-selected", pause(5)),
            (
                "workloads",
                "/mutate/workload",
                &workload,
                r#""allowed":true"#,
                pause(20),
            ),
        ];
        let soak = &soak;
        for (what, path, body, expected, pause) in load {
            scope.spawn(move || {
                let _end = End(soak);
                soak.ask(what, path, body, expected, pause);
            });
        }
        scope.spawn(|| soak.replace());
        scope.spawn(|| soak.attack(began, &episodes));
        soak.sample(began + Duration::from_secs_f64(60.0 * minutes))
    });
    let counts = soak.counts.iter();
    let counts: Vec<_> = counts
        .map(|(name, count)| format!("{} {name}", count.load(Ordering::SeqCst)))
        .collect();
    note(format!("soak: {minutes} min; {}", counts.join(", ")));
    for each in &series {
        let (early, late) = each.medians();
        note(format!(
            "soak: {}: median {early:.1} in the second quarter, {late:.1} in the second half",
            each.name
        ));
    }
    let picture = Picture {
        series: &series,
        pace: PACE,
        episodes: &episodes.lock().unwrap(),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/soak.svg");
    fs::write(file, picture.svg()).unwrap();
    assert_eq!(soak.server.metric("javelin_panics_total"), 0);
    assert!(soak.server.is_alive());
    for each in &series {
        assert!(each.is_flat(), "{}: {:?}", each.name, each.medians());
    }
    for (name, count) in &soak.counts {
        assert!(count.load(Ordering::SeqCst) > 0, "no {name} at all");
    }
}

/// Ends the soak.
struct End<'a>(&'a Soak);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}
