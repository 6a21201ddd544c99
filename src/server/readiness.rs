//! Readiness: what has to be true once, and what takes it away.
//!
//! Invariant: once every condition has held at the same time, only draining withdraws readiness. A replica
//! without endpoints cannot be probed, repaired through the API server, or proven again: readiness that could
//! be lost would have no way back.
//!
//! Deliberately not here: the probe. It tells an operator something; it must never take the endpoint away. What it
//! last found stands below the conditions as a note, which nothing but [`Readiness::describe`] reads.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::shutdown::Shutdown;

/// Something that has to be true before the first review can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The port is open.
    Listening,
    /// There is a certificate to serve.
    Certificate,
    /// Every entry of the live webhook configuration that calls us trusts that certificate.
    Trusted,
    /// Right after an install: the API server's calls find the replica that was ready first, so that whoever waits for
    /// all replicas may rely on it.
    Way,
}

/// The state of all conditions. With files as the source of the certificate, nobody can know whether it is
/// trusted, so that is not asked.
#[derive(Debug)]
pub struct Readiness {
    conditions: Vec<(Condition, AtomicBool)>,
    reached: AtomicBool,
    changed: Notify,
    note: ArcSwapOption<String>,
    shutdown: Shutdown,
}

impl Readiness {
    /// Not ready, until all of `conditions` hold.
    pub fn new(conditions: &[Condition], shutdown: Shutdown) -> Self {
        Self {
            conditions: conditions
                .iter()
                .map(|&each| (each, AtomicBool::new(false)))
                .collect(),
            reached: AtomicBool::new(false),
            changed: Notify::new(),
            note: ArcSwapOption::empty(),
            shutdown,
        }
    }

    /// Says whether `condition` holds now. One that is not asked for is ignored.
    pub fn set(&self, condition: Condition, holds: bool) {
        for (each, value) in &self.conditions {
            if *each == condition {
                value.store(holds, Ordering::SeqCst);
            }
        }
        if self
            .conditions
            .iter()
            .all(|(_, value)| value.load(Ordering::SeqCst))
            && !self.reached.swap(true, Ordering::SeqCst)
        {
            tracing::info!("ready");
        }
        self.changed.notify_waiters();
    }

    /// Should the endpoint get requests?
    pub fn is_ready(&self) -> bool {
        self.reached.load(Ordering::SeqCst) && !self.shutdown.is_draining()
    }

    /// Waits until all conditions have held.
    pub async fn reached(&self) {
        self.until(|| self.reached.load(Ordering::SeqCst)).await;
    }

    /// Waits until all conditions but this one hold.
    pub async fn lacks_at_most(&self, condition: Condition) {
        let others = self
            .conditions
            .iter()
            .filter(|(each, _)| *each != condition);
        self.until(|| {
            others
                .clone()
                .all(|(_, value)| value.load(Ordering::SeqCst))
        })
        .await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let notified = self.changed.notified();
            if holds() {
                return;
            }
            notified.await;
        }
    }

    /// Something for whoever reads [`describe`](Self::describe), in whole lines, instead of what was noted before.
    /// It has no bearing on readiness.
    pub fn note(&self, text: String) {
        self.note.store(Some(Arc::new(text)));
    }

    /// One line for each condition, as the API server's own `/readyz?verbose` has it, and then what was noted.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (condition, value) in &self.conditions {
            let mark = if value.load(Ordering::SeqCst) {
                '+'
            } else {
                '-'
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "[{mark}]{}", sentence(*condition));
        }
        if self.shutdown.is_draining() {
            text.push_str("[-]shutting down\n");
        }
        if let Some(note) = self.note.load().as_deref() {
            text.push_str(note);
        }
        text
    }
}

fn sentence(condition: Condition) -> &'static str {
    match condition {
        Condition::Listening => "listening: the port is open",
        Condition::Certificate => "certificate: there is one to serve",
        Condition::Trusted => {
            "trusted: the caBundle of every webhook entry that calls this service verifies it"
        }
        Condition::Way => {
            "way: the API server's calls find the first replica of a new release, or nobody has to wait for that"
        }
    }
}

#[cfg(test)]
mod tests;
