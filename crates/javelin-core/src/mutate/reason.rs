//! Why a pod is left alone. The codes are part of Javelin's interface: metrics, logs, warnings, the pod's
//! annotation, the CLI and the docs all show them unchanged.

use std::fmt;

use super::{java::AgentKind, keys};

/// Why a pod is left alone. Display gives one sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing asks for the agent, or the namespace is excluded.
    NotSelected,
    /// Somebody said `false`.
    OptedOut(Source),
    /// The value names no profile.
    UnknownProfile {
        /// Where the value stands.
        source: Source,
        /// The value, when it is known: an entry for a namespace knows only that it matched nothing.
        value: Option<String>,
    },
    /// Our own complete result: nothing is left to do.
    AlreadyInjected,
    /// An OpenTelemetry agent is there that we did not put there.
    ForeignAgent {
        /// The container that has it.
        container: String,
        /// The option's text.
        option: String,
    },
    /// Another injector was here, and brings an OpenTelemetry agent.
    ForeignInjector {
        /// Its init container.
        container: String,
    },
    /// An agent of another vendor that does the same job.
    OtherAgent {
        /// The container that has it.
        container: String,
        /// Which one.
        agent: AgentKind,
    },
    /// The JVM itself would refuse the value.
    UnparsableOptions {
        /// The container.
        container: String,
        /// The variable.
        variable: String,
    },
    /// The value may be absent at run time, and the profile does not allow to compose it.
    OptionalOptions {
        /// The container.
        container: String,
    },
    /// The value may come from objects that are not among the manifests, and a manifest cannot compose it unseen.
    UnseenOptions {
        /// The container.
        container: String,
        /// Kinds and names.
        sources: String,
    },
    /// The value comes from a kind of source that this version does not know.
    UnknownOptionsSource {
        /// The container.
        container: String,
    },
    /// The pod has no container to inject into, or none that was asked for, or one without a name.
    NoTargetContainer {
        /// What the annotations ask for in vain; nothing when there is no container at all.
        asked: Vec<String>,
    },
    /// Every container is a known sidecar.
    OnlySidecars,
    /// The agent image is for Linux.
    Windows,
    /// The kubelet runs it from a file; admission comes too late.
    StaticPod,
    /// The agent would not fit into the container's limits.
    DoesNotFit {
        /// The container.
        container: String,
        /// What it would need.
        needs: String,
    },
    /// There is so much of something in the pod that looking at it would hold others up.
    TooLarge {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// How much of it is looked at.
        limit: usize,
    },
    /// The pod's annotations have no room for ours.
    AnnotationsFull,
    /// An annotation of ours cannot be honoured.
    InvalidAnnotation {
        /// Its key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A volume, container, mount or variable has a name or place that we need.
    Conflict(Conflict),
    /// The object could not be read.
    Unreadable(String),
    /// A defect of ours: the patch did not pass its own check.
    Internal(String),
}

/// Where a value of the inject label stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The pod's own label.
    Pod,
    /// The pod's annotation of the same key.
    Annotation,
    /// Our copy of the workload's label.
    Workload,
    /// The namespace's label.
    Namespace,
}

/// Something of the user's that stands where ours must go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// A volume of our name, a claim template of it, or a mount of one that is declared nowhere.
    Volume {
        /// Its name.
        name: String,
    },
    /// A container or init container of our name.
    Container {
        /// Its name.
        name: String,
    },
    /// A mount at, above or below our directory.
    Mount {
        /// The container.
        container: String,
        /// The mount's path.
        path: String,
    },
    /// An environment variable of our own.
    Variable {
        /// The container.
        container: String,
        /// The variable's name.
        name: String,
    },
}

