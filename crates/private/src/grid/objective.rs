//! Gradients on the grid at the seam where they are computed.

use thalweg_descent::{
    Batch, Contributions, Differentiate, Error as DescentError, Result as DescentResult, SquaredNorms, Weights,
};

use super::{EXACT_BELOW, Grid};

/// An objective whose units are differentiated one at a time, each gradient clipped on the grid: sums are whole numbers of its units.
///
/// One at a time, because the rounding of a product of matrices may depend on all of its rows: a unit's gradient must not depend on
/// who else is in the batch. The sum of a step is the same to the bit for any order, shards and threads.
pub struct OnGrid<D> {
    objective: D,
    grid: Grid,
}

impl<D> OnGrid<D> {
    /// On that grid.
    pub fn new(objective: D, grid: Grid) -> Self {
        Self { objective, grid }
    }
}

impl<D: Differentiate<Batch, f32>> Differentiate<Batch, f32> for OnGrid<D> {
    fn differentiate<'a>(&'a self, parameters: &'a [f32], shard: &'a Batch) -> DescentResult<Box<dyn Contributions<f32> + 'a>> {
        let units = shard.indices.len();
        if (units as u64).saturating_mul(self.grid.norm()) > EXACT_BELOW {
            let most = EXACT_BELOW / self.grid.norm();
            return Err(DescentError::input(format!("{units} examples in a shard, but sums on this grid are exact for {most}")));
        }
        let mut sum =
            WholeSum { losses: Vec::with_capacity(units), squares: Vec::with_capacity(units), sum: vec![0.0; parameters.len()] };
        let (mut gradient, mut rounded) = (vec![0.0; parameters.len()], vec![0; parameters.len()]);
        for (place, &index) in shard.indices.iter().enumerate() {
            let alone = Batch { indices: vec![index], step: shard.step };
            let contribution = self.objective.differentiate(parameters, &alone)?;
            sum.losses.extend(contribution.losses());
            gradient.fill(0.0);
            contribution.add_weighted_sum(&Weights::One, &mut gradient)?;
            sum.squares.push(gradient.iter().map(|&value| f64::from(value).powi(2)).sum());
            self.grid.clip(&gradient, place, &mut rounded)?;
            // Exact: whole numbers below 2^24.
            sum.sum.iter_mut().zip(&rounded).for_each(|(sum, value)| *sum += *value as f32);
        }
        Ok(Box::new(sum))
    }
}

/// The sum of clipped gradients, in units of the grid.
struct WholeSum {
    losses: Vec<f64>,
    /// The squared norms of the gradients before they were clipped.
    squares: Vec<f64>,
    sum: Vec<f32>,
}

impl Contributions<f32> for WholeSum {
    fn units(&self) -> usize {
        self.losses.len()
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn squared_norms(&mut self) -> DescentResult<SquaredNorms> {
        Ok(SquaredNorms::new(1, self.squares.clone()))
    }

    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [f32]) -> DescentResult<()> {
        if *weights != Weights::One {
            return Err(DescentError::input("gradients on the grid are clipped already: their weights are 1"));
        }
        sum.iter_mut().zip(&self.sum).for_each(|(sum, value)| *sum += value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_descent::Layout;
    use thalweg_descent::differentiate::EachUnit;

    use super::*;

    const PARAMETERS: usize = 5;

    fn objective() -> impl Differentiate<Batch, f32> {
        EachUnit::new(Layout::single("x", &[PARAMETERS]), |x: &[f32], i: usize, gradient: &mut [f32]| {
            for (at, (gradient, x)) in gradient.iter_mut().zip(x).enumerate() {
                *gradient = x + ((i * PARAMETERS + at) as f32 * 0.7).sin() * (1.0 + i as f32 / 50.0);
            }
            Ok(i as f64)
        })
    }

    fn sum_of(shards: &[Vec<usize>]) -> Vec<f32> {
        let on_grid = OnGrid::new(objective(), Grid::finest_for(0.9, 200).unwrap());
        let mut sum = vec![0.0; PARAMETERS];
        for indices in shards {
            let batch = Batch { indices: indices.clone(), step: 0 };
            let contributions = on_grid.differentiate(&[0.1; PARAMETERS], &batch).unwrap();
            contributions.add_weighted_sum(&Weights::One, &mut sum).unwrap();
        }
        sum
    }

    #[test]
    fn the_sum_is_exact_in_any_order_and_any_shards() {
        let all: Vec<usize> = (0..200).collect();
        let grid = Grid::finest_for(0.9, 200).unwrap();
        let mut expected = vec![0i64; PARAMETERS];
        for &i in &all {
            let (mut gradient, mut rounded) = (vec![0.0; PARAMETERS], vec![0; PARAMETERS]);
            let alone = Batch { indices: vec![i], step: 0 };
            objective()
                .differentiate(&[0.1; PARAMETERS], &alone)
                .unwrap()
                .add_weighted_sum(&Weights::One, &mut gradient)
                .unwrap();
            grid.clip(&gradient, 0, &mut rounded).unwrap();
            expected.iter_mut().zip(&rounded).for_each(|(sum, value)| *sum += value);
        }
        let whole = sum_of(std::slice::from_ref(&all));
        assert_eq!(whole.iter().map(|&value| value as i64).collect::<Vec<_>>(), expected);
        let backwards: Vec<usize> = all.iter().rev().copied().collect();
        let shuffled: Vec<usize> = (0..200).map(|i| i * 77 % 200).collect();
        for shards in [vec![backwards], shuffled.chunks(7).map(<[usize]>::to_vec).collect(), vec![vec![], all]] {
            assert_eq!(sum_of(&shards), whole);
        }
    }

    #[test]
    fn losses_and_norms_are_those_of_the_units() {
        let on_grid = OnGrid::new(objective(), Grid::finest_for(0.9, 200).unwrap());
        let batch = Batch { indices: vec![9, 4], step: 0 };
        let (mut found, mut expected) = (on_grid.differentiate(&[0.1; PARAMETERS], &batch).unwrap(), Vec::<f64>::new());
        for index in [9, 4] {
            let alone = Batch { indices: vec![index], step: 0 };
            expected.push(objective().differentiate(&[0.1; PARAMETERS], &alone).unwrap().squared_norms().unwrap().norm(0));
        }
        assert_eq!((found.units(), found.losses()), (2, &[9.0, 4.0][..]));
        let norms = found.squared_norms().unwrap();
        for (unit, expected) in expected.iter().enumerate() {
            assert!((norms.norm(unit) - expected).abs() < 1e-5 * expected);
        }
    }

    #[test]
    fn other_weights_shards_that_are_too_large_and_gradients_that_are_no_numbers_are_refused() {
        let grid = Grid::finest_for(0.9, 2).unwrap();
        let on_grid = OnGrid::new(objective(), grid);
        let batch = Batch { indices: vec![1, 2], step: 0 };
        let contributions = on_grid.differentiate(&[0.1; PARAMETERS], &batch).unwrap();
        assert!(contributions.add_weighted_sum(&Weights::PerUnit(vec![1.0, 0.5]), &mut [0.0; PARAMETERS]).is_err());
        let crowd = Batch { indices: (0..100).collect(), step: 0 };
        let error = on_grid.differentiate(&[0.1; PARAMETERS], &crowd).err().expect("a refusal").to_string();
        assert!(error.contains("exact"), "{error}");
        assert!(on_grid.differentiate(&[f32::NAN; PARAMETERS], &batch).is_err());
    }
}
