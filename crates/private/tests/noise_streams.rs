//! Noise streams: golden values, equality of their ways of working, and the statistics of what they give.

use proptest::prelude::*;
use thalweg_private::noise::{CHUNK, Gaussian, Innovations, Memory, NoiseStream};
use thalweg_private::strategy::Form;
use thalweg_private::{Blt, Error, Name, NoiseKey, Ratios, Strategy, Workload, coefficients};

/// `z_t = sin(t)` in every coordinate, t counted from 1.
struct Sine;

impl Innovations for Sine {
    fn fill(&self, step: u64, _: usize, values: &mut [f32]) {
        values.fill(((step + 1) as f64).sin() as f32);
    }
}

fn strategy(form: Form, steps: usize) -> Strategy {
    Strategy::new(Name::Bisr, steps, form).unwrap()
}

fn inverse(coefficients: &[f64], steps: usize) -> Strategy {
    strategy(Form::Inverse { coefficients: coefficients.to_vec() }, steps)
}

fn direct(coefficients: &[f64], steps: usize) -> Strategy {
    strategy(Form::Direct { coefficients: coefficients.to_vec() }, steps)
}

fn run(noise: &mut NoiseStream, steps: usize) -> Vec<Vec<f32>> {
    let mut next = || {
        let mut out = vec![0.0; noise.vector_len()];
        noise.add_next(1.0, &mut out).unwrap();
        out
    };
    (0..steps).map(|_| next()).collect()
}

#[test]
fn golden_streams() {
    let rt = coefficients::inverse_root(3);
    let r = coefficients::root(3);
    let blt = Blt::new(vec![0.3, 0.1], vec![0.9, 0.5]).unwrap();
    #[rustfmt::skip]
    let table = [
        (inverse(&rt, 8), [0.8414709848, 0.4885619344, -0.4187125785, -0.9410246777, -0.5981630280, 0.2946469510, 0.9165598822, 0.6957918845]),
        (inverse(&coefficients::scaled(&rt, 0.8), 8), [0.8414709848, 0.5727090329, -0.2899166415, -0.8859942927, -0.6674928772, 0.1646984113, 0.8454667400, 0.7489168470]),
        (direct(&r, 8), [0.8414709848, 0.4885619344, -0.4187125785, -0.7306569315, -0.4365785920, 0.2128701471, 0.7142684972, 0.5523976929]),
        (Strategy::lambda_cgd(8, 0.9).unwrap(), [0.8414709848, 0.1519735405, -0.6772476761, -0.8838105026, -0.2778020289, 0.5836163490, 0.9084605471, 0.3980703078]),
        (strategy(Form::Buffered { blt }, 8), [0.8414709848, 0.5727090329, -0.3572343202, -1.0226898817, -0.7835674520, 0.1537147866, 0.9349163241, 0.8464762531]),
    ];
    for (strategy, expected) in table {
        let mut noise = NoiseStream::new(&strategy, 3, Sine, Memory::Ring).unwrap();
        for (found, expected) in run(&mut noise, 8).iter().zip(expected) {
            // 8 roundings of f32 numbers below 2.
            assert!(found.iter().all(|value| (f64::from(*value) - expected).abs() < 5e-7), "{found:?} instead of {expected}");
        }
    }
}

fn workload() -> Workload {
    Workload::new(Ratios::linear(12, 0.2).unwrap()).with_momentum(0.5).unwrap().with_decay(0.1).unwrap()
}

/// One of each form, over 12 steps.
fn strategies() -> Vec<Strategy> {
    let plain = Workload::new(Ratios::exponential(12, 0.1).unwrap());
    vec![
        Strategy::identity(12).unwrap(),
        Strategy::output(&plain),
        Strategy::output(&workload()),
        Strategy::split(&plain),
        Strategy::prefix_root(&plain),
        Strategy::lr_root(&workload()),
        Strategy::bsr(&plain, 5).unwrap(),
        Strategy::lr_bisr(&plain, 4).unwrap(),
        Strategy::lambda_cgd(12, 0.7).unwrap(),
        strategy(Form::Buffered { blt: Blt::new(vec![0.3, 0.1], vec![0.9, 0.5]).unwrap() }, 12),
    ]
}

fn gaussian(strategy: &Strategy, len: usize, memory: Memory) -> NoiseStream {
    NoiseStream::new(strategy, len, Gaussian::new(NoiseKey::insecure(4)), memory).unwrap()
}

#[test]
fn ring_and_replay_give_the_same_bits() {
    let len = 2 * CHUNK + 77;
    for strategy in strategies() {
        let Ok(mut replay) = NoiseStream::new(&strategy, len, Gaussian::new(NoiseKey::insecure(4)), Memory::Replay) else {
            assert!(matches!(strategy.form(), Form::Direct { .. } | Form::Buffered { .. }));
            continue;
        };
        let mut ring = gaussian(&strategy, len, Memory::Ring);
        assert_eq!(run(&mut ring, 12), run(&mut replay, 12), "{}", strategy.name());
        assert_eq!(replay.memory_vectors(), 0);
        assert_eq!(ring.memory_vectors(), strategy.memory_vectors());
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let on = |threads: usize, strategy: &Strategy| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&mut gaussian(strategy, 3 * CHUNK + 5, Memory::Ring), 12))
    };
    for strategy in strategies() {
        assert_eq!(on(1, &strategy), on(4, &strategy), "{}", strategy.name());
    }
}

