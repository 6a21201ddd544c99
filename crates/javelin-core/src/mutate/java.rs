//! The options that a JVM reads from its environment, and the agents that they start.
//!
//! The word rules are `HotSpot`'s own (`Arguments::parse_options_buffer` in `runtime/arguments.cpp`): white
//! space separates, `'` and `"` group and may stand inside a word, and there is no backslash escape.

use std::{
    borrow::{Borrow, Cow},
    fmt,
};

use super::{
    expansion::Literals,
    keys,
    pod::{Container, EnvVar},
    size::MAX_AGENTS,
};
use crate::{config::MAX_PATH, steps};

/// The variable that we append to: read by every JVM, also one that is embedded.
pub(super) const JAVA_TOOL_OPTIONS: &str = "JAVA_TOOL_OPTIONS";

/// Java 8 copies the value into a buffer of 1,024 bytes and ignores all of it when it does not fit.
pub(super) const JAVA_8_OPTIONS_LIMIT: usize = 1_000;

/// Splits the value of `JAVA_TOOL_OPTIONS` into options, as the JVM does.
///
/// `None` when a quote has no partner: the JVM then exits with an error. An empty word (`''`) is a word, and one that
/// no JVM takes for an option; what is one is not judged here.
pub fn words(value: &str) -> Option<Vec<String>> {
    steps::take(value.len());
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in value.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            // C's `isspace` in the "C" locale, which is what HotSpot asks.
            None if c.is_ascii_whitespace() || c == '\u{b}' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// An agent that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The option as it is written.
    pub option: String,
    /// Whose it is.
    pub agent: AgentKind,
}

/// Whose agent an option loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentKind {
    /// The OpenTelemetry Java agent, or a distribution of it: ours would be the second copy.
    OpenTelemetry,
    /// An application performance agent that does the same job under another name.
    Vendor(&'static str),
    /// Anything else (JMX exporter, `JaCoCo`, a profiler, unknown): it lives beside ours.
    Neighbour,
}

/// Is it the option by which we load our agent, in this delivery or an earlier one?
pub(super) fn is_ours(word: &str, option: &str) -> bool {
    let path = word.strip_prefix("-javaagent:");
    let below = path.and_then(|path| path.strip_prefix(keys::AGENT_DIR));
    word == option || below.is_some_and(|below| below.starts_with('/'))
}

/// What a container's specification shows, with `$(X)` resolved: once, for all rules that read it.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    /// The container.
    pub(super) container: &'a Container,
    /// Its variables.
    pub(super) literals: Literals<'a>,
    /// What the pod states for the image's own options.
    pub(super) base: Option<&'a str>,
    /// All that a JVM's options may stand in.
    texts: Vec<Text<'a>>,
}

impl<'a> Shown<'a> {
    /// Looks at every literal variable, since start scripts read many beside the JVM's own (`JAVA_OPTS`,
    /// `CATALINA_OPTS`, …), and at `command` and `args`, a shell line (`sh -c "java -javaagent:…"`) included.
    pub(super) fn of(container: &'a Container, base: Option<&'a str>) -> Self {
        let literals = Literals::of(container.env());
        let of_variables = literals.iter().map(|(name, value)| Text {
            value: value.clone(),
            is_jvms: JVM_VARIABLES.contains(&name),
        });
        let mut texts: Vec<_> = of_variables.collect();
        // What is found is told in this order.
        texts.sort_unstable();
        let line = container.command.iter().chain(&container.args).flatten();
        texts.extend(line.map(|argument| Text {
            value: literals.expand(argument),
            is_jvms: false,
        }));
        texts.extend(base.map(|base| Text {
            value: Cow::Borrowed(base),
            is_jvms: true,
        }));
        Self {
            container,
            literals,
            base,
            texts,
        }
    }

    /// All agents that the container's JVM will start; at most a few more than [`MAX_AGENTS`]. In the JVM's own variables
    /// an option is a whole word.
    pub(super) fn agents(&self) -> Vec<Found> {
        let found = self.texts.iter().flat_map(Text::agents);
        let mut found: Vec<_> = found.take(MAX_AGENTS + 1).collect();
        let preloaded = PRELOADS.iter().filter_map(|name| self.literals.get(name));
        found.extend(preloaded.filter_map(Found::in_preload));
        found
    }

