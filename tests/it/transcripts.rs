//! What a terminal in the checkout's folder shows: `tests/cmd/VERB/*.trycmd`, and the `console` blocks of the pages that
//! people read.
//!
//! A block of other programs' commands carries `,ignore`: most of those are run by nobody, and the cluster suite does what they
//! are for. `cargo xtask bless` writes anew what is shown.

use std::path::Path;

#[test]
fn transcripts_are_what_the_program_says() {
    let javelin = Path::new(env!("CARGO_BIN_EXE_javelin"));
    let cases = trycmd::TestCases::new();
    cases
        .default_bin_path(javelin)
        .register_bin("javelin", javelin)
        .env("COLUMNS", "100");
    cases
        .case("tests/cmd/**/*.trycmd")
        .case("docs/*.md")
        .case("README*.md");
    cases.run();
}
