//! Everything between a label and a trace, judged: what was seen of the cluster in, findings out.
//!
//! ```text
//! facts       what was asked
//! seen        or why it could not be seen
//! objects     the few fields of Kubernetes objects that decide something
//! platform    the API server's version, the configuration, who may do what
//! webhook     the webhook configuration, entry by entry, and other injectors
//! replicas    Service, endpoints, replicas, certificates, the probe, image pulls
//! destination where telemetry goes, by the configuration
//! collector   is somebody there, and does it speak that protocol?
//! labels      keys and values that were meant otherwise
//! dry_run     what became of a pod that was created as a dry run
//! ```
//!
//! Invariants: pure; every finding has a [`Check`], whose code never changes its meaning; a warning or a failure has a
//! hint. What could not be seen is a warning that says so, never a failure.
//!
//! Deliberately not here: asking (`diagnose::gather`) and printing (`cli::check`).

use serde::{Serialize, Serializer};

mod collector;
pub mod destination;
pub mod dry_run;
pub mod facts;
pub mod labels;
pub mod objects;
mod platform;
mod replicas;
mod seen;
pub mod webhook;

pub use facts::Facts;
pub use seen::{Seen, Unseen};

/// A question that is put to the cluster. Its code is part of the interface.
macro_rules! checks {
    ($($variant:ident $section:ident $code:literal, $title:literal;)+) => {
        /// A question that is put to the cluster.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Check {
            $(#[doc = $title] $variant,)+
        }

        impl Check {
            /// All of them, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The question, in words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// Where it belongs.
            pub fn section(self) -> Section {
                match self { $(Self::$variant => Section::$section,)+ }
            }
        }
    };
}

checks! {
    KubernetesVersion Kubernetes "kubernetes-version", "Is this version of Kubernetes supported?";
    ImageVolumes Kubernetes "image-volumes", "Can pods mount the agent's image, if a profile needs it?";
    Policies Kubernetes "policies", "Could this cluster inject without a webhook?";
    Configuration Configuration "configuration", "Can Javelin's configuration be read?";
    AccountRights Rights "account-rights", "Does Javelin have the rights that it needs?";
    YourRights Rights "your-rights", "Do you have the rights to run all checks?";
    WebhookExists Webhook "webhook-exists", "Is there a webhook configuration?";
    WebhookEntries Webhook "webhook-entries", "Does it have all entries, and no others?";
    WebhookProfiles Webhook "webhook-profiles", "Does every profile have an entry, and every entry a profile?";
    WebhookSelectors Webhook "webhook-selectors", "Do the entries select what the chart says?";
    WebhookCaBundles Webhook "webhook-ca-bundles", "Does every entry have a caBundle?";
    WebhookFailurePolicy Webhook "webhook-failure-policy", "Do pods start while Javelin is down?";
    WebhookStrangers Webhook "webhook-strangers", "Does another webhook configuration send pods to Javelin?";
    OtherInjectors Injectors "other-injectors", "Does something else inject agents into pods?";
    Service Endpoints "service", "Does the Service that the API server calls exist?";
    Replicas Endpoints "replicas", "Are Javelin's pods ready?";
    Endpoints Endpoints "endpoints", "Does the Service have ready endpoints?";
    Certificates Certificates "certificates", "Do the entries trust the served certificates?";
    Reachable Reachability "reachable", "Does the API server reach the webhook?";
    AgentImage AgentImage "agent-image", "Can nodes pull the agent's image?";
    NodeArchitectures AgentImage "node-architectures", "Can every node run the agent's image?";
    CollectorConfigured Collector "collector-configured", "Does every profile say where telemetry goes?";
    CollectorService Collector "collector-service", "Does the Service that telemetry is sent to exist?";
    CollectorEndpoints Collector "collector-endpoints", "Are ready pods behind it, at that port?";
    CollectorOtlp Collector "collector-otlp", "Does it speak OTLP in that protocol?";
    LabelKeys Labels "label-keys", "Is the label spelt correctly?";
    LabelValues Labels "label-values", "Does every value name a profile?";
    LabelAnnotations Labels "label-annotations", "Is it a label, and not an annotation?";
    LabelKinds Labels "label-kinds", "Is the label on a kind that passes it to its pods?";
    LabelExcluded Labels "label-excluded", "Is a label where it has no effect?";
    DryRun DryRun "dry-run", "Does a labelled pod get the agent there?";
}

