//! Values over a grid: the stronger the colour, the larger the value.

use crate::plot::svg::{Anchor, Drawing, HAIR, INK, SOFT, colour};
use crate::{Interval, NumberFormat};

const WIDTH: f64 = 560.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const GAP: f64 = 2.0;
/// What a character takes at most: narrow screens show the words larger (see `page.css`).
const CHARACTER: f64 = 10.0;
/// The colour of the largest value is not so strong that words on it cannot be read.
const STRONGEST: f64 = 0.62;
/// The height of a line of the key.
const KEY: f64 = 22.0;

/// The marks of places without a value.
const FAILED: &str = "×";
const MISSING: &str = "…";

/// What is known of one place of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Tile {
    /// Not measured yet.
    #[default]
    Missing,
    /// It could not be measured.
    Failed,
    /// What was measured; not a number counts as failed.
    Value(f64),
    /// What a part of the measurements say, the others being under way.
    Partial(f64),
}

/// A grid with a value in each place. Its axes are lists, drawn evenly: the first value of y lies at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    x: (String, Vec<String>),
    y: (String, Vec<String>),
    tiles: Vec<Tile>,
    format: NumberFormat,
    range: Option<Interval>,
    curves: Vec<Curve>,
}

/// A named line over the grid, in places: (0, 0) is the middle of the first column and row.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

impl HeatMap {
    /// A grid of nothing measured yet, between these labels and ticks.
    pub fn new(x: impl Into<String>, x_ticks: Vec<String>, y: impl Into<String>, y_ticks: Vec<String>) -> Self {
        let tiles = vec![Tile::Missing; x_ticks.len() * y_ticks.len()];
        Self {
            x: (x.into(), x_ticks),
            y: (y.into(), y_ticks),
            tiles,
            format: NumberFormat::Significant(3),
            range: None,
            curves: vec![],
        }
    }

    /// How values are written.
    #[must_use]
    pub fn format(self, format: NumberFormat) -> Self {
        Self { format, ..self }
    }

