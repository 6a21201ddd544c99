//! Every metric of the webhook, in one struct.
//!
//! Invariant: label values come from closed sets (entries, outcome codes, results), or from the configuration (its
//! profiles), or there is one at a time (the authority, the configuration's hash), or they are names of namespaces, of which
//! there are so many at a time and no more (the audit's). Nothing else that a pod or its author can
//! choose is ever a label, so the number of series is bounded. What has a closed set is there from the start, at zero: a
//! series that begins with its first event has no increase by which it could be seen.
//!
//! Deliberately not here: serving them ([`server`](crate::server)), and deciding when something is worth
//! counting.

use std::fmt;
use std::time::{Duration, SystemTime};

use javelin_core::config::Config;
use javelin_core::review::Entry;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::controller::events::reason::EventReason;
use crate::entries::Drift;
use crate::probe::finding;
use crate::telemetry::otlp::Signal;
use crate::time::unix_seconds;

mod audit;
mod labels;
mod process;
pub mod served;
mod text_format;

pub use audit::{AuditResult, GuardResult};
pub(crate) use labels::ENTRIES;
pub use labels::{ApiAnswer, WorkloadEventResult, entry_label};
pub use process::most_descriptors;
pub use text_format::TextFormat;

use labels::{
    AuthorityLabels, ConfigLabels, DriftLabels, EntryLabels, OtlpLabels, ProfileLabels,
    ReasonLabels, ResultLabels, ReviewLabels, TrustLabels,
};

/// The process's metrics. Cheap to share behind an `Arc`; every field can be used through a shared reference.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    second_chances: Family<ReviewLabels, Counter>,
    dry_runs: Family<ReviewLabels, Counter>,
    injections: Family<ProfileLabels, Counter>,
    /// Reviews that are being read or decided now.
    pub reviews_in_flight: Gauge,
    review_duration: Family<EntryLabels, Histogram, fn() -> Histogram>,
    /// Bodies that are no AdmissionReview.
    pub malformed_requests: Counter,
    /// Panics that were caught and answered.
    pub panics: Counter,
    refusals: Family<ReasonLabels, Counter>,
    /// TLS handshakes that failed or took too long.
    pub tls_handshake_failures: Counter,
    /// TLS handshakes that the client ended because it does not trust the certificate.
    pub certificate_refusals: Counter,
    /// Connections to the webhook that are open now.
    pub open_connections: Gauge,
    /// How many there may be.
    pub open_connections_limit: Gauge,
    config_info: Family<ConfigLabels, Gauge>,
    config_last_reload: Gauge,
    config_reloads: Family<ResultLabels, Counter>,
    config_last_reload_success: Gauge,
    certificate_reloads: Family<ResultLabels, Counter>,
    certificate_last_reload_success: Gauge,
    api_requests: Family<ResultLabels, Counter>,
    webhook_entries: Family<TrustLabels, Gauge>,
    webhook_entries_drifted: Family<DriftLabels, Gauge>,
    /// Profiles of the configuration that no webhook entry is for.
    pub profiles_without_entry: Gauge,
    leaf_not_after: Gauge,
    leaf_issuer: Family<AuthorityLabels, Gauge>,
    authority_not_after: Gauge,
    /// Certificates that this replica signed for itself.
    pub certificates_signed: Counter,
    /// Webhook entries whose caBundle was written.
    pub ca_bundle_writes: Counter,
    events: Family<ReasonLabels, Counter>,
    workload_events: Family<ResultLabels, Counter>,
    otlp_requests: Family<OtlpLabels, Counter>,
    audit: audit::AuditMetrics,
    probe_result: Family<ResultLabels, Gauge>,
    probe_last_success: Gauge,
}

