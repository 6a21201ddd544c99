//! Which objects have pods in them, by API group and kind, and where those stand.
//!
//! A kind is known by its group as well: a core Service has no pods, and one of Knative's has. An object without an
//! `apiVersion` is taken by its kind alone.
//!
//! Deliberately not here: what the webhook does to a label (see [`workload`](crate::workload)).

use serde_json::Value;

use crate::{mutate::keys, patch::PodPath, steps};

/// A kind of object with pods in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    group: &'static str,
    /// As in the object.
    pub name: &'static str,
    /// The list in whose items its pods stand; one pod stands in the object itself.
    list: Option<&'static [&'static str]>,
    /// Where its pod stands, there.
    pub(crate) place: PodPath,
    /// Does the webhook copy its label into the pod template?
    pub is_label_copied: bool,
    /// May the template change later? A patch on an update of another kind would be refused by the API server, and
    /// fail the user's command in spite of `failurePolicy: Ignore`.
    is_mutable: bool,
    /// Is it made from somebody else's template, when it has an owner? A `Deployment` replaces a `ReplicaSet` whose
    /// template differs from its own, for ever; the label is then the Deployment's to copy.
    pub(crate) is_derived: bool,
}

/// The pods of an object: where each stands. Empty for an object of another kind, or without what has to be there, or with
/// more of them than are looked at.
pub fn pods(object: &Value) -> Vec<PodPath> {
    let Some(kind) = Kind::of(object) else {
        return Vec::new();
    };
    let paths = match kind.list {
        None => vec![kind.place],
        Some(list) => {
            let count = kind.items(object);
            let count = if count > MOST_ITEMS { 0 } else { count };
            (0..count)
                .map(|index| kind.place.in_item(list, index))
                .collect()
        }
    };
    let is_there = |path: &PodPath| path.of(object).is_some_and(Value::is_object);
    paths.into_iter().filter(is_there).collect()
}

/// What to say of an object that asks for the agent and whose pods are not known here; `None` for all others. Kinds of
/// Kubernetes itself that are not known here have no pods: a label on them is there for other reasons.
pub fn passed_over(object: &Value) -> Option<String> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let (version, name) = (text("apiVersion")?, text("kind")?);
    let why = match Kind::of(object) {
        Some(kind) if kind.items(object) > MOST_ITEMS => {
            format!("more than {MOST_ITEMS} kinds of pods are in it")
        }
        None if !is_built_in(version) => {
            format!("{version} {name} is not a kind whose pods are known here")
        }
        _ => return None,
    };
    let effect = if is_asked_for_inside(object) {
        "the label on its pods has an effect through the webhook only"
    } else if is_asked_for(object) {
        "the label on it has none: only one on its pods has, and through the webhook only"
    } else {
        return None;
    };
    Some(format!("{why}; {effect}"))
}

/// The code of [`passed_over`].
pub const UNKNOWN: &str = "unknown-kind";

/// What to say of an object whose own label counts for nothing, as nobody copies it to its pods.
pub fn label_not_copied(object: &Value) -> Option<String> {
    let kind = Kind::of(object).filter(|kind| !kind.is_label_copied)?;
    (kind.place != PodPath::POD && is_asked_for(object)).then(|| {
        format!(
            "the label of a {} counts in its pod template only; put it there",
            kind.name
        )
    })
}

/// The code of [`label_not_copied`].
pub const NOT_COPIED: &str = "label-not-copied";

/// What a person should know who puts an agent into such an object.
pub fn lint(object: &Value) -> Option<&'static str> {
    Kind::of(object).filter(|kind| kind.group == KNATIVE)?;
    Some(
        "knative: Knative takes it only with the features kubernetes.podspec-init-containers and kubernetes.podspec-fieldref; \
         without them leave it to the webhook, which changes the pods",
    )
}

/// Does an object, or what is like one, have the label, and not to say no?
fn is_asked_for(object: &Value) -> bool {
    has_label(object.get("metadata").unwrap_or(&Value::Null))
}

