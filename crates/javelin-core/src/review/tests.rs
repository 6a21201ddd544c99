use base64::Engine as _;
use serde_json::json;

use super::*;

mod faults;
mod growth;

fn request(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "the-uid",
            "operation": "CREATE",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "namespace": "shop",
            "object": object,
        },
    })
}

fn pod() -> Value {
    json!({
        "metadata": { "generateName": "orders-", "labels": { keys::INJECT: "true" } },
        "spec": { "containers": [{ "name": "orders", "image": "orders:1" }] },
    })
}

fn ask(entry: &Entry, review: &Value) -> (Answer, Value) {
    let answer = answer(entry, review.to_string().as_bytes(), &Config::default()).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(body["kind"], "AdmissionReview");
    assert_eq!(body["response"]["uid"], "the-uid");
    assert_eq!(body["response"]["allowed"], true);
    // One without the other is a failed call to the API server.
    assert_eq!(
        body["response"]["patch"].is_null(),
        body["response"]["patchType"].is_null()
    );
    (answer, body["response"].clone())
}

#[test]
fn what_there_is_no_time_for_is_allowed_with_a_warning() {
    let answer = undecided(&Entry::Pod, request(&pod()).to_string().as_bytes()).unwrap();
    assert_eq!(answer.outcome.code, OVERLOADED);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let response = &body["response"];
    assert_eq!(response["uid"], "the-uid");
    assert_eq!(response["allowed"], true);
    assert!(response["patch"].is_null());
    assert_eq!(
        response["warnings"][0],
        format!("javelin: no agent: {OVERLOADED}: {NO_TIME}")
    );
}

/// There is an agent all the same.
#[test]
fn a_call_that_only_warns_and_comes_to_nothing_says_nothing() {
    let entry = Entry::WorkloadWarning("default".to_owned());
    let mut review = request(&json!({ "kind": "Deployment", "metadata": {} }));
    review["request"]["kind"] = json!({ "group": "apps", "kind": "Deployment" });
    let body = review.to_string();
    for (answered, code) in [
        (undecided(&entry, body.as_bytes()), OVERLOADED),
        (internal_error(&entry, body.as_bytes()), "internal-error"),
        (
            answer(&entry, body.as_bytes(), &Config::default()),
            "unreadable",
        ),
    ] {
        let answered = answered.unwrap();
        assert_eq!(answered.outcome.code, code);
        let body: Value = serde_json::from_slice(&answered.body).unwrap();
        assert_eq!(body["response"]["allowed"], true);
        assert!(body["response"]["warnings"].is_null(), "{body}");
    }
}

/// The API server would apply it, and then not be able to store the pod.
#[test]
fn no_patch_makes_an_object_too_large_to_be_stored() {
    // As many as are looked at, with names as long as they may be.
    let names: Vec<String> = (0..1000).map(|number| format!("app{number:060}")).collect();
    let containers: Vec<Value> = names
        .iter()
        .map(|name| json!({ "name": name, "image": "shop" }))
        .collect();
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({ keys::CONTAINER_NAMES: names.join(",") });
    pod["spec"]["containers"] = containers.into();
    let (answer, response) = ask(&Entry::Pod, &request(&pod));
    assert_eq!(answer.outcome.code, "unreadable");
    assert!(
        response["warnings"][0]
            .as_str()
            .unwrap()
            .ends_with("than the API server stores")
    );
}

#[test]
fn a_patch_is_base64_of_a_json_patch_that_applies() {
    let (answer, response) = ask(&Entry::Pod, &request(&pod()));
    assert_eq!(answer.outcome.code, "injected");
    assert_eq!(
        (
            answer.outcome.namespace.as_str(),
            answer.outcome.name.as_str()
        ),
        ("shop", "orders-")
    );
    let patch = BASE64.decode(response["patch"].as_str().unwrap()).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    let mut patched = pod();
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(
        patched["spec"]["initContainers"][0]["name"],
        keys::AGENT_NAME
    );
    assert_eq!(response["auditAnnotations"]["decision"], "injected");
}

#[test]
fn the_entry_says_what_the_namespace_asks_for() {
    let mut plain = pod();
    plain["metadata"]["labels"] = json!({});
    for (entry, code) in [
        (Entry::Pod, "not-selected"),
        (Entry::Namespace("default".to_owned()), "injected"),
        (Entry::Namespace("no-such".to_owned()), "unknown-profile"),
        (Entry::UnknownNamespace, "unknown-profile"),
    ] {
        assert_eq!(
            ask(&entry, &request(&plain)).0.outcome.code,
            code,
            "{entry:?}"
        );
    }
}

