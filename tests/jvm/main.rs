//! What real JVMs, and the SDK in the real agent, make of the engine's output.
//!
//! `cargo xtask test` finds the JDKs and the agent's jar; without them everything here is ignored, and a line says so.
//! Each JDK gets all of it:
//!
//! - The engine splits options as the JVM does: by a table, and by every mixture of blanks and quotes up to some
//!   length, which the JVM gets at once.
//! - Every golden case that injects: `JAVA_TOOL_OPTIONS` of each target, in every world that the container may find
//!   (optional keys there or not), says what it said before, and then loads the agent; the JVM reports just those
//!   options, and the agent starts once. A string that several cases have is started once.
//! - Resource attributes and service names, of all characters, come out of the agent's SDK as they went in.
//!
//! Covered is what reaches the JVM by its environment. Not covered: the pods themselves, for which there is
//! `tests/cluster`; Java 8; JVMs other than `HotSpot`. Agents other than ours are played by one that does nothing,
//! since theirs are in images that are not here: their place and their arguments count, not what they do.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: it fails by panics, and prints"
)]

mod attributes;
#[path = "../common/golden.rs"]
mod golden_case;
mod kubelet;
mod machine;
mod options;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};

use machine::{Jdk, Workshop};

#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask test` says where the JDKs and the agent are"
)]
fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each runs as many JVMs as the machine bears.
    arguments.test_threads = Some(1);
    let Ok(homes) = std::env::var("JAVELIN_JVM") else {
        let trials = CASES.map(|(name, _)| Trial::test(name, || Ok(())).with_ignored_flag(true));
        let conclusion = libtest_mimic::run(&arguments, trials.into());
        println!("ignored: no JDK was named; `cargo xtask test` finds those that there are\n");
        return conclusion.exit_code();
    };
    let jdks: Vec<Jdk> = std::env::split_paths(&homes)
        .map(|home| Jdk::at(&home))
        .collect();
    let agent =
        std::env::var("JAVELIN_JAVAAGENT").expect("JAVELIN_JAVAAGENT names the agent's jar");
    let first = jdks.first().expect("JAVELIN_JVM names a JDK");
    let workshop = Arc::new(Workshop::new(first, PathBuf::from(agent)));
    let mut trials = Vec::new();
    for jdk in jdks {
        for (name, case) in CASES {
            let (workshop, jdk) = (Arc::clone(&workshop), jdk.clone());
            let name = format!("java_{}::{name}", jdk.version);
            trials.push(Trial::test(name, move || {
                case(&jdk, &workshop).map_err(Failed::from)
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

type Case = fn(&Jdk, &Workshop) -> Result<(), String>;

const CASES: [(&str, Case); 6] = [
    ("the_engine_splits_options_as_the_jvm_does", options::table),
    (
        "every_mixture_of_blanks_and_quotes_is_split_alike",
        options::mixtures,
    ),
    (
        "what_the_engine_calls_no_list_stops_the_jvm",
        options::unmatched,
    ),
    (
        "golden_cases_start_with_all_options_and_the_agent",
        options::golden_cases,
    ),
    (
        "resource_attributes_come_out_as_they_went_in",
        attributes::all_characters,
    ),
    (
        "service_names_come_out_as_they_went_in",
        attributes::service_names,
    ),
];
