//! `docs/metrics.md`: every metric as `/metrics` tells it, the values of its labels, and the alerts that ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use javelin_core::review::Entry;
use javelin_core::workload::Change;
use serde_json::Value;

use super::{GENERATED, pages, row};
use crate::controller::events::EventReason;
use crate::metrics::{ENTRIES, entry_label, told_by_a_busy_process};
use crate::server::refusals::Refusal;

/// What `/metrics` says of one metric.
#[derive(Debug, Default)]
struct Family {
    /// As a query names it; without the endings of a histogram.
    name: String,
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

pub(super) fn page() -> String {
    let mut families = families(&told_by_a_busy_process());
    // What every process has is what people look for last. Both are told first, and the audit's others last.
    let is_late = |family: &Family, of: &str| family.name.starts_with(of);
    families.sort_by_key(|family| {
        (
            is_late(family, "process_"),
            is_late(family, "javelin_audit_"),
        )
    });
    let mut text = format!("{GENERATED}{INTRODUCTION}");
    let mut section = "";
    for family in &families {
        let of_family = section_of(&family.name);
        if section != of_family {
            section = of_family;
            let _ = write!(
                text,
                "\n### {section}\n\n| metric | type | labels | what | alerts |\n|---|---|---|---|---|\n"
            );
        }
        text += &family.row();
    }
    let _ = write!(text, "{LABELS}{}", entries());
    let _ = write!(text, "{OUTCOMES}{}", changes());
    let _ = write!(text, "{REFUSALS}{}", refusals());
    let _ = write!(text, "{EVENTS}{}{OTHER_LABELS}", events());
    text
}

impl Family {
    fn row(&self) -> String {
        let code = |name: &String| format!("`{name}`");
        let labels: Vec<_> = self.labels.iter().map(code).collect();
        let alerts = alerts_on(&self.name).into_iter();
        let alerts: Vec<_> = alerts
            .map(|alert| format!("[{alert}](runbooks/{alert}.md)"))
            .collect();
        row(&[
            &code(&self.name),
            &self.kind,
            &labels.join(", "),
            &self.help,
            &alerts.join(", "),
        ])
    }
}

/// In the order in which they are told; `encode` begins each with its `HELP`.
fn families(told: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in told.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            families.push(Family {
                name: name.to_owned(),
                help: help.to_owned(),
                ..Family::default()
            });
            continue;
        }
        let family = families.last_mut().unwrap();
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (_, kind) = rest.rsplit_once(' ').unwrap();
            kind.clone_into(&mut family.kind);
        } else if !line.starts_with('#') {
            let (name, labels) = sample(line);
            if family.kind != "histogram" {
                name.clone_into(&mut family.name);
            }
            let labels = labels.into_iter().filter(|label| *label != "le");
            family.labels.extend(labels.map(str::to_owned));
        }
    }
    families
}

/// Its name, and the names of its labels. No value in what is told has a comma or a bracket.
fn sample(line: &str) -> (&str, Vec<&str>) {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let Some((name, labels)) = series.split_once('{') else {
        return (series, Vec::new());
    };
    let labels = labels.trim_end_matches('}').split(',');
    let names = labels.filter_map(|label| Some(label.split_once('=')?.0));
    (name, names.collect())
}

/// A new metric has to find its place here.
fn section_of(name: &str) -> &'static str {
    let own = name.strip_prefix("javelin_").unwrap_or(name);
    let begins = |parts: &[&str]| parts.iter().any(|part| own.starts_with(part));
    match () {
        () if begins(&["process_"]) => "Process",
        () if begins(&["build_info"]) => "Version",
        () if begins(&[
            "reviews",
            "review_",
            "second_chances",
            "dry_runs",
            "injections",
        ]) =>
        {
            "Reviews"
        }
        () if begins(&[
            "malformed_",
            "panics",
            "refusals",
            "tls_handshake_",
            "certificate_refusals",
            "open_connections",
        ]) =>
        {
            "Server"
        }
        () if begins(&["config_"]) => "Configuration",
        () if begins(&["certificate_reload", "certificate_last_reload"]) => {
            "A certificate of your own"
        }
        () if begins(&["api_requests"]) => "The API server",
        () if begins(&["profiles_without_entry", "webhook_entries"]) => "Webhook configuration",
        () if begins(&["leaf_", "authority_", "certificates_signed", "ca_bundle_"]) => {
            "Javelin's own certificates"
        }
        () if begins(&["events", "workload_events"]) => "Events",
        () if begins(&["probe_"]) => "Reachability",
        () if begins(&["otlp_"]) => "Javelin's own telemetry",
        () if begins(&["audit_"]) => "The audit",
        () => panic!("{name} has no section"),
    }
}

