//! JVM tools in a container's probes and hooks.
//!
//! `JAVA_TOOL_OPTIONS` holds for every JVM of the container, so each of them loads the agent: with agent 2.31.0, on two
//! cores, a program that prints one line took 4.3 s and 224 MB in place of 0.05 s and 38 MB. A probe then misses its
//! timeout, and its memory counts to the container's limit.
//!
//! Shell lines are read roughly: what stands where a command can. Deliberately absent: scripts of the image.

use serde_json::Value;

use super::{java::JAVA_TOOL_OPTIONS, plan::Warning, pod::Container};
use crate::steps;

/// The probes and hooks that start a JVM, if any does.
pub(super) fn warning(container: &Container) -> Option<Warning> {
    let hooks = container.lifecycle.as_ref();
    let actions = [
        ("livenessProbe", container.liveness_probe.as_ref()),
        ("readinessProbe", container.readiness_probe.as_ref()),
        ("startupProbe", container.startup_probe.as_ref()),
        (
            "postStart",
            hooks.and_then(|hooks| hooks.post_start.as_ref()),
        ),
        ("preStop", hooks.and_then(|hooks| hooks.pre_stop.as_ref())),
    ];
    let found = actions.into_iter().filter_map(|(place, action)| {
        let command = action?.pointer("/exec/command")?.as_array()?;
        Some((place, tool(command.iter().filter_map(Value::as_str))?))
    });
    let (places, tools): (Vec<_>, Vec<_>) = found.unzip();
    Some(Warning::ProbeStartsJvm {
        container: container.name.clone(),
        tool: tools.into_iter().next()?,
        places,
    })
}

/// The first JVM tool that a command runs with the container's own variable.
fn tool<'a>(command: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    steps::take(command.clone().map(str::len).sum());
    if command.clone().any(|text| text.contains(JAVA_TOOL_OPTIONS)) {
        return None;
    }
    let mut reader = Reader::default();
    for argument in command {
        if reader.expects == Expects::Line {
            reader.line(argument);
        } else {
            reader.word(argument);
        }
    }
    reader.found
}

/// What may come next in a command.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// A program.
    #[default]
    Program,
    /// A word that says nothing, then a program.
    User,
    /// Options of a shell, or a script.
    ShellOption,
    /// A shell's line.
    Line,
    /// Arguments, which say nothing.
    Argument,
}

#[derive(Default)]
struct Reader {
    expects: Expects,
    found: Option<&'static str>,
}

impl Reader {
    /// A shell's line: every list, pipeline and substitution in it begins a command.
    fn line(&mut self, line: &str) {
        for list in line.split([';', '|', '&', '(', ')', '`', '\n']) {
            self.expects = Expects::Program;
            // Quotes may hold the line of another shell.
            let blank = |c: char| c.is_whitespace() || ['"', '\'', '\\'].contains(&c);
            for word in list.split(blank).filter(|word| !word.is_empty()) {
                if self.expects == Expects::Line {
                    self.expects = Expects::Program;
                }
                self.word(word);
            }
        }
        self.expects = Expects::Argument;
    }

    fn word(&mut self, word: &str) {
        let is_option = word.starts_with('-');
        self.expects = match self.expects {
            Expects::Program => self.program(word),
            Expects::User => Expects::Program,
            Expects::ShellOption if is_option && word.ends_with('c') => Expects::Line,
            Expects::ShellOption => {
                // A script, perhaps.
                self.run(file_name(word));
                Expects::ShellOption
            }
            Expects::Line | Expects::Argument => Expects::Argument,
        };
    }

    /// A word where a program may stand, and what may come behind it.
    fn program(&mut self, word: &str) -> Expects {
        let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| is_name(name));
        // `timeout -k 5 30 nodetool …`
        let is_argument = word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let name = file_name(word);
        if is_assignment || is_argument || BEFORE.contains(&name) {
            return Expects::Program;
        }
        if BEFORE_WITH_USER.contains(&name) {
            return Expects::User;
        }
        if SHELLS.contains(&name) {
            return Expects::ShellOption;
        }
        self.run(name);
        Expects::Argument
    }

    fn run(&mut self, name: &str) {
        let stem = name.strip_suffix(".sh").unwrap_or(name);
        let known = || TOOLS.into_iter().find(|tool| [stem, name].contains(tool));
        self.found = self.found.or_else(known);
    }
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Words that a command may stand behind.
const BEFORE: [&str; 18] = [
    "!", "command", "do", "elif", "else", "env", "exec", "if", "nice", "nohup", "stdbuf", "then",
    "time", "timeout", "tini", "until", "while", "{",
];

/// The same, with the name of a user between.
const BEFORE_WITH_USER: [&str; 2] = ["gosu", "su-exec"];

