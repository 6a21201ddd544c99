//! When `helm install --wait` returns, the next pod gets the agent: `cargo xtask installs`.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    api::Api,
    cases::{ENDPOINT, INJECT, SOON, SYSTEM, nothing_left, receipt, take_away},
    figures,
    kube::{Namespace, Result, checkout, ensure, eventually, helm},
};

/// Two hundred installs, with each Helm in turn, and a pod as soon as it has returned.
pub(crate) fn a_pod_right_after_each() -> Result {
    let namespace = Namespace::new("t-installs", &[(INJECT, "true")])?;
    let api = Api::new()?;
    let (mut missed, mut slowest) = (Vec::new(), Duration::ZERO);
    take_away()?;
    for number in 1..=INSTALLS {
        eventually("nothing of Javelin is left", SOON, nothing_left)?;
        let major = if number % 2 == 0 { "helm3" } else { "helm" };
        let chart = checkout("deploy/chart").display().to_string();
        let release = ["install", "javelin", &chart, "--namespace", SYSTEM];
        let how = [
            "--create-namespace",
            ENDPOINT,
            // Nobody is served that long here.
            "--set=drainGraceSeconds=0",
            "--wait",
            "--timeout=2m",
        ];
        helm(major, &[&release[..], &how].concat())?;
        let returned = Instant::now();
        let (tell, told) = mpsc::channel();
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": format!("p{number}") },
            "spec": { "schedulerName": "nobody", "containers": [{ "name": "app", "image": "a" }] },
        });
        api.create(namespace.0, &pod, move |answer| {
            let injected = answer.and_then(|answer| Ok(receipt(answer.admitted()?).is_some()));
            let _ = tell.send(injected);
        });
        slowest = slowest.max(returned.elapsed());
        let answer = told.recv_timeout(SOON).map_err(|error| error.to_string())?;
        if !answer? {
            missed.push(format!("{number} ({major})"));
        }
        if number % 10 == 0 {
            println!("{number} installs, missed: {missed:?}");
        }
        helm(
            major,
            &["uninstall", "javelin", "--namespace", SYSTEM, "--wait"],
        )?;
    }
    figures::add(format!(
        "{INSTALLS} installs, half with each Helm, and a pod within {} ms after each: missed after {missed:?}",
        slowest.as_millis()
    ));
    ensure!(missed.is_empty(), "missed after the installs {missed:?}");
    Ok(())
}

const INSTALLS: u32 = 200;
