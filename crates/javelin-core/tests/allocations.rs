//! How often a review allocates: a count, which no noise of a machine touches. Each decision has a bound.
//!
//! `cargo xtask bench` prints the counts. A bound that is far above its count has become too lax: lower it.

#[path = "../benches/review/samples.rs"]
mod samples;

use allocation_counter::measure;
use javelin_core::review;
use samples::Sample;

#[test]
fn a_review_allocates_no_more_than_it_did() {
    let config = samples::config();
    let mut wrong = Vec::new();
    println!("| review | bytes | allocations | of them at once | bytes of them at once |");
    println!("|---|---:|---:|---:|---:|");
    let decisions = samples::decisions().into_iter();
    for sample in decisions.chain(samples::sizes()) {
        let Sample {
            name,
            entry,
            code,
            body,
        } = sample;
        let mut decided = None;
        let counted = measure(|| decided = review::answer(&entry, &body, &config).ok());
        assert_eq!(decided.unwrap().outcome.code, code, "{name}");
        println!(
            "| {name} | {} | {} | {} | {} |",
            body.len(),
            counted.count_total,
            counted.count_max,
            counted.bytes_max
        );
        let (_, bound) = BOUNDS
            .into_iter()
            .find(|(bounded, _)| *bounded == name)
            .expect("a bound for each sample");
        let count = counted.count_total;
        if count > bound || count * 10 < bound * 9 {
            wrong.push(format!(
                "{name}: {count} allocations, and a bound of {bound}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Allocations of one review of each kind and size.
const BOUNDS: [(&str, u64); 9] = [
    ("skipped", 80),
    ("already injected", 265),
    ("workload without a change", 315),
    ("injected", 605),
    ("1 kB", 415),
    ("10 kB", 825),
    ("50 kB", 1_650),
    ("250 kB", 5_750),
    ("2000 kB", 8_800),
];
