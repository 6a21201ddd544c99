//! Where the policies do less than the webhook. Every row is printed by `javelin policy --differences`, stands at the
//! top of what `javelin policy` writes, and in `docs/policy.md`.
//!
//! Invariant: a code that begins with `policy-` has a row here, and a row with a code is one that the expressions give;
//! a test compares both.

/// Something that the webhook does and the policies do not, or do in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// What becomes of it.
    pub effect: Effect,
    /// What the webhook does, or what the pod has.
    pub what: &'static str,
    /// What the policies do.
    pub instead: &'static str,
}

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is left alone where the webhook injects, with this code in `javelin.dev/skipped`.
    LeftAlone(&'static str),
    /// It is injected, and something about it is not as the webhook leaves it.
    Differs,
    /// The same pods are injected and skipped; what differs is told or watched elsewhere.
    Around,
}

impl Difference {
    /// One line: code, what, instead.
    pub fn line(&self) -> String {
        let Self {
            effect,
            what,
            instead,
        } = self;
        match effect {
            Effect::LeftAlone(code) => format!("{code}: {what}: {instead}"),
            Effect::Differs | Effect::Around => format!("{what}: {instead}"),
        }
    }
}

/// All of them, what a pod loses first.
pub const DIFFERENCES: [Difference; 23] = [
    Difference {
        effect: Effect::LeftAlone("policy-agent-reference"),
        what: "an option or argument with both the word agent and $(NAME) in it",
        instead: "left alone; the webhook resolves the reference and sees which agent it is",
    },
    Difference {
        effect: Effect::LeftAlone("policy-quote"),
        what: "JAVA_TOOL_OPTIONS with $(NAME), where some variable has a quote in it",
        instead: "left alone; the webhook resolves the reference and counts the quotes",
    },
    Difference {
        effect: Effect::LeftAlone("policy-attribute-reference"),
        what: "OTEL_RESOURCE_ATTRIBUTES with $$, or with $(NAME) of a literal variable",
        instead: "left alone; the webhook resolves the reference and reads the keys",
    },
    Difference {
        effect: Effect::LeftAlone("policy-fallback"),
        what: "JAVA_TOOL_OPTIONS or OTEL_RESOURCE_ATTRIBUTES from an optional key, with an earlier entry of the same name",
        instead: "left alone; the webhook composes all of them",
    },
    Difference {
        effect: Effect::LeftAlone("policy-path"),
        what: "a mount whose path has both .. and javelin-agent in it",
        instead: "left alone; the webhook resolves the path",
    },
    Difference {
        effect: Effect::LeftAlone("annotations-full"),
        what: "more than 60,000 characters of annotations",
        instead: "left alone without a message; the webhook counts bytes, up to Kubernetes' 256 KiB",
    },
    Difference {
        effect: Effect::LeftAlone("already-injected"),
        what: "an option that looks like an OpenTelemetry agent's inside another word or behind a quote",
        instead: "left alone; the webhook reads words as the JVM does",
    },
    Difference {
        effect: Effect::LeftAlone("other-agent"),
        what: "an option that looks like another vendor's agent inside another word or behind a quote",
        instead: "left alone; the webhook reads words as the JVM does",
    },
    Difference {
        effect: Effect::Differs,
        what: "more than about 3,000 variables in all targets of a pod",
        instead: "left alone without a message: the API server stops an expression that costs too much; the ValidatingAdmissionPolicy warns",
    },
    Difference {
        effect: Effect::Differs,
        what: "a pod that the webhook leaves alone as too-large (1,000 containers, 100 sources of envFrom in one, 128 KiB in one variable)",
        instead: "injected, within the API server's own cost limit",
    },
    Difference {
        effect: Effect::Differs,
        what: "a helper that Javelin knows only by its image or command (a JMX exporter called metrics)",
        instead: "gets the agent if it comes first: the expressions know only names, including those of `sidecars`",
    },
    Difference {
        effect: Effect::Differs,
        what: "the receipt's notes on agents besides Javelin's and on the init container's uid",
        instead: "left out",
    },
    Difference {
        effect: Effect::Differs,
        what: "the sentence behind the code in javelin.dev/skipped",
        instead: "the same code with a shorter sentence, without names of containers",
    },
    Difference {
        effect: Effect::Differs,
        what: "a label that names no profile",
        instead: "no javelin.dev/skipped on the pod; the ValidatingAdmissionPolicy warns of it",
    },
    Difference {
        effect: Effect::Differs,
        what: "the order of checks when a pod has several reasons to be skipped",
        instead: "a different one of its reasons may be reported",
    },
    Difference {
        effect: Effect::Differs,
        what: "what another webhook changes in an injected pod (containers, resources)",
        instead: "not processed again: the init container keeps its resources",
    },
    Difference {
        effect: Effect::Differs,
        what: "what another webhook adds before Javelin",
        instead: "policies run before all webhooks; they run again only if such a webhook changed the pod",
    },
    Difference {
        effect: Effect::Differs,
        what: "a workload whose agent the audit has taken back (the annotation javelin.dev/guarded)",
        instead: "its label is copied again with its next change: there is no audit beside the policies",
    },
    Difference {
        effect: Effect::Around,
        what: "warnings (little memory, impatient probe, long options, the first of several containers and the like)",
        instead: "none; `javelin preview` shows them",
    },
    Difference {
        effect: Effect::Around,
        what: "the preview that kubectl shows when a workload is labelled",
        instead: "none; policies cannot both change an object and warn",
    },
    Difference {
        effect: Effect::Around,
        what: "a pod that is skipped",
        instead: "a warning and an audit annotation by the ValidatingAdmissionPolicy, also for an opted-in Windows or static pod",
    },
    Difference {
        effect: Effect::Around,
        what: "metrics and logs of decisions",
        instead: "the API server's apiserver_mutating_admission_policy_* and apiserver_validating_admission_policy_* metrics",
    },
    Difference {
        effect: Effect::Around,
        what: "the configuration",
        instead: "is part of the policy; to change it, write it with `javelin policy` and apply it again",
    },
];

