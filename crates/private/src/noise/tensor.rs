//! The same noise on Burn's tensors, for a training that keeps its gradients on a device.
//!
//! The independent vectors come from ChaCha20 on the host, as everywhere, and go to the device once each; what is kept of the past
//! stays there and is mixed there. So a card needs no generator of its own, and a run may change its device without changing its noise:
//! the values are those of [`NoiseStream`](super::NoiseStream) up to rounding, and to the bit on the processor, except for
//! buffered strategies, whose buffers are `f64` there and `f32` here.

use std::collections::VecDeque;

use burn::Tensor;
use burn::tensor::{Device, TensorData};
use rayon::prelude::*;

use super::gaussian::{CHUNK, Innovations};
use super::moving_average::Rows;
use super::place::Place;
use super::recurrence::{KeptPast, Recurrence};
use super::stream::Memory;
use crate::blt::Blt;
use crate::error::Result;
use crate::strategy::Strategy;

/// The rows of `C^{-1} Z` as tensors of shape `[len]` on one device, one a step.
///
/// ```
/// use burn::Tensor;
/// use thalweg_private::noise::{Gaussian, Memory, TensorNoise};
/// use thalweg_private::{NoiseKey, Ratios, Strategy, Workload};
///
/// let workload = Workload::new(Ratios::exponential(100, 0.1)?);
/// let strategy = Strategy::lr_bisr(&workload, 4)?;
/// let device = burn::tensor::Device::flex();
/// let mut noise = TensorNoise::new(&strategy, 10, Gaussian::new(NoiseKey::generate()?), Memory::default(), &device)?;
/// let gradient = noise.add_next(0.5, Tensor::zeros([10], &device))?;
/// assert_eq!((gradient.dims(), noise.position()), ([10], 1));
/// # Ok::<(), thalweg_private::Error>(())
/// ```
pub struct TensorNoise {
    mixing: Mixing,
    source: Source,
    place: Place,
}

/// What is kept on the device; vectors stand with the newest first.
enum Mixing {
    Average { rows: Rows, past: VecDeque<Tensor<1>> },
    Replayed { rows: Rows },
    Autoregressive { factors: Vec<f32>, inverse_diagonal: f32, past: VecDeque<Tensor<1>> },
    Buffered { blt: Blt, buffers: Vec<Tensor<1>> },
}

/// Independent vectors, brought to the device.
struct Source {
    innovations: Box<dyn Innovations>,
    device: Device,
}

impl Source {
    fn draw(&self, step: u64, len: usize) -> Tensor<1> {
        let mut values = vec![0.0f32; len];
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| self.innovations.fill(step, chunk, values));
        Tensor::from_data(TensorData::new(values, [len]), &self.device)
    }
}

impl TensorNoise {
    /// Noise of this strategy for tensors of shape `[len]` on `device`. The bytes of [`Memory::Within`] are the device's.
    ///
    /// # Errors
    /// [`Error::Unsuitable`](crate::Error::Unsuitable) for [`Memory::Replay`] with a strategy whose noise depends on its own past values.
    pub fn new(
        strategy: &Strategy,
        len: usize,
        innovations: impl Innovations + 'static,
        memory: Memory,
        device: &Device,
    ) -> Result<Self> {
        let source = Source { innovations: Box::new(innovations), device: device.clone() };
        Ok(Self { mixing: Mixing::new(Recurrence::of(strategy, len, memory)?), source, place: Place::start(strategy, len) })
    }

    /// `gradient` plus `scale` times the noise of the next step.
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted) after the strategy's last step; [`Error::Value`](crate::Error::Value) for a
    /// tensor of another length.
    pub fn add_next(&mut self, scale: f32, gradient: Tensor<1>) -> Result<Tensor<1>> {
        let [len] = gradient.dims();
        let step = self.place.takes(len)?;
        let noise = self.mixing.row(step, len, &self.source);
        self.place.next += 1;
        Ok(gradient + noise * scale)
    }

    /// The step whose noise comes next, from 0.
    pub fn position(&self) -> u64 {
        self.place.next
    }

    /// The length of the vectors.
    pub fn vector_len(&self) -> usize {
        self.place.len
    }

    /// How many vectors of this length lie on the device once the past is as long as it gets.
    pub fn memory_vectors(&self) -> usize {
        match &self.mixing {
            Mixing::Average { rows, .. } => rows.band() - 1,
            Mixing::Replayed { .. } => 0,
            Mixing::Autoregressive { factors, .. } => factors.len(),
            Mixing::Buffered { blt, .. } => blt.buffers(),
        }
    }

    /// Goes to the step whose noise is to come next, drawing what it needs of the past from the key again.
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted) beyond the strategy's last step.
    pub fn go_to(&mut self, step: u64) -> Result<()> {
        self.place.go_to(step)?;
        self.mixing.go_to(step, self.place.len, &self.source);
        Ok(())
    }

    /// Position and length; neither key nor noise. A [`NoiseStream`](super::NoiseStream) takes them as well.
    pub fn save(&self) -> Vec<u8> {
        self.place.save()
    }

    /// Goes to where `save` was called on a stream of the same strategy, length and key.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State) when the bytes are of another stream.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        self.go_to(self.place.saved_in(bytes)?)
    }
}

