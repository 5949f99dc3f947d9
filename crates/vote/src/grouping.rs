//! Who votes with whom: group sizes, the draw of groups from public randomness, and the coin of each coordinate.
//!
//! The draw stops an aggregator from setting its accomplices beside a victim. It does not stop the leak of visible group votes: with
//! signs that change slowly, each new grouping is a new equation about them.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::str::FromStr;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::prg::SessionId;
use crate::{Error, Result};

/// Public randomness of a round, that no single party has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Beacon(pub [u8; 32]);

impl Beacon {
    /// The beacon of what all users revealed, in ascending order of users.
    pub fn from_reveals<'a>(reveals: impl IntoIterator<Item = &'a [u8; 32]>) -> Self {
        Self(reveals.into_iter().fold(Sha256::new(), Sha256::chain_update).finalize().into())
    }

    /// The stream of a round's public randomness under a tag.
    fn stream(&self, tag: &[u8], session: SessionId, round: u32) -> PublicStream {
        let digest = Sha256::new_with_prefix(tag).chain_update(session.0).chain_update(round.to_le_bytes()).chain_update(self.0);
        PublicStream(ChaCha20::new(&digest.finalize(), &[0; 12].into()))
    }

    /// The coins of `count` coordinates, -1 or +1.
    pub fn coins(&self, session: SessionId, round: u32, count: usize) -> Vec<i8> {
        let mut bytes = vec![0; count.div_ceil(8)];
        self.stream(b"thalweg-vote coin v1", session, round).0.apply_keystream(&mut bytes);
        (0..count).map(|c| 2 * (bytes[c / 8] >> (c % 8) & 1) as i8 - 1).collect()
    }
}

/// The coins of a round, where ties take them; else ones, which are written down for no more than a chunk at a time.
pub(crate) struct Coins(Option<Vec<i8>>);

impl Coins {
    pub(crate) const fn tossed(coins: Vec<i8>) -> Self {
        Self(Some(coins))
    }

    pub(crate) const fn ones() -> Self {
        Self(None)
    }

    /// Those of some coordinates.
    pub(crate) fn of(&self, range: Range<usize>) -> Cow<'_, [i8]> {
        match &self.0 {
            Some(coins) => Cow::Borrowed(&coins[range]),
            None => Cow::Owned(vec![1; range.len()]),
        }
    }
}

struct PublicStream(ChaCha20);

impl PublicStream {
    /// A uniform number below `bound`, by rejection.
    fn below(&mut self, bound: u32) -> u32 {
        let kept = (1u64 << 32) / u64::from(bound) * u64::from(bound);
        loop {
            let mut word = [0; 4];
            self.0.apply_keystream(&mut word);
            let word = u32::from_le_bytes(word);
            if u64::from(word) < kept {
                return word % bound;
            }
        }
    }
}

/// How often groups are drawn anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Regroup {
    /// In every round.
    #[default]
    Every,
    /// Once in a session.
    Fixed,
    /// Once in so many rounds.
    After(NonZeroU32),
}

impl Regroup {
    /// The round whose draw holds in `round`.
    pub const fn drawn_in(self, round: u32) -> u32 {
        match self {
            Self::Every => round,
            Self::Fixed => 0,
            Self::After(rounds) => round - round % rounds.get(),
        }
    }
}

impl fmt::Display for Regroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("every"),
            Self::Fixed => f.write_str("fixed"),
            Self::After(rounds) => rounds.fmt(f),
        }
    }
}

impl FromStr for Regroup {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "every" => Ok(Self::Every),
            "fixed" => Ok(Self::Fixed),
            _ => text.parse().map(Self::After).map_err(|_| {
                Error::value("regroup", text, "every, fixed, or after how many rounds groups are drawn anew, at least 1")
            }),
        }
    }
}

