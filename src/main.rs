//! The `javelin` program: allocator, crypto provider, arguments, exit code.

use std::process::ExitCode;

// The image's binary is a static glibc one, whose own malloc costs half as much again on an AdmissionReview.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    javelin::server::tls::install_crypto_provider();
    javelin::cli::main()
}
