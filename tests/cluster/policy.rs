//! Admission policies in place of the webhook: no Javelin is in the cluster while these cases run.
//!
//! What `javelin policy` writes is compared with the engine, pod by pod, on the API server itself. A difference is one
//! of those that are listed, or the case fails.

use std::collections::BTreeMap;

use javelin_core::{
    config::Config,
    mutate::{Decision, InjectLabel, Namespace as Home, Reason, Subject, keys, pod::Pod},
    patch::{Mutation, PodPath},
    policy::{
        Policies,
        difference::{DIFFERENCES, Effect},
    },
};
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api},
    cases::{
        ENDPOINT, INJECT, SOON, first_span, injected_pod, install_with, is_installed,
        java_deployment, receipt, take_away,
    },
    figures, judge,
    kube::{Namespace, Result, apply, ensure, eventually, get, is_at_least, kubectl, kubectl_with},
    trial::Problems,
};

/// What no API server before 1.36 does.
const POLICIES: &str = "policies that change objects";

/// Many pods through the policies: what comes out is what the engine says, or the pod is left alone for a listed reason.
pub(crate) fn equals_the_engine() -> Result {
    if !is_at_least(36, POLICIES)? {
        return Ok(());
    }
    let _away = Away::new()?;
    let config = parse(&format!("{PROFILES}{}", large_profile()))?;
    let _policies = Applied::apply(&config)?;
    let namespace = Namespace::new("t-policy", &[])?;
    let api = Api::new()?;
    in_effect(&api, namespace.0)?;
    let (count, seed) = (
        judge::number("JAVELIN_UGLY_PODS", 400)?,
        judge::number("JAVELIN_UGLY_SEED", 1)?,
    );
    println!(
        "  {count} pods; JAVELIN_UGLY_SEED={seed} JAVELIN_UGLY_PODS={count} makes the same ones"
    );
    let profiles: Vec<_> = config.profiles().map(|p| p.name.clone()).collect();
    let pods: Vec<_> = judge::sample(seed, count)?
        .into_iter()
        .chain(plain(count / 4))
        .enumerate()
        .map(|(at, pod)| labelled(pod, &profiles[at % profiles.len()]))
        .collect();
    let pods: Vec<_> = pods.into_iter().chain([largest()]).collect();
    let tries = Try::all(&api, namespace.0, &pods, &config)?;
    // An expression that costs too much fails, and a failure is ignored: the pod would come out as it is.
    let outcome = tries.last().ok_or("no pod")?.outcome()?;
    ensure!(outcome == INJECTED, "the largest pod: {outcome}");
    let mut problems = Problems::default();
    let mut counts = BTreeMap::<String, usize>::new();
    for (pod, tried) in pods.iter().zip(&tries) {
        match tried.outcome() {
            Ok(outcome) => *counts.entry(outcome).or_default() += 1,
            Err(problem) => problems.add(pod, Err(problem)),
        }
    }
    println!("  {counts:?}");
    problems.none()?;
    let of = |name: &str| counts.get(name).copied().unwrap_or_default();
    let (equal, refused) = (of(INJECTED), of(REFUSED));
    let wanted: usize = tries.iter().filter(|tried| tried.is_wanted()).count();
    let percent = equal * 100 / wanted.max(1);
    ensure!(
        wanted * 3 > pods.len() && percent >= 70,
        "of {} pods, {refused} refused by the API server, the engine injects {wanted} and the policies {equal} of them",
        pods.len()
    );
    let listed: Vec<_> = counts
        .iter()
        .filter(|(outcome, _)| outcome.starts_with(LEFT_ALONE))
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    figures::add(format!(
        "admission policies: of {} pods (seed {seed}) the engine injects {wanted}, and the policies {equal} ({percent} %) \
         of them equally; {}; {} skipped by both",
        pods.len(),
        listed.join(", "),
        of(SKIPPED),
    ));
    Ok(())
}

