//! Programs that are installed from the crate registry, each into a folder of its own in the user cache.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use testbed::paths::Paths;
use testbed::process::run_logged;
use testbed::progress::{self, Hint};

/// One of them.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: &'static str,
    /// The one of its programs that is wanted.
    pub(crate) program: &'static str,
    pub(crate) version: &'static str,
    /// Of `cargo install`.
    pub(crate) options: &'static [&'static str],
    /// On two cores.
    pub(crate) first_time: Duration,
}

impl Crate {
    /// The program, built when it is missing.
    pub(crate) fn ensure(&self, paths: &Paths) -> Result<PathBuf> {
        let program = self.program(paths);
        if !program.is_file() {
            let log = paths.build_log(self.name);
            let hint = Hint {
                first_time: Some(self.first_time),
                log: Some(&log),
            };
            let (name, version) = (self.name, self.version);
            progress::step(&format!("Building {name} {version}"), hint, || {
                let mut command = Command::new("cargo");
                command
                    .args(["install", name, "--locked", "--version", version])
                    .args(self.options)
                    .arg("--root")
                    .arg(self.root(paths))
                    // Their release profiles are for programs that run for long; these run for seconds. They share what
                    // they depend on.
                    .arg("--profile=dev")
                    .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
                    .env("CARGO_PROFILE_DEV_DEBUG", "0")
                    .env("CARGO_TARGET_DIR", paths.cache().join("work/crates"))
                    // Not the checkout's: it has settings of its own.
                    .current_dir(paths.cache());
                run_logged(&command, &log)
            })?;
        }
        Ok(program)
    }

    /// Where it is, or will be.
    pub(crate) fn program(&self, paths: &Paths) -> PathBuf {
        self.root(paths).join("bin").join(self.program)
    }

    fn root(&self, paths: &Paths) -> PathBuf {
        let Self { name, version, .. } = self;
        paths.cache().join(format!("{name}-{version}"))
    }
}
