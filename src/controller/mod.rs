//! What a replica maintains in the cluster: the certificate Secret and the caBundles; and what it looks for there.
//!
//! - [`reconciler`] is the loop: read, ask [`certs::state`](crate::certs::state), act, read again.
//! - [`watch`] tells that a named object has changed.
//! - [`backoff`] is how long to wait before doing the same again.
//! - [`coverage`] compares profiles with webhook entries.
//! - [`events`] tells people what happened: log, Event, counter. [`workload_events`] tells on workloads what became of
//!   their pods.
//! - [`audit`] looks for pods that were missed, or do not run with the agent, where that is switched on; its guard takes
//!   agents back, where that is.
//!
//! Invariants: no leader election. Every write is a compare-and-swap on the resource version, and every replica computes
//! the same content from the same Secret, so that two of them cannot fight. No object of anybody else is touched, but workloads by the guard.

pub mod audit;
pub mod backoff;
pub mod coverage;
pub mod events;
pub mod reconciler;
pub mod watch;
pub mod workload_events;
