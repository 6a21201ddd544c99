//! Two reconcilers and one stand-in for the API server that knows about resource versions. Each round is called
//! for, so there is nothing to wait for.

use std::sync::Mutex;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http_body_util::BodyExt;
use javelin_core::mutate::keys;
use kube::Client;
use serde_json::{Value, json};

use super::*;
use crate::api::client::Names;
use crate::certs::ServiceName;
use crate::shutdown::Shutdown;

/// The two objects, and how often each was written.
#[derive(Debug)]
struct Store {
    version: u64,
    secret: Option<Value>,
    configuration: Option<Value>,
    secret_writes: usize,
    bundle_writes: usize,
    /// The next write comes too late: something else was faster.
    outrun: bool,
    /// No call comes through to the webhook.
    unreachable: bool,
    /// A client that refuses the certificate while the Secret is being read.
    refuser: Option<Arc<Identity>>,
}

#[derive(Debug, Clone)]
struct ApiServer(Arc<Mutex<Store>>);

impl ApiServer {
    /// With the objects as the chart ships them.
    fn new() -> Self {
        let entry = |name: &str, service: &str| {
            json!({
                "name": name,
                "clientConfig": { "service": { "name": service, "namespace": "javelin-system" } },
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            })
        };
        Self(Arc::new(Mutex::new(Store {
            version: 1,
            secret: Some(json!({ "metadata": { "resourceVersion": "1" } })),
            configuration: Some(json!({
                "metadata": { "resourceVersion": "1" },
                "webhooks": [entry("pod", "javelin"), entry("probe", "javelin"), entry("foreign", "other")],
            })),
            secret_writes: 0,
            bundle_writes: 0,
            outrun: false,
            unreachable: false,
            refuser: None,
        })))
    }

    fn reconciler(&self) -> Reconciler {
        self.reconciler_whose_readiness_needs(&[Condition::Certificate, Condition::Trusted])
    }

    fn reconciler_whose_readiness_needs(&self, conditions: &[Condition]) -> Reconciler {
        let api_server = self.clone();
        let router =
            Router::new().fallback(async move |request: Request| api_server.answer(request).await);
        let names = Names {
            service: ServiceName::new("javelin", "javelin-system").unwrap(),
            secret: "javelin-ca".to_owned(),
            configuration: "javelin".to_owned(),
            probe: "javelin-probe".to_owned(),
        };
        let metrics = Arc::new(Metrics::new());
        Reconciler::new(
            Cluster::over(Client::new(router, "default"), names),
            Arc::new(Identity::new()),
            Arc::new(Readiness::new(conditions, Shutdown::new())),
            Arc::clone(&metrics),
            EventRecorder::new(Arc::clone(&metrics)).0,
            Lifetimes::default(),
            Coverage::new(Arc::default(), metrics),
        )
    }

    fn edit(&self, edit: impl FnOnce(&mut Store)) {
        edit(&mut self.0.lock().unwrap());
    }

    /// As `kubectl replace` does it.
    fn wipe_bundles(&self) {
        self.edit(|store| {
            for entry in store.configuration.as_mut().unwrap()["webhooks"]
                .as_array_mut()
                .unwrap()
            {
                entry["clientConfig"]
                    .as_object_mut()
                    .unwrap()
                    .remove("caBundle");
            }
        });
    }

    /// Everything stays trusted, and yet no caBundle is as it should be.
    fn add_to_bundles(&self) {
        let name = ServiceName::new("somebody", "elses").unwrap();
        let authority = Authority::generate(&name, Duration::from_hours(1), now()).unwrap();
        self.edit(|store| {
            for entry in store.configuration.as_mut().unwrap()["webhooks"]
                .as_array_mut()
                .unwrap()
            {
                let bundle = &mut entry["clientConfig"]["caBundle"];
                if let Some(text) = bundle.as_str() {
                    let mut bytes = BASE64_STANDARD.decode(text).unwrap();
                    bytes.extend(authority.certificate().to_pem().into_bytes());
                    *bundle = BASE64_STANDARD.encode(bytes).into();
                }
            }
        });
    }

