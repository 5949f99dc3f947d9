//! Estimates with intervals, one a row, against a threshold.

use crate::Interval;
use crate::plot::axis::{Axis, Placed};
use crate::plot::svg::{Anchor, Drawing, HAIR, INK, SOFT, colour};

const WIDTH: f64 = 560.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 30.0;
const ROW: f64 = 44.0;
/// What a character takes at most: narrow screens show the words larger (see `page.css`).
const CHARACTER: f64 = 10.0;

/// One estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    label: String,
    estimate: f64,
    interval: Option<Interval>,
    values: Vec<f64>,
}

impl Row {
    /// An estimate with its interval.
    pub fn new(label: impl Into<String>, estimate: f64, interval: Option<Interval>) -> Self {
        Self { label: label.into(), estimate, interval, values: Vec::new() }
    }

    /// The single values behind the estimate, drawn faintly.
    #[must_use]
    pub fn values(mut self, values: impl IntoIterator<Item = f64>) -> Self {
        self.values = values.into_iter().filter(|value| value.is_finite()).collect();
        self
    }
}

/// Rows over one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChart {
    axis: Axis,
    rows: Vec<Row>,
    threshold: Option<(String, f64)>,
}

impl RowChart {
    /// Without rows; the axis is drawn linear whatever its scale.
    pub fn new(axis: Axis) -> Self {
        Self { axis, rows: Vec::new(), threshold: None }
    }

    /// Adds a row below the others.
    #[must_use]
    pub fn row(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// Marks a place on the axis.
    #[must_use]
    pub fn threshold(mut self, name: impl Into<String>, value: f64) -> Self {
        self.threshold = Some((name.into(), value));
        self
    }

    pub(crate) fn to_svg(&self, title: &str) -> String {
        let longest = self.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
        // Labels stand above their rows where they would take more than half of the width beside them.
        let beside = 24.0 + CHARACTER * longest as f64;
        let left = if beside > WIDTH / 2.0 { 24.0 } else { beside.max(60.0) };
        let bottom = TOP + ROW * self.rows.len().max(1) as f64 + 8.0;
        let description = format!("{}, {} rows", self.axis.label, self.rows.len());
        let mut drawing = Drawing::new(WIDTH, bottom + 46.0, title, &description);
        let axis = Placed::new(&self.axis.linear(), self.range(), 5, left, WIDTH - RIGHT);
        for (place, label) in axis.ticks() {
            drawing.line((place, TOP), (place, bottom), HAIR, 1.0, "");
            drawing.text((place, bottom + 18.0), Anchor::Middle, 13.0, SOFT, &label);
        }
        drawing.text((WIDTH - RIGHT, bottom + 38.0), Anchor::End, 13.0, INK, &self.axis.label);
        if let Some((name, value)) = self.threshold.as_ref().filter(|(_, value)| value.is_finite()) {
            let place = axis.place(*value);
            drawing.line((place, TOP - 6.0), (place, bottom), INK, 1.5, "4 3");
            drawing.text((place, TOP - 12.0), Anchor::Middle, 13.0, SOFT, name);
        }
        if self.rows.is_empty() {
            drawing.text(((left + WIDTH) / 2.0, TOP + ROW / 2.0), Anchor::Middle, 15.0, SOFT, "no data");
        }
        for (i, row) in self.rows.iter().enumerate() {
            draw_row(&mut drawing, row, &axis, left, TOP + ROW * (i as f64 + 0.5));
        }
        drawing.finish()
    }

    fn range(&self) -> Option<Interval> {
        let threshold = self.threshold.as_ref().map(|(_, value)| *value);
        let ends = self.rows.iter().flat_map(|row| {
            let interval = row.interval.into_iter().flat_map(|interval| [interval.low(), interval.high()]);
            interval.chain([row.estimate]).chain(row.values.iter().copied()).collect::<Vec<_>>()
        });
        Interval::hull(ends.chain(threshold))
    }
}

fn draw_row(drawing: &mut Drawing, row: &Row, axis: &Placed, left: f64, y: f64) {
    if left > 24.0 {
        drawing.text((left - 12.0, y + 4.5), Anchor::End, 13.0, INK, &row.label);
    } else {
        drawing.text((left, y - 12.0), Anchor::Start, 13.0, INK, &row.label);
    }
    for value in &row.values {
        drawing.dot((axis.place(*value), y + 8.0), 2.0, SOFT);
    }
    if let Some(interval) = row.interval {
        drawing.line((axis.place(interval.low()), y), (axis.place(interval.high()), y), &colour(0), 3.0, "");
    }
    if row.estimate.is_finite() {
        drawing.dot((axis.place(row.estimate), y), 5.5, &colour(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_thresholds_and_nothing_are_drawn() {
        let chart = RowChart::new(Axis::new("difference, points"))
            .row(Row::new("lr-root & co", 0.4, Interval::spanning(-0.1, 0.9)).values([0.1, f64::NAN, 0.7]))
            .row(Row::new("broken", f64::NAN, None))
            .threshold("no difference", 0.0);
        let svg = chart.to_svg("t");
        let document = roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(document.descendants().filter(|node| node.has_tag_name("circle")).count(), 3);
        assert!(!svg.contains("NaN") && svg.contains("lr-root &amp; co") && svg.contains("no difference"));
        let empty = RowChart::new(Axis::new("x")).to_svg("t");
        assert!(empty.contains("no data") && roxmltree::Document::parse(&empty).is_ok());
    }
}
