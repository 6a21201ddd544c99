//! `docs/reasons.md`: every code, with the sentence that is shown and what to do.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use javelin_core::mutate::{Agent, Conflict, Reason, Source, Warning};
use javelin_core::policy::difference::DIFFERENCES;
use javelin_core::review;

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
        sections(&[reasons(), vec![no_time()]].concat()),
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
            "Nothing asks for the agent, or the namespace is under `excludedNamespaces`. The API server does not even send such pods; it is seen in `javelin preview`.",
            "label the workload or its namespace, if it should have the agent.";
        Reason::OptedOut(_) = Reason::OptedOut(Source::Pod) =>
            "Somebody said no, and the most specific label wins.",
            "nothing, or remove that label.";
        Reason::UnknownProfile { value: Some(_), .. } = Reason::UnknownProfile { source: Source::Workload, value: Some("chekout".to_owned()) } =>
            "The label names a profile that the configuration does not have.",
            "correct the label, or add the profile to the chart's values; `javelin config show` lists what there is.";
        Reason::UnknownProfile { value: None, .. } = Reason::UnknownProfile { source: Source::Namespace, value: None } =>
            "The same of a namespace, whose value the webhook is not told: only that it matched no entry. `True` is such a value.",
            "correct the label; for a profile that the configuration has but the webhook configuration does not, run `helm upgrade`.";
        Reason::AlreadyInjected = Reason::AlreadyInjected =>
            "Our own complete result came by again, as when a later webhook changed the pod. Nothing is left to do.",
            "nothing.";
        Reason::ForeignAgent { .. } = Reason::ForeignAgent { container: container(), option: "-javaagent:/otel/opentelemetry-javaagent.jar".to_owned() } =>
            "A second OpenTelemetry agent would do nothing, as it finds the first, but it costs another init container, and it is chance which configuration is in effect. The OpenTelemetry Operator's agent counts.",
            "remove the option, or the operator's annotation, and Javelin takes over.";
        Reason::ForeignInjector { .. } = Reason::ForeignInjector { container: "opentelemetry-auto-instrumentation-java".to_owned() } =>
            "The OpenTelemetry Operator was here before us. Of two OpenTelemetry agents one does nothing, and it is chance which configuration is in effect.",
            "remove the operator's annotation, and Javelin takes over.";
        Reason::OtherAgent { .. } = Reason::OtherAgent { container: container(), agent: Agent::Vendor("Datadog") } =>
            "Two agents that do the same job change the same classes. With several containers, one such agent is enough to leave the pod alone.",
            "remove the other agent, or allow both by the annotation.";
        Reason::UnparsableOptions { .. } = Reason::UnparsableOptions { container: container(), variable: "JAVA_TOOL_OPTIONS".to_owned() } =>
            "The JVM itself refuses such a value; appending to it would only blame us.",
            "close the quote.";
        Reason::OptionalOptions { .. } = Reason::OptionalOptions { container: container() } =>
            "The value comes from a key that may be missing, or from `envFrom`, and the profile forbids to compose it with ours.",
            "set a literal, state the base value in the annotation, or take `composeOptional: false` out of the profile.";
        Reason::UnseenOptions { .. } = Reason::UnseenOptions { container: container(), sources: "Secret \"db\"".to_owned() } =>
            "The webhook composes such a value by naming a variable twice. A manifest cannot do that, so `javelin inject` has to see whether the object has the key.",
            "add the ConfigMap or Secret to the input (its keys suffice), or state the base value in the annotation; in a cluster with the webhook the label alone does it.";
        Reason::UnknownOptionsSource { .. } = Reason::UnknownOptionsSource { container: container() } =>
            "Kubernetes has a kind of `valueFrom` that this version of Javelin does not know. A guess could lose the value.",
            "state the value in the annotation, or update Javelin.";
        Reason::NoTargetContainer { .. } = Reason::NoTargetContainer { asked: vec!["ap".to_owned(), "worker".to_owned()] } =>
            "The annotation lists containers, and the pod has none of them.",
            "correct the list.";
        Reason::OnlySidecars = Reason::OnlySidecars =>
            "Every container is one that others inject: a service mesh, a log shipper and the like.",
            "name the application's container in the annotation.";
        Reason::Windows = Reason::Windows =>
            "The pod says that it is for Windows nodes: by `spec.os`, its node selector or its required affinity.",
            "nothing helps here.";
        Reason::StaticPod = Reason::StaticPod =>
            "What the API server has is an image of the pod that the kubelet already runs.",
            "add the agent to the file on the node.";
        Reason::DoesNotFit { .. } = Reason::DoesNotFit { container: container(), needs: "a memory limit of at least 128Mi".to_owned() } =>
            "The agent takes about 90 MiB, and the jar its space on the node's disk. With limits below that the container would be killed, or the pod evicted.",
            "raise the limit it names; `minimumMemory` moves the border.";
        Reason::TooLarge { .. } = Reason::TooLarge { what: "containers", limit: 1_000 } =>
            "A pod is admitted while somebody waits, and everybody's pods wait behind it. The limits are far above what runs: 1,000 containers, 1,000 names in an annotation's list, 1,000 agents in all; in one container 100 sources of `envFrom`, and 100 entries of a variable that ours is joined to; 4 MiB once `$(NAME)` is resolved; 128 KiB in one variable and 2 MiB in all of a container, which is what Linux starts a program with; 3 MiB of metadata that its containers would get a copy of.",
            "have less of what the sentence names, or add the agent in the manifest.";
        Reason::AnnotationsFull = Reason::AnnotationsFull =>
            "The API server refuses an object with more annotations than that, and the pod would not start.",
            "remove annotations.";
        Reason::InvalidAnnotation { .. } = Reason::InvalidAnnotation { key: "javelin.dev/env.1A".to_owned(), problem: "a variable's name has letters, digits and _, and does not start with a digit".to_owned() } =>
            "An annotation asks for something that cannot be done. Half of what was asked for is not what was asked for.",
            "correct or remove the annotation.";
        Reason::Conflict(Conflict::Volume { .. }) = Reason::Conflict(Conflict::Volume { name: "javelin-agent".to_owned() }) =>
            "A volume, a claim template of the workload, or a mount of a volume that is declared nowhere has the name of ours. The variable would be set, and no jar be there.",
            "rename it.";
        Reason::Conflict(Conflict::Container { .. }) = Reason::Conflict(Conflict::Container { name: "javelin-agent".to_owned() }) =>
            "The pod has something of its own where ours must go.",
            "rename it.";
        Reason::Conflict(Conflict::Mount { .. }) = Reason::Conflict(Conflict::Mount { container: container(), path: "/javelin-agent".to_owned() }) =>
            "A mount, a block device or a `terminationMessagePath` at or below `/javelin-agent`, or `/javelin-otlp-tls`, would hide our files, or be hidden by them.",
            "mount it elsewhere.";
        Reason::Conflict(Conflict::Variable { .. }) = Reason::Conflict(Conflict::Variable { container: container(), name: "JAVELIN_POD_NAME".to_owned() }) =>
            "Our other values would refer to the wrong one.",
            "rename it.";
        Reason::Unreadable(_) = Reason::Unreadable("field `spec.containers`: invalid type: null, expected a sequence".to_owned()) =>
            "The API server refuses most such pods by itself. A pod of more than 300,000 values, or one that only the agent makes too \
             large to be stored, starts without it.",
            "correct the manifest, or make the pod smaller.";
        Reason::Internal(_) = Reason::Internal("a second pass was not empty".to_owned()) =>
            "Every patch is applied to a copy, compared with what the user wrote, and decided again, before it leaves. This one did not pass, or deciding panicked: the server's log then says where.",
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
        means: "There were more reviews than can be decided before the API server gives up, or this object takes longer than that.",
        to_do: "create the pod again, or restart its workload. If it happens often, `javelin_refusals_total{reason}` tells what there is too much of; more replicas or CPU help.",
    }
}

