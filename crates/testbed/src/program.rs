//! The product's program, linked so that it starts from an empty root, for this machine's platform or another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cross::{self, Toolchain};
use crate::paths::{Paths, variable};
use crate::platform::Platform;
use crate::process::{create_folder, output, read, run_logged};
use crate::progress::{self, Hint};
use crate::roots;

/// The release build for this machine.
pub fn of_this_machine(paths: &Paths) -> Result<PathBuf> {
    let job = Job::new(paths, Platform::host()?, None)?;
    job.run(&Toolchain::Installed)
}

/// The release build for any platform, with the list of its crates in it as `cargo auditable` writes it. `auditable` is
/// that program.
pub fn released(paths: &Paths, platform: Platform, auditable: &Path) -> Result<Released> {
    let toolchain = if platform == Platform::host()? {
        Toolchain::Installed
    } else {
        cross::toolchain(paths, platform)?
    };
    let job = Job::new(paths, platform, Some(auditable))?;
    let built = job.run(&toolchain)?;
    // The next build of any kind writes to the same place.
    let folder = job.target_folder.join("released");
    create_folder(&folder)?;
    let program = folder.join(format!("javelin-{}", platform.architecture()));
    fs::copy(&built, &program).with_context(|| format!("failed to write {}", program.display()))?;
    Ok(Released {
        platform,
        program,
        compiler: toolchain.compiler()?,
    })
}

/// A program that is to be released.
#[derive(Debug)]
pub struct Released {
    /// What it runs on.
    pub platform: Platform,
    /// Where it is.
    pub program: PathBuf,
    /// `rustc --version` of what made it.
    pub compiler: String,
}

/// One build.
struct Job<'a> {
    paths: &'a Paths,
    platform: Platform,
    auditable: Option<&'a Path>,
    target_folder: PathBuf,
    cargo_home: PathBuf,
}

impl<'a> Job<'a> {
    fn new(paths: &'a Paths, platform: Platform, auditable: Option<&'a Path>) -> Result<Self> {
        let cargo_home = variable("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cargo")));
        Ok(Self {
            paths,
            platform,
            auditable,
            target_folder: target_folder(paths)?,
            cargo_home: cargo_home
                .context("neither CARGO_HOME nor HOME is set: set one of them")?,
        })
    }

    fn run(&self, toolchain: &Toolchain) -> Result<PathBuf> {
        let build = match toolchain {
            Toolchain::Installed => self.here(),
            Toolchain::Root(root) => self.in_root(root)?,
        };
        let architecture = self.platform.architecture();
        let log = self.paths.build_log(&format!("javelin-{architecture}"));
        let hint = Hint {
            first_time: Some(Duration::from_mins(4)),
            log: Some(&log),
        };
        let title = format!("Building javelin for {}", self.platform);
        progress::step(&title, hint, || run_logged(&build, &log))?;
        let program = self
            .target_folder_of(toolchain)
            .join(self.platform.target())
            .join("release/javelin");
        check_static(&program)?;
        Ok(program)
    }

    /// With the compiler of this machine.
    fn here(&self) -> Command {
        let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = match self.auditable {
            Some(auditable) => Command::new(auditable),
            None => Command::new(cargo),
        };
        let root = self.paths.root().display();
        let cargo_home = self.cargo_home.display();
        // Whoever builds it, the same bytes: no path of the machine.
        let flags = [
            STATIC.to_owned(),
            format!("--remap-path-prefix={root}=/javelin"),
            format!("--remap-path-prefix={cargo_home}=/cargo"),
        ];
        let c_flags = format!(
            "-ffile-prefix-map={}=/target -ffile-prefix-map={cargo_home}=/cargo",
            self.target_folder.display()
        );
        build
            .args(self.arguments())
            .arg("--locked")
            .current_dir(self.paths.root())
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env(NO_TIME.0, NO_TIME.1);
        if self.auditable.is_some() {
            build.env(format!("CFLAGS_{}", self.underscored()), c_flags);
        }
        if Platform::host().ok() != Some(self.platform) {
            let variables = self.cross_compiler_variables();
            build.envs(variables.map(|name| (name, cross::C_COMPILER)));
        }
        build
    }

    /// In a root of its own, where every path is the same on every machine.
    fn in_root(&self, root: &Path) -> Result<Command> {
        let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
        // With the network, and the settings, of this machine.
        let mut fetch = Command::new(cargo);
        fetch
            .args(["fetch", "--locked"])
            .current_dir(self.paths.root());
        run_logged(&fetch, &self.paths.build_log("fetch"))?;
        let target = self.target_folder_of(&Toolchain::Root(root.to_owned()));
        create_folder(&target)?;
        let tools = self.auditable.and_then(Path::parent);
        let tools = tools.context("only what is released is built in a root")?;
        let places = [
            (self.paths.root(), "javelin"),
            (self.cargo_home.as_path(), "cargo"),
            (target.as_path(), "target"),
            (tools, "tools"),
        ];
        let jobs = variable("CARGO_BUILD_JOBS").unwrap_or_default();
        let jobs = jobs.to_string_lossy();
        let [compiler, linker] = self.cross_compiler_variables();
        let mut variables = vec![
            ("CARGO_HOME", "/cargo"),
            ("CARGO_TARGET_DIR", "/target"),
            ("CARGO_ENCODED_RUSTFLAGS", STATIC),
            NO_TIME,
            (compiler.as_str(), cross::C_COMPILER),
            (linker.as_str(), cross::C_COMPILER),
        ];
        if !jobs.is_empty() {
            variables.push(("CARGO_BUILD_JOBS", &jobs));
        }
        let mut build = roots::inside(root, "/javelin", &places, &variables)?;
        build
            .arg("/tools/cargo-auditable")
            .args(self.arguments())
            // Offline: the root needs no settings of a registry's.
            .arg("--frozen");
        Ok(build)
    }

    fn arguments(&self) -> Vec<&'static str> {
        let mut arguments = Vec::new();
        if self.auditable.is_some() {
            arguments.push("auditable");
        }
        arguments.extend(["build", "--release", "--package=javelin", "--bin=javelin"]);
        // With a target named, the flags do not reach build scripts and procedural macros, which cannot be static.
        arguments.extend(["--target", self.platform.target()]);
        arguments
    }

    /// What names it for C, and for linking.
    fn cross_compiler_variables(&self) -> [String; 2] {
        let target = self.underscored();
        let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase());
        [format!("CC_{target}"), linker]
    }

    fn underscored(&self) -> String {
        self.platform.target().replace('-', "_")
    }

    /// Apart for each compiler: one would build everything anew after the other.
    fn target_folder_of(&self, toolchain: &Toolchain) -> PathBuf {
        match toolchain {
            Toolchain::Installed => self.target_folder.clone(),
            Toolchain::Root(_) => self.target_folder.join("debian"),
        }
    }
}

