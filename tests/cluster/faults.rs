//! What a dying replica costs, with second chances and without: `cargo xtask faults`.
//!
//! Pods are created all the time while replicas are killed, run out of memory, fall silent, or vanish with their node.
//! Only on a cluster of our own, whose processes and packets are this machine's.

use std::{fmt, time::Duration};

use serde_json::Value;

use crate::{
    cases::{ENDPOINT, SOON, SYSTEM, name_of},
    figures,
    kube::{Result, checkout, ensure, eventually, helm, kubectl, pods},
    load::{self, Tally},
    process::Process,
    settled::javelin_is_rolled_out,
};

/// Every fault, for two replicas and for three, with second chances and without.
pub(crate) fn dying_replicas() -> Result {
    ensure!(
        load::logs().is_some(),
        "this needs a cluster of our own: unset KUBECONFIG"
    );
    let (mut without, mut with) = (0, 0);
    for replicas in [2, 3] {
        for fault in Fault::ALL {
            for attempts in [0, SECOND_CHANCES] {
                install(replicas, attempts)?;
                let tally = load::at_rate(RATE, MOST_OPEN, fault.namespace(), || {
                    for _ in 0..fault.times() {
                        fault.strike(replicas)?;
                    }
                    Ok(())
                })?;
                let refused = tally.refused();
                ensure!(refused.is_empty(), "{fault}: {tally}: {refused:?}");
                tell(fault, replicas, attempts, &tally);
                let missed = tally.blind(|_| true).len();
                if attempts == 0 {
                    without += missed;
                } else {
                    with += missed;
                }
            }
        }
    }
    figures::add(format!(
        "in all: {without} pods missed without second chances, {with} with {SECOND_CHANCES}"
    ));
    ensure!(
        without >= 10 && with * 10 <= without,
        "{without} pods missed without second chances, {with} with them: not ten times fewer"
    );
    Ok(())
}

/// At once, for whoever watches, and again in the end.
fn tell(fault: Fault, replicas: u32, attempts: u32, tally: &Tally) {
    let line = format!(
        "{fault}, {} times, {replicas} replicas, {attempts} second chances: {tally}; {} calls failed open, {} second \
         chances called",
        fault.times(),
        tally.failed_open(),
        tally.second_chances()
    );
    println!("{line}");
    figures::add(line);
}

fn install(replicas: u32, attempts: u32) -> Result {
    let chart = checkout("deploy/chart").display().to_string();
    let release = ["upgrade", "--install", "javelin", &chart];
    let place = ["--namespace", SYSTEM, "--create-namespace", ENDPOINT];
    let how = [
        &format!("--set=replicas={replicas}"),
        &format!("--set=webhook.secondChance.attempts={attempts}"),
        "--wait",
        "--timeout=2m",
    ];
    helm("helm", &[&release[..], &place, &how].concat())?;
    javelin_is_rolled_out()
}

/// What happens to a replica.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// SIGKILL: its host goes on, and refuses its connections.
    Killed,
    /// The same, by the kernel, for want of memory.
    OutOfMemory,
    /// No packet comes to it or from it, for a while. The kubelet notices.
    Silent,
    /// The same for the webhook's port alone, so that the kubelet goes on calling it ready: as with a node that is gone,
    /// which stays in the Service's endpoints until the control plane has given it up.
    NodeGone,
}

impl Fault {
    const ALL: [Self; 4] = [
        Self::Killed,
        Self::OutOfMemory,
        Self::Silent,
        Self::NodeGone,
    ];

    fn namespace(self) -> &'static str {
        match self {
            Self::Killed => "t-killed",
            Self::OutOfMemory => "t-out-of-memory",
            Self::Silent => "t-silent",
            Self::NodeGone => "t-node-gone",
        }
    }

    fn times(self) -> u32 {
        match self {
            Self::Killed => 12,
            Self::OutOfMemory => 4,
            Self::Silent => 3,
            Self::NodeGone => 1,
        }
    }

    /// Once, and waits until all is well again.
    fn strike(self, replicas: u32) -> Result {
        // The oldest: API servers keep their connections, so that a new one may have none to lose.
        let pods = pods(SYSTEM)?;
        let age = |pod: &&Value| {
            pod["metadata"]["creationTimestamp"]
                .as_str()
                .map(str::to_owned)
        };
        let pod = pods.iter().min_by_key(age).ok_or("there is no replica")?;
        let process = Process::of(pod)?;
        match self {
            Self::Killed => process.kill()?,
            Self::OutOfMemory => process.take_its_memory()?,
            Self::Silent => process.drop_packets(&[], SILENCE)?,
            Self::NodeGone => {
                process.drop_packets(&["-p", "tcp", "--dport", "10250"], NODE_GIVEN_UP)?;
            }
        }
        eventually("the replica is ready again, or another", SOON, || {
            let ready = kubectl(&[
                "get",
                "deployment",
                "javelin",
                "-n",
                SYSTEM,
                "-o",
                "jsonpath={.status.readyReplicas}",
            ])?;
            ensure!(ready == replicas.to_string(), "{ready} are ready");
            Ok(())
        })?;
        // Another one in its place: the kubelet starts a container again more and more slowly.
        kubectl(&["delete", "pod", "-n", SYSTEM, name_of(pod)])?;
        javelin_is_rolled_out()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::OutOfMemory => "out of memory",
            Self::Silent => "silent for 10 s",
            Self::NodeGone => "silent for 50 s and still an endpoint, as on a lost node",
        })
    }
}

/// Pods a second.
const RATE: u32 = 40;

/// More than wait at once for a replica that has fallen silent: five seconds of pods.
const MOST_OPEN: usize = 250;

/// The chart's own.
const SECOND_CHANCES: u32 = 2;

/// Longer than the kubelet takes to notice, and shorter than it takes to start the container anew.
const SILENCE: Duration = Duration::from_secs(10);

/// As long as the controller manager waits for a node, by default.
const NODE_GIVEN_UP: Duration = Duration::from_secs(50);
