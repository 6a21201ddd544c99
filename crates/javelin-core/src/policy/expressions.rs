//! The expressions: the `.cel` files beside this one, with names and texts put in.
//!
//! Invariant: whatever is put in is a [`literal`], and only by its own escape: no text of a configuration is looked at
//! again, neither for «» nor by the parser of expressions.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use super::{difference, parameters};
use crate::{
    config::{self, Config, Profile},
    kinds,
    mutate::{self, AgentKind, keys},
};

/// Who decides about pods.
#[derive(Debug, Clone, Copy)]
pub(super) enum DecidedBy {
    /// Policies, which cannot warn of what they skip.
    Policies,
    /// The webhook, which has warned already of what it skips.
    Webhook,
}

/// What warns.
pub(super) struct Missed {
    pub(super) variables: Value,
    pub(super) valid: String,
    pub(super) message: String,
}

/// Variables and the patch of the policy for pods.
pub(super) fn pods(config: &Config) -> (Value, String) {
    let mut names = names(config.reads_annotations());
    let (mut variables, mut choice) = (Vec::new(), String::new());
    for (at, profile) in config.profiles().enumerate() {
        let name = format!("profile_{at}");
        let is_it = format!("variables.profile == {}", literal(&profile.name));
        let _ = write!(choice, "{is_it} ? variables.{name}\n: ");
        variables.push((name, said(profile, config)));
    }
    names.insert("PROFILES", choice + "{}");
    variables.extend(filled_pieces(include_str!("pod.cel"), &names));
    let patch = filled_pieces(include_str!("mutation.cel"), &names);
    (
        listed(variables),
        patch.into_iter().map(|(_, text)| text).collect(),
    )
}

/// What a profile says, as a map of literals.
pub(super) fn said(profile: &Profile, config: &Config) -> String {
    let entries = parameters::from_profile(profile, config).into_iter();
    let entries = entries.map(|(key, value)| format!("  {}: {}", literal(&key), literal(&value)));
    format!("{{\n{}\n}}", entries.collect::<Vec<_>>().join(",\n"))
}

/// Variables and the patch of the policy for workloads.
pub(super) fn workloads() -> (Value, String) {
    let mut pieces = filled_pieces(include_str!("workload.cel"), &names(false));
    let (_, patch) = pieces.pop().expect("the file ends with the patch");
    (listed(pieces), patch)
}

/// The warning where `by` is to decide. `annotated` is whether annotations of pods are read.
pub(super) fn missed(by: DecidedBy, annotated: bool) -> Missed {
    let mut pieces = filled_pieces(include_str!("missed.cel"), &names(annotated));
    let mut last = || pieces.pop().expect("the file ends with both warnings").1;
    let [undecided_message, undecided, message, valid] = [last(), last(), last(), last()];
    let (valid, message) = match by {
        DecidedBy::Policies => (valid, message),
        DecidedBy::Webhook => (undecided, undecided_message),
    };
    Missed {
        variables: listed(pieces),
        valid,
        message,
    }
}

fn filled_pieces(file: &str, names: &BTreeMap<&str, String>) -> Vec<(String, String)> {
    let pieces = pieces(file);
    pieces
        .map(|(name, text)| (name.to_owned(), filled(text, names)))
        .collect()
}

fn listed(pieces: Vec<(String, String)>) -> Value {
    pieces
        .into_iter()
        .map(|(name, expression)| json!({ "name": name, "expression": expression }))
        .collect()
}

/// Name and text of each piece of a file.
fn pieces(file: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = file.split("\n## ").skip(1);
    pieces.filter_map(|piece| {
        let (name, text) = piece.split_once('\n')?;
        Some((name, text.trim()))
    })
}

/// The text with what stands in «» put in: a name of the tables, or a call of one of [`call`]'s.
fn filled(text: &str, names: &BTreeMap<&str, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, (inside, after))) = rest
        .split_once('«')
        .and_then(|(before, behind)| Some((before, behind.split_once('»')?)))
    {
        result.push_str(before);
        let value = names.get(inside).cloned().or_else(|| call(inside, names));
        result.push_str(&value.unwrap_or_else(|| unreachable!("«{inside}» is in no table")));
        rest = after;
    }
    result + rest
}

