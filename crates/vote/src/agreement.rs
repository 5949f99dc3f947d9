//! How often a vote of votes is the vote: a majority of majorities is not the majority.

use serde::{Deserialize, Serialize};

use crate::leakage::law_of_sum;
use crate::plain::Ties;
use crate::{Error, Result};

/// Probabilities over independent votes that are +1 with the same probability; coins of ties count as +1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Both votes are the same.
    pub same: f64,
    /// One is +1, the other -1.
    pub opposite: f64,
    /// The vote of votes is +1.
    pub two_level_plus: f64,
    /// It is 0.
    pub two_level_tie: f64,
    /// The flat vote is +1.
    pub flat_plus: f64,
    /// It is 0.
    pub flat_tie: f64,
}

/// The agreement of the vote of groups of these sizes with the flat vote, exactly: the joint law of the sum of votes and the sum of
/// the groups' votes, convolved over groups.
///
/// # Errors
/// [`Error::Value`] unless `plus` is a probability, and there are 1 to 250 users.
pub fn with_flat(sizes: &[usize], plus: f64, ties: Ties) -> Result<Agreement> {
    let (users, groups) = (sizes.iter().sum::<usize>(), sizes.len());
    if !(0.0..=1.0).contains(&plus) {
        return Err(Error::value("the probability of +1", plus, "from 0 to 1"));
    }
    if users == 0 || users > 250 || sizes.contains(&0) {
        return Err(Error::value("the number of users", users, "from 1 to 250, at least one in each group"));
    }
    // At [number of +1][sum of group votes + groups].
    let width = 2 * groups + 1;
    let mut joint = vec![0.0; (users + 1) * width];
    joint[groups] = 1.0;
    let mut done = 0;
    for &size in sizes {
        let law = law_of_sum(size, plus);
        let vote = |count: usize| ties.inner.majority(2 * count as i32 - size as i32, 1);
        let mut next = vec![0.0; joint.len()];
        for before in 0..=done {
            for (at, &probability) in joint[before * width..(before + 1) * width].iter().enumerate().filter(|(_, p)| **p > 0.0) {
                for (count, &group) in law.iter().enumerate() {
                    let place = at.wrapping_add_signed(vote(count).into());
                    next[(before + count) * width + place] += probability * group;
                }
            }
        }
        joint = next;
        done += size;
    }
    let mut agreement = Agreement::default();
    for (at, &probability) in joint.iter().enumerate() {
        let flat = ties.inner.majority(2 * (at / width) as i32 - users as i32, 1);
        let two_level = ties.outer.majority((at % width) as i32 - groups as i32, 1);
        let mut add = |place: fn(&mut Agreement) -> &mut f64, holds: bool| {
            *place(&mut agreement) += if holds { probability } else { 0.0 };
        };
        add(|a| &mut a.same, flat == two_level);
        add(|a| &mut a.opposite, flat * two_level == -1);
        add(|a| &mut a.two_level_plus, two_level == 1);
        add(|a| &mut a.two_level_tie, two_level == 0);
        add(|a| &mut a.flat_plus, flat == 1);
        add(|a| &mut a.flat_tie, flat == 0);
    }
    Ok(agreement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_enumeration() {
        let (sizes, plus) = ([4, 3, 3], 0.6f64);
        let mut same = 0.0;
        for signs in 0..1u32 << 10 {
            let ones = signs.count_ones();
            let probability = plus.powi(ones as i32) * (1.0 - plus).powi(10 - ones as i32);
            let (mut rest, mut votes) = (signs, 0);
            for size in sizes {
                votes += (2 * (rest & ((1 << size) - 1)).count_ones() as i32 - size).signum();
                rest >>= size;
            }
            same += if votes.signum() == (2 * ones as i32 - 10).signum() { probability } else { 0.0 };
        }
        let found = with_flat(&[4, 3, 3], plus, Ties::default()).unwrap();
        assert!((found.same - same).abs() < 1e-12);
    }

    #[test]
    fn one_group_always_agrees() {
        let found = with_flat(&[9], 0.3, Ties::default()).unwrap();
        assert!((found.same - 1.0).abs() < 1e-12 && found.opposite == 0.0);
        assert!(with_flat(&[3, 0], 0.5, Ties::default()).is_err() && with_flat(&[3], f64::NAN, Ties::default()).is_err());
    }
}
