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
            "The API server's `/version`. Javelin is made for Kubernetes 1.33 and later.",
            "Update the cluster. An older one may work; try a pod with `javelin check -n NAMESPACE` first.",
        ),
        Check::ImageVolumes => (
            "Only for profiles with `delivery: image-volume`. The feature gate ImageVolume is there from 1.33 on, and on from \
             1.35 on; containerd mounts images from 2.1 on. Without either the volume is missing, and the JVM does not start.",
            "Write `delivery: init-container`, which works everywhere, or update what the text names.",
        ),
        Check::Policies => (
            "By the version: from 1.36 on a cluster can inject by a MutatingAdmissionPolicy, without a webhook and its port.",
            "Nothing; it is never a warning.",
        ),
        Check::Configuration => (
            "The ConfigMap that the chart mounts, read as the replicas read it. They keep the last good one.",
            "Correct the chart's values and run `helm upgrade`. `javelin config check` tells the same of a file.",
        ),
        Check::AccountRights => (
            "Each right of the chart's Role and ClusterRole, asked of the API server by a SubjectAccessReview. With a \
             certificate of your own Javelin needs none.",
            "Run the same `helm upgrade` again: somebody has changed a Role or a binding.",
        ),
        Check::YourRights => (
            "Whatever you were not allowed to read on the way. Checks that rest on it say that they were left out; none of \
             them fails for it.",
            "Ask for the rights that are named; [below](#rights) is a ClusterRole with all of them.",
        ),
        Check::WebhookExists => (
            "The MutatingWebhookConfiguration, without which nothing calls Javelin.",
            "Install the chart. For a release that is not called javelin give `--service` and `--webhook-configuration`.",
        ),
        Check::WebhookEntries => (
            "The entries by name, against those that the chart makes for this configuration.",
            "Run the same `helm upgrade` again. An entry that is not the chart's was added by somebody: find out who.",
        ),
        Check::WebhookProfiles => (
            "A profile on a namespace needs an entry of its own, as selectors cannot look a value up. An entry without a profile \
             is left of an older configuration.",
            "Profiles are values of the chart, which makes both; run `helm upgrade`.",
        ),
        Check::WebhookSelectors => (
            "Path, selectors and conditions of each entry. Lost requirements fail; added ones are a warning, as AKS adds some \
             by itself.",
            "Run the same `helm upgrade` again, or see that what was added does not leave out your namespaces.",
        ),
        Check::WebhookCaBundles => (
            "Whether each entry has a caBundle at all. What is in it is the business of `certificates`.",
            "A running replica writes it within a second. Its log says why it cannot, or who takes it away again.",
        ),
        Check::WebhookFailurePolicy => (
            "Every entry but the probe's has to have `failurePolicy: Ignore`: else labelled pods are refused while Javelin is \
             away. The probe's has to have Fail, which can refuse nothing but Javelin's own dry run.",
            "Run the same `helm upgrade` again, and exempt the entries from the policy that changes them.",
        ),
        Check::WebhookStrangers => (
            "Other webhook configurations that call this Javelin, or belong to another one.",
            "Delete what is left of an older release. Two Javelins in one cluster need different namespaces.",
        ),
        Check::OtherInjectors => (
            "Webhooks that change pods, by names that injectors of agents are known to have: the OpenTelemetry Operator, \
             Dynatrace, Datadog, New Relic, Instana, AppDynamics, Elastic APM and others. Two agents in one JVM do not go \
             together; Javelin skips a pod that has one (`already-injected`, `other-agent`).",
            "See that no pod is asked for by both. The hint names the way of that injector.",
        ),
        Check::Service => (
            "The Service that the entries call, with port 443.",
            "Give `--javelin-namespace` and `--service` as the release has them, or run `helm upgrade` again.",
        ),
        Check::Replicas => (
            "The pods behind the Service, and whether they are ready. A single one is a warning: pods that are created while it \
             is away stay without the agent.",
            "`kubectl describe pods` says why one is not ready.",
        ),
        Check::Endpoints => (
            "The EndpointSlices of the Service: addresses that the API server can call.",
            "Look at the replicas, and at the Service's selector.",
        ),
        Check::Certificates => (
            "What `javelin cert show` finds wrong: authorities that the entries do not trust, certificates that have ended, a \
             damaged Secret. With a certificate of your own only `reachable` can tell.",
            "`javelin cert show` says more, and what happens next by itself.",
        ),
        Check::Reachable => (
            "The probe, put with your rights: a ConfigMap is created as a dry run, and either the webhook was called or the \
             refusal says why not. [probe.md](probe.md) has every finding.",
            "What the hint says: mostly a firewall statement, made to be forwarded.",
        ),
        Check::AgentImage => (
            "Events of failed pulls, and then the pods themselves: those that still wait for the agent's image.",
            "Mirror the image, or name a pull secret of the pod's namespace in `agent.imagePullSecret`.",
        ),
        Check::NodeArchitectures => (
            "With the delivery `init-container` and Javelin's own image: the copier in it is a program for one architecture, \
             or for each that the image has. Nodes with a ready replica show which those are; the others' \
             `status.nodeInfo.architecture` is compared with these.",
            "See that the image has all of these architectures; then nothing has to be done. If it has not, pods on the other \
             nodes end with `exec format error`.",
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
            "Whether ready pods are behind that Service. A headless one is called at the pods' own port.",
            "Look at the collector's pods, and at the Service's selector.",
        ),
        Check::CollectorOtlp => (
            "An empty OTLP/HTTP request, by way of the API server's proxy. A gRPC server cannot answer it, and how it fails tells \
             that it is one: a port for gRPC with `http/protobuf`, or the other way round, is the classic mistake. Not tested \
             are addresses outside of the cluster, ExternalName Services and a collector on each node; the hint says how to \
             test these by hand. A NetworkPolicy may let the API server through and your pods not, or the other way round.",
            "Take the port that belongs to the protocol: by convention 4318 with `http/protobuf`, 4317 with `grpc`.",
        ),
        Check::LabelKeys => (
            "Labels of namespaces, workloads, pod templates and pods without a controller that look like a misspelt \
             `instrumentation.opentelemetry.io/inject-java`.",
            "Correct the key.",
        ),
        Check::LabelValues => (
            "Values that name no profile. They are exact, and lower case: `True` is none.",
            "Write `true`, `false` or a profile's name.",
        ),
        Check::LabelAnnotations => (
            "The key as an annotation. On namespaces and workloads it has no effect; on pod templates only with \
             `annotations: true` in the chart's values.",
            "Make it a label.",
        ),
        Check::LabelKinds => (
            "Labels on objects of kinds that Javelin does not know, or whose own label nobody copies to their pods: \
             resources of operators, ReplicationControllers. All kinds of the cluster are looked at. A label inside of such an \
             object, on what becomes its pods, works and is not seen here.",
            "Put the label where that kind keeps the labels of its pods, or on the namespace.",
        ),
        Check::LabelExcluded => (
            "Labels in namespaces under `excludedNamespaces`, where nothing is ever touched.",
            "Take the label away, or the namespace out of the list.",
        ),
        Check::DryRun => (
            "Only with `-n NAMESPACE`: a labelled pod that is created there as a dry run, and what came of it. When it is refused, the \
             same pod is tried without the label, so that it is clear whether the agent is to blame.",
            "The text says who refuses, or which reason there was ([reasons.md](reasons.md)).",
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

Everything between a label and a trace, with the rights of whoever runs it. Nothing is changed: what looks like a write is a
dry run.

A check is in order, a warning or failed. A warning is worth knowing, or says what could not be seen; a failure means that
pods stay without the agent, or that traces do not arrive. Exit codes: 0 nothing has failed, 1 something has, 2 the cluster
could not be asked, or wrong usage.

`-o json` prints `{\"status\", \"findings\": [{\"section\", \"id\", \"status\", \"message\", \"hint\"}]}`. Ids, sections and the
statuses `ok`, `warning` and `failed` never change their meaning; messages may get better. One check may have several
findings, or none where what it rests on is missing.
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

All that is read, as a ClusterRole. Without a part of it the checks that rest on it are left out, and `your-rights` says so.

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
