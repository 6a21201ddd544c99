//! The `kubectl` plugin: the program as `kubectl-javelin` in an archive, and the manifest by which krew installs it.
//!
//! Deliberately not here: publishing. In a closed network krew takes both from files:
//! `kubectl krew install --manifest=javelin.yaml --archive=….tar.gz`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};
use testbed::image::hex;
use testbed::paths::Paths;
use testbed::platform::Platform;
use testbed::process::{create_folder, read, write};
use testbed::program;

use crate::archive::Files;

/// Writes both for this machine's platform into a folder; gives the manifest. `base` is the address of the folder that the
/// archive will be in.
pub(crate) fn write_to(paths: &Paths, folder: &Path, base: &str) -> Result<PathBuf> {
    let program = program::of_this_machine(paths)?;
    write_all(paths, folder, base, &[(Platform::host()?, &program)])
}

/// Writes an archive for each program, and one manifest for all.
pub(crate) fn write_all(
    paths: &Paths,
    folder: &Path,
    base: &str,
    programs: &[(Platform, &Path)],
) -> Result<PathBuf> {
    create_folder(folder)?;
    let mut platforms = String::new();
    for (platform, program) in programs {
        let arch = platform.architecture();
        let name = format!("kubectl-javelin-{VERSION}-linux-{arch}.tar.gz");
        let archive = folder.join(&name);
        Files::default()
            .copy("kubectl-javelin", 0o755, program)?
            .copy("LICENSE", 0o644, &paths.root().join("LICENSE"))?
            .copy("THIRD-PARTY", 0o644, &paths.root().join("THIRD-PARTY"))?
            .pack(&archive)?;
        let sha256 = hex(&Sha256::digest(read(&archive)?));
        let uri = format!("{}/{name}", base.trim_end_matches('/'));
        write!(platforms, "{}", of_platform(arch, &uri, &sha256))?;
    }
    let manifest = folder.join("javelin.yaml");
    write(&manifest, format!("{HEAD}{platforms}"))?;
    Ok(manifest)
}

fn of_platform(arch: &str, uri: &str, sha256: &str) -> String {
    format!(
        "  - selector:
      matchLabels:
        os: linux
        arch: {arch}
    uri: {uri}
    sha256: {sha256}
    bin: kubectl-javelin
    files:
    - from: kubectl-javelin
      to: .
    - from: LICENSE
      to: .
    - from: THIRD-PARTY
      to: .
"
    )
}

const HEAD: &str = concat!(
    "apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: javelin
spec:
  version: v",
    env!("CARGO_PKG_VERSION"),
    "
  shortDescription: OpenTelemetry Java agent into labelled pods
  description: |
    Shows what Javelin changes in a manifest or in a live object, and why;
    writes the change into manifests; finds out what stands between a label
    and a trace; lists pods that were missed, and images to mirror.
  platforms:
"
);

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_its_archive_and_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        write(&program, "#!/bin/sh\n").unwrap();
        let paths = Paths::from_environment().unwrap();
        let programs = Platform::ALL.map(|platform| (platform, program.as_path()));
        let manifest = write_all(&paths, folder.path(), "https://example.com/v1/", &programs);
        let manifest = String::from_utf8(read(&manifest.unwrap()).unwrap()).unwrap();
        let manifest: serde_json::Value = serde_saphyr::from_str(&manifest).unwrap();
        for (platform, entry) in Platform::ALL
            .iter()
            .zip(manifest["spec"]["platforms"].as_array().unwrap())
        {
            assert_eq!(
                entry["selector"]["matchLabels"]["arch"],
                platform.architecture()
            );
            let uri = entry["uri"].as_str().unwrap();
            let name = uri.strip_prefix("https://example.com/v1/").unwrap();
            let archive = read(&folder.path().join(name)).unwrap();
            assert_eq!(entry["sha256"], hex(&Sha256::digest(archive)));
        }
        assert_eq!(manifest["spec"]["platforms"].as_array().unwrap().len(), 2);
    }
}
