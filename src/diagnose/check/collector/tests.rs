//! Endpoints as people write them, and answers as servers give them.

use javelin_core::config::Config;

use super::*;
use crate::diagnose::check::Status;
use crate::diagnose::check::destination::tests::parsed;
use crate::diagnose::check::objects::Addresses;
use crate::diagnose::check::tests::good;

#[test]
fn whoever_says_nowhere_is_warned() {
    let config = Config::parse("default: {}", "").unwrap();
    let told = judged(Collector::all(&config));
    assert_eq!(told, [(Check::CollectorConfigured, Status::Warning)]);
}

/// What the API server's proxy says for itself.
fn proxy(message: &str) -> Said {
    let body =
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "message": message, "code": 503});
    Said {
        status: 503,
        body: body.to_string(),
    }
}

const GRPC: &str = r#"error trying to reach service: net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00""#;

#[test]
fn an_answer_tells_who_answers() {
    let ok = Some(Status::Ok);
    let (warned, failed) = (Some(Status::Warning), Some(Status::Failed));
    let said = |status, body: &str| Said {
        status,
        body: body.to_owned(),
    };
    let reset = "error trying to reach service: readfrom tcp: write: connection reset by peer";
    for (said, http, grpc) in [
        (said(200, r#"{"partialSuccess":{}}"#), ok, failed),
        (said(415, ""), ok, failed),
        (said(404, "404 page not found"), failed, warned),
        (said(401, ""), warned, warned),
        (
            said(400, "Client sent an HTTP request to an HTTPS server.\n"),
            failed,
            failed,
        ),
        (said(502, "bad gateway"), warned, warned),
        (proxy(GRPC), failed, ok),
        (proxy(reset), failed, ok),
        (proxy("error trying to reach service: EOF"), failed, ok),
        (
            proxy(r#"malformed HTTP response "\x15\x03\x01\x00\x02\x02\x16""#),
            failed,
            failed,
        ),
        (
            proxy(
                "error trying to reach service: tls: first record does not look like a TLS handshake",
            ),
            failed,
            failed,
        ),
        (
            proxy("error trying to reach service: remote error: tls: certificate required"),
            warned,
            warned,
        ),
        (
            proxy(
                "error trying to reach service: dial tcp 10.0.0.1:4318: connect: connection refused",
            ),
            failed,
            failed,
        ),
        (
            proxy("error trying to reach service: dial tcp 10.0.0.1:4318: i/o timeout"),
            failed,
            failed,
        ),
        (proxy("something new"), warned, warned),
    ] {
        for (protocol, expected) in [("http/protobuf", http), ("grpc", grpc)] {
            let mut all = Collector::all(&parsed("http://otel.obs.svc:9999", protocol));
            sound(&mut all);
            all[0].answer = Some(Ok(said.clone()));
            let told = judged(all);
            let status = told.last().map(|(_, status)| *status);
            let status = status.or(ok);
            assert_eq!(status, expected, "{protocol}: {said:?}: {told:?}");
        }
    }
}

#[test]
fn a_port_that_was_mixed_up_is_called_the_classic_mistake() {
    let mut all = Collector::all(&parsed("http://otel.obs.svc:9999", "http/protobuf"));
    sound(&mut all);
    all[0].answer = Some(Ok(proxy(GRPC)));
    let mut facts = good();
    facts.collectors = all;
    let findings = crate::diagnose::check::judge(&facts);
    let found = findings
        .iter()
        .find(|each| each.check == Check::CollectorOtlp)
        .unwrap();
    assert!(found.message.contains("speaks gRPC"), "{}", found.message);
    assert!(
        found.hint.as_ref().unwrap().contains("4318"),
        "{:?}",
        found.hint
    );
}

#[test]
fn what_is_cut_short_is_asked_again() {
    assert!(proxy("error trying to reach service: EOF").is_cut_short());
    assert!(!proxy(GRPC).is_cut_short());
    assert!(
        !Said {
            status: 200,
            body: "{}".to_owned()
        }
        .is_cut_short()
    );
}

#[test]
fn a_service_has_to_be_there_with_the_port_and_a_ready_pod() {
    let broken = |how: fn(&mut Collector)| {
        let mut all = Collector::all(&parsed("http://otel.obs.svc:9999", "http/protobuf"));
        sound(&mut all);
        how(&mut all[0]);
        judged(all)
    };
    assert_eq!(broken(|_| {}), []);
    assert_eq!(
        broken(|each| each.service = Some(Err(Unseen::Missing(String::new())))),
        [(Check::CollectorService, Status::Failed)]
    );
    assert_eq!(
        broken(|each| each.service =
            Some(Ok(service(&serde_json::json!({"ports": [{"port": 4317}]}))))),
        [(Check::CollectorService, Status::Failed)]
    );
    assert_eq!(
        broken(|each| each.addresses = Some(Ok(Addresses::default()))),
        [(Check::CollectorEndpoints, Status::Failed)]
    );
    // Headless: the port is the pod's, and the sound one is 9999, too.
    assert_eq!(
        broken(|each| {
            each.service = Some(Ok(service(
                &serde_json::json!({"clusterIP": "None", "ports": [{"port": 1}]}),
            )));
        }),
        []
    );
    assert_eq!(
        broken(|each| {
            each.service = Some(Ok(service(
                &serde_json::json!({"clusterIP": "None", "ports": [{"port": 9999}]}),
            )));
            each.addresses = Some(Ok(Addresses {
                ready: 1,
                waiting: 0,
                ports: vec![(String::new(), 4318)],
            }));
        }),
        [(Check::CollectorEndpoints, Status::Failed)]
    );
    assert_eq!(
        broken(|each| {
            each.service = Some(Ok(service(
                &serde_json::json!({"type": "ExternalName", "externalName": "otel.example.com"}),
            )));
        }),
        [(Check::CollectorOtlp, Status::Warning)]
    );
}

fn service(spec: &serde_json::Value) -> Service {
    serde_json::from_value(serde_json::json!({ "spec": spec })).unwrap()
}

fn sound(all: &mut [Collector]) {
    for collector in all {
        collector.service = Some(Ok(service(&serde_json::json!({"ports": [{"port": 9999}]}))));
        collector.addresses = Some(Ok(Addresses {
            ready: 1,
            waiting: 0,
            ports: vec![(String::new(), 9999)],
        }));
        collector.answer = Some(Ok(Said {
            status: 200,
            body: "{}".to_owned(),
        }));
    }
}

fn judged(collectors: Vec<Collector>) -> Vec<(Check, Status)> {
    let mut facts = good();
    facts.collectors = collectors;
    let findings = crate::diagnose::check::judge(&facts).into_iter();
    let bad = findings.filter(|each| each.status != Status::Ok);
    bad.map(|each| (each.check, each.status)).collect()
}