/// What is said behind a code on a pod that is skipped.
pub(super) fn sentences() -> impl Iterator<Item = (&'static str, String)> {
    let of_engine = OF_ENGINE
        .iter()
        .map(|(code, text)| (*code, (*text).to_owned()));
    let rows = DIFFERENCES.iter().filter_map(|row| match row.effect {
        Effect::LeftAlone(code) if code.starts_with(OWN) => Some((
            code,
            format!("{}: the policy cannot tell what it means", row.what),
        )),
        _ => None,
    });
    of_engine.chain(rows)
}

/// How codes begin that only policies give.
pub const OWN: &str = "policy-";

/// The engine's codes that the expressions give, each with what to do.
const OF_ENGINE: [(&str, &str); 15] = [
    (
        "already-injected",
        "an OpenTelemetry agent is there already; take it out to let Javelin take over",
    ),
    (
        "conflicting-container",
        "the pod has a container of our name; rename it",
    ),
    (
        "conflicting-mount",
        "a container mounts something where Javelin's own must go; move it",
    ),
    (
        "conflicting-variable",
        "a container sets a variable that Javelin keeps for itself; rename it",
    ),
    (
        "conflicting-volume",
        "the pod has a volume of our name; rename it",
    ),
    (
        "does-not-fit",
        "a limit is too small for the agent; raise the memory or ephemeral-storage limit",
    ),
    (
        "invalid-annotation",
        "an annotation cannot be honoured; `javelin preview` says which",
    ),
    (
        "no-target-container",
        "the annotation names no container of the pod; correct it",
    ),
    (
        "only-sidecars",
        "every container is a known sidecar; name the application's by annotation",
    ),
    (
        "optional-options",
        "JAVA_TOOL_OPTIONS may be absent at run time and the profile has composeOptional: false",
    ),
    (
        "other-agent",
        "another vendor's agent is there; remove it, or annotate the pod javelin.dev/allow-other-agent=true",
    ),
    (
        "static-pod",
        "the kubelet runs this pod from a file on its node; add the agent in that file",
    ),
    (
        "unknown-options-source",
        "JAVA_TOOL_OPTIONS comes from a source that is not known; annotate javelin.dev/java-tool-options",
    ),
    (
        "unparsable-options",
        "JAVA_TOOL_OPTIONS has a quote without its partner; close the quote",
    ),
    ("windows", "the agent image is for Linux nodes"),
];
