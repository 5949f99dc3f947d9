//! Data sets as the networks take them.

use std::sync::Arc;

use thalweg_data::{DataError, DataSet, Kind};
use thalweg_descent::{Error, Result, Seed};
use thalweg_nn::Samples;

use crate::compose::DataConfig;
use crate::compose::words::hashed_words;

/// The examples of a run and the classes.
pub struct TrainAndTest {
    /// To train on.
    pub train: Arc<Samples>,
    /// To measure on; they take no part in training.
    pub test: Arc<Samples>,
    /// What a network gets of an example.
    pub input: Input,
    /// The number of classes.
    pub classes: usize,
    /// Name, version, split sizes and content hash, as a report states them.
    pub description: String,
}

/// What a network gets of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A picture.
    Image {
        /// Channels, height, width.
        shape: [usize; 3],
    },
    /// A sequence of hashed words.
    Words {
        /// The number of tokens.
        vocabulary: usize,
        /// The longest sequence.
        length: usize,
    },
}

/// Loads a set with labels and the splits `train` and `test`, from a folder, the embedded sets or the cache; never from a network.
///
/// # Errors
/// [`Error::Input`] when the set is unknown, absent (with the command that gets it), not of that kind, or not what it was when the run
/// began.
pub fn load_data(config: &DataConfig, seed: u64) -> Result<TrainAndTest> {
    let set = load_set(config)?;
    if let Some(noted) = &config.sha256 {
        compare_digest(&config.name, noted, &set)?;
    }
    let mut train = set.indices("train").map_err(|error| data_error(&config.name, error))?;
    let (test, kind) = match config.validation {
        None => (set.indices("test").map_err(|error| data_error(&config.name, error))?, "test"),
        Some(count) => (hold_out(&mut train, count, &config.name)?, "validation"),
    };
    limit(&mut train, config, seed)?;
    let input = match set.kind() {
        Kind::Image => {
            let shape = set.image_shape().map_err(|error| data_error(&config.name, error))?;
            Input::Image { shape: [shape.channels, shape.height, shape.width] }
        }
        Kind::Text => Input::Words { vocabulary: config.vocabulary, length: config.words },
    };
    let about = set.about();
    Ok(TrainAndTest {
        description: format!(
            "{} {}, {} training and {} {kind} examples, sha256 {}",
            about.name,
            about.version,
            train.len(),
            test.len(),
            &set.content_hash().to_string()[..16]
        ),
        train: Arc::new(samples(&set, input, &train)?),
        test: Arc::new(samples(&set, input, &test)?),
        input,
        classes: set.classes().len(),
    })
}

/// The set that the configuration names.
pub(crate) fn load_set(config: &DataConfig) -> Result<DataSet> {
    let set = match config.folder() {
        Some(folder) => thalweg_data::read_folder(folder, config.resize.map(|size| (size.width, size.height))),
        None if config.resize.is_some() => {
            return Err(Error::input(format!(
                "data.resize is for a folder of pictures, as ./photos, and {} is none",
                config.name
            )));
        }
        None => thalweg_data::load(&config.name),
    };
    set.map_err(|error| data_error(&config.name, error))
}

fn compare_digest(name: &str, noted: &str, set: &DataSet) -> Result<()> {
    let found = set.content_hash().to_string();
    if found == noted {
        return Ok(());
    }
    Err(Error::input(format!(
        "data.sha256 = {noted}, but {name} now has {found}: its records are not those that the run began with; \
         restore them, or begin a new run"
    )))
}

/// Takes the last examples of a shuffle that no seed of a run governs, so that runs of all seeds are measured on the same ones.
fn hold_out(train: &mut Vec<usize>, count: usize, name: &str) -> Result<Vec<usize>> {
    use rand::seq::SliceRandom;
    if count == 0 || count >= train.len() {
        let (all, most) = (train.len(), train.len() - 1);
        return Err(Error::input(format!(
            "data.validation = {count}, but {name} has {all} training examples; choose from 1 to {most}"
        )));
    }
    train.shuffle(&mut Seed(0).stream("data validation").at(0));
    let mut held_out = train.split_off(train.len() - count);
    held_out.sort_unstable();
    train.sort_unstable();
    Ok(held_out)
}

fn limit(train: &mut Vec<usize>, config: &DataConfig, seed: u64) -> Result<()> {
    use rand::seq::SliceRandom;
    let Some(limit) = config.limit else { return Ok(()) };
    if limit == 0 || limit > train.len() {
        return Err(Error::input(format!(
            "data.limit = {limit}, but {} has {} training examples; choose from 1 to {}",
            config.name,
            train.len(),
            train.len()
        )));
    }
    train.shuffle(&mut Seed(seed).stream("data limit").at(0));
    train.truncate(limit);
    Ok(())
}

fn samples(set: &DataSet, input: Input, indices: &[usize]) -> Result<Samples> {
    match input {
        Input::Image { shape } => images(set, shape, indices).map_err(|error| data_error(&set.about().name, error))?,
        Input::Words { vocabulary, length } => {
            words(set, vocabulary, length, indices).map_err(|error| data_error(&set.about().name, error))?
        }
    }
    .map_err(Error::from)
}

fn images(set: &DataSet, shape: [usize; 3], indices: &[usize]) -> Result<thalweg_nn::Result<Samples>, DataError> {
    let mut features = vec![0.0; indices.len() * shape.iter().product::<usize>()];
    set.images_into(indices, &set.normalisation()?, &mut features)?;
    Ok(Samples::features(features, &shape, set.labels_of(indices)?, set.classes().len()))
}

fn words(set: &DataSet, vocabulary: usize, length: usize, indices: &[usize]) -> Result<thalweg_nn::Result<Samples>, DataError> {
    let mut tokens = Vec::with_capacity(indices.len() * length);
    let mut lengths = Vec::with_capacity(indices.len());
    for index in indices {
        lengths.push(hashed_words(set.text(*index)?, vocabulary, length, &mut tokens));
    }
    Ok(Samples::tokens(tokens, length, lengths, set.labels_of(indices)?, set.classes().len()))
}

pub(crate) fn data_error(name: &str, error: DataError) -> Error {
    if error.is_input() { Error::input(error) } else { Error::piece(format!("loading {name}"), error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_examples_are_the_same_for_every_seed_and_never_trained_on() {
        let config = DataConfig { validation: Some(200), ..DataConfig::default() };
        let labels = |seed| load_data(&config, seed).unwrap().test.labels().to_vec();
        let data = load_data(&config, 1).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (1237, 200));
        assert!(data.description.contains("200 validation examples"), "{}", data.description);
        assert_eq!(labels(1), labels(2));

        let (mut train, name) = ((0..50).collect::<Vec<usize>>(), "digits");
        let held_out = hold_out(&mut train, 20, name).unwrap();
        let mut all = [train.clone(), held_out].concat();
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<usize>>());
        for count in [0, 30, 31] {
            assert!(hold_out(&mut train, count, name).unwrap_err().to_string().contains("1 to 29"));
        }
    }
}
