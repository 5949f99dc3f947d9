//! Several conserved quantities of one run, and what it means when they drift otherwise than predicted.

use thalweg_descent::state::{decode, encode};
use thalweg_descent::{Observe, Real, Record, Stateful, View};

use super::{is_due, watching};
use crate::conserved::Conserved;
use crate::error::Result;
use crate::monitor::{Monitor, Precision};

/// What an update is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// A gradient, or a weighted sum of single examples' gradients: each of them has the symmetry.
    Gradient,
    /// The same and independent noise of that standard deviation in each coordinate.
    Noisy {
        /// The standard deviation.
        deviation: f64,
    },
    /// The same and noise whose steps are correlated: drift and prediction part by an amount that is not predicted here.
    Correlated,
}

/// Watches conserved quantities with the drift that the step size predicts. For each it writes
///
/// - `invariant.NAME.drift` and `invariant.NAME.predicted`, of the entry where both differ most;
/// - `invariant.NAME.residual`, by how much, and `invariant.NAME.allowed`, how much rounding (and independent noise, at five standard
///   deviations) makes of it;
///
/// and `invariants.finding` for all together:
///
/// | finding | it means |
/// |---|---|
/// | `agree` | every drift is the predicted one, to rounding and noise |
/// | `non_plain_optimizer` | a step was no plain gradient step (momentum, Adam), so that nothing is predicted |
/// | `wrong_gradient_or_symmetry` | plain steps, but a drift that they do not explain: the gradient is wrong, or the network lacks the symmetry |
/// | `correlated_noise` | nothing is said: noise of earlier steps has part in it |
///
/// It must see every step. It looks only at what the guard has released.
#[derive(Clone, Debug)]
pub struct Invariants {
    watched: Vec<Watched>,
    update: Update,
    decay: f64,
    every: u64,
    /// The parameters before the next step.
    before: Vec<f64>,
    plain: bool,
}

#[derive(Clone, Debug)]
struct Watched {
    name: String,
    quantity: Conserved,
    monitor: Monitor,
    /// The variance that independent noise gives the drift, in first order.
    variance: f64,
}

/// Standard deviations of independent noise that are allowed: one false alarm in 1.7 million looks.
const DEVIATIONS: f64 = 5.0;

/// A step is plain when it is `-rate update` to so many units of the last place of parameters and step.
const ROUNDING: f64 = 8.0;

impl Invariants {
    /// Watches the quantities of those names from the parameters at the start, under decoupled weight decay, and writes after every
    /// `every` steps and the last.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) when a quantity does not fit the parameters.
    pub fn new<F: Real>(
        quantities: Vec<(String, Conserved)>,
        start: &[F],
        update: Update,
        decay: f64,
        every: u64,
    ) -> Result<Self> {
        let before = widen(start);
        let watch = |(name, quantity): (String, Conserved)| {
            let monitor = Monitor::new(quantity.clone(), &before, precision::<F>())?;
            Ok(Watched { name, quantity, monitor, variance: 0.0 })
        };
        let watched = quantities.into_iter().map(watch).collect::<Result<_>>()?;
        Ok(Self { watched, update, decay, every, before, plain: true })
    }

    fn note(&mut self, update: &[f64], after: Vec<f64>, rate: f64, epsilon: f64) -> Result<()> {
        self.plain &= is_plain(&self.before, &after, update, rate, self.decay, epsilon);
        for Watched { quantity, monitor, variance, .. } in &mut self.watched {
            match self.decay {
                0.0 => monitor.before_step(&self.before, update, rate),
                decay => monitor.before_decayed_step(&self.before, update, rate, decay)?,
            }
            if let (Update::Noisy { deviation }, Some(size)) = (self.update, quantity.squared_size(&self.before)) {
                *variance += 4.0 * (rate * deviation).powi(2) * size;
            }
        }
        self.before = after;
        Ok(())
    }

    fn report(&self, record: &mut Record) -> Result<()> {
        let mut agree = true;
        for Watched { name, monitor, variance, .. } in &self.watched {
            let found = monitor.report(&self.before)?;
            let gap = |at: &usize| (found.drift[*at] - found.predicted[*at]).abs();
            let worst = (0..found.drift.len()).max_by(|a, b| gap(a).total_cmp(&gap(b)));
            let at_worst = |values: &[f64]| worst.map_or(0.0, |worst| values[worst]);
            let allowed = found.tolerance + DEVIATIONS * variance.sqrt();
            record.put_number(&format!("invariant.{name}.drift"), at_worst(&found.drift));
            record.put_number(&format!("invariant.{name}.predicted"), at_worst(&found.predicted));
            record.put_number(&format!("invariant.{name}.residual"), found.residual);
            if self.update != Update::Correlated {
                record.put_number(&format!("invariant.{name}.allowed"), allowed);
            }
            agree &= found.residual <= allowed;
        }
        record.put("invariants.finding", self.finding(agree));
        Ok(())
    }

    fn finding(&self, agree: bool) -> &'static str {
        match (self.plain, self.update, agree) {
            (false, _, _) => "non_plain_optimizer",
            (true, Update::Correlated, _) => "correlated_noise",
            (true, _, true) => "agree",
            (true, _, false) => "wrong_gradient_or_symmetry",
        }
    }
}

/// Whether the parameters moved by `-rate update`, and decayed, to rounding.
fn is_plain(before: &[f64], after: &[f64], update: &[f64], rate: f64, decay: f64, epsilon: f64) -> bool {
    let kept = 1.0 - rate * decay;
    let (mut off, mut size) = (0.0, 0.0);
    for ((before, after), update) in before.iter().zip(after).zip(update) {
        off += (after - (kept * before - rate * update)).powi(2);
        size += before.powi(2) + (rate * update).powi(2);
    }
    off <= (ROUNDING * epsilon).powi(2) * size
}

fn widen<F: Real>(values: &[F]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

fn precision<F: Real>() -> Precision {
    if F::BYTES == 4 { Precision::Single } else { Precision::Double }
}

impl Stateful for Invariants {
    fn save(&self) -> Vec<u8> {
        let monitors: Vec<(Vec<u8>, f64)> =
            self.watched.iter().map(|watched| (watched.monitor.save(), watched.variance)).collect();
        encode(&(monitors, &self.before, self.plain))
    }

    fn restore(&mut self, state: &[u8]) -> thalweg_descent::Result<()> {
        let monitors: Vec<(Vec<u8>, f64)>;
        (monitors, self.before, self.plain) = decode("invariants", state)?;
        for (watched, (monitor, variance)) in self.watched.iter_mut().zip(monitors) {
            watched.monitor.restore(&monitor)?;
            watched.variance = variance;
        }
        Ok(())
    }
}

impl<F: Real> Observe<F> for Invariants {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> thalweg_descent::Result<()> {
        let in_run = watching("watching conserved quantities");
        self.note(&widen(view.update), widen(view.parameters), view.rate, precision::<F>().epsilon()).map_err(&in_run)?;
        if is_due(view, self.every) {
            self.report(record).map_err(&in_run)?;
        }
        Ok(())
    }
}
