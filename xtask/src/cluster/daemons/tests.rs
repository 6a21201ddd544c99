use super::*;

#[test]
fn only_listeners_on_the_port_count() {
    let listener = "   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711";
    assert!(is_listener(listener, 2379));
    assert!(!is_listener(listener, 2380));
    assert!(!is_listener(&listener.replace(" 0A ", " 01 "), 2379));
    assert!(!is_listener("", 0));
}
