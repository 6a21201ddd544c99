//! `deploy/stack/mirror.sh` between two real registries; where `crane` and `registry` are in `JAVELIN_TOOLS` or on the PATH,
//! and once more with `skopeo`, where that is.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

const STACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/stack");

/// A registry on this machine alone, until it is dropped.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(["-port", "0"]).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().to_owned();
        // Whoever stops reading stops it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            process,
            host: format!("localhost:{port}"),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two registries and what is in the first: an index of two platforms, an image behind a tag that has moved on since it was
/// pinned, and an artifact that is no image.
struct Scene {
    path: OsString,
    source: Registry,
    mirror: Registry,
    folder: tempfile::TempDir,
    index: String,
    pinned: String,
    artifact: String,
}

fn tools() -> Option<(OsString, PathBuf)> {
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::var_os("JAVELIN_TOOLS")
        .map(PathBuf::from)
        .into_iter()
        .chain(env::split_paths(&path))
        .collect();
    let find = |name: &str| {
        let mut programs = folders.iter().map(|folder| folder.join(name));
        programs.find(|program| program.is_file())
    };
    find("crane")?;
    Some((env::join_paths(&folders).ok()?, find("registry")?))
}

impl Scene {
    /// `of_images` and `of_indexes` are what `crane` is told to make these of: Docker's or OCI's media types.
    fn new(of_images: &[&str], of_indexes: &[&str]) -> Option<Self> {
        let (path, registry) = tools()?;
        let mut scene = Self {
            path,
            source: Registry::start(&registry),
            mirror: Registry::start(&registry),
            folder: tempfile::tempdir().unwrap(),
            index: String::new(),
            pinned: String::new(),
            artifact: String::new(),
        };
        let source = scene.source.host.clone();
        let name = |rest: &str| format!("{source}/{rest}");
        let [one, other] = ["one", "other"].map(|content| scene.layer(content));
        for (layer, tag, platform) in [
            (&one, "team/app:amd64", "linux/amd64"),
            (&other, "team/app:arm64", "linux/arm64"),
        ] {
            let new = ["append", "--new_layer", layer, "--new_tag", &name(tag)];
            scene.crane(&[&new[..], of_images].concat());
            scene.crane(&[
                "mutate",
                "--set-platform",
                platform,
                "--tag",
                &name(tag),
                &name(tag),
            ]);
        }
        let [amd64, arm64] = ["team/app:amd64", "team/app:arm64"].map(name);
        let index = name("team/app:1");
        let new = [
            "index", "append", "-m", &amd64, "-m", &arm64, "--tag", &index,
        ];
        scene.crane(&[&new[..], of_indexes].concat());
        scene.index = scene.crane(&["digest", &index]);
        let moving = name("other/tool:v2");
        scene.crane(&["append", "--new_layer", &one, "--new_tag", &moving]);
        scene.pinned = scene.crane(&["digest", &moving]);
        scene.crane(&["append", "--new_layer", &other, "--new_tag", &moving]);
        // What Helm pushes has a media type of its own; so has this.
        let chart = name("charts/shop:0.1.0");
        scene.crane(&[
            "append",
            "--oci-empty-base",
            "--new_layer",
            &one,
            "--new_tag",
            &chart,
        ]);
        scene.artifact = scene.crane(&["digest", &chart]);
        fs::write(
            scene.folder.path().join("list"),
            format!(
                "# What is wanted.\n{source}/team/app:1\n\n{source}/other/tool:v2@{}\n{source}/charts/shop:0.1.0 # a chart\n",
                scene.pinned
            ),
        )
        .unwrap();
        Some(scene)
    }

    /// A layer with one small file.
    fn layer(&self, content: &str) -> String {
        let file = self.folder.path().join(content);
        fs::write(&file, content).unwrap();
        let layer = self.folder.path().join(format!("{content}.tar"));
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(&layer).arg("-C").arg(self.folder.path());
        assert!(tar.arg(content).status().unwrap().success());
        layer.display().to_string()
    }

