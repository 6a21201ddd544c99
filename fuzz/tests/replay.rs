//! What libFuzzer has found before, and a fixed number of changes to it, the same in each run: `corpus/`.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use javelin_fuzz::{
    TARGETS, Target,
    mutator::{self, Numbers},
    named,
};

macro_rules! replays {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(named(stringify!($target)));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            assert_eq!(TARGETS.map(|target| target.name), replayed);
        }
    };
}

replays! {
    annotations certificates configuration editor engine envelope expansion http images jvm_words options pods ports
    quantities secret splitter
}

#[test]
fn a_corpus_is_small() {
    let mut all = 0;
    for target in &TARGETS {
        let corpus = corpus(target);
        assert!(
            (5..=100).contains(&corpus.len()),
            "{}: {} files",
            target.name,
            corpus.len()
        );
        all += corpus.iter().map(|(_, data)| data.len()).sum::<usize>();
    }
    assert!(all < 1_000_000, "{all} bytes");
}

fn replay(target: &Target) {
    let corpus = corpus(target);
    for (name, data) in &corpus {
        run(target, data, name);
    }
    let mut numbers = Numbers::from(1);
    for seed in 0..u64::from(target.changes) {
        let [data, other] = [(); 2].map(|()| &corpus[numbers.below(corpus.len())].1);
        let as_json = (target.is_json && seed % 2 == 0).then(|| mutator::change_json(data, seed));
        let changed = as_json.flatten();
        let changed = changed.unwrap_or_else(|| mutator::change(data, other, seed));
        run(target, &changed, "a change");
    }
}

fn run(target: &Target, data: &[u8], what: &str) {
    // What it panics about is on standard error already.
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(data)));
    assert!(outcome.is_ok(), "{what}: {}", data.escape_ascii());
}

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        (name, fs::read(path).expect("a file of the checkout"))
    };
    paths.iter().map(read).collect()
}
