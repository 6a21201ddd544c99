use super::*;
use crate::entries::{OWN_NAMESPACE, made};

#[track_caller]
fn check(change: impl Fn(&mut Vec<MutatingWebhook>), wanted: Drift) {
    let text = "{excludedNamespaces: [kube-system], profiles: {checkout: {}}}";
    let config = Config::parse(text, "f").unwrap();
    let mut entries = made(&config);
    change(&mut entries);
    let drift = Drift::of_entries(&config, OWN_NAMESPACE, &entries);
    assert_eq!(drift, wanted);
}

fn requirement() -> Expression {
    expression("control-plane", "DoesNotExist", [])
}

#[test]
fn entries_of_the_chart_have_not_drifted() {
    check(|_| (), Drift::default());
    // In any order, and so the values of a requirement.
    check(
        |entries| {
            entries.reverse();
            for requirement in entries
                .iter_mut()
                .flat_map(|entry| &mut entry.namespace_selector.match_expressions)
            {
                requirement.values.reverse();
            }
        },
        Drift::default(),
    );
    // Those of somebody else, which call us by a name that the chart does not give.
    check(
        |entries| {
            let other = MutatingWebhook {
                name: "somebody.example.org".to_owned(),
                ..entries[0].clone()
            };
            entries.push(other);
        },
        Drift::default(),
    );
}

#[test]
fn each_way_of_drifting_is_counted_by_entry() {
    let missing = |missing| Drift {
        missing,
        ..Drift::default()
    };
    let lost = |lost| Drift {
        lost,
        ..Drift::default()
    };
    let added = |added| Drift {
        added,
        ..Drift::default()
    };
    check(|entries| drop(entries.pop()), missing(1));
    check(
        |entries| {
            for entry in entries.iter_mut().take(3) {
                entry.object_selector.match_expressions.clear();
                entry.match_conditions.clear();
            }
        },
        lost(3),
    );
    check(
        |entries| {
            let entry = entries
                .iter_mut()
                .find(|entry| !entry.match_conditions.is_empty());
            entry.unwrap().match_conditions.clear();
        },
        lost(1),
    );
    check(
        |entries| {
            let service = entries[0].client_config.service.as_mut().unwrap();
            service.path = Some("/mutate/elsewhere".to_owned());
        },
        lost(1),
    );
    check(
        |entries| {
            for entry in entries.iter_mut().take(2) {
                let selector = &mut entry.namespace_selector;
                selector.match_expressions.push(requirement());
            }
            let selector = &mut entries[2].object_selector;
            selector
                .match_labels
                .insert("team".to_owned(), "a".to_owned());
        },
        added(3),
    );
    // A requirement with other values is one lost and one added.
    check(
        |entries| {
            let selector = &mut entries[0].namespace_selector;
            selector.match_expressions.pop();
            selector.match_expressions.push(requirement());
        },
        Drift {
            missing: 0,
            lost: 1,
            added: 1,
        },
    );
}
