use std::fmt::Write as _;

use javelin_manifest::Documents;

use super::*;

mod growth;

const LABEL: &str = "instrumentation.opentelemetry.io/inject-java";

fn run(text: &str, action: Operation) -> Injection {
    let mut inputs = Inputs::new(None, &[]);
    for piece in Documents::of(text.as_bytes()) {
        let value = Tree::parse(&piece.unwrap().text).unwrap().value;
        inputs.learn(&value);
    }
    let config = Config::default();
    let injector = Injector::new(&config, &inputs, action);
    let (mut reports, mut new, mut rewritten, mut is_changed) =
        (Vec::new(), String::new(), Vec::new(), false);
    for piece in Documents::of(text.as_bytes()) {
        let piece = piece.unwrap();
        let syntax = if piece.is_json {
            Syntax::Json
        } else {
            Syntax::Yaml
        };
        let outcome = injector.document(&piece.text, syntax).unwrap();
        reports.extend(outcome.reports);
        match outcome.edited {
            Some(edited) => {
                is_changed = true;
                rewritten.extend(edited.rewritten);
                new.push_str(&edited.text);
            }
            None => new.push_str(&piece.text),
        }
    }
    let edited = Edited {
        text: new,
        rewritten,
    };
    Injection {
        edited: is_changed.then_some(edited),
        reports,
    }
}

/// In, in again, and out: the injected text.
fn there_and_back(text: &str) -> String {
    let there = run(text, Operation::Inject);
    let edited = there.edited.expect("something to inject");
    assert_eq!(edited.rewritten, Vec::<usize>::new(), "{}", edited.text);
    let again = run(&edited.text, Operation::Inject);
    assert_eq!(again.edited, None, "{:?}", again.reports);
    let back = run(&edited.text, Operation::Remove);
    assert_eq!(
        back.edited.map(|edited| edited.text).as_deref(),
        Some(text),
        "{}",
        edited.text
    );
    edited.text
}

fn deployment(container: &str) -> String {
    let mut text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: orders\n  labels:\n    {LABEL}: 'true'\nspec:\n  template:\n    \
         spec:\n      containers:\n"
    );
    for (index, line) in container.lines().enumerate() {
        let _ = writeln!(text, "      {} {line}", if index == 0 { "-" } else { " " });
    }
    text
}

#[test]
fn each_job_of_a_jobset_is_changed_and_back() {
    let job = |name: &str| {
        format!(
            "  - name: {name}\n    template:\n      spec:\n        template:\n          metadata:\n            labels:\n              \
             {LABEL}: 'true'\n          spec:\n            containers:\n            - name: {name}\n              image: a:1\n"
        )
    };
    let text = format!(
        "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata:\n  name: jobs\nspec:\n  replicatedJobs:\n{}{}",
        job("driver"),
        job("worker")
    );
    let injected = there_and_back(&text);
    assert_eq!(injected.matches("-javaagent:").count(), 2, "{injected}");
}

#[test]
fn a_knative_container_needs_a_name() {
    let service = |container: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  template:\n    metadata:\n      \
             labels:\n        {LABEL}: 'true'\n    spec:\n      containers:\n      - image: a:1\n{container}"
        )
    };
    let left = run(&service(""), Operation::Inject);
    assert_eq!(left.edited, None);
    let [report] = &left.reports[..] else {
        panic!("{:?}", left.reports);
    };
    assert!(
        matches!(&report.what, What::Left { code, .. } if code == "no-target-container"),
        "{report:?}"
    );
    // One beside it that has a name is no better: nobody knows which is the application's.
    let beside = run(&service("      - name: proxy\n"), Operation::Inject);
    assert_eq!(beside.edited, None);
    there_and_back(&service("        name: web\n"));
}

#[test]
fn a_deployment_is_changed_in_place_and_back() {
    let text = deployment(
        "name: app # mine\nimage: a:1\nenv:\n# heap\n- name: JAVA_TOOL_OPTIONS\n  value: -Xmx1g # one\n- {name: A, value: b}",
    );
    let injected = there_and_back(&text);
    assert!(
        injected.contains("value: -Xmx1g -javaagent:/javelin-agent/javaagent.jar # one\n"),
        "{injected}"
    );
}

