//! What the crates may have in their trees: the engine knows no clock, network, cluster or terminal.

use std::process::Command;

#[test]
fn the_engine_and_manifests_have_nothing_with_io_in_their_trees() {
    for package in ["javelin-core", "javelin-manifest"] {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--edges=normal",
                "--prefix=none",
                "--locked",
                "--offline",
            ])
            .args(["--package", package])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(tree.status.success(), "{tree:?}");
        let tree = String::from_utf8(tree.stdout).unwrap();
        let crates: Vec<_> = tree
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(crates.contains(&"serde_json"), "{tree}");
        for name in [
            "tokio", "kube", "hyper", "rustls", "clap", "tracing", "axum", "jiff", "javelin",
        ] {
            assert!(!crates.contains(&name), "{package} needs {name}:\n{tree}");
        }
    }
}
