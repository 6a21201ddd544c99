//! What Javelin may do in the cluster: as little as the chart says, and none of it for nothing.
//!
//! Each right is taken away, and something is seen to fail for that reason; it is given back, and that heals by itself.
//! No pod is refused in between.
//!
//! Deliberately not here: a replica that starts without any rights, for it never becomes ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::{
    api::Api,
    cases::{INJECT, SOON, SYSTEM, metrics_path, name_of, receipt},
    charts::{chart, found_values, values_in},
    kube::{
        Namespace, Result, ensure, eventually, get, helm, kubectl, kubectl_output, kubectl_with,
        pods,
    },
    reach::{replace_replicas, replicas_are_ready},
};

// === All that it may do

/// By the API server's own word, and beyond what every account may.
pub(crate) fn stated() -> Result {
    let everywhere =
        ["get patch watch: admissionregistration.k8s.io mutatingwebhookconfigurations javelin"];
    let here = [
        everywhere[0],
        "create get patch watch: core secrets javelin-ca",
        "create patch: core configmaps javelin-probe",
        "create: events.k8s.io events",
    ];
    for (namespace, expected) in [(SYSTEM, &here[..]), ("default", &everywhere)] {
        let anybody = rules("system:serviceaccount:javelin-system:default", namespace)?;
        let found = rules(ACCOUNT, namespace)?;
        let beyond: BTreeSet<_> = found.difference(&anybody).map(String::as_str).collect();
        let expected = expected.iter().copied().collect();
        ensure!(beyond == expected, "in {namespace}: {beyond:#?}");
    }
    for (arguments, expected) in ASKED {
        ensure!(
            may(arguments)? == *expected,
            "{arguments:?} is not {expected}"
        );
    }
    Ok(())
}

/// A few of them in so many words, and what is next to them.
const ASKED: &[(&[&str], bool)] = &[
    (&["get", "secret/javelin-ca", "-n", SYSTEM], true),
    (&["create", "secret/javelin-ca", "-n", SYSTEM], true),
    (&["list", "secrets", "-n", SYSTEM], false),
    (&["watch", "secrets", "-n", SYSTEM], false),
    (&["get", "secret/another", "-n", SYSTEM], false),
    (&["get", "secret/javelin-ca", "-n", "default"], false),
    (&["create", "secrets", "-n", SYSTEM], false),
    (&["create", "secret/another", "-n", SYSTEM], false),
    (&["patch", "secret/another", "-n", SYSTEM], false),
    (&["update", "secret/javelin-ca", "-n", SYSTEM], false),
    (&["delete", "secret/javelin-ca", "-n", SYSTEM], false),
    (&["get", "configmap/javelin-probe", "-n", SYSTEM], false),
    (&["patch", "configmap/javelin", "-n", SYSTEM], false),
    (&["create", "configmap/another", "-n", SYSTEM], false),
    (&["get", "pods", "-n", SYSTEM], false),
    (&["update", "pods", "-n", SYSTEM], false),
    (&["patch", "pods", "-n", "default"], false),
    (&["update", "deployments.apps", "-n", SYSTEM], false),
    (&["get", "namespaces"], false),
    (&["delete", "*.*", "--all-namespaces"], false),
    (&["create", "events.events.k8s.io", "-n", SYSTEM], true),
    (&["create", "events", "-n", SYSTEM], false),
    (&["list", "events.events.k8s.io", "-n", SYSTEM], false),
    (&["create", "events.events.k8s.io", "-n", "default"], false),
    (&["get", "mutatingwebhookconfigurations/javelin"], true),
    (&["get", "mutatingwebhookconfigurations/another"], false),
    (&["patch", "mutatingwebhookconfigurations/another"], false),
    (&["list", "mutatingwebhookconfigurations"], false),
    (&["create", "mutatingwebhookconfigurations"], false),
    (&["delete", "mutatingwebhookconfigurations/javelin"], false),
    (&["get", "validatingwebhookconfigurations/javelin"], false),
    (&["patch", "clusterrole/javelin"], false),
    (&["bind", "clusterrole/cluster-admin"], false),
    (&["impersonate", "users"], false),
];

