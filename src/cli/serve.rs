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
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::supervision::{Background, supervise};
use crate::certs::files::CertificateFiles;
use crate::certs::{Lifetimes, ServiceName};
use crate::cluster::client::{self, Cluster, Names};
use crate::cluster::coverage::Coverage;
use crate::cluster::events::{OwnPod, Reporter};
use crate::cluster::keeper::Keeper;
use crate::cluster::{probe, watch};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::review;
use crate::server::certificate_files::FollowedCertificate;
use crate::server::config_file::ConfigFile;
use crate::server::connection::Transport;
use crate::server::readiness::{Condition, Readiness};
use crate::server::routes::Reviews;
use crate::server::tls::{Acceptor, Identity};
use crate::server::{Limits, admin, listener};
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry::{self, LogFormat};
use crate::time;

mod supervision;

/// Run the admission webhook.
///
/// Keeps a certificate authority in a Secret, signs its own certificate with it, and writes the caBundle of
/// every webhook entry that calls its Service. With --tls-cert and --tls-key it serves that certificate instead
/// and needs no cluster; whoever made the certificate also writes the caBundle.
#[derive(Debug, clap::Args)]
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

    /// Configuration file, read again when its content changes; built-in defaults without one
    #[arg(long, env = "JAVELIN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Name of the Service that the API server calls
    #[arg(
        long,
        env = "JAVELIN_SERVICE",
        value_name = "NAME",
        default_value = "javelin"
    )]
    service: String,

    /// Namespace of the Service, the Secret and the probe [default: the pod's own]
    #[arg(long, env = "JAVELIN_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Name of the Secret with the certificate authority
    #[arg(
        long,
        env = "JAVELIN_SECRET",
        value_name = "NAME",
        default_value = "javelin-ca"
    )]
    secret: String,

    /// Name of the MutatingWebhookConfiguration whose entries get the caBundle
    #[arg(
        long,
        env = "JAVELIN_WEBHOOK_CONFIGURATION",
        value_name = "NAME",
        default_value = "javelin"
    )]
    webhook_configuration: String,

    /// Name of the ConfigMap of the probe, which is only ever a dry run
    #[arg(
        long,
        env = "JAVELIN_PROBE_CONFIGMAP",
        value_name = "NAME",
        default_value = "javelin-probe"
    )]
    probe_configmap: String,

    /// How long the certificate authority lives; it is replaced after two thirds of that
    #[arg(long, env = "JAVELIN_AUTHORITY_LIFETIME", value_name = "DURATION", default_value = "730d", value_parser = parse_duration)]
    authority_lifetime: Duration,

    /// How long the certificate of a replica lives; it is renewed after two thirds of that
    #[arg(long, env = "JAVELIN_LEAF_LIFETIME", value_name = "DURATION", default_value = "1d", value_parser = parse_duration)]
    leaf_lifetime: Duration,

    /// How long a new certificate authority is published before it signs: API servers take their time to read it
    #[arg(long, env = "JAVELIN_SETTLE_TIME", value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    settle_time: Duration,

    /// Name of the pod that this is, for Events
    #[arg(
        long,
        env = "JAVELIN_POD_NAME",
        value_name = "NAME",
        requires = "pod_uid"
    )]
    pod_name: Option<String>,

    /// UID of the pod that this is, for Events
    #[arg(
        long,
        env = "JAVELIN_POD_UID",
        value_name = "UID",
        requires = "pod_name"
    )]
    pod_uid: Option<String>,

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

    /// Serve this certificate (PEM, then intermediates) instead of one of our own; read again when its content
    /// changes. With --namespace it has to be for `<service>.<namespace>.svc`
    #[arg(
        long,
        env = "JAVELIN_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM, not encrypted); read again with it
    #[arg(
        long,
        env = "JAVELIN_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,

    /// After SIGTERM, how long to go on serving while endpoints learn that this replica is not ready
    #[arg(long, env = "JAVELIN_DRAIN_GRACE", value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    drain_grace: Duration,

    /// How log lines look
    #[arg(
        long,
        env = "JAVELIN_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: LogFormat,

    /// What to log: a level, or a list such as `info,javelin=debug`
    #[arg(
        long,
        env = "JAVELIN_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    log: String,
}

/// Serves until a signal ends it, or until something fails.
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        listen,
        admin_listen,
        config,
        service,
        namespace,
        secret,
        webhook_configuration,
        probe_configmap,
        authority_lifetime,
        leaf_lifetime,
        settle_time,
        pod_name,
        pod_uid,
        clock_offset,
        tls_cert,
        tls_key,
        drain_grace,
        log_format,
        log,
    } = args;
    let source = match (tls_cert, tls_key) {
        (Some(certificate), Some(key)) => Source::Files {
            files: CertificateFiles { certificate, key },
            // Without a cluster nobody else can tell the namespace; then the name is not checked.
            name: namespace
                .map(|namespace| ServiceName::new(&service, &namespace))
                .transpose()?,
        },
        _ => Source::Cluster {
            service,
            namespace,
            secret,
            webhook_configuration,
            probe_configmap,
            lifetimes: Lifetimes::new(authority_lifetime, leaf_lifetime, settle_time)?,
            pod: pod_name
                .zip(pod_uid)
                .map(|(name, uid)| OwnPod { name, uid }),
        },
    };
    time::set_offset(clock_offset);
    telemetry::init(log_format, &log)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let outcome = runtime.block_on(Box::pin(serve(Options {
        listen,
        admin_listen,
        config,
        source,
        drain_grace,
    })));
    // Whatever still runs now is not worth waiting for.
    runtime.shutdown_background();
    outcome
}

