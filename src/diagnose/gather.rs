//! All that `javelin check` looks at: requests in, [`Facts`] out.
//!
//! Invariant: whatever is refused or missing becomes a fact of its own; only a cluster that does not answer at all ends
//! it. Nothing is written: the probe and the pod are dry runs.
//!
//! Deliberately not here: what to make of it ([`check`](crate::diagnose::check)), and certificates, which `javelin cert` reads.

use std::collections::BTreeSet;

use javelin_core::config::Config;
use javelin_core::kinds::{self, Kind};
use javelin_core::mutate::keys::{AGENT_NAME, INJECT};
use serde_json::{Value, json};

use crate::api::client::{Cluster, PodState};
use crate::api::reader::{Form, Reader, ServedKind};
use crate::api::refusal::{PodRefusal, Refuser};
use crate::api::request::ClusterError;
use crate::causes::with_causes;
use crate::certs::ServiceName;
use crate::diagnose::check::destination::{Collector, Destination, Said, ServiceDestination};
use crate::diagnose::check::facts::{
    Admission, Certificates, DryRun, ObjectNames, Pull, Reach, Replica,
};
use crate::diagnose::check::objects::{
    Addresses, EndpointSlice, Event, Labelled, Service, WebhookConfiguration,
};
use crate::diagnose::check::{Facts, Seen, Unseen, dry_run};
use crate::entries::are_bundles_kept_elsewhere;
use crate::probe::advice::{Installation, Platform, next_step};
use crate::probe::{self, Reachability};

mod rights;

use rights::Duties;

/// Reads all of it. `certificates` is asked only where the certificate is Javelin's own.
pub async fn gather(
    cluster: &Cluster,
    dry_run_in: Option<&str>,
    certificates: impl Future<Output = Certificates>,
) -> Result<Facts, ClusterError> {
    let reader = cluster.reader();
    // Whoever does not even tell its version is not there.
    let version = cluster.version().await?;
    let pods = seen(cluster.pods().await);
    let called = cluster.names().service.service();
    let acts_as = pods.iter().flatten().find_map(|pod| pod.account.clone());
    let duties = Duties::of(pods.as_deref().unwrap_or_default());
    let names = ObjectNames {
        namespace: cluster.names().service.namespace().to_owned(),
        service: called.to_owned(),
        account: acts_as.unwrap_or_else(|| called.to_owned()),
        configuration: cluster.names().configuration.clone(),
    };
    let config = config(&reader, &cluster.names().service).await;
    let parsed = config.as_ref().ok().and_then(|config| config.as_ref().ok());
    let (configuration, others) = configurations(&reader, &names).await;
    let is_elsewhere = configuration
        .as_ref()
        .is_ok_and(|found| are_bundles_kept_elsewhere(found.metadata.annotations.as_ref()));
    let addresses = addresses(&reader, &names.namespace, &names.service).await;
    let port = addresses
        .as_ref()
        .ok()
        .and_then(|found| Some(found.ports.first()?.1));
    let (workloads, workloads_unseen) = workloads(&reader).await;
    let (other_kinds, other_kinds_unseen) = other_kinds(&reader).await;
    Ok(Facts {
        nodes: seen(reader.list("Nodes", "/api/v1/nodes", "", Form::Whole).await),
        account: if is_elsewhere {
            Ok(Vec::new())
        } else {
            rights::account(&reader, cluster.names(), &names.account, duties).await
        },
        service: service(&reader, &names.namespace, &names.service).await,
        replicas: pods.map(|pods| pods.into_iter().map(replica).collect()),
        certificates: if is_elsewhere {
            Certificates::Elsewhere
        } else {
            certificates.await
        },
        reach: reach(cluster, &version, port).await,
        pulls: pulls(&reader, parsed).await,
        collectors: collectors(&reader, parsed).await,
        namespaces: namespaces(&reader).await,
        dry_run: match dry_run_in {
            Some(namespace) => Some(try_in(&reader, namespace).await),
            None => None,
        },
        names,
        version,
        config,
        configuration,
        others,
        addresses,
        workloads,
        workloads_unseen,
        other_kinds,
        other_kinds_unseen,
    })
}

fn replica(pod: PodState) -> Replica {
    Replica {
        name: pod.name,
        ready: pod.ready,
        node: pod.node,
    }
}

