//! How fast the loss of a run forgets itself.

use std::collections::VecDeque;

use thalweg_descent::state::{decode, encode};
use thalweg_descent::{Observe, Real, Record, Stateful, View};

use super::{is_due, watching};
use crate::autocorrelation::{autocorrelation, curvature};
use crate::error::{Error, Result};

/// Writes `autocorrelation.curvature`, the second difference of the loss's autocorrelation at a lag, and `autocorrelation.share`, the
/// autocorrelation at that lag over that at 0, both over the last so many steps. Nothing before there are as many, or where the guard
/// withholds losses.
#[derive(Clone, Debug)]
pub struct Forgetting {
    window: usize,
    lag: usize,
    every: u64,
    losses: VecDeque<f64>,
}

impl Forgetting {
    /// Over a window of so many steps, at a lag, after every `every` steps and the last.
    ///
    /// # Errors
    /// [`Error::Value`] when the lag is 0 or the window has no lag beyond it.
    pub fn new(window: usize, lag: usize, every: u64) -> Result<Self> {
        if lag == 0 || window < lag.saturating_add(2) {
            return Err(Error::value("the lag", lag, format!("at least 1 and 2 below the window of {window} losses")));
        }
        Ok(Self { window, lag, every, losses: VecDeque::new() })
    }
}

impl Stateful for Forgetting {
    fn save(&self) -> Vec<u8> {
        encode(&self.losses)
    }

    fn restore(&mut self, state: &[u8]) -> thalweg_descent::Result<()> {
        self.losses = decode("autocorrelation", state)?;
        Ok(())
    }
}

impl<F: Real> Observe<F> for Forgetting {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> thalweg_descent::Result<()> {
        let Some(losses @ [_, ..]) = view.losses else { return Ok(()) };
        if self.losses.len() == self.window {
            self.losses.pop_front();
        }
        self.losses.push_back(losses.iter().sum::<f64>() / losses.len() as f64);
        if self.losses.len() < self.window || !is_due(view, self.every) {
            return Ok(());
        }
        let series = self.losses.make_contiguous();
        let found = autocorrelation(series, self.lag + 1).map_err(watching("watching the loss's autocorrelation"))?;
        record.put_number("autocorrelation.curvature", curvature(&found)[self.lag - 1]);
        record.put_number("autocorrelation.share", found[self.lag] / found[0]);
        Ok(())
    }
}
