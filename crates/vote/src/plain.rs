//! The votes in clear: what every secure vote must equal, bit for bit.

use crate::{Error, Result, Tie};

/// The tie policies of the two levels of a vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ties {
    /// Within a group.
    pub inner: Tie,
    /// Among the groups' votes.
    pub outer: Tie,
}

/// The sum of votes in each coordinate; users with fewer coordinates than the first are refused.
fn sums<'a>(votes: impl IntoIterator<Item = &'a [i8]>) -> Result<Vec<i32>> {
    let mut votes = votes.into_iter();
    let first = votes.next().ok_or_else(|| Error::value("the number of voters", 0, "at least 1"))?;
    let mut sums: Vec<i32> = first.iter().map(|&vote| i32::from(vote)).collect();
    for vote in votes {
        if vote.len() != sums.len() {
            return Err(Error::value(
                "the number of coordinates of a user",
                vote.len(),
                &format!("{}, as of the first", sums.len()),
            ));
        }
        for (sum, &vote) in sums.iter_mut().zip(vote) {
            *sum += i32::from(vote);
        }
    }
    Ok(sums)
}

/// The majority of votes in each coordinate. `coins` matter for [`Tie::Coin`] alone.
///
/// # Errors
/// [`Error::Value`] without voters, or if they disagree about the number of coordinates.
///
/// ```
/// use thalweg_vote::{Tie, plain};
///
/// let votes: [&[i8]; 2] = [&[1, 1, -1], &[1, -1, -1]];
/// assert_eq!(plain::flat(votes, Tie::Zero, &[1; 3])?, [1, 0, -1]);
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
pub fn flat<'a>(votes: impl IntoIterator<Item = &'a [i8]>, tie: Tie, coins: &[i8]) -> Result<Vec<i8>> {
    let sums = sums(votes)?;
    if tie == Tie::Coin && coins.len() != sums.len() {
        return Err(Error::value("the number of coins", coins.len(), &format!("{}, one for each coordinate", sums.len())));
    }
    let coins = coins.iter().copied().chain(std::iter::repeat(1));
    Ok(sums.iter().zip(coins).map(|(&sum, coin)| tie.majority(sum, coin)).collect())
}

/// A vote of votes: the groups' votes, and their majority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoLevel {
    /// The vote of each group.
    pub groups: Vec<Vec<i8>>,
    /// The majority of them.
    pub vote: Vec<i8>,
}

/// The majority of the groups' majorities; `groups` name users by their place in `votes`.
///
/// # Errors
/// As [`flat`]; also for a member that does not exist.
pub fn two_level(votes: &[Vec<i8>], groups: &[Vec<u16>], ties: Ties, coins: &[i8]) -> Result<TwoLevel> {
    let of_group = |group: &Vec<u16>| {
        let members: Result<Vec<&[i8]>> = group
            .iter()
            .map(|&user| {
                let vote = votes.get(usize::from(user)).map(Vec::as_slice);
                vote.ok_or_else(|| Error::value("a member", user, &format!("below the number of users, {}", votes.len())))
            })
            .collect();
        flat(members?, ties.inner, coins)
    };
    let groups: Vec<Vec<i8>> = groups.iter().map(of_group).collect::<Result<_>>()?;
    let vote = flat(groups.iter().map(Vec::as_slice), ties.outer, coins)?;
    Ok(TwoLevel { groups, vote })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_majorities_is_not_the_majority() {
        let votes: Vec<Vec<i8>> = [1, 1, -1, 1, 1, -1, -1, -1, -1].map(|vote| vec![vote]).to_vec();
        let groups = [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]];
        let two_level = two_level(&votes, &groups, Ties::default(), &[]).unwrap();
        assert_eq!((two_level.vote, two_level.groups), (vec![1], vec![vec![1], vec![1], vec![-1]]));
        assert_eq!(flat(votes.iter().map(Vec::as_slice), Tie::Zero, &[]).unwrap(), [-1]);
    }

    #[test]
    fn votes_that_do_not_fit_are_refused() {
        let none: [&[i8]; 0] = [];
        assert!(flat(none, Tie::Zero, &[]).is_err());
        assert!(flat([&[1i8][..], &[1, 1][..]], Tie::Zero, &[]).is_err());
        assert!(flat([&[1i8][..]], Tie::Coin, &[]).is_err());
        assert!(two_level(&[vec![1]], &[vec![1]], Ties::default(), &[]).is_err());
    }
}
