//! What is an image reference at all: the grammar of `distribution/reference`, as the kubelet's container runtime holds
//! names to it.

use super::Image;

impl Image {
    /// Takes a reference apart; `None` for what no container runtime takes.
    pub fn checked(reference: &str) -> Option<Self> {
        let image = Self::parse(reference);
        let Self {
            registry,
            repository,
            tag,
            digest,
        } = &image;
        let name = registry.as_ref().map_or(0, |host| host.len() + 1) + repository.len();
        let fits = registry.as_deref().is_none_or(is_domain)
            && name <= MAX_NAME
            && repository.split('/').all(is_path_component)
            && tag.as_deref().is_none_or(is_tag)
            && digest.as_deref().is_none_or(is_digest);
        fits.then_some(image)
    }
}

/// A host with letters of any case and perhaps a port; an IPv6 address in brackets.
fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.bytes().all(|c| c.is_ascii_hexdigit() || c == b':'),
        None => host.split('.').all(|part| {
            part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                && !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
        }),
    };
    is_host && port.is_none_or(is_port)
}

/// Small letters and digits, with separators between them: one dot, one or two underscores, any number of dashes.
fn is_path_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = text.split(is_word);
    let (first, last) = (separators.next(), separators.next_back());
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|c| c == b'-');
    first == Some("") && last == Some("") && separators.all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

/// An algorithm and its digits; of the usual ones the number of digits is known.
fn is_digest(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else {
        return false;
    };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    let fits = match algorithm {
        "sha256" => digits.len() == 64,
        "sha384" => digits.len() == 96,
        "sha512" => digits.len() == 128,
        _ => digits.len() >= 32,
    };
    fits && algorithm.split(['-', '_', '+', '.']).all(is_part)
        && digits
            .bytes()
            .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// Of registry and path together.
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_runtime_takes_and_what_it_does_not() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for reference in [
            "app",
            "app:1",
            "team/app_x/a__b-c.d:V1.2-rc_3",
            "registry:5000/app",
            "Registry.Example.com/app:1",
            "[fd00::1]:5000/app:1",
            "localhost/javelin:0.1.0",
            &format!("r.example/app@{digest}"),
            &format!("r.example/app:1@{digest}"),
        ] {
            assert!(Image::checked(reference).is_some(), "{reference}");
        }
        for reference in [
            "",
            "https://reg/javelin:0.1.0",
            "reg//javelin:1",
            "Reg/Javelin:1",
            "reg/javelin:1:2",
            "reg/javelin:sha256:abc",
            "x@sha256:zz",
            "reg/javelin:",
            "bad image",
            "-app",
            "app-",
            "a._b",
            "a___b",
            "r.example:port/app",
            "-r.example/app",
            "r..example/app",
            &format!("app:{}", "1".repeat(129)),
            &format!("r.example/{}", "a".repeat(250)),
            &format!("app@{digest}0"),
            "app@",
        ] {
            assert!(Image::checked(reference).is_none(), "{reference}");
        }
    }
}
