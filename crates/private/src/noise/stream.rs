//! The noise of a run, step by step.

use serde::{Deserialize, Serialize};

use super::buffered::Buffered;
use super::gaussian::Innovations;
use super::moving_average::MovingAverage;
use super::place::Place;
use super::recurrence::{KeptPast, Recurrence};
use super::recursive::Recursive;
use crate::error::Result;
use crate::strategy::Strategy;

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
    place: Place,
}

impl NoiseStream {
    /// Noise of this strategy for vectors of length `len`.
    ///
    /// # Errors
    /// [`Error::Unsuitable`](crate::Error::Unsuitable) for [`Memory::Replay`] with a strategy whose noise depends on its own past values.
    pub fn new(strategy: &Strategy, len: usize, innovations: impl Innovations + 'static, memory: Memory) -> Result<Self> {
        let matrix = matrix(strategy, len, memory)?;
        Ok(Self { matrix, innovations: Box::new(innovations), place: Place::start(strategy, len) })
    }

    /// Adds `scale` times the noise of the next step to `out`.
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted) after the strategy's last step; [`Error::Value`](crate::Error::Value) for a vector of another length.
    pub fn add_next(&mut self, scale: f32, out: &mut [f32]) -> Result<()> {
        let step = self.place.takes(out.len())?;
        self.matrix.add_row(step, &*self.innovations, scale, out);
        self.place.next += 1;
        Ok(())
    }

    /// The step whose noise comes next, from 0.
    pub fn position(&self) -> u64 {
        self.place.next
    }

    /// The length of the vectors.
    pub fn vector_len(&self) -> usize {
        self.place.len
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
    /// [`Error::Exhausted`](crate::Error::Exhausted) beyond the strategy's last step.
    pub fn go_to(&mut self, step: u64) -> Result<()> {
        self.place.go_to(step)?;
        self.matrix.go_to(step, self.place.len, &*self.innovations);
        Ok(())
    }

    /// Position and length; neither key nor noise.
    pub fn save(&self) -> Vec<u8> {
        self.place.save()
    }

    /// Goes to where [`save`](Self::save) was called on a stream of the same strategy, length and key.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State) when the bytes are of another stream.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        self.go_to(self.place.saved_in(bytes)?)
    }
}

impl std::fmt::Debug for NoiseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoiseStream").field("place", &self.place).finish_non_exhaustive()
    }
}

fn matrix(strategy: &Strategy, len: usize, memory: Memory) -> Result<Box<dyn StreamingMatrix>> {
    Ok(match Recurrence::of(strategy, len, memory)? {
        Recurrence::Average { rows, past: KeptPast::Ring } => Box::new(MovingAverage::with_ring(rows)),
        Recurrence::Average { rows, past: KeptPast::None } => Box::new(MovingAverage::replaying(rows)),
        Recurrence::Autoregressive { coefficients } => Box::new(Recursive::new(&coefficients)),
        Recurrence::Buffered { blt } => Box::new(Buffered::new(blt)),
    })
}
