//! Small languages, each beside a second reader that was written from the same rules.

use std::collections::HashMap;

use javelin::offline::images::Image;
use javelin_core::{
    config::Config,
    mutate::{
        self, Decision,
        pod::{EnvVar, Pod},
    },
    quantity,
};
use serde_json::{Value, json};

use crate::{admission, within_steps};

/// The words of `JAVA_TOOL_OPTIONS`: as a C program reads them, and quoted again they are the same.
pub fn jvm_words(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let words = within_steps(text.len(), || mutate::jvm_words(text));
    assert_eq!(words, words_of_hotspot(text), "{text:?}");
    let Some(words) = words else { return };
    let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    let again = mutate::jvm_words(&quoted.join(" \t"));
    assert_eq!(again, Some(words), "{text:?}");
}

/// Byte for byte, as `Arguments::parse_options_buffer` goes.
fn words_of_hotspot(text: &str) -> Option<Vec<String>> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let bytes = text.as_bytes();
    let (mut at, mut words) = (0, Vec::new());
    loop {
        while at < bytes.len() && is_space(bytes[at]) {
            at += 1;
        }
        if at == bytes.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        while at < bytes.len() && !is_space(bytes[at]) {
            let byte = bytes[at];
            at += 1;
            if byte != b'\'' && byte != b'"' {
                word.push(byte);
                continue;
            }
            let length = bytes[at..].iter().position(|other| *other == byte)?;
            word.extend_from_slice(&bytes[at..at + length]);
            at += length + 1;
        }
        words.push(String::from_utf8(word).expect("only whole characters were taken out"));
    }
}

/// A word that is read as it is: each part in the quotes that it has not in it.
fn quoted(word: &str) -> String {
    let parts = word.split_inclusive('\'').map(|part| {
        let inner = part.strip_suffix('\'');
        let end = if inner.is_some() { "\"'\"" } else { "" };
        format!("'{}'{end}", inner.unwrap_or(part))
    });
    let parts: String = parts.collect();
    if parts.is_empty() {
        "''".to_owned()
    } else {
        parts
    }
}

/// A literal `JAVA_TOOL_OPTIONS`: with the agent in it, the JVM sees all words that it saw before, and one more.
pub fn options(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let entries = entries(text);
    let document = json!({
        "metadata": { "name": "fuzz", "labels": { "instrumentation.opentelemetry.io/inject-java": "true" } },
        "spec": { "containers": [{ "name": "app", "env": entries }] },
    });
    let (pod, mutation) = admission::treat(&document, &Config::default(), None);
    let Decision::Inject(_) = mutation.decision else {
        return;
    };
    let value = |pod: &Pod| {
        mutate::predicted_environment(pod.spec.containers[0].env()).remove("JAVA_TOOL_OPTIONS")
    };
    let before = value(&pod).unwrap_or(Some(String::new()));
    // From elsewhere: composed, and not to be seen from here.
    let Some(before) = before else { return };
    let mut expected = mutate::jvm_words(&before).expect("or it would be left alone");
    let after = Pod::from_value(mutation.patch.result()).expect("it was read before");
    let after = value(&after).flatten().expect("a literal");
    let words = mutate::jvm_words(&after).expect("a value that the JVM reads");
    let is_ours = |word: &String| word.starts_with("-javaagent:/javelin-agent/");
    if !expected.iter().any(is_ours) {
        expected.push("-javaagent:/javelin-agent/javaagent.jar".to_owned());
    }
    assert_eq!(words, expected, "{text:?}");
}

