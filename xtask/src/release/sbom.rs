//! What is in a release, as a `CycloneDX` document: the crates in the program, by the lock file, and the agent's jar with what
//! the jar says is in it.
//!
//! `cargo cyclonedx` would name this machine's folders in it, and knows of no jar.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use testbed::agent::{self, LICENCE_REPORT};
use testbed::paths::Paths;

use super::tree::{self, Member, ROOT, Tree};

/// The document; `created` is the time of the commit.
pub(crate) fn write(paths: &Paths, created: &str) -> Result<String> {
    let lock = agent::lock(paths)?;
    let licences = agent::licences(&agent::jar(paths)?)?;
    let report = licences.get(LICENCE_REPORT).cloned().unwrap_or_default();
    let parts = parts_of_jar(&String::from_utf8_lossy(&report));
    let document = document(&tree::read(paths)?, created, &jar(&lock, &parts));
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn document(tree: &Tree, created: &str, jar: &Value) -> Value {
    let (root, others): (Vec<_>, Vec<_>) = tree
        .values()
        .partition(|member| member.name == ROOT && member.is_ours);
    let mut components: Vec<_> = others.into_iter().map(of_crate).collect();
    components.push(jar.clone());
    let mut dependencies: Vec<_> = tree.values().map(edges).collect();
    if let (Some(root), Some(used)) = (root.first(), jar.get("bom-ref")) {
        // The image holds both.
        let mut edge = edges(root);
        if let Some(on) = edge.get_mut("dependsOn").and_then(Value::as_array_mut) {
            on.push(used.clone());
        }
        dependencies.retain(|other| other.get("ref") != edge.get("ref"));
        dependencies.push(edge);
    }
    let product = root.first().map(|root| {
        let mut product = of_crate(root);
        if let Some(product) = product.as_object_mut() {
            product.insert("type".to_owned(), json!("application"));
        }
        product
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": { "components": [{ "type": "application", "name": "cargo xtask release" }] },
            "component": product,
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn of_crate(member: &Member) -> Value {
    let Member { name, version, .. } = member;
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(name, version),
        "name": name,
        "version": version,
    });
    if let Some(object) = component.as_object_mut() {
        if !member.is_ours {
            object.insert("purl".to_owned(), json!(reference(name, version)));
        }
        if let Some(sha256) = &member.sha256 {
            object.insert("hashes".to_owned(), hashes(sha256));
        }
        if let Some(licence) = &member.licence {
            object.insert("licenses".to_owned(), json!([{ "expression": licence }]));
        }
    }
    component
}

fn edges(member: &Member) -> Value {
    let uses = member.uses.iter();
    let uses: Vec<_> = uses
        .map(|(name, version)| reference(name, version))
        .collect();
    json!({ "ref": reference(&member.name, &member.version), "dependsOn": uses })
}

fn reference(name: &str, version: &str) -> String {
    // A plus is a space in some readers' eyes.
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

fn jar(lock: &agent::Lock, parts: &BTreeMap<Part, Vec<String>>) -> Value {
    let of_maven = |part: &Part, licences: &[String]| {
        let Part {
            group,
            name,
            version,
        } = part;
        let purl = format!("pkg:maven/{group}/{name}@{version}");
        let licences = licences
            .iter()
            .map(|name| json!({ "license": { "name": name } }));
        json!({
            "type": "library",
            "bom-ref": purl,
            "group": group,
            "name": name,
            "version": version,
            "purl": purl,
            "licenses": licences.collect::<Vec<_>>(),
        })
    };
    let agent = Part {
        group: "io.opentelemetry.javaagent".to_owned(),
        name: "opentelemetry-javaagent".to_owned(),
        version: lock.version.clone(),
    };
    let inside: Vec<_> = parts
        .iter()
        .map(|(part, licences)| of_maven(part, licences))
        .collect();
    let mut component = of_maven(&agent, &[APACHE.to_owned()]);
    if let Some(object) = component.as_object_mut() {
        object.insert("hashes".to_owned(), hashes(&lock.sha256));
        object.insert("components".to_owned(), Value::Array(inside));
    }
    component
}

/// An artifact of Maven's.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    group: String,
    name: String,
    version: String,
}

/// What the agent's report of licences lists, with the names of licences. A line of it is
/// ``**1** **Group:** `g` **Name:** `n` **Version:** `v` ``, and lines that begin with `> - **POM License**: NAME - [` follow.
fn parts_of_jar(report: &str) -> BTreeMap<Part, Vec<String>> {
    let mut parts: BTreeMap<Part, Vec<String>> = BTreeMap::new();
    let mut last = None;
    for line in report.lines() {
        let value = |title: &str| {
            let (_, rest) = line.split_once(&format!("**{title}:** `"))?;
            Some(rest.split_once('`')?.0.to_owned())
        };
        if let (Some(group), Some(name), Some(version)) =
            (value("Group"), value("Name"), value("Version"))
        {
            last = Some((group, name, version));
        }
        let licence = line
            .strip_prefix("> - **POM License**: ")
            .and_then(|rest| rest.split(" - [").next());
        if let Some((group, name, version)) = &last {
            let part = Part {
                group: group.clone(),
                name: name.clone(),
                version: version.clone(),
            };
            let licences = parts.entry(part).or_default();
            if let Some(licence) = licence
                && !licences.iter().any(|known| known == licence)
            {
                licences.push(licence.to_owned());
            }
        }
    }
    parts
}

const APACHE: &str = "Apache License, Version 2.0";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    const REPORT: &str = "# javaagent\n## Apache License, Version 2.0\n\n\
        **1** **Group:** `a.b` **Name:** `c` **Version:** `1.2`\n> - **POM Project URL**: [x](x)\n\
        > - **POM License**: Apache License, Version 2.0 - [x](x)\n> - **POM License**: Apache License, Version 2.0 - [x](x)\n\n\
        **2** **Group:** `d` **Name:** `e` **Version:** `3`\n";

    #[test]
    fn parts_of_the_jar_have_their_licences() {
        let parts = parts_of_jar(REPORT);
        let told: Vec<_> = parts
            .iter()
            .map(|(part, licences)| {
                format!(
                    "{}:{}:{} {}",
                    part.group,
                    part.name,
                    part.version,
                    licences.join(",")
                )
            })
            .collect();
        assert_eq!(told, ["a.b:c:1.2 Apache License, Version 2.0", "d:e:3 "]);
    }

    #[test]
    fn every_dependency_names_a_component() {
        let member = |name: &str, is_ours: bool, uses: &[&str]| Member {
            name: name.to_owned(),
            version: "1.0.0+x".to_owned(),
            folder: PathBuf::new(),
            licence: Some("MIT".to_owned()),
            sha256: None,
            is_ours,
            uses: uses
                .iter()
                .map(|used| ((*used).to_owned(), "1.0.0+x".to_owned()))
                .collect::<BTreeSet<_>>(),
        };
        let members = [
            member(ROOT, true, &["core", "serde"]),
            member("core", true, &["serde"]),
            member("serde", false, &[]),
        ];
        let tree: Tree = members
            .into_iter()
            .map(|member| ((member.name.clone(), member.version.clone()), member))
            .collect();
        let lock = agent::Lock {
            version: "2.0.0".to_owned(),
            sha256: "abc".to_owned(),
        };
        let document = document(
            &tree,
            "2026-01-01T00:00:00Z",
            &jar(&lock, &parts_of_jar(REPORT)),
        );
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let components = document["components"].as_array().unwrap();
        let mut known: BTreeSet<_> = components.iter().map(|it| text(&it["bom-ref"])).collect();
        known.insert(text(&document["metadata"]["component"]["bom-ref"]));
        assert_eq!(known.len(), 4, "{known:?}");
        for edge in document["dependencies"].as_array().unwrap() {
            assert!(known.contains(&text(&edge["ref"])), "{edge}");
            for on in edge["dependsOn"].as_array().unwrap() {
                assert!(known.contains(&text(on)), "{edge}");
            }
        }
        let ours: Vec<_> = components
            .iter()
            .filter(|it| it.get("purl").is_none())
            .collect();
        assert_eq!(ours.len(), 1, "no registry has ours: {ours:?}");
        assert!(known.contains("pkg:cargo/serde@1.0.0%2Bx"), "{known:?}");
    }
}
