//! The noise of a run, step by step.

use serde::{Deserialize, Serialize};
use thalweg_descent::state;

use super::buffered::Buffered;
use super::gaussian::Innovations;
use super::moving_average::{MovingAverage, Rows};
use super::recursive::Recursive;
use crate::error::{Error, Result};
use crate::strategy::{Form, Strategy};

/// A lower-triangular matrix that is applied to vectors z_0, z_1, ... row by row.
pub trait StreamingMatrix: Send + Sync + std::fmt::Debug {
    /// Adds `scale` times row `step` of the product to `out`. Steps come in order, `out` has the same length at each.
    fn add_row(&mut self, step: u64, innovations: &dyn Innovations, scale: f32, out: &mut [f32]);

    /// How many `f32` vectors of the length of `out` are kept.
    fn memory_vectors(&self) -> usize;

    /// Forgets the past: the next step is step 0.
    fn clear(&mut self);

    /// Goes to the state before `step`, for vectors of length `len`; the past is drawn again, never read from a checkpoint.
    fn go_to(&mut self, step: u64, len: usize, innovations: &dyn Innovations) {
        self.clear();
        let mut unused = vec![0.0; if step > 0 { len } else { 0 }];
        for past in 0..step {
            self.add_row(past, innovations, 0.0, &mut unused);
        }
    }
}

/// Whether past noise is kept, or drawn again from its counter-based generator; the noise is the same to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// Keep the past vectors.
    Ring,
    /// Keep none and draw them again: p times the random numbers. Only for a moving average (a `C^{-1}` given by its entries).
    Replay,
    /// Keep them where they fit into so many bytes, otherwise draw again.
    Within(usize),
}

impl Default for Memory {
    /// At most 512 MiB.
    fn default() -> Self {
        Self::Within(512 << 20)
    }
}

/// The rows of `C^{-1} Z`, one a step, for at most the n steps of the strategy.
///
/// The values depend on key, step and position alone: neither the number of threads nor a restart changes a bit.
///
/// ```
/// use thalweg_private::noise::{Gaussian, Memory, NoiseStream};
/// use thalweg_private::{NoiseKey, Ratios, Strategy, Workload};
///
/// let workload = Workload::new(Ratios::exponential(100, 0.1)?);
/// let strategy = Strategy::lr_bisr(&workload, 4)?;
/// let mut noise = NoiseStream::new(&strategy, 10, Gaussian::new(NoiseKey::generate()?), Memory::default())?;
/// let mut gradient = vec![0.0; 10];
/// noise.add_next(0.5, &mut gradient)?;
/// assert_eq!(noise.position(), 1);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
pub struct NoiseStream {
    matrix: Box<dyn StreamingMatrix>,
    innovations: Box<dyn Innovations>,
    steps: u64,
    len: usize,
    next: u64,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    next: u64,
    len: u64,
}

impl NoiseStream {
    /// Noise of this strategy for vectors of length `len`.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] for [`Memory::Replay`] with a strategy whose noise depends on its own past values.
    pub fn new(strategy: &Strategy, len: usize, innovations: impl Innovations + 'static, memory: Memory) -> Result<Self> {
        let matrix = matrix(strategy, len, memory)?;
        Ok(Self { matrix, innovations: Box::new(innovations), steps: strategy.steps() as u64, len, next: 0 })
    }

    /// Adds `scale` times the noise of the next step to `out`.
    ///
    /// # Errors
    /// [`Error::Exhausted`] after the strategy's last step; [`Error::Value`] for a vector of another length.
    pub fn add_next(&mut self, scale: f32, out: &mut [f32]) -> Result<()> {
        if self.next >= self.steps {
            return Err(Error::Exhausted { steps: self.steps });
        }
        if out.len() != self.len {
            return Err(Error::value("the length of the vector that gets noise", out.len(), &format!("{}", self.len)));
        }
        self.matrix.add_row(self.next, &*self.innovations, scale, out);
        self.next += 1;
        Ok(())
    }

    /// The step whose noise comes next, from 0.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The length of the vectors.
    pub fn vector_len(&self) -> usize {
        self.len
    }

    /// How many vectors of this length the stream keeps.
    pub fn memory_vectors(&self) -> usize {
        self.matrix.memory_vectors()
    }

    /// Goes to the step whose noise is to come next, drawing what it needs of the past from the key again.
    ///
    /// A moving average draws its last p - 1 vectors; noise that depends on its own past is computed from the first step on.
    ///
    /// # Errors
    /// [`Error::Exhausted`] beyond the strategy's last step.
    pub fn go_to(&mut self, step: u64) -> Result<()> {
        if step > self.steps {
            return Err(Error::Exhausted { steps: self.steps });
        }
        self.matrix.go_to(step, self.len, &*self.innovations);
        self.next = step;
        Ok(())
    }

    /// Position and length; neither key nor noise.
    pub fn save(&self) -> Vec<u8> {
        state::encode(&Saved { next: self.next, len: self.len as u64 })
    }

    /// Goes to where [`save`](Self::save) was called on a stream of the same strategy, length and key.
    ///
    /// # Errors
    /// [`Error::State`] when the bytes are of another stream.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        let saved: Saved = state::decode("the noise stream", bytes).map_err(|error| Error::state(error.to_string()))?;
        if saved.len != self.len as u64 || saved.next > self.steps {
            return Err(Error::state(format!(
                "it is at step {} of vectors of length {}; this stream has {} steps of vectors of length {}",
                saved.next, saved.len, self.steps, self.len
            )));
        }
        self.go_to(saved.next)
    }
}

impl std::fmt::Debug for NoiseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut show = f.debug_struct("NoiseStream");
        show.field("steps", &self.steps).field("len", &self.len).field("next", &self.next).finish_non_exhaustive()
    }
}

fn matrix(strategy: &Strategy, len: usize, memory: Memory) -> Result<Box<dyn StreamingMatrix>> {
    let rows = match strategy.form() {
        Form::Inverse { coefficients } => Rows::Toeplitz(coefficients.clone()),
        Form::ScaledInverse { scale, coefficients } => Rows::Scaled { scale: scale.clone(), coefficients: coefficients.clone() },
        Form::InverseRows { band, rows } => Rows::Each { band: *band, rows: rows.clone() },
        Form::Direct { coefficients } if coefficients.len() == 1 => Rows::Toeplitz(vec![1.0 / coefficients[0]]),
        Form::Direct { .. } | Form::Buffered { .. } if memory == Memory::Replay => {
            return Err(Error::unsuitable(
                strategy.name(),
                "its noise depends on its own past values, which cannot be drawn again; keep them (Memory::Ring)",
            ));
        }
        Form::Direct { coefficients } => return Ok(Box::new(Recursive::new(coefficients))),
        Form::Buffered { blt } => return Ok(Box::new(Buffered::new(blt.clone()))),
    };
    let bytes = (rows.band() - 1).saturating_mul(len).saturating_mul(size_of::<f32>());
    let keep = match memory {
        Memory::Ring => true,
        Memory::Replay => false,
        Memory::Within(limit) => bytes <= limit,
    };
    Ok(Box::new(if keep { MovingAverage::with_ring(rows) } else { MovingAverage::replaying(rows) }))
}
