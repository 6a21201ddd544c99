//! One object as JSON, for programs: a line with stable fields.

use javelin_core::mutate::{Decision, Verdict};
use serde_json::{Value, json};

use super::{Mutated, Skip, server::Acceptance};

pub(super) fn json(mutated: &Mutated) -> Value {
    let document = &mutated.document;
    let text = |path: &[&str]| document.text(path).map_or(Value::Null, Value::from);
    let (decision, reason, message) = match mutated.skip() {
        None => ("inject", None, None),
        Some(Skip { code, why }) => ("skip", Some(code), Some(why)),
    };
    let mut record = json!({
        "apiVersion": text(&["apiVersion"]),
        "kind": document.kind(),
        "namespace": text(&["metadata", "namespace"]),
        "name": text(&["metadata", "name"]),
        "decision": decision,
        "reason": reason,
        "message": message,
        "warnings": warnings(mutated),
        "patch": mutated.mutation.patch,
    });
    let Some(fields) = record.as_object_mut() else {
        return record;
    };
    if !mutated.steps.is_empty() {
        let steps = mutated.steps.iter();
        let steps = steps.map(|step| {
            let verdict = match step.verdict {
                Verdict::Applies => "applies",
                Verdict::Passes => "passes",
                Verdict::Stops => "stops",
            };
            json!({ "rule": step.rule, "verdict": verdict, "why": step.why })
        });
        fields.insert("explanation".to_owned(), steps.collect());
    }
    if let Some(why) = &mutated.not_by_inject {
        fields.insert("notByInject".to_owned(), why.as_str().into());
    }
    if let Some(dry_run) = &mutated.dry_run {
        fields.insert("server".to_owned(), of_dry_run(dry_run));
    }
    record
}

fn warnings(mutated: &Mutated) -> Vec<Value> {
    let warning = |code: &str, message: String| json!({ "code": code, "message": message });
    let plan = match &mutated.mutation.decision {
        Decision::Inject(plan) => plan.warnings.as_slice(),
        Decision::Skip(_) => &[],
    };
    let of_plan = plan
        .iter()
        .map(|each| warning(each.code(), each.to_string()));
    let lints = mutated.lints.iter();
    of_plan
        .chain(lints.map(|each| warning(each.code(), each.to_string())))
        .collect()
}

fn of_dry_run(dry_run: &Acceptance) -> Value {
    match dry_run {
        Acceptance::Admitted => json!({ "admitted": true }),
        Acceptance::Refused {
            refusal,
            also_without,
        } => json!({
            "admitted": false,
            "by": refusal.by.to_string(),
            "message": refusal.message,
            "alsoWithoutAgent": also_without,
        }),
    }
}
