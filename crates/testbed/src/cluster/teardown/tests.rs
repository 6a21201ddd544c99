use super::*;

#[test]
fn mount_lines_are_read_with_and_without_optional_fields() {
    let line = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue";
    let mount = parse_mount(line).unwrap();
    assert_eq!(mount.point, Path::new("/mnt 2"));
    assert_eq!(mount.kind, "ext3");

    let mount = parse_mount("25 30 0:23 / /sys/fs/cgroup rw - cgroup2 none rw").unwrap();
    assert_eq!(mount.kind, "cgroup2");
    assert!(parse_mount("").is_none());
}
