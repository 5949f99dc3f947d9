//! Bisection on monotone functions.

/// The least x in [low, high] with `is_enough(x)`, to a relative width of 1e-9 on its upper side; `None` where `high` is not enough.
pub(crate) fn least(low: f64, high: f64, mut is_enough: impl FnMut(f64) -> bool) -> Option<f64> {
    if !is_enough(high) {
        return None;
    }
    let (mut low, mut high) = (low, high);
    while high - low > 1e-9 * high.max(1e-3) {
        let middle = if low > 0.0 && high / low > 4.0 { (low * high).sqrt() } else { 0.5 * (low + high) };
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}
