//! Keys and values that were meant otherwise: near misses of the label, annotations in its place, values that name no
//! profile.

use javelin_core::config::Config;
use javelin_core::kinds;
use javelin_core::mutate::keys::INJECT;
use javelin_core::mutate::pod::{Metadata, StringMap};
use javelin_core::spelling::{self, distance};
use serde_json::Value;

use super::objects::Labelled;
use super::{Check, Facts, Findings, some};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let unseen = facts.namespaces.as_ref().err().into_iter();
    let unseen = unseen.chain(&facts.workloads_unseen);
    let unseen: Vec<_> = unseen.map(ToString::to_string).collect();
    if !unseen.is_empty() {
        findings.warn(
            Check::LabelKeys,
            format!("not checked everywhere: {}", unseen.join("; ")),
            super::ASK_FOR_RIGHTS,
        );
    }
    let namespaces = facts.namespaces.as_deref().unwrap_or_default();
    let objects = || namespaces.iter().chain(&facts.workloads);
    keys(objects(), findings);
    kinds(facts, findings);
    let Some(config) = facts.config() else {
        return;
    };
    values(objects(), config, findings);
    annotations(objects(), config, findings);
    excluded(namespaces, &facts.workloads, config, findings);
}

/// Where an object may carry it: on itself, and in its pod template.
fn places(object: &Labelled) -> impl Iterator<Item = (String, &Metadata)> {
    let own = (object.title(), &object.metadata);
    let template = object
        .template()
        .map(|template| (format!("{}, pod template", object.title()), template));
    std::iter::once(own).chain(template)
}

fn keys<'a>(objects: impl Iterator<Item = &'a Labelled>, findings: &mut Findings) {
    let check = Check::LabelKeys;
    let mut is_good = true;
    for (title, metadata) in objects.flat_map(places) {
        for key in metadata.labels.iter().flat_map(StringMap::keys) {
            if is_near_miss(key) {
                is_good = false;
                findings.fail(
                    check,
                    format!("{title}: the label {key} has no effect"),
                    format!("was {INJECT} meant?"),
                );
            }
        }
    }
    if is_good {
        findings.ok(check, "no label that you may see looks misspelt");
    }
}

fn values<'a>(
    objects: impl Iterator<Item = &'a Labelled>,
    config: &Config,
    findings: &mut Findings,
) {
    let check = Check::LabelValues;
    let (mut is_good, mut count) = (true, 0);
    for (title, metadata) in objects.flat_map(places) {
        let Some(value) = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(INJECT))
        else {
            continue;
        };
        count += 1;
        if value != "false" && config.profile(value).is_none() {
            is_good = false;
            findings.fail(
                check,
                format!("{title}: the value {value:?} names no profile, and its pods do not get the agent"),
                suggestion(value, config),
            );
        }
    }
    if is_good {
        findings.ok(check, format!("{count} labels, all with a known value"));
    }
}

/// The rule is the one of `javelin preview` and `javelin inject`.
fn kinds(facts: &Facts, findings: &mut Findings) {
    let check = Check::LabelKinds;
    let mut is_good = true;
    for object in &facts.other_kinds {
        let why = kinds::passed_over(object).or_else(|| kinds::label_not_copied(object));
        let Some(why) = why else { continue };
        is_good = false;
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let name = [text("/metadata/namespace"), text("/metadata/name")];
        let name: Vec<_> = name.into_iter().flatten().collect();
        findings.warn(
            check,
            format!(
                "{} {}: {why}",
                text("/kind").unwrap_or_default(),
                name.join("/")
            ),
            "put it where that kind keeps the labels of its pods, or on the namespace",
        );
    }
    if !facts.other_kinds_unseen.is_empty() {
        is_good = false;
        findings.warn(
            check,
            format!("not checked: {}", some(&facts.other_kinds_unseen)),
            super::ASK_FOR_RIGHTS,
        );
    }
    if is_good {
        findings.ok(check, "no other kind of object has the label");
    }
}

