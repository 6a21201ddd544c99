//! What `/readyz?verbose` says when API servers do not reach Javelin, each cause made on purpose.
//!
//! Deliberately not here: a Service without endpoints, for who would be asked then, and dropped packets, for the
//! cluster may be anybody's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    cases::{SOON, SYSTEM, name_of},
    kube::{Result, ensure, eventually, get, kubectl, pods},
    rights::may,
};

pub(crate) fn causes() -> Result {
    finding("reached", "The API server reaches this webhook.", SOON)?;

    let changed = Changed::new()?;
    Changed::target_port(&json!(CLOSED))?;
    replace_replicas()?;
    finding("refused", "connect: connection refused", SOON)?;
    finding(
        "refused",
        "Next: Each ready replica must be listed, with port 10250",
        SOON,
    )?;

    Changed::target_port(&json!("admin"))?;
    finding(
        "somebody-else",
        "http: server gave HTTP response to HTTPS client",
        SOON,
    )?;

    changed.forbid_patches()?;
    wipe_bundle()?;
    Changed::target_port(&changed.port["targetPort"])?;
    finding(
        "untrusted",
        "x509: certificate signed by unknown authority",
        SOON,
    )?;

    drop(changed);
    finding(
        "reached",
        "The API server reaches this webhook.",
        Duration::from_mins(2),
    )
}

/// New ones, which ask soon whether they are reached; those that are ask every few minutes. The old ones go at once: for
/// as long as they drain, they act, and API servers have connections to them that know nothing of what was changed.
pub(crate) fn replace_replicas() -> Result {
    let pods = ["pods", "--all", "-n", SYSTEM];
    kubectl(&[&["delete"], &pods[..], &["--grace-period=1"]].concat())?;
    eventually("the new ones are ready", SOON, replicas_are_ready)
}

/// Both of them, or more.
pub(crate) fn replicas_are_ready() -> Result {
    let replicas = pods(SYSTEM)?;
    ensure!(replicas.len() >= 2, "{} replicas", replicas.len());
    for pod in replicas {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
        let is_ready = ready.any(|condition| condition["status"] == "True");
        ensure!(is_ready, "{} is not ready", name_of(&pod));
    }
    Ok(())
}

/// Waits until every replica's last finding is `code`, with these words.
fn finding(code: &str, words: &str, within: Duration) -> Result {
    eventually(
        &format!("every replica finds {code}, with {words:?}"),
        within,
        || {
            let replicas = pods(SYSTEM)?;
            ensure!(!replicas.is_empty(), "there are no replicas");
            for pod in replicas {
                let path = format!(
                    "/api/v1/namespaces/{SYSTEM}/pods/{}:8080/proxy/readyz?verbose",
                    name_of(&pod)
                );
                let text = kubectl(&["get", "--raw", &path])?;
                let found = text
                    .split_once(&format!("\nprobe: {code} at 20"))
                    .is_some_and(|(_, report)| report.contains(words));
                // Whatever was found, the replica stays ready.
                ensure!(
                    found && text.ends_with("\nok\n"),
                    "{}:\n{text}",
                    name_of(&pod)
                );
            }
            Ok(())
        },
    )
}

/// What was changed, as it was before. Put back when dropped, whatever came between.
pub(crate) struct Changed {
    port: Value,
    rules: Value,
}

impl Changed {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            port: get(&["service", "javelin", "-n", SYSTEM])?["spec"]["ports"][0].clone(),
            rules: get(&["clusterrole", "javelin"])?["rules"].clone(),
        })
    }

    pub(crate) fn target_port(target: &Value) -> Result {
        let pointer = "/spec/ports/0/targetPort";
        let change = json!([{ "op": "replace", "path": pointer, "value": target }]);
        patch(&["service", "javelin", "-n", SYSTEM], "json", &change)
    }

    /// Or Javelin would repair what is done to its entries.
    pub(crate) fn forbid_patches(&self) -> Result {
        let mut rules = self.rules.clone();
        for rule in rules.as_array_mut().into_iter().flatten() {
            if rule["resources"] == json!(["mutatingwebhookconfigurations"]) {
                rule["verbs"] = json!(["get", "watch"]);
            }
        }
        ensure!(rules != self.rules, "no rule allows it: {rules}");
        Self::allow(&rules)?;
        eventually("the API server knows that it may not", SOON, || {
            let may = may(&["patch", "mutatingwebhookconfigurations/javelin"])?;
            ensure!(!may, "it may");
            Ok(())
        })
    }

    fn allow(rules: &Value) -> Result {
        let change = json!({ "rules": rules });
        patch(&["clusterrole", "javelin"], "merge", &change)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let outcomes = [
            Self::target_port(&self.port["targetPort"]),
            Self::allow(&self.rules),
        ];
        for outcome in outcomes {
            if let Err(error) = outcome {
                println!("not put back: {error}");
            }
        }
    }
}

/// Of the probe's entry; pods are not meant here.
fn wipe_bundle() -> Result {
    let configuration = get(&["mutatingwebhookconfiguration", "javelin"])?;
    let mut entries = configuration["webhooks"].as_array().into_iter().flatten();
    let at = entries
        .position(|entry| entry["name"] == "probe.javelin.dev")
        .ok_or("the probe has no entry")?;
    let pointer = format!("/webhooks/{at}/clientConfig/caBundle");
    let change = json!([{ "op": "remove", "path": pointer }]);
    patch(
        &["mutatingwebhookconfiguration", "javelin"],
        "json",
        &change,
    )
}

fn patch(object: &[&str], kind: &str, change: &Value) -> Result {
    let (kind, change) = (format!("--type={kind}"), change.to_string());
    kubectl(&[&["patch"], object, &[&kind, "-p", &change]].concat())?;
    Ok(())
}

/// Where nothing listens in Javelin's pods.
pub(crate) const CLOSED: u16 = 10251;
