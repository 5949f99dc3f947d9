//! How a number is written, the same in tables, on pages and on the terminal.
//!
//! The text is for reading, not for parsing: minus is U+2212, thousands are parted by a narrow no-break space
//! (U+202F) from 10 000 on, and values that are not numbers stay visible (`NaN`, `∞`).

use std::time::Duration;

const MINUS: char = '\u{2212}';
const NARROW_SPACE: char = '\u{202f}';
/// Most decimals a plain number gets before it is written with an exponent.
const MAX_DECIMALS: i32 = 6;

/// How the numbers of a table column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFormat {
    /// With this many significant digits.
    Significant(u8),
    /// With this many decimals.
    Fixed(u8),
    /// A fraction as percent, with this many decimals: 0.912 is `91.2 %`.
    Percent(u8),
    /// Rounded to an integer.
    Count,
    /// Bytes, in decimal units.
    Bytes,
    /// Seconds, as a duration.
    Seconds,
}

impl NumberFormat {
    /// Writes one value.
    ///
    /// ```
    /// use thalweg_report::NumberFormat;
    /// assert_eq!(NumberFormat::Significant(3).write(0.012_345), "0.0123");
    /// assert_eq!(NumberFormat::Percent(1).write(0.912), "91.2\u{202f}%");
    /// ```
    #[must_use]
    pub fn write(self, value: f64) -> String {
        match self {
            Self::Significant(digits) => significant(value, digits),
            Self::Fixed(decimals) => fixed(value, decimals),
            Self::Percent(decimals) => percent(value, decimals),
            Self::Count => count(value),
            Self::Bytes => bytes(value),
            Self::Seconds => seconds(value),
        }
    }

    /// Writes an estimate with the half-width of its interval; the half-width decides the digits.
    #[must_use]
    pub fn write_estimate(self, mean: f64, half_width: f64) -> String {
        match self {
            Self::Percent(_) => percent_estimate(mean, half_width),
            Self::Seconds | Self::Bytes => format!("{} ± {}", self.write(mean), self.write(half_width)),
            Self::Significant(_) | Self::Fixed(_) | Self::Count => estimate(mean, half_width),
        }
    }
}

/// With `digits` significant digits (at least one); an exponent below 1e-4 and from 1e6 on.
///
/// ```
/// use thalweg_report::format::significant;
/// assert_eq!(significant(1.0, 3), "1.00");
/// assert_eq!(significant(9.996, 3), "10.0");
/// assert_eq!(significant(-2.5e-7, 2), "−2.5e−7");
/// ```
#[must_use]
pub fn significant(value: f64, digits: u8) -> String {
    if value == 0.0 || !value.is_finite() {
        return fixed(value, 0);
    }
    let digits = i32::from(digits.max(1));
    let exponent = exponent_after_rounding(value, digits);
    if (-4..6).contains(&exponent) {
        return fixed_decimals(value, (digits - 1 - exponent).max(0));
    }
    with_minus(&format!("{value:.*e}", decimals_usize(digits - 1)))
}

/// With `decimals` decimals.
#[must_use]
pub fn fixed(value: f64, decimals: u8) -> String {
    fixed_decimals(value, i32::from(decimals))
}

/// A fraction as percent.
#[must_use]
pub fn percent(fraction: f64, decimals: u8) -> String {
    format!("{}{NARROW_SPACE}%", fixed(fraction * 100.0, decimals))
}

/// `mean ± half_width`; the half-width has two significant digits and the mean as many decimals.
///
/// ```
/// use thalweg_report::format::estimate;
/// assert_eq!(estimate(0.912_34, 0.004_21), "0.9123 ± 0.0042");
/// assert_eq!(estimate(0.9, f64::NAN), "0.9000 ± n/a");
/// ```
#[must_use]
pub fn estimate(mean: f64, half_width: f64) -> String {
    if !half_width.is_finite() {
        return format!("{} ± n/a", significant(mean, 4));
    }
    if half_width <= 0.0 || !mean.is_finite() {
        return format!("{} ± {}", significant(mean, 4), significant(half_width, 2));
    }
    let decimals = 1 - exponent_after_rounding(half_width, 2);
    if decimals > MAX_DECIMALS || mean.abs().max(half_width) >= 1e6 {
        return scientific_estimate(mean, half_width);
    }
    let decimals = decimals.max(0);
    format!("{} ± {}", fixed_decimals(mean, decimals), fixed_decimals(half_width, decimals))
}