/// The configuration as the chart mounts it.
pub(super) async fn config(reader: &Reader, own: &ServiceName) -> Seen<Result<Config, String>> {
    let (namespace, service) = (own.namespace(), own.service());
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{service}");
    let name = format!("{namespace}/{service}");
    let found: Value = seen(reader.get("ConfigMap", &name, &path).await)?;
    let text = found.pointer("/data/config.yaml").and_then(Value::as_str);
    Ok(match text {
        Some(text) => Config::parse(text, "config.yaml").map_err(|error| error.to_string()),
        None => Err("it has no key config.yaml".to_owned()),
    })
}

async fn configurations(
    reader: &Reader,
    names: &ObjectNames,
) -> (Seen<WebhookConfiguration>, Seen<Vec<WebhookConfiguration>>) {
    let wanted = &names.configuration;
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let is_ours = |each: &WebhookConfiguration| each.metadata.name.as_ref() == Some(wanted);
    let kind = "MutatingWebhookConfiguration";
    match seen(
        reader
            .list::<WebhookConfiguration>(kind, path, "", Form::Whole)
            .await,
    ) {
        Ok(all) => {
            let (mut ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_ours);
            let ours = ours
                .pop()
                .ok_or_else(|| Unseen::Missing(format!("{kind} {wanted}")));
            (ours, Ok(others))
        }
        Err(unseen) => {
            let path = format!("{path}/{wanted}");
            (seen(reader.get(kind, wanted, &path).await), Err(unseen))
        }
    }
}

async fn service(reader: &Reader, namespace: &str, name: &str) -> Seen<Service> {
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    seen(
        reader
            .get("Service", &format!("{namespace}/{name}"), &path)
            .await,
    )
}

async fn addresses(reader: &Reader, namespace: &str, name: &str) -> Seen<Addresses> {
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let query = format!("labelSelector=kubernetes.io/service-name={name}");
    let slices = reader
        .list::<EndpointSlice>("EndpointSlices", &path, &query, Form::Whole)
        .await;
    Ok(Addresses::of(&seen(slices)?))
}

async fn reach(cluster: &Cluster, version: &str, port: Option<u16>) -> Reach {
    let finding = probe::ask(cluster).await;
    let place = Installation {
        platform: Platform::of(version),
        port: port.unwrap_or(USUAL_PORT),
        names: cluster.names(),
    };
    // The advice is for replicas, which have a Role; a person has other rights.
    let next_step = match &finding {
        Reachability::CouldNotProbe(_) => format!(
            "you may lack the right to create and patch ConfigMap {} in {}; the replicas also probe: see \
             javelin_probe_result in their metrics, or /readyz?verbose",
            cluster.names().probe,
            cluster.names().service.namespace()
        ),
        _ => next_step(&finding, &place),
    };
    Reach {
        code: finding.code(),
        meaning: finding.meaning(),
        said: finding.said().map(str::to_owned),
        next_step,
    }
}

/// Pods that wait for the agent's image. Events tell of them, and each is looked at: it may be mended by now.
async fn pulls(reader: &Reader, config: Option<&Config>) -> Seen<Vec<Pull>> {
    let query = "fieldSelector=involvedObject.kind=Pod,type=Warning";
    let events = reader
        .list::<Event>("Events", "/api/v1/events", query, Form::Whole)
        .await;
    let images: Vec<_> = config
        .into_iter()
        .flat_map(Config::profiles)
        .map(|each| each.agent.image.as_str())
        .collect();
    let candidates: BTreeSet<_> = seen(events)?
        .into_iter()
        .filter(|event| {
            let is_ours = event
                .involved_object
                .field_path
                .contains(&format!("{{{AGENT_NAME}}}"));
            // An image volume has no container of its own.
            is_ours
                || images
                    .iter()
                    .any(|image| event.message.contains(&format!("\"{image}\"")))
        })
        .filter(|event| PULL_REASONS.contains(&event.reason.as_str()))
        .map(|event| (event.involved_object.namespace, event.involved_object.name))
        .collect();
    let mut pulls = Vec::new();
    for (namespace, name) in candidates.into_iter().take(MOST_PULLS) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let pod = match seen(reader.get::<Value>("Pod", &name, &path).await) {
            Ok(pod) => pod,
            Err(Unseen::Missing(_)) => continue,
            Err(unseen) => return Err(unseen),
        };
        if let Some(message) = waits_for_image(&pod) {
            pulls.push(Pull {
                pod: format!("{namespace}/{name}"),
                message,
            });
        }
    }
    Ok(pulls)
}

