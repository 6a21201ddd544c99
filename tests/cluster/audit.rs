//! The audit: what nobody has seen, as a metric and as Events on workloads; and its guard, which takes agents back.

use std::time::Duration;

use javelin_core::mutate::keys::{FROM_WORKLOAD, GUARDED};
use serde_json::Value;

use crate::{
    cases::{
        ENDPOINT, INJECT, SOON, counted, install_again, is_untouched, label, name_of,
        pause_deployment, receipt, upgrade_with,
    },
    check::tells,
    kube::{
        Namespace, Result, apply, ensure, eventually, get, javelin, kubectl, kubectl_output, pods,
    },
    runtimes::bare_deployment,
    second_chance::{
        Broken, OF_WORKLOADS, calls_come_through, no_call_comes_through, restart_missed, try_pod,
    },
};

/// A Deployment that was created while no call came through, and one whose pod has the agent and does not run.
pub(crate) fn missed_and_crashing() -> Result {
    let audit =
        ["enabled=true", "interval=10s", "pause=0s"].map(|value| format!("--set=audit.{value}"));
    let [enabled, interval, pause] = &audit;
    upgrade_with(&[ENDPOINT, enabled, interval, pause])?;
    let namespace = Namespace::new("t-audit", &[(INJECT, "true")])?;
    let broken = Broken::where_name(|_| true)?;
    no_call_comes_through(namespace.0)?;
    apply(&pause_deployment(namespace.0))?;
    eventually("its pod is there without the agent", SOON, || {
        let pods = pods(namespace.0)?;
        let is_there = matches!(pods.as_slice(), [pod] if is_untouched(pod));
        ensure!(is_there, "{} pods, or with the agent", pods.len());
        Ok(())
    })?;
    drop(broken);
    calls_come_through(namespace.0)?;
    // A container whose program is not there.
    let crashing = pause_deployment(namespace.0)
        .replace("app: app", "app: broken")
        .replace("name: app,", "name: broken,")
        .replace("imagePullPolicy", "command: [/nothing], imagePullPolicy");
    apply(&crashing)?;
    for (reason, name, words) in [
        ("missed", "app", "javelin restart --missed -n t-audit"),
        ("crashing", "broken", "t-audit deployment.apps/broken"),
    ] {
        eventually("it is counted, and told on its workload", SOON, || {
            let found = found(reason)?;
            ensure!(found == 1, "{found} pods that are {reason}");
            let told = kubectl(&["describe", "deployment", name, "-n", namespace.0])?;
            ensure!(told.contains(words), "{told}");
            Ok(())
        })?;
    }
    let rounds = counted("javelin_audit_rounds_total{result=\"incomplete\"}")?;
    ensure!(rounds == 0, "{rounds} rounds have left something out");

    restart_missed(namespace.0)?;
    eventually("what was mended counts no more", SOON, || {
        let found = found("missed")?;
        ensure!(found == 0, "{found} pods");
        Ok(())
    })?;
    drop(namespace);

    eventually("`check` finds everything in order", SOON, || {
        tells(&[], &[], "")
    })?;
    kubectl(&["delete", "clusterrolebinding", "javelin-audit"])?;
    eventually("`check` tells the audit's rights", SOON, || {
        tells(&[], &[("account-rights", "failed")], "helm upgrade")
    })?;
    install_again()
}

