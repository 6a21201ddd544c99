//! Removing a cluster, whatever state it is in.
//!
//! Nothing is asked to end: the cluster's data goes with it. What is to go is found in the kernel's tables, not in
//! files that a killed run might not have written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use super::{Layout, NAME, RUN, cgroups, daemons, network};
use crate::process::{create_folder, write};

/// Settings of the whole machine that the kubelet changes.
const TUNABLES: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// A line of /proc/self/mountinfo.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    pub(super) kind: String,
}

/// Removes everything of a cluster but its logs.
pub(super) fn remove(layout: &Layout) -> Result<()> {
    // An earlier run may have had another folder for its state: only the names under /run are fixed.
    let mut states = vec![layout.state.clone()];
    if let Ok(recorded) = fs::read_to_string(state_file()) {
        let recorded = PathBuf::from(recorded);
        if recorded.is_absolute() && recorded != layout.state {
            states.push(recorded);
        }
    }
    end_processes()?;
    unmount_below(&states)?;
    cgroups::remove()?;
    network::remove()?;
    for state in &states {
        restore_tunables(state)?;
        remove_traces(state);
        remove_all_but_logs(state)?;
    }
    remove_if_there(Path::new(RUN), |path| fs::remove_dir_all(path))
}

/// Writes down where the state is, for a run that keeps it elsewhere.
pub(super) fn remember_state(layout: &Layout) -> Result<()> {
    write(&state_file(), layout.state.as_os_str().as_encoded_bytes())
}

/// What an earlier cluster said.
pub(super) fn remove_logs(layout: &Layout) -> Result<()> {
    remove_if_there(&layout.logs(), |path| fs::remove_dir_all(path))
}

/// Writes down the machine's settings before the kubelet changes them.
pub(super) fn remember_tunables(layout: &Layout) -> Result<()> {
    let values: BTreeMap<&str, String> = TUNABLES
        .into_iter()
        .filter_map(|name| {
            Some((
                name,
                fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?,
            ))
        })
        .collect();
    create_folder(&layout.state)?;
    write(
        &layout.path(TUNABLES_FILE),
        serde_json::to_vec_pretty(&values)?,
    )
}

pub(super) fn mounts() -> Result<Vec<Mount>> {
    let table = fs::read_to_string("/proc/self/mountinfo")
        .context("failed to read /proc/self/mountinfo")?;
    Ok(table.lines().filter_map(parse_mount).collect())
}

fn restore_tunables(state: &Path) -> Result<()> {
    let Ok(text) = fs::read(state.join(TUNABLES_FILE)) else {
        return Ok(());
    };
    // Cut short by a kill before anything was changed.
    let Ok(values) = serde_json::from_slice::<BTreeMap<String, String>>(&text) else {
        return Ok(());
    };
    for (name, value) in values {
        let path = Path::new("/proc/sys").join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found != value) {
            write(&path, value)?;
        }
    }
    Ok(())
}

/// Kills until nothing is left: those that are found may have started others meanwhile.
fn end_processes() -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut quiet = 0;
    loop {
        let mut pids = daemons::marked();
        pids.extend(cgroups::processes());
        if pids.is_empty() {
            quiet += 1;
            if quiet == 2 {
                return Ok(());
            }
        } else {
            quiet = 0;
        }
        if Instant::now() > deadline {
            bail!(
                "these processes do not end though they were killed: {pids:?}; what they wait for is in /proc/PID/stack"
            );
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn unmount_below(states: &[PathBuf]) -> Result<()> {
    let mut points: Vec<PathBuf> = mounts()?
        .into_iter()
        .map(|mount| mount.point)
        .filter(|point| {
            point.starts_with(RUN) || states.iter().any(|state| point.starts_with(state))
        })
        .collect();
    // Deepest first, and what lies on top of another before it.
    points.sort_by_key(|point| point.components().count());
    for point in points.iter().rev() {
        unmount(point, UnmountFlags::DETACH)
            .with_context(|| format!("failed to unmount {}", point.display()))?;
    }
    Ok(())
}

/// What the kubelet and the CNI plugins leave in places that cannot be set.
fn remove_traces(state: &Path) {
    let logs = Path::new("/var/log/containers");
    for entry in fs::read_dir(logs).into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(state)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir(logs);

    let results = Path::new("/var/lib/cni/results");
    for entry in fs::read_dir(results).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(&format!("{NAME}-"))
        {
            let _ = fs::remove_file(entry.path());
        }
    }
    if !another_kubelet_runs() {
        let _ = fs::remove_file("/var/lib/kubelet/device-plugins/kubelet.sock");
    }
    for folder in [
        "/var/lib/cni/results",
        "/var/lib/cni",
        "/var/lib/kubelet/device-plugins",
        "/var/lib/kubelet",
    ] {
        // Fails when somebody else's are in it, as it should.
        let _ = fs::remove_dir(folder);
    }
}

/// Asked when ours have ended; one that nobody has waited for yet has no command line.
fn another_kubelet_runs() -> bool {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| {
            let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
            program.rsplit(|byte| *byte == b'/').next() == Some(b"kubelet")
        })
}

fn remove_all_but_logs(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", folder.display()));
        }
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == "logs" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            remove_if_there(&entry.path(), |path| fs::remove_dir_all(path))?;
        } else {
            remove_if_there(&entry.path(), |path| fs::remove_file(path))?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> Result<()> {
    match remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Fields: id, parent, device, root, mount point, options, any number of optional ones, a dash, type, source, options.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    Some(Mount {
        point: PathBuf::from(unescape(before.split(' ').nth(4)?)),
        kind: after.split(' ').next()?.to_owned(),
    })
}

/// The kernel writes blanks in paths as backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escape, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(escape, character);
    }
    plain
}

fn state_file() -> PathBuf {
    Path::new(RUN).join("state")
}

const TUNABLES_FILE: &str = "machine-settings.json";

#[cfg(test)]
mod tests;
