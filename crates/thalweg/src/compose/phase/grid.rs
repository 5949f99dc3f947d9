//! Two parameters and their values.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thalweg_descent::{Error, Result};

/// A parameter and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The parameter.
    pub name: String,
    /// The values, all different.
    pub values: Vec<f64>,
}

impl FromStr for Axis {
    type Err = Error;

    /// `name=v1,v2,..`; infinity is written `inf`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::input(format!("axis {text:?}: {reason}; write name=v1,v2,.. such as snr=0.1,0.3,0.5"));
        let (name, list) = text.split_once('=').ok_or_else(|| wrong("it has no ="))?;
        let values = list.split(',').map(|value| value.trim().parse::<f64>());
        let values: Vec<f64> = values.collect::<Result<_, _>>().map_err(|_| wrong("a value is no number"))?;
        if values.iter().any(|value| value.is_nan()) {
            return Err(wrong("a value is NaN"));
        }
        if (1..values.len()).any(|at| values[..at].contains(&values[at])) {
            return Err(wrong("a value is there twice"));
        }
        Ok(Self { name: name.trim().to_owned(), values })
    }
}

impl Axis {
    /// The value at a place from 0, between places by equal factors where both neighbours are above 0 and finite, by equal shares of the
    /// inverse towards infinity, and by equal steps elsewhere; the last value beyond.
    pub fn at(&self, place: f64) -> f64 {
        let last = self.values.len().saturating_sub(1);
        let before = (place.max(0.0) as usize).min(last);
        let (share, low, high) = (place - before as f64, self.values[before], self.values[(before + 1).min(last)]);
        match () {
            () if share <= 0.0 || before == last => low,
            () if low > 0.0 && high == f64::INFINITY => low / (1.0 - share),
            () if high > 0.0 && low == f64::INFINITY => high / share,
            () if low > 0.0 && high > 0.0 => low * (high / low).powf(share),
            () => low + (high - low) * share,
        }
    }

    /// The values as words.
    pub fn ticks(&self) -> Vec<String> {
        self.values.iter().map(|value| label(*value)).collect()
    }
}

/// A value as a person writes it.
pub fn label(value: f64) -> String {
    if value == f64::INFINITY { "inf".to_owned() } else { value.to_string() }
}

/// Two axes and seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Along the page.
    pub x: Axis,
    /// Up the page.
    pub y: Axis,
    /// Seeds 0 to this, less one, in each place.
    pub seeds: u32,
}

/// A cell: a place of the grid, and a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    pub(super) column: usize,
    pub(super) row: usize,
    pub(super) seed: u32,
}

/// Each cell has a file: more are a slip of the keyboard.
const MOST_CELLS: usize = 1_000_000;

impl Grid {
    /// A grid of two different parameters.
    ///
    /// # Errors
    /// [`Error::Input`] for one parameter on both axes, no seeds, or more than a million cells.
    pub fn new(x: Axis, y: Axis, seeds: u32) -> Result<Self> {
        if x.name == y.name {
            return Err(Error::input(format!("both axes are {}; they must be two parameters", x.name)));
        }
        let cells = x.values.len().saturating_mul(y.values.len()).saturating_mul(seeds as usize);
        if !(1..=MOST_CELLS).contains(&cells) {
            return Err(Error::input(format!("the grid has {cells} cells, but must have 1 to {MOST_CELLS}; --seeds is {seeds}")));
        }
        Ok(Self { x, y, seeds })
    }

    /// All cells, seed by seed, so that an interrupted sweep has whole diagrams.
    pub(super) fn cells(&self) -> impl Iterator<Item = Cell> {
        let (columns, rows) = (self.x.values.len(), self.y.values.len());
        (0..self.seeds)
            .flat_map(move |seed| (0..rows).flat_map(move |row| (0..columns).map(move |column| Cell { column, row, seed })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_read_as_written() {
        let axis: Axis = "epsilon=inf, 8,0.5".parse().unwrap();
        assert_eq!((axis.name.as_str(), axis.ticks()), ("epsilon", vec!["inf".into(), "8".into(), "0.5".into()]));
        for (wrong, part) in
            [("snr", "no ="), ("snr=", "no number"), ("snr=1,x", "no number"), ("snr=1,1", "twice"), ("a=NaN", "NaN")]
        {
            assert!(wrong.parse::<Axis>().unwrap_err().to_string().contains(part), "{wrong}");
        }
    }

    #[test]
    fn values_lie_between_places() {
        let axis: Axis = "a=1,4,inf,8,-2".parse().unwrap();
        for (place, value) in
            [(-1.0, 1.0), (0.0, 1.0), (0.5, 2.0), (1.5, 8.0), (2.0, f64::INFINITY), (2.5, 16.0), (3.5, 3.0), (9.0, -2.0)]
        {
            assert_eq!(axis.at(place), value, "{place}");
        }
    }

    #[test]
    fn grids_have_all_cells_seed_by_seed() {
        let axis = |text: &str| text.parse::<Axis>().unwrap();
        let grid = Grid::new(axis("a=1,2,3"), axis("b=1,2"), 2).unwrap();
        let cells: Vec<Cell> = grid.cells().collect();
        assert_eq!((cells.len(), cells[4]), (12, Cell { column: 1, row: 1, seed: 0 }));
        assert!(Grid::new(axis("a=1"), axis("a=2"), 1).is_err());
        assert!(Grid::new(axis("a=1"), axis("b=2"), 0).unwrap_err().to_string().contains("0 cells"));
        assert!(Grid::new(axis("a=1,2"), axis("b=2"), u32::MAX).is_err());
    }
}
