//! The last vectors of a stream, in slots that are reused.

use super::gaussian::CHUNK;

/// Up to `capacity` past vectors; vector t lies in slot `t % capacity`. Slots are allocated when first needed.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    slots: Vec<Vec<f32>>,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a stream without a past needs no ring");
        Self { capacity, slots: Vec::new() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes out the slot of vector `step`, to be overwritten; it holds vector `step - capacity`, or zeros where there is none.
    pub(super) fn take(&mut self, step: u64, len: usize) -> Vec<f32> {
        let slot = self.slot(step);
        if slot >= self.slots.len() {
            return vec![0.0; len];
        }
        std::mem::take(&mut self.slots[slot])
    }

    /// Puts vector `step` into its slot.
    pub(super) fn put(&mut self, step: u64, vector: Vec<f32>) {
        let slot = self.slot(step);
        if slot == self.slots.len() {
            self.slots.push(vector);
        } else {
            self.slots[slot] = vector;
        }
    }

    /// A chunk of vector `step`, which must be among the last `capacity` ones.
    pub(super) fn chunk(&self, step: u64, chunk: usize) -> &[f32] {
        let vector = &self.slots[self.slot(step)];
        let start = chunk * CHUNK;
        &vector[start..vector.len().min(start + CHUNK)]
    }

    fn slot(&self, step: u64) -> usize {
        (step % self.capacity as u64) as usize
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }
}

/// `sum += factors[0] past(0) + factors[1] past(1) + ...`, added in this order for every element.
///
/// Works on blocks that stay in the first-level cache, four vectors to a pass, so that `sum` is read and written once for
/// four of them.
pub(super) fn accumulate<'a>(sum: &mut [f32], factors: &[f32], past: impl Fn(usize) -> &'a [f32]) {
    const BLOCK: usize = 2048;
    for start in (0..sum.len()).step_by(BLOCK) {
        let end = sum.len().min(start + BLOCK);
        let sum = &mut sum[start..end];
        let part = |k: usize| &past(k)[start..end];
        let (fours, rest) = factors.as_chunks::<4>();
        for (i, factors) in fours.iter().enumerate() {
            add_four(sum, *factors, [0, 1, 2, 3].map(|j| part(4 * i + j)));
        }
        for (j, &factor) in rest.iter().enumerate() {
            add_one(sum, factor, part(4 * fours.len() + j));
        }
    }
}

fn add_four(sum: &mut [f32], [f0, f1, f2, f3]: [f32; 4], [a, b, c, d]: [&[f32]; 4]) {
    for ((((sum, a), b), c), d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *sum = (((*sum + f0 * a) + f1 * b) + f2 * c) + f3 * d;
    }
}

pub(super) fn add_one(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_four_add_in_the_same_order_as_one_by_one() {
        let vectors: Vec<Vec<f32>> = (0..11).map(|k| (0..5000).map(|i| ((i * (k + 3)) as f32).sin()).collect()).collect();
        let factors: Vec<f32> = (0..11).map(|k| 1.0 / (k as f32 + 1.7)).collect();
        let (mut blocked, mut plain) = (vec![0.3f32; 5000], vec![0.3f32; 5000]);
        accumulate(&mut blocked, &factors, |k| &vectors[k]);
        for (factor, vector) in factors.iter().zip(&vectors) {
            add_one(&mut plain, *factor, vector);
        }
        assert_eq!(blocked, plain);
    }
}
