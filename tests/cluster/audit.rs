//! The audit: what nobody has seen, as a metric and as Events on workloads.

use crate::{
    cases::{
        ENDPOINT, INJECT, SOON, counted, install_again, is_untouched, pause_deployment,
        upgrade_with,
    },
    check::tells,
    kube::{Namespace, Result, apply, ensure, eventually, kubectl, pods},
    second_chance::{Broken, calls_come_through, no_call_comes_through, restart_missed},
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

/// Pods of the case's namespace, by the replica that audits; the others have none.
fn found(reason: &str) -> Result<u64> {
    counted(&format!(
        "javelin_audit_pods{{pod_namespace=\"t-audit\",reason=\"{reason}\"}}"
    ))
}
