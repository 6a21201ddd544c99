//! What a review costs: `cargo xtask bench` runs this, and makes the tables of `docs/performance.md`.
//!
//! `run SAMPLE TIMES` answers one review so many times and says nothing: callgrind counts its instructions, and of two
//! runs the difference is what the reviews cost. `ratios` times reviews of several sizes beside a plain parse of the same
//! body, in turns, so that the machine's noise meets both. `list` names the samples of the first.
#![expect(clippy::print_stdout, reason = "a program that prints figures")]

mod samples;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use javelin_core::{config::Config, review};
use mimalloc::MiMalloc;
use samples::Sample;
use serde::de::IgnoredAny;
use serde_json::Value;
use zeroizing_alloc::ZeroAlloc;

// What the program has.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list", ..] => {
            for sample in samples::decisions() {
                println!("{}", sample.name);
            }
        }
        ["run", name, times, ..] => run(name, times.parse().expect("a number")),
        // `cargo bench` adds a flag.
        _ => ratios(),
    }
}

fn run(name: &str, times: usize) {
    let config = samples::config();
    let sample = samples::decisions()
        .into_iter()
        .find(|sample| sample.name == name)
        .expect("the name of a sample");
    for _ in 0..times {
        answer(&sample, &config);
    }
}

/// The time of a review as a multiple of each plain parse of the same body.
fn ratios() {
    let config = samples::config();
    println!("| review | bytes | of `IgnoredAny` | of `Value` |\n|---|---:|---:|---:|");
    let decisions = samples::decisions().into_iter();
    for sample in decisions.chain(samples::sizes()) {
        let body = &sample.body;
        let [ours, ignored, value] = medians([
            &|| answer(&sample, &config),
            &|| drop(black_box(serde_json::from_slice::<IgnoredAny>(body))),
            &|| drop(black_box(serde_json::from_slice::<Value>(body))),
        ]);
        println!(
            "| {} | {} | {:.1} | {:.2} |",
            sample.name,
            body.len(),
            ours.div_duration_f64(ignored),
            ours.div_duration_f64(value)
        );
    }
}

fn answer(sample: &Sample, config: &Config) {
    let answer = review::answer(&sample.entry, black_box(&sample.body), config);
    let answer = black_box(answer).expect("a review");
    assert_eq!(answer.outcome.code, sample.code, "{}", sample.name);
}

/// The median time of each, by turns.
fn medians<const N: usize>(works: [&dyn Fn(); N]) -> [Duration; N] {
    let time = |work: &dyn Fn(), times: u32| {
        let start = Instant::now();
        for _ in 0..times {
            work();
        }
        start.elapsed() / times
    };
    // Long enough to be told from the clock's own time, and short enough for many turns.
    let times = works.map(|work| {
        let one = time(work, 3).max(Duration::from_nanos(1));
        u32::try_from(TURN.as_nanos() / one.as_nanos())
            .unwrap_or(u32::MAX)
            .max(1)
    });
    let mut turns = [const { Vec::new() }; N];
    for _ in 0..TURNS {
        for ((work, times), turns) in works.iter().zip(times).zip(&mut turns) {
            turns.push(time(*work, times));
        }
    }
    turns.map(|mut turns| {
        turns.sort_unstable();
        turns.get(TURNS / 2).copied().unwrap_or_default()
    })
}

const TURN: Duration = Duration::from_millis(5);
const TURNS: usize = 51;
