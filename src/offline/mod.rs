//! The engine over manifests, without a webhook.
//!
//! - [`inject`] adds the agent to manifests, or removes it.
//! - [`inputs`] collects what manifests say about each other: namespace labels, keys of `ConfigMaps` and Secrets, quotas.
//! - [`lints`] warns of what admission cannot see.
//! - [`images`] lists the images to mirror.
//! - [`document`] is one object, and where it stands.

pub mod document;
pub mod images;
pub mod inject;
pub mod inputs;
pub mod lints;
