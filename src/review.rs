//! AdmissionReview v1 in, AdmissionReview v1 out: the protocol, and nothing that decides.
//!
//! Total: whatever the object holds, the answer allows it and carries the request's UID. There is no way to
//! build an answer without one. The envelope is borrowed from the body, and the object decoded only as far as
//! the decision needs it.
//!
//! Deliberately absent: HTTP, logging and metrics (see [`crate::server`]).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use crate::{
    config::Config,
    mutate::{
        Decision, Namespace, NamespaceLabel, Owners, Reason, Subject, keys,
        pod::{Metadata, Pod},
    },
    patch::{Patch, PodPath, Treatment},
    workload::{self, Change, Workload},
};

/// Which entry of the webhook configuration sent a review. Its path says it, and with it what the namespace's
/// label says, which a review does not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `/mutate/pod`: the pod's own label decides.
    Pod,
    /// `/mutate/namespace/<profile>`: the namespace's label names the profile.
    Namespace(String),
    /// `/mutate/namespace`: the namespace's label names no profile.
    UnknownNamespace,
    /// `/mutate/workload`: the label rule.
    Workload,
    /// `/probe`: does the API server reach us?
    Probe,
}

/// What is sent back, and what is counted and logged about it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The request's UID.
    pub uid: String,
    /// The AdmissionReview to send, JSON.
    pub body: Vec<u8>,
    /// What was decided.
    pub outcome: Outcome,
}

/// One review in words that a metric and a log line may carry: no pod contents, so no sentence of a reason either.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `injected`, `labelled`, `unlabelled`, `unchanged`, `probed` or a skip's code: a closed set.
    pub code: &'static str,
    /// Namespace of the object.
    pub namespace: String,
    /// Name, or generateName, of the object.
    pub name: String,
    /// Will nothing be stored?
    pub dry_run: bool,
}