/// Alerts whose expression names the metric, in the order of the file.
fn alerts_on(name: &str) -> Vec<String> {
    let alerts = file("deploy/chart/files/alerts.yaml");
    let alerts: Vec<BTreeMap<String, String>> = serde_saphyr::from_str(&alerts).unwrap();
    let names = |alert: &BTreeMap<String, String>| {
        words(&alert["expr"]).any(|word| word == name || word == format!("{name}_bucket"))
    };
    let alerts = alerts.into_iter().filter(names);
    alerts
        .map(|mut alert| alert.remove("alert").unwrap())
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

/// Of the checkout.
fn file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(name)).unwrap()
}

/// Written so that a new one does not compile without its sentence.
fn entries() -> String {
    let of = |entry: &Entry| match entry {
        Entry::Pod => "a pod with a label, or an annotation, of its own or of its workload",
        Entry::Namespace(_) => "a pod in a namespace whose label names a profile",
        Entry::UnknownNamespace => "a pod in a namespace whose label names no profile",
        Entry::Workload => "a workload with the label: it is copied into the pod template",
        Entry::WorkloadWarning(_) => {
            "a workload without the label, in a namespace whose label names a profile: where `webhook.workloadWarnings` is on"
        }
        Entry::UnknownWorkloadWarning => "the same, in a namespace whose label names no profile",
        Entry::Probe => "Javelin's own test whether it is reached",
    };
    let rows = ENTRIES.map(|entry| value(entry_label(&entry), of(&entry)));
    rows.concat()
}

fn changes() -> String {
    let of = |change: Change| match change {
        Change::Labelled => "a workload: the label was copied into its pod template",
        Change::Unlabelled => "a workload: the copy was removed with the label",
        Change::Unchanged => "a workload: there was nothing to do",
    };
    Change::ALL
        .map(|change| value(change.code(), of(change)))
        .concat()
}

fn refusals() -> String {
    let rows = Refusal::ALL.map(|refusal| {
        let (reason, sentence) = refusal.told();
        value(reason, sentence)
    });
    rows.concat()
}

/// Written so that a new one does not compile without its sentence.
fn events() -> String {
    let of = |happening: EventReason| match happening {
        EventReason::AuthorityMade => "the first authority was made",
        EventReason::AuthorityRestored => {
            "the Secret was emptied or damaged, and what it had held was written back"
        }
        EventReason::AuthorityReplaced => {
            "an authority that could not be used was replaced at once"
        }
        EventReason::AuthorityPrepared => {
            "a successor is in every caBundle, and waits for the settle time"
        }
        EventReason::AuthorityPromoted => "the successor signs",
        EventReason::AuthorityAdopted => {
            "an authority that a certificate in use comes from was missing in the Secret"
        }
        EventReason::AuthorityPruned => "retired authorities are no longer trusted",
        EventReason::SecretCreated => "the Secret was gone, and was created again",
        EventReason::CaBundleRepaired => "somebody had overwritten a caBundle",
        EventReason::CertificateRefused => {
            "a client refused the certificate after a switch, and the previous one is served again"
        }
        EventReason::WebhookReached => "calls of the API server come through",
        EventReason::WebhookNotReached => "calls of the API server do not come through",
    };
    let rows = EventReason::ALL.map(|happening| value(happening.reason(), of(happening)));
    rows.concat()
}

