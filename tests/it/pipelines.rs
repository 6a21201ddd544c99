//! Helm of both majors and kustomize with `javelin inject` between: those that are in `JAVELIN_TOOLS` or on the PATH.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A program of the tools' folder or of the PATH, with `javelin` on its PATH.
pub(crate) fn program(name: &str) -> Option<Command> {
    let path = env::var_os("PATH")?;
    let tools = env::var_os("JAVELIN_TOOLS").map(PathBuf::from);
    let mut programs = tools
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(name));
    let program = programs.find(|path| path.is_file())?;
    let ours = Path::new(env!("CARGO_BIN_EXE_javelin")).parent()?;
    let folders = std::iter::once(ours.to_owned()).chain(env::split_paths(&path));
    let mut command = Command::new(program);
    command
        .env("PATH", env::join_paths(folders).ok()?)
        .env_remove("JAVELIN_CONFIG");
    Some(command)
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A chart with a Deployment and a hook, both of which ask for the agent.
fn chart(folder: &Path) {
    let templates = folder.join("templates");
    fs::create_dir_all(&templates).unwrap();
    fs::write(
        folder.join("Chart.yaml"),
        "apiVersion: v2\nname: shop\nversion: 0.1.0\n",
    )
    .unwrap();
    fs::copy(
        Path::new(ROOT).join("tests/it/manifests/shop.yaml"),
        templates.join("shop.yaml"),
    )
    .unwrap();
    let hook = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: hook\n  annotations: {helm.sh/hook: pre-install}\n  \
                labels: {instrumentation.opentelemetry.io/inject-java: \"true\"}\nspec:\n  containers:\n  - name: hook\n    \
                image: hook\n";
    fs::write(templates.join("hook.yaml"), hook).unwrap();
}

fn agents(rendered: &str) -> usize {
    rendered.matches("-javaagent:/javelin-agent/").count()
}

#[test]
fn helm_3_takes_it_as_a_post_renderer() {
    let folder = tempfile::tempdir().unwrap();
    chart(folder.path());
    let Some(mut helm) = program("helm3") else {
        return;
    };
    let rendered = output(
        helm.args(["template", "shop"])
            .arg(folder.path())
            .args(["--post-renderer", "javelin"])
            .args([
                "--post-renderer-args",
                "inject",
                "--post-renderer-args",
                "--quiet",
            ]),
    );
    assert_eq!(agents(&rendered), 1, "it shows no hooks:\n{rendered}");
    assert!(
        rendered.contains("value: -Xmx256m -javaagent:"),
        "{rendered}"
    );
}

#[test]
fn helm_4_takes_it_as_a_plugin() {
    let folder = tempfile::tempdir().unwrap();
    chart(folder.path());
    let Some(mut helm) = program("helm") else {
        return;
    };
    let version = output(&mut {
        let mut helm = program("helm").unwrap();
        helm.args(["version", "--short"]);
        helm
    });
    if !version.starts_with("v4") {
        // Helm 3, which has no such plugins.
        return;
    }
    let plugin = folder.path().join("plugins/javelin");
    fs::create_dir_all(&plugin).unwrap();
    let definition =
        fs::read_to_string(Path::new(ROOT).join("deploy/helm-plugin/plugin.yaml")).unwrap();
    assert!(definition.contains(&format!("version: {}\n", env!("CARGO_PKG_VERSION"))));
    fs::write(plugin.join("plugin.yaml"), definition).unwrap();
    let rendered = output(
        helm.env("HELM_PLUGINS", folder.path().join("plugins"))
            .args(["template", "shop"])
            .arg(folder.path())
            .args([
                "--post-renderer",
                "javelin",
                "--post-renderer-args",
                "--quiet",
            ]),
    );
    assert_eq!(agents(&rendered), 2, "hooks, too:\n{rendered}");
}

/// A block of `docs/pipelines.md`: the first one of that language which has this text in it.
fn block(language: &str, text: &str) -> String {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/pipelines.md")).unwrap();
    let fence = format!("```{language}\n");
    let mut blocks = page
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    blocks
        .find(|block| block.contains(text))
        .unwrap()
        .to_owned()
}

#[test]
fn kustomize_takes_it_as_a_function() {
    let Some(mut kustomize) = program("kustomize") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let service = fs::read_to_string(Path::new(ROOT).join("tests/it/manifests/shop.yaml")).unwrap();
    fs::write(path("orders.yaml"), service).unwrap();
    fs::write(path("javelin-inject"), block("sh", "exec javelin")).unwrap();
    fs::set_permissions(path("javelin-inject"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path("javelin.yaml"), block("yaml", "kind: Inject")).unwrap();
    fs::write(path("kustomization.yaml"), block("yaml", "transformers:")).unwrap();
    let built = output(
        kustomize
            .args(["build", "--enable-alpha-plugins", "--enable-exec"])
            .arg(folder.path()),
    );
    assert_eq!(agents(&built), 1, "{built}");
    assert!(
        built.contains("value: http://collector.observability.svc:4318"),
        "the function's configuration:\n{built}"
    );
    assert!(!built.contains("kind: ResourceList"), "{built}");
}
