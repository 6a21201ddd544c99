//! How the jar gets into the pod: the volume, and the init container that fills it.
//!
//! Only what is missing is added: another webhook may have come after us and taken something away.

use serde_json::{Map, Value, json};

use super::{
    Subject,
    keys::{AGENT_DIR, AGENT_JAR, AGENT_NAME, TLS_DIR, TLS_NAME},
    pod::{Container, EnvVar, Pod, Quantities, Resources},
    reason::{Conflict, Reason},
    sdk::{self, Defaults},
    target::Target,
};
use crate::{
    config::{Ca, Delivery, Profile, PullPolicy, Tls},
    steps,
};

/// What the pod as a whole gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Volumes.
    pub volumes: Vec<Value>,
    /// What is to be done about the init container, when the delivery needs one.
    pub init_container: Option<InitContainerEdit>,
    /// A pull secret that the pod does not name itself.
    pub image_pull_secret: Option<Value>,
}

/// An edit to the list of init containers.
#[derive(Debug, Clone, PartialEq)]
pub enum InitContainerEdit {
    /// Ours, to be put first.
    Add(Value),
    /// Other resources for ours, which is there: those of the target have changed.
    Resize {
        /// Its position.
        index: usize,
        /// The `resources`.
        resources: Value,
    },
}

/// What the targets' environments ask of the volumes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs<'a> {
    /// The file with the SDK's settings.
    pub(super) defaults: Option<&'a Defaults>,
    /// The certificates.
    pub(super) tls: Option<&'a Tls>,
}