    fn writes(&self) -> (usize, usize) {
        let store = self.0.lock().unwrap();
        (store.secret_writes, store.bundle_writes)
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut store = self.0.lock().unwrap();
        let is_secret = parts.uri.path().contains("/secrets/");
        if is_secret && let Some(identity) = store.refuser.take() {
            assert!(identity.refuse(&identity.current().unwrap()));
        }
        if parts.uri.path().contains("/configmaps/") {
            if store.unreachable {
                return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
            }
            let annotations = json!({ "javelin.dev/probe": "x" });
            let probed = json!({ "metadata": { "annotations": annotations } });
            return axum::body::Body::from(probed.to_string()).into_response();
        }
        let is_apply = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|of| of == "application/apply-patch+yaml");
        if is_secret && is_apply {
            if store.secret.is_some() {
                return failure(StatusCode::CONFLICT, "Conflict");
            }
            store.version += 1;
            let version = store.version.to_string();
            store.secret = Some(json!({ "metadata": { "resourceVersion": version } }));
        } else if parts.method == Method::PATCH {
            store.version += 1;
            let version = store.version.to_string();
            let outrun = std::mem::take(&mut store.outrun);
            let patch: Value = serde_json::from_slice(&body).unwrap();
            let Some(object) = (if is_secret {
                &mut store.secret
            } else {
                &mut store.configuration
            }) else {
                return failure(StatusCode::NOT_FOUND, "NotFound");
            };
            if outrun
                || object["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"]
            {
                return failure(StatusCode::CONFLICT, "Conflict");
            }
            if is_secret {
                json_patch::merge(object, &patch);
                store.secret_writes += 1;
            } else if let Some(changes) = patch["webhooks"].as_array() {
                for change in changes {
                    let entries = object["webhooks"].as_array_mut().unwrap();
                    let entry = entries
                        .iter_mut()
                        .find(|entry| entry["name"] == change["name"])
                        .unwrap();
                    entry["clientConfig"]["caBundle"] = change["clientConfig"]["caBundle"].clone();
                }
                if let Some(generation) = object["metadata"]["generation"].as_i64() {
                    object["metadata"]["generation"] = json!(generation + 1);
                }
                store.bundle_writes += 1;
            } else {
                json_patch::merge(object, &patch);
            }
            let object = if is_secret {
                &mut store.secret
            } else {
                &mut store.configuration
            };
            object.as_mut().unwrap()["metadata"]["resourceVersion"] = version.into();
        }
        let object = if is_secret {
            &store.secret
        } else {
            &store.configuration
        };
        match object {
            Some(object) => axum::body::Body::from(object.to_string()).into_response(),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        }
    }
}

fn failure(code: StatusCode, reason: &str) -> Response {
    let status = json!({ "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": "" });
    (code, status.to_string()).into_response()
}

/// What is known of the leaf that handshakes present.
fn served(reconciler: &Reconciler) -> Served {
    reconciler
        .identity
        .current()
        .unwrap()
        .served()
        .unwrap()
        .clone()
}

fn issuer(reconciler: &Reconciler) -> AuthorityCertificate {
    served(reconciler).issuer
}

/// Rounds until nothing is left to do, as `run` goes through them.
async fn settle(reconciler: &mut Reconciler) {
    for _ in 0..12 {
        if matches!(reconciler.reconcile().await, Ok(Progress::Settled)) {
            return;
        }
    }
    panic!("it never settled");
}

#[tokio::test]
async fn two_replicas_come_to_rest_with_one_authority_and_one_bundle() {
    let api_server = ApiServer::new();
    let (mut one, mut other) = (api_server.reconciler(), api_server.reconciler());

    assert_eq!(one.reconcile().await.unwrap(), Progress::Wrote);
    assert!(!one.readiness.is_ready());
    settle(&mut other).await;
    settle(&mut one).await;

    assert!(one.readiness.is_ready() && other.readiness.is_ready());
    assert_eq!(api_server.writes(), (1, 1));
    assert!(issuer(&one) == issuer(&other));
    for _ in 0..3 {
        settle(&mut one).await;
        settle(&mut other).await;
    }
    assert_eq!(
        api_server.writes(),
        (1, 1),
        "nothing is written that is right already"
    );
}