/// [`Args`] with the choice made.
#[derive(Debug)]
struct Options {
    listen: SocketAddr,
    admin_listen: SocketAddr,
    config: Option<PathBuf>,
    source: Source,
    drain_grace: Duration,
}

/// Where the certificate comes from.
#[derive(Debug)]
enum Source {
    Files {
        files: CertificateFiles,
        name: Option<ServiceName>,
    },
    Cluster {
        service: String,
        namespace: Option<String>,
        secret: String,
        webhook_configuration: String,
        probe_configmap: String,
        lifetimes: Lifetimes,
        pod: Option<OwnPod>,
    },
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let Options {
        listen,
        admin_listen,
        config,
        source,
        drain_grace,
    } = options;
    let signals = Signals::register().context("failed to register for signals")?;
    let shutdown = Shutdown::new();
    let metrics = Arc::new(Metrics::new());
    let identity = Arc::new(Identity::new());
    let mut background = Background::new();

    let config = follow_config(config, &metrics, &mut background)?;
    let webhook = bind(listen).await?;
    let admin = bind(admin_listen).await?;
    let readiness = Arc::new(Readiness::new(source.conditions(), shutdown.clone()));
    match source {
        Source::Files { files, name } => {
            let followed = FollowedCertificate::open(
                files,
                name,
                Arc::clone(&identity),
                Arc::clone(&metrics),
                time::now(),
            )
            .context("failed to use the certificate of --tls-cert and --tls-key")?;
            readiness.set(Condition::Certificate, true);
            background.spawn("certificate files", followed.follow());
        }
        Source::Cluster {
            service,
            namespace,
            secret,
            webhook_configuration,
            probe_configmap,
            lifetimes,
            pod,
        } => {
            let api_server = client::infer().await?;
            let namespace = namespace.unwrap_or_else(|| api_server.default_namespace.clone());
            let service = ServiceName::new(&service, &namespace)?;
            let names = Names {
                service,
                secret,
                configuration: webhook_configuration,
                probe: probe_configmap,
            };
            let cluster = Cluster::new(api_server, names)?;
            let port = webhook
                .local_addr()
                .map_or_else(|_| listen.port(), |address| address.port());
            let (reporter, reports) = Reporter::new(Arc::clone(&metrics));
            background.spawn("events", reports.write(cluster.clone(), pod));
            let keeper = Keeper::new(
                cluster.clone(),
                Arc::clone(&identity),
                Arc::clone(&readiness),
                Arc::clone(&metrics),
                reporter,
                lifetimes,
                Coverage::new(Arc::clone(&config.current), Arc::clone(&metrics)),
            );
            look_after_certificates(keeper, &cluster, &config.changed, &mut background);
            background.spawn(
                "probe",
                probe::run(cluster, Arc::clone(&readiness), Arc::clone(&metrics), port),
            );
        }
    }

    let limits = Limits::default();
    let reviews = Reviews::new(config.current, Arc::clone(&metrics), limits, review::answer);
    let transport = Transport::Tls(Acceptor::new(identity)?, Arc::clone(&metrics));
    let mut server = JoinSet::new();
    tracing::info!(%listen, %admin_listen, "serving");
    server.spawn(listener::serve(
        webhook,
        transport,
        reviews.router(),
        shutdown.clone(),
        limits,
    ));
    // The admin port outlives the drain, to tell about it: its own shutdown never comes.
    let admin_router = admin::router(Arc::clone(&readiness), metrics);
    let admin = listener::serve(
        admin,
        Transport::Plain,
        admin_router,
        Shutdown::new(),
        limits,
    );
    background.spawn("admin port", async move {
        admin.await;
        std::future::pending().await
    });
    readiness.set(Condition::Listening, true);

    supervise(signals, shutdown, server, background, drain_grace).await
}

impl Source {
    /// What has to be true before the first review: whether an unknown authority's certificate is trusted,
    /// nobody can tell.
    fn conditions(&self) -> &'static [Condition] {
        match self {
            Self::Files { .. } => &[Condition::Listening, Condition::Certificate],
            Self::Cluster { .. } => &[
                Condition::Listening,
                Condition::Certificate,
                Condition::Trusted,
            ],
        }
    }
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

fn look_after_certificates(
    keeper: Keeper,
    cluster: &Cluster,
    changed: &Arc<Notify>,
    background: &mut Background,
) {
    // One for all: whatever changes, the keeper looks at everything again.
    let Names {
        secret,
        configuration,
        ..
    } = cluster.names().clone();
    background.spawn(
        "watch of the Secret",
        watch::changes(cluster.secrets(), secret, Arc::clone(changed)),
    );
    background.spawn(
        "watch of the webhook configuration",
        watch::changes(cluster.configurations(), configuration, Arc::clone(changed)),
    );
    background.spawn("certificates", keeper.run(Arc::clone(changed)));
}

/// `500ms`, `5s`, `2m`, `24h` or `730d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a number and a unit, such as 5s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" if number < TOO_LONG => Ok(Duration::from_mins(number)),
        "h" if number < TOO_LONG => Ok(Duration::from_hours(number)),
        "d" if number < TOO_LONG => Ok(Duration::from_hours(number * 24)),
        _ => Err("expected ms, s, m, h or d after the number, such as 5s".to_owned()),
    }
}

/// Minutes, hours or days: nobody means as many.
const TOO_LONG: u64 = 1_000_000;

/// A review is some tens of microseconds of CPU, and each thread costs memory: one for the work and one beside
/// it.
const WORKER_THREADS: usize = 2;

#[cfg(test)]
mod tests;
