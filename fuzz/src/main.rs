//! Any one of the targets under libFuzzer, which has a `main` of its own and all arguments: `JAVELIN_FUZZ` names the target.
#![no_main]

use std::sync::LazyLock;

use javelin_fuzz::{Target, mutator, named};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("JAVELIN_FUZZ").expect("JAVELIN_FUZZ names a target");
    named(&name)
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if TARGET.is_json && seed % 2 == 0 {
        let changed = mutator::change_json(&data[..size], u64::from(seed));
        if let Some(changed) = changed.filter(|changed| changed.len() <= max_size) {
            data[..changed.len()].copy_from_slice(&changed);
            return changed.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
});
