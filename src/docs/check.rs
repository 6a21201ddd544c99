//! `docs/check.md`: every check of `javelin check`, what it looks at and what to do.

use std::fmt::Write as _;

use javelin_core::kinds::Kind;

use super::GENERATED;
use crate::diagnose::check::{Check, Section};

/// What a check looks at, and what to do when it is not as it should be. A match, so that a new one does not compile without.
#[expect(clippy::too_many_lines, reason = "a table")]
fn sentences(check: Check) -> (&'static str, &'static str) {
    match check {
        Check::KubernetesVersion => (
            "The API server's `/version`. Javelin is made for Kubernetes 1.30 and later.",
            "Update the cluster. An older one may work; try a pod with `javelin check -n NAMESPACE` first.",
        ),
        Check::ImageVolumes => (
            "Only for profiles with `delivery: image-volume`. The feature gate ImageVolume exists since 1.33 and is on \
             by default since 1.35; containerd mounts images since 2.1. Without both, the volume is missing and the \
             JVM does not start.",
            "Write `delivery: init-container`, which works everywhere, or update what the message names.",
        ),
        Check::Policies => (
            "The version: since 1.36, a cluster can inject with a MutatingAdmissionPolicy, without a webhook and its \
             port.",
            "Nothing; this check never warns.",
        ),
        Check::Configuration => (
            "The ConfigMap that the chart mounts, read as the replicas read it. They keep the last good configuration.",
            "Correct the chart's values and run `helm upgrade`. `javelin config check` checks a file in the same way.",
        ),
        Check::AccountRights => (
            "Each right of the chart's Role and ClusterRole, checked with a SubjectAccessReview. With your own \
             certificate, Javelin needs none.",
            "Run the same `helm upgrade` again: a Role or a binding was changed.",
        ),
        Check::YourRights => (
            "Everything that you were not allowed to read. The checks that depend on it report that they were skipped; \
             none of them fails because of it.",
            "Ask for the rights that the message names; [below](#rights) is a ClusterRole with all of them.",
        ),
        Check::WebhookExists => (
            "The MutatingWebhookConfiguration, without which nothing calls Javelin.",
            "Install the chart. For a release that is not called javelin give `--service` and `--webhook-configuration`.",
        ),
        Check::WebhookEntries => (
            "The names of the entries, compared with those that the chart renders for this configuration.",
            "Run the same `helm upgrade` again. If an entry is not the chart's, find out who added it.",
        ),
        Check::WebhookProfiles => (
            "Each profile that a namespace can name needs its own entry, because selectors cannot look up a value. An \
             entry without a profile is left over from an older configuration.",
            "Profiles are values of the chart, which renders both; run `helm upgrade`.",
        ),
        Check::WebhookSelectors => (
            "Path, selectors and conditions of each entry. A missing requirement is a failure; an additional one is a \
             warning, because AKS adds some by itself.",
            "Run the same `helm upgrade` again, or make sure that the additions do not exclude your namespaces.",
        ),
        Check::WebhookCaBundles => (
            "Whether each entry has a caBundle. The check `certificates` looks at its content.",
            "A running replica writes it within a second. Its log says why it cannot, or who removes it again.",
        ),
        Check::WebhookFailurePolicy => (
            "Every entry except the probe's must have `failurePolicy: Ignore`; otherwise labelled pods are refused \
             while Javelin is down. The probe's must have Fail, which can refuse only Javelin's own dry run.",
            "Run the same `helm upgrade` again, and exempt the entries from the policy that changes them.",
        ),
        Check::WebhookStrangers => (
            "Other webhook configurations that call this Javelin, or belong to another one.",
            "Delete what is left of an older release. Two Javelins in one cluster need different namespaces.",
        ),
        Check::OtherInjectors => (
            "Webhooks that change pods and have a name that is known from agent injectors: the OpenTelemetry Operator, \
             Dynatrace, Datadog, New Relic, Instana, AppDynamics, Elastic APM and others. Two agents do not work \
             together in one JVM; Javelin skips a pod that already has one (`already-injected`, `other-agent`).",
            "Make sure that no pod is selected by both. The hint says how to exclude pods from that injector.",
        ),
        Check::Service => (
            "The Service that the entries call, with port 443.",
            "Give `--javelin-namespace` and `--service` as the release has them, or run `helm upgrade` again.",
        ),
        Check::Replicas => (
            "The pods behind the Service, and whether they are ready. A single pod is a warning: pods that are created \
             while it is down do not get the agent.",
            "`kubectl describe pods` says why one is not ready.",
        ),
        Check::Endpoints => (
            "The EndpointSlices of the Service: addresses that the API server can call.",
            "Look at the replicas, and at the Service's selector.",
        ),
        Check::Certificates => (
            "The problems that `javelin cert show` finds: authorities that the entries do not trust, expired \
             certificates, a damaged Secret. With your own certificate, only `reachable` can detect problems.",
            "`javelin cert show` has the details, and shows what Javelin does next by itself.",
        ),
        Check::Reachable => (
            "The probe, run with your rights: it creates a ConfigMap as a dry run. Either the webhook is called, or \
             the refusal says why not. [probe.md](probe.md) lists every finding.",
            "Follow the hint: mostly a firewall request that you can forward.",
        ),
        Check::AgentImage => (
            "Events of failed image pulls, and the pods that still wait for the agent's image.",
            "Mirror the image, or set `agent.imagePullSecret` to a pull secret of the pod's namespace.",
        ),
        Check::NodeArchitectures => (
            "Only with the delivery `init-container` and Javelin's own image. The copier in it runs only on the \
             architectures that the image was built for. Nodes with a ready replica show which those are; the \
             `status.nodeInfo.architecture` of all other nodes is compared with them.",
            "Make sure that the image has all of these architectures; then there is nothing to do. Otherwise pods on \
             the other nodes fail with `exec format error`.",
        ),
        Check::CollectorConfigured => (
            "Whether each profile has an `otlp.endpoint`. Without one the agent sends to localhost in the pod.",
            "Set `default.otlp.endpoint` and `default.otlp.protocol` in the chart's values.",
        ),
        Check::CollectorService => (
            "An endpoint such as `http://otel-collector.observability.svc:4318` names a Service, which has to have that port.",
            "Correct the endpoint.",
        ),
        Check::CollectorEndpoints => (
            "Whether ready pods are behind that Service. With a headless Service, the agent calls the pods' own port.",
            "Look at the collector's pods, and at the Service's selector.",
        ),
        Check::CollectorOtlp => (
            "An empty OTLP/HTTP request through the API server's proxy. A gRPC server cannot answer it, and its error \
             shows that it is one. A gRPC port with `http/protobuf`, or an HTTP port with `grpc`, is the classic \
             mistake. Addresses outside the cluster, ExternalName Services and a collector on each node are not \
             tested; the hint says how to test these by hand. A NetworkPolicy may allow the API server and block your \
             pods, or the other way round.",
            "Use the port that belongs to the protocol: by convention 4318 with `http/protobuf`, 4317 with `grpc`.",
        ),
        Check::LabelKeys => (
            "Labels of namespaces, workloads, pod templates and pods without a controller that look like a misspelt \
             `instrumentation.opentelemetry.io/inject-java`.",
            "Correct the key.",
        ),
        Check::LabelValues => (
            "Values that name no profile. Values are case-sensitive and lower case: `True` is not valid.",
            "Write `true`, `false` or a profile's name.",
        ),
        Check::LabelAnnotations => (
            "The key as an annotation. On namespaces and workloads it has no effect; on pod templates only with \
             `annotations: true` in the chart's values.",
            "Make it a label.",
        ),
        Check::LabelKinds => (
            "Labels on objects of kinds that Javelin does not know, or whose own label is not copied to their pods: \
             resources of operators, ReplicationControllers. All kinds in the cluster are checked. A label inside such \
             an object, in its pod template, works and is not reported here.",
            "Put the label where that kind keeps the labels of its pods, or on the namespace.",
        ),
        Check::LabelExcluded => (
            "Labels in namespaces under `excludedNamespaces`, where Javelin never changes anything.",
            "Remove the label, or remove the namespace from the list.",
        ),
        Check::DryRun => (
            "Only with `-n NAMESPACE`: the result of creating a labelled pod there as a dry run. If the pod is \
             refused, the same pod is tried without the label, to show whether the agent is the cause.",
            "The message says what refused the pod, or why it was skipped ([reasons.md](reasons.md)).",
        ),
    }
}

