//! Contexts side by side, one in each lane of the vector instructions: draws, and the gradient of a task.
//!
//! What [`Sampler::draw`](super::Sampler::draw) and [`Transformer::accumulate`] do for one context, in the same order of draws; tests compare
//! them. The sums are fused, so they may differ in the last bits.

use pulp::{Arch, Simd, WithSimd};
use rand_distr::{ChiSquared, Distribution, StandardNormal};

use super::ahead::Ahead;
use super::lanes::{
    LANES, Lanes, ZERO, add, add_outer, add_product, add_query, add_scaled, lanes_times, subtract, times, transposed_times,
};
use super::transformer::{Block, Transformer};

/// The sample covariances and queries of a few contexts.
#[derive(Clone, Debug)]
pub(super) struct Contexts {
    d: usize,
    /// Bartlett's triangles L.
    triangle: Vec<Lanes>,
    /// `A = F L`
    rows: Vec<Lanes>,
    normals: Vec<Lanes>,
    covariance: Vec<Lanes>,
    query: Vec<Lanes>,
}

/// What draws are made of: see [`Sampler`](super::Sampler).
#[derive(Clone, Copy)]
pub(super) struct Law<'a> {
    pub(super) factor: &'a [f64],
    pub(super) diagonal: &'a [ChiSquared<f64>],
    pub(super) contexts: f64,
}

impl Contexts {
    pub(super) fn new(d: usize, columns: usize) -> Self {
        let room = |count: usize| vec![ZERO; count];
        Self {
            d,
            triangle: room(d * columns),
            rows: room(d * columns),
            normals: room(d),
            covariance: room(d * d),
            query: room(d),
        }
    }

    /// Draws so many contexts, one after the other; lanes without one hold zeros, which give no gradient.
    pub(super) fn draw(&mut self, law: Law<'_>, count: usize, rng: &mut Ahead) {
        let columns = law.diagonal.len();
        if count < LANES {
            self.triangle.fill(ZERO);
            self.normals.fill(ZERO);
        }
        for lane in 0..count {
            for (i, row) in self.triangle.chunks_exact_mut(columns).enumerate() {
                let below = i.min(columns);
                row[..below].iter_mut().for_each(|entry| entry[lane] = StandardNormal.sample(rng));
                if let Some(square) = law.diagonal.get(i) {
                    row[i][lane] = square.sample(rng).sqrt();
                }
            }
            self.normals.iter_mut().for_each(|entry| entry[lane] = StandardNormal.sample(rng));
        }
        Arch::new().dispatch(Turn { contexts: self, law });
    }
}

/// From Bartlett's triangles and normal numbers to covariances and queries.
struct Turn<'a, 'b> {
    contexts: &'a mut Contexts,
    law: Law<'b>,
}

impl WithSimd for Turn<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Contexts { d, triangle, rows, normals, covariance, query } = self.contexts;
        let (d, columns) = (*d, self.law.diagonal.len());
        for i in 0..d {
            let factor = &self.law.factor[i * d..][..d];
            for k in 0..columns {
                let mut sum = ZERO;
                for j in k..=i {
                    add_scaled(simd, &mut sum, factor[j], &triangle[j * columns + k]);
                }
                rows[i * columns + k] = sum;
            }
            let mut sum = ZERO;
            for j in 0..=i {
                add_scaled(simd, &mut sum, factor[j], &normals[j]);
            }
            query[i] = sum;
        }
        for i in 0..d {
            for j in 0..=i {
                let mut sum = ZERO;
                for k in 0..=j.min(columns - 1) {
                    add_product(simd, &mut sum, &rows[i * columns + k], &rows[j * columns + k]);
                }
                sum.iter_mut().for_each(|entry| *entry /= self.law.contexts);
                covariance[i * d + j] = sum;
                covariance[j * d + i] = sum;
            }
        }
    }
}

/// A task's gradient summed over contexts, one sum in each lane.
#[derive(Clone, Debug)]
pub(super) struct Gradient {
    d: usize,
    /// As the blocks of [`Transformer`] lie.
    sums: Vec<Lanes>,
    loss: Lanes,
    vectors: Vec<Lanes>,
}