    /// Is one of these system properties set anywhere? They outrank every variable.
    pub(super) fn sets_property(&self, names: &[&str]) -> bool {
        self.texts.iter().any(|text| text.sets_property(names))
    }
}

/// A text in which a JVM's options may stand, with `$(X)` resolved.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a> {
    value: Cow<'a, str>,
    /// Does the JVM split it itself? Any other may be a shell's line.
    is_jvms: bool,
}

impl Text<'_> {
    fn sets_property(&self, names: &[&str]) -> bool {
        steps::take(self.value.len());
        let is_one = |option: &str| {
            let mut values = names.iter().filter_map(|name| option.strip_prefix(name));
            values.any(|value| value.starts_with('='))
        };
        self.value.split("-D").skip(1).any(is_one)
    }

    fn agents(&self) -> Vec<Found> {
        steps::take(self.value.len());
        // All of their options have this in them, but for quotes between the letters.
        if !self.value.contains("agent") && !self.value.contains(['"', '\'']) {
            return Vec::new();
        }
        match words(&self.value) {
            Some(words) if self.is_jvms => {
                let words = words.iter();
                words.filter_map(|word| Found::at_start(word)).collect()
            }
            Some(words) => words.iter().flat_map(|word| Found::all_in(word)).collect(),
            None => Found::all_in(&self.value),
        }
    }
}

/// Whose work an init container is, if it is known to bring an agent.
pub(super) fn injector(init_container: &str) -> Option<AgentKind> {
    let known = INJECTORS.iter().find(|(name, _)| *name == init_container);
    known.map(|(_, agent)| *agent)
}

/// The last entry of a name: the one that the kubelet takes.
pub(super) fn effective<'a>(
    env: &'a [impl Borrow<EnvVar>],
    name: &str,
) -> Option<(usize, &'a EnvVar)> {
    steps::take(env.len());
    env.iter()
        .map(Borrow::<EnvVar>::borrow)
        .enumerate()
        .rfind(|(_, variable)| variable.name == name)
}

impl Found {
    /// The word itself, when it is such an option: what a JVM takes of its own words. What stands inside one that a quote
    /// holds together is text.
    fn at_start(word: &str) -> Option<Self> {
        steps::take(word.len());
        let is_option = AGENT_OPTIONS.iter().any(|option| word.starts_with(option));
        is_option.then(|| Self::of_option(word))
    }

    /// The word itself, when it is such an option; else those inside it, as in a shell line that is one word to the
    /// JVM's rules (`export JAVA_OPTS="-javaagent:…"`).
    fn all_in(word: &str) -> Vec<Self> {
        if let Some(found) = Self::at_start(word) {
            return vec![found];
        }
        let mut found = Vec::new();
        for option in AGENT_OPTIONS {
            for (at, _) in word.match_indices(option) {
                let (before, rest) = word.split_at(at);
                if before.ends_with(|c: char| c.is_whitespace() || "'\"=;&|(`".contains(c)) {
                    let is_end = |c: char| c.is_whitespace() || "'\";&|)`".contains(c);
                    found.push(Self::of_option(
                        beginning(rest).split(is_end).next().unwrap_or_default(),
                    ));
                    // More are not looked at: see `size`.
                    if found.len() > MAX_AGENTS {
                        return found;
                    }
                }
            }
        }
        found
    }

    fn of_option(word: &str) -> Self {
        let word = beginning(word);
        steps::take(word.len());
        let path = word.split_once(':').map_or(word, |(_, path)| path);
        // What follows the first `=` are the agent's own arguments.
        let path = path.split_once('=').map_or(path, |(path, _)| path);
        Self {
            option: word.to_owned(),
            agent: AgentKind::of_path(&path.to_ascii_lowercase()),
        }
    }

    /// Some load their agent into every program, by a library that the linker puts first. Other libraries there
    /// (`jemalloc`, …) are no agents.
    fn in_preload(libraries: &str) -> Option<Self> {
        let agent = AgentKind::of_path(&libraries.to_ascii_lowercase());
        matches!(agent, AgentKind::Vendor(_)).then(|| Self {
            option: beginning(libraries).to_owned(),
            agent,
        })
    }
}

/// As much of an option as can matter, so that options inside each other are not read to the end again and again.
fn beginning(option: &str) -> &str {
    option
        .split_at_checked(option.floor_char_boundary(MAX_OPTION))
        .map_or(option, |(beginning, _)| beginning)
}

