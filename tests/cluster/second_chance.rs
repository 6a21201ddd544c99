//! What becomes of an object whose review has failed: the next entry decides, and what no entry decides is mended later.

use serde_json::{Value, json};

use crate::{
    cases::{
        ENDPOINT, INJECT, SOON, copy_of_label, counted, injected_pod, install_again, is_untouched,
        label, pause_deployment, pause_pod, receipt, upgrade_with,
    },
    kube::{Namespace, Result, apply, ensure, eventually, get, javelin, kubectl, kubectl_with},
};

/// Every call but that of a second chance fails; a pod and a workload are decided all the same, and once.
pub(crate) fn decides_what_a_failed_call_has_left() -> Result {
    let namespace = Namespace::new("t-second-chance", &[(INJECT, "true")])?;
    let plain = Namespace::new("t-second-chance-plain", &[])?;
    let broken = Broken::where_name(|name| !name.contains(".second-chance"))?;
    eventually("second chances are called", SOON, || {
        let before = second_chances()?;
        try_pod(namespace.0)?;
        ensure!(second_chances()? > before, "not yet");
        Ok(())
    })?;

    let before = second_chances()?;
    let (_, said) = apply(&pause_pod("by-namespace", namespace.0, "app: a", ""))?;
    let pod = get(&["pod", "by-namespace", "-n", namespace.0])?;
    ensure!(receipt(&pod).is_some(), "no agent by the namespace's label");
    ensure!(said.matches("Warning").count() <= 1, "warned twice: {said}");
    let asks = format!("{INJECT}: 'true'");
    apply(&pause_pod("by-label", plain.0, &asks, ""))?;
    let pod = get(&["pod", "by-label", "-n", plain.0])?;
    ensure!(receipt(&pod).is_some(), "no agent by the pod's label");
    let another = format!("{asks}, app: other");
    apply(&pause_pod(
        "skipped",
        plain.0,
        &another,
        "hostNetwork: false, nodeSelector: {kubernetes.io/os: windows}",
    ))?;
    let pod = get(&["pod", "skipped", "-n", plain.0])?;
    let skipped = &pod["metadata"]["annotations"]["javelin.dev/skipped"];
    ensure!(
        skipped.is_string(),
        "it was not skipped: {}",
        pod["metadata"]
    );
    let refuses = format!("{INJECT}: 'false'");
    apply(&pause_pod("opted-out", namespace.0, &refuses, ""))?;
    let pod = get(&["pod", "opted-out", "-n", namespace.0])?;
    ensure!(is_untouched(&pod), "it had opted out");
    let calls = second_chances()? - before;
    ensure!(calls == 3, "{calls} second chances for three pods");

    let of_workloads = counted(OF_WORKLOADS)?;
    apply(&pause_deployment(plain.0))?;
    label("deployment/app", plain.0, &format!("{INJECT}=true"))?;
    ensure!(copy_of_label(plain.0)? == "true", "no copy of the label");
    label("deployment/app", plain.0, &format!("{INJECT}-"))?;
    ensure!(copy_of_label(plain.0)?.is_empty(), "the copy has stayed");
    kubectl(&["annotate", "deployment/app", "-n", plain.0, "nothing=new"])?;
    let calls = counted(OF_WORKLOADS)? - of_workloads;
    // One for each change of the label. Where the Deployment's controller has written in between, the API server applies the
    // patch once more to what is there then, and asks once more.
    ensure!(calls >= 2, "{calls} second chances for the workload");

    // The last one alone is enough.
    drop(broken);
    let broken = Broken::where_name(|name| !name.contains(".second-chance-2"))?;
    eventually("the last chance is called", SOON, || {
        let calls = second_chances()?;
        try_pod(namespace.0)?;
        let calls = second_chances()? - calls;
        ensure!(calls == 1, "{calls} calls");
        Ok(())
    })?;
    drop(broken);
    eventually("the first call is enough again", SOON, || {
        let calls = second_chances()?;
        try_pod(namespace.0)?;
        ensure!(second_chances()? == calls, "not yet");
        Ok(())
    })
}

/// A Deployment was labelled while no call came through: it has no copy of the label, and nothing sets one by itself.
pub(crate) fn a_missed_workload_is_shown_and_mended() -> Result {
    let namespace = Namespace::new("t-missed-workload", &[])?;
    apply(&pause_deployment(namespace.0))?;
    let broken = Broken::where_name(|_| true)?;
    no_call_comes_through(namespace.0)?;
    label("deployment/app", namespace.0, &format!("{INJECT}=true"))?;
    ensure!(copy_of_label(namespace.0)?.is_empty(), "who copied it?");
    drop(broken);
    calls_come_through(namespace.0)?;
    let run = |arguments: &[&str]| {
        let output = javelin(arguments).output();
        output.map_err(|error| error.to_string())
    };
    let shown = run(&["status", "--missed", "-n", namespace.0])?;
    let names = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(
        names == format!("-n {} deployment.apps/app\n", namespace.0),
        "{shown:?}"
    );
    restart_missed(namespace.0)?;
    injected_pod(namespace.0)?;
    ensure!(
        copy_of_label(namespace.0)? == "true",
        "no copy of the label"
    );
    let shown = run(&["status", "--missed", "-n", namespace.0])?;
    ensure!(shown.stdout.is_empty(), "{shown:?}");
    Ok(())
}

