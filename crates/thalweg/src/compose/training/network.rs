//! The network of a run, sized by its examples.

use thalweg_descent::{Error, Result};
use thalweg_nn::{
    Activation, AttentionOnlyConfig, BagConfig, Head, NetworkConfig, Norms as LayerNorms, ResNetConfig, TransformerConfig,
};

use super::Material;
use crate::compose::{Form, Input, NetworkChoice, TrainAndTest};

/// Four gigabytes of parameters, each of which the machine holds a few times.
const MOST_PARAMETERS: f64 = 1e9;

/// The network for these examples.
pub(in crate::compose) fn network(choice: &NetworkChoice, material: &Material) -> Result<NetworkConfig> {
    match (material, choice) {
        (Material::Labelled(data), _) => classifier(choice, data),
        (Material::Contexts(contexts), NetworkChoice::Attention { width, layers, heads }) => {
            check_size(4.0 * *layers as f64, *width, &[*width])?;
            let outputs = contexts.dimension();
            let (width, layers, heads) = (*width, *layers, *heads);
            Ok(NetworkConfig::AttentionOnly(AttentionOnlyConfig { inputs: 2 * outputs, outputs, width, layers, heads }))
        }
        (Material::Contexts(_), _) => Err(Error::input(format!(
            "network.kind = \"{}\" gives classes, and regression in context asks for numbers; choose attention",
            choice.name()
        ))),
    }
}

fn classifier(choice: &NetworkChoice, data: &TrainAndTest) -> Result<NetworkConfig> {
    let classes = data.classes;
    match (choice, data.input) {
        (NetworkChoice::Mlp { hidden }, Input::Image { shape }) => {
            let inputs = shape.iter().product();
            check_size(1.0, inputs, hidden)?;
            Ok(NetworkConfig::mlp(inputs, hidden, classes))
        }
        (NetworkChoice::Cnn { channels }, Input::Image { shape }) => {
            check_size(9.0, shape[0], channels)?;
            Ok(NetworkConfig::cnn(shape, channels, classes))
        }
        (NetworkChoice::Resnet { widths, blocks }, Input::Image { shape }) => {
            check_size(9.0 * 2.0 * *blocks as f64, shape[0], widths)?;
            Ok(NetworkConfig::Resnet(ResNetConfig::new(shape, widths, classes).with_blocks(*blocks)))
        }
        (NetworkChoice::Transformer { width, layers, heads, form }, Input::Words { vocabulary, length }) => {
            check_size(12.0 * *layers as f64, *width, &[*width])?;
            check_size(1.0, vocabulary.saturating_add(length), &[*width])?;
            let usual = TransformerConfig::new(vocabulary, length, *width, *layers, *heads, Head::Classes { classes });
            Ok(NetworkConfig::Transformer(match form {
                Form::Usual => usual,
                Form::Bare => TransformerConfig { head: Head::Last { classes }, ..usual }
                    .with_norms(LayerNorms::None)
                    .with_activation(Activation::Relu),
            }))
        }
        (NetworkChoice::Attention { .. }, _) => Err(Error::input(
            "network.kind = \"attention\" takes sequences of vectors, which regression in context has; choose another kind",
        )),
        (NetworkChoice::Bag { width }, Input::Words { vocabulary, .. }) => {
            check_size(1.0, vocabulary, &[*width])?;
            Ok(NetworkConfig::Bag(BagConfig { vocabulary, width: *width, classes }))
        }
        (_, Input::Image { .. }) => Err(Error::input(format!(
            "network.kind = \"{}\" takes words, and these examples are images; choose mlp, cnn or resnet",
            choice.name()
        ))),
        (_, Input::Words { .. }) => Err(Error::input(format!(
            "network.kind = \"{}\" takes images, and these examples are texts; choose bag or transformer",
            choice.name()
        ))),
    }
}

/// Refuses what no machine holds; in floating point, since the product itself may be what is too large.
fn check_size(copies: f64, first: usize, widths: &[usize]) -> Result<()> {
    let before = std::iter::once(&first).chain(widths);
    let weights: f64 = before.zip(widths).map(|(inputs, outputs)| copies * *inputs as f64 * *outputs as f64).sum();
    if weights > MOST_PARAMETERS {
        return Err(Error::input(format!(
            "network: widths {widths:?} make {weights:.1e} weights; choose smaller ones, {MOST_PARAMETERS:.0e} in all at most"
        )));
    }
    Ok(())
}