#[tokio::test]
async fn of_a_new_release_the_replica_that_makes_the_authority_is_ready_first() {
    let api_server = ApiServer::new();
    let replica = || api_server.reconciler_whose_readiness_needs(&[Condition::Way]);
    let (mut first, mut second) = (replica(), replica());
    settle(&mut first).await;
    settle(&mut second).await;
    assert!(first.readiness.is_ready());
    assert!(!second.readiness.is_ready());
}

#[tokio::test]
async fn nobody_waits_for_another_replica_of_a_release_that_is_there() {
    let api_server = ApiServer::new();
    let name = ServiceName::new("javelin", "javelin-system").unwrap();
    let made = now() - NEW_RELEASE - Duration::from_secs(2);
    let authority = Authority::generate(&name, Lifetimes::default().authority, made).unwrap();
    let data: serde_json::Map<_, _> = Contents::new(authority)
        .to_data()
        .into_iter()
        .filter_map(|(key, value)| {
            Some((
                key.to_owned(),
                BASE64_STANDARD.encode(value?.bytes()).into(),
            ))
        })
        .collect();
    api_server.edit(|store| store.secret.as_mut().unwrap()["data"] = data.into());
    let mut restarted = api_server.reconciler_whose_readiness_needs(&[Condition::Way]);
    settle(&mut restarted).await;
    assert!(restarted.readiness.is_ready());
}

#[tokio::test]
async fn whoever_comes_second_takes_what_is_there() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();

    api_server.edit(|store| store.outrun = true);
    let refused = reconciler.reconcile().await;
    assert!(
        matches!(
            refused,
            Err(ReconcileError::Cluster(ClusterError::Conflict(_)))
        ),
        "{refused:?}"
    );

    settle(&mut reconciler).await;
    assert_eq!(api_server.writes(), (1, 1));
}

#[tokio::test]
async fn a_wiped_bundle_is_written_again_at_once_and_what_is_wiped_again_has_to_wait() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    // As if all had been well for a while.
    reconciler.publishing = RateLimit::of_repairs();

    api_server.wipe_bundles();
    assert_eq!(reconciler.reconcile().await.unwrap(), Progress::Wrote);
    // The first wait is a tenth of a second, which a busy machine may spend by itself; each is twice the one before.
    let mut answers = Vec::new();
    while answers.len() < 12 && !matches!(answers.last(), Some(Progress::Deferred(_))) {
        api_server.wipe_bundles();
        answers.push(reconciler.reconcile().await.unwrap());
    }

    assert!(
        matches!(answers.last(), Some(Progress::Deferred(_))),
        "{answers:?}"
    );
    assert!(reconciler.readiness.is_ready(), "once ready, always ready");
}

/// The Secret's annotation that asks for a rotation.
fn ask_for_a_rotation(store: &mut Store) {
    store.secret.as_mut().unwrap()["metadata"]["annotations"]["javelin.dev/rotate"] = "now".into();
}

#[tokio::test]
async fn a_rotation_that_somebody_asked_for_waits_until_it_has_settled() {
    let api_server = ApiServer::new();
    let (mut one, mut other) = (api_server.reconciler(), api_server.reconciler());
    settle(&mut one).await;
    settle(&mut other).await;
    let first = issuer(&one);

    api_server.edit(ask_for_a_rotation);
    settle(&mut one).await;
    settle(&mut other).await;

    assert_eq!(api_server.writes(), (2, 2), "prepared and published");
    assert!(issuer(&one) == first);
    assert!(one.known.as_ref().unwrap().next.is_some());
    let annotations = |api_server: &ApiServer| {
        api_server.0.lock().unwrap().secret.as_ref().unwrap()["metadata"]["annotations"].clone()
    };
    assert!(annotations(&api_server)["javelin.dev/rotate"].is_null());

    one.lifetimes.settle = Duration::ZERO;
    other.lifetimes.settle = Duration::ZERO;
    settle(&mut one).await;
    settle(&mut other).await;

    assert_eq!(api_server.writes(), (3, 2), "the bundle is the same");
    let second = issuer(&one);
    assert!(second != first && issuer(&other) == second);
    let description = annotations(&api_server)["javelin.dev/certificates"].clone();
    assert!(
        description
            .as_str()
            .unwrap()
            .starts_with(&format!("authority {} signs until", second.fingerprint())),
        "{description}"
    );
}