impl Gradient {
    pub(super) fn new(d: usize) -> Self {
        Self { d, sums: vec![ZERO; 4 * d * d], loss: ZERO, vectors: vec![ZERO; 11 * d] }
    }

    pub(super) fn clear(&mut self) {
        self.sums.fill(ZERO);
        self.loss = ZERO;
    }

    /// Adds the gradients of a task's contexts, each of `length` examples.
    pub(super) fn add(&mut self, model: &Transformer, task: &[f64], contexts: &Contexts, length: f64) {
        let d = self.d;
        assert!(model.dimension() == d && task.len() == d * d && contexts.d == d, "all are made for one problem");
        Arch::new().dispatch(Add { gradient: self, model, task, contexts, length });
    }

    /// Writes `weight` times the sums over lanes, and returns `weight` times the loss.
    pub(super) fn join(&self, weight: f64, gradient: &mut Transformer) -> f64 {
        let sum = |lanes: &Lanes| weight * lanes.iter().sum::<f64>();
        gradient.values_mut().iter_mut().zip(&self.sums).for_each(|(out, lanes)| *out = sum(lanes));
        sum(&self.loss)
    }
}

struct Add<'a> {
    gradient: &'a mut Gradient,
    model: &'a Transformer,
    task: &'a [f64],
    contexts: &'a Contexts,
    length: f64,
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Sizes that the compiler knows let it keep vectors in registers.
        match self.gradient.d {
            1 => self.run(simd, 1),
            2 => self.run(simd, 2),
            3 => self.run(simd, 3),
            4 => self.run(simd, 4),
            6 => self.run(simd, 6),
            8 => self.run(simd, 8),
            d => self.run(simd, d),
        }
    }
}

impl Add<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S, d: usize) {
        let Self { gradient: Gradient { sums, loss, vectors, .. }, model, task, contexts, length } = self;
        let (x, covariance) = (&contexts.query[..d], &contexts.covariance[..d * d]);
        let (w, block) = (&task[..d * d], |which| &model.block(which)[..d * d]);
        let mut rest = &mut vectors[..11 * d];
        let mut vector = || {
            let (first, others) = std::mem::take(&mut rest).split_at_mut(d);
            rest = others;
            first
        };
        let (keys, back, mixed, zx, zy, error) = (vector(), vector(), vector(), vector(), vector(), vector());
        let (by_x, by_y, joined, left_x, left_y) = (vector(), vector(), vector(), vector(), vector());

        times(simd, block(Block::Q1), x, keys);
        times(simd, block(Block::Q2), x, back);
        transposed_times(simd, w, back, mixed);
        add(simd, mixed, keys);
        lanes_times(simd, covariance, mixed, zx);
        times(simd, w, zx, zy);
        add_query(simd, zx, x, keys, length);

        times(simd, block(Block::P1), zx, error);
        times(simd, block(Block::P2), zy, back);
        add(simd, error, back);
        times(simd, w, x, keys);
        subtract(simd, error, keys);

        transposed_times(simd, block(Block::P1), error, by_x);
        transposed_times(simd, block(Block::P2), error, by_y);
        transposed_times(simd, w, by_y, joined);
        add(simd, joined, by_x);
        lanes_times(simd, covariance, joined, left_x);
        times(simd, w, left_x, left_y);
        add_query(simd, left_x, x, by_x, length);

