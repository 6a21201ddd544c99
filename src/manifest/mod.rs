//! Manifests as text: cut into documents, and read as `kubectl` reads them.
//!
//! Whoever passes a stream through needs one document in memory at a time:
//!
//! - [`split`] cuts a stream into documents, byte for byte: put together again they are the stream.
//! - [`tree`] reads one of them and knows where in the text each value stands.
//!
//! Deliberately not here: files and folders (see `cli::manifest`).

pub mod split;
#[expect(dead_code, reason = "the places are for edits")]
pub mod tree;

pub use split::{Documents, Piece, SplitError};
pub use tree::{Syntax, Tree, TreeError};