/// The label of a workload goes into its pod template and out of it again, whatever its kind; a person at the terminal is
/// told of a pod that has no agent.
pub(crate) fn copy_labels_and_warn() -> Result {
    if !is_at_least(36, POLICIES)? {
        return Ok(());
    }
    let _away = Away::new()?;
    let _policies = Applied::apply(&Config::default())?;
    let namespace = Namespace::new("t-policy-label", &[])?;
    in_effect(&Api::new()?, namespace.0)?;
    let copies = |object: &Value| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let template = match kind {
            "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
            "PodTemplate" => &object["template"],
            _ => &object["spec"]["template"],
        };
        [object, template].map(|place| place["metadata"]["labels"][keys::FROM_WORKLOAD].clone())
    };
    for (kind, object) in workloads(namespace.0) {
        apply(&object.to_string())?;
        let name = format!("{kind}/one");
        let made = get(&[&name, "-n", namespace.0])?;
        ensure!(
            copies(&made) == [json!("true"), json!("true")],
            "{kind}: {made}"
        );
        if kind == "job" {
            // Its template never changes; an update is nobody's.
            kubectl(&["label", &name, "-n", namespace.0, &format!("{INJECT}-")])?;
            continue;
        }
        kubectl(&["label", &name, "-n", namespace.0, &format!("{INJECT}-")])?;
        let without = get(&[&name, "-n", namespace.0])?;
        ensure!(
            copies(&without) == [Value::Null, Value::Null],
            "{kind}: {without}"
        );
        let value = format!("{INJECT}=other");
        kubectl(&["label", &name, "-n", namespace.0, &value])?;
        let again = get(&[&name, "-n", namespace.0])?;
        ensure!(copies(&again)[1] == "other", "{kind}: {again}");
    }
    for (value, limit, expected) in [
        ("true", "64Mi", "does-not-fit"),
        ("nonsense", "1Gi", "names no profile"),
    ] {
        let mut pod = plain(1).remove(0);
        pod["metadata"]["labels"][INJECT] = json!(value);
        pod["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": limit } });
        let arguments = ["create", "--dry-run=server", "-n", namespace.0];
        let (_, said) = kubectl_with(&arguments, &pod.to_string())?;
        ensure!(
            said.contains("Warning") && said.contains(expected),
            "of {value} kubectl said {said:?}"
        );
    }
    Ok(())
}

/// A JVM is traced with no Javelin in the cluster, by either delivery. Before that: beside the webhook nothing is done twice.
pub(crate) fn trace_without_javelin() -> Result {
    if !is_at_least(36, POLICIES)? {
        return Ok(());
    }
    let config = parse(TRACED)?;
    let policies = Applied::apply(&config)?;
    {
        let namespace = Namespace::new("t-policy-beside", &[(INJECT, "true")])?;
        let api = Api::new()?;
        in_effect(&api, namespace.0)?;
        let mut injected = 0;
        for answer in &api.dry_run(namespace.0, &plain(12))? {
            let pod = answer.admitted()?;
            if receipt(pod).is_none() {
                continue;
            }
            injected += 1;
            let names = |list: &Value| {
                let list = list.as_array().into_iter().flatten();
                list.filter(|one| one["name"] == keys::AGENT_NAME).count()
            };
            let spec = &pod["spec"];
            let options = spec
                .to_string()
                .matches("-javaagent:/javelin-agent/")
                .count();
            ensure!(
                (
                    names(&spec["volumes"]),
                    names(&spec["initContainers"]),
                    options
                ) == (1, 1, 1)
                    && pod["metadata"]["annotations"][keys::SKIPPED].is_null(),
                "beside the webhook: {pod}"
            );
        }
        ensure!(injected > 5, "{injected} injected");
    }
    let _away = Away::new()?;
    let copied = Namespace::new("t-policy-traced", &[])?;
    let mounted = Namespace::new("t-policy-volume", &[])?;
    apply(&java_deployment(copied.0, "", ""))?;
    let label = format!("{INJECT}=true");
    kubectl(&["label", "deployment/stock", "-n", copied.0, &label])?;
    let volume = format!(", {INJECT}: volume");
    apply(&java_deployment(mounted.0, &volume, ""))?;
    for (namespace, delivery) in [(&copied, "init-container"), (&mounted, "image-volume")] {
        let pod = injected_pod(namespace.0)?;
        let receipt = receipt(&pod).unwrap_or_default();
        ensure!(receipt.contains(delivery), "{}: {receipt}", namespace.0);
        let span = first_span("stock", namespace.0, &pod)?;
        ensure!(
            span.attribute("k8s.deployment.name") == "stock",
            "{:?}",
            span.attribute("k8s.deployment.name")
        );
    }
    drop(policies);
    figures::add("admission policies: a JVM traced with no Javelin in the cluster, by init container and by image volume".to_owned());
    Ok(())
}

