//! `javelin serve`: the webhook.
//!
//! Puts the parts together, and supervises them: whatever runs in the background runs for ever, so the end of
//! any of it is the end of the process, never silence.
//!
//! Deliberately not here: anything that another verb needs, and any decision. `run` reads top to bottom.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::http::Uri;
use javelin_core::config::Config;
use javelin_core::review;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::source::{CertificateSource, OwnAuthority, SharedParts};
use self::supervision::{Background, supervise};
use super::duration;
use super::objects::Objects;
use crate::certs::Lifetimes;
use crate::certs::files::CertificateFiles;
use crate::controller::audit::Pace;
use crate::controller::events::OwnPod;
use crate::metrics::{Metrics, most_descriptors};
use crate::server::config_file::ConfigFile;
use crate::server::connection::Transport;
use crate::server::readiness::{Condition, Readiness};
use crate::server::refusals::Refusals;
use crate::server::routes::Reviews;
use crate::server::tls::{Acceptor, Identity};
use crate::server::{Limits, admin, listener};
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry::otlp::{Destination, Otlp, Signal};
use crate::telemetry::traces::ReviewTracer;
use crate::telemetry::{self, LogFormat};
use crate::time;

mod source;
mod supervision;

/// Run the admission webhook
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Args {
    /// Address of the webhook (HTTPS); `[::]` includes IPv4
    #[arg(
        long,
        env = "JAVELIN_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:10250"
    )]
    listen: SocketAddr,

    /// Address of /livez, /readyz and /metrics (plain HTTP)
    #[arg(
        long,
        env = "JAVELIN_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:8080"
    )]
    admin_listen: SocketAddr,

    /// Configuration file, reloaded when its content changes; without one, built-in defaults apply
    #[arg(long, env = "JAVELIN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    objects: Objects,

    /// Namespace of the Service, the Secret and the probe [default: the pod's own]
    #[arg(long, env = "JAVELIN_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// How long the certificate authority lives; it is replaced after two thirds of that
    #[arg(long, env = "JAVELIN_AUTHORITY_LIFETIME", value_name = "DURATION", default_value = "730d", value_parser = duration::parse)]
    authority_lifetime: Duration,

    /// How long the certificate of a replica lives; it is renewed after two thirds of that
    #[arg(long, env = "JAVELIN_LEAF_LIFETIME", value_name = "DURATION", default_value = "1d", value_parser = duration::parse)]
    leaf_lifetime: Duration,

    /// How long a new certificate authority is published before it signs: API servers need time to read it
    #[arg(long, env = "JAVELIN_SETTLE_TIME", value_name = "DURATION", default_value = "2m", value_parser = duration::parse)]
    settle_time: Duration,

    /// Name of this pod, for Events
    #[arg(
        long,
        env = "JAVELIN_POD_NAME",
        value_name = "NAME",
        requires = "pod_uid"
    )]
    pod_name: Option<String>,

    /// UID of this pod, for Events
    #[arg(
        long,
        env = "JAVELIN_POD_UID",
        value_name = "UID",
        requires = "pod_name"
    )]
    pod_uid: Option<String>,

    /// Write Events on workloads, of what became of their pods; takes further rights, which the chart grants with
    /// workloadEvents.enabled
    #[arg(long, env = "JAVELIN_WORKLOAD_EVENTS", conflicts_with = "tls_cert")]
    workload_events: bool,

    #[command(flatten)]
    audit: AuditArgs,

    /// For tests: the clock is wrong by so many seconds
    #[arg(
        long,
        env = "JAVELIN_CLOCK_OFFSET",
        value_name = "SECONDS",
        hide = true,
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    clock_offset: i64,

    /// Serve this certificate (PEM, then intermediates) instead of Javelin's own; reloaded when its content changes.
    /// With --namespace it has to be for `<service>.<namespace>.svc`
    #[arg(
        long,
        env = "JAVELIN_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM, not encrypted); reloaded together with it
    #[arg(
        long,
        env = "JAVELIN_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,

    /// After SIGTERM, how long to keep serving until endpoints show that this replica is not ready
    #[arg(long, env = "JAVELIN_DRAIN_GRACE", value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    drain_grace: Duration,

    /// Format of log lines: json or text
    #[arg(
        long,
        env = "JAVELIN_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true,
        default_value_t
    )]
    log_format: LogFormat,

    /// What to log: off, error, warn, info, debug, trace, or a list such as `warn,javelin::certs=debug`; the level is
    /// info for what the list does not name, and for everything if it is empty
    #[arg(
        long,
        env = "JAVELIN_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    log: String,

    #[command(flatten)]
    otlp: OtlpArgs,
}