/// What the kubelet says of the agent's init container, or of any that waits for an image volume.
fn waits_for_image(pod: &Value) -> Option<String> {
    let statuses = |key: &str| {
        let list = pod.pointer(key).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let init = statuses("/status/initContainerStatuses");
    let init = init.filter(|status| status.get("name").is_some_and(|name| name == AGENT_NAME));
    init.chain(statuses("/status/containerStatuses"))
        .find_map(|status| {
            let waiting = status.pointer("/state/waiting")?;
            let reason = waiting.get("reason")?.as_str()?;
            let message = waiting
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default();
            PULL_STATES
                .contains(&reason)
                .then(|| format!("{reason}: {message}"))
        })
}

async fn collectors(reader: &Reader, config: Option<&Config>) -> Vec<Collector> {
    let mut all = config.map(Collector::all).unwrap_or_default();
    for collector in &mut all {
        if let Destination::Service(place) = &collector.place {
            let ServiceDestination {
                namespace, name, ..
            } = place;
            let found = service(reader, namespace, name).await;
            if let Ok(found) = &found {
                collector.addresses = Some(addresses(reader, namespace, name).await);
                collector.answer = Some(ask_collector(reader, place, found).await);
            }
            collector.service = Some(found);
        }
    }
    all
}

/// An OTLP/HTTP request without a span, by way of the API server.
async fn ask_collector(
    reader: &Reader,
    place: &ServiceDestination,
    service: &Service,
) -> Seen<Said> {
    let ServiceDestination {
        namespace,
        name,
        port,
        is_tls,
        prefix,
    } = place;
    let has_port = service.spec.ports.iter().any(|each| each.port == *port);
    if !has_port {
        return Err(Unseen::Failed(format!(
            "the API server's proxy does not know its port {port}"
        )));
    }
    let scheme = if *is_tls { "https" } else { "http" };
    let path = format!(
        "/api/v1/namespaces/{namespace}/services/{scheme}:{name}:{port}/proxy{prefix}/v1/traces"
    );
    let mut tries = 1;
    loop {
        let answer = seen(reader.through_proxy(&path, &json!({})).await)?;
        let body = String::from_utf8_lossy(&answer.body);
        if answer.status == 403 && body.contains("services/proxy") {
            return Err(Unseen::Denied(answer.message()));
        }
        let said = Said {
            status: answer.status,
            body: body.chars().take(MOST_OF_BODY).collect(),
        };
        if !said.is_cut_short() || tries == MOST_TRIES {
            return Ok(said);
        }
        tries += 1;
    }
}

async fn namespaces(reader: &Reader) -> Seen<Vec<Labelled>> {
    let found = reader
        .list::<Labelled>("Namespaces", "/api/v1/namespaces", "", Form::Metadata)
        .await;
    let mut found = seen(found)?;
    for each in &mut found {
        each.kind = "Namespace";
    }
    Ok(found)
}

/// Whatever has a pod template, and pods. What has a controller is left out: the label stands on that.
async fn workloads(reader: &Reader) -> (Vec<Labelled>, Vec<Unseen>) {
    let (mut all, mut unseen) = (Vec::new(), Vec::new());
    let has_rollouts = reader.has_group(kinds::ARGO).await;
    let parts = [
        ("ReplicaSet", OF_NO_DEPLOYMENT, Form::Whole),
        ("Pod", NOT_ENDED, Form::Metadata),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(name, query, form)| Some((Kind::named(None, name)?, query, form)));
    let whole = Kind::with_status().map(|kind| (kind, "", Form::Whole));
    for (kind, query, form) in whole.chain(parts) {
        if kind.group == kinds::ARGO && !has_rollouts {
            continue;
        }
        let is_kept = kind.is_labelled_by_people();
        let (path, kind) = (kind.path(None), kind.name);
        let keep = |each: &Labelled| is_kept || !each.has_controller();
        match seen(reader.list_of(kind, &path, query, form, keep).await) {
            Ok(found) => all.extend(found.into_iter().map(|each| Labelled { kind, ..each })),
            Err(why) => unseen.push(why),
        }
    }
    (all, unseen)
}

/// What has the label itself, of every kind that [`workloads`] passes over; then the kinds that could not be listed.
async fn other_kinds(reader: &Reader) -> (Vec<Value>, Vec<String>) {
    let (mut all, mut unseen) = (Vec::new(), Vec::new());
    let Ok(mut served) = reader.kinds().await else {
        unseen.push("kinds that are not built into Kubernetes".to_owned());
        return (all, unseen);
    };
    served.retain(|kind| !kinds::is_built_in(&kind.api_version));
    served.truncate(MOST_KINDS);
    served.push(ServedKind {
        api_version: "v1".to_owned(),
        name: "ReplicationController".to_owned(),
        resource: "replicationcontrollers".to_owned(),
    });
    let query = format!("labelSelector={INJECT}");
    for kind in served {
        let path = kind.path();
        let found = reader.list::<Value>("labelled objects", &path, &query, Form::Metadata);
        match found.await {
            Ok(found) => all.extend(found.into_iter().map(|object| {
                json!({ "apiVersion": kind.api_version, "kind": kind.name, "metadata": object.get("metadata") })
            })),
            Err(_) => unseen.push(kind.resource),
        }
    }
    (all, unseen)
}

async fn try_in(reader: &Reader, namespace: &str) -> DryRun {
    let labelled = try_pod(reader, namespace, true).await;
    let plain = match &labelled {
        Admission::Refused(_) => Some(try_pod(reader, namespace, false).await),
        Admission::Admitted(_) | Admission::Unseen(_) => None,
    };
    DryRun {
        namespace: namespace.to_owned(),
        labelled,
        plain,
    }
}

async fn try_pod(reader: &Reader, namespace: &str, is_labelled: bool) -> Admission {
    admission(reader.try_pod(namespace, &dry_run::pod(is_labelled)).await)
}

fn admission(tried: Result<Result<Value, PodRefusal>, ClusterError>) -> Admission {
    match seen(tried) {
        Ok(Ok(pod)) => match serde_json::from_value(pod) {
            Ok(pod) => Admission::Admitted(Box::new(pod)),
            Err(error) => Admission::Unseen(Unseen::Failed(format!(
                "the pod that came back cannot be read: {error}"
            ))),
        },
        Ok(Err(refusal)) => match refusal.by {
            Refuser::Rights => Admission::Unseen(Unseen::Denied(refusal.message)),
            _ => Admission::Refused(refusal.message),
        },
        Err(Unseen::Missing(_)) => {
            Admission::Unseen(Unseen::Failed("the namespace does not exist".to_owned()))
        }
        Err(unseen) => Admission::Unseen(unseen),
    }
}

/// What could not be seen, from what went wrong.
pub fn seen<T>(result: Result<T, ClusterError>) -> Seen<T> {
    result.map_err(|error| match error {
        ClusterError::Denied { message, .. } => Unseen::Denied(message),
        ClusterError::Missing(target) => Unseen::Missing(target.to_string().trim_end().to_owned()),
        other => Unseen::Failed(with_causes(&other)),
    })
}

/// `ReplicaSets` of Deployments and Rollouts, old ones included, are most of all.
const OF_NO_DEPLOYMENT: &str = "labelSelector=!pod-template-hash,!rollouts-pod-template-hash";

const NOT_ENDED: &str = "fieldSelector=status.phase!=Succeeded,status.phase!=Failed";

/// A cluster of many operators has some hundred.
const MOST_KINDS: usize = 500;

/// Where replicas listen, unless the endpoints tell.
const USUAL_PORT: u16 = 10250;

/// Pods of one mistake wait all for the same.
const MOST_PULLS: usize = 10;

/// For an answer that was cut short.
const MOST_TRIES: u32 = 5;

const MOST_OF_BODY: usize = 1000;

/// Events of the kubelet when a pull fails.
const PULL_REASONS: [&str; 3] = ["Failed", "BackOff", "ErrImageNeverPull"];

/// Why a container waits then.
const PULL_STATES: [&str; 4] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
];

#[cfg(test)]
mod tests;
