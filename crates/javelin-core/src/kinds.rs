//! The kinds of objects that contain pods: where the pod or pod template is, and all other differences between kinds.
//!
//! A kind is matched by group and name, as a core Service has no pods and a Knative Service has; without `apiVersion`, by
//! name alone.
//!
//! Deliberately not here: what the webhook does to a label (see [`workload`](crate::workload)).

use serde_json::Value;

use crate::{mutate::keys, patch::PodPath, steps};

/// A kind of object with pods in it.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table")]
pub struct Kind {
    /// Its API group; empty is the core's.
    pub group: &'static str,
    /// The version at which it is read. Empty for what no cluster serves any more.
    version: &'static str,
    /// As in the object.
    pub name: &'static str,
    /// Its resource: `deployments`.
    plural: &'static str,
    /// Its short name in `kubectl`, if any.
    short: &'static str,
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
    /// The kinds that are looked at in its place where one of them owns it.
    makers: &'static [&'static str],
    /// The attribute for its name, if the conventions have one:
    /// <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>.
    pub attribute: Option<&'static str>,
    /// Why its pods are not replaced when it is restarted; `None` if they are.
    pub obstacle: Option<&'static str>,
    /// When its pods change after its template did, if that is not at once.
    pub(crate) delay: Option<&'static str>,
    /// Does `kubectl logs` find its pods?
    pub has_logs: bool,
    /// Does `javelin status` tell of it?
    pub has_status: bool,
    /// May a person name one of the cluster to `javelin preview`?
    is_previewed: bool,
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

/// The attribute for each kind of owner that the conventions have one for, sorted by kind.
pub fn attributes() -> Vec<(&'static str, &'static str)> {
    let named = KINDS
        .iter()
        .filter_map(|kind| Some((kind.name, kind.attribute?)));
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    named
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
    const fn new(
        group: &'static str,
        version: &'static str,
        name: &'static str,
        plural: &'static str,
        place: PodPath,
    ) -> Self {
        Self {
            group,
            version,
            name,
            plural,
            short: "",
            list: None,
            place,
            is_label_copied: false,
            is_mutable: true,
            is_derived: false,
            makers: &[],
            attribute: None,
            obstacle: Some("how it replaces its pods is not known here"),
            delay: None,
            has_logs: true,
            has_status: false,
            is_previewed: false,
        }
    }

    /// One that Kubernetes itself brings, or Argo, and whose label is copied.
    const fn workload(
        group: &'static str,
        version: &'static str,
        (name, plural, short): (&'static str, &'static str, &'static str),
        place: PodPath,
    ) -> Self {
        Self {
            short,
            is_label_copied: true,
            has_status: true,
            is_previewed: true,
            ..Self::new(group, version, name, plural, place)
        }
    }

    /// Of clusters that are long gone, and manifests that are not.
    const fn gone(name: &'static str) -> Self {
        Self {
            is_label_copied: true,
            ..Self::new("extensions", "", name, "", PodPath::TEMPLATE)
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

    /// What a person may name, by one of the words that `kubectl` has for it, in any case.
    pub fn called(word: &str) -> Option<&'static Self> {
        let word = word.to_ascii_lowercase();
        // `deployment.apps` is how kubectl prints it.
        let word = word.split('.').next().unwrap_or_default();
        Self::previewed().find(|kind| {
            word == kind.plural
                || word == kind.singular()
                || (!kind.short.is_empty() && word == kind.short)
        })
    }

    /// Whatever [`called`](Self::called) knows.
    pub fn previewed() -> impl Iterator<Item = &'static Self> {
        KINDS.iter().filter(|kind| kind.is_previewed)
    }

    /// What `javelin status` tells of.
    pub fn with_status() -> impl Iterator<Item = &'static Self> {
        KINDS.iter().filter(|kind| kind.has_status)
    }

    /// All whose label is copied, in clusters of today: what the webhook's and the policy's rules name.
    pub fn copied() -> impl Iterator<Item = &'static Self> {
        let served = KINDS.iter().filter(|kind| !kind.version.is_empty());
        served.filter(|kind| kind.is_label_copied)
    }

    /// As `kubectl` takes it: `deployment`.
    pub fn singular(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// As `kubectl` takes it where there may be others of that name: `deployment.apps`.
    pub fn resource(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.singular(), self.group)
    }

    /// Its group and version, as an object has them: `apps/v1`.
    pub fn api_version(&self) -> String {
        let slash = if self.group.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", self.group, self.version)
    }

    /// Its resource: `deployments`.
    pub fn plural(&self) -> &'static str {
        self.plural
    }

    /// Where objects are, of one namespace or of all: `/apis/apps/v1/namespaces/shop/deployments`.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let (group, version, plural) = (self.group, self.version, self.plural);
        let api = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        match namespace {
            Some(namespace) => format!("{api}/namespaces/{namespace}/{plural}"),
            None => format!("{api}/{plural}"),
        }
    }

    /// Is an owner of that kind looked at in its place?
    pub fn is_made_by(&self, owner: &str) -> bool {
        self.makers.contains(&owner)
    }

    /// Do people label it even where an operator has made it?
    pub fn is_labelled_by_people(&self) -> bool {
        self.has_status && self.makers.is_empty()
    }

    /// On which operations the webhook copies its label.
    pub fn copied_on(&self) -> &'static [&'static str] {
        match (self.is_label_copied, self.is_mutable) {
            (true, true) => &["CREATE", "UPDATE"],
            (true, false) => &["CREATE"],
            (false, _) => &[],
        }
    }

    /// Does the webhook copy its label on that operation?
    pub fn is_label_copied_on(&self, operation: &str) -> bool {
        self.copied_on().contains(&operation)
    }

    /// Does a change of its template replace its pods? Then it can be guarded.
    pub fn is_rolled_out(&self) -> bool {
        self.obstacle.is_none() && self.is_label_copied_on("UPDATE")
    }

    fn items(&self, object: &Value) -> usize {
        let items = self.list.and_then(|list| PodPath::at(list).of(object));
        items.and_then(Value::as_array).map_or(0, Vec::len)
    }
}

