//! The fourth seam: how do the parameters move?

mod adamw;
mod sgd;
mod sign;

pub use adamw::AdamW;
pub use sgd::Sgd;
pub use sign::Sign;

use crate::Stateful;

/// Moves the parameters by an update.
pub trait Step<F>: Stateful + Send {
    /// Takes one step with this learning rate, in place. `update` and `parameters` have the same length at every call.
    fn step(&mut self, rate: f64, update: &[F], parameters: &mut [F]);
}
