//! Other injectors in front of Javelin and behind it, on the real API server and kubelet.
//!
//! An API server calls webhooks in the order of their configurations' names, and those with `IfNeeded` once more when a
//! later one has changed the pod. Each injector here is a real webhook that does to a pod what a known one does: with the
//! names of that one's parts, and programs of ours in place of its own.

use std::{collections::BTreeSet, fmt, time::Duration};

use javelin_core::mutate::{Receipt, jvm_words, keys};
use serde_json::{Value, json};

use crate::{
    api::Api,
    cases::{INJECT, SOON, name_of, receipt},
    check::Removed,
    figures,
    kube::{Namespace, Result, apply, ensure, eventually, pods},
    security::WITNESS,
    trial::Problems,
    webhooks::{self, Webhooks},
};

/// All of them before and after Javelin, alone and in pairs, asked again or not: tried by dry run. Some pairs are then
/// started.
pub(crate) fn in_both_orders() -> Result {
    let Some(network) = webhooks::network() else {
        println!(
            "  LEFT OUT: the cluster is not ours, and its API server would not reach the webhooks of this case"
        );
        return Ok(());
    };
    let namespace = Namespace::new(NAMESPACE, &[])?;
    let webhooks = Webhooks::serve(network, |path, pod| {
        if let Some(injector) = INJECTORS.iter().find(|injector| injector.name == path) {
            (injector.change)(pod);
        }
    })?;
    let kind = "mutatingwebhookconfiguration";
    let _first = Removed::apply(kind, FIRST, &configuration(&webhooks, FIRST, BEFORE))?;
    let _last = Removed::apply(kind, LAST, &configuration(&webhooks, LAST, AFTER))?;
    let api = Api::new()?;
    eventually("both configurations are in effect", SOON, || {
        let alone = |before, after| Order::new(before, after, IF_NEEDED).pod("false");
        let some = INJECTORS.first();
        for answer in api.dry_run(NAMESPACE, &[alone(some, None), alone(None, some)])? {
            let found = answer.admitted()?.to_string();
            ensure!(found.contains(PROXY), "not called: {found}");
        }
        Ok(())
    })?;

    let orders = orders();
    let all = |inject| orders.iter().map(move |order| order.pod(inject));
    let without = api.dry_run(NAMESPACE, &all("false").collect::<Vec<_>>())?;
    let with = api.dry_run(NAMESPACE, &all("true").collect::<Vec<_>>())?;
    let mut problems = Problems::default();
    for ((order, without), with) in orders.iter().zip(&without).zip(&with) {
        let without = without.admitted()?;
        let outcome = with.admitted().and_then(|with| order.check(without, with));
        let outcome = outcome.map_err(|problem| format!("{order}: {problem}"));
        problems.add(with.admitted().unwrap_or(&Value::Null), outcome);
    }
    problems.none()?;
    started(&api, &namespace)?;
    figures::add(format!(
        "other injectors: {0} before Javelin and after it, in {1} orders, {0} of them started",
        INJECTORS.len(),
        orders.len()
    ));
    Ok(())
}

