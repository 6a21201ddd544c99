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
fn two_thirds_are_of_the_life_since_the_signature() {
    let now = UNIX_EPOCH + Duration::from_hours(1_000);
    let validity = Validity::starting(now, Duration::from_hours(30));

    assert!(validity.contains(now));
    assert!(validity.contains(now - CLOCK_SKEW));
    assert!(!validity.contains(now + Duration::from_hours(31)));
    assert_eq!(validity.two_thirds(), now + Duration::from_hours(20));
}

#[test]
fn lifetimes_leave_time_for_a_rotation() {
    let check = |authority, leaf, settle| {
        let [authority, leaf, settle] = [authority, leaf, settle].map(Duration::from_secs);
        Lifetimes::new(authority, leaf, settle).err()
    };

    assert_eq!(check(30, 10, 5), None);
    assert_eq!(check(29, 10, 4), Some(LifetimesError::Authority));
    assert_eq!(check(30, 10, 6), Some(LifetimesError::Authority));
    assert_eq!(check(30, 4, 1), Some(LifetimesError::Leaf));
    assert_eq!(check(u64::MAX, u64::MAX, 1), Some(LifetimesError::TooLong));
    let Lifetimes {
        authority,
        leaf,
        settle,
    } = Lifetimes::default();
    assert!(Lifetimes::new(authority, leaf, settle).is_ok());
}

#[test]
fn the_end_is_near_in_the_last_tenth_or_the_last_week() {
    let now = UNIX_EPOCH + Duration::from_hours(1_000);
    let day = Duration::from_hours(24);
    for (days, left) in [(10, day), (70, 7 * day), (365, 7 * day)] {
        let validity = Validity {
            not_before: now,
            not_after: now + days * day,
        };
        assert_eq!(validity.ending(), validity.not_after - left, "{days} days");
    }
}
