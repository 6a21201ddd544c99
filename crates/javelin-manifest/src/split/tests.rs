use proptest::prelude::*;

use super::*;

fn pieces(text: &str) -> Vec<Piece> {
    Documents::of(text.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}

fn texts(text: &str) -> Vec<String> {
    pieces(text).into_iter().map(|piece| piece.text).collect()
}

#[test]
fn markers_cut_and_belong_to_the_document_behind_them() {
    assert_eq!(texts("a: 1\n---\nb: 2\n"), ["a: 1\n", "---\nb: 2\n"]);
    assert_eq!(
        texts("---\na: 1\n---\n---\n"),
        ["---\na: 1\n", "---\n", "---\n"]
    );
    assert_eq!(
        texts("--- # x\na: 1\n...\nb: 2"),
        ["--- # x\na: 1\n...\n", "b: 2"]
    );
    assert_eq!(
        texts("---\r\na: 1\r\n---\r\nb"),
        ["---\r\na: 1\r\n", "---\r\nb"]
    );
    assert_eq!(texts(""), Vec::<String>::new());
}

#[test]
fn comments_and_directives_before_the_first_marker_belong_to_its_document() {
    let text = "# licence\n\n%YAML 1.2\n---\na: 1\n# end\n---\n# only a comment\n";
    assert_eq!(
        texts(text),
        [
            "# licence\n\n%YAML 1.2\n---\na: 1\n# end\n",
            "---\n# only a comment\n"
        ]
    );
    assert_eq!(texts("\u{feff}---\na: 1\n---\nb: 2\n").len(), 2);
}

#[test]
fn three_dashes_elsewhere_are_text() {
    assert_eq!(texts("a: |\n  ---\n  b\n").len(), 1);
    assert_eq!(texts("a: x\n---b: y\n").len(), 1);
    assert_eq!(texts(" --- \n").len(), 1);
}

#[test]
fn json_objects_need_no_marker() {
    let text = "{\"a\": \"}\\\"{\"}{\"b\": [{}]}\n\n{\n\t\"c\": 1\n}\n---\n{d: it's}\n";
    let found = pieces(text);
    let found: Vec<_> = found
        .iter()
        .map(|piece| (piece.text.as_str(), piece.line, piece.is_json))
        .collect();
    assert_eq!(
        found,
        [
            ("{\"a\": \"}\\\"{\"}", 1, true),
            ("{\"b\": [{}]}\n", 1, true),
            ("\n{\n\t\"c\": 1\n}\n", 2, true),
            ("---\n{d: it's}\n", 6, false),
        ]
    );
}

#[test]
fn what_begins_with_a_brace_and_is_no_json_is_yaml() {
    let found = pieces("{a: it's}\n# {\n---\nb: 1\n");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|piece| !piece.is_json));
}

#[test]
fn what_is_no_text_is_refused_with_its_line() {
    let mut documents = Documents::of(&b"a: 1\n---\nb: \xff\n"[..]);
    assert!(documents.next().unwrap().is_ok());
    let error = documents.next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3 is not UTF-8; manifests are UTF-8 text"
    );
    assert!(documents.next().is_none());
}

proptest! {
    #[test]
    fn the_pieces_of_any_text_are_the_text(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "---", "--- # x", "...", "a: 1", "  b: |", "    ---", "{\"a\": {", "}}", "{}", "{", "# c", "",
                "%YAML 1.2", "\"", "'", "\\", "\u{feff}", "--- {a: 1}", "é",
            ]),
            0..30,
        ),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", ""]), 30),
    ) {
        let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [*line, *end]).collect();
        let found = pieces(&text);
        prop_assert_eq!(found.iter().map(|piece| piece.text.as_str()).collect::<String>(), text);
        for (index, piece) in found.iter().enumerate() {
            let before: String = found.iter().take(index).map(|piece| piece.text.as_str()).collect();
            prop_assert_eq!(piece.line, 1 + before.matches('\n').count());
        }
    }
}
