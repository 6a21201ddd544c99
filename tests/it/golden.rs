//! The golden cases: each folder under `tests/cases` is one sentence of the specification.
//!
//! `pod/NAME/` holds `pod.yaml` (a Pod or a workload), optionally `config.yaml` and `facts.yaml` (what the
//! engine is told of the namespace), and `expected`: the decision, its warnings and the patch, an operation a
//! line. `again/NAME/` has the same, and `change.yaml`: what another webhook does to the injected pod (a JSON Patch)
//! before the API server calls a second time; `expected` is the second answer. `workload/NAME/` holds `object.yaml`, optionally `old.yaml`, and `expected`, for the label rule.
//!
//! `cargo xtask bless` writes `expected` anew; read the difference before you commit it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use javelin::{
    config::Config,
    mutate::{Decision, Namespace, NamespaceLabel, Subject, pod::Pod},
    patch::{Patch, PodPath, Treatment},
    workload::{self, Workload},
};
use serde_json::Value;

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

fn pod_case(folder: &Path) -> String {
    let config = config(folder);
    let document = yaml(&folder.join("pod.yaml"));
    report(&treat(folder, &document, &config), &config)
}

fn again_case(folder: &Path) -> String {
    let config = config(folder);
    let first = treat(folder, &yaml(&folder.join("pod.yaml")), &config);
    assert!(
        matches!(first.decision, Decision::Inject(_)),
        "{}: {:?}",
        folder.display(),
        first.decision
    );
    let change: json_patch::Patch =
        serde_json::from_value(yaml(&folder.join("change.yaml"))).unwrap();
    let mut document = first.patch.result().clone();
    json_patch::patch(&mut document, &change).unwrap();
    report(&treat(folder, &document, &config), &config)
}

fn treat(folder: &Path, document: &Value, config: &Config) -> Treatment {
    let kind = document["kind"].as_str().expect("kind").to_owned();
    let place = PodPath::of_kind(&kind).expect("a kind with a pod");
    let facts = optional_yaml(&folder.join("facts.yaml"));
    let text = |key: &str| facts[key].as_str();
    let pod = Pod::from_value(place.of(document).expect("a pod")).expect("a readable pod");
    let (owners, from_workload) = workload::surroundings(&kind, document, &pod);
    let subject = Subject {
        pod: &pod,
        namespace: Namespace {
            name: text("namespace"),
            inject: match text("namespaceLabel") {
                None => NamespaceLabel::Absent,
                Some("(no profile)") => NamespaceLabel::NoProfile,
                Some(value) => NamespaceLabel::Value(value),
            },
        },
        owners,
        from_workload,
    };
    Treatment::of(&subject, document, place, config)
}

fn report(treatment: &Treatment, config: &Config) -> String {
    let mut text = match &treatment.decision {
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
    text.push_str(&operations(&treatment.patch));
    // It changes with every new key of the configuration; that it does is tested there.
    let profiles = ["true", "checkout"]
        .into_iter()
        .filter_map(|name| config.profile(name));
    profiles.fold(text, |text, profile| text.replace(&profile.hash, "(hash)"))
}

fn workload_case(folder: &Path) -> String {
    let document = yaml(&folder.join("object.yaml"));
    let old = optional_yaml(&folder.join("old.yaml"));
    let kind =
        workload::Kind::of(document["kind"].as_str().unwrap()).expect("a kind that is labelled");
    let workload = Workload::from_value(kind, &document).expect("a readable workload");
    let old = old["metadata"]["labels"][javelin::mutate::keys::INJECT].as_str();
    let namespace = document["metadata"]["namespace"].as_str();
    let labelling =
        workload::apply_label_rule(&workload, &document, old, namespace, &config(folder)).unwrap();
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

fn check_all(group: &str, case: fn(&Path) -> String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(group);
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "no case in {}", root.display());
    let bless = crate::is_blessing();
    let mut failures = String::new();
    for folder in &folders {
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

fn config(folder: &Path) -> Config {
    let file = folder.join("config.yaml");
    let text = fs::read_to_string(&file).unwrap_or_else(|_| DEFAULT_CONFIG.to_owned());
    Config::parse(&text, &file.display().to_string()).unwrap()
}

fn yaml(file: &Path) -> Value {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn optional_yaml(file: &Path) -> Value {
    if file.exists() {
        yaml(file)
    } else {
        Value::Null
    }
}

/// What a case without a file of its own is decided with.
const DEFAULT_CONFIG: &str = "
default:
  agent: {image: 'registry.example/javelin:1', imagePullPolicy: IfNotPresent}
  otlp: {endpoint: 'http://collector:4318'}
profiles:
  checkout: {otlp: {endpoint: 'http://checkout-collector:4317', protocol: grpc}}
";
