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
use tar::EntryType;

use crate::platform::Platform;
use crate::process::create_folder;

mod layer;

pub use layer::Layer;
use layer::{Entry, header};

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
    architecture: &'static str,
    created: String,
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
            architecture: go_architecture(),
            created: String::from("1970-01-01T00:00:00Z"),
            entrypoint: Vec::new(),
            user: String::from("0"),
            environment: Vec::new(),
            labels: BTreeMap::new(),
            layers: Vec::new(),
        }
    }

    /// For another platform than this machine's.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.architecture = platform.architecture();
        self
    }

    /// A time, as `2026-01-31T12:00:00Z`. Never that of the build, or two builds would differ.
    #[must_use]
    pub fn created(mut self, time: &str) -> Self {
        time.clone_into(&mut self.created);
        self
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
        let mut blobs = Blobs::default();
        let parts = self.add_to(&mut blobs, Packing::Plain)?;
        let layer_names: Vec<String> = parts.layers.iter().map(Blob::path).collect();

        let mut entry = parts.manifest.descriptor("manifest.v1+json");
        set(&mut entry, "annotations", names(&self.reference));
        set(&mut entry, "platform", self.platform_json());
        let docker = json!([{
            "Config": parts.config.path(),
            "RepoTags": [self.reference],
            "Layers": layer_names,
        }]);
        blobs.name("manifest.json", &docker)?;
        blobs.finish_layout(&entry)?;

        let image = Image {
            reference: self.reference.clone(),
            digest: parts.manifest.digest(),
            archive: archive.to_path_buf(),
            layers_bytes: parts.layers.iter().map(|layer| layer.size as u64).sum(),
            layers: layer_names,
        };
        write_whole(archive, |file| write_archive(&blobs.files, file))?;
        write_whole(&description(archive), |file| {
            Ok(file.write_all(&serde_json::to_vec_pretty(&image)?)?)
        })?;
        Ok(image)
    }

    /// The image without an archive around it: configuration, layers, and the manifest that names both.
    fn add_to(&self, blobs: &mut Blobs, packing: Packing) -> Result<Parts> {
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in &self.layers {
            let plain = layer.to_tar()?;
            diff_ids.push(format!("sha256:{}", hex(&Sha256::digest(&plain))));
            layers.push(blobs.add(packing.pack(plain)?));
        }
        let empty = json!({ "created": self.created });
        let history = vec![empty; layers.len()];
        let config = blobs.add(serde_json::to_vec(&json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": self.created,
            "config": self.config(),
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        }))?);
        let descriptors: Vec<_> = layers
            .iter()
            .map(|layer| layer.descriptor(packing.media_type()))
            .collect();
        let manifest = blobs.add(serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor("config.v1+json"),
            "layers": descriptors,
            "annotations": self.labels,
        }))?);
        Ok(Parts {
            manifest,
            config,
            layers,
        })
    }

    /// What a container engine is told: how it is run, and what is said of it.
    pub fn config(&self) -> serde_json::Value {
        json!({
            "User": self.user,
            "Env": self.environment,
            "Entrypoint": self.entrypoint,
            "Labels": self.labels,
            "WorkingDir": "/",
        })
    }

    /// Every file in it with its permissions, by its path from the root.
    pub fn files(&self) -> BTreeMap<String, u32> {
        let entries = self.layers.iter().flat_map(|layer| &layer.entries);
        let files = entries.filter_map(|(path, entry)| match entry {
            Entry::File { mode, .. } => Some((format!("/{path}"), *mode)),
            Entry::Folder { .. } | Entry::Link { .. } => None,
        });
        files.collect()
    }

    fn platform_json(&self) -> serde_json::Value {
        json!({ "architecture": self.architecture, "os": "linux" })
    }
}

/// Writes one archive with an image for each platform, behind one name; gives the digest of the index.
///
/// It is an OCI image layout alone: the format of `docker save` has no place for a second platform. Layers are
/// compressed, since there are programs that push them as they are.
pub fn write_index(images: &[ImageBuilder], archive: &Path) -> Result<String> {
    let first = images.first().context("an index wants an image")?;
    let mut blobs = Blobs::default();
    let mut entries = Vec::new();
    for image in images {
        let parts = image.add_to(&mut blobs, Packing::Gzip)?;
        let mut entry = parts.manifest.descriptor("manifest.v1+json");
        set(&mut entry, "platform", image.platform_json());
        entries.push(entry);
    }
    let index = blobs.add(serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
        "annotations": first.labels,
    }))?);
    let mut entry = index.descriptor("index.v1+json");
    set(&mut entry, "annotations", names(&first.reference));
    blobs.finish_layout(&entry)?;
    write_whole(archive, |file| write_archive(&blobs.files, file))?;
    Ok(index.digest())
}

/// What makes an image, by digest.
struct Parts {
    manifest: Blob,
    config: Blob,
    layers: Vec<Blob>,
}

/// The files of a layout.
#[derive(Default)]
struct Blobs {
    files: BTreeMap<String, Vec<u8>>,
}

impl Blobs {
    fn add(&mut self, bytes: Vec<u8>) -> Blob {
        let blob = Blob {
            hex: hex(&Sha256::digest(&bytes)),
            size: bytes.len(),
        };
        self.files.insert(blob.path(), bytes);
        blob
    }

    fn name(&mut self, name: &str, contents: &serde_json::Value) -> Result<()> {
        let contents = serde_json::to_vec(contents)?;
        self.files.insert(name.to_owned(), contents);
        Ok(())
    }

    /// With the one thing that the layout is about.
    fn finish_layout(&mut self, entry: &serde_json::Value) -> Result<()> {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        self.name("index.json", &index)?;
        self.name("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))
    }
}

/// Something in a layout that is known by its digest.
struct Blob {
    hex: String,
    size: usize,
}

impl Blob {
    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hex)
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.hex)
    }

    fn descriptor(&self, media_type: &str) -> serde_json::Value {
        json!({
            "mediaType": format!("application/vnd.oci.image.{media_type}"),
            "digest": self.digest(),
            "size": self.size,
        })
    }
}

/// How layers lie in an archive.
#[derive(Clone, Copy)]
enum Packing {
    Plain,
    Gzip,
}

impl Packing {
    fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "layer.v1.tar",
            Self::Gzip => "layer.v1.tar+gzip",
        }
    }

    fn pack(self, tar: Vec<u8>) -> Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(tar),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&tar)?;
                Ok(encoder.finish()?)
            }
        }
    }
}

/// What programs find an image in a layout by.
fn names(reference: &str) -> serde_json::Value {
    let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    json!({ "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag })
}

fn set(object: &mut serde_json::Value, key: &str, value: serde_json::Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
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
