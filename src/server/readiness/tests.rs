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
