//! What a pod asks for stays what it asks for: its class, its effective request, its place under limits and quotas.

use std::collections::BTreeMap;

use javelin_core::quantity;
use serde_json::{Value, json};

use crate::{
    api::Api,
    cases::{INJECT, SOON},
    figures,
    kube::{Namespace, Result, apply, ensure, eventually, get, kubectl},
    trial::{Admitted, Engine, Problems, Trial},
};

/// Every combination of requests and limits, one or two containers, with and without requests of the pod.
pub(crate) fn every_combination() -> Result {
    let namespace = Namespace::new("t-resources", &[(INJECT, "true")])?;
    let (api, engine) = (Api::new()?, Engine::of_cluster()?);
    let pods = combinations();
    let trials = engine.trials(&api, namespace.0, &pods)?;
    let admitted = check("no limits", &pods, &trials)?;
    ensure!(
        admitted.len() == pods.len(),
        "of {} pods {} are admitted",
        pods.len(),
        admitted.len()
    );
    let mut classes = BTreeMap::<_, usize>::new();
    for pod in admitted {
        let class = pod["status"]["qosClass"].as_str().unwrap_or_default();
        *classes.entry(class).or_default() += 1;
    }
    ensure!(classes.len() == 3, "not every class was tried: {classes:?}");
    figures::add(format!("resources: unchanged {classes:?}"));
    Ok(())
}

/// The same under a `LimitRange` of each kind.
pub(crate) fn under_limit_ranges() -> Result {
    let (api, engine) = (Api::new()?, Engine::of_cluster()?);
    let ranges = [
        (
            "t-range-bounds",
            json!([{ "type": "Container",
                "min": { "cpu": "100m", "memory": "200Mi" }, "max": { "cpu": "350m", "memory": "350Mi" } }]),
        ),
        (
            "t-range-ratio",
            json!([{ "type": "Container", "maxLimitRequestRatio": { "cpu": "3", "memory": "2" },
                "default": { "cpu": "400m", "memory": "400Mi" }, "defaultRequest": { "cpu": "150m", "memory": "200Mi" } },
                   { "type": "Pod", "max": { "cpu": "700m", "memory": "700Mi" } }]),
        ),
        (
            "t-range-defaults",
            json!([{ "type": "Container",
                "default": { "cpu": "450m", "memory": "500Mi" }, "defaultRequest": { "cpu": "50m", "memory": "150Mi" } }]),
        ),
    ];
    let pods = without_storage();
    for (name, limits) in ranges {
        let namespace = Namespace::new(name, &[(INJECT, "true")])?;
        let range = json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "range", "namespace": name },
            "spec": { "limits": limits },
        });
        apply(&range.to_string())?;
        // One that breaks its rules, to see that they are in force.
        let over = json!({ "requests": { "cpu": "10m", "memory": "1Mi" }, "limits": { "cpu": "900m", "memory": "1Gi" } });
        // The last has no rules, and is seen by what it gives to one that says nothing.
        let gives_only = name == "t-range-defaults";
        let over = [pod(&[&if gives_only { json!({}) } else { over }], None)];
        eventually("the LimitRange is in force", SOON, || {
            let answer = &api.dry_run(namespace.0, &over)?[0];
            let given = &answer.body["spec"]["containers"][0]["resources"]["limits"];
            let is_in_force = if gives_only {
                given["cpu"] == "450m"
            } else {
                !answer.is_admitted()
            };
            ensure!(is_in_force, "{}", answer.body);
            Ok(())
        })?;
        let trials = engine.trials(&api, namespace.0, &pods)?;
        let admitted = check(name, &pods, &trials)?;
        ensure!(
            admitted.len() * 5 > pods.len(),
            "{name}: of {} pods {} are admitted: too few to tell anything",
            pods.len(),
            admitted.len()
        );
        figures::add(format!(
            "{name}: {} of {} pods admitted, all of them with the agent too",
            admitted.len(),
            pods.len()
        ));
    }
    Ok(())
}

