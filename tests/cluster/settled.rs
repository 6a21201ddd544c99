//! What is still to be learned once an object is there.
//!
//! API servers hear of webhook configurations, policies, quotas and rights through informers; kube-proxy programs a
//! Service at most once a second; kubelets bring files once a minute. Whoever acts on one of those before may be refused,
//! or served by what was there before: and Javelin's entries fail open.
//!
//! So a case waits here for the effect itself, seen by the way that it goes too. No wait is for a time. Where a cluster
//! has several API servers, this tells of those that happen to answer.

use std::{sync::Mutex, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use javelin_core::mutate::keys;
use serde_json::{Value, json};

use crate::{
    api::{AT_ONCE, Api},
    cases::{INJECT, SOON, SYSTEM, name_of, receipt},
    kube::{Namespace, Result, ensure, eventually, get, kubectl, kubectl_with, pods},
};

// === Javelin itself

/// Waits until every replica of Javelin is of the last template, and ready; none of the earlier ones answers any more;
/// and API servers reach them by each entry.
pub(crate) fn javelin_is_rolled_out() -> Result {
    let which = ["deploy/javelin", "-n", SYSTEM];
    kubectl(&[&["rollout", "status"], &which[..], &["--timeout=2m"]].concat())?;
    eventually("no replica is on its way out", SOON, || {
        let all = replicas()?;
        let is_leaving = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_string();
        let leaving: Vec<_> = all.iter().filter(is_leaving).map(name_of).collect();
        ensure!(leaving.is_empty(), "{leaving:?}");
        Ok(())
    })?;
    javelin_is_called()
}

/// Waits until nobody is left who could answer, not even a replica that drains.
pub(crate) fn javelin_is_gone() -> Result {
    eventually("no replica is left", SOON, || {
        let left = replicas()?;
        ensure!(left.is_empty(), "{} pods", left.len());
        Ok(())
    })
}

/// Those on their way out among them.
fn replicas() -> Result<Vec<Value>> {
    let label = "app.kubernetes.io/name=javelin";
    let list = get(&["pods", "-n", SYSTEM, "-l", label])?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Waits until API servers call Javelin by each entry that every installation has. They keep connections apart for each,
/// so that one tells nothing of another; several objects at a time make them open several.
pub(crate) fn javelin_is_called() -> Result {
    let api = Api::new()?;
    let mut labelled = LABELLED.lock().map_err(|error| error.to_string())?;
    if labelled.is_none() {
        *labelled = Some(Namespace::new("t-called", &[(INJECT, "true")])?);
    }
    let unlabelled = "/api/v1/namespaces/default/pods";
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let (own, copied) = (
        json!({ INJECT: "true" }),
        json!({ keys::FROM_WORKLOAD: "true" }),
    );
    let none = json!({});
    let of_pod = |entry, path, labels: &Value| Question {
        entry,
        path,
        object: pod(labels),
        is_right: is_answered,
    };
    let questions = [
        of_pod("pod", unlabelled, &own),
        of_pod("pod-from-workload", unlabelled, &copied),
        of_pod(
            "namespace-default",
            "/api/v1/namespaces/t-called/pods",
            &none,
        ),
        Question {
            entry: "workload",
            path: deployments,
            object: deployment(&own, &none),
            is_right: |deployment| copy(deployment) == "true",
        },
        Question {
            entry: "workload-unlabelled",
            path: deployments,
            object: deployment(&copied, &copied),
            is_right: |deployment| copy(deployment).is_null(),
        },
    ];
    eventually("API servers call Javelin by each entry", CALLED, || {
        for Question {
            entry,
            path,
            object,
            is_right,
        } in &questions
        {
            for answer in api.pretend(path, &vec![object.clone(); AT_ONCE])? {
                let came_back = answer.admitted();
                let came_back = came_back.map_err(|error| format!("{entry}: {error}"))?;
                ensure!(
                    is_right(came_back),
                    "not by {entry}: {}",
                    came_back["metadata"]
                );
            }
        }
        Ok(())
    })
}

/// An object that one entry selects, and how it is seen that Javelin was asked.
struct Question {
    entry: &'static str,
    path: &'static str,
    object: Value,
    is_right: fn(&Value) -> bool,
}

/// Takes away what the waits of this module have made.
pub(crate) fn end() {
    if let Ok(mut labelled) = LABELLED.lock() {
        labelled.take();
    }
}

/// For the entry that goes by a namespace's label. Kept, for every case asks.
static LABELLED: Mutex<Option<Namespace>> = Mutex::new(None);

fn is_answered(pod: &Value) -> bool {
    receipt(pod).is_some() || pod["metadata"]["annotations"][keys::SKIPPED].is_string()
}

fn copy(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["metadata"]["labels"][keys::FROM_WORKLOAD]
}

fn pod(labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "generateName": "t-called-", "labels": labels },
        "spec": { "containers": [{ "name": "app", "image": "localhost/javelin-pause:1" }] },
    })
}