#[test]
fn streams_continue_from_their_bytes() {
    for strategy in strategies() {
        let whole = run(&mut gaussian(&strategy, 9, Memory::Ring), 12);
        for stop in 0..=12 {
            let mut first = gaussian(&strategy, 9, Memory::Ring);
            let empty = first.save().len();
            assert_eq!(run(&mut first, stop), whole[..stop]);
            assert_eq!(first.save().len(), empty, "no noise is saved");
            let mut second = gaussian(&strategy, 9, Memory::Ring);
            second.restore(&first.save()).unwrap();
            assert_eq!(second.position(), stop as u64);
            assert_eq!(run(&mut second, 12 - stop), whole[stop..], "{} from {stop}", strategy.name());
            let beyond = second.add_next(1.0, &mut [0.0; 9]);
            assert!(matches!(beyond, Err(Error::Exhausted { steps: 12 })));
        }
    }
}

#[test]
fn wrong_states_and_vectors_are_refused() {
    let [root, banded] = [Strategy::prefix_root(&workload()), Strategy::bsr(&workload(), 3).unwrap()];
    let mut noise = gaussian(&root, 9, Memory::Ring);
    run(&mut noise, 3);
    assert!(matches!(gaussian(&root, 8, Memory::Ring).restore(&noise.save()), Err(Error::State { .. })));
    assert!(matches!(gaussian(&banded, 9, Memory::Ring).go_to(13), Err(Error::Exhausted { steps: 12 })));
    assert!(matches!(gaussian(&root, 9, Memory::Ring).restore(&noise.save()[1..]), Err(Error::State { .. })));
    assert!(matches!(noise.add_next(1.0, &mut [0.0; 8]), Err(Error::Value { .. })));
    let small = Memory::Within(10);
    assert_eq!(gaussian(&root, 9, small).memory_vectors(), 0);
    assert_eq!(gaussian(&root, 9, Memory::default()).memory_vectors(), 11);
}

/// The largest deviation of the empirical covariance of the 16 noise values of a coordinate from `C^{-1} C^{-T}`, in its
/// standard errors, with the noise multiplied by `factor`.
fn covariance_score(strategy: &Strategy, factor: f32) -> f64 {
    const N: usize = 16;
    const COORDINATES: usize = 100_000;
    let mut noise = gaussian(strategy, COORDINATES, Memory::Ring);
    let rows = run(&mut noise, N);
    let c = strategy.matrix();
    let mut inverse = vec![0.0; N * N];
    for column in 0..N {
        for row in column..N {
            let carried: f64 = (column..row).map(|k| c[row * N + k] * inverse[k * N + column]).sum();
            let unit = if row == column { 1.0 } else { 0.0 };
            inverse[row * N + column] = (unit - carried) / c[row * N + row];
        }
    }
    let expected = |i: usize, j: usize| -> f64 { (0..N).map(|k| inverse[i * N + k] * inverse[j * N + k]).sum() };
    let mut worst = 0.0f64;
    for i in 0..N {
        for j in 0..=i {
            let sum: f64 = rows[i].iter().zip(&rows[j]).map(|(a, b)| f64::from(a * factor) * f64::from(b * factor)).sum();
            let found = sum / COORDINATES as f64;
            let error = ((expected(i, i) * expected(j, j) + expected(i, j).powi(2)) / COORDINATES as f64).sqrt();
            worst = worst.max((found - expected(i, j)).abs() / error);
        }
    }
    worst
}

// 136 entries beyond 5 standard errors each have a chance of 6e-7: a false alarm in 12,000 keys; the key is fixed.
#[test]
fn covariance_is_that_of_the_strategy() {
    let workload = Workload::new(Ratios::exponential(16, 0.1).unwrap());
    for strategy in [
        Strategy::lr_root(&workload),
        Strategy::bisr(&workload, 4).unwrap(),
        Strategy::bsr(&workload, 4).unwrap(),
        Strategy::identity(16).unwrap(),
    ] {
        let score = covariance_score(&strategy, 1.0);
        assert!(score < 5.0, "{}: {score}", strategy.name());
        // The negative control: 2 % too little noise.
        let control = covariance_score(&strategy, 0.98);
        assert!(control > 5.0, "{}: {control}", strategy.name());
    }
}

proptest! {
    #[test]
    fn streams_multiply_by_the_inverse(c in prop::collection::vec(-0.9f64..0.9, 1..6)) {
        let mut c = c;
        c[0] = 1.3;
        let column = coefficients::inverse(&c, 9);
        let z: Vec<f64> = (1..=9).map(|t| f64::from(f64::from(t).sin() as f32)).collect();
        let expected = coefficients::product(&column, &z, 9);
        let scale = column.iter().fold(1.0f64, |a, b| a.max(b.abs()));
        for strategy in [direct(&c, 9), inverse(&column, 9)] {
            let mut noise = NoiseStream::new(&strategy, 1, Sine, Memory::Ring).unwrap();
            for (found, expected) in run(&mut noise, 9).iter().zip(&expected) {
                prop_assert!((f64::from(found[0]) - expected).abs() < 1e-5 * scale * scale);
            }
        }
    }
}
