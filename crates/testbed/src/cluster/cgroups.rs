//! The control group that all of the cluster's containers are in, in either version of control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::NAME;
use super::teardown::{Mount, mounts};
use crate::process::{create_folder, write};

/// Makes the group in every hierarchy: the kubelet wants its root to be there.
pub(super) fn create() -> Result<()> {
    let hierarchies = hierarchies()?;
    let has_v1 = hierarchies.iter().any(|mount| mount.kind == "cgroup");
    for hierarchy in hierarchies {
        let group = hierarchy.point.join(NAME);
        if hierarchy.kind == "cgroup2" {
            if has_v1 {
                continue;
            }
            enable_controllers(&hierarchy.point)?;
            create_folder(&group)?;
            enable_controllers(&group)?;
        } else {
            create_folder(&group)?;
            // Nothing may enter a group of the cpuset hierarchy before these are set.
            for setting in ["cpuset.mems", "cpuset.cpus"] {
                if let Ok(inherited) = fs::read(hierarchy.point.join(setting)) {
                    write(&group.join(setting), inherited)?;
                }
            }
        }
    }
    Ok(())
}

/// The processes in the group, so those in the cluster's containers.
pub(super) fn processes() -> Vec<i32> {
    let mut found = Vec::new();
    for group in groups().unwrap_or_default() {
        collect_processes(&group, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Removes the group from every hierarchy; what was in it must have ended.
pub(super) fn remove() -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    for group in groups()? {
        // Groups cannot be removed before the kernel has let go of the last process.
        while let Err(error) = remove_group(&group) {
            if Instant::now() > deadline {
                return Err(error).with_context(|| {
                    format!("failed to remove the control group {}", group.display())
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn hierarchies() -> Result<Vec<Mount>> {
    let found: Vec<Mount> = mounts()?
        .into_iter()
        .filter(|mount| mount.kind.starts_with("cgroup"))
        .collect();
    if found.is_empty() {
        bail!("no control groups are mounted: mount them under /sys/fs/cgroup");
    }
    Ok(found)
}

fn groups() -> Result<Vec<PathBuf>> {
    Ok(hierarchies()?
        .into_iter()
        .map(|mount| mount.point.join(NAME))
        .filter(|group| group.is_dir())
        .collect())
}

fn enable_controllers(group: &Path) -> Result<()> {
    let available = fs::read_to_string(group.join("cgroup.controllers"))
        .with_context(|| format!("failed to read the controllers of {}", group.display()))?;
    for controller in available.split_whitespace() {
        // Some cannot be handed down, and the kubelet says which it misses.
        let _ = fs::write(
            group.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
    Ok(())
}

fn collect_processes(group: &Path, found: &mut Vec<i32>) {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // Zero stands for a process that this process's namespace does not show.
    found.extend(
        listed
            .lines()
            .filter_map(|line| line.parse::<i32>().ok())
            .filter(|pid| *pid > 0),
    );
    for child in children(group) {
        collect_processes(&child, found);
    }
}

fn remove_group(group: &Path) -> std::io::Result<()> {
    for child in children(group) {
        remove_group(&child)?;
    }
    fs::remove_dir(group)
}

fn children(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect()
}
