//! Schedules of powers: which products give the powers of x that a polynomial needs, and in how many rounds.
//!
//! A product of two shared values costs a round, products of one level share it. `x^1` is at level 0, and
//! `level(i + j) = 1 + max(level(i), level(j))`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a power is split into two smaller ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// `x^k = x^floor(k/2) x^ceil(k/2)`: the one that gives the published savings; 20 products at depth 5 for 24 users.
    #[default]
    Halving,
    /// `x^k = x^(k-q) x^q` with q the largest power of two below k: 17 products, the same depth.
    PowersOfTwo,
    /// `x^k = x^(k-2) x^2`: the fewest products for an odd polynomial, 14, at depth 14.
    SquareSteps,
}

impl ScheduleKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Halving, Self::PowersOfTwo, Self::SquareSteps];

    /// The two smaller powers, ascending, for `k >= 2`.
    const fn split(self, k: usize) -> (usize, usize) {
        let second = match self {
            Self::Halving => k.div_ceil(2),
            Self::PowersOfTwo => 1 << (k - 1).ilog2(),
            Self::SquareSteps => {
                if k == 2 {
                    1
                } else {
                    2
                }
            }
        };
        if second <= k - second { (second, k - second) } else { (k - second, second) }
    }
}

/// `x^k = x^i x^j` with `i <= j` and `i + j = k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Product {
    /// The power that is made.
    pub k: usize,
    /// The smaller factor.
    pub i: usize,
    /// The larger factor.
    pub j: usize,
    /// The round in which it is made, from 1.
    pub level: usize,
}

/// The products for a set of powers, ascending in k.
///
/// ```
/// use thalweg_vote::schedule::{Schedule, ScheduleKind};
///
/// let odd: Vec<usize> = (1..=27).step_by(2).collect();
/// let schedule = Schedule::new(ScheduleKind::Halving, &odd);
/// assert_eq!((schedule.products().len(), schedule.depth(), schedule.operands().len()), (20, 5, 14));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    kind: ScheduleKind,
    products: Vec<Product>,
}

impl Schedule {
    /// The products for the powers in `support` and all powers that they need.
    pub fn new(kind: ScheduleKind, support: &[usize]) -> Self {
        let mut levels = BTreeMap::from([(0, 0), (1, 0)]);
        let mut products = Vec::new();
        for &k in support {
            close(kind, k, &mut levels, &mut products);
        }
        products.sort_unstable_by_key(|product| product.k);
        Self { kind, products }
    }

    /// How powers are split.
    pub const fn kind(&self) -> ScheduleKind {
        self.kind
    }

    /// The products, ascending in k.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The rounds of products.
    pub fn depth(&self) -> usize {
        self.products.iter().map(|product| product.level).max().unwrap_or(0)
    }

    /// The distinct factors, ascending.
    pub fn operands(&self) -> Vec<usize> {
        let mut operands: Vec<usize> = self.products.iter().flat_map(|product| [product.i, product.j]).collect();
        operands.sort_unstable();
        operands.dedup();
        operands
    }

    /// The level at which a power is known, 0 for those that no product makes.
    pub fn level(&self, k: usize) -> usize {
        self.products.iter().find(|product| product.k == k).map_or(0, |product| product.level)
    }

    /// The products of a level, with their place in [`products`](Self::products).
    pub fn of_level(&self, level: usize) -> impl Iterator<Item = (usize, Product)> {
        self.products.iter().copied().enumerate().filter(move |(_, product)| product.level == level)
    }

    /// The factors first needed in a round, with their place in [`operands`](Self::operands): those known a level earlier.
    pub fn operands_of_level(&self, level: usize) -> impl Iterator<Item = (usize, usize)> {
        self.operands().into_iter().enumerate().filter(move |&(_, operand)| self.level(operand) + 1 == level)
    }
}

/// Adds the products that make `x^k`; gives its level.
fn close(kind: ScheduleKind, k: usize, levels: &mut BTreeMap<usize, usize>, products: &mut Vec<Product>) -> usize {
    if let Some(&level) = levels.get(&k) {
        return level;
    }
    let (i, j) = kind.split(k);
    let level = 1 + close(kind, i, levels, products).max(close(kind, j, levels, products));
    levels.insert(k, level);
    products.push(Product { k, i, j, level });
    level
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Degree, Domain, Majority, Tie};

    #[test]
    fn every_factor_is_made_before_it_is_used() {
        for kind in ScheduleKind::ALL {
            for voters in 2..=250 {
                let majority = Majority::new(Domain::Binary, voters, Tie::Plus, Degree::Full).unwrap();
                let schedule = majority.schedule(kind);
                for product in schedule.products() {
                    let level = |k| if k == 1 { Some(0) } else { schedule.products().iter().find(|p| p.k == k).map(|p| p.level) };
                    assert!(product.i <= product.j && product.i + product.j == product.k && product.i >= 1);
                    assert_eq!(product.level, 1 + level(product.i).unwrap().max(level(product.j).unwrap()));
                }
                let made = |k: usize| k < 2 || schedule.products().iter().any(|product| product.k == k);
                assert!(majority.support().into_iter().all(made));
                let openings: usize = (1..=schedule.depth()).map(|level| schedule.operands_of_level(level).count()).sum();
                assert_eq!(openings, schedule.operands().len());
            }
        }
    }

    #[test]
    fn costs_for_24_users() {
        let majority = Majority::new(Domain::Binary, 24, Tie::Zero, Degree::Full).unwrap();
        let costs = ScheduleKind::ALL.map(|kind| {
            let schedule = majority.schedule(kind);
            (schedule.products().len(), schedule.depth(), schedule.operands().len())
        });
        assert_eq!(costs, [(20, 5, 14), (17, 5, 10), (14, 14, 14)]);
    }

    #[test]
    fn the_depth_of_halving_and_of_powers_of_two_is_the_logarithm_of_the_degree() {
        for voters in 3..=250 {
            let majority = Majority::new(Domain::Binary, voters, Tie::Zero, Degree::Full).unwrap();
            let least = (majority.degree() - 1).ilog2() as usize + 1;
            assert_eq!(majority.schedule(ScheduleKind::Halving).depth(), least, "{voters}");
            assert_eq!(majority.schedule(ScheduleKind::PowersOfTwo).depth(), least, "{voters}");
        }
    }
}
