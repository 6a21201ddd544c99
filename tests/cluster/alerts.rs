//! Each of the chart's alerts, on a real Prometheus: it fires by the fault that its runbook names, and resolves by the
//! remedy that stands there: `cargo xtask alerts`.
//!
//! The faults are real ones, but for one: the released program has no way to panic, so that of `JavelinPanic` only the
//! expression is seen to work. The durations after which alerts fire are left to promtool, as `tests/chart/alerts.test.yaml`
//! has them; here they fire at once. An alert that looks back at ten minutes of calls resolves ten minutes later, so the
//! scenario ends with a wait for the last of them.
//!
//! Only on a cluster of our own, whose processes and packets are this machine's.

mod bench;
mod prometheus;

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use self::{
    bench::{Alert, Bench},
    prometheus::Prometheus,
};
use crate::{
    api::Api,
    cases::{
        ENDPOINT, INJECT, SOON, SYSTEM, injected_pod, install_again, name_of, pause_deployment,
        pods_get_the_agent, take_away, upgrade_with,
    },
    charts::{chart, cluster_ca},
    kube::{Namespace, Result, apply, ensure, eventually, get, helm, kubectl, pods},
    load,
    own_certificate::{self, Corporate},
    process::Process,
    reach::{CLOSED, Changed, replace_replicas},
    rotation::{Secret, request_rotation, scale},
    second_chance::{Broken, calls_come_through, no_call_comes_through, restart_missed},
    settled::{hurry_kubelets, javelin_is_rolled_out},
    webhooks,
};

type Fault = fn(&mut Bench) -> Result;

/// Those that make no call fail come first: some of the others need a Prometheus that has known the API server for a while.
const FAULTS: [(&str, Fault); 18] = [
    ("a panic", a_panic),
    ("a refused configuration", a_refused_configuration),
    ("a profile without an entry", a_profile_without_an_entry),
    ("an entry that was changed", an_entry_that_was_changed),
    ("a second release", a_second_release),
    ("a full node", a_full_node),
    ("pods that are skipped", pods_that_are_skipped),
    ("an audit without rights", an_audit_without_rights),
    ("pods that crash", pods_that_crash),
    ("a replica that is cut off", a_replica_that_is_cut_off),
    ("slow replicas", slow_replicas),
    ("too many connections", too_many_connections),
    ("calls that fail", calls_that_fail),
    ("pods that are missed", pods_that_are_missed),
    ("another authority", another_authority),
    ("a closed port", a_closed_port),
    ("a certificate of one's own", a_certificate_of_ones_own),
    ("no replica", no_replica),
];

pub(crate) fn each_fires_and_resolves() -> Result {
    ensure!(
        load::logs().is_some(),
        "this needs a cluster of our own: unset KUBECONFIG"
    );
    let mut bench = Bench::new()?;
    for (name, fault) in FAULTS {
        fault(&mut bench).map_err(|error| format!("{name}: {error}"))?;
    }
    bench.end()?;
    drop(bench);
    // With an authority that lives for as long as the chart has it.
    take_away()?;
    install_again()
}

// === Configuration

/// Only the expression: a threshold below zero is what no panic is above. The chart's schema would refuse it.
fn a_panic(bench: &mut Bench) -> Result {
    let below_zero = [
        "--skip-schema-validation",
        "--set=metrics.prometheusRule.alerts.JavelinPanic.threshold=-1",
    ];
    bench.fires(
        "none, but a threshold below zero",
        &[Alert::named("JavelinPanic")],
        |prometheus| prometheus.follow_release(&below_zero),
        || Ok(()),
    )?;
    bench.resolves(&["JavelinPanic"], |prometheus| {
        prometheus.follow_release(&[])
    })
}

fn a_refused_configuration(bench: &mut Bench) -> Result {
    bench.fires(
        "an unknown key in the ConfigMap",
        &[Alert::named("JavelinConfigRejected").shown_by("kubectl logs", "nonsense")],
        |_| write_configuration("nonsense: true\n"),
        || Ok(()),
    )?;
    bench.resolves(&["JavelinConfigRejected"], take_back)
}

