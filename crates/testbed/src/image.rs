//! Image archives, written without a container engine and the same to the last bit every time.
//!
//! An archive is an OCI image layout and a `docker save` archive at once: both name the same blobs. Entries are sorted,
//! times and owners are zero, and JSON keys have one order.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::process::{create_folder, read};

/// An archive that was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    reference: String,
    /// The manifest's: what a registry calls the image.
    digest: String,
    archive: PathBuf,
    /// The names of the layers in the archive.
    layers: Vec<String>,
    layers_bytes: u64,
}

impl Image {
    /// The name under which a pod asks for it.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The manifest's.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where it lies.
    pub fn archive(&self) -> &Path {
        &self.archive
    }

    /// Also keeps it elsewhere.
    pub fn copy_to(&mut self, file: &Path) -> Result<()> {
        fs::copy(&self.archive, file).with_context(|| {
            format!("failed to write {}: does its folder exist?", file.display())
        })?;
        self.archive = file.to_path_buf();
        Ok(())
    }

    /// What its layers come to when a registry has compressed them, as megabytes.
    pub fn compressed_size(&self) -> Result<String> {
        let file = File::open(&self.archive)
            .with_context(|| format!("failed to read {}", self.archive.display()))?;
        let mut archive = tar::Archive::new(file);
        let mut sum = 0;
        for entry in archive.entries()? {
            let mut entry = entry?;
            if self
                .layers
                .iter()
                .any(|layer| entry.path_bytes().as_ref() == layer.as_bytes())
            {
                let mut encoder = GzEncoder::new(Counter(0), Compression::default());
                io::copy(&mut entry, &mut encoder)?;
                sum += encoder.finish()?.0;
            }
        }
        Ok(megabytes(sum))
    }

    /// The image that is in the cache under this name.
    pub fn cached(archive: &Path) -> Option<Self> {
        let image: Self = serde_json::from_slice(&fs::read(description(archive)).ok()?).ok()?;
        image.archive.is_file().then_some(image)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.reference)?;
        writeln!(f, "  digest      {}", self.digest)?;
        writeln!(f, "  archive     {}", self.archive.display())?;
        write!(f, "  size        {}", megabytes(self.layers_bytes))
    }
}

/// What is to be in an image.
#[derive(Debug)]
pub struct ImageBuilder {
    reference: String,
    entrypoint: Vec<String>,
    user: String,
    environment: Vec<String>,
    labels: BTreeMap<String, String>,
    layers: Vec<Layer>,
}

impl ImageBuilder {
    /// Nothing but a name, as `localhost/shop:1`.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            entrypoint: Vec::new(),
            user: String::from("0"),
            environment: Vec::new(),
            labels: BTreeMap::new(),
            layers: Vec::new(),
        }
    }

    /// What it runs when it is told nothing else.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(|word| String::from(*word)).collect();
        self
    }

    /// A number: the kubelet cannot tell whether a name is root.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        self.user = format!("{id}:{id}");
        self
    }

    /// A variable of its processes.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Something that is said of it.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(String::from(name), String::from(value));
        self
    }

    /// More files, over those that it has.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Writes the archive; what was there before is replaced when the new one is whole.
    pub fn write(&self, archive: &Path) -> Result<Image> {
        let mut blobs = BTreeMap::new();
        let mut add = |bytes: Vec<u8>| {
            let digest = hex(&Sha256::digest(&bytes));
            let size = bytes.len();
            blobs.insert(format!("blobs/sha256/{digest}"), bytes);
            (digest, size)
        };

        let mut layers = Vec::new();
        for layer in &self.layers {
            layers.push(add(layer.to_tar()?));
        }
        let layer_names: Vec<String> = layers
            .iter()
            .map(|(digest, _)| format!("blobs/sha256/{digest}"))
            .collect();
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|(digest, _)| format!("sha256:{digest}"))
            .collect();
        let config = json!({
            "architecture": go_architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "User": self.user,
                "Env": self.environment,
                "Entrypoint": self.entrypoint,
                "Labels": self.labels,
                "WorkingDir": "/",
            },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": layers.iter().map(|_| json!({ "created": "1970-01-01T00:00:00Z" })).collect::<Vec<_>>(),
        });
        let (config_digest, config_size) = add(serde_json::to_vec(&config)?);
        let descriptor = |media_type: &str, digest: &str, size: usize| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{media_type}"),
                "digest": format!("sha256:{digest}"),
                "size": size,
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", &config_digest, config_size),
            "layers": layers.iter().map(|(digest, size)| descriptor("layer.v1.tar", digest, *size)).collect::<Vec<_>>(),
        });
        let (manifest_digest, manifest_size) = add(serde_json::to_vec(&manifest)?);

        let mut index_entry = descriptor("manifest.v1+json", &manifest_digest, manifest_size);
        if let Some(entry) = index_entry.as_object_mut() {
            let tag = self
                .reference
                .rsplit_once(':')
                .map_or("latest", |(_, tag)| tag);
            let names = json!({ "io.containerd.image.name": self.reference, "org.opencontainers.image.ref.name": tag });
            entry.insert(String::from("annotations"), names);
            entry.insert(
                String::from("platform"),
                json!({ "architecture": go_architecture(), "os": "linux" }),
            );
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [index_entry],
        });
        let docker = json!([{
            "Config": format!("blobs/sha256/{config_digest}"),
            "RepoTags": [self.reference],
            "Layers": layer_names,
        }]);
        blobs.insert(String::from("index.json"), serde_json::to_vec(&index)?);
        blobs.insert(String::from("manifest.json"), serde_json::to_vec(&docker)?);
        blobs.insert(
            String::from("oci-layout"),
            serde_json::to_vec(&json!({ "imageLayoutVersion": "1.0.0" }))?,
        );

        let image = Image {
            reference: self.reference.clone(),
            digest: format!("sha256:{manifest_digest}"),
            archive: archive.to_path_buf(),
            layers_bytes: layers.iter().map(|(_, size)| *size as u64).sum(),
            layers: layer_names,
        };
        write_whole(archive, |file| write_archive(&blobs, file))?;
        write_whole(&description(archive), |file| {
            Ok(file.write_all(&serde_json::to_vec_pretty(&image)?)?)
        })?;
        Ok(image)
    }
}

/// Files on top of the layers before.
#[derive(Debug, Default)]
pub struct Layer {
    /// By path without the slash at the beginning, so that they come sorted and folders before what is in them.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
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

    fn to_tar(&self) -> Result<Vec<u8>> {
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

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What Go, and so images, call this machine's architecture.
pub fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write_archive(entries: &BTreeMap<String, Vec<u8>>, file: &mut File) -> Result<()> {
    let mut archive = tar::Builder::new(file);
    for (path, contents) in entries {
        archive.append_data(
            &mut header(EntryType::Regular, 0o644, contents.len()),
            path,
            contents.as_slice(),
        )?;
    }
    archive.finish()?;
    Ok(())
}

/// No time, no owner: nothing of the machine it is written on.
fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn write_whole(path: &Path, contents: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let temporary = path.with_extension(format!("{}.unfinished", process::id()));
    let mut file = File::create(&temporary)
        .with_context(|| format!("failed to create {}", temporary.display()))?;
    contents(&mut file)
        .and_then(|()| Ok(fs::rename(&temporary, path)?))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// What is known of an archive, beside it.
fn description(archive: &Path) -> PathBuf {
    archive.with_extension("json")
}

/// A sink that only counts.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests;
