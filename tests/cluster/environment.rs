//! The environment that containers really start with: what the engine predicts, and what was there before, with the
//! agent's option behind it.
//!
//! Twice each: in a namespace where everything exists that is referred to, and in one where nothing does that need
//! not. Each container is started as it was and as it is with the agent, and prints what it finds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use javelin_core::{
    config::Delivery,
    mutate::{self, Decision, keys, pod::EnvVar},
};
use serde_json::{Map, Value, json};

use crate::{
    api::Api,
    cases::{INJECT, SOON, name_of},
    figures,
    golden_case::{self, PodCase},
    kube::{Namespace, Result, ensure, eventually, get, kubectl_with, pods},
    security::WITNESS,
    trial::{JAVAAGENT_OPTION, Problems},
};

/// The golden cases that say something of an environment, as the engine leaves them.
pub(crate) fn of_golden_cases() -> Result {
    let cases = golden_cases()?;
    ensure!(cases.len() > 30, "{} golden cases", cases.len());
    let mut count = 0;
    for (name, world) in [
        ("t-env-golden-full", World::Full),
        ("t-env-golden-bare", World::Bare),
    ] {
        let namespace = Namespace::new(name, &[])?;
        // Without references there is nothing that could be absent.
        let refers = |case: &Case| !references(&case.before).is_empty();
        let cases: Vec<_> = cases
            .iter()
            .filter(|case| world == World::Full || refers(case))
            .collect();
        let objects = world.objects(cases.iter().map(|case| &case.after));
        let mut manifest = objects.manifest(namespace.0);
        for (at, cases) in cases.chunks(CASES_PER_POD).enumerate() {
            let forms = cases.iter().flat_map(|case| {
                [("before", &case.before), ("after", &case.after)]
                    .map(|(form, container)| witness(&container_name(form, case), container))
            });
            let pod = pod(&format!("golden-{at}"), namespace.0, &json!({}), forms);
            manifest.extend([pod.to_string(), "\n".to_owned()]);
        }
        create(&manifest)?;
        let found = ended(namespace.0)?;
        compare(&objects, &cases, |form, case| {
            found
                .iter()
                .find(|found| found.container["name"] == container_name(form, case))
        })?;
        count += cases.len();
    }
    figures::add(format!(
        "environments of golden cases: {count} as predicted"
    ));
    Ok(())
}

/// What can be written into an environment, through the installed webhook.
pub(crate) fn through_the_webhook() -> Result {
    let mut count = 0;
    for (name, world) in [("t-env-full", World::Full), ("t-env-bare", World::Bare)] {
        let namespace = Namespace::new(name, &[(INJECT, "true")])?;
        let cases: Vec<Case> = written_cases();
        let objects = world.objects(cases.iter().map(|case| &case.before));
        let mut manifest = objects.manifest(namespace.0);
        let all = json!({ keys::CONTAINER_NAMES: "*" });
        let plain = cases.iter().map(|case| witness(&case.name, &case.before));
        let plain: Vec<_> = plain.collect();
        let mut before = pod("before", namespace.0, &json!({}), plain.iter().cloned());
        before["metadata"]["labels"] = json!({ INJECT: "false" });
        let after = pod("after", namespace.0, &all, plain.into_iter());
        manifest.extend([before.to_string(), "\n".to_owned(), after.to_string()]);
        create(&manifest)?;
        let injected = get(&["pod", "after", "-n", namespace.0])?;
        ensure!(
            injected["metadata"]["annotations"][keys::INJECTED].is_string(),
            "not injected: {}",
            injected["metadata"]
        );
        let found = ended(namespace.0)?;
        compare(&objects, &cases.iter().collect::<Vec<_>>(), |form, case| {
            found
                .iter()
                .find(|found| name_of(&found.pod) == form && found.container["name"] == case.name)
        })?;
        count += cases.len();
    }
    figures::add(format!("environments by the webhook: {count} as predicted"));
    Ok(())
}

