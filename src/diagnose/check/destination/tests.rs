//! Endpoints as people write them.

use super::*;

pub(in crate::diagnose::check) fn parsed(endpoint: &str, protocol: &str) -> Config {
    let text = format!("default: {{otlp: {{endpoint: '{endpoint}', protocol: {protocol}}}}}");
    Config::parse(&text, "").unwrap()
}

fn place(endpoint: &str) -> Destination {
    Collector::all(&parsed(endpoint, "http/protobuf"))
        .remove(0)
        .place
}

#[test]
fn services_are_told_by_their_names() {
    let service = |namespace: &str, name: &str, port, is_tls, prefix: &str| {
        Destination::Service(ServiceDestination {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port,
            is_tls,
            prefix: prefix.to_owned(),
        })
    };
    let plain = service("obs", "otel", 4318, false, "");
    for endpoint in [
        "http://otel.obs.svc:4318",
        "http://otel.obs:4318/",
        "http://otel.obs.svc.cluster.local:4318",
        "http://otel.obs.svc.cluster.local.:4318",
    ] {
        assert_eq!(place(endpoint), plain, "{endpoint}");
    }
    assert_eq!(
        place("https://otel.obs.svc/a/b/"),
        service("obs", "otel", 443, true, "/a/b")
    );
    assert_eq!(
        place("http://otel.obs.svc"),
        service("obs", "otel", 80, false, "")
    );
    assert_eq!(
        place("http://otel:4318"),
        Destination::EachNamespace("otel".to_owned())
    );
    assert_eq!(place("http://localhost:4318"), Destination::Pod);
    assert_eq!(place("http://$(NODE_IP):4318"), Destination::Node);
    for outside in [
        "http://10.0.0.1:4318",
        "http://otel.example.com:4318",
        "http://[fd00::1]:4318",
    ] {
        assert!(
            matches!(place(outside), Destination::Outside(_)),
            "{outside}"
        );
    }
}

#[test]
fn profiles_with_one_target_are_asked_about_once() {
    let text = "{default: {otlp: {endpoint: 'http://a.b:4318'}}, profiles: {x: {}, y: {otlp: {endpoint: 'http://c.d:4318'}}}}";
    let all = Collector::all(&Config::parse(text, "").unwrap());
    let profiles: Vec<_> = all.iter().map(|each| each.profiles.clone()).collect();
    assert_eq!(profiles, [vec!["default", "x"], vec!["y"]]);
}