/// Two Deployments that run, and do not with the agent: one is labelled itself, the other's namespace is. Their old pods serve
/// until the agent is taken back, and the command that is told brings it again.
pub(crate) fn guard() -> Result {
    let values = ["enabled=true", "guard=true", "interval=10s", "pause=0s"]
        .map(|it| format!("--set=audit.{it}"));
    let [enabled, guard, interval, pause] = &values;
    upgrade_with(&[ENDPOINT, enabled, guard, interval, pause])?;
    eventually("`check` finds everything in order", SOON, || {
        tells(&[], &[], "")
    })?;
    let labelled = Namespace::new("t-guard", &[])?;
    let by_namespace = Namespace::new("t-guard-namespace", &[])?;
    let both = [labelled.0, by_namespace.0];
    for namespace in both {
        apply(&bare_deployment(namespace).to_string())?;
    }
    for namespace in both {
        is_rolled_out(namespace)?;
    }
    let before = [serving(labelled.0)?, serving(by_namespace.0)?];
    label("deployment/bare", labelled.0, &format!("{INJECT}=true"))?;
    let asks = format!("{INJECT}=true");
    kubectl(&["label", "namespace", by_namespace.0, &asks])?;
    eventually("the namespace's label is known", SOON, || {
        ensure!(receipt(&try_pod(by_namespace.0)?).is_some(), "not yet");
        Ok(())
    })?;
    kubectl(&["rollout", "restart", BARE, "-n", by_namespace.0])?;
    for namespace in both {
        eventually(
            "its new pod gets the agent, and the old one serves",
            SOON,
            || has_agent(namespace),
        )?;
    }

    for (namespace, (before, label)) in both.iter().zip(before.iter().zip(["true", "(none)"])) {
        eventually("the agent is taken back", THREE_RESTARTS, || {
            let deployment = get(&[BARE, "-n", namespace])?;
            let note = &deployment["metadata"]["annotations"][GUARDED];
            let note = note.as_str().ok_or("there is no note")?;
            let expected = format!("{label}: 20");
            ensure!(note.starts_with(&expected), "it says {note}");
            ensure!(note.contains("bare: "), "it says {note}");
            let copies = copies(&deployment);
            ensure!(copies == ["false", "false"], "the copies are {copies:?}");
            Ok(())
        })
        .map_err(|error| format!("{namespace}, where {before} was: {error}"))?;
        is_rolled_out(namespace)?;
        let now = serving(namespace)?;
        ensure!(now != *before, "the old pod {now} is still there");
        let told = kubectl(&["describe", BARE, "-n", namespace])?;
        ensure!(told.contains("AgentTakenBack"), "{told}");
    }
    let count = counted("javelin_audit_guarded_total{result=\"taken_back\"}")?;
    ensure!(count == 2, "it was done {count} times");

    // Every change says so, changes nothing, and is decided by the first call.
    let chances = counted(OF_WORKLOADS)?;
    for namespace in both {
        let output = kubectl_output(&["annotate", BARE, "-n", namespace, "nothing=new"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            said.contains("no agent: guarded: "),
            "kubectl said {said:?}"
        );
        let copies = copies(&get(&[BARE, "-n", namespace])?);
        ensure!(copies == ["false", "false"], "the copies are {copies:?}");
    }
    let chances = counted(OF_WORKLOADS)? - chances;
    ensure!(chances == 0, "{chances} second chances");

    for (namespace, expected) in [(labelled.0, ["true", "true"]), (by_namespace.0, ["", ""])] {
        try_again(namespace)?;
        let copies = copies(&get(&[BARE, "-n", namespace])?);
        ensure!(copies == expected, "the copies are {copies:?}");
        eventually("it is tried again", SOON, || has_agent(namespace))?;
    }
    drop((labelled, by_namespace));

    kubectl(&["delete", "clusterrolebinding", "javelin-audit-guard"])?;
    eventually("`check` tells the guard's rights", SOON, || {
        tells(&[], &[("account-rights", "failed")], "helm upgrade")
    })?;
    install_again()
}

/// Runs the command that `javelin status` prints.
fn try_again(namespace: &str) -> Result {
    let output = javelin(&["status", "-n", namespace]).output();
    let output = output.map_err(|error| error.to_string())?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(table.contains("guarded"), "{table}");
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let command = notes
        .lines()
        .find_map(|line| line.trim().strip_prefix("Again: kubectl "))
        .ok_or_else(|| format!("there is no command in {notes}"))?;
    let words: Vec<_> = command.split_whitespace().collect();
    kubectl(&words)?;
    Ok(())
}

fn is_rolled_out(namespace: &str) -> Result {
    let what = ["rollout", "status", BARE, "-n", namespace, "--timeout=3m"];
    kubectl(&what)?;
    Ok(())
}

/// The name of the only pod, which is ready and has no agent.
fn serving(namespace: &str) -> Result<String> {
    eventually("one pod serves without the agent", SOON, || {
        let pods = pods(namespace)?;
        let [pod] = pods.as_slice() else {
            return Err(format!("{} pods", pods.len()));
        };
        let is_ready = &pod["status"]["containerStatuses"][0]["ready"];
        ensure!(is_untouched(pod) && *is_ready == true, "{pod}");
        Ok(name_of(pod).to_owned())
    })
}

/// One of its pods has the agent, while another one without it is ready.
fn has_agent(namespace: &str) -> Result {
    let pods = pods(namespace)?;
    let serves = |pod: &Value| {
        receipt(pod).is_none() && pod["status"]["containerStatuses"][0]["ready"] == true
    };
    ensure!(pods.iter().any(|pod| receipt(pod).is_some()), "none has it");
    ensure!(pods.iter().any(serves), "none serves");
    Ok(())
}

/// Our copies of the label, on the Deployment and in its template.
fn copies(deployment: &Value) -> [String; 2] {
    ["/metadata/labels", "/spec/template/metadata/labels"].map(|at| {
        let labels = deployment.pointer(at).unwrap_or(&Value::Null);
        let copy = labels[FROM_WORKLOAD].as_str();
        copy.unwrap_or_default().to_owned()
    })
}

const BARE: &str = "deployment/bare";

/// The kubelet waits for longer and longer, and a round for all of them.
const THREE_RESTARTS: Duration = Duration::from_mins(5);

/// Pods of the case's namespace, by the replica that audits; the others have none.
fn found(reason: &str) -> Result<u64> {
    counted(&format!(
        "javelin_audit_pods{{pod_namespace=\"t-audit\",reason=\"{reason}\"}}"
    ))
}
