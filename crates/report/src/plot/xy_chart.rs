//! Lines with bands over two axes.

use crate::Interval;
use crate::plot::PlotError;
use crate::plot::axis::{Axis, Placed, Scale};
use crate::plot::svg::{Anchor, Drawing, HAIR, INK, SOFT, colour, dash};

const WIDTH: f64 = 560.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const PLOT_HEIGHT: f64 = 270.0;
const LEGEND_LINE: f64 = 24.0;
/// What a character takes at most: narrow screens show the words larger (see `page.css`).
const CHARACTER: f64 = 10.0;

/// A place of a line, with the band around it where there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis; not a number leaves a gap.
    pub y: f64,
    /// The band.
    pub band: Option<Interval>,
}

impl From<(f64, f64)> for Sample {
    fn from((x, y): (f64, f64)) -> Self {
        Self { x, y, band: None }
    }
}

impl From<(f64, f64, f64, f64)> for Sample {
    /// x, y, and the lower and upper end of the band.
    fn from((x, y, low, high): (f64, f64, f64, f64)) -> Self {
        Self { x, y, band: Interval::spanning(low, high) }
    }
}

/// A named line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    name: String,
    samples: Vec<Sample>,
}

impl Line {
    /// In the order of x.
    pub fn new<S: Into<Sample>>(name: impl Into<String>, samples: impl IntoIterator<Item = S>) -> Self {
        Self { name: name.into(), samples: samples.into_iter().map(Into::into).collect() }
    }
}

/// Lines over two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct XyChart {
    x: Axis,
    y: Axis,
    lines: Vec<Line>,
    level: Option<(String, f64)>,
}

impl XyChart {
    /// Without lines.
    pub fn new(x: Axis, y: Axis) -> Self {
        Self { x, y, lines: Vec::new(), level: None }
    }

    /// Adds a line.
    #[must_use]
    pub fn line(mut self, line: Line) -> Self {
        self.lines.push(line);
        self
    }

    /// Marks a height, such as a threshold.
    #[must_use]
    pub fn level(mut self, name: impl Into<String>, y: f64) -> Self {
        self.level = Some((name.into(), y));
        self
    }

    pub(crate) fn to_svg(&self, title: &str) -> Result<String, PlotError> {
        self.check()?;
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        let legend = if self.lines.len() > 1 { legend_rows(&names) } else { Vec::new() };
        let bottom = TOP + PLOT_HEIGHT;
        let height = bottom + 44.0 + LEGEND_LINE * legend.len() as f64;
        let description = format!("{} over {}: {}", self.y.label, self.x.label, names.join(", "));
        let mut drawing = Drawing::new(WIDTH, height, title, &description);
        let x = Placed::new(&self.x, self.range(|sample| [sample.x; 3]), 6, LEFT, WIDTH - RIGHT);
        let y = Placed::new(&self.y, self.y_range(), 5, bottom, TOP);
        draw_axes(&mut drawing, self, &x, &y, bottom);
        if let Some((name, level)) = self.drawable_level() {
            let at = y.place(level);
            drawing.line((LEFT, at), (WIDTH - RIGHT, at), INK, 1.0, "4 3");
            drawing.text((WIDTH - RIGHT - 4.0, at - 5.0), Anchor::End, 12.0, SOFT, name);
        }
        if self.lines.iter().all(|line| !line.samples.iter().any(|s| s.x.is_finite() && s.y.is_finite())) {
            drawing.text(((LEFT + WIDTH) / 2.0, TOP + PLOT_HEIGHT / 2.0), Anchor::Middle, 15.0, SOFT, "no data");
        }
        for (series, line) in self.lines.iter().enumerate() {
            draw_line(&mut drawing, series, line, self.y.scale, &x, &y);
        }
        draw_legend(&mut drawing, &legend, bottom + 62.0);
        Ok(drawing.finish())
    }

    fn check(&self) -> Result<(), PlotError> {
        for line in &self.lines {
            for sample in &line.samples {
                for (axis, value) in [(&self.x, sample.x), (&self.y, sample.y)] {
                    if axis.scale == Scale::Log && value <= 0.0 {
                        return Err(PlotError::NotPositive { series: line.name.clone(), axis: axis.label.clone(), value });
                    }
                }
            }
        }
        Ok(())
    }

    /// The level, where the axis can show it.
    fn drawable_level(&self) -> Option<(&str, f64)> {
        let (name, level) = self.level.as_ref()?;
        (level.is_finite() && (self.y.scale == Scale::Linear || *level > 0.0)).then_some((name, *level))
    }

