//! Whatever anybody may send, against the properties that it must not break.
//!
//! A target is a function of some bytes that panics when a property does not hold. There are two ways to call them:
//!
//! - `cargo xtask fuzz` links each with libFuzzer, which looks for bytes that reach code that no others have reached;
//! - `tests/replay.rs` gives them what libFuzzer has found before (`corpus/`) and a fixed number of changes to that, so that
//!   every run of the tests has some of it, without C++.
//!
//! | module | targets |
//! |---|---|
//! | [`admission`] | `envelope`, `engine`, `pods`, `annotations` |
//! | [`texts`] | `jvm_words`, `options`, `expansion`, `images`, `quantities` |
//! | [`manifests`] | `splitter`, `editor`, `ports` |
//! | [`configuration`] | `configuration` |
//! | [`certificates`] | `certificates`, `secret` |
//! | [`http`] | `http` |
//!
//! Deliberately not here: TLS itself, which is rustls' own to fuzz, and anything that needs a cluster.

pub mod admission;
pub mod certificates;
pub mod configuration;
pub mod http;
pub mod manifests;
pub mod mutator;
pub mod texts;
#[path = "../../tests/common/ugly.rs"]
mod ugly;

/// Something that takes bytes of a stranger.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub run: fn(&[u8]),
    /// Is its input JSON? What changes it then changes values, and not only bytes.
    pub is_json: bool,
    /// How many changed inputs a run of the tests tries: what takes a second or two unoptimised.
    pub changes: u32,
}

/// All of them.
pub const TARGETS: [Target; 16] = [
    target("annotations", admission::annotations, 300),
    target("certificates", certificates::certificates, 5_000),
    target("configuration", configuration::configuration, 2_000),
    target("editor", manifests::editor, 4_000),
    json_target("engine", admission::engine, 800),
    json_target("envelope", admission::envelope, 2_000),
    target("expansion", texts::expansion, 20_000),
    target("http", http::http, 400),
    target("images", texts::images, 50_000),
    target("jvm_words", texts::jvm_words, 50_000),
    target("options", texts::options, 1_500),
    target("pods", admission::pods, 100),
    json_target("ports", manifests::ports, 400),
    target("quantities", texts::quantities, 100_000),
    json_target("secret", certificates::secret, 1_000),
    target("splitter", manifests::splitter, 5_000),
];

const fn target(name: &'static str, run: fn(&[u8]), changes: u32) -> Target {
    Target {
        name,
        run,
        is_json: false,
        changes,
    }
}

const fn json_target(name: &'static str, run: fn(&[u8]), changes: u32) -> Target {
    Target {
        name,
        run,
        is_json: true,
        changes,
    }
}

/// The target of a name.
pub fn named(name: &str) -> &'static Target {
    const ALL: &[Target] = &TARGETS;
    let target = ALL.iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("no target is called {name}"))
}

/// Does some work, and holds how many steps it takes: some for each byte of `length`, and what limits allow beside. A square
/// of the largest inputs would be more. Nothing is counted but under `cargo xtask fuzz`.
pub fn within_steps<T>(length: usize, work: impl FnOnce() -> T) -> T {
    #[cfg(not(fuzzing))]
    {
        let _ = length;
        work()
    }
    #[cfg(fuzzing)]
    {
        let (result, steps) = javelin_steps::of(work);
        let most = STEPS_OF_LIMITS + STEPS_OF_A_BYTE * length;
        assert!(steps <= most, "{steps} steps for {length} bytes");
        result
    }
}

/// What `review/tests/growth.rs` allows for one decision; some of these targets make several.
#[cfg(fuzzing)]
const STEPS_OF_A_BYTE: usize = 1_000;
#[cfg(fuzzing)]
const STEPS_OF_LIMITS: usize = 150_000_000;