/// One of each kind whose label is copied.
fn workloads(namespace: &str) -> Vec<(&'static str, Value)> {
    let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "a", "image": "a" }] });
    let always = json!({ "containers": [{ "name": "a", "image": "a" }] });
    let labelled = json!({ "metadata": { "labels": { "app": "a" } }, "spec": always });
    let apps = json!({ "replicas": 0, "selector": { "matchLabels": { "app": "a" } }, "template": labelled });
    let set = json!({ "selector": { "matchLabels": { "app": "a" } }, "template": labelled });
    let job = json!({ "suspend": true, "template": { "spec": pod } });
    let named = |kind: &str, version: &str, spec: Value| {
        json!({ "apiVersion": version, "kind": kind, "spec": spec,
                "metadata": { "name": "one", "namespace": namespace, "labels": { INJECT: "true" } } })
    };
    let mut template = named("PodTemplate", "v1", Value::Null);
    template.as_object_mut().map(|object| object.remove("spec"));
    template["template"] = json!({ "spec": always });
    vec![
        ("deployment", named("Deployment", "apps/v1", apps.clone())),
        ("replicaset", named("ReplicaSet", "apps/v1", apps.clone())),
        ("statefulset", named("StatefulSet", "apps/v1", apps)),
        (
            "daemonset",
            named(
                "DaemonSet",
                "apps/v1",
                json!({ "updateStrategy": { "type": "OnDelete" },
            "selector": set["selector"], "template": { "metadata": labelled["metadata"],
                "spec": { "nodeSelector": { "no": "node" }, "containers": always["containers"] } } }),
            ),
        ),
        (
            "cronjob",
            named(
                "CronJob",
                "batch/v1",
                json!({ "suspend": true, "schedule": "@yearly", "jobTemplate": { "spec": job } }),
            ),
        ),
        ("job", named("Job", "batch/v1", job)),
        ("podtemplate", template),
    ]
}

/// Twenty targets with a hundred variables each, and a profile that adds a hundred entries to each.
fn largest() -> Value {
    let env: Vec<_> = (0..100)
        .map(|n| json!({ "name": format!("VARIABLE_{n}"), "value": format!("-Dp{n}=$$x \"{n}\"") }))
        .collect();
    let containers: Vec<_> = (0..20)
        .map(|n| json!({ "name": format!("c{n}"), "image": "app:1", "env": env }))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "largest", "labels": { INJECT: "large" }, "annotations": { (keys::CONTAINER_NAMES): "*" } },
        "spec": { "containers": containers },
    })
}

/// A pod, as the engine leaves it and as the policies do.
struct Try {
    decision: Decision,
    original: Answer,
    patched: Answer,
    live: Answer,
}

impl Try {
    fn all(api: &Api, namespace: &str, pods: &[Value], config: &Config) -> Result<Vec<Self>> {
        let treatments = pods.iter().map(|document| {
            let pod = Pod::from_value(document).map_err(|error| format!("{error}: {document}"))?;
            let subject = Subject::of_pod(
                &pod,
                Home {
                    name: Some(namespace),
                    inject: InjectLabel::Absent,
                },
            );
            Ok(Mutation::of(&subject, document, PodPath::POD, config))
        });
        let treatments = treatments.collect::<Result<Vec<_>>>()?;
        let originals: Vec<_> = pods.iter().map(opted_out).collect();
        let patched = treatments.iter().zip(pods).map(|(mutation, pod)| {
            opted_out(if mutation.patch.is_empty() {
                pod
            } else {
                mutation.patch.result()
            })
        });
        let patched: Vec<_> = patched.collect();
        let originals = api.dry_run(namespace, &originals)?;
        let patched = api.dry_run(namespace, &patched)?;
        let live = api.dry_run(namespace, pods)?;
        let answers = originals.into_iter().zip(patched).zip(live);
        let tried = answers.zip(treatments);
        let tried = tried.map(|(((original, patched), live), mutation)| Self {
            decision: mutation.decision,
            original,
            patched,
            live,
        });
        Ok(tried.collect())
    }

    /// Does the engine inject it, and the API server take it?
    fn is_wanted(&self) -> bool {
        self.original.is_admitted() && matches!(self.decision, Decision::Inject(_))
    }

