//! What answers are taken for.

use super::*;

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
