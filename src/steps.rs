//! How much is looked at, counted in tests and while fuzzing only.
//!
//! Whoever may create a pod, or only try to, chooses how large it is. So work grows with an object and never with its
//! square, and tests hold that by counting and not by a clock: whatever walks over a text or a list of the user's takes
//! as many steps as there are bytes or entries in it. Elsewhere nothing is counted, and nothing stays of the calls.

/// Takes so many steps.
#[cfg(not(any(test, fuzzing)))]
pub(crate) const fn take(_: usize) {}

#[cfg(any(test, fuzzing))]
pub(crate) use counted::{of, take};

#[cfg(any(test, fuzzing))]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static TAKEN: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn take(count: usize) {
        TAKEN.set(TAKEN.get() + count);
    }

    /// What the work gives, and how many steps it took.
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = TAKEN.get();
        let result = work();
        (result, TAKEN.get() - before)
    }
}
