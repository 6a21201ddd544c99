//! Javelin puts the OpenTelemetry Java agent into labelled Kubernetes pods.
//!
//! # Where things are
//!
//! | module | what it answers |
//! |---|---|
//! | [`mutate`] | what is to be done with this pod? A value in, a [`mutate::Decision`] out |
//! | [`patch`] | how does a decision become a JSON Patch that surely applies? |
//! | [`surroundings`] | what do manifests say about the places in which their objects are? |
//! | [`caveats`] | what should a person know that admission does not see? |
//! | [`policy`] | how does the API server do the same by itself, with no webhook? |
//! | [`workload`] | what does the label on a Deployment do? |
//! | [`manifest`] | what does a stream of YAML or JSON say, and how does its text say something else? |
//! | [`inject`] | what becomes of manifests, with no webhook? |
//! | [`config`] | what does the configuration file mean? |
//! | [`images`] | what does a mirror have to have? |
//! | [`quantity`] | how much is `128Mi`? |
//! | [`review`] | how does the API server ask, and what is it told? |
//! | [`server`] | who listens, and how long does anything take at most? |
//! | [`certs`] | which certificate is served, and which authority signs it? Pure |
//! | [`check`] | what is wrong between a label and a trace, and what is to be done? Pure |
//! | [`status`] | which workloads have the agent, and which were missed? Pure |
//! | [`cluster`] | what is read from and written to the Kubernetes API? |
//! | [`cli`] | what does a person type, and what is printed? |
//!
//! # What holds everywhere
//!
//! - [`mutate`], [`patch`], [`policy`], [`review`], [`workload`], [`config`] and [`inject`] do no I/O, ask no clock and are
//!   not async.
//! - Only [`cli`] prints and reads the environment (the Kubernetes client aside, which finds its cluster by it); only
//!   [`cluster`] names that client; only `server::tls` names rustls; only [`time`] asks for the time of day.
//! - Every answer to the API server says `allowed: true` and carries the request's UID.
//! - A patch leaves only after it was applied to a copy, nothing of the user's was found changed in it, and the engine took
//!   the result for complete.
//! - Work grows with an object and not with its square; what multiplies two parts of a pod has a limit.

pub mod agent;
mod causes;
pub mod caveats;
pub mod certs;
pub mod check;
pub mod cli;
pub mod cluster;
#[cfg(test)]
mod docs;
pub mod images;
pub mod inject;
pub mod metrics;
pub mod server;
pub mod shutdown;
pub mod status;
pub mod surroundings;
pub mod telemetry;
pub mod time;
