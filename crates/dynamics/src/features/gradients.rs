//! Gradients example by example, clipped, and their mean.

use super::filters::FilterMatrix;
use super::network::{Network, logistic_pull, votes};
use super::patches::Patches;
use crate::error::Result;

/// The gradients of the logistic loss, and the memory to compute them: nothing is allocated after the start.
///
/// The gradient of example i at filter (j, r) is `sum_p c_p x_p` with `c_p = l'(y_i f_i) y_i j s'(<w_{j,r}, x_p>) / m`. Its norm
/// needs only inner products of the example's patches, so clipping costs nothing beside the two matrix products.
#[derive(Clone, Debug)]
pub struct Gradients {
    network: Network,
    /// `<w, atom>`: a row for each atom.
    products: FilterMatrix,
    /// How often each atom is in the sum of gradients.
    coefficients: FilterMatrix,
    /// `s'` of one example's patches.
    slopes: Vec<f64>,
    margins: Vec<f64>,
    norms: Vec<f64>,
    mean: FilterMatrix,
}

impl Gradients {
    /// For this network on data of this size.
    ///
    /// # Errors
    /// As [`Network::check`].
    pub fn new(network: Network, data: &Patches) -> Result<Self> {
        network.check()?;
        let by_atom = FilterMatrix::zeros(data.atoms(), network.width);
        Ok(Self {
            network,
            products: by_atom.clone(),
            coefficients: by_atom,
            slopes: vec![0.0; data.per_example() * 2 * network.width],
            margins: vec![0.0; data.len()],
            norms: vec![0.0; data.len()],
            mean: FilterMatrix::zeros(data.dimension(), network.width),
        })
    }

    /// Computes everything at these weights. With a `clip`, a gradient whose norm exceeds it is scaled down to it.
    ///
    /// A norm that is not finite shows in [`norms`](Self::norms), and then [`mean`](Self::mean) means nothing.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) when weights and data do not fit, or the data are not those of [`new`](Self::new).
    pub fn compute(&mut self, data: &Patches, weights: &FilterMatrix, clip: Option<f64>) -> Result<()> {
        self.network.check_weights(weights, data)?;
        self.check_data(data)?;
        data.matrix().times(weights, &mut self.products);
        self.coefficients.clear();
        for example in 0..data.len() {
            self.add_example(data, example, clip);
        }
        data.matrix().transposed_times(&self.coefficients, &mut self.mean);
        let share = 1.0 / data.len() as f64;
        self.mean.padded_mut().iter_mut().for_each(|entry| *entry *= share);
        Ok(())
    }

    /// The margins `y_i f(x_i)`.
    pub fn margins(&self) -> &[f64] {
        &self.margins
    }

    /// The norms of the examples' gradients, before clipping.
    pub fn norms(&self) -> &[f64] {
        &self.norms
    }

    /// `(1/n) sum_i clip(g_i)`: a row for each coordinate.
    pub fn mean(&self) -> &FilterMatrix {
        &self.mean
    }

    fn check_data(&self, data: &Patches) -> Result<()> {
        let (found, expected) =
            ((data.len(), data.atoms(), data.dimension()), (self.margins.len(), self.products.rows(), self.mean.rows()));
        if found == expected {
            return Ok(());
        }
        let text = |(examples, atoms, dimension)| format!("{examples} examples of {atoms} atoms in {dimension} coordinates");
        Err(crate::Error::value("the data", text(found), format!("{}, as prepared for", text(expected))))
    }

    fn add_example(&mut self, data: &Patches, example: usize, clip: Option<f64>) {
        let (width, activation) = (self.network.width, self.network.activation);
        let (patches, gram) = data.example(example);
        let mut sum = 0.0;
        for (patch, slopes) in patches.iter().zip(self.slopes.chunks_exact_mut(2 * width)) {
            let z = self.products.row(patch.atom);
            activation.slopes(patch.factor, z, slopes);
            sum += votes(patch.factor, z, slopes);
        }
        let label = data.labels()[example];
        let margin = label * sum / (width as f64 * activation.power());
        let pull = logistic_pull(margin) / width as f64;
        let norm = pull * slope_norm(&self.slopes, gram, 2 * width);
        (self.margins[example], self.norms[example]) = (margin, norm);

        let kept = clip.map_or(1.0, |clip| if norm > clip { clip / norm } else { 1.0 });
        for (patch, slopes) in patches.iter().zip(self.slopes.chunks_exact(2 * width)) {
            let factor = -kept * pull * label * patch.factor;
            let (positive, negative) = self.coefficients.row_mut(patch.atom).split_at_mut(width);
            positive.iter_mut().zip(&slopes[..width]).for_each(|(sum, slope)| *sum += factor * slope);
            negative.iter_mut().zip(&slopes[width..]).for_each(|(sum, slope)| *sum -= factor * slope);
        }
    }
}

/// `sqrt(sum_{f,p,p'} s'_{p,f} s'_{p',f} <x_p, x_p'>)`.
fn slope_norm(slopes: &[f64], gram: &[f64], filters: usize) -> f64 {
    let patches = slopes.len() / filters;
    let row = |patch: usize| &slopes[patch * filters..][..filters];
    let products = |(a, b): (usize, usize)| gram[a * patches + b] * super::patches::inner_product(row(a), row(b));
    let squared: f64 = (0..patches).flat_map(|a| (0..patches).map(move |b| (a, b))).map(products).sum();
    // Rounding may take the square of a norm that is 0 below it; NaN stays.
    if squared < 0.0 { 0.0 } else { squared.sqrt() }
}
