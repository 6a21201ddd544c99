//! One thing is broken at a time, and exactly that check tells it, with what to do.

use javelin_core::config::Config;
use javelin_core::mutate::keys::{CA_BUNDLE, INJECT, INJECTED, SKIPPED};
use serde_json::{Value, json};

use super::destination::{Collector, Said};
use super::facts::{Admission, Certificates, DryRun, ObjectNames, Pull, Reach, Replica, Right};
use super::objects::{Addresses, Labelled, Node, WebhookConfiguration};
use super::*;
use crate::entries::{Callee, ClientConfig, MutatingWebhook, Rule, made};

const CONFIG: &str = "
excludedNamespaces: [kube-system, javelin-system]
default: {otlp: {endpoint: 'http://otel.observability.svc:4318'}}
profiles: {checkout: {}}
";

#[test]
fn all_is_well() {
    let findings = judge(&good());
    let others: Vec<_> = findings
        .iter()
        .filter(|each| each.status != Status::Ok)
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    for check in Check::ALL.iter().filter(|check| **check != Check::DryRun) {
        assert!(
            findings.iter().any(|each| each.check == *check),
            "{check:?} tells nothing"
        );
    }
}

#[test]
fn codes_are_kept_apart() {
    let mut codes: Vec<_> = Check::ALL.iter().map(|check| check.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Check::ALL.len());
}

#[test]
fn whatever_is_not_in_order_has_a_hint() {
    let mut facts = good();
    facts.version = "v1.29.1".to_owned();
    facts.others = Err(Unseen::Failed("gone".to_owned()));
    facts.replicas = Ok(Vec::new());
    for finding in judge(&facts) {
        let is_hinted = finding.hint.as_ref().is_some_and(|hint| !hint.is_empty());
        assert_eq!(is_hinted, finding.status != Status::Ok, "{finding:?}");
    }
}

#[test]
fn json_has_the_five_fields() {
    let mut facts = good();
    facts.replicas = Ok(Vec::new());
    let findings = judge(&facts);
    let finding = findings
        .iter()
        .find(|each| each.check == Check::Replicas)
        .unwrap();
    let value = serde_json::to_value(finding).unwrap();
    assert_eq!(value["section"], "endpoints");
    assert_eq!(value["id"], "replicas");
    assert_eq!(value["status"], "failed");
    assert!(value["message"].is_string() && value["hint"].is_string());
    assert_eq!(value.as_object().unwrap().len(), 5);
}

// === Kubernetes, configuration, rights

#[test]
fn an_old_api_server_is_a_warning() {
    let told = broken(|facts| facts.version = "v1.29.9-gke.100".to_owned());
    assert_eq!(told, [(Check::KubernetesVersion, Status::Warning)]);
}

#[test]
fn the_oldest_kubernetes_is_the_same_wherever_it_is_named() {
    let oldest = platform::OLDEST;
    for (file, text, said) in [
        (
            "deploy/chart/Chart.yaml",
            include_str!("../../../deploy/chart/Chart.yaml"),
            format!("kubeVersion: \">=1.{oldest}.0-0\""),
        ),
        (
            "the cluster of `cargo xtask matrix`",
            include_str!("../../../crates/testbed/tools/kubernetes-oldest/go.mod"),
            format!("k8s.io/kubernetes v1.{oldest}."),
        ),
        (
            "docs/install.md",
            include_str!("../../../docs/install.md"),
            format!("Kubernetes 1.{oldest} or later"),
        ),
        (
            "docs/support.md",
            include_str!("../../../docs/support.md"),
            format!("| Kubernetes | 1.{oldest} | 1.{oldest} and "),
        ),
        (
            "docs/modes.md",
            include_str!("../../../docs/modes.md"),
            format!("| Kubernetes | 1.{oldest} | 1.{oldest} | "),
        ),
        (
            "docs/check.md",
            include_str!("../../../docs/check.md"),
            format!("Kubernetes 1.{oldest} and later"),
        ),
    ] {
        assert!(text.contains(&said), "{file} does not say {said:?}");
    }
}

