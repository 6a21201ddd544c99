//! From the version before to this one, back and forth again, while pods are created: `cargo xtask upgrades`.

use crate::{
    cases::{ENDPOINT, SOON, SYSTEM, install_again, nothing_left, take_away, take_away_if_there},
    figures,
    kube::{Result, checkout, ensure, eventually, helm},
    load,
    settled::javelin_is_rolled_out,
};

/// By each Helm: no pod is missed, and nothing is left in the end.
pub(crate) fn no_pod_is_missed() -> Result {
    let earlier =
        earlier_chart().ok_or("`cargo xtask upgrades` names the chart of the version before")?;
    let chart = checkout("deploy/chart").display().to_string();
    for (major, namespaces) in [
        ("helm", ["t-helm4-up", "t-helm4-back", "t-helm4-again"]),
        ("helm3", ["t-helm3-up", "t-helm3-back", "t-helm3-again"]),
    ] {
        take_away_if_there()?;
        eventually("nothing of Javelin is left", SOON, nothing_left)?;
        let place = ["--namespace", SYSTEM];
        let given = ["--create-namespace", ENDPOINT];
        let wait = ["--wait", "--timeout=2m"];
        let install = ["install", "javelin", &earlier];
        helm(major, &[&install[..], &place, &given, &wait].concat())?;
        javelin_is_rolled_out()?;
        let upgrade = ["upgrade", "javelin", &chart, ENDPOINT];
        let steps = [&upgrade[..], &["rollback", "javelin", "1"], &upgrade];
        for (step, namespace) in steps.into_iter().zip(namespaces) {
            let tally = load::during(namespace, || {
                helm(major, &[step, &place, &wait].concat())?;
                // Until the last of the replicas that were there has gone.
                javelin_is_rolled_out()
            })?;
            figures::add(format!(
                "{major} {}: {tally}; {} calls failed open",
                step[0],
                tally.failed_open()
            ));
            let (blind, refused) = (tally.blind(|_| true), tally.refused());
            ensure!(
                blind.is_empty() && refused.is_empty(),
                "{major} {}: {tally}: without the agent: {blind:?}, not created: {refused:?}",
                step[0]
            );
        }
        take_away()?;
        eventually("nothing of Javelin is left", SOON, nothing_left)?;
    }
    install_again()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask upgrades` says where it is"
)]
fn earlier_chart() -> Option<String> {
    std::env::var("JAVELIN_EARLIER_CHART").ok()
}
