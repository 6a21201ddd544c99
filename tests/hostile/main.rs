//! Hostile clients against the program as it is deployed: `javelin serve` on loopback, TLS, the webhook's own limits.
//!
//! In each case an honest client at another address makes reviews all the while, and each has to come back with the agent;
//! before, meanwhile and after are compared. `/livez` is asked beside it. After each, the process has to be within its
//! memory and its descriptors, nothing may have panicked, and the log has a line for each kind of refusal, not for each
//! connection.
//!
//! `cargo xtask hostile` runs them for minutes, `cargo xtask test` for seconds: on a machine that others use, times are
//! then no more than a hint. `cargo xtask soak` runs [`soak`] alone. Without any of these, everything here is ignored, and
//! a line says so.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test: it fails by panics, and prints"
)]

#[path = "../common/api_server.rs"]
mod api_server;
mod attack;
mod memory;
mod overload;
mod picture;
mod server;
mod soak;
#[path = "../common/svg.rs"]
mod svg;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use libtest_mimic::{Arguments, Trial};

use attack::{Attacker, names, pod, post, review};
use server::Server;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each measures the machine.
    arguments.test_threads = Some(1);
    let is_asked_for = length().is_some();
    let trials = CASES.iter().map(|(name, case)| {
        let run = move || {
            case(name);
            Ok(())
        };
        Trial::test(*name, run).with_ignored_flag(!is_asked_for)
    });
    let soak = Trial::test("soak", || {
        soak::soak(minutes().expect("or it is ignored"));
        Ok(())
    });
    let soak = soak.with_ignored_flag(minutes().is_none());
    let conclusion = libtest_mimic::run(&arguments, trials.chain([soak]).collect());
    if !is_asked_for && minutes().is_none() {
        println!("ignored: they load the machine; `cargo xtask hostile` runs them\n");
    }
    for line in FIGURES.lock().unwrap().iter() {
        println!("{line}");
    }
    conclusion.exit_code()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask` says whether to run, and for how long"
)]
fn length() -> Option<String> {
    std::env::var("JAVELIN_HOSTILE").ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask soak` says whether to run, and for how long"
)]
fn minutes() -> Option<f64> {
    std::env::var("JAVELIN_SOAK").ok()?.parse().ok()
}

fn is_long() -> bool {
    length().is_some_and(|length| length == "long")
}

type Case = fn(&str);

const CASES: [(&str, Case); 21] = [
    ("headers_and_silence", headers_and_silence),
    ("large_bodies_that_stop", large_bodies_that_stop),
    ("slow_bodies", slow_bodies),
    ("slow_readers", slow_readers),
    ("large_answers_everywhere", large_answers_everywhere),
    (
        "connections_without_a_request",
        connections_without_a_request,
    ),
    (
        "idle_connections_by_the_thousand",
        idle_connections_by_the_thousand,
    ),
    ("handshakes_without_end", handshakes_without_end),
    ("no_tls_or_another", no_tls_or_another),
    ("lying_lengths_and_encodings", lying_lengths_and_encodings),
    ("no_shape_smuggles_a_request", no_shape_smuggles_a_request),
    (
        "chunks_and_headers_without_measure",
        chunks_and_headers_without_measure,
    ),
    ("deep_wide_and_wrong_json", deep_wide_and_wrong_json),
    ("expensive_reviews", expensive_reviews),
    ("answers_without_measure", answers_without_measure),
    ("few_descriptors", few_descriptors),
    ("no_descriptors_left", no_descriptors_left),
    ("a_full_disk", a_full_disk),
    ("ten_times_too_much", overload::ten_times_too_much),
    (
        "no_key_of_a_file_that_was_replaced",
        memory::no_key_of_a_file_that_was_replaced,
    ),
    (
        "no_key_of_an_authority_that_was_replaced",
        memory::no_key_of_an_authority_that_was_replaced,
    ),
];

/// What a process may hold at most: the limits of memory (48 MiB of bodies), as much again for what decoding takes in two
/// threads, 512 connections with their TLS, and the program, unoptimised as it may be here: 201 MiB are the most that were
/// seen. The chart's limit is 256 MiB.
const MEMORY_MIB: u64 = 240;

/// 512 and 64 connections, and the process's own.
const DESCRIPTORS: usize = 512 + 64 + 32;

/// A line for each case, printed at the end.
static FIGURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note(line: String) {
    FIGURES.lock().unwrap().push(line);
}

/// What is done, and what has to come of it.
struct Attack<'a> {
    /// So many at once.
    clients: usize,
    /// For so long at least: what a clock of the server takes, and a moment.
    seconds: u64,
    /// What the server has to count.
    refusals: &'a [&'a str],
}