fn has_label(metadata: &Value) -> bool {
    let labels = metadata.get("labels");
    let label = labels.and_then(|labels| labels.get(keys::INJECT)?.as_str());
    label.is_some_and(|value| value != "false")
}

/// Does something in the object have it, wherever its kind keeps what becomes the metadata of pods?
fn is_asked_for_inside(object: &Value) -> bool {
    let members = object.as_object().into_iter().flatten();
    let mut rest: Vec<_> = members
        .filter(|(key, _)| *key != "metadata")
        .map(|(_, value)| value)
        .collect();
    while let Some(value) = rest.pop() {
        steps::take(1);
        if has_label(value) {
            return true;
        }
        match value {
            Value::Object(map) => rest.extend(map.values()),
            Value::Array(items) => rest.extend(items),
            _ => {}
        }
    }
    false
}

/// Is it a version of Kubernetes' own kinds? None but those known here have pods.
pub fn is_built_in(api_version: &str) -> bool {
    let group = group_of(api_version);
    !api_version.is_empty() && (!group.contains('.') || group.ends_with(".k8s.io"))
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

impl Kind {
    const fn new(group: &'static str, name: &'static str, place: PodPath) -> Self {
        Self {
            group,
            name,
            list: None,
            place,
            is_label_copied: false,
            is_mutable: true,
            is_derived: false,
        }
    }

    const fn copied(group: &'static str, name: &'static str, place: PodPath) -> Self {
        Self {
            is_label_copied: true,
            ..Self::new(group, name, place)
        }
    }

    /// The kind of an object.
    pub fn of(object: &Value) -> Option<&'static Self> {
        let version = object.get("apiVersion").and_then(Value::as_str);
        Self::named(version.map(group_of), object.get("kind")?.as_str()?)
    }

    /// The kind of that name; of any group, where that is not known.
    pub fn named(group: Option<&str>, name: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| kind.name == name && group.is_none_or(|group| kind.group == group))
    }

    /// Does the webhook copy its label on that operation?
    pub fn is_label_copied_on(&self, operation: &str) -> bool {
        self.is_label_copied
            && match operation {
                "CREATE" => true,
                "UPDATE" => self.is_mutable,
                _ => false,
            }
    }

    fn items(&self, object: &Value) -> usize {
        let items = self.list.and_then(|list| PodPath::at(list).of(object));
        items.and_then(Value::as_array).map_or(0, Vec::len)
    }
}

/// Whoever has more of them would have each looked at in all of the object.
const MOST_ITEMS: usize = 64;

const KINDS: [Kind; 21] = [
    Kind::new("", "Pod", PodPath::POD),
    Kind::copied("apps", "Deployment", PodPath::TEMPLATE),
    Kind::copied("apps", "StatefulSet", PodPath::TEMPLATE),
    Kind::copied("apps", "DaemonSet", PodPath::TEMPLATE),
    Kind {
        is_derived: true,
        ..Kind::copied("apps", "ReplicaSet", PodPath::TEMPLATE)
    },
    Kind {
        is_mutable: false,
        ..Kind::copied("batch", "Job", PodPath::TEMPLATE)
    },
    Kind::copied("batch", "CronJob", PodPath::JOB_TEMPLATE),
    Kind::copied("", "PodTemplate", PodPath::POD_TEMPLATE),
    Kind::copied("argoproj.io", "Rollout", PodPath::TEMPLATE),
    // Of clusters that are long gone, and manifests that are not.
    Kind::copied("extensions", "Deployment", PodPath::TEMPLATE),
    Kind::copied("extensions", "DaemonSet", PodPath::TEMPLATE),
    Kind {
        is_derived: true,
        ..Kind::copied("extensions", "ReplicaSet", PodPath::TEMPLATE)
    },
    Kind::new("", "ReplicationController", PodPath::TEMPLATE),
    Kind::new("apps.openshift.io", "DeploymentConfig", PodPath::TEMPLATE),
    Kind::new("apps.kruise.io", "CloneSet", PodPath::TEMPLATE),
    Kind::new("apps.kruise.io", "StatefulSet", PodPath::TEMPLATE),
    Kind::new("apps.kruise.io", "DaemonSet", PodPath::TEMPLATE),
    Kind::new(KNATIVE, "Service", PodPath::TEMPLATE),
    Kind::new(KNATIVE, "Configuration", PodPath::TEMPLATE),
    Kind::new(KNATIVE, "Revision", PodPath::POD),
    Kind {
        list: Some(&["spec", "replicatedJobs"]),
        ..Kind::new(
            "jobset.x-k8s.io",
            "JobSet",
            PodPath::at(&["template", "spec", "template"]),
        )
    },
];

