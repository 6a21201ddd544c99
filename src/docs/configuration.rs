//! `docs/configuration.md`: the keys of the file, and the names that people write on their objects.

use std::fmt::Write as _;

use javelin_core::{
    config::reference::{FILE, Key, PROFILE, ValueKind},
    mutate::keys,
};

use super::{GENERATED, row};

pub(super) fn page() -> String {
    let mut page = format!("{GENERATED}{INTRODUCTION}");
    page.push_str("\n## The file\n\n");
    page.push_str(&table(FILE));
    let _ = write!(page, "\n## A profile\n\n{PROFILES}\n");
    page.push_str(&table(PROFILE));
    page.push_str("\n## Labels and annotations\n\nWhat Javelin reads from your objects, and what it writes.\n\n");
    page.push_str(&row(&["key", "where", "what"]));
    page.push_str(&row(&["---", "---", "---"]));
    for (key, place, means) in KEYS {
        page.push_str(&row(&[&format!("`{key}`"), place, means]));
    }
    page
}

fn table(keys: &[Key]) -> String {
    let mut table = row(&["key", "type", "default", "what", "example"]);
    table.push_str(&row(&["---", "---", "---", "---", "---"]));
    for Key {
        path,
        kind,
        default,
        unset,
        means,
        example,
    } in keys
    {
        let default = match *default {
            "null" => (*unset).to_owned(),
            default => format!("`{default}`"),
        };
        table.push_str(&row(&[
            &format!("`{path}`"),
            &type_of(*kind),
            &default,
            means,
            &format!("`{example}`"),
        ]));
    }
    table
}

fn type_of(kind: ValueKind) -> String {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match kind {
        ValueKind::Text => "text".to_owned(),
        ValueKind::Switch => "`true` or `false`".to_owned(),
        ValueKind::Quantity => "a quantity".to_owned(),
        ValueKind::OneOf(choices) => names(choices),
        ValueKind::List => "a list of names".to_owned(),
        ValueKind::Name(known) => format!("{}, or an extension's", names(known)),
        ValueKind::Names(known) => format!("a list of {}, or of an extension's", names(known)),
        ValueKind::Map => "names with texts".to_owned(),
        ValueKind::Profile => "a profile".to_owned(),
        ValueKind::Profiles => "names with profiles".to_owned(),
    }
}