/// What may have been meant by a value.
fn suggestion(value: &str, config: &Config) -> String {
    let names = config.profiles().map(|profile| profile.name.as_str());
    let mut known: Vec<_> = ["true", "false"].into_iter().chain(names).collect();
    if let Some(nearest) = spelling::meant(value, &known) {
        return format!("was {nearest:?} meant?");
    }
    known.sort_unstable();
    let known: Vec<_> = known.into_iter().map(str::to_owned).collect();
    format!(
        "write one of: {}; further profiles are values of the chart",
        some(&known)
    )
}

fn annotations<'a>(
    objects: impl Iterator<Item = &'a Labelled>,
    config: &Config,
    findings: &mut Findings,
) {
    let check = Check::LabelAnnotations;
    let mut is_good = true;
    for object in objects {
        for (title, metadata) in places(object) {
            let has =
                |map: &Option<StringMap>| map.as_ref().is_some_and(|map| map.contains_key(INJECT));
            if !has(&metadata.annotations) || has(&metadata.labels) {
                continue;
            }
            // Only a pod's own annotation ever counts, and its template's is that.
            let is_pods =
                object.kind == "Pod" || !std::ptr::eq(metadata, &raw const object.metadata);
            if is_pods && config.reads_annotations() {
                continue;
            }
            is_good = false;
            let hint = if is_pods {
                "make it a label, or set `annotations: true` in the chart's values"
            } else {
                "make it a label: on a workload or a namespace only labels count"
            };
            findings.fail(
                check,
                format!("{title}: {INJECT} is an annotation, and has no effect"),
                hint,
            );
        }
    }
    if is_good {
        findings.ok(check, "no annotation is used instead of the label");
    }
}

fn excluded(
    namespaces: &[Labelled],
    workloads: &[Labelled],
    config: &Config,
    findings: &mut Findings,
) {
    let check = Check::LabelExcluded;
    let asks = |(_, metadata): (String, &Metadata)| {
        let value = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(INJECT));
        value.is_some_and(|value| value != "false")
    };
    let is_excluded =
        |name: &Option<String>| name.as_deref().is_some_and(|name| config.excludes(name));
    let of_namespaces = namespaces
        .iter()
        .filter(|each| is_excluded(&each.metadata.name));
    let of_workloads = workloads
        .iter()
        .filter(|each| is_excluded(&each.metadata.namespace));
    let asking = of_namespaces
        .chain(of_workloads)
        .filter(|each| places(each).any(asks));
    let titles: Vec<_> = asking.map(Labelled::title).collect();
    if titles.is_empty() {
        findings.ok(check, "no label is in an excluded namespace");
    } else {
        findings.warn(
            check,
            format!(
                "labelled, but in an excluded namespace, where Javelin never changes anything: {}",
                some(&titles)
            ),
            "remove the label, or remove the namespace from excludedNamespaces in the chart's values",
        );
    }
}

/// Was our key meant, and something else written?
fn is_near_miss(key: &str) -> bool {
    if key == INJECT {
        return false;
    }
    let key = key.to_ascii_lowercase();
    let (prefix, name) = key.split_once('/').unwrap_or(("", &key));
    let (own_prefix, own_name) = INJECT.split_once('/').unwrap_or_default();
    let is_ours = distance(prefix, own_prefix) <= NEAR_PREFIX;
    let near = distance(name, own_name) <= NEAR_NAME || TURNED.contains(&name);
    (is_ours && near) || name == own_name
}

/// Names that are the right words in another way.
const TURNED: [&str; 4] = ["inject", "java", "java-inject", "injectjava"];

const NEAR_PREFIX: usize = 4;

/// Less than what lies between Java and the other languages that the OpenTelemetry Operator has keys for.
const NEAR_NAME: usize = 3;

#[cfg(test)]
mod tests;