#[test]
fn a_skip_that_nobody_asked_for_says_so_and_others_say_nothing() {
    let mut taken = pod();
    taken["spec"]["volumes"] = json!([{ "name": keys::AGENT_NAME }]);
    let (_, response) = ask(&Entry::Pod, &request(&taken));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("javelin: no agent: conflicting-volume: "),
        "{warning}"
    );

    let mut out = pod();
    out["metadata"]["labels"][keys::INJECT] = json!("false");
    let (_, response) = ask(&Entry::Pod, &request(&out));
    assert!(response["warnings"].is_null() && response["patch"].is_null());
}

#[test]
fn whatever_the_object_is_it_is_allowed() {
    for object in [
        json!(null),
        json!("text"),
        json!([]),
        json!({ "spec": { "containers": "none" } }),
        json!({ "metadata": { "labels": { "a": 1 } } }),
        json!({ "metadata": null, "spec": null }),
    ] {
        for entry in [
            Entry::Pod,
            Entry::Namespace("true".to_owned()),
            Entry::Workload,
            Entry::UnknownWorkloadWarning,
            Entry::Probe,
        ] {
            ask(&entry, &request(&object));
        }
        let mut update = request(&object);
        update["request"]["kind"] = json!({ "group": "apps", "kind": "Deployment" });
        update["request"]["oldObject"] = json!(3);
        ask(&Entry::Workload, &update);
        ask(&Entry::UnknownWorkloadWarning, &update);
    }
    let mut without = request(&json!(null));
    without["request"].as_object_mut().unwrap().remove("object");
    ask(&Entry::Pod, &without);
}

/// Found by fuzzing: it came out as a defect of ours.
#[test]
fn an_empty_namespace_is_none() {
    for own in ["", "shop"] {
        let mut pod = pod();
        pod["metadata"]["namespace"] = json!(own);
        let mut review = request(&pod);
        review["request"]["namespace"] = json!("");
        let (answer, _) = ask(&Entry::Pod, &review);
        assert_eq!(answer.outcome.code, "injected", "{own:?}");
    }
}

#[test]
fn an_update_of_a_pod_is_never_patched() {
    let mut update = request(&pod());
    update["request"]["operation"] = json!("UPDATE");
    assert!(ask(&Entry::Pod, &update).1["patch"].is_null());
}

#[test]
fn a_job_keeps_its_immutable_template() {
    let mut job = request(&json!({
        "kind": "Job",
        "metadata": { "name": "j", "labels": { keys::INJECT: "true" } },
        "spec": { "template": { "metadata": {}, "spec": { "containers": [] } } },
    }));
    job["request"]["kind"] = json!({ "group": "batch", "kind": "Job" });
    job["request"]["operation"] = json!("UPDATE");
    assert!(ask(&Entry::Workload, &job).1["patch"].is_null());
}

#[test]
fn the_probe_gets_an_annotation_back() {
    let (answer, response) = ask(
        &Entry::Probe,
        &request(&json!({ "metadata": { "name": "javelin-probe" } })),
    );
    assert_eq!(answer.outcome.code, "probed");
    let patch = BASE64.decode(response["patch"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(patch).unwrap().contains(keys::PROBE));
}

#[test]
fn a_body_without_a_uid_gets_no_answer() {
    for body in [
        "",
        "null",
        "{}",
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\"}",
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"\"}}",
        "{\"apiVersion\":\"admission.k8s.io/v1beta1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"a\"}}",
        // A struct of serde's can be a list as well.
        "[\"admission.k8s.io/v1\",\"AdmissionReview\",{\"uid\":\"a\"}]",
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":[\"a\"]}",
    ] {
        assert!(
            answer(&Entry::Pod, body.as_bytes(), &Config::default()).is_err(),
            "{body}"
        );
        assert!(
            internal_error(&Entry::Pod, body.as_bytes()).is_err(),
            "{body}"
        );
    }
}

#[test]
fn an_escaped_uid_comes_back_as_it_is_meant() {
    let body = request(&pod())
        .to_string()
        .replace("the-uid", "the\\u002duid");
    let answer = answer(&Entry::Pod, body.as_bytes(), &Config::default()).unwrap();
    assert_eq!(answer.uid, "the-uid");
}

#[test]
fn a_panic_is_answered_with_a_warning_and_no_patch() {
    let body = request(&pod()).to_string();
    let answer = internal_error(&Entry::Pod, body.as_bytes()).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["response"]["allowed"], true);
    assert!(body["response"]["patch"].is_null());
    assert!(
        body["response"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("internal-error")
    );
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "orders", "labels": { keys::INJECT: "true" } },
        "spec": { "template": {
            "metadata": { "labels": { "app": "orders" } },
            "spec": { "containers": [{ "name": "orders", "image": "orders:1" }] },
        } },
    })
}