/// What the account may do in the namespace, each rule as text: verbs, groups, resources, names.
fn rules(account: &str, namespace: &str) -> Result<BTreeSet<String>> {
    let question = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": namespace } });
    let (answer, _) = kubectl_with(
        &["create", "--validate=false", "-o", "json", "--as", account],
        &question.to_string(),
    )?;
    let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
    let status = &answer["status"];
    ensure!(status["incomplete"] == false, "{status}");
    let on_objects = status["resourceRules"].as_array().into_iter().flatten();
    let on_objects = on_objects.map(|rule| {
        let [verbs, groups, resources, names] =
            ["verbs", "apiGroups", "resources", "resourceNames"]
                .map(|member| sorted(&rule[member]));
        format!("{verbs}: {groups} {resources} {names}")
            .trim_end()
            .to_owned()
    });
    let others = status["nonResourceRules"].as_array().into_iter().flatten();
    Ok(on_objects.chain(others.map(Value::to_string)).collect())
}

fn sorted(values: &Value) -> String {
    let values = values.as_array().into_iter().flatten();
    let values = values.map(|value| match value.as_str() {
        Some("") => "core".to_owned(),
        Some(value) => value.to_owned(),
        None => value.to_string(),
    });
    let values: BTreeSet<_> = values.collect();
    values.into_iter().collect::<Vec<_>>().join(" ")
}

