//! Kubernetes quantities: `128Mi`, `250m`, `1e3`.

use serde_json::Value;

/// A Kubernetes quantity (`apimachinery/pkg/api/resource/quantity.go`) as a number of its unit; `None` for what is
/// none, which the API server refuses by itself.
pub fn parse(value: &Value) -> Option<f64> {
    let Value::String(text) = value else {
        return value.as_f64();
    };
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let number: f64 = digits.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => KIBI,
        "Mi" => MEBI,
        "Gi" => MEBI * KIBI,
        "Ti" => MEBI * MEBI,
        "Pi" => MEBI * MEBI * KIBI,
        "Ei" => MEBI * MEBI * MEBI,
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            // Not by a factor: nothing times infinity is no number.
            return format!("{digits}e{exponent}").parse().ok();
        }
    };
    Some(number * factor)
}

const KIBI: f64 = 1024.0;

/// Bytes in one `Mi`.
pub const MEBI: f64 = KIBI * KIBI;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (value, expected) in [
            (json!("128Mi"), 134_217_728.0),
            (json!("1.5Gi"), 1_610_612_736.0),
            (json!("250m"), 0.25),
            (json!(2), 2.0),
            (json!("1e3"), 1_000.0),
            (json!("2E"), 2e18),
            (json!("1E2"), 100.0),
            (json!("0e999"), 0.0),
        ] {
            assert_eq!(parse(&value), Some(expected), "{value}");
        }
        for value in [json!("much"), json!("1Xi"), json!(""), json!(null)] {
            assert_eq!(parse(&value), None, "{value}");
        }
    }
}
