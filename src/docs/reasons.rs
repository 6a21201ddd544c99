//! `docs/reasons.md`: every code, with the sentence that is shown and what to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use javelin_core::guard;
use javelin_core::mutate::{AgentKind, Conflict, Reason, Source, Warning, keys};
use javelin_core::policy::difference::DIFFERENCES;
use javelin_core::review;
use serde_json::json;

use super::GENERATED;
use crate::offline::lints::Lint;

/// What is said of a code beside its own sentence.
#[derive(Clone)]
struct Row {
    code: &'static str,
    sentence: String,
    told: &'static str,
    /// Can nothing in the pod, its workload or the configuration bring the agent?
    is_final: bool,
    means: &'static str,
    to_do: &'static str,
}

/// Rows of an enum. Patterns make a match without a wildcard, so a variant without a row does not compile; values are
/// what the sentence is taken from.
macro_rules! rows {
    ($type:ty, $told:expr, $is_final:expr; $($pattern:pat = $value:expr => $means:literal, $to_do:literal;)+) => {{
        fn has_a_row(value: &$type) {
            match value {
                $($pattern => {})+
            }
        }
        let mut rows = Vec::new();
        $({
            let value: $type = $value;
            has_a_row(&value);
            assert!(matches!(&value, $pattern), "{value:?} is an example of something else");
            let (told, is_final): (fn(&$type) -> &'static str, fn(&$type) -> bool) = ($told, $is_final);
            rows.push(Row {
                code: value.code(),
                sentence: value.to_string(),
                told: told(&value),
                is_final: is_final(&value),
                means: $means,
                to_do: $to_do,
            });
        })+
        rows
    }};
}

pub(super) fn page() -> String {
    format!(
        "{GENERATED}{INTRODUCTION}{}\n## Warnings\n{WARNINGS}{}\n## What only the command line tells\n{LINTS}{}",
        sections(&[reasons(), vec![no_time(), guarded()]].concat()),
        sections(&warnings()),
        sections(&lints())
    )
}

/// A section for each code; one that has several sentences has them all.
fn sections(rows: &[Row]) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let Row {
            code,
            sentence,
            told,
            is_final,
            means,
            to_do,
        } = row;
        let is_first = !rows.iter().take(at).any(|earlier| earlier.code == *code);
        let last = if *is_final { "- Final.\n" } else { "" };
        if is_first {
            let _ = write!(text, "\n### `{code}`\n");
        }
        let _ = write!(
            text,
            "\n> {sentence}\n\n{means}\n\n- To do: {to_do}\n- Told: {told}\n{last}"
        );
    }
    text
}

fn told_of_reason(reason: &Reason) -> &'static str {
    if reason.is_expected() {
        return "nobody; it is counted in `javelin_reviews_total`.";
    }
    match reason {
        // Nothing of the pod, or of us, could be trusted enough to change it.
        Reason::Unreadable(_) | Reason::Internal(_) => "by a warning; the pod gets no annotation.",
        Reason::AnnotationsFull => {
            "by a warning, and on a pod by the annotation `javelin.dev/skipped`, if that can be added."
        }
        Reason::UnseenOptions { .. } => "by `javelin inject`.",
        _ => "by a warning, and on a pod by the annotation `javelin.dev/skipped`.",
    }
}

fn is_final(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::AlreadyInjected | Reason::Windows | Reason::StaticPod
    )
}

