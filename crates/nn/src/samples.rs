//! Examples in memory, checked once.

use burn::Tensor;
use burn::tensor::{Bool, DType, Int, TensorData};

use thalweg_descent::Batch;

use crate::{Error, Result, Views};

/// Examples with labels: features or token sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    content: Content,
    labels: Vec<u32>,
    classes: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Features { values: Vec<f32>, shape: Vec<usize> },
    Tokens { ids: Vec<u32>, length: usize, lengths: Vec<usize> },
}

impl Samples {
    /// Examples of `shape`, one after another.
    ///
    /// ```
    /// use thalweg_nn::Samples;
    ///
    /// let samples = Samples::features(vec![0.0, 1.0, 2.0, 3.0], &[2], vec![0, 1], 2)?;
    /// assert_eq!(samples.len(), 2);
    ///
    /// let error = Samples::features(vec![0.0, f32::NAN], &[1], vec![0, 1], 2).unwrap_err();
    /// assert_eq!(error.to_string(), "example 1: feature 0 is NaN; features must be finite numbers");
    /// # Ok::<(), thalweg_nn::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Samples`] when the lengths do not fit together; [`Error::Example`] naming example and value when a feature
    /// is not finite or a label is not below `classes`.
    pub fn features(values: Vec<f32>, shape: &[usize], labels: Vec<u32>, classes: usize) -> Result<Self> {
        let numbers: usize = shape.iter().product();
        if numbers == 0 || values.len() != labels.len() * numbers {
            return Err(Error::Samples(format!(
                "{} features for {} labels; examples of shape {shape:?} need {numbers} each, at least 1",
                values.len(),
                labels.len()
            )));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let reason = format!("feature {} is {}; features must be finite numbers", at % numbers, values[at]);
            return Err(Error::Example { example: at / numbers, reason });
        }
        check_labels(&labels, classes)?;
        Ok(Self { content: Content::Features { values, shape: shape.to_vec() }, labels, classes })
    }

    /// Sequences of `length` tokens, one after another; of example `i` the first `lengths[i]` are real, the rest is padding.
    ///
    /// # Errors
    /// As for [`Samples::features`], and when a real length is 0 or above `length`.
    pub fn tokens(ids: Vec<u32>, length: usize, lengths: Vec<usize>, labels: Vec<u32>, classes: usize) -> Result<Self> {
        if length == 0 || ids.len() != labels.len() * length || lengths.len() != labels.len() {
            return Err(Error::Samples(format!(
                "{} tokens and {} lengths for {} labels; each example needs {length} tokens, at least 1, and a length",
                ids.len(),
                lengths.len(),
                labels.len()
            )));
        }
        if let Some(example) = lengths.iter().position(|real| !(1..=length).contains(real)) {
            let reason = format!("its length is {}; it must be from 1 to {length}", lengths[example]);
            return Err(Error::Example { example, reason });
        }
        check_labels(&labels, classes)?;
        Ok(Self { content: Content::Tokens { ids, length, lengths }, labels, classes })
    }

    /// Sequences without labels, for next-token training: as [`Samples::tokens`] with one class.
    ///
    /// # Errors
    /// As for [`Samples::tokens`].
    pub fn sequences(ids: Vec<u32>, length: usize, lengths: Vec<usize>) -> Result<Self> {
        let labels = vec![0; lengths.len()];
        Self::tokens(ids, length, lengths, labels, 1)
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The label of each example.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The shape of an example's features; `[length]` for sequences.
    pub fn shape(&self) -> Vec<usize> {
        match &self.content {
            Content::Features { shape, .. } => shape.clone(),
            Content::Tokens { length, .. } => vec![*length],
        }
    }

    /// The examples of these indices as a network takes them, and their labels.
    ///
    /// # Errors
    /// [`Error::Example`] when an index is not below the number of examples.
    pub fn gather(&self, indices: &[usize], device: &burn::tensor::Device) -> Result<(Inputs, Vec<u32>)> {
        self.check_indices(indices)?;
        let labels = indices.iter().map(|index| self.labels[*index]).collect();
        let inputs = match &self.content {
            Content::Features { values, shape } => {
                let numbers: usize = shape.iter().product();
                let data = TensorData::new(rows(values, numbers, indices), [indices.len(), numbers]);
                Inputs::Features(Box::new(Tensor::from_data(data, (device, DType::F32))))
            }
            Content::Tokens { ids, length, lengths } => Inputs::Tokens(Tokens {
                ids: rows(ids, *length, indices),
                length: *length,
                lengths: indices.iter().map(|index| lengths[*index]).collect(),
            }),
        };
        Ok((inputs, labels))
    }

    /// As [`Samples::gather`], with several views of each example: its rows lie together.
    pub(crate) fn gather_views(&self, batch: &Batch, views: &Views, device: &burn::tensor::Device) -> Result<(Inputs, Vec<u32>)> {
        self.check_indices(&batch.indices)?;
        let shape = self.image_shape()?;
        let numbers: usize = shape.iter().product();
        let Content::Features { values, .. } = &self.content else { unreachable!("images are features") };
        let rows = batch.indices.len() * views.count();
        let mut seen = Vec::with_capacity(rows * numbers);
        for index in &batch.indices {
            views.draw(batch.step, *index, &values[index * numbers..(index + 1) * numbers], shape, &mut seen);
        }
        let labels = batch.indices.iter().flat_map(|index| std::iter::repeat_n(self.labels[*index], views.count())).collect();
        let data = TensorData::new(seen, [rows, numbers]);
        Ok((Inputs::Features(Box::new(Tensor::from_data(data, (device, DType::F32)))), labels))
    }

    /// Channels, height and width of the examples.
    pub(crate) fn image_shape(&self) -> Result<[usize; 3]> {
        self.shape().try_into().map_err(|shape| {
            Error::Samples(format!(
                "views are taken of images (channels, height, width), and the examples have the shape {shape:?}"
            ))
        })
    }

    fn check_indices(&self, indices: &[usize]) -> Result<()> {
        let Some(index) = indices.iter().find(|index| **index >= self.len()) else { return Ok(()) };
        let reason = format!("there are only {} examples, counted from 0", self.len());
        Err(Error::Example { example: *index, reason })
    }
}

fn rows<T: Copy>(values: &[T], length: usize, indices: &[usize]) -> Vec<T> {
    let mut rows = Vec::with_capacity(length * indices.len());
    indices.iter().for_each(|index| rows.extend_from_slice(&values[index * length..(index + 1) * length]));
    rows
}

fn check_labels(labels: &[u32], classes: usize) -> Result<()> {
    let Some(example) = labels.iter().position(|label| *label as usize >= classes) else { return Ok(()) };
    let reason = format!("its label is {}; there are {classes} classes, counted from 0", labels[example]);
    Err(Error::Example { example, reason })
}

/// A batch as a network takes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Inputs {
    /// Flat examples, `[n, numbers]`.
    Features(Box<Tensor<2>>),
    /// Token sequences.
    Tokens(Tokens),
}