/// Each once before Javelin, with the next one after it: every container runs to its end, and the application finds what
/// it should.
fn started(api: &Api, namespace: &Namespace) -> Result {
    let after = INJECTORS.iter().cycle().skip(1);
    let chain = INJECTORS.iter().zip(after).map(|(before, after)| {
        let again = if after.overwrites { NEVER } else { IF_NEEDED };
        Order::new(Some(before), Some(after), again)
    });
    let chain: Vec<_> = chain.collect();
    let mut manifest = String::new();
    for order in &chain {
        let mut pod = order.pod("true");
        pod["metadata"]["name"] = json!(order.name());
        pod["metadata"]["namespace"] = json!(namespace.0);
        if order.stopped_by().is_none() {
            // What is not there cannot be read.
            pod["spec"]["containers"][0]["args"] = json!(["/javelin-agent/javaagent.jar"]);
        }
        manifest.extend([pod.to_string(), "\n".to_owned()]);
    }
    apply(&manifest)?;
    let ended = eventually("all pods have ended", RUN, || {
        let pods = pods(namespace.0)?;
        for pod in &pods {
            let status = &pod["status"];
            ensure!(status["phase"] == "Succeeded", "{}: {status}", name_of(pod));
        }
        ensure!(pods.len() == chain.len(), "{} pods", pods.len());
        Ok(pods)
    })?;
    for order in &chain {
        let pod = ended.iter().find(|pod| name_of(pod) == order.name());
        let pod = pod.ok_or_else(|| format!("{order}: no pod"))?;
        let injected = order.stopped_by().is_none();
        ensure!(receipt(pod).is_some() == injected, "{order}: {pod}");
        let log = api.logs(namespace.0, name_of(pod), &[APP.to_owned()])?;
        let log = log.first().map(|log| String::from_utf8_lossy(log));
        let found = log.as_deref().unwrap_or_default();
        let mut entries = found.split('\0');
        let options = entries.find_map(|entry| entry.strip_prefix("JAVA_TOOL_OPTIONS="));
        let options = options.unwrap_or_default();
        let expected = usize::from(injected);
        ensure!(
            options.matches(OURS).count() == expected,
            "{order}: it found {options:?}"
        );
    }
    Ok(())
}

// === Who comes when

/// One injector before Javelin, one after it, or none; and whether those are asked again.
struct Order {
    before: Option<&'static Injector>,
    after: Option<&'static Injector>,
    again: &'static str,
}

/// All pairs, and each alone without being asked again.
fn orders() -> Vec<Order> {
    let each = || [None].into_iter().chain(INJECTORS.iter().map(Some));
    let pairs = each().flat_map(|before| each().map(move |after| (before, after)));
    let alone = each().flat_map(|one| [(one, None), (None, one)]);
    let asked_again = pairs.map(|(before, after)| Order::new(before, after, IF_NEEDED));
    asked_again
        .chain(alone.map(|(before, after)| Order::new(before, after, NEVER)))
        .filter(Order::is_sound)
        .collect()
}

impl Order {
    fn new(
        before: Option<&'static Injector>,
        after: Option<&'static Injector>,
        again: &'static str,
    ) -> Self {
        Self {
            before,
            after,
            again,
        }
    }

    /// One that takes away what others wrote, and is asked last of all, has the last word.
    fn is_sound(&self) -> bool {
        let overwrites = self.after.is_some_and(|after| after.overwrites);
        !(overwrites && self.again == IF_NEEDED)
    }

    /// Of a pod that is started.
    fn name(&self) -> String {
        let both = [self.before, self.after].into_iter().flatten();
        both.map(|one| one.name).collect::<Vec<_>>().join("-")
    }