/// A container before and after.
struct Case {
    name: String,
    before: Value,
    /// By the engine; the webhook's is read from the cluster.
    after: Value,
    /// The pod says what the image has, which only the image knows.
    has_base: bool,
}

/// What exists of what is referred to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    Full,
    Bare,
}

/// The `ConfigMaps` and Secrets of a namespace, by kind and name.
struct Objects(BTreeMap<(&'static str, String), BTreeMap<String, String>>);

/// One container that has ended: its pod, itself, and what it printed.
struct Found {
    pod: Value,
    container: Value,
    environment: BTreeMap<String, String>,
}

/// A reference to a key, or to a whole object by envFrom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    kind: &'static str,
    name: String,
    key: Option<String>,
    is_optional: bool,
}

// === What is compared

fn compare<'a>(
    objects: &Objects,
    cases: &[&Case],
    find: impl Fn(&str, &Case) -> Option<&'a Found>,
) -> Result {
    let mut problems = Problems::default();
    for case in cases {
        let of = |form| find(form, case).ok_or_else(|| format!("{} did not run", case.name));
        let (before, after) = (of("before")?, of("after")?);
        let outcome = is_predicted(objects, before)
            .and_then(|()| is_predicted(objects, after))
            .and_then(|()| is_kept(case, before, after))
            .map_err(|problem| {
                format!(
                    "{}, in {}: {problem}",
                    case.name, after.pod["metadata"]["namespace"]
                )
            });
        problems.add(&after.container["env"], outcome);
    }
    problems.none()
}

/// The engine's prediction is what the container found.
fn is_predicted(objects: &Objects, found: &Found) -> Result {
    let actual = &found.environment;
    let own: Vec<EnvVar> = decode(&found.container["env"])?;
    for (name, value) in mutate::predicted_environment(&own) {
        let Some(value) = value.filter(|value| !value.contains("$(")) else {
            continue;
        };
        ensure!(
            actual.get(&name) == Some(&value),
            "of the literals alone, {name} was predicted as {value:?}, and is {:?}",
            actual.get(&name)
        );
    }
    let known = resolved(objects, found)?;
    let predicted = mutate::predicted_environment(&known);
    for (name, value) in &predicted {
        ensure!(
            actual.get(name) == value.as_ref(),
            "{name} was predicted as {value:?}, and is {:?}",
            actual.get(name)
        );
    }
    let unknown: Vec<_> = actual
        .keys()
        .filter(|name| !predicted.contains_key(*name) && !is_the_runtimes(name))
        .collect();
    ensure!(unknown.is_empty(), "where do these come from? {unknown:?}");
    Ok(())
}

/// Nothing of the user's is lost, and the agent's option stands behind his.
fn is_kept(case: &Case, before: &Found, after: &Found) -> Result {
    let (before, after) = (before, &after.environment);
    let options = after.get(OPTIONS).map(String::as_str).unwrap_or_default();
    let own = before.environment.get(OPTIONS).map(String::as_str);
    let kept = options.strip_suffix(JAVAAGENT_OPTION);
    ensure!(
        case.has_base || kept.map(str::trim_end) == Some(own.unwrap_or_default().trim_end()),
        "{OPTIONS} was {own:?} and is {options:?}"
    );
    ensure!(
        !options.contains("$(JAVELIN_"),
        "{OPTIONS} is {options:?}: no JVM starts with that"
    );
    let own: Vec<EnvVar> = decode(&before.container["env"])?;
    // What refers to those is meant to follow them.
    let follows = |name: &String| {
        let texts = own.iter().filter(|variable| variable.name == *name);
        texts
            .filter_map(|variable| variable.value.as_deref())
            .any(|text| text.contains("$(JAVA_TOOL_OPTIONS)") || text.contains("$(OTEL_"))
    };
    for (name, value) in &before.environment {
        let now = after.get(name);
        let is_same = match name.as_str() {
            OPTIONS => true,
            "OTEL_RESOURCE_ATTRIBUTES" => now.is_some_and(|now| {
                now.starts_with(value.as_str()) || now.ends_with(value.as_str())
            }),
            _ => now == Some(value) || follows(name) || is_the_runtimes(name),
        };
        ensure!(is_same, "{name} was {value:?} and is {now:?}");
    }
    Ok(())
}

