use super::*;

#[test]
fn durations_have_a_unit() {
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
    assert_eq!(parse_duration("24h"), Ok(Duration::from_hours(24)));
    assert_eq!(parse_duration("730d"), Ok(Duration::from_hours(17_520)));
    for bad in [
        "",
        "5",
        "s",
        "5y",
        "-5s",
        "5 s",
        "99999999999999999999s",
        "18446744073709551615m",
        "18446744073709551615d",
    ] {
        assert!(parse_duration(bad).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn the_end_of_a_background_task_is_told_by_name() {
    let mut background = Background::new();
    background.spawn("steady", std::future::pending());
    background.spawn("doomed", async { panic!("on purpose") });

    let failure = background.failure().await;

    assert_eq!(failure.to_string(), "background task failed: doomed");
}
