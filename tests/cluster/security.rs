//! Who the containers run as: Pod Security admits, and the kubelet starts, with the agent what it did without.

use std::collections::BTreeMap;

use javelin_core::mutate::keys;
use serde_json::{Value, json};

use crate::{
    api::Api,
    cases::{INJECT, SOON, name_of},
    figures,
    kube::{Namespace, Result, apply, ensure, eventually, pods},
    trial::{Engine, Problems},
};

/// The three levels, and every way to say who runs.
pub(crate) fn pod_security() -> Result {
    let (api, engine) = (Api::new()?, Engine::of_cluster()?);
    let pods = ways();
    let mut shares = BTreeMap::new();
    for (name, level) in [
        ("t-level-privileged", "privileged"),
        ("t-level-baseline", "baseline"),
        ("t-level-restricted", "restricted"),
    ] {
        let enforce = ("pod-security.kubernetes.io/enforce", level);
        let namespace = Namespace::new(name, &[(INJECT, "true"), enforce])?;
        let trials = engine.trials(&api, namespace.0, &pods)?;
        let (mut problems, mut admitted) = (Problems::default(), 0);
        for (pod, trial) in pods.iter().zip(&trials) {
            let outcome = trial.admitted();
            admitted += usize::from(matches!(outcome, Ok(Some(_))));
            problems.add(pod, outcome.map(|_| ()));
        }
        problems
            .none()
            .map_err(|error| format!("{level}: {error}"))?;
        shares.insert(level, admitted);
    }
    let [baseline, privileged, restricted] = shares.values().copied().collect::<Vec<_>>()[..]
    else {
        return Err("three levels".into());
    };
    ensure!(
        restricted > 0
            && restricted < baseline
            && baseline < privileged
            && privileged == pods.len(),
        "the levels do not differ: {shares:?} of {}",
        pods.len()
    );
    figures::add(format!(
        "Pod Security: of {} pods admitted, with the agent too: {shares:?}",
        pods.len()
    ));
    Ok(())
}

/// All kinds of users start, and read the jar, which is not theirs.
pub(crate) fn users() -> Result {
    let namespace = Namespace::new("t-users", &[(INJECT, "true")])?;
    let none = json!({});
    let users = [
        ("nobody", none.clone(), none.clone()),
        ("root", json!({ "runAsUser": 0 }), none.clone()),
        (
            "root-by-group",
            json!({ "runAsUser": 0, "fsGroup": 3000 }),
            none.clone(),
        ),
        ("user", json!({ "runAsUser": 1000 }), none.clone()),
        (
            "group",
            json!({ "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 3000 }),
            none.clone(),
        ),
        (
            "non-root",
            json!({ "runAsNonRoot": true, "fsGroup": 3000 }),
            none,
        ),
        (
            "root-over-user",
            json!({ "runAsUser": 1000, "fsGroup": 3000 }),
            json!({ "runAsUser": 0 }),
        ),
        (
            "user-over-root",
            json!({ "runAsUser": 0 }),
            json!({ "runAsUser": 1000, "runAsNonRoot": true }),
        ),
        (
            "root-alone",
            json!({}),
            json!({ "runAsUser": 0, "runAsNonRoot": false }),
        ),
    ];
    let reader = |name: &str, of_pod: &Value, of_container: &Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace.0 },
            "spec": { "restartPolicy": "Never", "securityContext": of_pod, "containers": [{
                "name": "app", "image": WITNESS, "imagePullPolicy": "IfNotPresent",
                "args": ["/javelin-agent/javaagent.jar"], "securityContext": of_container }] },
        })
    };
    let mut manifest = String::new();
    for (name, of_pod, of_container) in &users {
        let reader = reader(name, of_pod, of_container);
        manifest.extend([
            reader.to_string(),
            "
"
            .to_owned(),
        ]);
    }
    // Without the agent there is nothing to read: that the others succeed means something.
    let mut without = reader(WITHOUT, &json!({}), &json!({}));
    without["metadata"]["labels"] = json!({ INJECT: "false" });
    manifest.push_str(&without.to_string());
    apply(&manifest)?;
    let ended = eventually("all pods have ended", SOON, || {
        let pods = pods(namespace.0)?;
        for pod in &pods {
            let phase = pod["status"]["phase"].as_str().unwrap_or_default();
            ensure!(
                matches!(phase, "Succeeded" | "Failed"),
                "{} is {phase}: {} {}",
                name_of(pod),
                pod["status"]["initContainerStatuses"],
                pod["status"]["containerStatuses"]
            );
        }
        ensure!(pods.len() == users.len() + 1, "{} pods", pods.len());
        Ok(pods)
    })?;
    for pod in &ended {
        let status = &pod["status"];
        if name_of(pod) == WITHOUT {
            ensure!(status["phase"] == "Failed", "who gave it a jar? {status}");
            continue;
        }
        let init = &status["initContainerStatuses"][0];
        ensure!(
            init["name"] == keys::AGENT_NAME && init["state"]["terminated"]["exitCode"] == 0,
            "{}: {init}",
            name_of(pod)
        );
        ensure!(status["phase"] == "Succeeded", "{}: {status}", name_of(pod));
    }
    Ok(())
}

fn ways() -> Vec<Value> {
    let users = [Value::Null, json!(0), json!(1000)];
    let non_root = [Value::Null, json!(true)];
    let privileges = [
        json!({}),
        json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" } }),
        json!({ "capabilities": { "add": ["SYS_TIME"] } }),
    ];
    let of_pods = [
        json!({}),
        json!({ "fsGroup": 3000, "seccompProfile": { "type": "RuntimeDefault" } }),
    ];
    let mut pods = Vec::new();
    for of_pod in &of_pods {
        for privileges in &privileges {
            for (pod_user, user) in users.iter().flat_map(|a| users.iter().map(move |b| (a, b))) {
                for (pod_non_root, non_root) in non_root
                    .iter()
                    .flat_map(|a| non_root.iter().map(move |b| (a, b)))
                {
                    let (mut of_pod, mut of_container) = (of_pod.clone(), privileges.clone());
                    of_pod["runAsUser"] = pod_user.clone();
                    of_pod["runAsNonRoot"] = pod_non_root.clone();
                    of_container["runAsUser"] = user.clone();
                    of_container["runAsNonRoot"] = non_root.clone();
                    pods.push(json!({
                        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "app" },
                        "spec": { "securityContext": of_pod, "containers": [
                            { "name": "app", "image": "app", "securityContext": of_container }] },
                    }));
                }
            }
        }
    }
    pods
}

pub(crate) const WITNESS: &str = "localhost/javelin-witness:1";
const WITHOUT: &str = "without";
