//! A finite interval, low to high: a confidence interval, or the range from the lowest seed to the highest.

/// A closed interval with finite ends, `low <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    low: f64,
    high: f64,
}

impl Interval {
    /// The interval between two values in either order; `None` where one is NaN or infinite.
    ///
    /// ```
    /// use thalweg_report::Interval;
    /// assert_eq!(Interval::spanning(2.0, 1.0), Interval::spanning(1.0, 2.0));
    /// assert_eq!(Interval::spanning(f64::NAN, 1.0), None);
    /// ```
    #[must_use]
    pub fn spanning(a: f64, b: f64) -> Option<Self> {
        (a.is_finite() && b.is_finite()).then(|| Self { low: a.min(b), high: a.max(b) })
    }

    /// `centre - half_width` to `centre + half_width`; `None` where that is not finite.
    #[must_use]
    pub fn around(centre: f64, half_width: f64) -> Option<Self> {
        Self::spanning(centre - half_width, centre + half_width)
    }

    /// The smallest interval that holds every finite value; `None` where there is none.
    #[must_use]
    pub fn hull(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut finite = values.into_iter().filter(|v| v.is_finite());
        let first = finite.next()?;
        Some(finite.fold(Self { low: first, high: first }, |hull, v| Self { low: hull.low.min(v), high: hull.high.max(v) }))
    }

    /// The lower end.
    #[must_use]
    pub fn low(self) -> f64 {
        self.low
    }

    /// The upper end.
    #[must_use]
    pub fn high(self) -> f64 {
        self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hull_skips_what_is_not_finite() {
        assert_eq!(Interval::hull([f64::NAN, 3.0, f64::INFINITY, -1.0]), Interval::spanning(-1.0, 3.0));
        assert_eq!(Interval::hull([f64::NAN]), None);
        assert_eq!(Interval::around(1.0, f64::INFINITY), None);
    }
}
