//! A workload whose agent was taken back, as its pods did not run with it: what the audit's guard leaves on it, and what that
//! means to everybody else.
//!
//! The annotation [`keys::GUARDED`] begins with the label that the workload had at that moment. While it still has it, the label
//! counts as `false`. So whoever changes the label, or takes the annotation away, has the last word: at once, or where no review has
//! seen it at the next update of the workload.
//!
//! Deliberately not here: when that is done, which only the program knows, as it has seen the pods.

use serde_json::Value;

use crate::{kinds::Kind, mutate::keys};

/// The code of such a workload.
pub const CODE: &str = "guarded";

/// What the label of a workload says that is guarded.
pub const VALUE: &str = "false";

/// The annotation's text. `label` is what the workload has, `why` what was seen.
pub fn note(label: Option<&str>, why: &str) -> String {
    let note = format!("{}{why}", begin(label));
    note.chars().take(MAX_NOTE).collect()
}

/// Is that so of a workload with this annotation and this label? Of one whose label has changed since it is not.
pub fn holds(annotation: Option<&str>, label: Option<&str>) -> bool {
    annotation.is_some_and(|note| note.starts_with(&begin(label)))
}

/// What the label says of an object with this metadata: [`VALUE`] where the object is guarded.
pub fn label(metadata: &Value) -> Option<&str> {
    let label = text(metadata, "labels", keys::INJECT);
    if holds(text(metadata, "annotations", keys::GUARDED), label) {
        Some(VALUE)
    } else {
        label
    }
}

/// The command after which the label counts again.
pub fn way_back(kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    let place = namespace.map_or_else(String::new, |namespace| format!("-n {namespace} "));
    let resource = kind.resource();
    format!(
        "kubectl annotate {place}{resource}/{name} {}-",
        keys::GUARDED
    )
}

/// What to say of an object that is guarded; `None` of all others. `namespace` is where it is, if that is known.
pub fn sentence(object: &Value, namespace: Option<&str>) -> Option<String> {
    let metadata = object.get("metadata")?;
    let kind = Kind::of(object).filter(|kind| kind.is_label_copied)?;
    let annotation = text(metadata, "annotations", keys::GUARDED);
    holds(annotation, text(metadata, "labels", keys::INJECT)).then(|| {
        let name = metadata.get("name").and_then(Value::as_str);
        let way_back = way_back(kind, namespace, name.unwrap_or_default());
        format!(
            "its pods did not run with the agent, as its annotation {} says; to try again: {way_back}",
            keys::GUARDED
        )
    })
}

fn text<'a>(metadata: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    metadata.get(map)?.get(key)?.as_str()
}

fn begin(label: Option<&str>) -> String {
    format!("{}: ", label.unwrap_or(NO_LABEL))
}

/// In place of the label of a workload without one; no label can say so. `templates/webhook.yaml` has it, too.
const NO_LABEL: &str = "(none)";

/// A sentence, and no more of what containers are called than people read.
const MAX_NOTE: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_holds_while_the_label_is_the_one_that_it_was() {
        for label in [None, Some("true"), Some("checkout"), Some("")] {
            let note = note(label, "why");
            for other in [
                None,
                Some("true"),
                Some("checkout"),
                Some(""),
                Some("false"),
            ] {
                assert_eq!(
                    holds(Some(&note), other),
                    label == other,
                    "{note}: {other:?}"
                );
            }
            assert!(!holds(None, label));
        }
        assert!(!holds(Some("true"), Some("true")), "a text of nobody's");
        assert_eq!(note(Some("true"), &"long ".repeat(500)).len(), MAX_NOTE);
    }

    #[test]
    fn the_sentence_has_the_command() {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "orders", "annotations": { keys::GUARDED: note(None, "why") } },
        });
        let said = sentence(&object, Some("shop")).unwrap();
        assert!(
            said.ends_with("kubectl annotate -n shop deployment.apps/orders javelin.dev/guarded-"),
            "{said}"
        );
        let said = sentence(&object, None).unwrap();
        assert!(said.contains("annotate deployment.apps/orders"), "{said}");
        object["metadata"]["labels"] = json!({ keys::INJECT: "true" });
        assert_eq!(sentence(&object, None), None);
    }
}
