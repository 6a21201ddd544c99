//! What the API server answered to a person's request, and what that means.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::request::{ClusterError, Target};

/// What was answered, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Was it done?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The API server's sentence when it refuses, or the body as it is.
    pub fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Status {
            message: String,
        }
        serde_json::from_slice::<Status>(&self.body).map_or_else(
            |_| {
                let text = String::from_utf8_lossy(&self.body);
                text.trim().chars().take(MOST_SHOWN).collect()
            },
            |status| status.message,
        )
    }
}

pub(super) fn decode<T: DeserializeOwned>(
    answer: &Response,
    target: &Target,
) -> Result<T, ClusterError> {
    accept(answer, target)?;
    read(&answer.body).map_err(|source| ClusterError::Transport {
        target: target.clone(),
        source: Box::new(kube::Error::SerdeError(source)),
    })
}

/// Reads JSON as Kubernetes means it: a field that is `null` is not there. Older API servers write
/// `creationTimestamp: null` into every pod template.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(text).or_else(|error| {
        let mut value = serde_json::from_slice(text)?;
        drop_nulls(&mut value);
        // Of the text, the first error has the place.
        serde_json::from_value(value).map_err(|_| error)
    })
}

/// Elements of lists stay: what stands behind them would be another.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

pub(super) fn accept(answer: &Response, target: &Target) -> Result<(), ClusterError> {
    if answer.is_success() {
        return Ok(());
    }
    let target = target.clone();
    Err(match answer.status {
        404 => ClusterError::Missing(target),
        409 => ClusterError::Conflict(target),
        401 | 403 => ClusterError::Denied {
            target,
            message: answer.message(),
        },
        code => ClusterError::Refused {
            target,
            code,
            message: answer.message(),
        },
    })
}

/// Of an answer that is no sentence of the API server's.
const MOST_SHOWN: usize = 300;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diagnose::status::objects::WorkloadFacts;
    use crate::standing::objects::PodFacts;

    #[test]
    fn a_field_that_is_null_is_not_there() {
        let template = json!({
            "metadata": { "creationTimestamp": null, "labels": null, "annotations": { "a": "b" } },
            "spec": { "containers": [{ "name": "app", "image": "a", "env": null }] },
        });
        let deployment = json!({
            "metadata": { "name": "orders", "managedFields": null },
            "spec": { "replicas": null, "template": template },
            "status": null,
        });
        let facts: WorkloadFacts = read(deployment.to_string().as_bytes()).unwrap();
        assert_eq!(facts.metadata.name, "orders");

        let status =
            json!({ "phase": null, "containerStatuses": [{ "name": "app", "lastState": null }] });
        let pod = json!({ "metadata": { "name": "p", "ownerReferences": null }, "status": status });
        let facts: PodFacts = read(pod.to_string().as_bytes()).unwrap();
        assert_eq!(facts.status.container_statuses.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_at_all_is_told_with_its_place() {
        let error =
            read::<PodFacts>(b"{\"metadata\": {\"name\": null, \"labels\": 3}}").unwrap_err();
        assert_eq!(error.line(), 1);
        read::<PodFacts>(b"{").unwrap_err();
        let kept: Vec<Option<u8>> = read(b"[1, null, 2]").unwrap();
        assert_eq!(kept.len(), 3);
    }
}
