//! What verbs share that ask a cluster with the rights of the person who runs them.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Exit, Hinted, note};
use crate::api::client::{self, Cluster, Names};
use crate::api::request::ClusterError;
use crate::certs::ServiceName;
use crate::diagnose::inventory::{Inventory, Scope};

/// Where to look, and for which Javelin.
#[derive(Debug, clap::Args)]
pub(super) struct NamespaceOptions {
    /// The namespace to look in [default: that of the context]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Look in all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    home: Home,
    /// Name of Javelin's Service, and of its ConfigMap
    #[arg(
        long,
        env = "JAVELIN_SERVICE",
        value_name = "NAME",
        default_value = "javelin"
    )]
    service: String,
}

/// Where Javelin is: `--namespace` is the one of what is looked at.
#[derive(Debug, clap::Args)]
pub(super) struct Home {
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// Javelin's namespace
    #[arg(
        long,
        env = "JAVELIN_NAMESPACE",
        value_name = "NAME",
        default_value = "javelin-system"
    )]
    pub(super) javelin_namespace: String,
}

impl NamespaceOptions {
    /// A client, and where to look with it.
    pub(super) async fn connect(self) -> Result<(Cluster, Scope)> {
        let Self {
            namespace,
            all_namespaces,
            home: Home {
                context,
                javelin_namespace,
            },
            service,
        } = self;
        // Of these objects only the ConfigMap is read, which is called as the Service is.
        let names = Names {
            service: ServiceName::new(&service, &javelin_namespace)?,
            secret: String::new(),
            configuration: String::new(),
            probe: String::new(),
        };
        let config = connection(context.as_deref()).await?;
        let scope = if all_namespaces {
            Scope::All
        } else {
            Scope::Namespace(namespace.unwrap_or_else(|| config.default_namespace.clone()))
        };
        Ok((Cluster::new(config, names).map_err(explain)?, scope))
    }
}

/// Runs a verb that asks the cluster.
pub(super) fn block_on(verb: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    runtime()?.block_on(Box::pin(verb))
}

/// To ask a cluster with, one thing after the other.
pub(super) fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    runtime.context("failed to start the runtime")
}

/// How the cluster of a context is reached.
pub(super) async fn connection(context: Option<&str>) -> Result<kube::Config> {
    client::of_context(context).await.map_err(explain)
}

/// Says what could not be read; an error if that is everything.
pub(super) fn seen(read: Result<Inventory, ClusterError>) -> Result<Inventory> {
    let seen = read.map_err(explain)?;
    for warning in &seen.warnings {
        note(&format!("warning: {warning}"));
    }
    if seen.is_blind {
        bail!(Hinted {
            message: "nothing could be read".to_owned(),
            hint: "ask for the right to list pods and workloads, or use -n with a namespace that you may read"
                .to_owned(),
            source: None,
        });
    }
    Ok(seen)
}

/// Says what is being waited for, if it takes more than a moment and somebody is looking.
pub(super) async fn with_patience<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    if let Ok(done) = timeout(PATIENCE, &mut work).await {
        return done;
    }
    if io::stderr().is_terminal() {
        note(&format!("{what} …"));
    }
    work.await
}

/// Says a thing, unless it was the last that was said.
pub(super) fn once(said: &mut String, line: String) {
    if *said != line {
        note(&line);
        *said = line;
    }
}

/// For a person, whose rights are not the chart's.
pub(super) fn explain(error: ClusterError) -> anyhow::Error {
    let (message, hint) = match &error {
        ClusterError::NoCluster(_) => (
            error.to_string(),
            "set KUBECONFIG, or name a context with --context",
        ),
        ClusterError::Denied { message, .. } => (
            format!("you may not do that: {message}"),
            "ask for that right, or have somebody who has it run the command",
        ),
        ClusterError::Transport { .. } | ClusterError::TimedOut(_) => (
            format!("the cluster could not be asked: {error}"),
            "does `kubectl version` answer? Set KUBECONFIG, or name a context with --context",
        ),
        _ => return error.into(),
    };
    Hinted {
        message,
        hint: hint.to_owned(),
        source: std::error::Error::source(&error).map(|source| anyhow::anyhow!("{source}")),
    }
    .into()
}

/// From here on a person wonders.
const PATIENCE: Duration = Duration::from_secs(1);