/// Whether Javelin may, as the API server knows it by now.
pub(crate) fn may(arguments: &[&str]) -> Result<bool> {
    let question = [&["auth", "can-i"], arguments, &["--as", ACCOUNT]].concat();
    let output = kubectl_output(&question);
    let answer = String::from_utf8_lossy(&output.stdout);
    match answer.trim() {
        "yes" => Ok(true),
        answer if answer.starts_with("no") => Ok(false),
        _ => Err(format!(
            "{question:?}: {answer}{}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

// === None of it for nothing

pub(crate) fn needed() -> Result {
    let mut bench = Bench::new()?;
    for right in RIGHTS {
        let Right { verb, resource, .. } = right;
        bench
            .without(right)
            .map_err(|error| format!("without {verb} of {resource}: {error}"))?;
    }
    Ok(())
}

/// A right, and how it is seen to be needed.
struct Right {
    resource: &'static str,
    verb: &'static str,
    /// What there is then to do for Javelin.
    provoke: fn(&mut Bench) -> Result,
    /// It is not done.
    missing: fn(&Bench) -> Result,
    /// Every replica's log says why.
    is_said: bool,
    /// Pods get the agent all the same.
    injects: bool,
    /// It is done, beside what is the same for all.
    healed: fn(&mut Bench) -> Result,
}

/// What failed is tried again after a time that doubles. At most two in a row are tried by the same replicas, so that
/// it stays short.
const RIGHTS: &[Right] = &[
    Right {
        resource: SECRETS,
        verb: "get",
        provoke: |_| wipe_bundles(WORKLOAD),
        missing: |_| have_no_bundles(WORKLOAD),
        is_said: true,
        injects: true,
        healed: |_| Ok(()),
    },
    Right {
        resource: SECRETS,
        verb: "watch",
        provoke: |_| {
            replace_replicas()?;
            wipe_secret()
        },
        // At once, if it were noticed; a minute later it would be, too.
        missing: |_| throughout(AWHILE, secret_is_empty),
        is_said: true,
        injects: true,
        healed: |_| Ok(()),
    },
    Right {
        resource: CONFIGURATIONS,
        verb: "get",
        provoke: |_| wipe_bundles(WORKLOAD),
        missing: |_| have_no_bundles(WORKLOAD),
        is_said: true,
        injects: true,
        healed: |_| Ok(()),
    },
    Right {
        resource: CONFIGURATIONS,
        verb: "watch",
        provoke: |_| {
            replace_replicas()?;
            wipe_bundles(WORKLOAD)
        },
        missing: |_| throughout(AWHILE, || have_no_bundles(WORKLOAD)),
        is_said: true,
        injects: true,
        healed: |_| Ok(()),
    },
    Right {
        resource: SECRETS,
        verb: "patch",
        provoke: |_| ask_for_rotation(),
        missing: |_| is_not_prepared(),
        is_said: true,
        injects: true,
        healed: |_| Ok(()),
    },
    Right {
        resource: SECRETS,
        verb: "patch",
        provoke: |_| wipe_secret(),
        missing: |_| secret_is_empty(),
        is_said: true,
        injects: true,
        healed: |_| Ok(()),
    },
    Right {
        resource: CONFIG_MAPS,
        verb: "create",
        provoke: Bench::replace_one,
        missing: |bench| bench.could_not_probe(),
        is_said: false,
        injects: true,
        healed: |bench| bench.probe_says("reached", ""),
    },
    Right {
        resource: CONFIG_MAPS,
        verb: "patch",
        provoke: Bench::replace_one,
        missing: |bench| bench.could_not_probe(),
        is_said: false,
        injects: true,
        healed: |bench| bench.probe_says("reached", ""),
    },
    Right {
        resource: SECRETS,
        verb: "create",
        provoke: |_| delete_secret(),
        missing: |_| secret_is_gone(),
        is_said: true,
        injects: true,
        healed: |_| Ok(()),
    },
    Right {
        resource: EVENTS,
        verb: "create",
        provoke: Bench::replace_one,
        missing: |bench| {
            bench.counts("WebhookReached")?;
            throughout(AWHILE, || bench.has_events(0))
        },
        is_said: false,
        injects: true,
        // Nobody tells again what could not be told: another replica has the same to tell.
        healed: |bench| {
            bench.replace_one()?;
            eventually("an Event", SOON, || bench.has_events(1))
        },
    },
    Right {
        resource: CONFIGURATIONS,
        verb: "patch",
        provoke: |_| wipe_bundles(NAMESPACE_DEFAULT),
        missing: |_| have_no_bundles(NAMESPACE_DEFAULT),
        is_said: true,
        // They fail open.
        injects: false,
        healed: |_| Ok(()),
    },
];

const SECRETS: &str = "secrets";
const CONFIGURATIONS: &str = "mutatingwebhookconfigurations";
const CONFIG_MAPS: &str = "configmaps";
const EVENTS: &str = "events";

// === impl Right

impl Right {
    /// Which of the two.
    fn role(&self) -> &'static Role {
        let is_cluster_wide = self.resource == CONFIGURATIONS;
        &ROLES[usize::from(is_cluster_wide)]
    }

    /// Without it: what the Role has, for good or for a while.
    fn taken_from(&self, rules: &Value) -> Result<Value> {
        let mut left = Vec::new();
        for rule in rules.as_array().into_iter().flatten() {
            let mut rule = rule.clone();
            if rule["resources"] == json!([self.resource])
                && let Some(verbs) = rule["verbs"].as_array_mut()
            {
                verbs.retain(|verb| verb != self.verb);
            }
            // A rule without verbs is none.
            if rule["verbs"] != json!([]) {
                left.push(rule);
            }
        }
        ensure!(*rules != json!(left), "nobody gives it: {rules}");
        Ok(json!(left))
    }

    /// As the API server says it. Of an apply that would create an object older ones do not tell which verb it wants.
    fn refusal(&self) -> String {
        match (self.resource, self.verb) {
            (SECRETS, "create") => format!("{SECRETS} \"javelin-ca\" is forbidden"),
            (resource, verb) => format!("cannot {verb} resource \"{resource}\""),
        }
    }

    fn is_given(&self) -> Result<bool> {
        let object = match self.resource {
            SECRETS => "secrets/javelin-ca",
            CONFIGURATIONS => "mutatingwebhookconfigurations/javelin",
            CONFIG_MAPS => "configmaps/javelin-probe",
            _ => "events.events.k8s.io",
        };
        may(&[self.verb, object, "-n", SYSTEM])
    }
}

// === The roles

struct Role(&'static [&'static str]);

const ROLES: [Role; 2] = [
    Role(&["role", "javelin", "-n", SYSTEM]),
    Role(&["clusterrole", "javelin"]),
];

impl Role {
    fn rules(&self) -> Result<Value> {
        Ok(get(self.0)?["rules"].clone())
    }

    fn set(&self, rules: &Value) -> Result {
        let change = json!({ "rules": rules }).to_string();
        kubectl(&[&["patch"], self.0, &["--type=merge", "-p", &change]].concat())?;
        Ok(())
    }
}

// === What it is seen on

/// An installation, as it was found. It is put back when dropped, whatever came between.
struct Bench {
    api: Api,
    /// Labelled `true`.
    namespace: Namespace,
    rules: [Value; 2],
    /// PEM, in base64 as the Secret has it.
    authority: String,
    /// The replica that was last started apart from the others.
    replica: String,
}

impl Bench {
    fn new() -> Result<Self> {
        // Requests are heard when there is none.
        let data = eventually("there is no successor", A_ROTATION, || {
            let data = secret()?["data"].take();
            ensure!(data["next.crt"].is_null(), "there is");
            Ok(data)
        })?;
        let authority = data["ca.crt"].as_str().ok_or("there is no authority")?;
        Ok(Self {
            api: Api::new()?,
            namespace: Namespace::new("t-rights", &[(INJECT, "true")])?,
            rules: [ROLES[0].rules()?, ROLES[1].rules()?],
            authority: authority.to_owned(),
            replica: String::new(),
        })
    }

    fn without(&mut self, right: &Right) -> Result {
        eventually("nothing is left to write", SOON, is_at_rest)?;
        let said = right.refusal();
        let before = lines_with(&said)?;
        let rules = &self.rules[usize::from(right.resource == CONFIGURATIONS)].clone();
        right.role().set(&right.taken_from(rules)?)?;
        eventually("it is taken away", SOON, || {
            ensure!(!right.is_given()?, "it is there");
            Ok(())
        })?;
        (right.provoke)(self)?;
        if right.is_said {
            eventually("every log says why", SOON, || {
                for (replica, count) in lines_with(&said)? {
                    let before = before.get(&replica).copied().unwrap_or_default();
                    ensure!(count > before, "that of {replica} does not");
                }
                Ok(())
            })?;
        }
        eventually("it is not done", SOON, || (right.missing)(self))?;
        self.admits(right.injects)?;
        // Or a rotation would begin, and its authority would stay for days.
        withdraw_request()?;

        right.role().set(rules)?;
        eventually("all is as it was", SOON, || self.is_whole())?;
        eventually("it is done", SOON, || (right.healed)(self))
    }

    /// The same authority signs, and every entry has it.
    fn is_whole(&self) -> Result {
        let authority = &secret()?["data"]["ca.crt"];
        ensure!(*authority == self.authority, "another authority");
        let decode = |text: &Value| {
            let bytes = BASE64.decode(text.as_str().unwrap_or_default());
            let bytes = bytes.map_err(|error| error.to_string())?;
            String::from_utf8(bytes).map_err(|error| error.to_string())
        };
        let authority = decode(authority)?;
        for entry in webhooks()?.as_array().into_iter().flatten() {
            let bundle = decode(&entry["clientConfig"]["caBundle"])?;
            let name = &entry["name"];
            ensure!(bundle.contains(&authority), "{name} has {bundle:?}");
        }
        replicas_are_ready()?;
        self.admits(true)
    }

    /// A pod is admitted, with the agent or without. The API server takes a moment to know what an entry has.
    fn admits(&self, with_agent: bool) -> Result {
        let mut refused = None;
        eventually("what a pod gets", SOON, || {
            let pod = match self.created() {
                Ok(pod) => pod,
                Err(error) => {
                    refused = Some(error);
                    return Ok(());
                }
            };
            let has_agent = receipt(&pod).is_some();
            ensure!(has_agent == with_agent, "has it the agent? {has_agent}");
            Ok(())
        })?;
        refused.map_or_else(replicas_are_ready, |error| {
            Err(format!("a pod was refused: {error}"))
        })
    }

    /// It is not kept.
    fn created(&self) -> Result<Value> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "try-out" },
            "spec": { "containers": [{ "name": "app", "image": "localhost/javelin-pause:1" }] },
        });
        let answers = self.api.dry_run(self.namespace.0, &[pod])?;
        answers.first().ok_or("no answer")?.admitted().cloned()
    }

    /// Another replica instead of the oldest: it asks anew whether it is reached, and has told nothing yet.
    fn replace_one(&mut self) -> Result {
        let mut before = pods(SYSTEM)?;
        before.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].to_string());
        let oldest = name_of(before.first().ok_or("there are no replicas")?);
        kubectl(&["delete", "pod", oldest, "-n", SYSTEM, "--wait=false"])?;
        self.replica = eventually("another replica", SOON, || {
            let now = pods(SYSTEM)?;
            let mut names = now.iter().map(name_of);
            let is_new = |name: &&str| before.iter().all(|pod| name_of(pod) != *name);
            let name = names.find(is_new).ok_or("none yet")?;
            replicas_are_ready()?;
            Ok(name.to_owned())
        })?;
        Ok(())
    }

    /// Which verb it wants, older API servers do not tell.
    fn could_not_probe(&self) -> Result {
        let words = format!("{CONFIG_MAPS} \"javelin-probe\" is forbidden");
        self.probe_says("could-not-probe", &words)
    }

    /// That of the new replica.
    fn probe_says(&self, code: &str, words: &str) -> Result {
        let pods = format!("/api/v1/namespaces/{SYSTEM}/pods");
        let path = format!("{pods}/{}:8080/proxy/readyz?verbose", self.replica);
        let text = kubectl(&["get", "--raw", &path])?;
        let report = text.split_once(&format!("\nprobe: {code} at 20"));
        ensure!(
            report.is_some_and(|(_, report)| report.contains(words)),
            "{text}"
        );
        Ok(())
    }

    /// The new replica says that it has told of this.
    fn counts(&self, reason: &str) -> Result {
        let pod = json!({ "metadata": { "name": self.replica } });
        let metrics = kubectl(&["get", "--raw", &metrics_path(&pod)])?;
        let line = format!("javelin_events_total{{reason=\"{reason}\"}} 1\n");
        ensure!(metrics.contains(&line), "it has not told of {reason}");
        Ok(())
    }

    /// As many Events are about the new replica, and by it.
    fn has_events(&self, expected: usize) -> Result {
        let events = get(&["events.events.k8s.io", "-n", SYSTEM])?;
        let events = events["items"].as_array().into_iter().flatten();
        let is_its = |event: &&Value| {
            event["reportingController"] == "javelin.dev/webhook"
                && event["regarding"]["name"] == *self.replica
        };
        let count = events.filter(is_its).count();
        ensure!(count == expected, "{count} Events");
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let outcomes = [
            ROLES[0].set(&self.rules[0]),
            ROLES[1].set(&self.rules[1]),
            withdraw_request(),
            // What comes back is not labelled as Helm's.
            upgrade(),
        ];
        for outcome in outcomes {
            if let Err(error) = outcome {
                println!("not put back: {error}");
            }
        }
    }
}