#[test]
fn image_volumes_need_a_gate_and_a_runtime() {
    let with = |version: &str, runtimes: &[&str]| {
        let runtimes = runtimes.to_vec();
        let version = version.to_owned();
        broken(move |facts| {
            facts.version = version;
            let config = CONFIG.replace("default: {", "default: {delivery: image-volume, ");
            facts.config = Ok(Ok(Config::parse(&config, "").unwrap()));
            let nodes = runtimes.iter().map(
                |runtime| json!({"status": {"nodeInfo": {"containerRuntimeVersion": runtime}}}),
            );
            facts.nodes = Ok(nodes
                .map(|node| serde_json::from_value(node).unwrap())
                .collect());
        })
    };
    let fails = [(Check::ImageVolumes, Status::Failed)];
    let warns = [(Check::ImageVolumes, Status::Warning)];
    assert_eq!(
        with("v1.37.2", &["containerd://2.2.0", "cri-o://1.36.0"]),
        []
    );
    assert_eq!(
        with("v1.36.0", &["containerd://2.2.0", "containerd://2.1.4"]),
        warns
    );
    assert_eq!(
        with("v1.35.0", &["containerd://2.10.0", "containerd://1.7.34"]),
        fails
    );
    assert_eq!(with("v1.34.1", &["containerd://2.2.0"]), warns);
    assert_eq!(with("v1.32.0", &[]), fails);
}

#[test]
fn the_minor_version_is_read_of_all_platforms() {
    for (text, minor) in [
        ("v1.37.2", Some(37)),
        ("v1.33.5-gke.1000", Some(33)),
        ("v1.35.1+k3s1", Some(35)),
        ("1.36", Some(36)),
        ("v1.36+", Some(36)),
        ("v2.0.0", None),
        ("nonsense", None),
    ] {
        assert_eq!(platform::minor(text), minor, "{text}");
    }
}

#[test]
fn a_bad_configuration_is_told_with_its_error() {
    let told = broken(|facts| {
        facts.config = Ok(Err("default.delivery: \"x\" is not one of".to_owned()));
        facts.collectors = Vec::new();
    });
    assert_eq!(told, [(Check::Configuration, Status::Failed)]);
}

#[test]
fn a_missing_right_of_the_account_is_named() {
    let mut facts = good();
    facts.names.account = "corporate".to_owned();
    facts.account = Ok(vec![
        Right {
            what: "get secrets javelin-ca".to_owned(),
            is_allowed: true,
        },
        Right {
            what: "patch secrets javelin-ca".to_owned(),
            is_allowed: false,
        },
    ]);
    let findings = judge(&facts);
    let bad: Vec<_> = findings
        .iter()
        .filter(|each| each.status != Status::Ok)
        .collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(
        bad[0].message,
        "ServiceAccount javelin-system/corporate may not patch secrets javelin-ca"
    );
}

#[test]
fn a_missing_right_of_the_person_is_a_warning_that_names_it() {
    let why = "mutatingwebhookconfigurations.admissionregistration.k8s.io is forbidden: User \"bob\" cannot list resource \
               \"mutatingwebhookconfigurations\" in API group \"admissionregistration.k8s.io\" at the cluster scope";
    let mut facts = good();
    facts.others = Err(Unseen::Denied(why.to_owned()));
    let why = "services \"javelin\" is forbidden: User \"bob\" cannot get resource \"services\" in API group \"\" in the \
               namespace \"javelin-system\"";
    facts.service = Err(Unseen::Denied(why.to_owned()));
    let findings = judge(&facts);
    assert!(findings.iter().all(|each| each.status != Status::Failed));
    let own = findings
        .iter()
        .find(|each| each.check == Check::YourRights)
        .unwrap();
    assert_eq!(
        own.message,
        "you may not: get services in namespace javelin-system; list mutatingwebhookconfigurations.admissionregistration.k8s.io"
    );
}

