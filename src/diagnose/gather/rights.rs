//! What Javelin's account may do: a question to the API server for each right of the chart's Roles and `ClusterRole`s,
//! as `templates/rbac.yaml` has them.

use javelin_core::kinds::Kind;
use serde_json::{Value, json};

use super::seen;
use crate::api::client::{Names, PodState};
use crate::api::reader::Reader;
use crate::diagnose::check::Seen;
use crate::diagnose::check::facts::Right;

/// What replicas do beside the usual, as they were started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Duties {
    workload_events: bool,
    audit: bool,
    guard: bool,
}

impl Duties {
    pub(super) fn of(pods: &[PodState]) -> Self {
        let is_started_with = |argument: &str| {
            let mut arguments = pods.iter().flat_map(|pod| &pod.arguments);
            arguments.any(|each| each == argument)
        };
        Self {
            workload_events: is_started_with("--workload-events"),
            audit: is_started_with("--audit"),
            guard: is_started_with("--audit-guard"),
        }
    }
}

/// Objects, as a Role says which.
#[derive(Clone, Copy)]
struct Objects<'a> {
    /// Empty for all.
    namespace: &'a str,
    group: &'a str,
    resource: &'a str,
    /// Empty for all.
    name: &'a str,
}

impl<'a> Objects<'a> {
    fn everywhere(group: &'a str, resource: &'a str) -> Self {
        Self {
            namespace: "",
            group,
            resource,
            name: "",
        }
    }
}

/// Asks for each right that these duties take.
pub(super) async fn account(
    reader: &Reader,
    names: &Names,
    account: &str,
    duties: Duties,
) -> Seen<Vec<Right>> {
    let mut rights = Vec::new();
    for (objects, verbs) in needed(names, duties) {
        for verb in verbs {
            let Objects { resource, name, .. } = objects;
            rights.push(Right {
                what: format!("{verb} {resource} {name}").trim_end().to_owned(),
                is_allowed: is_allowed(reader, names, account, verb, objects).await?,
            });
        }
    }
    Ok(rights)
}

/// Objects, and the verbs for them.
fn needed(names: &Names, duties: Duties) -> Vec<(Objects<'_>, &'static [&'static str])> {
    let own = |group, resource, name| Objects {
        namespace: names.service.namespace(),
        group,
        resource,
        name,
    };
    let entries = Objects {
        name: &names.configuration,
        ..Objects::everywhere(
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
        )
    };
    let events = Objects::everywhere("events.k8s.io", "events");
    let of_kind = |kind: &'static Kind| Objects::everywhere(kind.group, kind.plural());
    let mut needed: Vec<(_, &[_])> = vec![
        (
            own("", "secrets", &names.secret),
            &["get", "watch", "patch", "create"],
        ),
        (own("", "configmaps", &names.probe), &["create", "patch"]),
        (own("events.k8s.io", "events", ""), &["create"]),
        (entries, &["get", "watch", "patch"]),
    ];
    if duties.workload_events {
        needed.push((events, &["create"]));
        needed.push((Objects::everywhere("apps", "deployments"), &["get"]));
        needed.push((Objects::everywhere("batch", "cronjobs"), &["get"]));
    }
    if duties.audit {
        needed.push((own("", "services", names.service.service()), &["get"]));
        needed.push((Objects::everywhere("", "namespaces"), &["list"]));
        needed.push((Objects::everywhere("", "pods"), &["get", "list"]));
        needed.push((events, &["create"]));
        needed.extend(Kind::with_status().map(|kind| (of_kind(kind), &["get", "list"][..])));
    }
    if duties.guard {
        let kinds = Kind::with_status().filter(|kind| kind.is_rolled_out());
        needed.extend(kinds.map(|kind| (of_kind(kind), &["patch"][..])));
    }
    needed
}

async fn is_allowed(
    reader: &Reader,
    names: &Names,
    account: &str,
    verb: &str,
    objects: Objects<'_>,
) -> Seen<bool> {
    let namespace = names.service.namespace();
    let question = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{namespace}:{account}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
            "resourceAttributes": {
                "namespace": objects.namespace,
                "verb": verb,
                "group": objects.group,
                "resource": objects.resource,
                "name": objects.name,
            },
        },
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = seen(reader.review(path, &question).await)?;
    let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
    Ok(allowed == Some(true))
}
