//! `javelin cert`, against a stand-in for the API server that has the few objects which it reads.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use javelin::{
    certs::{
        Authority, ServiceName,
        store::{Contents, Retired},
    },
    metrics::Metrics,
    time::now,
};
use serde_json::{Value, json};

use super::api_server::{Answers, api_server, kubeconfig};

const DAY: Duration = Duration::from_hours(24);
const SECRET: &str = "/api/v1/namespaces/javelin-system/secrets/javelin-ca";
const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/javelin";
const SERVICE: &str = "/api/v1/namespaces/javelin-system/services/javelin";
const PODS: &str = "/api/v1/namespaces/javelin-system/pods";
const METRICS: &str = "/api/v1/namespaces/javelin-system/pods/javelin-1:8080/proxy/metrics";

fn authority() -> Authority {
    let name = ServiceName::new("javelin", "javelin-system").unwrap();
    Authority::generate(&name, DAY * 730, now()).unwrap()
}

/// What answers a GET of each path, what a PATCH of the Secret makes of that, and the patches that came.
#[derive(Default)]
struct Objects {
    answers: BTreeMap<&'static str, (u16, String)>,
    after_patch: Vec<(&'static str, (u16, String))>,
    /// So many patches come too late.
    conflicts: usize,
    patches: Vec<(String, Value)>,
}

impl Objects {
    /// All is well: what `contents` says is published and served.
    fn of(contents: &Contents) -> Self {
        let mut objects = Self::default();
        objects.put(SECRET, &secret(contents, None));
        objects.put(CONFIGURATION, &configuration(&[&contents.bundle(); 2]));
        objects.put(
            SERVICE,
            &json!({ "spec": { "selector": { "app": "javelin", "tier": "a" } } }),
        );
        objects.put(
            PODS,
            &json!({ "metadata": {}, "items": [{
                "metadata": { "name": "javelin-1" },
                "spec": { "containers": [{ "name": "javelin", "ports": [
                    { "name": "webhook", "containerPort": 10250 },
                    { "name": "admin", "containerPort": 8080 },
                ] }] },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            }] }),
        );
        objects
            .answers
            .insert(METRICS, serving(&contents.authority));
        objects
    }

    fn put(&mut self, path: &'static str, object: &Value) {
        self.answers.insert(path, (200, object.to_string()));
    }

    fn refuse(&mut self, path: &'static str, code: u16, reason: &str) {
        self.answers.insert(path, status(code, reason));
    }
}

impl Answers for Objects {
    fn answer(&mut self, method: &Method, uri: &str, _: &str, body: &[u8]) -> (u16, String) {
        let path = uri.split('?').next().unwrap();
        if *method == Method::PATCH {
            let body = serde_json::from_slice(body).unwrap();
            self.patches.push((uri.to_owned(), body));
            if self.conflicts > 0 {
                self.conflicts -= 1;
                return status(409, "Conflict");
            }
            let answer = self.answers[path].clone();
            self.answers.extend(self.after_patch.drain(..));
            return answer;
        }
        let answer = self.answers.get(path);
        answer.cloned().unwrap_or_else(|| status(404, "NotFound"))
    }
}

fn status(code: u16, reason: &str) -> (u16, String) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("the server says {reason}"),
    });
    (code, status.to_string())
}

fn secret(contents: &Contents, rotate: Option<&str>) -> Value {
    let data = contents.to_data().into_iter();
    let data: BTreeMap<_, _> = data
        .filter_map(|(key, value)| Some((key, STANDARD.encode(value?.bytes()))))
        .collect();
    let annotations: BTreeMap<_, _> = rotate
        .into_iter()
        .map(|value| ("javelin.dev/rotate", value))
        .collect();
    let metadata = json!({ "resourceVersion": "7", "annotations": annotations });
    json!({ "metadata": metadata, "data": data })
}