#[test]
fn every_name_on_an_object_is_listed() {
    let source = include_str!("../../crates/javelin-core/src/mutate/keys.rs");
    let literals = source.split('"').skip(1).step_by(2);
    // The rest are paths, options, variables and names.
    let on_objects = literals.filter(|text| {
        text.split('/')
            .next()
            .is_some_and(|prefix| prefix.contains('.'))
    });
    let listed = |text: &str| KEYS.iter().any(|(key, ..)| key.starts_with(text));
    let missing: Vec<_> = on_objects
        .filter(|text| !listed(text) && !FIELDS.contains(text))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Paths of the downward API, and the jar, look like names.
const FIELDS: [&str; 6] = [
    "javaagent.jar",
    "metadata.namespace",
    "status.hostIP",
    "spec.nodeName",
    "metadata.name",
    "metadata.uid",
];

/// A name, where it stands, and what it does.
const KEYS: [(&str, &str, &str); 23] = [
    (
        keys::INJECT,
        "label of a Namespace, a workload, a pod template",
        "`true`, a profile's name, or `false`. The pod's wins over the workload's, which wins over the namespace's.",
    ),
    (
        keys::INJECT,
        "annotation of a pod, with `annotations: true`",
        "The same; surrounding blanks are ignored, and `True` means `true`. The pod's label wins over it.",
    ),
    (
        keys::CONTAINER_NAMES,
        "annotation of a pod",
        "Containers that get the agent, separated by commas; also init containers. `*`: all except known sidecars.",
    ),
    (
        keys::JAVA_CONTAINER_NAMES,
        "annotation of a pod",
        "The same; the two lists count together.",
    ),
    (
        keys::DEFAULT_CONTAINER,
        "annotation of a pod",
        "The container that gets the agent where no list names one.",
    ),
    (
        "resource.opentelemetry.io/<attribute>",
        "annotation of a pod",
        "A resource attribute. `service.name` becomes `OTEL_SERVICE_NAME`, or an attribute if it would hide something.",
    ),
    (
        keys::NAME_LABELS[0],
        "label of a pod, with `useLabelsForResourceAttributes: true`",
        "The service's name, if no annotation sets it.",
    ),
    (
        keys::NAME_LABELS[1],
        "label of a pod, with `useLabelsForResourceAttributes: true`",
        "The same, where there is no instance.",
    ),
    (
        keys::VERSION_LABEL,
        "label of a pod, with `useLabelsForResourceAttributes: true`",
        "The service's version, instead of the image's tag.",
    ),
    (
        "javelin.dev/env.<NAME>",
        "annotation of a pod",
        "A variable for the containers with the agent, if they do not set it themselves.",
    ),
    (
        keys::JAVA_TOOL_OPTIONS_BASE,
        "annotation of a pod",
        "The value of `JAVA_TOOL_OPTIONS` to append to, where the image or `envFrom` sets it.",
    ),
    (
        keys::ALLOW_OTHER_AGENT,
        "annotation of a pod",
        "`true`: start together with another vendor's agent.",
    ),
    (
        keys::INJECTED,
        "annotation of a pod, written",
        "The receipt: version, profile, configuration hash, image, delivery, and the variables of each container.",
    ),
    (
        keys::SKIPPED,
        "annotation of a pod, written",
        "Why the pod was left alone: a code of [reasons.md](reasons.md) and its sentence.",
    ),
    (
        keys::CERTIFICATES,
        "annotation of Javelin's own Secret, written",
        "The state of the certificate authorities, as a sentence for people.",
    ),
    (
        keys::ROTATE,
        "annotation of Javelin's own Secret, read",
        "Any value requests a new certificate authority; `javelin cert rotate` sets it. Removed once there is one.",
    ),
    (
        keys::CA_BUNDLE,
        "annotation of Javelin's own webhook configuration, read",
        "The chart sets it if the certificate is not Javelin's own: Javelin then writes no caBundle.",
    ),
    (
        keys::TOUCHED,
        "annotation of Javelin's own webhook configuration, written",
        "The generation up to which API servers have read it a second time, because one may have kept an older state.",
    ),
    (
        keys::FROM_WORKLOAD,
        "label of a workload and its pod template, written",
        "The copy of the workload's label. Removed with it.",
    ),
    (
        keys::GUARDED,
        "annotation of a workload, written and read",
        "The audit's guard took the agent back: the label at that moment, when, and why. While the workload has that label, it counts as `false`. To try again, remove it.",
    ),
    (
        keys::SAFE_TO_EVICT_VOLUMES,
        "annotation of a pod, written",
        "Javelin adds its volume to the list, so that the cluster autoscaler may still remove the node.",
    ),
    (
        keys::MIRROR_POD,
        "annotation of a pod",
        "Set by the kubelet on a static pod, which is left alone.",
    ),
    (
        keys::PROBE,
        "label and annotation of the probe's ConfigMap",
        "Javelin's own test whether the API server reaches it.",
    ),
];

const INTRODUCTION: &str = "
# Configuration

The configuration is one YAML file. In the cluster, the chart renders it from its values; on the command line it is
`--config FILE`. Every key is optional, and an empty file means the defaults. Unknown keys and invalid values are
refused, with their position and what would be valid.

```console
$ javelin config check deploy/examples/javelin.yaml
deploy/examples/javelin.yaml: good: default (efac56e3376e), batch (b565bafee3c2)

```

The name of a sampler, propagator or exporter from an extension of the agent is used as written. `javelin config check`
and the webhook's log warn that the name is not known.

`javelin config show --config FILE` prints what is in effect, with every default.

In the cluster, a changed file takes effect without a restart. A file that is refused changes nothing:
`javelin_config_last_reload_success` is 0, and the log says why. `javelin_profiles_without_entry` counts profiles that
namespaces cannot ask for yet, because the webhook configuration has no entry for them.
";

const PROFILES: &str = "\
`default` holds the keys below, and so does each profile under `profiles`. A named profile inherits from `default` what
it does not set itself; the pairs of `env` and `resourceAttributes` are merged. Some settings are only replaced as a
whole, because their parts belong
together: an endpoint with its protocol, headers and certificates, a sampler with its argument, and
`agent.command` and `agent.path` with the image or delivery that they are for.
";
