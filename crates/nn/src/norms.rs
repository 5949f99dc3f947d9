//! Squared per-example gradient norms of one parameter block, without the gradients where that is cheaper.
//!
//! A matrix use has the gradient `G = sum_t left_t right_t^T`, so that
//! `|G|^2 = sum_{t,s} (left_t . left_s)(right_t . right_s)`: two Gram matrices of the positions (the *ghost* norm, Li et al.,
//! arXiv 2110.05679). It costs about `2 T^2` numbers for each row of `G` and column of `G`, the gradient itself `p q`; the
//! mixed rule (Bu et al., arXiv 2205.10683) takes the Gram form if `2 T^2 < p q`.
//!
//! A block that is used several times sums its gradients before the norm is taken: its positions are those of all uses
//! together, cross terms included.

use rayon::prelude::*;
use thalweg_descent::Block;

use crate::host::matrix::{Matrix, MatrixMut, Target, multiply};
use crate::host::parallel::for_each_unit;
use crate::tap::Tapped;
use crate::uses::Rows;

/// How many numbers of per-example gradients may be kept for the weighted sum, over all blocks: 64 MiB.
pub(crate) const KEPT: usize = 1 << 24;

/// The squared norms of one block, one a unit; and the gradients row by row, where they were made and there was room.
pub(crate) struct BlockNorms {
    pub(crate) squared: Vec<f64>,
    pub(crate) gradients: Option<Vec<f32>>,
}

/// The norms of one block from all of its uses; `room` is how many numbers may be kept.
pub(crate) fn block_norms(block: &Block, uses: &[Tapped], units: usize, room: usize) -> BlockNorms {
    if prefers_gram(block, uses, units) {
        let squared = (0..units).into_par_iter().map_init(Scratch::default, |scratch, unit| gram(uses, units, unit, scratch));
        return BlockNorms { squared: squared.collect(), gradients: None };
    }
    let length = block.len();
    if units * length <= room {
        let mut gradients = vec![0.0; units * length];
        for_each_unit(&mut gradients, length, Vec::new, |scratch, unit, gradient| {
            uses.iter().for_each(|used| used.add_gradient(units, unit, 1.0, scratch, gradient));
        });
        let squared = gradients.chunks_exact(length).map(square).collect();
        return BlockNorms { squared, gradients: Some(gradients) };
    }
    let scratch = || (vec![0.0; length], Vec::new());
    let squared = (0..units).into_par_iter().map_init(scratch, |(gradient, scratch), unit| {
        gradient.fill(0.0);
        uses.iter().for_each(|used| used.add_gradient(units, unit, 1.0, scratch, gradient));
        square(gradient)
    });
    BlockNorms { squared: squared.collect(), gradients: None }
}

/// The mixed rule, with T the positions of all uses together.
fn prefers_gram(block: &Block, uses: &[Tapped], units: usize) -> bool {
    if uses.iter().any(|used| used.is_channel() || used.has_several_images(units)) {
        return false;
    }
    let positions: usize = uses.iter().map(|used| used.positions(units)).sum();
    let [p, q] = uses[0].matrix_shape(block);
    2 * positions * positions < p * q
}

#[derive(Default)]
struct Scratch {
    columns: [Vec<f32>; 2],
    grams: [Vec<f32>; 2],
}

/// The squared norm of one unit's gradient by Gram matrices.
fn gram(uses: &[Tapped], units: usize, unit: usize, scratch: &mut Scratch) -> f64 {
    let Scratch { columns: [first_columns, second_columns], grams } = scratch;
    let mut total = 0.0;
    for group in 0..uses[0].groups() {
        for (at, first) in uses.iter().enumerate() {
            let a = first.factors(units, unit, group, first_columns);
            total += inner(&a, &a, grams);
            for second in &uses[at + 1..] {
                let b = second.factors(units, unit, group, second_columns);
                total += 2.0 * inner(&a, &b, grams);
            }
        }
    }
    total
}

/// The inner product of two gradients: `sum_{t,s} (left_t . left'_s)(right_t . right'_s)`.
fn inner([left, right]: &[Rows<'_>; 2], [other_left, other_right]: &[Rows<'_>; 2], grams: &mut [Vec<f32>; 2]) -> f64 {
    let (Rows::Dense(right), Rows::Dense(other_right)) = (right, other_right) else {
        unreachable!("only the left factor of a lookup is one-hot")
    };
    let [left_gram, right_gram] = grams;
    products(right, other_right, right_gram);
    let columns = other_right.rows();
    match (left, other_left) {
        (Rows::Dense(left), Rows::Dense(other_left)) => {
            products(left, other_left, left_gram);
            left_gram.iter().zip(right_gram.iter()).map(|(l, r)| f64::from(*l) * f64::from(*r)).sum()
        }
        (Rows::OneHot(left), Rows::OneHot(other_left)) => {
            sum_over(right_gram, columns, |t, s| f64::from(u8::from(left[t] == other_left[s])))
        }
        (Rows::Dense(left), Rows::OneHot(ids)) => sum_over(right_gram, columns, |t, s| f64::from(left.entry(t, ids[s] as usize))),
        (Rows::OneHot(ids), Rows::Dense(other_left)) => {
            sum_over(right_gram, columns, |t, s| f64::from(other_left.entry(s, ids[t] as usize)))
        }
    }
}

/// All inner products of the rows of two matrices.
fn products(a: &Matrix<'_, f32>, b: &Matrix<'_, f32>, gram: &mut Vec<f32>) {
    gram.resize(a.rows() * b.rows(), 0.0);
    gram.truncate(a.rows() * b.rows());
    multiply(1.0, *a, b.transposed(), MatrixMut::new(gram, a.rows(), b.rows()), Target::Overwrite);
}

fn sum_over(gram: &[f32], columns: usize, factor: impl Fn(usize, usize) -> f64) -> f64 {
    gram.iter().enumerate().map(|(at, product)| factor(at / columns, at % columns) * f64::from(*product)).sum()
}

/// The squared Euclidean norm, summed in `f64`.
fn square(values: &[f32]) -> f64 {
    thalweg_descent::norm(values).powi(2)
}
