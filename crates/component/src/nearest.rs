//! The name that a misspelt one was probably meant to be.

/// The nearest of the names, if it differs in no more than a third of the letters, or one.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wanted.chars().count() / 3).max(1);
    let near = names.map(|name| (distance(wanted, name), name));
    near.filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// How many letters must be put in, left out or replaced (Levenshtein 1965).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, letter) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (column, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_book() {
        let known = [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3)];
        let known = known.into_iter().chain([("flaw", "lawn", 2), ("PATH", "path", 0)]);
        for (a, b, edits) in known {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn what_is_too_far_is_not_meant() {
        let names = ["path", "prefix", "follow"];
        let found = |wanted| nearest(wanted, names.into_iter());
        assert_eq!(found("prefx"), Some("prefix"));
        assert_eq!(found("paht"), None);
        assert_eq!(found("pat"), Some("path"));
        assert_eq!(found("folow"), Some("follow"));
        assert_eq!(found("colour"), None);
    }
}
