use super::*;

#[test]
fn an_encoded_value_holds_nothing_that_separates_or_refers() {
    assert_eq!(encode("a/b:c@d-e._~"), "a/b:c@d-e._~");
    assert_eq!(
        encode("a,b=c d%$(X)+é"),
        "a%2Cb%3Dc%20d%25%24%28X%29%2B%C3%A9"
    );
}