/// Waits until API servers have heard that all entries are [`Broken`].
pub(crate) fn no_call_comes_through(namespace: &str) -> Result {
    eventually("no call comes through", SOON, || {
        let pod = try_labelled_pod(namespace)?;
        ensure!(is_untouched(&pod), "not yet");
        Ok(())
    })
}

/// Waits until they have heard that none is any more.
pub(crate) fn calls_come_through(namespace: &str) -> Result {
    eventually("calls come through", SOON, || {
        let pod = try_labelled_pod(namespace)?;
        ensure!(receipt(&pod).is_some(), "not yet");
        Ok(())
    })
}

/// Restarts what was missed in a namespace.
pub(crate) fn restart_missed(namespace: &str) -> Result {
    let which = ["restart", "--missed", "-n", namespace];
    let restart = javelin(&[&which[..], &["--yes", "--timeout=60s"]].concat()).output();
    let restart = restart.map_err(|error| error.to_string())?;
    ensure!(restart.status.success(), "{restart:?}");
    Ok(())
}

/// A pod without a label, as a dry run.
pub(crate) fn try_pod(namespace: &str) -> Result<Value> {
    tried(&pause_pod("tried", namespace, "app: tried", ""))
}

fn try_labelled_pod(namespace: &str) -> Result<Value> {
    let asks = format!("{INJECT}: 'true'");
    tried(&pause_pod("tried", namespace, &asks, ""))
}

fn tried(pod: &str) -> Result<Value> {
    let (text, _) = kubectl_with(&["create", "--dry-run=server", "-o", "json"], pod)?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Answered second chances, of all replicas.
fn second_chances() -> Result<u64> {
    counted("javelin_second_chances_total{")
}

/// With no call answered, whoever creates a pod that asks for the agent is warned by the API server itself, and nobody else is.
pub(crate) fn the_policy_tells_what_no_call_decides() -> Result {
    upgrade_with(&[ENDPOINT, "--set=missedPolicy.enabled=true"])?;
    let namespace = Namespace::new("t-missed-policy", &[(INJECT, "true")])?;
    let broken = Broken::where_name(|_| true)?;
    // Created for the API server's answer alone.
    let created = |labels: &str| {
        let pod = pause_pod("asks", namespace.0, labels, "");
        kubectl_with(&["create", "--dry-run=server"], &pod).map(|(_, said)| said)
    };
    eventually("a missed pod is told", SOON, || {
        let said = created("app: a")?;
        ensure!(said.contains(UNDECIDED), "{said:?}");
        Ok(())
    })?;
    let said = created(&format!("{INJECT}: 'false'"))?;
    ensure!(!said.contains(UNDECIDED), "it had opted out: {said}");
    drop(broken);
    eventually("Javelin decides again", SOON, || {
        let said = created("app: a")?;
        ensure!(!said.contains(UNDECIDED), "{said}");
        Ok(())
    })?;
    drop(namespace);
    install_again()
}

const UNDECIDED: &str = "no agent: asked for true, and no call of Javelin's webhook has decided";

/// Entries whose calls are answered with 404, as before when dropped.
pub(crate) struct Broken(Value);

impl Broken {
    pub(crate) fn where_name(is_broken: impl Fn(&str) -> bool) -> Result<Self> {
        let configuration = get(&["mutatingwebhookconfiguration", "javelin"])?;
        let entries = configuration["webhooks"].as_array().into_iter().flatten();
        let (mut back, mut change) = (Vec::new(), Vec::new());
        for (at, entry) in entries.enumerate() {
            let name = entry["name"].as_str().unwrap_or_default();
            if name == "probe.javelin.dev" || !is_broken(name) {
                continue;
            }
            let pointer = format!("/webhooks/{at}/clientConfig/service/path");
            let path = &entry["clientConfig"]["service"]["path"];
            change.push(json!({ "op": "replace", "path": pointer, "value": "/nowhere" }));
            back.push(json!({ "op": "replace", "path": pointer, "value": path }));
        }
        patch(&change.into())?;
        Ok(Self(back.into()))
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        if let Err(error) = patch(&self.0) {
            println!("not put back: {error}");
        }
    }
}

fn patch(change: &Value) -> Result {
    let object = ["patch", "mutatingwebhookconfiguration", "javelin"];
    kubectl(&[&object[..], &["--type=json", "-p", &change.to_string()]].concat())?;
    Ok(())
}

pub(crate) const OF_WORKLOADS: &str = "javelin_second_chances_total{entry=\"workload\"";