impl Inputs {
    /// The number of examples.
    pub fn len(&self) -> usize {
        match self {
            Self::Features(features) => features.dims()[0],
            Self::Tokens(tokens) => tokens.rows(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A batch of token sequences of one length, padded at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<u32>,
    length: usize,
    lengths: Vec<usize>,
}

impl Tokens {
    /// The ids of all sequences, one after another.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The number of sequences.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// The length of each sequence, padding included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The real length of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// A mask `[n, length]` that is true at padding; `None` when there is no padding.
    pub fn padding(&self, device: &burn::tensor::Device) -> Option<Tensor<2, Bool>> {
        if self.lengths.iter().all(|real| *real == self.length) {
            return None;
        }
        let positions = self.lengths.iter().flat_map(|real| (0..self.length).map(move |t| i64::from(t >= *real)));
        let data = TensorData::new(positions.collect(), [self.rows(), self.length]);
        Some(Tensor::<2, Int>::from_data(data, device).equal_elem(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(samples: Result<Samples>, message: &str) {
        let error = samples.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn bad_examples_are_named() {
        check_refused(Samples::features(vec![0.0; 5], &[2], vec![0, 1], 2), "5 features for 2 labels");
        check_refused(Samples::features(vec![], &[0], vec![], 2), "at least 1");
        check_refused(Samples::features(vec![0.0; 4], &[2], vec![0, 2], 2), "example 1: its label is 2; there are 2 classes");
        let infinite = vec![0.0, 0.0, 0.0, f32::INFINITY];
        check_refused(Samples::features(infinite, &[2], vec![0, 1], 2), "example 1: feature 1 is inf");
        check_refused(Samples::tokens(vec![0; 5], 3, vec![3], vec![0], 1), "5 tokens");
        check_refused(Samples::tokens(vec![0; 6], 3, vec![3, 4], vec![0, 0], 1), "example 1: its length is 4");
        check_refused(Samples::sequences(vec![0; 3], 3, vec![0]), "example 0: its length is 0");
    }

    #[test]
    fn a_batch_has_its_examples_in_order() {
        let device = burn::tensor::Device::flex();
        let samples = Samples::features((0..6).map(|v| v as f32).collect(), &[2], vec![0, 1, 2], 3).unwrap();
        let (Inputs::Features(features), labels) = samples.gather(&[2, 0, 2], &device).unwrap() else { panic!() };
        assert_eq!(features.into_data().iter::<f32>().collect::<Vec<_>>(), [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
        assert_eq!(labels, [2, 0, 2]);
        assert!(samples.gather(&[3], &device).unwrap_err().to_string().contains("example 3"));
    }

    #[test]
    fn padding_is_masked_at_the_end() {
        let device = burn::tensor::Device::flex();
        let samples = Samples::sequences(vec![1, 2, 3, 4, 0, 0], 3, vec![3, 1]).unwrap();
        let mask = |indices: &[usize]| {
            let (Inputs::Tokens(tokens), _) = samples.gather(indices, &device).unwrap() else { panic!() };
            tokens.padding(&device).map(|mask| mask.into_data().iter::<bool>().collect::<Vec<_>>())
        };
        assert_eq!(mask(&[1, 0]), Some(vec![false, true, true, false, false, false]));
        assert_eq!(mask(&[0]), None);
    }
}