    fn pod(&self, inject: &str) -> Value {
        let mut labels = json!({ INJECT: inject, AGAIN: self.again });
        for (key, injector) in [(BEFORE, self.before), (AFTER, self.after)] {
            if let Some(injector) = injector {
                labels[key] = json!(injector.name);
            }
        }
        let container =
            |name| json!({ "name": name, "image": WITNESS, "imagePullPolicy": "IfNotPresent" });
        let mut app = container(APP);
        app["env"] = json!([{ "name": "GREETING", "value": "good day" },
            { "name": "JAVA_TOOL_OPTIONS", "value": "-Dusers=own" }]);
        app["readinessProbe"] = json!({ "httpGet": { "path": "/ready", "port": 8080 } });
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "app", "labels": labels, "annotations": { "team": "blue" } },
            "spec": { "restartPolicy": "Never", "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0, "containers": [app, container("helper")] },
        })
    }

    /// Why Javelin leaves the pod alone, if it does: who comes later changes nothing of it.
    fn stopped_by(&self) -> Option<&'static str> {
        self.before?.stops
    }

    /// `without` is the same pod with everybody's doing but Javelin's.
    fn check(&self, without: &Value, with: &Value) -> Result {
        for part in ["metadata", "spec"] {
            is_kept(part, &without[part], &with[part])?;
        }
        match self.stopped_by() {
            None => self.check_injected(with),
            Some(code) => {
                ensure!(receipt(with).is_none(), "it has a receipt");
                ensure!(with["spec"] == without["spec"], "it was changed");
                let word = with["metadata"]["annotations"][keys::SKIPPED].as_str();
                let told = word.and_then(|word| word.split(':').next());
                // Asked again, Javelin names whom it finds first.
                let later = self.after.and_then(|after| after.stops);
                let is_right = told == Some(code) || (later.is_some() && told == later);
                ensure!(is_right, "it was skipped with {word:?}");
                Ok(())
            }
        }
    }

    fn check_injected(&self, with: &Value) -> Result {
        let spec = &with["spec"];
        let is_ours = |object: &&Value| object["name"] == keys::AGENT_NAME;
        let count = |list: &Value| elements(list).filter(is_ours).count();
        for list in ["initContainers", "volumes"] {
            ensure!(count(&spec[list]) == 1, "{} of {list}", count(&spec[list]));
        }
        for container in elements(&spec["initContainers"]).chain(elements(&spec["containers"])) {
            let name = name_in(container);
            let expected = usize::from(name == APP || name == keys::AGENT_NAME);
            let mounts = count(&container["volumeMounts"]);
            ensure!(mounts == expected, "{name} has {mounts} mounts");
        }
        let options = spec.to_string().matches(OURS).count();
        ensure!(options == 1, "{options} options of ours");
        let annotations = &with["metadata"]["annotations"];
        ensure!(
            annotations[keys::SKIPPED].is_null(),
            "skipped: {annotations}"
        );

        let receipt = receipt(with).ok_or("no receipt")?;
        let receipt: Receipt = serde_json::from_str(receipt).map_err(|error| error.to_string())?;
        let targets: Vec<_> = receipt.containers.keys().map(String::as_str).collect();
        ensure!(targets == [APP], "targets: {targets:?}");
        let mut containers = elements(&spec["containers"]);
        let app = containers.find(|container| container["name"] == APP);
        let app = app.ok_or("the application is gone")?;
        let found: BTreeSet<_> = elements(&app["env"]).map(name_in).collect();
        for name in receipt.containers.values().flatten() {
            ensure!(found.contains(name.as_str()), "{name} is not there");
        }
        ensure!(found.len() == elements(&app["env"]).count(), "twice: {app}");
        let notes: Vec<_> = receipt
            .notes
            .iter()
            .filter(|note| note.contains("beside the"))
            .collect();
        match self.after.and_then(|after| after.brings) {
            None => ensure!(notes.is_empty(), "{notes:?}"),
            Some(agent) => ensure!(
                !notes.is_empty() && notes.iter().all(|note| note.contains(agent)),
                "{notes:?} of {agent}"
            ),
        }
        Ok(())
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |injector: Option<&Injector>| injector.map_or("nobody", |one| one.name);
        write!(
            f,
            "{} before, {} after, asked again: {}",
            name(self.before),
            name(self.after),
            self.again
        )
    }
}