#[test]
fn a_workload_gets_its_label_copied_and_the_copy_taken_away_again() {
    let ask = |operation: &str, object: &Value, old: &Value| {
        let mut review = request(object);
        review["request"]["kind"] = json!({ "group": "apps", "kind": "Deployment" });
        review["request"]["operation"] = json!(operation);
        review["request"]["oldObject"] = old.clone();
        let (answer, response) = ask(&Entry::Workload, &review);
        let mut object = object.clone();
        if let Some(patch) = response["patch"].as_str() {
            let patch = BASE64.decode(patch).unwrap();
            json_patch::patch(
                &mut object,
                &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap(),
            )
            .unwrap();
        }
        let copy = object["spec"]["template"]["metadata"]["labels"][keys::FROM_WORKLOAD].clone();
        (
            answer.outcome.code,
            copy,
            response["warnings"].clone(),
            object,
        )
    };
    let (code, copy, warnings, labelled) = ask("CREATE", &deployment(), &json!(null));
    assert_eq!((code, copy), ("labelled", json!("true")));
    let expected =
        "javelin: new pods start with the OpenTelemetry Java agent in orders (profile default)";
    assert_eq!(warnings, json!([expected]));

    let (code, _, warnings, _) = ask("UPDATE", &labelled, &labelled);
    assert_eq!((code, warnings), ("unchanged", json!(null)));

    let mut without = labelled.clone();
    without["metadata"]["labels"]
        .as_object_mut()
        .unwrap()
        .remove(keys::INJECT);
    let (code, copy, _, _) = ask("UPDATE", &without, &labelled);
    assert_eq!((code, copy), ("unlabelled", json!(null)));
}

