//! The requests that Javelin makes of the API server: each of one named object, each with a time limit. The pods of its own
//! Service, which have no names to know, are read for a person and for the audit.
//!
//! Invariants: a write names the resource version that it was computed from, so that a stale one is refused
//! ([`ClusterError::Conflict`]). The webhook configuration is written by strategic-merge PATCH, by entry name,
//! and never by server-side apply: an applier co-owns the whole entry, and then Helm 4, Flux and `kubectl apply
//! --server-side` can no longer remove or rename it.
//!
//! Deliberately not here: what to write, and when.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hyper::{Request, header};
use javelin_core::kinds::Kind;
use javelin_core::mutate::keys;
use javelin_core::review::Origin;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::client::ClientBuilder;
use kube::config::KubeConfigOptions;
use kube::core::{PartialObjectMeta, request};
use kube::{Client, Config, Resource as _};
use serde::de;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::counted::Count;
use super::reader::Reader;
use super::request::{ClusterError, REQUEST, Target, explain, within};
use crate::certs::ServiceName;
use crate::certs::hidden::Hidden;
use crate::certs::store::{BundleEntry, authorities};
use crate::entries;

/// The objects that Javelin reads and writes.
#[derive(Debug, Clone)]
pub struct Names {
    /// The Service that API servers call. The Secret and the probe's `ConfigMap` are in its namespace.
    pub service: ServiceName,
    /// The Secret with the certificate authority.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
    /// The `ConfigMap` of the probe, which never comes to be.
    pub probe: String,
}

/// A client for those objects. Clones share its connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    config_maps: Api<ConfigMap>,
    names: Names,
}

/// The Secret's data, and the version to name when changing it.
#[derive(Debug)]
pub struct SecretState {
    /// To compare and swap.
    pub version: String,
    /// Decoded.
    pub data: BTreeMap<String, Hidden>,
    /// Does it carry somebody's request ([`keys::ROTATE`]) to replace the authority?
    pub requested: bool,
}

/// What to change in the Secret.
#[derive(Debug)]
pub struct SecretChange {
    /// `None` removes a key.
    pub data: BTreeMap<&'static str, Option<Hidden>>,
    /// What state that is, for people ([`keys::CERTIFICATES`]).
    pub description: String,
    /// Is this what [`keys::ROTATE`] asked for? Then the request goes.
    pub fulfils_request: bool,
}

/// The entries of the webhook configuration that call our Service, and the version to name when changing them.
#[derive(Debug)]
pub struct ConfigurationState {
    /// To compare and swap.
    pub version: String,
    /// Counts changes of the entries.
    pub generation: Option<i64>,
    /// The generation that API servers have been made to read again ([`Cluster::touch`]).
    pub touched: Option<i64>,
    /// Does the certificate, and with it every caBundle, come from somebody else ([`keys::CA_BUNDLE`])?
    pub is_kept_elsewhere: bool,
    /// Whom they trust. Other people's entries are left out.
    pub entries: Vec<BundleEntry>,
    /// What they select, of the same entries.
    pub selecting: Vec<entries::MutatingWebhook>,
}

/// A pod behind our Service.
#[derive(Debug, PartialEq, Eq)]
pub struct PodState {
    /// Its name.
    pub name: String,
    /// Does the Service send calls to it?
    pub ready: bool,
    /// The port of its metrics, by the name that the chart gives it.
    pub admin_port: Option<u16>,
    /// The node that it is on.
    pub node: Option<String>,
    /// The account that it acts as.
    pub account: Option<String>,
    /// What its containers are started with, such as `--audit`.
    pub arguments: Vec<String>,
}

/// The address and credentials of the API server as a person has them: a context of the kubeconfig, or what [`infer`]
/// finds without one.
pub async fn of_context(context: Option<&str>) -> Result<Config, ClusterError> {
    let Some(context) = context else {
        return Config::infer()
            .await
            .map_err(|source| ClusterError::NoCluster(Box::new(source)));
    };
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    Config::from_kubeconfig(&options)
        .await
        .map_err(|source| ClusterError::NoCluster(Box::new(source)))
}

