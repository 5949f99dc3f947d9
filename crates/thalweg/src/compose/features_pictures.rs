//! The features lab on real pictures: the signal is a picture of one of two classes, the noise is drawn.

use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;
use thalweg_data::{DataSet, Kind};
use thalweg_descent::streams::StreamRng;
use thalweg_descent::{Error, Result, Seed};
use thalweg_dynamics::features::{Mean, Network, NoisyDescent, NoisyGd, Patches, Regime};

use super::DataConfig;
use super::dataset::{data_error, load_set};

/// Pictures of two classes, each beside a patch of noise.
///
/// A picture is taken less its own mean and scaled to the norm of the signal, so that nothing is learnt from the other pictures; norms are
/// those of 2,000 dimensions of unit noise, the synthetic default. The signal of a class is no longer one vector, and no split of the
/// weights is exact: the report has projections in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// Where they come from.
    pub data: DataConfig,
    /// The classes with labels 1 and -1; the first two where absent.
    pub classes: Option<[String; 2]>,
    /// Training examples; all of both classes where absent.
    pub examples: Option<usize>,
    /// The ratio of the norms of picture and noise.
    pub snr: f64,
    /// The network.
    pub network: Network,
    /// The descent.
    pub descent: NoisyGd,
    /// The number of runs.
    pub runs: u32,
    /// The seed of all draws, whose noise hides nobody.
    pub seed: u64,
}

/// What the runs found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PicturesReport {
    /// The mean accuracy on the test pictures, with noise of their own.
    pub test_accuracy: f64,
    /// The mean accuracy on training examples.
    pub train_accuracy: f64,
    /// The mean of the largest projection of a filter's change on half the difference of the classes' mean pictures, with its sign.
    pub signal: f64,
    /// The mean of the largest projection of a filter's change on a training example's noise.
    pub noise: f64,
    /// The same of the injected noise alone.
    pub control_noise: f64,
    /// The noise multiplier, 0 without noise.
    pub noise_multiplier: f64,
    /// What the network has made of its examples.
    pub regime: Regime,
    /// The classes.
    pub classes: [String; 2],
    /// Training and test examples.
    pub examples: [usize; 2],
    /// Pixels of a picture.
    pub dimension: usize,
}

/// The squared norm of a noise patch, about.
const SQUARED_NORM: f64 = 2000.0;

/// Pictures and their labels, one picture after the other.
struct Labelled {
    pixels: Vec<f64>,
    labels: Vec<i8>,
}

impl Pictures {
    /// Runs all, on all threads; the result does not depend on their number.
    ///
    /// # Errors
    /// [`Error::Input`] for data that are absent or no pictures, a class that is not there, and values out of range; as the lab where a run
    /// diverges.
    pub fn run(&self) -> Result<PicturesReport> {
        if !(self.snr.is_finite() && self.snr > 0.0) {
            return Err(Error::input(format!("the signal-to-noise ratio is {}, but must be a finite number above 0", self.snr)));
        }
        if self.runs == 0 {
            return Err(Error::input("the number of runs is 0, but must be at least 1"));
        }
        self.network.check()?;
        self.descent.check()?;
        let set = load_set(&self.data)?;
        if set.kind() != Kind::Image {
            return Err(Error::input(format!("--data {}: its records are no pictures", self.data.name)));
        }
        let classes = self.classes(&set)?;
        let (all, test) = (self.labelled(&set, "train", classes)?, self.labelled(&set, "test", classes)?);
        let examples = self.examples.unwrap_or(all.labels.len());
        if !(1..=all.labels.len()).contains(&examples) || test.labels.is_empty() {
            return Err(Error::input(format!(
                "the number of training examples is {examples}, but {} has {} of these two classes, and {} to test on",
                self.data.name,
                all.labels.len(),
                test.labels.len()
            )));
        }
        let found: Result<Vec<[f64; 5]>> =
            (0..self.runs).into_par_iter().map(|run| self.run_once(&all, &test, examples, u64::from(run))).collect();
        let found = found?;
        let mean = |at: usize| Mean::of(found.iter().map(|run| run[at])).mean;
        Ok(PicturesReport {
            test_accuracy: mean(0),
            train_accuracy: mean(1),
            signal: mean(2),
            noise: mean(3),
            control_noise: mean(4),
            noise_multiplier: self.descent.protection.noise_multiplier(),
            regime: Regime::of(mean(1), mean(0)),
            classes: classes.map(|class| set.classes()[class as usize].clone()),
            examples: [examples, test.labels.len()],
            dimension: test.pixels.len() / test.labels.len(),
        })
    }