/// Whether and how there is an audit.
#[derive(Debug, clap::Args)]
struct AuditArgs {
    /// Look for pods that were missed, or that do not run with the agent; takes further rights, which the chart grants with
    /// audit.enabled
    #[arg(
        long,
        env = "JAVELIN_AUDIT",
        requires = "pod_name",
        conflicts_with = "tls_cert"
    )]
    audit: bool,

    /// Take the agent back from workloads whose pods crash with it while older ones without it are ready; takes the further
    /// right to change workloads, which the chart grants with audit.guard
    #[arg(long, env = "JAVELIN_AUDIT_GUARD", requires = "audit")]
    audit_guard: bool,

    /// How long after a round of the audit the next one begins
    #[arg(long, env = "JAVELIN_AUDIT_INTERVAL", value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    audit_interval: Duration,

    /// How long the audit waits before it reads each page of a list
    #[arg(long, env = "JAVELIN_AUDIT_PAUSE", value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    audit_pause: Duration,
}

/// Where Javelin's own telemetry goes.
#[derive(Debug, clap::Args)]
struct OtlpArgs {
    /// Send traces of reviews, and what is logged, to this Collector by OTLP over HTTP, as in `http://otel-collector.observability.svc:4318`
    #[arg(
        long = "otlp-endpoint",
        env = "JAVELIN_OTLP_ENDPOINT",
        value_name = "URL"
    )]
    endpoint: Option<Uri>,

    /// What to send there: traces, logs, or `traces,logs`
    #[arg(
        long = "otlp-signals",
        env = "JAVELIN_OTLP_SIGNALS",
        value_name = "SIGNALS",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true,
        default_values_t = Signal::ALL,
        requires = "endpoint"
    )]
    signals: Vec<Signal>,

    /// Whose certificates an https Collector may have (PEM)
    #[arg(
        long = "otlp-ca",
        env = "JAVELIN_OTLP_CA",
        value_name = "FILE",
        requires = "endpoint"
    )]
    ca: Option<PathBuf>,
}

/// Serves until a signal ends it, or until something fails.
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        listen,
        admin_listen,
        config,
        objects,
        namespace,
        authority_lifetime,
        leaf_lifetime,
        settle_time,
        pod_name,
        pod_uid,
        workload_events,
        audit,
        clock_offset,
        tls_cert,
        tls_key,
        drain_grace,
        log_format,
        log,
        otlp,
    } = args;
    let source = match (tls_cert, tls_key) {
        (Some(certificate), Some(key)) => CertificateSource::Files {
            files: CertificateFiles { certificate, key },
            // Without a cluster nobody else can tell the namespace; then the name is not checked.
            name: namespace
                .map(|namespace| objects.service(&namespace))
                .transpose()?,
        },
        _ => CertificateSource::Cluster(Box::new(OwnAuthority {
            objects,
            namespace,
            lifetimes: Lifetimes::new(authority_lifetime, leaf_lifetime, settle_time)?,
            pod: pod_name
                .zip(pod_uid)
                .map(|(name, uid)| OwnPod { name, uid }),
            workload_events,
            audit: audit.pace(),
            audit_guard: audit.audit_guard,
        })),
    };
    time::set_offset(clock_offset);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let metrics = Arc::new(Metrics::new());
    let otlp = otlp.start(runtime.handle(), &metrics)?;
    telemetry::init(log_format, &log, otlp.as_ref())?;
    let outcome = runtime.block_on(Box::pin(serve(Options {
        listen,
        admin_listen,
        config,
        source,
        drain_grace,
        metrics,
        tracer: otlp.as_ref().and_then(Otlp::tracer).map(ReviewTracer::new),
    })));
    if let Some(otlp) = otlp {
        otlp.finish();
    }
    // Whatever still runs now is not worth waiting for.
    runtime.shutdown_background();
    outcome
}

impl AuditArgs {
    /// How often it looks; `None` where there is no audit.
    fn pace(&self) -> Option<Pace> {
        self.audit.then_some(Pace {
            // Without one it would ask for ever.
            interval: self.audit_interval.max(SHORTEST_INTERVAL),
            pause: self.audit_pause,
        })
    }
}

