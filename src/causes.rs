//! An error with what is behind it, on one line: for what is kept or sent as text.

use std::error::Error;

/// `error: its cause: the cause of that`.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(each) = cause {
        text.push_str(": ");
        text.push_str(&each.to_string());
        cause = each.source();
    }
    text
}
