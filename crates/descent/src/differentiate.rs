//! The second seam: how is the gradient computed?

use crate::{Batch, BlockId, Error, Layout, Result};

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

/// Shared, so that an observer may look at gradients too.
impl<X, F, D: Differentiate<X, F> + ?Sized> Differentiate<X, F> for std::sync::Arc<D> {
    fn differentiate<'a>(&'a self, parameters: &'a [F], shard: &'a X) -> Result<Box<dyn Contributions<F> + 'a>> {
        (**self).differentiate(parameters, shard)
    }
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
    /// A unit of weight 0 is left out, and not multiplied by 0: its gradient may be no number.
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

    /// Whether a unit has weight 0 in every block.
    pub fn leaves_out(&self, unit: usize) -> bool {
        match self {
            Self::One => false,
            Self::PerUnit(weights) => weights[unit] == 0.0,
            Self::PerBlock { blocks, values } => values[unit * blocks..(unit + 1) * blocks].iter().all(|weight| *weight == 0.0),
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
        add_scaled(weights.get(0, BlockId(0)), &self.gradient, sum);
        Ok(())
    }
}

/// An objective given by a function of one unit at a time: the simplest way to per-unit gradients on plain slices.
///
/// ```
/// use thalweg_descent::differentiate::{Differentiate, EachUnit, Weights};
/// use thalweg_descent::{Batch, Layout};
///
/// // f_i(x) = (x - i)^2 / 2
/// let distances = EachUnit::new(Layout::single("x", &[1]), |x: &[f64], i: usize, gradient: &mut [f64]| {
///     gradient[0] = x[0] - i as f64;
///     Ok(0.5 * gradient[0] * gradient[0])
/// });
/// let batch = Batch { indices: vec![3, 5], ..Batch::default() };
/// let mut contributions = distances.differentiate(&[1.0], &batch)?;
/// assert_eq!(contributions.squared_norms()?.norm(1), 4.0);
/// let mut sum = [0.0];
/// contributions.add_weighted_sum(&Weights::PerUnit(vec![1.0, 0.5]), &mut sum)?;
/// assert_eq!(sum, [-4.0]);
/// # Ok::<(), thalweg_descent::Error>(())
/// ```
pub struct EachUnit<G> {
    layout: Layout,
    function: G,
}

impl<G> EachUnit<G> {
    /// Wraps `function(parameters, index, gradient) -> loss`; `gradient` comes filled with zeros, and has the layout's blocks.
    pub fn new<F>(layout: Layout, function: G) -> Self
    where
        G: Fn(&[F], usize, &mut [F]) -> Result<f64>,
    {
        Self { layout, function }
    }
}

impl<G, F> Differentiate<Batch, F> for EachUnit<G>
where
    F: crate::Real,
    G: Fn(&[F], usize, &mut [F]) -> Result<f64> + Send + Sync,
{
    fn differentiate<'a>(&'a self, parameters: &'a [F], shard: &'a Batch) -> Result<Box<dyn Contributions<F> + 'a>> {
        let len = self.layout.len();
        let mut gradients = vec![F::default(); shard.indices.len() * len];
        let mut losses = Vec::with_capacity(shard.indices.len());
        for (&index, gradient) in shard.indices.iter().zip(gradients.chunks_mut(len.max(1))) {
            losses.push((self.function)(parameters, index, gradient)?);
        }
        Ok(Box::new(UnitGradients::new(&self.layout, losses, gradients)?))
    }
}

/// The stored gradients of some units.
#[derive(Clone, Debug)]
pub struct UnitGradients<'a, F> {
    layout: &'a Layout,
    losses: Vec<f64>,
    gradients: Vec<F>,
}

impl<'a, F> UnitGradients<'a, F> {
    /// From one loss a unit, and the gradients one after the other.
    ///
    /// # Errors
    /// [`Error::Input`] when there is not one gradient of the layout's length for each loss, or the layout has no parameters.
    pub fn new(layout: &'a Layout, losses: Vec<f64>, gradients: Vec<F>) -> Result<Self> {
        if layout.is_empty() || gradients.len() != losses.len() * layout.len() {
            let (found, len) = (gradients.len(), layout.len());
            return Err(Error::input(format!("{found} gradient entries for {} units of {len} parameters", losses.len())));
        }
        Ok(Self { layout, losses, gradients })
    }
}