    /// What kind of equality there is, or which listed difference; an unlisted one is an error.
    fn outcome(&self) -> Result<String> {
        let Ok(original) = self.original.admitted() else {
            return Ok(REFUSED.to_owned());
        };
        let patched = self.patched.admitted();
        let patched = patched.map_err(|refusal| format!("patched, it is refused: {refusal}"))?;
        let live = self.live.admitted();
        let live = live.map_err(|refusal| format!("by the policies it is refused: {refusal}"))?;
        let [original, patched, live] = [original, patched, live].map(comparable);
        let code = live["metadata"]["annotations"][keys::SKIPPED].as_str();
        match (&self.decision, code) {
            (Decision::Inject(_), None) => {
                ensure!(
                    patched == live,
                    "the policies' pod is not the engine's:\n{}",
                    judge::difference(&patched, &live)
                );
                Ok(INJECTED.to_owned())
            }
            // Listed: the policies know no limits but the API server's.
            (Decision::Skip(Reason::TooLarge { .. }), _) => Ok(SKIPPED.to_owned()),
            (decision, code) => {
                let untouched = without_word(&live);
                ensure!(
                    untouched == without_word(&original),
                    "it is skipped and changed all the same:\n{}",
                    judge::difference(&original, &untouched)
                );
                let code = code.unwrap_or_default();
                match decision {
                    Decision::Inject(_) => {
                        ensure!(
                            is_listed(code),
                            "left alone for {code:?}, which is not listed"
                        );
                        Ok(format!("{LEFT_ALONE}{code}"))
                    }
                    Decision::Skip(reason) if reason.is_expected() => {
                        ensure!(code.is_empty(), "{} became {code:?}", reason.code());
                        Ok(SKIPPED.to_owned())
                    }
                    Decision::Skip(reason) => {
                        ensure!(!code.is_empty(), "{} is not told", reason.code());
                        Ok(if reason.code() == code {
                            SKIPPED.to_owned()
                        } else {
                            format!("{SKIPPED} as {code}, not {}", reason.code())
                        })
                    }
                }
            }
        }
    }
}

/// Without what is listed as a difference: notes, and the sentence behind a code.
fn comparable(pod: &Value) -> Value {
    let mut pod = judge::comparable(pod);
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        if let Some(word) = annotations.get_mut(keys::SKIPPED) {
            let code = word.as_str().and_then(|word| word.split(':').next());
            *word = json!(code.unwrap_or_default());
        }
        if let Some(receipt) = annotations.get_mut(keys::INJECTED) {
            let text = receipt.as_str().unwrap_or_default();
            if let Ok(mut parsed) = serde_json::from_str::<Value>(text) {
                parsed
                    .as_object_mut()
                    .map(|receipt| receipt.remove("notes"));
                *receipt = parsed;
            }
        }
    }
    pod
}

/// Without the word of a skip, and the map that was made for it.
fn without_word(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let metadata = &mut pod["metadata"];
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.remove(keys::SKIPPED);
        if annotations.is_empty() {
            metadata.as_object_mut().map(|m| m.remove("annotations"));
        }
    }
    if metadata["annotations"].is_null() {
        metadata.as_object_mut().map(|m| m.remove("annotations"));
    }
    pod
}

fn is_listed(code: &str) -> bool {
    DIFFERENCES
        .iter()
        .any(|row| matches!(row.effect, Effect::LeftAlone(listed) if listed == code))
}

fn labelled(mut pod: Value, profile: &str) -> Value {
    let value = if profile == "default" {
        "true"
    } else {
        profile
    };
    pod["metadata"]["labels"][INJECT] = json!(value);
    pod
}

/// With a label that keeps it from every policy.
fn opted_out(pod: &Value) -> Value {
    labelled(pod.clone(), "false")
}