impl std::fmt::Debug for TensorNoise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorNoise").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Mixing {
    fn new(recurrence: Recurrence) -> Self {
        match recurrence {
            Recurrence::Average { rows, past: KeptPast::Ring } => Self::Average { rows, past: VecDeque::new() },
            Recurrence::Average { rows, past: KeptPast::None } => Self::Replayed { rows },
            Recurrence::Autoregressive { coefficients } => Self::Autoregressive {
                factors: coefficients[1..].iter().map(|c| -*c as f32).collect(),
                inverse_diagonal: (1.0 / coefficients[0]) as f32,
                past: VecDeque::new(),
            },
            Recurrence::Buffered { blt } => Self::Buffered { blt, buffers: Vec::new() },
        }
    }

    /// The noise of `step`; steps come in order.
    fn row(&mut self, step: u64, len: usize, source: &Source) -> Tensor<1> {
        match self {
            Self::Average { rows, past } => {
                let newest = source.draw(step, len);
                let vectors = std::iter::once(&newest).chain(past.iter()).cloned();
                let noise = weighted(Tensor::zeros([len], &source.device), rows.row(step).into_iter().zip(vectors));
                remember(past, newest, rows.band() - 1);
                noise
            }
            Self::Replayed { rows } => {
                let vectors = rows.row(step).into_iter().zip(0..).map(|(factor, age)| (factor, source.draw(step - age, len)));
                weighted(Tensor::zeros([len], &source.device), vectors)
            }
            Self::Autoregressive { factors, inverse_diagonal, past } => {
                let carried = factors.iter().copied().zip(past.iter().cloned());
                let noise = weighted(source.draw(step, len), carried) * *inverse_diagonal;
                remember(past, noise.clone(), factors.len());
                noise
            }
            Self::Buffered { blt, buffers } => buffered(blt, buffers, source.draw(step, len)),
        }
    }

    fn go_to(&mut self, step: u64, len: usize, source: &Source) {
        match self {
            Self::Replayed { .. } => {}
            Self::Average { rows, past } => {
                let kept = step.min(rows.band() as u64 - 1);
                *past = (step - kept..step).rev().map(|earlier| source.draw(earlier, len)).collect();
            }
            Self::Autoregressive { past, .. } => {
                past.clear();
                self.replay(step, len, source);
            }
            Self::Buffered { buffers, .. } => {
                buffers.clear();
                self.replay(step, len, source);
            }
        }
    }

    fn replay(&mut self, step: u64, len: usize, source: &Source) {
        for earlier in 0..step {
            self.row(earlier, len, source);
        }
    }
}

/// `start + factor_0 vector_0 + factor_1 vector_1 + ...`, added in this order as on slices.
fn weighted(start: Tensor<1>, terms: impl Iterator<Item = (f32, Tensor<1>)>) -> Tensor<1> {
    terms.fold(start, |sum, (factor, vector)| sum + vector * factor)
}

/// Puts a vector in front and forgets those beyond `capacity`.
fn remember(past: &mut VecDeque<Tensor<1>>, newest: Tensor<1>, capacity: usize) {
    past.push_front(newest);
    past.truncate(capacity);
}

/// `x_t = z_t - sum_j omega_j s_j; s_j <- theta_j s_j + x_t`.
fn buffered(blt: &Blt, buffers: &mut Vec<Tensor<1>>, innovation: Tensor<1>) -> Tensor<1> {
    let carried = blt.omega().iter().zip(buffers.iter()).map(|(omega, buffer)| (-*omega as f32, buffer.clone()));
    let noise = weighted(innovation, carried);
    *buffers = if buffers.is_empty() {
        vec![noise.clone(); blt.buffers()]
    } else {
        let decayed = buffers.drain(..).zip(blt.theta());
        decayed.map(|(buffer, theta)| buffer * (*theta as f32) + noise.clone()).collect()
    };
    noise
}
