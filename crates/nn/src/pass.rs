//! One forward pass: parameters in, loss out, and what is recorded on the way.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::Tensor;
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, TensorData};
use thalweg_descent::{BlockId, Layout};

use crate::host::operation::{Operation, Sink, apply, apply_tapped};
use crate::tap::{Tap, Tapped, Use};
use crate::{Error, PerExample, Result};

/// One forward pass through a network at given parameters.
///
/// A network is a value without state; a pass brings it the parameters and remembers what a gradient needs:
///
/// | pass | for | afterwards |
/// |---|---|---|
/// | [`Pass::plain`] | evaluation | nothing |
/// | [`Pass::tapped`] | training, per-example gradients | [`Pass::backward`] gives [`PerExample`] contributions |
/// | [`Pass::tracked`] | checks: Burn's own operations with weights as leaves | [`Pass::gradient`] gives one flat gradient |
///
/// In a tapped pass weights are constants, so that no work is done for them; the first dimension of every tensor that meets
/// a layer runs over the units (examples), or over `units * k` rows that belong together in runs of `k`.
#[derive(Debug)]
pub struct Pass<'a> {
    layout: &'a Layout,
    parameters: Tensor<1>,
    place: Place,
    mode: Mode,
}

/// Whose operations a pass uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Ours, on slices in the processor's memory.
    Host,
    /// Burn's, on any device.
    Anywhere,
}

#[derive(Debug)]
enum Mode {
    Plain,
    Tapped { units: usize, anchor: Box<Tensor<1>>, uses: RefCell<Vec<(Vec<Use>, Tap)>> },
    Tracked { leaves: RefCell<BTreeMap<BlockId, Tensor<1>>> },
}

impl<'a> Pass<'a> {
    /// A pass that records nothing.
    ///
    /// # Errors
    /// [`Error::Parameters`] when the vector has another length than the layout.
    pub fn plain(layout: &'a Layout, parameters: &[f32], device: &burn::tensor::Device) -> Result<Self> {
        Self::new(layout, parameters, device, place_of(device), |_| Mode::Plain)
    }

    /// A pass over `units` units from which [`Pass::backward`] makes per-unit gradients.
    ///
    /// # Errors
    /// [`Error::Parameters`] when the vector has another length than the layout.
    pub fn tapped(layout: &'a Layout, parameters: &[f32], units: usize, device: &burn::tensor::Device) -> Result<Self> {
        Self::tapped_at(place_of(device), layout, parameters, units, device)
    }

    /// A tapped pass with Burn's operations, also on the processor.
    pub(crate) fn tapped_at(
        place: Place,
        layout: &'a Layout,
        parameters: &[f32],
        units: usize,
        device: &burn::tensor::Device,
    ) -> Result<Self> {
        Self::new(layout, parameters, device, place, |device| Mode::Tapped {
            units,
            anchor: Box::new(Tensor::zeros([1], device).autodiff().require_grad()),
            uses: RefCell::default(),
        })
    }

    /// A pass with Burn's own operations and the weights as leaves of its graph: an independent way to one flat gradient.
    ///
    /// # Errors
    /// [`Error::Parameters`] when the vector has another length than the layout.
    pub fn tracked(layout: &'a Layout, parameters: &[f32], device: &burn::tensor::Device) -> Result<Self> {
        Self::new(layout, parameters, device, Place::Anywhere, |_| Mode::Tracked { leaves: RefCell::default() })
    }

    fn new(
        layout: &'a Layout,
        parameters: &[f32],
        device: &burn::tensor::Device,
        place: Place,
        mode: impl FnOnce(&burn::tensor::Device) -> Mode,
    ) -> Result<Self> {
        if parameters.len() != layout.len() {
            return Err(Error::Parameters { expected: layout.len(), found: parameters.len() });
        }
        let device = device.clone().without_autodiff();
        let data = TensorData::new(parameters.to_vec(), [parameters.len()]);
        let parameters = Tensor::from_data(data, (&device, DType::F32));
        Ok(Self { layout, parameters, place, mode: mode(&device) })
    }

    /// The device of the pass.
    pub fn device(&self) -> burn::tensor::Device {
        self.parameters.device()
    }

    /// The blocks of the parameters.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// A parameter block as a tensor of its shape, for layers of your own that need no gradient of it; in a tracked pass it
    /// is a leaf of the graph.
    ///
    /// # Panics
    /// When the block does not have `D` dimensions.
    pub fn parameter<const D: usize>(&self, block: BlockId) -> Tensor<D> {
        let description = self.layout.block(block);
        let shape: [usize; D] = description.shape.as_slice().try_into().expect("a layer knows the rank of its own blocks");
        let flat = || self.parameters.clone().slice([description.range()]);
        match &self.mode {
            Mode::Tracked { leaves } => {
                let mut leaves = leaves.borrow_mut();
                let leaf = leaves.entry(block).or_insert_with(|| flat().autodiff().require_grad());
                leaf.clone().reshape(shape)
            }
            _ => flat().reshape(shape),
        }
    }

