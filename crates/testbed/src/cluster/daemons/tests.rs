use super::*;

#[test]
fn only_listeners_on_the_port_count() {
    let listener = "   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711";
    assert!(is_listener(listener, 2379));
    assert!(!is_listener(listener, 2380));
    assert!(!is_listener(&listener.replace(" 0A ", " 01 "), 2379));
    assert!(!is_listener("", 0));
}

#[test]
fn a_process_that_is_not_waited_for_has_ended() {
    assert!(!has_ended("4711 (kube-apiserver) S 1 4711 4711 0 -1"));
    assert!(has_ended("4711 (a) R (b) Z 1 4711 4711 0 -1"));
    assert!(has_ended(""));
}

#[test]
fn whoever_still_runs_is_waited_for() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    assert!(is_running(pid));
    kill_process(pid, Signal::KILL).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_running(pid) {
        assert!(Instant::now() < deadline, "it has not ended");
    }
    child.wait().unwrap();
    assert!(!is_running(pid));
}
