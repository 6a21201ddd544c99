//! Javelin from outside, without a cluster: golden cases, properties, the program itself.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: a panic is how it fails"
)]

#[path = "../common/api_server.rs"]
mod api_server;
mod audit;
mod cert;
mod certificates;
mod cli;
mod crates;
mod golden;
#[path = "../common/golden.rs"]
mod golden_case;
mod inject;
mod instrumentation;
mod mirror;
mod otlp;
mod pipelines;
mod ports;
mod properties;
mod running;
mod secrets;
mod shells;
mod stack;
mod transcripts;
#[path = "../common/ugly.rs"]
mod ugly;
mod yaml;

/// Does `cargo xtask bless` ask for new expectations?
#[expect(
    clippy::disallowed_methods,
    reason = "the only way to tell a test something"
)]
fn is_blessing() -> bool {
    std::env::var("JAVELIN_BLESS").is_ok()
}