    fn classes(&self, set: &DataSet) -> Result<[u32; 2]> {
        let names = set.classes();
        let number =
            |name: &String| {
                names.iter().position(|known| known == name).map(|at| at as u32).ok_or_else(|| {
                    Error::input(format!("class {name:?}: {} has the classes {}", self.data.name, names.join(", ")))
                })
            };
        let Some([first, second]) = &self.classes else {
            return match names.len() {
                0 | 1 => Err(Error::input(format!("{} has {} classes, but two are told apart", self.data.name, names.len()))),
                _ => Ok([0, 1]),
            };
        };
        if first == second {
            return Err(Error::input(format!("both classes are {first:?}, but two are told apart")));
        }
        Ok([number(first)?, number(second)?])
    }

    /// The pictures of two classes in a split, each less its mean and of the signal's norm.
    fn labelled(&self, set: &DataSet, split: &str, classes: [u32; 2]) -> Result<Labelled> {
        let wrong = |error| data_error(&self.data.name, error);
        let indices = set.indices(split).map_err(wrong)?;
        let labels = set.labels_of(&indices).map_err(wrong)?;
        let kept = indices.iter().zip(&labels).filter(|(_, label)| classes.contains(label));
        let (indices, labels): (Vec<usize>, Vec<i8>) =
            kept.map(|(&index, label)| (index, if *label == classes[0] { 1 } else { -1 })).unzip();
        let shape = set.image_shape().map_err(wrong)?;
        let d = shape.channels * shape.height * shape.width;
        let mut pixels = vec![0.0f32; indices.len() * d];
        set.images_into(&indices, &set.normalisation().map_err(wrong)?, &mut pixels).map_err(wrong)?;
        let mut pixels: Vec<f64> = pixels.into_iter().map(f64::from).collect();
        for picture in pixels.chunks_exact_mut(d) {
            let mean = picture.iter().sum::<f64>() / d as f64;
            picture.iter_mut().for_each(|pixel| *pixel -= mean);
            let norm = picture.iter().map(|pixel| pixel * pixel).sum::<f64>().sqrt();
            // A picture of one shade has no signal.
            let scale = if norm > 0.0 { self.snr * SQUARED_NORM.sqrt() / norm } else { 0.0 };
            picture.iter_mut().for_each(|pixel| *pixel *= scale);
        }
        Ok(Labelled { pixels, labels })
    }

    /// Accuracies on test and training examples, and the projections on signal, noise, and of the control.
    fn run_once(&self, all: &Labelled, test: &Labelled, examples: usize, run: u64) -> Result<[f64; 5]> {
        let draws = |role: &str| Seed(self.seed).stream(&format!("pictures: {role}")).at(run);
        let mut order: Vec<usize> = (0..all.labels.len()).collect();
        order.shuffle(&mut draws("choice"));
        order.truncate(examples);
        let d = all.pixels.len() / all.labels.len();
        let train = Labelled {
            pixels: order.iter().flat_map(|&at| &all.pixels[at * d..][..d]).copied().collect(),
            labels: order.iter().map(|&at| all.labels[at]).collect(),
        };
        let noise = noise(examples * d, d, &mut draws("training noise"));
        let data = patches(&train, &noise, d)?;
        let initial = self.network.initial(d, &mut draws("start"));
        let mut descent = NoisyDescent::new(&data, self.network, self.descent, initial)?;
        let mut injected = draws("noise");
        while !descent.is_done() {
            descent.step(&mut injected)?;
        }
        let tests = patches(test, &self::noise(test.pixels.len(), d, &mut draws("test noise")), d)?;
        let right = |data: &Patches| -> Result<f64> {
            let margins = self.network.margins(descent.weights(), data)?;
            Ok(margins.iter().filter(|margin| **margin > 0.0).count() as f64 / margins.len() as f64)
        };
        let (change, control) = (descent.change(), descent.injected());
        let largest = |matrix: &thalweg_dynamics::features::FilterMatrix| {
            noise.chunks_exact(d).flat_map(|patch| projections(matrix, patch)).fold(f64::NEG_INFINITY, f64::max)
        };
        let width = self.network.width;
        let signed = projections(&change, &half_difference(&train, d));
        let signal = signed.enumerate().map(|(filter, value)| if filter < width { value } else { -value });
        Ok([right(&tests)?, right(&data)?, signal.fold(f64::NEG_INFINITY, f64::max), largest(&change), largest(control)])
    }
}