// === The webhook configuration

#[test]
fn without_a_webhook_configuration_nothing_is_called() {
    let told = broken(|facts| facts.configuration = Err(Unseen::Missing("it".to_owned())));
    assert_eq!(told, [(Check::WebhookExists, Status::Failed)]);
}

#[test]
fn a_missing_entry_fails() {
    let told = broken(|facts| entries(facts).retain(|entry| entry.name != "workload.javelin.dev"));
    assert_eq!(told, [(Check::WebhookEntries, Status::Failed)]);
}

#[test]
fn second_chances_are_known_and_a_missing_one_fails() {
    let second = "pod.second-chance-2.javelin.dev";
    let told = broken(|facts| entries(facts).retain(|entry| entry.name != second));
    assert_eq!(told, [(Check::WebhookEntries, Status::Failed)]);
    let told = broken(|facts| {
        let entry = entries(facts).iter_mut().find(|entry| entry.name == second);
        entry.unwrap().match_conditions.clear();
    });
    assert_eq!(told, [(Check::WebhookSelectors, Status::Failed)]);
    // As with `webhook.secondChance.attempts: 0`.
    let told = broken(|facts| entries(facts).retain(|entry| !entry.name.contains("second")));
    assert_eq!(told, []);
}

#[test]
fn entries_that_only_warn_are_known_and_a_missing_one_is_a_warning() {
    let unknown = "namespace-unknown.workload-warning.javelin.dev";
    for name in [
        unknown,
        "namespace-default.workload-warning.javelin.dev",
        "namespace-checkout.workload-warning.javelin.dev",
    ] {
        let told = broken(|facts| entries(facts).retain(|entry| entry.name != name));
        assert_eq!(told, [(Check::WebhookEntries, Status::Warning)], "{name}");
    }
    let told = broken(|facts| {
        let mut entries = entries(facts).iter_mut();
        let entry = entries.find(|entry| entry.name == unknown).unwrap();
        let conditions = &mut entry.match_conditions;
        conditions.retain(|condition| condition.name != "template-is-new");
    });
    assert_eq!(told, [(Check::WebhookSelectors, Status::Failed)]);
    // As with `webhook.workloadWarnings: false`.
    let told = broken(|facts| entries(facts).retain(|entry| !entry.name.contains("warning")));
    assert_eq!(told, []);
}

#[test]
fn a_profile_without_an_entry_fails_and_an_entry_without_a_profile_is_a_warning() {
    let told = broken(|facts| {
        entries(facts).retain(|entry| !entry.name.starts_with("namespace-checkout."));
    });
    assert_eq!(told, [(Check::WebhookProfiles, Status::Failed)]);
    let told = broken(|facts| {
        for (name, path) in [
            ("namespace-old.javelin.dev", "/mutate/namespace/old"),
            (
                "namespace-old.second-chance.javelin.dev",
                "/second-chance/namespace/old",
            ),
            (
                "namespace-old.workload-warning.javelin.dev",
                "/warn/workload/old",
            ),
        ] {
            let mut stale = entries(facts)[0].clone();
            stale.name = name.to_owned();
            stale.client_config.service.as_mut().unwrap().path = Some(path.to_owned());
            entries(facts).push(stale);
        }
    });
    assert_eq!(told, [(Check::WebhookProfiles, Status::Warning)]);
}

#[test]
fn a_foreign_entry_is_a_warning() {
    let told = broken(|facts| {
        let mut foreign = entries(facts)[0].clone();
        foreign.name = "somebody.example.com".to_owned();
        entries(facts).push(foreign);
    });
    assert_eq!(told, [(Check::WebhookEntries, Status::Warning)]);
}

