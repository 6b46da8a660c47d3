//! Finds the name that a misspelt one was probably meant to be.

/// The nearest of `names` to `wanted` without regard to case, or `None` if all
/// of them differ in more than a third of the letters (at least one).
pub(crate) fn nearest<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().collect();
    let limit = (wanted.len() / 3).max(1);
    names
        .into_iter()
        .map(|name| {
            let letters: Vec<char> = name.to_lowercase().chars().collect();
            (distance(&wanted, &letters), name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The edit distance, in which swapping two neighbours counts as one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    // Row i holds the distances from the first i letters of `a` to each prefix
    // of `b`. A swap looks two rows back.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differ = usize::from(a[i - 1] != b[j - 1]);
            let mut edits = (last[j - 1] + differ).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits = edits.min(before[j - 2] + 1);
            }
            row[j] = edits;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(a: &str, b: &str) -> usize {
        let letters = |s: &str| s.chars().collect::<Vec<_>>();
        distance(&letters(a), &letters(b))
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(edits("", ""), 0);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("price", "price"), 0);
        assert_eq!(edits("prise", "price"), 1);
        assert_eq!(edits("prcie", "price"), 1);
        assert_eq!(edits("pric", "price"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn nearest_takes_the_closest_name_within_the_limit() {
        let names = ["check", "price", "prize", "ship"];
        assert_eq!(nearest("prixe", names), Some("price"));
        assert_eq!(nearest("prizee", names), Some("prize"));
        assert_eq!(nearest("PRICE", names), Some("price"));
        assert_eq!(nearest("sh", ["ship", "sho"]), Some("sho"));
        assert_eq!(nearest("deliver", names), None);
        assert_eq!(nearest("price", []), None);
    }
}
