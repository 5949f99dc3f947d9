//! What layer and group normalisation share: standardised runs, then a gain and an offset for each channel.

use burn::Tensor;
use thalweg_descent::BlockId;

use crate::host::affine::ChannelAffine;
use crate::host::operation::apply;
use crate::host::standardise::Standardise;
use crate::pass::Place;
use crate::plan::Initial;
use crate::tap::{Kind, Use};
use crate::{Pass, Plan, Result};

/// The parameters `name.gain`, 1 at the start, and `name.offset`, 0 at the start.
#[derive(Clone, Debug)]
pub(crate) struct GainAndOffset {
    pub(crate) channels: usize,
    pub(crate) gain: BlockId,
    pub(crate) offset: BlockId,
}

impl GainAndOffset {
    pub(crate) fn build(plan: &mut Plan, name: &str, channels: usize) -> Result<Self> {
        let gain = plan.block(&format!("{name}.gain"), &[channels], Initial::Ones)?;
        let offset = plan.block(&format!("{name}.offset"), &[channels], Initial::Zeros)?;
        Ok(Self { channels, gain, offset })
    }

    /// Standardises runs of `length` numbers, then scales and shifts; number `i` belongs to channel `i / inner % channels`.
    pub(crate) fn forward<const D: usize>(
        &self,
        pass: &Pass<'_>,
        input: Tensor<D>,
        [length, inner]: [usize; 2],
        epsilon: f64,
    ) -> Result<Tensor<D>> {
        let standard = match pass.place() {
            Place::Host => apply(Standardise::new(length, epsilon), input),
            Place::Anywhere => standardise(input, length, epsilon),
        };
        let channels = self.channels;
        let uses = pass.uses(&standard, |standard| {
            let channel = |block, factor| Use { block, kind: Kind::Channel { channels, inner, factor } };
            vec![channel(self.gain, Some(standard)), channel(self.offset, None)]
        })?;
        if pass.place() == Place::Host {
            let (gain, offset) = (pass.host_parameter(self.gain), pass.host_parameter(self.offset));
            return Ok(pass.apply(ChannelAffine { inner, gain, offset }, standard, uses));
        }
        let dims = standard.dims();
        let channel = |block| pass.parameter::<1>(block).reshape([1, channels, 1]);
        let rows = dims.iter().product::<usize>() / (channels * inner);
        let scaled = standard.reshape([rows, channels, inner]) * channel(self.gain) + channel(self.offset);
        Ok(pass.tap(scaled.reshape(dims), uses))
    }
}

/// As [`Standardise`], with Burn's operations.
fn standardise<const D: usize>(input: Tensor<D>, length: usize, epsilon: f64) -> Tensor<D> {
    let dims = input.dims();
    let runs = input.reshape([dims.iter().product::<usize>() / length, length]);
    let centred = runs.clone() - runs.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    (centred / (variance + epsilon).sqrt()).reshape(dims)
}
