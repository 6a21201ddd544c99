//! What a person asks about a cluster: facts are gathered with that person's rights, and then judged by pure functions.
//!
//! - [`check`] says what is wrong between a label and a trace; [`gather`] reads what it needs.
//! - [`status`] says which workloads have the agent; [`inventory`] reads what it needs, and restarts.
//! - [`certificates`] says where a rotation stands.

pub mod certificates;
pub mod check;
pub mod gather;
pub mod inventory;
pub mod status;
pub mod template;