/// The body is not an AdmissionReview with a UID, so no answer is possible: HTTP 400.
#[derive(Debug, thiserror::Error)]
#[error("not an admission.k8s.io/v1 AdmissionReview with a request: {0}")]
pub struct Malformed(#[from] serde_json::Error);

/// Answers one review.
pub fn answer(entry: &Entry, body: &[u8], config: &Config) -> Result<Answer, Malformed> {
    let request = Request::from_body(body)?;
    let (verdict, name) = match entry {
        Entry::Probe => on_probe(&request),
        Entry::Workload => on_workload(&request, config),
        Entry::Pod => on_pod(&request, NamespaceLabel::Absent, config),
        Entry::Namespace(profile) => on_pod(&request, NamespaceLabel::Value(profile), config),
        Entry::UnknownNamespace => on_pod(&request, NamespaceLabel::NoProfile, config),
    };
    Ok(request.answer(verdict, name))
}

/// The answer after a panic inside [`answer`]: allowed, untouched, with a warning.
pub fn internal_error(body: &[u8]) -> Result<Answer, Malformed> {
    let reason = Reason::Internal("see the server's log".to_owned());
    Ok(Request::from_body(body)?.answer(Verdict::skip(&reason), String::new()))
}

/// The request of an AdmissionReview, borrowed from the body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(default, borrow)]
    operation: Cow<'a, str>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(default, borrow)]
    object: Option<&'a RawValue>,
    #[serde(default, borrow)]
    old_object: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kind {
    kind: String,
}

/// What is to be said, before it is put into words of the protocol.
struct Verdict {
    code: &'static str,
    patch: Patch,
    warnings: Vec<String>,
}

fn on_pod(request: &Request<'_>, inject: NamespaceLabel<'_>, config: &Config) -> (Verdict, String) {
    if request.operation != "CREATE" {
        return (Verdict::skip(&Reason::NotSelected), String::new());
    }
    let text = request.object.map_or("null", RawValue::get);
    let (pod, document) = match (Pod::from_json(text), serde_json::from_str::<Value>(text)) {
        (Ok(pod), Ok(document)) => (pod, document),
        (Err(error), _) => {
            return (
                Verdict::skip(&Reason::Unreadable(error.to_string())),
                String::new(),
            );
        }
        (_, Err(error)) => {
            return (
                Verdict::skip(&Reason::Unreadable(error.to_string())),
                String::new(),
            );
        }
    };
    let namespace = request
        .namespace
        .as_deref()
        .or(pod.metadata.namespace.as_deref());
    let subject = Subject {
        pod: &pod,
        namespace: Namespace {
            name: namespace,
            inject,
        },
        owners: Owners::of_pod(&pod.metadata),
        from_workload: None,
    };
    let Treatment { decision, patch } = Treatment::of(&subject, &document, PodPath::POD, config);
    let verdict = match &decision {
        Decision::Skip(reason) => Verdict {
            patch,
            ..Verdict::skip(reason)
        },
        Decision::Inject(plan) => Verdict {
            code: "injected",
            patch,
            warnings: plan.warnings.iter().map(ToString::to_string).collect(),
        },
    };
    (verdict, display_name(&pod.metadata))
}

fn on_workload(request: &Request<'_>, config: &Config) -> (Verdict, String) {
    // Only kinds whose template may change later; the rules of the entries ask for no other.
    if request.kind.kind != "Deployment" || !["CREATE", "UPDATE"].contains(&&*request.operation) {
        return (Verdict::skip(&Reason::NotSelected), String::new());
    }
    let text = request.object.map_or("null", RawValue::get);
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let workload = match Workload::from_value(&document) {
        Ok(workload) => workload,
        Err(error) => {
            return (
                Verdict::skip(&Reason::Unreadable(error.to_string())),
                String::new(),
            );
        }
    };
    let old = request
        .old_object
        .and_then(|old| serde_json::from_str::<Old>(old.get()).ok());
    let old = old.and_then(|old| old.metadata.labels?.remove(keys::INJECT));
    let namespace = request.namespace.as_deref();
    let labelling =
        workload::apply_label_rule(&workload, &document, old.as_deref(), namespace, config);
    let verdict = match labelling {
        Err(error) => Verdict::skip(&Reason::Internal(error.to_string())),
        Ok(labelling) => {
            let code = match &labelling.change {
                Change::Labelled => "labelled",
                Change::Unlabelled => "unlabelled",
                Change::Unchanged => "unchanged",
                Change::Skipped(reason) => reason.code(),
            };
            Verdict {
                code,
                patch: labelling.patch,
                warnings: labelling.warnings,
            }
        }
    };
    (verdict, display_name(&workload.metadata))
}

/// The old object, of which only the labels count.
#[derive(Deserialize)]
struct Old {
    metadata: Metadata,
}

/// An annotation on the probe's ConfigMap, which comes back to whoever asked, proves the call.
fn on_probe(request: &Request<'_>) -> (Verdict, String) {
    let document = request
        .object
        .and_then(|object| serde_json::from_str::<Value>(object.get()).ok());
    let patch = Patch::for_annotation(keys::PROBE, &request.uid, &document.unwrap_or_default());
    let verdict = patch.map_or_else(
        |error| Verdict::skip(&Reason::Internal(error.to_string())),
        |patch| Verdict {
            code: "probed",
            patch,
            warnings: Vec::new(),
        },
    );
    (verdict, String::new())
}

fn display_name(metadata: &Metadata) -> String {
    let name = metadata.name.as_deref().filter(|name| !name.is_empty());
    name.or(metadata.generate_name.as_deref())
        .unwrap_or_default()
        .to_owned()
}

impl<'a> Request<'a> {
    fn from_body(body: &'a [u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Review<'a> {
            #[serde(borrow)]
            api_version: Cow<'a, str>,
            #[serde(borrow)]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            request: Request<'a>,
        }
        let review: Review<'a> = serde_json::from_slice(body)?;
        if review.api_version != API_VERSION || review.kind != KIND || review.request.uid.is_empty()
        {
            return Err(Malformed(serde::de::Error::custom(
                "another kind, version, or no uid",
            )));
        }
        Ok(review.request)
    }

    fn answer(self, verdict: Verdict, name: String) -> Answer {
        let Verdict {
            code,
            patch,
            warnings,
        } = verdict;
        let response = Response {
            uid: &self.uid,
            allowed: true,
            patch_type: (!patch.is_empty()).then_some("JSONPatch"),
            // A patch is a list of plain objects: it always serialises.
            patch: (!patch.is_empty())
                .then(|| BASE64.encode(serde_json::to_vec(&patch).unwrap_or_default())),
            warnings: warnings
                .iter()
                .map(|warning| format!("javelin: {warning}"))
                .collect(),
            audit_annotations: json!({ "decision": code }),
        };
        let body = json!({ "apiVersion": API_VERSION, "kind": KIND, "response": response });
        Answer {
            body: body.to_string().into_bytes(),
            outcome: Outcome {
                code,
                namespace: self.namespace.unwrap_or_default(),
                name: if name.is_empty() {
                    self.name.unwrap_or_default()
                } else {
                    name
                },
                dry_run: self.dry_run.unwrap_or_default(),
            },
            uid: self.uid.into_owned(),
        }
    }
}

impl Verdict {
    fn skip(reason: &Reason) -> Self {
        // What nobody has to be told is left out.
        let warning =
            (!reason.is_expected()).then(|| format!("no agent: {}: {reason}", reason.code()));
        Self {
            code: reason.code(),
            patch: Patch::default(),
            warnings: warning.into_iter().collect(),
        }
    }
}

/// `AdmissionResponse`: `allowed` is no field that anybody sets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    audit_annotations: Value,
}

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

#[cfg(test)]
mod tests;
