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
