//! Shares of the powers of a mask of which any t answers give the result.

use crate::Field;
use crate::correlation::MemberKeys;
use crate::evaluate::Block;
use crate::field::block::{self, Accumulator};
use crate::prg::{StreamKey, Suite};

/// `r`, the sum of the members' masks (slot 0).
pub(super) fn sum_of_masks(field: Field, keys: &[MemberKeys], suite: Suite, chunk: u64, length: usize) -> Block {
    let (mut sum, mut mask) = (Accumulator::new(field, length), Block::new(vec![0; length]));
    for keys in keys {
        keys.correlation.expand(suite, 0, chunk, field, &mut mask);
        sum.add(&mask);
    }
    sum.finish(&mut mask);
    mask
}

/// For each point the shares of `r, r^2, ..., r^degree`: values of polynomials of degree `threshold - 1` with those constants, the
/// other coefficients from the dealer's own stream.
pub(super) fn share_powers(
    field: Field,
    mask: Block,
    degree: usize,
    threshold: usize,
    points: &[u8],
    (own, chunk): (&StreamKey, u64),
) -> Vec<Vec<Block>> {
    let mut shares: Vec<Vec<Block>> = vec![Vec::with_capacity(degree); points.len()];
    let mut power = mask.clone();
    for j in 0..degree {
        let coefficients: Vec<Block> = (1..threshold)
            .map(|e| {
                let mut coefficient = Block::new(vec![0; mask.len()]);
                own.expand(Suite::ChaCha20, (j * 256 + e) as u32, chunk, field, &mut coefficient);
                coefficient
            })
            .collect();
        for (shares, &point) in shares.iter_mut().zip(points) {
            let mut value = Accumulator::new(field, mask.len());
            value.add(&power);
            for (e, coefficient) in (1..).zip(&coefficients) {
                value.add_scaled(field.power(point, e), coefficient);
            }
            let mut share = Block::new(vec![0; mask.len()]);
            value.finish(&mut share);
            shares.push(share);
        }
        block::multiply_assign(field, &mut power, &mask);
    }
    shares
}

/// The weights at 0 of the values at `points`.
pub(crate) fn lagrange_at_zero(field: Field, points: &[u8]) -> Vec<u8> {
    let weight = |&at: &u8| {
        points.iter().filter(|&&other| other != at).fold(1, |weight, &other| {
            // x / (x - at); the points are distinct and not zero.
            let inverse = field.inverse(field.subtract(other, at)).unwrap_or_default();
            field.multiply(weight, field.multiply(other, inverse))
        })
    };
    points.iter().map(weight).collect()
}