    fn crane(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("crane");
        let output = command.args(arguments).env("PATH", &self.path).output();
        let output = output.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "crane {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn mirror(&self, tool: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new("sh");
        command.arg(Path::new(STACK).join("mirror.sh"));
        command.args(["--insecure", "--tool", tool]).args(arguments);
        command
            .env("PATH", &self.path)
            .current_dir(self.folder.path());
        let Output {
            status,
            stdout,
            stderr,
        } = command.arg(&self.mirror.host).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    /// A digest in the mirror.
    fn found(&self, rest: &str) -> String {
        self.crane(&["digest", &format!("{}/{rest}", self.mirror.host)])
    }
}

#[test]
fn crane_copies_all_platforms_with_their_digests() {
    if let Some(scene) = Scene::new(&["--oci-empty-base"], &[]) {
        all_is_copied(&scene, "crane");
    }
}

/// Debian's skopeo 1.9 reads an OCI index and writes it again, and refuses where that would be another digest, as with what
/// `crane` makes. With Docker's list it does not.

#[test]
fn skopeo_copies_all_platforms_with_their_digests() {
    if let Some(scene) = Scene::new(&[], &["--docker-empty-base"])
        && Command::new("skopeo").arg("--version").output().is_ok()
    {
        all_is_copied(&scene, "skopeo");
    }
}

fn all_is_copied(scene: &Scene, tool: &str) {
    let source = &scene.source.host;
    let from = ["--from", "list"];
    let names =
        format!("{source}/team/app:1\n{source}/other/tool:v2\n{source}/charts/shop:0.1.0\n");

    let (code, told, _) = scene.mirror(tool, &[&from[..], &["--dry-run"]].concat());
    let planned = format!("{source}/team/app:1 -> {}/team/app:1\n", scene.mirror.host);
    assert!(code == 0 && told.starts_with(&planned), "{code} {told}");
    let (code, told, errors) = scene.mirror(tool, &[&from[..], &["--missing"]].concat());
    assert_eq!(
        (code, &told),
        (1, &names),
        "nothing was copied yet: {errors}"
    );
    assert!(errors.contains("lacks 3 of 3"), "{errors}");

    let (code, copied, errors) = scene.mirror(tool, &from);
    let expected = format!(
        "{source}/team/app:1@{}\n{source}/other/tool:v2@{}\n{source}/charts/shop:0.1.0@{}\n",
        scene.index, scene.pinned, scene.artifact
    );
    assert_eq!((code, &copied), (0, &expected), "{errors}");
    assert_eq!(scene.found("team/app:1"), scene.index);
    assert_eq!(
        scene.found("other/tool:v2"),
        scene.pinned,
        "the tag has moved on"
    );
    let there = format!("{}/team/app:1", scene.mirror.host);
    for platform in ["linux/amd64", "linux/arm64"] {
        let digest = scene.crane(&["digest", "--platform", platform, &there]);
        let here = format!("{}/team/app@{digest}", scene.source.host);
        assert_eq!(scene.crane(&["digest", &here]), digest, "{platform}");
    }

    // What was printed is a list that says whether everything is still the same.
    fs::write(scene.folder.path().join("kept"), copied).unwrap();
    let kept = ["--from", "kept", "--missing"];
    let (code, told, errors) = scene.mirror(tool, &kept);
    assert_eq!((code, told.as_str()), (0, ""), "{errors}");
    // One platform and a new digest, as docker pull, tag and push leave it.
    let archive = scene.folder.path().join("one-platform.tar");
    let archive = archive.to_str().unwrap();
    let index = format!("{source}/team/app:1");
    scene.crane(&["pull", "--platform", "linux/amd64", &index, archive]);
    scene.crane(&["push", archive, &there]);
    let (code, told, _) = scene.mirror(tool, &kept);
    let differs = format!("and not {}", scene.index);
    assert!(
        code == 1 && told.lines().count() == 1 && told.contains(&differs),
        "{code} {told}"
    );
}

#[test]
fn a_registry_that_does_not_answer_lacks_nothing_for_sure() {
    let Some(mut scene) = Scene::new(&[], &[]) else {
        return;
    };
    scene.mirror.process.kill().unwrap();
    scene.mirror.process.wait().unwrap();
    let (code, told, errors) = scene.mirror("crane", &["--from", "list", "--missing"]);
    assert_eq!((code, told.as_str()), (2, ""), "{errors}");
    assert!(errors.contains("cannot be told"), "{errors}");
}

#[test]
fn an_empty_list_is_no_list() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty"), "# nothing\n").unwrap();
    for list in ["empty", "none"] {
        let mut command = Command::new("sh");
        command.arg(Path::new(STACK).join("mirror.sh"));
        command.args([
            "--dry-run",
            "--tool",
            "crane",
            "--from",
            list,
            "registry.test",
        ]);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{list}");
    }
}

#[test]
fn the_lists_of_the_stack_go_where_the_charts_look() {
    let mut command = Command::new("sh");
    command.arg(Path::new(STACK).join("mirror.sh"));
    command.args(["--dry-run", "--tool", "crane", "registry.test/mirror"]);
    let output = command.output().unwrap();
    let planned = String::from_utf8(output.stdout).unwrap();
    for line in [
        "docker.io/grafana/loki:3.7.6 -> registry.test/mirror/grafana/loki:3.7.6",
        "ghcr.io/prometheus-community/charts/kube-prometheus-stack:88.5.3 -> \
         registry.test/mirror/prometheus-community/charts/kube-prometheus-stack:88.5.3",
    ] {
        assert!(
            planned.lines().any(|planned| planned == line),
            "{line}\n{planned}"
        );
    }
    let pinned = planned
        .lines()
        .find(|line| line.contains("v0.91.0"))
        .unwrap();
    assert!(
        pinned.contains("config-reloader@sha256:") && pinned.ends_with("config-reloader:v0.91.0"),
        "{pinned}"
    );
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("helm push alloy-"), "{told}");
}
