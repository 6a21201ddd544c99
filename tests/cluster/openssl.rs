//! What OpenSSL makes of the certificates of the installation: the caBundle that API servers have, and the certificate
//! that replicas serve.
//!
//! Deliberately not here: Go's verifier, which every other case goes through, and webpki, which Javelin asks itself.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cases::SYSTEM,
    kube::{Result, ensure, get, kubectl_start},
};

pub(crate) fn judges() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let bundle = bundle()?;
    write(&folder, "bundle.crt", &bundle)?;
    let forward = Forward::start()?;
    let served = openssl(
        &folder,
        &[
            "s_client -verify_return_error -CAfile bundle.crt -verify_hostname",
            NAME,
            "-servername",
            NAME,
            "-connect",
            &forward.address,
        ],
    )?;
    ensure!(served.contains("Verify return code: 0 (ok)"), "{served}");
    drop(forward);
    let from = served.find(BEGIN).ok_or("no certificate")?;
    write(&folder, "leaf.crt", &served.as_bytes()[from..])?;

    let verify = "verify -purpose sslserver -CAfile bundle.crt -verify_hostname";
    let said = openssl(&folder, &[verify, NAME, "leaf.crt"])?;
    ensure!(said == "leaf.crt: OK\n", "{said}");
    for other in ["javelin.default.svc", "a.javelin.javelin-system.svc"] {
        refuses(&folder, &[verify, other, "leaf.crt"], "hostname mismatch")?;
    }
    refuses(
        &folder,
        &["verify -purpose sslclient -CAfile bundle.crt leaf.crt"],
        "unsuitable certificate purpose",
    )?;
    looks(
        &folder,
        "bundle.crt",
        &[
            "X509v3 Basic Constraints: critical CA:TRUE, pathlen:0 ",
            "X509v3 Name Constraints: critical Permitted: DNS:javelin.javelin-system.svc ",
            "X509v3 Key Usage: critical Certificate Sign, CRL Sign ",
            "ASN1 OID: prime256v1 ",
        ],
    )?;
    looks(
        &folder,
        "leaf.crt",
        &[
            "X509v3 Subject Alternative Name: DNS:javelin.javelin-system.svc ",
            "X509v3 Key Usage: critical Digital Signature ",
            "X509v3 Extended Key Usage: TLS Web Server Authentication ",
            "ASN1 OID: prime256v1 ",
        ],
    )?;
    key_is_good_for_nothing_else(&folder)
}

/// Whoever gets at the authority's key can impersonate Javelin, and nobody else.
fn key_is_good_for_nothing_else(folder: &TempDir) -> Result {
    let secret = get(&["secret", "javelin-ca", "-n", SYSTEM])?;
    for (key, file) in [("ca.crt", "ca.crt"), ("ca.key", "ca.key")] {
        write(folder, file, &decoded(&secret["data"][key])?)?;
    }
    for (name, is_permitted) in [(NAME, true), ("kubernetes.default.svc", false)] {
        let extensions = format!("subjectAltName=DNS:{name}");
        write(folder, "leaf.ext", extensions.as_bytes())?;
        openssl(
            folder,
            &[
                "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout x.key -out x.csr",
            ],
        )?;
        openssl(
            folder,
            &[
                "x509 -req -in x.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile leaf.ext -out x.crt",
            ],
        )?;
        let verify = &["verify -purpose sslserver -CAfile ca.crt x.crt"];
        if is_permitted {
            openssl(folder, verify)?;
        } else {
            refuses(folder, verify, "permitted subtree violation")?;
        }
    }
    Ok(())
}

/// The text of the first certificate in the file has each of these, however its lines are broken.
fn looks(folder: &TempDir, file: &str, parts: &[&str]) -> Result {
    let text = openssl(folder, &["x509 -noout -text -in", file])?;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
    for part in parts {
        ensure!(text.contains(part), "{file} has no {part:?}: {text}");
    }
    Ok(())
}

// === The installation

/// That of the first entry.
fn bundle() -> Result<Vec<u8>> {
    let configuration = get(&["mutatingwebhookconfiguration", "javelin"])?;
    decoded(&configuration["webhooks"][0]["clientConfig"]["caBundle"])
}

fn decoded(value: &Value) -> Result<Vec<u8>> {
    let text = value.as_str().ok_or("there is no such member")?;
    BASE64.decode(text).map_err(|error| error.to_string())
}

/// A way to the webhook's port from here.
struct Forward {
    kubectl: Child,
    /// It writes of each connection, and would end if nobody could read that.
    _output: BufReader<ChildStdout>,
    address: String,
}

impl Forward {
    fn start() -> Result<Self> {
        let mut kubectl =
            kubectl_start(&["port-forward", "-n", SYSTEM, "service/javelin", ":443"])?;
        let output = kubectl.stdout.take().ok_or("kubectl has no output")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        let read = output.read_line(&mut line);
        let address = line.strip_prefix("Forwarding from ");
        let address = address.and_then(|rest| Some(rest.split_once(" -> ")?.0.to_owned()));
        let forward = Self {
            kubectl,
            _output: output,
            address: address.unwrap_or_default(),
        };
        read.map_err(|error| error.to_string())?;
        ensure!(!forward.address.is_empty(), "kubectl said {line:?}");
        Ok(forward)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

// === OpenSSL

/// Its standard output.
fn openssl(folder: &TempDir, arguments: &[&str]) -> Result<String> {
    let (is_good, stdout, stderr) = run(folder, arguments)?;
    ensure!(is_good, "openssl {arguments:?}: {stderr}{stdout}");
    Ok(stdout)
}

fn refuses(folder: &TempDir, arguments: &[&str], why: &str) -> Result {
    let (is_good, _, stderr) = run(folder, arguments)?;
    ensure!(
        !is_good && stderr.contains(why),
        "openssl {arguments:?} said {stderr:?}, not {why:?}"
    );
    Ok(())
}

fn run(folder: &TempDir, arguments: &[&str]) -> Result<(bool, String, String)> {
    let output = Command::new("openssl")
        .args(arguments.iter().flat_map(|words| words.split(' ')))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("openssl did not start: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    ))
}

fn write(folder: &TempDir, name: &str, content: &[u8]) -> Result {
    fs::write(folder.path().join(name), content).map_err(|error| format!("{name}: {error}"))
}

const NAME: &str = "javelin.javelin-system.svc";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
