//! Names near to one that was not found, for error messages.

/// The `count` candidates with the least edit distance to `name`, nearest first.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<String> {
    let mut ranked: Vec<(usize, &str)> = candidates.into_iter().map(|other| (distance(name, other), other)).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(count).map(|(_, other)| other.to_owned()).collect()
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn nearest_first() {
        assert_eq!(nearest("digit", ["imdb", "digits", "cifar10"], 2), ["digits", "imdb"]);
    }
}
