//! From a gradient to votes.

use crate::prg::{Context, Purpose, Seed, SessionId, Suite};
use crate::{Domain, Error, Result};

/// What a user votes where its gradient is zero. A fixed +1 would drift dead coordinates.
#[derive(Clone, Debug)]
pub enum ZeroVote {
    /// A coin of the user's own, drawn from this seed in this round.
    Random {
        /// The user's own seed, shared with nobody.
        seed: Seed,
        /// The round.
        round: u32,
    },
    /// +1.
    Plus,
    /// 0, which needs the ternary domain.
    Abstain,
}

/// The votes of a gradient: +1 above zero, -1 below.
///
/// # Errors
/// [`Error::NotFinite`] with the coordinate of the first NaN or infinity.
///
/// ```
/// use thalweg_vote::signs::{ZeroVote, of_gradient};
///
/// assert_eq!(of_gradient(&[0.5, -2.0, -0.0], &ZeroVote::Abstain)?, [1, -1, 0]);
/// assert!(of_gradient(&[f32::NAN], &ZeroVote::Plus).is_err());
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
pub fn of_gradient(gradient: &[f32], zero: &ZeroVote) -> Result<Vec<i8>> {
    if let Some(index) = gradient.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite { index, value: gradient[index] });
    }
    let mut votes = match zero {
        ZeroVote::Plus => vec![1; gradient.len()],
        ZeroVote::Abstain => vec![0; gradient.len()],
        ZeroVote::Random { seed, round } => {
            let context = Context { round: *round, attempt: 0, group: 0, user: 0 };
            let mut coins = vec![0; gradient.len()];
            seed.derive(SessionId([0; 16]), Purpose::Own, context).expand_signs(Suite::ChaCha20, 0, 0, &mut coins);
            coins
        }
    };
    for (vote, value) in votes.iter_mut().zip(gradient) {
        let sign = i8::from(*value > 0.0) - i8::from(*value < 0.0);
        // Arithmetic, not a branch: which coordinates are zero is the user's secret.
        *vote = sign + *vote * (1 - sign * sign);
    }
    Ok(votes)
}

/// Checks that all votes belong to the domain.
///
/// # Errors
/// [`Error::Vote`] with the first coordinate that does not.
pub fn check(votes: &[i8], domain: Domain) -> Result<()> {
    match votes.iter().position(|&vote| !domain.contains(vote)) {
        None => Ok(()),
        Some(index) => Err(Error::Vote { index, vote: votes[index], domain }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_fall_on_both_sides_and_repeat_with_their_seed_and_round() {
        let random = |round| ZeroVote::Random { seed: Seed::from_bytes([3; 32]), round };
        let zeros = vec![0.0; 10_000];
        let votes = of_gradient(&zeros, &random(1)).unwrap();
        // 5,000 +- 50 (one sd); 5 sd give a false alarm once in 1.7 million.
        let plus = votes.iter().filter(|&&vote| vote == 1).count();
        assert!(votes.iter().all(|vote| vote.abs() == 1) && plus.abs_diff(5_000) < 250, "{plus}");
        assert_eq!(votes, of_gradient(&zeros, &random(1)).unwrap());
        assert_ne!(votes, of_gradient(&zeros, &random(2)).unwrap());
    }

    #[test]
    fn the_first_bad_value_is_named() {
        let error = of_gradient(&[1.0, f32::NEG_INFINITY, f32::NAN], &ZeroVote::Plus).unwrap_err().to_string();
        assert!(error.contains("coordinate 1") && error.contains("-inf"), "{error}");
        assert!(check(&[1, -1], Domain::Binary).is_ok() && check(&[0], Domain::Ternary).is_ok());
        let error = check(&[1, 0], Domain::Binary).unwrap_err().to_string();
        assert!(error.contains("coordinate 1") && error.contains("is 0"), "{error}");
        assert!(check(&[-2], Domain::Ternary).is_err());
    }
}
