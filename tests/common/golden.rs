//! A golden case as it is read and decided, for every suite that uses them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use javelin_core::{
    config::Config,
    kinds,
    mutate::{InjectLabel, Namespace, pod::Pod},
    patch::{Mutation, PodPath},
    workload,
};
use serde_json::Value;

/// A folder of `tests/cases/pod`.
pub(crate) struct PodCase {
    /// The Pod, or the workload around a template.
    pub(crate) document: Value,
    /// Where the pod stands in it.
    pub(crate) place: PodPath,
    /// What it is decided with.
    pub(crate) config: Config,
    facts: Value,
}

impl PodCase {
    pub(crate) fn read(folder: &Path) -> Self {
        let document = yaml(&folder.join("pod.yaml"));
        let places = kinds::pods(&document);
        Self {
            place: *places.first().expect("a kind with a pod"),
            config: config(folder),
            facts: optional_yaml(&folder.join("facts.yaml")),
            document,
        }
    }

    /// What the engine makes of it.
    pub(crate) fn mutation(&self) -> Mutation {
        let Self {
            document,
            place,
            config,
            facts,
        } = self;
        let pod = Pod::from_value(place.of(document).expect("a pod")).expect("a readable pod");
        let subject = workload::subject_in(document, *place, &pod, namespace(facts));
        Mutation::of(&subject, document, *place, config)
    }
}

/// What `facts.yaml` tells of the namespace.
pub(crate) fn namespace(facts: &Value) -> Namespace<'_> {
    let text = |key: &str| facts[key].as_str();
    Namespace {
        name: text("namespace"),
        inject: match text("namespaceLabel") {
            None => InjectLabel::Absent,
            Some("(no profile)") => InjectLabel::NoProfile,
            Some(value) => InjectLabel::Value(value),
        },
    }
}

/// The folders of a group, in order.
pub(crate) fn folders(group: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(group);
    let entries = fs::read_dir(&root).expect("the cases of the checkout");
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "no case in {}", root.display());
    folders
}

/// The configuration of a case, or the one that all without a file have.
pub(crate) fn config(folder: &Path) -> Config {
    let file = folder.join("config.yaml");
    let text = fs::read_to_string(&file).unwrap_or_else(|_| DEFAULT_CONFIG.to_owned());
    Config::parse(&text, &file.display().to_string()).expect("a good configuration")
}

pub(crate) fn yaml(file: &Path) -> Value {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(crate) fn optional_yaml(file: &Path) -> Value {
    if file.exists() {
        yaml(file)
    } else {
        Value::Null
    }
}

/// What a case without a file of its own is decided with.
pub(crate) const DEFAULT_CONFIG: &str = include_str!("default.yaml");
