//! How the jar gets into the pod: the volume, and the init container that fills it.

use serde_json::{Map, Value, json};

use super::{
    keys::{AGENT_DIR, AGENT_NAME},
    pod::{Pod, Resources, VolumeMount},
    reason::{Conflict, Reason},
    target::Target,
};
use crate::config::{Delivery, Profile};

/// What the pod as a whole gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// The volume.
    pub volume: Value,
    /// The init container, when the delivery needs one.
    pub init_container: Option<Value>,
    /// The mount in each target.
    pub mount: Value,
    /// A pull secret that the pod does not name itself.
    pub image_pull_secret: Option<Value>,
}

/// The parts for a pod with these targets.
pub(super) fn parts(pod: &Pod, targets: &[Target<'_>], profile: &Profile) -> Parts {
    let resources = targets
        .first()
        .and_then(|target| target.container.resources.as_ref());
    let secret = profile.agent.image_pull_secret.as_deref();
    let secret = secret.filter(|name| !pod.spec.pulls_with(name));
    match profile.delivery {
        Delivery::InitContainer => Parts {
            volume: json!({ "name": AGENT_NAME, "emptyDir": { "sizeLimit": VOLUME_SIZE_LIMIT } }),
            init_container: Some(init_container(pod, resources, profile)),
            mount: json!({ "name": AGENT_NAME, "mountPath": AGENT_DIR, "readOnly": true }),
            image_pull_secret: secret.map(|name| json!({ "name": name })),
        },
    }
}

/// Is anything of the user's where ours must go?
pub(super) fn check_conflicts(pod: &Pod, targets: &[Target<'_>]) -> Result<(), Reason> {
    if pod
        .spec
        .volumes()
        .iter()
        .any(|volume| volume.name == AGENT_NAME)
    {
        return Err(Reason::Conflict(Conflict::Volume));
    }
    let mut containers = pod.spec.containers.iter().chain(pod.spec.init_containers());
    if containers.any(|container| container.name == AGENT_NAME) {
        return Err(Reason::Conflict(Conflict::Container));
    }
    for target in targets.iter().map(|target| target.container) {
        if let Some(mount) = target.volume_mounts().iter().find(|mount| overlaps(mount)) {
            return Err(Reason::Conflict(Conflict::Mount {
                container: target.name.clone(),
                path: mount.mount_path.clone(),
            }));
        }
    }
    Ok(())
}

/// At, above or below our directory. A mount at `/` never occurs: the runtime refuses it.
fn overlaps(mount: &VolumeMount) -> bool {
    let path = mount.mount_path.trim_end_matches('/');
    path == AGENT_DIR
        || path
            .strip_prefix(AGENT_DIR)
            .is_some_and(|below| below.starts_with('/'))
}

fn init_container(pod: &Pod, resources: Option<&Resources>, profile: &Profile) -> Value {
    let policy = profile
        .agent
        .image_pull_policy
        .map(|policy| json!(policy.as_str()));
    let resources = resources.and_then(copied_resources);
    let members = [
        ("name", Some(json!(AGENT_NAME))),
        ("image", Some(json!(profile.agent.image))),
        ("imagePullPolicy", policy),
        (
            "command",
            Some(json!(["/javelin", "install", "--to", AGENT_DIR])),
        ),
        ("resources", resources),
        ("securityContext", Some(security_context(pod))),
        // What it prints when it fails then stands in `kubectl describe pod`.
        (
            "terminationMessagePolicy",
            Some(json!("FallbackToLogsOnError")),
        ),
        (
            "volumeMounts",
            Some(json!([{ "name": AGENT_NAME, "mountPath": AGENT_DIR }])),
        ),
    ];
    members
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

/// Requests and limits of the target, verbatim: the pod's effective request is the larger of the init
/// containers and the sum of the others, so it does not change, and neither does the `QoS` class; a `LimitRange`
/// and an exactly full `ResourceQuota` that admit the target admit the copy. Devices, huge pages and claims
/// stay behind: the copy would occupy them.
fn copied_resources(resources: &Resources) -> Option<Value> {
    let mut copied = Map::new();
    for (key, quantities) in [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ] {
        let known: Map<_, _> = quantities
            .iter()
            .flatten()
            .filter(|(name, _)| COPIED_RESOURCES.contains(&name.as_str()))
            .map(|(name, quantity)| (name.clone(), quantity.clone()))
            .collect();
        if !known.is_empty() {
            copied.insert(key.to_owned(), Value::Object(known));
        }
    }
    (!copied.is_empty()).then_some(Value::Object(copied))
}

/// What the `restricted` Pod Security level asks for, and no uid, so that OpenShift may choose one.
///
/// A pod that says `runAsUser: 0` for all its containers would say it for ours too, and the kubelet never
/// starts uid 0 under `runAsNonRoot`: there, and only there, we name a uid.
fn security_context(pod: &Pod) -> Value {
    let pod_user = pod
        .spec
        .security_context
        .as_ref()
        .and_then(|context| context.run_as_user);
    let members = [
        ("runAsNonRoot", Some(json!(true))),
        (
            "runAsUser",
            (pod_user == Some(0)).then(|| json!(UNPRIVILEGED_UID)),
        ),
        ("allowPrivilegeEscalation", Some(json!(false))),
        ("readOnlyRootFilesystem", Some(json!(true))),
        ("capabilities", Some(json!({ "drop": ["ALL"] }))),
        ("seccompProfile", Some(json!({ "type": "RuntimeDefault" }))),
    ];
    members
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

/// The jar has 25 MB; twice that leaves room for a larger one and for the temporary file beside it.
const VOLUME_SIZE_LIMIT: &str = "64Mi";

/// The uid of the image's USER.
const UNPRIVILEGED_UID: u32 = 65_532;

/// What Kubernetes counts for every container.
const COPIED_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
