//! The deterministic instance of six dimensions and four examples, to all printed digits.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use thalweg_dynamics::features::{
    Coefficients, Decomposition, FilterMatrix, Gradients, Network, NoisyDescent, NoisyGd, Patches, Protection, logistic_loss,
};

const TOLERANCE: f64 = 1e-9;

fn data() -> Patches {
    let noise: Vec<f64> =
        (0..4).flat_map(|i| (0..6).map(move |k| if k == 0 { 0.0 } else { (f64::from(6 * i + k + 1).powi(2)).sin() })).collect();
    Patches::signal_and_noise(&[0.9, 0.0, 0.0, 0.0, 0.0, 0.0], &noise, &[1, -1, 1, -1]).unwrap()
}

fn network() -> Network {
    Network { width: 2, ..Network::default() }
}

fn initial() -> FilterMatrix {
    let column = |j: i32, r: i32| (0..6).map(|k| 0.6 * f64::from(1 + 7 * j + 3 * r + k).powi(2).cos()).collect();
    FilterMatrix::from_columns(&[column(0, 0), column(0, 1), column(1, 0), column(1, 1)]).unwrap()
}

fn near(found: impl IntoIterator<Item = f64>, expected: &[f64]) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < TOLERANCE, "{found} instead of {expected}");
    }
}

fn descend(protection: Protection, steps: u64) -> (FilterMatrix, f64) {
    let data = data();
    let settings = NoisyGd { rate: 0.5, steps, protection };
    let mut descent = NoisyDescent::new(&data, network(), settings, initial()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(0);
    for step in 0..steps {
        assert_eq!(descent.step(&mut rng).unwrap().step, step);
    }
    assert!(descent.is_done());
    let loss = descent.look().unwrap().loss;
    (descent.change(), loss)
}

#[test]
fn forward_norms_and_gradient() {
    let data = data();
    let mut gradients = Gradients::new(network(), &data).unwrap();
    gradients.compute(&data, &initial(), None).unwrap();
    let outputs = gradients.margins().iter().zip(data.labels()).map(|(margin, label)| margin * label);
    near(outputs, &[0.0141181525, 0.4600927562, 0.2100288580, 0.0785632593]);
    near([gradients.margins().iter().map(|&margin| logistic_loss(margin)).sum::<f64>() / 4.0], &[0.740593473862]);
    near(gradients.norms().iter().copied(), &[0.0849265948, 1.3600969836, 0.6167574517, 0.2705988131]);
    let first = [-0.0271255439, 0.0780442109, -0.0189288821, 0.0010207913, 0.2137070162, -0.0667350971];
    near(gradients.mean().column(0), &first);
    let last = [0.0002639807, -0.0082814208, 0.0010059989, 0.0083178737, -0.0344409726, 0.0227536893];
    near(gradients.mean().column(3), &last);
    near(network().margins(&initial(), &data).unwrap(), gradients.margins());
}

#[test]
fn clipped_gradient_and_step() {
    let data = data();
    let mut gradients = Gradients::new(network(), &data).unwrap();
    gradients.compute(&data, &initial(), Some(0.1)).unwrap();
    let first = [-0.0163489931, -0.0002901376, 0.0083191071, 0.0120216217, 0.0235191129, 0.0016879576];
    near(gradients.mean().column(0), &first);
    let (_, loss) = descend(Protection::Clipped { clip: 0.1 }, 1);
    near([loss], &[0.736346294962]);
    near(parts(Protection::Clipped { clip: 0.1 }, 1).signal, &[0.0073570469, 0.0096301470, 0.0038697741, 0.0000248668]);
}

fn parts(protection: Protection, steps: u64) -> Coefficients {
    Decomposition::of(&data()).unwrap().split(&descend(protection, steps).0).unwrap()
}

#[test]
fn coefficients_after_one_step() {
    let Coefficients { signal, noise, .. } = parts(Protection::None, 1);
    near(signal, &[0.0122064947, 0.0460042806, 0.0064205622, 0.0001187913]);
    near(noise.column(0), &[0.0093403214, -0.2584764471, 0.1299587444, -0.0374781925]);
    near(noise.column(1), &[0.0, -0.0819355928, 0.0159372303, 0.0]);
    near(noise.column(2), &[0.0, 0.0514882005, 0.0, 0.0063130326]);
    near(noise.column(3), &[0.0, 0.0296490446, 0.0, 0.0224109062]);
}

#[test]
fn coefficients_after_twenty_steps_rebuild_the_change() {
    let change = descend(Protection::None, 20).0;
    let decomposition = Decomposition::of(&data()).unwrap();
    let parts = decomposition.split(&change).unwrap();
    near(parts.signal.clone(), &[0.4500269955, 0.2468480713, 0.0677561281, 0.0012048990]);
    near(parts.noise.column(0), &[0.2741241091, -1.3303846901, 2.4525872296, -0.0771199308]);
    near(parts.noise.column(3), &[-0.2226860806, 0.6064782663, 0.0, 1.9602860359]);
    assert!(parts.residual.squared_norm().sqrt() < 1e-13, "{:e}", parts.residual.squared_norm().sqrt());
    let again = decomposition.join(&parts).unwrap();
    let far = again.iter_rows().flatten().zip(change.iter_rows().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-13, "{far:e}");
}

#[test]
fn losses_of_plain_descent() {
    near([descend(Protection::None, 1).1], &[0.707668069584]);
    near([descend(Protection::None, 20).1], &[0.161405440469]);
}
