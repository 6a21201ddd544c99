//! The Prometheus that looks at Javelin, with the chart's rules as they are.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use testbed::promql;

use crate::{
    api::Api,
    cases::{SOON, SYSTEM},
    charts::{chart, found_values, values_in},
    check::Removed,
    kube::{Namespace, Result, apply, checkout, ensure, eventually, helm, kubectl, kubectl_with},
    settled::hurry_kubelets_for,
};

/// It is gone, with all that it needs, when the value is dropped.
pub(super) struct Prometheus {
    api: Api,
    /// The names of all alerts of the chart.
    pub(super) alerts: Vec<String>,
    /// What it has: the rules, and how many came before them.
    rules: (Value, u32),
    _namespace: Namespace,
    _rights: Removed,
}

impl Prometheus {
    /// Waits until it has evaluated the rules of the release.
    pub(super) fn start() -> Result<Self> {
        let alerts = alerts()?;
        let namespace = Namespace::new(NAMESPACE, &[])?;
        let rules = (rendered(&alerts, &[])?, 0);
        store(&rules)?;
        let objects = include_str!("monitoring.yaml");
        let rights = Removed::apply("clusterrolebinding,clusterrole", NAMESPACE, objects)?;
        for pod in ["prometheus", "kube-state-metrics"] {
            let pod = format!("pod/{pod}");
            let ready = ["--for=condition=Ready", "--timeout=2m"];
            kubectl(&[&["wait", "-n", NAMESPACE, &pod], &ready[..]].concat())?;
        }
        let prometheus = Self {
            api: Api::new()?,
            alerts,
            rules,
            _namespace: namespace,
            _rights: rights,
        };
        eventually("Prometheus has evaluated each rule", SOON, || {
            prometheus.has_evaluated()
        })?;
        Ok(prometheus)
    }

    /// Takes the rules that the chart renders of the release's values, and more of them. Nothing that was firing counts until
    /// it has evaluated each of them.
    pub(super) fn follow_release(&mut self, more: &[&str]) -> Result {
        let rules = rendered(&self.alerts, more)?;
        if rules == self.rules.0 {
            return Ok(());
        }
        self.rules = (rules, self.rules.1 + 1);
        store(&self.rules)?;
        eventually("Prometheus has the new rules", SOON, || {
            hurry_kubelets_for(NAMESPACE)?;
            kubectl_with(&["create", "--raw", &format!("{PROXY}/-/reload")], "")?;
            eventually("each is evaluated", A_MOMENT, || self.has_evaluated())
        })
    }

    /// Each alert that fires, with its labels and annotations.
    pub(super) fn firing(&self) -> Result<Vec<Value>> {
        let answer = self.api.get(&format!("{PROXY}/api/v1/alerts"))?;
        let alerts = answer["data"]["alerts"].as_array().into_iter().flatten();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        Ok(firing.cloned().collect())
    }

    /// What a query gives now: each series with its labels and its value. What is no number is no value.
    pub(super) fn query(&self, query: &str) -> Result<Vec<Value>> {
        let query = promql::encoded(query);
        let answer = self
            .api
            .get(&format!("{PROXY}/api/v1/query?query={query}"))?;
        let series = answer["data"]["result"].as_array().cloned();
        let mut series = series.ok_or_else(|| answer.to_string())?;
        series.retain(|each| each["value"][1] != "NaN");
        Ok(series)
    }

    /// Is each target of the configuration there, and answers?
    pub(super) fn sees_all(&self) -> Result {
        for (job, wanted) in [
            ("javelin-system/javelin", "2"),
            ("apiserver", "1"),
            ("kube-state-metrics", "1"),
        ] {
            let up = self.query(&format!("sum(up{{job=\"{job}\"}})"))?;
            let up = up.first().map(|series| &series["value"][1]);
            ensure!(up.is_some_and(|up| up == wanted), "{job}: {up:?} are up");
        }
        Ok(())
    }

    /// Has it read the rules that it was last given, and evaluated each of them?
    fn has_evaluated(&self) -> Result {
        let answer = self.api.get(&format!("{PROXY}/api/v1/rules"))?;
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let file = format!("/conf/{}", file_of(&self.rules));
        let rules: Vec<_> = groups
            .filter(|group| group["file"] == *file)
            .flat_map(|group| group["rules"].as_array().into_iter().flatten())
            .collect();
        let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str()).collect();
        let wanted: Vec<_> = self.alerts.iter().map(|name| Some(&**name)).collect();
        ensure!(names == wanted, "it has {names:?}");
        for rule in rules {
            ensure!(rule["health"] == "ok", "{rule}");
        }
        Ok(())
    }
}

/// The names of the chart's alerts, in its order.
fn alerts() -> Result<Vec<String>> {
    let file = checkout("deploy/chart/files/alerts.yaml");
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let alerts: Vec<Value> = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    let names = alerts.iter().filter_map(|alert| alert["alert"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// The rules as the chart renders them of the values that the release has. They fire at once: that they wait as long as they
/// should is what promtool tests.
fn rendered(alerts: &[String], more: &[&str]) -> Result<Value> {
    let values = found_values()?;
    let (chart, values) = (chart(), values_in(&values));
    let template = ["template", "javelin", &chart, "--namespace", SYSTEM];
    let of_it = [
        "--show-only=templates/prometheusrule.yaml",
        "--set=metrics.prometheusRule.enabled=true",
    ];
    let set = |alert| format!("--set=metrics.prometheusRule.alerts.{alert}.for=0s");
    let at_once: Vec<_> = alerts.iter().map(set).collect();
    let at_once: Vec<_> = at_once.iter().map(String::as_str).collect();
    let rule = helm(
        "helm",
        &[&template[..], &[&values], &of_it, &at_once, more].concat(),
    )?;
    let rule: Value = serde_saphyr::from_str(&rule).map_err(|error| error.to_string())?;
    Ok(rule["spec"].clone())
}

/// For its pod, as the operator does: what a `PrometheusRule` specifies is a file of rules.
fn store(rules: &(Value, u32)) -> Result {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "prometheus", "namespace": NAMESPACE },
        "data": { "prometheus.yml": include_str!("prometheus.yml"), file_of(rules): rules.0.to_string() },
    });
    apply(&map.to_string()).map(drop)
}

fn file_of((_, number): &(Value, u32)) -> String {
    format!("rules-{number}.yaml")
}

const NAMESPACE: &str = "t-prometheus";
const PROXY: &str = "/api/v1/namespaces/t-prometheus/pods/prometheus:9090/proxy";

/// Between two evaluations, and some more.
const A_MOMENT: Duration = Duration::from_secs(5);