fn value(value: &str, what: &str) -> String {
    row(&[&format!("`{value}`"), what])
}

/// The chart renders no alert without a switch, so nothing else would miss it; the index says the same of each.
#[test]
fn every_alert_has_its_switch_and_its_line() {
    let alerts: Vec<BTreeMap<String, String>> =
        serde_saphyr::from_str(&file("deploy/chart/files/alerts.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&file("deploy/chart/values.yaml")).unwrap();
    let switches = &values["metrics"]["prometheusRule"]["alerts"];
    let index = file("docs/runbooks/README.md");
    let names: BTreeSet<_> = alerts.iter().map(|alert| alert["alert"].as_str()).collect();
    let have_switch: BTreeSet<_> = switches
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, have_switch);
    for alert in &alerts {
        let (name, summary) = (&alert["alert"], &alert["summary"]);
        let severity = switches[name]["severity"].as_str().unwrap();
        let line = row(&[&format!("[{name}]({name}.md)"), severity, summary]);
        assert!(
            index.contains(&line),
            "docs/runbooks/README.md lacks\n{line}"
        );
    }
}

#[test]
fn what_pages_name_is_told() {
    let told = told_by_a_busy_process();
    let series: BTreeSet<_> = told
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let mut names = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for word in words(&text).filter(|word| word.starts_with("javelin_")) {
            names += 1;
            let is_told =
                series.contains(word) || series.contains(format!("{word}_bucket").as_str());
            assert!(is_told, "{}: there is no metric {word}", page.display());
        }
    }
    assert!(names > 20, "{names} names in all");
}

#[test]
fn series_are_read_with_their_labels() {
    let told = "# HELP a_b Some thing.\n# TYPE a_b counter\na_b_total{x=\"1\",y=\"2\"} 3\na_b_total 4\n\
                # HELP c_seconds Time.\n# TYPE c_seconds histogram\n# UNIT c_seconds seconds\nc_seconds_sum 0\n\
                c_seconds_bucket{le=\"1\",z=\"0\"} 0\n# EOF\n";
    let families = families(told);
    let of = |family: &Family| {
        let labels: Vec<_> = family.labels.iter().cloned().collect();
        format!(
            "{} {} {} {}",
            family.name,
            family.kind,
            labels.concat(),
            family.help
        )
    };
    let families: Vec<_> = families.iter().map(of).collect();
    assert_eq!(
        families,
        [
            "a_b_total counter xy Some thing.",
            "c_seconds histogram z Time."
        ]
    );
}

const INTRODUCTION: &str = "
# Metrics

Each replica serves its metrics at `/metrics` on the admin port: 8080, or 10261 with `hostNetwork`. The format is that of
OpenMetrics for whoever accepts it, as Prometheus does, and Prometheus's older text for everybody else, without TLS. The chart's values `metrics.serviceMonitor.enabled` and `metrics.podMonitor.enabled` have the Prometheus Operator scrape
them. `metrics.prometheusRule.enabled` brings the [alerts](runbooks/README.md), and `metrics.dashboard.enabled` a dashboard for
Grafana. To look at them by hand:

```sh
kubectl port-forward -n javelin-system deployment/javelin 8080 &
curl http://localhost:8080/metrics
```

With `hostNetwork`, write `8080:10261` instead of `8080`.

Three queries to begin with: how many pods got the agent in the last hour, why others that ask for it did not, and whether API servers
reach Javelin. The last one needs Javelin's own certificates: with a certificate of your own, replicas do not probe.

```promql
sum by (profile) (increase(javelin_injections_total[1h]))
sum by (outcome) (increase(javelin_reviews_total{entry=~\"pod|namespace.*\",outcome!~\"injected|already-injected|opted-out|not-selected\"}[1h])) > 0
javelin_probe_result == 1
```

With `audit.enabled`, one replica looks for pods that were missed, or do not run with the agent; the others have 0, and so has every
replica without it. When it last looked is in the second one, which is 0 where nobody does:

