//! How much is looked at, counted where debug assertions are on.
//!
//! Whoever may create a pod, or only try to, chooses how large it is. So work grows with an object and never with its
//! square, and tests hold that by counting and not by a clock: whatever walks over a text or a list of the user's takes
//! as many steps as there are bytes or entries in it. In a release build nothing is counted, and nothing stays of the
//! calls.

use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// Takes so many steps.
#[inline]
pub fn take(count: usize) {
    if cfg!(debug_assertions) {
        TAKEN.set(TAKEN.get() + count);
    }
}

/// What the work gives, and how many steps it took: none in a release build.
pub fn of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = TAKEN.get();
    let result = work();
    (result, TAKEN.get() - before)
}
