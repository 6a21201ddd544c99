//! What shells and `man` make of what we print for them; each where it is installed.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::cli::javelin;

#[test]
fn shells_take_their_completions() {
    for (shell, check) in [
        ("bash", &["-n"][..]),
        ("zsh", &["-n"]),
        ("fish", &["--no-execute"]),
        ("pwsh", &["-NoProfile", "-Command", "-"]),
    ] {
        let name = if shell == "pwsh" { "powershell" } else { shell };
        let script = javelin(&["completions", name], "").stdout;
        assert!(
            String::from_utf8_lossy(&script).contains("from-cluster"),
            "{shell}"
        );
        let started = Command::new(shell)
            .args(check)
            .stdin(Stdio::piped())
            .spawn();
        let Ok(mut started) = started else { continue };
        started.stdin.take().unwrap().write_all(&script).unwrap();
        assert!(
            started.wait().unwrap().success(),
            "{shell} refuses its completions"
        );
    }
}

#[test]
fn every_verb_has_its_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let output = javelin(&["man", "--output", folder.path().to_str().unwrap()], "");
    assert!(output.status.success(), "{output:?}");
    for page in ["javelin", "javelin-preview", "javelin-cert-rotate"] {
        let text = std::fs::read_to_string(folder.path().join(format!("{page}.1"))).unwrap();
        assert!(text.contains(&format!(".TH {page} 1")), "{text}");
    }
}
