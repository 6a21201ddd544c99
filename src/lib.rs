//! Javelin puts the OpenTelemetry Java agent into labelled Kubernetes pods: the program.
//!
//! # Where things are
//!
//! What is decided about a pod is in [`javelin_core`], and manifests as text are in [`javelin_manifest`]. Here is what has a
//! clock, a network or a terminal:
//!
//! | module | what it answers |
//! |---|---|
//! | [`server`] | who listens, and how long does anything take at most? |
//! | [`certs`] | which certificate is served, and which authority signs it? Pure |
//! | [`controller`] | what has to be done to the Secret and the webhook configuration? |
//! | [`probe`] | does the API server reach us, and if not, what is to be done? |
//! | [`api`] | how is the Kubernetes API asked? |
//! | [`entries`] | what should the entries of the webhook configuration be, and how do they differ? Pure |
//! | [`diagnose`] | what is wrong in a cluster, which workloads have the agent, where does a rotation stand? |
//! | [`standing`] | does one pod have the agent, was it missed, does it crash? Pure |
//! | [`offline`] | what becomes of manifests, with no webhook? |
//! | [`ports`] | who calls whom, at which port, and what happens when it is closed? Pure |
//! | [`cli`] | what does a person type, and what is printed? |
//!
//! # What holds everywhere
//!
//! - [`javelin_core`] and [`javelin_manifest`] do no I/O, ask no clock and are not async: nothing that could is in their trees.
//!   [`certs`], [`entries`], [`standing`] and what judges in [`diagnose`] hold to the same.
//! - Only [`cli`] prints and reads the environment (the Kubernetes client aside, which finds its cluster by it); only
//!   [`api`] and `controller::watch` name that client; only `server::tls` names rustls; only [`time`] asks for the time of day.
//! - Every answer to the API server says `allowed: true` and carries the request's UID.
//! - A patch leaves only after it was applied to a copy, nothing of the user's was found changed in it, and the engine took
//!   the result for complete.
//! - Work grows with an object and not with its square; what multiplies two parts of a pod has a limit.

pub mod agent;
pub mod api;
mod causes;
pub mod certs;
pub mod cli;
pub mod controller;
pub mod diagnose;
#[cfg(test)]
mod docs;
pub mod entries;
mod markdown;
pub mod metrics;
pub mod offline;
pub mod ports;
pub mod probe;
pub mod server;
pub mod shutdown;
pub mod standing;
pub mod telemetry;
pub mod time;
