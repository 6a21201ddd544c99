//! AdmissionReview v1 in, AdmissionReview v1 out: the protocol, and nothing that decides.
//!
//! Total: whatever the object holds, the answer allows it and carries the request's UID. There is no way to
//! build an answer without one. The envelope is borrowed from the body, and the object decoded only as far as
//! the decision needs it.
//!
//! Deliberately absent: HTTP, logging and metrics.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::{
    config::Config,
    kinds,
    mutate::{
        self, Decision, InjectLabel, Namespace, Reason, Subject, Warning, keys,
        pod::{Metadata, Pod},
    },
    patch::{Mutation, Node, Patch, PodPath, Rules},
    steps,
    workload::{self, Change, Labelling, Workload},
};

mod object;
mod origin;

pub use origin::{Origin, origin};

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
    /// `/warn/workload/<profile>`: a workload without the label, in a namespace whose label names the profile.
    WorkloadWarning(String),
    /// `/warn/workload`: the same, in a namespace whose label names no profile.
    UnknownWorkloadWarning,
    /// `/probe`: does the API server reach us?
    Probe,
}

impl Entry {
    /// Each code that a review of this entry can come to ([`Outcome::code`]).
    pub fn outcomes(&self) -> Vec<&'static str> {
        // Of an object that is none, and of a defect.
        let of_any = [OVERLOADED, "unreadable", "internal-error"];
        // Of a kind that has no label to be copied.
        let not_selected = ["not-selected"];
        match self {
            Self::Pod | Self::Namespace(_) | Self::UnknownNamespace => {
                [&[INJECTED, OVERLOADED], &Reason::CODES[..]].concat()
            }
            Self::Workload => {
                let changes = Change::ALL.map(Change::code);
                [&changes[..], &not_selected, &of_any].concat()
            }
            Self::WorkloadWarning(_) | Self::UnknownWorkloadWarning => {
                [&[WARNED, NOTHING_TO_SAY], &not_selected[..], &of_any].concat()
            }
            Self::Probe => [&[PROBED], &of_any[..]].concat(),
        }
    }

    /// Does it send pods, whose agent the answer decides on?
    pub fn is_for_pods(&self) -> bool {
        matches!(
            self,
            Self::Pod | Self::Namespace(_) | Self::UnknownNamespace
        )
    }

    /// Is it there for warnings alone? Then an answer never has a patch, and no second chance repeats a call.
    pub fn only_warns(&self) -> bool {
        matches!(
            self,
            Self::WorkloadWarning(_) | Self::UnknownWorkloadWarning
        )
    }
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
    /// One of [`Entry::outcomes`]: a closed set.
    pub code: &'static str,
    /// Namespace of the object.
    pub namespace: String,
    /// Name, or generateName, of the object.
    pub name: String,
    /// Will nothing be stored?
    pub dry_run: bool,
    /// The profile of a pod that gets the agent.
    pub profile: Option<String>,
    /// Was whoever asked warned? Of a pod without the agent: it was meant to have it.
    pub warned: bool,
}

