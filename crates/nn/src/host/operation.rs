//! How an operation of our own joins Burn's graph.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use burn::Tensor;
use burn::backend::Flex;
use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;

/// An operation with one input; everything else that it needs, it holds.
pub(crate) trait Operation: Clone + Debug + Send + 'static {
    /// The output. What the backward pass needs, is kept in `self`.
    fn forward(&mut self, input: FlexTensor) -> FlexTensor;

    /// The gradient of the loss with respect to the input, from that with respect to the output.
    fn backward(self, delta: FlexTensor) -> FlexTensor;
}

/// Where a backward pass leaves `delta`, the gradient with respect to an operation's output.
pub(crate) type Sink = Arc<OnceLock<FlexTensor>>;

/// Applies an operation to a tensor of the `flex` device, and records it if the tensor is in a graph.
pub(crate) fn apply<const D: usize, const E: usize>(mut operation: impl Operation, input: Tensor<D>) -> Tensor<E> {
    if !input.is_autodiff() {
        let input = input.try_into_primitive::<Flex>().expect("callers pass flex tensors");
        return Tensor::from_primitive::<Flex>(operation.forward(input));
    }
    let input = input.try_into_primitive::<Autodiff<Flex>>().expect("callers pass flex tensors");
    let (input, node) = input.into_parts();
    let output = operation.forward(input);
    let recorded = match Step(PhantomData).prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(operation, output),
        OpsKind::UnTracked(step) => step.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(recorded)
}

/// Applies an operation with parameters in a tapped pass: the backward pass leaves the output's `delta` in `sink`.
///
/// `anchor` is a tensor that requires a gradient. It brings the operation into the graph even if the input is not in one,
/// as for the first layer; then the gradient with respect to the input is not computed.
pub(crate) fn apply_tapped<const D: usize, const E: usize>(
    mut operation: impl Operation,
    input: Tensor<D>,
    anchor: &Tensor<1>,
    sink: Sink,
) -> Tensor<E> {
    let input = input.autodiff().try_into_primitive::<Autodiff<Flex>>().expect("callers pass flex tensors");
    let anchor = anchor.clone().try_into_primitive::<Autodiff<Flex>>().expect("the anchor is made on the pass's device");
    let (input, node) = input.into_parts();
    let output = operation.forward(input);
    let recorded = match TappedStep(PhantomData).prepare::<NoCheckpointing>([node, anchor.node()]).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish((operation, sink), output),
        OpsKind::UnTracked(_) => unreachable!("the anchor requires a gradient"),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(recorded)
}

/// The backward step of an operation.
#[derive(Debug)]
struct Step<O>(PhantomData<fn() -> O>);

impl<O: Operation> Backward<Flex, 1> for Step<O> {
    type State = O;

    fn backward(self, ops: Ops<O, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let delta = gradients.consume::<Flex>(&ops.node);
        if let [Some(input)] = ops.parents {
            gradients.register::<Flex>(input.id, ops.state.backward(delta));
        }
    }
}

/// The backward step of an operation with a tap; its second parent is the anchor.
#[derive(Debug)]
struct TappedStep<O>(PhantomData<fn() -> O>);

impl<O: Operation> Backward<Flex, 2> for TappedStep<O> {
    type State = (O, Sink);

    fn backward(self, ops: Ops<(O, Sink), 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let delta = gradients.consume::<Flex>(&ops.node);
        let (operation, sink) = ops.state;
        let [input, _anchor] = ops.parents;
        let first = sink.set(delta.clone()).is_ok();
        debug_assert!(first, "a graph is consumed by its backward pass");
        if let Some(input) = input {
            gradients.register::<Flex>(input.id, operation.backward(delta));
        }
    }
}