/// The entries with what they refer to in their place, as this namespace has it. Only that; what the entries then mean
/// is the engine's to say.
fn resolved(objects: &Objects, found: &Found) -> Result<Vec<EnvVar>> {
    let literal = |name: &str, text: &str| EnvVar::literal(name, text.replace('$', "$$"));
    let services = found.environment.iter();
    let mut known: Vec<_> = services
        .filter(|(name, _)| name.starts_with("KUBERNETES_"))
        .map(|(name, value)| literal(name, value))
        .collect();
    let sources = found.container["envFrom"].as_array();
    for source in sources.into_iter().flatten() {
        let Some(reference) = reference_of(source, None) else {
            return Err(format!("what is {source}?"));
        };
        let prefix = source["prefix"].as_str().unwrap_or_default();
        let values = objects.get(&reference).into_iter().flatten();
        known.extend(values.map(|(key, value)| literal(&format!("{prefix}{key}"), value)));
    }
    for variable in decode::<Vec<EnvVar>>(&found.container["env"])? {
        let Some(from) = &variable.value_from else {
            known.push(variable);
            continue;
        };
        if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
            let pointer = format!("/{}", path.replace('.', "/"));
            let value = found.pod.pointer(&pointer).and_then(Value::as_str);
            known.push(literal(&variable.name, value.unwrap_or_default()));
            continue;
        }
        let reference =
            reference_of(from, Some("KeyRef")).ok_or_else(|| format!("what is {from}?"))?;
        let value = reference.key.as_ref().zip(objects.get(&reference));
        let value = value.and_then(|(key, values)| values.get(key));
        known.extend(value.map(|value| literal(&variable.name, value)));
    }
    Ok(known)
}

/// Set by the container runtime or the kubelet for every container.
fn is_the_runtimes(name: &str) -> bool {
    matches!(name, "PATH" | "HOSTNAME" | "HOME") || name.starts_with("KUBERNETES_")
}

// === What is there

impl World {
    fn has(self, reference: &Reference) -> bool {
        self == Self::Full || !reference.is_optional
    }

    /// What envFrom finds in an object.
    fn values(self, object: &str) -> BTreeMap<String, String> {
        let keys: &[&str] = match self {
            Self::Full => &[OPTIONS, "TOOL_OPTIONS", "BASE", "FROM"],
            Self::Bare => &["FROM"],
        };
        let value = |key: &&str| ((*key).to_owned(), text(object, key));
        keys.iter().map(value).collect()
    }

    /// The `ConfigMaps` and Secrets that containers refer to.
    fn objects<'a>(self, containers: impl Iterator<Item = &'a Value>) -> Objects {
        let mut objects = BTreeMap::<_, BTreeMap<_, _>>::new();
        for reference in containers.flat_map(references) {
            if !self.has(&reference) {
                continue;
            }
            let data = objects
                .entry((reference.kind, reference.name.clone()))
                .or_default();
            match reference.key {
                Some(key) => {
                    let value = text(&reference.name, &key);
                    data.insert(key, value);
                }
                None => data.extend(self.values(&reference.name)),
            }
        }
        Objects(objects)
    }
}

impl Objects {
    fn manifest(&self, namespace: &str) -> String {
        let manifest = |((kind, name), data): (&(&str, String), &BTreeMap<String, String>)| {
            let value = |value: &String| match *kind {
                "Secret" => json!(BASE64.encode(value)),
                _ => json!(value),
            };
            let data: Map<_, _> = data
                .iter()
                .map(|(key, text)| (key.clone(), value(text)))
                .collect();
            let object = json!({ "apiVersion": "v1", "kind": kind, "data": data,
                "metadata": { "name": name, "namespace": namespace } });
            format!("{object}\n")
        };
        self.0.iter().map(manifest).collect()
    }

