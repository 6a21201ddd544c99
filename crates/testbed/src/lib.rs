//! A real Kubernetes to try things on, where there is no container engine.
//!
//! - [`toolchain`] builds the Kubernetes programs, Helm and a Collector from Go modules into a user cache.
//! - [`cluster`] starts and stops a one-node Kubernetes in a network namespace of its own.
//! - [`image`] writes image archives without a container engine; [`images`] says what is in each.
//! - [`program`] builds the product for one [`platform`] or another, with a root of Debian's where this machine has no
//!   standard library for it.
//! - [`agent`] is the jar that `agent.lock` names.
//! - [`kube`] is the handle that everything else uses on a cluster, ours or the user's.
//! - [`promql`] puts questions to a Prometheus into words.
//!
//! Progress goes to standard error.
#![expect(clippy::print_stderr, reason = "what takes minutes says so")]

pub mod agent;
pub mod cluster;
mod cross;
pub mod image;
pub mod images;
pub mod jdks;
pub mod kube;
pub mod packages;
pub mod paths;
pub mod platform;
pub mod process;
pub mod program;
pub mod progress;
pub mod promql;
mod roots;
pub mod spans;
pub mod toolchain;
