//! `javelin cert`: looks at certificates in the cluster, and asks for another authority, with the rights of the person who
//! runs it.
//!
//! Invariant: private keys come along with the Secret and go no further.
//!
//! Deliberately not here: what to make of what was read ([`diagnose::certificates`](crate::diagnose::certificates)), and doing anything
//! about it: the running replicas do that.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

use super::objects::Objects;
use super::person::Home;
use super::{Exit, Hinted, duration, note, person};
use crate::api::client::{self, Cluster};
use crate::api::request::ClusterError;
use crate::certs::store::BundleEntry;
use crate::certs::store::Stored;
use crate::diagnose::certificates::{CertificateFacts, CertificateReport, ReplicaFacts, Rotation};
use crate::metrics::served::ReplicaCertificate;
use crate::time::{now, rfc3339};

mod text;

/// Show Javelin's certificates in the cluster, or request a new authority
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = SHOW_EXAMPLES)]
#[command(mut_arg("probe_configmap", |arg| arg.hide(true)))]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: Show,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(Show),
    Rotate(Rotate),
}

/// Show which certificates are served, who trusts them, what happens next and what is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW_EXAMPLES)]
#[command(mut_arg("probe_configmap", |arg| arg.hide(true)))]
struct Show {
    #[command(flatten)]
    place: Place,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Also exit with 1 if anything expires within N days and has no successor yet
    #[arg(long, value_name = "N")]
    min_days: Option<u32>,
}

/// Ask the running replicas for a new certificate authority
#[derive(Debug, clap::Args)]
#[command(after_help = ROTATE_EXAMPLES)]
#[command(mut_arg("probe_configmap", |arg| arg.hide(true)))]
struct Rotate {
    #[command(flatten)]
    place: Place,
    /// Only ask the API server whether it would accept the request, and change nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until every replica has a certificate of the new authority
    #[arg(long)]
    wait: bool,
    /// Exit with 1 if that takes longer
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse, requires = "wait")]
    timeout: Duration,
}

/// Which Javelin, of which cluster.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    home: Home,
    /// What --javelin-namespace was called; in the other verbs it is the namespace to look in
    #[arg(short, long, value_name = "NAME", hide = true)]
    namespace: Option<String>,
    #[command(flatten)]
    objects: Objects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    let Args { verb, show: plain } = args;
    person::runtime()?.block_on(async {
        match verb {
            None => Box::pin(show(plain)).await,
            Some(Verb::Show(args)) => Box::pin(show(args)).await,
            Some(Verb::Rotate(args)) => Box::pin(rotate(args)).await,
        }
    })
}

async fn show(args: Show) -> Result<Exit> {
    let Show {
        place,
        output,
        min_days,
    } = args;
    let cluster = place.connect().await?;
    let seen = Readings::of(&cluster).await?;
    if matches!(seen.stored, Stored::Missing) && seen.entries.as_ref().is_none_or(Vec::is_empty) {
        bail!(nothing_here(&cluster));
    }
    let report = CertificateReport::of(&seen.facts(&cluster, min_days));
    let text = match output {
        Format::Text => text::render(&report),
        Format::Json => serde_json::to_string_pretty(&report)? + "\n",
    };
    anstream::stdout().write_all(text.as_bytes())?;
    for problem in &report.problems {
        note(&format!("problem: {problem}"));
    }
    Ok(if report.problems.is_empty() {
        Exit::Done
    } else {
        Exit::Found
    })
}

async fn rotate(args: Rotate) -> Result<Exit> {
    let Rotate {
        place,
        dry_run,
        wait,
        timeout,
    } = args;
    let cluster = place.connect().await?;
    let before = Box::pin(ask(&cluster, dry_run)).await?;
    if wait {
        return Box::pin(wait_for(&cluster, &before, timeout)).await;
    }
    Ok(Exit::Done)
}

