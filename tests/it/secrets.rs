//! Nothing of a key comes out: `javelin serve` and `javelin cert` go through a rotation and through damage of every kind, with
//! every log line there is, against a stand-in for the API server. Whatever they say is searched for what they hold.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    api_server::{Objects, api_server, kubeconfig},
    running::{Running, free_ports, get},
};

/// Long, because others may be using the machine.
const DEADLINE: Duration = Duration::from_mins(1);

const PLANTED: &str = "planted-where-a-key-should-be";

struct Scene {
    folder: tempfile::TempDir,
    objects: Arc<Mutex<Objects>>,
    admin: u16,
}

impl Scene {
    fn new() -> Self {
        let objects = Arc::new(Mutex::new(Objects::new()));
        let address = api_server(Arc::clone(&objects));
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("kubeconfig"),
            kubeconfig(address, PLANTED),
        )
        .unwrap();
        let [admin] = free_ports();
        Self {
            folder,
            objects,
            admin,
        }
    }

    fn javelin(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_javelin"));
        command
            .env_clear()
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .stdin(Stdio::null());
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn serve(&self) -> Running {
        let child = self
            .javelin()
            .args(["serve", "--namespace=javelin-system", "--log=trace"])
            .args(["--settle-time=1s", "--listen=127.0.0.1:0"])
            .args(["--pod-name=javelin-1", "--pod-uid=1"])
            .arg(format!("--admin-listen=127.0.0.1:{}", self.admin))
            .stdout(Stdio::null())
            .stderr(File::create(self.log()).unwrap())
            .spawn();
        Running(child.unwrap())
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&mut Objects) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !is_so(&mut self.objects.lock().unwrap()) {
            assert!(Instant::now() < end, "{what}: {}", tail(&self.log()));
            thread::yield_now();
        }
    }

    fn edit_secret(&self, edit: impl FnOnce(&mut Value)) {
        self.objects.lock().unwrap().edit_secret(edit);
    }

    /// Everything that somebody may see by now.
    fn said(&self, said: &mut String) {
        for path in ["/metrics", "/readyz?verbose"] {
            said.push_str(&get(self.admin, path));
        }
        for arguments in [
            &["show"][..],
            &["show", "-o", "json"],
            &["rotate", "--dry-run"],
        ] {
            let output = self.javelin().arg("cert").args(arguments).output().unwrap();
            said.push_str(&String::from_utf8_lossy(&output.stdout));
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
    }
}

fn has(objects: &Objects, key: &str) -> bool {
    objects.secret["data"][key].is_string()
}

fn tail(path: &Path) -> String {
    let log = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// How this may look in a text: as it is, in base64 once more wherever that begins, in hexadecimal digits, as a list of
/// bytes.
fn guises(text: &[u8]) -> Vec<String> {
    let mut guises = vec![String::from_utf8_lossy(text).into_owned()];
    for skipped in 0..3 {
        let encoded = STANDARD.encode(&text[skipped..]);
        // Without its end, which depends on what follows.
        guises.push(encoded[..encoded.len() / 4 * 4 - 4].to_owned());
    }
    let mut hexadecimal = String::new();
    for byte in text {
        write!(hexadecimal, "{byte:02x}").unwrap();
    }
    guises.push(hexadecimal);
    guises.push(format!("{text:?}").trim_matches(['[', ']']).to_owned());
    guises
}

/// Every line of a key, and what is in them. The first line of each says only what kind of key it is.
fn of_a_key(pem: &str) -> Vec<String> {
    let lines = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .skip(1);
    let mut all: Vec<_> = lines
        .clone()
        .flat_map(|line| guises(line.as_bytes()))
        .collect();
    for line in lines {
        let whole = &line[..line.len() / 4 * 4];
        if let Ok(bytes) = STANDARD.decode(whole) {
            all.extend(guises(&bytes).split_off(4));
        }
    }
    all
}

#[test]
fn nothing_of_a_key_is_in_a_log_a_metric_an_event_or_an_error() {
    let scene = Scene::new();
    let mut said = String::new();
    let serving = scene.serve();
    let is_published = |objects: &mut Objects| {
        objects.configuration["webhooks"][0]["clientConfig"]["caBundle"].is_string()
    };
    scene.until("an authority is made and published", is_published);
    scene.until("it is ready", |_| {
        TcpStream::connect((Ipv4Addr::LOCALHOST, scene.admin)).is_ok()
    });

    scene.objects.lock().unwrap().ask_for_rotation();
    scene.until("a successor is made", |objects| has(objects, "next.key"));
    scene.said(&mut said);
    scene.until("it signs", |objects| {
        has(objects, "ca.key") && has(objects, "previous.crt") && !has(objects, "next.key")
    });

    // Whatever is in the Secret, and wherever.
    let sound = scene.objects.lock().unwrap().secret["data"].clone();
    for key in [
        "ca.crt",
        "ca.key",
        "next.crt",
        "next.key",
        "previous.crt",
        "previous.until",
        "retired",
    ] {
        for text in [
            PLANTED.to_owned(),
            format!("-----BEGIN PRIVATE KEY-----\n{PLANTED}\n-----END PRIVATE KEY-----\n"),
            // A blank line makes headers of what stands before it.
            format!("-----BEGIN PRIVATE KEY-----\n{PLANTED}\n\nAAAA\n-----END PRIVATE KEY-----\n"),
        ] {
            scene.edit_secret(|secret| {
                secret["data"] = sound.clone();
                secret["data"][key] = STANDARD.encode(text).into();
            });
            scene.said(&mut said);
        }
    }
    scene.edit_secret(|secret| secret["data"] = sound.clone());
    // And an answer that is no Secret at all, or is one in part.
    let ca_key = sound["ca.key"].as_str().unwrap();
    for nonsense in [
        json!({ "data": PLANTED }).to_string(),
        json!({ "data": { "ca.key": PLANTED } }).to_string(),
        json!({ "data": { "ca.key": ca_key, "else": 1 } }).to_string(),
        format!(r#"{{"data":{{"ca.key":"{ca_key}""#),
    ] {
        scene.objects.lock().unwrap().nonsense = Some(nonsense.clone());
        let output = scene.javelin().args(["cert", "show"]).output().unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        scene.objects.lock().unwrap().ask_for_rotation();
        scene.objects.lock().unwrap().nonsense = Some(nonsense);
        scene.until("it is read", |objects| objects.nonsense.is_none());
    }
    drop(serving);

    let objects = scene.objects.lock().unwrap();
    said.push_str(&fs::read_to_string(scene.log()).unwrap());
    said.push_str(&objects.sent.join("\n"));
    assert!(objects.keys.len() >= 2, "{} keys", objects.keys.len());
    let keys = objects.keys.iter().flat_map(|key| of_a_key(key));
    for guise in keys.chain(guises(PLANTED.as_bytes())) {
        if let Some(at) = said.find(&guise) {
            let before = said[..at].rfind('\n').map_or(0, |at| at + 1);
            let after = said[at..].find('\n').map_or(said.len(), |after| at + after);
            panic!("{guise} is in: {}", &said[before..after]);
        }
    }
    assert!(said.contains("javelin_certificates_signed_total"));
    assert!(said.contains("AuthorityPrepared"), "an Event");
    assert!(said.contains("TRACE"), "every log line there is");
}
