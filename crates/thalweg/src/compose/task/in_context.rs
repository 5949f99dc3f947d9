//! Regression in context, as the linear-transformer lab poses it: y = W x with W diagonal in the basis of the inputs.

use std::sync::Arc;

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use thalweg_descent::{Batch, Error, Observe, Record, Result, Seed, Stateful, Stream, View};
use thalweg_dynamics::icl::{Modes, Weights, exact, plateau};
use thalweg_nn::regression::predict;
use thalweg_nn::{Device, Draw, Network, Pairs};

use super::MOST;

/// Contexts of a batch, at most: streams are addressed by step and place.
const MOST_IN_BATCH: u64 = 1 << 20;

pub(super) fn check(spectrum: &[f64], context: usize, held_out: usize) -> Result<()> {
    modes(spectrum, context)?;
    if context > MOST || spectrum.len() > MOST {
        return Err(Error::input(format!("task.context = {context} with {} modes; at most {MOST} of either", spectrum.len())));
    }
    if held_out == 0 || held_out as u64 >= MOST_IN_BATCH {
        return Err(Error::input(format!("task.held_out = {held_out}; it must be from 1 to {}", MOST_IN_BATCH - 1)));
    }
    Ok(())
}

fn modes(spectrum: &[f64], context: usize) -> Result<Modes> {
    Modes::new(spectrum, context as u64).map_err(|error| Error::input(format!("task: {error}")))
}

/// The loss of the best layer of linear attention, and that of answering 0.
pub(super) fn reference_losses(spectrum: &[f64], context: usize) -> Result<[f64; 2]> {
    let modes = modes(spectrum, context)?;
    // At the fixed point p^2 / q^2 = s, up to a factor that all modes share and that does not change the loss.
    let products = plateau::of(&modes).products;
    let weights = |scale: f64| Weights {
        p: products.iter().zip(spectrum).map(|(a, s)| scale * (a * s.sqrt()).sqrt()).collect(),
        q: products.iter().zip(spectrum).map(|(a, s)| scale * (a / s.sqrt()).sqrt()).collect(),
    };
    Ok([exact::loss(&modes, &weights(1.0)), exact::loss(&modes, &weights(0.0))])
}

/// The name of a mode's learned share in the record; modes are counted from 1.
pub(crate) fn mode_key(mode: usize) -> String {
    format!("mode.{}", mode + 1)
}

/// Draws contexts: N columns (x; W x) and a last one (x; 0), whose answer W x is the target.
pub(crate) struct Contexts {
    deviations: Vec<f64>,
    context: usize,
    stream: Stream,
    held_out: Pairs,
    held_out_count: usize,
}

impl Contexts {
    pub(crate) fn new(spectrum: &[f64], context: usize, held_out: usize, seed: u64) -> Result<Self> {
        check(spectrum, context, held_out)?;
        let mut contexts = Self {
            deviations: spectrum.iter().map(|variance| variance.sqrt()).collect(),
            context,
            stream: Seed(seed).stream("held-out contexts"),
            held_out: Pairs::default(),
            held_out_count: held_out,
        };
        contexts.held_out = contexts.draw(&Batch { step: 0, indices: (0..held_out).collect() });
        contexts.stream = Seed(seed).stream("contexts");
        Ok(contexts)
    }

    /// The numbers of a target, and half of those of a column.
    pub(crate) fn dimension(&self) -> usize {
        self.deviations.len()
    }

    pub(crate) fn description(&self) -> String {
        let Self { context, held_out_count, .. } = self;
        format!("regression in contexts of {context} in {} dimensions, {held_out_count} held-out contexts", self.dimension())
    }