    fn get(&self, reference: &Reference) -> Option<&BTreeMap<String, String>> {
        self.0.get(&(reference.kind, reference.name.clone()))
    }
}

/// What a key holds: its own name, and what must not be taken for a reference again.
fn text(object: &str, key: &str) -> String {
    format!("-Dfrom={object}/{key} -D$(BASE)=$$a$")
}

fn references(container: &Value) -> BTreeSet<Reference> {
    let sources = container["envFrom"].as_array().into_iter().flatten();
    let sources = sources.filter_map(|source| reference_of(source, None));
    let variables = container["env"].as_array().into_iter().flatten();
    let keys =
        variables.filter_map(|variable| reference_of(&variable["valueFrom"], Some("KeyRef")));
    sources.chain(keys).collect()
}

fn reference_of(source: &Value, suffix: Option<&str>) -> Option<Reference> {
    let suffix = suffix.unwrap_or("Ref");
    let kinds = [("configMap", "ConfigMap"), ("secret", "Secret")];
    kinds.into_iter().find_map(|(member, kind)| {
        let reference = source.get(format!("{member}{suffix}"))?;
        Some(Reference {
            kind,
            name: reference["name"].as_str()?.to_owned(),
            key: reference["key"].as_str().map(str::to_owned),
            is_optional: reference["optional"] == true,
        })
    })
}

// === What is started

fn witness(name: &str, container: &Value) -> Value {
    json!({
        "name": name, "image": WITNESS, "imagePullPolicy": "IfNotPresent",
        "env": container["env"].as_array().cloned().unwrap_or_default(),
        "envFrom": container["envFrom"].as_array().cloned().unwrap_or_default(),
    })
}

/// At most 63 characters.
fn container_name(form: &str, case: &Case) -> String {
    let name: String = format!("{form}-{}", case.name).chars().take(63).collect();
    name.trim_end_matches('-').to_owned()
}

fn pod(
    name: &str,
    namespace: &str,
    annotations: &Value,
    containers: impl Iterator<Item = Value>,
) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "annotations": annotations },
        "spec": { "restartPolicy": "Never", "containers": containers.collect::<Value>() },
    })
}

/// `kubectl apply` would not know what to do with a name that is there twice.
fn create(manifest: &str) -> Result {
    kubectl_with(&["create"], manifest)?;
    Ok(())
}

/// Waits for all pods, and reads what their containers printed, each.
fn ended(namespace: &str) -> Result<Vec<Found>> {
    let pods = eventually("all pods have ended", SOON, || {
        let pods = pods(namespace)?;
        for pod in &pods {
            let phase = pod["status"]["phase"].as_str().unwrap_or_default();
            let waiting = pod["status"]["containerStatuses"].as_array();
            let waiting = waiting
                .into_iter()
                .flatten()
                .find(|status| status["state"]["waiting"]["message"].is_string());
            ensure!(
                phase == "Succeeded",
                "{} is {phase}: {waiting:?}",
                name_of(pod)
            );
        }
        ensure!(!pods.is_empty(), "none");
        Ok(pods)
    })?;
    let api = Api::new()?;
    let mut found = Vec::new();
    for pod in pods {
        let containers = pod["spec"]["containers"].as_array().cloned();
        let containers = containers.unwrap_or_default();
        let name = |container: &Value| container["name"].as_str().unwrap_or_default().to_owned();
        let names: Vec<_> = containers.iter().map(name).collect();
        let logs = api.logs(namespace, name_of(&pod), &names)?;
        for (container, log) in containers.into_iter().zip(logs) {
            let log = String::from_utf8(log).map_err(|error| error.to_string())?;
            let entries = log.split('\0').filter_map(|entry| entry.split_once('='));
            let entries = entries.map(|(name, value)| (name.to_owned(), value.to_owned()));
            found.push(Found {
                pod: pod.clone(),
                container,
                environment: entries.collect(),
            });
        }
    }
    Ok(found)
}

