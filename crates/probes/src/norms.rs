//! How far out the parameters are, and how hard they are pushed.

use thalweg_descent::{Observe, Real, Record, Result, Stateful, View, norm};

/// Writes `norm.parameters` and `norm.update` (Euclidean, the update before its learning rate).
#[derive(Clone, Copy, Debug, Default)]
pub struct Norms;

impl Stateful for Norms {}

impl<F: Real> Observe<F> for Norms {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> Result<()> {
        record.put_number("norm.parameters", norm(view.parameters));
        record.put_number("norm.update", norm(view.update));
        Ok(())
    }
}
