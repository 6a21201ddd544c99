//! The API server's version, Javelin's configuration, and who may do what.

use javelin_core::config::{Config, Delivery};

use super::objects::Node;
use super::{Check, Facts, Findings, UPGRADE, Unseen, some};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let minor = minor(&facts.version);
    version(facts, minor, findings);
    image_volumes(facts, minor, findings);
    policies(minor, findings);
    configuration(facts, findings);
    account(facts, findings);
}

/// Last of all: what was denied is known when everything was asked.
pub(super) fn judge_rights_of_person(facts: &Facts, findings: &mut Findings) {
    let denied = facts.denied();
    if denied.is_empty() {
        findings.ok(Check::YourRights, "you have the rights to run all checks");
    }
    if !denied.is_empty() {
        findings.warn(
            Check::YourRights,
            format!("you may not: {}", denied.join("; ")),
            "ask for these rights, or have somebody who has them run the check; docs/check.md has a role for it",
        );
    }
}

fn version(facts: &Facts, minor: Option<u32>, findings: &mut Findings) {
    let version = &facts.version;
    match minor {
        Some(minor) if minor < OLDEST => findings.warn(
            Check::KubernetesVersion,
            format!("the API server is {version}; Javelin is tested with 1.{OLDEST} and later"),
            "update the cluster, or try a labelled pod with `javelin check -n NAMESPACE` before you rely on it",
        ),
        _ => findings.ok(Check::KubernetesVersion, format!("the API server is {version}")),
    }
}

fn image_volumes(facts: &Facts, minor: Option<u32>, findings: &mut Findings) {
    let check = Check::ImageVolumes;
    let profiles: Vec<_> = facts.config().map(with_image_volumes).unwrap_or_default();
    if profiles.is_empty() {
        findings.ok(
            check,
            "no profile mounts an image: no feature gate is needed",
        );
        return;
    }
    let names = some(&profiles);
    let instead = "write `delivery: init-container` in the profile, which works everywhere";
    if let Some(..GATE_ON) = minor {
        let version = &facts.version;
        let message = format!(
            "profile {names} mounts an image, and the API server is {version}: before 1.{GATE_ON} the feature gate \
                 ImageVolume is off by default, and without it the volume vanishes and the JVM does not start"
        );
        let hint = format!("have the gate switched on for API server and kubelets, or {instead}");
        if minor < Some(GATE_THERE) {
            findings.fail(check, message, instead);
        } else {
            findings.warn(check, message, hint);
        }
        return;
    }
    match &facts.nodes {
        Ok(nodes) => {
            let (old, without_sub_path) = old_runtimes(nodes);
            if !old.is_empty() {
                findings.fail(
                    check,
                    format!(
                        "profile {names} mounts an image, which needs containerd 2.1; older: {}",
                        some(&old)
                    ),
                    format!("update containerd on these nodes, or {instead}"),
                );
            } else if !without_sub_path.is_empty() {
                findings.warn(
                    check,
                    format!("profile {names} mounts an image, and Javelin is tested with containerd 2.2 and later; older: {}", some(&without_sub_path)),
                    format!("update containerd on these nodes, or {instead}"),
                );
            } else {
                findings.ok(
                    check,
                    format!("profile {names} mounts an image, and every node can"),
                );
            }
        }
        Err(unseen) => findings.unseen(check, unseen),
    }
}

/// Nodes whose containerd cannot mount images, and those whose containerd is older than what was tried.
fn old_runtimes(nodes: &[Node]) -> (Vec<String>, Vec<String>) {
    let (mut old, mut doubtful) = (Vec::new(), Vec::new());
    for node in nodes {
        let runtime = &node.status.node_info.container_runtime_version;
        let Some(version) = runtime.strip_prefix("containerd://") else {
            continue;
        };
        let mut parts = version
            .split('.')
            .map_while(|part| part.parse::<u32>().ok());
        let version = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let line = format!("{name} ({runtime})");
        if version < (2, 1) {
            old.push(line);
        } else if version < (2, 2) {
            doubtful.push(line);
        }
    }
    (old, doubtful)
}

fn with_image_volumes(config: &Config) -> Vec<String> {
    let profiles = config.profiles();
    let mounting = profiles.filter(|each| matches!(each.delivery, Delivery::ImageVolume { .. }));
    mounting.map(|profile| profile.name.clone()).collect()
}

fn policies(minor: Option<u32>, findings: &mut Findings) {
    let message = if minor >= Some(POLICIES) {
        "this version could also inject without a webhook, by a MutatingAdmissionPolicy (`javelin policy`)"
            .to_owned()
    } else {
        format!("injecting without a webhook needs Kubernetes 1.{POLICIES}; the webhook does not")
    };
    findings.ok(Check::Policies, message);
}

fn configuration(facts: &Facts, findings: &mut Findings) {
    let check = Check::Configuration;
    let name = format!(
        "ConfigMap {}/{}",
        facts.names.namespace, facts.names.service
    );
    match &facts.config {
        Ok(Ok(config)) => {
            let profiles: Vec<_> = config.profiles().map(|profile| profile.name.clone()).collect();
            findings.ok(check, format!("{name} is good: profiles {}", some(&profiles)));
        }
        Ok(Err(why)) => findings.fail(
            check,
            format!("{name} is invalid, and replicas keep their previous configuration: {why}"),
            "correct the chart's values and run `helm upgrade`; `javelin config check` checks a file in the same way",
        ),
        Err(Unseen::Missing(_)) => findings.fail(
            check,
            format!("{name} does not exist"),
            "give --javelin-namespace and --service as the release has them, or run the same `helm upgrade` again",
        ),
        Err(unseen) => findings.unseen(check, unseen),
    }
}

fn account(facts: &Facts, findings: &mut Findings) {
    let check = Check::AccountRights;
    let account = format!(
        "ServiceAccount {}/{}",
        facts.names.namespace, facts.names.account
    );
    match &facts.account {
        Err(unseen) => findings.unseen(check, unseen),
        Ok(rights) => {
            let missing: Vec<_> = rights.iter().filter(|right| !right.is_allowed).collect();
            for right in &missing {
                findings.fail(check, format!("{account} may not {}", right.what), UPGRADE);
            }
            if missing.is_empty() && rights.is_empty() {
                findings.ok(
                    check,
                    format!("{account} needs no rights: the certificate is not Javelin's own"),
                );
            } else if missing.is_empty() {
                findings.ok(check, format!("{account} has all rights that it needs"));
            }
        }
    }
}

/// The minor number of `v1.37.2`, `v1.33.5-gke.1000`; `None` if it cannot be told, or the major one is not 1.
pub(super) fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix('v').unwrap_or(version);
    let (major, rest) = rest.split_once('.')?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    (major == "1").then(|| digits.parse().ok())?
}

/// As the chart has it in `kubeVersion`: of what the chart makes, `matchConditions` is the newest, and without a feature gate since then.
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-matchconditions>
pub(super) const OLDEST: u32 = 30;

/// From here on the gate `ImageVolume` is beta, and off.
const GATE_THERE: u32 = 33;

/// From here on it is on.
const GATE_ON: u32 = 35;

/// From here on admission policies may change objects.
const POLICIES: u32 = 36;