// === Replicas

/// How many lines of each replica's log have these words.
fn lines_with(words: &str) -> Result<BTreeMap<String, usize>> {
    let count = |pod: Value| {
        let name = name_of(&pod).to_owned();
        let log = kubectl(&["logs", "-n", SYSTEM, &name])?.replace('\\', "");
        let count = log.lines().filter(|line| line.contains(words)).count();
        Ok((name, count))
    };
    pods(SYSTEM)?.into_iter().map(count).collect()
}

// === The Secret

fn secret() -> Result<Value> {
    get(&["secret", "javelin-ca", "-n", SYSTEM])
}

fn wipe_secret() -> Result {
    let change = json!([{ "op": "remove", "path": "/data" }]).to_string();
    let object = ["patch", "secret", "javelin-ca", "-n", SYSTEM];
    kubectl(&[&object[..], &["--type=json", "-p", &change]].concat())?;
    Ok(())
}

fn secret_is_empty() -> Result {
    ensure!(secret()?["data"].is_null(), "it has data");
    Ok(())
}

fn delete_secret() -> Result {
    kubectl(&["delete", "secret", "javelin-ca", "-n", SYSTEM])?;
    Ok(())
}

fn secret_is_gone() -> Result {
    let object = ["get", "secret", "javelin-ca", "-n", SYSTEM];
    let found = kubectl(&[&object[..], &["--ignore-not-found", "-o", "name"]].concat())?;
    ensure!(found.is_empty(), "{found} is there");
    Ok(())
}

