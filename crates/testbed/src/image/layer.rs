//! What a layer of an image holds, and how it is written: sorted, without times and owners.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tar::{EntryType, Header};

use crate::process::read;

/// Files on top of the layers before.
#[derive(Debug, Default)]
pub struct Layer {
    /// By path without the slash at the beginning, so that they come sorted and folders before what is in them.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// One of its paths.
#[derive(Debug)]
pub(super) enum Entry {
    Folder { mode: u32 },
    File { mode: u32, contents: Vec<u8> },
    Link { target: PathBuf },
}

impl Layer {
    /// A folder; paths have no slash at their start.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32) -> Self {
        self.insert(path, Entry::Folder { mode });
        self
    }

    /// A file with these permissions.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, contents: impl Into<Vec<u8>>) -> Self {
        self.insert(
            path,
            Entry::File {
                mode,
                contents: contents.into(),
            },
        );
        self
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &Path) -> Self {
        let target = target.to_owned();
        self.insert(path, Entry::Link { target });
        self
    }

    /// A file that is on this machine.
    pub fn copy(self, path: &str, mode: u32, source: &Path) -> Result<Self> {
        Ok(self.file(path, mode, read(source)?))
    }

    /// A folder that is on this machine, with everything in it; what can be executed stays so.
    pub fn copy_tree(mut self, path: &str, source: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;

        let entries =
            fs::read_dir(source).with_context(|| format!("failed to read {}", source.display()))?;
        for entry in entries {
            let entry = entry?;
            let inside = format!("{path}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self = self
                    .folder(&inside, 0o755)
                    .copy_tree(&inside, &entry.path())?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                self.insert(&inside, Entry::Link { target });
            } else {
                let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
                self = self.copy(
                    &inside,
                    if executable { 0o555 } else { 0o444 },
                    &entry.path(),
                )?;
            }
        }
        Ok(self)
    }

    fn insert(&mut self, path: &str, entry: Entry) {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            let parent = path.get(..end).unwrap_or_default().to_owned();
            self.entries
                .entry(parent)
                .or_insert(Entry::Folder { mode: 0o755 });
        }
        self.entries.insert(path.to_owned(), entry);
    }

    pub(super) fn to_tar(&self) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let append = match entry {
                Entry::Folder { mode } => archive.append_data(
                    &mut header(EntryType::Directory, *mode, 0),
                    format!("{path}/"),
                    io::empty(),
                ),
                Entry::File { mode, contents } => archive.append_data(
                    &mut header(EntryType::Regular, *mode, contents.len()),
                    path,
                    contents.as_slice(),
                ),
                Entry::Link { target } => {
                    archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)
                }
            };
            append.with_context(|| format!("failed to put /{path} into a layer"))?;
        }
        Ok(archive.into_inner()?)
    }
}

/// No time, no owner: nothing of the machine it is written on.
pub(super) fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
