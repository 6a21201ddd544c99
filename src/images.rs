//! Which images a mirror has to have.
//!
//! Pure: a configuration, or manifests, in; references out. `javelin images` prints them.
//!
//! Deliberately not here: asking a registry. A digest is known when somebody has written it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{Config, Extensions},
    patch::PodPath,
};

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

/// The images of an object: of its containers and its volumes, and of a configuration that it holds.
pub fn of_object(object: &Value) -> Uses {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or_default();
    if kind == "ConfigMap" {
        let config = text("/data/config.yaml").and_then(|text| Config::parse(text, "").ok());
        return config.as_ref().map(of_config).unwrap_or_default();
    }
    let pod = PodPath::of_kind(kind).and_then(|path| path.of(object));
    let list = |key: &str| {
        let list = pod.and_then(|pod| pod.get("spec")?.get(key)?.as_array());
        list.into_iter().flatten()
    };
    let containers = list("containers").chain(list("initContainers"));
    let containers = containers.filter_map(|container| container.get("image"));
    let volumes = list("volumes").filter_map(|volume| volume.pointer("/image/reference"));
    let name = text("/metadata/name").unwrap_or("(no name)");
    let mut uses = Uses::new();
    for image in containers.chain(volumes).filter_map(Value::as_str) {
        let image = Image::parse(image);
        uses.entry(image)
            .or_default()
            .insert(format!("{kind} {name}"));
    }
    uses
}

impl Image {
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
                "localhost/javelin:0.1.0",
                "mirror.example.com:5000/otel/javelin:0.1.0",
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
        assert_eq!(of_object(&object), uses);
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
        let uses = of_object(&object);
        let images: Vec<_> = uses.keys().map(ToString::to_string).collect();
        assert_eq!(images, ["a", "b", "c"]);
        assert!(of_object(&json!({ "kind": "Service" })).is_empty());
    }
}
