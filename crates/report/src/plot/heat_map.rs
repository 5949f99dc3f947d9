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
}

/// A grid with a value in each place. Its axes are lists, drawn evenly: the first value of y lies at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    x: (String, Vec<String>),
    y: (String, Vec<String>),
    tiles: Vec<Tile>,
    format: NumberFormat,
    range: Option<Interval>,
}

impl HeatMap {
    /// A grid of nothing measured yet, between these labels and ticks.
    pub fn new(x: impl Into<String>, x_ticks: Vec<String>, y: impl Into<String>, y_ticks: Vec<String>) -> Self {
        let tiles = vec![Tile::Missing; x_ticks.len() * y_ticks.len()];
        Self { x: (x.into(), x_ticks), y: (y.into(), y_ticks), tiles, format: NumberFormat::Significant(3), range: None }
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

    /// Sets the tile in that column and row, from 0; one outside the grid is left out.
    #[must_use]
    pub fn tile(mut self, column: usize, row: usize, tile: Tile) -> Self {
        if column < self.x.1.len()
            && let Some(place) = self.tiles.get_mut(row * self.x.1.len() + column)
        {
            *place = if matches!(tile, Tile::Value(value) if !value.is_finite()) { Tile::Failed } else { tile };
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
        let mut drawing = Drawing::new(WIDTH, bottom + 86.0, title, &description);
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
        for (place, tile) in self.tiles.iter().enumerate() {
            let corner = (left + side * (place % columns) as f64, bottom - height * (place / columns + 1) as f64);
            self.draw_tile(&mut drawing, *tile, corner, (side, height), range);
        }
        match range {
            Some(range) => self.draw_scale(&mut drawing, range, left, bottom + 58.0),
            None => drawing.text(((left + WIDTH) / 2.0, bottom + 70.0), Anchor::Middle, 15.0, SOFT, "no data"),
        }
        drawing.finish()
    }

    fn draw_tile(
        &self,
        drawing: &mut Drawing,
        tile: Tile,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        range: Option<Interval>,
    ) {
        let size = (width - GAP, height - GAP);
        let middle = (x + width / 2.0 - GAP / 2.0, y + height / 2.0 + 4.0);
        match tile {
            Tile::Missing => drawing.rectangle((x, y), size, HAIR, 0.35),
            Tile::Failed => {
                drawing.rectangle((x, y), size, HAIR, 1.0);
                drawing.text(middle, Anchor::Middle, 13.0, SOFT, "×");
            }
            Tile::Value(value) => {
                drawing.rectangle((x, y), size, &colour(0), strength(value, range));
                let text = self.format.write(value);
                if CHARACTER * 0.8 * text.chars().count() as f64 <= size.0 {
                    drawing.text(middle, Anchor::Middle, 12.0, INK, &text);
                }
            }
        }
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
        drawing.text((start + 168.0, y + 12.0), Anchor::Start, 12.0, SOFT, &self.format.write(range.high()));
    }
}

impl Tile {
    fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
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
