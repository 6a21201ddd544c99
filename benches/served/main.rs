//! The program under load, beside a handler that does nothing on the same server: what is left is what Javelin adds to TLS
//! and HTTP. `cargo xtask bench` runs this.
//!
//! Both are processes of their own, with the same certificate, runtime, TLS and HTTP libraries. A client keeps 1, 8 or 64
//! connections busy, one server after the other in short turns, so that the machine's noise meets both; a turn of the one is
//! compared with the turn of the other beside it, and of these ratios the median is told. Every answer is compared, whole,
//! with what has to come, while it is measured.
//!
//! `cargo bench --bench served -- --docs FOLDER` writes the tables and the picture into the pages of that folder.
#![expect(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unchecked_time_subtraction,
    clippy::unwrap_used,
    reason = "a program that measures: it prints figures, and fails by panics"
)]

mod load;
mod noop;
mod process;
mod report;
#[path = "../../crates/javelin-core/benches/review/samples.rs"]
#[expect(dead_code, reason = "other programs have more of them")]
mod samples;
#[path = "../../tests/common/svg.rs"]
mod svg;

use std::{path::PathBuf, time::Duration};

use javelin_core::review;
use mimalloc::MiMalloc;

use load::{Load, Turn};
use process::{Certificate, Process};
use report::{Cost, Footprint, Handshakes, Report, Row};

// What serves nothing has the same allocator, but for the overwriting of what is freed.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["noop", folder, port, ..] => noop::serve(folder.as_ref(), port.parse().unwrap()),
        ["--docs", folder, ..] => compare(Some(PathBuf::from(folder))),
        // `cargo bench` adds a flag.
        _ => compare(None),
    }
}

fn compare(docs: Option<PathBuf>) {
    let certificate = Certificate::make();
    let config = samples::config();
    let servers = Servers {
        noop: Process::noop(&certificate),
        ours: Process::javelin(&certificate, samples::CONFIG),
    };
    let idle = servers.both(Process::resident_mib);
    let handshakes = handshakes(&servers, &certificate);
    let mut rows = Vec::new();
    for sample in samples::decisions() {
        let answer = review::answer(&sample.entry, &sample.body, &config).unwrap();
        assert_eq!(answer.outcome.code, sample.code);
        let path = match sample.entry {
            review::Entry::Workload => "/mutate/workload",
            _ => "/mutate/pod",
        };
        let request = load::request(path, &sample.body);
        let loads = servers.both(|process| Load {
            address: process.address(),
            client: certificate.client(true),
            request: request.clone(),
            answer: if process.is_noop() {
                noop::ANSWER.as_bytes().to_vec()
            } else {
                answer.body.clone()
            },
        });
        let at = CONNECTIONS.map(|connections| cost(&servers, &loads, connections));
        println!("{}: {at:?}", sample.name);
        rows.push(Row {
            name: sample.name,
            at,
        });
    }
    let footprint = Footprint {
        idle,
        after: servers.both(Process::resident_mib),
        start: certificate.starts(samples::CONFIG, STARTS),
    };
    let report = Report {
        rows,
        handshakes,
        footprint,
    };
    println!("\n{}", report.markdown());
    if let Some(docs) = docs {
        report.write(&docs);
    }
}

/// What is compared.
struct Servers {
    noop: Process,
    ours: Process,
}

impl Servers {
    /// The same of each, the handler that does nothing first.
    fn both<T>(&self, of: impl Fn(&Process) -> T) -> [T; 2] {
        [of(&self.noop), of(&self.ours)]
    }
}

fn cost(servers: &Servers, loads: &[Load; 2], connections: usize) -> Cost {
    let mut turns = load::turns(loads, connections, TURN, TURNS, |index| {
        servers.both(Process::processor_time)[index]
    });
    let ratio = |of: fn(&mut Turn) -> f64, turns: &mut Vec<[Turn; 2]>| {
        let each = turns.iter_mut().map(|[noop, ours]| of(ours) / of(noop));
        median(each.collect())
    };
    Cost {
        connections,
        rate: ratio(|turn| turn.rate(), &mut turns),
        p50: ratio(|turn| turn.percentile(50), &mut turns),
        p99: ratio(|turn| turn.percentile(99), &mut turns),
        // Ticks are coarse: all turns together.
        processor: {
            let all = |index: usize, turns: &[[Turn; 2]]| {
                let turns = turns.iter().filter_map(|turns| turns.get(index));
                let (time, reviews) = turns.fold((Duration::ZERO, 0), |(time, reviews), turn| {
                    (time + turn.processor, reviews + turn.took.len())
                });
                time.as_secs_f64() / reviews as f64
            };
            all(1, &turns) / all(0, &turns)
        },
        reviews: turns.iter().map(|[_, ours]| ours.took.len()).sum(),
    }
}

fn handshakes(servers: &Servers, certificate: &Certificate) -> Handshakes {
    let ratio = |resumes: bool| {
        let mut ratios = Vec::new();
        for _ in 0..TURNS {
            let [noop, ours] = servers.both(|process| {
                let before = process.processor_time();
                let client = certificate.client(resumes);
                let resumed = load::handshakes(process.address(), &client, HANDSHAKES);
                // The first of a client's cannot be.
                assert_eq!(resumed, if resumes { HANDSHAKES - 1 } else { 0 });
                (process.processor_time() - before).as_secs_f64()
            });
            ratios.push(ours / noop);
        }
        median(ratios)
    };
    Handshakes {
        full: ratio(false),
        resumed: ratio(true),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

const CONNECTIONS: [usize; 3] = [1, 8, 64];
const TURN: Duration = Duration::from_millis(700);
const TURNS: usize = 7;
/// In a turn.
const HANDSHAKES: usize = 200;
const STARTS: usize = 9;
