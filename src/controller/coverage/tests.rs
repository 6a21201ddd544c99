use super::*;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_profile_without_an_entry_is_told_until_either_side_changes() {
    let parse = |text: &str| Arc::new(Config::parse(text, "f").unwrap());
    let config = Arc::new(ArcSwap::new(parse("profiles: {a: {}, b: {}}")));
    let metrics = Arc::new(Metrics::new());
    let mut coverage = Coverage::new(Arc::clone(&config), Arc::clone(&metrics));
    let mut check = |with_entry: &[&str], missing: &[&str]| {
        coverage.judge(&names(with_entry));
        assert_eq!(coverage.said, missing);
        let text = metrics.encode().unwrap();
        let line = format!("javelin_profiles_without_entry {}\n", missing.len());
        assert!(text.contains(&line), "{text}");
    };
    check(&["default"], &["a", "b"]);
    // An entry too many is none too few.
    check(&["default", "b", "of-another-time"], &["a"]);
    config.store(parse("profiles: {b: {}}"));
    check(&["default", "b"], &[]);
    check(&[], &["default", "b"]);
}
