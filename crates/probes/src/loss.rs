//! The loss on the batch.

use thalweg_descent::{Observe, Record, Result, Stateful, View};

/// Writes `train.loss`, the mean loss over the step's units before the step. Nothing, where the guard withholds it or the batch
/// is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss;

impl Stateful for Loss {}

impl<F> Observe<F> for Loss {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> Result<()> {
        if let Some(losses @ [_, ..]) = view.losses {
            record.put_number("train.loss", losses.iter().sum::<f64>() / losses.len() as f64);
        }
        Ok(())
    }
}
