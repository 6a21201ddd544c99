//! Does the agent fit into the container?
//!
//! An idle application went from 25 to 113 MiB with agent 2.31.0 and was killed under limits of 64 and 96 MiB; one
//! of 112 MiB ran. The start takes two seconds of a core more, and many times that under a small CPU limit.

use serde_json::Value;

use super::{
    plan::Warning,
    pod::{Container, Pod, Resources},
    reason::Reason,
};
use crate::{
    config::{Delivery, Profile},
    quantity::{self, MEBI},
};

/// Skips a container that the agent would kill, and warns of one that it may slow down too much.
pub(super) fn check(
    pod: &Pod,
    container: &Container,
    profile: &Profile,
    warnings: &mut Vec<Warning>,
) -> Result<(), Reason> {
    let name = || container.name.clone();
    let limit = |resource: &str| {
        let levels = [container.resources.as_ref(), pod.spec.resources.as_ref()];
        let limits = levels
            .into_iter()
            .flatten()
            .filter_map(|resources| limit_of(resources, resource));
        limits.min_by(f64::total_cmp)
    };
    let (memory, storage, cpu) = (limit("memory"), limit("ephemeral-storage"), limit("cpu"));
    let floor = profile.minimum_memory;
    if memory.is_some_and(|memory| memory < floor) {
        let needs = format!("a memory limit of at least {}Mi", floor / MEBI);
        return Err(Reason::DoesNotFit {
            container: name(),
            needs,
        });
    }
    let copies = matches!(profile.delivery, Delivery::InitContainer { .. });
    if copies && storage.is_some_and(|storage| storage < MINIMUM_STORAGE) {
        let needs = format!(
            "an ephemeral-storage limit of at least {}Mi",
            MINIMUM_STORAGE / MEBI
        );
        return Err(Reason::DoesNotFit {
            container: name(),
            needs,
        });
    }
    if memory.is_some_and(|memory| memory < COMFORTABLE_MEMORY) {
        warnings.push(Warning::LittleMemory { container: name() });
    }
    if cpu.is_some_and(|cpu| cpu < COMFORTABLE_CPU) {
        warnings.push(Warning::LittleCpu { container: name() });
    }
    if container.startup_probe.is_none()
        && container.liveness_probe.as_ref().is_some_and(is_impatient)
    {
        warnings.push(Warning::ImpatientProbe { container: name() });
    }
    Ok(())
}

fn limit_of(resources: &Resources, resource: &str) -> Option<f64> {
    quantity::parse(resources.limits.as_ref()?.get(resource)?)
}

/// Gives a liveness probe up in less than half a minute? The defaults are Kubernetes' own.
fn is_impatient(probe: &Value) -> bool {
    let seconds =
        |key: &str, default: u64| probe.get(key).and_then(Value::as_u64).unwrap_or(default);
    let patience = seconds("failureThreshold", 3).saturating_mul(seconds("periodSeconds", 10));
    seconds("initialDelaySeconds", 0).saturating_add(patience) < PATIENCE_SECONDS
}

/// The jar has 24 MiB.
const MINIMUM_STORAGE: f64 = 32.0 * MEBI;

const COMFORTABLE_MEMORY: f64 = 256.0 * MEBI;
const COMFORTABLE_CPU: f64 = 0.5;
const PATIENCE_SECONDS: u64 = 30;
