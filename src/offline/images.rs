//! Which images a mirror has to have.
//!
//! Pure: a configuration, or manifests, in; references out. `javelin images` prints them.
//!
//! What the pod templates of known kinds name is sure. What other fields, variables and arguments name is probable, and
//! kept apart. [`Image::checked`] is the grammar.
//!
//! Deliberately not here: asking a registry. A digest is known when somebody has written it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use javelin_core::{
    config::{Config, Extensions, check_image},
    kinds::{self, Kind},
};
use serde::Serialize;
use serde_json::Value;

mod probable;

/// An image reference, in its parts (the grammar of `distribution/reference`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Image {
    /// Host, and port if any; absent where the container runtime supplies it.
    pub registry: Option<String>,
    /// Path in the registry.
    pub repository: String,
    /// Tag.
    pub tag: Option<String>,
    /// `sha256:…`.
    pub digest: Option<String>,
}

/// Images, and what each is for.
pub type Uses = BTreeMap<Image, BTreeSet<String>>;

/// The images of a configuration: what carries the jar, for each profile that brings it into pods.
pub fn of_config(config: &Config) -> Uses {
    let mut uses = Uses::new();
    let default = config.profile("true");
    for profile in default.into_iter().chain(config.profiles()) {
        if profile.delivery.uses_image() {
            let what = format!("agent of profile {}", profile.name);
            let image = Image::parse(&profile.agent.image);
            uses.entry(image).or_default().insert(what);
        }
        if let Some(Extensions::Image { image, .. }) = &profile.agent.extensions {
            let what = format!("extensions of profile {}", profile.name);
            uses.entry(Image::parse(image)).or_default().insert(what);
        }
    }
    uses
}

/// What an object says of images.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FoundImages {
    /// Of its containers and its volumes, and of a configuration that it holds.
    pub sure: Uses,
    /// Of other fields, variables and arguments that look like an image.
    pub probable: Uses,
    /// Its kind, where nobody knows by that which images come of it: a custom resource, or a workload without pods.
    pub unknown: Option<String>,
}

/// The images of an object.
pub fn of_object(object: &Value) -> FoundImages {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or("(no kind)");
    if kind == "ConfigMap" {
        let config = text("/data/config.yaml").and_then(|text| Config::parse(text, "").ok());
        return FoundImages {
            sure: config.as_ref().map(of_config).unwrap_or_default(),
            ..FoundImages::default()
        };
    }
    let pods = kinds::pods(object);
    let specs: Vec<_> = pods
        .iter()
        .filter_map(|pod| pod.of(object)?.get("spec"))
        .collect();
    let list = |key: &'static str| {
        let lists = specs
            .iter()
            .filter_map(move |spec| spec.get(key)?.as_array());
        lists.flatten()
    };
    let containers = list("containers").chain(list("initContainers"));
    let containers = containers.filter_map(|container| container.get("image"));
    let volumes = list("volumes").filter_map(|volume| volume.pointer("/image/reference"));
    let name = format!("{kind} {}", text("/metadata/name").unwrap_or("(no name)"));
    let mut sure = Uses::new();
    for image in containers.chain(volumes).filter_map(Value::as_str) {
        let uses = sure.entry(Image::parse(image)).or_default();
        uses.insert(name.clone());
    }
    let mut probable = Uses::new();
    for (image, path) in probable::images(object) {
        if !sure.contains_key(&image) {
            let uses = probable.entry(image).or_default();
            uses.insert(format!("{name}, {path}"));
        }
    }
    let is_known = match Kind::of(object) {
        Some(_) => !specs.is_empty(),
        None => kinds::is_built_in(text("/apiVersion").unwrap_or_default()),
    };
    FoundImages {
        sure,
        probable,
        unknown: (!is_known).then(|| kind.to_owned()),
    }
}

impl Image {
    /// Takes a reference apart; `None` for what no kubelet takes.
    pub fn checked(reference: &str) -> Option<Self> {
        check_image(reference).ok()?;
        Some(Self::parse(reference))
    }

