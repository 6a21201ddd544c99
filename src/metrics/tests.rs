use super::*;

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
    metrics.config_in_effect("0123".to_owned(), SystemTime::UNIX_EPOCH);
    metrics.config_in_effect(
        "4567".to_owned(),
        SystemTime::UNIX_EPOCH + Duration::from_secs(11),
    );
    metrics.injected("payments");
    metrics.probe_reached(SystemTime::UNIX_EPOCH + Duration::from_secs(13));
    metrics.leaf_expires(SystemTime::UNIX_EPOCH + Duration::from_secs(12));
    metrics.leaf_comes_from("0123456789abcdef".to_owned());
    metrics.leaf_comes_from("fedcba9876543210".to_owned());

    let text = metrics.encode().unwrap();

    for line in [
        r#"javelin_build_info{version="0.1.0"} 1"#,
        r#"javelin_reviews_total{entry="namespace",outcome="injected"} 1"#,
        r#"javelin_injections_total{profile="payments"} 1"#,
        r#"javelin_config_info{hash="4567"} 1"#,
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
        !text.contains("0123\""),
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
