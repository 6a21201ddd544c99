//! Every name that Javelin reads from, or writes into, somebody else's object.

/// Turns the agent on: `true`, a profile's name, or `false`. On a Namespace, a workload or a pod template.
pub const INJECT: &str = "instrumentation.opentelemetry.io/inject-java";

/// Our copy of a workload's [`INJECT`] value, in its pod template and on its own metadata.
///
/// A key of our own, so that a label that the user put into the template is never taken for ours.
pub const FROM_WORKLOAD: &str = "javelin.dev/from-workload";

/// On a workload whose agent the audit has taken back: the label that it had then, and why. While that is its label, it
/// counts as `false` ([`guard`](crate::guard)).
pub const GUARDED: &str = "javelin.dev/guarded";

/// The receipt on a pod: what was injected, by which version, with which configuration.
pub const INJECTED: &str = "javelin.dev/injected";

/// On a pod that was asked for and skipped: the reason's code and a sentence.
pub const SKIPPED: &str = "javelin.dev/skipped";

/// What the answer to the probe sets on the probe's own ConfigMap.
pub const PROBE: &str = "javelin.dev/probe";

/// On our own Secret: what state the certificate authorities are in, a sentence for people.
pub const CERTIFICATES: &str = "javelin.dev/certificates";

/// On our own Secret: somebody asks for another certificate authority, with any value. Taken away when there is one.
pub const ROTATE: &str = "javelin.dev/rotate";

/// On our own webhook configuration: somebody else writes its caBundles. The chart sets it, so that replicas that still
/// have an authority of their own, and are about to go, do not write theirs over it.
pub const CA_BUNDLE: &str = "javelin.dev/ca-bundle";

/// On our own webhook configuration: the `metadata.generation` up to which API servers have been made to read it again.
pub const TOUCHED: &str = "javelin.dev/touched";

/// Base value of `JAVA_TOOL_OPTIONS` when the image or envFrom sets it, which admission cannot see.
pub const JAVA_TOOL_OPTIONS_BASE: &str = "javelin.dev/java-tool-options";

/// `true` lets our agent start beside another vendor's.
pub const ALLOW_OTHER_AGENT: &str = "javelin.dev/allow-other-agent";

/// Prefix of annotations that become variables of the targets: `javelin.dev/env.OTEL_TRACES_EXPORTER`.
pub const ENV_PREFIX: &str = "javelin.dev/env.";

/// Prefix of annotations that become resource attributes: `resource.opentelemetry.io/service.name`.
pub const RESOURCE_PREFIX: &str = "resource.opentelemetry.io/";

/// Containers that get the agent: names with commas between, `*` for all. The OpenTelemetry Operator's key.
pub const CONTAINER_NAMES: &str = "instrumentation.opentelemetry.io/container-names";

/// The same for Java alone; the two lists count together.
pub const JAVA_CONTAINER_NAMES: &str = "instrumentation.opentelemetry.io/java-container-names";

/// Which container `kubectl logs` and `kubectl exec` take, and so do we.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Set by the kubelet on the API's image of a static pod, which no admission can change any more.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Volumes that do not keep the cluster autoscaler from removing a node: a comma list of names.
pub const SAFE_TO_EVICT_VOLUMES: &str =
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// Label that the Deployment controller puts on its pods; the ReplicaSet's name ends in it.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The same for Argo Rollouts.
pub const ROLLOUT_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";

/// Recommended labels that may tell a service's name, the first one there counts.
pub const NAME_LABELS: [&str; 2] = ["app.kubernetes.io/instance", "app.kubernetes.io/name"];

/// The recommended label that may tell a service's version.
pub const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// Name of the volume and of the init container that we add.
pub const AGENT_NAME: &str = "javelin-agent";

/// Where the volume is mounted, in the init container and in each target.
pub const AGENT_DIR: &str = "/javelin-agent";

/// The jar's name in that directory, where an init container puts it.
pub const AGENT_JAR: &str = "javaagent.jar";

/// The SDK's settings in that directory, for containers in which variables would hide the user's.
pub const DEFAULTS_FILE: &str = "/javelin-agent/defaults.properties";

/// Name of the volume with the agent's extensions, and of the init container that fills it from an image.
pub const EXTENSIONS_NAME: &str = "javelin-extensions";

/// Where it is mounted.
pub const EXTENSIONS_DIR: &str = "/javelin-extensions";

/// Name of the volume with the certificates for the OTLP endpoint.
pub const TLS_NAME: &str = "javelin-otlp-tls";

/// Where it is mounted.
pub const TLS_DIR: &str = "/javelin-otlp-tls";

/// All volumes that may be ours; init containers have the names of those that they fill.
pub const VOLUMES: [&str; 3] = [AGENT_NAME, EXTENSIONS_NAME, TLS_NAME];

/// The user's `JAVA_TOOL_OPTIONS`, when it comes from elsewhere and ours is composed with it.
pub const OPTIONS_VARIABLE: &str = "JAVELIN_JAVA_TOOL_OPTIONS";

/// The user's `OTEL_RESOURCE_ATTRIBUTES`, in the same case.
pub const ATTRIBUTES_VARIABLE: &str = "JAVELIN_RESOURCE_ATTRIBUTES";

/// The headers for our endpoint, where envFrom may bring others.
pub const HEADERS_VARIABLE: &str = "JAVELIN_OTLP_HEADERS";

/// The address of the pod's node.
pub const NODE_IP_VARIABLE: &str = "JAVELIN_NODE_IP";

/// What only the kubelet knows, and the field of the downward API that tells it: for our other values to refer to.
pub const FIELD_VARIABLES: [(&str, &str); 5] = [
    ("JAVELIN_NAMESPACE", "metadata.namespace"),
    (NODE_IP_VARIABLE, "status.hostIP"),
    ("JAVELIN_NODE_NAME", "spec.nodeName"),
    ("JAVELIN_POD_NAME", "metadata.name"),
    ("JAVELIN_POD_UID", "metadata.uid"),
];

/// Names of variables of ours, which no container may have of its own.
pub fn private_names() -> impl Iterator<Item = &'static str> {
    let fields = FIELD_VARIABLES.iter().map(|(name, _)| *name);
    fields.chain([OPTIONS_VARIABLE, ATTRIBUTES_VARIABLE, HEADERS_VARIABLE])
}

/// Is it one of [`private_names`]?
pub fn is_private(variable: &str) -> bool {
    private_names().any(|name| name == variable)
}
