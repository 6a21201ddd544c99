//! What is different in the entries from how the chart makes them.

use javelin_core::config::Config;

use super::objects::{Expression, MutatingWebhook, Selector};
use super::{Expected, Switches, expected, expression};

/// What is different in one entry; all empty where nothing is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Is another path asked, or nobody's Service?
    pub other_path: bool,
    /// By the name of the selector: what it does not ask for any more.
    pub lost: Vec<(&'static str, Vec<Expression>)>,
    /// By the name of the selector: what it asks for beside that.
    pub added: Vec<(&'static str, Vec<Expression>)>,
    /// Names of the conditions that are gone.
    pub lost_conditions: Vec<&'static str>,
}

impl Difference {
    /// That of `entry` from how the chart makes it.
    pub fn between(expected: &Expected, entry: &MutatingWebhook) -> Self {
        let mut difference = Self {
            other_path: entry.path() != Some(&expected.path),
            ..Self::default()
        };
        for (what, wanted, found) in [
            (
                "namespaceSelector",
                &expected.namespace,
                &entry.namespace_selector,
            ),
            ("objectSelector", &expected.object, &entry.object_selector),
        ] {
            let found = requirements(found);
            let [lost, added] = [without(wanted, &found), without(&found, wanted)];
            difference
                .lost
                .extend((!lost.is_empty()).then_some((what, lost)));
            difference
                .added
                .extend((!added.is_empty()).then_some((what, added)));
        }
        let conditions = expected.conditions.iter().copied();
        let is_lost = |name: &&str| entry.match_conditions.iter().all(|each| each.name != *name);
        difference.lost_conditions = conditions.filter(is_lost).collect();
        difference
    }

    /// Is nothing different?
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How many entries are not as the chart makes them. One that has lost something and has something added is both.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    /// Not there, or calling somebody else.
    pub missing: usize,
    /// With another path, or without a requirement or condition.
    pub lost: usize,
    /// With a requirement that the chart does not make.
    pub added: usize,
}

impl Drift {
    /// That of the entries that call Javelin, which is in the namespace `own_namespace`.
    pub fn of_entries(config: &Config, own_namespace: &str, entries: &[MutatingWebhook]) -> Self {
        let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
        let mut drift = Self::default();
        for each in expected(config, own_namespace, Switches::of(&names)) {
            let Some(entry) = entries.iter().find(|entry| entry.name == each.name) else {
                drift.missing += 1;
                continue;
            };
            let Difference {
                other_path,
                lost,
                added,
                lost_conditions,
            } = Difference::between(&each, entry);
            drift.lost +=
                usize::from(other_path || !lost.is_empty() || !lost_conditions.is_empty());
            drift.added += usize::from(!added.is_empty());
        }
        drift
    }
}

/// Those that are not among the others.
fn without(requirements: &[Expression], others: &[Expression]) -> Vec<Expression> {
    let is_alone = |each: &&Expression| !others.iter().any(|other| is_same(each, other));
    requirements.iter().filter(is_alone).cloned().collect()
}

/// All that a selector asks for.
fn requirements(selector: &Selector) -> Vec<Expression> {
    let labels = selector.match_labels.iter();
    let labels = labels.map(|(key, value)| expression(key, "In", [value.as_str()]));
    labels
        .chain(selector.match_expressions.iter().cloned())
        .collect()
}

/// The same requirement, whatever the order of its values?
fn is_same(one: &Expression, other: &Expression) -> bool {
    let sorted = |expression: &Expression| {
        let mut values = expression.values.clone();
        values.sort();
        values.dedup();
        values
    };
    one.key == other.key && one.operator == other.operator && sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests;
