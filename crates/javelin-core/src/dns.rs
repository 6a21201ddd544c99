//! Names as DNS and Kubernetes write them (`apimachinery/pkg/util/validation`).

/// A DNS label: a Service, a namespace, a profile.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// A DNS subdomain: how Secrets and most other objects are called. Kubernetes bounds the whole, not its parts.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{is_label, is_subdomain};

    #[test]
    fn only_the_whole_of_a_subdomain_is_bounded() {
        let long = "a".repeat(64);
        assert!(is_label(&long[1..]) && !is_label(&long) && is_subdomain(&long));
        assert!(is_subdomain("a.b-1") && !is_label("a.b"));
        for wrong in ["", "-a", "a-", "A", "a_b", "a..b"] {
            assert!(!is_label(wrong) && !is_subdomain(wrong), "{wrong}");
        }
        assert!(!is_subdomain(&"a".repeat(254)));
    }
}