        let (p1, rest) = sums.split_at_mut(d * d);
        let (p2, rest) = rest.split_at_mut(d * d);
        let (q1, q2) = rest.split_at_mut(d * d);
        add_outer(simd, p1, error, zx);
        add_outer(simd, p2, error, zy);
        add_outer(simd, q1, left_x, x);
        add_outer(simd, q2, left_y, x);
        for error in error.iter() {
            for lane in 0..LANES {
                loss[lane] += 0.5 * error[lane] * error[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icl::transformer::{Example, Workspace};
    use crate::icl::{Problem, Sampler, Tasks};
    use crate::matrix::to_rows;
    use thalweg_descent::Seed;

    fn problem(d: usize, contexts: u64) -> Problem {
        let covariance: Vec<f64> = (0..d * d)
            .map(|at| if at / d == at % d { 1.0 + (at / d) as f64 } else { 0.3 / (1.0 + (at / d).abs_diff(at % d) as f64) })
            .collect();
        Problem::new(&covariance, contexts, Tasks::gaussian(d, 3, &mut Seed(3).stream("tasks").at(0)).unwrap()).unwrap()
    }

    /// Contexts shorter than d, sizes with and without a loop of their own, and full and part-filled lanes.
    const CASES: [(usize, u64, usize); 7] = [(1, 1, 8), (3, 2, 8), (3, 9, 5), (4, 32, 8), (5, 3, 1), (7, 40, 8), (9, 4, 3)];

    #[test]
    fn a_lane_is_a_context_drawn_alone() {
        for (d, length, count) in CASES {
            let mut sampler = Sampler::new(&problem(d, length)).unwrap();
            let mut contexts = sampler.contexts();
            let (mut one, mut side) = (Seed(5).stream("draws").at(0), Ahead::of(&Seed(5).stream("draws").at(0)));
            // Twice, so that what the first draw left behind would show.
            for count in [LANES, count] {
                sampler.draw_side_by_side(&mut side, count, &mut contexts);
                for lane in 0..count {
                    let (mut covariance, mut query) = (vec![0.0; d * d], vec![0.0; d]);
                    sampler.draw(&mut one, &mut covariance, &mut query);
                    let near =
                        |a: &[Lanes], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a[lane] - b).abs() < 1e-14 * b.abs().max(1.0));
                    assert!(near(&contexts.covariance, &covariance) && near(&contexts.query, &query), "{d} {length} {lane}");
                }
                assert!((count..LANES).all(|lane| contexts.query.iter().all(|entry| entry[lane] == 0.0)));
            }
        }
    }

    #[test]
    fn the_sum_over_lanes_is_the_sum_of_gradients_of_single_contexts() {
        for (d, length, count) in CASES {
            let problem = problem(d, length);
            let mut sampler = Sampler::new(&problem).unwrap();
            let mut contexts = sampler.contexts();
            let mut model = Transformer::zeros(d);
            model.values_mut().iter_mut().enumerate().for_each(|(at, value)| *value = (0.37 * (at * at) as f64).sin());
            let (mut side, mut simple) = (Gradient::new(d), Transformer::zeros(d));
            let (mut loss, mut room) = (0.0, Workspace::new(d));
            for (at, task) in problem.tasks().matrices().iter().enumerate() {
                let (stream, task) = (Seed(6).stream("draws"), to_rows(task.as_ref()));
                sampler.draw_side_by_side(&mut Ahead::of(&stream.at(at as u64)), count, &mut contexts);
                side.add(&model, &task, &contexts, length as f64);
                let (mut covariance, mut query) = (vec![0.0; d * d], vec![0.0; d]);
                let mut rng = stream.at(at as u64);
                for _ in 0..count {
                    sampler.draw(&mut rng, &mut covariance, &mut query);
                    let example = Example { sample_covariance: &covariance, query: &query, task: &task, contexts: length as f64 };
                    loss += model.accumulate(&example, 0.25, &mut simple, &mut room);
                }
            }
            let mut joined = Transformer::zeros(d);
            let joined_loss = side.join(0.25, &mut joined);
            let scale = crate::vector::norm(simple.values());
            let near = |a: f64, b: f64| (a - b).abs() < 1e-13 * scale;
            assert!(joined.values().iter().zip(simple.values()).all(|(a, b)| near(*a, *b)), "{d} {length} {count}");
            assert!((joined_loss - 0.25 * loss).abs() < 1e-13 * loss.abs().max(1.0));
            side.clear();
            assert_eq!(side.join(1.0, &mut joined), 0.0);
            assert!(joined.values().iter().all(|value| *value == 0.0));
        }
    }
}
