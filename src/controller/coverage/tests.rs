use super::*;
use crate::entries::{OWN_NAMESPACE, made};

/// The entries of the chart, with the profiles of this configuration.
fn entries(config: &str) -> Vec<MutatingWebhook> {
    made(&Config::parse(config, "f").unwrap())
}

#[test]
fn a_profile_without_an_entry_is_told_until_either_side_changes() {
    let parse = |text: &str| Arc::new(Config::parse(text, "f").unwrap());
    let config = Arc::new(ArcSwap::new(parse("profiles: {a: {}, b: {}}")));
    let metrics = Arc::new(Metrics::new());
    let mut coverage = Coverage::new(Arc::clone(&config), Arc::clone(&metrics));
    let mut check = |entries: &[MutatingWebhook], missing: &[&str]| {
        coverage.judge(OWN_NAMESPACE, entries);
        assert_eq!(coverage.said, missing);
        let text = metrics.encode().unwrap();
        let line = format!("javelin_profiles_without_entry {}\n", missing.len());
        assert!(text.contains(&line), "{text}");
    };
    check(&entries("profiles: {}"), &["a", "b"]);
    // An entry too many is none too few.
    check(&entries("profiles: {b: {}, of-another-time: {}}"), &["a"]);
    config.store(parse("profiles: {b: {}}"));
    check(&entries("profiles: {b: {}}"), &[]);
    check(&[], &["default", "b"]);
}

#[test]
fn entries_that_have_drifted_are_counted_until_they_are_mended() {
    let config = Config::parse("profiles: {a: {}}", "f").unwrap();
    let metrics = Arc::new(Metrics::new());
    let config = Arc::new(ArcSwap::from_pointee(config));
    let mut coverage = Coverage::new(config, Arc::clone(&metrics));
    let mut check = |entries: &[MutatingWebhook], counts: [usize; 3]| {
        coverage.judge(OWN_NAMESPACE, entries);
        let text = metrics.encode().unwrap();
        for (drift, count) in ["missing", "lost", "added"].into_iter().zip(counts) {
            let line = format!("javelin_webhook_entries_drifted{{drift=\"{drift}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    };
    let good = entries("profiles: {a: {}}");
    check(&good, [0, 0, 0]);
    let mut drifted = good.clone();
    drifted.truncate(good.len() - 2);
    drifted[0].object_selector.match_expressions.clear();
    check(&drifted, [2, 1, 0]);
    check(&good, [0, 0, 0]);
}