/// `mean ± half_width` of a fraction, as percent.
///
/// ```
/// use thalweg_report::format::percent_estimate;
/// assert_eq!(percent_estimate(0.912_34, 0.004_21), "91.23 ± 0.42\u{202f}%");
/// ```
#[must_use]
pub fn percent_estimate(mean: f64, half_width: f64) -> String {
    format!("{}{NARROW_SPACE}%", estimate(mean * 100.0, half_width * 100.0))
}

/// Rounded to an integer, thousands parted from 10 000 on.
#[must_use]
pub fn count(value: f64) -> String {
    if value.abs() >= 1e15 {
        return significant(value, 4);
    }
    group_thousands(&fixed(value, 0))
}

/// Bytes in decimal units: `512 B`, `1.50 kB`, `18.5 MB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    if !value.is_finite() || value.abs() < 999.5 {
        return format!("{}{NARROW_SPACE}B", fixed(value, 0));
    }
    let mut scaled = value;
    let mut unit = 0;
    while scaled.abs() >= 999.5 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{}{NARROW_SPACE}{}", significant(scaled, 3), units[unit])
}

/// A duration: `120 ns`, `4.56 ms`, `12.3 s`, `3 min 05 s`, `2 h 03 min`, `3 d 04 h`.
#[must_use]
pub fn duration(value: Duration) -> String {
    seconds(value.as_secs_f64())
}

/// Seconds written as [`duration`] does.
#[must_use]
pub fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return format!("{}{NARROW_SPACE}s", fixed(value, 0));
    }
    if value < 0.0 {
        return format!("{MINUS}{}", seconds(-value));
    }
    if value < 59.95 {
        return short_seconds(value);
    }
    let (whole, large, small, ratio) = match value {
        v if v < 3_599.5 => (v.round(), "min", "s", 60.0),
        v if v < 86_370.0 => ((v / 60.0).round(), "h", "min", 60.0),
        v => ((v / 3600.0).round(), "d", "h", 24.0),
    };
    let (head, tail) = ((whole / ratio).floor(), whole % ratio);
    format!("{head:.0}{NARROW_SPACE}{large} {tail:02.0}{NARROW_SPACE}{small}")
}

fn short_seconds(value: f64) -> String {
    let (scaled, unit) = match value {
        0.0 => return format!("0{NARROW_SPACE}s"),
        v if v < 999.5e-9 => (v * 1e9, "ns"),
        v if v < 999.5e-6 => (v * 1e6, "µs"),
        v if v < 999.5e-3 => (v * 1e3, "ms"),
        v => (v, "s"),
    };
    format!("{}{NARROW_SPACE}{unit}", significant(scaled, 3))
}

fn scientific_estimate(mean: f64, half_width: f64) -> String {
    let exponent = exponent_after_rounding(mean.abs().max(half_width), 2);
    let unit = 10f64.powi(exponent);
    if unit == 0.0 || !unit.is_finite() {
        return format!("{} ± {}", significant(mean, 4), significant(half_width, 2));
    }
    let (mean, half_width) = (mean / unit, half_width / unit);
    let decimals = (1 - exponent_after_rounding(half_width, 2)).clamp(0, MAX_DECIMALS);
    let exponent = with_minus(&exponent.to_string());
    format!("({} ± {})e{exponent}", fixed_decimals(mean, decimals), fixed_decimals(half_width, decimals))
}