fn a_profile_without_an_entry(bench: &mut Bench) -> Result {
    bench.fires(
        "a profile in the ConfigMap that is not in the chart's values",
        &[Alert::named("JavelinProfileWithoutEntry").shown_by("kubectl logs", "by-hand")],
        |_| write_configuration("profiles: {by-hand: {delivery: none}}\n"),
        || Ok(()),
    )?;
    bench.resolves(&["JavelinProfileWithoutEntry"], take_back)
}

fn an_entry_that_was_changed(bench: &mut Bench) -> Result {
    bench.fires(
        "an entry's selector is emptied by hand",
        &[Alert::named("JavelinEntriesDrifted")
            .with("drift", "lost")
            .shown_by("javelin check", "its objectSelector has lost")],
        |_| {
            let change = r#"[{"op": "remove", "path": "/webhooks/0/objectSelector"}]"#;
            let object = ["patch", "mutatingwebhookconfiguration", "javelin"];
            kubectl(&[&object[..], &["--type=json", "-p", change]].concat())
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinEntriesDrifted"], take_back)
}

/// Adds to what the chart has rendered into the ConfigMap.
fn write_configuration(more: &str) -> Result {
    let map = get(&["configmap", "javelin", "-n", SYSTEM])?;
    let text = map["data"]["config.yaml"].as_str().unwrap_or_default();
    let change = json!({ "data": { "config.yaml": format!("{text}{more}") } }).to_string();
    kubectl(&["patch", "configmap", "javelin", "-n", SYSTEM, "-p", &change])?;
    hurry_kubelets()
}

/// Helm refuses to overwrite what was changed by hand, unless it is told to.
fn take_back(prometheus: &mut Prometheus) -> Result {
    upgrade(prometheus, &["--force-conflicts"])?;
    hurry_kubelets()
}

/// With a namespace of its own nobody would mind it.
fn a_second_release(bench: &mut Bench) -> Result {
    let release = ["javelin-two", "--namespace", SYSTEM];
    bench.fires(
        "a second release in the namespace, with another configuration",
        &[Alert::named("JavelinConfigDiffers").shown_by("kubectl get pods", "javelin-two-")],
        |_| {
            let chart = chart();
            let given = [
                &chart,
                "--set=default.otlp.endpoint=http://elsewhere:4318",
                "--set=replicas=1",
            ];
            let install = [&["install"], &release[..], &given].concat();
            helm("helm", &install).map(drop)
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinConfigDiffers"], |_| {
        helm(
            "helm",
            &[&["uninstall"], &release[..], &["--wait"]].concat(),
        )?;
        javelin_is_rolled_out()
    })
}

// === Replicas

/// A replica is gone, and no node has room for another.
fn a_full_node(bench: &mut Bench) -> Result {
    let cordoned = bench.fires(
        "a replica is deleted, and its node takes no other",
        &[Alert::named("JavelinOneReplica").shown_by("kubectl describe pods", "unschedulable")],
        |_| {
            let cordoned = Cordoned::new()?;
            let pod = a_replica()?;
            kubectl(&["delete", "pod", "-n", SYSTEM, name_of(&pod), "--wait=false"])?;
            Ok(cordoned)
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinOneReplica"], |_| {
        drop(cordoned);
        javelin_is_rolled_out()
    })
}

/// A node that takes no further pod, until this is dropped.
struct Cordoned(String);

impl Cordoned {
    fn new() -> Result<Self> {
        let nodes = kubectl(&["get", "nodes", "-o", "name"])?;
        let node = nodes.lines().next().ok_or("there is no node")?;
        kubectl(&["cordon", node])?;
        Ok(Self(node.to_owned()))
    }
}

impl Drop for Cordoned {
    fn drop(&mut self) {
        if let Err(error) = kubectl(&["uncordon", &self.0]) {
            println!("not put back: {error}");
        }
    }
}

/// Its pods go on serving what they know, and the rotation goes on without it.
fn a_replica_that_is_cut_off(bench: &mut Bench) -> Result {
    let pod = a_replica()?;
    let server = get(&["service", "kubernetes", "-n", "default"])?["spec"]["clusterIP"].take();
    let server = server.as_str().ok_or("the API server has no address")?;
    let dropping = bench.fires(
        "a rotation, and a replica that the API server does not answer",
        &[Alert::named("JavelinAuthoritiesDiffer")
            .shown_by("kubectl logs", "certificates cannot be looked after")],
        |_| {
            let process = Process::of(&pod)?;
            let dropping = [
                process.dropping("INPUT", &["-s", server])?,
                process.dropping("OUTPUT", &["-d", server])?,
            ];
            request_rotation()?;
            Ok(dropping)
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinAuthoritiesDiffer"], |_| {
        kubectl(&["delete", "pod", "-n", SYSTEM, name_of(&pod)])?;
        drop(dropping);
        javelin_is_rolled_out()
    })
}

/// Each call is answered, but late, as on a host that has no time for Javelin.
fn slow_replicas(bench: &mut Bench) -> Result {
    let (api, namespace) = (Api::new()?, bench.namespace.0);
    bench.fires(
        "each replica stands still for more than a second, again and again",
        &[Alert::named("JavelinWebhookSlow").with("name", "namespace-default.javelin.dev")],
        |_| Ok(()),
        || {
            let until = Instant::now() + STANDSTILL;
            let replicas = pods(SYSTEM)?;
            let frozen = replicas.iter().map(|pod| Process::of(pod)?.frozen());
            let frozen = frozen.collect::<Result<Vec<_>>>()?;
            thread::scope(|scope| {
                let created = scope.spawn(|| api.dry_run(namespace, &asking("512Mi", 8)));
                // Nothing is waited for here: this is how long it lasts.
                thread::sleep(until.saturating_duration_since(Instant::now()));
                drop(frozen);
                let created = created.join();
                created.map_err(|_| "the thread that creates pods panicked")?
            })?;
            Ok(())
        },
    )?;
    bench.is_mended(&["JavelinWebhookSlow"], Instant::now());
    Ok(())
}

/// More of them than an address may have, which say nothing.
fn too_many_connections(bench: &mut Bench) -> Result {
    let network = webhooks::network().ok_or("the cluster's network is not known")?;
    bench.fires(
        "500 connections of one address",
        &[Alert::named("JavelinOverloaded")
            .with("reason", "too-many-connections")
            .shown_by("kubectl logs", "too-many-connections")],
        |_| Ok(()),
        || {
            let pod = a_replica()?;
            let address = pod["status"]["podIP"].as_str().ok_or("no address")?;
            let address = format!("{address}:10250");
            webhooks::inside(network.clone(), move || {
                let connect = |_| TcpStream::connect(&address);
                let open: std::io::Result<Vec<_>> = (0..500).map(connect).collect();
                open.map(drop).map_err(|error| error.to_string())
            })
        },
    )?;
    bench.is_mended(&["JavelinOverloaded"], Instant::now());
    Ok(())
}

fn no_replica(bench: &mut Bench) -> Result {
    bench.fires(
        "the Deployment is scaled to 0",
        &[Alert::named("JavelinAbsent").shown_by("kubectl get pods", "No resources found")],
        |_| scale(0),
        || Ok(()),
    )?;
    bench.resolves(&["JavelinAbsent"], |_| {
        scale(2)?;
        javelin_is_rolled_out()
    })
}

fn a_replica() -> Result<Value> {
    let first = pods(SYSTEM)?.into_iter().next();
    first.ok_or_else(|| "there is no replica".to_owned())
}

// === Pods

fn pods_that_are_skipped(bench: &mut Bench) -> Result {
    let (api, namespace) = (Api::new()?, bench.namespace.0);
    bench.fires(
        "pods with a memory limit that the agent does not fit in",
        &[Alert::named("JavelinSkipsRising").shown_by("kubectl get pods -A", "does-not-fit")],
        |_| {
            let mut pod = asking("16Mi", 1).remove(0);
            pod["metadata"] = json!({ "name": "small", "namespace": namespace });
            apply(&pod.to_string())
        },
        || {
            let pods = api.dry_run(namespace, &asking("16Mi", 50))?;
            let pod = pods.first().ok_or("no answer")?.admitted()?;
            let why = &pod["metadata"]["annotations"]["javelin.dev/skipped"];
            let why = why.as_str().unwrap_or_default();
            ensure!(why.contains("does-not-fit"), "{}", pod["metadata"]);
            Ok(())
        },
    )?;
    // Their share of what was asked for in a quarter of an hour is what counts.
    bench.resolves_while(
        &["JavelinSkipsRising"],
        |_| kubectl(&["delete", "pod", "small", "-n", namespace]).map(drop),
        || api.dry_run(namespace, &asking("512Mi", 50)).map(drop),
    )
}

/// Pods that say nothing themselves, with such a memory limit.
fn asking(limit: &str, count: usize) -> Vec<Value> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "asking-" },
        "spec": { "containers": [{
            "name": "app", "image": "localhost/javelin-pause:1", "resources": { "limits": { "memory": limit } },
        }] },
    });
    vec![pod; count]
}

