//! A banded `C^{-1}`: the noise is a moving average of the last p independent vectors.

use rayon::prelude::*;

use super::gaussian::{CHUNK, Innovations};
use super::ring::{Ring, accumulate, add_one};
use super::stream::StreamingMatrix;

/// The non-zero entries of the rows of `C^{-1}`, from the diagonal to the left.
#[derive(Debug)]
pub(super) enum Rows {
    /// All rows alike.
    Toeplitz(Vec<f64>),
    /// All rows alike but for a factor each.
    Scaled { scale: Vec<f64>, coefficients: Vec<f64> },
    /// `band` entries for each row.
    Each { band: usize, rows: Vec<f64> },
}

impl Rows {
    pub(super) fn band(&self) -> usize {
        match self {
            Self::Toeplitz(coefficients) | Self::Scaled { coefficients, .. } => coefficients.len(),
            Self::Each { band, .. } => *band,
        }
    }

    /// Row `step`: the factors of z_step, z_{step-1}, ..., as far as there are any.
    pub(super) fn row(&self, step: u64) -> Vec<f32> {
        let step = step as usize;
        let (entries, scale) = match self {
            Self::Toeplitz(coefficients) => (&coefficients[..], 1.0),
            Self::Scaled { scale, coefficients } => (&coefficients[..], scale[step]),
            Self::Each { band, rows } => (&rows[step * band..(step + 1) * band], 1.0),
        };
        entries.iter().take(step + 1).map(|entry| (scale * entry) as f32).collect()
    }
}

/// Where the past independent vectors come from.
#[derive(Debug)]
pub(super) enum Past {
    /// From memory.
    Ring(Ring),
    /// Drawn again each time: no memory, p times the random numbers.
    Replay,
}

#[derive(Debug)]
pub(super) struct MovingAverage {
    rows: Rows,
    past: Past,
}

/// The working memory of one thread.
struct Scratch {
    fresh: Vec<f32>,
    sum: Vec<f32>,
}

impl Scratch {
    fn new() -> Self {
        Self { fresh: vec![0.0; CHUNK], sum: vec![0.0; CHUNK] }
    }
}

impl MovingAverage {
    pub(super) fn with_ring(rows: Rows) -> Self {
        let past = if rows.band() == 1 { Past::Replay } else { Past::Ring(Ring::new(rows.band() - 1)) };
        Self { rows, past }
    }

    pub(super) fn replaying(rows: Rows) -> Self {
        Self { rows, past: Past::Replay }
    }
}

impl StreamingMatrix for MovingAverage {
    fn add_row(&mut self, step: u64, innovations: &dyn Innovations, scale: f32, out: &mut [f32]) {
        let row = self.rows.row(step);
        match &mut self.past {
            Past::Replay => add_replayed(&row, step, innovations, scale, out),
            Past::Ring(ring) => add_from_ring(ring, &row, step, innovations, scale, out),
        }
    }

    fn memory_vectors(&self) -> usize {
        match &self.past {
            Past::Ring(ring) => ring.capacity(),
            Past::Replay => 0,
        }
    }

    fn clear(&mut self) {
        if let Past::Ring(ring) = &mut self.past {
            ring.clear();
        }
    }

    fn go_to(&mut self, step: u64, len: usize, innovations: &dyn Innovations) {
        let Past::Ring(ring) = &mut self.past else { return };
        ring.clear();
        // Slots fill in order from 0, so vectors older than the ring come first.
        let kept = step.min(ring.capacity() as u64);
        for slot in 0..kept {
            let last = step - 1;
            let age = (last % ring.capacity() as u64 + ring.capacity() as u64 - slot) % ring.capacity() as u64;
            let mut vector = vec![0.0; len];
            draw(last - age, innovations, &mut vector);
            ring.put(last - age, vector);
        }
    }
}

/// Fills a whole vector with z_step.
fn draw(step: u64, innovations: &dyn Innovations, vector: &mut [f32]) {
    vector.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| innovations.fill(step, chunk, values));
}

fn add_replayed(row: &[f32], step: u64, innovations: &dyn Innovations, scale: f32, out: &mut [f32]) {
    out.par_chunks_mut(CHUNK).enumerate().for_each_init(Scratch::new, |scratch, (chunk, out)| {
        let (fresh, sum) = (&mut scratch.fresh[..out.len()], &mut scratch.sum[..out.len()]);
        sum.fill(0.0);
        for (age, &factor) in row.iter().enumerate() {
            innovations.fill(step - age as u64, chunk, fresh);
            add_one(sum, factor, fresh);
        }
        add_one(out, scale, sum);
    });
}

fn add_from_ring(ring: &mut Ring, row: &[f32], step: u64, innovations: &dyn Innovations, scale: f32, out: &mut [f32]) {
    // The slot of the newest vector holds the oldest one, which this row may still need.
    let mut newest = ring.take(step, out.len());
    let others = &*ring;
    let chunks = newest.par_chunks_mut(CHUNK).zip(out.par_chunks_mut(CHUNK)).enumerate();
    chunks.for_each_init(Scratch::new, |scratch, (chunk, (slot, out))| {
        let (fresh, sum) = (&mut scratch.fresh[..out.len()], &mut scratch.sum[..out.len()]);
        innovations.fill(step, chunk, fresh);
        sum.fill(0.0);
        let oldest = &*slot;
        accumulate(sum, row, |age| match age {
            0 => fresh,
            _ if age == others.capacity() => oldest,
            _ => others.chunk(step - age as u64, chunk),
        });
        slot.copy_from_slice(fresh);
        add_one(out, scale, sum);
    });
    ring.put(step, newest);
}
