//! Questions to a Prometheus, as they are put to it.

/// A query of a dashboard as Grafana sends it: with values where variables were.
pub fn with_values(query: &str) -> String {
    let query = query
        .replace("$__rate_interval", "5m")
        .replace("$__range", "1h");
    query.replace("$namespace", "javelin-system")
}

/// Percent-encodes a query parameter.
pub fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reserved_characters_are_percent_encoded() {
        assert_eq!(super::encoded("a{b=\"c\"}&d"), "a%7Bb%3D%22c%22%7D%26d");
    }

    #[test]
    fn no_variable_is_left() {
        let query = "rate(a{namespace=\"$namespace\"}[$__rate_interval]) + increase(b[$__range])";
        let sent = "rate(a{namespace=\"javelin-system\"}[5m]) + increase(b[1h])";
        assert_eq!(super::with_values(query), sent);
    }
}
