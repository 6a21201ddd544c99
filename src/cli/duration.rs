//! Durations, as people write them in flags.

use std::time::Duration;

/// `500ms`, `5s`, `2m`, `24h` or `730d`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a number and a unit, such as 5s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" if number < TOO_LONG => Ok(Duration::from_mins(number)),
        "h" if number < TOO_LONG => Ok(Duration::from_hours(number)),
        "d" if number < TOO_LONG => Ok(Duration::from_hours(number * 24)),
        _ => Err("expected ms, s, m, h or d after the number, such as 5s".to_owned()),
    }
}

/// Minutes, hours or days: nobody means as many.
const TOO_LONG: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(parse("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(parse("730d"), Ok(Duration::from_hours(17_520)));
        for bad in [
            "",
            "5",
            "s",
            "5y",
            "-5s",
            "5 s",
            "99999999999999999999s",
            "18446744073709551615m",
            "18446744073709551615d",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
