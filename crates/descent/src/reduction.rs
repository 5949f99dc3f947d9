//! Joins the contributions of a step's shards in a fixed order.

use std::num::NonZeroUsize;

use crate::{Contributions, Differentiate, Error, Guard, Real, Result};

/// Differentiates the shards of a step, on one thread or several, and adds their weighted sums in the shards' order.
///
/// Each shard is summed into a buffer of its own, and the buffers are added first to last. So the number of threads changes
/// the time and nothing else.
#[derive(Debug)]
pub struct Reduction<F> {
    threads: NonZeroUsize,
    buffers: Vec<Vec<F>>,
}

/// What the shards of one step came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Joined {
    pub(crate) units: usize,
    pub(crate) losses: Vec<f64>,
}

impl<F: Real> Reduction<F> {
    /// On the calling thread.
    pub fn in_turn() -> Self {
        Self::on_threads(NonZeroUsize::MIN)
    }

    /// On `threads` threads at a time; the parameters are shared, each thread has a buffer of their length.
    pub fn on_threads(threads: NonZeroUsize) -> Self {
        Self { threads, buffers: Vec::new() }
    }

    /// Sets `sum` to the weighted sum over all shards.
    pub(crate) fn reduce<X: Sync>(
        &mut self,
        shards: &[X],
        parameters: &[F],
        differentiate: &dyn Differentiate<X, F>,
        guard: &dyn Guard<F>,
        sum: &mut [F],
    ) -> Result<Joined> {
        sum.fill(F::default());
        let work = |shard: &X, sum: &mut [F]| weighted_sum(differentiate.differentiate(parameters, shard)?, guard, sum);
        if let [shard] = shards {
            return work(shard, sum);
        }
        let mut joined = Joined::default();
        for wave in shards.chunks(self.threads.get()) {
            let buffers = self.clear_buffers(wave.len(), sum.len());
            let results = on_threads(wave, buffers, &work);
            for (result, buffer) in results.into_iter().zip(&self.buffers) {
                joined.append(result?);
                for (sum, value) in sum.iter_mut().zip(buffer) {
                    *sum += *value;
                }
            }
        }
        Ok(joined)
    }

    fn clear_buffers(&mut self, count: usize, len: usize) -> &mut [Vec<F>] {
        while self.buffers.len() < count {
            self.buffers.push(vec![F::default(); len]);
        }
        let buffers = &mut self.buffers[..count];
        buffers.iter_mut().for_each(|buffer| buffer.fill(F::default()));
        buffers
    }
}

impl Joined {
    fn append(&mut self, mut other: Self) {
        self.units += other.units;
        self.losses.append(&mut other.losses);
    }
}

/// Guards and sums one shard's contributions.
fn weighted_sum<F>(mut contributions: Box<dyn Contributions<F> + '_>, guard: &dyn Guard<F>, sum: &mut [F]) -> Result<Joined> {
    let weights = guard.weigh(&mut *contributions)?;
    weights.check(contributions.units())?;
    // What the guard leaves out may be no number, and is none of the descent's.
    let counts = |&(unit, loss): &(usize, &f64)| loss.is_finite() || !weights.leaves_out(unit);
    let losses = contributions.losses().iter().enumerate().filter(counts).map(|(_, loss)| *loss).collect();
    let joined = Joined { units: contributions.units(), losses };
    contributions.add_weighted_sum(&weights, sum)?;
    Ok(joined)
}

/// Does the work on each shard, one thread each.
fn on_threads<X: Sync, F: Real>(
    shards: &[X],
    buffers: &mut [Vec<F>],
    work: &(dyn Fn(&X, &mut [F]) -> Result<Joined> + Sync),
) -> Vec<Result<Joined>> {
    if shards.len() == 1 {
        return vec![work(&shards[0], &mut buffers[0])];
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> =
            shards.iter().zip(buffers).map(|(shard, buffer)| scope.spawn(move || work(shard, buffer))).collect();
        let died = |_| Err(Error::piece("differentiating a shard", "the worker thread panicked"));
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(died)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differentiate::EachUnit;
    use crate::{Batch, Layout, Participation, Record, Stateful, Weights};

    /// Leaves out the second unit.
    struct FirstAlone;

    impl Stateful for FirstAlone {}

    impl Guard<f64> for FirstAlone {
        fn admit(&mut self, _: &Participation, _: u64) -> Result<()> {
            Ok(())
        }

        fn weigh(&self, _: &mut dyn Contributions<f64>) -> Result<Weights> {
            Ok(Weights::PerUnit(vec![2.0, 0.0]))
        }

        fn release(&mut self, _: u64, _: usize, _: &mut [f64], _: &mut Record) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_unit_that_is_left_out_may_be_no_number() {
        let objective = |second: f64| {
            EachUnit::new(Layout::single("x", &[1]), move |_: &[f64], i: usize, gradient: &mut [f64]| {
                gradient[0] = [3.0, second][i];
                Ok([1.0, second][i])
            })
        };
        let reduce = |second: f64, guard: &dyn Guard<f64>| {
            let mut sum = [0.0];
            let batch = Batch { indices: vec![0, 1], ..Batch::default() };
            let joined = Reduction::in_turn().reduce(&[batch], &[0.0], &objective(second), guard, &mut sum).unwrap();
            (joined, sum[0])
        };
        let (joined, sum) = reduce(f64::NAN, &FirstAlone);
        assert_eq!((joined, sum), (Joined { units: 2, losses: vec![1.0] }, 6.0));
        assert_eq!(reduce(5.0, &FirstAlone).0.losses, [1.0, 5.0], "a finite loss is kept");
        assert!(reduce(f64::NAN, &crate::Mean).0.losses[1].is_nan(), "the loop must see it");
    }
}
