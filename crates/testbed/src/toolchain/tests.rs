use super::*;

fn file(name: &str, contents: &str) -> (String, Vec<u8>) {
    (name.to_owned(), contents.as_bytes().to_vec())
}

#[test]
fn the_key_does_not_depend_on_the_order_of_the_files() {
    let one = key(&["1"], vec![file("a.go", "x"), file("b.go", "y")]);
    let other = key(&["1"], vec![file("b.go", "y"), file("a.go", "x")]);
    assert_eq!(one, other);
    assert_eq!(one.len(), 12);
}

#[test]
fn the_key_depends_on_names_contents_and_settings() {
    let keys = [
        key(&["1"], vec![file("a.go", "x")]),
        key(&["2"], vec![file("a.go", "x")]),
        key(&["1"], vec![file("b.go", "x")]),
        key(&["1"], vec![file("a.go", "y")]),
        key(&["1"], vec![file("a.gox", "")]),
        key(&["1", "a.go"], vec![file("x", "")]),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[index + 1..].contains(key), "{keys:?}");
    }
}

#[test]
fn versions_are_read_from_either_form_of_require() {
    let manifest = "module x\n\ngo 1.26.0\n\nrequire a.b/c v1.2.3\n\nrequire (\n\ta.b/d v2.0.0 // indirect\n)\n";
    assert_eq!(required_version(manifest, "a.b/c"), Some("1.2.3"));
    assert_eq!(required_version(manifest, "a.b/d"), Some("2.0.0"));
    assert_eq!(required_version(manifest, "a.b"), None);
}

#[test]
fn versions_compare_by_number() {
    assert!(parse_version("1.26.8") >= parse_version("1.26.0"));
    assert!(parse_version("1.9") < parse_version("1.26"));
    assert_eq!(parse_version("1.27rc1"), [1, 27]);
}

#[test]
fn flags_take_the_version() {
    assert_eq!(expand("v{} {major} {minor}", "1.37.2"), "v1.37.2 1 37");
}
