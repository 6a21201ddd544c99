//! The program itself: what a person types, reads, and gets as an exit code.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

pub(crate) fn javelin(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_javelin"))
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/manifests"))
        .env_remove("JAVELIN_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed early when the arguments are refused: not this test's matter.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn check(args: &[&str], stdin: &str, code: i32, stdout: &str, stderr: &str) {
    let output = javelin(args, stdin);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(&output.stderr), stderr, "stderr of {args:?}");
    assert_eq!(text(&output.stdout), stdout, "stdout of {args:?}");
    assert_eq!(output.status.code(), Some(code), "exit code of {args:?}");
}

#[test]
fn the_diff_shows_what_is_added_and_where() {
    let output = javelin(
        &["preview", "-f", "shop.yaml", "--config", "config.yaml"],
        "",
    );
    let diff = String::from_utf8(output.stdout).unwrap();
    if crate::is_blessing() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/manifests/shop.diff");
        std::fs::write(file, &diff).unwrap();
    } else {
        assert_eq!(diff, include_str!("manifests/shop.diff"));
    }
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Deployment shop/orders: container orders: agent, service name orders, profile default\n\
         Deployment shop/cart: skipped: not-selected: no label instrumentation.opentelemetry.io/inject-java, \
         or an excluded namespace\n"
    );
}

#[test]
fn colours_come_only_where_they_are_asked_for() {
    let plain = javelin(&["preview", "-f", "shop.yaml"], "");
    assert!(!plain.stdout.contains(&0x1b) && !plain.stderr.contains(&0x1b));
    let coloured = javelin(&["preview", "-f", "shop.yaml", "--color", "always"], "");
    assert!(
        String::from_utf8(coloured.stdout)
            .unwrap()
            .contains("\u{1b}[32m+")
    );
}

#[test]
fn a_patch_is_one_line_and_nothing_else_on_stdout() {
    let pod = "{kind: Pod, metadata: {name: a}, spec: {containers: [{name: a}]}}";
    check(
        &["preview", "-f", "-", "-o", "patch"],
        pod,
        0,
        "[]\n",
        "Pod a: skipped: not-selected: no label instrumentation.opentelemetry.io/inject-java, \
         or an excluded namespace\n",
    );
}

