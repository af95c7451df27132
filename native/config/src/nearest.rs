//! "Did you mean": the nearest of a few names.

/// Most edits between a typo and its key.
const EDITS_MAX: usize = 4;

/// The candidate with the fewest edits from `word`: at most [`EDITS_MAX`], and at most half of the word.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let bound = EDITS_MAX.min(word.chars().count().div_ceil(2));
    candidates
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }

    #[test]
    fn takes_the_nearest_and_nothing_far() {
        let keys = ["entry_threshold", "exit_threshold", "lookback_period"];
        assert_eq!(
            nearest("entry_treshold", keys.into_iter()),
            Some("entry_threshold")
        );
        assert_eq!(nearest("colour", keys.into_iter()), None);
    }
}