/// Checks that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// The API server.
    Kubernetes,
    /// Javelin's own file.
    Configuration,
    /// Who may do what.
    Rights,
    /// The webhook configuration.
    Webhook,
    /// Whoever else changes pods.
    Injectors,
    /// The Service and the pods behind it.
    Endpoints,
    /// Authority, leaves, bundles.
    Certificates,
    /// The way from the API server to the webhook.
    Reachability,
    /// The image that pods pull.
    AgentImage,
    /// Where telemetry goes.
    Collector,
    /// What people have labelled.
    Labels,
    /// A pod that is created as a dry run.
    DryRun,
}

impl Section {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes",
            Self::Configuration => "Configuration",
            Self::Rights => "Rights",
            Self::Webhook => "Webhook configuration",
            Self::Injectors => "Other injectors",
            Self::Endpoints => "Service and replicas",
            Self::Certificates => "Certificates",
            Self::Reachability => "Reachability",
            Self::AgentImage => "Agent image",
            Self::Collector => "Collector",
            Self::Labels => "Labels",
            Self::DryRun => "Dry run",
        }
    }
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Worth knowing, or not to be seen.
    Warning,
    /// Pods stay without the agent, or traces do not arrive.
    Failed,
}

/// An answer to a [`Check`]. One check may have several, as one for each profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it belongs.
    pub section: Section,
    /// Which question.
    #[serde(rename = "id", serialize_with = "as_code")]
    pub check: Check,
    /// How it stands.
    pub status: Status,
    /// What was found, with its cause.
    pub message: String,
    /// What to do next; `None` when all is well.
    pub hint: Option<String>,
}

/// Judges all of it. Findings are in the order of [`Check::ALL`].
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    platform::judge(facts, &mut findings);
    webhook::judge(facts, &mut findings);
    replicas::judge(facts, &mut findings);
    collector::judge(facts, &mut findings);
    labels::judge(facts, &mut findings);
    dry_run::judge(facts, &mut findings);
    platform::judge_rights_of_person(facts, &mut findings);
    let Findings(mut findings) = findings;
    findings.sort_by_key(|finding| Check::ALL.iter().position(|check| *check == finding.check));
    findings
}

/// The findings so far.
#[derive(Debug)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: Check, message: impl Into<String>) {
        self.add(check, Status::Ok, message.into(), None);
    }

    fn warn(&mut self, check: Check, message: impl Into<String>, hint: impl Into<String>) {
        self.add(check, Status::Warning, message.into(), Some(hint.into()));
    }

    fn fail(&mut self, check: Check, message: impl Into<String>, hint: impl Into<String>) {
        self.add(check, Status::Failed, message.into(), Some(hint.into()));
    }

    /// The facts for it are not known.
    fn unseen(&mut self, check: Check, unseen: &Unseen) {
        let hint = match unseen {
            Unseen::Denied(_) => ASK_FOR_RIGHTS,
            Unseen::Missing(_) | Unseen::Failed(_) => "run it again, or look for it with kubectl",
        };
        self.warn(check, format!("not checked: {unseen}"), hint);
    }

    fn add(&mut self, check: Check, status: Status, message: String, hint: Option<String>) {
        self.0.push(Finding {
            section: check.section(),
            check,
            status,
            message,
            hint,
        });
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn as_code<S: Serializer>(check: &Check, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(check.code())
}

/// A few names for a sentence, and how many more there are.
fn some(names: &[String]) -> String {
    let shown = names.get(..MOST_NAMES).unwrap_or(names).join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

const MOST_NAMES: usize = 5;

const ASK_FOR_RIGHTS: &str = "see your-rights";

const UPGRADE: &str = "the chart ships it: run the same `helm upgrade` again";

#[cfg(test)]
mod tests;
