//! `javelin ports` as the person at the terminal runs it: what the cluster has is what the chart has rendered, and what only
//! a cluster knows is there.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::{
    cases::{ENDPOINT, SYSTEM},
    kube::{Result, checkout, ensure, get, helm, javelin},
};

/// Rows of the installation, and of the same chart rendered.
pub(crate) fn of_the_installation() -> Result {
    let live = rows(&ports(&["-o", "json"], None)?)?;
    let webhook = between(&live, "API servers", "javelin-system/javelin")?;
    ensure!(
        webhook["port"] == 10250 && webhook["servicePort"] == 443 && webhook["code"] == "no-answer",
        "{webhook:#}"
    );

    // A rendering cannot know where API servers listen.
    let slices = get(&[
        "endpointslices",
        "-n",
        "default",
        "-l",
        "kubernetes.io/service-name=kubernetes",
    ])?;
    let listens = &slices["items"][0]["ports"][0]["port"];
    let own = between(
        &live,
        "pods of Deployment javelin-system/javelin",
        "API servers",
    )?;
    ensure!(
        listens.is_u64() && own["port"] == *listens && own["servicePort"] == 443,
        "API servers listen on {listens}: {own:#}"
    );
    let otlp = between(
        &live,
        "pods with the agent",
        "Service observability/otel-collector",
    )?;
    ensure!(
        otlp["port"] == 4318 && otlp["servicePort"] == 4318,
        "{otlp:#}"
    );

    let chart = checkout("deploy/chart").display().to_string();
    let rendered = [
        "template",
        "javelin",
        &chart,
        "--namespace",
        SYSTEM,
        ENDPOINT,
    ];
    let rendered = helm(
        "helm",
        &[&rendered[..], &["--kube-version=1.37.2"]].concat(),
    )?;
    let rendered = rows(&ports(&["-o", "json", "-f", "-"], Some(&rendered))?)?;
    let same = between(&rendered, "API servers", "javelin-system/javelin")?;
    ensure!(
        same == webhook,
        "rendered:\n{same:#}\nand in the cluster:\n{webhook:#}"
    );

    let elsewhere = ports(&["--webhook-configuration", "t-nobody"], None)?;
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    ensure!(
        elsewhere.status.code() == Some(2) && said.contains("hint: "),
        "{elsewhere:?}"
    );
    Ok(())
}

fn between<'a>(rows: &'a [Value], from: &str, to: &str) -> Result<&'a Value> {
    let is_there = |row: &&Value| {
        let has = |key: &str, part: &str| row[key].as_str().is_some_and(|text| text.contains(part));
        has("from", from) && has("to", to)
    };
    let found = rows.iter().find(is_there);
    found.ok_or_else(|| format!("nothing goes from {from} to {to}: {rows:#?}"))
}

fn rows(output: &Output) -> Result<Vec<Value>> {
    let report: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))?;
    Ok(report["ports"].as_array().cloned().unwrap_or_default())
}

fn ports(arguments: &[&str], input: Option<&str>) -> Result<Output> {
    use std::io::Write as _;
    let mut command = javelin(&["ports"]);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdin = child.stdin.take();
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        stdin
            .write_all(input.as_bytes())
            .map_err(|error| error.to_string())?;
    }
    child.wait_with_output().map_err(|error| error.to_string())
}