#[test]
fn a_lost_requirement_fails_and_an_added_one_is_a_warning() {
    let told = broken(|facts| {
        entries(facts)[0].object_selector.match_expressions.clear();
    });
    assert_eq!(told, [(Check::WebhookSelectors, Status::Failed)]);
    let told = broken(|facts| {
        let labels = &mut entries(facts)[0].namespace_selector.match_labels;
        labels.insert("added".to_owned(), "by-aks".to_owned());
    });
    assert_eq!(told, [(Check::WebhookSelectors, Status::Warning)]);
    let told = broken(|facts| {
        entries(facts)[0]
            .client_config
            .service
            .as_mut()
            .unwrap()
            .name = "x".to_owned();
    });
    assert_eq!(told, [(Check::WebhookSelectors, Status::Failed)]);
    let told = broken(|facts| {
        entries(facts)[0].object_selector.match_expressions[0].key = "another".to_owned();
    });
    let both = [Status::Failed, Status::Warning].map(|status| (Check::WebhookSelectors, status));
    assert_eq!(told, both);
    // The order of values says nothing.
    let told = broken(|facts| {
        for entry in entries(facts) {
            for expression in &mut entry.namespace_selector.match_expressions {
                expression.values.reverse();
            }
        }
    });
    assert_eq!(told, []);
}

#[test]
fn an_entry_without_a_ca_bundle_fails_unless_they_are_somebody_elses() {
    let told = broken(|facts| entries(facts)[3].client_config.ca_bundle = None);
    assert_eq!(told, [(Check::WebhookCaBundles, Status::Failed)]);
    let told = broken(|facts| {
        entries(facts)[3].client_config.ca_bundle = None;
        let configuration = facts.configuration.as_mut().unwrap();
        configuration.metadata.annotations =
            Some([(CA_BUNDLE.to_owned(), "external".to_owned())].into());
    });
    assert_eq!(told, [(Check::WebhookCaBundles, Status::Warning)]);
}

#[test]
fn only_the_probe_fails_closed() {
    let told = broken(|facts| entries(facts)[0].failure_policy = Some("Fail".to_owned()));
    assert_eq!(told, [(Check::WebhookFailurePolicy, Status::Failed)]);
    let told = broken(|facts| {
        entries(facts).last_mut().unwrap().failure_policy = Some("Ignore".to_owned());
    });
    assert_eq!(told, [(Check::WebhookFailurePolicy, Status::Warning)]);
}

#[test]
fn who_calls_us_too_fails_and_another_javelin_is_a_warning() {
    let other = |facts: &mut Facts, service: &str| {
        let mut other = facts.configuration.clone().unwrap();
        other.metadata.name = Some("older".to_owned());
        for entry in &mut other.webhooks {
            entry.client_config.service.as_mut().unwrap().name = service.to_owned();
        }
        facts.others.as_mut().unwrap().push(other);
    };
    let told = broken(|facts| other(facts, "javelin"));
    assert_eq!(told, [(Check::WebhookStrangers, Status::Failed)]);
    let told = broken(|facts| other(facts, "another"));
    assert_eq!(told, [(Check::WebhookStrangers, Status::Warning)]);
}

#[test]
fn other_injectors_are_known_by_their_webhooks() {
    let told = |name: &str, service: &str, resource: &str| {
        broken(|facts| {
            let entry = MutatingWebhook {
                name: "mpod.kb.io".to_owned(),
                client_config: calling("somewhere", service, "/mutate-v1-pod"),
                rules: vec![Rule {
                    operations: vec!["CREATE".to_owned()],
                    resources: vec![resource.to_owned()],
                }],
                ..MutatingWebhook::default()
            };
            let mut other = WebhookConfiguration {
                webhooks: vec![entry],
                ..Default::default()
            };
            other.metadata.name = Some(name.to_owned());
            facts.others = Ok(vec![other]);
        })
    };
    let warned = [(Check::OtherInjectors, Status::Warning)];
    assert_eq!(told("opentelemetry-operator-mutation", "x", "pods"), warned);
    assert_eq!(told("any", "dynatrace-webhook", "pods"), warned);
    assert_eq!(told("datadog-webhook", "x", "*"), warned);
    assert_eq!(told("istio-sidecar-injector", "istiod", "pods"), []);
    assert_eq!(
        told("opentelemetry-operator-mutation", "x", "instrumentations"),
        []
    );
    assert_eq!(
        told("newrelic-bundle-nri-metadata-injection", "x", "pods"),
        []
    );
}