fn decode<T: serde::de::DeserializeOwned + Default>(value: &Value) -> Result<T> {
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value.clone()).map_err(|error| format!("{error}: {value}"))
}

// === The golden cases

fn golden_cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for folder in golden_case::folders("pod") {
        cases.extend(of_folder(&folder)?);
    }
    Ok(cases)
}

/// The first target of a case, if it is injected and has anything to do with environments.
fn of_folder(folder: &Path) -> Result<Option<Case>> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let case = PodCase::read(folder);
    let mutation = case.mutation();
    let PodCase {
        document,
        place,
        config,
        ..
    } = case;
    let Decision::Inject(plan) = &mutation.decision else {
        return Ok(None);
    };
    let Some(target) = plan.containers.first() else {
        return Ok(None);
    };
    // The others differ in the path of the jar alone.
    let profile = config.profile(&plan.profile).ok_or("no profile")?;
    if !matches!(profile.delivery, Delivery::InitContainer { .. }) {
        return Ok(None);
    }
    let container = |document: &Value, moved: usize| {
        let list = &place.of(document)?["spec"][target.list.as_str()];
        Some(list[target.index + moved].clone())
    };
    let is_init = usize::from(target.list == mutate::List::InitContainers);
    let before = container(&document, 0).ok_or("no container")?;
    let after = container(mutation.patch.result(), is_init).ok_or("no container")?;
    // One is about a source that no Kubernetes knows yet.
    let is_known = |variable: &Value| {
        let from = &variable["valueFrom"];
        let is_field = from["fieldRef"].is_object();
        from.is_null() || is_field || reference_of(from, Some("KeyRef")).is_some()
    };
    let variables = before["env"].as_array();
    let can_start = variables.into_iter().flatten().all(is_known);
    let annotations = &place.of(&document).ok_or("no pod")?["metadata"]["annotations"];
    let has_base = annotations[keys::JAVA_TOOL_OPTIONS_BASE].is_string();
    let says_something = [
        "agent-",
        "attributes-",
        "defaults-",
        "env-",
        "options-",
        "sdk-",
        "service-name-",
    ];
    let is_one = says_something.iter().any(|group| name.starts_with(group));
    Ok((is_one && can_start).then(|| Case {
        name: name.into_owned(),
        before,
        after,
        has_base,
    }))
}

// === What can be written