fn reasons() -> Vec<Row> {
    let container = || "app".to_owned();
    rows! { Reason, told_of_reason, is_final;
        Reason::NotSelected = Reason::NotSelected =>
            "Nothing asks for the agent, or the namespace is under `excludedNamespaces`. The API server does not send such pods to Javelin; you see this code only in `javelin preview`.",
            "label the workload or its namespace, if it should have the agent.";
        Reason::OptedOut(_) = Reason::OptedOut(Source::Pod) =>
            "A label says `false`, and the most specific label wins.",
            "nothing, or remove that label.";
        Reason::UnknownProfile { value: Some(_), .. } = Reason::UnknownProfile { source: Source::Workload, value: Some("chekout".to_owned()) } =>
            "The label names a profile that the configuration does not have.",
            "correct the label, or add the profile to the chart's values; `javelin config show` lists what there is.";
        Reason::UnknownProfile { value: None, .. } = Reason::UnknownProfile { source: Source::Namespace, value: None } =>
            "The same for a namespace. The webhook does not see the label's value, only that it matched no entry. `True` is such a value.",
            "correct the label; for a profile that the configuration has but the webhook configuration does not, run `helm upgrade`.";
        Reason::AlreadyInjected = Reason::AlreadyInjected =>
            "Javelin's own complete result was sent again, for example because a later webhook changed the pod. Nothing is left to do.",
            "nothing.";
        Reason::ForeignAgent { .. } = Reason::ForeignAgent { container: container(), option: "-javaagent:/otel/opentelemetry-javaagent.jar".to_owned() } =>
            "A second OpenTelemetry agent would find the first and do nothing, but it costs another init container, and which configuration takes effect is left to chance. The OpenTelemetry Operator's agent counts.",
            "remove the option, or the operator's annotation, and Javelin takes over.";
        Reason::ForeignInjector { .. } = Reason::ForeignInjector { container: "opentelemetry-auto-instrumentation-java".to_owned() } =>
            "The OpenTelemetry Operator injected before Javelin. Of two OpenTelemetry agents one does nothing, and which configuration takes effect is left to chance.",
            "remove the operator's annotation, and Javelin takes over.";
        Reason::OtherAgent { .. } = Reason::OtherAgent { container: container(), agent: AgentKind::Vendor("Datadog") } =>
            "Two agents that do the same job change the same classes. With several containers, one such agent is enough to leave the pod alone.",
            "remove the other agent, or allow both by the annotation.";
        Reason::UnparsableOptions { .. } = Reason::UnparsableOptions { container: container(), variable: "JAVA_TOOL_OPTIONS".to_owned() } =>
            "The JVM itself refuses such a value. If Javelin appended to it, Javelin would seem to be the cause.",
            "close the quote.";
        Reason::OptionalOptions { .. } = Reason::OptionalOptions { container: container() } =>
            "The value comes from a key that may be missing, or from `envFrom`, and the profile does not allow Javelin to combine it with its own.",
            "set a literal, put the base value into the annotation, or remove `composeOptional: false` from the profile.";
        Reason::UnseenOptions { .. } = Reason::UnseenOptions { container: container(), sources: "Secret \"db\"".to_owned() } =>
            "The webhook combines such values by setting a variable twice. A manifest cannot do that, so `javelin inject` needs to see whether the object has the key.",
            "add the ConfigMap or Secret to the input (its keys are enough), or put the base value into the annotation. In a cluster with the webhook, the label is enough.";
        Reason::UnknownOptionsSource { .. } = Reason::UnknownOptionsSource { container: container() } =>
            "Kubernetes has a kind of `valueFrom` that this version of Javelin does not know. A guess could lose the value.",
            "put the value into the annotation, or update Javelin.";
        Reason::NoTargetContainer { .. } = Reason::NoTargetContainer { asked: vec!["ap".to_owned(), "worker".to_owned()] } =>
            "The annotation lists containers, and the pod has none of them.",
            "correct the list.";
        Reason::OnlySidecars = Reason::OnlySidecars =>
            "Every container is a known sidecar, such as a service mesh proxy or a log shipper, that other tools inject.",
            "name the application's container in the annotation.";
        Reason::Windows = Reason::Windows =>
            "The pod says that it is for Windows nodes: by `spec.os`, its node selector or its required affinity.",
            "nothing: Javelin does not support Windows pods.";
        Reason::StaticPod = Reason::StaticPod =>
            "The API server only has a mirror of a pod that the kubelet already runs.",
            "add the agent to the file on the node.";
        Reason::DoesNotFit { .. } = Reason::DoesNotFit { container: container(), needs: "a memory limit of at least 128Mi".to_owned() } =>
            "The agent takes about 90 MiB of memory, and the jar takes space on the node's disk. With lower limits, the container would be killed or the pod evicted.",
            "raise the limit that it names; `minimumMemory` changes the threshold.";
        Reason::TooLarge { .. } = Reason::TooLarge { what: "containers", limit: 1_000 } =>
            "The API server waits while Javelin looks at a pod, and other pods wait behind it. The limits are far above what real pods have: 1,000 containers, 1,000 names in an annotation's list, 1,000 agents in all; per container 100 sources of `envFrom`, and 100 entries of a variable that Javelin adds to; 4 MiB once `$(NAME)` is resolved; 128 KiB in one variable and 2 MiB in all variables of a container, the most that Linux starts a program with; 3 MiB of metadata that is copied into containers.",
            "reduce what the message names, or add the agent in the manifest.";
        Reason::AnnotationsFull = Reason::AnnotationsFull =>
            "The API server refuses an object with more annotations than that, and the pod would not start.",
            "remove annotations.";
        Reason::InvalidAnnotation { .. } = Reason::InvalidAnnotation { key: "javelin.dev/env.1A".to_owned(), problem: "a variable's name has letters, digits and _, and does not start with a digit".to_owned() } =>
            "An annotation asks for something that cannot be done. Javelin does not do only a part of what was asked for.",
            "correct or remove the annotation.";
        Reason::Conflict(Conflict::Volume { .. }) = Reason::Conflict(Conflict::Volume { name: "javelin-agent".to_owned() }) =>
            "A volume, a claim template of the workload, or a mount of an undeclared volume has the name of Javelin's volume. The variable would be set, but the jar would be missing.",
            "rename it.";
        Reason::Conflict(Conflict::Container { .. }) = Reason::Conflict(Conflict::Container { name: "javelin-agent".to_owned() }) =>
            "The pod has its own container with the name that Javelin needs.",
            "rename it.";
        Reason::Conflict(Conflict::Mount { .. }) = Reason::Conflict(Conflict::Mount { container: container(), path: "/javelin-agent".to_owned() }) =>
            "A mount, a block device or a `terminationMessagePath` at or below `/javelin-agent`, or `/javelin-otlp-tls`, would hide Javelin's files, or be hidden by them.",
            "mount it elsewhere.";
        Reason::Conflict(Conflict::Variable { .. }) = Reason::Conflict(Conflict::Variable { container: container(), name: "JAVELIN_POD_NAME".to_owned() }) =>
            "Other values that Javelin sets would refer to the wrong variable.",
            "rename it.";
        Reason::Unreadable(_) = Reason::Unreadable("field `spec.containers`: invalid type: null, expected a sequence".to_owned()) =>
            "The API server itself refuses most such pods. A pod with more than 300,000 values, or one that the agent \
             would make too large to store, starts without the agent.",
            "correct the manifest, or make the pod smaller.";
        Reason::Internal(_) = Reason::Internal("a second pass was not empty".to_owned()) =>
            "Before Javelin sends a patch, it applies it to a copy, compares the result with what the user wrote, and decides again. This patch did not pass, or the decision panicked; then the server's log says where.",
            "report it, with the pod.";
    }
}

