//! Stochastic gradient descent with momentum and weight decay.

use crate::step::Step;
use crate::{Error, Real, Result, Stateful};

/// `m <- momentum m + u`, `x <- (1 - rate decay) x - rate m`.
///
/// The weight decay is multiplicative (decoupled), as the workload of a privacy mechanism has it; momentum 0 keeps no memory.
#[derive(Clone, Debug)]
pub struct Sgd<F> {
    momentum: f64,
    weight_decay: f64,
    buffer: Vec<F>,
}

impl<F: Real> Sgd<F> {
    /// Momentum in [0, 1), weight decay at least 0.
    ///
    /// # Errors
    /// [`Error::Input`] naming the value.
    pub fn new(momentum: f64, weight_decay: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(Error::input(format!("momentum = {momentum}; it must be at least 0 and below 1")));
        }
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return Err(Error::input(format!("weight_decay = {weight_decay}; it must be a number, at least 0")));
        }
        Ok(Self { momentum, weight_decay, buffer: Vec::new() })
    }

    /// Without momentum or decay.
    pub fn plain() -> Self {
        Self { momentum: 0.0, weight_decay: 0.0, buffer: Vec::new() }
    }
}

impl<F: Real> Stateful for Sgd<F> {
    fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        F::extend_bytes(&self.buffer, &mut bytes);
        bytes
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        if !state.len().is_multiple_of(F::BYTES) {
            return Err(Error::State { piece: "SGD".to_owned(), reason: format!("{} bytes are no whole numbers", state.len()) });
        }
        self.buffer = F::from_bytes(state);
        Ok(())
    }
}

impl<F: Real> Step<F> for Sgd<F> {
    fn step(&mut self, rate: f64, update: &[F], parameters: &mut [F]) {
        let rate_f = F::from_f64(rate);
        let keep = F::from_f64(1.0 - rate * self.weight_decay);
        if self.momentum == 0.0 {
            for (x, u) in parameters.iter_mut().zip(update) {
                *x = keep * *x - rate_f * *u;
            }
            return;
        }
        if self.buffer.is_empty() {
            self.buffer = vec![F::default(); parameters.len()];
        }
        let momentum = F::from_f64(self.momentum);
        for ((x, u), m) in parameters.iter_mut().zip(update).zip(&mut self.buffer) {
            *m = momentum * *m + *u;
            *x = keep * *x - rate_f * *m;
        }
    }
}
