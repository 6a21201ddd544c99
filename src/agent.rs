//! Which OpenTelemetry Java agent this version ships: `agent.lock`, the one place that says it. And what the program
//! beside it in the image runs on.

/// The agent's version.
pub fn version() -> &'static str {
    locked("version")
}

/// SHA-256 of the jar, 64 hexadecimal digits.
pub fn sha256() -> &'static str {
    locked("sha256")
}

/// The architecture of this program, and of an image that is built with it, as nodes name theirs.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn locked(key: &str) -> &'static str {
    let lines = include_str!("../agent.lock")
        .lines()
        .filter_map(|line| line.split_once('='));
    let mut value = lines
        .filter(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().trim_matches('"'));
    value.next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lock_file_names_a_version_and_a_digest() {
        assert!(
            super::version().split('.').count() == 3,
            "{:?}",
            super::version()
        );
        assert!(
            super::sha256().len() == 64 && super::sha256().bytes().all(|b| b.is_ascii_hexdigit())
        );
    }
}
