//! How a program is built for another platform than this machine's.
//!
//! Rust's standard library for that platform comes by `rustup`. Where `rustup` cannot fetch it, Debian's unstable distribution
//! has a compiler and that library of one version: they are put into a root of their own, so that nothing of that
//! distribution comes near this system.
//!
//! Deliberately not here: any platform but `linux/arm64`. A release is made on amd64.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::packages::{self, Group};
use crate::paths::{Paths, find_program};
use crate::platform::Platform;
use crate::process::{output, run_logged};
use crate::progress::{self, Hint, note};
use crate::roots;

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
                let mut command = roots::inside(root, "/", &[], &[])?;
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
    let made = roots::folder(paths, &root_name(platform));
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

fn root_name(platform: Platform) -> String {
    format!("debian-sid-{}-{RECIPE}", platform.architecture())
}

/// The root, made when it is missing.
fn root(paths: &Paths, platform: Platform) -> Result<PathBuf> {
    roots::ensure(paths, &root_name(platform), "sid", |root, log| {
        let hint = Hint {
            first_time: Some(Duration::from_mins(4)),
            log: Some(log),
        };
        let architecture = platform.architecture();
        progress::step("Installing its compilers", hint, || {
            roots::run(root, log, &["dpkg", "--add-architecture", architecture])?;
            let library = format!("libstd-rust-dev:{architecture}");
            roots::install(root, log, &[&COMPILERS[..], &[&library]].concat())
        })
    })
}

const COMPILERS: [&str; 5] = [
    "rustc",
    "cargo",
    "gcc",
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
];

/// Bumped when what is in a root changes.
const RECIPE: &str = "1";