/// `NAME=value` lines; a line without `=` is a variable from elsewhere.
fn entries(text: &str) -> Vec<Value> {
    let lines = text.split('\n').take(100).enumerate();
    lines
        .map(|(at, line)| match (at, line.split_once('=')) {
            (0, _) => json!({ "name": "JAVA_TOOL_OPTIONS", "value": line }),
            (_, Some((name, value))) => json!({ "name": name, "value": value }),
            (_, None) => json!({ "name": line, "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }),
        })
        .collect()
}

/// `$(X)` in an environment: as a second reader expands it, wherever that is not too large for any program.
pub fn expansion(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let env: Vec<EnvVar> = text
        .split('\n')
        .map(|line| match line.split_once('=') {
            Some((name, value)) => EnvVar::literal(name, value),
            None => EnvVar::field(line, "metadata.name"),
        })
        .collect();
    let found = within_steps(text.len(), || mutate::predicted_environment(&env));
    let Some(expected) = expanded(&env) else {
        return;
    };
    for (name, value) in &found {
        assert_eq!(Some(value), expected.get(name.as_str()), "{name}: {text:?}");
    }
    assert_eq!(found.len(), expected.len());
}

/// The kubelet's own way, from front to back; `None` when it gets large, which the other limits in its own way.
fn expanded(env: &[EnvVar]) -> Option<HashMap<&str, Option<String>>> {
    let mut values: HashMap<&str, Option<String>> = HashMap::new();
    let mut total = 0;
    for variable in env {
        let text = variable.value.as_deref().unwrap_or_default();
        let (mut rest, mut out) = (text, String::new());
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let reference = after
                .strip_prefix('(')
                .and_then(|open| open.split_once(')'));
            rest = if let Some(escaped) = after.strip_prefix('$') {
                out.push('$');
                escaped
            } else if let Some((name, behind)) = reference {
                match values.get(name) {
                    Some(Some(value)) => out.push_str(value),
                    _ => out.extend(["$(", name, ")"]),
                }
                behind
            } else {
                out.push('$');
                after
            };
            if out.len() > LARGE {
                return None;
            }
        }
        out.push_str(rest);
        total += out.len();
        if total > LARGE {
            return None;
        }
        let is_literal = variable.value_from.is_none();
        values.insert(&variable.name, is_literal.then_some(out));
    }
    Some(values)
}

const LARGE: usize = 100_000;

/// An image reference: it comes out as it went in, and keeps its tag and its digest in a mirror.
pub fn images(data: &[u8]) {
    let Ok(reference) = str::from_utf8(data) else {
        return;
    };
    let image = Image::parse(reference);
    assert_eq!(image.to_string(), reference);
    let mirrored = image.in_registry("mirror.example:5000/folder");
    let expected = Image {
        registry: Some("mirror.example:5000".to_owned()),
        repository: format!("folder/{}", image.repository),
        ..image
    };
    assert_eq!(mirrored, expected);
    assert_eq!(
        Image::parse(&mirrored.to_string()),
        expected,
        "{reference:?}"
    );
}

/// A quantity: the number that its digits say, times what its suffix says.
pub fn quantities(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    // Longer ones leave the range of a float on the way, one way or the other.
    if text.len() > 100 {
        return;
    }
    let found = quantity::parse(&json!(text));
    let expected = number_of(text);
    match (found, expected) {
        (None, None) => {}
        (Some(found), Some(expected)) => {
            let is_near = (found - expected).abs() <= expected.abs() * 1e-9;
            assert!(
                found.total_cmp(&expected).is_eq() || is_near,
                "{text:?}: {found}, not {expected}"
            );
        }
        _ => panic!("{text:?}: {found:?}, not {expected:?}"),
    }
}

/// By way of a decimal text, which the standard library reads.
fn number_of(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.'));
    let (number, suffix) = text.split_at(digits.unwrap_or(text.len()));
    let unsigned = number.strip_prefix(['+', '-']).unwrap_or(number);
    let mut parts = unsigned.splitn(2, '.');
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
    if !are_digits(whole) || !are_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let decimal = |exponent: i32| format!("{number}e{exponent}").parse::<f64>().ok();
    let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(at) = suffixes.iter().position(|known| *known == suffix) {
        return decimal(3 * i32::try_from(at).ok()? - 9);
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(at) = binary.iter().position(|known| *known == suffix) {
        return Some(decimal(0)? * 1024f64.powi(i32::try_from(at).ok()? + 1));
    }
    decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok()?)
}