impl TryFrom<String> for Regroup {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Regroup> for String {
    fn from(regroup: Regroup) -> Self {
        regroup.to_string()
    }
}

/// The sizes of the groups of about `target` members: `max(1, floor(users / target))` groups that differ by at most 1, large ones
/// first.
///
/// # Errors
/// [`Error::Value`] for a target of 0.
pub fn sizes(users: usize, target: usize) -> Result<Vec<usize>> {
    let groups = users.checked_div(target).ok_or_else(|| Error::value("the group size", target, "at least 1"))?.max(1);
    Ok(equal_sizes(users, groups))
}

fn equal_sizes(users: usize, groups: usize) -> Vec<usize> {
    (0..groups).map(|group| users / groups + usize::from(group < users % groups)).collect()
}

/// The groups of a round: the users' places `0..users`, shuffled by the beacon and cut, each group ascending.
///
/// # Errors
/// [`Error::Value`] unless there are at least as many users as groups and at least one group.
pub fn draw(beacon: &Beacon, session: SessionId, round: u32, users: usize, groups: usize) -> Result<Vec<Vec<u16>>> {
    if groups == 0 || groups > users || users > usize::from(u16::MAX) {
        return Err(Error::value("the number of groups", groups, &format!("from 1 to the number of users, {users}")));
    }
    let mut stream = beacon.stream(b"thalweg-vote group v1", session, round);
    let mut order: Vec<u16> = (0..users as u16).collect();
    for i in (1..users).rev() {
        order.swap(i, stream.below(i as u32 + 1) as usize);
    }
    let mut rest = order.into_iter();
    let cut = |size: usize| {
        let mut group: Vec<u16> = rest.by_ref().take(size).collect();
        group.sort_unstable();
        group
    };
    Ok(equal_sizes(users, groups).into_iter().map(cut).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_add_up_and_differ_by_one() {
        for users in 1..60 {
            for target in 1..=users {
                let sizes = sizes(users, target).unwrap();
                assert_eq!(sizes.iter().sum::<usize>(), users);
                assert!(sizes[0] - sizes[sizes.len() - 1] <= 1 && sizes[sizes.len() - 1] >= target.min(users));
            }
        }
        assert_eq!(sizes(7, 3).unwrap(), [4, 3]);
        assert_eq!(sizes(5, 9).unwrap(), [5]);
        assert!(sizes(5, 0).is_err());
    }

    #[test]
    fn a_draw_is_uniform_over_pairs() {
        // User 0 meets user 1 in a group of 3 of 9 with probability 1/4. Over 4,000 rounds the count is 1,000 +- 27.4 (one sd);
        // 4.5 sd give a false alarm once in 147,000.
        let (beacon, session) = (Beacon([7; 32]), SessionId([1; 16]));
        let met = (0..4_000)
            .filter(|&round| draw(&beacon, session, round, 9, 3).unwrap().iter().any(|group| group.starts_with(&[0, 1])))
            .count();
        assert!((met as f64 - 1_000.0).abs() < 123.0, "{met}");
    }

    #[test]
    fn a_draw_holds_as_long_as_was_agreed() {
        let drawn = |regroup: &str| [0, 1, 2, 3, 5, 6, u32::MAX].map(|round| regroup.parse::<Regroup>().unwrap().drawn_in(round));
        assert_eq!(drawn("every"), [0, 1, 2, 3, 5, 6, u32::MAX]);
        assert_eq!(drawn("fixed"), [0; 7]);
        assert_eq!(drawn("3"), [0, 0, 0, 3, 3, 6, u32::MAX]);
        assert_eq!(drawn("1"), drawn("every"));
        for wrong in ["0", "-1", "often", "", "4294967296"] {
            assert!(wrong.parse::<Regroup>().unwrap_err().to_string().contains("every, fixed"), "{wrong}");
        }
    }

    #[test]
    fn impossible_groups_are_refused() {
        let draw = |users, groups| draw(&Beacon([0; 32]), SessionId([0; 16]), 0, users, groups);
        assert!(draw(3, 0).is_err() && draw(3, 4).is_err() && draw(0, 1).is_err() && draw(1, 1).is_ok());
    }
}