    fn y_range(&self) -> Option<Interval> {
        let band = |sample: &Sample| match sample.band {
            Some(band) if self.y.scale == Scale::Linear || band.low() > 0.0 => [band.low(), sample.y, band.high()],
            _ => [sample.y; 3],
        };
        let lines = self.range(band);
        let level = self.drawable_level().and_then(|(_, level)| Interval::spanning(level, level));
        Interval::hull([lines, level].into_iter().flatten().flat_map(|range| [range.low(), range.high()]))
    }

    fn range(&self, values: impl Fn(&Sample) -> [f64; 3]) -> Option<Interval> {
        Interval::hull(self.lines.iter().flat_map(|line| &line.samples).flat_map(values))
    }
}

fn draw_axes(drawing: &mut Drawing, chart: &XyChart, x: &Placed, y: &Placed, bottom: f64) {
    for (place, label) in y.ticks() {
        drawing.line((LEFT, place), (WIDTH - RIGHT, place), HAIR, 1.0, "");
        drawing.text((LEFT - 8.0, place + 4.0), Anchor::End, 13.0, SOFT, &label);
    }
    for (place, label) in x.ticks() {
        drawing.line((place, bottom), (place, bottom + 5.0), SOFT, 1.0, "");
        drawing.text((place, bottom + 20.0), Anchor::Middle, 13.0, SOFT, &label);
    }
    drawing.line((LEFT, bottom), (WIDTH - RIGHT, bottom), SOFT, 1.0, "");
    drawing.text((WIDTH - RIGHT, bottom + 38.0), Anchor::End, 13.0, INK, &chart.x.label);
    drawing.text((4.0, TOP - 18.0), Anchor::Start, 13.0, INK, &chart.y.label);
}

fn draw_line(drawing: &mut Drawing, series: usize, line: &Line, scale: Scale, x: &Placed, y: &Placed) {
    let finite = |sample: &Sample| sample.x.is_finite() && sample.y.is_finite();
    let samples = decimate(&line.samples, (WIDTH - LEFT - RIGHT) as usize);
    for run in samples.split(|sample| !finite(sample)).filter(|run| !run.is_empty()) {
        let place = |sample: &Sample, value: f64| (x.place(sample.x), y.place(value));
        let drawable = |band: &Interval| scale == Scale::Linear || band.low() > 0.0;
        let band: Vec<(&Sample, Interval)> =
            run.iter().filter_map(|sample| Some((sample, sample.band.filter(drawable)?))).collect();
        if band.len() > 1 {
            let lower = band.iter().map(|(sample, band)| place(sample, band.low()));
            let upper = band.iter().rev().map(|(sample, band)| place(sample, band.high()));
            drawing.area(&lower.chain(upper).collect::<Vec<_>>(), series);
        }
        let points: Vec<(f64, f64)> = run.iter().map(|sample| place(sample, sample.y)).collect();
        match points[..] {
            [point] => drawing.dot(point, 4.0, &colour(series)),
            _ => drawing.path(&points, series),
        }
    }
}

/// At most two samples a pixel column, the lowest and the highest in their order, with the hull of the column's bands; a column
/// that is all gap stays one.
fn decimate(samples: &[Sample], columns: usize) -> Vec<Sample> {
    let size = samples.len().div_ceil(columns.max(1));
    if size <= 2 {
        return samples.to_vec();
    }
    let mut kept = Vec::with_capacity(2 * columns);
    for column in samples.chunks(size) {
        let drawn: Vec<&Sample> = column.iter().filter(|sample| sample.x.is_finite() && sample.y.is_finite()).collect();
        let by_height = |a: &&&Sample, b: &&&Sample| a.y.total_cmp(&b.y);
        let (Some(lowest), Some(highest)) = (drawn.iter().min_by(by_height), drawn.iter().max_by(by_height)) else {
            kept.push(column[0]);
            continue;
        };
        let band = Interval::hull(drawn.iter().filter_map(|sample| sample.band).flat_map(|band| [band.low(), band.high()]));
        let mut pair = [Sample { band, ..**lowest }, Sample { band, ..**highest }];
        pair.sort_by(|a, b| a.x.total_cmp(&b.x));
        kept.extend(if pair[0] == pair[1] { &pair[..1] } else { &pair[..] });
    }
    kept
}

/// Names in rows that are not wider than the chart, by a generous guess of their width.
fn legend_rows<'a>(names: &[&'a str]) -> Vec<Vec<(usize, &'a str, f64)>> {
    let mut rows: Vec<Vec<(usize, &str, f64)>> = vec![Vec::new()];
    let mut x = LEFT;
    for (series, name) in names.iter().enumerate() {
        let width = 48.0 + CHARACTER * name.chars().count() as f64;
        if x + width > WIDTH - RIGHT && x > LEFT {
            rows.push(Vec::new());
            x = LEFT;
        }
        if let Some(row) = rows.last_mut() {
            row.push((series, name, x));
        }
        x += width;
    }
    rows
}

