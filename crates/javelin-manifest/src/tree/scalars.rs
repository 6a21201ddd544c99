//! Words and numbers, by the rules of go-yaml 2, and what kubectl makes of them in JSON.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// The name that a key gets: JSON has no other keys than strings.
pub(super) fn name_of(key: &Value) -> Result<String, String> {
    let problem = |what: &str| Err(format!("a key is {what}; put it into quotes"));
    match key {
        Value::String(name) => Ok(name.clone()),
        Value::Bool(_) => Ok(key.to_string()),
        Value::Number(number) if number.is_i64() => Ok(number.to_string()),
        Value::Number(number) if number.is_f64() => {
            // As kubectl does it: with the precision of 32 bits.
            #[expect(clippy::cast_possible_truncation, reason = "that is what it does")]
            let short = number.as_f64().unwrap_or_default() as f32;
            if short == 0.0 || (1e-4..1e6).contains(&short.abs()) {
                return Ok(short.to_string());
            }
            problem("a number that kubectl writes in another way")
        }
        Value::Number(_) => problem("too large a number"),
        Value::Null => problem("null"),
        Value::Array(_) | Value::Object(_) => problem("a list or a mapping"),
    }
}

/// A value as kubectl writes it into JSON, and reads it again: a number without a fraction is an integer.
pub(super) fn written(value: Value) -> Value {
    let float = value
        .as_f64()
        .filter(|float| value.is_f64() && float.fract() == 0.0 && float.abs() < 1e21);
    let Some(float) = float.filter(|float| *float != 0.0 || float.is_sign_positive()) else {
        return value;
    };
    // The fewest digits that are this number, and zeros behind them.
    let digits = float.to_string();
    let signed = digits.parse::<i64>().map(Value::from);
    signed
        .or_else(|_| digits.parse::<u64>().map(Value::from))
        .unwrap_or(value)
}

/// A scalar without quotes, by the rules of go-yaml 2.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    let word = match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Value::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!(
                "{text} is no value that an object can have; quote it"
            ));
        }
        _ => None,
    };
    Ok(word
        .or_else(|| number(text).map(Value::Number))
        .unwrap_or_else(|| Value::String(text.to_owned())))
}

/// `0x1F`, `0123`, `1_000`, `1e3`.
fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    // In one that begins with its point they stand between digits.
    if first == b'.' && has_loose_underscores(text) {
        return None;
    }
    let digits: Cow<'_, str> = if text.contains('_') {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    let (is_negative, unsigned) = match digits.as_bytes().first() {
        Some(b'-') => (true, digits.get(1..)?),
        Some(b'+') => (false, digits.get(1..)?),
        _ => (false, digits.as_ref()),
    };
    if let Some(magnitude) = integer(unsigned) {
        // With a sign there are 63 bits.
        let signed = i128::from(magnitude) * if is_negative { -1 } else { 1 };
        if let Ok(signed) = i64::try_from(signed) {
            return Some(signed.into());
        }
        if !digits.starts_with(['-', '+']) {
            return Some(magnitude.into());
        }
    }
    // An odd one of the library's: it looks behind `0b` for a number of its own, sign and all.
    if let Some(rest) = digits
        .strip_prefix("0b")
        .filter(|rest| rest.starts_with(['-', '+']))
    {
        return i64::from_str_radix(rest, 2).ok().map(Number::from);
    }
    is_float(unsigned).then(|| digits.parse().ok().and_then(Number::from_f64))?
}

/// Is there an underscore that does not stand between two digits?
fn has_loose_underscores(text: &str) -> bool {
    let is_digit = |at: Option<usize>| {
        let byte = at.and_then(|at| text.as_bytes().get(at));
        byte.is_some_and(u8::is_ascii_digit)
    };
    text.match_indices('_')
        .any(|(at, _)| !is_digit(at.checked_sub(1)) || !is_digit(Some(at + 1)))
}

fn integer(digits: &str) -> Option<u64> {
    let lower = |prefix: [&str; 2]| prefix.iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (rest, radix) = if let Some(rest) = lower(["0x", "0X"]) {
        (rest, 16)
    } else if let Some(rest) = lower(["0b", "0B"]) {
        (rest, 2)
    } else if let Some(rest) = lower(["0o", "0O"]) {
        (rest, 8)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (digits, 8)
    } else {
        (digits, 10)
    };
    // Two signs are none.
    let is_number = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u64::from_str_radix(rest, radix).ok().filter(|_| is_number)
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let has_digits = !whole.is_empty() || (!fraction.is_empty() && mantissa.contains('.'));
    let exponent = exponent
        .get(1..)
        .map(|rest| rest.strip_prefix(['-', '+']).unwrap_or(rest));
    has_digits
        && are_digits(whole)
        && are_digits(fraction)
        && exponent.is_none_or(|digits| !digits.is_empty() && are_digits(digits))
}
