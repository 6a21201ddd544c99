//! A certificate that somebody else makes, with an intermediate, as `certs/README.md` says it: from Javelin's own
//! authority to it, a renewal, a mistake, and back.
//!
//! On the way there and back pods may start without the agent, by design. In between none does.
//!
//! Deliberately not here: cert-manager, which would need itself; what the chart renders for it is tested elsewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::{
    api::Api,
    cases::{INJECT, SOON, SYSTEM, metrics_path, name_of, receipt, upgrade_with},
    charts::{found_values, values_in},
    figures,
    kube::{Namespace, Result, checkout, ensure, eventually, get, kubectl, kubectl_with, pods},
    settled::hurry_kubelets,
};

pub(crate) fn there_and_back() -> Result {
    let corporate = Corporate::new()?;
    let mut bench = Bench::new()?;
    let before = webhooks()?;

    bench.switch(&corporate)?;
    eventually("pods get the agent", SOON, || bench.injects())?;
    let bundle = json!(BASE64.encode(corporate.read("ca.crt")?));
    for entry in webhooks()? {
        let found = &entry["clientConfig"]["caBundle"];
        ensure!(*found == bundle, "{} has {found}", entry["name"]);
    }
    asks_nothing()?;

    let replicas = replicas()?;
    let first = not_after()?;
    let key = corporate.read("tls.key")?;
    corporate.issue(MONTHS)?;
    corporate.store()?;
    let created = bench.while_creating("the new certificate is served", || {
        let now = not_after()?;
        ensure!(now.is_disjoint(&first), "{now:?} is served");
        Ok(())
    })?;
    figures::add(format!(
        "own certificate renewed: {created} pods created meanwhile, all with the agent"
    ));

    // That of the one before.
    replace_key(&key)?;
    let served = not_after()?;
    bench.while_creating("a wrong pair is noticed", || last_reload(0))?;
    ensure!(not_after()? == served, "something else is served");
    corporate.store()?;
    bench.while_creating("the right pair is taken", || last_reload(1))?;
    ensure!(self::replicas()? == replicas, "a replica was restarted");

    bench.go_back()?;
    eventually(
        "every entry is as the chart has it, with a caBundle",
        SOON,
        || {
            let now = webhooks()?;
            let bundle = get(&["secret", "javelin-ca", "-n", SYSTEM])?["data"]["ca.crt"].clone();
            ensure!(bundle.is_string(), "there is no authority");
            let mut expected = before.clone();
            for entry in &mut expected {
                entry["clientConfig"]["caBundle"] = bundle.clone();
            }
            ensure!(now == expected, "{now:?}");
            Ok(())
        },
    )?;
    eventually("pods get the agent", SOON, || bench.injects())?;
    eventually("every replica is reached", SOON, || {
        each_metric("javelin_probe_result{result=\"reached\"}", |value| {
            value == 1
        })
    })
}

// === The certificate

/// An example authority, and what it has issued last.
pub(crate) struct Corporate(TempDir);

impl Corporate {
    pub(crate) fn new() -> Result<Self> {
        let corporate = Self(tempfile::tempdir().map_err(|error| error.to_string())?);
        corporate.issue(MONTHS)?;
        Ok(corporate)
    }

    /// One that ends after so many days.
    pub(crate) fn issue(&self, days: u32) -> Result {
        let output = Command::new(checkout("certs/corporate-ca.sh"))
            .arg(self.0.path())
            .args(["javelin.javelin-system.svc", &days.to_string()])
            .output()
            .map_err(|error| error.to_string())?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{stderr}");
        Ok(())
    }