fn ask_for_rotation() -> Result {
    let request = format!("{ROTATE}=now");
    kubectl(&["annotate", "secret", "javelin-ca", "-n", SYSTEM, &request])?;
    Ok(())
}

fn is_not_prepared() -> Result {
    let now = secret()?;
    ensure!(now["data"]["next.crt"].is_null(), "there is a successor");
    let request = &now["metadata"]["annotations"][ROTATE];
    ensure!(request.is_string(), "the request is gone");
    Ok(())
}

/// There may be none.
fn withdraw_request() -> Result {
    if secret_is_gone().is_ok() {
        return Ok(());
    }
    let request = format!("{ROTATE}-");
    kubectl(&["annotate", "secret", "javelin-ca", "-n", SYSTEM, &request])?;
    Ok(())
}

// === The webhook configuration

fn webhooks() -> Result<Value> {
    Ok(get(&["mutatingwebhookconfiguration", "javelin"])?["webhooks"].clone())
}

/// Its last change has been followed by the one that API servers are told of it with. That one would wake every replica,
/// whatever it watches.
fn is_at_rest() -> Result {
    let metadata = get(&["mutatingwebhookconfiguration", "javelin"])?["metadata"].take();
    let [generation, touched] = [&metadata["generation"], &metadata["annotations"][TOUCHED]];
    ensure!(
        touched.as_str() == Some(&generation.to_string()),
        "generation {generation}, and {touched} is touched"
    );
    Ok(())
}