#[tokio::test]
async fn a_request_in_the_middle_of_a_rotation_replaces_the_successor_and_goes_with_that_alone() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    let successor = |reconciler: &Reconciler| {
        let next = reconciler.known.as_ref().unwrap().next.as_ref().unwrap();
        next.certificate().clone()
    };
    api_server.edit(ask_for_a_rotation);
    settle(&mut reconciler).await;
    let leaked = successor(&reconciler);

    // It is good enough to sign by now, and yet it never does.
    reconciler.lifetimes.settle = Duration::ZERO;
    api_server.edit(ask_for_a_rotation);
    settle(&mut reconciler).await;

    let contents = reconciler.known.as_ref().unwrap();
    assert!(contents.is_retired(&leaked) && !contents.trusts(&leaked));
    assert_eq!(contents.previous.len(), 1, "what signed at first");
    assert!(contents.authority.certificate() == &issuer(&reconciler));
    let asked = api_server.0.lock().unwrap().secret.as_ref().unwrap()["metadata"]["annotations"]
        ["javelin.dev/rotate"]
        .clone();
    assert!(asked.is_null(), "{asked}");
}

#[tokio::test]
async fn a_client_that_refuses_the_new_certificate_gets_the_one_before() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    let first = issuer(&reconciler);
    api_server.edit(ask_for_a_rotation);
    reconciler.lifetimes.settle = Duration::ZERO;
    settle(&mut reconciler).await;
    let second = issuer(&reconciler);
    assert!(first != second);

    assert!(
        reconciler
            .identity
            .refuse(&reconciler.identity.current().unwrap())
    );
    settle(&mut reconciler).await;

    assert!(issuer(&reconciler) == first);
    assert!(reconciler.held_until.is_some(), "no second try for a while");
    let text = reconciler.metrics.encode().unwrap();
    assert!(
        text.contains("javelin_events_total{reason=\"CertificateRefused\"} 1"),
        "{text}"
    );
    let names = |authority: &AuthorityCertificate, text: &str| {
        let authority = authority.fingerprint();
        text.contains(&format!(
            "javelin_leaf_issuer{{authority=\"{authority}\"}} 1"
        ))
    };
    assert!(names(&first, &text) && !names(&second, &text), "{text}");

    reconciler.held_until = None;
    settle(&mut reconciler).await;
    assert!(issuer(&reconciler) == second);
    assert!(names(&second, &reconciler.metrics.encode().unwrap()));
    // Whatever no bundle has any more is none to go back to.
    api_server.wipe_bundles();
    drop(reconciler.reconcile().await);
    assert!(
        !reconciler
            .identity
            .refuse(&reconciler.identity.current().unwrap())
    );
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_round_leaves_no_doubt_about_what_is_served() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    let first = issuer(&reconciler);
    api_server.edit(ask_for_a_rotation);
    reconciler.lifetimes.settle = Duration::ZERO;
    settle(&mut reconciler).await;

    // In a round that finds that nobody accepts the one before it any more.
    api_server.wipe_bundles();
    api_server.edit(|store| store.refuser = Some(Arc::clone(&reconciler.identity)));
    drop(reconciler.reconcile().await);

    // Which is being served nevertheless, and known to be.
    assert!(issuer(&reconciler) == first && reconciler.held_until.is_some());
    let bundle = [first.der().clone()];
    let name = reconciler.cluster.names().service.clone();
    reconciler.identity.verify(&bundle, &name, now()).unwrap();
}

#[tokio::test]
async fn a_refusal_between_the_decision_and_the_signature_is_not_signed_over() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    let first = issuer(&reconciler);
    api_server.edit(ask_for_a_rotation);
    reconciler.lifetimes.settle = Duration::ZERO;
    settle(&mut reconciler).await;
    let decided_about = reconciler.look();

    assert!(
        reconciler
            .identity
            .refuse(&reconciler.identity.current().unwrap())
    );
    let progress = reconciler.sign(decided_about.as_ref(), &[], now()).unwrap();

    assert_eq!(progress, Progress::Wrote, "it looks again");
    assert!(issuer(&reconciler) == first);
}