```promql
max by (pod_namespace, reason) (javelin_audit_pods) > 0
max(javelin_audit_last_round_timestamp_seconds)
```

No label has a value that a pod can choose, so the number of series does not grow with your pods. `pod_namespace` has the names of 50
namespaces at most. Series with a closed set of values are there from the start, at 0.

Two metrics of the API servers are as important. `apiserver_admission_webhook_fail_open_count` counts objects that were let through because the call failed, and
`apiserver_admission_webhook_admission_duration_seconds` is the time that pods waited. Managed control planes often do not expose
them.

## All metrics
";

const LABELS: &str = "
## Labels

### `entry`

Of `javelin_reviews_total`, `javelin_second_chances_total`, `javelin_dry_runs_total` and `javelin_review_duration_seconds`: why the API
server called.

| value | what |
|---|---|
";

const OUTCOMES: &str = "
### `outcome`

Of `javelin_reviews_total`, `javelin_second_chances_total` and `javelin_dry_runs_total`. The codes of [reasons.md](reasons.md#reasons), and these:

| value | what |
|---|---|
| `injected` | the pod got the agent |
| `probed` | Javelin's own test call was answered |
| `warned` | a workload without the label: whoever applied it was told what becomes of its pods |
| `nothing-to-say` | a workload without the label: there was nothing to tell |
";

const REFUSALS: &str = "
### `reason` of `javelin_refusals_total`

[SECURITY.md](../SECURITY.md#limits) has the limits. The log has a line for each reason, at most once a minute.

| value | what |
|---|---|
";

const EVENTS: &str = "
### `reason` of `javelin_events_total`

Each is also an Event in Javelin's namespace: `kubectl get events -n javelin-system`.

| value | what |
|---|---|
";

const OTHER_LABELS: &str = "
### Others

| label | of | value |
|---|---|---|
| `result` | `javelin_probe_result` | a finding of [probe.md](probe.md#findings); the one that holds is 1, all others are 0 |
| `result` | `javelin_config_reloads_total`, `javelin_certificate_reloads_total` | `success` or `failure` |
| `result` | `javelin_api_requests_total` | `success`; `denied` (401, 403), `not-found` (404), `conflict` (409, another replica was faster), `refused` (any other 4xx), `unavailable` (429, 5xx), or `no-answer`. After 429, 503 and 504 the client asks again for as long as the request may take, and only the last answer counts: an API server that throttles for longer is `no-answer` |
| `trusts_certificate` | `javelin_webhook_entries` | `true` or `false` |
| `drift` | `javelin_webhook_entries_drifted` | `missing`, not there or calling somebody else; `lost`, with another path or without a requirement or condition; `added`, with a requirement that the chart does not make, as AKS adds one by itself. `javelin check` names each |
| `profile` | `javelin_injections_total` | a profile of the configuration, or `default` |
| `result` | `javelin_workload_events_total` | `written`, `failed`, or `dropped` when more workloads at once were decided on than are remembered |
| `signal` | `javelin_otlp_requests_total` | `traces` or `logs` |
| `result` | `javelin_otlp_requests_total` | `success` or `failure` |
| `pod_namespace` | `javelin_audit_pods` | one of the 50 namespaces with most such pods, or `(others)` for the rest, which is always there |
| `reason` | `javelin_audit_pods` | `missed`, created while Javelin did not answer, or `crashing`, with the agent and not running |
| `result` | `javelin_audit_rounds_total` | `complete`, `incomplete` when objects were left out (the log says how many), or `failed`; then what was found before is still told |
| `result` | `javelin_audit_guarded_total` | `taken_back`; `put_back` when somebody has undone it within a day, and it was not done again; `too_many` when nothing was done, as more than five workloads in an hour would have been (counted once for the round); or `failed` |
| `hash` | `javelin_config_info` | a hash of the configuration; replicas with the same hash decide alike |
| `authority` | `javelin_leaf_issuer` | the first 16 digits of the authority's SHA-256, as `javelin cert` shows it |
| `version` | `javelin_build_info` | Javelin's |
";