/// The one that is no [`Reason`]: nothing was decided.
fn no_time() -> Row {
    Row {
        code: review::OVERLOADED,
        sentence: review::NO_TIME.to_owned(),
        told: "by a warning; the pod gets no annotation.",
        is_final: false,
        means: "There were more reviews than Javelin could decide before the API server gives up, or this object takes too long.",
        to_do: "create the pod again, or restart its workload. If it happens often, `javelin_refusals_total{reason}` shows the cause; more replicas or CPU help.",
    }
}

/// The one that a label has of which the audit's guard has taken the effect back.
fn guarded() -> Row {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "orders", "annotations": { keys::GUARDED: guard::note(None, "") } },
    });
    Row {
        code: guard::CODE,
        sentence: guard::sentence(&object, Some("shop")).unwrap_or_default(),
        told: "by a warning at each change of the workload, by its annotation `javelin.dev/guarded`, by the Event `AgentTakenBack`, and by `javelin status` and `javelin preview`.",
        is_final: false,
        means: "The chart's value `audit.guard` is on, and the workload's new pods crashed with the agent while older ones without it were ready.",
        to_do: "find out [why they crashed](troubleshooting.md#the-pod-crashes-since-the-label), then run the command, or change the label. The replica that did it does not do it again within a day.",
    }
}

fn told_of_warning(_: &Warning) -> &'static str {
    "by a warning."
}

