//! What a network refuses, with a message that says where; and what an empty batch gives.

use std::sync::Arc;

use burn::Tensor;
use burn::tensor::Device as BurnDevice;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use thalweg_descent::{Batch, Differentiate, Weights};
use thalweg_nn::*;

#[track_caller]
fn check<T>(result: Result<T>, message: &str) {
    let error = result.err().expect("it is refused").to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn impossible_descriptions_name_field_and_value() {
    let build = |toml: &str| toml::from_str::<NetworkConfig>(toml).unwrap().build();
    check(build("kind = 'mlp'\ninputs = 0\nhidden = []\nclasses = 2"), "output: inputs = 0; it must be at least 1");
    check(build("kind = 'mlp'\ninputs = 4\nhidden = [3, 0]\nclasses = 2"), "hidden.1: outputs = 0");
    check(build("kind = 'cnn'\nimage = [3, 4, 4]\nchannels = [2, 2, 2]\nclasses = 2"), "cnn: image = [3, 4, 4]");
    check(build("kind = 'cnn'\nimage = [3, 4, 4]\nchannels = []\nclasses = 2"), "cnn: channels = 0");
    let resnet = "kind = 'resnet'\nimage = [3, 8, 8]\nwidths = [6]\nclasses = 2\nnormalisation = ";
    check(build(&format!("{resnet}{{ kind = 'batch' }}")), "mixes the examples");
    check(build(&format!("{resnet}{{ kind = 'group', groups = 4 }}")), "groups = 4; it must divide the 6 channels");
    let transformer =
        "kind = 'transformer'\nvocabulary = 5\nlength = 4\nwidth = 6\nlayers = 1\nhead = { kind = 'tokens' }\nheads = ";
    check(build(&format!("{transformer}4")), "heads = 4; it must divide the width 6");
    assert!(build(&format!("{transformer}3")).is_ok());
    assert!(toml::from_str::<NetworkConfig>("kind = 'mlp'\ninputs = 1\nhiden = []\nclasses = 2").is_err(), "unknown keys");
}

#[test]
fn tensors_of_another_shape_name_the_layer() {
    let mut plan = Plan::new();
    let dense = LinearConfig::new(3, 2).build(&mut plan, "dense").unwrap();
    let convolution = Conv2dConfig::new([2, 2], [3, 3]).build(&mut plan, "convolution").unwrap();
    let token = EmbeddingConfig::new(4, 2).build(&mut plan, "token").unwrap();
    let parameters = vec![0.0; plan.layout().len()];
    let device = BurnDevice::flex();
    let pass = Pass::plain(plan.layout(), &parameters, &device).unwrap();
    let zeros = |dims: [usize; 4]| Tensor::<4>::zeros(dims, &device);
    check(
        dense.forward(&pass, Tensor::<2>::zeros([5, 4], &device)),
        "dense.weight takes [.., 3], but got a tensor of shape [5, 4]",
    );
    check(convolution.forward(&pass, zeros([1, 3, 5, 5])), "convolution.weight takes [n, 2, height, width]");
    check(convolution.forward(&pass, zeros([1, 2, 2, 5])), "holds a kernel of [3, 3]");
    check(token.forward(&pass, &[0, 4], 1), "ids below 4, but one is 4");
    check(token.forward(&pass, &[0, 1, 2], 2), "there are 3 ids");
    check(Pass::plain(plan.layout(), &parameters[1..], &device), "the network has");
    let tapped = Pass::tapped(plan.layout(), &parameters, 2, &device).unwrap();
    check(dense.forward(&tapped, Tensor::<2>::zeros([5, 3], &device)), "rows of 2 units");
}

#[test]
fn no_gradient_is_an_error() {
    let mut plan = Plan::new();
    let used = LinearConfig::new(2, 2).build(&mut plan, "used").unwrap();
    let idle = LinearConfig::new(2, 2).build(&mut plan, "idle").unwrap();
    let parameters = vec![0.5; plan.layout().len()];
    let device = BurnDevice::flex();
    let input = || Tensor::<2>::ones([1, 2], &device);
    let pass = || Pass::tapped(plan.layout(), &parameters, 1, &device).unwrap();
    let total = |output: Tensor<2>| output.sum_dim(1).reshape([1]);

    let unused = pass();
    let losses = total(used.forward(&unused, input()).unwrap());
    check(unused.backward(losses), "idle.weight has no gradient: the pass did not use it");

    let without_effect = pass();
    let losses = total(used.forward(&without_effect, input()).unwrap());
    idle.forward(&without_effect, input()).unwrap();
    check(without_effect.backward(losses), "idle.weight has no gradient: the loss does not depend");

    let detached = pass();
    let losses = total(used.forward(&detached, input()).unwrap().detach());
    check(detached.backward(losses), "has no gradient: the loss does not depend on any parameter");

    let plain = Pass::plain(plan.layout(), &parameters, &device).unwrap();
    let losses = total(used.forward(&plain, input()).unwrap());
    check(plain.backward(losses), "only a tapped pass");

    let several = pass();
    let both = idle.forward(&several, used.forward(&several, input()).unwrap()).unwrap();
    check(several.backward(both.reshape([2])), "the pass is over 1 units, but there are 2 losses");
}

#[test]
fn an_empty_batch_has_no_units_and_adds_nothing() {
    let network = Arc::new(NetworkConfig::mlp(2, &[3], 2).build().unwrap());
    let samples = Arc::new(Samples::features(vec![0.0; 4], &[2], vec![0, 1], 2).unwrap());
    let parameters = network.init(&mut ChaCha20Rng::seed_from_u64(1));
    let objective = Classification::new(network.clone(), samples, Device::Cpu).unwrap();
    let batch = Batch::default();
    let mut contributions = objective.differentiate(&parameters, &batch).unwrap();
    assert_eq!(contributions.units(), 0);
    assert!(contributions.losses().is_empty());
    assert_eq!(contributions.squared_norms().unwrap().units(), 0);
    let mut sum = vec![1.5; parameters.len()];
    contributions.add_weighted_sum(&Weights::PerUnit(vec![]), &mut sum).unwrap();
    assert_eq!(sum, vec![1.5; parameters.len()]);
    let nothing = Samples::features(vec![], &[2], vec![], 2).unwrap();
    let evaluation = evaluate(&network, &parameters, &nothing, Device::Cpu).unwrap();
    assert!(evaluation.n == 0 && evaluation.loss.is_nan());
}

#[test]
fn an_index_outside_the_data_is_named() {
    let network = Arc::new(NetworkConfig::mlp(2, &[3], 2).build().unwrap());
    let samples = Arc::new(Samples::features(vec![0.0; 4], &[2], vec![0, 1], 2).unwrap());
    let parameters = network.init(&mut ChaCha20Rng::seed_from_u64(1));
    let objective = Classification::new(network, samples, Device::Cpu).unwrap();
    check(objective.per_example(&parameters, &Batch { step: 0, indices: vec![0, 2] }), "example 2");
}

#[test]
fn networks_refuse_data_of_another_kind() {
    let device = BurnDevice::flex();
    let sequences = Samples::sequences(vec![0, 1], 2, vec![2]).unwrap();
    let features = Samples::features(vec![0.0; 2], &[2], vec![0], 2).unwrap();
    let transformer = TransformerConfig::new(3, 2, 4, 1, 1, Head::Tokens);
    for (config, samples, message) in [
        (NetworkConfig::mlp(2, &[], 2), &sequences, "tokens go to a transformer or a bag of words"),
        (NetworkConfig::cnn([1, 8, 8], &[2], 2), &features, "images of 1 x 8 x 8, but the examples have 2 numbers"),
        (NetworkConfig::Transformer(transformer.clone()), &features, "a transformer or bag of words takes tokens"),
        (NetworkConfig::Transformer(transformer), &sequences, "classification needs the head"),
    ] {
        let network = config.build().unwrap();
        let parameters = vec![0.0; network.layout().len()];
        let pass = Pass::plain(network.layout(), &parameters, &device).unwrap();
        let (inputs, _) = samples.gather(&[0], &device).unwrap();
        check(network.class_logits(&pass, &inputs), message);
    }
}