#[expect(clippy::too_many_lines, reason = "a table")]
fn written_cases() -> Vec<Case> {
    // What must exist has other names than what need not, or it would exist in both namespaces.
    let of =
        |optional: bool, name: &str| format!("{name}-{}", if optional { "may" } else { "must" });
    let secret = |optional: bool| json!({ "secretKeyRef": { "name": of(optional, "keys"), "key": "k", "optional": optional } });
    let map = |optional: bool| json!({ "configMapKeyRef": { "name": of(optional, "keys"), "key": "k", "optional": optional } });
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let value = |name: &str, value: &str| json!({ "name": name, "value": value });
    let from = |name: &str, from: Value| json!({ "name": name, "valueFrom": from });
    let sources = |optional: bool| {
        json!([{ "configMapRef": { "name": of(optional, "first"), "optional": optional } },
               { "secretRef": { "name": of(optional, "second"), "optional": optional }, "prefix": "JAVA_" },
               { "secretRef": { "name": "third", "optional": true }, "prefix": "X_" }])
    };
    let prefixed = json!([{ "configMapRef": { "name": "other" }, "prefix": "JAVA_" }]);
    let cases = [
        ("nothing", json!([]), json!([])),
        (
            "dollars",
            json!([
                value("A", "$$(B) $$$$ $ $( $x"),
                value("B", "$(A)-$(LATER)-$(UNKNOWN)"),
                value("LATER", "l"),
                value(OPTIONS, "-Da=$(B) -Db=$$x -Dc=$(UNKNOWN) -Dd='$(LATER) y'")
            ]),
            json!([]),
        ),
        (
            "repeated",
            json!([
                value(OPTIONS, "-Dfirst"),
                value("MIDDLE", "$(JAVA_TOOL_OPTIONS)"),
                value(OPTIONS, "$(JAVA_TOOL_OPTIONS) -Dsecond"),
                value("END", "[$(JAVA_TOOL_OPTIONS)]")
            ]),
            json!([]),
        ),
        (
            "required",
            json!([
                from(OPTIONS, secret(false)),
                value("A", "$(JAVA_TOOL_OPTIONS)")
            ]),
            json!([]),
        ),
        (
            "optional-secret",
            json!([from(OPTIONS, secret(true))]),
            json!([]),
        ),
        (
            "optional-map",
            json!([
                value("BASE", "b"),
                from(OPTIONS, map(true)),
                value("A", "a")
            ]),
            json!([]),
        ),
        (
            "optional-after-literal",
            json!([value(OPTIONS, "-Dl"), from(OPTIONS, secret(true))]),
            json!([]),
        ),
        (
            "literal-after-optional",
            json!([from(OPTIONS, secret(true)), value(OPTIONS, "-Dl")]),
            json!([]),
        ),
        (
            "optional-twice",
            json!([from(OPTIONS, map(true)), from(OPTIONS, secret(true))]),
            json!([]),
        ),
        (
            "required-then-optional",
            json!([from(OPTIONS, secret(false)), from(OPTIONS, map(true))]),
            json!([]),
        ),
        (
            "field",
            json!([
                from(OPTIONS, field("metadata.namespace")),
                from("IP", field("status.hostIP"))
            ]),
            json!([]),
        ),
        (
            "by-references",
            json!([
                from("K", secret(true)),
                from("P", field("metadata.namespace")),
                value(
                    OPTIONS,
                    "-Dk=$(K) -Dp=$(P) -Dport=$(KUBERNETES_SERVICE_PORT)"
                )
            ]),
            json!([]),
        ),
        ("sources", json!([]), sources(false)),
        (
            "optional-sources",
            json!([value("A", "$(FROM)$(JAVA_FROM)$(BASE)")]),
            sources(true),
        ),
        ("prefixed-source", json!([]), prefixed.clone()),
        (
            "source-and-literal",
            json!([value(OPTIONS, "$(JAVA_TOOL_OPTIONS) -Dl")]),
            sources(true),
        ),
        (
            "source-and-optional",
            json!([from(OPTIONS, secret(true))]),
            sources(true),
        ),
        (
            "source-and-required",
            json!([from(OPTIONS, secret(false))]),
            prefixed,
        ),
        (
            "attributes",
            json!([
                value(ATTRIBUTES, "team=a,x=$(LATER)"),
                value("LATER", "l"),
                value("B", "$$(OTEL_X)")
            ]),
            json!([]),
        ),
        (
            "attributes-repeated",
            json!([
                value(ATTRIBUTES, "team=a"),
                value(ATTRIBUTES, "$(OTEL_RESOURCE_ATTRIBUTES),b=$$(c)")
            ]),
            json!([]),
        ),
        (
            "attributes-from-a-key",
            json!([from(ATTRIBUTES, secret(true))]),
            json!([]),
        ),
        (
            "own-settings",
            json!([
                value("OTEL_SERVICE_NAME", "mine-$(NO)"),
                value("OTEL_EXPORTER_OTLP_ENDPOINT", "http://mine"),
                value("a.b-c", "$(OTEL_SERVICE_NAME)"),
                value("LINES", "one\ntwo\n\tthree ü")
            ]),
            json!([]),
        ),
    ];
    let case = |(name, env, env_from): (&str, Value, Value)| Case {
        name: name.to_owned(),
        before: json!({ "env": env, "envFrom": env_from }),
        after: Value::Null,
        has_base: false,
    };
    cases.map(case).into()
}

const OPTIONS: &str = "JAVA_TOOL_OPTIONS";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Twice as many containers: few enough that pods start side by side, many enough that there are few sandboxes.
const CASES_PER_POD: usize = 10;
