//! The OpenTelemetry Java agent that Javelin ships: the jar that `agent.lock` names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::image::hex;
use crate::packages::{self, Group};
use crate::paths::Paths;
use crate::process::{create_folder, read, run_logged, write};
use crate::progress::{self, Hint};

/// The jar of the version that `agent.lock` names, with the contents that it names.
pub fn jar(paths: &Paths) -> Result<PathBuf> {
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

/// Makes `agent.lock` name another version, with the digest that its jar has, and returns that jar.
pub fn pin(paths: &Paths, version: &str) -> Result<PathBuf> {
    fetch(paths, version)?;
    let jar = cached(paths, version);
    let lock = Lock {
        version: version.to_owned(),
        sha256: sha256_of(&jar)?,
    };
    lock.write(&lock_file(paths))?;
    Ok(jar)
}

/// The licences in a jar, of the agent's own parts and of those in it: texts by their names, without the folder they are in.
pub fn licences(jar: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let opened = File::open(jar).with_context(|| format!("failed to open {}", jar.display()))?;
    let mut archive =
        ZipArchive::new(opened).with_context(|| format!("failed to read {}", jar.display()))?;
    let mut texts = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.strip_prefix(LICENCES).map(str::to_owned);
        if let Some(name) = name.filter(|name| !name.is_empty() && entry.is_file()) {
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            texts.insert(name, text);
        }
    }
    ensure!(
        texts.contains_key(LICENCE_REPORT),
        "{} has no {LICENCES}{LICENCE_REPORT}: look where this version keeps its licences, and say so in agent.rs",
        jar.display()
    );
    Ok(texts)
}

/// Where a jar has them.
const LICENCES: &str = "META-INF/licenses/";

/// The one that lists all others, among [`licences`].
pub const LICENCE_REPORT: &str = "licenses.md";

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

/// What `agent.lock` says.
pub fn lock(paths: &Paths) -> Result<Lock> {
    Lock::read(&lock_file(paths))
}

/// The contents of `agent.lock`.
#[derive(Debug)]
pub struct Lock {
    /// Of the agent.
    pub version: String,
    /// Of its jar.
    pub sha256: String,
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
    use std::io::Write as _;

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
    fn licences_are_what_the_jar_has_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let jar = |names: &[&str]| {
            let path = folder.path().join("agent.jar");
            let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
            for name in names {
                let options = zip::write::SimpleFileOptions::default();
                writer.start_file(*name, options).unwrap();
                writer.write_all(name.as_bytes()).unwrap();
            }
            writer.finish().unwrap();
            licences(&path)
        };
        let names = [
            "META-INF/MANIFEST.MF",
            "META-INF/licenses/licenses.md",
            "META-INF/licenses/a.jar/META-INF/LICENSE",
            "inst/META-INF/licenses/other",
        ];
        let found = jar(&names).unwrap();
        let keys: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a.jar/META-INF/LICENSE", "licenses.md"]);
        assert_eq!(found["licenses.md"], names[1].as_bytes());
        let told = jar(&names[..1]).unwrap_err().to_string();
        assert!(told.contains("licenses.md"), "{told}");
    }
}