#[test]
fn attributes_of_the_users_come_back_to_their_place() {
    for value in ["team=a", "'team=a,'", "\"\"", ">-\n    team=a"] {
        let text = deployment(&format!(
            "name: app\nenv:\n- name: OTEL_RESOURCE_ATTRIBUTES\n  value: {value}\n- name: B\n  value: c"
        ));
        // The entry is moved, and so written anew: the same for whoever reads it.
        let injected = run(&text, Operation::Inject).edited.unwrap().text;
        let back = run(&injected, Operation::Remove).edited.unwrap().text;
        assert_eq!(
            Tree::parse(&back).unwrap().value,
            Tree::parse(&text).unwrap().value,
            "{back}"
        );
    }
}

#[test]
fn empty_lists_come_back() {
    let text = deployment("name: app\nenv: []\nvolumeMounts: []");
    there_and_back(&format!(
        "{text}      volumes: []\n      initContainers: []\n    metadata: {{}}\n"
    ));
}

#[test]
fn references_are_kept_under_one_name() {
    let injected = there_and_back(&deployment(
        "name: app\nenv:\n- name: JAVA_TOOL_OPTIONS\n  valueFrom:\n    configMapKeyRef:\n      name: c\n      key: k\n- name: Z\n  value: z",
    ));
    assert_eq!(
        injected.matches("name: JAVELIN_JAVA_TOOL_OPTIONS").count(),
        1,
        "{injected}"
    );
}

#[test]
fn what_may_come_from_somewhere_unknown_is_not_composed() {
    let text = deployment("name: app\nenvFrom:\n- configMapRef:\n    name: c");
    let outcome = run(&text, Operation::Inject);
    assert_eq!(outcome.edited, None);
    let [report] = outcome.reports.as_slice() else {
        panic!()
    };
    // The profile does not forbid it, so nobody is sent to look for a key that is not there.
    let What::Left { code, why } = &report.what else {
        panic!("{report:?}")
    };
    assert_eq!(code, "optional-options");
    let is_told = why.contains("ConfigMap \"c\", which the input does not have");
    assert!(is_told && !why.contains("composeOptional"), "{why}");
    assert!(report.warnings.is_empty(), "{report:?}");
}

#[test]
fn what_the_input_has_is_known() {
    let workload = deployment("name: app\nenvFrom:\n- configMapRef:\n    name: c");
    for (data, reference) in [("A: b", false), ("JAVA_TOOL_OPTIONS: -Xmx1g", true)] {
        let map = format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  {data}\n"
        );
        let injected = there_and_back(&format!("{workload}{map}"));
        assert_eq!(
            injected.contains("key: JAVA_TOOL_OPTIONS"),
            reference,
            "{injected}"
        );
        assert!(!injected.contains("optional: true"), "{injected}");
        for name in ["JAVELIN_JAVA_TOOL_OPTIONS", "JAVELIN_RESOURCE_ATTRIBUTES"] {
            assert_eq!(
                injected.matches(&format!("name: {name}\n")).count(),
                1,
                "{injected}"
            );
        }
    }
}

#[test]
fn what_a_controller_made_is_left_to_it() {
    let text = deployment("name: app").replace("kind: Deployment", "kind: ReplicaSet").replace(
        "  name: orders\n",
        "  name: orders-1\n  ownerReferences:\n  - {apiVersion: apps/v1, kind: Deployment, name: orders, uid: u, controller: true}\n",
    );
    let outcome = run(&text, Operation::Inject);
    assert_eq!(outcome.edited, None);
    assert!(
        matches!(&outcome.reports[0].what, What::Left { code, why } if code == "owned" && why.contains("Deployment orders"))
    );
}

#[test]
fn what_is_no_pod_is_left_with_a_word() {
    let text = deployment("name: app\nenv:\n- name: A\n  value: on");
    let outcome = run(&text, Operation::Inject);
    assert_eq!(outcome.edited, None);
    assert!(
        matches!(&outcome.reports[0].what, What::Left { code, why } if code == "unreadable" && why.contains("env")),
        "{outcome:?}"
    );
}