/// Whoever has more of them would have each looked at in all of the object.
const MOST_ITEMS: usize = 64;

/// One row for each kind.
const KINDS: [Kind; 21] = [
    Kind {
        short: "po",
        obstacle: Some("nobody would make it anew: delete it and create it again"),
        is_previewed: true,
        ..Kind::new("", "v1", "Pod", "pods", PodPath::POD)
    },
    Kind {
        attribute: Some("k8s.deployment.name"),
        obstacle: None,
        ..Kind::workload(
            "apps",
            "v1",
            ("Deployment", "deployments", "deploy"),
            PodPath::TEMPLATE,
        )
    },
    Kind {
        attribute: Some("k8s.statefulset.name"),
        obstacle: None,
        ..Kind::workload(
            "apps",
            "v1",
            ("StatefulSet", "statefulsets", "sts"),
            PodPath::TEMPLATE,
        )
    },
    Kind {
        attribute: Some("k8s.daemonset.name"),
        obstacle: None,
        ..Kind::workload(
            "apps",
            "v1",
            ("DaemonSet", "daemonsets", "ds"),
            PodPath::TEMPLATE,
        )
    },
    Kind {
        is_derived: true,
        makers: &["Deployment", "Rollout"],
        attribute: Some("k8s.replicaset.name"),
        obstacle: Some("a ReplicaSet replaces no pods: delete them, each is made anew"),
        delay: Some("a ReplicaSet replaces no pods: each changes when you delete it"),
        has_status: false,
        ..Kind::workload(
            "apps",
            "v1",
            ("ReplicaSet", "replicasets", "rs"),
            PodPath::TEMPLATE,
        )
    },
    Kind {
        attribute: Some("k8s.cronjob.name"),
        obstacle: Some("it gets the agent with its next run"),
        delay: Some("it starts with its next run"),
        has_logs: false,
        ..Kind::workload(
            "batch",
            "v1",
            ("CronJob", "cronjobs", "cj"),
            PodPath::JOB_TEMPLATE,
        )
    },
    Kind {
        is_mutable: false,
        makers: &["CronJob"],
        attribute: Some("k8s.job.name"),
        obstacle: Some("a Job's template never changes: delete it and create it again"),
        ..Kind::workload("batch", "v1", ("Job", "jobs", ""), PodPath::TEMPLATE)
    },
    Kind {
        has_status: false,
        ..Kind::workload(
            "",
            "v1",
            ("PodTemplate", "podtemplates", ""),
            PodPath::POD_TEMPLATE,
        )
    },
    Kind {
        obstacle: None,
        has_logs: false,
        ..Kind::workload(
            ARGO,
            "v1alpha1",
            ("Rollout", "rollouts", ""),
            PodPath::TEMPLATE,
        )
    },
    Kind::gone("Deployment"),
    Kind::gone("DaemonSet"),
    Kind {
        is_derived: true,
        ..Kind::gone("ReplicaSet")
    },
    Kind {
        short: "rc",
        is_previewed: true,
        ..Kind::new(
            "",
            "v1",
            "ReplicationController",
            "replicationcontrollers",
            PodPath::TEMPLATE,
        )
    },
    Kind::new(
        "apps.openshift.io",
        "v1",
        "DeploymentConfig",
        "deploymentconfigs",
        PodPath::TEMPLATE,
    ),
    Kind::new(
        KRUISE,
        "v1alpha1",
        "CloneSet",
        "clonesets",
        PodPath::TEMPLATE,
    ),
    Kind::new(
        KRUISE,
        "v1beta1",
        "StatefulSet",
        "statefulsets",
        PodPath::TEMPLATE,
    ),
    Kind::new(
        KRUISE,
        "v1alpha1",
        "DaemonSet",
        "daemonsets",
        PodPath::TEMPLATE,
    ),
    Kind::new(KNATIVE, "v1", "Service", "services", PodPath::TEMPLATE),
    Kind::new(
        KNATIVE,
        "v1",
        "Configuration",
        "configurations",
        PodPath::TEMPLATE,
    ),
    Kind::new(KNATIVE, "v1", "Revision", "revisions", PodPath::POD),
    Kind {
        list: Some(&["spec", "replicatedJobs"]),
        ..Kind::new(
            "jobset.x-k8s.io",
            "v1alpha2",
            "JobSet",
            "jobsets",
            PodPath::at(&["template", "spec", "template"]),
        )
    },
];

