//! The audit, over HTTP, against a stand-in for the API server with very many pods: what it holds does not grow with them.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use allocation_counter::measure;
use axum::http::Method;
use javelin::{
    api::client::{Cluster, Names},
    certs::ServiceName,
    controller::audit::{Audit, Pace},
    metrics::Metrics,
};
use serde_json::json;

use super::api_server::{Answers, api_server};

/// One in a hundred was missed, of a few workloads; all others have the agent.
struct Pods(usize);

impl Answers for Pods {
    fn answer(&mut self, method: &Method, uri: &str, _: &str, _: &[u8]) -> (u16, String) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let body = match path {
            "/api/v1/namespaces/javelin-system/services/javelin" => {
                json!({ "spec": { "selector": { "app": "javelin" } } }).to_string()
            }
            "/api/v1/namespaces/javelin-system/pods" => {
                let ready = json!([{ "type": "Ready", "status": "True" }]);
                let pod = json!({ "metadata": { "name": "javelin-1" }, "status": { "conditions": ready } });
                json!({ "items": [pod] }).to_string()
            }
            "/api/v1/pods" => self.page(query),
            _ if *method == Method::POST => json!({ "metadata": {} }).to_string(),
            _ => json!({ "items": null }).to_string(),
        };
        (200, body)
    }
}

impl Pods {
    fn page(&self, query: &str) -> String {
        let value = |key: &str| {
            let values = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut values = values.filter(|(each, _)| *each == key);
            values.next().and_then(|(_, value)| value.parse().ok())
        };
        let (from, limit): (usize, usize) =
            (value("continue").unwrap_or(0), value("limit").unwrap());
        let to = (from + limit).min(self.0);
        let rows: Vec<_> = (from..to).map(row).collect();
        let next = if to < self.0 {
            to.to_string()
        } else {
            String::new()
        };
        format!(
            r#"{{"metadata":{{"continue":"{next}"}},"rows":[{}]}}"#,
            rows.join(",")
        )
    }
}

/// Some 1 kB, which is less than the metadata of a real one has.
fn row(at: usize) -> String {
    let fields: String = (0..12).fold(String::new(), |mut text, field| {
        let _ = write!(
            text,
            r#""k:{{\"name\":\"VARIABLE_{field}_{at:05}\"}}":{{}},"#
        );
        text
    });
    let noted = if at.is_multiple_of(100) {
        "nothing"
    } else {
        "injected"
    };
    let (namespace, workload) = (at % 40, at % 500);
    format!(
        r#"{{"cells":["p{at:05}","1/1","Running",0,"5d"],"object":{{"metadata":{{"name":"w{workload}-7d9-{at:05}","namespace":"n{namespace}",
        "labels":{{"instrumentation.opentelemetry.io/inject-java":"true","pod-template-hash":"7d9"}},"annotations":{{"javelin.dev/{noted}":"{{}}"}},
        "ownerReferences":[{{"kind":"ReplicaSet","name":"w{workload}-7d9","controller":true}}],"creationTimestamp":"2026-11-23T06:00:00Z",
        "managedFields":[{{"time":"2026-11-23T06:00:00Z","fieldsV1":{{"f:spec":{{{fields}"f:x":{{}}}}}}}}]}}}}}}"#
    )
}

#[test]
fn twice_as_many_pods_take_no_more_memory() {
    let pods = Arc::new(Mutex::new(Pods(0)));
    let address = api_server(Arc::clone(&pods));
    let names = Names {
        service: ServiceName::new("javelin", "javelin-system").unwrap(),
        secret: String::new(),
        configuration: String::new(),
        probe: String::new(),
    };
    // All that is allocated for a round is allocated by this thread, and so counted.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let metrics = Arc::new(Metrics::new());
    let mut audit = {
        let _inside = runtime.enter();
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let cluster = Cluster::new(config, names).unwrap();
        let pace = Pace {
            interval: Duration::ZERO,
            pause: Duration::ZERO,
        };
        let (config, pod) = (Arc::default(), "javelin-1".to_owned());
        Audit::new(cluster, config, Arc::clone(&metrics), pod, pace)
    };
    let mut most_at_once = |count: usize| {
        pods.lock().unwrap().0 = count;
        let counted = measure(|| runtime.block_on(audit.look_once()));
        assert_eq!(missed(&metrics), count / 100);
        counted.bytes_max
    };
    // The first round also brings what stays, as a connection and what is remembered of Events.
    most_at_once(10_000);
    let (before, after) = (most_at_once(10_000), most_at_once(20_000));
    println!("at once {before} bytes with 10,000 pods, {after} with 20,000");
    // The names of 10,000 pods alone would be several times as much.
    assert!(after < before + 20_000, "{before} bytes, then {after}");
}

/// Missed pods, of all namespaces.
fn missed(metrics: &Metrics) -> usize {
    let text = metrics.encode().unwrap();
    let lines = text.lines().filter(|line| {
        line.starts_with("javelin_audit_pods{") && line.contains("reason=\"missed\"")
    });
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}
