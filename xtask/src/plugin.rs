//! The `kubectl` plugin: the program as `kubectl-javelin` in an archive, and the manifest by which krew installs it.
//!
//! Deliberately not here: publishing. In a closed network krew takes both from files:
//! `kubectl krew install --manifest=javelin.yaml --archive=….tar.gz`.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use testbed::image::hex;
use testbed::images;
use testbed::paths::Paths;
use testbed::process::{create_folder, read, write};
use testbed::progress::{self, Hint};

/// Writes both into a folder; gives the manifest. `base` is the address of the folder that the archive will be in.
pub(crate) fn write_to(paths: &Paths, folder: &Path, base: &str) -> Result<PathBuf> {
    create_folder(folder)?;
    let program = images::static_program(paths)?;
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("there is no name of a platform for {other} here: add it in plugin.rs"),
    };
    let name = format!("kubectl-javelin-{VERSION}-linux-{arch}.tar.gz");
    let archive = folder.join(&name);
    progress::step("Writing the plugin", Hint::default(), || {
        pack(
            &archive,
            &[
                ("kubectl-javelin", 0o755, &program),
                ("LICENSE", 0o644, &paths.root().join("LICENSE")),
            ],
        )
    })?;
    let sha256 = hex(&Sha256::digest(read(&archive)?));
    let manifest = folder.join("javelin.yaml");
    let uri = format!("{}/{name}", base.trim_end_matches('/'));
    write(&manifest, of_krew(arch, &uri, &sha256))?;
    Ok(manifest)
}

/// The same bytes each time: no times, no owners.
fn pack(archive: &Path, files: &[(&str, u32, &Path)]) -> Result<()> {
    let file =
        File::create(archive).with_context(|| format!("failed to write {}", archive.display()))?;
    let gzip = GzBuilder::new().mtime(0).write(file, Compression::best());
    let mut builder = tar::Builder::new(gzip);
    for (name, mode, path) in files {
        let content = read(path)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, name, content.as_slice())?;
    }
    builder.into_inner()?.finish()?;
    Ok(())
}

fn of_krew(arch: &str, uri: &str, sha256: &str) -> String {
    format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: javelin
spec:
  version: v{VERSION}
  shortDescription: OpenTelemetry Java agent into labelled pods
  description: |
    Shows what Javelin changes in a manifest or in a live object, and why;
    writes the change into manifests; finds out what stands between a label
    and a trace; lists pods that were missed, and images to mirror.
  platforms:
  - selector:
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
"
    )
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_archive() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        write(&program, "#!/bin/sh\n").unwrap();
        let packed = |name: &str| {
            let archive = folder.path().join(name);
            pack(&archive, &[("kubectl-javelin", 0o755, &program)]).unwrap();
            read(&archive).unwrap()
        };
        assert_eq!(packed("a"), packed("b"));
        let mut unpacked = Vec::new();
        let packed = packed("a");
        let mut gzip = flate2::read::GzDecoder::new(&*packed);
        gzip.read_to_end(&mut unpacked).unwrap();
        let mut archive = tar::Archive::new(&*unpacked);
        let mut entries = archive.entries().unwrap();
        let entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap(), Path::new("kubectl-javelin"));
        assert_eq!(entry.header().mode().unwrap(), 0o755);
    }
}
