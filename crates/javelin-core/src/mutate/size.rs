//! Is the pod small enough to be looked at?
//!
//! The API server refuses an oversized pod only after admission, so whoever may dry-run one chooses how long we work.
//! Every step takes time in proportion to the pod; what multiplies two of its parts has a limit here, far above what
//! runs anywhere.

use super::{
    Subject,
    expansion::{Literals, MAX_ENVIRONMENT, MAX_VARIABLE},
    java::JAVA_TOOL_OPTIONS,
    keys,
    pod::{Container, Pod},
    reason::Reason,
    resource::RESOURCE_ATTRIBUTES,
};
use crate::steps;

/// Checks what the pod's own text says, before any step. The result of a patch is not checked again: it has a little
/// more of everything.
pub(super) fn check(pod: &Pod) -> Result<(), Reason> {
    if annotation_bytes(pod) > MAX_ANNOTATIONS {
        return Err(Reason::AnnotationsFull);
    }
    let all = || pod.spec.containers.iter().chain(pod.spec.init_containers());
    at_most(MAX_CONTAINERS, all().count(), "containers")?;
    let mut expanded = 0;
    for container in all() {
        steps::take(1 + container.env().len());
        let sources = container.env_from().len();
        at_most(MAX_SOURCES, sources, "envFrom sources in one container")?;
        for name in [JAVA_TOOL_OPTIONS, RESOURCE_ATTRIBUTES] {
            let entries = container.env().iter();
            let entries = entries.filter(|variable| variable.name == name).count();
            at_most(MAX_SOURCES, entries, "entries of one variable")?;
        }
        expanded += expansion_cost(container, MAX_EXPANDED - expanded);
        at_most(MAX_EXPANDED, expanded, "bytes once $(NAME) is resolved")?;
    }
    Ok(())
}

/// Checks what every target gets a copy of.
pub(super) fn check_copies(subject: &Subject<'_>, targets: usize) -> Result<(), Reason> {
    let pod = subject.pod;
    let metadata = &pod.metadata;
    let annotations = [keys::ENV_PREFIX, keys::RESOURCE_PREFIX]
        .into_iter()
        .flat_map(|prefix| pod.annotations_under(prefix))
        .map(|(key, value)| key.len() + value.len());
    let base = pod.annotation(keys::JAVA_TOOL_OPTIONS_BASE).map(str::len);
    let labels = keys::NAME_LABELS.iter().chain([&keys::VERSION_LABEL]);
    let labels = labels.filter_map(|key| pod.label(key)).map(str::len);
    let names = [&metadata.name, &metadata.generate_name, &metadata.namespace];
    let names = names.into_iter().flatten().map(String::len);
    let owners = subject.owners.iter().map(|owner| owner.name.len());
    let texts = annotations.chain(base).chain(labels);
    let each: usize = texts.chain(names).chain(owners).sum();
    let copied = each.saturating_mul(targets);
    at_most(MAX_COPIED, copied, "bytes of metadata for its containers")
}

/// Checks an environment with ours in it against what Linux starts a program with: past that the container would not
/// run, though it may have without us.
pub(super) fn check_environment(literals: &Literals<'_>) -> Result<(), Reason> {
    let cut = literals.cut();
    let one = cut.filter(|limit| *limit == MAX_VARIABLE);
    let (mut longest, mut whole) = (one.map_or(0, |_| usize::MAX), 0);
    for (name, value) in literals.iter() {
        // `NAME=value` and a zero byte.
        let length = name.len() + value.len() + 2;
        longest = longest.max(length);
        whole += length;
    }
    let whole = cut.map_or(whole, |_| usize::MAX);
    at_most(MAX_VARIABLE, longest, "bytes in one variable")?;
    at_most(MAX_ENVIRONMENT, whole, "bytes in one container's variables")
}

/// Refuses more than `limit` of something.
pub(super) fn at_most(limit: usize, count: usize, what: &'static str) -> Result<(), Reason> {
    if count > limit {
        return Err(Reason::TooLarge { what, limit });
    }
    Ok(())
}

/// How many bytes resolving the container's variables and arguments writes, also in vain; not much more than `limit`.
fn expansion_cost(container: &Container, limit: usize) -> usize {
    let literals = Literals::of(container.env());
    let mut cost = literals.cost();
    for text in container.command.iter().chain(&container.args).flatten() {
        if cost > limit {
            break;
        }
        cost += literals.expansion_cost(text);
    }
    cost
}

fn annotation_bytes(pod: &Pod) -> usize {
    let annotations = pod.metadata.annotations.iter().flatten();
    annotations
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// Kubernetes refuses an object with more than 256 KiB of annotations (`TotalAnnotationSizeLimitB`).
pub(crate) const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Containers of a pod, and names in a list of them: a node runs 110 pods by default, and few have ten containers.
pub(super) const MAX_CONTAINERS: usize = 1_000;

/// Agents in all targets together, each with a line in the receipt: with the longest lines they would fill the
/// annotations.
pub(super) const MAX_AGENTS: usize = 1_000;

/// Places that one variable may come from in one container: each is an entry that moves all later ones.
const MAX_SOURCES: usize = 100;

/// What resolving references may write for a whole pod. Without references it is the pod's own text, at most the 3 MiB
/// that the API server takes; Linux starts no program with more than 2 MiB. All of it is read some twenty times.
pub(super) const MAX_EXPANDED: usize = 4 * 1024 * 1024;

/// What the API server takes as one object (`MaxRequestBodyBytes`): a pod with more in it is refused.
const MAX_COPIED: usize = 3 * 1024 * 1024;

#[cfg(test)]
mod tests;
