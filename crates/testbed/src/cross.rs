//! How a program is built for another platform than this machine's.
//!
//! Rust's standard library for that platform comes by `rustup`. Where `rustup` cannot fetch it, Debian's unstable distribution
//! has a compiler and that library of one version: they are put into a root of their own, so that nothing of that
//! distribution comes near this system.
//!
//! Deliberately not here: any platform but `linux/arm64`. A release is made on amd64.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::packages::{self, Group};
use crate::paths::{Paths, find_program};
use crate::platform::Platform;
use crate::process::{create_folder, lock_file, output, run_logged};
use crate::progress::{self, Hint, note};

/// Debian's name of GCC for arm64; a root has it under the same.
pub(crate) const C_COMPILER: &str = "aarch64-linux-gnu-gcc";

/// What builds for a platform here.
#[derive(Debug, Clone)]
pub(crate) enum Toolchain {
    /// The compiler that is on PATH.
    Installed,
    /// That of a root of Debian's.
    Root(PathBuf),
}

impl Toolchain {
    /// What it says of its version.
    pub(crate) fn compiler(&self) -> Result<String> {
        let mut command = match self {
            Self::Installed => Command::new("rustc"),
            Self::Root(root) => {
                let mut command = inside(root, "/", &[], &[])?;
                command.arg("rustc");
                command
            }
        };
        output(command.arg("--version"))
    }
}

/// The toolchain for another platform, fetched when it is missing.
pub(crate) fn toolchain(paths: &Paths, platform: Platform) -> Result<Toolchain> {
    ensure!(
        platform == Platform::Arm64,
        "programs for {platform} are not built on this machine: run it on one with that architecture"
    );
    let made = root_folder(paths, platform);
    if has_standard_library(platform)? {
        packages::ensure(paths, &[Group::Cross])?;
        return Ok(Toolchain::Installed);
    }
    if made.is_dir() {
        return Ok(Toolchain::Root(made));
    }
    let by_rustup = fetch_standard_library(paths, platform);
    let Err(no_library) = by_rustup else {
        packages::ensure(paths, &[Group::Cross])?;
        return Ok(Toolchain::Installed);
    };
    note(&format!(
        "The installed compiler cannot build for {platform}: {no_library:#}\nA root of Debian's unstable distribution can"
    ));
    let root = root(paths, platform).with_context(|| {
        format!(
            "nothing here builds for {platform}. Either `rustup target add {}` has to work, and {C_COMPILER} to be \
             installed; or a root of Debian's unstable distribution, which wants Linux, root and debootstrap",
            platform.target()
        )
    })?;
    Ok(Toolchain::Root(root))
}

fn has_standard_library(platform: Platform) -> Result<bool> {
    let folder = output(Command::new("rustc").args([
        "--print=target-libdir",
        "--target",
        platform.target(),
    ]))?;
    Ok(fs::read_dir(folder).is_ok_and(|entries| entries.flatten().count() > 0))
}

fn fetch_standard_library(paths: &Paths, platform: Platform) -> Result<()> {
    let target = platform.target();
    for program in ["rustup", "timeout"] {
        ensure!(
            find_program(program).is_some(),
            "the standard library for {target} is not installed, and there is no {program} to fetch it with"
        );
    }
    let log = paths.build_log("rustup");
    let hint = Hint {
        first_time: Some(Duration::from_mins(1)),
        log: Some(&log),
    };
    let title = format!("Fetching Rust's standard library for {platform}");
    progress::step(&title, hint, || {
        // Where packets vanish it would try for a quarter of an hour.
        run_logged(
            Command::new("timeout").args(["180", "rustup", "target", "add", target]),
            &log,
        )
    })?;
    ensure!(
        has_standard_library(platform)?,
        "rustup brought no standard library for {target}"
    );
    Ok(())
}

fn root_folder(paths: &Paths, platform: Platform) -> PathBuf {
    let name = format!("debian-sid-{}-{RECIPE}", platform.architecture());
    paths.cache().join("roots").join(name)
}

/// The root, made when it is missing.
fn root(paths: &Paths, platform: Platform) -> Result<PathBuf> {
    let root = root_folder(paths, platform);
    ensure!(
        rustix::process::geteuid().is_root(),
        "making and entering a root needs the rights of root: run the same command as root"
    );
    packages::ensure(paths, &[Group::Root])?;
    let _lock = lock_file(
        &paths.cache().join("roots.lock"),
        "Waiting for another xtask that makes a root",
    )?;
    if root.is_dir() {
        return Ok(root);
    }
    let unfinished = root.with_added_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("failed to remove {}", unfinished.display()))?;
    }
    create_folder(&paths.cache().join("roots"))?;
    fill(paths, platform, &unfinished)?;
    fs::rename(&unfinished, &root)
        .with_context(|| format!("failed to move the root to {}", root.display()))?;
    Ok(root)
}

fn fill(paths: &Paths, platform: Platform, root: &Path) -> Result<()> {
    let log = paths.build_log("root");
    let hint = Hint {
        first_time: Some(Duration::from_mins(6)),
        log: Some(&log),
    };
    let mirror = packages::debian_mirror()?;
    progress::step("Unpacking Debian's unstable distribution", hint, || {
        run_logged(
            Command::new("debootstrap")
                .args(["--variant=minbase", "sid"])
                .arg(root)
                .arg(mirror),
            &log,
        )
    })?;
    let architecture = platform.architecture();
    let log = paths.build_log("root-packages");
    let hint = Hint {
        first_time: Some(Duration::from_mins(4)),
        log: Some(&log),
    };
    progress::step("Installing its compilers", hint, || {
        let run = |words: &[&str]| -> Result<()> {
            let silent = [("DEBIAN_FRONTEND", "noninteractive")];
            let mut command = inside(root, "/", &[], &silent)?;
            run_logged(command.args(words), &log)
        };
        run(&["dpkg", "--add-architecture", architecture])?;
        let dates = format!(
            "Acquire::Check-Valid-Until={}",
            packages::checks_dates_of_mirror()?
        );
        run(&["apt-get", "--quiet", "-o", &dates, "update"])?;
        let library = format!("libstd-rust-dev:{architecture}");
        let install = [
            "apt-get",
            "--quiet",
            "install",
            "--yes",
            "--no-install-recommends",
        ];
        run(&[&install[..], &COMPILERS, &[&library]].concat())?;
        run(&["apt-get", "clean"])
    })
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

const COMPILERS: [&str; 5] = [
    "rustc",
    "cargo",
    "gcc",
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
];

/// Bumped when what is in a root changes.
const RECIPE: &str = "1";
