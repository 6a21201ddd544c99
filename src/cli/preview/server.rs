//! The live object, and the API server's own word on the pod with the agent.

use std::fmt;

use anyhow::Result;
use javelin_core::{
    mutate::{Decision, keys},
    patch::PodPath,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    super::{manifest::Document, person},
    Mutated,
};
use crate::api::client;
use crate::api::reader::Reader;
use crate::api::reference::Reference;
use crate::api::refusal::PodRefusal;
use crate::api::request::ClusterError;

/// The cluster that a person has rights in.
pub(super) struct Server {
    runtime: Runtime,
    reader: Reader,
    /// Of whoever names none.
    default_namespace: String,
}

/// What the API server would do with the pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// Create it.
    Admitted,
    /// Refuse it.
    Refused {
        /// Who, and why.
        refusal: PodRefusal,
        /// Is it the same without the agent?
        also_without: bool,
    },
}

impl Server {
    pub(super) fn connect(context: Option<&str>) -> Result<Self> {
        let runtime = person::runtime()?;
        let connected = runtime.block_on(async {
            let config = client::of_context(context).await?;
            let default_namespace = config.default_namespace.clone();
            Ok::<_, ClusterError>((Reader::new(config)?, default_namespace))
        });
        let (reader, default_namespace) = connected.map_err(person::explain)?;
        Ok(Self {
            runtime,
            reader,
            default_namespace,
        })
    }

    /// The object, without what no manifest has, and its namespace, if that may be read.
    pub(super) fn read(
        &self,
        reference: &Reference,
        namespace: Option<&str>,
    ) -> Result<Vec<Document>> {
        let mut reference = reference.clone();
        let namespace = reference.namespace.as_deref().or(namespace);
        let namespace = namespace
            .unwrap_or_else(|| &self.default_namespace)
            .to_owned();
        reference.namespace = Some(namespace.clone());
        let path = reference.path(&namespace);
        let name = format!("{namespace}/{}", reference.name);
        let read = self.reader.get::<Value>(reference.kind(), &name, &path);
        let mut value = self.runtime.block_on(read).map_err(person::explain)?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
            metadata.remove("managedFields");
        }
        let path = format!("/api/v1/namespaces/{namespace}");
        let read = self.reader.get::<Value>("Namespace", &namespace, &path);
        let labels = match self.runtime.block_on(read) {
            Ok(found) => {
                let labels = found.pointer("/metadata/labels");
                labels.cloned().unwrap_or_else(|| json!({}))
            }
            Err(error) => {
                super::note(&format!(
                    "note: the labels of the namespace {namespace} are not known: {error}"
                ));
                json!({})
            }
        };
        let metadata = json!({ "name": namespace, "labels": labels });
        let origin = "cluster".to_owned();
        Ok(vec![
            Document {
                origin: origin.clone(),
                value: json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }),
            },
            Document { origin, value },
        ])
    }

    /// Tries the pod with the agent, and without it where it is refused. `None` for one that is left alone.
    pub(super) fn try_out(
        &self,
        mutated: &Mutated,
        path: PodPath,
        namespace: Option<&str>,
    ) -> Result<Option<Acceptance>> {
        if matches!(mutated.mutation.decision, Decision::Skip(_)) {
            return Ok(None);
        }
        let namespace = namespace.unwrap_or_else(|| &self.default_namespace);
        let create = |pod: &Value| {
            let tried = self.runtime.block_on(self.reader.try_pod(namespace, pod));
            tried.map_err(person::explain)
        };
        let template = |object| path.of(object).unwrap_or(&Value::Null);
        Ok(Some(
            match create(&pod_of(template(mutated.result()), namespace, None))? {
                Ok(_) => Acceptance::Admitted,
                Err(refusal) => {
                    // Said out loud, or a webhook that runs there would bring the agent.
                    let without = template(&mutated.document.value);
                    let without = pod_of(without, namespace, Some("false"));
                    Acceptance::Refused {
                        also_without: create(&without)?.is_err(),
                        refusal,
                    }
                }
            },
        ))
    }
}

/// A pod from its template, or from a live pod: under a new name, of nobody, and with that inject label, if any.
fn pod_of(template: &Value, namespace: &str, inject: Option<&str>) -> Value {
    let metadata = |key: &str| template.pointer(&format!("/metadata/{key}"));
    let mut labels = metadata("labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    labels.extend(inject.map(|value| (keys::INJECT.to_owned(), value.into())));
    let mut spec = template.get("spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("nodeName");
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "javelin-preview-",
            "namespace": namespace,
            "labels": labels,
            "annotations": metadata("annotations"),
        },
        "spec": spec,
    })
}

impl Acceptance {
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

impl fmt::Display for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted => f.write_str("the API server admits the pod with the agent"),
            Self::Refused {
                refusal,
                also_without,
            } => {
                let without = if *also_without {
                    "; without the agent it is refused, too"
                } else {
                    "; without the agent it is admitted"
                };
                write!(f, "refused by {}: {}{without}", refusal.by, refusal.message)
            }
        }
    }
}
