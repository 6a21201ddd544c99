//! What answers are taken for.

use super::*;

fn refused(status: u16, message: &str) -> Outcome {
    outcome(&Answer {
        status,
        body: json!({"kind": "Status", "message": message})
            .to_string()
            .into_bytes(),
    })
}

#[test]
fn whoever_refuses_a_pod_is_told_from_a_missing_right() {
    let right = "pods is forbidden: User \"bob\" cannot create resource \"pods\" in API group \"\" in the namespace \"shop\"";
    assert!(matches!(
        refused(403, right),
        Outcome::Unseen(Unseen::Denied(_))
    ));
    for admission in [
        "pods \"javelin-check-x\" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0",
        "pods \"javelin-check-x\" is forbidden: violates PodSecurity \"restricted:latest\": …",
    ] {
        assert!(
            matches!(refused(403, admission), Outcome::Refused(_)),
            "{admission}"
        );
    }
    assert!(matches!(refused(422, "invalid"), Outcome::Refused(_)));
    assert!(matches!(
        refused(404, "namespaces \"shop\" not found"),
        Outcome::Unseen(Unseen::Failed(_))
    ));
}

#[test]
fn only_a_pod_that_still_waits_for_the_image_is_told() {
    let pod = |list: &str, name: &str, reason: &str| {
        let status =
            json!({"name": name, "state": {"waiting": {"reason": reason, "message": "why"}}});
        json!({"status": {list: [status]}})
    };
    let init = pod("initContainerStatuses", AGENT_NAME, "ImagePullBackOff");
    assert_eq!(
        waits_for_image(&init).as_deref(),
        Some("ImagePullBackOff: why")
    );
    let of_volume = pod("containerStatuses", "app", "ErrImagePull");
    assert!(waits_for_image(&of_volume).is_some());
    assert_eq!(
        waits_for_image(&pod("initContainerStatuses", "other", "ErrImagePull")),
        None
    );
    assert_eq!(
        waits_for_image(&pod("initContainerStatuses", AGENT_NAME, "PodInitializing")),
        None
    );
    assert_eq!(waits_for_image(&json!({})), None);
}
