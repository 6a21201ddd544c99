//! What will be done to a pod: data, to be shown, patched and checked.

use std::fmt;

use super::{
    environment::EnvEdit,
    keys,
    parts::{Json, Parts},
    pod::StringMap,
    target::List,
};

/// Everything that one pod gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Is nothing of ours in the pod yet?
    pub is_first: bool,
    /// Name of the profile.
    pub profile: String,
    /// Does a JVM start with the agent, or are these variables alone?
    pub loads_agent: bool,
    /// Volumes and init container.
    pub parts: Parts,
    /// What each target container gets.
    pub containers: Vec<ContainerPlan>,
    /// Annotations to set, the receipt among them.
    pub annotations: StringMap,
    /// Annotations to take away: a word of ours that is true no more.
    pub stale_annotations: Vec<&'static str>,
    /// What the person should know although nothing is in the way.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// What each container gets, in a word or two.
    pub fn brings(&self) -> &'static str {
        if self.loads_agent {
            "agent"
        } else {
            "variables only"
        }
    }

    /// Is everything in the pod already?
    pub(super) fn changes_nothing(&self) -> bool {
        self.parts == Parts::default()
            && self.annotations.is_empty()
            && self.stale_annotations.is_empty()
            && self
                .containers
                .iter()
                .all(|container| container.env.is_empty() && container.mounts.is_empty())
    }
}

/// What one container gets.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerPlan {
    /// The list that it stands in.
    pub list: List,
    /// Its position there.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Edits to its environment, in order.
    pub env: Vec<EnvEdit>,
    /// Mounts to add.
    pub mounts: Vec<Json>,
    /// The service's name, when it is from us.
    pub service_name: Option<String>,
}

/// What the person should know although the agent is injected. Display gives one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A name in the list of containers that no container has.
    UnknownContainer {
        /// The name.
        name: String,
    },
    /// Nothing says which of several containers is the application's.
    FirstOfSeveral {
        /// The container that got the agent.
        container: String,
        /// How many more could have.
        others: usize,
    },
    /// The image's start script takes the variable away.
    OptionsDropped {
        /// The container.
        container: String,
        /// The image's name.
        image: &'static str,
        /// The variable that the script reads.
        reads: &'static str,
    },
    /// Probes or hooks start JVMs of their own, and each loads the agent.
    ProbeStartsJvm {
        /// The container.
        container: String,
        /// Which of them.
        places: Vec<&'static str>,
        /// The first one's program.
        tool: &'static str,
    },
    /// The agent takes 90 MiB of it.
    LittleMemory {
        /// The container.
        container: String,
    },
    /// The start will take many times as long.
    LittleCpu {
        /// The container.
        container: String,
    },
    /// The start may take longer than the liveness probe waits.
    ImpatientProbe {
        /// The container.
        container: String,
    },
    /// Java 8 ignores a value past 1,023 bytes.
    LongOptions {
        /// The container.
        container: String,
    },
    /// `OTEL_RESOURCE_ATTRIBUTES` comes from elsewhere, so ours are missing.
    AttributesNotLiteral {
        /// The container.
        container: String,
    },
    /// A setting of the SDK is empty, which is not the same as absent.
    EmptySetting {
        /// The container.
        container: String,
        /// The variable.
        variable: String,
    },
    /// A file of declarative configuration is named, and the agent reads nothing else.
    DeclarativeFile {
        /// The container.
        container: String,
    },
    /// `OTEL_RESOURCE_ATTRIBUTES` has a part without `=`.
    AttributesBroken {
        /// The container.
        container: String,
    },
}

impl Warning {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownContainer { .. } => "unknown-container",
            Self::FirstOfSeveral { .. } => "first-of-several",
            Self::OptionsDropped { .. } => "options-dropped",
            Self::ProbeStartsJvm { .. } => "probe-starts-jvm",
            Self::LittleMemory { .. } => "little-memory",
            Self::LittleCpu { .. } => "little-cpu",
            Self::ImpatientProbe { .. } => "impatient-probe",
            Self::LongOptions { .. } => "long-options",
            Self::AttributesNotLiteral { .. } => "attributes-not-literal",
            Self::EmptySetting { .. } => "empty-setting",
            Self::DeclarativeFile { .. } => "declarative-file",
            Self::AttributesBroken { .. } => "attributes-broken",
        }
    }

    /// Code and sentence: what is shown everywhere.
    pub fn line(&self) -> String {
        format!("{}: {self}", self.code())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownContainer { name } => {
                write!(
                    f,
                    "the annotation names a container {name:?}, which the pod does not have"
                )
            }
            Self::FirstOfSeveral { container, others } => write!(
                f,
                "container {container:?} is the first of {} that are not known sidecars; if another is the \
                 application, name it in the annotation {}",
                others + 1,
                keys::DEFAULT_CONTAINER
            ),
            Self::OptionsDropped {
                container,
                image,
                reads,
            } => write!(
                f,
                "container {container:?}: the start script of the image {image} unsets JAVA_TOOL_OPTIONS and reads {reads}, so \
                 no agent will start; set its label to false"
            ),
            Self::ProbeStartsJvm {
                container,
                places,
                tool,
            } => write!(
                f,
                "container {container:?}: {} runs {tool}, a JVM that also loads the agent, and needs seconds and about \
                 220 MB; write JAVA_TOOL_OPTIONS= in front of it",
                places.join(", ")
            ),
            Self::LittleMemory { container } => {
                write!(
                    f,
                    "container {container:?}: the agent takes about 90 MiB of its memory limit"
                )
            }
            Self::LittleCpu { container } => {
                write!(
                    f,
                    "container {container:?}: its CPU limit makes the start with the agent slow"
                )
            }
            Self::ImpatientProbe { container } => write!(
                f,
                "container {container:?}: its liveness probe gives up in less than 30 s; add a startup probe"
            ),
            Self::LongOptions { container } => {
                write!(
                    f,
                    "container {container:?}: JAVA_TOOL_OPTIONS is so long that Java 8 would ignore it"
                )
            }
            Self::AttributesNotLiteral { container } => write!(
                f,
                "container {container:?}: Javelin cannot add to OTEL_RESOURCE_ATTRIBUTES where it comes from; \
                 the k8s.* attributes are left out"
            ),
            Self::DeclarativeFile { container } => write!(
                f,
                "container {container:?}: OTEL_CONFIG_FILE is set, and the agent then reads no other setting"
            ),
            Self::EmptySetting {
                container,
                variable,
            } => write!(
                f,
                "container {container:?}: {variable} is empty, and the agent sends nothing with it; remove it"
            ),
            Self::AttributesBroken { container } => write!(
                f,
                "container {container:?}: OTEL_RESOURCE_ATTRIBUTES has a part without '='; \
                 the agent does not start with it"
            ),
        }
    }
}
