//! How the jar gets into the pod: the volume, and the init container that fills it.
//!
//! Only what is missing is added: another webhook may have come after us and taken something away.

use serde_json::{Map, Value, json};

use super::{
    Subject,
    environment::Environment,
    keys::{AGENT_DIR, AGENT_JAR, AGENT_NAME, EXTENSIONS_DIR, EXTENSIONS_NAME, TLS_DIR, TLS_NAME},
    pod::{Container, EnvVar, Pod, Quantities, Resources},
    reason::{Conflict, Reason},
    sdk::{self, Defaults},
    target::Target,
};
use crate::{
    config::{Ca, Delivery, Extensions, Profile, PullPolicy, Tls},
    steps,
};

/// What the pod as a whole gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Volumes.
    pub volumes: Vec<Value>,
    /// What is to be done about the init containers that the delivery needs, in the order in which they run.
    pub init_containers: Vec<InitContainerEdit>,
    /// A pull secret that the pod does not name itself.
    pub image_pull_secret: Option<Value>,
}

/// An edit to the list of init containers.
#[derive(Debug, Clone, PartialEq)]
pub enum InitContainerEdit {
    /// Ours, to be put before all others.
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
    /// The agent's extensions.
    pub(super) extensions: Option<&'a Extensions>,
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
        Delivery::Preinstalled { .. } | Delivery::VariablesOnly => None,
    };
    let extensions = needs.extensions;
    let extensions = extensions.map(|extensions| extensions_volume(extensions, profile));
    let tls = needs.tls.map(tls_volume);
    steps::take(pod.spec.volumes().len() + pod.spec.init_containers().len());
    let is_missing = |volume: &Value| {
        let mut volumes = pod.spec.volumes().iter();
        volumes.all(|there| volume.get("name").is_none_or(|name| name != &there.name))
    };
    let volumes: Vec<_> = [agent, extensions, tls]
        .into_iter()
        .flatten()
        .filter(is_missing)
        .collect();
    let copiers = copiers(profile, needs);
    let init_containers = copiers
        .iter()
        .filter_map(|copier| init_container(pod, targets, profile, copier, notes));
    let init_containers = init_containers.collect();
    let secret = profile.agent.image_pull_secret.as_deref();
    let secret = secret.filter(|name| profile.pulls_image() && !pod.spec.pulls_with(name));
    Parts {
        volumes,
        init_containers,
        image_pull_secret: secret.map(|name| json!({ "name": name })),
    }
}

/// The mounts that a target lacks.
pub(super) fn mounts(container: &Container, profile: &Profile, needs: Needs<'_>) -> Vec<Value> {
    let agent = profile
        .delivery
        .uses_image()
        .then_some((AGENT_NAME, AGENT_DIR));
    let extensions = needs.extensions.map(|_| (EXTENSIONS_NAME, EXTENSIONS_DIR));
    let tls = needs.tls.map(|_| (TLS_NAME, TLS_DIR));
    steps::take(container.volume_mounts().len());
    let is_missing = |name: &str| {
        let mut mounts = container.volume_mounts().iter();
        mounts.all(|mount| mount.name != name)
    };
    [agent, extensions, tls]
        .into_iter()
        .flatten()
        .filter(|(name, _)| is_missing(name))
        .map(|(name, path)| json!({ "name": name, "mountPath": path, "readOnly": true }))
        .collect()
}

/// The option that loads the agent in each target, where one is loaded.
pub(crate) fn option(profile: &Profile) -> Option<String> {
    let jar = match &profile.delivery {
        Delivery::InitContainer { .. } => format!("{AGENT_DIR}/{AGENT_JAR}"),
        Delivery::ImageVolume { path } => format!("{AGENT_DIR}{path}"),
        Delivery::Preinstalled { path } => path.clone(),
        Delivery::VariablesOnly => return None,
    };
    Some(format!("-javaagent:{jar}"))
}

/// Is anything of the user's where ours must go?
pub(super) fn check_conflicts(
    subject: &Subject<'_>,
    targets: &[Target<'_>],
    profile: &Profile,
) -> Result<(), Reason> {
    let pod = subject.pod;
    let mut places = Vec::new();
    places.extend(
        profile
            .delivery
            .uses_image()
            .then_some((AGENT_NAME, AGENT_DIR)),
    );
    let extensions = profile.agent.extensions.as_ref();
    places.extend(extensions.map(|_| (EXTENSIONS_NAME, EXTENSIONS_DIR)));
    let tls = profile.otlp.as_ref().and_then(|otlp| otlp.tls.as_ref());
    places.extend(tls.map(|_| (TLS_NAME, TLS_DIR)));
    let taken = volume_names(subject).find(|volume| places.iter().any(|(name, _)| name == volume));
    if let Some(name) = taken {
        return Err(Reason::Conflict(Conflict::Volume {
            name: name.to_owned(),
        }));
    }
    let mut containers = pod.spec.containers.iter().chain(pod.spec.init_containers());
    let fillable = || places.iter().filter(|(name, _)| *name != TLS_NAME);
    let is_taken = |container: &Container| fillable().any(|(name, _)| *name == container.name);
    if let Some(container) = containers.find(|container| is_taken(container)) {
        return Err(Reason::Conflict(Conflict::Container {
            name: container.name.clone(),
        }));
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
    json!({ "name": AGENT_NAME, "image": image_source(&profile.agent.image, profile) })
}

fn image_source(image: &str, profile: &Profile) -> Value {
    object([
        ("reference", Some(json!(image))),
        ("pullPolicy", pull_policy(profile)),
    ])
}

/// Adds the variable that names the extensions; the container's own wins.
pub(super) fn add_extensions(environment: &mut Environment<'_>, profile: &Profile) {
    let folder = match &profile.agent.extensions {
        None => return,
        Some(Extensions::Image { folder, .. }) if mounts_images(profile) => folder,
        // What is copied comes without the folders above it.
        Some(Extensions::Image { .. } | Extensions::ConfigMap(_)) => "",
        Some(Extensions::Claim { folder, .. }) => folder,
    };
    environment.push_default(EXTENSIONS_VARIABLE, &format!("{EXTENSIONS_DIR}{folder}"));
}

/// The extensions that this environment points to.
pub(super) fn extensions_of<'p>(
    environment: &Environment<'_>,
    profile: &'p Profile,
) -> Option<&'p Extensions> {
    let extensions = profile.agent.extensions.as_ref()?;
    let points = |variable: &EnvVar| {
        let value = variable.value.as_deref().unwrap_or_default();
        variable.name == EXTENSIONS_VARIABLE && value.starts_with(EXTENSIONS_DIR)
    };
    let mut variables = environment.variables().iter();
    variables
        .any(|variable| points(variable))
        .then_some(extensions)
}

