//! System packages: found by what they provide, installed where that is ours to do, named where it is not.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::paths::{Paths, find_program};
use crate::process::run_logged;
use crate::progress::{self, Hint};

/// What a chore needs of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Running the one-node cluster.
    Cluster,
    /// Compiling C: the pause and witness images.
    C,
    /// Compiling Java and making a runtime of it.
    Java,
    /// Fetching from a Maven repository.
    Maven,
}

/// One thing that must be there, and Debian's package that brings it.
struct Need {
    provided: fn() -> bool,
    package: &'static str,
}

/// Makes sure that the groups' packages are there.
pub(crate) fn ensure(paths: &Paths, groups: &[Group]) -> Result<()> {
    let missing = missing(groups);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() || find_program("apt-get").is_none() {
        bail!(
            "some programs are missing: install what Debian calls `{list}` with this system's package manager, and run \
             the same command again"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "some packages are missing: run `sudo apt-get update && sudo apt-get install --no-install-recommends {list}`, and the same command again"
        );
    }

    progress::note(&format!("Installing the packages {list}"));
    let log = paths.build_log("packages");
    let hint = Hint {
        first_time: Some(Duration::from_secs(30)),
        log: Some(&log),
    };
    progress::step("Refreshing the package lists", hint, || {
        run_logged(apt_get().arg("update"), &log)
    })?;
    progress::step("Installing packages", hint, || {
        run_logged(
            apt_get()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(&missing),
            &log,
        )
    })?;

    let still_missing = self::missing(groups);
    if !still_missing.is_empty() {
        bail!(
            "{} installed but what is needed of {} was still not found: see {}",
            list,
            still_missing.join(" "),
            log.display()
        );
    }
    Ok(())
}

/// The folder of the CNI plugins: Debian's, or the one upstream names.
pub(crate) fn cni_plugins() -> Option<&'static Path> {
    ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"]
        .map(Path::new)
        .into_iter()
        .find(|folder| {
            ["ptp", "host-local", "portmap", "loopback"]
                .iter()
                .all(|plugin| folder.join(plugin).is_file())
        })
}

fn missing(groups: &[Group]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = groups
        .iter()
        .flat_map(|group| group.needs())
        .filter(|need| !(need.provided)())
        .map(|need| need.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

impl Group {
    fn needs(self) -> Vec<Need> {
        match self {
            Self::Cluster => vec![
                Need {
                    provided: || has("runc"),
                    package: "runc",
                },
                Need {
                    provided: || cni_plugins().is_some(),
                    package: "containernetworking-plugins",
                },
                Need {
                    provided: || has("iptables") && has("iptables-restore"),
                    package: "iptables",
                },
                Need {
                    provided: || has("conntrack"),
                    package: "conntrack",
                },
                Need {
                    provided: || has("ip"),
                    package: "iproute2",
                },
                Need {
                    provided: || has("socat"),
                    package: "socat",
                },
                Need {
                    provided: || has("nsenter") && has("setsid") && has("setpriv"),
                    package: "util-linux",
                },
                Need {
                    provided: || has("mount") && has("umount"),
                    package: "mount",
                },
            ],
            Self::C => vec![
                Need {
                    provided: || has("gcc"),
                    package: "gcc",
                },
                Need {
                    provided: has_static_libc,
                    package: "libc6-dev",
                },
            ],
            Self::Java => vec![Need {
                provided: || has("javac") && has("jlink"),
                package: "default-jdk-headless",
            }],
            Self::Maven => vec![Need {
                provided: || has("mvn"),
                package: "maven",
            }],
        }
    }
}

fn has(program: &str) -> bool {
    find_program(program).is_some()
}

fn has_static_libc() -> bool {
    Command::new("gcc")
        .arg("-print-file-name=libc.a")
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"/"))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    command
}
