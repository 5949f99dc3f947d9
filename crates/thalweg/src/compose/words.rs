//! Texts as token sequences without a learnt vocabulary.
//!
//! A vocabulary counted on private texts would itself reveal something of them. Hashing (Weinberger et al., arXiv 0902.2206) gives
//! each word a token that depends on the word alone; some words share one.

/// Stands for a text without words.
const NOTHING: u32 = 0;

/// The first `length` words of a text as tokens from 1 to `vocabulary - 1`, padded to `length`, and how many are real: at least 1.
///
/// A word is a run of letters, digits and apostrophes, in lower case.
pub(crate) fn hashed_words(text: &str, vocabulary: usize, length: usize, tokens: &mut Vec<u32>) -> usize {
    let start = tokens.len();
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    tokens.extend(words.take(length).map(|word| token(&word.to_lowercase(), vocabulary)));
    if tokens.len() == start {
        tokens.push(NOTHING);
    }
    let real = tokens.len() - start;
    tokens.resize(start + length, NOTHING);
    real
}

fn token(word: &str, vocabulary: usize) -> u32 {
    let hash = u64::from_le_bytes(*blake3::hash(word.as_bytes()).as_bytes().first_chunk().expect("a hash has 32 bytes"));
    let words = (vocabulary as u64).saturating_sub(1).max(1);
    (hash % words + 1).min(vocabulary as u64 - 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(text: &str, vocabulary: usize, length: usize) -> (Vec<u32>, usize) {
        let mut tokens = Vec::new();
        let real = hashed_words(text, vocabulary, length, &mut tokens);
        (tokens, real)
    }

    #[test]
    fn equal_words_have_equal_tokens_whatever_stands_around_them() {
        let (tokens, real) = hashed("Don't panic. PANIC! (don't)", 10_000, 6);
        assert_eq!(real, 4);
        assert_eq!((tokens[0], tokens[1]), (tokens[3], tokens[2]));
        assert_ne!(tokens[0], tokens[1]);
        assert_eq!(tokens[4..], [NOTHING, NOTHING]);
    }

    #[test]
    fn long_empty_and_foreign_texts() {
        assert_eq!(hashed("one two three four", 50, 2).1, 2);
        assert_eq!(hashed(" ... ", 50, 3), (vec![NOTHING; 3], 1));
        assert_eq!(hashed("плёс 河谷线", 50, 3).1, 2);
        for vocabulary in [1, 2, 3] {
            assert!(hashed("a b c d e f", vocabulary, 6).0.iter().all(|token| (*token as usize) < vocabulary));
        }
    }

    #[test]
    fn tokens_spread_evenly_over_the_vocabulary() {
        let text: String = (0..20_000).map(|i| format!("word{i} ")).collect();
        let (tokens, _) = hashed(&text, 101, 20_000);
        let mut counts = [0.0f64; 101];
        tokens.iter().for_each(|token| counts[*token as usize] += 1.0);
        assert_eq!(counts[0], 0.0, "0 is kept for padding");
        // Chi square with 99 degrees of freedom: above 180 with probability 1e-6.
        let statistic: f64 = counts[1..].iter().map(|count| (count - 200.0).powi(2) / 200.0).sum();
        assert!(statistic < 180.0, "{statistic}");
    }
}