/// For messages and annotations, which have a limit in all.
pub(super) fn shortened(word: &str) -> String {
    match word.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", word.split_at(at).0),
        None => word.to_owned(),
    }
}

impl AgentKind {
    /// Recognises an agent by the path of its file, in lower case.
    fn of_path(path: &str) -> Self {
        if let Some((_, vendor)) = VENDORS.iter().find(|(part, _)| path.contains(part)) {
            return Self::Vendor(vendor);
        }
        if OPENTELEMETRY.iter().any(|part| path.contains(part)) {
            return Self::OpenTelemetry;
        }
        Self::Neighbour
    }
}

impl fmt::Display for AgentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenTelemetry => "OpenTelemetry",
            Self::Vendor(name) => name,
            Self::Neighbour => "other",
        })
    }
}

/// An option's name and the longest path of a file, which a volume's image may have below our directory.
const MAX_OPTION: usize = "-javaagent:".len() + keys::AGENT_DIR.len() + MAX_PATH;

/// How much of an option is shown.
const MAX_SHOWN: usize = 200;

/// Options that load an agent: Java's, and native ones by path or by name.
const AGENT_OPTIONS: [&str; 3] = ["-javaagent:", "-agentpath:", "-agentlib:"];

/// Variables that a JVM or its launcher splits into words (`parse_java_options_environment_variable` in `HotSpot`'s
/// `runtime/arguments.cpp`, `JLI_AddArgsFromEnvVar` in the launcher's `args.c`).
const JVM_VARIABLES: [&str; 3] = [JAVA_TOOL_OPTIONS, "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"];

/// Variables by which the dynamic linker loads libraries first.
const PRELOADS: [&str; 2] = ["LD_PRELOAD", "LD_AUDIT"];

/// Init containers by which other injectors bring their agents.
pub(crate) const INJECTORS: [(&str, AgentKind); 9] = [
    (
        "opentelemetry-auto-instrumentation",
        AgentKind::OpenTelemetry,
    ),
    (
        "opentelemetry-auto-instrumentation-java",
        AgentKind::OpenTelemetry,
    ),
    ("appd-agent-attach-java", AgentKind::Vendor("AppDynamics")),
    ("datadog-init-apm-inject", AgentKind::Vendor("Datadog")),
    ("datadog-lib-java-init", AgentKind::Vendor("Datadog")),
    ("elastic-java-agent", AgentKind::Vendor("Elastic APM")),
    ("install-oneagent", AgentKind::Vendor("Dynatrace")),
    ("instana-instrumentation-init", AgentKind::Vendor("Instana")),
    (
        "newrelic-instrumentation-java",
        AgentKind::Vendor("New Relic"),
    ),
];

/// Parts of file names that give an application performance agent away.
pub(crate) const VENDORS: [(&str, &str); 22] = [
    ("applicationinsights-agent", "Application Insights"),
    ("appdynamics", "AppDynamics"),
    ("appserveragent", "AppDynamics"),
    ("dd-java-agent", "Datadog"),
    ("datadog", "Datadog"),
    ("dynatrace", "Dynatrace"),
    ("oneagent", "Dynatrace"),
    ("elastic-apm-agent", "Elastic APM"),
    ("glowroot", "Glowroot"),
    ("instana", "Instana"),
    ("jennifer", "Jennifer"),
    ("newrelic", "New Relic"),
    ("new-relic", "New Relic"),
    ("pinpoint", "Pinpoint"),
    ("scouter", "Scouter"),
    ("skywalking", "SkyWalking"),
    ("whatap", "WhaTap"),
    ("contrast-apm", "Contrast"),
    ("atatus", "Atatus"),
    ("stackify", "Stackify"),
    ("sealights-apm", "SeaLights"),
    ("scoutapm", "Scout"),
];

/// Parts of paths of the OpenTelemetry agent: upstream's file, the operator's mount, the distributions.
pub(crate) const OPENTELEMETRY: [&str; 12] = [
    "opentelemetry-javaagent",
    "otel-javaagent",
    "otel-auto-instrumentation",
    "/javelin-agent/",
    "splunk-otel-javaagent",
    "aws-opentelemetry-agent",
    "elastic-otel-javaagent",
    "grafana-opentelemetry",
    "honeycomb-opentelemetry",
    "solarwinds-apm-agent",
    "opentelemetry-java",
    "otel_javaagent",
];

#[cfg(test)]
mod tests;
