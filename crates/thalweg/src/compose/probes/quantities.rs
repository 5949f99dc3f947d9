//! Which matrices a network has, and what its descent conserves.

use thalweg_descent::{Block, Layout};
use thalweg_nn::NetworkConfig;
use thalweg_probes::conserved::{Conserved, Entries, Frame, Part};
use thalweg_probes::watch::{NamedMatrix, Update};

/// The projections that attention keeps in one block.
const ATTENTION: [&str; 3] = ["query", "key", "value"];

/// The weight matrices of a network: blocks of two dimensions and more, those of attention apart.
pub(super) fn matrices(layout: &Layout) -> Vec<NamedMatrix> {
    layout.blocks().iter().filter(|block| block.shape.len() >= 2).flat_map(matrices_of).collect()
}

fn matrices_of(block: &Block) -> Vec<NamedMatrix> {
    let whole = part(block);
    let name = block.name.trim_end_matches(".weight").trim_end_matches(".table");
    let Some(attention) = name.strip_suffix(".query-key-value") else {
        return vec![NamedMatrix { name: name.to_owned(), part: whole }];
    };
    let width = whole.columns / 3;
    let matrix = |(at, which): (usize, &&str)| NamedMatrix {
        name: format!("{attention}.{which}"),
        part: Part::columns_of(whole, at * width..(at + 1) * width),
    };
    ATTENTION.iter().enumerate().map(matrix).collect()
}

/// A block as a matrix: its first dimension against the rest; a vector is one row.
fn part(block: &Block) -> Part {
    match block.shape[..] {
        [] | [_] => Part::new(block.offset, 1, block.len()),
        [rows, ..] => Part::new(block.offset, rows, block.len() / rows.max(1)),
    }
}

/// What gradient flow on the network conserves, by name. Under noise one number of each, whose spread is known.
pub(super) fn conserved(network: &NetworkConfig, layout: &Layout, update: Update) -> Vec<(String, Conserved)> {
    let find = |name: &str| layout.find(name).map(|id| part(layout.block(id)));
    let quantities = match network {
        NetworkConfig::Mlp(config) => {
            let names: Vec<String> = (0..config.hidden.len()).map(|at| format!("hidden.{at}")).collect();
            relu_layers(&names, &find)
        }
        NetworkConfig::Transformer(config) => {
            (0..config.layers).flat_map(|layer| heads(&format!("layer.{layer}"), config.heads, &find)).collect()
        }
        NetworkConfig::AttentionOnly(config) => {
            (0..config.layers).flat_map(|layer| heads(&format!("layer.{layer}"), config.heads, &find)).collect()
        }
        NetworkConfig::Bag(_) => bag(&find).into_iter().collect(),
        _ => Vec::new(),
    };
    match update {
        Update::Gradient => quantities,
        Update::Noisy { .. } | Update::Correlated => quantities.into_iter().map(|(name, of)| (name, trace(of))).collect(),
    }
}

/// The incoming and outgoing weights of each unit.
fn relu_layers(names: &[String], find: &dyn Fn(&str) -> Option<Part>) -> Vec<(String, Conserved)> {
    let next = names.iter().skip(1).map(String::as_str).chain(["output"]);
    let layer = |(name, next): (&String, &str)| {
        let mut plus = vec![Frame::Columns(find(&format!("{name}.weight"))?)];
        plus.extend(find(&format!("{name}.bias")).map(Frame::Columns));
        let minus = vec![Frame::Rows(find(&format!("{next}.weight"))?)];
        Some((name.clone(), Conserved::Frames { plus, minus, entries: Entries::Diagonal }))
    };
    names.iter().zip(next).filter_map(layer).collect()
}

