use super::*;

fn refused(text: &str) -> String {
    Config::parse(text, "javelin.yaml").unwrap_err().to_string()
}

#[test]
fn an_empty_file_means_the_built_in_values() {
    for text in ["", "# nothing\n", "{}", "---\n"] {
        assert_eq!(
            Config::parse(text, "javelin.yaml").unwrap(),
            Config::default(),
            "{text:?}"
        );
    }
}

#[test]
fn a_profile_is_laid_over_the_default_one() {
    let config = Config::parse(
        "
excludedNamespaces: [kube-system, javelin-system]
default:
  agent: {image: registry.example/javelin:1}
  otlp: {endpoint: 'http://collector:4317', protocol: grpc}
  resourceAttributes: {k8s.cluster.name: one, team: a}
profiles:
  checkout:
    otlp: {endpoint: 'http://other:4318'}
    resourceAttributes: {team: b}
",
        "javelin.yaml",
    )
    .unwrap();
    assert!(config.excludes("javelin-system") && !config.excludes("default"));
    let checkout = config.profile("checkout").unwrap();
    assert_eq!(checkout.agent.image, "registry.example/javelin:1");
    // Another endpoint does not inherit the protocol of the one that it replaces.
    assert_eq!(
        checkout.otlp.as_ref().unwrap().protocol,
        Protocol::HttpProtobuf
    );
    assert_eq!(checkout.resource_attributes["team"], "b");
    assert_eq!(checkout.resource_attributes["k8s.cluster.name"], "one");
    assert_ne!(checkout.hash, config.profile("true").unwrap().hash);
    assert_eq!(config.profile("true"), config.profile("default"));
    assert_eq!(config.profile("typo"), None);
}

#[test]
fn an_unknown_key_is_refused_with_its_place() {
    let error = refused("default:\n  otlp:\n    endpont: http://x:4318\n");
    assert!(error.contains("javelin.yaml"), "{error}");
    assert!(
        error.contains("endpont") && error.contains("endpoint"),
        "{error}"
    );
    assert!(error.contains("line 3"), "{error}");
}

#[test]
fn a_port_that_contradicts_its_protocol_is_refused_with_both_ways_out() {
    let error = refused("default: {otlp: {endpoint: 'http://collector:4317'}}");
    let expected = "default.otlp.endpoint: http/protobuf on port 4317, which is grpc's; \
                    write protocol: grpc, or port 4318\n";
    assert!(error.contains(expected), "{error}");
    let error = refused("profiles: {a: {otlp: {endpoint: 'http://c:4318', protocol: grpc}}}");
    assert!(
        error.contains("profiles.a.otlp.protocol: grpc on port 4318"),
        "{error}"
    );
}

