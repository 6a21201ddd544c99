//! The configuration file.

use javelin_core::config::{
    Config,
    instrumentation::{self, Conversion},
};
use javelin_manifest::Tree;

use crate::within_steps;

/// A file: refused with words that a terminal can show, or written out it is the same. If it is a resource of the operator,
/// then what becomes of it is a configuration or is refused.
pub fn configuration(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match within_steps(text.len(), || Config::parse(text, "fuzz.yaml")) {
        Ok(config) => {
            let written = config.effective().to_string();
            let again = Config::parse(&written, "written").expect("what we write we can read");
            assert_eq!(again, config, "{written}");
            for profile in config.profiles() {
                let alone = config.effective_profile(&profile.name);
                let alone = alone.expect("a profile of that name").to_string();
                let alone = Config::parse(&alone, "alone").expect("what we write we can read");
                let found = alone.profile(&profile.name).expect("the same name");
                assert_eq!(found.hash, profile.hash, "{}", profile.name);
            }
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.starts_with("fuzz.yaml: "), "{error}");
            let is_shown = |c: char| c == '\n' || !c.is_control();
            assert!(error.chars().all(is_shown), "{error:?}");
        }
    }
    if let Ok(tree) = Tree::parse(text)
        && instrumentation::is_instrumentation(&tree.value)
    {
        let conversion = Conversion::of(&[tree.value]);
        let written = conversion.configuration.to_string();
        let _ = Config::parse(&written, "converted").map_err(|error| error.to_string());
    }
}