    /// A parameter block in the processor's memory, shared with the pass.
    pub(crate) fn host_parameter(&self, block: BlockId) -> FlexTensor {
        let parameters = self.parameters.clone().try_into_primitive::<Flex>().expect("the place is the host");
        let block = self.layout.block(block);
        parameters.narrow(0, block.offset, block.len())
    }

    /// The uses of a layer in a tapped pass; nothing otherwise. `uses` gets the layer's input in the processor's memory.
    ///
    /// # Errors
    /// When the input's rows cannot be divided among the units.
    pub(crate) fn uses<const D: usize>(&self, input: &Tensor<D>, uses: impl FnOnce(FlexTensor) -> Vec<Use>) -> Result<Vec<Use>> {
        let Mode::Tapped { units, .. } = &self.mode else { return Ok(Vec::new()) };
        let dims = input.dims();
        let input = match self.place {
            Place::Host => input.clone().inner().try_into_primitive::<Flex>().expect("the place is the host").to_contiguous(),
            Place::Anywhere => FlexTensor::from_data(input.clone().inner().into_data()),
        };
        let uses = uses(input);
        if *units > 0 && dims[0].is_multiple_of(*units) {
            return Ok(uses);
        }
        let layer = uses.first().map_or_else(String::new, |used| self.layout.block(used.block).name.clone());
        Err(Error::Shape { layer, expected: format!("rows of {units} units"), found: dims.to_vec() })
    }

    /// Applies an operation of our own that has parameters.
    pub(crate) fn apply<const D: usize, const E: usize>(
        &self,
        operation: impl Operation,
        input: Tensor<D>,
        used: Vec<Use>,
    ) -> Tensor<E> {
        let Mode::Tapped { anchor, uses, .. } = &self.mode else { return apply(operation, input) };
        let sink = Sink::default();
        uses.borrow_mut().push((used, Tap::Sink(sink.clone())));
        apply_tapped(operation, input, anchor, sink)
    }

    /// Taps the output of one of Burn's operations.
    pub(crate) fn tap<const D: usize>(&self, output: Tensor<D>, used: Vec<Use>) -> Tensor<D> {
        let Mode::Tapped { uses, .. } = &self.mode else { return output };
        let dims = output.dims();
        let zeros = Tensor::<1>::zeros([dims.iter().product::<usize>()], &self.device()).autodiff().require_grad();
        uses.borrow_mut().push((used, Tap::Zeros(Box::new(zeros.clone()))));
        output + zeros.reshape(dims)
    }

    /// Runs the backward pass of the summed losses, one loss a unit, and gives each unit's gradient as contributions.
    ///
    /// # Errors
    /// [`Error::NoGradient`] when a block took no part in the loss; [`Error::Pass`] when the pass is not tapped or there is
    /// not one loss for each unit.
    pub fn backward(self, losses: Tensor<1>) -> Result<PerExample<'a>> {
        let Mode::Tapped { units, uses, .. } = self.mode else {
            return Err(Error::Pass("only a tapped pass gives per-example gradients".to_owned()));
        };
        let found = losses.dims()[0];
        if found != units {
            return Err(Error::Pass(format!("the pass is over {units} units, but there are {found} losses")));
        }
        let values = losses.clone().inner().into_data().iter::<f64>().collect();
        if !losses.is_tracked() {
            return Err(no_gradient(self.layout, BlockId(0), "the loss does not depend on any parameter"));
        }
        let gradients = losses.sum().backward();
        let mut blocks = vec![Vec::new(); self.layout.blocks().len()];
        for (uses, tap) in uses.into_inner() {
            let delta = tap.delta(&gradients);
            for Use { block, kind } in uses {
                let reason = "the loss does not depend on what it was used for";
                let delta = delta.clone().ok_or_else(|| no_gradient(self.layout, block, reason))?;
                blocks[block.0].push(Tapped { kind, delta });
            }
        }
        if let Some(unused) = blocks.iter().position(Vec::is_empty) {
            return Err(no_gradient(self.layout, BlockId(unused), "the pass did not use it"));
        }
        Ok(PerExample::new(self.layout, values, blocks))
    }

    /// Runs the backward pass of a scalar loss in a tracked pass and gives the flat gradient.
    ///
    /// # Errors
    /// [`Error::NoGradient`] when a block took no part in the loss; [`Error::Pass`] when the pass is not tracked.
    pub fn gradient(self, loss: &Tensor<1>) -> Result<Vec<f32>> {
        let Mode::Tracked { leaves } = self.mode else {
            return Err(Error::Pass("only a tracked pass gives a flat gradient".to_owned()));
        };
        let leaves = leaves.into_inner();
        if !loss.is_tracked() {
            return Err(no_gradient(self.layout, BlockId(0), "the loss does not depend on any parameter"));
        }
        let gradients = loss.backward();
        let mut gradient = Vec::with_capacity(self.layout.len());
        for block in (0..self.layout.blocks().len()).map(BlockId) {
            let leaf = leaves.get(&block).ok_or_else(|| no_gradient(self.layout, block, "the pass did not use it"))?;
            let reason = "the loss does not depend on what it was used for";
            let values = leaf.grad(&gradients).ok_or_else(|| no_gradient(self.layout, block, reason))?;
            gradient.extend(values.into_data().iter::<f32>());
        }
        Ok(gradient)
    }
}

