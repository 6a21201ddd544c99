//! What the command line reports about a cluster: facts are read with the user's rights, then judged by pure functions.
//!
//! - [`check`] says what is wrong between a label and a trace; [`gather`] reads what it needs.
//! - [`status`] says which workloads have the agent; [`inventory`] reads what it needs; it also restarts workloads.
//! - [`installed`] reads Javelin's own objects and what they call, as they are, for [`ports`](crate::ports).
//! - [`certificates`] says where a rotation stands.

pub mod certificates;
pub mod check;
pub mod gather;
pub mod installed;
pub mod inventory;
pub mod status;
pub mod template;