/// Of each head: queries against keys, which meet in a product alone, and values against the rows of the output.
fn heads(layer: &str, heads: usize, find: &dyn Fn(&str) -> Option<Part>) -> Vec<(String, Conserved)> {
    let part = |name: &str| find(&format!("{layer}.attention.{name}"));
    let (Some(weight), Some(bias), Some(output)) =
        (part("query-key-value.weight"), part("query-key-value.bias"), part("output.weight"))
    else {
        return Vec::new();
    };
    let (width, size) = (output.rows, output.rows / heads);
    let projection = |which: usize, head: usize| {
        let columns = which * width + head * size..which * width + (head + 1) * size;
        vec![Frame::Columns(Part::columns_of(weight, columns.clone())), Frame::Columns(Part::columns_of(bias, columns))]
    };
    let of_head = |head: usize| {
        let rows = Part::new(output.start + head * size * output.stride, size, output.columns);
        let frames = |plus, minus| Conserved::Frames { plus, minus, entries: Entries::All };
        [
            (format!("{layer}.head.{head}.query-key"), frames(projection(0, head), projection(1, head))),
            (format!("{layer}.head.{head}.value-output"), frames(projection(2, head), vec![Frame::Rows(rows)])),
        ]
    };
    (0..heads).flat_map(of_head).collect()
}

/// Words' vectors and the dense layer meet in a product alone; of the product's many numbers one is watched.
fn bag(find: &dyn Fn(&str) -> Option<Part>) -> Option<(String, Conserved)> {
    let quantity = Conserved::Balance { plus: vec![find("token.table")?], minus: vec![find("output.weight")?] };
    Some(("token".to_owned(), quantity))
}

/// The sum of the diagonal.
fn trace(quantity: Conserved) -> Conserved {
    let Conserved::Frames { plus, minus, .. } = quantity else { return quantity };
    let parts = |frames: Vec<Frame>| frames.into_iter().map(|(Frame::Rows(part) | Frame::Columns(part))| part).collect();
    Conserved::Balance { plus: parts(plus), minus: parts(minus) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nn::{AttentionOnlyConfig, BagConfig, CnnConfig};

    #[test]
    fn attention_is_watched_by_projection_and_head() {
        let config = AttentionOnlyConfig { inputs: 4, outputs: 2, width: 8, layers: 2, heads: 2 };
        let config = NetworkConfig::AttentionOnly(config);
        let network = config.build().unwrap();
        let names: Vec<String> = matrices(network.layout()).into_iter().map(|matrix| matrix.name).collect();
        assert_eq!(names.len(), 2 + 2 * 4, "{names:?}");
        assert_eq!(names[..3], ["input", "layer.0.attention.query", "layer.0.attention.key"]);
        let quantities = conserved(&config, network.layout(), Update::Gradient);
        assert_eq!(quantities.len(), 8);
        let parameters = vec![1.0; network.layout().len()];
        // 8 rows and a bias in each projection; a row of 8 in the output.
        let value = |at: usize, quantities: &[(String, Conserved)]| quantities[at].1.value(&parameters).unwrap();
        assert_eq!((value(0, &quantities), value(1, &quantities)), (vec![0.0; 16], vec![1.0; 16]));
        assert_eq!(value(1, &conserved(&config, network.layout(), Update::Correlated)), [4.0]);
    }

    #[test]
    fn networks_have_the_quantities_of_their_layers() {
        let of = |config: NetworkConfig| {
            let network = config.build().unwrap();
            let quantities = conserved(&config, network.layout(), Update::Gradient);
            let start = vec![0.5; network.layout().len()];
            quantities.iter().map(|(name, of)| (name.clone(), of.value(&start).unwrap().len())).collect::<Vec<_>>()
        };
        assert_eq!(of(NetworkConfig::mlp(6, &[5, 4], 3)), [("hidden.0".to_owned(), 5), ("hidden.1".to_owned(), 4)]);
        assert_eq!(of(NetworkConfig::Bag(BagConfig { vocabulary: 9, width: 4, classes: 3 })), [("token".to_owned(), 1)]);
        assert!(of(NetworkConfig::Cnn(CnnConfig::new([1, 8, 8], &[4], 3))).is_empty());
        assert!(of(NetworkConfig::mlp(6, &[], 3)).is_empty());
    }
}
