//! A majority rule as polynomials: who votes, over which field, and what a tie gives.

use serde::{Deserialize, Serialize};

use super::Polynomial;
use crate::schedule::{Schedule, ScheduleKind};
use crate::{Domain, Field, Result, Tie};

/// Which of the polynomials with the right values is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Degree {
    /// 0 at every element that no honest sum can be, which betrays some cheating: degree `p - 2` or `p - 1`.
    #[default]
    Full,
    /// The least degree on the reachable sums.
    Least,
}

/// The majority of `voters` votes as polynomials over a field.
///
/// On a coordinate whose public coin is t the vote is `base(x) + t on_tie(x)`; without a coin `on_tie` is absent.
///
/// ```
/// use thalweg_vote::{Degree, Domain, Majority, Tie};
///
/// let majority = Majority::new(Domain::Binary, 4, Tie::Plus, Degree::Full)?;
/// assert_eq!(majority.base().coefficients(), [1, 1, 0, 3, 4]);
/// // Two against two: the sum is 0, and the tie goes to +1.
/// assert_eq!(majority.base().evaluate(0), 1);
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Majority {
    domain: Domain,
    voters: usize,
    tie: Tie,
    base: Polynomial,
    on_tie: Option<Polynomial>,
}

impl Majority {
    /// The rule over the smallest field.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for too few or too many voters.
    pub fn new(domain: Domain, voters: usize, tie: Tie, degree: Degree) -> Result<Self> {
        Self::over(domain.field(voters)?, domain, voters, tie, degree)
    }

    /// The rule over a given field.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) also for a field in which two sums are the same element.
    pub fn over(field: Field, domain: Domain, voters: usize, tie: Tie, degree: Degree) -> Result<Self> {
        let polynomial = |value: &dyn Fn(i32) -> i8| match degree {
            Degree::Full => Polynomial::indicator_sum(field, domain, voters, value),
            Degree::Least => Polynomial::least_degree(field, domain, voters, value),
        };
        // Without possible ties every policy is the same rule, of the lowest degree with `Tie::Zero`.
        let tie = if domain.can_tie(voters) { tie } else { Tie::Zero };
        let base = polynomial(&|sum| tie.majority(sum, 0))?;
        let on_tie = match tie {
            Tie::Coin => Some(polynomial(&|sum| i8::from(sum == 0))?),
            _ => None,
        };
        Ok(Self { domain, voters, tie, base, on_tie })
    }

    /// The field.
    pub const fn field(&self) -> Field {
        self.base.field()
    }

    /// The domain of single votes.
    pub const fn domain(&self) -> Domain {
        self.domain
    }

    /// The number of voters.
    pub const fn voters(&self) -> usize {
        self.voters
    }

    /// The policy for ties; [`Tie::Zero`] where none can occur.
    pub const fn tie(&self) -> Tie {
        self.tie
    }

    /// The polynomial, up to the coin.
    pub const fn base(&self) -> &Polynomial {
        &self.base
    }

    /// What is added times the coin: 1 at the sum 0 and 0 at all other sums.
    pub const fn on_tie(&self) -> Option<&Polynomial> {
        self.on_tie.as_ref()
    }

    /// Whether the result can be 0.
    pub fn reveals_ties(&self) -> bool {
        self.tie == Tie::Zero && self.domain.can_tie(self.voters)
    }

    /// The largest degree that is evaluated.
    pub fn degree(&self) -> usize {
        self.base.degree().max(self.on_tie.as_ref().map_or(0, Polynomial::degree))
    }

    /// The powers of the sum that have a coefficient, ascending.
    pub fn support(&self) -> Vec<usize> {
        let mut support: Vec<usize> = self.base.support().chain(self.on_tie.iter().flat_map(Polynomial::support)).collect();
        support.sort_unstable();
        support.dedup();
        support
    }

    /// The vote that an element means, if the rule can give it.
    pub fn decode(&self, element: u8) -> Option<i8> {
        match element {
            1 => Some(1),
            0 => self.reveals_ties().then_some(0),
            _ => (element == self.field().order() - 1).then_some(-1),
        }
    }

    /// The products that a schedule takes for the powers.
    pub fn schedule(&self, kind: ScheduleKind) -> Schedule {
        Schedule::new(kind, &self.support())
    }

    /// The rule with its costs, for people and programs. A coin is shown as it falls on +1.
    pub fn summary(&self, kind: ScheduleKind) -> PolynomialSummary {
        let schedule = self.schedule(kind);
        let field = self.field();
        let coefficients = (0..=self.degree())
            .map(|k| field.add(self.base.coefficient(k), self.on_tie.as_ref().map_or(0, |on_tie| on_tie.coefficient(k))))
            .collect();
        PolynomialSummary {
            prime: field.order(),
            coefficients,
            degree: self.degree(),
            products: schedule.products().len(),
            depth: schedule.depth(),
        }
    }
}

/// A vote polynomial with its costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolynomialSummary {
    /// The order of the field.
    pub prime: u8,
    /// The coefficients, constant term first.
    pub coefficients: Vec<u8>,
    /// The degree.
    pub degree: usize,
    /// The secure products that the powers take.
    pub products: usize,
    /// The products that must wait for one another.
    pub depth: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_gives_the_majority_of_every_sum() {
        for (domain, most) in [(Domain::Binary, 250), (Domain::Ternary, 125)] {
            for voters in (1..=40).chain([64, 99, 100, 124, 125, 249, 250]).filter(|&voters| voters <= most) {
                for (tie, degree) in Tie::ALL.into_iter().flat_map(|tie| [(tie, Degree::Full), (tie, Degree::Least)]) {
                    let majority = Majority::new(domain, voters, tie, degree).unwrap();
                    let field = majority.field();
                    for (sum, coin) in domain.sums(voters).flat_map(|sum| [(sum, 1), (sum, -1)]) {
                        let x = field.element(sum);
                        let on_tie = majority.on_tie().map_or(0, |on_tie| on_tie.evaluate(x));
                        let value = field.add(majority.base().evaluate(x), field.multiply(field.element(coin.into()), on_tie));
                        assert_eq!(majority.decode(value), Some(tie.majority(sum, coin)), "{domain:?} {voters} {tie:?} {sum}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_least_degree_is_below_the_number_of_sums() {
        for voters in 2..=100 {
            let degree = |tie| Majority::new(Domain::Binary, voters, tie, Degree::Least).unwrap().degree();
            let bound = if voters % 2 == 0 { voters - 1 } else { voters };
            assert!(degree(Tie::Zero) <= bound && degree(Tie::Plus) <= voters, "{voters}");
        }
    }

    #[test]
    fn a_coin_shows_its_upper_face() {
        let coin = Majority::new(Domain::Binary, 6, Tie::Coin, Degree::Full).unwrap().summary(ScheduleKind::Halving);
        let plus = Majority::new(Domain::Binary, 6, Tie::Plus, Degree::Full).unwrap().summary(ScheduleKind::Halving);
        assert_eq!(coin, plus);
        assert_eq!(
            serde_json::to_string(&plus).unwrap(),
            r#"{"prime":7,"coefficients":[1,4,0,5,0,4,6],"degree":6,"products":4,"depth":3}"#
        );
    }
}
