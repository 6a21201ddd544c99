//! Image references, as the kubelet reads them.
//!
//! The grammar is that of `ParseNormalizedNamed` in `distribution/reference`, which the kubelet asks: what it does not
//! take becomes `InvalidImageName`, and the pod never starts. An algorithm of a digest must be one that it has.

/// Refuses a reference that no kubelet takes, in a sentence that says why.
pub fn check(reference: &str) -> Result<(), String> {
    parts(reference)
        .map_err(|problem| format!("{reference:?} is not an image reference: {problem}"))
}

fn parts(reference: &str) -> Result<(), &'static str> {
    if reference.is_empty() {
        return Err("it is empty");
    }
    if reference.contains("://") {
        return Err(
            "it begins with a scheme; write the host alone, such as registry.example.com/javelin:0.2.0",
        );
    }
    if reference.len() == SHA256 && reference.bytes().all(is_hex) {
        return Err("it is an image's ID; write its name");
    }
    let (tagged, digest) = match reference.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (reference, None),
    };
    // What could be a folder of the default registry is one.
    let is_host = |first: &str| {
        first == "localhost" || first.contains(|c: char| ".:".contains(c) || c.is_ascii_uppercase())
    };
    let (host, path) = match tagged.split_once('/') {
        Some((host, path)) if is_host(host) => (Some(host), path),
        _ => (None, tagged),
    };
    if host.is_some_and(|host| !is_domain(host)) {
        return Err("its registry is not a host with a port or without");
    }
    let (path, tag) = match path.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    if path.contains(|c: char| c.is_ascii_uppercase()) {
        return Err("its path in the registry has upper-case letters; write lower case");
    }
    if !path.split('/').all(is_component) {
        return Err(
            "each part of its path has a-z and 0-9, with one of . _ __ or any number of - between",
        );
    }
    if host.map_or(0, |host| host.len() + 1) + path.len() > MAX_NAME {
        return Err("its name has more than 255 letters");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("its tag is not 1 to 128 of A-Z, a-z, 0-9, _ . and -, without . or - in front");
    }
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("its digest is not sha256: and 64 hexadecimal digits in lower case");
    }
    Ok(())
}

/// A name of DNS or an IPv4 address, or an IPv6 address in brackets; perhaps with a port.
fn is_domain(text: &str) -> bool {
    let is_port = |rest: &str| {
        let port = rest.strip_prefix(':');
        port.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
    };
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = |c: char| c.is_ascii_hexdigit() || c == ':';
        return !address.is_empty()
            && address.chars().all(is_address)
            && (rest.is_empty() || is_port(rest));
    }
    let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
    let is_label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.chars().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label) && (port.is_empty() || is_port(port))
}

fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |run: &str| ["", ".", "_", "__"].contains(&run) || run.bytes().all(|b| b == b'-');
    text.starts_with(is_word) && text.ends_with(is_word) && text.split(is_word).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=MAX_TAG).contains(&text.len()) && text.chars().all(fits) && !text.starts_with(['.', '-'])
}

/// The algorithms of `opencontainers/go-digest`.
fn is_digest(text: &str) -> bool {
    let known = [("sha256", SHA256), ("sha384", 96), ("sha512", 128)];
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        known.contains(&(algorithm, hex.len())) && hex.bytes().all(is_hex)
    })
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

const SHA256: usize = 64;
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

#[cfg(test)]
mod tests {
    use super::check;

    fn refused(reference: &str, why: &str) {
        let problem = check(reference).expect_err(reference);
        assert!(problem.contains(why), "{reference}: {problem}");
    }

    #[test]
    fn a_reference_that_a_kubelet_takes_is_taken() {
        let hex = "0123456789abcdef".repeat(4);
        for reference in [
            "javelin",
            "javelin:0.2.0",
            // Without a slash it is a name, however much it looks like a host.
            "registry.example.com",
            "team/javelin",
            "localhost/javelin:0.2.0",
            "localhost:5000/javelin",
            "registry.example.com/a/b/c:1",
            "registry.example.com:5000/a:V_1.2-rc.1",
            "Registry.Example.com/a",
            // A first part with upper case can only be a host.
            "Reg/javelin:1",
            "[2001:db8::1]:5000/a",
            "[::1]/a",
            "10.0.0.1/a",
            "a/b_c/d__e/f.g/h---i/0",
            &format!("registry.example.com/a:1@sha256:{hex}"),
            &format!("a@sha512:{hex}{hex}"),
            // A name and a tag, if anybody has an image of it.
            &format!("sha256:{hex}"),
        ] {
            check(reference).unwrap();
        }
    }

    #[test]
    fn a_reference_that_no_kubelet_takes_is_refused() {
        let hex = "0123456789abcdef".repeat(4);
        for (reference, why) in [
            ("", "empty"),
            ("https://reg.example.com/javelin:0.2.0", "scheme"),
            ("reg//javelin:1", "part of its path"),
            ("Reg/Javelin:1", "upper-case"),
            ("Javelin", "upper-case"),
            ("reg/javelin:1:2", "tag"),
            ("reg/javelin:sha256:abc", "tag"),
            ("x@sha256:zz", "digest"),
            ("reg/javelin:", "tag"),
            ("reg/javelin:-1", "tag"),
            ("reg/javelin@", "digest"),
            ("reg/javelin@sha256:ab@sha256:ab", "digest"),
            ("bad image", "part of its path"),
            (" javelin", "part of its path"),
            ("javelin\n", "part of its path"),
            ("/javelin", "part of its path"),
            ("reg.example.com/", "part of its path"),
            ("reg.example.com/a/", "part of its path"),
            ("a..b", "part of its path"),
            ("a___b", "part of its path"),
            ("a_-b", "part of its path"),
            ("-a", "part of its path"),
            ("ä", "part of its path"),
            ("reg_istry.example.com/a", "registry"),
            ("reg.example.com:/a", "registry"),
            ("reg.example.com:http/a", "registry"),
            ("-reg.example.com/a", "registry"),
            ("[::1/a", "registry"),
            ("[]:1/a", "registry"),
            (&hex, "ID"),
            (&format!("a@sha256:{}", hex.to_uppercase()), "digest"),
            (&format!("a@sha512:{hex}"), "digest"),
            (&format!("a@md5:{hex}"), "digest"),
            (&"a".repeat(256), "255"),
            (&format!("a:{}", "1".repeat(129)), "tag"),
        ] {
            refused(reference, why);
        }
    }
}