impl Reason {
    /// Each code that [`Reason::code`] gives.
    pub const CODES: [&'static str; 22] = [
        "not-selected",
        "opted-out",
        "unknown-profile",
        "already-injected",
        "other-agent",
        "unparsable-options",
        "optional-options",
        "unknown-options-source",
        "no-target-container",
        "only-sidecars",
        "windows",
        "static-pod",
        "does-not-fit",
        "too-large",
        "annotations-full",
        "invalid-annotation",
        "conflicting-volume",
        "conflicting-container",
        "conflicting-mount",
        "conflicting-variable",
        "unreadable",
        "internal-error",
    ];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSelected => "not-selected",
            Self::OptedOut(_) => "opted-out",
            Self::UnknownProfile { .. } => "unknown-profile",
            Self::AlreadyInjected | Self::ForeignAgent { .. } | Self::ForeignInjector { .. } => {
                "already-injected"
            }
            Self::OtherAgent { .. } => "other-agent",
            Self::UnparsableOptions { .. } => "unparsable-options",
            Self::OptionalOptions { .. } | Self::UnseenOptions { .. } => "optional-options",
            Self::UnknownOptionsSource { .. } => "unknown-options-source",
            Self::NoTargetContainer { .. } => "no-target-container",
            Self::OnlySidecars => "only-sidecars",
            Self::Windows => "windows",
            Self::StaticPod => "static-pod",
            Self::DoesNotFit { .. } => "does-not-fit",
            Self::TooLarge { .. } => "too-large",
            Self::AnnotationsFull => "annotations-full",
            Self::InvalidAnnotation { .. } => "invalid-annotation",
            Self::Conflict(Conflict::Volume { .. }) => "conflicting-volume",
            Self::Conflict(Conflict::Container { .. }) => "conflicting-container",
            Self::Conflict(Conflict::Mount { .. }) => "conflicting-mount",
            Self::Conflict(Conflict::Variable { .. }) => "conflicting-variable",
            Self::Unreadable(_) => "unreadable",
            Self::Internal(_) => "internal-error",
        }
    }

    /// Is this what the user asked for? Then nobody has to be told: no warning, no annotation.
    pub fn is_expected(&self) -> bool {
        matches!(
            self,
            Self::NotSelected | Self::OptedOut(_) | Self::AlreadyInjected
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSelected => write!(f, "no label {}, or an excluded namespace", keys::INJECT),
            Self::OptedOut(source) => write!(f, "{source} says false"),
            Self::UnknownProfile { source, value } => unknown_profile(f, *source, value.as_deref()),
            Self::AlreadyInjected => write!(f, "the pod already has the agent from Javelin"),
            Self::ForeignAgent { container, option } => write!(
                f,
                "container {container:?} already starts an OpenTelemetry agent ({option}); \
                 remove that option to let Javelin take over"
            ),
            Self::ForeignInjector { container } => write!(
                f,
                "the init container {container:?} already brings an OpenTelemetry agent; \
                 turn its injector off for this pod to let Javelin take over"
            ),
            Self::OtherAgent { container, agent } => write!(
                f,
                "container {container:?} already brings the {agent} agent; \
                 remove it, or annotate the pod {}=true to run both",
                keys::ALLOW_OTHER_AGENT
            ),
            Self::UnparsableOptions {
                container,
                variable,
            } => write!(
                f,
                "container {container:?}: {variable} has an unclosed quote, \
                 and the JVM refuses to start with it; close the quote"
            ),
            Self::OptionalOptions { container } => write!(
                f,
                "container {container:?}: JAVA_TOOL_OPTIONS may be absent at run time and the profile has \
                 composeOptional: false; set a literal value or annotate the pod {}",
                keys::JAVA_TOOL_OPTIONS_BASE
            ),
            Self::UnseenOptions { container, sources } => write!(
                f,
                "container {container:?}: JAVA_TOOL_OPTIONS may come from {sources}, which the input does not have; \
                 add it to the input, or annotate the pod {} with the value to build on",
                keys::JAVA_TOOL_OPTIONS_BASE
            ),
            Self::UnknownOptionsSource { container } => write!(
                f,
                "container {container:?}: JAVA_TOOL_OPTIONS comes from a source that this version does not know; \
                 annotate the pod {} with the value to build on",
                keys::JAVA_TOOL_OPTIONS_BASE
            ),
            Self::NoTargetContainer { asked } if asked.is_empty() => {
                write!(
                    f,
                    "the pod has no container, or one without a name; if that is added later, as by Knative, the \
                     webhook sees it"
                )
            }
            Self::NoTargetContainer { asked } => write!(
                f,
                "no container is called {}; correct the annotation {}",
                asked.join(" or "),
                keys::CONTAINER_NAMES
            ),
            Self::OnlySidecars => write!(
                f,
                "every container is a known sidecar; name the application's with the annotation {}",
                keys::DEFAULT_CONTAINER
            ),
            Self::Windows => write!(f, "the agent image is for Linux nodes"),
            Self::StaticPod => write!(
                f,
                "the kubelet runs this pod from a file on its node; add the agent in that file"
            ),
            Self::DoesNotFit { container, needs } => {
                write!(
                    f,
                    "container {container:?} would not survive the agent: set {needs}"
                )
            }
            Self::TooLarge { what, limit } => write!(
                f,
                "the pod has more than {limit} {what}, which is more than Javelin processes; use fewer"
            ),
            Self::AnnotationsFull => {
                write!(
                    f,
                    "the annotations would exceed the 256 KiB that Kubernetes allows; remove some"
                )
            }
            Self::InvalidAnnotation { key, problem } => write!(f, "annotation {key}: {problem}"),
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Unreadable(problem) => {
                write!(f, "the object is not shaped like a pod: {problem}")
            }
            Self::Internal(problem) => write!(
                f,
                "a defect in Javelin, please report it; the pod is left as it was: {problem}"
            ),
        }
    }
}

fn unknown_profile(f: &mut fmt::Formatter<'_>, source: Source, value: Option<&str>) -> fmt::Result {
    match value {
        Some(value) if source == Source::Annotation && value.contains('/') => write!(
            f,
            "{source} names the Instrumentation {value:?}, a resource of the OpenTelemetry Operator; \
             write true, false or a profile's name"
        ),
        Some(value) => write!(
            f,
            "{source} names the profile {value:?}, which the configuration does not have; \
             write true (lower case), false or a profile's name"
        ),
        None => write!(
            f,
            "{source} names no profile; write true (lower case), false or a profile's name"
        ),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pod => "the pod's label",
            Self::Annotation => "the pod's annotation",
            Self::Workload => "the workload's label",
            Self::Namespace => "the namespace's label",
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume { name } => {
                write!(
                    f,
                    "the pod has, mounts or claims a volume {name} of its own; rename it"
                )
            }
            Self::Container { name } => {
                write!(f, "the pod has a container {name} of its own; rename it")
            }
            Self::Mount { container, path } => write!(
                f,
                "container {container:?} mounts something at {path}, where Javelin's own files must go; move it"
            ),
            Self::Variable { container, name } => write!(
                f,
                "container {container:?} sets {name}, a variable that Javelin reserves; rename it"
            ),
        }
    }
}
