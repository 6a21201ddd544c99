//! Javelin's own objects in a cluster, and those of others that say whom it calls: as they are, whole.
//!
//! Invariant: what may not be read is a warning, and the rest is told all the same.
//!
//! Deliberately not here: what to make of them ([`ports`](crate::ports)).

use javelin_core::config::Config;
use javelin_core::kinds::Kind;
use serde_json::Value;

use super::check::destination::{Collector, Destination, ServiceDestination};
use super::check::{Seen, Unseen};
use super::gather::seen;
use crate::api::client::Cluster;
use crate::api::reader::{Form, Reader};
use crate::api::request::ClusterError;
use crate::offline::document::Document;

/// What was read.
#[derive(Debug)]
pub struct Installed {
    /// The objects.
    pub documents: Vec<Document>,
    /// The API server's version, such as `v1.37.2`.
    pub version: String,
    /// What could not be read, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads them.
pub async fn installed(cluster: &Cluster) -> Result<Installed, ClusterError> {
    // Whoever does not even tell its version is not there.
    let version = cluster.version().await?;
    let mut reading = Reading {
        reader: cluster.reader(),
        documents: Vec::new(),
        warnings: Vec::new(),
    };
    let names = cluster.names();
    let (namespace, service) = (names.service.namespace(), names.service.service());
    let configuration = &names.configuration;
    let path = format!("{ADMISSION}/{configuration}");
    reading
        .one("MutatingWebhookConfiguration", configuration, &path)
        .await;
    let core = format!("/api/v1/namespaces/{namespace}");
    let name = format!("{namespace}/{service}");
    let config = reading
        .one("ConfigMap", &name, &format!("{core}/configmaps/{service}"))
        .await;
    let collectors = config.as_ref().map(collectors).unwrap_or_default();
    let services = format!("{core}/services");
    reading.all(("v1", "Service"), &services, "").await;
    if let Some(kind) = Kind::named(Some("apps"), "Deployment") {
        reading
            .all(("apps/v1", kind.name), &kind.path(Some(namespace)), "")
            .await;
    }
    let policies = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies");
    reading
        .all(("networking.k8s.io/v1", "NetworkPolicy"), &policies, "")
        .await;
    if reading.reader.has_group(MONITORING).await {
        for (kind, plural) in MONITORS {
            // They may be in any namespace.
            let path = format!("/apis/{MONITORING}/v1/{plural}");
            reading.all((MONITORING_V1, kind), &path, "").await;
        }
    }
    reading.slices("default", "kubernetes").await;
    reading.slices("kube-system", "kube-dns").await;
    for ServiceDestination {
        namespace, name, ..
    } in collectors
    {
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
        reading
            .one("Service", &format!("{namespace}/{name}"), &path)
            .await;
        reading.slices(&namespace, &name).await;
    }
    let Reading {
        documents,
        warnings,
        ..
    } = reading;
    Ok(Installed {
        documents,
        version,
        warnings,
    })
}

/// The Services that profiles send to. A configuration that cannot be read is told by whoever looks at it.
fn collectors(map: &Value) -> Vec<ServiceDestination> {
    let text = map.pointer("/data/config.yaml").and_then(Value::as_str);
    let config = text.and_then(|text| Config::parse(text, "config.yaml").ok());
    let all = config.as_ref().map(Collector::all).unwrap_or_default();
    let services = all
        .into_iter()
        .filter_map(|collector| match collector.place {
            Destination::Service(place) => Some(place),
            _ => None,
        });
    services.collect()
}

/// What was read so far.
struct Reading {
    reader: Reader,
    documents: Vec<Document>,
    warnings: Vec<String>,
}

impl Reading {
    async fn one(&mut self, kind: &'static str, name: &str, path: &str) -> Option<Value> {
        let found: Seen<Value> = seen(self.reader.get(kind, name, path).await);
        match found {
            Ok(value) => {
                self.add(value.clone());
                Some(value)
            }
            // Whoever needs it says so, with more words.
            Err(Unseen::Missing(_)) => None,
            Err(why) => {
                self.warnings.push(format!("{kind} {name}: {why}"));
                None
            }
        }
    }

    /// Lists do not say of their items what they are.
    async fn all(&mut self, (version, kind): (&str, &'static str), path: &str, query: &str) {
        match seen(
            self.reader
                .list::<Value>(kind, path, query, Form::Whole)
                .await,
        ) {
            Ok(values) => {
                for mut value in values {
                    if let Value::Object(fields) = &mut value {
                        fields.insert("apiVersion".to_owned(), version.into());
                        fields.insert("kind".to_owned(), kind.into());
                    }
                    self.add(value);
                }
            }
            Err(why) => self.warnings.push(format!("{kind}: {why}")),
        }
    }

    async fn slices(&mut self, namespace: &str, service: &str) {
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        let query = format!("labelSelector=kubernetes.io/service-name={service}");
        self.all(("discovery.k8s.io/v1", "EndpointSlice"), &path, &query)
            .await;
    }

    /// A Service of Javelin's own may be one that profiles send to.
    fn add(&mut self, value: Value) {
        let document = Document {
            origin: "the cluster".to_owned(),
            value,
        };
        if !self.documents.contains(&document) {
            self.documents.push(document);
        }
    }
}

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

const MONITORING: &str = "monitoring.coreos.com";

const MONITORING_V1: &str = "monitoring.coreos.com/v1";

const MONITORS: [(&str, &str); 2] = [
    ("ServiceMonitor", "servicemonitors"),
    ("PodMonitor", "podmonitors"),
];
