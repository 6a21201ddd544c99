//! What an image reference tells: a version, and images that no agent gets into by a variable.

use std::borrow::Cow;

use super::{plan::Warning, pod::Container};
use crate::steps;

/// Does the image's start script take the variable away?
pub(super) fn warning(container: &Container) -> Option<Warning> {
    let reference = container.image.as_deref()?;
    steps::take(reference.len());
    let name = reference.split('@').next()?.rsplit('/').next()?;
    let name = name.split(':').next()?;
    let (image, reads) = DROPPING.iter().find(|(image, _)| *image == name)?;
    Some(Warning::OptionsDropped {
        container: container.name.clone(),
        image,
        reads,
    })
}

/// Images whose start script has `unset JAVA_TOOL_OPTIONS`, and the variable that it reads instead: `bin/elasticsearch-env`,
/// `bin/logstash.lib.sh` and `bin/opensearch-env` of the projects.
const DROPPING: [(&str, &str); 8] = [
    ("elasticsearch", "ES_JAVA_OPTS"),
    ("elasticsearch-oss", "ES_JAVA_OPTS"),
    ("elasticsearch-wolfi", "ES_JAVA_OPTS"),
    ("logstash", "LS_JAVA_OPTS"),
    ("logstash-oss", "LS_JAVA_OPTS"),
    ("logstash-oss-with-opensearch-output-plugin", "LS_JAVA_OPTS"),
    ("logstash-wolfi", "LS_JAVA_OPTS"),
    ("opensearch", "OPENSEARCH_JAVA_OPTS"),
];

/// What `service.version` says of an image: `tag@digest`, the digest, or the tag; nothing when it has neither
/// (`latest` would be a guess).
pub(super) fn version(reference: &str) -> Option<Cow<'_, str>> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last
        .split_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.is_empty());
    match (tag, digest) {
        (Some(tag), Some(digest)) => Some(Cow::Owned(format!("{tag}@{digest}"))),
        (Some(tag), None) => Some(Cow::Borrowed(tag)),
        (None, Some(digest)) => Some(Cow::Borrowed(digest)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_port_is_no_tag() {
        for (reference, expected) in [
            ("app", None),
            ("app:1.2", Some("1.2")),
            ("registry:5000/app", None),
            ("registry:5000/team/app:1", Some("1")),
            ("app@sha256:ab", Some("sha256:ab")),
            ("registry:5000/app:1@sha256:ab", Some("1@sha256:ab")),
        ] {
            assert_eq!(version(reference).as_deref(), expected, "{reference}");
        }
    }
}
