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

Kubernetes 1.36 and later can change pods itself, with a MutatingAdmissionPolicy. `javelin policy` writes one from the
same configuration as the webhook's. You then need no port, no certificate, no firewall rule, and no Deployment that has
to be up while pods are created. It is for clusters whose API server cannot reach a webhook.

Its expressions do in the API server what the engine does. A test compares both on an API server, pod by pod:
the result is the same, or the pod is left alone for a reason that is listed below. The policy never injects into a pod
that the webhook would skip, except one that is only too large for the webhook.

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

As with the webhook, nodes must be able to pull the image, which contains the agent.

```sh
javelin policy --config javelin.yaml --from-cluster > policy.yaml
kubectl apply -f policy.yaml
kubectl label deployment orders instrumentation.opentelemetry.io/inject-java=true
```

`--from-cluster` asks the API server for its version, and refuses one that is too old; `--kubernetes-version 1.36` sets
it without a cluster. The configuration file has the same keys as the chart's values that Javelin reads. For an
installed release,
`kubectl get configmap javelin -n javelin-system -o jsonpath='{.data.config\\.yaml}'` prints it.

To change the configuration, write and apply the policies again. A removed profile needs nothing more. Each API server
picks up policies by itself, within a second or two.

To see the result for a pod, run `kubectl apply --dry-run=server -o yaml -f pod.yaml`. `javelin preview` shows what the
webhook would do, which is the same except for the list below.

Policies cannot express every key of a configuration, for example `otlp.tls`. `javelin policy` then writes nothing, and
lists each such key with its line and what to do.

## Roll back

```sh
kubectl delete -f policy.yaml
```

Running pods keep the agent until they are replaced. Labels of workloads stay. If you remove them first, the policy
removes its copies from the pod templates.

You can switch between policies and the webhook in either direction, and use both at once: a pod gets the agent once,
from the policies, and the webhook then finds its own receipt.

## What is different

`javelin policy --differences` prints this list. It is also at the top of the output of `javelin policy`.
";

const LEFT_ALONE: &str = "### Left alone, where the webhook injects

The code is in the pod's annotation `javelin.dev/skipped`, and in the warning. Where both skip, the code is one of
[the webhook's](reasons.md).

| code | what the pod has | what happens |
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