/// The parts that a pod with these targets lacks.
pub(super) fn parts(
    pod: &Pod,
    targets: &[Target<'_>],
    profile: &Profile,
    needs: Needs<'_>,
    notes: &mut Vec<String>,
) -> Parts {
    let agent = match &profile.delivery {
        Delivery::InitContainer { .. } => {
            Some(json!({ "name": AGENT_NAME, "emptyDir": { "sizeLimit": VOLUME_SIZE_LIMIT } }))
        }
        Delivery::ImageVolume { .. } => Some(image_volume(profile)),
        Delivery::Preinstalled { .. } => None,
    };
    let tls = needs.tls.map(tls_volume);
    steps::take(pod.spec.volumes().len() + pod.spec.init_containers().len());
    let is_missing = |volume: &Value| {
        let mut volumes = pod.spec.volumes().iter();
        volumes.all(|there| volume.get("name").is_none_or(|name| name != &there.name))
    };
    let volumes: Vec<_> = [agent, tls]
        .into_iter()
        .flatten()
        .filter(is_missing)
        .collect();
    let init_container = match &profile.delivery {
        Delivery::InitContainer { command } => {
            init_container(pod, targets, profile, command.as_deref(), needs, notes)
        }
        Delivery::ImageVolume { .. } | Delivery::Preinstalled { .. } => None,
    };
    let secret = profile.agent.image_pull_secret.as_deref();
    let secret = secret.filter(|name| has_volume(profile) && !pod.spec.pulls_with(name));
    Parts {
        volumes,
        init_container,
        image_pull_secret: secret.map(|name| json!({ "name": name })),
    }
}

/// The mounts that a target lacks.
pub(super) fn mounts(container: &Container, profile: &Profile, uses_tls: bool) -> Vec<Value> {
    let agent = has_volume(profile).then_some((AGENT_NAME, AGENT_DIR));
    let tls = uses_tls.then_some((TLS_NAME, TLS_DIR));
    steps::take(container.volume_mounts().len());
    let is_missing = |name: &str| {
        let mut mounts = container.volume_mounts().iter();
        mounts.all(|mount| mount.name != name)
    };
    [agent, tls]
        .into_iter()
        .flatten()
        .filter(|(name, _)| is_missing(name))
        .map(|(name, path)| json!({ "name": name, "mountPath": path, "readOnly": true }))
        .collect()
}

/// The option that loads the agent in each target.
pub(crate) fn option(profile: &Profile) -> String {
    let jar = match &profile.delivery {
        Delivery::InitContainer { .. } => format!("{AGENT_DIR}/{AGENT_JAR}"),
        Delivery::ImageVolume { path } => format!("{AGENT_DIR}{path}"),
        Delivery::Preinstalled { path } => path.clone(),
    };
    format!("-javaagent:{jar}")
}

/// Does the pod get a volume with the jar?
pub(super) fn has_volume(profile: &Profile) -> bool {
    !matches!(profile.delivery, Delivery::Preinstalled { .. })
}

/// Is anything of the user's where ours must go?
pub(super) fn check_conflicts(
    subject: &Subject<'_>,
    targets: &[Target<'_>],
    profile: &Profile,
) -> Result<(), Reason> {
    let pod = subject.pod;
    let mut places = Vec::new();
    places.extend(has_volume(profile).then_some((AGENT_NAME, AGENT_DIR)));
    let tls = profile.otlp.as_ref().and_then(|otlp| otlp.tls.as_ref());
    places.extend(tls.map(|_| (TLS_NAME, TLS_DIR)));
    let taken = volume_names(subject).find(|volume| places.iter().any(|(name, _)| name == volume));
    if let Some(name) = taken {
        return Err(Reason::Conflict(Conflict::Volume {
            name: name.to_owned(),
        }));
    }
    let mut containers = pod.spec.containers.iter().chain(pod.spec.init_containers());
    if has_volume(profile) && containers.any(|container| container.name == AGENT_NAME) {
        return Err(Reason::Conflict(Conflict::Container));
    }
    for target in targets.iter().map(|target| target.container) {
        let mounts = target.volume_mounts().iter().map(|mount| &mount.mount_path);
        let devices = target.volume_devices().iter();
        let devices = devices.map(|device| &device.device_path);
        // A file that the kubelet mounts, too: below a read-only volume it finds no place.
        let last_words = target.termination_message_path.iter();
        let mut paths = mounts.chain(devices).chain(last_words);
        let is_taken = |path: &&String| places.iter().any(|(_, ours)| overlaps(path, ours));
        if let Some(path) = paths.find(is_taken) {
            return Err(Reason::Conflict(Conflict::Mount {
                container: target.name.clone(),
                path: path.clone(),
            }));
        }
    }
    Ok(())
}

/// Every volume that the pod will have, and every one that a container uses: a mount whose volume is declared elsewhere,
/// or nowhere, would get ours.
fn volume_names<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = &'a str> {
    let spec = &subject.pod.spec;
    let declared = spec.volumes().iter().map(|volume| volume.name.as_str());
    let containers = spec.containers.iter().chain(spec.init_containers());
    let used = containers.flat_map(|container| {
        let (mounts, devices) = (container.volume_mounts(), container.volume_devices());
        steps::take(mounts.len() + devices.len());
        let mounts = mounts.iter().map(|mount| mount.name.as_str());
        mounts.chain(devices.iter().map(|device| device.name.as_str()))
    });
    let claims = subject.claims.iter().copied();
    declared.chain(claims).chain(used)
}

/// At or below our directory, as the runtime resolves a path: from the root, also a relative one. A mount above, at
/// `/`, never occurs: the runtime refuses it.
fn overlaps(path: &str, ours: &str) -> bool {
    steps::take(path.len());
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.first().copied() == ours.strip_prefix('/')
}

/// The agent's image as a volume, read-only by nature (KEP-4639).
fn image_volume(profile: &Profile) -> Value {
    let members = [
        ("reference", Some(json!(profile.agent.image))),
        ("pullPolicy", pull_policy(profile)),
    ];
    json!({ "name": AGENT_NAME, "image": object(members) })
}

/// Everything optional: in a namespace without the Secret telemetry fails, but the pod starts.
fn tls_volume(tls: &Tls) -> Value {
    let source = |kind: &str, name: &str, items: &[(&str, &str)]| {
        let items: Vec<_> = items
            .iter()
            .map(|(key, path)| json!({ "key": key, "path": path }))
            .collect();
        json!({ kind: { "name": name, "items": items, "optional": true } })
    };
    let ca = tls.ca.as_ref().map(|ca| match ca {
        Ca::ConfigMap { name, key } => source("configMap", name, &[(key, sdk::CA_FILE)]),
        Ca::Secret(from) => source("secret", &from.secret, &[(&from.key, sdk::CA_FILE)]),
    });
    let client = tls.client.as_ref().map(|client| {
        let items = [
            (client.certificate.as_str(), sdk::CERTIFICATE_FILE),
            (client.private_key.as_str(), sdk::KEY_FILE),
        ];
        source("secret", &client.secret, &items)
    });
    let sources: Vec<_> = ca.into_iter().chain(client).collect();
    json!({ "name": TLS_NAME, "projected": { "sources": sources } })
}

fn init_container(
    pod: &Pod,
    targets: &[Target<'_>],
    profile: &Profile,
    command: Option<&[String]>,
    needs: Needs<'_>,
    notes: &mut Vec<String>,
) -> Option<InitContainerEdit> {
    let target = targets.first()?.container;
    let resources = target.resources.as_ref().and_then(copied_resources);
    let ours = pod
        .spec
        .init_containers()
        .iter()
        .position(|container| container.name == AGENT_NAME);
    if let Some(index) = ours {
        let there = pod.spec.init_containers().get(index)?.resources.as_ref();
        let resources = resources.filter(|copy| !is_within(copy, there))?;
        return Some(InitContainerEdit::Resize { index, resources });
    }
    let uid = if command.is_some() {
        let (uid, why) = foreign_image_uid(pod, target);
        notes.push(format!("{AGENT_NAME}: {why}"));
        uid
    } else {
        own_image_uid(pod)
    };
    let command = command.map_or_else(|| own_command(needs.defaults), <[_]>::to_vec);
    let env = needs.defaults.map(Defaults::variables);
    let members = [
        ("name", Some(json!(AGENT_NAME))),
        ("image", Some(json!(profile.agent.image))),
        ("imagePullPolicy", pull_policy(profile)),
        ("command", Some(json!(command))),
        (
            "env",
            env.filter(|env: &Vec<EnvVar>| !env.is_empty())
                .map(|env| json!(env)),
        ),
        ("resources", resources),
        ("securityContext", Some(security_context(uid))),
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
    Some(InitContainerEdit::Add(object(members)))
}

pub(crate) fn own_command(defaults: Option<&Defaults>) -> Vec<String> {
    let mut command = ["/javelin", "install", "--to", AGENT_DIR]
        .map(str::to_owned)
        .to_vec();
    command.extend(defaults.into_iter().flat_map(Defaults::arguments));
    command
}

fn pull_policy(profile: &Profile) -> Option<Value> {
    let policy = profile.agent.image_pull_policy;
    policy.map(PullPolicy::as_str).map(Value::from)
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

/// Does the init container have these already? A `LimitRange` may have given it more, which is as well.
fn is_within(copy: &Value, there: Option<&Resources>) -> bool {
    let has = |key: &str, quantities: Option<&Quantities>| {
        let wanted = copy.get(key).and_then(Value::as_object);
        wanted.into_iter().flatten().all(|(name, quantity)| {
            quantities.is_some_and(|quantities| quantities.get(name) == Some(quantity))
        })
    };
    has("requests", there.and_then(|there| there.requests.as_ref()))
        && has("limits", there.and_then(|there| there.limits.as_ref()))
}

/// Our image runs as any uid, so that OpenShift may choose one.
///
/// A pod that says `runAsUser: 0` for all its containers would say it for ours too, and the kubelet never
/// starts uid 0 under `runAsNonRoot`: there, and only there, we name a uid.
fn own_image_uid(pod: &Pod) -> Option<i64> {
    (pod_uid(pod) == Some(0)).then_some(UNPRIVILEGED_UID)
}

/// A foreign image may be root's, which the kubelet would not start: it gets the application's uid, and one of ours
/// where that is root or not known. On OpenShift the uid is always known, set by the platform before us.
fn foreign_image_uid(pod: &Pod, target: &Container) -> (Option<i64>, String) {
    let own = target.security_context.as_ref();
    let own = own.and_then(|context| context.run_as_user);
    match (own, pod_uid(pod)) {
        (Some(uid), _) if uid > 0 => {
            let why = format!("runs as {uid}, like container {}", target.name);
            (Some(uid), why)
        }
        (None, Some(uid)) if uid > 0 => (None, format!("runs as {uid}, like the pod")),
        (Some(_), _) | (None, Some(_)) => (
            Some(UNPRIVILEGED_UID),
            format!("runs as {UNPRIVILEGED_UID}, because the application is root"),
        ),
        (None, None) => (
            Some(UNPRIVILEGED_UID),
            format!("runs as {UNPRIVILEGED_UID}, because the pod names no uid"),
        ),
    }
}

fn pod_uid(pod: &Pod) -> Option<i64> {
    pod.spec.security_context.as_ref()?.run_as_user
}

/// What the `restricted` Pod Security level asks for.
fn security_context(uid: Option<i64>) -> Value {
    object([
        ("runAsNonRoot", Some(json!(true))),
        ("runAsUser", uid.map(Value::from)),
        ("allowPrivilegeEscalation", Some(json!(false))),
        ("readOnlyRootFilesystem", Some(json!(true))),
        ("capabilities", Some(json!({ "drop": ["ALL"] }))),
        ("seccompProfile", Some(json!({ "type": "RuntimeDefault" }))),
    ])
}

fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    members
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

/// The jar has 25 MB; twice that leaves room for a larger one and for the temporary file beside it.
pub(crate) const VOLUME_SIZE_LIMIT: &str = "64Mi";

/// The uid of our image's USER.
const UNPRIVILEGED_UID: i64 = 65_532;

/// What Kubernetes counts for every container.
const COPIED_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