fn deployment(labels: &Value, of_template: &Value) -> Value {
    let mut of_template = of_template.clone();
    of_template["app"] = json!("a");
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "generateName": "t-called-", "labels": labels },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "a" } }, "template": {
            "metadata": { "labels": of_template }, "spec": pod(&json!({}))["spec"] } },
    })
}

// === The configuration of each replica

/// Waits until every replica knows a profile. Each is asked by itself: what comes back through the Service is one's.
pub(crate) fn replicas_know(profile: &str) -> Result {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "11111111-2222-3333-4444-555555555555", "operation": "CREATE", "namespace": "default",
            "kind": { "group": "", "version": "v1", "kind": "Pod" }, "object": pod(&json!({ INJECT: profile })),
        },
    });
    hurry_kubelets()?;
    eventually("every replica knows the profile", TAKEN_OVER, || {
        for replica in pods(SYSTEM)? {
            let ports = replica["spec"]["containers"][0]["ports"].as_array();
            let mut ports = ports.into_iter().flatten();
            let port = ports
                .find(|port| port["name"] == "webhook")
                .ok_or("no port")?;
            let (name, port) = (name_of(&replica), &port["containerPort"]);
            let url =
                format!("/api/v1/namespaces/{SYSTEM}/pods/https:{name}:{port}/proxy/mutate/pod");
            let (answer, _) = kubectl_with(&["create", "--raw", &url], &review.to_string())?;
            let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
            let patch = answer["response"]["patch"].as_str().unwrap_or_default();
            let patch = BASE64.decode(patch).map_err(|error| error.to_string())?;
            let patch = String::from_utf8_lossy(&patch);
            ensure!(patch.contains("-javaagent:"), "{name}: {patch}");
        }
        Ok(())
    })
}

/// A kubelet brings the files of a pod up to date when the pod changes, else once a minute.
pub(crate) fn hurry_kubelets() -> Result {
    hurry_kubelets_for(SYSTEM)
}

/// The same for the pods of another namespace.
pub(crate) fn hurry_kubelets_for(namespace: &str) -> Result {
    for annotation in ["t-hurry=changed", "t-hurry-"] {
        kubectl(&["annotate", "pods", "--all", "-n", namespace, annotation])?;
    }
    Ok(())
}

// === What others refuse

/// Waits until API servers take this, by dry run: what would have refused it is not only deleted but forgotten.
pub(crate) fn is_admitted(manifest: &str) -> Result {
    eventually("it is admitted", SOON, || {
        kubectl_with(&["create", "--dry-run=server"], manifest)?;
        Ok(())
    })
}

/// A moment; but an API server takes up to 45 s to give up a connection whose other end is gone without a word.
pub(crate) const CALLED: Duration = Duration::from_mins(2);

/// The kubelet looks at `ConfigMaps` once a minute.
const TAKEN_OVER: Duration = Duration::from_mins(3);