/// The address and credentials of the API server: from a kubeconfig, or the pod's own.
pub async fn infer() -> Result<Config, ClusterError> {
    Config::infer()
        .await
        .map_err(|source| ClusterError::Connect(Box::new(kube::Error::InferConfig(source))))
}

/// What the API server says of its own version, to somebody who is interested in nothing else.
pub async fn server_version(config: Config) -> Result<String, ClusterError> {
    let client =
        Client::try_from(config).map_err(|source| ClusterError::Connect(Box::new(source)))?;
    version_by(&client).await
}

async fn version_by(client: &Client) -> Result<String, ClusterError> {
    let target = Target {
        kind: "path",
        name: "/version".to_owned(),
        remedy: VERSION_REMEDY,
    };
    let version = within(REQUEST, client.apiserver_version(), &target).await?;
    Ok(version.git_version)
}

impl Cluster {
    /// For the objects called `names`. Connects when first used.
    pub fn new(config: Config, names: Names) -> Result<Self, ClusterError> {
        let client =
            Client::try_from(config).map_err(|source| ClusterError::Connect(Box::new(source)))?;
        Ok(Self::over(client, names))
    }

    /// The same, with each request counted.
    pub fn counted(config: Config, names: Names, count: &Count) -> Result<Self, ClusterError> {
        let client = ClientBuilder::try_from(config)
            .map_err(|source| ClusterError::Connect(Box::new(source)))?;
        Ok(Self::over(client.with_layer(count).build(), names))
    }

    /// The same, for somebody who wants to know what the API server says, also when it says that something is not
    /// available: the client itself would ask again until it is.
    pub fn impatient(mut config: Config, names: Names) -> Result<Self, ClusterError> {
        config.default_retry = false;
        Self::new(config, names)
    }

