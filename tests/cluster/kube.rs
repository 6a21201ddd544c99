//! `kubectl` and `helm` as a person uses them, and waiting that polls with a deadline.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::figures;

/// What a test gives back: the sentence of its failure.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// Fails the test with a sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use ensure;

/// A folder of the checkout.
pub(crate) fn checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program of the tools' folder, else of the PATH.
#[expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask test` tells by it where its tools are"
)]
fn program(name: &str) -> Command {
    let ours = env::var("JAVELIN_TOOLS").map(|folder| PathBuf::from(folder).join(name));
    Command::new(
        ours.ok()
            .filter(|program| program.is_file())
            .unwrap_or_else(|| name.into()),
    )
}

/// Runs a program of the JDK that the images are made with.
#[expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask test` tells by it where the JDK is"
)]
pub(crate) fn jdk(name: &str, arguments: &[&str]) -> Result<String> {
    let home = env::var("JAVA_HOME").map(|home| PathBuf::from(home).join("bin").join(name));
    let mut command = Command::new(home.unwrap_or_else(|_| name.into()));
    succeed(name, arguments, command.args(arguments))
}

/// Our own program.
pub(crate) fn javelin(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_javelin"));
    command.args(arguments);
    command
}

/// Runs `kubectl`; its standard output, or an error with what it said.
pub(crate) fn kubectl(arguments: &[&str]) -> Result<String> {
    succeed("kubectl", arguments, program("kubectl").args(arguments))
}

/// Runs `kubectl` whatever comes of it.
pub(crate) fn kubectl_output(arguments: &[&str]) -> Output {
    program("kubectl")
        .args(arguments)
        .output()
        .expect("kubectl starts")
}

/// Starts `kubectl`, whose standard output is for the caller to read.
pub(crate) fn kubectl_start(arguments: &[&str]) -> Result<Child> {
    let mut command = program("kubectl");
    command.args(arguments).stdout(Stdio::piped());
    command.spawn().map_err(|error| error.to_string())
}

/// `kubectl … -f MANIFEST`; standard output and standard error.
pub(crate) fn kubectl_with(arguments: &[&str], manifest: &str) -> Result<(String, String)> {
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    fs::write(file.path(), manifest).map_err(|error| error.to_string())?;
    let mut command = program("kubectl");
    let output = command
        .args(arguments)
        .arg("-f")
        .arg(file.path())
        .output()
        .map_err(|error| error.to_string())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    ensure!(
        output.status.success(),
        "kubectl {arguments:?} failed: {stderr}{stdout}"
    );
    Ok((stdout, stderr))
}

/// What a line of a page shows a person at a terminal who has our programs, whatever comes of it.
pub(crate) fn shell(line: &str) -> Result<String> {
    let own = Path::new(env!("CARGO_BIN_EXE_javelin")).parent();
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = own.map(Path::to_path_buf).into_iter();
    let folders = folders.chain(env::var_os("JAVELIN_TOOLS").map(PathBuf::from));
    let path = env::join_paths(folders.chain(env::split_paths(&path)));
    let path = path.map_err(|error| error.to_string())?;
    let output = Command::new("sh")
        .args(["-c", line])
        .env("PATH", path)
        .output();
    let output = output.map_err(|error| error.to_string())?;
    let both = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&both).into_owned())
}

pub(crate) fn apply(manifest: &str) -> Result<(String, String)> {
    kubectl_with(&["apply"], manifest)
}

pub(crate) fn get(arguments: &[&str]) -> Result<Value> {
    let text = kubectl(&[&["get", "-o", "json"], arguments].concat())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Is the API server of this minor version of Kubernetes or a later one? Where it is not, the figures tell what was left out.
pub(crate) fn is_at_least(minor: u32, left_out: &str) -> Result<bool> {
    let version = kubectl(&["get", "--raw=/version"])?;
    let version: Value = serde_json::from_str(&version).map_err(|error| error.to_string())?;
    let found = version["minor"].as_str().unwrap_or_default();
    // As `33+` on managed control planes.
    let found = found.trim_end_matches('+').parse::<u32>();
    let found = found.map_err(|_| format!("{version} has no minor version"))?;
    if found < minor {
        figures::add(format!(
            "LEFT OUT on 1.{found}: {left_out}, which 1.{minor} has"
        ));
    }
    Ok(found >= minor)
}

pub(crate) fn helm(major: &str, arguments: &[&str]) -> Result<String> {
    succeed(major, arguments, program(major).args(arguments))
}

fn succeed(name: &str, arguments: &[&str], command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{name} did not start: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} {} failed: {stderr}",
        arguments.join(" ")
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asks again until it gets a value; the last answer's complaint is the error.
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match ask() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => {
                return Err(format!(
                    "not within {} s: {what}: {error}",
                    within.as_secs()
                ));
            }
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// A namespace of this test's own, gone when the value is dropped.
pub(crate) struct Namespace(pub(crate) &'static str);

impl Namespace {
    pub(crate) fn new(name: &'static str, labels: &[(&str, &str)]) -> Result<Self> {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}: {value:?}"))
            .collect();
        let manifest = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{}}}}}}}",
            labels.join(", ")
        );
        if let Err(error) = kubectl_with(&["create"], &manifest) {
            // Of an earlier run: it is on its way out, or that run was ended. Nothing can be created in it.
            ensure!(error.contains("AlreadyExists"), "{error}");
            let earlier = ["delete", "namespace", name, "--ignore-not-found"];
            kubectl(&[&earlier[..], &["--timeout=2m"]].concat())?;
            kubectl_with(&["create"], &manifest)?;
        }
        eventually(
            "the default service account",
            Duration::from_mins(2),
            || kubectl(&["get", "serviceaccount", "default", "-n", name]),
        )?;
        Ok(Self(name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = kubectl(&["delete", "namespace", self.0, "--wait=false"]);
    }
}

/// The pods of a namespace that are not on their way out.
pub(crate) fn pods(namespace: &str) -> Result<Vec<Value>> {
    let list = get(&["pods", "-n", namespace])?;
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    Ok(pods
        .into_iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .collect())
}

/// A manifest of the examples.
pub(crate) fn example(path: &str) -> Result<String> {
    let file = checkout("deploy/examples").join(path);
    fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The caBundle of each entry of our webhook configuration, as PEM; empty where there is none.
pub(crate) fn ca_bundles() -> Result<Vec<String>> {
    let configuration = get(&["mutatingwebhookconfiguration", "javelin"])?;
    let entries = configuration["webhooks"].as_array();
    let bundle = |entry: &Value| {
        let bundle = entry["clientConfig"]["caBundle"].as_str();
        let bytes = BASE64.decode(bundle.unwrap_or_default());
        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    };
    Ok(entries.into_iter().flatten().map(bundle).collect())
}

/// Takes all of them away.
pub(crate) fn wipe_ca_bundles() -> Result {
    let path = |entry| format!("/webhooks/{entry}/clientConfig/caBundle");
    let wipe: Vec<_> = (0..ca_bundles()?.len())
        .map(|entry| json!({ "op": "add", "path": path(entry), "value": "" }))
        .collect();
    let wipe = Value::from(wipe).to_string();
    let object = ["patch", "mutatingwebhookconfiguration", "javelin"];
    kubectl(&[&object[..], &["--type=json", "-p", &wipe]].concat())?;
    Ok(())
}
