//! Single objects of any kind that has pods, read with the rights of the person who asks, and pods tried without creating
//! them.
//!
//! Deliberately not here: what to make of them. The webhook uses nothing of this.

use std::collections::BTreeMap;
use std::fmt;

use hyper::Request;
use javelin_core::kinds::Kind;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::{Client, Config};
use serde_json::Value;

use super::request::{ClusterError, REQUEST, Target, within};

/// Reads objects and tries pods.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    namespace: String,
}

/// One object in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    kind: &'static Kind,
    /// Its namespace; the context's own when it is missing.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// The API server would not create a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who said no.
    pub by: Refuser,
    /// The API server's words.
    pub message: String,
}

/// Who refuses a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refuser {
    /// The namespace's Pod Security level.
    PodSecurity,
    /// A `ResourceQuota`.
    Quota,
    /// A `LimitRange`.
    LimitRange,
    /// Somebody's admission webhook, by the name of its entry: Kyverno, Gatekeeper, …
    Webhook(String),
    /// A `ValidatingAdmissionPolicy`, by its name.
    Policy(String),
    /// The one who asks may not create pods there.
    Rights,
    /// The API server itself: the pod is not valid, or something else is wrong.
    Other,
}

impl Reference {
    /// Reads `[NAMESPACE/]KIND/NAME`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').collect();
        let (namespace, kind, name) = match parts[..] {
            [kind, name] => (None, kind, name),
            [namespace, kind, name] => (Some(namespace.to_owned()), kind, name),
            _ => return Err("write [NAMESPACE/]KIND/NAME, as shop/deployment/orders".to_owned()),
        };
        if name.is_empty() || namespace.as_deref() == Some("") {
            return Err("a name is empty; write [NAMESPACE/]KIND/NAME".to_owned());
        }
        let kind = Kind::called(kind).ok_or_else(|| {
            let known: Vec<_> = Kind::previewed().map(Kind::singular).collect();
            format!(
                "{kind:?} has no pods that are known; one of {}",
                known.join(", ")
            )
        })?;
        Ok(Self {
            kind,
            namespace,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
        } = self;
        if let Some(namespace) = namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{name}", kind.singular())
    }
}

impl Objects {
    /// Connects when first used.
    pub fn new(config: Config) -> Result<Self, ClusterError> {
        let namespace = config.default_namespace.clone();
        let client =
            Client::try_from(config).map_err(|source| ClusterError::Connect(Box::new(source)))?;
        Ok(Self { client, namespace })
    }

    /// The namespace of whoever names none.
    pub fn default_namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads an object, as it is.
    pub async fn get(&self, reference: &Reference) -> Result<Value, ClusterError> {
        let Reference {
            kind,
            namespace,
            name,
        } = reference;
        let namespace = namespace.as_ref().unwrap_or(&self.namespace);
        let path = format!("{}/{name}", kind.path(Some(namespace)));
        let target = Target::new(
            kind.name,
            format!("{namespace}/{name}"),
            "check the name and the namespace",
        );
        let request = Request::get(path).body(Vec::new());
        let sent = async {
            let request = request.map_err(kube::Error::HttpError)?;
            self.client.request::<Value>(request).await
        };
        within(REQUEST, sent, &target).await
    }

    /// The labels of a namespace.
    pub async fn labels_of_namespace(
        &self,
        name: &str,
    ) -> Result<BTreeMap<String, String>, ClusterError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let target = Target::new("Namespace", name.to_owned(), "check the name");
        let namespace = within(REQUEST, namespaces.get(name), &target).await?;
        Ok(namespace.metadata.labels.unwrap_or_default())
    }

    /// Has the API server pretend to create a pod: everything that admission would do is done, and nothing is stored.
    pub async fn try_pod(
        &self,
        namespace: &str,
        pod: &Value,
    ) -> Result<Result<Value, Refusal>, ClusterError> {
        let target = Target::new(
            "Pod",
            format!("of namespace {namespace}"),
            "the namespace does not exist",
        );
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        let request = Request::post(path)
            .header("Content-Type", "application/json")
            .body(pod.to_string().into_bytes());
        let sent = async {
            let request = request.map_err(kube::Error::HttpError)?;
            self.client.request::<Value>(request).await
        };
        let answer = within(REQUEST, sent, &target).await;
        match answer {
            Ok(pod) => Ok(Ok(pod)),
            Err(ClusterError::Denied { message, .. } | ClusterError::Refused { message, .. }) => {
                Ok(Err(Refusal::of(message)))
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Refusal {
    /// Who it was, from the API server's sentence.
    fn of(message: String) -> Self {
        let quoted = |before: &str| {
            let (_, rest) = message.split_once(before)?;
            let rest = rest.strip_prefix(['"', '\''])?;
            let (name, _) = rest.split_once(['"', '\''])?;
            Some(name.to_owned())
        };
        let by = if let Some(name) = quoted("admission webhook ") {
            Refuser::Webhook(name)
        } else if let Some(name) = quoted("ValidatingAdmissionPolicy ") {
            Refuser::Policy(name)
        } else if message.contains("violates PodSecurity") {
            Refuser::PodSecurity
        } else if message.contains("exceeded quota") || message.contains("failed quota") {
            Refuser::Quota
        } else if LIMIT_RANGE.iter().any(|words| message.contains(words)) {
            Refuser::LimitRange
        } else if message.contains("cannot create resource") {
            Refuser::Rights
        } else {
            Refuser::Other
        };
        Self { by, message }
    }
}

impl fmt::Display for Refuser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodSecurity => f.write_str("Pod Security"),
            Self::Quota => f.write_str("a ResourceQuota"),
            Self::LimitRange => f.write_str("a LimitRange"),
            Self::Webhook(name) => write!(f, "the admission webhook {name}"),
            Self::Policy(name) => write!(f, "the ValidatingAdmissionPolicy {name}"),
            Self::Rights => f.write_str("your own rights"),
            Self::Other => f.write_str("the API server"),
        }
    }
}

/// What the `LimitRanger` admission plugin says.
const LIMIT_RANGE: [&str; 3] = [
    "usage per Container",
    "usage per Pod",
    "limit to request ratio per",
];

#[cfg(test)]
mod tests;
