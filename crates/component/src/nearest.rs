//! The name that a misspelt one was probably meant to be.

/// The nearest of the names, if it differs in no more than a third of the letters, or one.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wanted.chars().count() / 3).max(1);
    let near = names.map(|name| (distance(wanted, name), name));
    near.filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// How many letters must be put in, left out, replaced, or swapped with the next one: the optimal string alignment
/// (Boytsov 2011, section 2.2), over three rows of its table.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut least = replaced.min(last[column + 1] + 1).min(now[column] + 1);
            if row > 0 && column > 0 && *letter == b[column - 1] && a[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            now.push(least);
        }
        before = std::mem::replace(&mut last, now);
    }
    last[b.len()]
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
        assert_eq!(found("paht"), Some("path"));
        assert_eq!(found("ptah2"), None);
        assert_eq!(found("pat"), Some("path"));
        assert_eq!(found("folow"), Some("follow"));
        assert_eq!(found("colour"), None);
    }
}
