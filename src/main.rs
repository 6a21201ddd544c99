//! The `javelin` program: allocator, crypto provider, arguments, exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

// The image's binary is a static glibc one, whose own malloc costs half as much again on an AdmissionReview.
// What is freed is overwritten: keys and other people's pods pass through buffers of libraries that would leave them there.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    javelin::server::tls::install_crypto_provider();
    javelin::cli::main()
}
