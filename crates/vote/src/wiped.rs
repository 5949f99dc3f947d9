//! Vectors of secret numbers, wiped when dropped.

use std::ops::{Deref, DerefMut};

use pulp::bytemuck::{Pod, pod_align_to_mut};
use zeroize::{DefaultIsZeroes, Zeroize};

/// Numbers that are wiped when dropped, by whole words: a vector has 65,536 of them, and `Zeroizing` wipes one at a time.
#[derive(Clone, Default)]
pub struct Wiped<T: Pod + DefaultIsZeroes>(Vec<T>);

impl<T: Pod + DefaultIsZeroes> Wiped<T> {
    /// Takes numbers over.
    pub const fn new(numbers: Vec<T>) -> Self {
        Self(numbers)
    }
}

/// Overwrites numbers with zeros, in a way that no compiler leaves out.
pub(crate) fn wipe<T: Pod + DefaultIsZeroes>(numbers: &mut [T]) {
    let (head, words, tail) = pod_align_to_mut::<T, u64>(numbers);
    head.zeroize();
    words.zeroize();
    tail.zeroize();
}

impl<T: Pod + DefaultIsZeroes> Drop for Wiped<T> {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl<T: Pod + DefaultIsZeroes> Deref for Wiped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Pod + DefaultIsZeroes> DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Pod + DefaultIsZeroes> AsRef<[T]> for Wiped<T> {
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_wiped_wherever_it_lies() {
        for length in [0, 1, 7, 8, 9, 100] {
            for start in 0..length.min(9) {
                let mut bytes = vec![0xa5u8; length];
                wipe(&mut bytes[start..]);
                assert!(bytes[..start].iter().all(|&byte| byte == 0xa5) && bytes[start..].iter().all(|&byte| byte == 0));
                let mut numbers = vec![0xa5a5u16; length];
                wipe(&mut numbers[start..]);
                assert!(numbers[start..].iter().all(|&number| number == 0));
            }
        }
    }
}