/// From the first round on. Its rights come with the release that switches it on.
fn an_audit_without_rights(bench: &mut Bench) -> Result {
    let values = audited();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    bench.fires(
        "the ClusterRoleBinding javelin-audit is deleted",
        &[Alert::named("JavelinAuditFailing").shown_by("kubectl logs", "is denied")],
        |_| {
            let chart = chart();
            let release = [
                "upgrade",
                "javelin",
                &chart,
                "--namespace",
                SYSTEM,
                ENDPOINT,
            ];
            helm("helm", &[&release[..], &values].concat())?;
            kubectl(&["delete", "clusterrolebinding", "javelin-audit"]).map(drop)
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinAuditFailing"], |prometheus| {
        upgrade(prometheus, &values)
    })
}

/// As the next faults need it: with an audit, a profile that no earlier run had, one whose image is nowhere, and rotations
/// that do not take long.
fn audited() -> [String; 7] {
    [
        "audit.enabled=true".to_owned(),
        "audit.interval=10s".to_owned(),
        "audit.pause=0s".to_owned(),
        format!("profiles.{}.delivery=init-container", profile()),
        "profiles.nowhere.agent.image=localhost/t-nowhere:1".to_owned(),
        "profiles.nowhere.agent.imagePullPolicy=Never".to_owned(),
        "tls.settleTime=2s".to_owned(),
    ]
    .map(|value| format!("--set={value}"))
}