fn warnings() -> Vec<Row> {
    let container = || "app".to_owned();
    rows! { Warning, told_of_warning, |_| false;
        Warning::UnknownContainer { .. } = Warning::UnknownContainer { name: "worker".to_owned() } =>
            "Other names in the list match, and those containers got the agent.",
            "correct the list.";
        Warning::FirstOfSeveral { .. } = Warning::FirstOfSeveral { container: container(), others: 1 } =>
            "Nothing shows which container is the application, and more than one may be. The first one gets the agent, and its spans get the workload's name.",
            "name the application's container in the annotation, or its helpers under `sidecars` in the configuration.";
        Warning::OptionsDropped { .. } = Warning::OptionsDropped { container: container(), image: "elasticsearch", reads: "ES_JAVA_OPTS" } =>
            "Such an image does not pass Javelin's variable to its JVM, so there is no telemetry and the init container is useless. This applies to images called `elasticsearch`, `opensearch` and `logstash`, also with the suffix `-oss` or `-wolfi`.",
            "opt the pod out with the label value `false`. To use an agent in such an image, add it yourself to the variable that its script reads.";
        Warning::ProbeStartsJvm { .. } = Warning::ProbeStartsJvm { container: container(), places: vec!["livenessProbe", "preStop"], tool: "nodetool" } =>
            "`JAVA_TOOL_OPTIONS` applies to every JVM in the container. With the agent, a tool that took 0.05 s and 38 MB took 4.3 s and 224 MB: a probe misses its timeout, and its memory counts towards the container's limit.",
            "write `JAVA_TOOL_OPTIONS= nodetool status` in the shell command, or `[env, JAVA_TOOL_OPTIONS=, nodetool, status]` if there is no shell.";
        Warning::LittleMemory { .. } = Warning::LittleMemory { container: container() } =>
            "The limit is above the threshold of `does-not-fit`, but under 256Mi.",
            "raise the limit, or watch for restarts.";
        Warning::LittleCpu { .. } = Warning::LittleCpu { container: container() } =>
            "The agent rewrites classes as they are loaded, which happens in the first seconds. The limit is under 500m.",
            "raise the limit, or give the startup probe more time.";
        Warning::ImpatientProbe { .. } = Warning::ImpatientProbe { container: container() } =>
            "The kubelet restarts a container if its liveness probe fails, and the start takes longer with the agent.",
            "add a startup probe.";
        Warning::LongOptions { .. } = Warning::LongOptions { container: container() } =>
            "Java 8 ignores a value longer than 1,023 bytes, and starts without the agent. Later versions do not ignore it.",
            "shorten it, for example by an options file, or use a later Java.";
        Warning::AttributesNotLiteral { .. } = Warning::AttributesNotLiteral { container: container() } =>
            "The list may be absent and the profile does not allow such values to be combined, or it comes from a kind of source that this version does not know. The pod still gets the agent.",
            "write the list as a literal, or remove `composeOptional: false` from the profile.";
        Warning::DeclarativeFile { .. } = Warning::DeclarativeFile { container: container() } =>
            "Declarative configuration replaces variables, properties and files of properties: endpoint, attributes and the rest of the profile have no effect.",
            "put the profile's settings into that file, or remove the variable.";
        Warning::EmptySetting { .. } = Warning::EmptySetting { container: container(), variable: "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned() } =>
            "The agent treats an empty variable as set, to an invalid value: it sends nothing, and the application runs.",
            "remove the variable, so that the profile's value is set, or give it a value.";
        Warning::AttributesBroken { .. } = Warning::AttributesBroken { container: container() } =>
            "The list is yours, and Javelin does not change it.",
            "write `key=value` for every part.";
    }
}

/// Else a metric would not have it from the start.
#[test]
fn the_list_of_codes_has_each_of_them() {
    let listed = BTreeSet::from(Reason::CODES);
    assert_eq!(listed.len(), Reason::CODES.len());
    assert_eq!(
        reasons()
            .iter()
            .map(|row| row.code)
            .collect::<BTreeSet<_>>(),
        listed
    );
}

/// Else it could be one that no pod ever gets.
#[test]
fn every_code_has_a_golden_case() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/pod");
    let folders = fs::read_dir(cases).unwrap();
    let answers = folders.map(|folder| fs::read_to_string(folder.unwrap().path().join("expected")));
    let answers = answers.collect::<Result<Vec<_>, _>>().unwrap().concat();
    // A pod of 256 KiB, an object that is no pod, a defect of ours: unit tests have them.
    let elsewhere = ["annotations-full", "unreadable", "internal-error"];
    let (reasons, warnings) = (reasons(), warnings());
    let skips = reasons.iter().map(|row| ("skip", row.code));
    let warns = warnings.iter().map(|row| ("warning", row.code));
    for (word, code) in skips.chain(warns) {
        let line = format!("{word} {code}: ");
        let has_case = answers.lines().any(|each| each.starts_with(&line));
        assert!(
            has_case || elsewhere.contains(&code),
            "no folder of tests/cases/pod has {line:?}"
        );
    }
}

