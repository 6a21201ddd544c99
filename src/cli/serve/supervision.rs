//! The life of the process: what must go on running, what ends it, and how.
//!
//! Invariant: a background task that ends, ends the process, after a drain like any other and with an error.
//!
//! Deliberately not here: what the tasks do, and how connections end.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::bail;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use crate::shutdown::{Shutdown, Signals};

/// Waits for the first signal or failure, then drains; a second signal cuts that short.
pub(super) async fn supervise(
    mut signals: Signals,
    shutdown: Shutdown,
    mut server: JoinSet<()>,
    mut background: Background,
    drain_grace: Duration,
) -> anyhow::Result<()> {
    let outcome = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "draining: not ready any more, still serving");
            Ok(())
        }
        failure = background.failure() => Err(failure),
        _ = server.join_next() => Err(anyhow::anyhow!("the webhook port has stopped being served")),
    };
    if let Err(error) = &outcome {
        tracing::error!(
            error = format!("{error:#}"),
            "draining, because of a failure"
        );
    }
    let drained = async {
        shutdown.drain();
        sleep(drain_grace).await;
        shutdown.close();
        while server.join_next().await.is_some() {}
    };
    tokio::select! {
        () = drained => tracing::info!("drained"),
        signal = signals.next() => bail!("the drain was cut short by a second signal, {signal}"),
    }
    outcome
}

/// Tasks that never end, with their names. A panic is the only way out of one.
#[derive(Debug)]
pub(super) struct Background {
    tasks: JoinSet<(&'static str, Result<Infallible, JoinError>)>,
}

impl Background {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
        }
    }

    /// Starts one.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Infallible> + Send + 'static,
    ) {
        // A task of its own inside, so that its name survives its panic.
        self.tasks
            .spawn(async move { (name, tokio::spawn(task).await) });
    }

    /// Waits until one has failed, and says which.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok((name, Err(error)))) => {
                anyhow::Error::from(error).context(format!("background task failed: {name}"))
            }
            Some(Err(error)) => anyhow::Error::from(error).context("a background task failed"),
            // None of them: nothing can fail.
            None => std::future::pending().await,
        }
    }
}