/// Everything of the one is in the other, in the same order.
fn is_kept(at: &str, one: &Value, other: &Value) -> Result {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                // What the API server makes up, and what this case has changed.
                if ["uid", "creationTimestamp", "managedFields", INJECT].contains(&key.as_str()) {
                    continue;
                }
                let found = other.get(key);
                let found = found.ok_or_else(|| format!("{at}.{key} is gone"))?;
                is_kept(&format!("{at}.{key}"), value, found)?;
            }
            Ok(())
        }
        (Value::Array(one), Value::Array(other)) if one.iter().all(|e| identity(e).is_some()) => {
            let mut rest = other.iter();
            for element in one {
                let id = identity(element).unwrap_or_default();
                let at = format!("{at}[{id}]");
                let is_moved = is_ours_too(id);
                let found = if is_moved {
                    other.iter().find(|other| identity(other) == Some(id))
                } else {
                    rest.find(|other| identity(other) == Some(id))
                };
                let found = found.ok_or_else(|| format!("{at} is gone, or elsewhere"))?;
                match (&element["value"], &found["value"]) {
                    (Value::String(one), Value::String(other)) if id == "JAVA_TOOL_OPTIONS" => {
                        let found = jvm_words(other).ok_or("no words")?;
                        let lost = jvm_words(one).ok_or("no words")?;
                        let mut lost = lost.iter().filter(|word| !found.contains(word));
                        ensure!(lost.next().is_none(), "{at}: {one:?} became {other:?}");
                    }
                    _ if is_moved => {}
                    _ => is_kept(&at, element, found)?,
                }
            }
            Ok(())
        }
        _ => {
            ensure!(one == other, "{at}: {one} became {other}");
            Ok(())
        }
    }
}

/// Settings of the SDK that whoever comes first makes: they need only be there.
fn is_ours_too(variable: &str) -> bool {
    variable.starts_with("OTEL_")
}

fn identity(element: &Value) -> Option<&str> {
    let key = ["mountPath", "name"]
        .into_iter()
        .find(|key| element[*key].is_string())?;
    element[key].as_str()
}

// === Webhooks

/// An entry for each injector and each way to be asked again, for pods whose label under `key` has its name.
fn configuration(webhooks: &Webhooks, name: &str, key: &str) -> String {
    let entries = INJECTORS.iter().flat_map(|injector| {
        [NEVER, IF_NEEDED].map(|again| {
            json!({
                "name": format!("{}.{}.t-injectors.dev", injector.name, again.to_lowercase()),
                "clientConfig": webhooks.client_config(injector.name),
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": NAMESPACE } },
                "objectSelector": { "matchLabels": { (key): injector.name, AGAIN: again } },
                "reinvocationPolicy": again, "failurePolicy": "Fail", "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            })
        })
    });
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": name }, "webhooks": entries.collect::<Vec<_>>(),
    })
    .to_string()
}

/// A webhook of somebody else.
struct Injector {
    name: &'static str,
    /// What it does to a pod, to one of its own nothing.
    change: fn(&mut Value),
    /// The code with which Javelin leaves its pods alone.
    stops: Option<&'static str>,
    /// The agent that it puts beside ours when it comes after us.
    brings: Option<&'static str>,
    /// It takes away what it finds in variables.
    overwrites: bool,
}

const fn injector(name: &'static str, change: fn(&mut Value)) -> Injector {
    Injector {
        name,
        change,
        stops: None,
        brings: None,
        overwrites: false,
    }
}

const INJECTORS: [Injector; 10] = [
    // The first one tells that the configurations are in effect.
    injector("environment", environment),
    injector("istio", istio),
    injector("istio-native", istio_native),
    injector("linkerd", linkerd),
    injector("vault", vault),
    injector("trust-store", trust_store),
    Injector {
        overwrites: true,
        ..injector("overwriting", overwriting)
    },
    Injector {
        stops: Some("other-agent"),
        brings: Some("Datadog"),
        ..injector("datadog", datadog)
    },
    Injector {
        stops: Some("other-agent"),
        brings: Some("New Relic"),
        ..injector("new-relic", new_relic)
    },
    Injector {
        stops: Some("already-injected"),
        brings: Some("OpenTelemetry"),
        ..injector("operator", operator)
    },
];

/// Variables in front of those of every container.
fn environment(pod: &mut Value) {
    for container in all_containers(pod) {
        if elements(&container["env"]).any(|entry| entry["name"] == PROXY) {
            continue;
        }
        let field = json!({ "fieldRef": { "fieldPath": "status.hostIP" } });
        put(
            &mut container["env"],
            First,
            json!({ "name": "NODE", "valueFrom": field }),
        );
        put(
            &mut container["env"],
            First,
            json!({ "name": PROXY, "value": "http://proxy:3128" }),
        );
    }
}

