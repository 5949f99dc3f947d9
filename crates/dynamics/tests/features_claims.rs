//! The published claims of private feature learning, as orderings and our own numbers: 500 examples in 2,000 dimensions, and a harsher
//! setting of 50 in 1,000. The seeds are fixed, so nothing fails by chance.

use thalweg_dynamics::features::{NoisyGd, Protection, Report, Simulation, Synthetic};

const SNRS: [f64; 7] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8];
/// Noise multipliers of 100 full-batch Gaussian steps at delta 1e-5, for epsilon inf, 16, 8, 4, 2 and 1.
const NOISE: [f64; 6] = [0.0, 3.4417742850, 6.0022907220, 10.8116184952, 19.9381244564, 37.3063163482];

fn run(data: Synthetic, noise: f64) -> Report {
    let descent = NoisyGd { protection: Protection::new(1.0, noise).unwrap(), ..NoisyGd::default() };
    Simulation { data, descent, ..Simulation::default() }.run().unwrap()
}

fn mild(snr: f64, noise: f64) -> Report {
    run(Synthetic { snr, ..Synthetic::default() }, noise)
}

/// The least ratio with 90 % of unseen examples right, by straight lines between those of the grid.
fn required(snrs: &[f64], accuracy: impl Fn(f64) -> f64) -> f64 {
    let mut before = (0.0, 0.0);
    for &snr in snrs {
        let found = accuracy(snr);
        if found >= 0.9 {
            return before.0 + (snr - before.0) * (0.9 - before.1) / (found - before.1);
        }
        before = (snr, found);
    }
    f64::INFINITY
}

#[test]
fn less_privacy_loss_needs_more_signal() {
    let needed = NOISE.map(|noise| required(&SNRS, |snr| mild(snr, noise).test_accuracy));
    assert!(needed.windows(2).all(|pair| pair[1] >= pair[0] - 0.02), "{needed:?}");
    assert!(needed[4] >= 1.8 * needed[0] && needed[5] >= 2.5 * needed[0], "{needed:?}");
    // References by another generator, of two seeds: .19 .19 .20 .28 .41 .60.
    for (found, expected) in needed.iter().zip([0.19, 0.19, 0.20, 0.28, 0.41, 0.60]) {
        assert!((found - expected).abs() < 0.25 * expected, "{needed:?}");
    }
}

#[test]
fn noise_is_memorised_privately_without_learning() {
    let weak = mild(0.05, NOISE[2]);
    assert!(weak.train_accuracy >= 0.85 && (0.45..=0.55).contains(&weak.test_accuracy) && weak.memorising_runs == 4, "{weak:?}");
    let strong = mild(0.3, NOISE[2]);
    assert!(strong.test_accuracy >= 0.99 && strong.memorising_runs == 0, "{strong:?}");
    assert!(mild(0.3, NOISE[5]).test_accuracy <= 0.65);
}

#[test]
fn enhancing_the_signal_helps_at_the_same_budget() {
    let data = Synthetic { snr: 0.15, ..Synthetic::default() };
    assert!((0.4..0.65).contains(&run(data, NOISE[4]).test_accuracy));
    assert!(run(data.with_signal_times(0.5 / 0.15).unwrap(), NOISE[4]).test_accuracy >= 0.9);
    // With nine tenths of the noise's dimensions gone the ratio is 0.474.
    let projected = run(Synthetic { examples: 150, ..data }.without_noise_dimensions(0.9).unwrap(), 0.0);
    assert!(projected.test_accuracy >= 0.9, "{}", projected.test_accuracy);
}

#[test]
fn the_harsher_setting_needs_more_signal_at_each_budget() {
    let harsh = |snr, noise| run(Synthetic { examples: 50, dimension: 1000, snr, ..Synthetic::default() }, noise).test_accuracy;
    let snrs = [0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0];
    for noise in NOISE {
        let (easy, hard) = (required(&SNRS, |snr| mild(snr, noise).test_accuracy), required(&snrs, |snr| harsh(snr, noise)));
        assert!(hard > easy, "at noise {noise}: {hard} and {easy}");
    }
}
