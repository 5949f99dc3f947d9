//! Counts of drawn privacy losses, from which delta is read at any epsilon.

/// Steps of epsilon to a factor of two.
const FINE: u32 = 11;
/// The least and largest loss that is told apart: 2^-20 and 2^10.
const OCTAVES: (i32, i32) = (-20, 10);
const BINS: usize = ((OCTAVES.1 - OCTAVES.0) as usize) << FINE;
/// Sums of `e^{-loss}` are kept as integers, in this unit: they do not depend on the order of the draws.
const UNIT: f64 = (1u64 << 60) as f64;

/// How many losses were drawn, and in bins those above 0: their number and the sum of `e^{-loss}`.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    draws: u64,
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    count: u64,
    /// Rounded down, so that delta is never too small.
    discounted: u128,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { draws: 0, bins: vec![Bin::default(); BINS + 1] }
    }

    pub(super) fn add(&mut self, loss: f64) {
        self.draws += 1;
        if loss > 0.0 {
            let bin = &mut self.bins[place(loss)];
            bin.count += 1;
            bin.discounted += ((-loss).exp() * UNIT) as u128;
        } else if loss.is_nan() {
            // A loss without a value counts as infinite.
            self.bins[BINS].count += 1;
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.draws += other.draws;
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.count += other.count;
            bin.discounted += other.discounted;
        }
    }

    /// The least epsilon at which the mean of `(1 - e^{epsilon - loss})_+` is at most `mean`, rounded up.
    pub(super) fn epsilon(&self, mean: f64) -> f64 {
        let (mut count, mut discounted) = (0u64, 0u128);
        // delta at the edge above, where the search stands.
        let mut above = 0.0;
        for (i, bin) in self.bins.iter().enumerate().rev() {
            count += bin.count;
            discounted += bin.discounted;
            let saved = if discounted > 0 { edge(i).exp() * (discounted as f64 / UNIT) } else { 0.0 };
            let delta = (count as f64 - saved) / self.draws as f64;
            if delta > mean {
                // delta is convex in e^epsilon, so that its chord between the edges is above it.
                let share = (delta - mean) / (delta - above);
                return edge(i) + (share * (edge(i + 1) - edge(i)).exp_m1()).ln_1p();
            }
            above = delta;
        }
        0.0
    }
}

/// The bin of a positive loss: by exponent and leading bits.
fn place(loss: f64) -> usize {
    let shift = f64::MANTISSA_DIGITS - 1 - FINE;
    let first = f64::powi(2.0, OCTAVES.0).to_bits() >> shift;
    ((loss.to_bits() >> shift).saturating_sub(first - 1) as usize).min(BINS)
}

/// The lower edge of a bin. Bin 0 begins at 0.
fn edge(bin: usize) -> f64 {
    let shift = f64::MANTISSA_DIGITS - 1 - FINE;
    let first = f64::powi(2.0, OCTAVES.0).to_bits() >> shift;
    if bin == 0 { 0.0 } else { f64::from_bits((first - 1 + bin as u64) << shift) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_ordered_and_hold_what_they_say() {
        for i in 1..=BINS {
            assert!(edge(i) > edge(i - 1));
            assert_eq!(place(edge(i)), i);
            assert_eq!(place(edge(i).next_down()), i - 1);
        }
        assert_eq!((place(1e-300), place(1e300), place(f64::INFINITY)), (0, BINS, BINS));
    }

    #[test]
    fn epsilon_is_that_of_the_sorted_losses() {
        let losses: Vec<f64> = (0..5000).map(|i| 3.0 * (f64::from(i) * 0.7).sin() + f64::from(i % 7) * 0.1).collect();
        let mut tally = Tally::new();
        losses.iter().for_each(|loss| tally.add(*loss));
        let delta = |epsilon: f64| losses.iter().map(|loss| -(epsilon - loss).min(0.0).exp_m1()).sum::<f64>() / 5000.0;
        for mean in [0.3, 0.1, 1e-2, 1e-4] {
            let found = tally.epsilon(mean);
            assert!(delta(found) <= mean * (1.0 + 1e-12) && delta(found * (1.0 - 5e-4)) > mean, "{mean}: {found}");
        }
        assert_eq!(tally.epsilon(0.9), 0.0);
    }

    #[test]
    fn joining_is_adding() {
        let (mut all, mut left, mut right) = (Tally::new(), Tally::new(), Tally::new());
        for i in 0..100 {
            let loss = f64::from(i).sqrt() - 3.0;
            all.add(loss);
            if i % 3 == 0 { left.add(loss) } else { right.add(loss) }
        }
        left.join(&right);
        assert_eq!(left.epsilon(0.05), all.epsilon(0.05));
    }

    #[test]
    fn what_has_no_value_counts_as_infinite() {
        let mut tally = Tally::new();
        tally.add(f64::NAN);
        (0..9).for_each(|_| tally.add(0.5));
        assert!(tally.epsilon(0.05) >= 1000.0);
        assert!(tally.epsilon(0.11) < 0.6);
    }
}