pub(super) fn page() -> String {
    let mut text = format!("{GENERATED}{INTRODUCTION}");
    let mut section: Option<Section> = None;
    for check in Check::ALL {
        if section != Some(check.section()) {
            section = Some(check.section());
            let _ = write!(text, "\n## {}\n", check.section().title());
        }
        let (means, to_do) = sentences(*check);
        let _ = write!(
            text,
            "\n### `{}`\n\n> {}\n\n{means}\n\n- To do: {to_do}\n",
            check.code(),
            check.title()
        );
    }
    text.push_str(RIGHTS);
    text
}

const INTRODUCTION: &str = "
# What `javelin check` looks at

`javelin check` looks at everything between a label and a trace, with your own rights. It changes nothing: what looks
like a write is a dry run.

The result of a check is ok, warning or failed. A warning is something to know, or says what could not be checked. A
failure means that pods do not get the agent, or that traces do not arrive. Exit codes: 0 if nothing failed, 1 if a
check failed, 2 if the cluster could not be reached or the usage was wrong.

`-o json` prints `{\"status\", \"findings\": [{\"section\", \"id\", \"status\", \"message\", \"hint\"}]}`. The meaning
of ids, sections and the statuses `ok`, `warning` and `failed` never changes; messages may improve. A check can have
several findings, or none if something that it depends on is missing.
";

