//! The way to another version of the OpenTelemetry Java agent.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use testbed::agent;
use testbed::paths::Paths;
use zip::ZipArchive;

use crate::test;

/// Moves `agent.lock` to another version, says which names of settings went and came, and tries it on the JVMs.
///
/// # Errors
///
/// When the version is none, cannot be fetched, or does not pass the suite: `agent.lock` then names it all the same, so
/// that what fails can be looked at.
pub(crate) fn move_to(paths: &Paths, version: &str) -> Result<()> {
    let old = agent::jar(paths)?;
    let numbers: Vec<_> = version.split('.').collect();
    if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u32>().is_err()) {
        bail!("{version} is no version of the agent: three numbers, as in 2.33.1");
    }
    let new = agent::pin(paths, version)?;
    println!("agent.lock: {version}");
    let (old, new) = (settings(&old)?, settings(&new)?);
    for (title, names) in [("gone", &old - &new), ("new", &new - &old)] {
        println!("settings {title}: {}", names.len());
        for name in names {
            println!("  {name}");
        }
    }
    test::jvm_suite(paths, None)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_settings_are_whole_texts_of_a_class() {
        let class = b"\xca\xfe\x01\x00\x0aotel.bsp.x\x01\x00\x05otel.\x01\x00\x0botel.Not.it\x01\x00\x10otel.cut";
        assert_eq!(names_in(class).collect::<Vec<_>>(), ["otel.bsp.x"]);
    }
}
