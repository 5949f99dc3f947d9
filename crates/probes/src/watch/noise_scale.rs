//! How noisy the gradients of single examples are against their mean.

use std::sync::Arc;

use thalweg_descent::{Differentiate, Observe, Real, Record, Stateful, View, Weights};

use super::is_due;

/// The gradient noise scale (McCandlish, Kaplan and Amodei 2018): the trace of the covariance of single examples' gradients over the
/// squared norm of their mean, the batch size beyond which larger batches bring little.
///
/// Writes unbiased estimates from n examples at the parameters after the step:
///
/// - `noise_scale.variance`, `n / (n - 1) (mean |g_i|^2 - |mean g_i|^2)`;
/// - `noise_scale.signal`, `|mean g_i|^2` less the variance over n; it may come out negative where noise hides the mean;
/// - `noise_scale.scale`, the first over the second, where that is positive.
///
/// It reads gradients before any guard: on a private run they are not covered by the guarantee.
pub struct NoiseScale<X, F> {
    objective: Arc<dyn Differentiate<X, F>>,
    examples: Box<dyn Fn(u64) -> X + Send>,
    every: u64,
}

impl<X, F> NoiseScale<X, F> {
    /// After every `every` steps and the last, on the examples that are drawn for the step.
    pub fn new(objective: Arc<dyn Differentiate<X, F>>, examples: impl Fn(u64) -> X + Send + 'static, every: u64) -> Self {
        Self { objective, examples: Box::new(examples), every }
    }
}

impl<X, F> Stateful for NoiseScale<X, F> {}

impl<X, F: Real> Observe<F> for NoiseScale<X, F> {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> thalweg_descent::Result<()> {
        if !is_due(view, self.every) {
            return Ok(());
        }
        let shard = (self.examples)(view.step);
        let mut contributions = self.objective.differentiate(view.parameters, &shard)?;
        let n = contributions.units() as f64;
        let norms = contributions.squared_norms()?;
        let squares = (0..norms.units()).map(|unit| norms.norm(unit).powi(2)).sum::<f64>() / n;
        let mut sum = vec![F::default(); view.parameters.len()];
        contributions.add_weighted_sum(&Weights::One, &mut sum)?;
        let of_mean = (thalweg_descent::norm(&sum) / n).powi(2);
        let variance = n / (n - 1.0) * (squares - of_mean);
        let signal = of_mean - variance / n;
        record.put_number("noise_scale.variance", variance);
        record.put_number("noise_scale.signal", signal);
        if signal > 0.0 {
            record.put_number("noise_scale.scale", variance / signal);
        }
        Ok(())
    }
}
