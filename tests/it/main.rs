//! Javelin from outside, without a cluster: golden cases, properties, the program itself.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: a panic is how it fails"
)]

mod cli;
mod golden;
mod properties;
