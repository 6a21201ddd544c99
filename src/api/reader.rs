//! Requests for any object by its path: for the person at the terminal, with that person's rights, and for the audit, with
//! rights that it has for that alone.
//!
//! Invariants: each request has a time limit; lists come in pages, and of each object only the asked-for fields are kept.
//! Nothing is written but what [`Reader::restart`], [`Reader::change_template`] and the dry run of [`Reader::try_pod`] say.
//!
//! Deliberately not here: which objects (`gather`, `inventory`), and what to make of them ([`check`](crate::diagnose::check),
//! [`status`](crate::diagnose::status), [`audit`](crate::controller::audit)). No review asks for anything of this.

use std::time::Duration;

use hyper::{Request, header};
use kube::client::Body;
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::refusal::{self, PodRefusal};
use super::request::{ClusterError, REQUEST, Target, within};
use super::response::{Response, accept, decode, read};

/// Asks the API server for anything. Clones share its connections.
#[derive(Clone)]
pub struct Reader {
    client: Client,
}

/// How much of each object is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// Its metadata alone.
    Metadata,
    /// Its metadata, and the columns that `kubectl get` prints: a [`Row`].
    Table,
}

/// An object as a table shows it.
#[derive(Debug, Deserialize)]
pub struct Row<T> {
    /// In the order of the columns, the name first.
    pub cells: Vec<Value>,
    /// Its metadata.
    pub object: T,
}

/// An object of a list, or `None` if it cannot be read: one of them is not to hide all others.
#[derive(Debug)]
pub struct Readable<T>(pub Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Readable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(read(text.get().as_bytes()).ok()))
    }
}

/// A kind that the API server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedKind {
    /// `apps/v1`, or `v1` of the core group.
    pub api_version: String,
    /// Such as `Deployment`.
    pub name: String,
    /// Such as `deployments`.
    pub resource: String,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    /// Metadata alone comes with `null` for an empty list.
    #[serde(alias = "rows")]
    items: Option<Vec<T>>,
}

#[derive(Debug, Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

impl Reader {
    pub(super) fn over(client: Client) -> Self {
        Self { client }
    }

    /// Connects when first used.
    pub fn new(config: Config) -> Result<Self, ClusterError> {
        let client = Client::try_from(config);
        let client = client.map_err(|source| ClusterError::Connect(Box::new(source)))?;
        Ok(Self { client })
    }