/// That of this run: the API server may have been there in an earlier one.
fn profile() -> String {
    format!("run-{}", std::process::id())
}

/// Pods that ran before they were labelled, and whose node cannot pull the agent's image.
fn pods_that_crash(bench: &mut Bench) -> Result {
    let namespace = bench.namespace.0;
    let asks = |value: &str| {
        let label = format!("{INJECT}={value}");
        let command = ["label", "--overwrite", "-n", namespace, "deployment/app"];
        kubectl(&[&command[..], &[&label]].concat()).map(drop)
    };
    apply(&pause_deployment(namespace))?;
    injected_pod(namespace)?;
    bench.fires(
        "a Deployment is labelled, and the node has no such image of the agent",
        &[Alert::named("JavelinPodsCrashing")
            .with("pod_namespace", namespace)
            .shown_by("javelin status", "ErrImageNeverPull")],
        |_| asks("nowhere"),
        || Ok(()),
    )?;
    bench.resolves(&["JavelinPodsCrashing"], |_| asks("false"))
}

// === Calls

/// Second chances save each pod.
fn calls_that_fail(bench: &mut Bench) -> Result {
    let namespace = bench.namespace.0;
    let broken = bench.fires(
        "each entry but the second chances leads nowhere",
        &[Alert::named("JavelinCallsFailing").shown_by(
            "javelin check",
            "pod.javelin.dev does not call javelin-system/javelin/mutate/pod",
        )],
        |_| Broken::where_name(|name| !name.contains(".second-chance")),
        || pods_get_the_agent(namespace),
    )?;
    bench.is_quiet("JavelinFailingOpen")?;
    drop(broken);
    bench.is_mended(&["JavelinCallsFailing"], Instant::now());
    calls_come_through(namespace)
}

