//! Gradients against finite differences, clipping against brute force, coefficients against their definition.

use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution, StandardNormal};
use thalweg_dynamics::Error;
use thalweg_dynamics::features::{
    Activation, Decomposition, FilterMatrix, Gradients, Network, NoisyDescent, NoisyGd, Patches, Protection, logistic_loss,
};

fn normal(count: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

fn labels(count: usize, rng: &mut impl Rng) -> Vec<i8> {
    (0..count).map(|_| if rng.random() { 1 } else { -1 }).collect()
}

fn columns(weights: &FilterMatrix) -> Vec<Vec<f64>> {
    (0..weights.filters()).map(|filter| weights.column(filter).collect()).collect()
}

/// An instance whose weights make some patches active and some not.
struct Instance {
    data: Patches,
    network: Network,
    weights: FilterMatrix,
}

fn instance(seed: u64, power: f64, per_example: usize, n: usize, d: usize, width: usize) -> Instance {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let labels = labels(n, &mut rng);
    let data = if per_example == 0 {
        Patches::signal_and_noise(&normal(d, &mut rng), &normal(n * d, &mut rng), &labels).unwrap()
    } else {
        Patches::new(&normal(n * per_example * d, &mut rng), per_example, d, &labels).unwrap()
    };
    let network = Network { width, activation: Activation::new(power).unwrap(), initial_std: 0.4 };
    let weights = network.initial(d, &mut rng);
    Instance { data, network, weights }
}

fn mean_loss(instance: &Instance, weights: &FilterMatrix) -> f64 {
    let margins = instance.network.margins(weights, &instance.data).unwrap();
    margins.iter().map(|&margin| logistic_loss(margin)).sum::<f64>() / margins.len() as f64
}

/// Whether the mean gradient is the slope of the mean loss in every weight, by central differences.
fn far_from_differences(instance: &Instance) -> f64 {
    let mut gradients = Gradients::new(instance.network, &instance.data).unwrap();
    gradients.compute(&instance.data, &instance.weights, None).unwrap();
    let (start, h) = (columns(&instance.weights), 1e-5);
    let moved = |filter: usize, row: usize, by: f64| {
        let mut columns = start.clone();
        columns[filter][row] += by;
        mean_loss(instance, &FilterMatrix::from_columns(&columns).unwrap())
    };
    let mut far = 0.0f64;
    for filter in 0..instance.weights.filters() {
        for row in 0..instance.weights.rows() {
            let difference = (moved(filter, row, h) - moved(filter, row, -h)) / (2.0 * h);
            far = far.max((gradients.mean().row(row)[filter] - difference).abs());
        }
    }
    far
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    for (seed, power, per_example) in [(1, 3.0, 0), (2, 3.0, 1), (3, 4.0, 2), (4, 2.5, 3), (5, 2.0, 0)] {
        let far = far_from_differences(&instance(seed, power, per_example, 5, 6, 3));
        assert!(far < 1e-8, "power {power}, {per_example} patches: {far:e}");
    }
}

/// The gradient of one example by itself: its norm and value come from a data set of that example alone.
fn alone(instance: &Instance, seed: u64, example: usize, n: usize, d: usize) -> FilterMatrix {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let labels = labels(n, &mut rng);
    let (mu, noise) = (normal(d, &mut rng), normal(n * d, &mut rng));
    let data = Patches::signal_and_noise(&mu, &noise[example * d..][..d], &labels[example..=example]).unwrap();
    let mut gradients = Gradients::new(instance.network, &data).unwrap();
    gradients.compute(&data, &instance.weights, None).unwrap();
    gradients.mean().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn clipping_is_what_it_says(seed in 0u64..1_000_000, clip in 0.01f64..3.0, n in 1usize..9, width in 1usize..6) {
        let d = 7;
        let instance = instance(seed, 3.0, 0, n, d, width);
        let mut gradients = Gradients::new(instance.network, &instance.data).unwrap();
        gradients.compute(&instance.data, &instance.weights, Some(clip)).unwrap();
        let mut expected = vec![0.0; d * 2 * width];
        for example in 0..n {
            let gradient = alone(&instance, seed, example, n, d);
            let norm = gradient.squared_norm().sqrt();
            prop_assert!((norm - gradients.norms()[example]).abs() < 1e-11 * (1.0 + norm));
            let scale = f64::min(1.0, clip / norm) / n as f64;
            expected.iter_mut().zip(gradient.iter_rows().flatten()).for_each(|(sum, g)| *sum += scale * g);
        }
        for (found, expected) in gradients.mean().iter_rows().flatten().zip(&expected) {
            prop_assert!((found - expected).abs() < 1e-11);
        }
    }

    /// What the guarantee stands on: without one example, the sum of clipped gradients moves by at most the clip.
    #[test]
    fn sensitivity_is_the_clip(seed in 0u64..1_000_000, clip in 0.001f64..1.0, n in 2usize..8) {
        let (d, network) = (7, Network { width: 3, ..Network::default() });
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (labels, mu, noise) = (labels(n, &mut rng), normal(d, &mut rng), normal(n * d, &mut rng));
        let weights = Network { initial_std: 1.5, ..network }.initial(d, &mut rng);
        let sum = |n: usize| {
            let data = Patches::signal_and_noise(&mu, &noise[..n * d], &labels[..n]).unwrap();
            let mut gradients = Gradients::new(network, &data).unwrap();
            gradients.compute(&data, &weights, Some(clip)).unwrap();
            gradients.mean().iter_rows().flatten().map(|g| g * n as f64).collect::<Vec<_>>()
        };
        let moved: f64 = sum(n).iter().zip(sum(n - 1)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        prop_assert!(moved <= clip * (1.0 + 1e-9), "{moved} for clip {clip}");
    }

    /// With injected noise the residual is orthogonal to mu and every noise patch, and the parts add up.
    #[test]
    fn residual_is_orthogonal(seed in 0u64..1_000_000, n in 1usize..10, d in 12usize..20) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut mu = vec![0.0; d];
        mu[0] = 1.3;
        let mut noise = normal(n * d, &mut rng);
        noise.iter_mut().step_by(d).for_each(|value| *value = 0.0);
        let data = Patches::signal_and_noise(&mu, &noise, &labels(n, &mut rng)).unwrap();
        let network = Network { width: 3, initial_std: 0.3, ..Network::default() };
        let settings = NoisyGd { rate: 0.3, steps: 10, protection: Protection::new(1.0, 2.0).unwrap() };
        let initial = network.initial(d, &mut rng);
        let mut descent = NoisyDescent::new(&data, network, settings, initial).unwrap();
        while !descent.is_done() {
            descent.step(&mut rng).unwrap();
        }
        let change = descent.change();
        let decomposition = Decomposition::of(&data).unwrap();
        let parts = decomposition.split(&change).unwrap();
        prop_assert!(parts.residual.squared_norm() > 1e-3, "noise reaches outside the span");
        for filter in 0..6 {
            let residual: Vec<f64> = parts.residual.column(filter).collect();
            for vector in std::iter::once(&mu[..]).chain(noise.chunks_exact(d)) {
                prop_assert!(residual.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>().abs() < 1e-9);
            }
            let along: f64 = change.column(filter).zip(&mu).map(|(w, m)| w * m).sum();
            let sign = if filter < 3 { 1.0 } else { -1.0 };
            prop_assert!((parts.signal[filter] - sign * along).abs() < 1e-10);
        }
        let again = decomposition.join(&parts).unwrap();
        for (a, b) in again.iter_rows().flatten().zip(change.iter_rows().flatten()) {
            prop_assert!((a - b).abs() < 1e-10);
        }
    }
}

#[test]
fn control_is_the_noise_alone() {
    let Instance { data, network, weights } = instance(9, 3.0, 0, 4, 9, 2);
    let settings = NoisyGd { rate: 0.1, steps: 6, protection: Protection::new(0.5, 3.0).unwrap() };
    let mut descent = NoisyDescent::new(&data, network, settings, weights.clone()).unwrap();
    let (mut rng, mut expected) = (ChaCha20Rng::seed_from_u64(3), vec![0.0; 9 * 4]);
    for _ in 0..6 {
        let noise = network_noise(&mut rng);
        descent.step_with(&noise).unwrap();
        expected.iter_mut().zip(noise.iter_rows().flatten()).for_each(|(sum, z)| *sum -= 0.1 * 0.5 * 3.0 / 4.0 * z);
    }
    for (found, expected) in descent.injected().iter_rows().flatten().zip(&expected) {
        assert!((found - expected).abs() < 1e-14);
    }
    // The same draws through the generator give the same descent.
    let mut again = NoisyDescent::new(&data, network, settings, weights).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    while !again.is_done() {
        again.step(&mut rng).unwrap();
    }
    assert_eq!(again.weights(), descent.weights());
}

fn network_noise(rng: &mut ChaCha20Rng) -> FilterMatrix {
    Network { width: 2, initial_std: 1.0, ..Network::default() }.initial(9, rng)
}

#[test]
fn dependent_vectors_are_refused() {
    let refused = |signal: &[f64], noise: &[f64]| {
        let error = Decomposition::along_vectors(signal, noise).unwrap_err();
        assert!(matches!(error, Error::Value { .. }));
        error.to_string()
    };
    assert!(refused(&[1.0, 0.0], &[0.0, 1.0, 0.0, 2.0]).contains("3 vectors in 2 coordinates"));
    assert!(refused(&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0, 0.0, 2.0, 0.0]).contains("independent"));
    assert!(refused(&[1.0, 0.0, 0.0], &[0.0, 0.0, 0.0]).contains("vector 1, which is 0"));
    // Nearly dependent is dependent: the difference of two vectors is lost in rounding.
    assert!(refused(&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0, 0.0, 1.0, 1e-9]).contains("independent"));
    assert!(Decomposition::along_vectors(&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0, 0.0, 1.0, 1e-3]).is_ok());
}

