use super::*;

fn check(env: &[(&str, &str)], name: &str, expected: Option<&str>) {
    let env: Vec<_> = env
        .iter()
        .map(|(name, value)| EnvVar::literal(*name, *value))
        .collect();
    assert_eq!(Literals::of(&env).get(name), expected);
}

#[test]
fn a_reference_sees_only_what_stands_earlier() {
    check(&[("A", "1"), ("B", "$(A)2")], "B", Some("12"));
    check(&[("B", "$(A)2"), ("A", "1")], "B", Some("$(A)2"));
    check(&[("A", "one"), ("A", "$(A) two")], "A", Some("one two"));
}

#[test]
fn dollars_that_refer_to_nothing_stand_for_themselves() {
    check(&[("A", "$ $x $(")], "A", Some("$ $x $("));
    check(&[("A", "$$(B) $$$$")], "A", Some("$(B) $$"));
    check(&[("A", "5$")], "A", Some("5$"));
}

#[test]
fn what_is_escaped_comes_out_as_it_went_in() {
    for text in ["$(A)", "$$", "a$b", "$", "$(", "$$(A)"] {
        check(&[("A", "x"), ("B", &escape(text))], "B", Some(text));
    }
}

#[test]
fn the_kubelet_ends_a_reference_at_the_first_bracket() {
    assert_eq!(
        pieces("$(A)$(B)b)").collect::<Vec<_>>(),
        [
            Piece::Reference("A"),
            Piece::Reference("B"),
            Piece::Text("b)")
        ]
    );
}

#[test]
fn entries_that_double_each_other_stay_small() {
    let name = |n: usize| format!("A{n}");
    let mut env = vec![EnvVar::literal(name(0), "x".repeat(1024))];
    env.extend((1..40).map(|n| EnvVar::literal(name(n), format!("$(A{0})$(A{0})", n - 1))));
    let literals = Literals::of(&env);
    assert!(literals.iter().map(|(_, value)| value.len()).sum::<usize>() <= MAX_ENVIRONMENT);
    assert!(literals.get("A7").is_some() && literals.get("A8").is_none());
}

#[test]
fn an_environment_is_predicted_as_far_as_literals_tell() {
    let env = [
        EnvVar::literal("A", "1"),
        EnvVar::field("NODE", "spec.nodeName"),
        EnvVar::literal("B", "$(A) $(NODE)"),
    ];
    let expected = [("A", Some("1")), ("B", Some("1 $(NODE)")), ("NODE", None)];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
    assert_eq!(crate::mutate::predicted_environment(&env), expected.into());
}

#[test]
fn all_values_together_are_bounded_too() {
    let mut env = vec![EnvVar::literal("A", "x".repeat(100 * 1024))];
    env.extend((0..30).map(|number| EnvVar::literal(format!("B{number}"), "$(A)")));
    let literals = Literals::of(&env);
    assert!(literals.get("B15").is_some(), "1.6 MiB fit");
    assert!(literals.get("B25").is_none(), "2.6 MiB do not");
}