fn mounts_images(profile: &Profile) -> bool {
    matches!(profile.delivery, Delivery::ImageVolume { .. })
}

/// Does an init container fill the volume with the extensions?
pub(super) fn copies_extensions(profile: &Profile) -> bool {
    matches!(profile.agent.extensions, Some(Extensions::Image { .. })) && !mounts_images(profile)
}

fn extensions_volume(extensions: &Extensions, profile: &Profile) -> Value {
    let (kind, source) = match extensions {
        Extensions::Image { image, .. } if mounts_images(profile) => {
            ("image", image_source(image, profile))
        }
        Extensions::Image { .. } => ("emptyDir", json!({ "sizeLimit": VOLUME_SIZE_LIMIT })),
        // Without the ConfigMap the agent starts without them.
        Extensions::ConfigMap(name) => ("configMap", json!({ "name": name, "optional": true })),
        Extensions::Claim { name, .. } => (
            "persistentVolumeClaim",
            json!({ "claimName": name, "readOnly": true }),
        ),
    };
    json!({ "name": EXTENSIONS_NAME, kind: source })
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

/// An init container of ours: what it copies, and with which image.
struct Copier<'a> {
    name: &'static str,
    directory: &'static str,
    image: &'a str,
    command: Vec<String>,
    env: Vec<EnvVar>,
    /// Is the image made by somebody else, for whatever user?
    is_foreign: bool,
}

/// The init containers that the profile needs, in the order in which they run.
fn copiers<'a>(profile: &'a Profile, needs: Needs<'a>) -> Vec<Copier<'a>> {
    let agent = match &profile.delivery {
        Delivery::InitContainer { command } => Some(Copier {
            name: AGENT_NAME,
            directory: AGENT_DIR,
            image: &profile.agent.image,
            command: command
                .clone()
                .unwrap_or_else(|| own_command(needs.defaults)),
            env: needs.defaults.map(Defaults::variables).unwrap_or_default(),
            is_foreign: command.is_some(),
        }),
        Delivery::ImageVolume { .. } | Delivery::Preinstalled { .. } | Delivery::VariablesOnly => {
            None
        }
    };
    let extensions = match needs.extensions {
        Some(Extensions::Image { image, folder }) if copies_extensions(profile) => Some(Copier {
            name: EXTENSIONS_NAME,
            directory: EXTENSIONS_DIR,
            image,
            command: ["cp", "-r", &format!("{folder}/."), EXTENSIONS_DIR]
                .map(str::to_owned)
                .to_vec(),
            env: Vec::new(),
            is_foreign: true,
        }),
        _ => None,
    };
    agent.into_iter().chain(extensions).collect()
}

fn init_container(
    pod: &Pod,
    targets: &[Target<'_>],
    profile: &Profile,
    copier: &Copier<'_>,
    notes: &mut Vec<String>,
) -> Option<InitContainerEdit> {
    let target = targets.first()?.container;
    let resources = target.resources.as_ref().and_then(copied_resources);
    let ours = pod
        .spec
        .init_containers()
        .iter()
        .position(|container| container.name == copier.name);
    if let Some(index) = ours {
        let there = pod.spec.init_containers().get(index)?.resources.as_ref();
        let resources = resources.filter(|copy| !is_within(copy, there))?;
        return Some(InitContainerEdit::Resize { index, resources });
    }
    let uid = if copier.is_foreign {
        let (uid, why) = foreign_image_uid(pod, target);
        notes.push(format!("{}: {why}", copier.name));
        uid
    } else {
        own_image_uid(pod)
    };
    let members = [
        ("name", Some(json!(copier.name))),
        ("image", Some(json!(copier.image))),
        ("imagePullPolicy", pull_policy(profile)),
        ("command", Some(json!(copier.command))),
        ("env", (!copier.env.is_empty()).then(|| json!(copier.env))),
        ("resources", resources),
        ("securityContext", Some(security_context(uid))),
        // What it prints when it fails then stands in `kubectl describe pod`.
        (
            "terminationMessagePolicy",
            Some(json!("FallbackToLogsOnError")),
        ),
        (
            "volumeMounts",
            Some(json!([{ "name": copier.name, "mountPath": copier.directory }])),
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

/// The jar has 27 MB; twice that leaves room for a larger one and for the temporary file beside it.
pub(crate) const VOLUME_SIZE_LIMIT: &str = "64Mi";

/// Folders and jars, separated by commas (`ExtensionClassLoader` of the agent).
const EXTENSIONS_VARIABLE: &str = "OTEL_JAVAAGENT_EXTENSIONS";

/// The uid of our image's USER.
const UNPRIVILEGED_UID: i64 = 65_532;

/// What Kubernetes counts for every container.
const COPIED_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
