//! What an alert is seen by: it fires after a fault and no more after its remedy, and meanwhile the commands on its page find the
//! reason, and queries of the dashboard have data.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;
use testbed::promql;

use super::prometheus::Prometheus;
use crate::{
    cases::{INJECT, SOON},
    figures,
    kube::{Namespace, Result, checkout, ensure, eventually, shell},
};

/// An alert, and what is to be seen of it.
pub(super) struct Alert {
    name: &'static str,
    label: Option<(&'static str, String)>,
    shown: Option<(&'static str, &'static str)>,
}

impl Alert {
    pub(super) fn named(name: &'static str) -> Self {
        Self {
            name,
            label: None,
            shown: None,
        }
    }

    /// It has such a label.
    pub(super) fn with(self, key: &'static str, value: &str) -> Self {
        let label = Some((key, value.to_owned()));
        Self { label, ..self }
    }

    /// The command on its page that begins so shows these words of the fault.
    pub(super) fn shown_by(self, command: &'static str, words: &'static str) -> Self {
        let shown = Some((command, words));
        Self { shown, ..self }
    }

    /// Is it among those that fire? What a person is told by it.
    fn is_among(&self, firing: &[Value]) -> Result<String> {
        let is_it = |alert: &&Value| {
            let labels = &alert["labels"];
            let mut label = self.label.iter();
            labels["alertname"] == self.name && label.all(|(key, value)| labels[key] == **value)
        };
        let found = firing.iter().find(is_it);
        let found = found.ok_or_else(|| format!("firing: {:?}", names_of(firing)))?;
        let told = found["annotations"]["description"].as_str();
        let told = told.unwrap_or_default().to_owned();
        ensure!(!told.contains("error expanding"), "{told}");
        Ok(told)
    }

    /// A command that the page gives to look for the reason finds it.
    fn is_explained(&self) -> Result {
        let Some((command, words)) = self.shown else {
            return Ok(());
        };
        let page = checkout("docs/runbooks").join(format!("{}.md", self.name));
        let page = fs::read_to_string(page).map_err(|error| error.to_string())?;
        let line = page.lines().find(|line| line.starts_with(command));
        let line = line.ok_or_else(|| format!("the page has no {command}"))?;
        eventually(&format!("`{line}` shows {words:?}"), SOON, || {
            let shown = shell(line)?;
            ensure!(shown.contains(words), "{shown}");
            Ok(())
        })
    }
}

/// An installation, what looks at it, and what was seen.
pub(super) struct Bench {
    pub(super) prometheus: Prometheus,
    /// Labelled `true`.
    pub(super) namespace: Namespace,
    seen: BTreeMap<&'static str, Seen>,
    /// Queries of the dashboard that have had no data so far.
    unanswered: Vec<String>,
}

/// What was seen of an alert.
struct Seen {
    fault: &'static str,
    fired_after: Duration,
    /// When the fault was ended, or the last of several.
    mended: Option<Instant>,
    resolved_after: Option<Duration>,
}

impl Bench {
    /// On an installation as the first case makes it, which nothing is to be said about.
    pub(super) fn new() -> Result<Self> {
        let prometheus = Prometheus::start()?;
        eventually("Prometheus reads all", SOON, || prometheus.sees_all())?;
        // It has judged before it had read each replica.
        eventually("nothing is wrong, and no alert fires", SOON, || {
            none_fires(&prometheus)
        })?;
        Ok(Self {
            prometheus,
            namespace: Namespace::new("t-alerts", &[(INJECT, "true")])?,
            seen: BTreeMap::new(),
            unanswered: queries()?,
        })
    }

    /// Makes a fault, and waits until these alerts fire; `again` is done until they do. Gives what the fault is to be ended by.
    pub(super) fn fires<T>(
        &mut self,
        fault: &'static str,
        alerts: &[Alert],
        strike: impl FnOnce(&mut Prometheus) -> Result<T>,
        mut again: impl FnMut() -> Result,
    ) -> Result<T> {
        for Alert { name, .. } in alerts {
            // A call of an earlier fault may be the reason.
            eventually(
                &format!("{name} is quiet before"),
                LONGEST_LOOK_BACK,
                || self.is_quiet(name),
            )?;
        }
        let begun = Instant::now();
        let struck = strike(&mut self.prometheus)?;
        for alert in alerts {
            let told = eventually(&format!("{} fires", alert.name), SOON, || {
                again()?;
                alert.is_among(&self.prometheus.firing()?)
            })?;
            let seen = Seen {
                fault,
                fired_after: begun.elapsed(),
                mended: None,
                resolved_after: None,
            };
            let after = seen.fired_after.as_secs();
            println!("{}, by {fault}: after {after} s: {told}", alert.name);
            self.seen.insert(alert.name, seen);
        }
        for alert in alerts {
            alert.is_explained()?;
        }
        self.look_around()?;
        Ok(struck)
    }

