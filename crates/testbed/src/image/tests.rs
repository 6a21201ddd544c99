use std::io::Read as _;

use super::*;

fn builder() -> ImageBuilder {
    ImageBuilder::new("localhost/thing:1")
        .entrypoint(&["/bin/thing", "--flag"])
        .user(65532)
        .environment("B", "2")
        .environment("A", "1")
        .label("z", "last")
        .label("a", "first")
        .layer(
            Layer::default()
                .file("/bin/thing", 0o555, "thing")
                .folder("/tmp", 0o1777),
        )
        .layer(Layer::default().file(&format!("/{}", "long/".repeat(40) + "name"), 0o444, "deep"))
}

fn entries(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            assert_eq!(
                (
                    header.mtime().unwrap(),
                    header.uid().unwrap(),
                    header.gid().unwrap()
                ),
                (0, 0, 0)
            );
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            (
                entry.path().unwrap().display().to_string(),
                header.mode().unwrap(),
                contents,
            )
        })
        .collect()
}

#[test]
fn two_archives_of_the_same_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (
        folder.path().join("one.tar"),
        folder.path().join("other.tar"),
    );
    let first = builder().write(&one).unwrap();
    let second = builder().write(&other).unwrap();
    assert_eq!(fs::read(&one).unwrap(), fs::read(&other).unwrap());
    assert_eq!(first.digest, second.digest);
    assert_eq!(Image::cached(&one).unwrap().digest, first.digest);
}

#[test]
fn another_mode_is_another_image() {
    let folder = tempfile::tempdir().unwrap();
    let write = |mode| {
        let layer = Layer::default().file("/a", mode, "same");
        ImageBuilder::new("x:1")
            .layer(layer)
            .write(&folder.path().join("x.tar"))
            .unwrap()
            .digest
    };
    assert_ne!(write(0o444), write(0o555));
}

#[test]
fn both_indexes_name_blobs_that_are_there_under_their_digests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar");
    let image = builder().write(&path).unwrap();
    let files: BTreeMap<String, Vec<u8>> = entries(&fs::read(&path).unwrap())
        .into_iter()
        .map(|(path, _, contents)| (path, contents))
        .collect();
    for (name, contents) in files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        assert_eq!(
            *name,
            format!("blobs/sha256/{}", hex(&Sha256::digest(contents)))
        );
    }

    let docker: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(docker[0]["RepoTags"][0], "localhost/thing:1");
    let config: serde_json::Value =
        serde_json::from_slice(&files[docker[0]["Config"].as_str().unwrap()]).unwrap();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Env"], json!(["B=2", "A=1"]));

    let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(index["manifests"][0]["digest"], image.digest);
    let manifest: serde_json::Value = serde_json::from_slice(
        &files[&format!(
            "blobs/sha256/{}",
            image.digest.trim_start_matches("sha256:")
        )],
    )
    .unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    assert_eq!(
        docker[0]["Layers"][0],
        format!("blobs/sha256/{}", layer.trim_start_matches("sha256:"))
    );
    assert_eq!(config["rootfs"]["diff_ids"][0], layer);
}

#[test]
fn a_layer_has_the_folders_of_its_files_and_is_sorted() {
    let layer = Layer::default()
        .file("/b/c/file", 0o444, "x")
        .folder("/tmp", 0o1777)
        .file("/a", 0o555, "y");
    let found: Vec<(String, u32)> = entries(&layer.to_tar().unwrap())
        .into_iter()
        .map(|(path, mode, _)| (path, mode))
        .collect();
    let wanted = [
        ("a", 0o555),
        ("b/", 0o755),
        ("b/c/", 0o755),
        ("b/c/file", 0o444),
        ("tmp/", 0o1777),
    ];
    assert_eq!(found, wanted.map(|(path, mode)| (path.to_owned(), mode)));
}

fn json_of(files: &BTreeMap<String, Vec<u8>>, name: &str) -> serde_json::Value {
    serde_json::from_slice(&files[name]).unwrap()
}

fn blob_of(descriptor: &serde_json::Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap();
    format!("blobs/{}", digest.replace(':', "/"))
}

#[test]
fn an_index_has_an_image_for_each_platform_behind_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("index.tar");
    let images = Platform::ALL.map(|platform| {
        builder()
            .platform(platform)
            .created("2026-01-31T12:00:00Z")
            .layer(Layer::default().file("/program", 0o555, platform.to_string()))
    });
    let digest = write_index(&images, &archive).unwrap();
    let files: BTreeMap<_, _> = entries(&fs::read(&archive).unwrap())
        .into_iter()
        .map(|(name, _, contents)| (name, contents))
        .collect();
    assert!(!files.contains_key("manifest.json"), "for one image alone");
    let top = json_of(&files, "index.json");
    let [entry] = top["manifests"].as_array().unwrap().as_slice() else {
        panic!("{top}");
    };
    assert_eq!(entry["digest"], digest);
    assert_eq!(
        entry["annotations"]["org.opencontainers.image.ref.name"],
        "1"
    );
    let index = json_of(&files, &blob_of(entry));
    for (platform, entry) in Platform::ALL
        .iter()
        .zip(index["manifests"].as_array().unwrap())
    {
        let architecture = platform.architecture();
        assert_eq!(entry["platform"]["architecture"], architecture);
        let manifest = json_of(&files, &blob_of(entry));
        assert_eq!(manifest["annotations"]["a"], "first");
        let config = json_of(&files, &blob_of(&manifest["config"]));
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["created"], "2026-01-31T12:00:00Z");
        let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!((layers.len(), diff_ids.len()), (3, 3));
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let mut plain = Vec::new();
            let packed = &files[&blob_of(layer)];
            assert_eq!(layer["size"], packed.len());
            flate2::read::GzDecoder::new(&packed[..])
                .read_to_end(&mut plain)
                .unwrap();
            assert_eq!(*diff_id, format!("sha256:{}", hex(&Sha256::digest(&plain))));
        }
    }
    // Two layers are the same in both images, and there once: with one layer and two more blobs for each, index and names.
    assert_eq!(files.len(), 2 + 2 * 3 + 1 + 2);
    let again = folder.path().join("again.tar");
    write_index(&images, &again).unwrap();
    assert_eq!(fs::read(&archive).unwrap(), fs::read(&again).unwrap());
}
