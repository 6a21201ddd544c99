//! What somebody may have meant by a word that is none of the known ones.

/// The known word that was probably meant, if one is near enough.
pub fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, nearest) = nearest(word, known)?;
    (distance <= nearest.len() / 3).then_some(nearest)
}

/// The known word that takes the fewest letters to be added, left out or exchanged, and how many; `None` without any.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<(usize, &'a str)> {
    let distances = known.iter().map(|known| (distance(word, known), *known));
    distances.min()
}

/// How many letters have to be added, left out or exchanged (Levenshtein); upper and lower case are the same.
pub fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.bytes().enumerate() {
        // What the row above holds to the upper left, and what this row holds to the left.
        let (mut diagonal, mut left) = (at, at + 1);
        for (cell, b) in row.iter_mut().skip(1).zip(other.bytes()) {
            let exchanged = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *cell;
            left = exchanged.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.last()
        .copied()
        .unwrap_or_default()
        .max(one.len().saturating_sub(other.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("true", "ture", 2),
            ("true", "TRUE", 0),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_needs_the_fewest_changes() {
        assert_eq!(nearest("warning", &["error", "warn"]), Some((3, "warn")));
        assert_eq!(nearest("warn", &[]), None);
        assert_eq!(meant("warning", &["error", "warn"]), None);
        assert_eq!(meant("consol", &["none", "console"]), Some("console"));
    }
}
