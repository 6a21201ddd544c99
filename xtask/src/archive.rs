//! Compressed archives that are the same to the last bit each time: sorted, without times and owners.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use testbed::process::read;

/// What is to be in one, or was: contents and permissions by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(BTreeMap<String, (u32, Vec<u8>)>);

impl Files {
    /// One that is on this machine.
    pub(crate) fn copy(self, name: &str, mode: u32, file: &Path) -> Result<Self> {
        Ok(self.add(name, mode, read(file)?))
    }

    pub(crate) fn add(mut self, name: &str, mode: u32, contents: impl Into<Vec<u8>>) -> Self {
        self.0.insert(name.to_owned(), (mode, contents.into()));
        self
    }

    /// Everything in an archive that somebody else wrote.
    pub(crate) fn of_archive(archive: &Path) -> Result<Self> {
        let mut files = Self::default();
        let bytes = read(archive)?;
        let mut reader = tar::Archive::new(GzDecoder::new(&*bytes));
        for entry in reader.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let mode = if entry.header().mode()? & 0o111 == 0 {
                0o644
            } else {
                0o755
            };
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents)?;
            files = files.add(&name, mode, contents);
        }
        Ok(files)
    }

    pub(crate) fn pack(&self, archive: &Path) -> Result<()> {
        let file = File::create(archive)
            .with_context(|| format!("failed to write {}", archive.display()))?;
        let gzip = GzBuilder::new().mtime(0).write(file, Compression::best());
        let mut builder = tar::Builder::new(gzip);
        for (name, (mode, contents)) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            header.set_mode(*mode);
            builder.append_data(&mut header, name, contents.as_slice())?;
        }
        builder.into_inner()?.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_archive_and_come_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let long = "long/".repeat(40) + "name";
        let files = || {
            Files::default()
                .add("program", 0o755, "#!/bin/sh\n")
                .add("LICENSE", 0o644, "text")
                .add(&long, 0o644, "deep")
        };
        files().pack(&a).unwrap();
        files().pack(&b).unwrap();
        assert_eq!(read(&a).unwrap(), read(&b).unwrap());
        assert_eq!(Files::of_archive(&a).unwrap(), files());
    }
}
