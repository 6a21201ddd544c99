//! Which workload a reviewed pod comes from, for whoever wants to tell people about it there.
//!
//! Deliberately not here: the workload itself. Its name follows from names, as everywhere; nothing is read for it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Request;
use crate::{
    kinds::Kind,
    mutate::{Owners, pod::Metadata},
};

/// The outermost workload that a pod comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Its namespace, which is the pod's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, where the pod says it: of a controller, but not of what stands above that, as a Deployment.
    pub uid: Option<String>,
}

/// The workload of the pod in a review; `None` for a pod without a controller, and for any other object.
pub fn origin(body: &[u8]) -> Option<Origin> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OwnerReferences {
        #[serde(default)]
        owner_references: Vec<Reference>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reference {
        api_version: String,
        kind: String,
        name: String,
        uid: String,
    }
    let request = Request::from_body(body).ok()?;
    let Object { metadata } = serde_json::from_str(request.object().ok()?).ok()?;
    let OwnerReferences { owner_references } = serde_json::from_str(metadata.get()).ok()?;
    let owners = Owners::of_pod(&serde_json::from_str::<Metadata>(metadata.get()).ok()?);
    let outermost = owners.iter().next_back()?;
    let reference = owner_references
        .into_iter()
        .find(|each| each.kind == outermost.kind && each.name == outermost.name);
    let (api_version, uid) = match reference {
        Some(reference) => (reference.api_version, Some(reference.uid)),
        None => (Kind::named(None, &outermost.kind)?.api_version(), None),
    };
    Some(Origin {
        api_version,
        kind: outermost.kind.clone(),
        namespace: request.namespace?,
        name: outermost.name.clone(),
        uid,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn review(metadata: &Value) -> Vec<u8> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "the-uid",
                "namespace": "shop",
                "object": { "metadata": metadata, "spec": { "containers": [] } },
            },
        });
        review.to_string().into_bytes()
    }

    fn owned_by(api_version: &str, kind: &str, name: &str) -> Value {
        json!([{ "apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": true }])
    }

    fn found(metadata: &Value) -> Option<(String, Option<String>)> {
        let origin = origin(&review(metadata))?;
        assert_eq!(origin.namespace, "shop");
        let Origin {
            api_version,
            kind,
            name,
            uid,
            ..
        } = origin;
        Some((format!("{api_version} {kind} {name}"), uid))
    }

    #[test]
    fn a_controller_is_named_with_its_uid_and_what_stands_above_it_without() {
        let stateful = json!({ "ownerReferences": owned_by("apps/v1", "StatefulSet", "db") });
        let uid = Some("u".to_owned());
        assert_eq!(
            found(&stateful),
            Some(("apps/v1 StatefulSet db".to_owned(), uid.clone()))
        );
        let replica_set = owned_by("apps/v1", "ReplicaSet", "orders-7d9");
        let deployed =
            json!({ "ownerReferences": replica_set, "labels": { "pod-template-hash": "7d9" } });
        assert_eq!(
            found(&deployed),
            Some(("apps/v1 Deployment orders".to_owned(), None))
        );
        let scheduled = json!({ "ownerReferences": owned_by("batch/v1", "Job", "night-29384756") });
        assert_eq!(
            found(&scheduled),
            Some(("batch/v1 CronJob night".to_owned(), None))
        );
        let custom = json!({ "ownerReferences": owned_by("example.com/v1", "Shop", "a") });
        assert_eq!(
            found(&custom),
            Some(("example.com/v1 Shop a".to_owned(), uid))
        );
    }

    #[test]
    fn a_pod_of_nobody_and_what_is_no_review_have_none() {
        assert_eq!(found(&json!({ "name": "alone" })), None);
        assert_eq!(
            found(&json!({ "ownerReferences": [{ "kind": "X" }] })),
            None
        );
        assert_eq!(origin(b"{}"), None);
    }
}
