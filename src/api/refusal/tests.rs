use super::*;

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
        assert_eq!(PodRefusal::of(message.to_owned()).by, by, "{message}");
    }
}

/// What becomes of an answer with that status and sentence.
fn answered(status: u16, message: &str) -> Result<Result<Value, PodRefusal>, ClusterError> {
    let body = serde_json::json!({ "kind": "Status", "message": message });
    let body = body.to_string().into_bytes();
    let target = Target::new("Pod", "of namespace shop".to_owned(), "none");
    tried(&Response { status, body }, &target)
}

#[test]
fn whoever_refuses_a_pod_is_told_from_a_missing_right_and_a_missing_login() {
    let by = |status, message| answered(status, message).unwrap().unwrap_err().by;
    let right = "pods is forbidden: User \"bob\" cannot create resource \"pods\" in API group \"\" in the namespace \"shop\"";
    assert_eq!(by(403, right), Refuser::Rights);
    // Quotas and Pod Security refuse with the same status.
    assert_eq!(
        by(403, "pods \"a\" is forbidden: exceeded quota: q"),
        Refuser::Quota
    );
    assert_eq!(by(422, "invalid"), Refuser::Other);
    assert!(matches!(
        answered(401, "Unauthorized"),
        Err(ClusterError::Denied { .. })
    ));
    let missing = answered(404, "namespaces \"shop\" not found");
    assert!(matches!(missing, Err(ClusterError::Missing(_))));
}