impl OtlpArgs {
    fn start(self, runtime: &Handle, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Otlp>> {
        let Some(endpoint) = self.endpoint else {
            return Ok(None);
        };
        let destination = Destination {
            endpoint,
            signals: self.signals,
            authorities: self.ca,
        };
        let metrics = Arc::clone(metrics);
        let told = move |signal, success| metrics.otlp_request(signal, success);
        Ok(Some(Otlp::start(&destination, runtime, told)?))
    }
}

/// [`Args`] with the choice made.
#[derive(Debug)]
struct Options {
    listen: SocketAddr,
    admin_listen: SocketAddr,
    config: Option<PathBuf>,
    source: CertificateSource,
    drain_grace: Duration,
    metrics: Arc<Metrics>,
    tracer: Option<ReviewTracer>,
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let Options {
        listen,
        admin_listen,
        config,
        source,
        drain_grace,
        metrics,
        tracer,
    } = options;
    let signals = Signals::register().context("failed to register for signals")?;
    let shutdown = Shutdown::new();
    let identity = Arc::new(Identity::new());
    let mut background = Background::new();

    let config = follow_config(config, &metrics, &mut background)?;
    let webhook = bind(listen).await?;
    let admin = bind(admin_listen).await?;
    let readiness = Arc::new(Readiness::new(source.conditions(), shutdown.clone()));
    let port = webhook
        .local_addr()
        .map_or_else(|_| listen.port(), |address| address.port());
    let parts = SharedParts {
        identity: Arc::clone(&identity),
        readiness: Arc::clone(&readiness),
        metrics: Arc::clone(&metrics),
        port,
    };
    let workload_events = source.look_after(&parts, &config, &mut background).await?;

    let descriptors = most_descriptors().unwrap_or(usize::MAX);
    let limits = limits_within(descriptors, &metrics);
    let refusals = Arc::new(Refusals::new(Arc::clone(&metrics)));
    let reviews = Reviews::new(
        config.current,
        Arc::clone(&refusals),
        limits,
        review::answer,
    )
    .told_by(workload_events)
    .traced_by(tracer);
    let transport = Transport::Tls(Acceptor::new(identity)?, refusals);
    let mut server = JoinSet::new();
    tracing::info!(%listen, %admin_listen, "serving");
    server.spawn(listener::serve(
        webhook,
        transport,
        reviews.router(),
        shutdown.clone(),
        limits,
    ));
    let admin_router = admin::router(Arc::clone(&readiness), metrics);
    let admin_limits = Limits::of_admin_port().within(descriptors);
    // The admin port outlives the drain, to tell about it: its own shutdown never comes.
    let never = Shutdown::new();
    background.spawn("admin port", async move {
        listener::serve(admin, Transport::Plain, admin_router, never, admin_limits).await;
        std::future::pending().await
    });
    readiness.set(Condition::Listening, true);

    supervise(signals, shutdown, server, background, drain_grace).await
}

/// The usual limits, or fewer connections where the process may not have so many files open.
fn limits_within(descriptors: usize, metrics: &Metrics) -> Limits {
    let limits = Limits::default().within(descriptors);
    if limits.connections < Limits::default().connections {
        tracing::warn!(
            descriptors,
            connections = limits.connections,
            "the limit of open files allows fewer connections than usual"
        );
    }
    let most = i64::try_from(limits.connections).unwrap_or(i64::MAX);
    metrics.open_connections_limit.set(most);
    limits
}

/// The configuration in use, and who is told when it is another.
struct Followed {
    current: Arc<ArcSwap<Config>>,
    changed: Arc<Notify>,
}

fn follow_config(
    path: Option<PathBuf>,
    metrics: &Arc<Metrics>,
    background: &mut Background,
) -> anyhow::Result<Followed> {
    let Some(path) = path else {
        metrics.config_in_effect(&Config::default(), time::now());
        return Ok(Followed {
            current: Arc::default(),
            changed: Arc::default(),
        });
    };
    let file = ConfigFile::open(&path).context("failed to read the configuration")?;
    let followed = Followed {
        current: file.current(),
        changed: file.changed(),
    };
    background.spawn("configuration file", file.follow(Arc::clone(metrics)));
    Ok(followed)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))
}

const ABOUT: &str = "\
Keeps a certificate authority in a Secret, signs its own certificate with it, and writes the caBundle of every webhook
entry that calls its Service. With --tls-cert and --tls-key it serves that certificate instead and needs no cluster;
whoever made the certificate also writes the caBundle.";

/// They accept, shake hands and answer `/livez`; deciding has threads of its own
/// ([`Limits::ordinary_threads`]). Each costs memory, and one may be in a handshake.
const WORKER_THREADS: usize = 2;

/// Of the audit; the chart asks for more.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
