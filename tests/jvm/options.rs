//! The words of `JAVA_TOOL_OPTIONS`, and the agent's place among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Mutex,
    thread,
};

use javelin_core::{
    config::Delivery,
    mutate::{Decision, List, jvm_words, keys},
    patch::PodPath,
};
use serde_json::Value;

use crate::{
    golden_case::{self, PodCase},
    kubelet::{self, OPTIONS, World},
    machine::{Jdk, Outcome, Start, Workshop},
};

/// What the golden cases do not have.
pub(crate) fn table(jdk: &Jdk, workshop: &Workshop) -> Result<(), String> {
    in_pairs(TABLE, |options| {
        let outcome = jdk.start(workshop, &with(options))?;
        check_options(options, &outcome)
    })
}

/// A list of words, then another: so all of them at once, as a million starts would take too long.
pub(crate) fn mixtures(jdk: &Jdk, workshop: &Workshop) -> Result<(), String> {
    let mut all = vec![String::new()];
    let mut longest = all.clone();
    for _ in 0..MIXTURE_LENGTH {
        let longer = longest
            .iter()
            .flat_map(|text| MIXTURE.map(|piece| format!("{text}{piece}")));
        longest = longer.collect();
        all.extend(longest.iter().cloned());
    }
    // What is no option would end the JVM; the words of the others are counted either way.
    all.retain(|text| {
        jvm_words(text).is_some_and(|words| words.iter().all(|word| word.starts_with("-D")))
    });
    if all.len() < 500 {
        return Err(format!("only {} mixtures are left", all.len()));
    }
    let options = all.join(" ");
    let outcome = jdk.start(workshop, &with(&options))?;
    check_options(&options, &outcome)
}

/// A quote without a partner, and an empty word: the JVM exits, with its reason.
pub(crate) fn unmatched(jdk: &Jdk, workshop: &Workshop) -> Result<(), String> {
    in_pairs(UNMATCHED, |options| {
        if let Some(words) = jvm_words(options) {
            return Err(format!("{options:?}: the engine reads {words:?}"));
        }
        let Outcome { status, stderr, .. } = jdk.start(workshop, &with(options))?;
        if status.success() || !stderr.contains("Unmatched quote") {
            return Err(format!("{options:?}: {status}, {stderr}"));
        }
        Ok(())
    })?;
    // A word all the same, which is why the engine does not stop at it: such a JVM did not start before us either.
    let outcome = jdk.start(workshop, &with("-Da=b ''"))?;
    let refused = outcome.stderr.contains("Unrecognized option: \n");
    if outcome.status.success() || !refused {
        return Err(format!("an empty word: {outcome:?}"));
    }
    Ok(())
}

pub(crate) fn golden_cases(jdk: &Jdk, workshop: &Workshop) -> Result<(), String> {
    let mut starts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in golden_case::folders("pod") {
        let name = folder.file_name().expect("a name").to_string_lossy();
        for options in options_of(&folder).map_err(|problem| format!("{name}: {problem}"))? {
            starts.entry(options).or_default().insert(name.to_string());
        }
    }
    if starts.len() < 10 {
        return Err(format!("the cases give only {starts:?}"));
    }
    let version = agent_version();
    let banner = format!("opentelemetry-javaagent - version: {version}");
    in_pairs(starts, |(options, cases)| {
        let problem = |problem: String| format!("{cases:?}: {problem}");
        let (options, neighbours) = at_hand(&options, workshop);
        let mut start = with(&options);
        start.environment.extend(QUIET);
        start.resource = true;
        let outcome = jdk.start(workshop, &start)?;
        check_options(&options, &outcome).map_err(problem)?;
        if outcome.neighbours != neighbours {
            let found = &outcome.neighbours;
            return Err(problem(format!("agents {neighbours:?}, told {found:?}")));
        }
        // An agent that is turned off says its version all the same, and has no resource.
        let at_work = outcome.attributes.get("telemetry.distro.version") == Some(&version);
        if !at_work || outcome.stderr.matches(&banner).count() != 1 {
            return Err(problem(format!("not one {banner:?}: {}", outcome.stderr)));
        }
        Ok(())
    })
}

