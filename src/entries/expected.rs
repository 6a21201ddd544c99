//! The entries that the chart makes for a configuration, as its `templates/webhook.yaml` has them: the two are held
//! together by the cluster's cases, where every check passes on what the chart has installed.

use javelin_core::config::{Config, DEFAULT_PROFILE};
use javelin_core::mutate::keys::{FROM_WORKLOAD, INJECT, PROBE};

use super::objects::Expression;
#[cfg(test)]
use super::objects::{Callee, ClientConfig, MatchCondition, MutatingWebhook, Selector};

/// An entry as the chart makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// What is asked of the Service.
    pub path: String,
    /// What its namespaceSelector asks for.
    pub namespace: Vec<Expression>,
    /// What its objectSelector asks for.
    pub object: Vec<Expression>,
    /// Names of its conditions.
    pub conditions: Vec<&'static str>,
}

impl Expected {
    /// Does the agent of no pod depend on it?
    pub fn only_warns(&self) -> bool {
        self.path.starts_with("/warn/")
    }

    /// The entry, of a release called javelin.
    #[cfg(test)]
    fn made(self) -> MutatingWebhook {
        let selector = |match_expressions| Selector {
            match_expressions,
            ..Selector::default()
        };
        let conditions = self.conditions.into_iter();
        MutatingWebhook {
            failure_policy: Some(
                if self.path == "/probe" {
                    "Fail"
                } else {
                    "Ignore"
                }
                .to_owned(),
            ),
            client_config: ClientConfig {
                service: Some(Callee {
                    name: "javelin".to_owned(),
                    namespace: OWN_NAMESPACE.to_owned(),
                    path: Some(self.path),
                }),
                url: None,
                ca_bundle: Some("Zm9v".to_owned()),
            },
            rules: Vec::new(),
            namespace_selector: selector(self.namespace),
            object_selector: selector(self.object),
            match_conditions: conditions
                .map(|name| MatchCondition {
                    name: name.to_owned(),
                })
                .collect(),
            name: self.name,
        }
    }
}

/// What values of the chart say of the entries, and the configuration does not.
#[derive(Debug, Clone, Copy)]
pub struct Switches {
    /// How often each entry is there again, for what a failed call has left undecided; the chart allows no more than
    /// three.
    pub second_chances: usize,
    /// Are there entries that only warn?
    pub workload_warnings: bool,
}

impl Switches {
    /// As the names of the entries tell.
    pub fn of(names: &[&str]) -> Self {
        let is_there = |suffix: &str| names.iter().any(|name| name.ends_with(suffix));
        let second_chances =
            (1..=MOST_SECOND_CHANCES).take_while(|attempt| is_there(&second_chance(*attempt)));
        Self {
            second_chances: second_chances.count(),
            workload_warnings: is_there(WORKLOAD_WARNING),
        }
    }
}

/// All of them. `own_namespace` is Javelin's.
pub fn expected(config: &Config, own_namespace: &str, switches: Switches) -> Vec<Expected> {
    let second_chances = switches.second_chances;
    let mut pods = of_pods(config);
    pods.extend(of_namespaces(config));
    let opt_out = config
        .reads_annotations()
        .then_some("not-opted-out-by-annotation");
    let mut all = with_second_chances(pods, second_chances, opt_out);
    all.extend(with_second_chances(
        of_workloads().into(),
        second_chances,
        None,
    ));
    if switches.workload_warnings {
        all.extend(of_workload_warnings(config));
    }
    for entry in &mut all {
        let elsewhere = expression(NAME_OF_NAMESPACE, "NotIn", config.excluded_namespaces());
        entry.namespace.push(elsewhere);
    }
    let own = [expression(NAME_OF_NAMESPACE, "In", [own_namespace])];
    let probe = [expression(PROBE, "In", ["true"])];
    all.push(entry("probe", "/probe", &own, &probe));
    all
}

/// Every entry that there can be, as the chart makes them for a release called javelin in [`OWN_NAMESPACE`].
#[cfg(test)]
pub(crate) fn made(config: &Config) -> Vec<MutatingWebhook> {
    let switches = Switches {
        second_chances: 2,
        workload_warnings: true,
    };
    let entries = expected(config, OWN_NAMESPACE, switches).into_iter();
    entries.map(Expected::made).collect()
}

#[cfg(test)]
pub(crate) const OWN_NAMESPACE: &str = "javelin-system";

/// Each entry, and what the chart repeats of it. `further` is one more condition of the repeated.
fn with_second_chances(
    entries: Vec<Expected>,
    second_chances: usize,
    further: Option<&'static str>,
) -> Vec<Expected> {
    let again = |entry: &Expected, attempt| {
        let name = entry.name.strip_suffix(OUR_ENTRIES).unwrap_or(&entry.name);
        let conditions = entry.conditions.iter().copied();
        Expected {
            name: format!("{name}{}", second_chance(attempt)),
            path: entry.path.replacen("/mutate/", "/second-chance/", 1),
            namespace: entry.namespace.clone(),
            object: entry.object.clone(),
            conditions: conditions.chain(["undecided"]).chain(further).collect(),
        }
    };
    let each = |entry: Expected| {
        let again: Vec<_> = (1..=second_chances)
            .map(|attempt| again(&entry, attempt))
            .collect();
        std::iter::once(entry).chain(again)
    };
    entries.into_iter().flat_map(each).collect()
}