/// Pods as most are: one container, some options, some settings of the SDK.
fn plain(count: u64) -> Vec<Value> {
    let environments = [
        json!([]),
        json!([{ "name": "JAVA_OPTS", "value": "-javaagent:/opt/jmx_exporter.jar=8080:/c.yaml -Dx='a b'" }]),
        json!([{ "name": "JAVA_OPTS", "value": "-Da=b -javaagent:'/opt/new relic/newrelic.jar'" }]),
        json!([{ "name": "CATALINA_OPTS", "value": "-javaagent:/opt/opentelemetry-javaagent.jar" }]),
        json!([{ "name": "LD_PRELOAD", "value": "/opt/dynatrace/oneagent.so" }]),
        json!([{ "name": "DIR", "value": "/opt" }, { "name": "JAVA_OPTS", "value": "-javaagent:$(DIR)/datadog.jar" }]),
        json!([{ "name": "JAVA_TOOL_OPTIONS", "value": "-Xmx512m -XX:+UseZGC" }]),
        json!([{ "name": "JAVA_OPTS", "value": "-Dfile.encoding=UTF-8" }, { "name": "SPRING_PROFILES_ACTIVE", "value": "prod" }]),
        json!([{ "name": "OTEL_SERVICE_NAME", "value": "till" }, { "name": "OTEL_RESOURCE_ATTRIBUTES", "value": "team=blue,service.version=7" }]),
        json!([{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
               { "name": "OTEL_RESOURCE_ATTRIBUTES", "value": "pod=$(POD)" }]),
        json!([{ "name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://mine:4318" }]),
        json!([{ "name": "OTEL_TRACES_SAMPLER", "value": "always_off" }, { "name": "DB_PASSWORD", "valueFrom": { "secretKeyRef": { "name": "db", "key": "p" } } }]),
        json!([{ "name": "JAVA_TOOL_OPTIONS", "valueFrom": { "configMapKeyRef": { "name": "jvm", "key": "opts", "optional": true } } }]),
    ];
    let images = [
        "shop/orders:1.4.2",
        "r:5000/till@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "app",
    ];
    let pod = |n: u64| {
        let at = usize::try_from(n).unwrap_or_default();
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "generateName": "orders-5d4f8c7b9-", "labels": { "app": "orders", "pod-template-hash": "5d4f8c7b9",
                "app.kubernetes.io/name": "orders", "app.kubernetes.io/version": "1.4.2" },
                "annotations": { "team": "blue" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-5d4f8c7b9",
                    "uid": "0f8fad5b-d9cb-469f-a165-70867728950e", "controller": true }] },
            "spec": { "containers": [{ "name": "orders", "image": images[at % images.len()],
                "env": environments[at % environments.len()],
                "resources": { "requests": { "cpu": "250m", "memory": "512Mi" }, "limits": { "memory": "512Mi" } } }] },
        });
        if at % 3 == 1 {
            pod["spec"]["containers"][0]["envFrom"] =
                json!([{ "configMapRef": { "name": "settings" } }]);
        }
        if at % 5 == 2 {
            pod["spec"]["containers"] = json!([
                { "name": "istio-proxy", "image": "istio/proxyv2:1" }, pod["spec"]["containers"][0].clone()]);
        }
        pod
    };
    (0..count).map(pod).collect()
}

// === The cluster without Javelin, and with policies

/// Javelin is not installed, and nobody of it is left to answer: what happens is the policies' doing. It is installed
/// again when the value is dropped, if it was.
struct Away {
    was_there: bool,
}

impl Away {
    fn new() -> Result<Self> {
        let was_there = is_installed()?;
        let away = Self { was_there };
        if was_there {
            take_away()?;
        }
        Ok(away)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if self.was_there
            && let Err(problem) = install_with("helm", ENDPOINT)
        {
            println!("  Javelin is not installed again: {problem}");
        }
    }
}

/// The policies of a configuration, gone when the value is dropped.
struct Applied(String);

impl Applied {
    fn apply(config: &Config) -> Result<Self> {
        let documents = Policies::of(config).map_err(|refusals| format!("{refusals:?}"))?;
        let policies = Self(documents.into_list().to_string());
        apply(&policies.0)?;
        Ok(policies)
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        let _ = kubectl_with(&["delete", "--ignore-not-found"], &self.0);
        // What comes next is not to be their doing. With Javelin there, nobody could tell.
        if is_installed().is_ok_and(|is_installed| !is_installed)
            && let Err(problem) = out_of_effect()
        {
            println!("  the policies are still in effect: {problem}");
        }
    }
}

fn out_of_effect() -> Result {
    let (api, pod) = (Api::new()?, labelled(plain(1).remove(0), "default"));
    eventually("the policies are forgotten", SOON, || {
        let answers = api.dry_run("default", std::slice::from_ref(&pod))?;
        let answer = answers.first().ok_or("no answer")?.admitted()?;
        ensure!(receipt(answer).is_none(), "a receipt: {answer}");
        Ok(())
    })
}

