//! Tapped norms and weighted sums against one-example-at-a-time autodiff.
//!
//! The other side shares no rule and no operation of ours with the taps' backward pass: a tracked pass takes Burn's own
//! operations with the weights as leaves, one example after another.

use burn::Tensor;
use burn::tensor::{Bool, Device, Int, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use thalweg_descent::{BlockId, Contributions, Layout, Weights};
use thalweg_nn::*;

/// A function of a pass and the examples of these indices that gives one loss for each.
type Losses<'a> = dyn Fn(&Pass<'_>, &[usize]) -> Tensor<1> + 'a;

/// Compares norms by block, sums with weights 1, by unit and by block, and the losses, over `units` examples.
#[track_caller]
fn check(plan: &Plan, units: usize, losses: &Losses<'_>) {
    let device = Device::flex();
    let mut rng = ChaCha20Rng::seed_from_u64(units as u64);
    let mut parameters = plan.init(&mut rng);
    // Gains and offsets away from their special starting values.
    parameters.iter_mut().for_each(|p| *p += 0.1 * (rng.random::<f32>() - 0.5));
    let layout = plan.layout();
    let blocks = layout.blocks().len();
    let gradients: Vec<Vec<f32>> = (0..units)
        .map(|unit| {
            let pass = Pass::tracked(layout, &parameters, &device).unwrap();
            let loss = losses(&pass, &[unit]);
            pass.gradient(&loss).unwrap()
        })
        .collect();

    let indices: Vec<usize> = (0..units).collect();
    let tapped = || {
        let pass = Pass::tapped(layout, &parameters, units, &device).unwrap();
        let losses = losses(&pass, &indices);
        pass.backward(losses).unwrap()
    };
    let mut with_norms = tapped();
    let norms = with_norms.squared_norms().unwrap();
    for (unit, gradient) in gradients.iter().enumerate() {
        let total = thalweg_descent::norm(gradient);
        for block in (0..blocks).map(BlockId) {
            let expected = thalweg_descent::norm(layout.slice(block, gradient));
            let found = norms.block_norm(unit, block);
            // Relative to the block's norm; blocks whose gradient is zero by symmetry (a key's bias) to the whole norm.
            let tolerance = 1e-5 * expected.max(1e-2 * total);
            let name = &layout.block(block).name;
            assert!((found - expected).abs() <= tolerance, "{name}, example {unit}: norm {found}, expected {expected}");
        }
    }
    let per_unit: Vec<f64> = (0..units).map(|unit| 0.3 + unit as f64).collect();
    let per_block: Vec<f64> = (0..units * blocks).map(|at| (at % 7) as f64 - 2.0).collect();
    let all = [Weights::One, Weights::PerUnit(per_unit), Weights::PerBlock { blocks, values: per_block }];
    for weights in all {
        check_sum(Box::new(tapped()), &weights, layout, &gradients);
        let mut after_norms = tapped();
        after_norms.squared_norms().unwrap();
        check_sum(Box::new(after_norms), &weights, layout, &gradients);
    }
}

#[track_caller]
fn check_sum(contributions: Box<PerExample<'_>>, weights: &Weights, layout: &Layout, gradients: &[Vec<f32>]) {
    let mut sum = vec![1.0; layout.len()];
    contributions.add_weighted_sum(weights, &mut sum).unwrap();
    for block in (0..layout.blocks().len()).map(BlockId) {
        let mut expected = vec![0.0; layout.block(block).len()];
        let mut scale = 0.0;
        for (unit, gradient) in gradients.iter().enumerate() {
            let weight = weights.get(unit, block);
            scale +=
                weight.abs() * thalweg_descent::norm(layout.slice(block, gradient)).max(1e-2 * thalweg_descent::norm(gradient));
            expected.iter_mut().zip(layout.slice(block, gradient)).for_each(|(e, g)| *e += weight * f64::from(*g));
        }
        let found = layout.slice(block, &sum);
        let error = found.iter().zip(&expected).map(|(f, e)| (f64::from(*f) - 1.0 - e).powi(2)).sum::<f64>().sqrt();
        // The sum starts from 1, which costs half a unit of the last place of 1 for each entry.
        let rounding = 1e-7 * (found.len() as f64).sqrt();
        let name = &layout.block(block).name;
        assert!(error <= 1e-5 * scale + rounding, "{name}: off by {error}, of {scale}");
    }
}

fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..n).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

