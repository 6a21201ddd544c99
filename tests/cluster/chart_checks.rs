//! What Helm says of the chart on a cluster: `helm test`, and the values files of `deploy/chart/ci`, which the API server has to take.

use std::{fs, path::PathBuf};

use crate::{
    cases::{ENDPOINT, SOON, SYSTEM, upgrade_with},
    charts::chart,
    kube::{Result, checkout, ensure, eventually, helm, kubectl, kubectl_with, pods, shell},
    rotation::scale,
    settled::javelin_is_rolled_out,
};

/// Good as it is installed; and without a replica it fails, and says why.
pub(crate) fn helm_test() -> Result {
    for major in ["helm", "helm3"] {
        let told = test(major)?;
        let is_good = told.contains("ended with 0") && told.contains(REACHED);
        ensure!(is_good, "{major}: {told}");
    }
    upgrade_with(&[ENDPOINT, "--set=tests.timeout=5s"])?;
    scale(0)?;
    let told = eventually("nobody is there", SOON, || {
        let left = pods(SYSTEM)?.len();
        ensure!(left == 0, "{left} pods");
        Ok(())
    })
    .and_then(|()| test("helm"));
    // What failed stays, to be looked at.
    kubectl(&["delete", "pod", "javelin-test", "-n", SYSTEM])?;
    scale(2)?;
    javelin_is_rolled_out()?;
    upgrade_with(&[ENDPOINT])?;
    let told = told?;
    let is_failed = told.contains("ended with 1") && told.contains("Javelin has no pods");
    ensure!(is_failed, "{told}");
    Ok(())
}

/// What it prints, the log of its pod among it.
fn test(major: &str) -> Result<String> {
    shell(&format!(
        "{major} test javelin --namespace {SYSTEM} --logs; echo ended with $?"
    ))
}

const REACHED: &str = "The API server reaches this webhook";

/// Nothing is created: the API server judges each object as a dry run.
pub(crate) fn values_files_are_taken() -> Result {
    let mut files: Vec<PathBuf> = fs::read_dir(checkout("deploy/chart/ci"))
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    ensure!(files.len() > 5, "{files:?}");
    for file in files {
        let values = format!("--values={}", file.display());
        for major in ["helm", "helm3"] {
            let release = ["template", "on-trial", &chart(), "--namespace", SYSTEM];
            let objects = helm(major, &[&release[..], &[&values]].concat())?;
            kubectl_with(&["apply", "--dry-run=server"], &objects)
                .map_err(|error| format!("{}, by {major}: {error}", file.display()))?;
        }
    }
    Ok(())
}
