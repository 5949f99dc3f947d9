//! What a published vote says about one user's sign, whatever the protocol: exactly, for uniform independent votes.

use serde::{Deserialize, Serialize};

use crate::plain::Ties;
use crate::{Error, Result, Tie};

/// What a vote reveals about one honest user's sign.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leakage {
    /// The mutual information of the sign and the vote, given the colluders' signs, in bits.
    pub bits: f64,
    /// The probability that the sign becomes certain.
    pub certain: f64,
}

/// Probabilities of the vote -1, 0, +1.
type VoteLaw = [f64; 3];

/// The law of the sum of `votes` uniform signs, at `-votes, -votes + 2, ..., votes`.
pub(crate) fn law_of_sum(votes: usize, plus: f64) -> Vec<f64> {
    let mut law = vec![1.0];
    for _ in 0..votes {
        let mut next = vec![0.0; law.len() + 1];
        for (at, &probability) in law.iter().enumerate() {
            next[at] += probability * (1.0 - plus);
            next[at + 1] += probability * plus;
        }
        law = next;
    }
    law
}

/// The law of the majority of `known` and `others` uniform signs.
fn law_of_vote(known: i32, others: usize, tie: Tie, coin: i8) -> VoteLaw {
    let mut law = [0.0; 3];
    for (at, probability) in law_of_sum(others, 0.5).into_iter().enumerate() {
        let sum = known + 2 * at as i32 - others as i32;
        law[(tie.majority(sum, coin) + 1) as usize] += probability;
    }
    law
}

/// Information and certainty of a uniform sign from the vote's laws under either sign.
fn of_laws(plus: VoteLaw, minus: VoteLaw) -> Leakage {
    let mut leakage = Leakage { bits: 0.0, certain: 0.0 };
    for (plus, minus) in plus.into_iter().zip(minus) {
        let mean = 0.5 * (plus + minus);
        let term = |probability: f64| if probability > 0.0 { 0.5 * probability * (probability / mean).log2() } else { 0.0 };
        leakage.bits += term(plus) + term(minus);
        if plus * minus == 0.0 {
            leakage.certain += mean;
        }
    }
    leakage
}

impl Leakage {
    fn add(&mut self, weight: f64, other: Self) {
        self.bits += weight * other.bits;
        self.certain += weight * other.certain;
    }
}

/// What the vote of `voters` users reveals about one of them to `colluders` others, together with whoever sees the vote.
///
/// ```
/// use thalweg_vote::{Tie, leakage};
///
/// let flat = leakage::of_vote(24, 0, Tie::Zero)?;
/// let group = leakage::of_vote(3, 0, Tie::Zero)?;
/// assert!((flat.bits - 0.0225).abs() < 5e-5 && (group.bits / flat.bits - 8.4).abs() < 0.05);
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] unless there are 1 to 250 voters, and fewer colluders than voters.
pub fn of_vote(voters: usize, colluders: usize, tie: Tie) -> Result<Leakage> {
    check_voters(voters)?;
    if colluders >= voters {
        return Err(Error::value("the number of colluders", colluders, &format!("below the number of voters, {voters}")));
    }
    let others = voters - 1 - colluders;
    let mut leakage = Leakage { bits: 0.0, certain: 0.0 };
    for (at, probability) in law_of_sum(colluders, 0.5).into_iter().enumerate() {
        let known = 2 * at as i32 - colluders as i32;
        // A coin is public, and as often up as down.
        for coin in [-1, 1] {
            let law = |sign: i32| law_of_vote(known + sign, others, tie, coin);
            leakage.add(0.5 * probability, of_laws(law(1), law(-1)));
        }
    }
    Ok(leakage)
}

/// What a vote of votes reveals about a member of the first group, where no group's vote is seen.
///
/// # Errors
/// [`Error::Value`] without groups, or for more than 250 users.
pub fn of_sealed_vote(sizes: &[usize], ties: Ties) -> Result<Leakage> {
    check_voters(sizes.iter().sum())?;
    let (first, others) = sizes.split_first().ok_or_else(|| Error::value("the number of groups", 0, "at least 1"))?;
    let mut leakage = Leakage { bits: 0.0, certain: 0.0 };
    for coin in [-1, 1] {
        let rest = others.iter().fold(vec![1.0], |law, &size| {
            let group = law_of_vote(0, size, ties.inner, coin);
            let mut next = vec![0.0; law.len() + 2];
            for (at, probability) in law.iter().enumerate() {
                (0..3).for_each(|vote| next[at + vote] += probability * group[vote]);
            }
            next
        });
        let law = |sign: i32| {
            let own = law_of_vote(sign, first - 1, ties.inner, coin);
            let mut law = [0.0; 3];
            for (at, probability) in rest.iter().enumerate() {
                for (vote, own) in (-1..=1).zip(own) {
                    let sum = at as i32 - others.len() as i32 + vote;
                    law[(ties.outer.majority(sum, coin) + 1) as usize] += probability * own;
                }
            }
            law
        };
        leakage.add(0.5, of_laws(law(1), law(-1)));
    }
    Ok(leakage)
}

