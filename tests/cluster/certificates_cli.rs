//! `javelin cert` as the person at the terminal runs it, on the real thing.

use std::process::Output;

use serde_json::Value;

use crate::kube::{Result, ensure, get, javelin, kubectl, pods};

const SYSTEM: &str = "javelin-system";

/// Text, JSON, exit codes, and a rotation that is only pretended.
pub(crate) fn show() -> Result {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = cert(&["show", "--min-days", "30"]);
    ensure!(output.status.success(), "all is well, but: {output:?}");
    ensure!(output.stderr.is_empty(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);

    let output = cert(&["show", "-o", "json"]);
    let report: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))?;
    let authorities = list(&report["secret"]["authorities"]);
    let signing = authorities
        .first()
        .and_then(|authority| authority["fingerprint"].as_str())
        .ok_or_else(|| format!("nothing signs: {report:#}"))?;
    ensure!(
        shown.contains(signing),
        "{signing} is not in the text:\n{shown}"
    );
    let entries = list(&report["entries"]);
    let configuration = get(&["mutatingwebhookconfiguration", "javelin"])?;
    let count = list(&configuration["webhooks"]).len();
    ensure!(
        entries.len() == count && entries.iter().all(|entry| entry["equalsSecret"] == true),
        "not every entry has the Secret's bundle: {report:#}"
    );
    let replicas = list(&report["replicas"]);
    ensure!(
        replicas.len() == pods(SYSTEM)?.len() && !replicas.is_empty(),
        "not every replica is shown: {report:#}"
    );
    for replica in replicas {
        let knows = ["issuer", "notAfter"].map(|key| replica[key].is_string());
        ensure!(knows == [true; 2], "a replica does not tell: {replica:#}");
    }
    no_key_is_shown(&[&shown, &text(&output.stdout)])?;

    let output = cert(&["show", "--min-days", "10000"]);
    let problems = text(&output.stderr);
    ensure!(
        output.status.code() == Some(1)
            && problems.starts_with(&format!(
                "problem: authority {signing}, which signs, expires at"
            )),
        "nothing of ours lasts for 10000 days, but: {output:?}"
    );
    let output = cert(&["show", "--javelin-namespace", "default"]);
    ensure!(output.status.code() == Some(2), "{output:?}");

    let secret = ["secret", "javelin-ca", "-n", SYSTEM];
    let before = get(&secret)?["metadata"]["resourceVersion"].clone();
    let output = cert(&["rotate", "--dry-run"]);
    ensure!(
        output.status.success() && text(&output.stdout).contains("(dry run)"),
        "{output:?}"
    );
    let after = get(&secret)?["metadata"]["resourceVersion"].clone();
    ensure!(before == after, "a dry run has changed the Secret");
    Ok(())
}

/// Nothing of it, however it may be wrapped.
fn no_key_is_shown(texts: &[&str]) -> Result {
    let path = "jsonpath={.data.ca\\.key}";
    let key = kubectl(&["get", "secret", "javelin-ca", "-n", SYSTEM, "-o", path])?;
    ensure!(key.len() > 100, "the Secret has no key to look for");
    for text in texts {
        ensure!(
            !text.contains("PRIVATE KEY") && !text.contains(&key[..40]),
            "a private key is shown"
        );
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn cert(arguments: &[&str]) -> Output {
    javelin(&[&["cert"], arguments].concat())
        .output()
        .expect("javelin starts")
}
