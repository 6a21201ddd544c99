use std::{collections::BTreeSet, sync::Arc};

use javelin_core::mutate::{Reason, Source};

use super::*;
use crate::server::refusals::Refusals;

#[test]
fn names_are_stable_and_labels_closed() {
    let metrics = Metrics::new();
    metrics.reviewed(
        &Entry::Namespace("checkout".to_owned()),
        "injected",
        Duration::from_micros(40),
    );
    metrics.second_chance(&Entry::Pod, "injected");
    metrics.refused("late", 2);
    metrics.config_reloaded(false);
    metrics.certificate_reloaded(true);
    metrics.certificate_reloaded(false);
    metrics.probed("refused");
    let (first, second) = (Config::default(), with_profile());
    metrics.config_in_effect(&first, SystemTime::UNIX_EPOCH);
    metrics.config_in_effect(&second, SystemTime::UNIX_EPOCH + Duration::from_secs(11));
    metrics.injected("payments");
    metrics.probe_reached(SystemTime::UNIX_EPOCH + Duration::from_secs(13));
    metrics.leaf_expires(SystemTime::UNIX_EPOCH + Duration::from_secs(12));
    metrics.leaf_comes_from("0123456789abcdef".to_owned());
    metrics.leaf_comes_from("fedcba9876543210".to_owned());

    let text = metrics.encode().unwrap();

    for line in [
        concat!(
            "javelin_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        r#"javelin_reviews_total{entry="namespace",outcome="injected"} 1"#,
        r#"javelin_injections_total{profile="payments"} 1"#,
        r#"javelin_injections_total{profile="batch"} 0"#,
        &format!("javelin_config_info{{hash=\"{}\"}} 1", second.hash()),
        "javelin_config_last_reload_timestamp_seconds 11",
        r#"javelin_events_total{reason="AuthorityMade"} 0"#,
        r#"javelin_config_reloads_total{result="success"} 0"#,
        "# TYPE process_cpu_seconds counter",
        r#"javelin_second_chances_total{entry="pod",outcome="injected"} 1"#,
        r#"javelin_review_duration_seconds_bucket{le="0.00005",entry="namespace"} 1"#,
        "javelin_malformed_requests_total 0",
        "javelin_panics_total 0",
        r#"javelin_refusals_total{reason="late"} 2"#,
        "javelin_tls_handshake_failures_total 0",
        "javelin_open_connections 0",
        r#"javelin_config_reloads_total{result="failure"} 1"#,
        "javelin_config_last_reload_success 0",
        r#"javelin_certificate_reloads_total{result="success"} 1"#,
        r#"javelin_certificate_reloads_total{result="failure"} 1"#,
        "javelin_certificate_last_reload_success 0",
        "javelin_profiles_without_entry 0",
        "javelin_leaf_not_after_timestamp_seconds 12",
        r#"javelin_leaf_issuer{authority="fedcba9876543210"} 1"#,
        "javelin_authority_not_after_timestamp_seconds 0",
        "javelin_ca_bundle_writes_total 0",
        r#"javelin_probe_result{result="reached"} 0"#,
        r#"javelin_probe_result{result="refused"} 1"#,
        "javelin_probe_last_success_timestamp_seconds 13",
    ] {
        assert!(
            text.lines().any(|each| each == line),
            "{line} is missing in:\n{text}"
        );
    }
    assert!(
        !text.contains(&first.hash()),
        "a configuration that is not in effect any more is still named:\n{text}"
    );
    assert!(
        !text.contains("checkout"),
        "a profile's name must not become a label:\n{text}"
    );
    assert!(
        !text.contains("0123456789abcdef"),
        "an authority that nothing comes from any more is still named:\n{text}"
    );
}

fn with_profile() -> Config {
    Config::parse("profiles: {batch: {propagators: [b3]}}", "test").unwrap()
}

#[test]
fn reviews_and_injections_are_there_before_the_first() {
    let metrics = Metrics::new();
    metrics.config_in_effect(&with_profile(), SystemTime::UNIX_EPOCH);
    let text = metrics.encode().unwrap();
    for line in [
        r#"javelin_reviews_total{entry="pod",outcome="does-not-fit"} 0"#,
        r#"javelin_reviews_total{entry="namespace-unknown",outcome="unknown-profile"} 0"#,
        r#"javelin_reviews_total{entry="workload",outcome="labelled"} 0"#,
        r#"javelin_reviews_total{entry="probe",outcome="probed"} 0"#,
        r#"javelin_reviews_total{entry="workload-warning",outcome="warned"} 0"#,
        r#"javelin_reviews_total{entry="workload-warning-unknown",outcome="nothing-to-say"} 0"#,
        r#"javelin_second_chances_total{entry="namespace",outcome="injected"} 0"#,
        r#"javelin_review_duration_seconds_count{entry="workload"} 0"#,
        r#"javelin_injections_total{profile="default"} 0"#,
        r#"javelin_injections_total{profile="batch"} 0"#,
    ] {
        assert!(
            text.lines().any(|each| each == line),
            "{line} is missing in:\n{text}"
        );
    }
    for entry in ["probe", "workload-warning"] {
        let series = format!("javelin_second_chances_total{{entry=\"{entry}");
        assert!(!text.contains(&series), "{series}");
    }
}

#[test]
fn what_alerts_and_the_dashboard_ask_for_is_told() {
    let told = told_by_a_busy_process();
    for (file, text) in CHART_FILES {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let names: BTreeSet<_> = words.filter(|word| is_of_this_process(word)).collect();
        assert!(names.len() > 10, "{file}: {names:?}");
        let is_told = |name: &str| {
            told.lines()
                .any(|line| line.split(['{', ' ']).next() == Some(name))
        };
        let unknown: Vec<_> = names.into_iter().filter(|name| !is_told(name)).collect();
        assert!(
            unknown.is_empty(),
            "{file}: there is no {unknown:?} in:\n{told}"
        );
    }
}

#[test]
fn what_alerts_choose_by_label_is_told() {
    let told = told_by_a_busy_process();
    let reasons = chosen("reason=~\"");
    assert!(!reasons.is_empty());
    for reason in reasons {
        let series = format!("javelin_refusals_total{{reason=\"{reason}\"}}");
        assert!(told.contains(&series), "no {series}");
    }
    let expected = [
        "injected",
        Reason::NotSelected.code(),
        Reason::OptedOut(Source::Pod).code(),
        Reason::AlreadyInjected.code(),
    ];
    for outcome in chosen("outcome!~\"") {
        assert!(
            expected.contains(&outcome.as_str()),
            "{outcome} is a doubt, or is none at all"
        );
    }
}

/// The alternatives of a selector in the alerts and the dashboard.
fn chosen(selector: &str) -> BTreeSet<String> {
    let texts = CHART_FILES.map(|(_, text)| text.replace("\\\"", "\""));
    let ends = texts.iter().flat_map(|text| text.split(selector).skip(1));
    let values = ends.filter_map(|rest| rest.split('"').next());
    values
        .flat_map(|alternatives| alternatives.split('|'))
        .map(str::to_owned)
        .collect()
}

/// Each family with a value: what has none yet is not written at all.
pub(crate) fn told_by_a_busy_process() -> String {
    let metrics = Arc::new(Metrics::new());
    metrics.reviewed(&Entry::Pod, "injected", Duration::ZERO);
    metrics.second_chance(&Entry::Pod, "injected");
    metrics.injected("default");
    metrics.leaf_comes_from("0123456789abcdef".to_owned());
    metrics.config_in_effect(&Config::default(), SystemTime::UNIX_EPOCH);
    Refusals::new(Arc::clone(&metrics));
    metrics.encode().unwrap()
}

fn is_of_this_process(name: &str) -> bool {
    name.starts_with("javelin_") || name.starts_with("process_")
}

const CHART_FILES: [(&str, &str); 2] = [
    (
        "alerts.yaml",
        include_str!("../../deploy/chart/files/alerts.yaml"),
    ),
    (
        "dashboard.json",
        include_str!("../../deploy/chart/files/dashboard.json"),
    ),
];