/// The decimal exponent that a finite, non-zero value has once it is rounded to `digits` significant digits.
fn exponent_after_rounding(value: f64, digits: i32) -> i32 {
    let written = format!("{value:.*e}", decimals_usize(digits - 1));
    let exponent = written.rsplit('e').next().and_then(|e| e.parse().ok());
    exponent.expect("LowerExp of a finite number ends in an integer exponent")
}

fn fixed_decimals(value: f64, decimals: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞".to_owned() } else { format!("{MINUS}∞") };
    }
    let written = format!("{value:.*}", decimals_usize(decimals));
    // A value that rounds to zero has no sign: "-0.00" would claim a direction.
    match written.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|b| matches!(b, b'0' | b'.')) => zero.to_owned(),
        Some(rest) => format!("{MINUS}{rest}"),
        None => written,
    }
}

fn decimals_usize(decimals: i32) -> usize {
    usize::try_from(decimals).unwrap_or(0)
}

fn with_minus(written: &str) -> String {
    written.replace('-', &MINUS.to_string())
}

pub(crate) fn group_thousands(integer: &str) -> String {
    let digits = integer.chars().filter(char::is_ascii_digit).count();
    if digits < 5 {
        return integer.to_owned();
    }
    let mut grouped = String::new();
    let mut left = digits;
    for c in integer.chars() {
        grouped.push(c);
        if c.is_ascii_digit() {
            left -= 1;
            if left > 0 && left.is_multiple_of(3) {
                grouped.push(NARROW_SPACE);
            }
        }
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace(NARROW_SPACE, " ").replace(MINUS, "-")
    }

    #[test]
    fn significant_digits_survive_rounding_up() {
        assert_eq!(significant(0.099_96, 3), "0.100");
        assert_eq!(significant(999_999.9, 3), "1.00e6");
        assert_eq!(significant(0.0, 3), "0");
        assert_eq!(plain(&significant(-123.456, 4)), "-123.5");
        assert_eq!(significant(f64::NAN, 3), "NaN");
        assert_eq!(plain(&significant(f64::NEG_INFINITY, 3)), "-∞");
    }

    #[test]
    fn a_rounded_zero_has_no_sign() {
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(plain(&fixed(-0.006, 2)), "-0.01");
    }

    #[test]
    fn the_half_width_decides_the_digits() {
        assert_eq!(estimate(12.3456, 1.5), "12.3 ± 1.5");
        assert_eq!(estimate(1234.5, 67.0), "1234 ± 67");
        assert_eq!(estimate(0.5, 0.0996), "0.50 ± 0.10");
        assert_eq!(estimate(0.5, 0.0), "0.5000 ± 0");
        assert_eq!(plain(&estimate(1.234e-7, 1.2e-9)), "(1.234 ± 0.012)e-7");
        assert_eq!(plain(&estimate(3.0e9, 2.0e7)), "(3.000 ± 0.020)e9");
    }

    #[test]
    fn durations_change_unit_without_a_gap() {
        let shown = |v: f64| plain(&seconds(v));
        assert_eq!(shown(0.0), "0 s");
        assert_eq!(shown(120e-9), "120 ns");
        assert_eq!(shown(0.9996), "1.00 s");
        assert_eq!(shown(59.96), "1 min 00 s");
        assert_eq!(shown(185.0), "3 min 05 s");
        assert_eq!(shown(3_599.7), "1 h 00 min");
        assert_eq!(shown(7_380.0), "2 h 03 min");
        assert_eq!(shown(86_399.0), "1 d 00 h");
        assert_eq!(shown(-2.0), "-2.00 s");
        assert_eq!(plain(&duration(Duration::from_millis(4))), "4.00 ms");
    }

    #[test]
    fn bytes_and_counts() {
        assert_eq!(plain(&bytes(0.0)), "0 B");
        assert_eq!(plain(&bytes(999.0)), "999 B");
        assert_eq!(plain(&bytes(999.9)), "1.00 kB");
        assert_eq!(plain(&bytes(18_539_682.0)), "18.5 MB");
        assert_eq!(count(9999.0), "9999");
        assert_eq!(plain(&count(-1_234_567.4)), "-1 234 567");
    }
}
