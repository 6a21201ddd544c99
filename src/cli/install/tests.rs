use super::*;

fn fixture() -> (tempfile::TempDir, Args) {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("source.jar");
    fs::write(&from, "a jar").unwrap();
    let to = dir.path().join("volume");
    fs::create_dir(&to).unwrap();
    let sha256 = Some(HEXLOWER.encode(&Sha256::digest("a jar")));
    let defaults = Vec::new();
    (
        dir,
        Args {
            to,
            from,
            sha256,
            defaults,
        },
    )
}

fn refused(args: &Args) -> String {
    let error = run(args).unwrap_err();
    let hint = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Hinted>())
        .map(|hinted| hinted.hint.clone());
    format!("{error:#}; {}", hint.unwrap_or_default())
}

#[test]
fn the_jar_arrives_whole_and_read_only_and_again() {
    let (_dir, args) = fixture();
    for _ in 0..2 {
        run(&args).unwrap();
        let target = args.to.join("javaagent.jar");
        assert_eq!(fs::read(&target).unwrap(), b"a jar");
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
            0o444
        );
        assert_eq!(
            fs::read_dir(&args.to).unwrap().count(),
            1,
            "nothing beside it"
        );
    }
}

#[test]
fn what_a_killed_run_left_is_no_obstacle() {
    let (_dir, args) = fixture();
    let part = args.to.join(".javaagent.jar.part");
    fs::write(&part, "half").unwrap();
    fs::set_permissions(&part, Permissions::from_mode(0o444)).unwrap();
    run(&args).unwrap();
    assert_eq!(fs::read(args.to.join("javaagent.jar")).unwrap(), b"a jar");
}

#[test]
fn a_jar_with_another_digest_does_not_arrive() {
    let (_dir, mut args) = fixture();
    args.sha256 = Some("00".repeat(32));
    let error = refused(&args);
    assert!(
        error.contains("sha256") && error.contains("mirror the image again"),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(&args.to).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn a_missing_jar_and_a_missing_volume_say_what_to_look_at() {
    let (dir, mut args) = fixture();
    args.from = dir.path().join("absent.jar");
    assert!(refused(&args).contains("agent.image"));
    let (dir, mut args) = fixture();
    args.to = dir.path().join("absent");
    assert!(refused(&args).contains("is the volume mounted"));
}

#[test]
fn a_full_volume_says_so() {
    // /dev/full is a real device that refuses each write with ENOSPC.
    let error = cannot_write(Path::new("/dev/full"), {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        full.write_all(b"x").unwrap_err()
    });
    assert!(error.hint.contains("the volume is full"), "{error:?}");
}

#[test]
fn defaults_are_written_as_java_reads_properties() {
    let (_dir, mut args) = fixture();
    let texts = [
        "otel.exporter.otlp.endpoint=http://c:4318/a=b",
        "otel.a= \\ü\t😀",
    ];
    args.defaults = texts.map(|text| property(text).unwrap()).to_vec();
    for _ in 0..2 {
        run(&args).unwrap();
    }
    let file = args.to.join("defaults.properties");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "otel.exporter.otlp.endpoint=http://c:4318/a=b\n\
         otel.a=\\u0020\\u005c\\u00fc\\u0009\\ud83d\\ude00\n"
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o444
    );
}

#[test]
fn a_default_without_a_value_or_with_a_wrong_name_is_refused() {
    for text in ["otel.a", "=b", "a b=c"] {
        assert!(property(text).is_err(), "{text}");
    }
}