/// API servers look for new policies once a second, and each of these is taken over by itself: the one for pods, the one
/// for workloads with the last of its bindings, and the one that warns.
fn in_effect(api: &Api, namespace: &str) -> Result {
    let pod = labelled(plain(1).remove(0), "default");
    eventually("the policies are in effect", SOON, || {
        let answers = api.dry_run(namespace, std::slice::from_ref(&pod))?;
        let answer = answers.first().ok_or("no answer")?.admitted()?;
        ensure!(receipt(answer).is_some(), "no receipt: {answer}");
        let (_, deployment) = workloads(namespace).remove(0);
        let arguments = ["create", "--dry-run=server", "-o", "json"];
        let (made, _) = kubectl_with(&arguments, &deployment.to_string())?;
        ensure!(made.contains(keys::FROM_WORKLOAD), "no copy: {made}");
        let mut unlabelled = deployment;
        unlabelled["metadata"]["labels"] = json!({ keys::FROM_WORKLOAD: "true" });
        let (made, _) = kubectl_with(&arguments, &unlabelled.to_string())?;
        ensure!(!made.contains(keys::FROM_WORKLOAD), "a copy: {made}");
        let mut nonsense = labelled(pod.clone(), "nonsense");
        nonsense["metadata"]["namespace"] = json!(namespace);
        let (_, said) = kubectl_with(&arguments, &nonsense.to_string())?;
        ensure!(said.contains("Warning"), "no warning: {said:?}");
        Ok(())
    })
}

fn parse(text: &str) -> Result<Config> {
    Config::parse(text, "the case's configuration").map_err(|error| error.to_string())
}

/// As much as a profile may say.
fn large_profile() -> String {
    let of = |name: &str, count: usize| {
        let entries = (0..count).map(|n| format!("{name}{n}: \"value {n} ü\""));
        entries.collect::<Vec<_>>().join(", ")
    };
    format!(
        "  large:\n    env: {{{}}}\n    resourceAttributes: {{{}}}\n",
        of("LARGE_", 50),
        of("large.", 50)
    )
}

/// Both deliveries that bring the agent, for the Collector of the suite.
const TRACED: &str = "
default:
  otlp: {endpoint: 'http://otel-collector.observability.svc:4318'}
profiles:
  volume: {delivery: image-volume}
";

/// One profile for each way in which an expression can go.
const PROFILES: &str = "
default:
  otlp: {endpoint: 'http://otel-collector.observability.svc:4318'}
profiles:
  bare:
    otlp: {endpoint: 'http://$(NODE_IP):4317', protocol: grpc}
    delivery: preinstalled
    agent: {path: /opt/agent.jar}
    composeOptional: false
  rich:
    delivery: image-volume
    agent: {image: 'r/agent:1', imagePullPolicy: Always, imagePullSecret: mirror}
    otlp:
      endpoint: 'http://otel-collector.observability.svc:4318/'
      headersFrom: {secret: otlp, key: headers}
    resourceAttributes: {deployment.environment.name: 'prod, it''s $5 ü', service.namespace: ours}
    propagators: [tracecontext, b3]
    sampler: {type: parentbased_traceidratio, argument: '0.25'}
    exporters: {logs: none}
    env: {OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED: 'false', GREETING: \"$(hello) 'you'\\n\\\\n\"}
    useLabelsForResourceAttributes: true
    minimumMemory: 256Mi
  foreign:
    agent: {image: 'r/foreign:1', command: [cp, /javaagent.jar, /javelin-agent/javaagent.jar]}
    otlp: {endpoint: 'http://$(NODE_IP):4318'}
    sampler: {type: always_on}
  file:
    sdkSettings: file
    otlp: {endpoint: 'http://$(NODE_IP):4318'}
    sampler: {type: traceidratio, argument: '1'}
    env: {OTEL_METRIC_EXPORT_INTERVAL: '5000', OTHER: x}
";

const INJECTED: &str = "injected by both, equally";
const SKIPPED: &str = "skipped by both";
const LEFT_ALONE: &str = "left alone by the policies alone: ";
const REFUSED: &str = "refused without either";
