//! The runs with reference values, on the very inputs of their authors.

use super::activation::Activation;
use super::backward::Backward;
use super::experiment::{Experiment, Inputs};
use crate::check::SplitMix64;

/// The start of the published runs.
const START: [f64; 2] = [0.024_422_950_667_176_008, 0.067_817_832_007_885_59];

/// The second moment of [`uniform_inputs`].
const MOMENT: f64 = 0.332_122_994_590_394_74;

/// The linear run: target 2, 200 steps of 0.01.
pub fn linear() -> Experiment {
    Experiment { second_moment: Some(MOMENT), start: Some(START.to_vec()), ..Experiment::default() }
}

/// The linear run from next to v = 1, where no minimum is stable.
pub fn near_singular() -> Experiment {
    Experiment { start: Some(vec![-0.080_193_142_525_344_75, 0.867_564_100_437_185_5]), steps: 4000, ..linear() }
}

/// A linear run towards 1 from (sqrt 8, 0), by any way back.
pub fn from_afar(backward: Backward) -> Experiment {
    Experiment {
        target: vec![1.0],
        second_moment: Some(1.0),
        start: Some(vec![8f64.sqrt(), 0.0]),
        rate: 0.02,
        steps: 5000,
        backward,
        ..Experiment::default()
    }
}

/// A sigmoid unit, target 2, on the inputs of the linear run.
pub fn sigmoid() -> Experiment {
    Experiment {
        activation: Activation::Sigmoid,
        given: Some(uniform_inputs()),
        start: Some(START.to_vec()),
        rate: 0.1,
        steps: 4000,
        ..Experiment::default()
    }
}

/// A tanh unit of four inputs: the reference run of seed 100, 256 inputs and 2000 steps of 0.2.
pub fn tanh() -> Experiment {
    let (target, start, inputs) = tanh_data(100, 4, 256);
    Experiment {
        activation: Activation::Tanh,
        target,
        inputs: Inputs::Normal,
        samples: 256,
        given: Some(inputs),
        start: Some(start),
        rate: 0.2,
        steps: 2000,
        ..Experiment::default()
    }
}

/// The target weights of norm 1, the start at distance 0.2 with v = 0.15, and the inputs that a seed of the reference runs stands for.
pub fn tanh_data(seed: u64, dimension: usize, samples: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut draws = SplitMix64::new(seed);
    let mut of_norm = |norm: f64| {
        let raw = draws.normals(dimension);
        let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt();
        raw.iter().map(|value| value * (norm / length)).collect::<Vec<f64>>()
    };
    let (target, away) = (of_norm(1.0), of_norm(0.2));
    let start = target.iter().zip(&away).map(|(a, b)| a + b).chain([0.15]).collect();
    (target, start, draws.normals(samples * dimension))
}

/// The thousand numbers in [0, 1) of the released code: NumPy's `default_rng(42).random(1000)`.
pub fn uniform_inputs() -> Vec<f64> {
    let mut generator = Pcg64 {
        state: 274_674_114_334_540_486_603_088_602_300_644_985_544,
        increment: 332_724_090_758_049_132_448_979_897_138_935_081_983,
    };
    (0..1000).map(|_| generator.uniform()).collect()
}

/// O'Neill's PCG64 (XSL-RR), the generator of NumPy, from the state that it has after seeding.
struct Pcg64 {
    state: u128,
    increment: u128,
}

impl Pcg64 {
    fn uniform(&mut self) -> f64 {
        const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        (folded.rotate_right((self.state >> 122) as u32) >> 11) as f64 * 2f64.powi(-53)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_those_of_the_released_code() {
        let inputs = uniform_inputs();
        assert_eq!(inputs[..3], [0.773_956_048_555_963_3, 0.438_878_439_752_052_3, 0.858_597_919_911_382_5]);
        let moment = inputs.iter().map(|x| x * x).sum::<f64>() / 1000.0;
        assert!((moment - MOMENT).abs() < 1e-15, "{moment}");
    }

    /// All printed digits of the reference values.
    #[test]
    fn non_linear_runs_end_where_the_references_do() {
        let near = |found: f64, expected: f64, digits: f64| assert!((found - expected).abs() < digits, "{found} {expected}");
        let run = Experiment { record_every: Some(100), ..sigmoid() }.run().unwrap();
        near(run.records[1].theta[0], 0.50701143, 5e-9);
        near(run.records[1].theta[1], 0.47717046, 5e-9);
        near(run.records[10].risk, 1.65980136e-3, 5e-12);
        near(run.theta[0], 1.6327588560756, 1e-12);
        near(run.theta[1], 0.2359775365710, 1e-12);
        near(run.risk, 2.36648e-4, 5e-10);
        for (backward, expected) in [("exact", 0.1041756829), ("jfb", 0.1083818920), ("damped2", 0.1284203671)] {
            let experiment = Experiment { backward: backward.parse().unwrap(), ..tanh() };
            let run = experiment.run().unwrap();
            let target = experiment.target.iter().copied().chain([0.0]);
            let distance = run.theta.iter().zip(target).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            near(distance, expected, 5e-11);
        }
    }
}
