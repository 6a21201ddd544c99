use std::{fs, path::Path};

use super::*;

/// As YAML, as JSON, and of each profile alone.
fn check(text: &str, origin: &str) {
    let config = Config::parse(text, origin).unwrap();
    let yaml = serde_saphyr::to_string(&config.effective()).unwrap();
    assert_eq!(Config::parse(&yaml, origin).unwrap(), config, "{yaml}");
    let json = config.effective().to_string();
    assert_eq!(Config::parse(&json, origin).unwrap(), config, "{json}");
    for profile in config.profiles() {
        let alone = config.effective_profile(&profile.name).unwrap().to_string();
        let alone = Config::parse(&alone, origin).unwrap();
        assert_eq!(alone.profile(&profile.name), Some(profile));
    }
}

#[test]
fn what_is_shown_reads_as_the_same_configuration() {
    for text in [
        "",
        "{excludedNamespaces: [], sidecars: ['on', '~', '1e3']}",
        // Empty where the base is not, and texts that YAML would take for something else.
        "
default:
  propagators: [b3]
  sampler: {type: parentbased_traceidratio, argument: '0.250'}
  otlp: {endpoint: 'http://$(NODE_IP):4317', protocol: grpc, headersFrom: {secret: a, key: b.c}}
  exporters: {metrics: none}
  env: {A: 'no', B: '0x1f', C: ' a\\n: #', D: '', E: \"\\u2028\\e\"}
  resourceAttributes: {team: 'null'}
profiles:
  a: {propagators: [], sampler: {type: always_on}, otlp: {endpoint: 'http://c'}}
  b: {env: {A: '1_000'}, composeOptional: false, agent: {image: 'x:1', imagePullPolicy: Never, imagePullSecret: m}}
",
    ] {
        check(text, "a text");
    }
    for minimum in [
        "128Mi",
        "1.5Gi",
        "1000",
        "0",
        "0.1",
        "100.7Mi",
        "123456789012345678901234567890",
        "1e-7",
        "300E",
    ] {
        check(&format!("default: {{minimumMemory: '{minimum}'}}"), minimum);
    }
}

#[test]
fn so_it_does_for_every_golden_case() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/pod");
    let mut found = 0;
    for case in fs::read_dir(cases).unwrap() {
        if let Ok(text) = fs::read_to_string(case.unwrap().path().join("config.yaml")) {
            check(&text, "a golden case");
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
}

#[test]
fn a_quantity_is_shown_as_a_person_writes_it() {
    for (bytes, expected) in [
        (MEBI * 128.0, "128Mi"),
        (MEBI * 1536.0, "1536Mi"),
        (1000.0, "1000"),
        (0.0, "0"),
    ] {
        assert_eq!(written_bytes(bytes), expected);
    }
}