#[test]
fn a_webhook_finds_the_pod_of_an_injected_manifest_complete() {
    let injected = there_and_back(&deployment("name: app\nimage: a:1"));
    let tree = Tree::parse(&injected).unwrap();
    let mut pod = tree.value.pointer("/spec/template").unwrap().clone();
    pod["metadata"]["generateName"] = json!("orders-5d4f8c7b9-");
    pod["metadata"]["labels"] =
        json!({ "pod-template-hash": "5d4f8c7b9", keys::FROM_WORKLOAD: "true" });
    pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-5d4f8c7b9", "uid": "u", "controller": true }]);
    let config = Config::default();
    let mut inputs = Inputs::new(Some("shop".to_owned()), &[]);
    inputs.learn(&json!({ "kind": "Namespace", "metadata": { "name": "shop" } }));
    let injector = Injector::new(&config, &inputs, Operation::Inject);
    let treat = |document: &Value| {
        let pod = Pod::from_value(document).unwrap();
        injector.mutation(document, PodPath::POD, &pod, &config)
    };
    let mutation = treat(&pod);
    let after = if mutation.patch.is_empty() {
        pod
    } else {
        mutation.patch.result().clone()
    };
    let text = after.to_string();
    assert_eq!(text.matches("-javaagent:").count(), 1, "{text}");
    assert_eq!(
        after["spec"]["initContainers"].as_array().map(Vec::len),
        Some(1)
    );
    assert!(treat(&after).patch.is_empty());
}

#[test]
fn items_of_lists_are_objects_too() {
    let item = deployment("name: app");
    let mut text = "apiVersion: v1\nkind: List\nitems:\n".to_owned();
    for (index, line) in item.lines().enumerate() {
        let _ = writeln!(text, "{}{line}", if index == 0 { "- " } else { "  " });
    }
    text.push_str("- {apiVersion: v1, kind: Service, metadata: {name: s}}\n");
    there_and_back(&text);
    let json = serde_json::to_string_pretty(&Tree::parse(&text).unwrap().value).unwrap();
    there_and_back(&json);
    there_and_back(&Tree::parse(&text).unwrap().value.to_string());
}

#[test]
fn a_function_tells_its_results() {
    let item: Value = Tree::parse(&deployment(
        "name: app\nenvFrom:\n- secretRef:\n    name: s",
    ))
    .unwrap()
    .value;
    let list =
        json!({ "apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": [item] });
    let inputs = Inputs::default();
    let config = Config::default();
    let (_, reports) = Injector::new(&config, &inputs, Operation::Inject).value(&list);
    let list = with_results(&list, &reports);
    assert_eq!(list["results"][0]["severity"], "warning");
    assert_eq!(list["results"][0]["resourceRef"]["name"], "orders");
}

#[test]
fn what_was_changed_since_is_never_taken_out() {
    let injected = there_and_back(&deployment(
        "name: app\nimage: a:1\nenv:\n- {name: JAVA_TOOL_OPTIONS, value: -Xmx1g}\n- {name: A, value: b}",
    ));
    let left = |text: &str, problem: &str| {
        assert_ne!(text, injected, "{problem}");
        let outcome = run(text, Operation::Remove);
        assert_eq!(outcome.edited, None, "{problem}");
        let What::Left { code, why } = &outcome.reports[0].what else {
            panic!("{outcome:?}")
        };
        assert_eq!(code, "cannot-be-removed");
        assert!(why.contains(problem), "{why}");
        assert!(outcome.reports[0].is_left());
    };
    let options = "-Xmx1g -javaagent:/javelin-agent/javaagent.jar";
    left(
        &injected.replace(options, &format!("{options} -Dmine=1")),
        "one was changed since",
    );
    left(
        &injected.replace(
            "OTEL_RESOURCE_ATTRIBUTES\n          value: '",
            "OTEL_RESOURCE_ATTRIBUTES\n          value: 'team=a,",
        ),
        "one was changed since",
    );
    left(
        &injected.replace("fieldPath: spec.nodeName", "fieldPath: status.hostIP"),
        "one was changed since",
    );
    left(
        &injected.replace("- name: app\n", "- name: other\n"),
        "container \"other\" has the agent's volume",
    );
    let sidecar =
        "      - {name: side, volumeMounts: [{name: javelin-agent, mountPath: /javelin-agent}]}\n";
    left(
        &injected.replace("      volumes:\n", &format!("{sidecar}      volumes:\n")),
        "container \"side\" has the agent's volume",
    );
    // What an API server adds, and what other variables are, is no matter.
    let defaulted = injected
        .replace(
            "fieldPath: spec",
            "apiVersion: v1\n              fieldPath: spec",
        )
        .replace("value: b", "value: c");
    assert!(run(&defaulted, Operation::Remove).edited.is_some());
}

