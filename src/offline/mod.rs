//! The engine over manifests, without a webhook.
//!
//! - [`inject`] edits manifests so that their pods have the agent, and takes it out again.
//! - [`inputs`] is what manifests say about each other: namespaces, owners, values from elsewhere.
//! - [`lints`] is what a person should know that admission does not see.
//! - [`images`] is what a mirror has to have.

pub mod images;
pub mod inject;
pub mod inputs;
pub mod lints;