    /// The values of the weakest and of the strongest colour; without it, the least and the largest on the grid.
    #[must_use]
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { range: Interval::spanning(low, high), ..self }
    }

    /// Draws a line over the grid, with its name below. A point `(column, row)` may lie between places, from (0, 0) in the middle of the
    /// first; beyond the grid it is moved to the edge, and left out if it is not finite. Less than two points are no line.
    #[must_use]
    pub fn curve(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let edge = |at: f64, places: usize| at.clamp(-0.5, places.max(1) as f64 - 0.5);
        let (columns, rows) = (self.x.1.len(), self.y.1.len());
        let points = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let points: Vec<(f64, f64)> = points.map(|(x, y)| (edge(x, columns), edge(y, rows))).collect();
        if points.len() > 1 {
            self.curves.push(Curve { name: name.into(), points });
        }
        self
    }

    /// Sets the tile in that column and row, from 0; one outside the grid is left out.
    #[must_use]
    pub fn tile(mut self, column: usize, row: usize, tile: Tile) -> Self {
        if column < self.x.1.len()
            && let Some(place) = self.tiles.get_mut(row * self.x.1.len() + column)
        {
            *place = if tile.value().is_some_and(|value| !value.is_finite()) { Tile::Failed } else { tile };
        }
        self
    }

    pub(crate) fn to_svg(&self, title: &str) -> String {
        let (columns, rows) = (self.x.1.len(), self.y.1.len());
        let longest = self.y.1.iter().map(|tick| tick.chars().count()).max().unwrap_or(0);
        let left = (16.0 + CHARACTER * longest as f64).clamp(40.0, WIDTH / 3.0);
        let side = (WIDTH - RIGHT - left) / columns.max(1) as f64;
        let height = side.clamp(14.0, 40.0);
        let bottom = TOP + height * rows.max(1) as f64;
        let description = format!("{} by {}: {columns} x {rows} places", self.x.0, self.y.0);
        let mut drawing = Drawing::new(WIDTH, bottom + 86.0 + KEY * self.curves.len() as f64, title, &description);
        drawing.text((4.0, TOP - 18.0), Anchor::Start, 13.0, INK, &self.y.0);
        drawing.text((WIDTH - RIGHT, bottom + 38.0), Anchor::End, 13.0, INK, &self.x.0);
        for (row, tick) in self.y.1.iter().enumerate() {
            let y = bottom - height * (row as f64 + 0.5);
            drawing.text((left - 8.0, y + 4.5), Anchor::End, 13.0, SOFT, tick);
        }
        // Ticks that would run into each other are left out, evenly.
        let widest = self.x.1.iter().map(|tick| tick.chars().count()).max().unwrap_or(0);
        let every = ((CHARACTER * (widest as f64 + 1.0)) / side).ceil().max(1.0) as usize;
        for (column, tick) in self.x.1.iter().enumerate().step_by(every) {
            drawing.text((left + side * (column as f64 + 0.5), bottom + 20.0), Anchor::Middle, 13.0, SOFT, tick);
        }
        let range = self.range.or_else(|| Interval::hull(self.tiles.iter().filter_map(|tile| tile.value())));
        let corner = |place: usize| (left + side * (place % columns) as f64, bottom - height * (place / columns + 1) as f64);
        for (place, tile) in self.tiles.iter().enumerate() {
            self.draw_colour(&mut drawing, *tile, corner(place), (side, height), range);
        }
        for (at, curve) in self.curves.iter().enumerate() {
            // The first style is that of the tiles.
            let series = at + 1;
            let place = |(x, y): &(f64, f64)| (left + side * (x + 0.5) - GAP / 2.0, bottom - height * (y + 0.5) - GAP / 2.0);
            drawing.path(&curve.points.iter().map(place).collect::<Vec<_>>(), series);
            let y = bottom + 92.0 + KEY * at as f64;
            drawing.path(&[(left, y - 4.0), (left + 34.0, y - 4.0)], series);
            drawing.text((left + 42.0, y), Anchor::Start, 12.0, SOFT, &curve.name);
        }
        // Numbers can be read over a curve.
        for (place, tile) in self.tiles.iter().enumerate() {
            self.draw_words(&mut drawing, *tile, corner(place), (side, height));
        }
        match range {
            Some(range) => self.draw_scale(&mut drawing, range, left, bottom + 58.0),
            None => drawing.text(((left + WIDTH) / 2.0, bottom + 70.0), Anchor::Middle, 15.0, SOFT, "no data"),
        }
        drawing.finish()
    }

    fn draw_colour(
        &self,
        drawing: &mut Drawing,
        tile: Tile,
        corner: (f64, f64),
        (width, height): (f64, f64),
        range: Option<Interval>,
    ) {
        let size = (width - GAP, height - GAP);
        match tile {
            Tile::Missing => drawing.rectangle(corner, size, HAIR, 0.35),
            Tile::Failed => drawing.rectangle(corner, size, HAIR, 1.0),
            Tile::Value(value) | Tile::Partial(value) => drawing.rectangle(corner, size, &colour(0), strength(value, range)),
        }
    }

    fn draw_words(&self, drawing: &mut Drawing, tile: Tile, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let middle = (x + width / 2.0 - GAP / 2.0, y + height / 2.0 + 4.0);
        let fits = |text: &str| CHARACTER * 0.8 * text.chars().count() as f64 <= width - GAP;
        match tile {
            Tile::Missing => drawing.text(middle, Anchor::Middle, 13.0, SOFT, MISSING),
            Tile::Failed => drawing.text(middle, Anchor::Middle, 13.0, SOFT, FAILED),
            Tile::Value(value) | Tile::Partial(value) => {
                let mark = if matches!(tile, Tile::Partial(_)) { MISSING } else { "" };
                let text = format!("{}{mark}", self.format.write(value));
                // A mark that there is more to come fits where the number does not.
                if let Some(text) = [text.as_str(), mark].into_iter().find(|text| fits(text) && !text.is_empty()) {
                    drawing.text(middle, Anchor::Middle, 12.0, INK, text);
                }
            }
        }
    }

    /// What the marks of places without a whole value mean, of those that occur.
    fn marks(&self) -> String {
        let any = |is: fn(&Tile) -> bool| self.tiles.iter().any(is);
        let failed = any(|tile| matches!(tile, Tile::Failed)).then(|| format!("{FAILED} failed"));
        let missing = any(|tile| matches!(tile, Tile::Missing | Tile::Partial(_)));
        let missing = missing.then(|| format!("{MISSING} not all computed yet"));
        [failed, missing].into_iter().flatten().collect::<Vec<_>>().join("   ")
    }

    /// Which colour means which value.
    fn draw_scale(&self, drawing: &mut Drawing, range: Interval, left: f64, y: f64) {
        const STEPS: usize = 32;
        let step = 160.0 / STEPS as f64;
        let low = self.format.write(range.low());
        let start = left + CHARACTER * low.chars().count() as f64 + 8.0;
        drawing.text((start - 8.0, y + 12.0), Anchor::End, 12.0, SOFT, &low);
        for i in 0..STEPS {
            let share = STRONGEST * i as f64 / (STEPS - 1) as f64;
            drawing.rectangle((start + step * i as f64, y), (step, 16.0), &colour(0), share);
        }
        let high = self.format.write(range.high());
        drawing.text((start + 168.0, y + 12.0), Anchor::Start, 12.0, SOFT, &high);
        let after = start + 188.0 + CHARACTER * high.chars().count() as f64;
        drawing.text((after, y + 12.0), Anchor::Start, 12.0, SOFT, &self.marks());
    }
}