/// A `ResourceQuota` with room for exactly the pod as it is. Each pod has a quota of its own, by its priority class.
pub(crate) fn under_full_quotas() -> Result {
    let namespace = Namespace::new("t-quota", &[(INJECT, "true")])?;
    let (api, engine) = (Api::new()?, Engine::of_cluster()?);
    // What the containers come to, as the API server reads them: without quotas yet.
    let plain = without_storage();
    let answers = api.dry_run("default", &plain)?;
    let mut classes = PriorityClasses(String::new());
    let (mut pods, mut larger) = (Vec::new(), Vec::new());
    let mut quotas = String::new();
    for (pod, answer) in plain.iter().zip(&answers) {
        let hard = hard(answer.admitted()?);
        if hard.is_empty() {
            continue;
        }
        let name = format!("t-quota-{}", pods.len());
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1, "preemptionPolicy": "Never",
            "metadata": { "name": name, "labels": { "javelin.dev/test": "quota" } },
        });
        classes.0.extend([class.to_string(), "\n".to_owned()]);
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": name, "namespace": namespace.0 },
            "spec": { "hard": hard, "scopeSelector": { "matchExpressions": [
                { "scopeName": "PriorityClass", "operator": "In", "values": [name] }] } },
        });
        quotas.extend([quota.to_string(), "\n".to_owned()]);
        let mut pod = pod.clone();
        pod["spec"]["priorityClassName"] = json!(name);
        pods.push(pod.clone());
        larger.push(one_size_larger(pod));
    }
    apply(&classes.0)?;
    apply(&quotas)?;
    eventually("the quotas are in force", SOON, || {
        let answers = api.dry_run(namespace.0, &larger)?;
        // Each of them: a refusal may also say that the priority class is not known yet.
        for answer in &answers {
            let refusal = answer.admitted().err().unwrap_or_default();
            ensure!(refusal.contains("exceeded quota"), "{refusal:?}");
        }
        let quotas = get(&["resourcequota", "-n", namespace.0])?;
        let quotas = quotas["items"].as_array().cloned().unwrap_or_default();
        let known = quotas
            .iter()
            .filter(|quota| quota["status"]["hard"].is_object());
        ensure!(known.count() == larger.len(), "not all have a status");
        Ok(())
    })?;
    let trials = engine.trials(&api, namespace.0, &pods)?;
    let admitted = check("a full quota", &pods, &trials)?;
    ensure!(
        admitted.len() == pods.len() && pods.len() > 100,
        "of {} pods {} fit into their own quota: {:?}",
        pods.len(),
        admitted.len(),
        trials
            .iter()
            .find_map(|trial| trial.original.admitted().err())
    );
    figures::add(format!(
        "full quotas: {} pods fit, all of them with the agent too",
        pods.len()
    ));
    Ok(())
}

/// A quota of storage knows no priority classes: it holds for the whole namespace, so this is one pod.
pub(crate) fn under_a_full_quota_of_storage() -> Result {
    let namespace = Namespace::new("t-quota-storage", &[(INJECT, "true")])?;
    let (api, engine) = (Api::new()?, Engine::of_cluster()?);
    let each = json!({
        "requests": { "cpu": "150m", "memory": "200Mi", "ephemeral-storage": "64Mi" },
        "limits": { "cpu": "300m", "memory": "300Mi", "ephemeral-storage": "256Mi" },
    });
    let (full, larger) = (
        [pod(&[&each, &each], None)],
        [pod(&[&each, &each, &each], None)],
    );
    let mut hard = hard(api.dry_run("default", &full)?[0].admitted()?);
    ensure!(hard.len() == 6, "{hard:?}");
    hard.insert("pods".into(), "1".into());
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "full", "namespace": namespace.0 },
        "spec": { "hard": hard },
    });
    apply(&quota.to_string())?;
    eventually("the quota is in force", SOON, || {
        let answers = api.dry_run(namespace.0, &larger)?;
        let refusal = answers[0].admitted().err().unwrap_or_default();
        ensure!(refusal.contains("exceeded quota"), "{refusal:?}");
        Ok(())
    })?;
    let trials = engine.trials(&api, namespace.0, &full)?;
    let admitted = check("a full quota of storage", &full, &trials)?;
    ensure!(
        admitted.len() == 1,
        "the pod does not fit without the agent"
    );
    Ok(())
}

/// The originals that are admitted; an error unless each of them is also in the other forms, and asks for the same.
fn check<'a>(what: &str, pods: &[Value], trials: &'a [Trial]) -> Result<Vec<&'a Value>> {
    let (mut problems, mut originals) = (Problems::default(), Vec::new());
    for (pod, trial) in pods.iter().zip(trials) {
        match trial.admitted() {
            Ok(None) => {}
            Ok(Some(admitted)) => {
                originals.push(admitted.original);
                problems.add(pod, asks_for_the_same(trial, &admitted));
            }
            Err(problem) => problems.add(pod, Err(problem)),
        }
    }
    problems
        .none()
        .map_err(|error| format!("{what}: {error}"))?;
    Ok(originals)
}

fn asks_for_the_same(trial: &Trial, admitted: &Admitted<'_>) -> Result {
    ensure!(trial.pair.is_injected, "the engine skips it");
    let forms = [("patched", admitted.patched), ("live", admitted.live)];
    for (form, pod) in forms {
        let (before, after) = (&admitted.original["status"], &pod["status"]);
        ensure!(
            before["qosClass"] == after["qosClass"] && before["qosClass"].is_string(),
            "{form}: {} became {}",
            before["qosClass"],
            after["qosClass"]
        );
        for key in ["requests", "limits"] {
            let [before, after] = [admitted.original, pod].map(|pod| effective(pod, key));
            ensure!(
                before == after,
                "{form}: the effective {key} {before:?} became {after:?}"
            );
        }
    }
    Ok(())
}

/// What the scheduler counts: the pod's own word, else the larger of the init containers and of the others together.
fn effective(pod: &Value, key: &str) -> BTreeMap<String, f64> {
    let mut sum = BTreeMap::new();
    for (name, value) in quantities(&pod["spec"]["containers"], key) {
        *sum.entry(name).or_default() += value;
    }
    for (name, value) in quantities(&pod["spec"]["initContainers"], key) {
        let entry = sum.entry(name).or_default();
        *entry = value.max(*entry);
    }
    let own = json!([{ "resources": pod["spec"]["resources"] }]);
    sum.extend(quantities(&own, key));
    sum
}

