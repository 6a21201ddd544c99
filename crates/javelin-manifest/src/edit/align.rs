//! Which items of two lists are the same one: where it stands, how it was, and how it is to be.

use std::collections::HashMap;

use javelin_steps as steps;
use serde_json::Value;

/// What tells an item from others: numbers stand for values, so that comparing two takes one step.
struct Item<'v> {
    value: usize,
    /// Where a variable gets its value from.
    source: Option<usize>,
    name: Option<&'v str>,
}

/// Gives equal values equal numbers.
#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Numbers {
    fn of(&mut self, value: &Value) -> usize {
        let next = self.0.len();
        let text = value.to_string();
        steps::take(text.len());
        *self.0.entry(text).or_insert(next)
    }

    fn items<'v>(&mut self, values: &'v [Value]) -> Vec<Item<'v>> {
        let items = values.iter().map(|value| Item {
            value: self.of(value),
            source: value.get("valueFrom").map(|source| self.of(source)),
            name: value.get("name").and_then(Value::as_str),
        });
        items.collect()
    }
}

/// How much two items have in common.
fn score(old: &Item<'_>, new: &Item<'_>) -> u32 {
    if old.value == new.value {
        return 4;
    }
    // A variable of another name, from the same source.
    if old.source.is_some() && old.source == new.source {
        return 3;
    }
    match (old.name, new.name) {
        (Some(old), Some(new)) if old == new => 2,
        (None, None) => 1,
        _ => 0,
    }
}

/// Pairs of items that are the same, or have the same name, in order: as many as can be.
pub(super) fn align(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let common = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    let (rows, columns) = (old.len() - common, new.len() - common);
    let mut pairs: Vec<_> = (0..common).map(|index| (index, index)).collect();
    steps::take(common);
    if rows.saturating_mul(columns) > LARGEST_TABLE {
        pairs.extend((common..old.len().min(new.len())).map(|index| (index, index)));
        return pairs;
    }
    steps::take(rows * columns);
    let mut numbers = Numbers::default();
    let old = numbers.items(old.get(common..).unwrap_or_default());
    let new = numbers.items(new.get(common..).unwrap_or_default());
    let score = |i: usize, j: usize| match (old.get(i), new.get(j)) {
        (Some(old), Some(new)) => score(old, new),
        _ => 0,
    };
    // best[i][j]: the score of what is left from there on.
    let width = columns + 1;
    let mut best = vec![0_u32; (rows + 1) * width];
    let at =
        |best: &[u32], i: usize, j: usize| best.get(i * width + j).copied().unwrap_or_default();
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            let paired = score(i, j);
            let mut value = at(&best, i + 1, j).max(at(&best, i, j + 1));
            if paired > 0 {
                value = value.max(paired + at(&best, i + 1, j + 1));
            }
            if let Some(cell) = best.get_mut(i * width + j) {
                *cell = value;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < rows && j < columns {
        let paired = score(i, j);
        if paired > 0 && at(&best, i, j) == paired + at(&best, i + 1, j + 1) {
            pairs.push((common + i, common + j));
            i += 1;
            j += 1;
        } else if at(&best, i, j) == at(&best, i + 1, j) {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Items times items that are compared.
const LARGEST_TABLE: usize = 1_000_000;
