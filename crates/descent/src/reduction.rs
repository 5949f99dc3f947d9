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
    let joined = Joined { units: contributions.units(), losses: contributions.losses().to_vec() };
    let weights = guard.weigh(&mut *contributions)?;
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
