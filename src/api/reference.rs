//! One object of the cluster, as a person names it: `shop/deployment/orders`.

use std::fmt;

use javelin_core::kinds::Kind;

/// One object in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    kind: &'static Kind,
    /// Its namespace; the context's own when it is missing.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Reference {
    /// Reads `[NAMESPACE/]KIND/NAME`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').collect();
        let (namespace, kind, name) = match parts[..] {
            [kind, name] => (None, kind, name),
            [namespace, kind, name] => (Some(namespace.to_owned()), kind, name),
            _ => return Err("write [NAMESPACE/]KIND/NAME, as shop/deployment/orders".to_owned()),
        };
        if name.is_empty() || namespace.as_deref() == Some("") {
            return Err("a name is empty; write [NAMESPACE/]KIND/NAME".to_owned());
        }
        let kind = Kind::called(kind).ok_or_else(|| {
            let known: Vec<_> = Kind::previewed().map(Kind::singular).collect();
            format!(
                "{kind:?} has no pods that are known; one of {}",
                known.join(", ")
            )
        })?;
        Ok(Self {
            kind,
            namespace,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
        } = self;
        if let Some(namespace) = namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{name}", kind.singular())
    }
}

impl Reference {
    /// Where it is read, in this namespace.
    pub fn path(&self, namespace: &str) -> String {
        format!("{}/{}", self.kind.path(Some(namespace)), self.name)
    }

    /// As in the object.
    pub fn kind(&self) -> &'static str {
        self.kind.name
    }
}

#[cfg(test)]
mod tests;
