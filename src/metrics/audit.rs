//! What the audit tells.
//!
//! Invariant: what a round has found is replaced as a whole. A namespace in which nothing is wrong any more has no series,
//! and no scrape sees a part.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::PREFIX;
use super::labels::ResultLabels;
use crate::controller::audit::{OTHERS, REASONS};

/// How a round of the audit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditResult {
    /// Everything was read.
    Complete,
    /// Some objects were left out.
    Incomplete,
    /// A list could not be read.
    Failed,
}

/// What the audit's guard did about a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardResult {
    /// Its agent was taken back.
    TakenBack,
    /// Somebody has undone that within a day, and it was not done again.
    PutBack,
    /// Nothing was taken back, as there were too many workloads; counted once for the round.
    TooMany,
    /// It could not be read or changed.
    Failed,
}

/// By namespace and reason.
type Pods = Vec<(String, &'static str, u64)>;

#[derive(Debug)]
pub(super) struct AuditMetrics {
    pods: Arc<ArcSwap<Pods>>,
    last_round: Gauge,
    last_round_duration: Gauge<f64, AtomicU64>,
    rounds: Family<ResultLabels, Counter>,
    guarded: Family<ResultLabels, Counter>,
}

impl AuditResult {
    const ALL: [Self; 3] = [Self::Complete, Self::Incomplete, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

impl GuardResult {
    const ALL: [Self; 4] = [Self::TakenBack, Self::PutBack, Self::TooMany, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::TakenBack => "taken_back",
            Self::PutBack => "put_back",
            Self::TooMany => "too_many",
            Self::Failed => "failed",
        }
    }
}

impl AuditMetrics {
    /// At zero.
    pub(super) fn new() -> Self {
        let rounds = Family::<ResultLabels, Counter>::default();
        for result in AuditResult::ALL {
            rounds
                .get_or_create(&ResultLabels::of(result.as_str()))
                .inc_by(0);
        }
        let guarded = Family::<ResultLabels, Counter>::default();
        for result in GuardResult::ALL {
            guarded
                .get_or_create(&ResultLabels::of(result.as_str()))
                .inc_by(0);
        }
        Self {
            pods: Arc::new(ArcSwap::from_pointee(nothing())),
            last_round: Gauge::default(),
            last_round_duration: Gauge::default(),
            rounds,
            guarded,
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(FoundPods(Arc::clone(&self.pods))));
        let registry = registry.sub_registry_with_prefix(PREFIX);
        registry.register_with_unit(
            "audit_last_round_timestamp",
            "When this replica's last round of the audit ended; 0 where it does not audit",
            Unit::Seconds,
            self.last_round.clone(),
        );
        registry.register_with_unit(
            "audit_last_round_duration",
            "How long that round took",
            Unit::Seconds,
            self.last_round_duration.clone(),
        );
        registry.register(
            "audit_rounds",
            "Rounds of the audit, by how they ended",
            self.rounds.clone(),
        );
        registry.register(
            "audit_guarded",
            "Workloads that the audit's guard would have run without the agent, by what came of it",
            self.guarded.clone(),
        );
    }

    pub(super) fn found(&self, pods: Pods, at: i64, took: Duration) {
        self.pods.store(Arc::new(pods));
        self.last_round.set(at);
        self.last_round_duration.set(took.as_secs_f64());
    }

    pub(super) fn ended(&self, result: AuditResult) {
        let labels = ResultLabels::of(result.as_str());
        self.rounds.get_or_create(&labels).inc();
    }

    pub(super) fn guarded(&self, result: GuardResult) {
        let labels = ResultLabels::of(result.as_str());
        self.guarded.get_or_create(&labels).inc();
    }
}

/// No pods, for each reason.
pub(super) fn nothing() -> Pods {
    REASONS.map(|reason| (OTHERS.to_owned(), reason, 0)).into()
}

#[derive(Debug)]
struct FoundPods(Arc<ArcSwap<Pods>>);

impl Collector for FoundPods {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let name = format!("{PREFIX}_audit_pods");
        let mut family = encoder.encode_descriptor(&name, HELP, None, MetricType::Gauge)?;
        for (namespace, reason, pods) in self.0.load().iter() {
            // `namespace` is the replica's own to Prometheus.
            let labels = [("pod_namespace", namespace.as_str()), ("reason", reason)];
            let metric = family.encode_family(&labels)?;
            ConstGauge::new(*pods).encode(metric)?;
        }
        Ok(())
    }
}

const HELP: &str = "Pods that the last round of the audit found something wrong with, by namespace and by what it is.";