/// What a case's targets give to the JVM, in each world; an error when the user's own words are not all there.
fn options_of(folder: &Path) -> Result<BTreeSet<String>, String> {
    let case = PodCase::read(folder);
    let mutation = case.mutation();
    let Decision::Inject(plan) = &mutation.decision else {
        return Ok(BTreeSet::new());
    };
    let before = pod(case.place, &case.document);
    let after = pod(case.place, mutation.patch.result());
    let profile = case
        .config
        .profile(&plan.profile)
        .expect("the plan's profile");
    let jar = match &profile.delivery {
        Delivery::ImageVolume { path } => format!("/javelin-agent{path}"),
        Delivery::Preinstalled { path } => path.clone(),
        _ => "/javelin-agent/javaagent.jar".to_owned(),
    };
    let option = plan.loads_agent.then(|| format!("-javaagent:{jar}"));
    let base = before["metadata"]["annotations"][keys::JAVA_TOOL_OPTIONS_BASE].as_str();
    let mut all = BTreeSet::new();
    for target in &plan.containers {
        let before = container(before, target.list, &target.name);
        let after = container(after, target.list, &target.name);
        for world in kubelet::worlds(after) {
            let own = users_own(before, base, profile.compose_optional, &world);
            let mut expected = jvm_words(&own).expect("even quotes");
            expected.extend(option.clone());
            let options = kubelet::environment(after, &world)
                .remove(OPTIONS)
                .unwrap_or_default();
            if jvm_words(&options).as_ref() != Some(&expected) {
                return Err(format!("{expected:?} became {options:?} in {world:?}"));
            }
            if plan.loads_agent {
                all.insert(options);
            }
        }
    }
    Ok(all)
}

/// What the JVM would have read without us: the container's own, else what the pod states for its image.
fn users_own(
    container: &Value,
    base: Option<&str>,
    compose_optional: bool,
    world: &World,
) -> String {
    let mut own = container["env"].as_array().into_iter().flatten();
    let own = own.rfind(|variable| variable["name"] == OPTIONS);
    let is_known = own.is_some_and(|own| {
        let source = &own["valueFrom"];
        let mut references = source
            .as_object()
            .into_iter()
            .flat_map(|source| source.values());
        let is_optional = references.any(|reference| reference["optional"] == true);
        kubelet::is_known(source) && (compose_optional || !is_optional)
    });
    match base {
        Some(base) if !is_known => base.to_owned(),
        _ => kubelet::environment(container, world)
            .remove(OPTIONS)
            .unwrap_or_default(),
    }
}

/// Where the golden cases have our jar.
const OURS: [&str; 3] = [
    "/javelin-agent/javaagent.jar",
    "/javelin-agent/agents/otel.jar",
    "/opt/otel/agent.jar",
];

/// The same options with jars that are on this machine, and what the other agents are to be told.
pub(crate) fn at_hand(options: &str, workshop: &Workshop) -> (String, Vec<String>) {
    let mut here = options.to_owned();
    let mut neighbours = Vec::new();
    for word in jvm_words(options).unwrap_or_default() {
        let Some(agent) = word.strip_prefix("-javaagent:") else {
            continue;
        };
        let (jar, arguments) = agent.split_once('=').unwrap_or((agent, "null"));
        if OURS.contains(&jar) {
            here = here.replace(jar, &workshop.agent.display().to_string());
        } else {
            here = here.replace(jar, &workshop.neighbour().display().to_string());
            neighbours.push(arguments.to_owned());
        }
    }
    (here, neighbours)
}

