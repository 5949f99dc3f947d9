//! AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019).

use serde::{Deserialize, Serialize};

use crate::state::{decode, encode};
use crate::step::Step;
use crate::{Error, Real, Result, Stateful};

/// `m <- b1 m + (1 - b1) u`, `v <- b2 v + (1 - b2) u^2`,
/// `x <- (1 - rate decay) x - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)`.
#[derive(Clone, Debug)]
pub struct AdamW<F> {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    steps: u64,
    first: Vec<F>,
    second: Vec<F>,
}

/// What AdamW must remember.
#[derive(Serialize, Deserialize)]
struct Memory {
    steps: u64,
    first: Vec<u8>,
    second: Vec<u8>,
}

impl<F: Real> AdamW<F> {
    /// With the usual constants 0.9, 0.999 and 1e-8.
    ///
    /// # Errors
    /// [`Error::Input`] when the weight decay is negative or no number.
    pub fn new(weight_decay: f64) -> Result<Self> {
        Self::with_constants(0.9, 0.999, 1e-8, weight_decay)
    }

    /// With constants of your own.
    ///
    /// # Errors
    /// [`Error::Input`] naming the value that is out of range.
    pub fn with_constants(beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64) -> Result<Self> {
        for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::input(format!("{name} = {beta}; it must be at least 0 and below 1")));
            }
        }
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(Error::input(format!("epsilon = {epsilon}; it must be above 0")));
        }
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return Err(Error::input(format!("weight_decay = {weight_decay}; it must be a number, at least 0")));
        }
        Ok(Self { beta1, beta2, epsilon, weight_decay, steps: 0, first: Vec::new(), second: Vec::new() })
    }
}

impl<F: Real> Stateful for AdamW<F> {
    fn save(&self) -> Vec<u8> {
        let mut memory = Memory { steps: self.steps, first: Vec::new(), second: Vec::new() };
        F::extend_bytes(&self.first, &mut memory.first);
        F::extend_bytes(&self.second, &mut memory.second);
        encode(&memory)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let memory: Memory = decode("AdamW", state)?;
        self.steps = memory.steps;
        self.first = F::from_bytes(&memory.first);
        self.second = F::from_bytes(&memory.second);
        Ok(())
    }
}

impl<F: Real> Step<F> for AdamW<F> {
    fn step(&mut self, rate: f64, update: &[F], parameters: &mut [F]) {
        if self.first.is_empty() {
            self.first = vec![F::default(); parameters.len()];
            self.second = vec![F::default(); parameters.len()];
        }
        self.steps += 1;
        let power = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let first_share = F::from_f64(rate / (1.0 - self.beta1.powi(power)));
        let second_share = F::from_f64(1.0 / (1.0 - self.beta2.powi(power)));
        let (b1, b2) = (F::from_f64(self.beta1), F::from_f64(self.beta2));
        let (c1, c2) = (F::from_f64(1.0 - self.beta1), F::from_f64(1.0 - self.beta2));
        let epsilon = F::from_f64(self.epsilon);
        let keep = F::from_f64(1.0 - rate * self.weight_decay);
        for (((x, u), m), v) in parameters.iter_mut().zip(update).zip(&mut self.first).zip(&mut self.second) {
            *m = b1 * *m + c1 * *u;
            *v = b2 * *v + c2 * *u * *u;
            *x = keep * *x - first_share * *m / ((second_share * *v).sqrt() + epsilon);
        }
    }
}
