//! What holds for every pod, however ugly.

use std::collections::BTreeSet;

use javelin::{
    config::Config,
    mutate::{
        Decision, Namespace, NamespaceLabel, Owners, Reason, Subject, keys,
        pod::{Container, EnvVar, Pod},
    },
    patch::{PodPath, Treatment},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::ugly::pod;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// A defect of ours would show as `internal-error`: the patch did not apply, or a second pass was not empty.
    #[test]
    fn every_patch_applies_and_is_complete(pod in pod()) {
        let (before, treatment) = treat(&pod);
        if let Decision::Skip(Reason::Internal(problem)) = &treatment.decision {
            panic!("{problem}: {pod}");
        }
        if let Decision::Inject(_) = treatment.decision {
            let (_, again) = treat(treatment.patch.result());
            prop_assert_eq!(again.decision, Decision::Skip(Reason::AlreadyInjected));
            prop_assert!(again.patch.is_empty());
        }
        prop_assert_eq!(&treat(&pod).1, &treatment, "the same input gives the same output: {:?}", before);
    }

    #[test]
    fn nothing_of_the_users_is_lost_or_reordered(pod in pod()) {
        let (before, treatment) = treat(&pod);
        let Decision::Inject(_) = treatment.decision else { return Ok(()) };
        let after = Pod::from_value(treatment.patch.result()).unwrap();
        for (old, new) in before.spec.containers.iter().zip(&after.spec.containers) {
            let touched = ["JAVA_TOOL_OPTIONS", "OTEL_RESOURCE_ATTRIBUTES"];
            let users = |env: &[EnvVar]| -> Vec<EnvVar> {
                let known: BTreeSet<_> = old.env().iter().map(|variable| &variable.name).collect();
                let kept = env.iter().filter(|v| known.contains(&v.name) && !touched.contains(&v.name.as_str()));
                kept.cloned().collect()
            };
            prop_assert_eq!(users(old.env()), users(new.env()));
            for name in touched {
                let value = |c: &Container| last(c, name).and_then(|variable| variable.value.clone());
                if let Some(value_before) = value(old) {
                    let value_after = value(new).unwrap_or_default();
                    // Behind ours where it refers to something that may hold the same keys.
                    let is_whole = value_after.starts_with(&value_before) || value_after.ends_with(&value_before);
                    prop_assert!(is_whole, "{value_before} {value_after}");
                }
            }
        }
    }

    #[test]
    fn whatever_the_receipt_does_not_name_is_as_it_was(pod in pod()) {
        let (before, treatment) = treat(&pod);
        let Decision::Inject(_) = treatment.decision else { return Ok(()) };
        let mut after = Pod::from_value(treatment.patch.result()).unwrap();
        let receipt: Value = serde_json::from_str(after.annotation(keys::INJECTED).unwrap()).unwrap();
        for (container, old) in after.spec.containers.iter_mut().zip(&before.spec.containers) {
            if let Some(mounts) = &mut container.volume_mounts {
                mounts.retain(|mount| mount.name != keys::AGENT_NAME);
            }
            let listed: Vec<_> = receipt["containers"][&container.name]
                .as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let untouched = |variable: &&EnvVar| !listed.contains(&variable.name.as_str());
            let rest: Vec<_> = container.env().iter().filter(untouched).cloned().collect();
            let expected: Vec<_> = old.env().iter().filter(untouched).cloned().collect();
            prop_assert_eq!(rest, expected);
            prop_assert_eq!(container.volume_mounts(), old.volume_mounts());
        }
    }

    #[test]
    fn no_name_is_repeated_and_no_reference_of_ours_can_stay_literal(pod in pod()) {
        let (before, treatment) = treat(&pod);
        let Decision::Inject(_) = treatment.decision else { return Ok(()) };
        let after = Pod::from_value(treatment.patch.result()).unwrap();
        for (old, new) in before.spec.containers.iter().zip(&after.spec.containers) {
            for (at, variable) in new.env().iter().enumerate() {
                prop_assert!(variable.value.is_none() || variable.value_from.is_none());
                let count = |container: &Container| container.env().iter().filter(|v| v.name == variable.name).count();
                let private = [keys::OPTIONS_VARIABLE, keys::ATTRIBUTES_VARIABLE].contains(&variable.name.as_str());
                prop_assert!(private || count(new) <= count(old).max(1), "{} is repeated", variable.name);
                for (from, _) in variable.value.as_deref().unwrap_or_default().match_indices("$(JAVELIN_") {
                    let reference = &variable.value.as_deref().unwrap_or_default()[from + 2..];
                    let name = reference.split(')').next().unwrap();
                    let earlier = new.env()[..at].iter().any(|earlier| earlier.name == name);
                    prop_assert!(earlier, "{name} is not defined before {}", variable.name);
                }
            }
        }
    }
}

fn treat(document: &Value) -> (Pod, Treatment) {
    let pod = Pod::from_value(document).unwrap();
    let config = Config::parse("default: {otlp: {endpoint: 'http://c:4318'}}", "test").unwrap();
    let subject = Subject {
        pod: &pod,
        namespace: Namespace {
            name: Some("shop"),
            inject: NamespaceLabel::Value("true"),
        },
        owners: Owners::of_pod(&pod.metadata),
        from_workload: None,
    };
    let treatment = Treatment::of(&subject, document, PodPath::POD, &config);
    (pod, treatment)
}

fn last<'a>(container: &'a Container, name: &str) -> Option<&'a EnvVar> {
    container
        .env()
        .iter()
        .rfind(|variable| variable.name == name)
}
