//! `javelin inject` over manifests as they are really written: `tests/corpus`.
//!
//! `tests/corpus/injected` has what comes out, and nothing for a manifest in which nothing changes. `cargo xtask bless`
//! writes it anew.

use std::{
    env, fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::ugly;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");

/// Those in which a value is written anew: the way back is the same to a reader, not to the byte.
const NOT_TO_THE_BYTE: [&str; 1] = ["anchors.yaml"];

fn corpus() -> Vec<PathBuf> {
    let entries = fs::read_dir(CORPUS)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    assert!(files.len() > 15);
    files
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Runs `javelin inject` as a filter.
fn filter(text: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_javelin"))
        .arg("inject")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn injected(text: &str, arguments: &[&str]) -> String {
    let output = filter(text, arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn manifests_come_out_as_expected_and_go_back() {
    let is_blessing = crate::is_blessing();
    for path in corpus() {
        let name = name_of(&path);
        let text = fs::read_to_string(&path).unwrap();
        let found = injected(&text, &[]);
        assert_eq!(injected(&found, &[]), found, "{name}: a second time");
        if !NOT_TO_THE_BYTE.contains(&name) {
            assert_eq!(injected(&found, &["--remove"]), text, "{name}: and back");
        }
        let expected = Path::new(CORPUS).join("injected").join(name);
        let is_changed = found != text;
        if is_blessing && is_changed {
            fs::write(&expected, &found).unwrap();
        } else if is_changed {
            let wanted = fs::read_to_string(&expected).unwrap_or_default();
            assert_eq!(found, wanted, "{name}: `cargo xtask bless` takes it over");
        } else {
            assert!(!expected.exists(), "{name} does not change any more");
        }
    }
}

/// All that kubectl reads in a text, nulls as they are.
fn kubectl_reads(kubectl: &Path, path: &Path) -> Vec<Value> {
    let output = Command::new(kubectl)
        .args([
            "patch",
            "--local",
            "--type=merge",
            "-p",
            "{}",
            "-o",
            "json",
            "-f",
        ])
        .arg(path)
        .output()
        .unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("no objects passed") {
        return Vec::new();
    }
    assert!(
        output.status.success(),
        "{}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    values.map(Result::unwrap).collect()
}

/// What we read ourselves, Lists taken apart.
fn we_read(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    for piece in javelin_manifest::Documents::of(text.as_bytes()) {
        let value = javelin_manifest::Tree::parse(&piece.unwrap().text)
            .unwrap()
            .value;
        match javelin::offline::inject::items_of(&value) {
            Some(items) => values.extend(items.iter().cloned()),
            None if value.is_null() => {}
            None => values.push(value),
        }
    }
    values
}

/// kubectl writes numbers without a fraction as it likes.
fn without_fractions(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            *value = json!(number);
        }
        Value::Array(items) => items.iter_mut().for_each(without_fractions),
        Value::Object(map) => map.values_mut().for_each(without_fractions),
        _ => {}
    }
}

/// The one of `cargo xtask test`, or of the PATH.
fn kubectl() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let tools = env::var_os("JAVELIN_TOOLS").map(PathBuf::from);
    let folders = tools.into_iter().chain(env::split_paths(&path));
    let mut programs = folders.map(|folder| folder.join("kubectl"));
    programs.find(|path| path.is_file())
}

#[test]
fn kubectl_reads_what_we_read_before_and_after() {
    let Some(kubectl) = kubectl() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for path in corpus() {
        let text = fs::read_to_string(&path).unwrap();
        let there = injected(&text, &[]);
        let back = injected(&there, &["--remove"]);
        let mut readings = Vec::new();
        for text in [&text, &there, &back] {
            let copy = folder.path().join(name_of(&path));
            fs::write(&copy, text).unwrap();
            let (mut theirs, mut ours) = (kubectl_reads(&kubectl, &copy), we_read(text));
            theirs
                .iter_mut()
                .chain(&mut ours)
                .for_each(without_fractions);
            assert_eq!(theirs, ours, "{}", path.display());
            readings.push(theirs);
        }
        assert_eq!(readings[0], readings[2], "{}: and back", path.display());
    }
}

#[test]
fn files_are_written_anew_whole_and_only_where_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let (changed, other) = (
        folder.path().join("list.yaml"),
        folder.path().join("crd.yaml"),
    );
    for path in [&changed, &other] {
        fs::copy(Path::new(CORPUS).join(name_of(path)), path).unwrap();
    }
    let before = fs::metadata(&other).unwrap().modified().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_javelin"));
        command
            .arg("inject")
            .args(arguments)
            .arg("-f")
            .arg(folder.path());
        command.output().unwrap().status.code()
    };
    assert_eq!(run(&["--check"]), Some(1));
    assert_eq!(run(&["--in-place"]), Some(0));
    assert_eq!(run(&["--check"]), Some(0));
    assert!(
        fs::read_to_string(&changed)
            .unwrap()
            .contains("-javaagent:")
    );
    assert_eq!(fs::metadata(&other).unwrap().modified().unwrap(), before);
    assert_eq!(run(&["--remove", "--in-place"]), Some(0));
    assert_eq!(
        fs::read(&changed).unwrap(),
        fs::read(Path::new(CORPUS).join("list.yaml")).unwrap()
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn several_files_are_one_stream() {
    let file = |name: &str| format!("{CORPUS}/{name}");
    let output = Command::new(env!("CARGO_BIN_EXE_javelin"))
        .args([
            "inject",
            "-f",
            &file("bom.yaml"),
            "-f",
            &file("crd.yaml"),
            "-f",
            &file("comments-only.yaml"),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(we_read(&text).len(), 2, "{text}");
    assert!(text.contains("\n---\napiVersion: apiextensions"), "{text}");
}

#[test]
fn a_broken_document_leaves_no_shorter_stream() {
    // One that is kept in memory, and one that is not.
    for padding in [1, 1_200] {
        let comment = format!("# {}\n", "x".repeat(8 * 1024)).repeat(padding);
        let good = format!("{}{comment}", deployment(1));
        let output = filter(&format!("{good}---\nkind: [\n"), &["--quiet"]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(output.stdout, b"", "{padding}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains("standard input is neither YAML nor JSON") && error.contains("line "),
            "{error}"
        );
        // The same without the broken one comes out whole.
        let there = injected(&good, &["--quiet"]);
        assert!(there.contains("-javaagent:"));
        assert_eq!(injected(&there, &["--quiet", "--remove"]), good);
    }
}

#[test]
fn nothing_at_all_becomes_a_comment() {
    for blank in ["", "\n", " \n\n"] {
        let output = injected(blank, &[]);
        assert_eq!(
            output,
            format!("{blank}# javelin inject: the input has no objects\n")
        );
        assert_eq!(we_read(&output), Vec::<Value>::new());
    }
    for comments in ["# none\n", "---\n# Source: a\n---\n"] {
        assert_eq!(injected(comments, &[]), comments);
    }
}

#[test]
fn what_cannot_have_the_agent_fails_a_check_and_a_strict_run() {
    let text = fs::read_to_string(Path::new(CORPUS).join("list.yaml")).unwrap();
    let small = "image: cassandra:5\n        resources: {limits: {memory: 64Mi}}";
    let small = deployment(1).replace("image: cassandra:5", small);
    assert_ne!(small, deployment(1));
    let run = |text: &str, arguments: &[&str]| {
        let output = filter(text, arguments);
        (output.status.code(), output.stdout.len())
    };
    assert_eq!(run(&small, &[]), (Some(0), small.len()));
    assert_eq!(run(&small, &["--check"]), (Some(1), 0));
    assert_eq!(run(&small, &["--strict"]), (Some(1), 0));
    // What is opted out, asks for nothing, or is made anew by its controller is as it should be.
    let said = injected(&text, &[]);
    assert_eq!(run(&said, &["--check"]), (Some(0), 0));
    assert_eq!(run(&said, &["--strict"]), (Some(0), said.len()));
    let out = small.replace("inject-java: \"true\"", "inject-java: \"false\"");
    assert_ne!(out, small);
    assert_eq!(run(&out, &["--strict", "--check"]), (Some(0), 0));
}

/// The pod in three spellings.
fn spellings(pod: &Value) -> [String; 3] {
    [
        serde_saphyr::to_string(pod).unwrap(),
        serde_json::to_string_pretty(pod).unwrap(),
        pod.to_string(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pod_comes_back(mut pod in ugly::pod()) {
        use javelin_core::config::Config;
        use javelin_manifest::{Syntax, Tree};
        use javelin::offline::inject::{Operation, Injector};
        use javelin::offline::inputs::Inputs;

        if !pod["metadata"]["labels"].is_object() {
            pod["metadata"]["labels"] = json!({});
        }
        pod["metadata"]["labels"]["instrumentation.opentelemetry.io/inject-java"] = json!("true");
        let (config, inputs) = (Config::default(), Inputs::default());
        let inject = Injector::new(&config, &inputs, Operation::Inject);
        let remove = Injector::new(&config, &inputs, Operation::Remove);
        for (text, syntax) in spellings(&pod).into_iter().zip([Syntax::Yaml, Syntax::Json, Syntax::Json]) {
            let before = Tree::parse(&text).unwrap().value;
            let outcome = inject.document(&text, syntax).unwrap();
            let Some(edited) = outcome.edited else { continue };
            let again = inject.document(&edited.text, syntax).unwrap();
            prop_assert_eq!(again.edited, None);
            if outcome.reports.iter().any(|report| report.warnings.iter().any(|warning| warning.starts_with("not-removable"))) {
                continue;
            }
            let back = remove.document(&edited.text, syntax).unwrap().edited;
            let after = back.map_or(edited.text, |back| back.text);
            let mut before = before;
            if let Some(annotations) = before.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
                annotations.remove("javelin.dev/skipped");
            }
            prop_assert_eq!(Tree::parse(&after).unwrap().value, before);
        }
    }
}

/// A manifest as charts make them, the agent asked for in it.
fn deployment(number: u32) -> String {
    let text = fs::read_to_string(Path::new(CORPUS).join("sidecars.yaml")).unwrap();
    format!(
        "---\n# Source: shop/templates/{number}.yaml\n{}",
        text.replace("name: cassandra,", &format!("name: cassandra-{number},"))
    )
}

/// How long a run over that many manifests takes, and its largest resident memory in KiB.
fn measure(file: &Path, count: u32, arguments: &[&str]) -> (Duration, u64) {
    let mut out = BufWriter::new(fs::File::create(file).unwrap());
    for number in 0..count {
        out.write_all(deployment(number).as_bytes()).unwrap();
    }
    out.flush().unwrap();
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_javelin"))
        .args(arguments)
        .arg("-f")
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return (start.elapsed(), peak);
        }
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "figures, of a release build: cargo test --release --test it figures -- --ignored --nocapture"]
fn figures_of_large_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.yaml");
    let mut peaks = Vec::new();
    for count in [1_000_u32, 10_000, 50_000] {
        let (time, peak) = measure(&file, count, &["inject", "--quiet"]);
        // The same manifests, read twice and not changed.
        let (reading, _) = measure(&file, count, &["inject", "--quiet", "--remove"]);
        let figure = format!(
            "{count} manifests: {:.0} a second, {:.1} times the reading alone, {peak} KiB at most\n",
            f64::from(count) / time.as_secs_f64(),
            time.as_secs_f64() / reading.as_secs_f64(),
        );
        std::io::stderr().write_all(figure.as_bytes()).unwrap();
        peaks.push(peak);
    }
    assert!(peaks[2] < peaks[0] + 8 * 1024, "{peaks:?}");
}
