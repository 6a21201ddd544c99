//! Names in an object that are images, as far as one can tell without knowing its kind.
//!
//! Deliberately not here: pod templates of known kinds. What stands in those is sure.

use std::fmt;

use serde_json::{Map, Value};

use super::Image;

/// Images with the paths of the fields that name them, such as `spec.image`.
pub(super) fn images(object: &Value) -> Vec<(Image, String)> {
    let mut search = Search {
        path: Vec::new(),
        found: Vec::new(),
    };
    search.value(object);
    search.found
}

struct Search<'a> {
    path: Vec<Step<'a>>,
    found: Vec<(Image, String)>,
}

enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, ".{key}"),
            Self::Item(at) => write!(f, "[{at}]"),
        }
    }
}

impl<'a> Search<'a> {
    fn value(&mut self, value: &'a Value) {
        match value {
            Value::Object(members) => self.mapping(members),
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.below(Step::Item(at), |search| search.value(item));
                }
            }
            _ => {}
        }
    }

    fn mapping(&mut self, members: &'a Map<String, Value>) {
        let text = |key: &str| members.get(key).and_then(Value::as_str);
        // A variable of a container, which may have any name.
        if let (Some(name), Some(value)) = (text("name"), text("value")) {
            self.below(Step::Key("value"), |search| search.text(name, value));
        }
        for (key, value) in members {
            self.below(Step::Key(key), |search| match value {
                Value::String(text) if is_image(key) => search.field(key, text),
                Value::Object(parts) if is_image(key) => {
                    search.parts(parts);
                    search.mapping(parts);
                }
                Value::Array(arguments) if key == "args" || key == "command" => {
                    search.arguments(arguments);
                }
                value => search.value(value),
            });
        }
    }

    /// `image: …`; under another name only what has more than one part, since words are often valid names.
    fn field(&mut self, key: &str, text: &str) {
        if key == "image" || text.contains(['/', ':']) {
            self.add(Image::checked(text));
        }
    }

    /// `image: {registry: …, repository: …, tag: …, digest: …}`.
    fn parts(&mut self, parts: &Map<String, Value>) {
        let text = |key: &str| {
            let text = parts.get(key).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let (tag, digest) = (text("tag"), text("digest"));
        let Some(repository) = text("repository").filter(|_| tag.is_some() || digest.is_some())
        else {
            return;
        };
        let mut reference = text("registry").map_or_else(String::new, |host| format!("{host}/"));
        reference.push_str(repository);
        for (mark, part) in [(":", tag), ("@", digest)] {
            reference.extend(part.into_iter().flat_map(|part| [mark, part]));
        }
        self.add(Image::checked(&reference));
    }

    /// `--flag=…`, or a reference alone.
    fn arguments(&mut self, arguments: &'a [Value]) {
        for (at, argument) in arguments.iter().enumerate() {
            let Some(argument) = argument.as_str() else {
                continue;
            };
            let (flag, value) = argument.split_once('=').unwrap_or(("", argument));
            self.below(Step::Item(at), |search| search.text(flag, value));
        }
    }

    /// The text of something that may mean anything: with a tag or digest, and a registry, unless it is called an image.
    fn text(&mut self, name: &str, text: &str) {
        let image = Image::checked(text).filter(|image| {
            let is_complete = image.tag.is_some() || image.digest.is_some();
            let is_called_so = name.to_ascii_lowercase().contains("image");
            let is_named =
                image.registry.is_some() || is_called_so && image.repository.contains('/');
            is_complete && is_named
        });
        self.add(image);
    }

    fn add(&mut self, image: Option<Image>) {
        let Some(image) = image else { return };
        let path: String = self.path.iter().map(ToString::to_string).collect();
        let path = path.trim_start_matches('.').to_owned();
        self.found.push((image, path));
    }

    fn below(&mut self, step: Step<'a>, look: impl FnOnce(&mut Self)) {
        self.path.push(step);
        look(self);
        self.path.pop();
    }
}

/// `image`, `baseImage`, `imageName`.
fn is_image(key: &str) -> bool {
    key == "image" || key == "imageName" || key.ends_with("Image")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Sorted: whether a mapping keeps its order is nobody's business here.
    fn found(object: &Value) -> Vec<String> {
        let found = images(object).into_iter();
        let mut found: Vec<_> = found
            .map(|(image, path)| format!("{image} {path}"))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn fields_called_image_and_their_parts_are_found_in_any_kind() {
        let object = json!({ "kind": "Database", "spec": {
            "image": "postgres",
            "baseImage": "quay.io/team/base:1",
            "initImage": "true",
            "imageName": "ghcr.io/team/db:16",
            "imagePullPolicy": "a/b:c",
            "backup": [{ "image": { "registry": "r.example", "repository": "team/backup", "tag": "2" } }],
            "proxy": { "image": { "repository": "team/proxy", "digest": "sha256:no", "tag": "" } },
            "logo": { "image": "Some text" },
        } });
        assert_eq!(
            found(&object),
            [
                "ghcr.io/team/db:16 spec.imageName",
                "postgres spec.image",
                "quay.io/team/base:1 spec.baseImage",
                "r.example/team/backup:2 spec.backup[0].image",
            ]
        );
    }

    #[test]
    fn arguments_and_variables_have_to_look_like_nothing_else() {
        let object = json!({ "containers": [{
            "args": [
                "--config-reloader=quay.io/team/reloader:v1",
                "--default-base-image=team/thanos:v2",
                "quay.io/team/own:v3",
                "--endpoint=collector.observability.svc:4317/v1",
                "--url=https://r.example/a:1",
                "--bind=0.0.0.0:8080",
                "--x=team/app:1",
                "--image-pull-policy=Always",
                7,
            ],
            "env": [
                { "name": "RELATED_IMAGE_PROXY", "value": "team/proxy:1" },
                { "name": "OTHER", "value": "r.example/other:1" },
                { "name": "ADDRESS", "value": "r.example:8080" },
            ],
        }] });
        assert_eq!(
            found(&object),
            [
                "quay.io/team/own:v3 containers[0].args[2]",
                "quay.io/team/reloader:v1 containers[0].args[0]",
                "r.example/other:1 containers[0].env[1].value",
                "team/proxy:1 containers[0].env[0].value",
                "team/thanos:v2 containers[0].args[1]",
            ]
        );
    }
}
