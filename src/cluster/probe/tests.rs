use super::*;

#[test]
fn the_time_tells_a_black_hole_from_a_refusal() {
    let (fast, slow) = (Duration::from_millis(20), Duration::from_secs(3));

    assert_eq!(Finding::of(Ok(true), slow), Finding::Reached);
    assert_eq!(Finding::of(Ok(false), slow), Finding::NoAnswer);
    assert_eq!(Finding::of(Ok(false), fast), Finding::Refused);
    let codes = [
        Finding::Reached,
        Finding::NoAnswer,
        Finding::Refused,
        Finding::CouldNotProbe(String::new()),
    ];
    assert_eq!(codes.map(|finding| finding.code()), CODES);
}