/// What takes more than a name: expressions have no functions of one's own.
fn call(text: &str, names: &BTreeMap<&str, String>) -> Option<String> {
    let (function, arguments) = text.strip_suffix(')')?.split_once('(')?;
    let arguments: Vec<_> = arguments.split(", ").collect();
    Some(match (function, arguments.as_slice()) {
        ("PRESENCE", [entry]) => presence(entry),
        ("BRINGS", [source, name]) => brings(source, name),
        ("MAY_BRING", [prefix, name]) => {
            format!("({name}.startsWith({prefix}) || {prefix}.startsWith({name}))")
        }
        ("KEPT", [target, name, private]) => kept(target, name, names.get(private)?),
        _ => return None,
    })
}

/// Can the source of an entry be absent when the container starts? A list of one word.
fn presence(entry: &str) -> String {
    let key = |kind: &str| {
        format!(
            "has({entry}.valueFrom.{kind}) ? ({entry}.valueFrom.{kind}.?optional.orValue(false) ? 'optional' : 'required') : "
        )
    };
    format!(
        "[has({entry}.valueFrom.fieldRef) || has({entry}.valueFrom.resourceFieldRef) ? 'required' : {}{}{}'unknown']",
        key("configMapKeyRef"),
        key("secretKeyRef"),
        key("fileKeyRef")
    )
}

/// May a source of envFrom bring a variable of that name?
fn brings(source: &str, name: &str) -> String {
    let prefix = format!("string({source}.?prefix.orValue(''))");
    format!("({name}.startsWith({prefix}) && {name}.size() > {prefix}.size())")
}

/// Entries of the private name: an empty one, then one for each source of envFrom that may bring the variable.
fn kept(target: &str, name: &str, private: &str) -> String {
    let reference = |kind: &str| {
        format!(
            "{{'name': dyn(s.{kind}.name), 'key': dyn({name}.substring(string(s.?prefix.orValue('')).size())), 'optional': dyn(true)}}"
        )
    };
    format!(
        "([{{'name': dyn({private}), 'value': dyn('')}}] + {target}.from.filter(s, {}).map(s, {{'name': dyn({private}), \
         'valueFrom': dyn(has(s.configMapRef) ? {{'configMapKeyRef': {}}} : {{'secretKeyRef': {}}})}}))",
        brings("s", name),
        reference("configMapRef"),
        reference("secretRef")
    )
}

/// Every name and list, as literals.
fn names(annotated: bool) -> BTreeMap<&'static str, String> {
    let vendors: Vec<_> = mutate::VENDORS.iter().map(|(part, _)| *part).collect();
    let pointer = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let annotation = |key: &str| literal(&format!("/metadata/annotations/{}", pointer(key)));
    BTreeMap::from([
        ("INJECT", literal(keys::INJECT)),
        ("FROM_WORKLOAD", literal(keys::FROM_WORKLOAD)),
        (
            "FROM_WORKLOAD_POINTER",
            literal(&pointer(keys::FROM_WORKLOAD)),
        ),
        ("INJECTED", literal(keys::INJECTED)),
        ("INJECTED_PATH", annotation(keys::INJECTED)),
        ("SKIPPED", literal(keys::SKIPPED)),
        ("SKIPPED_PATH", annotation(keys::SKIPPED)),
        ("SAFE_TO_EVICT", literal(keys::SAFE_TO_EVICT_VOLUMES)),
        (
            "SAFE_TO_EVICT_PATH",
            annotation(keys::SAFE_TO_EVICT_VOLUMES),
        ),
        ("MIRROR_POD", literal(keys::MIRROR_POD)),
        ("CONTAINER_NAMES", literal(keys::CONTAINER_NAMES)),
        ("JAVA_CONTAINER_NAMES", literal(keys::JAVA_CONTAINER_NAMES)),
        ("DEFAULT_CONTAINER", literal(keys::DEFAULT_CONTAINER)),
        ("ALLOW_OTHER_AGENT", literal(keys::ALLOW_OTHER_AGENT)),
        ("BASE", literal(keys::JAVA_TOOL_OPTIONS_BASE)),
        ("ENV_PREFIX", literal(keys::ENV_PREFIX)),
        ("RESOURCE_PREFIX", literal(keys::RESOURCE_PREFIX)),
        (
            "SERVICE_NAME_ANNOTATION",
            literal(&format!("{}service.name", keys::RESOURCE_PREFIX)),
        ),
        ("VERSION_LABEL", literal(keys::VERSION_LABEL)),
        ("NAME_LABELS", list(keys::NAME_LABELS)),
        ("AGENT_NAME", literal(keys::AGENT_NAME)),
        ("AGENT_DIR", literal(keys::AGENT_DIR)),
        ("DEFAULTS_FILE", literal(keys::DEFAULTS_FILE)),
        ("SIZE_LIMIT", literal(mutate::VOLUME_SIZE_LIMIT)),
        ("OPTIONS_VARIABLE", literal(keys::OPTIONS_VARIABLE)),
        ("ATTRIBUTES_VARIABLE", literal(keys::ATTRIBUTES_VARIABLE)),
        ("HEADERS_VARIABLE", literal(keys::HEADERS_VARIABLE)),
        ("NODE_IP_VARIABLE", literal(keys::NODE_IP_VARIABLE)),
        ("PRIVATE_NAMES", list(keys::private_names())),
        ("FIELDS", fields()),
        ("OTLP_PROPERTIES", list(mutate::OTLP_PROPERTIES)),
        ("TAKEN_NAMES", list(config::INSTEAD.map(|(name, _)| name))),
        ("SIGNALS", list(SIGNALS)),
        ("OWNER_KEYS", map(kinds::attributes())),
        (
            "OTEL_INJECTORS",
            injectors(|agent| *agent == AgentKind::OpenTelemetry),
        ),
        (
            "VENDOR_INJECTORS",
            injectors(|agent| matches!(agent, AgentKind::Vendor(_))),
        ),
        ("VENDORS", literal(&format!("(?i){}", any_of(&vendors)))),
        ("VENDOR_OPTION", option_with(&vendors, r"[^=\s]*")),
        ("VENDOR_OPTION_QUOTED", option_with(&vendors, "[^=]*")),
        (
            "OTEL_OPTION",
            option_with(&mutate::OPENTELEMETRY, r"[^=\s]*"),
        ),
        (
            "OTEL_OPTION_QUOTED",
            option_with(&mutate::OPENTELEMETRY, "[^=]*"),
        ),
        (
            "BASED",
            "(variables.base == '' ? variables.params.option \
             : variables.base.replace('$', '$$') + ' ' + variables.params.option)"
                .to_owned(),
        ),
        ("READS_ANNOTATIONS", annotated.to_string()),
        ("ROOM", ROOM.to_string()),
        ("SENTENCES", map(difference::sentences())),
    ])
}

