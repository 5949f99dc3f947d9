//! What a user may say: `-1` or `+1`, or also `0`.

use serde::{Deserialize, Serialize};

use crate::{Error, Field, Result};

/// The values of a single vote, and with them the sums that n users can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// `-1` or `+1`: the sums of n votes are `-n, -n+2, ..., n`.
    #[default]
    Binary,
    /// `-1`, `0` or `+1`: the sums are `-n..=n`.
    Ternary,
}

impl Domain {
    /// The sums that `voters` votes can reach, ascending.
    pub fn sums(self, voters: usize) -> impl Iterator<Item = i32> {
        let (most, step) = match self {
            Self::Binary => (voters as i32, 2),
            Self::Ternary => (voters as i32, 1),
        };
        (-most..=most).step_by(step)
    }

    /// Whether `voters` votes can add up to zero.
    pub const fn can_tie(self, voters: usize) -> bool {
        matches!(self, Self::Ternary) || voters.is_multiple_of(2)
    }

    /// The smallest field that tells all sums apart: `p > n` and `p > 2`, in the ternary domain `p > 2n`.
    ///
    /// # Errors
    /// [`Error::Value`] without voters, for more than 250 of them, and in the ternary domain for more than 125.
    pub fn field(self, voters: usize) -> Result<Field> {
        let (sums, most) = match self {
            // One vote alone needs 3 elements: in F_2, -1 is +1.
            Self::Binary => (voters.max(2), 250),
            Self::Ternary => (voters.saturating_mul(2), 125),
        };
        if voters == 0 || voters > most {
            let expected = format!("from 1 to {most}, so that the field fits one byte");
            return Err(Error::value("the number of voters", voters, &expected));
        }
        Field::above(sums)
    }

    /// Whether a field tells all sums of `voters` votes apart.
    pub fn is_separated_by(self, field: Field, voters: usize) -> bool {
        self.field(voters).is_ok_and(|smallest| field.order() >= smallest.order())
    }

    /// Whether a vote belongs to the domain.
    pub const fn contains(self, vote: i8) -> bool {
        matches!((self, vote), (_, -1 | 1) | (Self::Ternary, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_separates_the_sums_exactly_if_they_are_distinct_residues() {
        for domain in [Domain::Binary, Domain::Ternary] {
            for voters in 1..=125 {
                for order in 2..=251 {
                    let Ok(field) = Field::new(order) else { continue };
                    let mut seen = [false; 251];
                    let distinct =
                        domain.sums(voters).all(|sum| !std::mem::replace(&mut seen[usize::from(field.element(sum))], true));
                    assert_eq!(domain.is_separated_by(field, voters), distinct, "{domain:?} {voters} {order}");
                }
            }
        }
    }

    #[test]
    fn too_many_voters_and_none_are_refused() {
        assert!(Domain::Binary.field(250).is_ok() && Domain::Binary.field(251).is_err());
        assert!(Domain::Ternary.field(125).is_ok() && Domain::Ternary.field(126).is_err());
        assert!(Domain::Binary.field(0).is_err() && Domain::Ternary.field(usize::MAX).is_err());
    }

    #[test]
    fn sums_by_brute_force() {
        assert_eq!(Domain::Binary.sums(3).collect::<Vec<_>>(), [-3, -1, 1, 3]);
        assert_eq!(Domain::Ternary.sums(2).collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
        assert!(Domain::Binary.can_tie(2) && !Domain::Binary.can_tie(3) && Domain::Ternary.can_tie(3));
    }
}