/// Of the entry of this name, and where it is.
fn entries(prefix: &str) -> Result<Vec<(usize, Value)>> {
    let webhooks = webhooks()?;
    let entries = webhooks.as_array().into_iter().flatten().cloned();
    let begins = |entry: &Value| {
        let name = entry["name"].as_str().unwrap_or_default();
        name.starts_with(prefix)
    };
    let found = entries.enumerate().filter(|(_, entry)| begins(entry));
    let found: Vec<_> = found.collect();
    ensure!(!found.is_empty(), "there is no entry {prefix}");
    Ok(found)
}

/// Of the entries whose names begin so: one, and its second chances.
fn wipe_bundles(prefix: &str) -> Result {
    let remove = |(at, _): &(usize, Value)| {
        let path = format!("/webhooks/{at}/clientConfig/caBundle");
        json!({ "op": "remove", "path": path })
    };
    let change: Vec<_> = entries(prefix)?.iter().map(remove).collect();
    let change = Value::from(change).to_string();
    let object = ["patch", "mutatingwebhookconfiguration", "javelin"];
    kubectl(&[&object[..], &["--type=json", "-p", &change]].concat())?;
    Ok(())
}

fn have_no_bundles(prefix: &str) -> Result {
    for (_, entry) in entries(prefix)? {
        let bundle = &entry["clientConfig"]["caBundle"];
        ensure!(
            bundle.is_null(),
            "the entry {} has a caBundle",
            entry["name"]
        );
    }
    Ok(())
}

// === Helpers

/// With the values that are in force.
fn upgrade() -> Result {
    let (values, chart) = (found_values()?, chart());
    let release = ["upgrade", "javelin", &chart, "--namespace", SYSTEM];
    helm(
        "helm",
        &[&release[..], &[&values_in(&values), "--force-conflicts"]].concat(),
    )?;
    Ok(())
}

/// Asks again and again for so long, and each time it holds.
fn throughout(time: Duration, ask: impl Fn() -> Result) -> Result {
    let end = Instant::now() + time;
    while Instant::now() < end {
        ask()?;
    }
    Ok(())
}

const ACCOUNT: &str = "system:serviceaccount:javelin-system:javelin";

const ROTATE: &str = javelin_core::mutate::keys::ROTATE;
const TOUCHED: &str = javelin_core::mutate::keys::TOUCHED;
const WORKLOAD: &str = "workload.";
const NAMESPACE_DEFAULT: &str = "namespace-default.";

/// The chart's settle time, and then some.
const A_ROTATION: Duration = Duration::from_mins(3);

/// Much longer than what is noticed takes to be mended, and much shorter than until it is looked at in any case.
const AWHILE: Duration = Duration::from_secs(3);