/// Its proxy before the application, which waits for it, and the probe by way of the proxy.
fn istio(pod: &mut Value) {
    if !annotate(pod, "sidecar.istio.io/status", "{\"revision\":\"default\"}") {
        return;
    }
    istio_around(pod);
    put(
        &mut pod["spec"]["initContainers"],
        Last,
        container("istio-init"),
    );
    let mut proxy = container("istio-proxy");
    proxy["volumeMounts"] = json!([{ "name": "istio-envoy", "mountPath": "/etc/istio/proxy" }]);
    put(&mut pod["spec"]["containers"], First, proxy);
}

/// The same as a native sidecar.
fn istio_native(pod: &mut Value) {
    if !annotate(pod, "sidecar.istio.io/status", "{\"revision\":\"native\"}") {
        return;
    }
    istio_around(pod);
    let mut proxy = container("istio-proxy");
    proxy["image"] = json!("localhost/javelin-pause:1");
    proxy["restartPolicy"] = json!("Always");
    put(&mut pod["spec"]["initContainers"], First, proxy);
    put(
        &mut pod["spec"]["initContainers"],
        First,
        container("istio-init"),
    );
}

fn istio_around(pod: &mut Value) {
    annotate(pod, "istio.io/rev", "default");
    pod["metadata"]["labels"]["security.istio.io/tlsMode"] = json!("istio");
    put(
        &mut pod["spec"]["volumes"],
        First,
        json!({ "name": "istio-envoy", "emptyDir": { "medium": "Memory" } }),
    );
    let info = json!([{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }]);
    put(
        &mut pod["spec"]["volumes"],
        Last,
        json!({ "name": "istio-podinfo", "downwardAPI": { "items": info } }),
    );
    for container in list(&mut pod["spec"]["containers"]) {
        if container["readinessProbe"]["httpGet"].is_object() {
            container["readinessProbe"]["httpGet"]["path"] = json!("/app-health/app/readyz");
            container["readinessProbe"]["httpGet"]["port"] = json!(15020);
        }
    }
}

fn linkerd(pod: &mut Value) {
    if !annotate(pod, "linkerd.io/proxy-version", "stable") {
        return;
    }
    annotate(pod, "linkerd.io/created-by", "linkerd/proxy-injector");
    pod["metadata"]["labels"]["linkerd.io/control-plane-ns"] = json!("linkerd");
    put(
        &mut pod["spec"]["initContainers"],
        First,
        container("linkerd-init"),
    );
    let mut proxy = container("linkerd-proxy");
    proxy["volumeMounts"] =
        json!([{ "name": "linkerd-identity", "mountPath": "/var/run/linkerd/identity" }]);
    put(&mut pod["spec"]["containers"], First, proxy);
    put(
        &mut pod["spec"]["volumes"],
        Last,
        json!({ "name": "linkerd-identity", "emptyDir": { "medium": "Memory" } }),
    );
}

/// Secrets for every container, by an init container and a sidecar behind the others.
fn vault(pod: &mut Value) {
    if !annotate(pod, "vault.hashicorp.com/agent-inject-status", "injected") {
        return;
    }
    put(
        &mut pod["spec"]["volumes"],
        First,
        json!({ "name": "vault-secrets", "emptyDir": { "medium": "Memory" } }),
    );
    put(
        &mut pod["spec"]["initContainers"],
        Last,
        container("vault-agent-init"),
    );
    put(
        &mut pod["spec"]["containers"],
        Last,
        container("vault-agent"),
    );
    for container in all_containers(pod) {
        let mount = json!({ "name": "vault-secrets", "mountPath": "/vault/secrets" });
        put(&mut container["volumeMounts"], First, mount);
    }
}