// === Replicas, certificates, the probe, images

#[test]
fn replicas_are_counted() {
    let with = |ready: &[bool]| {
        let replicas = ready.iter().map(|ready| Replica {
            name: "javelin-1".to_owned(),
            ready: *ready,
            node: Some("one".to_owned()),
        });
        let replicas = replicas.collect();
        broken(|facts| facts.replicas = Ok(replicas))
    };
    assert_eq!(with(&[true, true]), []);
    assert_eq!(with(&[true]), [(Check::Replicas, Status::Warning)]);
    assert_eq!(
        with(&[true, true, false]),
        [(Check::Replicas, Status::Warning)]
    );
    assert_eq!(with(&[false]), [(Check::Replicas, Status::Failed)]);
    assert_eq!(with(&[]), [(Check::Replicas, Status::Failed)]);
}

#[test]
fn a_service_without_its_port_or_without_pods_fails() {
    let told = broken(|facts| facts.service.as_mut().unwrap().spec.ports.clear());
    assert_eq!(told, [(Check::Service, Status::Failed)]);
    let told = broken(|facts| facts.addresses = Ok(Addresses::default()));
    assert_eq!(told, [(Check::Endpoints, Status::Failed)]);
}

#[test]
fn each_problem_of_certificates_is_a_failure() {
    let told = broken(|facts| {
        facts.certificates = Certificates::Own {
            description: String::new(),
            problems: vec!["one".to_owned(), "two".to_owned()],
        };
    });
    assert_eq!(told, [(Check::Certificates, Status::Failed); 2]);
}

#[test]
fn the_probe_fails_with_its_advice_and_is_a_warning_if_it_could_not_ask() {
    let told = |code| {
        broken(move |facts| {
            facts.reach = Reach {
                code,
                meaning: "m",
                said: Some("s".to_owned()),
                next_step: "do".to_owned(),
            };
        })
    };
    assert_eq!(told("no-answer"), [(Check::Reachable, Status::Failed)]);
    assert_eq!(
        told("could-not-probe"),
        [(Check::Reachable, Status::Warning)]
    );
}

#[test]
fn a_failed_pull_has_a_hint_for_its_cause() {
    for (message, hint) in [
        (
            "ErrImagePull: failed to authorize: 401 Unauthorized",
            "imagePullSecret",
        ),
        (
            "ErrImagePull: registry.example/javelin:1: not found",
            "mirror it",
        ),
        (
            "ImagePullBackOff: x509: certificate signed by unknown authority",
            "trust the registry",
        ),
        (
            "ErrImagePull: dial tcp: lookup r.example: no such host",
            "image.registry",
        ),
        ("ErrImageNeverPull: never", "kubectl describe pod"),
    ] {
        let mut facts = good();
        facts.pulls = Ok(vec![Pull {
            pod: "shop/orders-1".to_owned(),
            message: message.to_owned(),
        }]);
        let findings = judge(&facts);
        let found = findings
            .iter()
            .find(|each| each.check == Check::AgentImage)
            .unwrap();
        assert_eq!(found.status, Status::Failed);
        assert!(
            found.hint.as_ref().unwrap().contains(hint),
            "{message}: {:?}",
            found.hint
        );
    }
}

// === The dry run

