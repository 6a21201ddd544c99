//! What a person at a terminal sees of work that takes longer than a moment.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use super::note;

/// Counts manifests, and says so now and then on a terminal.
#[derive(Debug)]
pub(super) struct ProgressLine {
    count: usize,
    next: Option<Instant>,
}

impl ProgressLine {
    /// Nothing is said in the first second, nor to a file.
    pub(super) fn new() -> Self {
        let is_seen = io::stderr().is_terminal();
        Self {
            count: 0,
            next: is_seen.then(|| Instant::now() + PATIENCE),
        }
    }

    /// One more.
    pub(super) fn step(&mut self) {
        self.count += 1;
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now >= next {
            note(&format!("{} documents so far …", self.count));
            self.next = Some(now + PATIENCE);
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
