use super::*;

fn check_words(value: &str, expected: Option<&[&str]>) {
    assert_eq!(
        words(value).as_deref(),
        expected
            .map(|e| e.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
            .as_deref()
    );
}

#[test]
fn the_jvm_splits_at_white_space_and_groups_by_quotes() {
    check_words("", Some(&[]));
    check_words(" \t-Xmx1g\n-Da=b ", Some(&["-Xmx1g", "-Da=b"]));
    check_words("-Da='b c' -Dd=\"e f\"", Some(&["-Da=b c", "-Dd=e f"]));
    check_words("-Da=b' 'c\"'\"d", Some(&["-Da=b c'd"]));
    check_words("''", Some(&[""]));
}

#[test]
fn the_jvm_has_no_backslash_escape() {
    check_words(r"-Da=b\ c", Some(&[r"-Da=b\", "c"]));
    check_words(r"-Da=\'b", None);
}

#[test]
fn a_quote_without_its_partner_is_no_list_of_words() {
    check_words("-Da='b", None);
    check_words("-Da=\"b'", None);
}

fn check_agent(option: &str, expected: Option<AgentKind>) {
    assert_eq!(
        Found::all_in(option).first().map(|found| found.agent),
        expected,
        "{option}"
    );
}

#[test]
fn agents_are_known_by_their_files() {
    check_agent(
        "-javaagent:/app/opentelemetry-javaagent.jar",
        Some(AgentKind::OpenTelemetry),
    );
    check_agent(
        "-javaagent:/otel-auto-instrumentation-java-app/javaagent.jar",
        Some(AgentKind::OpenTelemetry),
    );
    check_agent(
        "-javaagent:/opt/dd-java-agent.jar=a=b",
        Some(AgentKind::Vendor("Datadog")),
    );
    check_agent(
        "-agentpath:/opt/dynatrace/oneagent/agent/lib64/liboneagentproc.so",
        Some(AgentKind::Vendor("Dynatrace")),
    );
    check_agent(
        "-javaagent:/opt/jmx_prometheus_javaagent.jar=8080:/c.yaml",
        Some(AgentKind::Neighbour),
    );
    check_agent("-Dotel.javaagent.debug=true", None);
    check_agent(
        "-agentlib:jdwp=transport=dt_socket",
        Some(AgentKind::Neighbour),
    );
}

#[test]
fn a_shell_line_and_a_reference_give_an_agent_away() {
    let container = |json| serde_json::from_value::<Container>(json).unwrap();
    let shell = container(serde_json::json!({
        "name": "a", "command": ["sh", "-c", "exec java -javaagent:/x/newrelic.jar -jar app.jar"]
    }));
    assert_eq!(
        agents(&shell, None)[0].agent,
        AgentKind::Vendor("New Relic")
    );
    let reference = container(serde_json::json!({
        "name": "a",
        "env": [
            {"name": "BASE", "value": "-javaagent:/x/skywalking-agent.jar"},
            {"name": "JDK_JAVA_OPTIONS", "value": "-Xmx1g $(BASE)"}
        ]
    }));
    assert_eq!(
        agents(&reference, None)[0].agent,
        AgentKind::Vendor("SkyWalking")
    );
}

#[test]
fn an_agent_inside_a_word_of_the_jvms_own_is_none() {
    let agents = |name: &str, value: &str| {
        let variable = serde_json::json!({ "name": name, "value": value });
        let container = serde_json::json!({ "name": "a", "env": [variable] });
        agents(&serde_json::from_value(container).unwrap(), None).len()
    };
    let inside = "-Dhint=\"use -javaagent:/x/opentelemetry-javaagent.jar here\"";
    let quoted = "'-javaagent:/with blank/opentelemetry-javaagent.jar'";
    for name in ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"] {
        assert_eq!(agents(name, inside), 0, "{name}");
        assert_eq!(agents(name, quoted), 1, "{name}");
        assert_eq!(agents(name, "-Xmx1g -javaagent:/x/a.jar"), 1, "{name}");
        // The JVM would not start, so nobody knows what was meant.
        assert_eq!(agents(name, "-Da=\" -javaagent:/x/a.jar"), 1, "{name}");
    }
    // A start script may read any other as a line of the shell.
    assert_eq!(agents("JAVA_OPTS", inside), 1);
    let stated = agents_of_base(inside);
    assert_eq!(stated, 0);
}

fn agents(container: &Container, base: Option<&str>) -> Vec<Found> {
    Shown::of(container, base).agents()
}

fn agents_of_base(base: &str) -> usize {
    agents(&Container::default(), Some(base)).len()
}
