//! Java virtual machines, what they are given to run, and what it says.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// An installed JDK.
#[derive(Debug, Clone)]
pub(crate) struct Jdk {
    /// Its version, `17.0.15`.
    pub(crate) version: String,
    home: PathBuf,
}

/// The compiled probe and the stand-in for other agents; gone when dropped.
pub(crate) struct Workshop {
    folder: tempfile::TempDir,
    /// The agent under test.
    pub(crate) agent: PathBuf,
}

/// One start of a JVM.
#[derive(Debug, Default)]
pub(crate) struct Start<'a> {
    /// All of the environment.
    pub(crate) environment: Vec<(&'a str, &'a str)>,
    /// Shall the probe tell the agent's resource?
    pub(crate) resource: bool,
}

/// What came of a start.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    /// Every option that did not come from the command line, in order.
    pub(crate) options: Vec<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What the stand-ins for other agents were told, in order.
    pub(crate) neighbours: Vec<String>,
    pub(crate) stderr: String,
}

impl Jdk {
    pub(crate) fn at(home: &Path) -> Self {
        let release = fs::read_to_string(home.join("release")).expect("a JDK has a file `release`");
        let version = release
            .lines()
            .find_map(|line| line.strip_prefix("JAVA_VERSION="))
            .expect("a version in `release`");
        Self {
            version: version.trim_matches('"').to_owned(),
            home: home.to_owned(),
        }
    }

    /// Runs the probe; an error when it does not end.
    pub(crate) fn start(&self, workshop: &Workshop, start: &Start<'_>) -> Result<Outcome, String> {
        let mut command = Command::new(self.home.join("bin/java"));
        command
            .args(OWN_OPTIONS)
            .arg("-cp")
            .arg(workshop.folder.path())
            .arg("Probe")
            .args(start.resource.then_some("resource"))
            .env_clear()
            .envs(start.environment.iter().copied());
        let (status, stdout, stderr) = finish(command)?;
        let mut outcome = Outcome {
            status,
            options: Vec::new(),
            properties: BTreeMap::new(),
            attributes: BTreeMap::new(),
            neighbours: Vec::new(),
            stderr,
        };
        for line in stdout.lines() {
            if let Some(arguments) = line.strip_prefix("neighbour ") {
                outcome.neighbours.push(arguments.to_owned());
            }
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["probe", "option", option] => outcome.options.push(text(option)),
                ["probe", "property", name, value] => {
                    outcome.properties.insert(text(name), text(value));
                }
                ["probe", "attribute", name, value] => {
                    outcome.attributes.insert(text(name), text(value));
                }
                _ => {}
            }
        }
        // The JVM names those of the variable first.
        let own = outcome.options.len().saturating_sub(OWN_OPTIONS.len());
        if status.success() && outcome.options.split_off(own) != OWN_OPTIONS {
            return Err(format!(
                "the command line's options are not the last: {outcome:?}"
            ));
        }
        Ok(outcome)
    }
}

impl Workshop {
    /// Compiles what is to be run with the first JDK: its classes must do for all.
    pub(crate) fn new(jdk: &Jdk, agent: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workshop = Self { folder, agent };
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jvm");
        let mut compiler = Command::new(jdk.home.join("bin/javac"));
        compiler.args(["--release", "11", "-d"]);
        compiler.arg(workshop.folder.path());
        compiler.args(["Probe.java", "Neighbour.java"].map(|source| sources.join(source)));
        succeed(compiler);
        let manifest = workshop.folder.path().join("manifest");
        fs::write(&manifest, "Premain-Class: Neighbour\n").expect("a file");
        let mut archiver = Command::new(jdk.home.join("bin/jar"));
        archiver.args(["--create", "--file"]);
        archiver.arg(workshop.neighbour());
        archiver.arg("--manifest").arg(manifest).arg("-C");
        archiver.arg(workshop.folder.path()).arg("Neighbour.class");
        succeed(archiver);
        workshop
    }

    /// The jar that stands in for other agents.
    pub(crate) fn neighbour(&self) -> PathBuf {
        self.folder.path().join("neighbour.jar")
    }
}

fn succeed(command: Command) {
    let shown = format!("{command:?}");
    let (status, stdout, stderr) = finish(command).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(status.success(), "{shown}: {status}\n{stdout}\n{stderr}");
}

/// Runs to the end, but not for ever.
fn finish(mut command: Command) -> Result<(ExitStatus, String, String), String> {
    let shown = format!("{command:?}");
    let mut child: Child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{shown}: {error}"))?;
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    // Both end when the process does.
    let texts = stdout
        .recv_timeout(DEADLINE)
        .and_then(|stdout| Ok((stdout, stderr.recv_timeout(DEADLINE)?)));
    if texts.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("{shown}: {error}"))?;
    let (stdout, stderr) = texts.map_err(|_| format!("{shown} did not end within {DEADLINE:?}"))?;
    Ok((status, stdout, stderr))
}

fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// The probe's texts: a dot, and UTF-8 in hexadecimal.
fn text(word: &str) -> String {
    let digits = word.strip_prefix('.').expect("a text of the probe");
    let bytes = (0..digits.len()).step_by(2);
    let bytes = bytes.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"));
    String::from_utf8(bytes.collect()).expect("UTF-8")
}

/// On the command line, to save time; none of them is of interest.
const OWN_OPTIONS: [&str; 2] = ["-Xshare:auto", "-XX:TieredStopAtLevel=1"];

/// A start takes seconds; a machine under load takes some more.
const DEADLINE: Duration = Duration::from_mins(2);
