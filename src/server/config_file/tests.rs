use futures_util::FutureExt as _;

use super::*;

/// Written as the kubelet does it: a new file takes the old one's place.
fn write(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, path).unwrap();
}

fn metric(metrics: &Metrics, name: &str) -> String {
    let text = metrics.encode().unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default();
    line.rsplit(' ').next().unwrap_or_default().to_owned()
}

const GOOD: &str = "";
const CHANGED: &str = "# the same in other words\n";
const BAD: &str = "noSuchField: 1\n";

#[test]
fn a_bad_file_changes_nothing_but_a_metric() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("javelin.yaml");
    write(&path, GOOD);
    let metrics = Metrics::new();
    let mut file = ConfigFile::open(&path).unwrap();
    let current = file.current();
    let changed = file.changed();
    let first = current.load_full();

    file.refresh(&metrics);
    assert!(
        Arc::ptr_eq(&first, &current.load_full()),
        "the same content is not parsed again"
    );

    for _ in 0..3 {
        write(&path, BAD);
        file.refresh(&metrics);
    }
    assert!(
        Arc::ptr_eq(&first, &current.load_full()),
        "the last good one stays"
    );
    assert_eq!(metric(&metrics, "javelin_config_last_reload_success"), "0");
    assert_eq!(
        metric(
            &metrics,
            r#"javelin_config_reloads_total{result="failure"}"#
        ),
        "1"
    );

    std::fs::remove_file(&path).unwrap();
    file.refresh(&metrics);
    assert!(
        Arc::ptr_eq(&first, &current.load_full()),
        "a missing file is a bad one"
    );

    let is_notified = || changed.notified().now_or_never().is_some();
    assert!(!is_notified(), "nothing was taken over");
    write(&path, CHANGED);
    file.refresh(&metrics);
    assert!(is_notified());
    assert!(!Arc::ptr_eq(&first, &current.load_full()));
    assert_eq!(metric(&metrics, "javelin_config_last_reload_success"), "1");
    assert_eq!(
        metric(
            &metrics,
            r#"javelin_config_reloads_total{result="success"}"#
        ),
        "1"
    );
}

#[test]
fn a_first_file_has_to_be_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("javelin.yaml");
    assert!(matches!(
        ConfigFile::open(&path),
        Err(ConfigFileError::Read { .. })
    ));
    write(&path, BAD);
    assert!(matches!(
        ConfigFile::open(&path),
        Err(ConfigFileError::Invalid(_))
    ));
}