    /// The same, over a client that is there already.
    pub(crate) fn over(client: Client, names: Names) -> Self {
        let namespace = names.service.namespace();
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            configurations: Api::all(client.clone()),
            client,
            names,
        }
    }

    /// For any object, with the rights of whoever runs this.
    pub fn reader(&self) -> Reader {
        Reader::over(self.client.clone())
    }

    /// The objects' names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// To watch the Secret.
    pub fn secrets(&self) -> Api<Secret> {
        self.secrets.clone()
    }

    /// To watch the webhook configuration.
    pub fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        self.configurations.clone()
    }

    /// Reads the Secret.
    pub async fn secret(&self) -> Result<SecretState, ClusterError> {
        let request = self
            .about_secret()
            .get(&self.names.secret, &GetParams::default());
        let text = self.send_about_secret(request).await?;
        let secret: Secret = serde_json::from_str(&text).map_err(|error| {
            // Without its words: they may have a part of what could not be read.
            let place = format!("line {} column {}", error.line(), error.column());
            let error = de::Error::custom(format!("that is no Secret: {place}"));
            explain(kube::Error::SerdeError(error), self.secret_target())
        })?;
        let annotations = secret.metadata.annotations.unwrap_or_default();
        let data = secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, ByteString(value))| (key, Hidden::from(value)))
            .collect();
        Ok(SecretState {
            version: secret.metadata.resource_version.unwrap_or_default(),
            data,
            requested: annotations.contains_key(keys::ROTATE),
        })
    }

    /// Changes the Secret, if it still is at `version`.
    pub async fn write_secret(
        &self,
        version: &str,
        change: SecretChange,
    ) -> Result<(), ClusterError> {
        let SecretChange {
            data,
            description,
            fulfils_request,
        } = change;
        let data: BTreeMap<_, _> = data
            .into_iter()
            .map(|(key, value)| (key, value.map(|value| ByteString(value.bytes().to_vec()))))
            .collect();
        let mut annotations = BTreeMap::from([(keys::CERTIFICATES, Some(description))]);
        if fulfils_request {
            annotations.insert(keys::ROTATE, None);
        }
        let metadata = json!({ "resourceVersion": version, "annotations": annotations });
        let patch = json!({ "metadata": metadata, "data": data });
        self.patch_secret(&writing(), &Patch::Merge(patch)).await
    }

    /// Asks whoever keeps the Secret to replace the authority, if it still is at `version`. `value` is for people. In a dry
    /// run the API server only says whether it would take it.
    pub async fn request_rotation(
        &self,
        version: &str,
        value: &str,
        dry_run: bool,
    ) -> Result<(), ClusterError> {
        let annotations = json!({ (keys::ROTATE): value });
        let metadata = json!({ "resourceVersion": version, "annotations": annotations });
        let params = PatchParams {
            dry_run,
            field_manager: Some("javelin-cli".to_owned()),
            ..Default::default()
        };
        let request = Patch::Merge(json!({ "metadata": metadata }));
        self.patch_secret(&params, &request).await
    }

    /// Creates the Secret, as empty as the chart ships it. An apply, because only so is the right to create limited to
    /// the one name; without force, so that of two replicas one is refused.
    pub async fn create_secret(&self) -> Result<(), ClusterError> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": self.names.secret },
            "type": "Opaque",
        });
        self.patch_secret(&writing(), &Patch::Apply(body)).await
    }

    /// What comes back is the Secret, and of no interest.
    async fn patch_secret(
        &self,
        params: &PatchParams,
        patch: &Patch<Value>,
    ) -> Result<(), ClusterError> {
        let request = self.about_secret().patch(&self.names.secret, params, patch);
        self.send_about_secret(request).await?;
        Ok(())
    }

    fn about_secret(&self) -> request::Request {
        request::Request::new(Secret::url_path(&(), Some(self.names.service.namespace())))
    }

    /// Sends that, and gives the text of the answer. The client would log all of a text that it cannot read, the
    /// authority's key with it.
    async fn send_about_secret(
        &self,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<Zeroizing<String>, ClusterError> {
        let sent = async {
            let request = request.map_err(kube::Error::BuildRequest)?;
            self.client.request_text(request).await
        };
        let text = within(REQUEST, sent, &self.secret_target()).await?;
        Ok(Zeroizing::new(text))
    }

    /// Tells people that something happened, in the Event's namespace. Without a name of its own: the API server makes one.
    pub async fn create_event(&self, event: &Event) -> Result<(), ClusterError> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let target = Target {
            kind: "Event",
            name: event.reason.clone().unwrap_or_default(),
            remedy: EVENT_REMEDY,
        };
        let params = PostParams::default();
        within(REQUEST, events.create(&params, event), &target).await?;
        Ok(())
    }

    /// The UID of a workload, without which `kubectl describe` does not find its Events.
    pub async fn uid(&self, origin: &Origin) -> Result<Option<String>, ClusterError> {
        let kind = Kind::named(None, &origin.kind);
        let Some(kind) = kind.filter(|kind| kind.api_version() == origin.api_version) else {
            return Ok(None);
        };
        let target = Target::new(kind.name, origin.name.clone(), "it is gone already");
        let path = kind.path(Some(&origin.namespace));
        let request = Request::get(format!("{path}/{}", origin.name))
            .header(header::ACCEPT, METADATA)
            .body(Vec::new());
        let sent = async {
            let request = request.map_err(kube::Error::HttpError)?;
            self.client.request::<PartialObjectMeta>(request).await
        };
        Ok(within(REQUEST, sent, &target).await?.metadata.uid)
    }

    /// Reads the webhook configuration, unless somebody else keeps its caBundles.
    pub async fn own_configuration(&self) -> Result<ConfigurationState, ClusterError> {
        let found = self.configuration().await?;
        if found.is_kept_elsewhere {
            return Err(ClusterError::Elsewhere(self.configuration_target()));
        }
        Ok(found)
    }

    /// Reads the webhook configuration, whoever keeps its caBundles.
    pub async fn configuration(&self) -> Result<ConfigurationState, ClusterError> {
        let target = self.configuration_target();
        let configuration = within(
            REQUEST,
            self.configurations.get(&self.names.configuration),
            &target,
        )
        .await?;
        let annotations = configuration.metadata.annotations.as_ref();
        let is_kept_elsewhere = entries::are_bundles_kept_elsewhere(annotations);
        let version = configuration
            .metadata
            .resource_version
            .clone()
            .unwrap_or_default();
        let generation = configuration.metadata.generation;
        let touched = annotations.and_then(|all| all.get(keys::TOUCHED)?.parse().ok());
        let own = own_entries(configuration, &self.names.service);
        Ok(ConfigurationState {
            version,
            generation,
            touched,
            is_kept_elsewhere,
            selecting: own
                .iter()
                .map(selecting)
                .collect::<Result<_, _>>()
                .map_err(|error| explain(kube::Error::SerdeError(error), target))?,
            entries: own
                .into_iter()
                .map(|entry| to_entry(entry, &self.names.service))
                .collect(),
        })
    }

    /// Writes `bundle` to the entries called `entries`, if the configuration still is at `version`.
    pub async fn write_bundle(
        &self,
        version: &str,
        entries: &[String],
        bundle: &str,
    ) -> Result<(), ClusterError> {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let webhooks: Vec<Value> = entries
            .iter()
            .map(|name| json!({ "name": name, "clientConfig": { "caBundle": bundle } }))
            .collect();
        let patch = json!({ "metadata": { "resourceVersion": version }, "webhooks": webhooks });
        let (params, request) = (writing(), Patch::Strategic(patch));
        let sent = self
            .configurations
            .patch(&self.names.configuration, &params, &request);
        within(REQUEST, sent, &self.configuration_target()).await?;
        Ok(())
    }

    /// Changes nothing but an annotation of the webhook configuration, so that every API server reads all of it again.
    pub async fn touch(&self, version: &str, generation: i64) -> Result<(), ClusterError> {
        let annotations = json!({ keys::TOUCHED: generation.to_string() });
        let metadata = json!({ "resourceVersion": version, "annotations": annotations });
        let (params, request) = (writing(), Patch::Merge(json!({ "metadata": metadata })));
        let sent = self
            .configurations
            .patch(&self.names.configuration, &params, &request);
        within(REQUEST, sent, &self.configuration_target()).await?;
        Ok(())
    }

    /// Creates the probe's `ConfigMap` as a dry run. Would it carry the annotation that only we
    /// set? If the call failed, the error has the API server's words for it
    /// ([`Reachability::of`](crate::probe::Reachability::of)).
    pub async fn probe(&self) -> Result<bool, ClusterError> {
        let target = Target {
            kind: "ConfigMap",
            name: self.names.probe.clone(),
            remedy: PROBE_REMEDY,
        };
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": self.names.probe, "labels": { (keys::PROBE): "true" } },
        });
        let params = PatchParams {
            dry_run: true,
            field_manager: Some("javelin-probe".to_owned()),
            ..Default::default()
        };
        let request = Patch::Apply(body);
        let sent = self.config_maps.patch(&self.names.probe, &params, &request);
        let config_map = within(PROBE_REQUEST, sent, &target).await?;
        Ok(config_map
            .metadata
            .annotations
            .unwrap_or_default()
            .contains_key(keys::PROBE))
    }

    /// The pods behind the Service, but for those on their way out.
    pub async fn pods(&self) -> Result<Vec<PodState>, ClusterError> {
        let (namespace, service) = (self.names.service.namespace(), self.names.service.service());
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let target = Target {
            kind: "Service",
            name: format!("{namespace}/{service}"),
            remedy: SERVICE_REMEDY,
        };
        let found = within(REQUEST, services.get(service), &target).await?;
        // Without a selector it has no pods of its own, and an empty one would select those of everybody.
        let Some(selector) = found.spec.and_then(|spec| spec.selector) else {
            return Ok(Vec::new());
        };
        let selector: Vec<_> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let target = Target {
            kind: "Pods",
            name: format!("of Service {namespace}/{service}"),
            remedy: SERVICE_REMEDY,
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default()
            .labels(&selector.join(","))
            .limit(MOST_PODS);
        let list = within(REQUEST, pods.list(&params), &target).await?;
        let pods = list.items.into_iter();
        Ok(pods
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .map(to_pod)
            .collect())
    }

    /// A pod's metrics, which the API server fetches for us.
    pub async fn metrics(&self, pod: &str, port: u16) -> Result<String, ClusterError> {
        let namespace = self.names.service.namespace();
        let target = Target {
            kind: "pods/proxy",
            name: format!("{namespace}/{pod}"),
            remedy: POD_REMEDY,
        };
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
        let request = Request::get(path).body(Vec::new());
        let sent = async {
            let request = request.map_err(kube::Error::HttpError)?;
            self.client.request_text(request).await
        };
        within(REQUEST, sent, &target).await
    }

    /// What the API server says of its own version, as `v1.37.2`. Every authenticated client may read it.
    pub async fn version(&self) -> Result<String, ClusterError> {
        version_by(&self.client).await
    }

    fn secret_target(&self) -> Target {
        let name = format!("{}/{}", self.names.service.namespace(), self.names.secret);
        Target {
            kind: "Secret",
            name,
            remedy: SECRET_REMEDY,
        }
    }

    fn configuration_target(&self) -> Target {
        let name = self.names.configuration.clone();
        Target {
            kind: "MutatingWebhookConfiguration",
            name,
            remedy: CONFIGURATION_REMEDY,
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

fn writing() -> PatchParams {
    PatchParams {
        field_manager: Some("javelin-ca".to_owned()),
        ..Default::default()
    }
}

fn own_entries(
    configuration: MutatingWebhookConfiguration,
    service: &ServiceName,
) -> Vec<MutatingWebhook> {
    let entries = configuration.webhooks.unwrap_or_default().into_iter();
    entries
        .filter(|entry| {
            let called = entry.client_config.service.as_ref();
            called.is_some_and(|called| {
                called.name == service.service() && called.namespace == service.namespace()
            })
        })
        .collect()
}

fn to_pod(pod: Pod) -> PodState {
    let conditions = pod.status.and_then(|status| status.conditions);
    let mut conditions = conditions.unwrap_or_default().into_iter();
    let spec = pod.spec.unwrap_or_default();
    let (ports, arguments): (Vec<_>, Vec<_>) = spec
        .containers
        .into_iter()
        .map(|container| (container.ports, container.args))
        .unzip();
    let admin = ports
        .into_iter()
        .flatten()
        .flatten()
        .find(|port| port.name.as_deref() == Some("admin"));
    PodState {
        name: pod.metadata.name.unwrap_or_default(),
        ready: conditions.any(|each| each.type_ == "Ready" && each.status == "True"),
        admin_port: admin.and_then(|port| u16::try_from(port.container_port).ok()),
        node: spec.node_name,
        account: spec.service_account_name,
        arguments: arguments.into_iter().flatten().flatten().collect(),
    }
}

/// The fields that say what an entry is called for.
fn selecting(entry: &MutatingWebhook) -> Result<entries::MutatingWebhook, serde_json::Error> {
    serde_json::to_value(entry).and_then(serde_json::from_value)
}

fn to_entry(entry: MutatingWebhook, service: &ServiceName) -> BundleEntry {
    let ByteString(bundle) = entry.client_config.ca_bundle.unwrap_or_default();
    BundleEntry {
        name: entry.name,
        authorities: authorities(&bundle, service),
        bundle,
    }
}

const SECRET_REMEDY: &str =
    "it is made again; if that is refused, run the same `helm upgrade` again to bring it back";
const CONFIGURATION_REMEDY: &str =
    "the chart ships it: run the same `helm upgrade` again, or correct --webhook-configuration";
const SERVICE_REMEDY: &str = "the chart ships it: give --namespace and --service as it has them";
const POD_REMEDY: &str = "it has just ended";
const EVENT_REMEDY: &str = "its namespace seems to be gone";
const PROBE_REMEDY: &str = "its namespace seems to be gone";
const VERSION_REMEDY: &str = "is that an API server?";

/// Far more than the chart's users have replicas.
const MOST_PODS: u32 = 100;

/// A probe waits for the webhook's own timeout, 30 s at most, and the request's.
const PROBE_REQUEST: Duration = Duration::from_secs(40);

/// Asks for nothing but metadata.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

#[cfg(test)]
mod tests;