fn told_of_warning(_: &Warning) -> &'static str {
    "by a warning."
}

fn warnings() -> Vec<Row> {
    let container = || "app".to_owned();
    rows! { Warning, told_of_warning, |_| false;
        Warning::UnknownContainer { .. } = Warning::UnknownContainer { name: "worker".to_owned() } =>
            "Other names in the list fit, and those containers got the agent.",
            "correct the list.";
        Warning::FirstOfSeveral { .. } = Warning::FirstOfSeveral { container: container(), others: 1 } =>
            "Nothing says which container is the application's, and more than one may be. The first gets the agent, and its spans the workload's name.",
            "name the application's container by the annotation; or its helpers under `sidecars` in the configuration.";
        Warning::OptionsDropped { .. } = Warning::OptionsDropped { container: container(), image: "elasticsearch", reads: "ES_JAVA_OPTS" } =>
            "Such an image hands its JVM no variable of ours, so there will be no telemetry, and an init container for nothing. So it is of the images called `elasticsearch`, `opensearch` and `logstash`, with `-oss` and `-wolfi` behind.",
            "opt the pod out by the label's value `false`; an agent in such an image is named in the variable that its script reads, without Javelin.";
        Warning::ProbeStartsJvm { .. } = Warning::ProbeStartsJvm { container: container(), places: vec!["livenessProbe", "preStop"], tool: "nodetool" } =>
            "`JAVA_TOOL_OPTIONS` holds for every JVM of the container. With the agent a tool that took 0.05 s and 38 MB took 4.3 s and 224 MB: a probe misses its timeout, and its memory counts to the container's limit.",
            "write `JAVA_TOOL_OPTIONS= nodetool status` in the line of the shell, or `[env, JAVA_TOOL_OPTIONS=, nodetool, status]` where there is none.";
        Warning::LittleMemory { .. } = Warning::LittleMemory { container: container() } =>
            "The limit is above the border of `does-not-fit`, but under 256Mi.",
            "raise the limit, or watch for restarts.";
        Warning::LittleCpu { .. } = Warning::LittleCpu { container: container() } =>
            "The agent rewrites classes as they are loaded, all of that in the first seconds. The limit is under 500m.",
            "raise the limit, or give a startup probe time.";
        Warning::ImpatientProbe { .. } = Warning::ImpatientProbe { container: container() } =>
            "The kubelet restarts a container whose liveness probe fails, and with the agent the start takes longer.",
            "add a startup probe.";
        Warning::LongOptions { .. } = Warning::LongOptions { container: container() } =>
            "Java 8 ignores a value past 1,023 bytes, and starts without the agent. Later versions do not.",
            "shorten it, for example by an options file, or use a later Java.";
        Warning::AttributesNotLiteral { .. } = Warning::AttributesNotLiteral { container: container() } =>
            "The list may be absent and the profile forbids to compose such values, or it comes from a kind of source that this version does not know. The agent is there all the same.",
            "write the list as a literal, or take `composeOptional: false` out of the profile.";
        Warning::DeclarativeFile { .. } = Warning::DeclarativeFile { container: container() } =>
            "Declarative configuration replaces variables, properties and files of properties: endpoint, attributes and the rest of the profile have no effect.",
            "say in that file what the profile says, or leave the variable out.";
        Warning::EmptySetting { .. } = Warning::EmptySetting { container: container(), variable: "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned() } =>
            "For the agent an empty variable is set, to a value that makes no sense: it sends nothing, and the application runs.",
            "remove the variable, and the profile's value is set; or give it a value.";
        Warning::AttributesBroken { .. } = Warning::AttributesBroken { container: container() } =>
            "The list is your own and stays as it is.",
            "write `key=value` for every part.";
    }
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
            "What it brings is known only when the container starts. Options are then joined with ours, and settings of the SDK are kept.",
            "nothing, or put it among the manifests to see what it has.";
        Lint::EnvFromSets { .. } = Lint::EnvFromSets { container: container(), source: "ConfigMap app".to_owned(), variables: vec!["OTEL_SERVICE_NAME".to_owned()] } =>
            "Those are yours and stay in effect, but for what ADR 5 names.",
            "nothing.";
        Lint::WrongPort { .. } = Lint::WrongPort { container: container(), variable: "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint: "http://collector:4317".to_owned(), protocol: "http/protobuf".to_owned() } =>
            "The agent would speak HTTP to a port of gRPC, or the other way round: nothing arrives, and only the application's log says so.",
            "set the port, or `OTEL_EXPORTER_OTLP_PROTOCOL`; or remove both, and the profile's are set.";
        Lint::OldJava { .. } = Lint::OldJava { container: container(), image: "openjdk:7-jre".to_owned() } =>
            "The agent needs Java 8 or later; an older JVM ends at once.",
            "opt the pod out by the label's value `false`.";
        Lint::OtherArchitecture { .. } = Lint::OtherArchitecture { nodes: "arm64".to_owned(), ours: "amd64" } =>
            "The init container is a program of one architecture, that of the build of its image. On a node of another it ends with `exec format error`, and so the pod does not start.",
            "build the image for both, put the jar in by `image-volume` or `preinstalled`, or keep the pod to nodes of the image's architecture.";
        Lint::UnseenImage { .. } = Lint::UnseenImage { container: container(), image: image() } =>
            "The image's own `ENV JAVA_TOOL_OPTIONS` is hidden by ours, which it is already where the container sets the variable itself; and a runtime that jlink made without `java.instrument` does not start with an agent. It is told once, of the first container.",
            "look with `docker inspect` or `crane config`, and with `java --list-modules`.";
    }
}

const INTRODUCTION: &str = "
# Why there is no agent

Whenever Javelin leaves a pod alone that asks for the agent, a code says why. It is the same in warnings, in the log,
in `javelin_reviews_total{outcome}`, in `javelin preview` and in the pod's annotation, and it never changes its
meaning. The pod itself is never refused.

Most can be mended: the decision is made anew with every new pod, and for the same pod when a later webhook changes it.
What nothing in the pod, its workload or the configuration can mend is called final.

## Reasons
";

const WARNINGS: &str = "
The agent is there, and something is worth knowing.
";

const LINTS: &str = "
Admission sees one pod. What other manifests tell, and what none can tell, `javelin preview` says beside it.
";