impl Tile {
    fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) | Self::Partial(value) => Some(value),
            Self::Missing | Self::Failed => None,
        }
    }
}

/// How opaque a value's colour is; in the middle when all values are equal.
fn strength(value: f64, range: Option<Interval>) -> f64 {
    let share = range.map_or(0.5, |range| (value - range.low()) / (range.high() - range.low()));
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
    0.03 + (STRONGEST - 0.03) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> HeatMap {
        HeatMap::new("snr", vec!["0.1".into(), "0.3".into()], "epsilon <", vec!["1".into(), "inf".into()])
    }

    fn opacities(svg: &str) -> Vec<f64> {
        let document = roxmltree::Document::parse(svg).unwrap();
        let tiles = document.descendants().filter(|node| node.has_tag_name("rect"));
        tiles.take(4).map(|node| node.attribute("fill-opacity").unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn larger_values_are_stronger_and_stand_in_their_tiles() {
        let map = map().tile(0, 0, Tile::Value(0.5)).tile(1, 0, Tile::Value(0.75)).tile(0, 1, Tile::Value(1.0));
        let svg = map.range(0.5, 1.0).tile(1, 1, Tile::Value(f64::NAN)).to_svg("t");
        let found = opacities(&svg);
        assert!(found[0] < found[1] && found[1] < found[2] && found[2] <= STRONGEST, "{found:?}");
        for text in ["0.500", "0.750", "1.00", "×", "epsilon &lt;", "inf"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn nothing_one_value_and_places_outside_are_drawn() {
        assert!(map().to_svg("t").contains("no data"));
        let one = map().tile(1, 1, Tile::Value(7.0)).tile(2, 0, Tile::Value(1.0)).tile(0, 9, Tile::Value(1.0)).to_svg("t");
        assert!(!one.contains("NaN") && one.contains("7.00") && !one.contains(">1.00<"));
        let empty = HeatMap::new("x", vec![], "y", vec![]).to_svg("t");
        assert!(roxmltree::Document::parse(&empty).is_ok() && empty.contains("no data"));
    }

    #[test]
    fn curves_lie_over_the_grid_and_are_named_below() {
        let plain = map().tile(0, 0, Tile::Value(1.0));
        let svg = plain.clone().curve("theory <1>", [(0.0, 0.0), (0.5, f64::NAN), (7.0, 1.0)]).to_svg("t");
        assert!(svg.contains("theory &lt;1&gt;") && !svg.contains("NaN"));
        let document = roxmltree::Document::parse(&svg).unwrap();
        let path = document.descendants().find(|node| node.has_tag_name("path")).unwrap().attribute("d").unwrap();
        // From the middle of the first tile (a margin of 46, sides of 249) to the right edge.
        assert_eq!(path, "M169.5 93.0L543.0 53.0");
        assert_eq!(plain.clone().curve("no line", [(0.0, 0.0)]).to_svg("t"), plain.to_svg("t"));
    }

    #[test]
    fn places_without_a_value_are_marked_and_explained() {
        let whole = (0..4).fold(map(), |map, at| map.tile(at % 2, at / 2, Tile::Value(at as f64)));
        assert!(!whole.to_svg("t").contains("computed") && !whole.to_svg("t").contains("failed"));
        let svg = whole.tile(0, 0, Tile::Missing).to_svg("t");
        assert_eq!((svg.matches(">…<").count(), svg.matches("… not all computed yet").count()), (1, 1));
        assert!(map().tile(0, 0, Tile::Partial(1.5)).to_svg("t").contains(">1.50…<"));
        assert!(map().tile(0, 0, Tile::Failed).tile(1, 0, Tile::Value(1.0)).to_svg("t").contains("× failed"));
    }

    #[test]
    fn many_columns_leave_ticks_and_numbers_out() {
        let ticks: Vec<String> = (0..100).map(|i| format!("0.{i:03}")).collect();
        let mut map = HeatMap::new("x", ticks, "y", vec!["1".into()]);
        for column in 0..100 {
            map = map.tile(column, 0, Tile::Value(column as f64));
        }
        let svg = map.to_svg("t");
        assert!(svg.matches("<text").count() < 30 && svg.matches("<rect").count() == 132, "{}", svg.matches("<text").count());
    }
}
