//! The operator's resources, as configurations: `tests/cases/instrumentation/NAME/` holds `cr.yaml`, and what the
//! program makes of it: `expected.yaml` and `stderr`. `cargo xtask bless` writes both anew.

use std::{fs, path::Path};

use javelin_core::config::Config;

use crate::cli::{check, javelin};

#[test]
fn resources_become_what_is_expected() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/instrumentation");
    let mut names: Vec<_> = fs::read_dir(&cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for case in names {
        let resource = case.join("cr.yaml");
        let arguments = [
            "config",
            "from-instrumentation",
            "-f",
            resource.to_str().unwrap(),
        ];
        if crate::is_blessing() {
            let output = javelin(&arguments, "");
            fs::write(case.join("expected.yaml"), output.stdout).unwrap();
            fs::write(case.join("stderr"), output.stderr).unwrap();
            continue;
        }
        let expected = |name: &str| fs::read_to_string(case.join(name)).unwrap();
        let (configuration, findings) = (expected("expected.yaml"), expected("stderr"));
        // Whatever was left is listed; a note alone leaves nothing.
        let code = i32::from(findings.contains(": not carried over: "));
        check(&arguments, "", code, &configuration, &findings);
        Config::parse(&configuration, "expected.yaml").unwrap();
    }
}

#[test]
fn manifests_without_a_resource_are_an_error_with_a_hint() {
    check(
        &["config", "from-instrumentation", "-f", "-"],
        "kind: Pod\n",
        2,
        "",
        "error: no Instrumentation of opentelemetry.io among the manifests\n\n\
         hint: kubectl get instrumentations -A -o yaml | javelin config from-instrumentation -f -\n",
    );
}
