//! The second seam: how is the gradient computed?

use crate::{BlockId, Error, Result};

/// Computes the gradient of an objective on a choice.
///
/// It is shared by the worker threads of a step, each with a shard of its own, and so takes `&self`.
pub trait Differentiate<X, F>: Send + Sync {
    /// The contributions of one shard at these parameters.
    ///
    /// # Errors
    /// When the objective cannot be evaluated there.
    fn differentiate<'a>(&'a self, parameters: &'a [F], shard: &'a X) -> Result<Box<dyn Contributions<F> + 'a>>;
}

/// One gradient for each unit (an example, a client, a scenario), not necessarily stored.
///
/// A clip is a choice of weights, a plain sum has weights 1, and an objective without units has one unit.
pub trait Contributions<F> {
    /// How many units contribute; may be 0.
    fn units(&self) -> usize;

    /// The loss of each unit.
    fn losses(&self) -> &[f64];

    /// The squared Euclidean norm of each unit's gradient, block by block.
    ///
    /// # Errors
    /// When the objective cannot tell units apart.
    fn squared_norms(&mut self) -> Result<SquaredNorms>;

    /// Adds the weighted sum of the units' gradients to `sum`, which has the length of the parameters.
    ///
    /// # Errors
    /// When the weights do not fit.
    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [F]) -> Result<()>;
}

/// Squared gradient norms, one row a unit, one column a parameter block.
#[derive(Clone, Debug, PartialEq)]
pub struct SquaredNorms {
    blocks: usize,
    values: Vec<f64>,
}

impl SquaredNorms {
    /// From the values row by row: `values[unit * blocks + block]`.
    ///
    /// # Panics
    /// When the values are not whole rows.
    pub fn new(blocks: usize, values: Vec<f64>) -> Self {
        assert!(blocks > 0 && values.len().is_multiple_of(blocks), "{} norms in rows of {blocks}", values.len());
        Self { blocks, values }
    }

    /// The number of units.
    pub fn units(&self) -> usize {
        self.values.len() / self.blocks
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The norm of a unit's whole gradient.
    pub fn norm(&self, unit: usize) -> f64 {
        self.row(unit).iter().sum::<f64>().sqrt()
    }

    /// The norm of a unit's gradient in one block.
    pub fn block_norm(&self, unit: usize, block: BlockId) -> f64 {
        self.row(unit)[block.0].sqrt()
    }

    fn row(&self, unit: usize) -> &[f64] {
        &self.values[unit * self.blocks..(unit + 1) * self.blocks]
    }
}

/// With what weight each unit enters the sum.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// Every unit with weight 1.
    One,
    /// One weight a unit.
    PerUnit(Vec<f64>),
    /// One weight for each unit and block, `values[unit * blocks + block]`: per-layer clipping.
    PerBlock {
        /// The number of blocks.
        blocks: usize,
        /// The weights row by row.
        values: Vec<f64>,
    },
}

impl Weights {
    /// The weight of a unit in a block.
    pub fn get(&self, unit: usize, block: BlockId) -> f64 {
        match self {
            Self::One => 1.0,
            Self::PerUnit(weights) => weights[unit],
            Self::PerBlock { blocks, values } => values[unit * blocks + block.0],
        }
    }

    /// Checks that there is a weight for each unit.
    ///
    /// # Errors
    /// [`Error::Input`] when there is not.
    pub fn check(&self, units: usize) -> Result<()> {
        let found = match self {
            Self::One => units,
            Self::PerUnit(weights) => weights.len(),
            Self::PerBlock { blocks, values } => values.len() / blocks.max(&1),
        };
        if found == units { Ok(()) } else { Err(Error::input(format!("{found} weights for {units} units"))) }
    }
}

/// An objective given by a function that returns the loss and writes the gradient: one unit.
///
/// ```
/// use thalweg_descent::differentiate::{Gradient, Differentiate, Weights};
///
/// // f(x) = |x|^2 / 2
/// let bowl = Gradient::new(|x: &[f64], _: &(), gradient: &mut [f64]| {
///     gradient.copy_from_slice(x);
///     Ok(0.5 * x.iter().map(|v| v * v).sum::<f64>())
/// });
/// let mut sum = [0.0; 2];
/// bowl.differentiate(&[3.0, 4.0], &())?.add_weighted_sum(&Weights::One, &mut sum)?;
/// assert_eq!(sum, [3.0, 4.0]);
/// # Ok::<(), thalweg_descent::Error>(())
/// ```
pub struct Gradient<G> {
    function: G,
}

impl<G> Gradient<G> {
    /// Wraps `function(parameters, choice, gradient) -> loss`; `gradient` comes filled with zeros.
    pub fn new<X, F>(function: G) -> Self
    where
        G: Fn(&[F], &X, &mut [F]) -> Result<f64>,
    {
        Self { function }
    }
}

impl<G, X, F> Differentiate<X, F> for Gradient<G>
where
    F: crate::Real,
    G: Fn(&[F], &X, &mut [F]) -> Result<f64> + Send + Sync,
{
    fn differentiate<'a>(&'a self, parameters: &'a [F], shard: &'a X) -> Result<Box<dyn Contributions<F> + 'a>> {
        let mut gradient = vec![F::default(); parameters.len()];
        let loss = (self.function)(parameters, shard, &mut gradient)?;
        Ok(Box::new(OneUnit { losses: [loss], gradient }))
    }
}

/// A single stored gradient.
struct OneUnit<F> {
    losses: [f64; 1],
    gradient: Vec<F>,
}

impl<F: crate::Real> Contributions<F> for OneUnit<F> {
    fn units(&self) -> usize {
        1
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn squared_norms(&mut self) -> Result<SquaredNorms> {
        Ok(SquaredNorms::new(1, vec![crate::norm(&self.gradient).powi(2)]))
    }

    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [F]) -> Result<()> {
        weights.check(1)?;
        let weight = F::from_f64(weights.get(0, BlockId(0)));
        for (sum, value) in sum.iter_mut().zip(&self.gradient) {
            *sum += weight * *value;
        }
        Ok(())
    }
}