/// A proof that fails is tried again after up to half a minute, in which a short-lived certificate would end.
#[tokio::test]
async fn what_is_put_off_does_not_outlast_the_certificate() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    reconciler.lifetimes.leaf = Duration::from_secs(6);
    settle(&mut reconciler).await;
    let long = Duration::from_secs(30);
    assert!(reconciler.put_off(long, now()) <= Duration::from_millis(500));
    let short = Duration::from_millis(1);
    assert_eq!(reconciler.put_off(short, now()), short);

    reconciler.lifetimes.leaf = Duration::from_hours(24);
    let almost_over = served(&reconciler).validity.not_after - Duration::from_millis(10);
    let wait = reconciler.put_off(long, almost_over);
    assert!(wait > Duration::from_millis(10) && wait < Duration::from_secs(1));
}

#[tokio::test]
async fn a_repair_does_not_wait_for_a_proof_that_fails() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    api_server.edit(ask_for_a_rotation);
    settle(&mut reconciler).await;
    reconciler.lifetimes.settle = Duration::ZERO;
    api_server.edit(|store| store.unreachable = true);

    // Both have been tried often, and somebody adds to the caBundles all the while.
    api_server.add_to_bundles();
    reconciler.published = reconciler.known.as_ref().map(Contents::bundle);
    for _ in 0..8 {
        reconciler.proving.used(Instant::now());
        reconciler.publishing.used(Instant::now());
    }

    let progress = reconciler.reconcile().await.unwrap();

    let soon = Duration::from_secs(1);
    assert!(
        matches!(progress, Progress::Deferred(wait) if wait < soon),
        "{progress:?}"
    );
}

#[tokio::test]
async fn an_emptied_secret_gets_back_what_it_held() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    reconciler.storing = RateLimit::of_repairs();
    let data = |store: &Store| store.secret.as_ref().unwrap()["data"].clone();
    let before = data(&api_server.0.lock().unwrap());

    api_server.edit(|store| store.secret.as_mut().unwrap()["data"] = json!({}));
    settle(&mut reconciler).await;

    assert_eq!(data(&api_server.0.lock().unwrap()), before);
    assert_eq!(api_server.writes(), (2, 1));
}

#[tokio::test]
async fn without_a_configuration_there_is_a_certificate_but_no_readiness() {
    let api_server = ApiServer::new();
    let configuration = api_server.0.lock().unwrap().configuration.take();
    let mut reconciler = api_server.reconciler();

    settle(&mut reconciler).await;
    assert!(reconciler.identity.current().is_some() && !reconciler.readiness.is_ready());
    assert!(
        reconciler
            .said
            .as_ref()
            .unwrap()
            .contains("MutatingWebhookConfiguration javelin does not exist")
    );

    api_server.edit(|store| store.configuration = configuration);
    settle(&mut reconciler).await;
    assert!(reconciler.readiness.is_ready());
}

#[tokio::test]
async fn a_deleted_secret_comes_back_with_what_it_held() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    let before = served(&reconciler);

    reconciler.storing = RateLimit::of_repairs();
    api_server.edit(|store| store.secret = None);
    let progress = reconciler.reconcile().await.unwrap();
    assert!(matches!(progress, Progress::Deferred(_)), "{progress:?}");
    assert!(
        api_server.0.lock().unwrap().secret.is_none(),
        "somebody may be about to delete all of it"
    );
    reconciler.gone_since = Instant::now().checked_sub(GONE_FOR_GOOD);
    assert_eq!(reconciler.reconcile().await.unwrap(), Progress::Wrote);
    reconciler.storing = RateLimit::of_repairs();
    settle(&mut reconciler).await;

    assert_eq!(api_server.writes(), (2, 1));
    assert!(reconciler.known.as_ref().unwrap().authority.certificate() == &before.issuer);
    assert_eq!(served(&reconciler).renew_at, before.renew_at);
    assert!(reconciler.readiness.is_ready());
}

#[tokio::test]
async fn what_has_become_somebody_elses_is_not_written_any_more() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    let writes = api_server.writes();

    reconciler.storing = RateLimit::of_repairs();
    reconciler.publishing = RateLimit::of_repairs();
    api_server.wipe_bundles();
    api_server.edit(|store| {
        let configuration = store.configuration.as_mut().unwrap();
        configuration["metadata"]["annotations"] = json!({ (keys::CA_BUNDLE): "external" });
        store.secret = None;
    });
    settle(&mut reconciler).await;

    assert_eq!(api_server.writes(), writes);
    assert!(api_server.0.lock().unwrap().secret.is_none());
    assert!(reconciler.readiness.is_ready(), "until it is told to go");
}