#[test]
fn check_exits_with_1_when_something_would_change() {
    assert_eq!(
        javelin(&["preview", "-f", "shop.yaml", "--check"], "")
            .status
            .code(),
        Some(1)
    );
    assert_eq!(
        javelin(&["preview", "-f", "config.yaml", "--check"], "")
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn a_label_of_the_namespace_can_be_given_or_stand_in_the_manifests() {
    let pod =
        "kind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {containers: [{name: app}]}\n";
    let label = "instrumentation.opentelemetry.io/inject-java";
    let namespace =
        format!("---\nkind: Namespace\nmetadata: {{name: shop, labels: {{{label}: 'true'}}}}\n");
    let given = format!("{label}=true");
    let by_flag = [
        "preview",
        "-f",
        "-",
        "-o",
        "patch",
        "-n",
        "shop",
        "--namespace-label",
        &given,
    ];
    let flagged = javelin(&by_flag, pod);
    let read = javelin(
        &["preview", "-f", "-", "-o", "patch"],
        &format!("{pod}{namespace}"),
    );
    assert!(flagged.stdout.len() > 100, "{flagged:?}");
    assert_eq!(flagged.stdout, read.stdout);
}

#[test]
fn errors_name_the_file_the_place_and_the_way_out() {
    check(
        &["preview", "-f", "absent.yaml"],
        "",
        2,
        "",
        "error: cannot read absent.yaml\n  No such file or directory (os error 2)\n",
    );
    let label = "kind: Pod\nmetadata: {labels: {a: true}}\nspec: {}\n";
    check(
        &["preview", "-f", "-"],
        label,
        2,
        "",
        "error: standard input: Pod (no name) cannot be read\n  \
         field `metadata.labels.a`: invalid type: boolean `true`, expected a string\n",
    );
}

#[test]
fn whoever_stops_reading_is_no_error() {
    let mut child = Command::new("sh")
        .args([
            "-c",
            "\"$0\" preview -f - --color always | head -c 1",
            env!("CARGO_BIN_EXE_javelin"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let many = include_str!("manifests/shop.yaml").to_owned() + "\n---\n";
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(many.repeat(200).as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("error"),
        "{output:?}"
    );
}

#[test]
fn a_configuration_is_shown_with_everything_filled_in() {
    let output = javelin(&["config", "show", "--config", "config.yaml"], "");
    let shown = String::from_utf8(output.stdout).unwrap();
    if crate::is_blessing() {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/manifests/config.shown.yaml");
        std::fs::write(file, &shown).unwrap();
    } else {
        assert_eq!(shown, include_str!("manifests/config.shown.yaml"));
    }
    let json = javelin(
        &["config", "show", "--profile", "default", "-o", "json"],
        "",
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["default"]["minimumMemory"], "128Mi");
    check(
        &["config", "show", "--profile", "checkuot"],
        "",
        2,
        "",
        "error: there is no profile \"checkuot\"\n\nhint: available profiles: default\n",
    );
}

#[test]
fn every_file_is_checked_and_the_worst_of_them_is_the_exit_code() {
    let good = javelin(&["config", "check", "config.yaml"], "");
    let line = String::from_utf8(good.stdout.clone()).unwrap();
    assert!(line.starts_with("config.yaml: good: default ("), "{line}");
    assert_eq!(line.lines().count(), 1);
    assert_eq!(good.status.code(), Some(0));

    let bad = "default:\n  sampler: {type: traceidratio, argument: 25%}\n";
    let refused = "error: standard input: line 2, column 43: default.sampler.argument: \"25%\" is not a ratio \
                   between 0 and 1, such as 0.25\n  |\n1 | default:\n\
                   2 |   sampler: {type: traceidratio, argument: 25%}\n  |                                           ^^^\n";
    check(
        &["config", "check", "-", "--config", "config.yaml"],
        bad,
        1,
        &line,
        refused,
    );
    check(
        &["config", "check", "absent.yaml", "-", "config.yaml"],
        bad,
        2,
        &line,
        &format!(
            "error: cannot read absent.yaml\n  No such file or directory (os error 2)\n{refused}"
        ),
    );
    assert_eq!(javelin(&["config", "check"], "").status.code(), Some(2));
}

#[test]
fn a_misspelt_key_says_which_one_was_meant() {
    check(
        &["config", "check", "-"],
        "default:\n  otlp:\n    endpont: http://collector:4318\n",
        1,
        "",
        "error: standard input: line 3, column 5: unknown key \"endpont\"\n  |\n\
         1 | default:\n2 |   otlp:\n3 |     endpont: http://collector:4318\n  |     ^^^^^^^\n\
         hint: did you mean \"endpoint\"?\n",
    );
}

#[test]
fn nodes_of_another_architecture_are_told_by_preview_and_inject() {
    let pod = "kind: Pod\nmetadata: {name: a, labels: {instrumentation.opentelemetry.io/inject-java: 'true'}}\n\
               spec: {nodeSelector: {kubernetes.io/arch: s390x}, containers: [{name: app, image: app}]}\n";
    for verb in ["preview", "inject"] {
        let output = javelin(&[verb, "-f", "-"], pod);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let warning = "Pod a: warning: other-architecture: it asks for s390x nodes";
        assert!(stderr.contains(warning), "{verb}: {stderr}");
    }
}

#[test]
fn serve_says_with_which_filter_it_starts_whatever_that_lets_through() {
    let files = ["--tls-cert=none", "--tls-key=none", "--config=none.yaml"];
    for (log, shown) in [
        ("--log=off", "off"),
        ("--log=error", "error"),
        ("--log=", "info"),
        ("--log=javelin::certs=debug", "info,javelin::certs=debug"),
    ] {
        let output = javelin(&[&["serve", log], &files[..]].concat(), "");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let mut lines = stderr.lines();
        let start: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(
            (&start["message"], &start["log"]),
            (&"starting".into(), &shown.into())
        );
        let next = lines.next();
        assert_eq!(
            next,
            Some("error: failed to read the configuration"),
            "{log}"
        );
    }
}

#[test]
fn serve_takes_no_word_for_a_level_that_is_none() {
    check(
        &["serve", "--log=warning"],
        "",
        2,
        "",
        "error: the log filter \"warning\" is not valid: \"warning\" is no level; the nearest is warn, and there are off, error, \
         warn, info, debug, trace; one for a part of the program is written javelin::certs=debug\n",
    );
}
