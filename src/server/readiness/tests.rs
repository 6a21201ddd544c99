use futures_util::FutureExt as _;

use super::*;

#[test]
fn once_ready_only_draining_takes_it_away() {
    let shutdown = Shutdown::new();
    let readiness = Readiness::new(
        &[Condition::Listening, Condition::Trusted],
        shutdown.clone(),
    );

    readiness.set(Condition::Listening, true);
    assert!(!readiness.is_ready());
    assert!(readiness.describe().contains("[-]trusted"));
    // Not asked for: of no account.
    readiness.set(Condition::Certificate, true);
    assert!(!readiness.is_ready());
    readiness.set(Condition::Trusted, true);
    assert!(readiness.is_ready());

    readiness.set(Condition::Trusted, false);
    assert!(readiness.is_ready());
    assert!(readiness.describe().contains("[-]trusted"));

    shutdown.drain();
    assert!(!readiness.is_ready());
    assert!(readiness.describe().contains("[-]shutting down"));
}

#[tokio::test]
async fn reached_wakes_whoever_waits_before_and_after() {
    let readiness = Readiness::new(&[Condition::Listening], Shutdown::new());
    let wait = readiness.reached();
    readiness.set(Condition::Listening, true);
    wait.await;
    readiness.reached().await;
}

#[test]
fn a_note_is_read_and_has_no_bearing() {
    let readiness = Readiness::new(&[Condition::Listening], Shutdown::new());

    readiness.note("probe: reached\n".to_owned());
    assert!(!readiness.is_ready());
    readiness.set(Condition::Listening, true);
    readiness.note("probe: no-answer\n".to_owned());

    assert!(readiness.is_ready());
    let text = readiness.describe();
    assert!(
        text.ends_with("the port is open\nprobe: no-answer\n"),
        "{text}"
    );
}

#[tokio::test]
async fn the_last_condition_can_wait_for_the_others() {
    let readiness = Readiness::new(
        &[Condition::Listening, Condition::Way, Condition::Trusted],
        Shutdown::new(),
    );
    let lacks = readiness.lacks_at_most(Condition::Way);
    tokio::pin!(lacks);
    readiness.set(Condition::Listening, true);
    assert!(lacks.as_mut().now_or_never().is_none());
    readiness.set(Condition::Trusted, true);
    lacks.await;
    assert!(!readiness.is_ready());
}
