//! Manifests as they come: files, folders, standard input; YAML or JSON, several documents, Lists.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// Where it stands: file, and its number when there are several.
    pub(super) origin: String,
    /// The object.
    pub(super) value: Value,
}

impl Document {
    pub(super) fn kind(&self) -> &str {
        self.text(&["kind"]).unwrap_or_default()
    }

    /// A string at a path.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        path.iter()
            .try_fold(&self.value, |value, key| value.get(key))?
            .as_str()
    }

    /// `Kind namespace/name`, as a person would call it.
    pub(super) fn title(&self) -> String {
        let name = self
            .text(&["metadata", "name"])
            .or_else(|| self.text(&["metadata", "generateName"]));
        let namespace = self
            .text(&["metadata", "namespace"])
            .map_or_else(String::new, |ns| format!("{ns}/"));
        format!("{} {namespace}{}", self.kind(), name.unwrap_or("(no name)"))
    }
}

/// Reads all objects of all files, in order. `-` is standard input.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for file in files {
        if file.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .context("cannot read standard input")?;
            documents.extend(parse("standard input", &text)?);
        } else if file.is_dir() {
            for file in manifests_in(file)? {
                documents.extend(read_file(&file)?);
            }
        } else {
            documents.extend(read_file(file)?);
        }
    }
    Ok(documents)
}

fn read_file(file: &Path) -> anyhow::Result<Vec<Document>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&file.display().to_string(), &text)
}

/// Files with a manifest's ending, by name: what `kubectl apply -f DIR` takes.
fn manifests_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", dir.display()))?
            .path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file() && ending.is_some_and(|ending| ["yaml", "yml", "json"].contains(&ending))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn parse(origin: &str, text: &str) -> anyhow::Result<Vec<Document>> {
    let values =
        parse_values(text).with_context(|| format!("{origin} is neither YAML nor JSON"))?;
    let several = values.len() > 1;
    let mut documents = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let origin = if several {
            format!("{origin}, document {}", index + 1)
        } else {
            origin.to_owned()
        };
        match value {
            // An empty document, or one of comments.
            Value::Null => {}
            Value::Object(mut object) if is_list(&object) => {
                let items = object.remove("items").unwrap_or_default();
                let items = items.as_array().cloned().unwrap_or_default();
                documents.extend(items.into_iter().map(|value| Document {
                    origin: origin.clone(),
                    value,
                }));
            }
            Value::Object(_) => documents.push(Document { origin, value }),
            _ => bail!("{origin} is not a Kubernetes object: it is no mapping"),
        }
    }
    Ok(documents)
}

/// JSON objects may follow each other without a `---`, and be indented by tabs, which YAML refuses.
fn parse_values(text: &str) -> anyhow::Result<Vec<Value>> {
    if text.trim_start().starts_with('{') {
        let stream = serde_json::Deserializer::from_str(text).into_iter();
        if let Ok(values) = stream.collect::<Result<_, _>>() {
            return Ok(values);
        }
    }
    Ok(serde_saphyr::from_multiple(text)?)
}

/// `List`, `PodList`, …: what `kubectl get -o yaml` prints for several objects.
fn is_list(object: &serde_json::Map<String, Value>) -> bool {
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    kind.ends_with("List") && object.contains_key("items")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(text: &str) -> Vec<String> {
        parse("f.yaml", text)
            .unwrap()
            .iter()
            .map(Document::title)
            .collect()
    }

    #[test]
    fn documents_lists_and_json_streams_are_read_in_order() {
        let yaml = "# first\n---\nkind: Pod\nmetadata: {name: a, namespace: ns}\n---\n---\n\
                    kind: List\nitems:\n- {kind: Pod, metadata: {generateName: b-}}\n- {kind: Job, metadata: {}}\n";
        assert_eq!(titles(yaml), ["Pod ns/a", "Pod b-", "Job (no name)"]);
        assert_eq!(
            titles("{\"kind\":\"Pod\"}\n\t{\"kind\":\"Job\"}"),
            ["Pod (no name)", "Job (no name)"]
        );
        assert_eq!(titles(""), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        let error = format!(
            "{:#}",
            parse("f.yaml", "kind: Pod\n---\n- a\n").unwrap_err()
        );
        assert_eq!(
            error,
            "f.yaml, document 2 is not a Kubernetes object: it is no mapping"
        );
        let error = format!("{:#}", parse("f.yaml", "kind: Pod\n  a: b\n").unwrap_err());
        assert!(
            error.contains("f.yaml is neither YAML nor JSON") && error.contains("line 2"),
            "{error}"
        );
    }
}