/// The body is not an AdmissionReview with a UID, so no answer is possible: HTTP 400.
#[derive(Debug, thiserror::Error)]
#[error("not an admission.k8s.io/v1 AdmissionReview with a request: {0}")]
pub struct Malformed(#[from] serde_json::Error);

/// Answers one review.
pub fn answer(entry: &Entry, body: &[u8], config: &Config) -> Result<Answer, Malformed> {
    Engine::OURS.answer(entry, body, config)
}

/// The answer after a panic inside [`answer`]: allowed, untouched, with a warning, unless its entry [only
/// warns](Entry::only_warns).
pub fn internal_error(entry: &Entry, body: &[u8]) -> Result<Answer, Malformed> {
    let reason = Reason::Internal("see the server's log".to_owned());
    let verdict = Verdict::skip(&reason).unless_only_warning(entry);
    Ok(Request::from_body(body)?.answer(verdict, String::new()))
}

/// The answer when there is no time for [`answer`]: allowed, untouched, with a warning, unless its entry [only
/// warns](Entry::only_warns).
pub fn undecided(entry: &Entry, body: &[u8]) -> Result<Answer, Malformed> {
    let verdict = Verdict {
        code: OVERLOADED,
        profile: None,
        patch: None,
        warnings: vec![format!("no agent: {OVERLOADED}: {NO_TIME}")],
    };
    let verdict = verdict.unless_only_warning(entry);
    Ok(Request::from_body(body)?.answer(verdict, String::new()))
}

/// The code of a pod that gets the agent.
const INJECTED: &str = "injected";

/// The codes of an entry that only warns: there was something to say, or not.
const WARNED: &str = "warned";
const NOTHING_TO_SAY: &str = "nothing-to-say";

/// The code of the probe.
const PROBED: &str = "probed";

/// The code of [`undecided`], beside those of [`Reason`].
pub const OVERLOADED: &str = "overloaded";

/// Its sentence.
pub const NO_TIME: &str = "it could not be decided in time; this call has left the object as it was, and a second chance may still decide";

/// What an answer rests on. A test puts in what is wrong, panics or fails: none of it may reach a pod.
#[derive(Clone, Copy)]
pub struct Engine {
    /// What is to be done with a pod.
    pub decide: Rules,
    /// Writes what is sent.
    pub encode: fn(&Patch) -> Result<Vec<u8>, serde_json::Error>,
}

impl Engine {
    /// The one that [`answer`] has.
    pub const OURS: Self = Self {
        decide: mutate::decide,
        encode: Patch::to_json,
    };

    /// As [`answer`] does.
    pub fn answer(self, entry: &Entry, body: &[u8], config: &Config) -> Result<Answer, Malformed> {
        let request = Request::from_body(body)?;
        let on_pod = |inject| self.on_pod(&request, inject, config);
        let warning = |inject| workload_warning(&request, inject, config);
        let judged = match entry {
            Entry::Probe => self.on_probe(&request),
            Entry::Workload => self.on_workload(&request, config),
            Entry::Pod => on_pod(InjectLabel::Absent),
            Entry::Namespace(profile) => on_pod(InjectLabel::Value(profile)),
            Entry::UnknownNamespace => on_pod(InjectLabel::NoProfile),
            Entry::WorkloadWarning(profile) => warning(InjectLabel::Value(profile)),
            Entry::UnknownWorkloadWarning => warning(InjectLabel::NoProfile),
        };
        // A reason has no patch, and its sentence always serialises.
        let (verdict, name) = judged.unwrap_or_else(|reason| {
            let verdict = Verdict::skip(&reason).unless_only_warning(entry);
            (verdict, String::new())
        });
        Ok(request.answer(verdict, name))
    }

    fn on_pod(self, request: &Request<'_>, inject: InjectLabel<'_>, config: &Config) -> Judged {
        if request.operation != "CREATE" {
            return Err(Reason::NotSelected);
        }
        let text = request.object()?;
        let (pod, decoded) = pod_of(text)?;
        let names = [&request.namespace, &pod.metadata.namespace].into_iter();
        let mut names = names.flatten().map(String::as_str);
        let name = names.find(|name| !name.is_empty());
        let subject = Subject::of_pod(&pod, Namespace { name, inject });
        let decision = (self.decide)(&subject, config);
        let name = display_name(&pod.metadata);
        if let Decision::Skip(reason) = &decision
            && reason.is_expected()
        {
            return Ok((Verdict::skip(reason), name));
        }
        let document = match &decoded {
            Some(document) => Node::Value(document),
            None => Node::of_pod(text),
        };
        let Mutation { decision, patch } =
            Mutation::carrying_out(decision, &subject, &document, PodPath::POD, config);
        let patch = self.encoded(&patch)?;
        let verdict = match &decision {
            Decision::Skip(reason) => Verdict {
                patch,
                ..Verdict::skip(reason)
            },
            Decision::Inject(plan) => Verdict {
                code: INJECTED,
                profile: Some(plan.profile.clone()),
                patch,
                warnings: plan.warnings.iter().map(Warning::line).collect(),
            },
        };
        Ok((verdict, name))
    }

    fn on_workload(self, request: &Request<'_>, config: &Config) -> Judged {
        let (workload, document) = request.workload()?;
        let old = request
            .old_object
            .and_then(|old| serde_json::from_str::<Old>(old.get()).ok());
        let old = old.and_then(|old| old.metadata.labels?.remove(keys::INJECT));
        let namespace = request.namespace.as_deref();
        let labelling =
            workload::apply_label_rule(&workload, &document, old.as_deref(), namespace, config)
                .map_err(|error| Reason::Internal(error.to_string()))?;
        let Labelling {
            change,
            patch,
            warnings,
        } = labelling;
        Ok((
            Verdict {
                code: change.code(),
                profile: None,
                patch: self.encoded(&patch)?,
                warnings,
            },
            display_name(workload.metadata()),
        ))
    }

    /// An annotation on the probe's ConfigMap, which comes back to whoever asked, proves the call.
    fn on_probe(self, request: &Request<'_>) -> Judged {
        let document = request.document()?;
        let patch = Patch::for_annotation(keys::PROBE, &request.uid, &Node::Value(&document))
            .map_err(|error| Reason::Internal(error.to_string()))?;
        Ok((
            Verdict {
                code: PROBED,
                profile: None,
                patch: self.encoded(&patch)?,
                warnings: Vec::new(),
            },
            String::new(),
        ))
    }

    /// A patch as the protocol has it; nothing where there is nothing to do.
    fn encoded(self, patch: &Patch) -> Result<Option<Base64>, Reason> {
        if patch.is_empty() {
            return Ok(None);
        }
        let json = (self.encode)(patch)
            .map_err(|error| Reason::Internal(format!("the patch cannot be written: {error}")))?;
        if json.len() > MAX_PATCH_BYTES {
            return Err(Reason::Unreadable(
                "with the agent it would be larger than the API server stores".to_owned(),
            ));
        }
        Ok(Some(Base64(json)))
    }
}

/// What a workload is warned of that the label rule has nothing to do with. Nothing of it is changed.
fn workload_warning(request: &Request<'_>, inject: InjectLabel<'_>, config: &Config) -> Judged {
    let (workload, document) = request.workload()?;
    let namespace = Namespace {
        name: request.namespace.as_deref(),
        inject,
    };
    let warnings = workload::warnings_of_unlabelled(&workload, &document, namespace, config);
    let code = if warnings.is_empty() {
        NOTHING_TO_SAY
    } else {
        WARNED
    };
    Ok((
        Verdict {
            code,
            profile: None,
            patch: None,
            warnings,
        },
        display_name(workload.metadata()),
    ))
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
    group: Option<String>,
    kind: String,
}

/// A JSON object. Serde would read the fields of a struct from an array as well, one after the other, and no sender of a
/// review means that.
struct Map<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Map<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Map)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// What is to be said, before it is put into words of the protocol.
struct Verdict {
    code: &'static str,
    profile: Option<String>,
    /// A JSON Patch.
    patch: Option<Base64>,
    warnings: Vec<String>,
}

