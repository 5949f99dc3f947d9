//! The inverse of a buffered linear Toeplitz matrix: a few decaying buffers stand for the whole past.

use rayon::prelude::*;

use super::gaussian::{CHUNK, Innovations};
use super::ring::add_one;
use super::stream::StreamingMatrix;
use crate::blt::Blt;

/// `x_t = z_t - sum_j omega_j s_j; s_j <- theta_j s_j + x_t`, with buffers in `f64`.
#[derive(Debug)]
pub(super) struct Buffered {
    blt: Blt,
    /// For each chunk of the vector, one buffer after the other; empty before the first step.
    buffers: Vec<f64>,
}

impl Buffered {
    pub(super) fn new(blt: Blt) -> Self {
        Self { blt, buffers: Vec::new() }
    }
}

/// One chunk: turns z in `values` into x.
fn mix(blt: &Blt, buffers: &mut [f64], values: &mut [f32]) {
    let len = values.len();
    for (i, value) in values.iter_mut().enumerate() {
        let carried: f64 = blt.omega().iter().enumerate().map(|(j, omega)| omega * buffers[j * len + i]).sum();
        let x = f64::from(*value) - carried;
        for (j, theta) in blt.theta().iter().enumerate() {
            let buffer = &mut buffers[j * len + i];
            *buffer = theta * *buffer + x;
        }
        *value = x as f32;
    }
}

impl StreamingMatrix for Buffered {
    fn add_row(&mut self, step: u64, innovations: &dyn Innovations, scale: f32, out: &mut [f32]) {
        let count = self.blt.buffers();
        self.buffers.resize(count * out.len(), 0.0);
        let blt = &self.blt;
        let add = |fresh: &mut Vec<f32>, chunk: usize, buffers: &mut [f64], out: &mut [f32]| {
            let fresh = &mut fresh[..out.len()];
            innovations.fill(step, chunk, fresh);
            mix(blt, buffers, fresh);
            add_one(out, scale, fresh);
        };
        let chunks = out.par_chunks_mut(CHUNK).enumerate();
        if count == 0 {
            chunks.for_each_init(|| vec![0.0; CHUNK], |fresh, (chunk, out)| add(fresh, chunk, &mut [], out));
        } else {
            let buffers = self.buffers.par_chunks_mut(count * CHUNK);
            chunks
                .zip(buffers)
                .for_each_init(|| vec![0.0; CHUNK], |fresh, ((chunk, out), buffers)| add(fresh, chunk, buffers, out));
        }
    }

    fn memory_vectors(&self) -> usize {
        // Twice the size of the `f32` vectors they stand for.
        2 * self.blt.buffers()
    }

    fn clear(&mut self) {
        self.buffers.clear();
    }
}
