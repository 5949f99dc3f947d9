//! Addition modulo p, on which networks grok: they know the training pairs long before they know the rule (Power et al. 2022).

use std::sync::Arc;

use rand::seq::SliceRandom;
use thalweg_descent::{Error, Result, Seed};
use thalweg_nn::Samples;

use super::MOST;
use crate::compose::{Input, TrainAndTest};

/// Tokens of an example: a, b and the sign of equality.
const LENGTH: usize = 3;

/// How many pairs are trained on.
pub(super) fn train_pairs(modulus: u32, train_share: f64) -> usize {
    (f64::from(modulus).powi(2) * train_share) as usize
}

pub(super) fn check(modulus: u32, train_share: f64) -> Result<()> {
    if !(3..=MOST as u32).contains(&modulus) {
        return Err(Error::input(format!("task.modulus = {modulus}; it must be from 3 to {MOST}")));
    }
    if !(train_share > 0.0 && train_share < 1.0) {
        return Err(Error::input(format!("task.train_share = {train_share}; it must be above 0 and below 1")));
    }
    if train_pairs(modulus, train_share) == 0 {
        return Err(Error::input(format!(
            "task.train_share = {train_share} of {modulus} x {modulus} pairs is less than one pair"
        )));
    }
    Ok(())
}

/// All pairs, of which the first of a seeded shuffle are trained on and the others measured on.
pub(crate) fn modular_addition(modulus: u32, train_share: f64, seed: u64) -> Result<TrainAndTest> {
    check(modulus, train_share)?;
    let mut pairs: Vec<u32> = (0..modulus * modulus).collect();
    pairs.shuffle(&mut Seed(seed).stream("modular addition").at(0));
    let (train, test) = pairs.split_at(train_pairs(modulus, train_share));
    Ok(TrainAndTest {
        description: format!("addition modulo {modulus}, {} training and {} test pairs", train.len(), test.len()),
        train: Arc::new(samples(train, modulus)?),
        test: Arc::new(samples(test, modulus)?),
        input: Input::Words { vocabulary: modulus as usize + 1, length: LENGTH },
        classes: modulus as usize,
    })
}

fn samples(pairs: &[u32], modulus: u32) -> Result<Samples> {
    let terms = |pair: &u32| (pair / modulus, pair % modulus);
    let ids = pairs.iter().map(terms).flat_map(|(a, b)| [a, b, modulus]).collect();
    let labels = pairs.iter().map(terms).map(|(a, b)| (a + b) % modulus).collect();
    Ok(Samples::tokens(ids, LENGTH, vec![LENGTH; pairs.len()], labels, modulus as usize)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_trained_on_or_measured_on() {
        let data = modular_addition(7, 0.4, 1).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.classes), (19, 30, 7));
        let mut sums = vec![0; 7];
        data.train.labels().iter().chain(data.test.labels()).for_each(|label| sums[*label as usize] += 1);
        assert_eq!(sums, [7; 7], "each sum has as many pairs");
        assert_ne!(modular_addition(7, 0.4, 2).unwrap().train, data.train);
        assert_eq!(modular_addition(7, 0.4, 1).unwrap().train, data.train);
    }

    #[test]
    fn impossible_sums_name_field_and_value() {
        for (modulus, share, part) in
            [(2, 0.5, "modulus = 2"), (70_000, 0.5, "70000"), (5, 0.0, "share = 0"), (5, 1.0, "share = 1")]
        {
            let error = check(modulus, share).unwrap_err();
            assert!(error.is_input() && error.to_string().contains(part), "{error}");
        }
        assert!(check(5, f64::NAN).is_err() && check(5, 0.01).is_err() && modular_addition(2, 0.5, 1).is_err());
    }
}
