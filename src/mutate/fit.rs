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
use crate::config::Profile;

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
    if storage.is_some_and(|storage| storage < MINIMUM_STORAGE) {
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
    quantity(resources.limits.as_ref()?.get(resource)?)
}

/// Gives a liveness probe up in less than half a minute? The defaults are Kubernetes' own.
fn is_impatient(probe: &Value) -> bool {
    let seconds =
        |key: &str, default: u64| probe.get(key).and_then(Value::as_u64).unwrap_or(default);
    let patience = seconds("failureThreshold", 3).saturating_mul(seconds("periodSeconds", 10));
    seconds("initialDelaySeconds", 0).saturating_add(patience) < PATIENCE_SECONDS
}

/// A Kubernetes quantity (`apimachinery/pkg/api/resource/quantity.go`) as a number of its unit; `None` for what is
/// none, which the API server refuses by itself.
pub(crate) fn quantity(value: &Value) -> Option<f64> {
    let Value::String(text) = value else {
        return value.as_f64();
    };
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => KIBI,
        "Mi" => MEBI,
        "Gi" => MEBI * KIBI,
        "Ti" => MEBI * MEBI,
        "Pi" => MEBI * MEBI * KIBI,
        "Ei" => MEBI * MEBI * MEBI,
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

const KIBI: f64 = 1024.0;
const MEBI: f64 = 1024.0 * 1024.0;

/// The jar has 24 MiB.
const MINIMUM_STORAGE: f64 = 32.0 * MEBI;

const COMFORTABLE_MEMORY: f64 = 256.0 * MEBI;
const COMFORTABLE_CPU: f64 = 0.5;
const PATIENCE_SECONDS: u64 = 30;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::quantity;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (value, expected) in [
            (json!("128Mi"), 134_217_728.0),
            (json!("1.5Gi"), 1_610_612_736.0),
            (json!("250m"), 0.25),
            (json!(2), 2.0),
            (json!("1e3"), 1_000.0),
            (json!("2E"), 2e18),
            (json!("1E2"), 100.0),
        ] {
            assert_eq!(quantity(&value), Some(expected), "{value}");
        }
        for value in [json!("much"), json!("1Xi"), json!(""), json!(null)] {
            assert_eq!(quantity(&value), None, "{value}");
        }
    }
}