    /// Takes a reference apart.
    pub fn parse(reference: &str) -> Self {
        let (name, digest) = match reference.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (reference, None),
        };
        // A host has a dot or a port, or is localhost; else the first part is a folder of the default registry.
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host.to_owned()), path)
            }
            _ => (None, name),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        Self {
            registry,
            repository: repository.to_owned(),
            tag,
            digest,
        }
    }

    /// The same image in a mirror: another host, perhaps with a folder, and the same path below it.
    #[must_use]
    pub fn in_registry(&self, registry: &str) -> Self {
        let mirror = registry.trim_end_matches('/');
        let (host, folder) = match mirror.split_once('/') {
            Some((host, folder)) => (host, format!("{folder}/")),
            None => (mirror, String::new()),
        };
        Self {
            registry: Some(host.to_owned()),
            repository: format!("{folder}{}", self.repository),
            ..self.clone()
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_comes_out_as_it_went_in_and_moves_to_a_mirror() {
        for (reference, mirrored) in [
            (
                "localhost/javelin:0.2.0",
                "mirror.example.com:5000/otel/javelin:0.2.0",
            ),
            (
                "eclipse-temurin",
                "mirror.example.com:5000/otel/eclipse-temurin",
            ),
            ("team/app:1", "mirror.example.com:5000/otel/team/app:1"),
            (
                "registry:5000/team/app:1@sha256:ab",
                "mirror.example.com:5000/otel/team/app:1@sha256:ab",
            ),
            (
                "ghcr.io/a/b@sha256:ab",
                "mirror.example.com:5000/otel/a/b@sha256:ab",
            ),
        ] {
            let image = Image::parse(reference);
            assert_eq!(image.to_string(), reference);
            let image = image.in_registry("mirror.example.com:5000/otel/");
            assert_eq!(image.to_string(), mirrored);
        }
    }

    #[test]
    fn each_profile_that_brings_the_jar_counts() {
        let text = "default: {agent: {image: 'r.example/a:1'}}\nprofiles:\n  own: {agent: {image: 'r.example/b:1'}}\n  \
                    there: {delivery: preinstalled, agent: {path: /agent.jar}}\n";
        let uses = of_config(&Config::parse(text, "test").unwrap());
        let images: Vec<_> = uses.keys().map(ToString::to_string).collect();
        assert_eq!(images, ["r.example/a:1", "r.example/b:1"]);
        let object =
            json!({ "kind": "ConfigMap", "metadata": {}, "data": { "config.yaml": text } });
        assert_eq!(of_object(&object).sure, uses);
    }

    #[test]
    fn containers_init_containers_and_image_volumes_count() {
        let spec = json!({
            "containers": [{ "image": "a" }], "initContainers": [{ "image": "b" }],
            "volumes": [{ "image": { "reference": "c" } }, { "emptyDir": {} }],
        });
        let object = json!({
            "kind": "Deployment", "metadata": { "name": "x" }, "spec": { "template": { "spec": spec } },
        });
        let FoundImages {
            sure,
            probable,
            unknown,
        } = of_object(&object);
        let images: Vec<_> = sure.keys().map(ToString::to_string).collect();
        assert_eq!(images, ["a", "b", "c"]);
        assert!(probable.is_empty(), "{probable:?}");
        assert_eq!(unknown, None);
        let service = json!({ "apiVersion": "v1", "kind": "Service" });
        assert_eq!(of_object(&service), FoundImages::default());
    }

    #[test]
    fn what_is_not_known_is_said() {
        for (object, expected) in [
            (
                json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role" }),
                None,
            ),
            (
                json!({ "apiVersion": "monitoring.example.com/v1", "kind": "Prometheus" }),
                Some("Prometheus"),
            ),
            (
                json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": {} }),
                Some("Deployment"),
            ),
            (json!({ "a": 1 }), Some("(no kind)")),
        ] {
            assert_eq!(of_object(&object).unknown.as_deref(), expected, "{object}");
        }
    }
}