impl Metrics {
    /// All metrics, registered, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        let mut metrics = Self {
            registry,
            reviews: Family::default(),
            second_chances: Family::default(),
            dry_runs: Family::default(),
            injections: Family::default(),
            reviews_in_flight: Gauge::default(),
            review_duration: Family::new_with_constructor(review_duration_histogram),
            malformed_requests: Counter::default(),
            panics: Counter::default(),
            refusals: Family::default(),
            tls_handshake_failures: Counter::default(),
            certificate_refusals: Counter::default(),
            open_connections: Gauge::default(),
            open_connections_limit: Gauge::default(),
            config_info: Family::default(),
            config_last_reload: Gauge::default(),
            config_reloads: Family::default(),
            config_last_reload_success: Gauge::default(),
            certificate_reloads: Family::default(),
            certificate_last_reload_success: Gauge::default(),
            api_requests: Family::default(),
            webhook_entries: Family::default(),
            webhook_entries_drifted: Family::default(),
            profiles_without_entry: Gauge::default(),
            leaf_not_after: Gauge::default(),
            leaf_issuer: Family::default(),
            authority_not_after: Gauge::default(),
            certificates_signed: Counter::default(),
            ca_bundle_writes: Counter::default(),
            events: Family::default(),
            workload_events: Family::default(),
            otlp_requests: Family::default(),
            audit: audit::AuditMetrics::new(),
            probe_result: Family::default(),
            probe_last_success: Gauge::default(),
        };
        metrics.register_server();
        metrics.register_configuration();
        metrics.register_background();
        metrics.audit.register(&mut metrics.registry);
        metrics.start_at_zero();
        // The files that a process starts with are good, or it would not have started.
        metrics.config_last_reload_success.set(1);
        metrics.certificate_last_reload_success.set(1);
        metrics
    }

    /// Counts one answered review and the time that deciding took.
    pub fn reviewed(&self, entry: &Entry, outcome: &'static str, took: Duration) {
        let entry = entry_label(entry);
        self.reviews
            .get_or_create(&ReviewLabels { entry, outcome })
            .inc();
        self.review_duration
            .get_or_create(&EntryLabels { entry })
            .observe(took.as_secs_f64());
    }

    /// Counts an answered review, which [`Metrics::reviewed`] counts too, that came only because earlier calls had left
    /// the same object undecided.
    pub fn second_chance(&self, entry: &Entry, outcome: &'static str) {
        let entry = entry_label(entry);
        self.second_chances
            .get_or_create(&ReviewLabels { entry, outcome })
            .inc();
    }

    /// Counts an answered review, which [`Metrics::reviewed`] counts too, of which nothing is kept. The probe is nothing else, and left
    /// out.
    pub fn dry_run(&self, entry: &Entry, outcome: &'static str) {
        if *entry == Entry::Probe {
            return;
        }
        let entry = entry_label(entry);
        self.dry_runs
            .get_or_create(&ReviewLabels { entry, outcome })
            .inc();
    }

    /// Counts a pod that gets the agent, if it is created; `profile` is a name in the configuration.
    pub fn injected(&self, profile: &str) {
        let labels = ProfileLabels {
            profile: profile.to_owned(),
        };
        self.injections.get_or_create(&labels).inc();
    }

    /// Counts what was not served.
    pub fn refused(&self, reason: &'static str, count: u64) {
        self.refusals
            .get_or_create(&ReasonLabels { reason })
            .inc_by(count);
    }

    /// Counts one attempt to reload the configuration.
    pub fn config_reloaded(&self, success: bool) {
        self.config_reloads
            .get_or_create(&ResultLabels::of_success(success))
            .inc();
        self.config_last_reload_success.set(i64::from(success));
    }

    /// Tells which configuration is in effect, by its hash, and since when.
    pub fn config_in_effect(&self, config: &Config, since: SystemTime) {
        let hash = config.hash();
        self.config_info.clear();
        self.config_info
            .get_or_create(&ConfigLabels { hash })
            .set(1);
        for profile in config.profiles() {
            let profile = profile.name.clone();
            self.injections
                .get_or_create(&ProfileLabels { profile })
                .inc_by(0);
        }
        self.config_last_reload.set(unix_seconds(since));
    }

    /// Counts one attempt to reload the certificate's files.
    pub fn certificate_reloaded(&self, success: bool) {
        self.certificate_reloads
            .get_or_create(&ResultLabels::of_success(success))
            .inc();
        self.certificate_last_reload_success.set(i64::from(success));
    }

    /// Counts a request to the API server, by what came of it.
    pub fn api_request(&self, answer: ApiAnswer) {
        self.api_requests
            .get_or_create(&ResultLabels::of(answer.as_str()))
            .inc();
    }

    /// Tells how many webhook entries trust the certificate that is being served, and how many do not.
    pub fn webhook_entries_are(&self, trusting: usize, others: usize) {
        for (trusts_certificate, count) in [("true", trusting), ("false", others)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.webhook_entries
                .get_or_create(&TrustLabels { trusts_certificate })
                .set(count);
        }
    }

    /// Tells how many webhook entries are not as the chart makes them.
    pub fn webhook_entries_drifted(&self, drift: Drift) {
        let Drift {
            missing,
            lost,
            added,
        } = drift;
        for (drift, count) in [("missing", missing), ("lost", lost), ("added", added)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.webhook_entries_drifted
                .get_or_create(&DriftLabels { drift })
                .set(count);
        }
    }

    /// Tells until when the certificate that is being served is valid.
    pub fn leaf_expires(&self, not_after: SystemTime) {
        self.leaf_not_after.set(unix_seconds(not_after));
    }

    /// Tells which of our authorities the certificate that is being served comes from, by its fingerprint.
    pub fn leaf_comes_from(&self, authority: String) {
        let labels = AuthorityLabels { authority };
        // An ordinary renewal must not leave a moment without it.
        if self.leaf_issuer.get(&labels).is_none() {
            self.leaf_issuer.clear();
        }
        self.leaf_issuer.get_or_create(&labels).set(1);
    }

    /// Tells until when the certificate authority in the Secret is valid.
    pub fn authority_expires(&self, not_after: SystemTime) {
        self.authority_not_after.set(unix_seconds(not_after));
    }

    /// Counts something that happened to certificates or to calls.
    pub fn event(&self, reason: &'static str) {
        self.events.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts an Event on a workload.
    pub fn workload_event(&self, result: WorkloadEventResult) {
        self.workload_events
            .get_or_create(&ResultLabels::of(result.as_str()))
            .inc();
    }

    /// Counts one request with Javelin's own traces or log lines.
    pub fn otlp_request(&self, signal: Signal, success: bool) {
        self.otlp_requests
            .get_or_create(&OtlpLabels::of(signal, success))
            .inc();
    }

    /// Tells what an audit has found: pods, by namespace and by what is wrong with them. `took` is the length of the round.
    pub fn audited(&self, pods: Vec<(String, &'static str, u64)>, at: SystemTime, took: Duration) {
        self.audit.found(pods, unix_seconds(at), took);
    }

    /// Another replica audits: what this one had found counts no more.
    pub fn audited_elsewhere(&self) {
        self.audit.found(audit::nothing(), 0, Duration::ZERO);
    }

    /// Counts a workload that the audit's guard has looked at, by what came of it.
    pub fn guarded(&self, result: GuardResult) {
        self.audit.guarded(result);
    }

    /// Counts a round of the audit.
    pub fn audit_round(&self, result: AuditResult) {
        self.audit.ended(result);
    }

    /// Sets the one result that holds to 1 and all others to 0.
    pub fn probed(&self, result: &'static str) {
        for each in finding::CODES {
            self.probe_result
                .get_or_create(&ResultLabels::of(each))
                .set(i64::from(each == result));
        }
    }

    /// Tells when the API server was last seen to reach us.
    pub fn probe_reached(&self, at: SystemTime) {
        self.probe_last_success.set(unix_seconds(at));
    }

    /// All metrics in the OpenMetrics text format; [`TextFormat::of`] makes another of it.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Makes every series of a closed set, so that a rate has something to begin with.
    fn start_at_zero(&self) {
        for success in [true, false] {
            let labels = ResultLabels::of_success(success);
            self.config_reloads.get_or_create(&labels).inc_by(0);
            self.certificate_reloads.get_or_create(&labels).inc_by(0);
            for signal in Signal::ALL {
                let labels = OtlpLabels::of(signal, success);
                self.otlp_requests.get_or_create(&labels).inc_by(0);
            }
        }
        self.reviews_start_at_zero();
        for answer in ApiAnswer::ALL {
            self.api_requests
                .get_or_create(&ResultLabels::of(answer.as_str()))
                .inc_by(0);
        }
        self.webhook_entries_are(0, 0);
        self.webhook_entries_drifted(Drift::default());
        for event in EventReason::ALL {
            let reason = event.reason();
            self.events
                .get_or_create(&ReasonLabels { reason })
                .inc_by(0);
        }
        for result in WorkloadEventResult::ALL {
            self.workload_events
                .get_or_create(&ResultLabels::of(result.as_str()))
                .inc_by(0);
        }
        for result in finding::CODES {
            self.probe_result
                .get_or_create(&ResultLabels::of(result))
                .set(0);
        }
    }

    fn reviews_start_at_zero(&self) {
        for entry in &ENTRIES {
            let label = entry_label(entry);
            for outcome in entry.outcomes() {
                let labels = ReviewLabels {
                    entry: label,
                    outcome,
                };
                self.reviews.get_or_create(&labels).inc_by(0);
                if *entry != Entry::Probe {
                    self.dry_runs.get_or_create(&labels).inc_by(0);
                }
                // Only what decides, and fails open, is tried again.
                if *entry != Entry::Probe && !entry.only_warns() {
                    self.second_chances.get_or_create(&labels).inc_by(0);
                }
            }
            let labels = EntryLabels { entry: label };
            drop(self.review_duration.get_or_create(&labels));
        }
    }

    fn register_server(&mut self) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that is running", build);
        registry.register(
            "reviews",
            "Admission reviews answered, by entry and outcome",
            self.reviews.clone(),
        );
        registry.register(
            "second_chances",
            "Reviews that a second-chance entry brought, as the first call had failed or decided nothing, by entry and outcome",
            self.second_chances.clone(),
        );
        registry.register(
            "dry_runs",
            "Reviews of dry runs, of which nothing is kept, by entry and outcome; javelin_reviews_total counts them, too",
            self.dry_runs.clone(),
        );
        registry.register(
            "injections",
            "Pods that got the agent, by profile; without dry runs",
            self.injections.clone(),
        );
        registry.register(
            "reviews_in_flight",
            "Admission reviews that are being read or decided now",
            self.reviews_in_flight.clone(),
        );
        registry.register_with_unit(
            "review_duration",
            "Time from a review's last byte to its answer",
            Unit::Seconds,
            self.review_duration.clone(),
        );
        registry.register(
            "malformed_requests",
            "Bodies that are no AdmissionReview, answered with HTTP 400",
            self.malformed_requests.clone(),
        );
        registry.register(
            "panics",
            "Panics while deciding; the pod was admitted unchanged",
            self.panics.clone(),
        );
        registry.register(
            "refusals",
            "Connections and requests that were not served, or not as asked, by the reason",
            self.refusals.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed or took too long",
            self.tls_handshake_failures.clone(),
        );
        registry.register(
            "certificate_refusals",
            "TLS handshakes that the client ended because it does not trust the certificate",
            self.certificate_refusals.clone(),
        );
        registry.register(
            "open_connections",
            "Open connections to the webhook port",
            self.open_connections.clone(),
        );
        registry.register(
            "open_connections_limit",
            "How many of them there may be, and reviews in flight: a connection has one at a time",
            self.open_connections_limit.clone(),
        );
    }

    fn register_configuration(&mut self) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register(
            "config_info",
            "1 for the configuration in effect, by the hash of what it means",
            self.config_info.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_timestamp",
            "Since when it is in effect",
            Unit::Seconds,
            self.config_last_reload.clone(),
        );
        registry.register(
            "config_reloads",
            "Changed configuration files, by whether they could be used",
            self.config_reloads.clone(),
        );
        registry.register(
            "config_last_reload_success",
            "1 if the configuration file as it is now is in use, 0 if an older one is",
            self.config_last_reload_success.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Changed files of --tls-cert and --tls-key, by whether they could be used",
            self.certificate_reloads.clone(),
        );
        registry.register(
            "certificate_last_reload_success",
            "1 if the certificate's files as they are now are in use, 0 if older ones are; 1 without files",
            self.certificate_last_reload_success.clone(),
        );
        registry.register(
            "api_requests",
            "Javelin's own requests to the API server, by what came of them",
            self.api_requests.clone(),
        );
        registry.register(
            "webhook_entries",
            "Entries of the webhook configuration that call Javelin, by whether their caBundle trusts the certificate that is being served; 0 where \
             entries are not read",
            self.webhook_entries.clone(),
        );
        registry.register(
            "webhook_entries_drifted",
            "Entries of the webhook configuration that are not as the chart makes them, by what is different; 0 where entries are not read",
            self.webhook_entries_drifted.clone(),
        );
        registry.register(
            "profiles_without_entry",
            "Profiles of the configuration that no webhook entry is for; 0 where entries are not read",
            self.profiles_without_entry.clone(),
        );
    }

    fn register_background(&mut self) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register_with_unit(
            "leaf_not_after_timestamp",
            "Expiry of the certificate that is being served, 0 before there is one",
            Unit::Seconds,
            self.leaf_not_after.clone(),
        );
        registry.register(
            "leaf_issuer",
            "1 for the authority of the certificate that is being served, if it is one of Javelin's",
            self.leaf_issuer.clone(),
        );
        registry.register_with_unit(
            "authority_not_after_timestamp",
            "Expiry of the certificate authority, 0 if Javelin does not keep it",
            Unit::Seconds,
            self.authority_not_after.clone(),
        );
        registry.register(
            "certificates_signed",
            "Certificates that this replica signed for itself",
            self.certificates_signed.clone(),
        );
        registry.register(
            "ca_bundle_writes",
            "Webhook entries whose caBundle was written",
            self.ca_bundle_writes.clone(),
        );
        registry.register(
            "events",
            "What happened to certificates and to calls, by the reason that Events have, too",
            self.events.clone(),
        );
        registry.register(
            "workload_events",
            "Events on workloads, of what became of their pods, by whether they were written; none where they are not switched on",
            self.workload_events.clone(),
        );
        registry.register(
            "otlp_requests",
            "Requests with Javelin's own traces and log lines, by whether the Collector took them; one that fails for now is sent again; none without --otlp-endpoint",
            self.otlp_requests.clone(),
        );
        registry.register(
            "probe_result",
            "1 for what the last probe through the API server found",
            self.probe_result.clone(),
        );
        registry.register_with_unit(
            "probe_last_success_timestamp",
            "When a probe last reached this webhook through the API server, 0 before that",
            Unit::Seconds,
            self.probe_last_success.clone(),
        );
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Of every name but those that all processes have.
const PREFIX: &str = "javelin";

fn review_duration_histogram() -> Histogram {
    Histogram::new(REVIEW_DURATION_BUCKETS)
}

/// Seconds: a decision takes tens of microseconds; the chart lets API servers wait for a few seconds.
const REVIEW_DURATION_BUCKETS: [f64; 18] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::told_by_a_busy_process;