/// Bytes that are written as base64, straight into the answer.
struct Base64(Vec<u8>);

/// What is to be said, and of which object; or why nothing can be.
type Judged = Result<(Verdict, String), Reason>;

/// The old object, of which only the labels count.
#[derive(Deserialize)]
struct Old {
    metadata: Metadata,
}

/// A pod, and its whole object where that had to be decoded.
fn pod_of(text: &str) -> Result<(Pod, Option<Value>), Reason> {
    if let Ok(pod) = serde_json::from_str(text) {
        return Ok((pod, None));
    }
    // A member that is there twice is no fault of a pod's, and what is one is told with its path.
    let document = object::decode(text).map_err(unreadable)?;
    let pod = Pod::from_value(&document).map_err(unreadable)?;
    Ok((pod, Some(document)))
}

fn unreadable(error: impl fmt::Display) -> Reason {
    Reason::Unreadable(error.to_string())
}

fn display_name(metadata: &Metadata) -> String {
    let name = metadata.name.as_deref().filter(|name| !name.is_empty());
    let name = name
        .or(metadata.generate_name.as_deref())
        .unwrap_or_default();
    shortened(name)
}

/// A log line is no place for whatever a hostile body calls a name.
fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
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
            request: Map<Request<'a>>,
        }
        let Map(review): Map<Review<'a>> = serde_json::from_slice(body)?;
        let Map(request) = review.request;
        let has_uid = (1..=MAX_UID).contains(&request.uid.len());
        if review.api_version != API_VERSION || review.kind != KIND || !has_uid {
            return Err(Malformed(serde::de::Error::custom(
                "another kind or version, or no uid",
            )));
        }
        Ok(request)
    }

    /// The object as a workload whose label is copied on the operation, and decoded.
    fn workload(&self) -> Result<(Workload, Value), Reason> {
        let Kind { group, kind } = &self.kind;
        let kind = kinds::Kind::named(group.as_deref(), kind);
        let kind = kind.filter(|kind| kind.is_label_copied_on(&self.operation));
        let kind = kind.ok_or(Reason::NotSelected)?;
        let document = self.document()?;
        let workload = Workload::from_value(kind, &document).map_err(unreadable)?;
        Ok((workload, document))
    }

    /// The object, decoded.
    fn document(&self) -> Result<Value, Reason> {
        object::decode(self.object()?).map_err(unreadable)
    }

    /// The object's text, unless decoding it would take more memory than any object of Kubernetes does.
    fn object(&self) -> Result<&'a str, Reason> {
        let text = self.object.map_or("null", RawValue::get);
        steps::take(text.len());
        let values = || {
            let begins_one = |byte: &u8| matches!(byte, b',' | b'[' | b'{');
            text.bytes().filter(begins_one).count()
        };
        // There are no more of them than bytes.
        let has_too_many = text.len() > MAX_VALUES && values() > MAX_VALUES;
        if text.len() > MAX_OBJECT_BYTES || has_too_many {
            return Err(Reason::Unreadable(
                "it is larger than the API server takes".to_owned(),
            ));
        }
        Ok(text)
    }

    fn answer(self, verdict: Verdict, name: String) -> Answer {
        let Verdict {
            code,
            profile,
            patch,
            warnings,
        } = verdict;
        let warned = !warnings.is_empty();
        let response = Response {
            uid: &self.uid,
            allowed: true,
            // One without the other is a failed call to the API server.
            patch_type: patch.as_ref().map(|_| "JSONPatch"),
            patch,
            warnings: warnings
                .iter()
                .map(|warning| format!("javelin: {warning}"))
                .collect(),
            audit_annotations: AuditAnnotations { decision: code },
        };
        let review = AnsweredReview {
            api_version: API_VERSION,
            kind: KIND,
            response,
        };
        let patch = review.response.patch.as_ref();
        let mut body = Vec::with_capacity(512 + patch.map_or(0, |patch| patch.0.len() * 2));
        serde_json::to_writer(&mut body, &review).expect("a struct of strings serialises");
        Answer {
            body,
            outcome: Outcome {
                code,
                namespace: shortened(&self.namespace.unwrap_or_default()),
                name: if name.is_empty() {
                    shortened(&self.name.unwrap_or_default())
                } else {
                    name
                },
                dry_run: self.dry_run.unwrap_or_default(),
                profile,
                warned,
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
            profile: None,
            patch: None,
            warnings: warning.into_iter().collect(),
        }
    }

    /// What a call comes to that has decided nothing. It says that there is no agent, which is not so where the entry only
    /// warns: what pods get does not depend on such a call.
    fn unless_only_warning(self, entry: &Entry) -> Self {
        let warnings = if entry.only_warns() {
            Vec::new()
        } else {
            self.warnings
        };
        Self { warnings, ..self }
    }
}

