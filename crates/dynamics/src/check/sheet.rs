//! Rows of a check.

use serde::Serialize;

/// One quantity: what a vector file expects and what this crate computes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The file and the case in it.
    pub name: String,
    /// The quantity; where it is a bound, the words say which.
    pub quantity: String,
    /// The value expected, or the bound; for a series, where both differ most.
    pub expected: f64,
    /// The value computed.
    pub measured: f64,
    /// How far they may be apart.
    pub tolerance: f64,
    /// Whether they are not farther apart, or the bound is kept.
    pub pass: bool,
}

/// The rows of one file, as they come.
pub(super) struct Sheet {
    name: String,
    pub(super) rows: Vec<Row>,
}

impl Sheet {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rows: Vec::new() }
    }

    /// Names the case to which the next rows belong.
    pub(super) fn case(&mut self, file: &str, case: &str) {
        self.name = format!("{file} {case}");
    }

    /// Two numbers that must agree.
    pub(super) fn near(&mut self, quantity: &str, expected: f64, measured: f64, tolerance: f64) {
        let pass = (measured - expected).abs() <= tolerance;
        self.push(quantity, expected, measured, tolerance, pass);
    }

    /// Two series that must agree; the row shows where they differ most. Series of different lengths fail.
    pub(super) fn all_near<'a>(
        &mut self,
        quantity: &str,
        expected: impl IntoIterator<Item = &'a f64>,
        measured: impl IntoIterator<Item = &'a f64>,
        tolerance: f64,
    ) {
        let (expected, measured): (Vec<f64>, Vec<f64>) =
            (expected.into_iter().copied().collect(), measured.into_iter().copied().collect());
        if expected.len() != measured.len() {
            let quantity = format!("{quantity} (number of values)");
            return self.push(&quantity, expected.len() as f64, measured.len() as f64, 0.0, false);
        }
        let gap = |at: &usize| {
            let gap = (expected[*at] - measured[*at]).abs();
            if gap.is_nan() { f64::INFINITY } else { gap }
        };
        let worst = (0..expected.len()).max_by(|a, b| gap(a).total_cmp(&gap(b)));
        if let Some(at) = worst {
            self.near(quantity, expected[at], measured[at], tolerance);
        }
    }

    /// A number that must not be below a bound.
    pub(super) fn at_least(&mut self, quantity: &str, bound: f64, measured: f64) {
        self.push(&format!("{quantity}, at least"), bound, measured, 0.0, measured >= bound);
    }

    /// A number that must not be above a bound.
    pub(super) fn at_most(&mut self, quantity: &str, bound: f64, measured: f64) {
        self.push(&format!("{quantity}, at most"), bound, measured, 0.0, measured <= bound);
    }

    /// A yes or no, written 1 or 0.
    pub(super) fn same(&mut self, quantity: &str, expected: bool, measured: bool) {
        let number = |holds: bool| f64::from(u8::from(holds));
        self.push(quantity, number(expected), number(measured), 0.0, expected == measured);
    }

    fn push(&mut self, quantity: &str, expected: f64, measured: f64, tolerance: f64, pass: bool) {
        self.rows.push(Row { name: self.name.clone(), quantity: quantity.to_owned(), expected, measured, tolerance, pass });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fail_when_they_should() {
        let mut sheet = Sheet::new("x");
        sheet.near("a", 1.0, 1.0 + 1e-9, 1e-8);
        sheet.all_near("b", &[1.0, 2.0], &[1.0, 2.0], 0.0);
        sheet.at_least("c", 1.0, 1.0);
        sheet.same("d", true, true);
        assert!(sheet.rows.iter().all(|row| row.pass));
        let mut sheet = Sheet::new("x");
        sheet.near("a", 1.0, 1.1, 1e-8);
        sheet.near("a", 1.0, f64::NAN, 1e-8);
        sheet.all_near("b", &[1.0, 2.0], &[1.0], 9.0);
        sheet.all_near("b", &[1.0, 2.0, 3.0], &[1.0, f64::NAN, 3.1], 9.0);
        sheet.at_least("c", 1.0, f64::NAN);
        sheet.at_most("c", 1.0, 1.1);
        sheet.same("d", true, false);
        assert!(sheet.rows.iter().all(|row| !row.pass));
        assert_eq!(sheet.rows[3].expected, 2.0);
    }
}
