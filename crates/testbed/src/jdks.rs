//! The JDKs of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::paths::{find_program, variable};
use crate::progress::note;

/// Where distributions put them.
pub const FOLDER: &str = "/usr/lib/jvm";

/// One that can be tested with.
#[derive(Debug)]
pub struct Jdk {
    /// The number that people call it by.
    pub major: u32,
    /// Its folder.
    pub home: PathBuf,
}

/// The one that compiles, then one of every other version, the oldest first.
pub fn find() -> Result<Vec<Jdk>> {
    let compiler = java_home()?;
    let first = Jdk::at(&compiler).with_context(|| {
        format!(
            "{} is no JDK that says its version in a file `release`: set JAVA_HOME to one",
            compiler.display()
        )
    })?;
    let mut homes: Vec<PathBuf> = fs::read_dir(FOLDER)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    homes.sort();
    let mut others: Vec<Jdk> = homes.iter().filter_map(|home| Jdk::at(home)).collect();
    others.sort_by_key(|jdk| jdk.major);
    others.dedup_by_key(|jdk| jdk.major);
    others.retain(|jdk| jdk.major != first.major);
    for old in others.extract_if(.., |jdk| jdk.major < OLDEST) {
        note(&format!(
            "LEFT OUT: Java {} in {}, which is older than {OLDEST}",
            old.major,
            old.home.display()
        ));
    }
    others.insert(0, first);
    Ok(others)
}

/// Where the JDK is: what the environment says, else where `javac` is.
pub fn java_home() -> Result<PathBuf> {
    if let Some(home) = variable("JAVA_HOME").map(PathBuf::from) {
        ensure!(
            home.join("bin/jlink").is_file(),
            "JAVA_HOME is {}, which has no bin/jlink: set it to a JDK, not a runtime, or unset it",
            home.display()
        );
        return Ok(home);
    }
    let compiler = find_program("javac").context("javac is not on PATH: install a JDK")?;
    let compiler = fs::canonicalize(&compiler)
        .with_context(|| format!("failed to follow {}", compiler.display()))?;
    let home = compiler
        .ancestors()
        .nth(2)
        .context("javac is not in a JDK: set JAVA_HOME to one")?;
    Ok(home.to_path_buf())
}

impl Jdk {
    fn at(home: &Path) -> Option<Self> {
        if !home.join("bin/javac").is_file() {
            return None;
        }
        let release = fs::read_to_string(home.join("release")).ok()?;
        Some(Self {
            major: major(&release)?,
            home: home.to_owned(),
        })
    }
}

/// 17 of `JAVA_VERSION="17.0.15"`, 8 of `JAVA_VERSION="1.8.0_402"`.
fn major(release: &str) -> Option<u32> {
    let version = release
        .lines()
        .find_map(|line| line.strip_prefix("JAVA_VERSION="))?
        .trim_matches('"');
    let version = version.strip_prefix("1.").unwrap_or(version);
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

/// What the suite's probe is compiled for.
const OLDEST: u32 = 11;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_major(release: &str, expected: Option<u32>) {
        assert_eq!(major(release), expected, "{release}");
    }

    #[test]
    fn a_jdk_is_called_by_its_first_number_that_counts() {
        check_major("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"17.0.15\"\n", Some(17));
        check_major("JAVA_VERSION=\"25\"\n", Some(25));
        check_major("JAVA_VERSION=\"1.8.0_402\"\n", Some(8));
        check_major("JAVA_VERSION=\"26-ea\"\n", Some(26));
        check_major("JAVA_RUNTIME_VERSION=\"17\"\n", None);
    }
}
