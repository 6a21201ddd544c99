use proptest::{prelude::*, sample::Index};

use super::super::Config;

fn check(text: &str, expected: &str) {
    let error = Config::parse(text, "f.yaml").unwrap_err().to_string();
    assert_eq!(error, expected, "{text}");
}

#[test]
fn a_slip_of_the_finger_is_shown_where_it_is_with_what_was_meant() {
    check(
        "default:\n  otlp:\n    endpont: http://x:4318\n",
        "f.yaml: line 3, column 5: unknown key \"endpont\"\n  |\n\
         1 | default:\n2 |   otlp:\n3 |     endpont: http://x:4318\n  |     ^^^^^^^\n\
         hint: did you mean \"endpoint\"?",
    );
}

#[test]
fn every_other_unknown_key_gets_the_best_hint_there_is() {
    for (text, hint) in [
        (
            "default: {headersfrom: {}}",
            "known here: delivery, agent, otlp, resourceAttributes, propagators, sampler, exporters, env, minimumMemory, composeOptional, useLabelsForResourceAttributes, sdkSettings",
        ),
        ("Default: {}", "did you mean \"default\"?"),
        (
            "default: {composeoptional: true}",
            "did you mean \"composeOptional\"?",
        ),
        ("endpoint: a", "there is \"otlp.endpoint\" in a profile"),
        (
            "default: {sidecars: []}",
            "there is \"sidecars\" at the top level",
        ),
        (
            "default: {otlp: {zzz: 1}}",
            "known here: endpoint, protocol, headersFrom, tls",
        ),
    ] {
        let error = Config::parse(text, "f.yaml").unwrap_err().to_string();
        let said = error.rsplit("hint: ").next().unwrap();
        assert_eq!(said, hint, "{text}");
    }
}

#[test]
fn a_wrong_value_is_shown_where_it_is() {
    check(
        "default:\n  # where to\n  otlp:\n    endpoint: http://collector:4317 # grpc\n",
        "f.yaml: line 4, column 15: default.otlp.endpoint: http/protobuf on port 4317, which is grpc's; \
         write protocol: grpc, or port 4318\n  |\n\
         2 |   # where to\n3 |   otlp:\n4 |     endpoint: http://collector:4317 # grpc\n  |               ^^^^^^^^^^^^^^^^^^^^^",
    );
    check(
        "profiles:\n  a.b: {}\n",
        "f.yaml: line 2, column 3: profiles.a.b: a profile's name is a DNS label: a-z, 0-9 and - inside, \
         at most 53 characters\n  |\n1 | profiles:\n2 |   a.b: {}\n  |   ^^^",
    );
}

/// Line and column only.
fn place(text: &str) -> String {
    let error = Config::parse(text, "f").unwrap_err().to_string();
    let place = error.strip_prefix("f: ").unwrap_or_default();
    place.split(':').next().unwrap_or_default().to_owned()
}

#[test]
fn the_place_is_the_value_or_the_nearest_key_above_it() {
    for (text, expected) in [
        // A value in a flow mapping, behind one of several bytes a letter.
        ("default: {env: {Ä: ö, JAVELIN_X: a}}", "line 1, column 34"),
        (
            "default:\n  sampler:\n    argument: '1'\n",
            "line 2, column 3",
        ),
        ("default:\n  otlp: {protocol: grpc}\n", "line 2, column 3"),
        (
            "default:\n  resourceAttributes:\n    a.b: x\n    a.b.c: ''\n",
            "line 4, column 12",
        ),
        ("default:\n  propagators:\n  - w 3\n", "line 2, column 3"),
        // What a profile inherits is said of where it is inherited from.
        (
            "profiles: {a: {env: {OK: a}}}\ndefault:\n  delivery: csi\n",
            "line 3, column 13",
        ),
        // Behind an alias and a merge there is nothing to point at.
        (
            "profiles:\n  a: &a {env: {OK: a}}\n  b: *a\ndefault:\n  <<: {delivery: csi}\n",
            "line 4, column 1",
        ),
        (
            "profiles:\n  a: &a {delivery: csi}\n  b: *a\n",
            "line 2, column 20",
        ),
        (
            "{\"default\": {\"delivery\": \"csi\"}}",
            "line 1, column 26",
        ),
        (
            "\r\n# a\r\ndefault:\r\n  delivery: csi\r\n",
            "line 4, column 13",
        ),
        ("default:\n  delivery: |\n    csi\n", "line 2, column 13"),
    ] {
        assert_eq!(place(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_yaml_or_of_a_wrong_type_has_its_place_too() {
    for (text, expected) in [
        ("default: [", "line 1"),
        ("default:\n  composeOptional: maybe\n", "line 2, column 20"),
        ("default: {}\ndefault: {}\n", "line 2, column 1"),
        (
            "default:\n  otlp: {headersFrom: {secret: a}}\n",
            "line 2, column 24",
        ),
    ] {
        assert!(place(text).starts_with(expected), "{text}: {}", place(text));
    }
}

#[test]
fn a_long_line_is_cut_and_control_characters_are_not_printed() {
    let long = "x".repeat(300);
    let text = format!("default: {{env: {{A: '{long}'}}, delivery: 'csi'}}");
    let error = Config::parse(&text, "f").unwrap_err().to_string();
    assert!(
        error.lines().all(|line| line.chars().count() < 120),
        "{error}"
    );
    let lines: Vec<_> = error.lines().collect();
    let mark = lines[3].find('^').unwrap();
    assert_eq!(&lines[2][mark..], "'csi'}", "{error}");

    let error = Config::parse("default: {delivery: \"c\u{1b}\"}", "f").unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// A place is in the text, and the mark stays below the line.
    #[test]
    fn whatever_is_written_is_refused_with_a_place_or_taken(
        at in any::<Index>(), gone in 0..4_usize, typed in "[a-z:{}\\[\\],#&*|<>'\"\n\t \u{e9}\u{1b}-]{0,4}",
    ) {
        let mut text: Vec<char> = TEXT.chars().collect();
        let at = at.index(text.len());
        let end = (at + gone).min(text.len());
        text.splice(at..end, typed.chars());
        let text: String = text.into_iter().collect();
        if let Err(error) = Config::parse(&text, "f") {
            let (line, column) = error.place.as_ref().map_or((1, 1), |place| (place.line, place.column));
            let length = text.lines().nth(line - 1).unwrap_or_default().chars().count();
            prop_assert!(line <= text.lines().count() + 1 && column <= length + 1, "{error}\n{text}");
            prop_assert!(!error.to_string().replace('\n', "").contains(char::is_control), "{error:?}");
        }
    }
}

const TEXT: &str = "
excludedNamespaces: [kube-system]
default: &base
  otlp: {endpoint: 'http://c:4317', protocol: grpc}
  sampler:
    type: traceidratio
    argument: \"0.25\"
  env:
    A: |
      two
      lines
profiles:
  a: {resourceAttributes: {k8s.cluster.name: x}}
  b: *base
";