impl Attack<'_> {
    /// Against a server of its own, in a cgroup with the chart's limit of memory where that can be made.
    fn run(&self, name: &str, attack: impl Fn(&Attacker) + Sync) {
        let cgroup = Cgroup::new(CHART_MEMORY_MIB << 20);
        let first = cgroup.as_ref().map_or_else(
            || ":".to_owned(),
            |cgroup| format!("echo $$ >{}/cgroup.procs", cgroup.0.display()),
        );
        let mut server = Server::start(&first);
        self.run_against(&mut server, name, attack);
        drop(server);
        drop(cgroup);
    }

    fn run_against(&self, server: &mut Server, name: &str, attack: impl Fn(&Attacker) + Sync) {
        let seconds = if is_long() { 30 } else { self.seconds };
        let before = server.honest(Duration::from_millis(500));
        let attacker = server.attacker();
        let under = thread::scope(|scope| {
            // Also when the honest client fails, or the attack would never end.
            let _end = End(&attacker);
            scope.spawn(|| attacker.run(self.clients, &attack));
            server.honest(Duration::from_secs(seconds))
        });
        let after = server.honest(Duration::from_millis(500));
        let calm = before.p99.max(after.p99);
        note(format!(
            "{name}: review p99 {:.1} ms, without {:.1} ms; /livez p99 {:.1} ms; {} MiB, {} descriptors; {}",
            milliseconds(under.p99),
            milliseconds(calm),
            milliseconds(under.livez),
            server.peak_memory(),
            under.descriptors,
            self.refusals
                .iter()
                .map(|kind| format!("{kind} {}", server.refused(kind)))
                .collect::<Vec<_>>()
                .join(", ")
        ));
        server.judge(self.refusals);
        // Where others use the machine, times say no more than that nobody gave up: an API server waits for 3 s, a kubelet
        // for one.
        let (review, livez) = if is_long() {
            (Duration::from_millis(10), Duration::from_millis(50))
        } else {
            (Duration::from_secs(2), Duration::from_secs(1))
        };
        assert!(
            under.p99 <= review.max(2 * calm),
            "review p99 {:?} under attack, {calm:?} without",
            under.p99
        );
        assert!(under.livez <= livez, "/livez p99 {:?}", under.livez);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Ends an attack.
struct End<'a>(&'a Attacker);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One with a limit of memory; removed when nothing is in it.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None` without the right to make one.
    fn new(bytes: u64) -> Option<Self> {
        [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ]
        .into_iter()
        .find_map(|(parent, limit)| {
            let folder = Path::new(parent).join(format!("javelin-hostile-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            let cgroup = Self(folder);
            fs::write(cgroup.0.join(limit), bytes.to_string()).ok()?;
            Some(cgroup)
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

const CHART_MEMORY_MIB: u64 = 256;

const LARGE_HEAD: &[u8] =
    b"POST /mutate/pod?timeout=3s HTTP/1.1\r\nhost: x\r\ncontent-length: 8388608\r\n\r\n";

/// Six of these once stopped the server.
fn headers_and_silence(name: &str) {
    let attack = Attack {
        clients: 24,
        seconds: 3,
        refusals: &["slow-body"],
    };
    attack.run(name, |attacker| attacker.send(LARGE_HEAD));
}

/// Half a body each: more memory than there is for one address.
fn large_bodies_that_stop(name: &str) {
    let attack = Attack {
        clients: 12,
        seconds: 3,
        refusals: &["overloaded", "slow-body"],
    };
    let half = [LARGE_HEAD, &vec![b' '; 4 << 20]].concat();
    attack.run(name, |attacker| attacker.send(&half));
}

fn slow_bodies(name: &str) {
    let attack = Attack {
        clients: 50,
        seconds: 3,
        refusals: &["slow-body"],
    };
    attack.run(name, |attacker| {
        let head = b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{";
        attacker.trickle(head, b" ");
    });
}

fn slow_readers(name: &str) {
    let attack = Attack {
        clients: 8,
        seconds: 7,
        // Answers of megabytes have to come before a connection is full of them: longer than the short form, unoptimised.
        refusals: if is_long() { &["slow-reader"] } else { &[] },
    };
    let body = review(&pod(100, &names("app", 100)));
    let requests = post("/mutate/pod", body.as_bytes()).repeat(200);
    attack.run(name, |attacker| attacker.send_without_reading(&requests));
}

/// Small questions with large answers, on as many connections as one address has, each of which is kept: what was sent is not
/// to stay in memory.
fn large_answers_everywhere(name: &str) {
    let attack = Attack {
        clients: 300,
        seconds: 5,
        refusals: &[],
    };
    let all = r#""instrumentation.opentelemetry.io/container-names":"*""#;
    let request = post("/mutate/pod", review(&pod(700, all)).as_bytes());
    attack.run(name, |attacker| attacker.send(&request));
}

fn connections_without_a_request(name: &str) {
    let attack = Attack {
        clients: 100,
        seconds: 12,
        refusals: &["handshake", "silent"],
    };
    let next = AtomicUsize::new(0);
    attack.run(name, |attacker| {
        match next.fetch_add(1, Ordering::Relaxed) % 4 {
            // The first bytes of a ClientHello.
            0 => attacker.send_plain(&[
                0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
            ]),
            // A handshake and nothing.
            1 => attacker.send(b""),
            // Half a request, and the end.
            2 => {
                attacker.send_and_shut_down(b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-len");
            }
            // Headers without end.
            _ => attacker.trickle(b"POST /mutate/pod HTTP/1.1\r\n", b"x: y\r\n"),
        }
    });
}

fn idle_connections_by_the_thousand(name: &str) {
    let attack = Attack {
        clients: 1,
        seconds: 3,
        refusals: &["too-many-connections"],
    };
    attack.run(name, |attacker| {
        let _held = attacker.hold(2000);
        attacker.wait(10);
    });
}

fn handshakes_without_end(name: &str) {
    let attack = Attack {
        clients: 8,
        seconds: 3,
        refusals: &[],
    };
    attack.run(name, |attacker| {
        attacker.handshake("http/1.1", server::NAME);
    });
}

fn no_tls_or_another(name: &str) {
    let attack = Attack {
        clients: 8,
        seconds: 4,
        refusals: &["handshake"],
    };
    attack.run(name, |attacker| {
        attacker.send_plain(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        attacker.send_plain(&[0x16, 0x03, 0x01, 0xff, 0xff, 0x01, 0xff, 0xff, 0xff]);
        attacker.send_plain(&[0; 5000]);
        attacker.handshake("h2", server::NAME);
        attacker.handshake("http/1.1", "somebody.else.example");
        attacker.openssl(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "");
        // A line with an R asks for another handshake on the same connection, again and again.
        attacker.openssl(&["-tls1_2"], &"R\n".repeat(100));
    });
}

fn lying_lengths_and_encodings(name: &str) {
    let attack = Attack {
        clients: 8,
        seconds: 3,
        refusals: &["broken-body", "malformed", "not-http", "too-large"],
    };
    let shapes: [&[u8]; 7] = [
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999999\r\n\r\n",
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, identity\r\n\r\nabc",
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x8b\x08",
        b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
    ];
    attack.run(name, move |attacker| {
        for shape in shapes {
            attacker.send_and_close(shape);
        }
        attacker.send_and_shut_down(
            b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nshort",
        );
    });
}

/// What somebody between might take for two requests is one for us: it gets one answer, and then the connection ends.
fn no_shape_smuggles_a_request(_: &str) {
    let mut server = Server::start(":");
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "transfer-encoding: chunked",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +5",
        "content-length: 0x5",
        "content-length : 5",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "content-length: 5\r\nx: y\rtransfer-encoding: chunked",
    ] {
        let mut client = server.client();
        let request = format!(
            "POST /mutate/pod HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        client.send(request.as_bytes()).unwrap();
        let answers = client.rest();
        let count = answers.matches("HTTP/1.1 ").count();
        assert_eq!(count, 1, "{framing:?}: {answers}");
        assert!(!answers.contains(" 404 "), "{framing:?}: {answers}");
    }
    server.judge(&[]);
}

fn chunks_and_headers_without_measure(name: &str) {
    let attack = Attack {
        clients: 4,
        seconds: 3,
        refusals: &["not-http"],
    };
    let head = b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let line = b"POST /mutate/pod HTTP/1.1\r\n";
    let requests = [
        [head.as_slice(), &b"1\r\na\r\n".repeat(200_000)].concat(),
        [head.as_slice(), b"1;", &b"e".repeat(1_000_000)].concat(),
        [
            head.as_slice(),
            b"0\r\n",
            &b"trailer: x\r\n".repeat(100_000),
        ]
        .concat(),
        [head.as_slice(), b"fffffffffffffffff\r\n"].concat(),
        [line.as_slice(), &b"x: y\r\n".repeat(100_000)].concat(),
        [line.as_slice(), b"x: ", &b"y".repeat(1_000_000)].concat(),
        [b"POST /", b"y".repeat(1_000_000).as_slice()].concat(),
        b"POST /probe HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}".repeat(1000),
    ];
    attack.run(name, move |attacker| {
        for request in &requests {
            attacker.send_and_close(request);
        }
    });
}

fn deep_wide_and_wrong_json(name: &str) {
    let attack = Attack {
        clients: 4,
        seconds: 4,
        refusals: &["malformed"],
    };
    let bodies = [
        "[".repeat(1_000_000),
        review(&"{\"a\":".repeat(500_000)),
        review(&format!("[{}null]", "{},".repeat(300_001))),
        review(&format!("[{}null]", "{},".repeat(290_000))),
        review("1e999999999"),
        review(r#"{"metadata":{},"metadata":{"labels":{}},"metadata":null}"#),
        review(&format!(r#"{{"metadata":{}}}"#, "9".repeat(1_000_000))),
        review(&format!(
            r#"{{"metadata":{{"name":"{}"}}}}"#,
            "\\u0000".repeat(400_000)
        )),
    ];
    let mut requests: Vec<Vec<u8>> = bodies
        .iter()
        .map(|body| post("/mutate/pod?timeout=1s", body.as_bytes()))
        .collect();
    requests.push(post("/mutate/pod", b"{\"apiVersion\":\"\xff\xfe\"}"));
    requests.push(post("/mutate/pod", b""));
    attack.run(name, move |attacker| {
        for request in &requests {
            attacker.send_and_close(request);
        }
    });
}

/// Each takes longer than anybody waits, or did once.
fn expensive_reviews(name: &str) {
    let attack = Attack {
        clients: 4,
        seconds: 4,
        refusals: &[],
    };
    let variables: Vec<String> = (0..60_000)
        .map(|number| format!(r#""javelin.dev/env.V{number}":"$(V)$(V)""#))
        .collect();
    let argument = "x=-javaagent:=".repeat(100_000);
    let bodies = [
        review(&pod(1, &names("none", 200_000))),
        review(&pod(1, &variables.join(","))),
        review(&format!(
            r#"{{"metadata":{{"labels":{{"instrumentation.opentelemetry.io/inject-java":"true"}}}},"spec":{{"containers":[{{"name":"app","image":"shop","args":["{argument}"],"env":[{{"name":"JAVA_TOOL_OPTIONS","value":"{argument}"}}]}}]}}}}"#
        )),
    ];
    let requests: Vec<Vec<u8>> = bodies
        .iter()
        .map(|body| post("/mutate/pod?timeout=1s", body.as_bytes()))
        .collect();
    attack.run(name, move |attacker| {
        for request in &requests {
            attacker.send_and_close(request);
        }
    });
}

/// Patches of a megabyte, the largest that there are: with a little more an API server could not store the pod.
fn answers_without_measure(name: &str) {
    let attack = Attack {
        clients: 4,
        seconds: 3,
        refusals: &[],
    };
    let body = review(&pod(1000, &names("app", 1000)));
    let request = post("/mutate/pod?timeout=1s", body.as_bytes());
    attack.run(name, |attacker| attacker.send_and_close(&request));
}

/// Fewer than the limits of connections would take: there are fewer connections then, and `/livez` has its own.
fn few_descriptors(name: &str) {
    let mut server = Server::start("ulimit -n 128");
    let attack = Attack {
        clients: 1,
        seconds: 2,
        refusals: &["too-many-connections"],
    };
    attack.run_against(&mut server, name, |attacker| {
        let _held = attacker.hold(200);
        attacker.wait(10);
    });
}

/// What is open goes on being served, and what comes later is served later.
fn no_descriptors_left(_: &str) {
    let mut server = Server::start(":");
    let mut honest = server.client();
    honest.review();
    let taken = Command::new("prlimit")
        .args(["--pid", &server.id(), "--nofile=40:40"])
        .status()
        .unwrap();
    assert!(taken.success());
    let attacker = server.attacker();
    let held = attacker.hold(100);
    for _ in 0..100 {
        honest.review();
    }
    drop(held);
    server.client().review();
    server.judge(&["no-descriptors"]);
}

/// No line can be written: that is nobody's business but the log's.
fn a_full_disk(_: &str) {
    let server = Server::start("exec 2>/dev/full");
    let mut honest = server.client();
    for _ in 0..20 {
        honest.review();
        server
            .attacker()
            .send_and_close(b"POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n{");
    }
    assert!(server.is_alive());
    assert_eq!(server.metric("javelin_panics_total"), 0);
}