/// A policy injects where it does not know of a reason. Those that come before it are the API server's to match.
#[test]
fn policies_have_every_reason_or_say_that_they_have_not() {
    let expressions = include_str!("../../crates/javelin-core/src/policy/pod.cel");
    let before = [
        "not-selected",
        "opted-out",
        "unknown-profile",
        "unreadable",
        "internal-error",
    ];
    for Row { code, .. } in reasons() {
        let is_given = expressions.contains(&format!("'{code}'"));
        let is_listed = DIFFERENCES
            .iter()
            .any(|difference| difference.line().contains(code));
        assert!(
            is_given || is_listed || before.contains(&code),
            "{code} is neither in policy/pod.cel nor in policy/difference.rs"
        );
    }
}

fn told_of_lint(lint: &Lint) -> &'static str {
    match lint {
        Lint::OtherArchitecture { .. } => "by `javelin preview` and `javelin inject`.",
        _ => "by `javelin preview`.",
    }
}

fn lints() -> Vec<Row> {
    let container = || "app".to_owned();
    let image = || "registry.example.com/shop/orders:2.3".to_owned();
    rows! { Lint, told_of_lint, |_| false;
        Lint::UnseenEnvFrom { .. } = Lint::UnseenEnvFrom { container: container(), source: "ConfigMap app".to_owned() } =>
            "Its content is known only when the container starts. Options are then combined with Javelin's, and SDK settings are kept.",
            "nothing, or add it to the manifests to see its content.";
        Lint::EnvFromSets { .. } = Lint::EnvFromSets { container: container(), source: "ConfigMap app".to_owned(), variables: vec!["OTEL_SERVICE_NAME".to_owned()] } =>
            "These values are yours and stay in effect, except those that ADR 5 names.",
            "nothing.";
        Lint::WrongPort { .. } = Lint::WrongPort { container: container(), variable: "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint: "http://collector:4317".to_owned(), protocol: "http/protobuf".to_owned() } =>
            "The agent would speak HTTP to a gRPC port, or gRPC to an HTTP port: nothing arrives, and only the application's log shows it.",
            "correct the port or `OTEL_EXPORTER_OTLP_PROTOCOL`, or remove both, so that the profile's values are set.";
        Lint::OldJava { .. } = Lint::OldJava { container: container(), image: "openjdk:7-jre".to_owned() } =>
            "The agent needs Java 8 or later; an older JVM exits immediately.",
            "opt the pod out with the label value `false`.";
        Lint::OtherArchitecture { .. } = Lint::OtherArchitecture { nodes: "arm64".to_owned(), ours: "amd64" } =>
            "The init container is a program for one architecture, the one that its image was built for. On other nodes it fails with `exec format error`, and the pod does not start.",
            "build the image for both, use the delivery `image-volume` or `preinstalled`, or restrict the pod to nodes of the image's architecture.";
        Lint::UnseenImage { .. } = Lint::UnseenImage { container: container(), image: image() } =>
            "Javelin's value hides the image's own `ENV JAVA_TOOL_OPTIONS` (if the container sets the variable, it is already hidden), and a jlink runtime without `java.instrument` does not start with an agent. This is reported once, for the first container.",
            "inspect the image with `docker inspect` or `crane config`, and with `java --list-modules`.";
    }
}

const INTRODUCTION: &str = "
# Why there is no agent

When Javelin leaves a pod alone that asks for the agent, a code says why. The code is the same in warnings, in the log,
in `javelin_reviews_total{outcome}`, in `javelin preview` and in the pod's annotation, and its meaning never changes.
The pod itself is never refused.

You can fix most causes: Javelin decides again for every new pod, and for the same pod when a later webhook changes it.
A reason is called final if nothing in the pod, its workload or the configuration can change it.

## Reasons
";

const WARNINGS: &str = "
The pod has the agent, and there is something that you should know.
";

const LINTS: &str = "
Admission sees only one pod. `javelin preview` also reports what other manifests show, and what no manifest can show.
";