/// The JVM has the engine's words, all and in order, and each property has its value.
fn check_options(options: &str, outcome: &Outcome) -> Result<(), String> {
    let words = jvm_words(options).ok_or_else(|| format!("{options:?} is no list of words"))?;
    let options: String = options.chars().take(MAX_SHOWN).collect();
    if !outcome.status.success() {
        let said = outcome
            .stderr
            .lines()
            .filter(|line| !line.starts_with("Picked up"));
        let said = said.collect::<Vec<_>>().join("\n");
        return Err(format!("{options:?} ended the JVM: {said}"));
    }
    if outcome.options != words {
        let mut pairs = outcome.options.iter().zip(&words);
        let first = pairs.find(|(jvm, engine)| jvm != engine);
        let counts = (outcome.options.len(), words.len());
        return Err(format!(
            "the JVM and the engine differ at {first:?}, with {counts:?} words, in {options:?}"
        ));
    }
    let mut expected = BTreeMap::new();
    for property in words.iter().filter_map(|word| word.strip_prefix("-D")) {
        let (name, value) = property.split_once('=').unwrap_or((property, ""));
        // Of several, the last.
        expected.insert(name, value);
    }
    for (name, value) in expected.into_iter().filter(|(name, _)| !name.is_empty()) {
        let found = outcome.properties.get(name).map(String::as_str);
        if found != Some(value) {
            return Err(format!(
                "{name} is {found:?} and not {value:?}, by {options:?}"
            ));
        }
    }
    Ok(())
}

/// Two JVMs at a time. Gives the first problem.
pub(crate) fn in_pairs<T: Send>(
    items: impl IntoIterator<Item = T>,
    check: impl Fn(T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let queue = Mutex::new(items.into_iter().collect::<Vec<_>>());
    let next = || queue.lock().expect("no panic while it is held").pop();
    let work = || -> Result<(), String> {
        while let Some(item) = next() {
            check(item)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        work().and_then(|()| other.join().expect("no panic"))
    })
}

fn with(options: &str) -> Start<'_> {
    Start {
        environment: vec![(OPTIONS, options), UTF_8],
        ..Start::default()
    }
}

fn agent_version() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent.lock");
    let lock = fs::read_to_string(file).expect("the checkout's agent.lock");
    let version = lock
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.expect("a version in agent.lock").to_owned()
}

pub(crate) fn pod(place: PodPath, document: &Value) -> &Value {
    place.of(document).expect("a pod")
}

pub(crate) fn container<'a>(pod: &'a Value, list: List, name: &str) -> &'a Value {
    let containers = pod["spec"][list.as_str()].as_array();
    let mut containers = containers.into_iter().flatten();
    containers
        .find(|container| container["name"] == name)
        .expect("the target")
}

/// Or a JVM reads the bytes of its environment as ASCII.
pub(crate) const UTF_8: (&str, &str) = ("LC_ALL", "C.UTF-8");

/// The agent has nobody to send to, and nothing to instrument, which halves the time of its start.
pub(crate) const QUIET: [(&str, &str); 4] = [
    ("OTEL_TRACES_EXPORTER", "none"),
    ("OTEL_METRICS_EXPORTER", "none"),
    ("OTEL_LOGS_EXPORTER", "none"),
    ("OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED", "false"),
];

const TABLE: [&str; 14] = [
    "",
    " \t\n\r\u{b}\u{c} ",
    "-Da=b",
    " -Da=b\t-Dc=d\n-De=f\u{b}-Dg=h\u{c}-Di=j\r-Dk=l ",
    "-Da='b c' -Dd=\"e f\"",
    "-Da='b\tc\nd\u{b}e'",
    "-Da=b' 'c\"'\"d",
    "'-Da'=\"b\"\"c\"''",
    "-Da='\"' -Db=\"'\"",
    "-Da='' -Db=\"\" -Dc= -Dd",
    r"-Da=b\ -Dc=\n\\ -Dd='\'-De",
    "-Da=$HOME -Db=${c} -Dd=$(e) -Df=`g` -Dh=~ -Di=* -Dj=#k -Dl=%m",
    // Blanks of Unicode, and controls, separate nothing.
    "-Da=b\u{a0}c -Dd=e\u{2003}f -Dg=h\u{85}i -Dj=\u{1c}\u{1f}\u{1}\u{7f}k",
    "-Da=1 -Da=2 -Da",
];

const UNMATCHED: [&str; 8] = [
    "'",
    "-Da=b\"",
    "-Da='b -Dc=d",
    "-Da='b\"",
    "-Da='b' '",
    r"-Da=\'b",
    "-Da=\"b'c' -Dd",
    "-Da=b\n'\n",
];

const MIXTURE: [&str; 6] = ["-Da", "=b", " ", "\t", "'", "\""];
const MIXTURE_LENGTH: usize = 5;

/// How much of a list of options an error shows.
const MAX_SHOWN: usize = 300;
