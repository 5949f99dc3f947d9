//! Two worker threads give the bits of one: the shards of a step are joined in their order, whoever computes them.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::num::NonZeroUsize;

use rand::RngExt;
use thalweg_descent::differentiate::Gradient;
use thalweg_descent::step::Sgd;
use thalweg_descent::{Batch, Batches, Descent, Layout, Mean, Pieces, Rates, Reduction, Result, Schedule, Seed};

const EXAMPLES: usize = 1_000;
const DIMENSION: usize = 50;

fn main() -> Result<()> {
    let train = |threads: usize| -> Result<Vec<f32>> {
        let mut descent = descent(Reduction::on_threads(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)))?;
        descent.run(|_| std::ops::ControlFlow::Continue(()))?;
        Ok(descent.parameters().to_vec())
    };
    let one = train(1)?;
    for threads in [2, 3, 8] {
        assert_eq!(one, train(threads)?);
    }
    println!("{DIMENSION} weights after 200 steps: the same bits on 1, 2, 3 and 8 threads");
    Ok(())
}

/// Least squares on random data, in shards of 16.
fn descent(reduction: Reduction<f32>) -> Result<Descent<Batch, f32>> {
    let seed = Seed(3);
    let mut rng = seed.stream("data").at(0);
    let inputs: Vec<f32> = (0..EXAMPLES * DIMENSION).map(|_| rng.random_range(-1.0..1.0)).collect();
    let targets: Vec<f32> = inputs.chunks(DIMENSION).map(|x| x.iter().sum::<f32>() + rng.random_range(-0.1..0.1)).collect();
    let least_squares = move |w: &[f32], batch: &Batch, gradient: &mut [f32]| {
        let mut loss = 0.0;
        for &i in &batch.indices {
            let x = &inputs[i * DIMENSION..(i + 1) * DIMENSION];
            let residual = x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>() - targets[i];
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g += residual * x / 64.0);
            loss += f64::from(residual * residual) / 128.0;
        }
        Ok(loss)
    };
    let batches = Batches::shuffled(EXAMPLES, 64, 200, seed.stream("batches"))?;
    let pieces = Pieces {
        choose: Box::new(batches.in_shards_of(16)),
        differentiate: Box::new(Gradient::new(least_squares)),
        reduction,
        guard: Box::new(Mean),
        step: Box::new(Sgd::new(0.9, 0.0)?),
        observe: vec![],
    };
    Descent::new(vec![0.0; DIMENSION], Layout::single("w", &[DIMENSION]), Rates::new(0.2, Schedule::Constant, 200)?, pieces)
}