    pub(crate) fn read(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.file(file);
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Into the Secret, and the kubelets hurry to bring it.
    pub(crate) fn store(&self) -> Result {
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let (certificate, key) = (
            option("cert", &self.file("tls.crt")),
            option("key", &self.file("tls.key")),
        );
        let secret = ["create", "secret", "tls", SECRET, "-n", SYSTEM];
        let dry = ["--dry-run=client", "-o", "json"];
        let secret = kubectl(&[&secret[..], &[&certificate, &key], &dry].concat())?;
        kubectl_with(&["apply"], &secret)?;
        hurry_kubelets()
    }
}

/// By one that the certificate is not for.
pub(crate) fn replace_key(key: &[u8]) -> Result {
    let change = json!({ "data": { "tls.key": BASE64.encode(key) } }).to_string();
    kubectl(&["patch", "secret", SECRET, "-n", SYSTEM, "-p", &change])?;
    hurry_kubelets()
}

// === The installation

/// Put back when dropped, whatever came between.
pub(crate) struct Bench {
    api: Api,
    /// Labelled `true`.
    namespace: Namespace,
    values: NamedTempFile,
    is_back: bool,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            api: Api::new()?,
            namespace: Namespace::new("t-own-certificate", &[(INJECT, "true")])?,
            values: found_values()?,
            is_back: false,
        })
    }

    pub(crate) fn switch(&self, corporate: &Corporate) -> Result {
        corporate.store()?;
        let bundle = corporate.file("ca.crt");
        let bundle = format!("--set-file=tls.caBundle={}", bundle.display());
        let secret = format!("--set=tls.existingSecret={SECRET}");
        // The caBundle was Javelin's until now.
        self.upgrade(&["--force-conflicts", &secret, &bundle])
    }

    pub(crate) fn go_back(&mut self) -> Result {
        self.upgrade(&[])?;
        kubectl(&[
            "delete",
            "secret",
            SECRET,
            "-n",
            SYSTEM,
            "--ignore-not-found",
        ])?;
        self.is_back = true;
        Ok(())
    }

    fn upgrade(&self, set: &[&str]) -> Result {
        // Waits for what drains, too: it has the other certificate, and kube-proxy may still know it.
        upgrade_with(&[&[&values_in(&self.values)[..]], set].concat())
    }

    /// Ten pods: each is admitted, and has the agent.
    fn injects(&self) -> Result {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "try-out" },
            "spec": { "containers": [{ "name": "app", "image": "localhost/javelin-pause:1" }] },
        });
        for answer in self.api.dry_run(self.namespace.0, &vec![pod; BATCH])? {
            ensure!(
                receipt(answer.admitted()?).is_some(),
                "a pod without the agent"
            );
        }
        Ok(())
    }

    /// Creates pods until it holds; all of them have the agent. How many there were.
    fn while_creating(&self, what: &str, mut holds: impl FnMut() -> Result) -> Result<usize> {
        let deadline = Instant::now() + KUBELETS_PERIOD;
        let mut created = 0;
        loop {
            let outcome = holds();
            self.injects()
                .map_err(|error| format!("before {what}: {error}"))?;
            created += BATCH;
            match outcome {
                Ok(()) => return Ok(created),
                Err(error) if Instant::now() > deadline => {
                    return Err(format!("not in time: {what}: {error}"));
                }
                Err(_) => {}
            }
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !self.is_back
            && let Err(error) = self.go_back()
        {
            println!("not put back: {error}");
        }
    }
}

fn webhooks() -> Result<Vec<Value>> {
    let configuration = get(&["mutatingwebhookconfiguration", "javelin"])?;
    let webhooks = configuration["webhooks"].as_array().cloned();
    webhooks.ok_or_else(|| "no entries".to_owned())
}

/// No token, no right, no authority.
fn asks_nothing() -> Result {
    for pod in pods(SYSTEM)? {
        let volumes = pod["spec"]["volumes"].to_string();
        ensure!(!volumes.contains("serviceAccountToken"), "{volumes}");
    }
    let kinds = "role,rolebinding,clusterrole,clusterrolebinding";
    let own = ["-n", SYSTEM, "-l", "app.kubernetes.io/name=javelin"];
    let left = kubectl(&[&["get", kinds, "-o", "name"], &own[..]].concat())?;
    ensure!(left.is_empty(), "{left}");
    let secrets = kubectl(&["get", "secrets", "-n", SYSTEM, "-o", "name"])?;
    ensure!(!secrets.contains("javelin-ca"), "{secrets}");
    Ok(())
}

// === Replicas

/// Their names, and how often each was started.
fn replicas() -> Result<BTreeSet<(String, String)>> {
    let started = |pod: &Value| {
        let status = &pod["status"]["containerStatuses"][0];
        (name_of(pod).to_owned(), status["restartCount"].to_string())
    };
    Ok(pods(SYSTEM)?.iter().map(started).collect())
}

fn last_reload(expected: i64) -> Result {
    each_metric("javelin_certificate_last_reload_success", |value| {
        value == expected
    })
}

/// When what replicas serve ends.
fn not_after() -> Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    each_metric("javelin_leaf_not_after_timestamp_seconds", |value| {
        found.insert(value);
        value > 0
    })?;
    Ok(found)
}

/// That of each replica is right.
fn each_metric(name: &str, mut is_right: impl FnMut(i64) -> bool) -> Result {
    for pod in pods(SYSTEM)? {
        let metrics = kubectl(&["get", "--raw", &metrics_path(&pod)])?;
        let mut values = metrics
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        let value = values.next().ok_or_else(|| format!("{name} is missing"))?;
        ensure!(is_right(value), "{} has {name} {value}", name_of(&pod));
    }
    Ok(())
}

const SECRET: &str = "javelin-webhook";

/// Days that nobody has to think of a certificate for.
pub(crate) const MONTHS: u32 = 90;

const BATCH: usize = 10;

/// It brings Secrets once a minute, and Javelin looks every ten seconds.
const KUBELETS_PERIOD: Duration = Duration::from_secs(100);