fn configuration(bundles: &[&String]) -> Value {
    let entries = ["one.javelin.dev", "two.javelin.dev"].iter().zip(bundles);
    let entries: Vec<_> = entries
        .map(|(name, bundle)| {
            json!({ "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {
                "service": { "name": "javelin", "namespace": "javelin-system", "path": "/mutate/pod" },
                "caBundle": STANDARD.encode(bundle),
            } })
        })
        .collect();
    json!({ "metadata": { "resourceVersion": "9" }, "webhooks": entries })
}

/// The metrics of a replica with a certificate of this authority.
fn serving(authority: &Authority) -> (u16, String) {
    let metrics = Metrics::new();
    metrics.leaf_expires(now() + DAY);
    metrics.authority_expires(authority.certificate().validity().not_after);
    metrics.leaf_comes_from(authority.certificate().fingerprint());
    (200, metrics.encode().unwrap())
}

/// Runs `javelin cert` with these arguments and those objects, which it gives back.
fn cert(objects: Objects, arguments: &[&str]) -> (Output, Objects) {
    let objects = Arc::new(Mutex::new(objects));
    let address = api_server(Arc::clone(&objects));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig(address, "a-token")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_javelin"))
        .arg("cert")
        .args(arguments)
        .env_clear()
        .env("KUBECONFIG", &path)
        .output()
        .unwrap();
    let objects = std::mem::take(&mut *objects.lock().unwrap());
    (output, objects)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output, with names for the authorities, which are others each time.
fn told(output: &Output, names: &[(&Authority, &str)]) -> String {
    let mut text = text(&output.stdout);
    for (authority, name) in names {
        text = text.replace(&authority.certificate().fingerprint(), name);
    }
    text
}

#[test]
fn all_is_well_and_no_key_is_shown() {
    let a = authority();
    for format in ["text", "json"] {
        let objects = Objects::of(&Contents::new(a.clone()));
        let (output, _) = cert(objects, &["show", "-o", format, "--min-days", "30"]);

        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(stderr, "");
        assert_eq!(output.status.code(), Some(0), "{stdout}");
        assert!(stdout.contains(&a.certificate().fingerprint()), "{stdout}");
        let key = a.key_pem();
        for line in key.lines().filter(|line| line.len() > 20) {
            assert!(!stdout.contains(line), "{stdout}");
        }
        assert!(!stdout.contains("PRIVATE"), "{stdout}");
    }
}

#[test]
fn plain_cert_shows_the_same_tables() {
    let a = authority();
    let (output, _) = cert(Objects::of(&Contents::new(a.clone())), &[]);

    let told = told(&output, &[(&a, "AAAAAAAAAAAAAAAA")]);
    for line in [
        "  one.javelin.dev  AAAAAAAAAAAAAAAA  as the Secret",
        "  POD        READY  AUTHORITY         VALID UNTIL",
        "(in 486 days): a successor of AAAAAAAAAAAAAAAA is made",
    ] {
        assert!(told.contains(line), "{line} is not in:\n{told}");
    }
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn json_has_what_a_script_wants() {
    let (a, b) = (authority(), authority());
    let retired = Retired::new(a.certificate().clone(), now() + DAY);
    let contents = Contents {
        previous: vec![retired],
        ..Contents::new(b.clone())
    };
    let (output, _) = cert(Objects::of(&contents), &["show", "-o", "json"]);

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fingerprint = |each: &Authority| each.certificate().fingerprint();
    assert_eq!(report["secret"]["state"], "sound");
    assert_eq!(report["secret"]["authorities"][0]["role"], "signing");
    assert_eq!(report["secret"]["authorities"][1]["role"], "previous");
    assert_eq!(
        report["secret"]["authorities"][1]["fingerprint"],
        fingerprint(&a)
    );
    assert_eq!(report["entries"][1]["equalsSecret"], true);
    assert_eq!(report["replicas"][0]["issuer"], fingerprint(&b));
    let until = report["secret"]["authorities"][0]["notAfter"]
        .as_str()
        .unwrap();
    assert!(
        until
            .parse::<jiff::Timestamp>()
            .is_ok_and(|time| SystemTime::from(time) > now())
    );
    assert_eq!(report["problems"], json!([]));
}

#[test]
fn what_is_wrong_is_one_line_each_and_exit_code_1() {
    let a = authority();
    let contents = Contents::new(a.clone());
    let mut objects = Objects::of(&contents);
    objects.put(
        CONFIGURATION,
        &configuration(&[&contents.bundle(), &String::new()]),
    );
    let (output, _) = cert(objects, &["show", "--min-days", "10000"]);

    let fingerprint = a.certificate().fingerprint();
    let stderr = text(&output.stderr);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].starts_with(&format!(
            "problem: authority {fingerprint}, which signs, expires at 20"
        )) && lines[0].ends_with(", and it has no successor yet"),
        "{stderr}"
    );
    let untrusting =
        format!("problem: two.javelin.dev: authority {fingerprint}, which signs, is not trusted");
    assert_eq!(lines[1], untrusting);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn with_a_certificate_of_ones_own_there_is_no_secret_and_the_rest_is_shown() {
    let contents = Contents::new(authority());
    let of_files = || {
        let metrics = Metrics::new();
        metrics.leaf_expires(now() + DAY * 20);
        let mut objects = Objects::of(&contents);
        objects.answers.remove(SECRET);
        objects
            .answers
            .insert(METRICS, (200, metrics.encode().unwrap()));
        objects
    };
    let (output, _) = cert(of_files(), &["show"]);
    let stdout = text(&output.stdout);
    for part in [
        "Secret javelin-system/javelin-ca: it does not exist\n  With your own certificate there is none; \
         certs/README.md says how",
        "from files (--tls-cert)\n",
    ] {
        assert!(stdout.contains(part), "{part} is not in:\n{stdout}");
    }
    assert_eq!(
        (text(&output.stderr), output.status.code()),
        (String::new(), Some(0))
    );

    let (output, _) = cert(of_files(), &["show", "--min-days", "30"]);
    assert!(
        text(&output.stderr)
            .starts_with("problem: javelin-1 serves a certificate that expires at "),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(1));

    let (output, objects) = cert(of_files(), &["rotate"]);
    assert!(objects.patches.is_empty());
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn who_may_not_ask_pods_is_told_so_and_sees_the_rest() {
    for path in [SERVICE, PODS, METRICS] {
        let mut objects = Objects::of(&Contents::new(authority()));
        objects.refuse(path, 403, "Forbidden");
        let (output, _) = cert(objects, &["show"]);

        let stdout = text(&output.stdout);
        assert!(stdout.contains("\n  not shown: access to "), "{stdout}");
        assert!(
            stdout.contains("is denied (the server says Forbidden)\n"),
            "{stdout}"
        );
        assert!(stdout.contains("as the Secret"), "{stdout}");
        assert_eq!(
            (text(&output.stderr), output.status.code()),
            (String::new(), Some(0))
        );
    }
}

#[test]
fn who_may_not_read_the_secret_and_who_looks_elsewhere_are_told_what_to_do() {
    let mut objects = Objects::of(&Contents::new(authority()));
    objects.refuse(SECRET, 403, "Forbidden");
    let (output, _) = cert(objects, &["show"]);
    assert_eq!(
        text(&output.stderr),
        "error: access to Secret javelin-system/javelin-ca is denied (the server says Forbidden)\n\n\
         hint: certs/README.md has the rules that are needed\n"
    );
    assert_eq!(output.status.code(), Some(2));

    // The flag's former name is taken as well, and not in silence.
    let former = "warning: --namespace is called --javelin-namespace now, as in the other verbs; it is still taken\n";
    for (flag, warning) in [
        ("--javelin-namespace", ""),
        ("-n", former),
        ("--namespace", former),
    ] {
        let (output, _) = cert(Objects::default(), &["show", flag, "elsewhere"]);
        let stderr = text(&output.stderr);
        let error =
            "error: Secret elsewhere/javelin-ca does not exist\n\nhint: give --javelin-namespace";
        assert!(stderr.starts_with(&format!("{warning}{error}")), "{stderr}");
        assert_eq!(output.status.code(), Some(2));
    }

    let (output, _) = cert(Objects::default(), &["rotate", "--context", "nowhere"]);
    let stderr = text(&output.stderr);
    assert!(
        stderr.starts_with("error: there is no Kubernetes cluster to ask\n"),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_rotation_is_asked_for_by_an_annotation_with_the_version_that_was_read() {
    let a = authority();
    for (arguments, query, word) in [
        (&["rotate"][..], "fieldManager=javelin-cli", "is asked for"),
        (
            &["rotate", "--dry-run"][..],
            "dryRun=All&fieldManager=javelin-cli",
            "would be asked for (dry run)",
        ),
    ] {
        let (output, objects) = cert(Objects::of(&Contents::new(a.clone())), arguments);

        let [(uri, body)] = &objects.patches[..] else {
            panic!("{:?} {output:?}", objects.patches);
        };
        assert_eq!(
            uri.trim_start_matches(SECRET)
                .trim_start_matches(['?', '&']),
            query
        );
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        let value = body["metadata"]["annotations"]["javelin.dev/rotate"].as_str();
        assert!(
            value.is_some_and(|value| value.parse::<jiff::Timestamp>().is_ok()),
            "{body}"
        );
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        let told = told(&output, &[(&a, "A")]);
        let expected = format!("a successor of authority A {word}\n");
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_rotation_under_way_begins_anew_and_a_request_is_made_once() {
    let (a, b) = (authority(), authority());
    let contents = Contents {
        next: Some(b.clone()),
        ..Contents::new(a.clone())
    };
    let (output, objects) = cert(Objects::of(&contents), &["rotate"]);
    let told_it = told(&output, &[(&a, "A"), (&b, "B")]);
    assert!(
        told_it.starts_with(
            "a rotation is in progress; its successor B is replaced too, as its key is in the same Secret\n\
             a successor of authority A is asked for\n"
        ),
        "{told_it}"
    );
    assert_eq!(objects.patches.len(), 1);

    let mut objects = Objects::of(&Contents::new(a.clone()));
    objects.put(SECRET, &secret(&Contents::new(a.clone()), Some("today")));
    let (output, objects) = cert(objects, &["rotate"]);
    assert_eq!(
        told(&output, &[(&a, "A")]),
        "somebody has asked for a successor of authority A already\n"
    );
    assert!(objects.patches.is_empty());
}

#[test]
fn a_secret_that_changed_in_between_is_read_again_but_not_for_ever() {
    for (conflicts, patches, code) in [(2, 3, 0), (100, 6, 2)] {
        let mut objects = Objects::of(&Contents::new(authority()));
        objects.conflicts = conflicts;
        let (output, objects) = cert(objects, &["rotate"]);
        assert_eq!(objects.patches.len(), patches);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}

#[test]
fn waiting_ends_when_every_replica_serves_the_new_authority_or_in_time() {
    let (a, b) = (authority(), authority());
    let retired = Retired::new(a.certificate().clone(), now() + DAY);
    let after = Contents {
        previous: vec![retired],
        ..Contents::new(b.clone())
    };
    let mut objects = Objects::of(&Contents::new(a.clone()));
    objects.after_patch = vec![
        (SECRET, (200, secret(&after, None).to_string())),
        (METRICS, serving(&b)),
    ];
    let (output, _) = cert(objects, &["rotate", "--wait"]);
    let told_of = told(&output, &[(&a, "A"), (&b, "B")]);
    assert!(
        told_of.ends_with("\ndone: authority B signs\n"),
        "{told_of}"
    );
    assert_eq!(output.status.code(), Some(0));

    let mut objects = Objects::of(&Contents::new(a));
    objects.after_patch = vec![(SECRET, (200, secret(&after, None).to_string()))];
    let (output, _) = cert(objects, &["rotate", "--wait", "--timeout", "1s"]);
    let stderr = text(&output.stderr).replace(&b.certificate().fingerprint(), "B");
    assert_eq!(
        stderr,
        "authority B signs; not yet changed to it: javelin-1\n\
         not within 1 s: authority B signs; not yet changed to it: javelin-1\n"
    );
    assert_eq!(output.status.code(), Some(1));
}
