//! What has no key of ours: why, and what to do instead.
//!
//! Deliberately not here: fields that have one, and are refused for their value.

use serde_json::{Value, json};

use super::section::{Mapping, Notes};

/// Languages beside Java that a resource has a section for.
pub(super) const LANGUAGES: [&str; 6] =
    ["nodejs", "python", "dotnet", "go", "apacheHttpd", "nginx"];

/// What the operator itself filled in is nobody's wish.
pub(super) fn is_operators_image(resource: &Value, language: &str, image: Option<&str>) -> bool {
    let language = if language == "apacheHttpd" {
        "apache-httpd"
    } else {
        language
    };
    let key =
        format!("instrumentation.opentelemetry.io/default-auto-instrumentation-{language}-image");
    let annotations = resource.pointer("/metadata/annotations");
    let filled_in = annotations.and_then(|annotations| annotations.get(key)?.as_str());
    image.is_some() && image == filled_in
}

pub(super) fn language(resource: &Value, language: &str, mut section: Mapping, report: &mut Notes) {
    let is_empty = section.is_empty();
    let image = section.text("image", report);
    let is_default =
        is_operators_image(resource, language, image.as_deref()) && section.lacks("env");
    if !is_empty && !is_default {
        report.left(
            &format!("spec.{language}"),
            "Javelin is for Java alone; leave the operator in charge of these pods",
        );
    }
}

pub(super) fn java(java: &mut Mapping, report: &mut Notes) {
    for (key, why) in [
        (
            "volumeClaimTemplate",
            "the jar goes into an emptyDir; nothing is to be done",
        ),
        (
            "volumeLimitSize",
            "the emptyDir has a limit that fits the jar; nothing is to be done",
        ),
    ] {
        if java.take(key).is_some() {
            report.left(&java.path(key), why);
        }
    }
    for key in ["resources", "resourceRequirements"] {
        let taken = java.take(key);
        if taken.is_some_and(|resources| resources != operators_resources()) {
            report.left(
                &java.path(key),
                "the init container takes the requests and limits of the container that gets the agent; nothing is to be done",
            );
        }
    }
}

/// The section of defaults, whose one key is also ours: `useLabelsForResourceAttributes`.
pub(super) fn defaults(spec: &mut Mapping, report: &mut Notes) -> Option<bool> {
    let mut defaults = spec.section("defaults", report);
    let uses_labels = defaults.switch("useLabelsForResourceAttributes", report);
    defaults.finish(report);
    if spec.take("initContainerSecurityContext").is_some() {
        report.left(
            "spec.initContainerSecurityContext",
            "the init container has one that the restricted Pod Security level admits; nothing is to be done",
        );
    }
    uses_labels.filter(|uses| *uses)
}

pub(super) fn resource(mut resource: Mapping, report: &mut Notes) {
    let mut kubernetes = resource.section("k8sMetadata", report);
    let service = resource.section("serviceMetadata", report);
    for (section, key) in [
        (&mut resource, "addK8sUIDAttributes"),
        (&mut kubernetes, "includeUIDs"),
    ] {
        if section.switch(key, report) == Some(true) {
            report.left(
                &section.path(key),
                "k8s.pod.uid is always set; the UIDs of owners are not known without reading them",
            );
        }
    }
    for mut section in [kubernetes, service] {
        if section.switch("enabled", report) == Some(false) {
            report.left(
                &section.path("enabled"),
                "these attributes are always set; a pod that sets its own keeps them",
            );
        }
        section.finish(report);
    }
    resource.finish(report);
}

/// What the operator's defaulting writes into every resource.
fn operators_resources() -> Value {
    json!({ "limits": { "cpu": "500m", "memory": "256Mi" }, "requests": { "cpu": "50m", "memory": "64Mi" } })
}
