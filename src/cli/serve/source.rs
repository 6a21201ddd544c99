//! Where the certificate comes from, and what then runs in the background to look after it.

use std::sync::Arc;

use anyhow::Context;

use super::{Background, Followed};
use crate::api::client::{self, Cluster, Names};
use crate::api::counted::Count;
use crate::certs::files::CertificateFiles;
use crate::certs::{Lifetimes, ServiceName};
use crate::cli::objects::Objects;
use crate::controller::audit::{Audit, Pace};
use crate::controller::coverage::Coverage;
use crate::controller::events::{EventRecorder, OwnPod};
use crate::controller::reconciler::Reconciler;
use crate::controller::watch;
use crate::controller::workload_events::WorkloadEvents;
use crate::metrics::{ApiAnswer, Metrics};
use crate::probe;
use crate::server::certificate_files::FollowedCertificate;
use crate::server::readiness::{Condition, Readiness};
use crate::server::tls::Identity;
use crate::time;

/// Somebody else's certificate, or our own.
#[derive(Debug)]
pub(super) enum CertificateSource {
    /// From two files.
    Files {
        /// Which.
        files: CertificateFiles,
        /// For whom it has to be, if that is known.
        name: Option<ServiceName>,
    },
    /// Signed by the authority in the cluster.
    Cluster(Box<OwnAuthority>),
}

/// What it takes to keep an authority of our own.
#[derive(Debug)]
pub(super) struct OwnAuthority {
    /// What the objects are called.
    pub(super) objects: Objects,
    /// Their namespace; without one, the pod's own.
    pub(super) namespace: Option<String>,
    /// How long certificates live.
    pub(super) lifetimes: Lifetimes,
    /// The pod that this is, for Events.
    pub(super) pod: Option<OwnPod>,
    /// Are workloads told what became of their pods?
    pub(super) workload_events: bool,
    /// Does it look for pods that were missed, and how often?
    pub(super) audit: Option<Pace>,
    /// Does it take agents back that keep workloads from running?
    pub(super) audit_guard: bool,
}

/// What has to do with the certificate.
#[derive(Debug)]
pub(super) struct SharedParts {
    pub(super) identity: Arc<Identity>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) metrics: Arc<Metrics>,
    /// Where the webhook listens.
    pub(super) port: u16,
}

impl CertificateSource {
    /// What has to be true before the first review: whether an unknown authority's certificate is trusted,
    /// nobody can tell.
    pub(super) fn conditions(&self) -> &'static [Condition] {
        match self {
            Self::Files { .. } => &[Condition::Listening, Condition::Certificate],
            Self::Cluster(_) => &[
                Condition::Listening,
                Condition::Certificate,
                Condition::Trusted,
                Condition::Way,
            ],
        }
    }

    /// Starts to look after it. What comes back tells workloads what is decided, if that is wanted.
    pub(super) async fn look_after(
        self,
        parts: &SharedParts,
        config: &Followed,
        background: &mut Background,
    ) -> anyhow::Result<Option<WorkloadEvents>> {
        match self {
            Self::Files { files, name } => {
                follow_files(files, name, parts, background).map(|()| None)
            }
            Self::Cluster(own) => own.keep(parts, config, background).await,
        }
    }
}

fn follow_files(
    files: CertificateFiles,
    name: Option<ServiceName>,
    parts: &SharedParts,
    background: &mut Background,
) -> anyhow::Result<()> {
    let followed = FollowedCertificate::open(
        files,
        name,
        Arc::clone(&parts.identity),
        Arc::clone(&parts.metrics),
        time::now(),
    )
    .context("failed to use the certificate of --tls-cert and --tls-key")?;
    parts.readiness.set(Condition::Certificate, true);
    background.spawn("certificate files", followed.follow());
    Ok(())
}

impl OwnAuthority {
    async fn keep(
        self,
        parts: &SharedParts,
        config: &Followed,
        background: &mut Background,
    ) -> anyhow::Result<Option<WorkloadEvents>> {
        let api_server = client::infer().await?;
        let namespace = self.namespace;
        let namespace = namespace.unwrap_or_else(|| api_server.default_namespace.clone());
        let names = self.objects.names(&namespace)?;
        let Names {
            secret,
            configuration,
            ..
        } = names.clone();
        let metrics = Arc::clone(&parts.metrics);
        let count = Count::by(move |status| metrics.api_request(ApiAnswer::of_status(status)));
        let cluster = Cluster::counted(api_server, names, &count)?;
        let (recorder, reports) = EventRecorder::new(Arc::clone(&parts.metrics));
        let reconciler = Reconciler::new(
            cluster.clone(),
            Arc::clone(&parts.identity),
            Arc::clone(&parts.readiness),
            Arc::clone(&parts.metrics),
            recorder.clone(),
            self.lifetimes,
            Coverage::new(Arc::clone(&config.current), Arc::clone(&parts.metrics)),
        );
        // One for all: whatever changes, the reconciler looks at everything again.
        let changed = &config.changed;
        background.spawn(
            "watch of the Secret",
            watch::changes(cluster.secrets(), secret, Arc::clone(changed)),
        );
        background.spawn(
            "watch of the webhook configuration",
            watch::changes(cluster.configurations(), configuration, Arc::clone(changed)),
        );
        background.spawn("certificates", reconciler.run(Arc::clone(changed)));
        let workload_events = self
            .workload_events
            .then(|| WorkloadEvents::new(Arc::clone(&parts.metrics)));
        if let Some(events) = workload_events.clone() {
            let instance = self.pod.as_ref().map_or("javelin", |pod| &pod.name);
            let writer = events.write(cluster.clone(), instance.to_owned());
            background.spawn("events on workloads", writer);
        }
        if let (Some(pace), Some(pod)) = (self.audit, &self.pod) {
            let (config, metrics) = (Arc::clone(&config.current), Arc::clone(&parts.metrics));
            let audit = Audit::new(cluster.clone(), config, metrics, pod.name.clone(), pace);
            background.spawn("audit", audit.with_guard(self.audit_guard).run());
        }
        background.spawn("events", reports.write(cluster.clone(), self.pod));
        background.spawn(
            "probe",
            probe::run(
                cluster,
                Arc::clone(&parts.readiness),
                Arc::clone(&parts.metrics),
                recorder,
                parts.port,
            ),
        );
        Ok(workload_events)
    }
}