/// Authorities for every JVM, by an option behind those that are there.
fn trust_store(pod: &mut Value) {
    if !annotate(pod, "trust.example.com/injected", "yes") {
        return;
    }
    put(
        &mut pod["spec"]["volumes"],
        First,
        json!({ "name": "trust", "emptyDir": {} }),
    );
    put(
        &mut pod["spec"]["initContainers"],
        First,
        container("trust-import"),
    );
    for container in list(&mut pod["spec"]["containers"]) {
        add_option(container, "-Djavax.net.ssl.trustStore=/trust/store.p12");
        put(
            &mut container["volumeMounts"],
            First,
            json!({ "name": "trust", "mountPath": "/trust" }),
        );
    }
}

/// Whatever was there before.
fn overwriting(pod: &mut Value) {
    for container in list(&mut pod["spec"]["containers"]) {
        let others = list(&mut container["env"]);
        others.retain(|entry| entry["name"] != "JAVA_TOOL_OPTIONS");
        add_option(container, "-Dtheirs=alone");
    }
}

fn datadog(pod: &mut Value) {
    if elements(&pod["spec"]["initContainers"]).any(|c| c["name"] == "datadog-lib-java-init") {
        return;
    }
    pod["metadata"]["labels"]["admission.datadoghq.com/enabled"] = json!("true");
    put(
        &mut pod["spec"]["volumes"],
        First,
        json!({ "name": "datadog-lib", "emptyDir": {} }),
    );
    put(
        &mut pod["spec"]["initContainers"],
        First,
        container("datadog-lib-java-init"),
    );
    for container in list(&mut pod["spec"]["containers"]) {
        add_option(
            container,
            "-javaagent:/datadog-lib/dd-java-agent.jar -XX:OnError=/datadog-lib/java/continuousprofiler/tmp/dd_crash_uploader.sh",
        );
        put(
            &mut container["env"],
            First,
            json!({ "name": "DD_TRACE_ENABLED", "value": "true" }),
        );
        put(
            &mut container["volumeMounts"],
            Last,
            json!({ "name": "datadog-lib", "mountPath": "/datadog-lib" }),
        );
    }
}

fn new_relic(pod: &mut Value) {
    if elements(&pod["spec"]["volumes"]).any(|v| v["name"] == "newrelic-instrumentation") {
        return;
    }
    put(
        &mut pod["spec"]["volumes"],
        Last,
        json!({ "name": "newrelic-instrumentation", "emptyDir": {} }),
    );
    put(
        &mut pod["spec"]["initContainers"],
        Last,
        container("newrelic-instrumentation-java"),
    );
    for container in list(&mut pod["spec"]["containers"]).iter_mut().take(1) {
        add_option(
            container,
            "-javaagent:/newrelic-instrumentation/newrelic-agent.jar",
        );
        put(
            &mut container["env"],
            Last,
            json!({ "name": "NEW_RELIC_APP_NAME", "value": "app" }),
        );
        let mount =
            json!({ "name": "newrelic-instrumentation", "mountPath": "/newrelic-instrumentation" });
        put(&mut container["volumeMounts"], Last, mount);
    }
}

