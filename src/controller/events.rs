//! What happened to certificates and to calls, for people: a log line, a Kubernetes Event, a counter.
//!
//! Events are about the replica's own pod, where `kubectl describe pod` shows them, or about the Secret where the pod is
//! not known.
//!
//! Invariants: telling never waits and never fails; an Event that cannot be written is dropped, since the log line has
//! said the same. The same reason makes at most one Event a minute.
//!
//! Deliberately not here: what is worth telling.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::api::client::{Cluster, Names};
use crate::metrics::Metrics;
use crate::time::now;

pub(crate) mod reason;

pub use reason::EventReason;

/// The pod that this process runs in, by the downward API.
#[derive(Debug, Clone)]
pub struct OwnPod {
    /// Its name.
    pub name: String,
    /// Its UID: `kubectl describe` finds Events by it.
    pub uid: String,
}

/// Whom to tell. Clones tell the same.
#[derive(Debug, Clone)]
pub struct EventRecorder {
    metrics: Arc<Metrics>,
    events: Sender<(EventReason, String)>,
    told: Arc<Mutex<Vec<(EventReason, Instant)>>>,
}

impl EventRecorder {
    /// One, and what it tells.
    pub fn new(metrics: Arc<Metrics>) -> (Self, Reports) {
        let (events, reports) = channel(WAITING);
        let recorder = Self {
            metrics,
            events,
            told: Arc::default(),
        };
        (recorder, Reports(reports))
    }

    /// Tells that `what` has happened; `note` is a sentence with the details.
    pub fn tell(&self, what: EventReason, note: String) {
        let reason = what.reason();
        if what.is_warning() {
            tracing::warn!(reason, "{note}");
        } else {
            tracing::info!(reason, "{note}");
        }
        self.metrics.event(reason);
        if self.is_news(what, Instant::now()) {
            // Full: nobody reads them, and the log has it.
            let _ = self.events.try_send((what, note));
        }
    }

    fn is_news(&self, what: EventReason, at: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(_, when)| at.duration_since(*when) < QUIET);
        let is_news = told.iter().all(|(other, _)| *other != what);
        if is_news {
            told.push((what, at));
        }
        is_news
    }
}

/// What waits to be written as Events.
#[derive(Debug)]
pub struct Reports(Receiver<(EventReason, String)>);

impl Reports {
    /// Writes them, one after the other.
    pub async fn write(mut self, cluster: Cluster, pod: Option<OwnPod>) -> Infallible {
        loop {
            let Some((what, note)) = self.0.recv().await else {
                // Nobody is left who could tell anything.
                return std::future::pending().await;
            };
            let event = event(what, &note, cluster.names(), pod.as_ref());
            if let Err(error) = cluster.create_event(&event).await {
                let error = anyhow::Error::from(error);
                tracing::debug!(error = format!("{error:#}"), "an Event was not written");
            }
        }
    }
}

fn event(what: EventReason, note: &str, names: &Names, pod: Option<&OwnPod>) -> Event {
    let secret = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        name: Some(names.secret.clone()),
        namespace: Some(names.service.namespace().to_owned()),
        ..ObjectReference::default()
    };
    let of_pod = pod.map(|pod| ObjectReference {
        kind: Some("Pod".to_owned()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..secret.clone()
    });
    let related = of_pod.is_some().then(|| secret.clone());
    let instance = pod.map_or("javelin", |pod| &pod.name);
    let kind = if what.is_warning() {
        "Warning"
    } else {
        "Normal"
    };
    Event {
        action: Some("Certificates".to_owned()),
        related,
        ..event_about(
            of_pod.unwrap_or(secret),
            kind,
            what.reason(),
            note,
            instance,
        )
    }
}

/// An Event of ours, in the namespace of what it is about. `kind` is `Normal` or `Warning`, `instance` the replica.
pub(super) fn event_about(
    regarding: ObjectReference,
    kind: &str,
    reason: &str,
    note: &str,
    instance: &str,
) -> Event {
    Event {
        event_time: Some(MicroTime(Timestamp::try_from(now()).unwrap_or_default())),
        metadata: ObjectMeta {
            generate_name: Some("javelin-".to_owned()),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        note: Some(note.chars().take(MAX_NOTE).collect()),
        reason: Some(reason.to_owned()),
        regarding: Some(regarding),
        reporting_controller: Some("javelin.dev/webhook".to_owned()),
        reporting_instance: Some(instance.chars().take(MAX_INSTANCE).collect()),
        type_: Some(kind.to_owned()),
        ..Event::default()
    }
}

/// More than ever happens at once.
const WAITING: usize = 64;

/// The same reason again within this time is in the log only.
const QUIET: Duration = Duration::from_mins(1);

/// Of `events.k8s.io/v1`: a note has at most 1 kB, an instance 128 characters.
const MAX_NOTE: usize = 1_000;
const MAX_INSTANCE: usize = 128;

#[cfg(test)]
mod tests;
