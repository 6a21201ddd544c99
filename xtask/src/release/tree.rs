//! The crates that are in the program, as Cargo resolves them for what is released.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use testbed::paths::Paths;
use testbed::platform::Platform;
use testbed::process::output;

/// A crate in the program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where its files are on this machine.
    pub(crate) folder: PathBuf,
    /// An SPDX expression.
    pub(crate) licence: Option<String>,
    /// Of its archive in the registry; ours have none.
    pub(crate) sha256: Option<String>,
    pub(crate) is_ours: bool,
    /// Names and versions of those that it uses.
    pub(crate) uses: BTreeSet<(String, String)>,
}

/// All of them, by name and version; [`ROOT`] is among them.
pub(crate) type Tree = BTreeMap<(String, String), Member>;

/// The program's own.
pub(crate) const ROOT: &str = "javelin";

/// The tree on every platform that is released. What only builds or tests use is not in the program, and not here.
pub(crate) fn read(paths: &Paths) -> Result<Tree> {
    let lock = paths.root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock)
        .with_context(|| format!("failed to read {}: is the checkout whole?", lock.display()))?;
    let sums = checksums(&lock);
    let mut tree = Tree::new();
    for platform in Platform::ALL {
        let metadata = output(
            Command::new("cargo")
                .args(["metadata", "--format-version=1", "--locked"])
                .args(["--filter-platform", platform.target()])
                .current_dir(paths.root()),
        )?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).context("`cargo metadata` gave another JSON")?;
        for (key, member) in members(&metadata, &sums)? {
            let known = tree.entry(key).or_insert_with(|| member.clone());
            known.uses.extend(member.uses);
        }
    }
    Ok(tree)
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// Nothing for what is in the program.
    kind: Option<String>,
}

fn members(metadata: &Metadata, sums: &BTreeMap<(String, String), String>) -> Result<Tree> {
    let packages: BTreeMap<_, _> = metadata.packages.iter().map(|it| (&it.id, it)).collect();
    let nodes: BTreeMap<_, _> = metadata
        .resolve
        .nodes
        .iter()
        .map(|it| (&it.id, it))
        .collect();
    let key = |package: &Package| (package.name.clone(), package.version.clone());
    let root = metadata
        .packages
        .iter()
        .find(|it| it.name == ROOT && it.source.is_none());
    let mut open = vec![root.with_context(|| format!("the workspace has no package {ROOT}"))?];
    let mut tree = Tree::new();
    while let Some(package) = open.pop() {
        if tree.contains_key(&key(package)) {
            continue;
        }
        let node = nodes
            .get(&package.id)
            .with_context(|| format!("`cargo metadata` resolves no {}", package.id))?;
        let used = node.deps.iter().filter(|dependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind.is_none())
        });
        let used: Vec<&Package> = used
            .filter_map(|dependency| packages.get(&dependency.pkg).copied())
            .collect();
        let folder = package.manifest_path.parent();
        let member = Member {
            name: package.name.clone(),
            version: package.version.clone(),
            folder: folder.map(Path::to_path_buf).unwrap_or_default(),
            // Cargo's old way to say "or".
            licence: package
                .license
                .as_ref()
                .map(|text| text.replace('/', " OR ")),
            sha256: sums.get(&key(package)).cloned(),
            is_ours: package.source.is_none(),
            uses: used.iter().map(|package| key(package)).collect(),
        };
        tree.insert(key(package), member);
        open.extend(used);
    }
    Ok(tree)
}

/// What `Cargo.lock` says of each crate of a registry.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let packages = lock.split("[[package]]").filter_map(|package| {
        let value = |key: &str| {
            let mut lines = package.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            Some(value?.trim_end_matches('"').to_owned())
        };
        Some(((value("name")?, value("version")?), value("checksum")?))
    });
    packages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let package = |name: &str, source: Option<&str>| {
            serde_json::json!({
                "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": source,
                "manifest_path": format!("/somewhere/{name}/Cargo.toml"),
            })
        };
        let uses = |name: &str, kind: Option<&str>| serde_json::json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        serde_json::from_value(serde_json::json!({
            "packages": [
                package(ROOT, None),
                package("used", Some("registry")),
                package("its", Some("registry")),
                package("tested", Some("registry")),
                package("built", Some("registry")),
            ],
            "resolve": { "nodes": [
                { "id": ROOT, "deps": [uses("used", None), uses("tested", Some("dev"))] },
                { "id": "used", "deps": [uses("its", None), uses("built", Some("build"))] },
                { "id": "its", "deps": [] },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn what_builds_or_tests_use_is_not_in_the_program() {
        let tree = members(&metadata(), &BTreeMap::new()).unwrap();
        let names: Vec<_> = tree.keys().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["its", ROOT, "used"]);
        let used = &tree[&("used".to_owned(), "1.0.0".to_owned())];
        assert_eq!(used.licence.as_deref(), Some("MIT OR Apache-2.0"));
        assert!(!used.is_ours && used.uses.len() == 1, "{used:?}");
    }

    #[test]
    fn checksums_belong_to_their_package() {
        let lock = "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"a\"\n\
                    version = \"1.2.3\"\nsource = \"registry\"\nchecksum = \"abc\"\n";
        let sums = checksums(lock);
        assert_eq!(sums.len(), 1, "{sums:?}");
        assert_eq!(sums[&("a".to_owned(), "1.2.3".to_owned())], "abc");
    }
}
