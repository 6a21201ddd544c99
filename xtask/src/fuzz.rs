//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, by the stable compiler.
//!
//! Counters that tell libFuzzer which code an input reaches are in our own crates alone, with what these make of generic
//! code of others. All of it is optimised, with the assertions of a development build: most of a run is in JSON and YAML
//! that others read. libFuzzer's C++ is compiled here and nowhere else.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use testbed::paths::Paths;
use testbed::process::create_folder;
use testbed::progress::note;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run this target, in place of all one after the other
    target: Option<String>,
    /// Run each target for so long
    #[arg(long, default_value_t = 60, value_name = "N", conflicts_with = "runs")]
    seconds: u64,
    /// Run each target so many times
    #[arg(long, value_name = "N")]
    runs: Option<u64>,
    /// Arguments for libFuzzer, as in `-- -help=1`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Builds the targets and runs them. What reaches new code is kept in `target/fuzz-corpus`, and what fails in
/// `fuzz/artifacts`.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let all = targets(paths)?;
    let chosen: Vec<_> = match &options.target {
        Some(target) => {
            ensure!(
                all.contains(target),
                "no target is called {target:?}; there are {}",
                all.join(", ")
            );
            vec![target.clone()]
        }
        None => all,
    };
    build(paths)?;
    let target_folder = paths.root().join("target");
    for target in chosen {
        note(&format!("\n=== {target}"));
        let corpora = paths.root().join("fuzz/corpus").join(&target);
        let found = target_folder.join("fuzz-corpus").join(&target);
        let artifacts = paths.root().join("fuzz/artifacts").join(&target);
        create_folder(&found)?;
        create_folder(&artifacts)?;
        let mut command = Command::new(target_folder.join("fuzz/fuzz"));
        command
            .env("JAVELIN_FUZZ", &target)
            .args([&found, &corpora])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!(
                "-dict={}",
                paths.root().join("fuzz/words.dict").display()
            ))
            .args(["-max_len=16384", "-timeout=20", "-rss_limit_mb=2048"])
            .arg("-print_final_stats=1")
            .arg(match options.runs {
                Some(runs) => format!("-runs={runs}"),
                None => format!("-max_total_time={}", options.seconds),
            })
            .args(&options.arguments);
        let status = command
            .status()
            .with_context(|| format!("{} did not start", command.get_program().display()))?;
        if !status.success() {
            bail!(
                "{target} ended with {status}: what it was given last is in {}",
                artifacts.display()
            );
        }
    }
    Ok(())
}

/// Their names: each has a corpus.
fn targets(paths: &Paths) -> Result<Vec<String>> {
    let folder = paths.root().join("fuzz/corpus");
    let entries = fs::read_dir(&folder)
        .with_context(|| format!("failed to read {}", folder.display()))?
        .flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

fn build(paths: &Paths) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .current_dir(paths.root())
        .args([
            "build",
            "--locked",
            "--package=javelin-fuzz",
            "--features=libfuzzer",
            "--profile=fuzz",
        ])
        .env("RUSTC_WORKSPACE_WRAPPER", paths.root().join("fuzz/rustc"));
    let status = command.status().context("cargo did not start")?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
