//! What a pod costs grows with the pod: each of its dimensions is doubled, up to what an API server takes as one object,
//! and steps are counted. Nothing is timed.

use super::*;
use crate::mutate::{MAX_ANNOTATIONS, explain};

type Dimension = (&'static str, fn(usize) -> Value);

fn many<T>(count: usize, of: impl Fn(usize) -> T) -> Vec<T> {
    (0..count).map(of).collect()
}

fn with_annotations(of: impl Fn(usize) -> (String, Value), count: usize) -> Value {
    let mut pod = pod();
    pod["metadata"]["annotations"] = many(count, of).into_iter().collect();
    pod
}

fn with(member: &str, value: impl Into<Value>) -> Value {
    let mut pod = pod();
    pod["spec"]["containers"][0][member] = value.into();
    pod
}

fn containers(count: usize, members: &Value) -> Value {
    let mut pod = pod();
    let container = |n: usize| {
        let mut container = members.clone();
        container["name"] = json!(format!("c{n}"));
        container
    };
    pod["spec"]["containers"] = many(count, container).into();
    pod["metadata"]["annotations"] = json!({ keys::CONTAINER_NAMES: "*" });
    pod
}

/// Whatever of a pod can be many, or long.
const DIMENSIONS: [Dimension; 31] = [
    ("names in a list", |n| {
        let names = many(n, |n| format!("a{n}")).join(",");
        with_annotations(
            |_| {
                (
                    keys::CONTAINER_NAMES.to_owned(),
                    format!("orders,{names}").into(),
                )
            },
            1,
        )
    }),
    ("annotations", |n| {
        with_annotations(|n| (format!("a{n}"), json!("")), n)
    }),
    ("annotations, and all containers", |n| {
        let mut pod = containers(n.min(1_000), &json!({}));
        for n in 0..n {
            pod["metadata"]["annotations"][format!("a{n}")] = json!("");
        }
        pod
    }),
    ("annotations that are variables", |n| {
        with_annotations(|n| (format!("{}X{n}", keys::ENV_PREFIX), json!("v")), n)
    }),
    ("annotations that are attributes", |n| {
        with_annotations(
            |n| (format!("{}x{n}", keys::RESOURCE_PREFIX), json!("v")),
            n,
        )
    }),
    ("a receipt", |n| {
        let containers: serde_json::Map<_, _> = many(n, |n| (format!("c{n}"), json!(["A"])))
            .into_iter()
            .collect();
        let receipt = json!({
            "version": "1", "profile": "default", "config": "", "delivery": "", "containers": containers,
        });
        with_annotations(
            |_| (keys::INJECTED.to_owned(), receipt.to_string().into()),
            1,
        )
    }),
    ("labels", |n| {
        let mut pod = pod();
        for n in 0..n {
            pod["metadata"]["labels"][format!("l{n}")] = json!("v");
        }
        pod
    }),
    ("owners", |n| {
        let mut pod = pod();
        let owner = |n| json!({ "kind": "Job", "name": format!("o{n}"), "controller": true });
        pod["metadata"]["ownerReferences"] = many(n, owner).into();
        pod
    }),
    ("variables", |n| {
        with(
            "env",
            many(n, |n| json!({ "name": format!("V{n}"), "value": "v" })),
        )
    }),
    ("variables of the SDK", |n| {
        with(
            "env",
            many(n, |n| json!({ "name": format!("OTEL_{n}"), "value": "v" })),
        )
    }),
    ("variables of one name", |n| {
        with(
            "env",
            vec![json!({ "name": "JAVA_TOOL_OPTIONS", "value": "-Da=b" }); n],
        )
    }),
    ("variables that refer to each other", |n| {
        let variable = |n: usize| json!({ "name": format!("V{n}"), "value": format!("$(V{})", n.saturating_sub(1)) });
        with("env", many(n, variable))
    }),
    ("references in one value", |n| {
        with(
            "env",
            json!([{ "name": "OTEL_RESOURCE_ATTRIBUTES", "value": "$(A)".repeat(n) }]),
        )
    }),
    ("references without an end", |n| {
        with("env", json!([{ "name": "A", "value": "$(".repeat(n) }]))
    }),
    ("attributes", |n| {
        let list = many(n, |n| format!("a{n}=v")).join(",");
        with(
            "env",
            json!([{ "name": "OTEL_RESOURCE_ATTRIBUTES", "value": list }]),
        )
    }),
    ("words of options", |n| {
        with(
            "env",
            json!([{ "name": "JAVA_TOOL_OPTIONS", "value": "-Da=b ".repeat(n) }]),
        )
    }),
    ("arguments", |n| {
        with("args", many(n, |n| format!("--x{n}")))
    }),
    ("arguments that are agents", |n| {
        with("args", many(n, |n| format!("-javaagent:a{n}.jar")))
    }),
    ("agents inside each other", |n| {
        with("args", vec![format!("x{}", "=-javaagent:".repeat(n))])
    }),
    ("agents after each other in a shell line", |n| {
        with(
            "args",
            vec![format!("java {}", "'-javaagent:a.jar".repeat(n))],
        )
    }),
    ("commands in a probe's line", |n| {
        let line = "a | \"nodetool\"; ".repeat(n);
        with(
            "livenessProbe",
            json!({ "exec": { "command": ["sh", "-c", line] } }),
        )
    }),
    ("words of a hook", |n| {
        let command = many(n, |n| format!("A{n}=b"));
        with(
            "lifecycle",
            json!({ "preStop": { "exec": { "command": command } } }),
        )
    }),
    ("letters of an image", |n| with("image", "a/".repeat(n))),
    ("sources of envFrom", |n| {
        with(
            "envFrom",
            many(
                n,
                |n| json!({ "configMapRef": { "name": format!("m{n}") } }),
            ),
        )
    }),
    ("mounts", |n| {
        with(
            "volumeMounts",
            many(
                n,
                |n| json!({ "name": "v", "mountPath": format!("/{n}/..") }),
            ),
        )
    }),
    ("parts of a path", |n| {
        with(
            "volumeMounts",
            json!([{ "name": "v", "mountPath": "/a/..".repeat(n) }]),
        )
    }),
    ("containers", |n| containers(n, &json!({}))),
    ("containers with an option each", |n| {
        containers(
            n,
            &json!({ "env": [{ "name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g" }] }),
        )
    }),
    ("init containers", |n| {
        let mut pod = pod();
        pod["spec"]["initContainers"] = many(n, |n| json!({ "name": format!("i{n}") })).into();
        pod
    }),
    ("volumes", |n| {
        let mut pod = pod();
        pod["spec"]["volumes"] =
            many(n, |n| json!({ "name": format!("v{n}"), "emptyDir": {} })).into();
        pod
    }),
    ("members of members", |n| {
        let mut deep = json!({});
        for _ in 0..50 {
            deep = json!({ "a": deep });
        }
        let mut pod = pod();
        pod["spec"]["affinity"] = vec![deep; n / 50].into();
        pod
    }),
];

/// A few words that stand for much: what they are resolved to has a limit, and not their number.
const SHORTHANDS: [Dimension; 2] = [
    ("variables that refer to a long one", |n| {
        let mut env = vec![json!({ "name": "A", "value": "x".repeat(100_000) })];
        env.extend(many(
            n,
            |n| json!({ "name": format!("B{n}"), "value": "$(A)$(A)" }),
        ));
        with("env", env)
    }),
    ("arguments that refer to a long variable", |n| {
        let mut pod = with("args", vec!["$(A)"; n]);
        pod["spec"]["containers"][0]["env"] = json!([{ "name": "A", "value": "x".repeat(60_000) }]);
        pod
    }),
];

/// Bytes of a pod, and the steps that some work with it takes: of one with at most so many bytes, and of its half.
fn growth(of: fn(usize) -> Value, most: usize, work: impl Fn(&Value)) -> [(usize, usize); 2] {
    let length = |count| of(count).to_string().len();
    let (some, more) = (length(1_000), length(2_000));
    let mut count = most.saturating_mul(1_000) / (more - some).max(1);
    while count > 1 && length(count) > most {
        count -= count.div_ceil(10);
    }
    [count / 2, count].map(|count| {
        let object = of(count);
        let ((), steps) = steps::of(|| work(&object));
        (object.to_string().len(), steps)
    })
}

/// Twice the pod, twice the steps; and not many for each byte.
fn assert_linear(what: &str, [(small, few), (large, more)]: [(usize, usize); 2]) {
    let measured = format!("{what}: {few} steps for {small} bytes, {more} for {large}");
    assert!(
        more <= STEPS_OF_A_BYTE * large + STEPS_OF_LIMITS,
        "{measured}"
    );
    let expected = few * large / small;
    assert!(
        more <= expected + expected / 4 + STEPS_OF_LIMITS,
        "{measured}"
    );
}

/// In all dimensions, up to each of these sizes.
fn assert_growth(sizes: &[usize], work: impl Fn(&Value)) {
    for (what, of) in DIMENSIONS {
        for most in sizes {
            assert_linear(what, growth(of, *most, &work));
        }
    }
    for (what, of) in SHORTHANDS {
        for count in [10, 100, 1_000, 10_000] {
            let ((), steps) = steps::of(|| work(&of(count)));
            assert!(steps <= STEPS_OF_RESOLVED, "{what}: {steps}");
        }
    }
}

#[test]
fn twice_the_pod_is_twice_the_work() {
    assert_growth(&[MAX_ANNOTATIONS, MAX_OBJECT_BYTES], |pod| {
        let (answer, _) = ask(&Entry::Pod, &request(pod));
        assert_ne!(
            answer.outcome.code,
            "internal-error",
            "{:.300}",
            pod.to_string()
        );
    });
}

#[test]
fn twice_the_workload_is_twice_the_work() {
    assert_growth(&[MAX_ANNOTATIONS], |pod| {
        let template = json!({ "metadata": pod["metadata"], "spec": { "template": pod } });
        let mut review = request(&template);
        review["request"]["kind"] = json!({ "group": "apps", "kind": "Deployment" });
        ask(&Entry::Workload, &review);
    });
}

#[test]
fn twice_the_workload_is_twice_the_warning() {
    assert_growth(&[MAX_ANNOTATIONS], |pod| {
        let template = json!({ "metadata": pod["metadata"], "spec": { "template": pod } });
        let mut review = request(&template);
        review["request"]["kind"] = json!({ "group": "apps", "kind": "Deployment" });
        ask(&Entry::WorkloadWarning("default".to_owned()), &review);
    });
}

#[test]
fn twice_the_pod_is_twice_the_explanation() {
    let config = Config::default();
    assert_growth(&[MAX_ANNOTATIONS], |pod| {
        let pod = Pod::from_value(pod).unwrap();
        let subject = Subject::of_pod(
            &pod,
            Namespace {
                name: Some("shop"),
                inject: InjectLabel::Absent,
            },
        );
        explain(&subject, &config);
    });
}

/// More than any dimension takes, and less than a second look at everything for each entry.
const STEPS_OF_A_BYTE: usize = 100;

/// What limits allow beside: a thousand agents inside each other, which are read to the end of a path each, some four
/// times. A square of the smaller size would be hundreds of millions.
const STEPS_OF_LIMITS: usize = 20_000_000;

/// What the limit of resolved references allows.
const STEPS_OF_RESOLVED: usize = 150_000_000;