/// What the entry for the label rule says of the same pods, and a pod's own review.
#[test]
fn a_workload_that_is_only_warned_of_is_never_changed() {
    let ask = |entry: &Entry, object: &Value| {
        let mut review = request(object);
        review["request"]["kind"] = json!({ "group": "apps", "kind": "Deployment" });
        let (answer, response) = ask(entry, &review);
        let Outcome {
            code,
            profile,
            warned,
            ..
        } = answer.outcome;
        assert!(entry.outcomes().contains(&code), "{code}");
        // Else it would count as a pod with the agent.
        assert_eq!(profile, None);
        assert_eq!(warned, response["warnings"].is_array());
        (
            code,
            response["patch"].clone(),
            response["warnings"].clone(),
        )
    };
    let of_namespace = Entry::WorkloadWarning("default".to_owned());
    let mut tight = deployment();
    tight["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "limits": { "memory": "200Mi" } });
    let mut taken = deployment();
    taken["spec"]["template"]["spec"]["volumes"] = json!([{ "name": keys::AGENT_NAME }]);
    for labelled in [deployment(), tight, taken] {
        let (code, patch, expected) = ask(&Entry::Workload, &labelled);
        assert!(code == "labelled" && patch.is_string());
        let mut unlabelled = labelled.clone();
        unlabelled["metadata"]["labels"] = json!({});
        assert_eq!(
            ask(&of_namespace, &unlabelled),
            ("warned", Value::Null, expected.clone())
        );
        let (_, response) = self::ask(
            &Entry::Namespace("default".to_owned()),
            &request(&unlabelled["spec"]["template"]),
        );
        // Whoever labels a workload also reads that all is well, which is no news of a pod.
        let all = expected.as_array().unwrap().iter();
        let is_start = |warning: &&Value| warning.as_str().unwrap().contains("new pods start with");
        let of_pod: Vec<_> = all.filter(|warning| !is_start(warning)).collect();
        assert_eq!(
            response["warnings"].as_array().cloned().unwrap_or_default(),
            of_pod.into_iter().cloned().collect::<Vec<_>>()
        );
    }
    let mut plain = deployment();
    plain["metadata"]["labels"] = json!({});
    let (code, _, warnings) = ask(&Entry::UnknownWorkloadWarning, &plain);
    assert_eq!(code, "warned");
    let warning = warnings[0].as_str().unwrap();
    assert!(warning.starts_with("javelin: no agent: unknown-profile: the namespace's label"));

    plain["spec"]["template"]["metadata"]["labels"] = json!({ keys::INJECT: "false" });
    assert_eq!(
        ask(&of_namespace, &plain),
        ("nothing-to-say", Value::Null, Value::Null)
    );
}

/// Its pods are never made anew, and an update of it says nothing.
#[test]
fn a_job_is_warned_of_when_it_is_created() {
    let job = json!({
        "kind": "Job",
        "metadata": { "name": "j" },
        "spec": { "template": deployment()["spec"]["template"] },
    });
    for (operation, code) in [("CREATE", "warned"), ("UPDATE", "not-selected")] {
        let mut review = request(&job);
        review["request"]["kind"] = json!({ "group": "batch", "kind": "Job" });
        review["request"]["operation"] = json!(operation);
        let entry = Entry::WorkloadWarning("default".to_owned());
        let (answer, response) = ask(&entry, &review);
        assert_eq!(answer.outcome.code, code);
        assert_eq!(response["warnings"].is_null(), operation == "UPDATE");
    }
}

#[test]
fn an_object_that_would_fill_the_memory_is_not_decoded() {
    let mut pod = pod();
    pod["junk"] = json!(vec![0; MAX_VALUES + 1]);
    assert_eq!(
        ask(&Entry::Pod, &request(&pod)).0.outcome.code,
        "unreadable"
    );
    pod["junk"] = json!("x".repeat(MAX_OBJECT_BYTES));
    assert_eq!(
        ask(&Entry::Pod, &request(&pod)).0.outcome.code,
        "unreadable"
    );
}

#[test]
fn what_is_logged_has_a_bounded_length() {
    let mut pod = pod();
    pod["metadata"]["generateName"] = json!("x".repeat(10_000));
    assert_eq!(
        ask(&Entry::Pod, &request(&pod)).0.outcome.name.len(),
        MAX_NAME
    );
    let mut review = request(&pod);
    review["request"]["uid"] = json!("u".repeat(MAX_UID + 1));
    assert!(
        answer(
            &Entry::Pod,
            review.to_string().as_bytes(),
            &Config::default()
        )
        .is_err()
    );
}

#[test]
fn annotations_that_would_pass_the_limit_of_kubernetes_are_not_added() {
    let mut pod = pod();
    for (free, has_word) in [(200, true), (50, false)] {
        pod["metadata"]["annotations"] = json!({ "large": "x".repeat(256 * 1024 - free) });
        let (answer, response) = ask(&Entry::Pod, &request(&pod));
        assert_eq!(answer.outcome.code, "annotations-full");
        assert_eq!(
            response["patch"].is_string(),
            has_word,
            "{free} bytes are free"
        );
    }
}

#[test]
fn a_warning_has_its_code_and_its_sentence() {
    let mut pod = pod();
    pod["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "200Mi" } });
    let (_, response) = ask(&Entry::Pod, &request(&pod));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("javelin: little-memory: container \""),
        "{warning}"
    );
}

#[test]
fn a_long_text_in_the_wrong_place_is_not_quoted_whole() {
    let mut pod = pod();
    pod["spec"]["containers"] = json!("x".repeat(100_000));
    let (answer, response) = ask(&Entry::Pod, &request(&pod));
    assert_eq!(answer.outcome.code, "unreadable");
    assert!(answer.body.len() < 2_000, "{response}");
}

#[test]
fn managed_fields_are_not_decoded_and_everything_else_is() {
    let without = pod();
    let mut pod = pod();
    pod["metadata"]["managedFields"] = json!([{ "manager": "kubectl" }]);
    pod["spec"]["managedFields"] = json!("of another kind");
    let mut expected = pod.clone();
    expected["metadata"] = without["metadata"].clone();
    assert_eq!(object::decode(&pod.to_string()).unwrap(), expected);
    for text in ["null", "[1]", r#"{"metadata":null}"#, r#"{"metadata":[2]}"#] {
        let whole: Value = serde_json::from_str(text).unwrap();
        assert_eq!(object::decode(text).unwrap(), whole);
    }
    let [with, without] = [pod, without].map(|pod| ask(&Entry::Pod, &request(&pod)).1);
    assert!(with["patch"].is_string());
    assert_eq!(with, without);
}

/// To the API server the last one counts.
#[test]
fn a_member_that_is_there_twice_is_no_error() {
    let body = request(&pod()).to_string();
    let body = body.replace(r#""metadata":{"#, r#""metadata":{},"metadata":{"#);
    let answer = answer(&Entry::Pod, body.as_bytes(), &Config::default()).unwrap();
    assert_eq!(answer.outcome.code, "injected");
}
