//! What a manifest costs grows with the manifest: it is doubled, and steps are counted. Nothing is timed.

use javelin_steps as steps;

use super::*;

type Text = (&'static str, fn(usize) -> String);

fn many(count: usize, of: impl Fn(usize) -> String) -> String {
    (0..count).map(of).collect()
}

fn pod(members: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: orders\n  labels: {{{LABEL}: 'true'}}\nspec:\n  containers:\n  \
         - name: orders\n    image: orders\n{members}"
    )
}

fn json_pod(n: usize) -> String {
    let labels = format!(r#"{{"{LABEL}":"true"}}"#);
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p{n}","labels":{labels}}},"spec":{{"containers":[{{"name":"c"}}]}}}}"#
    )
}

/// Whatever of a manifest can be many, or long.
const TEXTS: [Text; 12] = [
    ("objects of a line each", |n| {
        many(n / 10, |n| format!("{}\n", json_pod(n)))
    }),
    ("objects on one line", |n| many(n / 10, json_pod)),
    ("empty objects on one line", |n| "{}".repeat(n)),
    ("a list on one line", |n| {
        let items: Vec<_> = (0..n / 10).map(json_pod).collect();
        format!(
            r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#,
            items.join(",")
        )
    }),
    ("documents", |n| {
        many(n / 10, |_| format!("---\n{}", pod("")))
    }),
    ("variables", |n| {
        let env = many(n, |n| format!("    - name: V{n}\n      value: v\n"));
        pod(&format!("    env:\n{env}"))
    }),
    ("variables between brackets", |n| {
        let env = many(n, |n| format!("{{name: V{n}, value: v}}, "));
        pod(&format!(
            "    env: [{env}{{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}}]\n"
        ))
    }),
    ("variables from which ours is taken apart", |n| {
        let env = many(n, |n| format!("    - name: V{n}\n      value: v\n"));
        pod(&format!(
            "    env:\n    - name: OTEL_RESOURCE_ATTRIBUTES\n      value: a=b\n{env}"
        ))
    }),
    ("comments", |n| {
        let comments = many(n, |n| format!("    # comment {n}\n"));
        pod(&format!("    env:\n{comments}    - name: A\n"))
    }),
    ("keys", |n| {
        let keys = many(n, |n| format!("  k{n}: v\n"));
        format!("kind: ConfigMap\nmetadata:\n  name: m\ndata:\n{keys}")
    }),
    ("a block of text", |n| {
        let lines = many(n, |n| format!("    line {n}\n"));
        format!("kind: ConfigMap\nmetadata:\n  name: m\ndata:\n  text: |\n{lines}\n")
    }),
    ("aliases", |n| {
        let aliases = many(n / 10, |_| "- *a\n".to_owned());
        format!("- &a {{b: c}}\n{aliases}")
    }),
];

#[test]
fn twice_the_manifest_is_twice_the_work() {
    for (what, of) in TEXTS {
        let measured: Vec<_> = [2_000, 4_000, 8_000]
            .into_iter()
            .map(|count| {
                let text = of(count);
                let ((), steps) = steps::of(|| {
                    let there = run(&text, Operation::Inject);
                    if let Some(edited) = there.edited {
                        run(&edited.text, Operation::Remove);
                    }
                });
                (text.len(), steps)
            })
            .collect();
        println!("{what}: {measured:?}");
        for pair in measured.windows(2) {
            let expected = pair[0].1 * pair[1].0 / pair[0].0;
            assert!(
                pair[1].1 <= expected + expected / 5 + LARGEST_TABLE,
                "{what}: {measured:?}"
            );
        }
    }
}

#[test]
fn a_comment_before_many_keys_of_nothing_is_passed_once() {
    let of = |n: usize| {
        let text = format!(
            "a: {{ #{}\n{}}}\n",
            "x".repeat(4 * n),
            "? ,\n".repeat(n / 4)
        );
        // A key of nothing is none for kubectl, which is found when all has been read.
        let (outcome, steps) = steps::of(|| Tree::parse(&text).map(|tree| tree.value));
        assert!(outcome.unwrap_err().to_string().contains("a key is null"));
        steps
    };
    let (once, twice) = (of(8_000), of(16_000));
    assert!(twice < once * 5 / 2, "{once} {twice}");
}

#[test]
fn a_long_text_that_many_refer_to_is_not_copied_for_ever() {
    let text = format!("- &a {}\n{}", "x".repeat(100_000), "- *a\n".repeat(10_000));
    let error = Tree::parse(&text).unwrap_err().to_string();
    assert!(error.contains("too many values"), "{error}");
    let nested = format!("{}x{}", "[&a ".repeat(100), "]".repeat(100));
    assert!(Tree::parse(&nested).is_ok());
}

/// Lists that differ are compared item by item, up to a million pairs.
const LARGEST_TABLE: usize = 1_000_000;