    /// Ends the fault, and waits until these alerts fire no more.
    pub(super) fn resolves(
        &mut self,
        alerts: &[&str],
        mend: impl FnOnce(&mut Prometheus) -> Result,
    ) -> Result {
        self.resolves_while(alerts, mend, || Ok(()))
    }

    /// The same, and `again` is done until then.
    pub(super) fn resolves_while(
        &mut self,
        alerts: &[&str],
        mend: impl FnOnce(&mut Prometheus) -> Result,
        mut again: impl FnMut() -> Result,
    ) -> Result {
        let begun = Instant::now();
        mend(&mut self.prometheus)?;
        self.is_mended(alerts, begun);
        for alert in alerts {
            eventually(&format!("{alert} is resolved"), SOON, || {
                again()?;
                self.is_quiet(alert)
            })?;
        }
        self.look_around()
    }

    /// The fault is over since then. What these alerts look back at may not be.
    pub(super) fn is_mended(&mut self, alerts: &[&str], since: Instant) {
        for alert in alerts {
            if let Some(seen) = self.seen.get_mut(*alert) {
                seen.mended = Some(since);
            }
        }
    }

    pub(super) fn is_quiet(&self, alert: &str) -> Result {
        let firing = self.prometheus.firing()?;
        let is_quiet = !names_of(&firing).contains(&alert);
        ensure!(is_quiet, "firing: {:?}", names_of(&firing));
        Ok(())
    }

    /// Takes note of the queries that have data now, and of the alerts that fire no more.
    pub(super) fn look_around(&mut self) -> Result {
        let mut left = Vec::new();
        for query in std::mem::take(&mut self.unanswered) {
            if self.prometheus.query(&query)?.is_empty() {
                left.push(query);
            }
        }
        self.unanswered = left;
        let firing = self.prometheus.firing()?;
        let firing = names_of(&firing);
        for (alert, seen) in &mut self.seen {
            if firing.contains(alert) {
                seen.resolved_after = None;
            } else if seen.resolved_after.is_none() {
                seen.resolved_after = seen.mended.map(|mended| mended.elapsed());
            }
        }
        Ok(())
    }

    /// Waits for what looks back at minutes, and tells.
    pub(super) fn end(&mut self) -> Result {
        eventually("no alert fires any more", LONGEST_LOOK_BACK, || {
            self.look_around()?;
            none_fires(&self.prometheus)
        })?;
        self.table().into_iter().for_each(figures::add);
        let never = |alert: &&String| !self.seen.contains_key(alert.as_str());
        let never: Vec<_> = self.prometheus.alerts.iter().filter(never).collect();
        ensure!(never.is_empty(), "no fault is made for {never:?}");
        ensure!(
            self.unanswered.is_empty(),
            "queries of the dashboard that never had data: {:#?}",
            self.unanswered
        );
        Ok(())
    }

    /// As `docs/runbooks/README.md` has it.
    fn table(&self) -> Vec<String> {
        let row = |alert: &String| {
            let seen = self.seen.get(alert.as_str())?;
            let times = [Some(seen.fired_after), seen.resolved_after];
            let [fired, resolved] = times.map(|time| time.unwrap_or_default().as_secs());
            let fault = seen.fault;
            Some(format!("| {alert} | {fault} | {fired} s | {resolved} s |"))
        };
        let head = [
            "| alert | fault | fires after | resolves after |",
            "|---|---|---|---|",
        ];
        let rows = self.prometheus.alerts.iter().filter_map(row);
        head.map(str::to_owned).into_iter().chain(rows).collect()
    }
}

fn none_fires(prometheus: &Prometheus) -> Result {
    let firing = prometheus.firing()?;
    ensure!(firing.is_empty(), "firing: {:?}", names_of(&firing));
    Ok(())
}

fn names_of(firing: &[Value]) -> Vec<&str> {
    let names = firing
        .iter()
        .map(|alert| alert["labels"]["alertname"].as_str());
    names.map(Option::unwrap_or_default).collect()
}

/// Those of the chart's dashboard, as Grafana sends them.
fn queries() -> Result<Vec<String>> {
    let file = checkout("deploy/chart/files/dashboard.json");
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let dashboard: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<_> = targets
        .filter_map(|target| target["expr"].as_str())
        .map(promql::with_values)
        .collect();
    ensure!(queries.len() > 40, "only {} queries", queries.len());
    Ok(queries)
}

/// The longest is a quarter of an hour.
const LONGEST_LOOK_BACK: Duration = Duration::from_mins(18);