#[test]
fn keys_that_do_not_go_together_are_refused_with_what_would() {
    for (text, part) in [
        ("default: {delivery: preinstalled}", "missing"),
        (
            "default: {delivery: none, agent: {path: /agent.jar}}",
            "no jar is loaded",
        ),
        (
            "default: {delivery: none, agent: {command: [cp]}}",
            "nothing runs",
        ),
        (
            "default: {delivery: preinstalled, agent: {path: agent.jar}}",
            "absolute path",
        ),
        (
            "default: {delivery: preinstalled, agent: {path: '/a b.jar'}}",
            "absolute path",
        ),
        (
            "default: {delivery: preinstalled, agent: {path: /a/../b.jar}}",
            "absolute path",
        ),
        (
            "default: {delivery: image-volume, agent: {path: /agents/}}",
            "absolute path",
        ),
        ("default: {agent: {path: /a.jar}}", "agent.command"),
        (
            "default: {delivery: image-volume, agent: {command: [cp]}}",
            "nothing runs",
        ),
        ("default: {agent: {command: []}}", "is empty"),
        (
            "default: {otlp: {endpoint: 'http://c', tls: {caFrom: {secret: a}}}}",
            "https://",
        ),
        (
            "default: {otlp: {endpoint: 'https://c', tls: {caFrom: {}}}}",
            "one source",
        ),
        (
            "default: {otlp: {endpoint: 'https://c', tls: {caFrom: {secret: a, configMap: b}}}}",
            "one source",
        ),
        (
            "default: {otlp: {endpoint: 'https://c', tls: {caFrom: {configMap: A}}}}",
            "ConfigMap's name",
        ),
        (
            "default: {otlp: {endpoint: 'https://c', tls: {clientCertificateFrom: {secret: a, privateKey: ..}}}}",
            "key of a Secret",
        ),
        ("default: {sdkSettings: properties}", "auto, environment"),
        (
            "default: {sdkSettings: file, otlp: {endpoint: 'http://c:4317', protocol: grpc}}",
            "grpc would also apply",
        ),
        (
            "default: {sdkSettings: file, otlp: {endpoint: 'http://c', headersFrom: {secret: a, key: b}}}",
            "headers and certificates",
        ),
        (
            "default: {sdkSettings: file, delivery: image-volume}",
            "needs the delivery init-container",
        ),
        (
            "default: {sdkSettings: file, env: {OTEL_JAVAAGENT_CONFIGURATION_FILE: /a}}",
            "names a file already",
        ),
        (
            "default: {sdkSettings: file, env: {OTEL_EXPORTER_OTLP_HEADERS: a=b}}",
            "variables of the exporter",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn extensions_come_from_one_source_that_the_delivery_can_bring() {
    for (text, part) in [
        (
            "default: {delivery: none, agent: {extensions: {configMap: a}}}",
            "no agent is loaded",
        ),
        (
            "default: {agent: {extensions: {image: a, configMap: b, folder: /e}}}",
            "names not one source",
        ),
        ("default: {agent: {extensions: {}}}", "names not one source"),
        ("default: {agent: {extensions: {image: a}}}", "missing"),
        (
            "default: {agent: {extensions: {image: a, folder: '/a,/b'}}}",
            "not an absolute path of a folder",
        ),
        (
            "default: {agent: {extensions: {configMap: a, folder: /e}}}",
            "has no folders",
        ),
        (
            "default: {agent: {extensions: {claim: A_B}}}",
            "not the name of an object",
        ),
        (
            "default: {agent: {extensions: {configMap: a}}, env: {OTEL_JAVAAGENT_EXTENSIONS: /a.jar}}",
            "says it as well",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn wrong_values_are_refused_with_what_would_be_right() {
    for (text, part) in [
        (
            "default: {otlp: {endpoint: 'collector:4318'}}",
            "does not start with http://",
        ),
        (
            "default: {otlp: {endpoint: 'http://u:p@c:4318'}}",
            "credentials",
        ),
        ("default: {otlp: {endpoint: 'http://c:port'}}", "no port"),
        ("default: {otlp: {endpoint: 'http://:4318'}}", "no host"),
        ("default: {otlp: {protocol: grpc}}", "missing"),
        (
            "default: {otlp: {headersFrom: {secret: a, key: b}}}",
            "headers alone",
        ),
        (
            "default: {otlp: {endpoint: 'http://c', protocol: http}}",
            "http/protobuf, grpc",
        ),
        ("default: {delivery: csi}", "init-container"),
        ("default: {agent: {image: ''}}", "image reference"),
        (
            "default: {agent: {imagePullPolicy: always}}",
            "IfNotPresent",
        ),
        (
            "default: {otlp: {endpoint: 'http://$(POD_IP):4318'}}",
            "not $(NODE_IP)",
        ),
        (
            "default: {otlp: {endpoint: 'http://$(NODE_IP):4317'}}",
            "port 4317",
        ),
        (
            "default: {otlp: {endpoint: 'http://c', headersFrom: {secret: A, key: b}}}",
            "Secret's name",
        ),
        (
            "default: {otlp: {endpoint: 'http://c', headersFrom: {secret: a, key: 'b c'}}}",
            "key of a Secret",
        ),
        ("default: {agent: {imagePullSecret: -a}}", "Secret's name"),
        (
            "default: {propagators: ['tracecontext,b3']}",
            "tracecontext",
        ),
        ("default: {propagators: [b3, none]}", "no other"),
        ("default: {sampler: {argument: '1'}}", "missing"),
        ("default: {sampler: {type: 'of ours'}}", "traceidratio"),
        (
            "default: {sampler: {type: traceidratio, argument: '25%'}}",
            "between 0 and 1",
        ),
        (
            "default: {sampler: {type: traceidratio, argument: NaN}}",
            "between 0 and 1",
        ),
        (
            "default: {sampler: {type: always_on, argument: '1'}}",
            "takes none",
        ),
        (
            "default: {sampler: {type: jaeger_remote, argument: 'http://c'}}",
            "endpoint=",
        ),
        ("default: {exporters: {traces: 'otlp,console'}}", "console"),
        (
            "default: {env: {JAVA_TOOL_OPTIONS: -Xmx1g}}",
            "default.env.JAVA_TOOL_OPTIONS",
        ),
        (
            "default: {env: {OTEL_JAVAAGENT_ENABLED: 'true'}}",
            "JDK tools",
        ),
        ("default: {env: {JAVELIN_X: a}}", "Javelin's own"),
        ("default: {env: {1A: a}}", "digit"),
        ("profiles: {'true': {}}", "taken"),
        ("profiles: {unknown: {}}", "taken"),
        ("profiles: {Checkout: {}}", "DNS label"),
        (
            "default: {resourceAttributes: {'a=b': c}}",
            "attribute's name",
        ),
        ("default: {resourceAttributes: {a: ''}}", "empty value"),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn an_ipv6_endpoint_has_its_port_after_the_bracket() {
    assert!(Config::parse("default: {otlp: {endpoint: 'http://[fd00::1]:4318'}}", "f").is_ok());
    assert!(refused("default: {otlp: {endpoint: 'http://[fd00::1]:4317'}}").contains("4317"));
}

#[test]
fn a_profile_with_another_delivery_or_image_leaves_the_command_and_the_path_behind() {
    let config = Config::parse(
        "default: {agent: {image: theirs, command: [cp, a, b]}}
profiles:
  same: {}
  ours: {agent: {image: ours}}
  volume: {delivery: image-volume}
",
        "f",
    )
    .unwrap();
    let delivery = |name: &str| config.profile(name).unwrap().delivery.clone();
    let command = Some(["cp", "a", "b"].map(str::to_owned).to_vec());
    assert_eq!(delivery("same"), Delivery::InitContainer { command });
    assert_eq!(delivery("ours"), Delivery::InitContainer { command: None });
    let path = "/javaagent.jar".to_owned();
    assert_eq!(delivery("volume"), Delivery::ImageVolume { path });
}

#[test]
fn a_path_that_linux_takes_is_taken_and_a_longer_one_is_not() {
    let parsed = |length: usize| {
        let path = format!("/{}", "a".repeat(length - 1));
        let text = format!("default: {{delivery: preinstalled, agent: {{path: {path}}}}}");
        Config::parse(&text, "test")
    };
    assert!(parsed(4_095).is_ok());
    let error = parsed(4_096).unwrap_err().to_string();
    assert!(error.contains("longer than the 4095 bytes"), "{error}");
}

#[test]
fn an_image_that_no_kubelet_takes_is_refused_where_it_stands() {
    let error = refused("default: {agent: {image: 'https://reg.example.com/javelin:0.2.0'}}");
    let expected = "default.agent.image: \"https://reg.example.com/javelin:0.2.0\" is not an image reference: it begins \
                    with a scheme; write the host alone";
    assert!(error.contains(expected), "{error}");
    for (image, why) in [
        ("reg//javelin:1", "each part of its path"),
        ("Reg/Javelin:1", "upper-case letters"),
        ("reg/javelin:1:2", "its tag"),
        ("reg/javelin:sha256:abc", "its tag"),
        ("x@sha256:zz", "its digest"),
        ("reg/javelin:", "its tag"),
    ] {
        let error = refused(&format!("profiles: {{a: {{agent: {{image: '{image}'}}}}}}"));
        let is_told = error.contains("profiles.a.agent.image: ") && error.contains(why);
        assert!(is_told, "{error}");
    }
}

#[test]
fn a_name_that_an_extension_may_bring_is_taken_with_one_warning_for_all_profiles() {
    let config = Config::parse(
        "default: {sampler: {type: my_custom, argument: any}, propagators: [b3, w3c]}
profiles:
  same: {}
  other: {exporters: {traces: consol, metrics: prometheus}}
",
        "f",
    )
    .unwrap();
    let sampler = config.profile("same").unwrap().sampler.clone().unwrap();
    assert_eq!(sampler.name, "my_custom");
    assert_eq!(sampler.argument.as_deref(), Some("any"));
    let warnings = Vec::from_iter(config.warnings());
    let [exporter, propagator, sampler] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(
        exporter.starts_with("exporters.traces: \"consol\""),
        "{exporter}"
    );
    assert!(
        exporter.ends_with("has to bring it; did you mean \"console\"?"),
        "{exporter}"
    );
    assert!(
        propagator.starts_with("propagators: \"w3c\""),
        "{propagator}"
    );
    assert!(
        sampler.starts_with("sampler.type: \"my_custom\"") && sampler.ends_with("bring it"),
        "{sampler}"
    );
}