/// Where Cargo writes.
pub fn target_folder(paths: &Paths) -> Result<PathBuf> {
    let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = output(
        Command::new(&cargo)
            .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
            .current_dir(paths.root()),
    )?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).context("`cargo metadata` gave no JSON")?;
    let folder = metadata
        .get("target_directory")
        .and_then(|folder| folder.as_str());
    folder
        .map(PathBuf::from)
        .context("`cargo metadata` names no target folder")
}

/// An error unless the program asks for no loader.
pub(crate) fn check_static(program: &Path) -> Result<()> {
    let bytes = read(program)?;
    ensure!(
        interpreter_is_absent(&bytes) == Some(true),
        "{} is not a static program: check that the toolchain's target is glibc's and that its libc.a is installed",
        program.display()
    );
    Ok(())
}

/// Reads the program headers of a 64-bit little-endian ELF file.
fn interpreter_is_absent(bytes: &[u8]) -> Option<bool> {
    const PROGRAM_HEADERS: usize = 32;
    const ENTRY_SIZE: usize = 54;
    const ENTRY_COUNT: usize = 56;
    const INTERPRETER: u32 = 3;

    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let half = |at: usize| {
        Some(usize::from(u16::from_le_bytes(
            bytes.get(at..at + 2)?.try_into().ok()?,
        )))
    };
    let start = u64::from_le_bytes(
        bytes
            .get(PROGRAM_HEADERS..PROGRAM_HEADERS + 8)?
            .try_into()
            .ok()?,
    );
    let (size, count) = (half(ENTRY_SIZE)?, half(ENTRY_COUNT)?);
    for index in 0..count {
        let at = usize::try_from(start).ok()? + index * size;
        let kind = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
        if kind == INTERPRETER {
            return Some(false);
        }
    }
    Some(true)
}

/// What C sources would have for the time at which they are compiled (`__TIME__`), as the allocator's do: the same in every build.
/// <https://reproducible-builds.org/specs/source-date-epoch/>
const NO_TIME: (&str, &str) = ("SOURCE_DATE_EPOCH", "0");

/// Against glibc, whose allocator is replaced.
const STATIC: &str = "-Ctarget-feature=+crt-static";

#[cfg(test)]
mod tests;