/// Variables from fields of the pod that attributes may refer to, with the fields' paths.
fn fields() -> String {
    // Attributes refer to no address, and the namespace's name is known.
    let fields = keys::FIELD_VARIABLES
        .iter()
        .filter(|(name, _)| *name != keys::NODE_IP_VARIABLE && *name != "JAVELIN_NAMESPACE")
        .map(|(name, path)| list([*name, *path]));
    format!("[{}]", fields.collect::<Vec<_>>().join(", "))
}

/// Names of init containers that bring such an agent.
fn injectors(is_wanted: fn(&AgentKind) -> bool) -> String {
    let injectors = mutate::INJECTORS.iter();
    list(
        injectors
            .filter(|(_, agent)| is_wanted(agent))
            .map(|(name, _)| *name),
    )
}

/// An option that loads one of these, by a part of its path.
fn option_with(parts: &[&str], path: &str) -> String {
    let any = any_of(parts);
    literal(&format!("-(javaagent|agentpath|agentlib):(?i:{path}{any})"))
}

/// A regular expression for any of these texts.
fn any_of(parts: &[&str]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    let escaped = parts.iter().map(|part| {
        let chars = part.chars();
        let escaped = chars.flat_map(|c| [(!is_plain(c)).then_some('\\'), Some(c)]);
        escaped.flatten().collect::<String>()
    });
    format!("({})", escaped.collect::<Vec<_>>().join("|"))
}

fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let literals = texts.into_iter().map(literal);
    format!("[{}]", literals.collect::<Vec<_>>().join(", "))
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, impl AsRef<str>)>) -> String {
    let entries = entries
        .into_iter()
        .map(|(key, value)| format!("{}: {}", literal(key), literal(value.as_ref())));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

/// A text as a literal of the Common Expression Language. Only letters, digits and some signs stand as they are.
pub(super) fn literal(text: &str) -> String {
    let mut result = String::from("'");
    for c in text.chars() {
        match c {
            '\\' => result.push_str("\\\\"),
            '\'' => result.push_str("\\'"),
            '\n' => result.push_str("\\n"),
            ' '..='~' => result.push(c),
            _ => {
                let _ = write!(result, "\\U{:08x}", u32::from(c));
            }
        }
    }
    result + "'"
}

/// Variables that `mutate::signal_settings` gives, in its order.
const SIGNALS: [&str; 4] = [
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
];

/// Annotations of so many letters are left alone. Kubernetes allows 256 KiB, a letter has up to four bytes, and ours
/// come on top.
const ROOM: usize = 60_000;