#[test]
fn a_tried_pod_tells_what_became_of_it() {
    let admitted = |annotation: &str, value: &str, spec: Value| {
        let pod = json!({"metadata": {"annotations": {annotation: value}}, "spec": spec});
        Admission::Admitted(Box::new(serde_json::from_value(pod).unwrap()))
    };
    let receipt =
        r#"{"version": "1", "profile": "default", "config": "", "delivery": "", "containers": {}}"#;
    let refused = |why: &str| Admission::Refused(why.to_owned());
    let tried = |labelled: Admission, plain: Option<Admission>| {
        broken(|facts| {
            facts.dry_run = Some(DryRun {
                namespace: "shop".to_owned(),
                labelled,
                plain,
            });
        })
    };
    let plain = || admitted("x", "y", json!({}));
    assert_eq!(tried(admitted(INJECTED, receipt, json!({})), None), []);
    assert_eq!(
        tried(admitted(SKIPPED, "does-not-fit: small", json!({})), None),
        [(Check::DryRun, Status::Warning)]
    );
    assert_eq!(tried(plain(), None), [(Check::DryRun, Status::Failed)]);
    assert_eq!(
        tried(refused("policy"), Some(plain())),
        [(Check::DryRun, Status::Failed)]
    );
    assert_eq!(
        tried(refused("quota"), Some(refused("quota"))),
        [(Check::DryRun, Status::Warning)]
    );
}

#[test]
fn a_node_of_an_architecture_that_no_replica_runs_on_is_a_warning() {
    let told = |architecture: &'static str| {
        broken(move |facts| {
            facts.nodes = Ok(vec![node("one", "amd64"), node("two", architecture)]);
        })
    };
    assert_eq!(told("amd64"), []);
    assert_eq!(told(""), []);
    let warns = [(Check::NodeArchitectures, Status::Warning)];
    assert_eq!(told("arm64"), warns);
    let mut facts = good();
    facts.nodes = Ok(vec![node("one", "amd64"), node("two", "arm64")]);
    let finding = judge(&facts)
        .into_iter()
        .find(|each| each.check == Check::NodeArchitectures);
    let message = finding.unwrap().message;
    assert!(message.starts_with("Javelin runs on amd64"), "{message}");
    assert!(message.ends_with("two (arm64)"), "{message}");
}

#[test]
fn architectures_are_told_where_something_shows_them_and_something_runs() {
    let both = || Ok(vec![node("one", "amd64"), node("two", "arm64")]);
    let found = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good();
        facts.nodes = both();
        change(&mut facts);
        let mut all = judge(&facts).into_iter();
        let found = all.find(|each| each.check == Check::NodeArchitectures);
        found.map(|each| each.status)
    };
    let on_both = |facts: &mut Facts| {
        let replicas = facts.replicas.as_mut().unwrap();
        replicas[1].node = Some("two".to_owned());
    };
    assert_eq!(found(&on_both), Some(Status::Ok));
    let not_ready = |facts: &mut Facts| {
        on_both(facts);
        facts.replicas.as_mut().unwrap()[1].ready = false;
    };
    assert_eq!(found(&not_ready), Some(Status::Warning));
    let nobody = |facts: &mut Facts| facts.replicas = Ok(Vec::new());
    assert_eq!(found(&nobody), None);
    let mounted = |facts: &mut Facts| {
        let config = CONFIG.replace("default: {", "default: {delivery: image-volume, ");
        facts.config = Ok(Ok(Config::parse(&config, "").unwrap()));
    };
    assert_eq!(found(&mounted), Some(Status::Ok));
    let denied = |facts: &mut Facts| facts.nodes = Err(Unseen::Denied("no".to_owned()));
    assert_eq!(found(&denied), Some(Status::Warning));
}

fn node(name: &str, architecture: &str) -> Node {
    let node =
        json!({"metadata": {"name": name}, "status": {"nodeInfo": {"architecture": architecture}}});
    serde_json::from_value(node).unwrap()
}

#[test]
fn an_image_volume_that_was_dropped_is_a_failure() {
    let receipt = r#"{"version": "1", "profile": "default", "config": "", "delivery": "image-volume", "containers": {}}"#;
    let tried = |spec: Value| {
        broken(|facts| {
            let config = CONFIG.replace("default: {", "default: {delivery: image-volume, ");
            facts.config = Ok(Ok(Config::parse(&config, "").unwrap()));
            facts.nodes = Ok(Vec::new());
            let pod = json!({"metadata": {"annotations": {INJECTED: receipt}}, "spec": spec});
            let labelled = Admission::Admitted(Box::new(serde_json::from_value(pod).unwrap()));
            facts.dry_run = Some(DryRun {
                namespace: "shop".to_owned(),
                labelled,
                plain: None,
            });
        })
    };
    assert_eq!(
        tried(json!({"volumes": []})),
        [(Check::DryRun, Status::Failed)]
    );
    assert_eq!(
        tried(json!({"volumes": [{"name": "javelin-agent", "image": {}}]})),
        []
    );
}

