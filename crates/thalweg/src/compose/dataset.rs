//! Data sets as the networks take them.

use std::sync::Arc;

use thalweg_data::{DataError, DataSet};
use thalweg_descent::{Error, Result, Seed};
use thalweg_nn::Samples;

use crate::compose::DataConfig;

/// The examples of a run and the classes.
pub struct TrainAndTest {
    /// To train on.
    pub train: Arc<Samples>,
    /// To measure on; they take no part in training.
    pub test: Arc<Samples>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The number of classes.
    pub classes: usize,
    /// Name, version, split sizes and content hash, as a report states them.
    pub description: String,
}

/// Loads an image set with labels and the splits `train` and `test`, from the embedded sets or the cache; never from a network.
///
/// # Errors
/// [`Error::Input`] when the set is unknown, absent (with the command that gets it), or not of that kind.
pub fn load_data(config: &DataConfig, seed: u64) -> Result<TrainAndTest> {
    let set = thalweg_data::load(&config.name).map_err(|error| data_error(&config.name, error))?;
    let mut train = set.indices("train").map_err(|error| data_error(&config.name, error))?;
    let test = set.indices("test").map_err(|error| data_error(&config.name, error))?;
    limit(&mut train, config, seed)?;
    let shape = set.image_shape().map_err(|error| data_error(&config.name, error))?;
    let about = set.about();
    Ok(TrainAndTest {
        description: format!(
            "{} {}, {} training and {} test examples, sha256 {}",
            about.name,
            about.version,
            train.len(),
            test.len(),
            &set.content_hash().to_string()[..16]
        ),
        train: Arc::new(samples(&set, &train)?),
        test: Arc::new(samples(&set, &test)?),
        shape: [shape.channels, shape.height, shape.width],
        classes: set.classes().len(),
    })
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

fn samples(set: &DataSet, indices: &[usize]) -> Result<Samples> {
    let name = &set.about().name;
    let shape = set.image_shape().map_err(|error| data_error(name, error))?;
    let normalisation = set.normalisation().map_err(|error| data_error(name, error))?;
    let mut features = vec![0.0; indices.len() * shape.len()];
    set.images_into(indices, &normalisation, &mut features).map_err(|error| data_error(name, error))?;
    let labels = set.labels_of(indices).map_err(|error| data_error(name, error))?;
    let example_shape = [shape.channels, shape.height, shape.width];
    Ok(Samples::features(features, &example_shape, labels, set.classes().len())?)
}

fn data_error(name: &str, error: DataError) -> Error {
    if error.is_input() { Error::input(error) } else { Error::piece(format!("loading {name}"), error) }
}
