//! The golden cases: each folder under `tests/cases` is one sentence of the specification.
//!
//! `pod/NAME/` holds `pod.yaml` (a Pod or a workload), optionally `config.yaml` and `facts.yaml` (what the
//! engine is told of the namespace), and `expected`: the decision, its warnings and the patch, an operation a
//! line. `again/NAME/` has the same, and `change.yaml`: what another webhook does to the injected pod (a JSON Patch)
//! before the API server calls a second time; `expected` is the second answer. `workload/NAME/` holds `object.yaml`,
//! optionally `old.yaml`, and `expected`, for the label rule. `warning/NAME/` holds `object.yaml`, `facts.yaml` and `expected`:
//! what is said of a workload without the label. `ports/NAME/` has `objects.yaml`, optionally `options.yaml`, and
//! `expected`: what `javelin ports` finds.
//!
//! `cargo xtask bless` writes `expected` anew; read the difference before you commit it.

use std::{fmt::Write as _, fs, io, path::Path};

use javelin::{offline::document::Document, ports, probe::advice::Platform};
use javelin_core::{
    config::Config,
    kinds::Kind,
    mutate::Decision,
    patch::{Mutation, Patch},
    workload::{self, Workload},
};
use javelin_manifest::{Documents, Syntax, tree};

use crate::golden_case::{self, PodCase, folders, optional_yaml, yaml};

#[test]
fn pods_come_out_as_expected() {
    check_all("pod", pod_case);
}

#[test]
fn a_pod_that_comes_back_is_completed() {
    check_all("again", again_case);
}

#[test]
fn the_label_rule_does_what_is_expected() {
    check_all("workload", workload_case);
}

#[test]
fn a_workload_without_the_label_is_warned_of_as_expected() {
    check_all("warning", warning_case);
}

#[test]
fn ports_are_what_the_objects_say() {
    check_all("ports", ports_case);
}

fn pod_case(folder: &Path) -> String {
    let case = PodCase::read(folder);
    report(&case.mutation(), &case.config)
}

fn again_case(folder: &Path) -> String {
    let mut case = PodCase::read(folder);
    let first = case.mutation();
    assert!(
        matches!(first.decision, Decision::Inject(_)),
        "{}: {:?}",
        folder.display(),
        first.decision
    );
    let change: json_patch::Patch =
        serde_json::from_value(yaml(&folder.join("change.yaml"))).unwrap();
    case.document = first.patch.result().clone();
    json_patch::patch(&mut case.document, &change).unwrap();
    report(&case.mutation(), &case.config)
}

fn report(mutation: &Mutation, config: &Config) -> String {
    let mut text = match &mutation.decision {
        Decision::Skip(reason) => format!("skip {}: {reason}\n", reason.code()),
        Decision::Inject(plan) => {
            let warnings = plan
                .warnings
                .iter()
                .map(|warning| format!("warning {}: {warning}\n", warning.code()));
            format!(
                "inject with profile {}\n{}",
                plan.profile,
                warnings.collect::<String>()
            )
        }
    };
    text.push_str(&operations(&mutation.patch));
    text = text.replace(env!("CARGO_PKG_VERSION"), "(version)");
    // It changes with every new key of the configuration; that it does is tested there.
    let profiles = ["true", "checkout"]
        .into_iter()
        .filter_map(|name| config.profile(name));
    profiles.fold(text, |text, profile| text.replace(&profile.hash, "(hash)"))
}

fn workload_case(folder: &Path) -> String {
    let document = yaml(&folder.join("object.yaml"));
    let old = optional_yaml(&folder.join("old.yaml"));
    let kind = Kind::of(&document).expect("a kind that is labelled");
    let workload = Workload::from_value(kind, &document).expect("a readable workload");
    let old = old["metadata"]["labels"][javelin_core::mutate::keys::INJECT].as_str();
    let namespace = document["metadata"]["namespace"].as_str();
    let labelling = workload::apply_label_rule(
        &workload,
        &document,
        old,
        namespace,
        &golden_case::config(folder),
    )
    .unwrap();
    let warnings = labelling
        .warnings
        .iter()
        .map(|warning| format!("warning: {warning}\n"));
    let change = labelling.change.code();
    format!(
        "{change}\n{}{}",
        warnings.collect::<String>(),
        operations(&labelling.patch)
    )
}