#[test]
fn a_second_pass_keeps_the_way_back() {
    let text = deployment("name: app\nimage: a:1\nenv:\n- {name: A, value: b}");
    let injected = there_and_back(&text);
    // Somebody took out a part, and it is added again.
    let mount = "        volumeMounts:\n        - name: javelin-agent\n          mountPath: /javelin-agent\n          readOnly: true\n";
    let damaged = injected.replacen(mount, "", 1);
    assert_ne!(damaged, injected);
    let again = run(&damaged, Operation::Inject);
    assert_eq!(again.reports[0].warnings, Vec::<String>::new());
    let back = run(&again.edited.unwrap().text, Operation::Remove);
    assert_eq!(back.edited.unwrap().text, text);
}

#[test]
fn another_configuration_is_told_and_update_puts_it_in_anew() {
    let text =
        deployment("name: app\nimage: a:1\nenv:\n- {name: JAVA_TOOL_OPTIONS, value: -Xmx1g}");
    let injected = there_and_back(&text);
    let config = |text: &str| Config::parse(text, "test").unwrap();
    let inputs = Inputs::new(None, &[]);
    let with = |config: &Config, text: &str, action| {
        Injector::new(config, &inputs, action)
            .document(text, Syntax::Yaml)
            .unwrap()
    };
    let newer = config("default: {agent: {image: 'registry.example/agent:2'}}");
    let told = with(&newer, &injected, Operation::Inject);
    assert_eq!(told.edited, None);
    assert!(
        told.reports[0].warnings[0].starts_with("other-configuration: "),
        "{told:?}"
    );
    let updated = with(&newer, &injected, Operation::Update)
        .edited
        .unwrap()
        .text;
    assert!(
        updated.contains("image: registry.example/agent:2"),
        "{updated}"
    );
    assert_eq!(updated.matches("-javaagent:").count(), 1, "{updated}");
    assert_eq!(with(&newer, &updated, Operation::Update).edited, None);
    assert_eq!(
        with(&newer, &updated, Operation::Inject).reports[0].warnings,
        Vec::<String>::new()
    );
    assert_eq!(run(&updated, Operation::Remove).edited.unwrap().text, text);
    // The same configuration is none to put in anew, and what was changed since is not lost to a new one.
    assert_eq!(run(&injected, Operation::Update).edited, None);
    let changed = injected.replace("-Xmx1g -", "-Xmx2g -");
    let told = with(&newer, &changed, Operation::Update);
    assert_eq!(told.edited, None);
    assert!(
        told.reports[0].warnings[0].contains("cannot be put in anew: cannot-be-removed"),
        "{told:?}"
    );
}

#[test]
fn what_asks_for_the_agent_and_cannot_have_it_is_left() {
    let small = deployment("name: app\nimage: a:1\nresources: {limits: {memory: 64Mi}}");
    assert!(run(&small, Operation::Inject).reports[0].is_left());
    for content in ["false", "true"] {
        let text = deployment("name: app\nimage: a:1").replace("'true'", &format!("'{content}'"));
        assert!(
            !run(&text, Operation::Inject).reports[0].is_left(),
            "{content}"
        );
    }
    let unlabelled = small.replace(LABEL, "example.com/other");
    assert!(!run(&unlabelled, Operation::Inject).reports[0].is_left());
}

#[test]
fn a_receipt_that_says_nothing_of_the_pod_does_not_cost_the_way_back() {
    let receipt = r#"{"version":"1","profile":"default","config":"x","delivery":"init-container","containers":{"gone":[]}}"#;
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: app\n  labels: {{{LABEL}: 'true'}}\n  annotations:\n    {}: \
         '{receipt}'\nspec:\n  containers:\n  - name: app\n    image: app\n    env:\n    - name: JAVA_TOOL_OPTIONS\n      \
         value: -Xmx1g\n",
        keys::INJECTED
    );
    let there = run(&text, Operation::Inject);
    assert_eq!(there.reports[0].warnings, Vec::<String>::new());
    let back = run(&there.edited.unwrap().text, Operation::Remove);
    let value = Tree::parse(&back.edited.unwrap().text).unwrap().value;
    let mut expected = Tree::parse(&text).unwrap().value;
    expected["metadata"]
        .as_object_mut()
        .map(|metadata| metadata.remove("annotations"));
    assert_eq!(value, expected);
}
