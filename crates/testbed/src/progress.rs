//! Progress that a person can follow, on standard error.
//!
//! On a terminal a step's line counts its seconds; elsewhere it says every half minute that it is still at it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// What to tell about a step besides its name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint<'a> {
    /// How long it takes the first time; a step without it is expected to take seconds.
    pub first_time: Option<Duration>,
    /// Where the output of what it runs goes.
    pub log: Option<&'a Path>,
}

/// Says something that is not a step.
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// Runs one step and tells how it goes.
pub fn step<T>(name: &str, hint: Hint<'_>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let terminal = io::stderr().is_terminal();
    let mut details = Vec::new();
    if let Some(first_time) = hint.first_time {
        details.push(format!("first time, about {}", roughly(first_time)));
    }
    if let Some(log) = hint.log {
        details.push(format!("log: {}", log.display()));
    }
    if !details.is_empty() {
        eprintln!("{name} ({})", details.join("; "));
    }

    let (done, is_done) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        scope.spawn(move || {
            let beat = if terminal {
                Duration::from_secs(1)
            } else {
                Duration::from_secs(30)
            };
            while is_done.recv_timeout(beat) == Err(RecvTimeoutError::Timeout) {
                let elapsed = exactly(started.elapsed());
                if terminal {
                    eprint!("\r{name} ... {elapsed}\x1b[K");
                    let _ = io::stderr().flush();
                } else {
                    eprintln!("{name}: still at it after {elapsed}");
                }
            }
        });
        let result = work();
        drop(done);
        result
    });

    let verdict = if result.is_ok() {
        "done in"
    } else {
        "failed after"
    };
    let (begin, end) = if terminal { ("\r", "\x1b[K") } else { ("", "") };
    eprintln!(
        "{begin}{name}: {verdict} {}{end}",
        exactly(started.elapsed())
    );
    result
}

fn roughly(duration: Duration) -> String {
    if duration < Duration::from_secs(90) {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} min", (duration.as_secs() + 30) / 60)
    }
}

fn exactly(duration: Duration) -> String {
    if duration < Duration::from_mins(1) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!(
            "{} min {} s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        )
    }
}
