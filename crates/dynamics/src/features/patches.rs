//! Examples made of patches.

use super::tiles::Tiles;
use crate::error::{Error, Result};

/// n labelled examples of P patches each, in D coordinates.
///
/// A patch is a multiple of an **atom**. Examples may share atoms: in the signal-and-noise model the first patch of every example is
/// `y mu`, so that mu is one atom, and n examples have n + 1.
///
/// ```
/// use thalweg_dynamics::features::Patches;
///
/// let noise = [0.0, 1.0, 0.5, 0.0, -0.3, 0.8];
/// let data = Patches::signal_and_noise(&[2.0, 0.0, 0.0], &noise, &[1, -1])?;
/// assert_eq!((data.len(), data.per_example(), data.atoms(), data.dimension()), (2, 2, 3, 3));
/// assert!(Patches::signal_and_noise(&[2.0, 0.0, 0.0], &noise, &[1, 0]).is_err());
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Patches {
    atoms: Tiles,
    labels: Vec<f64>,
    per_example: usize,
    uses: Vec<Use>,
    /// Inner products of an example's patches, P x P for each.
    grams: Vec<f64>,
}

/// A patch: so many times that atom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Use {
    pub(crate) atom: usize,
    pub(crate) factor: f64,
}

impl Patches {
    /// The model of signal and noise: example i is `[labels[i] mu, xi_i]`, with `noise[i d..]` as `xi_i` (d values each).
    ///
    /// The first atom is mu, atom 1 + i is `xi_i`.
    ///
    /// # Errors
    /// [`Error::Value`] for no example, a label other than 1 and -1, lengths that do not fit, or a value that is not finite.
    pub fn signal_and_noise(mu: &[f64], noise: &[f64], labels: &[i8]) -> Result<Self> {
        check_values("signal", mu, mu.len())?;
        let labels = checked_labels(labels)?;
        check_length("noise patches", noise.len(), labels.len(), mu.len())?;
        check_values("noise patch", noise, mu.len())?;
        let mut atoms = Tiles::full(1 + labels.len(), mu.len());
        for (row, values) in std::iter::once(mu).chain(noise.chunks_exact(mu.len())).enumerate() {
            values.iter().enumerate().for_each(|(column, &value)| atoms.set(row, column, value));
        }
        Ok(Self::sharing_a_signal(atoms, labels, 1))
    }

    /// Examples of P patches without shared atoms: `values` holds them example by example, patch by patch, d values each.
    ///
    /// # Errors
    /// As [`signal_and_noise`](Self::signal_and_noise), and for no patch.
    pub fn new(values: &[f64], per_example: usize, dimension: usize, labels: &[i8]) -> Result<Self> {
        if per_example == 0 {
            return Err(Error::value("the number of patches to an example", 0, "at least 1"));
        }
        let labels = checked_labels(labels)?;
        check_length("patches", values.len(), labels.len() * per_example, dimension)?;
        check_values("patch", values, dimension)?;
        let mut atoms = Tiles::full(labels.len() * per_example, dimension);
        for (row, values) in values.chunks_exact(dimension).enumerate() {
            values.iter().enumerate().for_each(|(column, &value)| atoms.set(row, column, value));
        }
        let uses = (0..atoms.rows()).map(|atom| Use { atom, factor: 1.0 }).collect();
        Ok(Self::with_uses(atoms, labels, per_example, uses))
    }

    /// Atom 0 is the signal, times its label the first patch of every example; the others are noise patches, `noise` for each.
    pub(crate) fn sharing_a_signal(atoms: Tiles, labels: Vec<f64>, noise: usize) -> Self {
        let uses = labels
            .iter()
            .enumerate()
            .flat_map(|(example, &label)| {
                let own = (0..noise).map(move |patch| Use { atom: 1 + example * noise + patch, factor: 1.0 });
                std::iter::once(Use { atom: 0, factor: label }).chain(own)
            })
            .collect();
        Self::with_uses(atoms, labels, 1 + noise, uses)
    }

    fn with_uses(atoms: Tiles, labels: Vec<f64>, per_example: usize, uses: Vec<Use>) -> Self {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(per_example);
        let mut grams = Vec::with_capacity(labels.len() * per_example * per_example);
        for patches in uses.chunks_exact(per_example) {
            rows.clear();
            rows.extend(patches.iter().map(|patch| atoms.row(patch.atom).map(|x| patch.factor * x).collect()));
            grams.extend(rows.iter().flat_map(|a| rows.iter().map(move |b| inner_product(a, b))));
        }
        Self { atoms, labels, per_example, uses, grams }
    }

