//! A long time with everything at once: what the process holds in the end is what it held in the beginning.
//!
//! Reviews of all kinds, a configuration and an authority that are replaced, leaves that are renewed, and every half minute
//! some seconds of somebody hostile. Memory, descriptors, threads and connections (a task each) are sampled, judged by
//! [`Series::is_flat`], and drawn (`docs/soak.svg`).

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    LARGE_HEAD,
    api_server::Objects,
    attack::{Attacker, names, pod, post, review},
    note,
    picture::Picture,
    server::Server,
};

/// So many samples make a picture; more are not to be told apart in it.
const SAMPLES: u32 = 600;

/// Between the beginnings of two hostile episodes, and how long each lasts.
const EVERY: Duration = Duration::from_secs(30);
const EPISODE: Duration = Duration::from_secs(5);

/// Between two changes: retired authorities stay for a minute here, and with more than four of them a rotation waits.
const REST: Duration = Duration::from_secs(10);

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

    /// Does the second half hold no more than the second quarter, but for the slack?
    fn is_flat(&self) -> bool {
        let (early, late) = self.medians();
        late <= early + self.slack
    }
}

/// What all threads share.
struct Soak {
    server: Server,
    objects: Arc<Mutex<Objects>>,
    is_over: AtomicBool,
    counts: [(&'static str, AtomicUsize); 7],
}

impl Soak {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn count(&self, what: &str) {
        let found = self.counts.iter().find(|(name, _)| *name == what).unwrap();
        found.1.fetch_add(1, Ordering::SeqCst);
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    /// Polls until `is_so`, or until the end: was it?
    fn until(&self, is_so: impl Fn() -> bool) -> bool {
        while !is_so() {
            if !self.goes_on() {
                return false;
            }
            thread::sleep(Duration::from_millis(200));
        }
        true
    }

    /// Asks again and again, on a new connection for each hundredth, by what the caBundle says then. An answer that has
    /// not `expected` in it is one of a server that had no time.
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
                    answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""allowed":true"#),
                    "{what}: {answer}"
                );
                let is_decided = answer.contains(expected);
                self.count(if is_decided { what } else { "undecided" });
                thread::sleep(pause);
            }
        }
    }

    /// Replaces the configuration and the authority by turns, and waits until the new one is in use.
    fn replace(&self) {
        let reloads = || {
            self.server
                .metric(r#"javelin_config_reloads_total{result="success"}"#)
        };
        for round in 1.. {
            let before = reloads();
            self.server.configure(&format!(
                "default: {{otlp: {{endpoint: 'http://collector-{round}:4318'}}}}\n"
            ));
            if !self.until(|| reloads() != before) {
                return;
            }
            self.count("configurations");
            self.rest();
            let signing_key = || self.objects().secret["data"]["ca.key"].clone();
            let before = signing_key();
            self.objects().ask_for_rotation();
            if !self.until(|| signing_key() != before) {
                return;
            }
            self.count("authorities");
            self.rest();
        }
    }

    fn rest(&self) {
        let end = Instant::now() + REST;
        self.until(|| Instant::now() >= end);
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
            if !self.until(|| Instant::now() >= next) {
                return;
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

    /// Samples until the end, or until somebody has failed.
    fn sample(&self, end: Instant, pace: Duration) -> [Series; 4] {
        let mut series = [
            Series::new("resident memory, MiB", 4.0),
            Series::new("open descriptors", 4.0),
            Series::new("threads", 2.0),
            Series::new("open connections, a task each", 4.0),
        ];
        let mut next = Instant::now();
        while next < end && self.goes_on() {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next += pace;
            let sample = self.server.sample();
            for (series, value) in series.iter_mut().zip(sample) {
                series.values.push(value);
            }
        }
        series
    }

    /// What came of it, to read; then what has to be true.
    fn judge(&self, minutes: f64, series: &[Series]) {
        let count = |name: &str| {
            let mut counts = self.counts.iter();
            let found = counts.find(|(each, _)| *each == name).unwrap();
            found.1.load(Ordering::SeqCst)
        };
        let counts: Vec<_> = self.counts.iter().map(|(name, _)| *name).collect();
        let told: Vec<_> = counts
            .iter()
            .map(|name| format!("{} {name}", count(name)))
            .collect();
        let leaves = self.server.metric("javelin_certificates_signed_total");
        note(format!(
            "soak: {minutes} min; {}, {leaves} leaves",
            told.join(", ")
        ));
        for each in series {
            let (early, late) = each.medians();
            note(format!(
                "soak: {}: median {early:.1} in the second quarter, {late:.1} in the second half",
                each.name
            ));
        }
        let grown: Vec<_> = series.iter().filter(|each| !each.is_flat()).collect();
        let grown: Vec<_> = grown.iter().map(|each| each.name).collect();
        assert!(grown.is_empty(), "it grows: {}", grown.join("; "));
        assert_eq!(self.server.metric("javelin_panics_total"), 0);
        assert!(self.server.is_alive());
        for name in counts.iter().filter(|name| **name != "undecided") {
            assert!(count(name) > 0, "no {name} at all");
        }
        let decided = count("injections") + count("skips") + count("workloads");
        assert!(
            1000 * count("undecided") <= decided,
            "more than one review in a thousand was not decided"
        );
    }
}

/// For so many minutes.
pub(crate) fn soak(minutes: f64) {
    let objects = Arc::new(Mutex::new(Objects::new()));
    let soak = Soak {
        server: Server::with_authority(&objects),
        objects,
        is_over: AtomicBool::new(false),
        counts: [
            "injections",
            "skips",
            "workloads",
            "undecided",
            "configurations",
            "authorities",
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
    let load = [
        ("injections", "/mutate/pod", injected, r#""patch":"#, 5),
        ("skips", "/mutate/pod", skipped, "not-selected", 5),
        ("workloads", "/mutate/workload", workload, "allowed", 20),
    ];
    let length = Duration::from_secs_f64(60.0 * minutes);
    let pace = (length / SAMPLES).max(Duration::from_secs(1));
    let (began, episodes) = (Instant::now(), Mutex::default());
    let series = thread::scope(|scope| {
        // Also when a client fails, or nobody would ever end.
        let _end = End(&soak);
        let soak = &soak;
        for (what, path, body, expected, pause) in &load {
            scope.spawn(move || {
                let _end = End(soak);
                let pause = Duration::from_millis(*pause);
                soak.ask(what, path, body, expected, pause);
            });
        }
        scope.spawn(|| soak.replace());
        scope.spawn(|| soak.attack(began, &episodes));
        soak.sample(began + length, pace)
    });
    let picture = Picture {
        series: &series,
        pace,
        episodes: &episodes.lock().unwrap(),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/soak.svg");
    fs::write(file, picture.svg()).unwrap();
    soak.judge(minutes, &series);
}

/// Ends the soak.
struct End<'a>(&'a Soak);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}
