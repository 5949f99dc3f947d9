//! A banded C: the noise is autoregressive in its last p-1 values.

use rayon::prelude::*;

use super::gaussian::{CHUNK, Innovations};
use super::ring::{Ring, accumulate, add_one};
use super::stream::StreamingMatrix;

/// `x_t = (z_t - sum_{k=1}^{p-1} c_k x_{t-k}) / c_0` with p of at least 2.
#[derive(Debug)]
pub(super) struct Recursive {
    /// `-c_k` for k from 1.
    factors: Vec<f32>,
    /// `1 / c_0`.
    inverse_diagonal: f32,
    ring: Ring,
}

impl Recursive {
    pub(super) fn new(c: &[f64]) -> Self {
        let factors: Vec<f32> = c[1..].iter().map(|c| -*c as f32).collect();
        let ring = Ring::new(factors.len());
        Self { factors, inverse_diagonal: (1.0 / c[0]) as f32, ring }
    }
}

impl StreamingMatrix for Recursive {
    fn add_row(&mut self, step: u64, innovations: &dyn Innovations, scale: f32, out: &mut [f32]) {
        let factors = &self.factors[..self.factors.len().min(step as usize)];
        let mut newest = self.ring.take(step, out.len());
        let others = &self.ring;
        let chunks = newest.par_chunks_mut(CHUNK).zip(out.par_chunks_mut(CHUNK)).enumerate();
        chunks.for_each_init(
            || vec![0.0; CHUNK],
            |fresh, (chunk, (slot, out))| {
                let fresh = &mut fresh[..out.len()];
                innovations.fill(step, chunk, fresh);
                let oldest = &*slot;
                let past = |i: usize| match i + 1 {
                    age if age == others.capacity() => oldest,
                    age => others.chunk(step - age as u64, chunk),
                };
                accumulate(fresh, factors, past);
                fresh.iter_mut().for_each(|value| *value *= self.inverse_diagonal);
                slot.copy_from_slice(fresh);
                add_one(out, scale, fresh);
            },
        );
        self.ring.put(step, newest);
    }

    fn memory_vectors(&self) -> usize {
        self.ring.capacity()
    }

    fn clear(&mut self) {
        self.ring.clear();
    }
}