/// The examples of these indices from a fixed population of examples of this shape.
fn examples<const D: usize, const E: usize>(indices: &[usize], shape: [usize; E]) -> Tensor<D> {
    let length = shape.iter().product();
    let values: Vec<f32> = indices.iter().flat_map(|index| numbers(length, 1000 + *index as u64)).collect();
    let mut dims = vec![indices.len()];
    dims.extend(shape);
    Tensor::from_data(TensorData::new(values, dims), &Device::flex())
}

fn ids(indices: &[usize], length: usize, entries: u32) -> Vec<u32> {
    indices.iter().flat_map(|index| (0..length).map(move |t| (index * 5 + t * t) as u32 % entries)).collect()
}

/// A smooth scalar for each example, different in every entry.
fn score<const D: usize>(output: Tensor<D>) -> Tensor<1> {
    let n = output.dims()[0];
    let length = output.dims().iter().product::<usize>() / n;
    let weights = Tensor::<2>::from_data(TensorData::new(numbers(length, 7), [1, length]), &Device::flex());
    let flat = output.reshape([n, length]);
    (flat.clone() * weights + flat.powf_scalar(2.0) * 0.3).sum_dim(1).reshape([n])
}

#[test]
fn linear_layers_on_rows_and_sequences() {
    for units in [1, 2, 5] {
        for (positions, inputs, outputs) in [(1, 1, 1), (1, 7, 3), (2, 5, 9), (6, 12, 10), (9, 3, 2), (40, 4, 4)] {
            for config in [LinearConfig::new(inputs, outputs), LinearConfig::new(inputs, outputs).without_bias()] {
                let mut plan = Plan::new();
                let layer = config.build(&mut plan, "layer").unwrap();
                check(&plan, units, &|pass, indices| {
                    score(layer.forward(pass, examples::<3, 2>(indices, [positions, inputs])).unwrap())
                });
            }
        }
    }
}

#[test]
fn convolutions_of_all_kinds() {
    // channels, image, kernel, stride, padding, dilation, groups
    let grid: [([usize; 2], [usize; 2], Conv2dConfig); 9] = [
        ([1, 1], [4, 4], Conv2dConfig::new([1, 1], [1, 1])),
        ([3, 4], [6, 5], Conv2dConfig::new([3, 4], [3, 3]).with_padding([1, 1])),
        ([4, 6], [7, 6], Conv2dConfig::new([4, 6], [3, 2]).with_stride([2, 3]).with_padding([2, 0])),
        ([4, 6], [8, 9], Conv2dConfig::new([4, 6], [2, 3]).with_dilation([3, 2]).with_padding([1, 2])),
        ([4, 6], [5, 5], Conv2dConfig::new([4, 6], [3, 3]).with_groups(2).with_padding([1, 1])),
        ([6, 6], [5, 5], Conv2dConfig::new([6, 6], [3, 3]).with_groups(6)),
        ([8, 16], [3, 3], Conv2dConfig::new([8, 16], [3, 3])),
        ([16, 16], [2, 2], Conv2dConfig::new([16, 16], [1, 1]).without_bias()),
        ([5, 3], [6, 6], Conv2dConfig::new([5, 3], [1, 1]).with_stride([2, 2])),
    ];
    for (channels, [height, width], config) in grid {
        for units in [1, 3] {
            let mut plan = Plan::new();
            let layer = config.build(&mut plan, "layer").unwrap();
            check(&plan, units, &|pass, indices| {
                score(layer.forward(pass, examples::<4, 3>(indices, [channels[0], height, width])).unwrap())
            });
        }
    }
}

#[test]
fn deep_convolutions_with_activations_and_pooling() {
    let mut plan = Plan::new();
    let first = Conv2dConfig::new([2, 4], [3, 3]).with_padding([1, 1]).build(&mut plan, "first").unwrap();
    let second = Conv2dConfig::new([4, 5], [3, 3]).with_stride([2, 2]).build(&mut plan, "second").unwrap();
    let output = LinearConfig::new(5, 3).build(&mut plan, "output").unwrap();
    for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh] {
        check(&plan, 4, &|pass, indices| {
            let x = activation.forward(first.forward(pass, examples::<4, 3>(indices, [2, 12, 11])).unwrap());
            let x = max_pool2d(x, [2, 2], [2, 2]).unwrap();
            let x = activation.forward(second.forward(pass, x).unwrap());
            let x = avg_pool2d(x, [1, 2], [1, 1]).unwrap();
            score(output.forward(pass, global_avg_pool2d(x)).unwrap())
        });
    }
}

