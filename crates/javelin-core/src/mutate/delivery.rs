//! How the jar gets into the pod: the volume, and the init container that fills it.
//!
//! Only what is missing is added: another webhook may have come after us and taken something away.

use super::{
    Subject,
    environment::Environment,
    keys::{AGENT_DIR, AGENT_JAR, AGENT_NAME, EXTENSIONS_DIR, EXTENSIONS_NAME, TLS_DIR, TLS_NAME},
    parts::{
        CopiedResources, InitContainer, InitContainerEdit, Json, KeyToPath, Parts, ProjectedItems,
        SecurityContext, Volume, VolumeMount, VolumeProjection, VolumeSource,
    },
    pod::{Container, EnvVar, Pod},
    reason::{Conflict, Reason},
    sdk::{self, Defaults},
    target::Target,
};
use crate::{
    config::{Ca, Delivery, Extensions, Profile, PullPolicy, Tls},
    steps,
};

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
        Delivery::InitContainer { .. } => Some(EMPTY_DIR),
        Delivery::ImageVolume { .. } => Some(image_source(&profile.agent.image, profile)),
        Delivery::Preinstalled { .. } | Delivery::VariablesOnly => None,
    };
    let extensions = needs.extensions;
    let extensions = extensions.map(|extensions| extensions_source(extensions, profile));
    let tls = needs.tls.map(tls_source);
    steps::take(pod.spec.volumes().len() + pod.spec.init_containers().len());
    let is_missing = |name: &str| {
        let mut volumes = pod.spec.volumes().iter();
        volumes.all(|there| there.name != name)
    };
    let volumes = [
        (AGENT_NAME, agent),
        (EXTENSIONS_NAME, extensions),
        (TLS_NAME, tls),
    ]
    .into_iter()
    .filter_map(|(name, source)| Some((name, source?)))
    .filter(|(name, _)| is_missing(name))
    .map(|(name, source)| Json::of(&Volume { name, source }))
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
        image_pull_secret: secret.map(str::to_owned),
    }
}

/// The mounts that a target lacks.
pub(super) fn mounts(container: &Container, profile: &Profile, needs: Needs<'_>) -> Vec<Json> {
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
        .map(|(name, mount_path)| {
            Json::of(&VolumeMount {
                name,
                mount_path,
                read_only: true,
            })
        })
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

/// An image as a volume, read-only by nature (KEP-4639).
fn image_source<'a>(reference: &'a str, profile: &Profile) -> VolumeSource<'a> {
    VolumeSource::Image {
        reference,
        pull_policy: pull_policy(profile),
    }
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

fn extensions_source<'a>(extensions: &'a Extensions, profile: &Profile) -> VolumeSource<'a> {
    match extensions {
        Extensions::Image { image, .. } if mounts_images(profile) => image_source(image, profile),
        Extensions::Image { .. } => EMPTY_DIR,
        // Without the ConfigMap the agent starts without them.
        Extensions::ConfigMap(name) => VolumeSource::ConfigMap {
            name,
            optional: true,
        },
        Extensions::Claim { name, .. } => VolumeSource::PersistentVolumeClaim {
            claim_name: name,
            read_only: true,
        },
    }
}

/// Everything optional: in a namespace without the Secret telemetry fails, but the pod starts.
fn tls_source(tls: &Tls) -> VolumeSource<'_> {
    let ca = tls.ca.as_ref().map(|ca| match ca {
        Ca::ConfigMap { name, key } => {
            VolumeProjection::ConfigMap(projected(name, [(key, sdk::CA_FILE)]))
        }
        Ca::Secret(from) => {
            VolumeProjection::Secret(projected(&from.secret, [(&from.key, sdk::CA_FILE)]))
        }
    });
    let client = tls.client.as_ref().map(|client| {
        let items = [
            (&client.certificate, sdk::CERTIFICATE_FILE),
            (&client.private_key, sdk::KEY_FILE),
        ];
        VolumeProjection::Secret(projected(&client.secret, items))
    });
    VolumeSource::Projected {
        sources: ca.into_iter().chain(client).collect(),
    }
}

fn projected<'a>(
    name: &'a str,
    items: impl IntoIterator<Item = (&'a String, &'static str)>,
) -> ProjectedItems<'a> {
    let items = items.into_iter();
    ProjectedItems {
        name,
        items: items.map(|(key, path)| KeyToPath { key, path }).collect(),
        optional: true,
    }
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
    let resources = CopiedResources::of(target.resources.as_ref());
    let ours = pod
        .spec
        .init_containers()
        .iter()
        .position(|container| container.name == copier.name);
    if let Some(index) = ours {
        let there = pod.spec.init_containers().get(index)?.resources.as_ref();
        return (!resources.are_within(there)).then(|| InitContainerEdit::Resize {
            index,
            resources: Json::of(&resources),
        });
    }
    let uid = if copier.is_foreign {
        let (uid, why) = foreign_image_uid(pod, target);
        notes.push(format!("{}: {why}", copier.name));
        uid
    } else {
        own_image_uid(pod)
    };
    Some(InitContainerEdit::Add(Json::of(&InitContainer {
        name: copier.name,
        image: copier.image,
        image_pull_policy: pull_policy(profile),
        command: &copier.command,
        env: &copier.env,
        resources,
        security_context: SecurityContext::restricted(uid),
        // What it prints when it fails then stands in `kubectl describe pod`.
        termination_message_policy: "FallbackToLogsOnError",
        volume_mounts: [VolumeMount {
            name: copier.name,
            mount_path: copier.directory,
            read_only: false,
        }],
    })))
}

pub(crate) fn own_command(defaults: Option<&Defaults>) -> Vec<String> {
    let mut command = ["/javelin", "install", "--to", AGENT_DIR]
        .map(str::to_owned)
        .to_vec();
    command.extend(defaults.into_iter().flat_map(Defaults::arguments));
    command
}

fn pull_policy(profile: &Profile) -> Option<&'static str> {
    profile.agent.image_pull_policy.map(PullPolicy::as_str)
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

/// The jar has 27 MB; twice that leaves room for a larger one and for the temporary file beside it.
pub(crate) const VOLUME_SIZE_LIMIT: &str = "64Mi";

/// What an init container fills.
const EMPTY_DIR: VolumeSource<'_> = VolumeSource::EmptyDir {
    size_limit: VOLUME_SIZE_LIMIT,
};

/// Folders and jars, separated by commas (`ExtensionClassLoader` of the agent).
const EXTENSIONS_VARIABLE: &str = "OTEL_JAVAAGENT_EXTENSIONS";

/// The uid of our image's USER.
const UNPRIVILEGED_UID: i64 = 65_532;