fn draw_legend(drawing: &mut Drawing, rows: &[Vec<(usize, &str, f64)>], top: f64) {
    for (i, row) in rows.iter().enumerate() {
        let y = top + LEGEND_LINE * i as f64 - 6.0;
        for &(series, name, x) in row {
            drawing.line((x, y - 4.0), (x + 26.0, y - 4.0), &colour(series), 2.5, dash(series));
            drawing.text((x + 32.0, y), Anchor::Start, 13.0, INK, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> XyChart {
        XyChart::new(Axis::new("step"), Axis::new("loss"))
    }

    fn parsed(chart: &XyChart) -> (String, Vec<String>) {
        let svg = chart.to_svg("a <script> title").unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let series = document.descendants().filter(|node| node.attribute("class") == Some("series"));
        let paths = series.filter_map(|node| node.attribute("d").map(str::to_owned)).collect();
        (svg, paths)
    }

    #[test]
    fn every_line_is_there_and_every_number_is_one() {
        let chart = chart()
            .line(Line::new("a", [(0.0, 1.0, 0.5, 1.5), (1.0, 2.0, 1.5, 2.5)]))
            .line(Line::new("b", [(0.0, f64::NAN), (1.0, 1.0), (2.0, 3.0), (3.0, f64::INFINITY), (4.0, 1.0), (5.0, 0.0)]));
        let (svg, paths) = parsed(&chart);
        assert_eq!(paths.len(), 3, "one line, and one in two parts");
        assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("&lt;script&gt;"));
        assert_eq!(svg.matches("class=\"band\"").count(), 1);
    }

    #[test]
    fn nothing_one_point_and_one_value_are_drawn() {
        assert!(parsed(&chart()).0.contains("no data"));
        assert!(parsed(&chart().line(Line::new("a", [(f64::NAN, 1.0)]))).0.contains("no data"));
        let (svg, paths) = parsed(&chart().line(Line::new("a", [(3.0, 7.0)])));
        assert!(paths.is_empty() && svg.contains("<circle") && !svg.contains("no data") && !svg.contains("NaN"));
        assert!(!parsed(&chart().line(Line::new("a", [(0.0, 7.0), (1.0, 7.0)]))).0.contains("NaN"));
    }

    #[test]
    fn a_million_points_stay_small_and_keep_their_extremes() {
        let spike = |i: u32| if i == 777_777 { 50.0 } else { (f64::from(i) * 0.37).sin() };
        let line = Line::new("a", (0..1_000_000).map(|i| (f64::from(i), spike(i))));
        let highest = |chart: &XyChart| {
            let (svg, paths) = parsed(chart);
            assert!(svg.len() < 100_000, "{}", svg.len());
            let heights = paths.iter().flat_map(|d| d.split(['M', 'L'])).filter_map(|pair| pair.split(' ').nth(1)?.parse().ok());
            heights.fold(f64::INFINITY, f64::min)
        };
        // The axis goes from -20 to 60: the spike is in the upper fifth, everything else in the lower third.
        assert!(highest(&chart().line(line)) < TOP + PLOT_HEIGHT / 5.0);
        let gaps = (0..1_000_000).map(|i| {
            let y = if i % 4 == 0 { f64::NAN } else { spike(i) };
            (f64::from(i), y, y - 1.0, y + 1.0)
        });
        let gaps: Vec<_> = gaps.collect();
        let four = (0..4).fold(chart(), |chart, i| chart.line(Line::new(format!("line {i}"), gaps.clone())));
        assert!(parsed(&four).0.len() < 400_000);
    }

    #[test]
    fn levels_and_bands_that_an_axis_cannot_show_are_left_out() {
        let log = || XyChart::new(Axis::new("n"), Axis::new("error").log());
        let line = || Line::new("a", [(0.0, 1.0, -0.5, 2.0), (1.0, 2.0, 0.0, 3.0), (2.0, 3.0, 1.0, 4.0)]);
        for chart in [log().line(line()).level("none", 0.0), chart().line(line()).level("none", f64::NAN)] {
            let (svg, _) = parsed(&chart);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("none</text>"), "{svg}");
        }
        assert!(!parsed(&chart().line(Line::new("zero", [(0.0, 0.0), (1.0, 0.0)]))).0.contains("e−"), "zeros have a plain axis");
    }

    #[test]
    fn a_logarithmic_axis_refuses_what_it_cannot_show() {
        let chart = XyChart::new(Axis::new("n").log(), Axis::new("error").log()).line(Line::new("a", [(1.0, 0.1), (10.0, 0.0)]));
        let error = chart.to_svg("t").unwrap_err();
        assert!(error.to_string().contains("\"error\"") && error.to_string().contains("0"), "{error}");
    }
}