/// Programs that run a line behind `-c`.
const SHELLS: [&str; 7] = ["ash", "bash", "dash", "ksh", "sh", "su", "zsh"];

/// Programs that start a JVM, with or without `.sh` behind the name. Those that only look for one (`kafka-server-stop.sh`)
/// or are of another language (`cqlsh`) are not among them, nor those of Elasticsearch, which unset the variable.
const TOOLS: [&str; 65] = [
    // The JDK's.
    "jar",
    "java",
    "jcmd",
    "jhsdb",
    "jinfo",
    "jmap",
    "jps",
    "jstack",
    "jstat",
    "keytool",
    // Cassandra.
    "cassandra-stress",
    "dsetool",
    "nodetool",
    "sstableutil",
    // Kafka, and ZooKeeper.
    "connect-distributed",
    "kafka-acls",
    "kafka-broker-api-versions",
    "kafka-cluster",
    "kafka-configs",
    "kafka-console-consumer",
    "kafka-console-producer",
    "kafka-consumer-groups",
    "kafka-features",
    "kafka-get-offsets",
    "kafka-leader-election",
    "kafka-log-dirs",
    "kafka-metadata-quorum",
    "kafka-metadata-shell",
    "kafka-reassign-partitions",
    "kafka-run-class",
    "kafka-storage",
    "kafka-topics",
    "zkCli.sh",
    "zkServer.sh",
    "zookeeper-shell",
    // Pulsar and BookKeeper.
    "bookkeeper",
    "pulsar",
    "pulsar-admin",
    "pulsar-client",
    "pulsar-perf",
    // Hadoop and what stands on it.
    "beeline",
    "hadoop",
    "hbase",
    "hdfs",
    "hive",
    "mapred",
    "schematool",
    // Flink, Spark, Solr, Neo4j, NiFi, Ignite.
    "control.sh",
    "cypher-shell",
    "flink",
    "ignitevisorcmd",
    "neo4j-admin",
    "nifi.sh",
    "solr",
    "spark-class",
    "spark-submit",
    // Application servers and brokers.
    "activemq",
    "artemis",
    "asadmin",
    "catalina.sh",
    "jboss-cli.sh",
    "kc.sh",
    "kcadm.sh",
    "shutdown.sh",
    "wsadmin",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &[&str], expected: Option<&str>) {
        assert_eq!(tool(command.iter().copied()), expected, "{command:?}");
    }

    #[test]
    fn a_tool_is_known_where_a_program_stands() {
        check(&["nodetool", "status"], Some("nodetool"));
        check(
            &["/opt/kafka/bin/kafka-topics.sh", "--list"],
            Some("kafka-topics"),
        );
        check(&["timeout", "5", "bin/pulsar", "version"], Some("pulsar"));
        check(&["env", "A=b", "jcmd", "1"], Some("jcmd"));
        check(
            &["gosu", "cassandra", "nodetool", "drain"],
            Some("nodetool"),
        );
        check(&["pgrep", "-f", "java"], None);
        check(&["cqlsh", "-e", "java"], None);
        check(&["kafka-server-stop.sh"], None);
        check(&["curl", "localhost:8080"], None);
        check(&[], None);
    }

    #[test]
    fn a_shell_line_is_searched_for_commands() {
        let lines = [
            (
                "nodetool info | grep 'Native Transport active: true'",
                Some("nodetool"),
            ),
            ("exec nodetool decommission", Some("nodetool")),
            (
                "set -e\n${ZK_HOME}/bin/zkServer.sh status",
                Some("zkServer.sh"),
            ),
            (
                "if [ \"$(bin/hdfs haadmin -getServiceState nn1)\" = active ]; then exit 0; fi",
                Some("hdfs"),
            ),
            ("test -f /x && JMX=1 timeout 30 solr status", Some("solr")),
            ("su cassandra -c \"nodetool drain\"", Some("nodetool")),
            ("bash -lc 'java -version'", Some("java")),
            (
                "! `kafka-broker-api-versions.sh --bootstrap-server :9092`",
                Some("kafka-broker-api-versions"),
            ),
            ("ps aux | grep java", None),
            ("echo ruok | nc localhost 2181", None),
            ("for x in java solr; do echo $x; done", None),
            ("JAVA_TOOL_OPTIONS= nodetool status", None),
            ("unset JAVA_TOOL_OPTIONS; nodetool status", None),
        ];
        for (line, expected) in lines {
            check(&["/bin/sh", "-c", line], expected);
            check(&["bash", "-e", "-c", line, "name"], expected);
        }
        check(
            &["sh", "/opt/kafka/bin/kafka-topics.sh"],
            Some("kafka-topics"),
        );
        check(&["sh", "/scripts/live.sh"], None);
        check(&["sh", "-c"], None);
    }
}