impl<F: crate::Real> Contributions<F> for UnitGradients<'_, F> {
    fn units(&self) -> usize {
        self.losses.len()
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn squared_norms(&mut self) -> Result<SquaredNorms> {
        let blocks = self.layout.blocks();
        let norms = self
            .gradients
            .chunks_exact(self.layout.len())
            .flat_map(|gradient| blocks.iter().map(|block| crate::norm(&gradient[block.range()]).powi(2)));
        Ok(SquaredNorms::new(blocks.len(), norms.collect()))
    }

    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [F]) -> Result<()> {
        weights.check(self.units())?;
        if sum.len() != self.layout.len() {
            return Err(Error::input(format!("a sum of {} entries for {} parameters", sum.len(), self.layout.len())));
        }
        for (unit, gradient) in self.gradients.chunks_exact(self.layout.len()).enumerate() {
            for (at, block) in self.layout.blocks().iter().enumerate() {
                add_scaled(weights.get(unit, BlockId(at)), &gradient[block.range()], &mut sum[block.range()]);
            }
        }
        Ok(())
    }
}

/// Adds `weight * gradient`; nothing for weight 0, whatever the gradient is.
fn add_scaled<F: crate::Real>(weight: f64, gradient: &[F], sum: &mut [F]) {
    if weight == 0.0 {
        return;
    }
    let weight = F::from_f64(weight);
    for (sum, value) in sum.iter_mut().zip(gradient) {
        *sum += weight * *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_blocks() -> Layout {
        let mut layout = Layout::single("a", &[2]);
        layout.push("b", &[1]);
        layout
    }

    #[test]
    fn stored_gradients_have_norms_and_weights_by_block() {
        let layout = two_blocks();
        let make = || UnitGradients::new(&layout, vec![0.1, 0.2], vec![3.0, 4.0, 12.0, 0.0, 1.0, 0.0]).unwrap();
        let norms = make().squared_norms().unwrap();
        assert_eq!(norms, SquaredNorms::new(2, vec![25.0, 144.0, 1.0, 0.0]));
        assert_eq!((norms.norm(0), norms.block_norm(0, BlockId(1))), (13.0, 12.0));
        let sum = |weights: Weights| {
            let mut sum = [1.0; 3];
            Box::new(make()).add_weighted_sum(&weights, &mut sum).unwrap();
            sum
        };
        assert_eq!(sum(Weights::One), [4.0, 6.0, 13.0]);
        assert_eq!(sum(Weights::PerUnit(vec![2.0, 10.0])), [7.0, 19.0, 25.0]);
        assert_eq!(sum(Weights::PerBlock { blocks: 2, values: vec![1.0, 0.5, 0.0, 7.0] }), [4.0, 5.0, 7.0]);
    }

    #[test]
    fn units_of_weight_0_are_left_out_even_if_they_are_no_numbers() {
        let layout = two_blocks();
        let gradients = vec![f32::NAN, f32::INFINITY, 1.0, 1.0, 2.0, 3.0];
        for weights in [Weights::PerUnit(vec![0.0, 1.0]), Weights::PerBlock { blocks: 2, values: vec![0.0, 0.0, 1.0, 1.0] }] {
            assert!(weights.leaves_out(0) && !weights.leaves_out(1));
            let mut sum = [0.0; 3];
            let units = UnitGradients::new(&layout, vec![0.0; 2], gradients.clone()).unwrap();
            Box::new(units).add_weighted_sum(&weights, &mut sum).unwrap();
            assert_eq!(sum, [1.0, 2.0, 3.0]);
        }
        let one = Gradient::new(|_: &[f64], (): &(), gradient: &mut [f64]| {
            gradient[0] = f64::NAN;
            Ok(0.0)
        });
        let mut sum = [1.0];
        one.differentiate(&[0.0], &()).unwrap().add_weighted_sum(&Weights::PerUnit(vec![0.0]), &mut sum).unwrap();
        assert_eq!(sum, [1.0]);
    }

    #[test]
    fn misfits_are_refused() {
        let layout = two_blocks();
        assert!(UnitGradients::new(&layout, vec![0.0], vec![1.0; 4]).is_err());
        assert!(UnitGradients::new(&Layout::default(), vec![0.0], Vec::<f32>::new()).is_err());
        let units = || Box::new(UnitGradients::new(&layout, vec![0.0], vec![1.0; 3]).unwrap());
        assert!(units().add_weighted_sum(&Weights::PerUnit(vec![1.0; 2]), &mut [0.0; 3]).is_err());
        assert!(units().add_weighted_sum(&Weights::One, &mut [0.0; 2]).is_err());
        let none = UnitGradients::<f32>::new(&layout, vec![], vec![]).unwrap();
        assert_eq!(none.units(), 0);
    }
}
