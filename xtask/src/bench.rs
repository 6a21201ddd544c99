//! `cargo xtask bench`: what a review costs, as counts that no noise touches, and as ratios within one run.
//!
//! The tables are those of `docs/performance.md`. Absolute times are not told: they are the machine's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testbed::paths::Paths;
use testbed::progress::note;

use crate::test::{cargo_command, succeed};

/// Prints allocations and instructions of a review of each kind, and the time of many sizes beside a plain parse. Then the
/// program itself is put under load, for some minutes, and `docs/performance.md` gets its tables and its picture.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    note("\n=== allocations of a review");
    let mut allocations = cargo_command(paths);
    allocations
        .args(["test", "--release", "--locked", "--quiet"])
        .args(["--package=javelin-core", "--test=allocations"])
        .args(["--", "--nocapture"]);
    succeed(&mut allocations)?;
    let program = build(paths)?;
    note("\n=== instructions of a review");
    if is_installed("valgrind") {
        instructions(&program)?;
    } else {
        note("LEFT OUT: valgrind counts them, and is not installed");
    }
    note("\n=== time of a review, as a multiple of a parse of its body by serde_json");
    succeed(&mut Command::new(&program))?;
    note("\n=== the program under load, beside a handler that does nothing");
    let mut served = cargo_command(paths);
    served
        .args(["bench", "--locked", "--package=javelin", "--bench=served"])
        .args(["--", "--docs"])
        .arg(paths.root().join("docs"));
    succeed(&mut served)
}

/// The program of `crates/javelin-core/benches/review`.
fn build(paths: &Paths) -> Result<PathBuf> {
    let mut command = cargo_command(paths);
    command
        .args(["bench", "--locked", "--no-run", "--message-format=json"])
        .args(["--package=javelin-core", "--bench=review"])
        .stderr(Stdio::inherit());
    let output = command.output().context("cargo did not start")?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}",
        output.status
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs = messages.lines().rev().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    programs.next().context("cargo names no program")
}

fn instructions(program: &Path) -> Result<()> {
    let list = Command::new(program).arg("list").output();
    let list = list.with_context(|| format!("{} did not start", program.display()))?;
    println!("| review | instructions |\n|---|---:|");
    for sample in String::from_utf8_lossy(&list.stdout).lines() {
        // What the start of the program costs is in both.
        let [few, many] = [FEW, MANY].map(|times| counted(program, sample, times));
        let each = (many? - few?) / (MANY - FEW);
        println!("| {sample} | {each} |");
    }
    Ok(())
}

/// Instructions of the whole program, with so many reviews.
fn counted(program: &Path, sample: &str, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["run", sample, &times.to_string()])
        .output()
        .context("valgrind did not start")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed:\n{told}");
    let (_, count) = told
        .split_once("Collected :")
        .with_context(|| format!("valgrind tells no count:\n{told}"))?;
    let count = count.lines().next().unwrap_or_default().trim();
    count.parse().with_context(|| format!("no count: {count}"))
}

fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

const FEW: u64 = 100;
const MANY: u64 = 600;