fn no_gradient(layout: &Layout, block: BlockId, reason: &'static str) -> Error {
    let block = layout.blocks().get(block.0).map_or_else(|| "the network".to_owned(), |block| block.name.clone());
    Error::NoGradient { block, reason }
}

/// Ours where the memory is the processor's, Burn's elsewhere.
pub(crate) fn place_of(device: &burn::tensor::Device) -> Place {
    if device.clone().without_autodiff() == burn::tensor::Device::flex() { Place::Host } else { Place::Anywhere }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use thalweg_descent::{Contributions, SquaredNorms, Weights};

    use super::*;
    use crate::{Head, Network, NetworkConfig, Samples, TransformerConfig, cross_entropy};

    fn norms_and_sum(network: &Network, samples: &Samples, place: Place) -> (Vec<f64>, SquaredNorms, Vec<f32>) {
        let device = burn::tensor::Device::flex();
        let parameters = network.init(&mut ChaCha20Rng::seed_from_u64(3));
        let indices: Vec<usize> = (0..samples.len()).collect();
        let pass = Pass::tapped_at(place, network.layout(), &parameters, indices.len(), &device).unwrap();
        let (inputs, labels) = samples.gather(&indices, &device).unwrap();
        let losses = cross_entropy(network.class_logits(&pass, &inputs).unwrap(), &labels, 0.0).unwrap();
        let mut contributions = pass.backward(losses).unwrap();
        let norms = contributions.squared_norms().unwrap();
        let losses = contributions.losses().to_vec();
        let mut sum = vec![0.0; parameters.len()];
        Box::new(contributions).add_weighted_sum(&Weights::One, &mut sum).unwrap();
        (losses, norms, sum)
    }

    /// On other devices deltas come from tensors of zeros that are added to Burn's own operations.
    #[test]
    fn taps_with_burns_operations_give_the_same() {
        let image = |i: usize| ((i * 31) % 17) as f32 / 17.0;
        let images = Samples::features((0..3 * 128).map(image).collect(), &[2, 8, 8], vec![0, 1, 1], 2).unwrap();
        let tokens = Samples::tokens(vec![1, 2, 0, 3, 3, 1], 3, vec![3, 2], vec![0, 1], 2).unwrap();
        let resnet = crate::ResNetConfig::new([2, 8, 8], &[8], 2);
        let transformer = TransformerConfig::new(4, 3, 8, 1, 2, Head::Classes { classes: 2 });
        for (config, samples) in [
            (NetworkConfig::cnn([2, 8, 8], &[4, 4], 2), &images),
            (NetworkConfig::Resnet(resnet), &images),
            (NetworkConfig::Transformer(transformer), &tokens),
        ] {
            let network = config.build().unwrap();
            let (losses, norms, sum) = norms_and_sum(&network, samples, Place::Host);
            let (other_losses, other_norms, other_sum) = norms_and_sum(&network, samples, Place::Anywhere);
            for unit in 0..samples.len() {
                assert!((losses[unit] - other_losses[unit]).abs() < 1e-5);
                assert!((norms.norm(unit) / other_norms.norm(unit) - 1.0).abs() < 1e-5);
            }
            let difference: Vec<f32> = sum.iter().zip(&other_sum).map(|(a, b)| a - b).collect();
            assert!(thalweg_descent::norm(&difference) < 1e-5 * thalweg_descent::norm(&sum));
        }
    }

    /// Work is divided among units, whose results do not depend on who computes them.
    #[test]
    fn threads_do_not_change_a_bit() {
        let image = |i: usize| ((i * 31) % 17) as f32 / 17.0;
        let samples = Samples::features((0..6 * 128).map(image).collect(), &[2, 8, 8], vec![0, 1, 1, 0, 0, 1], 2).unwrap();
        let network = NetworkConfig::cnn([2, 8, 8], &[4, 4], 2).build().unwrap();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| norms_and_sum(&network, &samples, Place::Host))
        };
        assert_eq!(on(1), on(3));
    }
}