// === What all of them need

/// Breaks one thing; what is not in order then.
fn broken(how: impl FnOnce(&mut Facts)) -> Vec<(Check, Status)> {
    let mut facts = good();
    how(&mut facts);
    let findings = judge(&facts).into_iter();
    let bad = findings.filter(|each| each.status != Status::Ok);
    bad.map(|each| (each.check, each.status)).collect()
}

fn entries(facts: &mut Facts) -> &mut Vec<MutatingWebhook> {
    &mut facts.configuration.as_mut().unwrap().webhooks
}

fn calling(namespace: &str, name: &str, path: &str) -> ClientConfig {
    ClientConfig {
        service: Some(Callee {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            path: Some(path.to_owned()),
        }),
        url: None,
        ca_bundle: Some("Zm9v".to_owned()),
    }
}

/// Every entry that there can be.
fn as_the_chart_makes_it(config: &Config) -> WebhookConfiguration {
    let mut configuration = WebhookConfiguration {
        webhooks: made(config),
        ..Default::default()
    };
    configuration.metadata.name = Some("javelin".to_owned());
    configuration
}

/// Everything as it should be.
pub(super) fn good() -> Facts {
    let config = Config::parse(CONFIG, "").unwrap();
    let configuration = as_the_chart_makes_it(&config);
    let service = |ports: Value| serde_json::from_value(json!({"spec": {"ports": ports}})).unwrap();
    let ready = || Addresses {
        ready: 2,
        waiting: 0,
        ports: vec![("webhook".to_owned(), 10250)],
    };
    let mut collectors = Collector::all(&config);
    for collector in &mut collectors {
        collector.service = Some(Ok(service(json!([{"port": 4318}]))));
        collector.addresses = Some(Ok(ready()));
        collector.answer = Some(Ok(Said {
            status: 200,
            body: "{}".to_owned(),
        }));
    }
    let labelled = json!({"metadata": {"name": "shop", "labels": {INJECT: "checkout"}}});
    let labelled: Labelled = serde_json::from_value(labelled).unwrap();
    Facts {
        names: ObjectNames {
            namespace: "javelin-system".to_owned(),
            service: "javelin".to_owned(),
            account: "javelin".to_owned(),
            configuration: "javelin".to_owned(),
        },
        version: "v1.37.2".to_owned(),
        nodes: Ok(vec![node("one", "amd64")]),
        config: Ok(Ok(config)),
        account: Ok(vec![Right {
            what: "get secrets javelin-ca".to_owned(),
            is_allowed: true,
        }]),
        configuration: Ok(configuration),
        others: Ok(Vec::new()),
        service: Ok(service(json!([{"port": 443}]))),
        addresses: Ok(ready()),
        replicas: Ok(["a", "b"]
            .map(|name| Replica {
                name: name.to_owned(),
                ready: true,
                node: Some("one".to_owned()),
            })
            .into()),
        certificates: Certificates::Own {
            description: "good".to_owned(),
            problems: Vec::new(),
        },
        reach: Reach {
            code: "reached",
            meaning: "It reaches.",
            said: None,
            next_step: String::new(),
        },
        pulls: Ok(Vec::new()),
        collectors,
        namespaces: Ok(vec![Labelled {
            kind: "Namespace",
            ..labelled
        }]),
        workloads: Vec::new(),
        workloads_unseen: Vec::new(),
        other_kinds: Vec::new(),
        other_kinds_unseen: Vec::new(),
        dry_run: None,
    }
}