/// Asks for another authority, unless somebody has. The fingerprint of the one that is to be replaced.
async fn ask(cluster: &Cluster, dry_run: bool) -> Result<String> {
    let mut tries = 0;
    loop {
        let (stored, version, requested) = read_secret(cluster).await?;
        let contents = match stored {
            Stored::Sound(contents) => contents,
            Stored::Missing => bail!(nothing_here(cluster)),
            Stored::Empty | Stored::Damaged { .. } => bail!(Hinted {
                message: format!(
                    "Secret {} holds no authority that could be replaced",
                    secret_name(cluster)
                ),
                hint: "a running replica mends it; `javelin cert show` says what is wrong"
                    .to_owned(),
                source: None,
            }),
        };
        let before = contents.authority.certificate().fingerprint();
        if requested {
            say(&format!(
                "somebody has asked for a successor of authority {before} already"
            ))?;
            return Ok(before);
        }
        match cluster
            .request_rotation(&version, &rfc3339(now()), dry_run)
            .await
        {
            Ok(()) => {}
            // A replica has just written to it: look again at what it is now.
            Err(ClusterError::Conflict(_)) if tries < MOST_TRIES => {
                tries += 1;
                continue;
            }
            Err(error) => return Err(explain(error)),
        }
        let (did, dry) = if dry_run {
            ("would be asked for", " (dry run)")
        } else {
            ("is asked for", "")
        };
        if let Some(next) = &contents.next {
            let next = next.certificate().fingerprint();
            say(&format!(
                "a rotation is in progress; its successor {next} is replaced too, as its key is in the same Secret"
            ))?;
        }
        say(&format!(
            "a successor of authority {before} {did}{dry}\n{WHAT_HAPPENS}"
        ))?;
        return Ok(before);
    }
}

/// Waits until the authority `before` signs no more and nobody serves a certificate of it.
async fn wait_for(cluster: &Cluster, before: &str, timeout: Duration) -> Result<Exit> {
    let deadline = Instant::now() + timeout;
    let mut said = String::new();
    loop {
        let progress = match Readings::of(cluster).await {
            Ok(seen) => {
                let facts = seen.facts(cluster, None);
                match Rotation::of(before, &facts) {
                    Rotation::Waiting(what) => what,
                    Rotation::Done(signing) => {
                        let why = seen.replicas.err();
                        if let Some(why) = why {
                            note(&format!("it is not known whether replicas serve it: {why}"));
                        }
                        say(&format!("done: authority {signing} signs"))?;
                        return Ok(Exit::Done);
                    }
                }
            }
            // The API server may be away for a moment.
            Err(error) => format!("{error:#}"),
        };
        if progress != said {
            note(&progress);
            said = progress;
        }
        if Instant::now() + POLL > deadline {
            note(&format!("not within {} s: {said}", timeout.as_secs()));
            return Ok(Exit::Found);
        }
        sleep(POLL).await;
    }
}

/// All that is read from the cluster.
pub(super) struct Readings {
    stored: Stored,
    requested: bool,
    entries: Option<Vec<BundleEntry>>,
    replicas: Result<Vec<ReplicaFacts>, String>,
}

impl Readings {
    pub(super) async fn of(cluster: &Cluster) -> Result<Self> {
        // Before the Secret, as the reconciler does: what is published is never newer than what is stored.
        let entries = match cluster.configuration().await {
            Ok(found) => Some(found.entries),
            Err(ClusterError::Missing(_)) => None,
            Err(error) => return Err(explain(error)),
        };
        let (stored, _, requested) = read_secret(cluster).await?;
        Ok(Self {
            stored,
            requested,
            entries,
            replicas: replicas(cluster).await.map_err(|error| reason(&error)),
        })
    }

    pub(super) fn facts<'a>(
        &'a self,
        cluster: &Cluster,
        min_days: Option<u32>,
    ) -> CertificateFacts<'a> {
        CertificateFacts {
            service: cluster.names().service.to_string(),
            secret_name: secret_name(cluster),
            configuration_name: cluster.names().configuration.clone(),
            stored: &self.stored,
            requested: self.requested,
            entries: self.entries.as_deref(),
            replicas: self.replicas.as_deref().map_err(String::as_str),
            min_days,
            now: now(),
        }
    }
}