fn warning_case(folder: &Path) -> String {
    let document = yaml(&folder.join("object.yaml"));
    let kind = Kind::of(&document).expect("a kind that can be labelled");
    let workload = Workload::from_value(kind, &document).expect("a readable workload");
    let facts = yaml(&folder.join("facts.yaml"));
    let warnings = workload::warnings_of_unlabelled(
        &workload,
        &document,
        golden_case::namespace(&facts),
        &golden_case::config(folder),
    );
    if warnings.is_empty() {
        return "nothing to say\n".to_owned();
    }
    let lines = warnings
        .iter()
        .map(|warning| format!("warning: {warning}\n"));
    lines.collect()
}

fn ports_case(folder: &Path) -> String {
    let file = fs::File::open(folder.join("objects.yaml")).unwrap();
    let pieces = Documents::of(io::BufReader::new(file));
    let documents: Vec<_> = pieces
        .map(|piece| {
            let piece = piece.unwrap();
            Document {
                origin: format!("objects.yaml (line {})", piece.line),
                value: tree::read(&piece.text, Syntax::Yaml).unwrap(),
            }
        })
        .collect();
    let given = optional_yaml(&folder.join("options.yaml"));
    let options = ports::PortsOptions {
        stack: given["stack"] == true,
        platform: Platform::of(given["version"].as_str().unwrap_or_default()),
    };
    match ports::report(&documents, options) {
        Ok(report) => {
            let rows = report.rows.iter().map(of_row);
            let notes = report.notes.iter().map(|note| format!("note: {note}\n"));
            let next = report.next_step.lines().next().unwrap_or("(none)");
            format!(
                "{}{}next step: {next}\n",
                rows.collect::<String>(),
                notes.collect::<String>()
            )
        }
        Err(problem) => format!("error: {problem}\nremedy: {}\n", problem.remedy),
    }
}

fn of_row(row: &ports::Connection) -> String {
    let number = |port: Option<u16>| port.map_or_else(|| "?".to_owned(), |port| port.to_string());
    let service = row
        .service_port
        .map_or_else(String::new, |port| format!(", called as {port}"));
    format!(
        "{} -> {}\n  {}{service}, {}, {}: {}\n  closed: {}{}\n  read in: {}\n",
        row.from,
        row.to,
        number(row.port),
        row.protocol,
        row.direction.as_str(),
        row.purpose,
        row.code
            .map_or_else(String::new, |code| format!("{code}: ")),
        row.closed,
        row.read_in.join("; "),
    )
}

fn check_all(group: &str, case: fn(&Path) -> String) {
    let bless = crate::is_blessing();
    let mut failures = String::new();
    for folder in &folders(group) {
        let actual = case(folder);
        let file = folder.join("expected");
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if bless {
            fs::write(&file, &actual).unwrap();
        } else if actual != expected {
            let name = folder.file_name().unwrap().to_string_lossy();
            let diff = similar::TextDiff::from_lines(&expected, &actual);
            write!(
                failures,
                "\n{group}/{name}:\n{}",
                diff.unified_diff().header("expected", "actual")
            )
            .unwrap();
        }
    }
    assert!(
        failures.is_empty(),
        "{failures}\n`cargo xtask bless` takes the actual output as expected"
    );
}

fn operations(patch: &Patch) -> String {
    let patch = serde_json::to_value(patch).unwrap();
    let lines = patch.as_array().unwrap().iter().map(|operation| {
        let (op, at) = (
            operation["op"].as_str().unwrap(),
            operation["path"].as_str().unwrap(),
        );
        let value = operation
            .get("value")
            .map_or_else(String::new, |value| format!(" {value}"));
        format!("{op} {at}{value}\n")
    });
    lines.collect()
}