#[tokio::test]
async fn without_an_api_server_a_due_leaf_is_renewed_from_memory() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    settle(&mut reconciler).await;
    let first = served(&reconciler);

    reconciler.renew_from_memory(now());
    assert_eq!(served(&reconciler).renew_at, first.renew_at, "not due yet");
    reconciler.renew_from_memory(first.renew_at);

    let second = served(&reconciler);
    assert!(second.renew_at > first.renew_at && second.issuer == first.issuer);
    assert!(reconciler.readiness.is_ready());
}

#[tokio::test]
async fn the_entry_of_a_profile_is_known_by_its_path_and_called_by_our_service() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    let without_entry = |reconciler: &Reconciler| reconciler.metrics.profiles_without_entry.get();
    settle(&mut reconciler).await;
    assert_eq!(without_entry(&reconciler), 1, "the default profile's");

    for (at, expected) in [(2, 1), (0, 0)] {
        api_server.edit(|store| {
            let entry = &mut store.configuration.as_mut().unwrap()["webhooks"][at];
            entry["clientConfig"]["service"]["path"] = "/mutate/namespace/default".into();
        });
        settle(&mut reconciler).await;
        assert_eq!(without_entry(&reconciler), expected, "entry {at}");
    }
}

#[tokio::test]
async fn entries_are_counted_by_whether_they_trust_what_is_served() {
    let api_server = ApiServer::new();
    let mut reconciler = api_server.reconciler();
    let counted = |reconciler: &Reconciler| {
        let text = reconciler.metrics.encode().unwrap();
        ["true", "false"].map(|trusts| {
            let series = format!("javelin_webhook_entries{{trusts_certificate=\"{trusts}\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&series));
            value.unwrap().parse::<usize>().unwrap()
        })
    };
    assert_eq!(counted(&reconciler), [0, 0]);
    settle(&mut reconciler).await;
    assert_eq!(counted(&reconciler), [2, 0], "the third is somebody else's");

    api_server.wipe_bundles();
    drop(reconciler.reconcile().await);
    assert_eq!(counted(&reconciler), [0, 2]);

    api_server.edit(|store| store.configuration = None);
    settle(&mut reconciler).await;
    assert_eq!(counted(&reconciler), [0, 0]);
}

/// An API server that compiled the entries while they changed keeps those of before, until they change again.
#[tokio::test]
async fn a_webhook_configuration_at_rest_is_touched_once_by_one_of_the_replicas() {
    let api_server = ApiServer::new();
    api_server.edit(|store| {
        store.configuration.as_mut().unwrap()["metadata"]["generation"] = json!(4);
    });
    let touched = || {
        let store = api_server.0.lock().unwrap();
        let metadata = &store.configuration.as_ref().unwrap()["metadata"];
        metadata["annotations"][keys::TOUCHED].clone()
    };
    let (mut one, mut other) = (api_server.reconciler(), api_server.reconciler());
    while one.reconcile().await.unwrap() != Progress::Settled {}
    assert_eq!(other.reconcile().await.unwrap(), Progress::Settled);
    assert_eq!(touched(), Value::Null, "it has changed just now");
    assert!(one.touch_at.is_some());
    let long_ago = Instant::now().checked_sub(AT_REST).unwrap();
    for reconciler in [&mut one, &mut other] {
        reconciler.generation.as_mut().unwrap().1 = long_ago;
    }
    assert_eq!(one.reconcile().await.unwrap(), Progress::Wrote);
    assert_eq!(touched(), "5");
    for reconciler in [&mut other, &mut one] {
        assert_eq!(reconciler.reconcile().await.unwrap(), Progress::Settled);
        assert_eq!(reconciler.touch_at, None);
    }
    api_server.wipe_bundles();
    api_server.edit(|store| {
        store.configuration.as_mut().unwrap()["metadata"]["generation"] = json!(6);
    });
    while other.reconcile().await.unwrap() != Progress::Settled {}
    assert!(other.touch_at.is_some(), "the next change is another one");
    assert_eq!(touched(), "5");
}
