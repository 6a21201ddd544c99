//! Bytes that nobody is to see.
//!
//! Deliberately not here: what the Kubernetes client makes of them on their way. It has copies of its own, in requests and
//! answers, which are freed and not overwritten.

use std::fmt;

use zeroize::Zeroizing;

/// A value of a Secret. Its `Debug` shows how long it is, and its memory is overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Zeroizing<Vec<u8>>);

impl Hidden {
    /// What is hidden.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Hidden {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Zeroizing<String>> for Hidden {
    fn from(mut text: Zeroizing<String>) -> Self {
        std::mem::take(&mut *text).into()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_length_is_shown() {
        let hidden = Hidden::from("planted".to_owned());

        assert_eq!(format!("{:?}", Some(&hidden)), "Some([7 bytes])");
        assert_eq!(hidden.bytes(), b"planted");
    }
}
