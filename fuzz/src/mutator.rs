//! Changes to inputs: the same for the same seed.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// Words that mean something to some target: also libFuzzer's dictionary.
const DICTIONARY: &str = include_str!("../words.dict");

/// A source of numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The same for the same seed.
    pub fn from(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) >> 1).unwrap_or(0) % end.max(1)
    }

    /// One of them.
    pub fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn word(&mut self) -> String {
        self.one_of(&WORDS)
    }
}

/// The words of the dictionary.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let quoted = DICTIONARY.lines().filter(|line| line.starts_with('"'));
    quoted
        .map(|line| {
            let word = line.trim_matches('"');
            word.replace("\\x0a", "\n").replace("\\x0d", "\r")
        })
        .collect()
});

/// One to four changes to some bytes; `other` is what pieces may come from.
pub fn change(data: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::from(seed);
    let mut changed = data.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(changed.len() + 1);
        let end = at + numbers.below((changed.len() - at).min(32) + 1);
        match numbers.below(6) {
            0 if at < changed.len() => changed[at] ^= 1 << numbers.below(8),
            1 => drop(changed.drain(at..end)),
            2 => {
                let piece = changed[at..end].to_vec();
                changed.splice(at..at, piece);
            }
            3 => {
                let start = numbers.below(other.len() + 1);
                let length = numbers.below((other.len() - start).min(200) + 1);
                changed.splice(at..end, other[start..start + length].iter().copied());
            }
            4 => {
                let byte = numbers.one_of(b"\0\t\n\r \"'#$()-:@[]{}|>&*!%,=\x7f\xff");
                changed.insert(at, byte);
            }
            _ => drop(changed.splice(at..end, numbers.word().into_bytes())),
        }
    }
    changed
}

/// One to three changes to the values of a JSON text; `None` if it is none.
pub fn change_json(data: &[u8], seed: u64) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(data).ok()?;
    let mut numbers = Numbers::from(seed);
    for _ in 0..=numbers.below(3) {
        change_value(&mut value, &mut numbers);
    }
    Some(value.to_string().into_bytes())
}

/// One change to a value, somewhere in it.
pub fn change_value(root: &mut Value, numbers: &mut Numbers) {
    let donor = somewhere(root, numbers).clone();
    let place = somewhere(root, numbers);
    match place {
        Value::Object(map) => change_object(map, donor, numbers),
        Value::Array(items) => change_array(items, donor, numbers),
        Value::String(text) if numbers.below(4) > 0 => *text = change_text(text, numbers),
        other => *other = leaf(donor, numbers),
    }
}

fn change_object(map: &mut Map<String, Value>, donor: Value, numbers: &mut Numbers) {
    let key = map.keys().nth(numbers.below(map.len())).cloned();
    match (numbers.below(4), key) {
        (0, Some(key)) => drop(map.remove(&key)),
        (1, Some(key)) => {
            let value = map.remove(&key).unwrap_or_default();
            map.insert(change_text(&key, numbers), value);
        }
        (2, Some(key)) => drop(map.insert(key, leaf(donor, numbers))),
        _ => drop(map.insert(numbers.word(), leaf(donor, numbers))),
    }
}

fn change_array(items: &mut Vec<Value>, donor: Value, numbers: &mut Numbers) {
    let at = numbers.below(items.len() + 1);
    match numbers.below(4) {
        0 if at < items.len() => drop(items.remove(at)),
        1 if at < items.len() => items.insert(at, items[at].clone()),
        2 if at < items.len() => {
            let last = items.len() - 1;
            items.swap(at, last);
        }
        _ => items.insert(at, leaf(donor, numbers)),
    }
}

fn change_text(text: &str, numbers: &mut Numbers) -> String {
    let word = numbers.word();
    let at = text.floor_char_boundary(numbers.below(text.len() + 1));
    let (before, behind) = text.split_at(at);
    match numbers.below(7) {
        0 => word,
        1 => format!("{text}{word}"),
        2 => format!("{word}{text}"),
        3 => format!("{before}{word}{behind}"),
        4 => before.to_owned(),
        5 => format!(
            "{before}{}{behind}",
            numbers.one_of(&['\'', '"', '$', ' ', '\n', '\t', 'ü', '\u{85}', '#', ':'])
        ),
        _ => format!("{text} {text}"),
    }
}

fn leaf(donor: Value, numbers: &mut Numbers) -> Value {
    match numbers.below(10) {
        0 => Value::Null,
        1 => json!({}),
        2 => json!([]),
        3 => json!(numbers.one_of(&[0, 1, -1, 8080, i64::MAX, i64::MIN])),
        4 => json!(1.5),
        5 => json!(true),
        6 => json!(numbers.word()),
        7 => json!(""),
        _ => donor,
    }
}

/// Goes down for a while: each step into one of the members.
fn somewhere<'a>(value: &'a mut Value, numbers: &mut Numbers) -> &'a mut Value {
    let length = match &*value {
        Value::Object(map) => map.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if length == 0 || numbers.below(5) == 0 {
        return value;
    }
    let at = numbers.below(length);
    let member = match value {
        Value::Object(map) => map.values_mut().nth(at),
        Value::Array(items) => items.get_mut(at),
        _ => None,
    };
    match member {
        Some(member) => somewhere(member, numbers),
        None => unreachable!("there are {length} members"),
    }
}
