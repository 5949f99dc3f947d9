//! CPU time, step by step.

use std::time::Duration;

use cpu_time::ProcessTime;
use thalweg_descent::{Descent, Real, Record, Result};

/// Steps taken before the clock counts.
pub const WARM_UP: u64 = 3;

/// The fewest steps that are timed.
const FEWEST: usize = 5;

/// The most steps that are timed.
const MOST: u64 = 200;

/// After this much CPU time no further step is timed.
const ENOUGH: Duration = Duration::from_secs(1);

/// The steps for which a descent must be planned to be timed.
pub const STEPS: u64 = WARM_UP + MOST;

/// CPU milliseconds of the whole process for each step, `after_step` included.
///
/// Steps are timed for a second of CPU time, at least 5 and at most 200 of them, after 3 that are not counted. The peer's script
/// does the same.
///
/// # Errors
/// Those of the descent and of `after_step`.
pub fn time_steps<X: Sync, F: Real>(
    descent: &mut Descent<X, F>,
    mut after_step: impl FnMut(&Record) -> Result<()>,
) -> Result<Vec<f64>> {
    let mut step = || {
        let contribution = descent.contribute()?;
        after_step(descent.apply(contribution)?)
    };
    for _ in 0..WARM_UP {
        step()?;
    }
    let mut times = Vec::new();
    let began = ProcessTime::now();
    while times.len() < MOST as usize && (times.len() < FEWEST || began.elapsed() < ENOUGH) {
        let start = ProcessTime::now();
        step()?;
        times.push(milliseconds(start.elapsed()));
    }
    Ok(times)
}

/// As a fraction of milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle value; of an even number, the upper of the two. NaN when there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 4.0);
        assert!(median(&[]).is_nan());
    }
}