#[test]
fn a_diverging_descent_stops_and_says_where() {
    let Instance { data, network, weights } = instance(2, 3.0, 0, 4, 9, 2);
    let settings = NoisyGd { rate: 1e200, steps: 50, protection: Protection::None };
    let mut descent = NoisyDescent::new(&data, network, settings, weights.clone()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let error = loop {
        if let Err(error) = descent.step(&mut rng) {
            break error;
        }
        assert!(descent.steps_taken() < 5);
    };
    let Error::Diverged { value, step, last_norm, .. } = &error else { panic!("{error}") };
    assert!(!value.is_finite() && *step <= 2 && last_norm.is_finite());
    assert!(error.to_string().contains("in step") && error.to_string().contains("learning rate"), "{error}");

    let mut descent = NoisyDescent::new(&data, network, NoisyGd::default(), weights).unwrap();
    let mut poisoned = network_noise(&mut rng);
    poisoned.row_mut(0)[0] = f64::NAN;
    // Without a noise multiplier the noise is not used, whatever it holds.
    descent.step_with(&poisoned).unwrap();
}

#[test]
fn settings_out_of_range_are_refused() {
    let Instance { data, network, weights } = instance(2, 3.0, 0, 4, 9, 2);
    let refused = |settings: NoisyGd| NoisyDescent::new(&data, network, settings, weights.clone()).unwrap_err().to_string();
    let good = NoisyGd::default();
    assert!(refused(NoisyGd { rate: f64::NAN, ..good }).contains("learning rate"));
    assert!(refused(NoisyGd { steps: 0, ..good }).contains("number of steps"));
    assert!(refused(NoisyGd { protection: Protection::Clipped { clip: 0.0 }, ..good }).contains("clip norm"));
    let negative = Protection::Private { clip: 1.0, noise_multiplier: -1.0 };
    assert!(refused(NoisyGd { protection: negative, ..good }).contains("noise multiplier"));
    assert!(Protection::new(1.0, f64::INFINITY).is_err());
    assert!(Protection::new(f64::NAN, 0.0).is_err());
    assert_eq!(Protection::new(1.0, 0.0).unwrap(), Protection::Clipped { clip: 1.0 });
    let wide = Network { width: 3, ..network };
    assert!(NoisyDescent::new(&data, wide, good, weights.clone()).unwrap_err().to_string().contains("number m of filters"));
    assert!(NoisyDescent::new(&data, network, good, network.initial(4, &mut ChaCha20Rng::seed_from_u64(0))).is_err());
}
