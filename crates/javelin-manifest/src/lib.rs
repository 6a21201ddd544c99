//! Manifests as text: cut into documents, read as `kubectl` reads them, and edited in place.
//!
//! Whoever passes a stream through needs one document in memory at a time:
//!
//! - [`split`] cuts a stream into documents, byte for byte: put together again they are the stream.
//! - [`tree`] reads one of them and knows where in the text each value stands.
//! - [`mod@edit`] changes the text until it says another value, and touches no other line.
//!
//! Deliberately not here: files and folders.

pub mod edit;
mod render;
pub mod split;
pub mod tree;

pub use edit::{Edited, edit};
pub use split::{Documents, Piece, SplitError};
pub use tree::{Syntax, Tree, TreeError};

/// The example in README.md is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