#[test]
fn normalisation_layers() {
    for units in [1, 3] {
        let mut plan = Plan::new();
        let layer = LayerNormConfig::new(9).build(&mut plan, "norm").unwrap();
        let dense = LinearConfig::new(9, 9).build(&mut plan, "dense").unwrap();
        check(&plan, units, &|pass, indices| {
            let x = dense.forward(pass, examples::<3, 2>(indices, [4, 9])).unwrap();
            score(layer.forward(pass, x).unwrap())
        });
        let mut plan = Plan::new();
        let layer = GroupNormConfig::new(3, 6).build(&mut plan, "norm").unwrap();
        let convolution = Conv2dConfig::new([2, 6], [2, 2]).build(&mut plan, "convolution").unwrap();
        check(&plan, units, &|pass, indices| {
            let x = convolution.forward(pass, examples::<4, 3>(indices, [2, 4, 5])).unwrap();
            score(layer.forward(pass, x).unwrap())
        });
    }
}

#[test]
fn embeddings_with_repeated_tokens_and_positions() {
    for (entries, width, length) in [(5, 3, 1), (4, 2, 9), (50, 20, 6)] {
        let mut plan = Plan::new();
        let token = EmbeddingConfig::new(entries, width).build(&mut plan, "token").unwrap();
        let position = EmbeddingConfig::new(12, width).build(&mut plan, "position").unwrap();
        for units in [1, 4] {
            check(&plan, units, &|pass, indices| {
                let tokens = token.forward(pass, &ids(indices, length, entries as u32), indices.len()).unwrap();
                score(tokens + position.positions(pass, indices.len(), length).unwrap())
            });
        }
    }
}

#[test]
fn shared_weights_sum_before_the_norm() {
    // Small and large against the positions, so that both the Gram form and the gradient itself are taken.
    for (width, positions) in [(3, 5), (12, 2), (16, 1)] {
        let mut plan = Plan::new();
        let layer = LinearConfig::new(width, width).build(&mut plan, "shared").unwrap();
        let norm = LayerNormConfig::new(width).build(&mut plan, "norm").unwrap();
        check(&plan, 3, &|pass, indices| {
            let x = layer.forward(pass, examples::<3, 2>(indices, [positions, width])).unwrap();
            let x = norm.forward(pass, Activation::Tanh.forward(x)).unwrap();
            let x = residual(x, |x| layer.forward(pass, x)).unwrap();
            score(norm.forward(pass, x).unwrap())
        });
    }
    for (channels, side) in [(2, 5), (8, 2)] {
        let mut plan = Plan::new();
        let layer = Conv2dConfig::new([channels, channels], [3, 3]).with_padding([1, 1]).build(&mut plan, "shared").unwrap();
        check(&plan, 3, &|pass, indices| {
            let x = relu(layer.forward(pass, examples::<4, 3>(indices, [channels, side, side])).unwrap());
            score(layer.forward(pass, x).unwrap())
        });
    }
}

#[test]
fn tied_embedding_and_output_projection() {
    for (entries, width, length) in [(5, 3, 4), (40, 16, 5)] {
        let mut plan = Plan::new();
        let token = EmbeddingConfig::new(entries, width).build(&mut plan, "token").unwrap();
        let dense = LinearConfig::new(width, width).build(&mut plan, "dense").unwrap();
        check(&plan, 3, &|pass, indices| {
            let x = token.forward(pass, &ids(indices, length, entries as u32), indices.len()).unwrap();
            score(token.project(pass, dense.forward(pass, x).unwrap()).unwrap())
        });
    }
}

#[test]
fn several_rows_of_one_unit_belong_together() {
    // Two images a unit: their gradients are summed before the norm.
    let mut plan = Plan::new();
    let layer = Conv2dConfig::new([8, 8], [3, 3]).build(&mut plan, "layer").unwrap();
    check(&plan, 3, &|pass, indices| {
        let n = indices.len();
        let images = examples::<4, 3>(indices, [16, 4, 4]).reshape([2 * n, 8, 4, 4]);
        score(layer.forward(pass, images).unwrap().reshape([n, 2 * 8 * 4]))
    });
}

