//! The generated pages of `docs/`: written from the code that they describe.
//!
//! `cargo xtask codegen` writes them; without it this is a test, which refuses a page that differs from the code. The
//! sentences for people live here and not in the program, and whatever they speak of is matched without a wildcard:
//! a new reason, warning or key does not compile, or does not pass, before it has its sentences.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::markdown::row;

mod chart;
mod check;
mod cli;
mod commands;
mod configuration;
mod metrics;
mod policy;
mod probe;
mod reasons;

#[test]
fn the_pages_say_what_the_code_says() {
    for (name, page) in [
        ("../deploy/chart/README.md", chart::page()),
        ("../deploy/chart/files/missed.json", policy::of_chart()),
        ("cli.md", cli::page()),
        ("check.md", check::page()),
        ("configuration.md", configuration::page()),
        ("metrics.md", metrics::page()),
        ("policy.md", policy::page()),
        ("probe.md", probe::page()),
        ("reasons.md", reasons::page()),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name);
        if is_generating() {
            fs::write(file, page).unwrap();
        } else {
            let written = fs::read_to_string(file).unwrap_or_default();
            let diff = similar::TextDiff::from_lines(&written, &page);
            let diff = diff.unified_diff().to_string();
            assert!(
                diff.is_empty(),
                "docs/{name} is not what the code says; `cargo xtask codegen` writes it anew\n{diff}"
            );
        }
    }
}

/// The summary is the site's; who reads in the repository begins with this one.
#[test]
fn every_page_is_in_the_index() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let pages = pages().into_iter();
    for page in pages.filter(|page| page.parent() == Some(folder.as_path())) {
        let name = page.file_name().unwrap().to_string_lossy();
        let is_a_list = ["README.md", "SUMMARY.md"].contains(&&*name);
        assert!(
            is_a_list || index.contains(&format!("({name})")),
            "docs/README.md: {name} is missing"
        );
    }
}

/// Does `cargo xtask codegen` ask for new pages?
#[expect(
    clippy::disallowed_methods,
    reason = "the only way to tell a test something"
)]
fn is_generating() -> bool {
    std::env::var("JAVELIN_BLESS").is_ok()
}

/// Those that people read, by hand or from the code.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "",
        "docs",
        "docs/adr",
        "docs/runbooks",
        "certs",
        "deploy/chart",
        "deploy/stack",
    ];
    let folders = folders
        .iter()
        .map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let files = folders.flatten().map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        // It speaks of names that are gone, too.
        .filter(|file| !file.ends_with("CHANGELOG.md"))
        .collect()
}

const GENERATED: &str =
    "<!-- Written by `cargo xtask codegen` from the code; an edit here is lost. -->\n";
