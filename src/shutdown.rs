//! Shutdown in two stages, as values.
//!
//! The first SIGTERM or SIGINT starts the drain, a second one aborts it, so that whoever presses Ctrl-C twice
//! is obeyed. The drain itself has two steps, because a Service's endpoints lag behind readiness:
//!
//! 1. *draining*: not ready any more, but every request is still answered;
//! 2. *closing*: no new connections, and the open ones end after the request that they are working on.
//!
//! Deliberately not here: what draining means to a connection (that is [`server`](crate::server)'s), and exit
//! codes.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Both signal streams. Registered before anything is served, so that a failure is seen at once.
#[derive(Debug)]
#[must_use = "signals that nobody awaits are swallowed"]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes SIGINT and SIGTERM over from the default handlers. Needs a tokio runtime.
    pub fn register() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// How far a shutdown has come. Clones see the same one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    closing: CancellationToken,
}

impl Shutdown {
    /// One that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters the first step: readiness is withdrawn.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Enters the second step, and with it the first.
    pub fn close(&self) {
        self.draining.cancel();
        self.closing.cancel();
    }

    /// Has the first step begun?
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits for the second step.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }
}