/// How the name of an entry ends that is there for the `attempt`th time after the first.
fn second_chance(attempt: usize) -> String {
    match attempt {
        1 => format!(".second-chance{OUR_ENTRIES}"),
        further => format!(".second-chance-{further}{OUR_ENTRIES}"),
    }
}

/// Pods that ask themselves, or whose workload does, in namespaces that say nothing or no.
fn of_pods(config: &Config) -> Vec<Expected> {
    let labelled = [is_there(), is_not_false(INJECT)];
    let copied = [is_absent(), is_copied(), is_not_false(FROM_WORKLOAD)];
    let mut all = Vec::new();
    for (opted_out, namespace) in [
        ("", is_absent()),
        ("-opted-out", expression(INJECT, "In", ["false"])),
    ] {
        let namespace = [namespace];
        let name = format!("pod{opted_out}");
        all.push(entry(&name, "/mutate/pod", &namespace, &labelled));
        let name = format!("pod{opted_out}-from-workload");
        all.push(entry(&name, "/mutate/pod", &namespace, &copied));
        if config.reads_annotations() {
            let name = format!("pod-annotated{opted_out}");
            all.push(Expected {
                conditions: vec!["annotated", "not-by-workload"],
                ..entry(&name, "/mutate/pod", &namespace, &[is_absent()])
            });
        }
    }
    all
}

/// Pods of labelled namespaces: the path says the profile.
fn of_namespaces(config: &Config) -> Vec<Expected> {
    let profiles = config.profiles().map(|profile| profile.name.as_str());
    let further: Vec<_> = profiles.filter(|name| *name != DEFAULT_PROFILE).collect();
    let default = vec!["true", DEFAULT_PROFILE];
    let known = ["true", "false", DEFAULT_PROFILE].into_iter();
    let unknown = expression(INJECT, "NotIn", known.chain(further.iter().copied()));
    let profiles = std::iter::once((DEFAULT_PROFILE, default))
        .chain(further.iter().map(|name| (*name, vec![*name])));
    let mut all: Vec<_> = profiles
        .map(|(profile, values)| {
            let namespace = [expression(INJECT, "In", values)];
            let path = format!("/mutate/namespace/{profile}");
            entry(
                &format!("namespace-{profile}"),
                &path,
                &namespace,
                &[is_not_false(INJECT)],
            )
        })
        .collect();
    all.push(entry(
        "namespace-unknown",
        "/mutate/namespace",
        &[is_there(), unknown],
        &[is_not_false(INJECT)],
    ));
    for entry in &mut all {
        entry.conditions = vec!["not-opted-out-by-workload"];
    }
    all
}

/// Workloads that are labelled, or were.
fn of_workloads() -> [Expected; 2] {
    let path = "/mutate/workload";
    [
        entry("workload", path, &[], &[is_there()]),
        entry(
            "workload-unlabelled",
            path,
            &[],
            &[is_absent(), is_copied()],
        ),
    ]
    .map(|entry| Expected {
        conditions: vec!["not-made-by-a-controller"],
        ..entry
    })
}

/// Workloads without the label in labelled namespaces, of which somebody is told: in each namespace that its pods are sent from.
fn of_workload_warnings(config: &Config) -> impl Iterator<Item = Expected> {
    of_namespaces(config).into_iter().map(|entry| {
        let name = entry.name.strip_suffix(OUR_ENTRIES).unwrap_or(&entry.name);
        Expected {
            name: format!("{name}{WORKLOAD_WARNING}"),
            path: entry
                .path
                .replacen("/mutate/namespace", "/warn/workload", 1),
            namespace: entry.namespace,
            object: vec![is_absent(), expression(FROM_WORKLOAD, "DoesNotExist", [])],
            conditions: vec!["not-labelled", "without-a-controller", "template-is-new"],
        }
    })
}

fn entry(name: &str, path: &str, namespace: &[Expression], object: &[Expression]) -> Expected {
    Expected {
        name: format!("{name}{OUR_ENTRIES}"),
        path: path.to_owned(),
        namespace: namespace.to_vec(),
        object: object.to_vec(),
        conditions: Vec::new(),
    }
}

fn is_there() -> Expression {
    expression(INJECT, "Exists", [])
}

fn is_absent() -> Expression {
    expression(INJECT, "DoesNotExist", [])
}

fn is_copied() -> Expression {
    expression(FROM_WORKLOAD, "Exists", [])
}

fn is_not_false(key: &str) -> Expression {
    expression(key, "NotIn", ["false"])
}

/// A requirement of a selector.
pub fn expression<'a>(
    key: &str,
    operator: &str,
    values: impl IntoIterator<Item = &'a str>,
) -> Expression {
    Expression {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: values.into_iter().map(str::to_owned).collect(),
    }
}

/// How the chart's entries end.
pub const OUR_ENTRIES: &str = ".javelin.dev";

/// How those end that only warn.
const WORKLOAD_WARNING: &str = ".workload-warning.javelin.dev";

/// As `values.schema.json` has it.
const MOST_SECOND_CHANCES: usize = 3;

const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";
