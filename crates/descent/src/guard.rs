//! The third seam: what may leave this machine?

use crate::{Contributions, Participation, Real, Record, Result, Stateful, Weights};

/// What the observers, and so the event log and the report, may see of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Everything, losses and unit counts of the batch included.
    Everything,
    /// Only what the guard released: the parameters and the update. Losses on the batch, its size and its norms would say
    /// things about single units that no accountant has counted.
    ReleasedOnly,
}

/// Decides what of the contributions may leave, and in which form.
///
/// A guard acts twice: [`weigh`](Self::weigh) bounds what each unit adds, where the units are; [`release`](Self::release)
/// turns the joined sum into the update that everybody may see.
pub trait Guard<F>: Stateful + Send + Sync {
    /// Checks that the guarantee covers how units take part over `steps` steps; called once, before the first step.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) with the reason and what would be right.
    fn admit(&mut self, participation: &Participation, steps: u64) -> Result<()>;

    /// What observers may see.
    fn disclosure(&self) -> Disclosure {
        Disclosure::Everything
    }

    /// The weight of each unit in the sum.
    ///
    /// # Errors
    /// When the contributions cannot be weighed, for instance a norm that is not finite.
    fn weigh(&self, contributions: &mut dyn Contributions<F>) -> Result<Weights>;

    /// Turns the sum over `units` units into the update of this step, in place; may note facts fit for everyone.
    ///
    /// # Errors
    /// When nothing may be released.
    fn release(&mut self, step: u64, units: usize, sum: &mut [F], record: &mut Record) -> Result<()>;
}

/// No protection: the update is the mean over the units; without units it is zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean;

impl Stateful for Mean {}

impl<F: Real> Guard<F> for Mean {
    fn admit(&mut self, _: &Participation, _: u64) -> Result<()> {
        Ok(())
    }

    fn weigh(&self, _: &mut dyn Contributions<F>) -> Result<Weights> {
        Ok(Weights::One)
    }

    fn release(&mut self, _: u64, units: usize, sum: &mut [F], _: &mut Record) -> Result<()> {
        if units > 1 {
            let share = F::from_f64(1.0 / units as f64);
            sum.iter_mut().for_each(|value| *value = *value * share);
        }
        Ok(())
    }
}