/// `AdmissionReview`, on the way back.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredReview<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
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
    patch: Option<Base64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    audit_annotations: AuditAnnotations,
}

#[derive(Serialize)]
struct AuditAnnotations {
    decision: &'static str,
}

impl Serialize for Base64 {
    /// As JSON that is finished: nothing in it has to be looked for that would have to be escaped.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = String::with_capacity(self.0.len().div_ceil(3) * 4 + 2);
        json.push('"');
        BASE64.encode_string(&self.0, &mut json);
        json.push('"');
        let json = RawValue::from_string(json).map_err(serde::ser::Error::custom)?;
        json.serialize(serializer)
    }
}

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The API server's own limit for a request (`MaxRequestBodyBytes`).
const MAX_OBJECT_BYTES: usize = 3 * 1024 * 1024;

/// Elements and members, of which a pod of 100 containers with 100 variables each has 30,000. One takes up to 100
/// bytes once it is decoded.
const MAX_VALUES: usize = 300_000;

/// What etcd takes is 1.5 MiB for the whole object. A container's part of a patch has some 1 KiB.
const MAX_PATCH_BYTES: usize = 1024 * 1024;

/// A UID has 36.
const MAX_UID: usize = 128;

/// Names in Kubernetes are DNS subdomains at most.
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests;
