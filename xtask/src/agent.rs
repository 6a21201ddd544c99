//! The OpenTelemetry Java agent that Javelin ships: the jar that `agent.lock` names, and the way to another version.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::image::hex;
use crate::packages::{self, Group};
use crate::paths::Paths;
use crate::process::{create_folder, read, run_logged, write};
use crate::progress::{self, Hint};
use crate::test;

/// The jar of the version that `agent.lock` names, with the contents that it names.
pub(crate) fn jar(paths: &Paths) -> Result<PathBuf> {
    let lock = Lock::read(&lock_file(paths))?;
    let jar = cached(paths, &lock.version);
    if jar.is_file() && sha256_of(&jar)? == lock.sha256 {
        return Ok(jar);
    }
    fetch(paths, &lock.version)?;
    let found = sha256_of(&jar)?;
    if found != lock.sha256 {
        let _ = fs::remove_file(&jar);
        bail!(
            "the agent {} has the digest {found} and agent.lock wants {}: if the version there was changed on purpose, change \
             the digest too, else do not trust the file",
            lock.version,
            lock.sha256
        );
    }
    Ok(jar)
}

/// Moves `agent.lock` to another version, says which names of settings went and came, and tries it on the JVMs.
///
/// # Errors
///
/// When the version is none, cannot be fetched, or does not pass the suite: `agent.lock` then names it all the same, so
/// that what fails can be looked at.
pub(crate) fn move_to(paths: &Paths, version: &str) -> Result<()> {
    let old = jar(paths)?;
    let numbers: Vec<_> = version.split('.').collect();
    if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u32>().is_err()) {
        bail!("{version} is no version of the agent: three numbers, as in 2.33.1");
    }
    let new = cached(paths, version);
    fetch(paths, version)?;
    let lock = Lock {
        version: version.to_owned(),
        sha256: sha256_of(&new)?,
    };
    lock.write(&lock_file(paths))?;
    println!("agent.lock: {version}, sha256 {}", lock.sha256);
    let (old, new) = (settings(&old)?, settings(&new)?);
    for (title, names) in [("gone", &old - &new), ("new", &new - &old)] {
        println!("settings {title}: {}", names.len());
        for name in names {
            println!("  {name}");
        }
    }
    test::jvm_suite(paths, None)
}

fn lock_file(paths: &Paths) -> PathBuf {
    paths.root().join("agent.lock")
}

fn cached(paths: &Paths, version: &str) -> PathBuf {
    let name = format!("opentelemetry-javaagent-{version}.jar");
    paths.cache().join("agent").join(name)
}

fn fetch(paths: &Paths, version: &str) -> Result<()> {
    packages::ensure(paths, &[Group::Maven])?;
    let folder = paths.cache().join("agent");
    create_folder(&folder)?;
    let log = paths.build_log("agent");
    let hint = Hint {
        first_time: Some(Duration::from_secs(20)),
        log: Some(&log),
    };
    let text = format!("Fetching the OpenTelemetry Java agent {version}");
    progress::step(&text, hint, || {
        let mut maven = Command::new("mvn");
        maven
            .args([
                "--batch-mode",
                "--no-transfer-progress",
                "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
            ])
            .arg(format!(
                "-Dartifact=io.opentelemetry.javaagent:opentelemetry-javaagent:{version}"
            ))
            .arg(format!("-DoutputDirectory={}", folder.display()))
            // Elsewhere than the checkout: there is no project to read.
            .current_dir(&folder);
        run_logged(&maven, &log)
    })
}

fn sha256_of(file: &Path) -> Result<String> {
    Ok(hex(&Sha256::digest(read(file)?)))
}

/// The names of settings in a jar: texts of classes that begin with `otel.`. Those that a program puts together at run
/// time are not among them.
fn settings(jar: &Path) -> Result<BTreeSet<String>> {
    let opened = File::open(jar).with_context(|| format!("failed to open {}", jar.display()))?;
    let mut archive =
        ZipArchive::new(opened).with_context(|| format!("failed to read {}", jar.display()))?;
    let mut names = BTreeSet::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        // The agent keeps what it loads apart under the second.
        let name = entry.name()?;
        if name.ends_with(".class") || name.ends_with(".classdata") {
            let mut class = Vec::new();
            entry.read_to_end(&mut class)?;
            names.extend(names_in(&class));
        }
    }
    Ok(names)
}

/// A text in a class is the tag 1, its length in two bytes, and itself (JVM specification, 4.4.7).
fn names_in(class: &[u8]) -> impl Iterator<Item = String> {
    const PREFIX: &[u8] = b"otel.";
    let found = class.windows(3 + PREFIX.len()).enumerate();
    found.filter_map(move |(at, window)| {
        let [1, high, low, prefix @ ..] = window else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let text = class.get(at + 3..)?.get(..length)?;
        let is_name = prefix == PREFIX
            && length > PREFIX.len()
            && text
                .iter()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
        is_name.then(|| String::from_utf8_lossy(text).into_owned())
    })
}

/// The contents of `agent.lock`.
struct Lock {
    version: String,
    sha256: String,
}

impl Lock {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!("failed to read {}: is the checkout whole?", path.display())
        })?;
        let value = |name: &str| {
            text.lines()
                .find_map(|line| {
                    line.strip_prefix(name)?
                        .trim()
                        .strip_prefix('=')?
                        .trim()
                        .strip_prefix('"')?
                        .strip_suffix('"')
                })
                .map(str::to_owned)
                .with_context(|| format!("{} has no line `{name} = \"...\"`", path.display()))
        };
        Ok(Self {
            version: value("version")?,
            sha256: value("sha256")?,
        })
    }

    fn write(&self, path: &Path) -> Result<()> {
        let Self { version, sha256 } = self;
        write(
            path,
            format!("version = \"{version}\"\nsha256 = \"{sha256}\"\n"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.lock");
        let written = Lock {
            version: "1.2.3".to_owned(),
            sha256: "abc".to_owned(),
        };
        written.write(&path).unwrap();
        let lock = Lock::read(&path).unwrap();
        assert_eq!(
            (lock.version.as_str(), lock.sha256.as_str()),
            ("1.2.3", "abc")
        );

        fs::write(&path, "version = 1\n").unwrap();
        assert!(Lock::read(&path).is_err());
    }

    #[test]
    fn names_of_settings_are_whole_texts_of_a_class() {
        let class = b"\xca\xfe\x01\x00\x0aotel.bsp.x\x01\x00\x05otel.\x01\x00\x0botel.Not.it\x01\x00\x10otel.cut";
        assert_eq!(names_in(class).collect::<Vec<_>>(), ["otel.bsp.x"]);
    }
}