/// Whoever applies them and is still refused a kind is left without its checks.
#[test]
fn rights_name_every_kind_that_is_listed() {
    for kind in Kind::with_status() {
        let is_of_group = |rule: &&str| rule.starts_with(&format!("{}]", kind.group));
        let mut rules = RIGHTS.split("- apiGroups: [").skip(1).filter(is_of_group);
        let is_named = rules.any(|rule| {
            rule.split([' ', ',', '[', ']'])
                .any(|word| word == kind.plural())
        });
        assert!(is_named, "no rule lists {}", kind.resource());
    }
}

const RIGHTS: &str = "
## Rights

This ClusterRole contains every right that `javelin check` uses. If one is missing, the checks that depend on it are
skipped, and `your-rights` says so.

```yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: javelin-check
rules:
  - apiGroups: [\"\"]
    resources: [namespaces, nodes, pods, replicationcontrollers, services, events]
    verbs: [get, list]
  - apiGroups: [\"\"]
    resources: [configmaps]
    resourceNames: [javelin]
    verbs: [get]
  - apiGroups: [apps]
    resources: [deployments, statefulsets, daemonsets, replicasets]
    verbs: [get, list]
  - apiGroups: [batch]
    resources: [cronjobs, jobs]
    verbs: [get, list]
  - apiGroups: [argoproj.io]
    resources: [rollouts]
    verbs: [get, list]
  # Further kinds for label-kinds: those of your operators.
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list]
  - apiGroups: [admissionregistration.k8s.io]
    resources: [mutatingwebhookconfigurations]
    verbs: [get, list]
  - apiGroups: [authorization.k8s.io]
    resources: [subjectaccessreviews]
    verbs: [create]
  # The certificate authority; its private key is in there, and goes no further.
  - apiGroups: [\"\"]
    resources: [secrets]
    resourceNames: [javelin-ca]
    verbs: [get]
  # What replicas tell of themselves; and the question to the collector.
  - apiGroups: [\"\"]
    resources: [pods/proxy]
    verbs: [get]
  - apiGroups: [\"\"]
    resources: [services/proxy]
    verbs: [create]
  # The probe, a dry run.
  - apiGroups: [\"\"]
    resources: [configmaps]
    resourceNames: [javelin-probe]
    verbs: [create, patch]
  # The pod of `check -n`, a dry run; Kubernetes knows no right to dry runs alone.
  - apiGroups: [\"\"]
    resources: [pods]
    verbs: [create]
```
";