const KNATIVE: &str = "serving.knative.dev";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels() -> Value {
        json!({ keys::INJECT: "true" })
    }

    #[test]
    fn a_kind_is_known_by_its_group() {
        let object = |version: &str, kind: &str| json!({ "apiVersion": version, "kind": kind, "metadata": { "labels": labels() }, "spec": { "template": {} } });
        assert_eq!(pods(&object("v1", "Service")), []);
        assert_eq!(passed_over(&object("v1", "Service")), None);
        assert_eq!(
            pods(&object("serving.knative.dev/v1", "Service")),
            [PodPath::TEMPLATE]
        );
        assert_eq!(pods(&object("apps/v1", "Deployment")), [PodPath::TEMPLATE]);
        assert_eq!(pods(&object("batch.volcano.sh/v1alpha1", "Job")), []);
        assert!(passed_over(&object("batch.volcano.sh/v1alpha1", "Job")).is_some());
        let is_copied =
            |version| Kind::of(&object(version, "StatefulSet")).map(|it| it.is_label_copied);
        assert_eq!(is_copied("apps/v1"), Some(true));
        assert_eq!(is_copied("apps.kruise.io/v1beta1"), Some(false));
        assert!(label_not_copied(&object("v1", "ReplicationController")).is_some());
        assert_eq!(label_not_copied(&object("v1", "Pod")), None);
    }

    #[test]
    fn each_job_of_a_jobset_has_pods() {
        let job = |name: &str| json!({ "name": name, "template": { "spec": { "template": { "metadata": { "name": name } } } } });
        let mut object = json!({
            "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "spec": { "replicatedJobs": [job("a"), {}, job("b")] }
        });
        let paths = pods(&object);
        let names: Vec<_> = paths
            .iter()
            .filter_map(|path| path.of(&object)?.pointer("/metadata/name")?.as_str())
            .collect();
        assert_eq!(names, ["a", "b"]);
        *paths[1].of_mut(&mut object).unwrap() = json!(1);
        assert_eq!(
            object["spec"]["replicatedJobs"][2]["template"]["spec"]["template"],
            1
        );
        assert_eq!(passed_over(&object), None);
        let mut many = job("a");
        many["template"]["spec"]["template"]["metadata"]["labels"] = labels();
        object["spec"]["replicatedJobs"] = vec![many; MOST_ITEMS + 1].into();
        assert_eq!(pods(&object), []);
        assert!(passed_over(&object).unwrap().starts_with("more than 64"));
    }

    #[test]
    fn what_asks_in_an_unknown_kind_is_found_wherever_it_stands() {
        let object = |place: &str, metadata: Value| {
            let mut object = json!({ "apiVersion": "example.com/v1", "kind": "Thing", "metadata": {}, "spec": { "roles": [{}] } });
            *object.pointer_mut(place).unwrap() = metadata;
            object
        };
        let asks = json!({ "labels": labels() });
        let inside = passed_over(&object("/spec", json!({ "a": [{ "podMetadata": asks }] })));
        assert!(inside.unwrap().ends_with("through the webhook only"));
        assert!(passed_over(&object("/spec/roles/0", asks.clone())).is_some());
        let on_it = passed_over(&object("/metadata", asks)).unwrap();
        assert!(on_it.contains("the label on it has none"), "{on_it}");
        for none in [
            json!({}),
            json!({ "labels": { keys::INJECT: "false" } }),
            json!({ "matchLabels": labels() }),
        ] {
            assert_eq!(passed_over(&object("/metadata", none.clone())), None);
            assert_eq!(passed_over(&object("/spec/roles/0", none)), None);
        }
    }
}
