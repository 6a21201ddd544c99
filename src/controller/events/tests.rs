use super::*;
use crate::certs::ServiceName;

fn names() -> Names {
    Names {
        service: ServiceName::new("javelin", "javelin-system").unwrap(),
        secret: "javelin-ca".to_owned(),
        configuration: "javelin".to_owned(),
        probe: "javelin-probe".to_owned(),
    }
}

#[test]
fn an_event_is_about_the_pod_or_else_about_the_secret() {
    let pod = OwnPod {
        name: "javelin-1".to_owned(),
        uid: "u".to_owned(),
    };
    let of_pod = event(EventReason::AuthorityMade, "made", &names(), Some(&pod));
    let of_secret = event(EventReason::CertificateRefused, "refused", &names(), None);

    let regarding = of_pod.regarding.unwrap();
    assert_eq!(regarding.kind.as_deref(), Some("Pod"));
    assert_eq!(regarding.uid.as_deref(), Some("u"));
    assert_eq!(of_pod.related.unwrap().name.as_deref(), Some("javelin-ca"));
    assert_eq!(of_pod.type_.as_deref(), Some("Normal"));
    let regarding = of_secret.regarding.unwrap();
    assert_eq!(regarding.kind.as_deref(), Some("Secret"));
    assert_eq!(of_secret.related, None);
    assert_eq!(of_secret.type_.as_deref(), Some("Warning"));
    assert_eq!(
        of_secret.metadata.generate_name.as_deref(),
        Some("javelin-")
    );
}

#[test]
fn the_same_reason_makes_one_event_a_minute_and_is_always_counted() {
    let metrics = Arc::new(Metrics::new());
    let (recorder, mut reports) = EventRecorder::new(Arc::clone(&metrics));

    for _ in 0..3 {
        recorder.tell(EventReason::CaBundleRepaired, "again".to_owned());
    }
    recorder.tell(EventReason::AuthorityPruned, "other".to_owned());

    let mut told = Vec::new();
    while let Ok((what, _)) = reports.0.try_recv() {
        told.push(what);
    }
    assert_eq!(
        told,
        [EventReason::CaBundleRepaired, EventReason::AuthorityPruned]
    );
    let text = metrics.encode().unwrap();
    assert!(
        text.contains("javelin_events_total{reason=\"CaBundleRepaired\"} 3"),
        "{text}"
    );
    assert!(recorder.is_news(EventReason::CaBundleRepaired, Instant::now() + QUIET));
}
