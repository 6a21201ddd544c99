//! One object, and where it stands.

use serde_json::Value;

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it stands: file, and its number when there are several.
    pub origin: String,
    /// The object.
    pub value: Value,
}

impl Document {
    /// Such as `Deployment`; empty where it has none.
    pub fn kind(&self) -> &str {
        self.text(&["kind"]).unwrap_or_default()
    }

    /// A string at a path.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        path.iter()
            .try_fold(&self.value, |value, key| value.get(key))?
            .as_str()
    }

    /// `Kind namespace/name`, as a person would call it.
    pub fn title(&self) -> String {
        let name = self
            .text(&["metadata", "name"])
            .or_else(|| self.text(&["metadata", "generateName"]));
        let namespace = self
            .text(&["metadata", "namespace"])
            .map_or_else(String::new, |ns| format!("{ns}/"));
        format!("{} {namespace}{}", self.kind(), name.unwrap_or("(no name)"))
    }
}
