use std::time::{Duration, UNIX_EPOCH};

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn name() -> ServiceName {
    ServiceName::new("javelin", "javelin-system").unwrap()
}

fn start() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY
}

fn authority() -> Authority {
    Authority::generate(&name(), 300 * DAY, start()).unwrap()
}

fn full() -> Contents {
    let retired = |days| Retired::new(authority().certificate().clone(), start() + DAY * days);
    Contents {
        authority: authority(),
        next: Some(authority()),
        previous: vec![retired(2), retired(1_000)],
        retired: vec!["0123456789abcdef".to_owned(), "f".to_owned()],
    }
}

fn data(contents: &Contents) -> BTreeMap<String, Hidden> {
    let data = contents.to_data().into_iter();
    data.filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

#[track_caller]
fn sound(data: &BTreeMap<String, Hidden>) -> Contents {
    match Stored::read(data, &name()) {
        Stored::Sound(contents) => contents,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_can_be_read_again() {
    let written = full();

    let read = sound(&data(&written));

    assert_eq!(read.bundle(), written.bundle());
    assert_eq!(read.previous, written.previous);
    assert_eq!(read.retired, written.retired);
    assert_eq!(read.authority.key_pem(), written.authority.key_pem());
    let next = |contents: &Contents| contents.next.as_ref().unwrap().key_pem();
    assert_eq!(next(&read), next(&written));
}

#[test]
fn what_is_not_there_is_removed() {
    let data = Contents::new(authority()).to_data();

    for key in [
        "next.crt",
        "next.key",
        "previous.crt",
        "previous.until",
        "retired",
    ] {
        assert_eq!(data[key], None, "{key}");
    }
}

#[test]
fn nobody_is_trusted_for_longer_than_the_certificate_is_valid() {
    let contents = full();

    let expiry = contents.previous[1].certificate.validity().not_after;

    assert_eq!(contents.previous[0].until, start() + 2 * DAY);
    assert_eq!(contents.previous[1].until, expiry);
}

#[test]
fn without_a_time_a_predecessor_is_trusted_until_it_expires() {
    let mut data = data(&full());
    for until in [None, Some("tomorrow\n")] {
        data.remove("previous.until");
        if let Some(until) = until {
            data.insert("previous.until".to_owned(), until.to_owned().into());
        }
        let contents = sound(&data);
        for each in contents.previous {
            assert_eq!(each.until, each.certificate.validity().not_after);
        }
    }
}

#[test]
fn what_is_cut_off_is_seen() {
    let whole = data(&full());
    let text = String::from_utf8(whole["previous.crt"].bytes().to_vec()).unwrap();
    // After a whole block, too: there are more times than certificates then.
    let boundary = text.len() / 2;
    for length in [10, 200, boundary, text.len() - 10] {
        let mut data = whole.clone();
        data.insert("previous.crt".to_owned(), text[..length].to_owned().into());
        let Stored::Damaged { error, usable, .. } = Stored::read(&data, &name()) else {
            panic!("cut off at {length}");
        };
        assert!(matches!(error, StoreError::Previous(_)), "{error}");
        assert!(usable.is_some());
    }
    let mut data = whole;
    data.insert("previous.crt".to_owned(), text.trim_end().to_owned().into());
    assert_eq!(sound(&data).previous.len(), 2, "no newline at the end");
}

/// Found by fuzzing: with a damaged successor beside it, it came into the bundle twice.
#[test]
fn the_authority_that_signs_is_not_before_itself() {
    let mut contents = full();
    let signing = contents.authority.certificate().clone();
    contents.previous.push(Retired::new(signing, start()));
    let mut data = data(&contents);
    assert_eq!(sound(&data).previous.len(), 2);
    data.insert("next.key".to_owned(), b"nonsense".to_vec().into());
    let Stored::Damaged { usable, .. } = Stored::read(&data, &name()) else {
        panic!("a key is damaged");
    };
    assert_eq!(usable.unwrap().previous.len(), 2);
}

#[test]
fn an_error_names_the_key_and_the_cause() {
    let mut data = data(&full());
    data.insert("next.key".to_owned(), b"nonsense".to_vec().into());
    let Stored::Damaged { error, .. } = Stored::read(&data, &name()) else {
        panic!("a key is damaged");
    };

    let text = error.to_string();
    assert!(
        text.starts_with("next.crt: the private key cannot be read: "),
        "{text}"
    );
}

#[test]
fn people_are_told_what_state_it_is() {
    let mut contents = full();
    let [ca, next, first] = [
        contents.authority.certificate(),
        contents.next.as_ref().unwrap().certificate(),
        &contents.previous[0].certificate,
    ]
    .map(AuthorityCertificate::fingerprint);
    contents.previous.truncate(1);

    assert_eq!(
        contents.describe(),
        format!(
            "authority {ca} signs until 2025-07-31T00:00:00Z; its successor {next} is being published, and signs once it \
             is proven; {first} signs no more and is trusted until 2024-10-06T00:00:00Z"
        )
    );
    contents.next = None;
    contents.previous.clear();
    assert_eq!(
        contents.describe(),
        format!(
            "authority {ca} signs until 2025-07-31T00:00:00Z; its successor is made from 2025-04-22T00:00:00Z"
        )
    );
}
