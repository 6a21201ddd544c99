use super::*;

#[test]
fn a_service_name_has_two_dns_labels() {
    let name = ServiceName::new("javelin", "javelin-system").unwrap();
    assert_eq!(name.to_string(), "javelin.javelin-system.svc");

    for bad in ["", "Javelin", "a.b", "-a", "a-", "a b", &"a".repeat(64)] {
        assert!(ServiceName::new(bad, "ns").is_err(), "{bad:?}");
        assert!(ServiceName::new("svc", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn two_thirds_are_of_the_whole_life() {
    let now = UNIX_EPOCH + Duration::from_hours(1_000);
    let validity = Validity::starting(now, Duration::from_hours(29));

    assert!(validity.contains(now));
    assert!(validity.contains(now - CLOCK_SKEW));
    assert!(!validity.contains(now + Duration::from_hours(30)));
    // 30 hours in all, the first of them before now.
    assert_eq!(validity.two_thirds(), now + Duration::from_hours(19));
}
