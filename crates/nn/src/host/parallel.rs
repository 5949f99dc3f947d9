//! Independent work, one piece a unit: the number of threads never changes a bit.

use rayon::prelude::*;

/// Calls `work(scratch, unit, part)` for each part of `length` numbers, each thread with a scratch of its own.
pub(crate) fn for_each_unit<F: Send, S>(
    parts: &mut [F],
    length: usize,
    scratch: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, usize, &mut [F]) + Sync + Send,
) {
    if length == 0 {
        return;
    }
    if rayon::current_num_threads() == 1 {
        let mut scratch = scratch();
        parts.chunks_mut(length).enumerate().for_each(|(unit, part)| work(&mut scratch, unit, part));
        return;
    }
    parts.par_chunks_mut(length).enumerate().for_each_init(scratch, |scratch, (unit, part)| work(scratch, unit, part));
}