#[test]
fn attention_with_every_mask() {
    let mut plan = Plan::new();
    let layer = AttentionConfig::new(8, 2).build(&mut plan, "attention").unwrap();
    let padding = |indices: &[usize]| {
        let mask: Vec<i64> = indices.iter().flat_map(|index| (0..5).map(move |t| i64::from(t > index % 3 + 1))).collect();
        Tensor::<2, Int>::from_data(TensorData::new(mask, [indices.len(), 5]), &Device::flex()).equal_elem(1)
    };
    type MaskOf<'a> = &'a dyn Fn(&[usize]) -> Mask;
    let masks: [MaskOf<'_>; 4] =
        [&|_| Mask::none(), &|_| Mask::causal(), &|indices| Mask::none().with_padding(Some(padding(indices))), &|indices| {
            Mask::causal().with_padding(Some(padding(indices)))
        }];
    for mask in masks {
        for units in [1, 4] {
            check(&plan, units, &|pass, indices| {
                score(layer.forward(pass, examples::<3, 2>(indices, [5, 8]), &mask(indices)).unwrap())
            });
        }
    }
}

#[test]
fn masked_positions_change_nothing() {
    let mut plan = Plan::new();
    let layer = AttentionConfig::new(4, 1).build(&mut plan, "attention").unwrap();
    let parameters = numbers(plan.layout().len(), 3);
    let pass = Pass::plain(plan.layout(), &parameters, &Device::flex()).unwrap();
    let run = |last: f32, mask: &Mask| {
        let mut values = numbers(12, 5);
        values[8..].fill(last);
        let input = Tensor::<3>::from_data(TensorData::new(values, [1, 3, 4]), &Device::flex());
        layer.forward(&pass, input, mask).unwrap().into_data().iter::<f32>().take(8).collect::<Vec<_>>()
    };
    let padding = Tensor::<2, Bool>::from_data([[false, false, true]], &Device::flex());
    for mask in [Mask::causal(), Mask::none().with_padding(Some(padding))] {
        assert_eq!(run(0.0, &mask), run(5.0, &mask));
    }
    assert_ne!(run(0.0, &Mask::none()), run(5.0, &Mask::none()));
}

/// The losses of a classification network of the zoo.
fn check_network(config: &NetworkConfig, samples: &Samples, units: usize) {
    let network = config.build().unwrap();
    let plan = plan_of(config);
    check(&plan, units, &|pass, indices| {
        let (inputs, labels) = samples.gather(indices, &Device::flex()).unwrap();
        cross_entropy(network.class_logits(pass, &inputs).unwrap(), &labels, 0.1).unwrap()
    });
}

fn plan_of(config: &NetworkConfig) -> Plan {
    let mut plan = Plan::new();
    match config {
        NetworkConfig::Mlp(config) => drop(config.build(&mut plan).unwrap()),
        NetworkConfig::Cnn(config) => drop(config.build(&mut plan).unwrap()),
        NetworkConfig::Resnet(config) => drop(config.build(&mut plan).unwrap()),
        NetworkConfig::Transformer(config) => drop(config.build(&mut plan).unwrap()),
        NetworkConfig::Bag(config) => drop(config.build(&mut plan).unwrap()),
        _ => unreachable!(),
    }
    plan
}

#[test]
fn every_network_of_the_zoo() {
    let images = Samples::features(numbers(5 * 3 * 12 * 12, 1), &[3, 12, 12], vec![0, 1, 2, 1, 0], 3).unwrap();
    check_network(&NetworkConfig::mlp(3 * 144, &[20, 10], 3), &images, 5);
    check_network(&NetworkConfig::cnn([3, 12, 12], &[4, 8], 3), &images, 3);
    let resnet = ResNetConfig::new([3, 12, 12], &[4, 8], 3).with_normalisation(Normalisation::Group { groups: 2 });
    check_network(&NetworkConfig::Resnet(resnet), &images, 2);
    let lengths = vec![6, 3, 1, 6, 5];
    let tokens = Samples::tokens(ids(&[0, 1, 2, 3, 4], 6, 11), 6, lengths, vec![0, 1, 2, 1, 0], 3).unwrap();
    let transformer = TransformerConfig::new(11, 6, 8, 2, 2, Head::Classes { classes: 3 }).with_expansion(2);
    check_network(&NetworkConfig::Transformer(transformer), &tokens, 5);
    check_network(&NetworkConfig::Bag(BagConfig { vocabulary: 11, width: 5, classes: 3 }), &tokens, 5);
}

#[test]
fn transformers_that_are_read_at_the_last_position() {
    let samples = Samples::tokens(ids(&[0, 1, 2, 3], 3, 7), 3, vec![3; 4], vec![0, 4, 2, 1], 5).unwrap();
    for norms in [Norms::Before, Norms::None] {
        let config = TransformerConfig::new(7, 3, 8, 1, 2, Head::Last { classes: 5 });
        let config = config.with_norms(norms).with_activation(Activation::Relu);
        check_network(&NetworkConfig::Transformer(config), &samples, 4);
    }
}

#[test]
fn attention_alone_on_vectors() {
    for layers in 1..=3 {
        let config = AttentionOnlyConfig { inputs: 4, outputs: 2, width: 8, layers, heads: 2 };
        let mut plan = Plan::new();
        let network = config.build(&mut plan).unwrap();
        for units in [1, 4] {
            check(&plan, units, &|pass, indices| {
                let n = indices.len();
                let sequences = examples::<2, 1>(indices, [5 * 4]);
                let targets = examples::<2, 1>(indices, [2]);
                assert_eq!(sequences.dims(), [n, 20]);
                regression::half_squared_errors(network.forward(pass, sequences).unwrap(), targets).unwrap()
            });
        }
    }
}

#[test]
fn a_unit_of_weight_0_is_left_out_even_if_its_gradient_is_no_number() {
    let mut values = numbers(3 * 72, 4);
    values[..72].fill(3e38);
    let samples = Samples::features(values, &[2, 6, 6], vec![0, 1, 0], 2).unwrap();
    for config in [NetworkConfig::mlp(72, &[7], 2), NetworkConfig::cnn([2, 6, 6], &[4], 2)] {
        let network = config.build().unwrap();
        let parameters = network.init(&mut ChaCha20Rng::seed_from_u64(5));
        let sum = |indices: &[usize], weights: Vec<f64>, ask_norms: bool| {
            let pass = Pass::tapped(network.layout(), &parameters, indices.len(), &Device::flex()).unwrap();
            let (inputs, labels) = samples.gather(indices, &Device::flex()).unwrap();
            let losses = cross_entropy(network.class_logits(&pass, &inputs).unwrap(), &labels, 0.0).unwrap();
            let mut contributions = pass.backward(losses).unwrap();
            if ask_norms {
                contributions.squared_norms().unwrap();
            }
            let mut sum = vec![0.0f32; parameters.len()];
            Box::new(contributions).add_weighted_sum(&Weights::PerUnit(weights), &mut sum).unwrap();
            sum
        };
        assert!(sum(&[0], vec![1.0], false).iter().any(|value| !value.is_finite()), "the first example overflows");
        for ask_norms in [false, true] {
            let (found, expected) = (sum(&[0, 1, 2], vec![0.0, 0.5, 2.0], ask_norms), sum(&[1, 2], vec![0.5, 2.0], ask_norms));
            let difference: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
            assert!(thalweg_descent::norm(&difference) <= 1e-6 * thalweg_descent::norm(&expected));
            assert!(sum(&[0], vec![0.0], ask_norms).iter().all(|value| *value == 0.0));
        }
    }
}

#[test]
fn next_tokens_of_a_causal_transformer() {
    let samples = Samples::sequences(ids(&[0, 1, 2, 3], 6, 11), 6, vec![6, 2, 4, 6]).unwrap();
    for head in [Head::Tokens, Head::TiedTokens] {
        let config = TransformerConfig::new(11, 6, 8, 1, 2, head).with_view(zoo::transformer::View::Causal);
        let config = NetworkConfig::Transformer(config);
        let network = config.build().unwrap();
        check(&plan_of(&config), 4, &|pass, indices| {
            let (inputs, _) = samples.gather(indices, &Device::flex()).unwrap();
            let Inputs::Tokens(tokens) = &inputs else { panic!() };
            next_token::next_token_losses(network.token_logits(pass, &inputs).unwrap(), tokens).unwrap()
        });
    }
}

#[test]
fn the_golden_ghost_norm() {
    // a = (1,2),(0,-1),(.5,1) and delta = (.1,-.2),(.3,.4),(-1,.5): squared norms 1.4625 and 0.85.
    let mut plan = Plan::new();
    let layer = LinearConfig::new(2, 2).build(&mut plan, "layer").unwrap();
    let pass = Pass::tapped(plan.layout(), &[0.0; 6], 1, &Device::flex()).unwrap();
    let input = Tensor::<3>::from_data([[[1.0, 2.0], [0.0, -1.0], [0.5, 1.0]]], &Device::flex());
    let delta = Tensor::<3>::from_data([[[0.1, -0.2], [0.3, 0.4], [-1.0, 0.5]]], &Device::flex());
    let loss = (layer.forward(&pass, input).unwrap() * delta).sum();
    let norms = pass.backward(loss).unwrap().squared_norms().unwrap();
    assert!((norms.block_norm(0, BlockId(0)).powi(2) - 1.4625).abs() < 1e-6);
    assert!((norms.block_norm(0, BlockId(1)).powi(2) - 0.85).abs() < 1e-6);
}