/// From the first one on: nothing of this entry has ever failed on this API server.
fn pods_that_are_missed(bench: &mut Bench) -> Result {
    let profile = profile();
    let namespace = Namespace::new("t-alerts-missed", &[(INJECT, &profile)])?;
    let last = format!("namespace-{profile}.second-chance-2.javelin.dev");
    let failed = format!("apiserver_admission_webhook_fail_open_count{{name=\"{last}\"}}");
    let failed = bench.prometheus.query(&failed)?;
    ensure!(failed.is_empty(), "it has failed before: {failed:?}");
    eventually(
        "Prometheus has known the API server for ten minutes",
        KNOWN,
        || {
            bench.look_around()?;
            let known = "up{job=\"apiserver\"} offset 10m == 1";
            ensure!(!bench.prometheus.query(known)?.is_empty(), "not yet");
            Ok(())
        },
    )?;
    let broken = bench.fires(
        "each entry leads nowhere, and a Deployment is created",
        &[
            Alert::named("JavelinFailingOpen")
                .with("name", &last)
                .shown_by("javelin status", MISSED),
            Alert::named("JavelinPodsMissed")
                .with("pod_namespace", namespace.0)
                .shown_by("javelin status", MISSED),
        ],
        |_| {
            let broken = Broken::where_name(|_| true)?;
            no_call_comes_through(namespace.0)?;
            apply(&pause_deployment(namespace.0))?;
            Ok(broken)
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinPodsMissed"], |_| {
        drop(broken);
        calls_come_through(namespace.0)?;
        restart_missed(namespace.0)
    })?;
    bench.is_mended(&CALLS_FAILED, Instant::now());
    Ok(())
}

/// Somebody has written another one into each entry, and Javelin may not write any more.
fn another_authority(bench: &mut Bench) -> Result {
    let namespace = bench.namespace.0;
    let changed = bench.fires(
        "another authority in each caBundle, and Javelin may not write it",
        &[Alert::named("JavelinCertificateRefused")
            .shown_by("javelin cert", "which signs, is not trusted")],
        |_| {
            let changed = Changed::new()?;
            changed.forbid_patches()?;
            overwrite_bundles(&cluster_ca()?)?;
            Ok(changed)
        },
        || no_call_comes_through(namespace),
    )?;
    let values = audited();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    // The role as the chart has it; Javelin does the rest.
    upgrade(
        &mut bench.prometheus,
        &[&values[..], &["--force-conflicts"]].concat(),
    )?;
    drop(changed);
    bench.is_mended(&CALLS_FAILED, Instant::now());
    bench.is_mended(&["JavelinCertificateRefused"], Instant::now());
    calls_come_through(namespace)
}

fn overwrite_bundles(authority: &str) -> Result {
    let configuration = get(&["mutatingwebhookconfiguration", "javelin"])?;
    let entries = configuration["webhooks"].as_array().map_or(0, Vec::len);
    let bundle = BASE64.encode(authority);
    let path = |entry| format!("/webhooks/{entry}/clientConfig/caBundle");
    let change: Vec<_> = (0..entries)
        .map(|entry| json!({ "op": "replace", "path": path(entry), "value": bundle }))
        .collect();
    let change = Value::from(change).to_string();
    let object = ["patch", "mutatingwebhookconfiguration", "javelin"];
    kubectl(&[&object[..], &["--type=json", "-p", &change]].concat()).map(drop)
}

