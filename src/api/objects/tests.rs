use super::*;

#[test]
fn a_reference_is_written_as_kubectl_writes_it() {
    for (text, shown) in [
        ("deployment/orders", "deployment/orders"),
        ("shop/deploy/orders", "shop/deployment/orders"),
        ("shop/Deployment.apps/orders", "shop/deployment/orders"),
        ("sts/db", "statefulset/db"),
    ] {
        let reference = Reference::parse(text).map(|reference| reference.to_string());
        assert_eq!(reference.as_deref(), Ok(shown));
    }
    for wrong in [
        "orders",
        "a/b/c/d",
        "shop/service/orders",
        "deployment/",
        "/pod/a",
    ] {
        assert!(Reference::parse(wrong).is_err(), "{wrong}");
    }
}

/// Sentences as API servers of Kubernetes 1.37 wrote them; the names are made up.
#[test]
fn the_sentence_tells_who_refuses() {
    for (message, by) in [
        (
            r#"pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false"#,
            Refuser::PodSecurity,
        ),
        (
            r#"pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"#,
            Refuser::Quota,
        ),
        (
            r#"pods "a" is forbidden: failed quota: q: must specify limits.cpu for: app"#,
            Refuser::Quota,
        ),
        (
            r#"pods "a" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi"#,
            Refuser::LimitRange,
        ),
        (
            r#"admission webhook "validate.kyverno.svc-fail" denied the request: no latest"#,
            Refuser::Webhook("validate.kyverno.svc-fail".to_owned()),
        ),
        (
            "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'no-latest' with binding 'b' denied request: no",
            Refuser::Policy("no-latest".to_owned()),
        ),
        (
            r#"pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "a""#,
            Refuser::Rights,
        ),
        (
            r#"Pod "a" is invalid: spec.containers: Required value"#,
            Refuser::Other,
        ),
    ] {
        assert_eq!(Refusal::of(message.to_owned()).by, by, "{message}");
    }
}
