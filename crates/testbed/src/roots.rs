//! Debian root file systems in folders of their own, apart from this system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::packages::{self, Group};
use crate::paths::{Paths, find_program};
use crate::process::{create_folder, make_folder_once, run_logged};
use crate::progress::{self, Hint};

/// Where the root of this name is, or would be.
pub(crate) fn folder(paths: &Paths, name: &str) -> PathBuf {
    paths.cache().join("roots").join(name)
}

/// The root of this name, made when it is missing: a small system of a distribution, to which `fill` adds. `fill` gets the
/// folder and a log file.
pub(crate) fn ensure(
    paths: &Paths,
    name: &str,
    distribution: &str,
    fill: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let root = folder(paths, name);
    ensure!(
        rustix::process::geteuid().is_root(),
        "making and entering a root needs the rights of root: run the same command as root"
    );
    packages::ensure(paths, &[Group::Root])?;
    let waiting = "Waiting for another xtask that makes a root";
    make_folder_once(&root, waiting, |unfinished| {
        bootstrap(paths, distribution, unfinished)?;
        fill(unfinished, &paths.build_log("root-packages"))
    })?;
    Ok(root)
}

fn bootstrap(paths: &Paths, distribution: &str, root: &Path) -> Result<()> {
    let log = paths.build_log("root");
    let hint = Hint {
        first_time: Some(Duration::from_mins(6)),
        log: Some(&log),
    };
    let mirror = packages::debian_mirror()?;
    let title = format!("Unpacking Debian's distribution {distribution}");
    progress::step(&title, hint, || {
        run_logged(
            Command::new("debootstrap")
                .args(["--variant=minbase", distribution])
                .arg(root)
                .arg(mirror),
            &log,
        )
    })
}

/// Runs a command in a root.
pub(crate) fn run(root: &Path, log: &Path, words: &[&str]) -> Result<()> {
    let silent = [("DEBIAN_FRONTEND", "noninteractive")];
    run_logged(inside(root, "/", &[], &silent)?.args(words), log)
}

/// Installs packages in a root.
pub(crate) fn install(root: &Path, log: &Path, packages: &[&str]) -> Result<()> {
    let dates = format!(
        "Acquire::Check-Valid-Until={}",
        packages::checks_dates_of_mirror()?
    );
    run(root, log, &["apt-get", "--quiet", "-o", &dates, "update"])?;
    let install = [
        "apt-get",
        "--quiet",
        "install",
        "--yes",
        "--no-install-recommends",
    ];
    run(root, log, &[&install, packages].concat())?;
    run(root, log, &["apt-get", "clean"])
}

/// A command in a folder of a root, with folders of this machine at places in it, as long as it runs; the program and its
/// arguments are to be added. It gets these variables, and nothing of this process's environment.
pub(crate) fn inside(
    root: &Path,
    folder: &str,
    places: &[(&Path, &str)],
    variables: &[(&str, &str)],
) -> Result<Command> {
    let Some(unshare) = find_program("unshare") else {
        bail!("unshare is not on PATH: install what Debian calls util-linux");
    };
    let mut command = Command::new(unshare);
    command
        .args(["--mount", "--propagation=private", "--"])
        .args(["/bin/sh", "-e", "-c", ENTER, "enter"])
        .arg(root);
    for (outside, place) in places {
        create_folder(&root.join(place))?;
        command.arg(outside).arg(place);
    }
    command.args(["--", "/usr/bin/env", "-i"]);
    command.arg(format!("--chdir={folder}"));
    let usual = [
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
    ];
    for (name, value) in usual.iter().chain(variables) {
        command.arg(format!("{name}={value}"));
    }
    Ok(command)
}

/// Arguments: the root, pairs of a folder and its place, `--`, the command. What is mounted ends with the last process.
const ENTER: &str = r#"
root=$1
shift
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
  mount --bind "$1" "$root/$2"
  shift 2
done
shift
exec chroot "$root" "$@"
"#;
