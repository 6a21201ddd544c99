//! `docs/policy.md`: how to go without a webhook, and what that costs.

use javelin_core::policy::beside_webhook;
use javelin_core::policy::difference::{DIFFERENCES, Effect};

use super::{GENERATED, row};

/// `deploy/chart/files/missed.json`: the policies beside the webhook, for the chart to choose one.
pub(super) fn of_chart() -> String {
    let policies = serde_json::json!({
        "labels": beside_webhook(false),
        "labelsAndAnnotations": beside_webhook(true),
    });
    format!("{policies:#}\n")
}

pub(super) fn page() -> String {
    let left_alone = DIFFERENCES.iter().filter_map(|difference| {
        let Effect::LeftAlone(code) = difference.effect else {
            return None;
        };
        Some(row(&[
            &format!("`{code}`"),
            difference.what,
            difference.instead,
        ]))
    });
    let of = |effect: Effect| {
        let rows = DIFFERENCES
            .iter()
            .filter(move |row| row.effect == effect)
            .map(|difference| row(&[difference.what, difference.instead]));
        rows.collect::<String>()
    };
    format!(
        "{GENERATED}{INTRODUCTION}\n{LEFT_ALONE}{}\n{DIFFERS}{}\n{AROUND}{}",
        left_alone.collect::<String>(),
        of(Effect::Differs),
        of(Effect::Around)
    )
}

const INTRODUCTION: &str = "
# Without a webhook: admission policies

Kubernetes 1.36 and later can change pods by itself, by a MutatingAdmissionPolicy. `javelin policy` writes one from the
same configuration as the webhook's. Nothing listens then: there is no port, no certificate, no firewall rule, and no
Deployment that has to be up while pods are created. It is for clusters whose API server cannot reach a webhook.

The expressions in it do what the engine does, in the API server. A test compares both on an API server, pod by pod:
the result is the same, or the pod is left alone for a reason that is listed below. A pod is never injected where the
webhook would not do it, unless it is only too large for the webhook.

## What is written

| object | what it does |
|---|---|
| MutatingAdmissionPolicy `javelin-pods`, with its bindings | injects. The bindings select by the labels of pod and namespace, so other pods cost nothing |
| MutatingAdmissionPolicy `javelin-workloads`, with its bindings | copies the label of a Deployment, StatefulSet, DaemonSet, CronJob, Job and so on into its pod template, and takes the copy away with the label |
| ValidatingAdmissionPolicy `javelin-missed`, with its binding | warns, and adds an audit annotation, when a pod that was asked for has no agent. It refuses nothing |

Each profile is a variable of the first policy, `profile_0` and so on. There is no ConfigMap with parameters: when the
last binding of a cluster that refers to ConfigMaps is deleted, API servers read them no more until they restart
([kubernetes/kubernetes#130887](https://github.com/kubernetes/kubernetes/issues/130887)), and then nobody could go
back and apply the policies again.

## Use it

The image has to be where nodes can pull it, as with the webhook: it brings the agent.

```sh
javelin policy --config javelin.yaml --from-cluster > policy.yaml
kubectl apply -f policy.yaml
kubectl label deployment orders instrumentation.opentelemetry.io/inject-java=true
```

`--from-cluster` asks the API server for its version, and refuses one that is too old; `--kubernetes-version 1.36` says
it without a cluster. The chart's values that Javelin reads are its configuration file: of an installed release,
`kubectl get configmap javelin -n javelin-system -o jsonpath='{.data.config\\.yaml}'` prints it.

Change the configuration, write the policies again, apply them again. A profile that is gone needs nothing more. API
servers take policies over within a second or two, and each by itself.

To see what comes of a pod: `kubectl apply --dry-run=server -o yaml -f pod.yaml`. `javelin preview` shows what the
webhook would do, which is the same but for the list below.

Some things of a configuration cannot be said in policies, such as `otlp.tls`. `javelin policy` then writes nothing, and
names each key with its line and what to do.

## Go back

```sh
kubectl delete -f policy.yaml
```

Pods that run keep the agent until they are made anew. Labels of workloads stay; remove them first, and the policy
takes its copies out of the pod templates.

Between policies and the webhook one may go either way, and both may be there at once: a pod gets the agent once, from
the policies, and the webhook then finds its own receipt.

## What is different

`javelin policy --differences` prints the same, and it stands at the top of what `javelin policy` writes.
";

const LEFT_ALONE: &str = "### Left alone, where the webhook injects

The code is in the pod's annotation `javelin.dev/skipped`, and in the warning. Where both skip, the code is one of
[the webhook's](reasons.md).

| code | what the pod has | what becomes of it |
|---|---|---|
";

const DIFFERS: &str = "### Injected or skipped, and not quite the same

| what | with policies |
|---|---|
";

const AROUND: &str = "### Around it

| what | with policies |
|---|---|
";