fn noise(numbers: usize, d: usize, rng: &mut StreamRng) -> Vec<f64> {
    let std = (SQUARED_NORM / d as f64).sqrt();
    (0..numbers)
        .map(|_| {
            let normal: f64 = StandardNormal.sample(rng);
            std * normal
        })
        .collect()
}

fn patches(pictures: &Labelled, noise: &[f64], d: usize) -> Result<Patches> {
    let values =
        pictures.pixels.chunks_exact(d).zip(noise.chunks_exact(d)).flat_map(|(picture, noise)| picture.iter().chain(noise));
    Ok(Patches::new(&values.copied().collect::<Vec<f64>>(), 2, d, &pictures.labels)?)
}

/// Half the difference of the classes' mean pictures.
fn half_difference(pictures: &Labelled, d: usize) -> Vec<f64> {
    let mut sum = vec![0.0; d];
    for (picture, &label) in pictures.pixels.chunks_exact(d).zip(&pictures.labels) {
        let count = pictures.labels.iter().filter(|other| **other == label).count() as f64;
        sum.iter_mut().zip(picture).for_each(|(sum, pixel)| *sum += 0.5 * f64::from(label) * pixel / count);
    }
    sum
}

/// Of each filter on a direction.
fn projections(matrix: &thalweg_dynamics::features::FilterMatrix, direction: &[f64]) -> impl Iterator<Item = f64> + use<> {
    let mut sums = vec![0.0; matrix.filters()];
    for (row, factor) in matrix.iter_rows().zip(direction) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
    }
    sums.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::features::protection;

    fn pictures(snr: f64, epsilon: f64) -> Pictures {
        let descent = NoisyGd { protection: protection(epsilon, 1e-5, 1.0, 100).unwrap(), ..NoisyGd::default() };
        Pictures {
            data: DataConfig::default(),
            classes: Some(["0".to_owned(), "1".to_owned()]),
            examples: None,
            snr,
            network: Network::default(),
            descent,
            runs: 2,
            seed: 0,
        }
    }

    #[test]
    fn strong_pictures_are_learned_and_privacy_asks_for_stronger_ones() {
        let strong = pictures(0.8, f64::INFINITY).run().unwrap();
        assert_eq!((strong.regime, strong.dimension), (Regime::Learned, 64));
        assert!(strong.test_accuracy > 0.95 && strong.control_noise == 0.0, "{strong:?}");
        let weak = pictures(0.05, f64::INFINITY).run().unwrap();
        assert!(weak.regime == Regime::Memorised || weak.test_accuracy < 0.7, "{weak:?}");
        assert!(strong.signal / strong.noise > 10.0 * weak.signal / weak.noise, "{strong:?} {weak:?}");
        let private = pictures(0.8, 1.0).run().unwrap();
        assert!(private.test_accuracy < strong.test_accuracy && private.control_noise > 0.0, "{private:?}");
    }

    #[test]
    fn wrong_classes_and_numbers_are_named() {
        let refused = |pictures: Pictures| {
            let error = pictures.run().unwrap_err();
            assert!(error.is_input(), "{error}");
            error.to_string()
        };
        let base = || pictures(0.3, f64::INFINITY);
        assert!(refused(Pictures { classes: Some(["0".into(), "x".into()]), ..base() }).contains("\"x\""));
        assert!(refused(Pictures { classes: Some(["1".into(), "1".into()]), ..base() }).contains("both classes"));
        assert!(refused(Pictures { examples: Some(0), ..base() }).contains("examples is 0"));
        assert!(refused(Pictures { examples: Some(100_000), ..base() }).contains("100000"));
        assert!(refused(Pictures { snr: 0.0, ..base() }).contains("signal-to-noise"));
        assert!(refused(Pictures { runs: 0, ..base() }).contains("runs"));
    }
}
