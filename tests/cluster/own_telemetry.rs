//! Javelin's own traces and log lines, at a real Collector.

use testbed::spans;

use serde_json::json;

use crate::{
    api::Api,
    cases::{
        ENDPOINT, INJECT, SOON, SYSTEM, counted, install_again, name_of, receipt, upgrade_with,
    },
    kube::{Namespace, Result, ensure, eventually, is_at_least, kubectl, pods},
};

/// An API server goes on with a trace that an administrator has begun, and Javelin with the API server's.
pub(crate) fn in_the_callers_trace() -> Result {
    let collector = ENDPOINT.rsplit_once('=').map_or("", |(_, address)| address);
    upgrade_with(&[
        ENDPOINT,
        &format!("--set=ownTelemetry.endpoint={collector}"),
    ])?;
    let namespace = Namespace::new("t-own-telemetry", &[(INJECT, "true")])?;
    let api = Api::new()?;
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "traced", "namespace": namespace.0 },
        "spec": { "containers": [{ "name": "app", "image": "a" }] },
    });
    let answer = api.dry_run_traced(namespace.0, &pod, &format!("00-{TRACE}-{CALLER}-01"))?;
    ensure!(receipt(answer.admitted()?).is_some(), "{}", answer.body);

    let replicas = pods(SYSTEM)?;
    let replicas: Vec<_> = replicas.iter().map(name_of).collect();
    // Older ones begin a trace of their own for every caller.
    let is_continued = is_at_least(36, "API servers that go on with an administrator's trace")?;
    let span = eventually("the review's span reaches the Collector", SOON, || {
        let output = kubectl(&["logs", "-n", "observability", "deploy/otel-collector"])?;
        let mut spans = spans::parse(&output).into_iter();
        let of_review = |span: &spans::Span| {
            span.service() == "javelin"
                && span.name == "review namespace"
                && (span.trace == TRACE || !is_continued)
        };
        Ok(spans.find(of_review).ok_or("none yet")?)
    })?;
    ensure!(!is_continued || !span.parent.is_empty(), "{span:?}");
    ensure!(
        span.attribute("k8s.namespace.name") == SYSTEM
            && replicas.contains(&span.attribute("k8s.pod.name")),
        "{span:?} is not of {replicas:?}"
    );
    for signal in ["traces", "logs"] {
        let exports = |result: &str| {
            let series =
                format!("javelin_otlp_requests_total{{signal=\"{signal}\",result=\"{result}\"}}");
            counted(&series)
        };
        eventually("the Collector has taken it", SOON, || {
            ensure!(exports("success")? > 0, "no {signal}");
            Ok(())
        })?;
        let failed = exports("failure")?;
        ensure!(failed == 0, "{failed} exports of {signal} were refused");
    }
    drop(namespace);
    install_again()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0bb902b7";