    /// Reads what stands at `path`. `kind` and `name` are for the error.
    pub async fn get<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        name: &str,
        path: &str,
    ) -> Result<T, ClusterError> {
        let target = target(kind, name);
        let request = Request::get(path).header(header::ACCEPT, "application/json");
        let answer = self.send(request, Vec::new(), REQUEST, &target).await?;
        decode(&answer, &target)
    }

    /// Reads a whole list, page by page. `query` is what comes after the `?`.
    pub async fn list<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        path: &str,
        query: &str,
        form: Form,
    ) -> Result<Vec<T>, ClusterError> {
        self.list_of(kind, path, query, form, |_| true).await
    }

    /// The same, and of each page only what is to be kept: of pods, for example, there may be very many.
    pub async fn list_of<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        path: &str,
        query: &str,
        form: Form,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, ClusterError> {
        let mut items = Vec::new();
        let mut next = String::new();
        let mut restarts = 0;
        loop {
            let page = self.page(kind, path, query, form, (PAGE, &next)).await;
            // A slow reader may come too late for the next of them.
            if page.as_ref().is_err_and(ClusterError::is_gone) && restarts == 0 {
                restarts += 1;
                items.clear();
                next.clear();
                continue;
            }
            let (found, rest) = page?.into_parts();
            items.extend(found.into_iter().filter(&keep));
            let Some(rest) = rest else {
                return Ok(items);
            };
            next = rest;
        }
    }

    /// Reads a page of a list: so many objects at most, from where the page before has ended. All pages belong to one
    /// moment.
    pub async fn page<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        path: &str,
        query: &str,
        form: Form,
        (limit, from): (u32, &str),
    ) -> Result<Page<T>, ClusterError> {
        let target = target(kind, "");
        let accept = match form {
            Form::Whole => "application/json",
            Form::Metadata => METADATA,
            Form::Table => TABLE,
        };
        let uri = format!("{path}?limit={limit}&{query}&continue={from}");
        let request = Request::get(uri).header(header::ACCEPT, accept);
        let answer = self.send(request, Vec::new(), PAGE_LIMIT, &target).await?;
        decode(&answer, &target)
    }

    /// Does the cluster have kinds of that API group? Whoever asks for one that it does not have may be told that the
    /// right is missing.
    pub async fn has_group(&self, group: &str) -> bool {
        #[derive(Deserialize)]
        struct Groups {
            groups: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            name: String,
        }
        let found: Result<Groups, _> = self.get("path", "/apis", "/apis").await;
        found.is_ok_and(|found| found.groups.iter().any(|each| each.name == group))
    }

    /// The namespaced kinds that can be listed, each in its preferred version, but those of the core group: aggregated
    /// discovery, which all supported versions of Kubernetes have (KEP-3352).
    pub async fn kinds(&self) -> Result<Vec<ServedKind>, ClusterError> {
        #[derive(Deserialize)]
        struct Groups {
            items: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            metadata: Name,
            #[serde(default)]
            versions: Vec<Version>,
        }
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        #[derive(Deserialize)]
        struct Version {
            version: String,
            #[serde(default)]
            resources: Vec<Resource>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Resource {
            #[serde(rename = "resource")]
            plural: String,
            response_kind: Kind,
            scope: String,
            verbs: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }
        let target = target("path", "/apis");
        let request = Request::get("/apis").header(header::ACCEPT, DISCOVERY);
        let answer = self.send(request, Vec::new(), REQUEST, &target).await?;
        let groups: Groups = decode(&answer, &target)?;
        let mut kinds = Vec::new();
        for group in groups.items {
            let Some(version) = group.versions.into_iter().next() else {
                continue;
            };
            let listed = version.resources.into_iter().filter(|each| {
                each.scope == "Namespaced" && each.verbs.iter().any(|verb| verb == "list")
            });
            kinds.extend(listed.map(|each| ServedKind {
                api_version: format!("{}/{}", group.metadata.name, version.version),
                name: each.response_kind.kind,
                resource: each.plural,
            }));
        }
        Ok(kinds)
    }

    /// Puts a question that is an object: a review of somebody's rights.
    pub async fn review(&self, path: &str, question: &Value) -> Result<Value, ClusterError> {
        let target = target("path", path);
        let answer = self.post(path, question, &target).await?;
        decode(&answer, &target)
    }

    /// Creates a pod as a dry run: everything that admission would do is done, and nothing is stored.
    pub async fn try_pod(
        &self,
        namespace: &str,
        pod: &Value,
    ) -> Result<Result<Value, PodRefusal>, ClusterError> {
        let target = Target::new(
            "Pod",
            format!("of namespace {namespace}"),
            "the namespace does not exist",
        );
        let uri =
            format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldManager=javelin-cli");
        let answer = self.post(&uri, pod, &target).await?;
        refusal::tried(&answer, &target)
    }

    /// Posts something by way of the API server's proxy, and takes any answer.
    pub async fn through_proxy(&self, path: &str, body: &Value) -> Result<Response, ClusterError> {
        self.post(path, body, &target("path", path)).await
    }

    /// Changes a workload so that its pods are replaced, or does so as a dry run.
    pub async fn restart(
        &self,
        path: &str,
        change: &Value,
        dry_run: bool,
    ) -> Result<(), ClusterError> {
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        self.merge(path, &format!("fieldManager=javelin-cli{dry_run}"), change)
            .await
    }

    /// Changes the pod template of a workload, and what stands on the workload about it, on behalf of the audit's guard.
    pub async fn change_template(&self, path: &str, change: &Value) -> Result<(), ClusterError> {
        self.merge(path, "fieldManager=javelin-guard", change).await
    }

    async fn merge(&self, path: &str, query: &str, change: &Value) -> Result<(), ClusterError> {
        let target = target("path", path);
        let request = Request::patch(format!("{path}?{query}"))
            .header(header::CONTENT_TYPE, "application/merge-patch+json");
        let body = change.to_string().into_bytes();
        let answer = self.send(request, body, REQUEST, &target).await?;
        accept(&answer, &target)
    }

    async fn post(
        &self,
        uri: &str,
        body: &Value,
        target: &Target,
    ) -> Result<Response, ClusterError> {
        let request = Request::post(uri).header(header::CONTENT_TYPE, "application/json");
        let body = body.to_string().into_bytes();
        // A webhook, or whoever is behind a proxy, may be slow.
        self.send(request, body, SLOW_REQUEST, target).await
    }

    async fn send(
        &self,
        request: hyper::http::request::Builder,
        body: Vec<u8>,
        limit: Duration,
        target: &Target,
    ) -> Result<Response, ClusterError> {
        let request = request.body(Body::from(body));
        let sent = async {
            let request = request.map_err(kube::Error::HttpError)?;
            let (head, body) = self.client.send(request).await?.into_parts();
            let body = body.collect_bytes().await?;
            Ok(Response {
                status: head.status.as_u16(),
                body: body.to_vec(),
            })
        };
        within(limit, sent, target).await
    }
}

impl<T> Page<T> {
    /// What is on it, and from where the next one goes on, if there is one.
    pub fn into_parts(self) -> (Vec<T>, Option<String>) {
        let next = Some(self.metadata.next).filter(|next| !next.is_empty());
        (self.items.unwrap_or_default(), next)
    }
}

impl ServedKind {
    /// Where all of them are listed, of all namespaces.
    pub fn path(&self) -> String {
        let Self {
            api_version,
            resource,
            ..
        } = self;
        let root = if api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        format!("/{root}/{api_version}/{resource}")
    }
}

fn target(kind: &'static str, name: &str) -> Target {
    Target {
        kind,
        name: name.to_owned(),
        remedy: "look for it with kubectl",
    }
}

/// Objects in one answer; `kubectl` asks for as many.
const PAGE: u32 = 500;

/// A page of large objects takes its time.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

/// More than a webhook's own timeout.
const SLOW_REQUEST: Duration = Duration::from_secs(35);

/// Asks for all groups with their kinds at once.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Asks for a list of nothing but metadata.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Asks for what `kubectl get` prints, with each object's metadata.
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

#[cfg(test)]
mod tests;