/// The probability that an observer of `rounds` votes of `voters` users errs about one user's sign, if that sign is always the same,
/// all others are drawn afresh, and the observer takes the more frequent vote (half an error where both are as frequent).
///
/// # Errors
/// As [`of_vote`].
pub fn error_over_rounds(voters: usize, rounds: usize, tie: Tie) -> Result<f64> {
    check_voters(voters)?;
    let law = law_of_vote(1, voters - 1, tie, 1);
    let mut sums = vec![1.0];
    for _ in 0..rounds {
        let mut next = vec![0.0; sums.len() + 2];
        for (at, probability) in sums.iter().enumerate() {
            (0..3).for_each(|vote| next[at + vote] += probability * law[vote]);
        }
        sums = next;
    }
    Ok(sums[..rounds].iter().sum::<f64>() + 0.5 * sums[rounds])
}

fn check_voters(voters: usize) -> Result<()> {
    if (1..=250).contains(&voters) { Ok(()) } else { Err(Error::value("the number of voters", voters, "from 1 to 250")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By enumeration of all signs.
    fn by_enumeration(voters: usize, colluders: usize, tie: Tie) -> Leakage {
        let mut leakage = Leakage { bits: 0.0, certain: 0.0 };
        let sum = |signs: u32, count: usize| 2 * (signs & ((1 << count) - 1)).count_ones() as i32 - count as i32;
        for known in 0..1u32 << colluders {
            let others = voters - 1 - colluders;
            let law = |sign: i32| {
                let mut law = [0.0; 3];
                for signs in 0..1u32 << others {
                    let vote = tie.majority(sign + sum(known, colluders) + sum(signs, others), 1);
                    law[(vote + 1) as usize] += 1.0 / f64::from(1u32 << others);
                }
                law
            };
            leakage.add(1.0 / f64::from(1u32 << colluders), of_laws(law(1), law(-1)));
        }
        leakage
    }

    #[test]
    fn convolution_and_enumeration_agree() {
        for (voters, colluders) in [(1, 0), (2, 0), (2, 1), (3, 1), (6, 2), (9, 4), (12, 0)] {
            for tie in [Tie::Zero, Tie::Plus] {
                let (fast, slow) = (of_vote(voters, colluders, tie).unwrap(), by_enumeration(voters, colluders, tie));
                assert!((fast.bits - slow.bits).abs() < 1e-12 && (fast.certain - slow.certain).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn rounds_to_all_printed_digits() {
        let table = [(3, [0.25, 0.1035, 0.0343, 0.0064, 0.0001]), (4, [0.3125, 0.1283, 0.0446, 0.0092, 0.0001])];
        let table = table.into_iter().chain([(24, [0.4194, 0.3453, 0.2784, 0.2082, 0.1026])]);
        for (voters, expected) in table {
            for (rounds, expected) in [1, 5, 11, 21, 51].into_iter().zip(expected) {
                let error = error_over_rounds(voters, rounds, Tie::Zero).unwrap();
                assert!((error - expected).abs() < 5.01e-5, "{voters} {rounds}: {error}");
            }
        }
    }

    #[test]
    fn a_sealed_group_of_one_level_is_the_flat_vote() {
        let ties = Ties::default();
        let flat = of_vote(7, 0, Tie::Zero).unwrap();
        let sealed = of_sealed_vote(&[7], ties).unwrap();
        assert!((flat.bits - sealed.bits).abs() < 1e-14);
        // Two levels say less about a member than its group's vote does.
        assert!(of_sealed_vote(&[3; 8], ties).unwrap().bits < of_vote(3, 0, Tie::Zero).unwrap().bits / 5.0);
    }

    #[test]
    fn impossible_numbers_are_refused() {
        assert!(of_vote(3, 3, Tie::Zero).is_err() && of_vote(0, 0, Tie::Zero).is_err() && of_vote(251, 0, Tie::Zero).is_err());
        assert!(of_sealed_vote(&[], Ties::default()).is_err());
    }
}