fn quantities(containers: &Value, key: &str) -> Vec<(String, f64)> {
    let containers = containers.as_array().into_iter().flatten();
    containers
        .filter_map(|container| container["resources"][key].as_object())
        .flatten()
        .map(|(name, value)| (name.clone(), quantity::parse(value).unwrap_or(f64::NAN)))
        .collect()
}

/// The pod's own requests and limits as a quota: of what each container states, since a quota asks that of each.
fn hard(pod: &Value) -> BTreeMap<String, String> {
    let containers = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let mut hard = BTreeMap::new();
    for key in ["requests", "limits"] {
        let stated = quantities(&pod["spec"]["containers"], key);
        for (name, value) in effective(pod, key) {
            let by_all = stated.iter().filter(|(stated, _)| *stated == name).count() == containers;
            let by_pod = pod["spec"]["resources"][key][&name].is_string();
            if by_all || by_pod {
                // Exact: all that is used here are whole millis of a core, and whole bytes.
                hard.insert(format!("{key}.{name}"), format!("{:.0}m", value * 1000.0));
            }
        }
    }
    hard
}

/// One container in every way; two, and one in a pod with resources of its own, in every way of CPU and memory.
fn combinations() -> Vec<Value> {
    let ways = |name: &str, [low, middle, high]: [&str; 3]| {
        let one = |value: &str| json!({ name: value });
        vec![
            json!({}),
            json!({ "requests": one(low) }),
            json!({ "limits": one(high) }),
            json!({ "requests": one(middle), "limits": one(middle) }),
            json!({ "requests": one(low), "limits": one(high) }),
        ]
    };
    let cpu = ways("cpu", ["150m", "300m", "400m"]);
    let memory = ways("memory", ["200Mi", "300Mi", "400Mi"]);
    let storage = ways("ephemeral-storage", ["64Mi", "100Mi", "256Mi"]);
    let others = [
        json!({}),
        json!({ "requests": { "cpu": "100m" } }),
        json!({ "requests": { "cpu": "200m", "memory": "250Mi" }, "limits": { "cpu": "200m", "memory": "250Mi" } }),
    ];
    let of_pod = [
        json!({ "requests": { "cpu": "1" } }),
        json!({ "limits": { "cpu": "1", "memory": "1Gi" } }),
        json!({ "requests": { "cpu": "1", "memory": "1Gi" }, "limits": { "cpu": "1", "memory": "1Gi" } }),
        json!({ "requests": { "cpu": "500m", "memory": "512Mi" }, "limits": { "cpu": "2", "memory": "1Gi" } }),
    ];
    let mut pods = Vec::new();
    for cpu in &cpu {
        for memory in &memory {
            let both = merged(cpu, memory);
            pods.extend(
                storage
                    .iter()
                    .map(|storage| pod(&[&merged(&both, storage)], None)),
            );
            pods.extend(others.iter().map(|other| pod(&[&both, other], None)));
            pods.extend(of_pod.iter().map(|of_pod| pod(&[&both], Some(of_pod))));
        }
    }
    pods
}

/// Those in which nobody speaks of storage.
fn without_storage() -> Vec<Value> {
    let mut pods = combinations();
    pods.retain(|pod| !pod.to_string().contains("ephemeral-storage"));
    pods
}

fn merged(one: &Value, other: &Value) -> Value {
    let mut merged = one.clone();
    for (key, quantities) in other.as_object().into_iter().flatten() {
        for (name, quantity) in quantities.as_object().into_iter().flatten() {
            merged[key][name] = quantity.clone();
        }
    }
    merged
}

fn pod(resources: &[&Value], of_pod: Option<&Value>) -> Value {
    let containers = resources.iter().enumerate().map(
        |(at, resources)| json!({ "name": format!("c{at}"), "image": "app", "resources": resources }),
    );
    let mut spec = json!({ "containers": containers.collect::<Value>() });
    if let Some(of_pod) = of_pod {
        spec["resources"] = of_pod.clone();
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "app" }, "spec": spec })
}

/// A container more, and more for the pod where that has its own word. Not sent to the webhook.
fn one_size_larger(mut pod: Value) -> Value {
    let mut twin = pod["spec"]["containers"][0].clone();
    twin["name"] = json!("twin");
    if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
        containers.push(twin);
    }
    for key in ["requests", "limits"] {
        let quantities = pod.pointer_mut(&format!("/spec/resources/{key}"));
        for (name, quantity) in quantities
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            *quantity = json!(if name == "cpu" { "3" } else { "3Gi" });
        }
    }
    pod["metadata"]["labels"] = json!({ INJECT: "false" });
    pod
}

/// They belong to no namespace: gone when the value is dropped.
struct PriorityClasses(String);

impl Drop for PriorityClasses {
    fn drop(&mut self) {
        let _ = kubectl(&[
            "delete",
            "priorityclass",
            "-l",
            "javelin.dev/test=quota",
            "--wait=false",
        ]);
    }
}