/// The OpenTelemetry Operator's own result.
fn operator(pod: &mut Value) {
    let name = "opentelemetry-auto-instrumentation-java";
    if elements(&pod["spec"]["initContainers"]).any(|container| container["name"] == name) {
        return;
    }
    put(
        &mut pod["spec"]["volumes"],
        Last,
        json!({ "name": name, "emptyDir": { "sizeLimit": "200Mi" } }),
    );
    let mut init = container(name);
    init["volumeMounts"] =
        json!([{ "name": name, "mountPath": "/otel-auto-instrumentation-java" }]);
    put(&mut pod["spec"]["initContainers"], Last, init);
    let containers = list(&mut pod["spec"]["containers"]);
    let Some(container) = containers
        .iter_mut()
        .find(|container| container["name"] == APP)
    else {
        return;
    };
    let folder = "/otel-auto-instrumentation-java-app";
    add_option(container, &format!("-javaagent:{folder}/javaagent.jar"));
    put(
        &mut container["volumeMounts"],
        Last,
        json!({ "name": name, "mountPath": folder }),
    );
    let env = &mut container["env"];
    for (name, path) in [
        ("OTEL_POD_IP", "status.podIP"),
        ("OTEL_NODE_IP", "status.hostIP"),
    ] {
        put(
            env,
            First,
            json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } }),
        );
    }
    for (name, value) in [
        ("OTEL_SERVICE_NAME", "app"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4318"),
    ] {
        if !elements(env).any(|entry| entry["name"] == name) {
            put(env, Last, json!({ "name": name, "value": value }));
        }
    }
    let field = json!({ "fieldRef": { "fieldPath": "metadata.name" } });
    put(
        env,
        Last,
        json!({ "name": "OTEL_RESOURCE_ATTRIBUTES_POD_NAME", "valueFrom": field }),
    );
    let key = "OTEL_RESOURCE_ATTRIBUTES";
    let entries = list(env);
    let at = entries.iter().position(|entry| entry["name"] == key);
    let own = at.map(|at| entries.remove(at));
    let own = own.and_then(|own| own["value"].as_str().map(|value| format!("{value},")));
    let value = format!(
        "{}k8s.container.name=app,k8s.pod.name=$(OTEL_RESOURCE_ATTRIBUTES_POD_NAME)",
        own.unwrap_or_default()
    );
    put(env, Last, json!({ "name": key, "value": value }));
}

// === Their hands

#[derive(Clone, Copy)]
enum Place {
    First,
    Last,
}
use Place::{First, Last};

fn put(into: &mut Value, place: Place, element: Value) {
    let list = list(into);
    match place {
        First => list.insert(0, element),
        Last => list.push(element),
    }
}

/// An empty one where there is none.
fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("it is one now")
}

/// Init containers too.
fn all_containers(pod: &mut Value) -> impl Iterator<Item = &mut Value> {
    let spec = pod["spec"].as_object_mut().into_iter().flatten();
    let lists = spec.filter(|(key, _)| ["initContainers", "containers"].contains(&key.as_str()));
    lists.flat_map(|(_, list)| list.as_array_mut().into_iter().flatten())
}

fn container(name: &str) -> Value {
    json!({ "name": name, "image": WITNESS, "imagePullPolicy": "IfNotPresent" })
}

/// False when it was there: whoever looks for it was here before.
fn annotate(pod: &mut Value, key: &str, value: &str) -> bool {
    let annotations = &mut pod["metadata"]["annotations"];
    let is_new = annotations[key].is_null();
    annotations[key] = json!(value);
    is_new
}

fn add_option(container: &mut Value, option: &str) {
    let env = list(&mut container["env"]);
    let mut entries = env.iter_mut();
    match entries.find(|entry| entry["name"] == "JAVA_TOOL_OPTIONS") {
        Some(entry) => {
            let value = entry["value"].as_str().unwrap_or_default();
            entry["value"] = json!(format!("{value} {option}"));
        }
        None => env.push(json!({ "name": "JAVA_TOOL_OPTIONS", "value": option })),
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn name_in(element: &Value) -> &str {
    element["name"].as_str().unwrap_or_default()
}

const NAMESPACE: &str = "t-injectors";
/// They sort before and after Javelin's.
const FIRST: &str = "a-t-injectors";
const LAST: &str = "z-t-injectors";

// Labels of pods.
const BEFORE: &str = "t-before";
const AFTER: &str = "t-after";
const AGAIN: &str = "t-again";

const NEVER: &str = "Never";
const IF_NEEDED: &str = "IfNeeded";

const APP: &str = "app";
const PROXY: &str = "HTTP_PROXY";
const OURS: &str = "-javaagent:/javelin-agent/";

/// For ten pods with some containers each.
const RUN: Duration = Duration::from_mins(4);