    /// The number n of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: there is at least one example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number P of patches to an example.
    pub fn per_example(&self) -> usize {
        self.per_example
    }

    /// The number of different patches, up to a factor.
    pub fn atoms(&self) -> usize {
        self.atoms.rows()
    }

    /// The number D of coordinates.
    pub fn dimension(&self) -> usize {
        self.atoms.columns()
    }

    /// The labels, 1 or -1.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// The coordinates of an atom.
    pub fn atom(&self, atom: usize) -> Vec<f64> {
        self.atoms.row(atom).collect()
    }

    /// Whether both classes have an example.
    pub fn has_both_classes(&self) -> bool {
        self.labels.iter().any(|&label| label != self.labels[0])
    }

    pub(crate) fn matrix(&self) -> &Tiles {
        &self.atoms
    }

    /// The patches of an example and their inner products, P x P.
    pub(crate) fn example(&self, example: usize) -> (&[Use], &[f64]) {
        let (p, squares) = (self.per_example, self.per_example * self.per_example);
        (&self.uses[example * p..][..p], &self.grams[example * squares..][..squares])
    }
}

pub(crate) fn inner_product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn checked_labels(labels: &[i8]) -> Result<Vec<f64>> {
    if labels.is_empty() {
        return Err(Error::value("the number of examples", 0, "at least 1"));
    }
    match labels.iter().position(|&label| label != 1 && label != -1) {
        Some(at) => Err(Error::value(format!("label {at}"), labels[at], "1 or -1")),
        None => Ok(labels.iter().map(|&label| f64::from(label)).collect()),
    }
}

fn check_length(what: &str, found: usize, vectors: usize, dimension: usize) -> Result<()> {
    if dimension == 0 {
        return Err(Error::value("the dimension of a patch", 0, "at least 1"));
    }
    if vectors.checked_mul(dimension) == Some(found) {
        return Ok(());
    }
    Err(Error::value(format!("the number of values in the {what}"), found, format!("{vectors} vectors of {dimension} values")))
}

fn check_values(what: &str, values: &[f64], dimension: usize) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            Err(Error::value(format!("entry {} of {what} {}", at % dimension, at / dimension), values[at], "a finite number"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_is_one_atom_and_carries_the_label() {
        let data = Patches::signal_and_noise(&[2.0, 0.0], &[0.0, 3.0, 1.0, 4.0], &[1, -1]).unwrap();
        assert_eq!(data.atom(0), [2.0, 0.0]);
        assert_eq!(data.atom(2), [1.0, 4.0]);
        let (uses, gram) = data.example(1);
        assert_eq!(uses, [Use { atom: 0, factor: -1.0 }, Use { atom: 2, factor: 1.0 }]);
        assert_eq!(gram, [4.0, -2.0, -2.0, 17.0]);
        assert!(data.has_both_classes());
    }

    #[test]
    fn wrong_input_is_named() {
        let message = |result: Result<Patches>| result.unwrap_err().to_string();
        assert!(message(Patches::signal_and_noise(&[1.0], &[], &[])).contains("number of examples"));
        assert!(message(Patches::signal_and_noise(&[], &[], &[1])).contains("dimension"));
        assert!(message(Patches::signal_and_noise(&[1.0, 0.0], &[0.0, 1.0, 2.0], &[1, 1])).contains("2 vectors of 2"));
        assert!(message(Patches::signal_and_noise(&[f64::NAN], &[1.0], &[1])).contains("entry 0 of signal 0"));
        assert!(message(Patches::new(&[1.0, 2.0, f64::INFINITY, 0.0], 1, 2, &[1, -1])).contains("entry 0 of patch 1"));
        assert!(message(Patches::new(&[1.0], 0, 1, &[1])).contains("patches to an example"));
        assert!(message(Patches::new(&[1.0, 1.0], 1, 1, &[1, 7])).contains("label 1 is 7"));
        assert!(!Patches::new(&[1.0, 1.0], 1, 1, &[1, 1]).unwrap().has_both_classes());
    }
}
