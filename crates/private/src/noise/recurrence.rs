//! How the noise of a strategy follows from independent vectors, wherever it is computed.

use super::moving_average::Rows;
use super::stream::Memory;
use crate::blt::Blt;
use crate::error::{Error, Result};
use crate::strategy::{Form, Strategy};

/// What the noise `x = C^{-1} z` of a step depends on.
pub(super) enum Recurrence {
    /// The last independent vectors.
    Average { rows: Rows, past: KeptPast },
    /// Its own last values: the entries `c_0, ..., c_{p-1}` of a banded C, p at least 2.
    Autoregressive { coefficients: Vec<f64> },
    /// All of its own past, through a few decaying buffers.
    Buffered { blt: Blt },
}

/// What of the past a moving average keeps.
#[derive(Clone, Copy)]
pub(super) enum KeptPast {
    /// The last vectors.
    Ring,
    /// Nothing: they are drawn again.
    None,
}

impl Recurrence {
    /// For vectors of length `len`.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] where the past is to be drawn again and cannot be.
    pub(super) fn of(strategy: &Strategy, len: usize, memory: Memory) -> Result<Self> {
        let rows = match strategy.form() {
            Form::Inverse { coefficients } => Rows::Toeplitz(coefficients.clone()),
            Form::ScaledInverse { scale, coefficients } => {
                Rows::Scaled { scale: scale.clone(), coefficients: coefficients.clone() }
            }
            Form::InverseRows { band, rows } => Rows::Each { band: *band, rows: rows.clone() },
            Form::Direct { coefficients } if coefficients.len() == 1 => Rows::Toeplitz(vec![1.0 / coefficients[0]]),
            Form::Direct { .. } | Form::Buffered { .. } if memory == Memory::Replay => {
                return Err(Error::unsuitable(
                    strategy.name(),
                    "its noise depends on its own past values, which cannot be drawn again; keep them (Memory::Ring)",
                ));
            }
            Form::Direct { coefficients } => return Ok(Self::Autoregressive { coefficients: coefficients.clone() }),
            Form::Buffered { blt } => return Ok(Self::Buffered { blt: blt.clone() }),
        };
        let bytes = (rows.band() - 1).saturating_mul(len).saturating_mul(size_of::<f32>());
        let ring = match memory {
            Memory::Ring => true,
            Memory::Replay => false,
            Memory::Within(limit) => bytes <= limit,
        };
        Ok(Self::Average { rows, past: if ring { KeptPast::Ring } else { KeptPast::None } })
    }
}