/// A firewall that rejects, and an authority whose time for a successor comes meanwhile: it waits until a call comes
/// through.
fn a_closed_port(bench: &mut Bench) -> Result {
    // The alert is for the last quarter of an authority's life, and a successor is due after two thirds.
    let short = [
        "--set=tls.authorityLifetime=3m",
        "--set=tls.leafLifetime=6s",
        "--set=tls.settleTime=2s",
    ];
    upgrade(&mut bench.prometheus, &short)?;
    rotate()?;
    let changed = bench.fires(
        "the pods' port is closed, while a successor of the authority is due",
        &[
            Alert::named("JavelinUnreachable")
                .with("result", "refused")
                .shown_by("kubectl get events", "connection refused"),
            Alert::named("JavelinAuthorityExpiring")
                .shown_by("javelin cert", "a call that comes through"),
        ],
        |_| {
            let changed = Changed::new()?;
            Changed::target_port(&json!(CLOSED))?;
            // Those that were reached ask again after minutes.
            replace_replicas()?;
            Ok(changed)
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinUnreachable", "JavelinAuthorityExpiring"], |_| {
        drop(changed);
        Ok(())
    })?;
    // The next one is to live for years again.
    upgrade(&mut bench.prometheus, &["--set=tls.settleTime=2s"])?;
    rotate()
}

/// Waits until another authority signs.
fn rotate() -> Result {
    let before = Secret::read()?.signing()?;
    request_rotation()?;
    eventually("another authority signs", SOON, || {
        let signing = Secret::read()?.signing()?;
        ensure!(signing != before, "not yet");
        Ok(())
    })
}

// === A certificate of one's own

fn a_certificate_of_ones_own(bench: &mut Bench) -> Result {
    let corporate = Corporate::new()?;
    let mut installation = own_certificate::Bench::new()?;
    installation.switch(&corporate)?;
    bench.prometheus.follow_release(&[])?;
    let key = corporate.read("tls.key")?;
    bench.fires(
        "a certificate of one's own that ends tomorrow",
        &[Alert::named("JavelinCertificateExpiring").shown_by("javelin cert", "(in 23 hours)")],
        |_| {
            corporate.issue(1)?;
            corporate.store()
        },
        || Ok(()),
    )?;
    bench.resolves(&["JavelinCertificateExpiring"], |_| {
        corporate.issue(own_certificate::MONTHS)?;
        corporate.store()
    })?;
    bench.fires(
        "the Secret has the key of another certificate",
        &[Alert::named("JavelinCertificateRejected")
            .shown_by("kubectl logs", "certificate not reloaded")],
        |_| own_certificate::replace_key(&key),
        || Ok(()),
    )?;
    bench.resolves(&["JavelinCertificateRejected"], |_| corporate.store())?;
    installation.go_back()?;
    bench.prometheus.follow_release(&[])
}

/// The release with these values, and its rules in Prometheus.
fn upgrade(prometheus: &mut Prometheus, values: &[&str]) -> Result {
    upgrade_with(&[&[ENDPOINT], values].concat())?;
    prometheus.follow_release(&[])
}

/// What the page of an alert shows of the Deployment that was missed.
const MISSED: &str = "deployment.apps/app";

/// Also by what another fault does to calls.
const CALLS_FAILED: [&str; 2] = ["JavelinFailingOpen", "JavelinCallsFailing"];

/// Longer than what is slow to the alert, and shorter than an API server waits.
const STANDSTILL: Duration = Duration::from_millis(1300);

/// What is new to an API server is new to an alert when Prometheus has known that one for ten minutes.
const KNOWN: Duration = Duration::from_mins(11);
