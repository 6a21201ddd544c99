//! The process of a replica, and what may become of it. Only on a cluster of our own, whose processes and packets are this
//! machine's.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    cases::SOON,
    kube::{Result, ensure, eventually},
};

/// By its id.
#[derive(Clone)]
pub(crate) struct Process(String);

impl Process {
    pub(crate) fn of(pod: &Value) -> Result<Self> {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let found = run("pgrep", &["-f", "--", &format!("--pod-uid={uid}")])?;
        let first = found.lines().next();
        Ok(Self(first.ok_or("the replica has no process")?.to_owned()))
    }

    pub(crate) fn kill(&self) -> Result {
        self.signal("KILL")
    }

    /// It stands still until the value is dropped, as on a host that has no time for it.
    pub(crate) fn frozen(self) -> Result<Frozen> {
        self.signal("STOP")?;
        Ok(Frozen(self))
    }

    fn signal(&self, which: &str) -> Result {
        run("kill", &[&format!("-{which}"), &self.0]).map(drop)
    }

    /// Something else in its cgroup takes all the memory that there is, and the kernel kills this process for it.
    pub(crate) fn take_its_memory(&self) -> Result {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.0));
        let groups = groups.map_err(|error| error.to_string())?;
        // Of version 1, or of version 2 alone.
        let first = groups.lines().find_map(|line| line.split_once(":memory:"));
        let folder = match (first, groups.trim().strip_prefix("0::")) {
            (Some((_, group)), _) => format!("/sys/fs/cgroup/memory{group}"),
            (None, Some(group)) => format!("/sys/fs/cgroup{group}"),
            (None, None) => return Err(format!("no cgroup of memory in {groups}")),
        };
        // The likeliest of the two, whatever the kubelet said.
        let likelihood = format!("/proc/{}/oom_score_adj", self.0);
        fs::write(likelihood, "1000").map_err(|error| error.to_string())?;
        let take = format!("echo $$ >{folder}/cgroup.procs && exec tail /dev/zero");
        let mut taking = Command::new("sh");
        let taking = taking.args(["-c", &take]).spawn();
        let mut taking = taking.map_err(|error| error.to_string())?;
        let outcome = eventually("the kernel has killed it", SOON, || {
            ensure!(!self.is_there(), "it runs on, with {folder}");
            Ok(())
        });
        let _ = taking.kill();
        let _ = taking.wait();
        outcome
    }

    /// Those that come to it and match are dropped, for so long.
    pub(crate) fn drop_packets(&self, which: &[&str], time: Duration) -> Result {
        let until = Instant::now() + time;
        let _dropping = self.dropping("INPUT", which)?;
        // Nothing is waited for here: this is how long it lasts.
        thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(())
    }

    /// Those of a chain that match are dropped in its network namespace, until the value is.
    pub(crate) fn dropping(&self, chain: &'static str, which: &[&str]) -> Result<Dropping> {
        let dropping = Dropping {
            process: self.clone(),
            chain,
            which: which.iter().map(|&word| word.to_owned()).collect(),
        };
        dropping.rule("-I")?;
        Ok(dropping)
    }

    fn is_there(&self) -> bool {
        Path::new("/proc").join(&self.0).exists()
    }
}

/// A process that stands still until this is dropped.
pub(crate) struct Frozen(Process);

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = self.0.signal("CONT") {
            println!("it still stands: {error}");
        }
    }
}

/// A rule that drops packets until this is dropped.
pub(crate) struct Dropping {
    process: Process,
    chain: &'static str,
    which: Vec<String>,
}

impl Dropping {
    fn rule(&self, change: &str) -> Result {
        let enter = ["-t", &self.process.0, "-n", "iptables", "-w"];
        let which: Vec<_> = self.which.iter().map(String::as_str).collect();
        let rule = [&[change, self.chain], &which[..], &["-j", "DROP"]].concat();
        run("nsenter", &[&enter[..], &rule].concat()).map(drop)
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        // With a pod its network has gone, too.
        if let Err(error) = self.rule("-D")
            && self.process.is_there()
        {
            println!("not put back: {error}");
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
