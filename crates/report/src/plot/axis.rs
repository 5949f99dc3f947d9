//! Axes: from values to places, and where the ticks are.

use crate::{Interval, NumberFormat};

/// How values are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithm.
    Log,
}

/// A labelled axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
    format: Option<NumberFormat>,
}

impl Axis {
    /// A linear axis; the label should name the unit.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, format: None }
    }

    /// Logarithmic.
    #[must_use]
    pub fn log(mut self) -> Self {
        self.scale = Scale::Log;
        self
    }

    /// The same axis, drawn evenly.
    pub(crate) fn linear(&self) -> Self {
        Self { scale: Scale::Linear, ..self.clone() }
    }

    /// Fractions shown as percent.
    #[must_use]
    pub fn percent(mut self) -> Self {
        self.format = Some(NumberFormat::Percent(0));
        self
    }
}

/// An axis with its range and the pixels it covers.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    scale: Scale,
    format: Option<NumberFormat>,
    low: f64,
    high: f64,
    start: f64,
    end: f64,
    step: f64,
}

impl Placed {
    /// Widens the range to whole ticks, about `ticks` of them; no values give 0 to 1.
    pub(crate) fn new(axis: &Axis, range: Option<Interval>, ticks: usize, start: f64, end: f64) -> Self {
        let (low, high) = range.map_or((0.0, 1.0), |range| (range.low(), range.high()));
        let (low, high) = match axis.scale {
            Scale::Linear => (low, high),
            Scale::Log if range.is_none() => (0.0, 1.0),
            Scale::Log => (low.log10(), high.log10()),
        };
        let margin = match axis.scale {
            _ if high > low => 0.0,
            Scale::Log => 0.5,
            Scale::Linear if low == 0.0 => 1.0,
            Scale::Linear => low.abs() * 0.05,
        };
        let (low, high) = (low - margin, high + margin);
        let step = match axis.scale {
            Scale::Linear => nice_step((high - low) / ticks as f64),
            Scale::Log => nice_step((high - low) / ticks as f64).max(1.0).round(),
        };
        let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Self { scale: axis.scale, format: axis.format, low, high, start, end, step }
    }

    /// Where a value lies, in pixels.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Log { value.log10() } else { value };
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    /// Places and labels of the ticks.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        let values = (0..=count).map(|i| self.low + i as f64 * self.step);
        values
            .map(|value| {
                // What is left of 0 after rounding is 0.
                let value = if value.abs() < self.step * 1e-6 { 0.0 } else { value };
                let shown = if self.scale == Scale::Log { 10f64.powf(value) } else { value };
                (self.place(shown), self.label(shown))
            })
            .collect()
    }

    fn label(&self, value: f64) -> String {
        if let Some(NumberFormat::Percent(_)) = self.format {
            let decimals = (-(self.step * 100.0).log10()).ceil().clamp(0.0, 4.0) as u8;
            return NumberFormat::Percent(decimals).write(value);
        }
        if let Some(format) = self.format {
            return format.write(value);
        }
        if self.scale == Scale::Log || value.abs() >= 1e5 || self.step < 1e-4 {
            // Round numbers need no decimals, and the margin has no room for them.
            return crate::format::significant(value, 3).replace(".00e", "e");
        }
        crate::format::fixed(value, (-self.step.log10()).ceil().clamp(0.0, 6.0) as u8)
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn nice_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let digit = raw / power;
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| digit <= nice * (1.0 + 1e-9)).unwrap_or(10.0);
    nice * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn labels(axis: &Axis, low: f64, high: f64) -> Vec<String> {
        let placed = Placed::new(axis, Interval::spanning(low, high), 5, 0.0, 100.0);
        let ticks = placed.ticks();
        assert!(ticks.iter().all(|(place, _)| (-1e-6..=100.000_001).contains(place)), "{ticks:?}");
        assert!((0.0..=100.0).contains(&placed.place(low)) && (0.0..=100.0).contains(&placed.place(high)));
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_that_cover_the_values() {
        assert_eq!(labels(&Axis::new("x"), 0.0, 220.0), ["0", "50", "100", "150", "200", "250"]);
        assert_eq!(labels(&Axis::new("x"), -0.03, 0.05), ["−0.04", "−0.02", "0.00", "0.02", "0.04", "0.06"]);
        assert_eq!(labels(&Axis::new("x").percent(), 0.1, 0.93).last().unwrap(), "100\u{202f}%");
        assert_eq!(labels(&Axis::new("x").log(), 0.5, 300.0), ["0.100", "1.00", "10.0", "100", "1000"]);
        assert_eq!(labels(&Axis::new("x"), -2e-16, 1e-16), ["−2e−16", "−1e−16", "0", "1e−16"]);
        assert!(!labels(&Axis::new("x"), 3.0, 3.0).is_empty(), "a single value has an axis too");
    }
}