    /// Another context of the step than its batch has.
    pub(crate) fn beyond(&self, batch: usize, count: usize) -> impl Fn(u64) -> Batch + Send + 'static {
        move |step| Batch { step, indices: (batch..batch + count).collect() }
    }

    fn draw_one(&self, rng: &mut impl Rng, pairs: &mut Pairs) {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let task: Vec<f64> = self.deviations.iter().map(|_| normal()).collect();
        for column in 0..=self.context {
            let x: Vec<f64> = self.deviations.iter().map(|deviation| deviation * normal()).collect();
            let y = x.iter().zip(&task).map(|(x, w)| (w * x) as f32);
            pairs.inputs.extend(x.iter().map(|x| *x as f32));
            if column < self.context {
                pairs.inputs.extend(y);
            } else {
                pairs.inputs.extend(x.iter().map(|_| 0.0));
                pairs.targets.extend(y);
            }
        }
    }

    /// The mean loss on the held-out contexts, and the share of each mode that is answered: `sum yhat y / sum y^2`.
    pub(crate) fn evaluate(&self, network: &Network, parameters: &[f32], device: Device) -> Result<(f64, Vec<f64>)> {
        let Pairs { inputs, targets } = &self.held_out;
        let answers = predict(network, parameters, inputs, self.held_out_count, device)?;
        let d = self.dimension();
        let (mut loss, mut products, mut squares) = (0.0, vec![0.0; d], vec![0.0; d]);
        for (at, (answer, target)) in answers.iter().zip(targets).enumerate() {
            let (answer, target) = (f64::from(*answer), f64::from(*target));
            loss += 0.5 * (answer - target).powi(2);
            products[at % d] += answer * target;
            squares[at % d] += target * target;
        }
        let shares = products.iter().zip(&squares).map(|(product, square)| product / square).collect();
        Ok((loss / self.held_out_count as f64, shares))
    }
}

impl Draw for Contexts {
    fn draw(&self, batch: &Batch) -> Pairs {
        let mut pairs = Pairs::default();
        for index in &batch.indices {
            let place = batch.step.wrapping_mul(MOST_IN_BATCH).wrapping_add(*index as u64);
            self.draw_one(&mut self.stream.at(place), &mut pairs);
        }
        pairs
    }
}

/// Writes `test.loss`, on the held-out contexts, and the learned share of each mode, `mode.1`, `mode.2`, ...
pub(crate) struct WatchContexts {
    pub(crate) network: Arc<Network>,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) device: Device,
}

impl Stateful for WatchContexts {}

impl Observe<f32> for WatchContexts {
    fn observe(&mut self, view: &View<'_, f32>, record: &mut Record) -> Result<()> {
        let (loss, shares) = self.contexts.evaluate(&self.network, view.parameters, self.device)?;
        record.put_number("test.loss", loss);
        shares.iter().enumerate().for_each(|(mode, share)| record.put_number(&mode_key(mode), *share));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        Contexts::new(&[2.0, 0.5], 3, 4, 1).unwrap()
    }

    #[test]
    fn a_context_has_one_task_and_hides_the_answer() {
        let pairs = contexts().draw(&Batch { step: 5, indices: vec![0, 1] });
        assert_eq!((pairs.inputs.len(), pairs.targets.len()), (2 * 4 * 4, 2 * 2));
        for (inputs, targets) in pairs.inputs.chunks(16).zip(pairs.targets.chunks(2)) {
            for mode in 0..2 {
                let weight = |column: usize| inputs[4 * column + 2 + mode] / inputs[4 * column + mode];
                assert!((weight(0) - weight(1)).abs() < 1e-4 * weight(0).abs(), "every column has the same W");
                assert_eq!(inputs[4 * 3 + 2 + mode], 0.0);
                assert!((targets[mode] / inputs[4 * 3 + mode] - weight(0)).abs() < 1e-4 * weight(0).abs());
            }
        }
    }

    #[test]
    fn draws_depend_on_step_and_place_alone_and_differ_from_the_held_out_ones() {
        let batch = |step, indices: &[usize]| contexts().draw(&Batch { step, indices: indices.to_vec() });
        assert_eq!(batch(2, &[0, 7]).inputs[16..], batch(2, &[7]).inputs[..]);
        assert_ne!(batch(2, &[7]), batch(3, &[7]));
        assert_ne!(batch(0, &[0, 1, 2, 3]), contexts().held_out);
    }

    #[test]
    fn inputs_have_the_variances_that_are_asked_for() {
        let n = 4000;
        let pairs = contexts().draw(&Batch { step: 0, indices: (0..n).collect() });
        for (mode, variance) in [2.0, 0.5].into_iter().enumerate() {
            let square = |context: usize| f64::from(pairs.inputs[16 * context + mode]).powi(2);
            let found = (0..n).map(square).sum::<f64>() / n as f64;
            // The relative deviation of this estimate is sqrt(2 / 4000); five of them.
            assert!((found / variance - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "{found} {variance}");
        }
    }

    #[test]
    fn the_linear_layer_ends_where_the_theory_says() {
        let [linear, zero] = reference_losses(&[2.0, 1.0, 0.5, 0.25], 32).unwrap();
        assert!((linear - 0.228664).abs() < 1e-6 && (zero - 1.875).abs() < 1e-12, "{linear} {zero}");
        assert!(check(&[1.0, -1.0], 8, 1).is_err() && check(&[1.0], 0, 1).is_err() && check(&[1.0], 8, 0).is_err());
    }
}
