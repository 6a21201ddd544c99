//! Threads that decide, apart from those that accept, shake hands and answer `/livez`.
//!
//! A computation cannot be stopped from outside. So its answer goes out at the deadline without it, the thread goes on,
//! and there is a fixed number of them. Threads start when there is work and end after ten idle seconds, so that an idle
//! replica has none (tokio's pool for blocking work is made for that).
//!
//! **By turns.** The next is one of the address that has the fewest threads, so that nobody waits for the many of somebody
//! else.
//!
//! **Of one address, the newest waits least.** All have the same patience, so under overload the oldest is the next to be
//! given up by its API server: working on it first means answering everybody just too late. What nobody waits for is not
//! computed.
//!
//! Deliberately not here: what is computed.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::refusals::Refusal;

/// A fixed number of threads, and a line of work before them.
#[derive(Debug)]
pub(super) struct Pool<T> {
    most_waiting: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// What each thread works on, `None` if it does not run.
    threads: Vec<Option<Running>>,
    /// The newest is last.
    waiting: VecDeque<Job<T>>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    from: IpAddr,
    deadline: Instant,
}

struct Job<T> {
    from: IpAddr,
    work: Box<dyn FnOnce() -> T + Send>,
    deadline: Instant,
    has_begun: Arc<AtomicBool>,
    reply: oneshot::Sender<T>,
}

impl<T: Send + 'static> Pool<T> {
    /// One of so many threads; more than `most_waiting` do not wait for them.
    pub(super) fn new(threads: usize, most_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            most_waiting,
            state: Mutex::new(State {
                threads: vec![None; threads],
                waiting: VecDeque::new(),
            }),
        })
    }

    /// The result of `work` for a client at `from`, or at the deadline the reason why there is none.
    ///
    /// [`Refusal::Late`] says that the work has begun and goes on; after each other one it never begins.
    pub(super) async fn run(
        self: &Arc<Self>,
        from: IpAddr,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if deadline <= Instant::now() {
            return Err(Refusal::Overloaded);
        }
        let (reply, result) = oneshot::channel();
        let has_begun = Arc::new(AtomicBool::new(false));
        self.submit(Job {
            from,
            work: Box::new(work),
            deadline,
            has_begun: Arc::clone(&has_begun),
            reply,
        })?;
        match timeout_at(deadline, result).await {
            Ok(Ok(result)) => Ok(result),
            Err(_) if has_begun.load(Ordering::SeqCst) => Err(Refusal::Late),
            // Newer work has taken its place.
            Ok(Err(_)) | Err(_) => Err(Refusal::Overloaded),
        }
    }

    fn submit(self: &Arc<Self>, job: Job<T>) -> Result<(), Refusal> {
        let mut state = self.lock();
        let mut threads = state.threads.iter_mut().enumerate();
        if let Some((index, thread)) = threads.find(|(_, thread)| thread.is_none()) {
            *thread = Some(job.running());
            drop(state);
            let pool = Arc::clone(self);
            tokio::task::spawn_blocking(move || pool.work(index, job));
            return Ok(());
        }
        let now = Instant::now();
        let mut running = state.threads.iter().flatten();
        if running.all(|running| running.deadline <= now) {
            drop(state);
            // Where no thread could be started for a while, work has stayed in the runtime's queue: another thread takes it.
            drop(tokio::task::spawn_blocking(|| ()));
            return Err(Refusal::Stuck);
        }
        if state.waiting.len() >= self.most_waiting {
            state.waiting.retain(|job| job.is_wanted(now));
        }
        if state.waiting.len() >= self.most_waiting {
            state.make_room();
        }
        state.waiting.push_back(job);
        Ok(())
    }

    /// A thread's life: this job, then whatever waits.
    fn work(&self, index: usize, first: Job<T>) {
        let mut job = Some(first);
        while let Some(current) = job {
            // Also the first: this thread may have been late.
            if current.is_wanted(Instant::now()) {
                current.has_begun.store(true, Ordering::SeqCst);
                // A panic must not cost a thread; whoever waits is told by the dropped `reply`.
                if let Ok(result) = catch_unwind(AssertUnwindSafe(current.work)) {
                    let _ = current.reply.send(result);
                }
            }
            job = self.next(index);
        }
    }

    fn next(&self, index: usize) -> Option<Job<T>> {
        let mut state = self.lock();
        let now = Instant::now();
        state.waiting.retain(|job| job.is_wanted(now));
        let job = state.take_next();
        if let Some(thread) = state.threads.get_mut(index) {
            *thread = job.as_ref().map(Job::running);
        }
        job
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// The newest of the address with the fewest threads. The one that has just ended counts as its address's.
    fn take_next(&mut self) -> Option<Job<T>> {
        let threads_of = |address| {
            let running = self.threads.iter().flatten();
            running.filter(|running| running.from == address).count()
        };
        let newest_first = self.waiting.iter().enumerate().rev();
        let (index, _) = newest_first.min_by_key(|(_, job)| threads_of(job.from))?;
        self.waiting.remove(index)
    }

    /// Gives up the oldest of the address that has the most.
    fn make_room(&mut self) {
        let jobs_of = |address| {
            self.waiting
                .iter()
                .filter(|job| job.from == address)
                .count()
        };
        // `max_by_key` takes the last of equals.
        let oldest_last = self.waiting.iter().enumerate().rev();
        if let Some((index, _)) = oldest_last.max_by_key(|(_, job)| jobs_of(job.from)) {
            self.waiting.remove(index);
        }
    }
}

impl<T> Job<T> {
    fn running(&self) -> Running {
        Running {
            from: self.from,
            deadline: self.deadline,
        }
    }

    /// Does anybody still wait for it?
    fn is_wanted(&self, now: Instant) -> bool {
        now < self.deadline && !self.reply.is_closed()
    }
}

impl<T> std::fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
