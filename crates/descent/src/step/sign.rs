//! The sign step of signSGD (Bernstein et al. 2018).

use crate::step::Step;
use crate::{Real, Stateful};

/// `x <- x - rate sign(u)`; a zero moves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sign;

impl Stateful for Sign {}

impl<F: Real> Step<F> for Sign {
    fn step(&mut self, rate: f64, update: &[F], parameters: &mut [F]) {
        let (zero, rate) = (F::default(), F::from_f64(rate));
        for (x, u) in parameters.iter_mut().zip(update) {
            if *u > zero {
                *x += -rate;
            } else if *u < zero {
                *x += rate;
            }
        }
    }
}