/// The group of Argo's Rollouts, which is not everywhere.
pub const ARGO: &str = "argoproj.io";

const KRUISE: &str = "apps.kruise.io";

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
    fn the_charts_rules_name_every_kind_whose_label_is_copied() {
        let template = include_str!("../../../deploy/chart/templates/webhook.yaml");
        let quoted = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("(list {})", words.join(" "))
        };
        let mut rules: Vec<_> = template
            .lines()
            .filter(|line| line.contains("\"apiGroups\" (list ") && !line.contains("\"pods\""))
            .collect();
        for kind in Kind::copied() {
            let rule = rules.iter().find(|rule| {
                rule.contains(&format!("\"apiGroups\" {}", quoted(&[kind.group])))
                    && rule.contains(&format!("\"operations\" {}", quoted(kind.copied_on())))
                    && rule.contains(&format!("\"{}\"", kind.plural()))
            });
            assert!(rule.is_some(), "webhook.yaml has no rule for {}", kind.name);
        }
        let of_a_kind = |rule: &&str| Kind::copied().any(|kind| rule.contains(kind.plural()));
        rules.retain(|rule| !of_a_kind(rule));
        assert!(rules.is_empty(), "of no kind in the table: {rules:?}");
    }

    #[test]
    fn a_person_names_a_kind_as_kubectl_does() {
        for (word, expected) in [
            ("deploy", Some("Deployment")),
            ("Deployments", Some("Deployment")),
            ("deployment.apps", Some("Deployment")),
            ("sts", Some("StatefulSet")),
            ("po", Some("Pod")),
            ("job", Some("Job")),
            ("", None),
            ("services", None),
        ] {
            assert_eq!(Kind::called(word).map(|kind| kind.name), expected, "{word}");
        }
        let job = Kind::called("job").unwrap();
        assert_eq!(
            job.path(Some("shop")),
            "/apis/batch/v1/namespaces/shop/jobs"
        );
        assert_eq!(Kind::called("pod").unwrap().path(None), "/api/v1/pods");
        assert_eq!(job.resource(), "job.batch");
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