async fn read_secret(cluster: &Cluster) -> Result<(Stored, String, bool)> {
    match cluster.secret().await {
        Ok(secret) => {
            let stored = Stored::read(&secret.data, &cluster.names().service);
            Ok((stored, secret.version, secret.requested))
        }
        Err(ClusterError::Missing(_)) => Ok((Stored::Missing, String::new(), false)),
        Err(error) => Err(explain(error)),
    }
}

/// The pods and what they tell. Who may not ask one of them may ask none.
async fn replicas(cluster: &Cluster) -> Result<Vec<ReplicaFacts>, ClusterError> {
    let mut replicas = Vec::new();
    for pod in cluster.pods().await? {
        let told = match pod.admin_port {
            None => Err("it has no container port with the name admin".to_owned()),
            Some(port) => match cluster.metrics(&pod.name, port).await {
                Ok(metrics) => Ok(ReplicaCertificate::from_metrics(&metrics)),
                Err(error @ ClusterError::Denied { .. }) => return Err(error),
                Err(error) => Err(reason(&error)),
            },
        };
        replicas.push(ReplicaFacts {
            pod: pod.name,
            ready: pod.ready,
            told,
        });
    }
    Ok(replicas)
}

impl Place {
    async fn connect(self) -> Result<Cluster> {
        let Self {
            home: Home {
                context,
                javelin_namespace,
            },
            namespace,
            objects,
        } = self;
        if namespace.is_some() {
            note(
                "warning: --namespace is called --javelin-namespace now, as in the other verbs; it is still taken",
            );
        }
        let names = objects.names(&namespace.unwrap_or(javelin_namespace))?;
        let config = client::of_context(context.as_deref())
            .await
            .map_err(explain)?;
        Cluster::new(config, names).map_err(explain)
    }
}

fn secret_name(cluster: &Cluster) -> String {
    let names = cluster.names();
    format!("{}/{}", names.service.namespace(), names.secret)
}

fn nothing_here(cluster: &Cluster) -> Hinted {
    Hinted {
        message: format!("Secret {} does not exist", secret_name(cluster)),
        hint: "give --javelin-namespace, and --service, --secret and --webhook-configuration if the release is not called \
               javelin; with a certificate of your own there is none, and certs/README.md tells how to look at it"
            .to_owned(),
        source: None,
    }
}

/// For a person, whose rights are not the chart's.
fn explain(error: ClusterError) -> anyhow::Error {
    let hint = match &error {
        ClusterError::NoCluster(_) => "set KUBECONFIG, or name a context with --context",
        ClusterError::Denied { .. } => "certs/README.md has the rules that are needed",
        ClusterError::Conflict(_) => "run it again",
        _ => return error.into(),
    };
    Hinted {
        message: reason(&error),
        hint: hint.to_owned(),
        source: std::error::Error::source(&error).map(|source| anyhow::anyhow!("{source}")),
    }
    .into()
}

/// In one line.
fn reason(error: &ClusterError) -> String {
    match error {
        ClusterError::Denied { target, message } => {
            format!("access to {target} is denied ({message})")
        }
        other => other.to_string(),
    }
}

fn say(line: &str) -> io::Result<()> {
    writeln!(anstream::stdout(), "{line}")
}

/// A replica writes to the Secret now and then; never that often.
const MOST_TRIES: u32 = 5;

/// While it waits.
const POLL: Duration = Duration::from_secs(2);

const WHAT_HAPPENS: &str = "\
A replica makes it and writes it to every caBundle. After the settle time (about two minutes by default) and a
successful call, every replica signs with it. The old one stays trusted until its last certificates have expired (two
days by default). Nothing has to be restarted, and no call is lost.";

const SHOW_EXAMPLES: &str = "\
Exits with 1 if there is a problem. Problems go to standard error, one line each.

Examples:
  javelin cert show
  javelin cert show --min-days 30 > /dev/null          for a job that looks every day
  javelin cert show -o json | jq .secret.authorities";

const ROTATE_EXAMPLES: &str = "\
Examples:
  javelin cert rotate --dry-run
  javelin cert rotate --wait";
