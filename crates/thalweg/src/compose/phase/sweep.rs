//! The cells of a sweep in their folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::json;
use thalweg_descent::{Error, Result};
use thalweg_dynamics::features::Mean;

use super::grid::{Cell, Grid, label};
use super::lab::{Lab, Parameters};
use crate::compose::cell_folder::{CellFolder, Worked, in_parallel};
use crate::study::Shard;

/// A lab over a grid, in a folder.
#[derive(Clone, Debug)]
pub struct Sweep {
    lab: Lab,
    fixed: Parameters,
    grid: Grid,
    folder: CellFolder,
}

/// Which cells one call works on.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Those of this shard.
    pub shard: Shard,
    /// At most so many.
    pub at_most: usize,
    /// Those that failed before, too.
    pub retry_failed: bool,
}

/// What a cell came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ending {
    Values(Parameters),
    Failed(String),
}

/// A cell's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellFile {
    cell: Cell,
    ending: Ending,
}

/// One place of the grid, over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The value of x.
    #[serde(serialize_with = "as_label")]
    pub x: f64,
    /// The value of y.
    #[serde(serialize_with = "as_label")]
    pub y: f64,
    /// Seeds that were measured.
    pub measured: u32,
    /// Seeds that failed.
    pub failed: u32,
    /// Why the first of them failed.
    pub reason: Option<String>,
    /// Mean, lowest and highest of each measure over the measured seeds.
    pub values: BTreeMap<String, Mean>,
}

/// All that is known of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Row by row, from the first value of y.
    pub places: Vec<Place>,
    /// Cells with a file.
    pub finished: usize,
    /// All cells.
    pub cells: usize,
}

/// JSON has no infinity.
fn as_label<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() { serializer.serialize_f64(*value) } else { serializer.serialize_str(&label(*value)) }
}

impl Sweep {
    /// Opens a sweep in a folder, or begins it there; `fixed` are the parameters that stay.
    ///
    /// # Errors
    /// [`Error::Input`] for parameters out of range, one that is on an axis and fixed, several seeds for a lab without draws, or a folder
    /// with another sweep.
    pub fn open(lab: Lab, fixed: Parameters, grid: Grid, folder: &Path) -> Result<Self> {
        if let Some(name) = [&grid.x.name, &grid.y.name].into_iter().find(|name| fixed.contains_key(*name)) {
            return Err(Error::input(format!("{name} is on an axis and set; it can be only one of the two")));
        }
        if grid.seeds > 1 && !lab.draws() {
            return Err(Error::input(format!("--seeds is {}, but the lab {lab} draws nothing: it must be 1", grid.seeds)));
        }
        let (columns, rows) = (grid.x.values.len(), grid.y.values.len());
        for place in 0..columns * rows {
            lab.check(&parameters(&fixed, &grid, Cell { column: place % columns, row: place / columns, seed: 0 }))?;
        }
        let folder = CellFolder::claim(folder, "phase.json", &text(lab, &fixed, &grid))?;
        Ok(Self { lab, fixed, grid, folder })
    }

    /// The lab.
    pub fn lab(&self) -> Lab {
        self.lab
    }

    /// The grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The parameters that stay, where they are not the defaults.
    pub fn fixed(&self) -> &Parameters {
        &self.fixed
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self, cell: Cell) -> Result<Option<Ending>> {
        let name = name(cell);
        let file: Option<CellFile> = self.folder.read(&name)?;
        match file {
            Some(file) if file.cell != cell => Err(Error::input(format!(
                "{}: it is another cell; delete it, and it is computed again",
                self.folder.cell_path(&name).display()
            ))),
            file => Ok(file.map(|file| file.ending)),
        }
    }

    /// Computes the cells of a part that have no file yet, on all threads. `stop` is heeded between cells; `progress` hears how many of
    /// how many are done.
    ///
    /// # Errors
    /// When a file cannot be read or written. A cell that fails is a result, kept with its reason.
    pub fn work(&self, part: Part, stop: &AtomicBool, progress: &(impl Fn(usize, usize) + Sync)) -> Result<Worked> {
        let mut left = Vec::new();
        for (_, cell) in self.grid.cells().enumerate().filter(|(place, _)| part.shard.has(*place)) {
            let needed = match self.read(cell)? {
                None => true,
                Some(ending) => part.retry_failed && matches!(ending, Ending::Failed(_)),
            };
            if needed && left.len() < part.at_most {
                left.push(cell);
            }
        }
        in_parallel(&left, stop, progress, |cell| self.compute(*cell))
    }

    fn compute(&self, cell: Cell) -> Result<()> {
        let ending = match self.lab.run(&parameters(&self.fixed, &self.grid, cell), cell.seed) {
            Ok(values) => match values.iter().find(|(_, value)| !value.is_finite()) {
                Some((name, value)) => Ending::Failed(format!("{name} is {value}")),
                None => Ending::Values(values),
            },
            Err(error) => Ending::Failed(error.to_string()),
        };
        self.folder.write(&name(cell), &CellFile { cell, ending })
    }

    /// All that the folder's cells say.
    ///
    /// # Errors
    /// When a cell's file cannot be read.
    pub fn found(&self) -> Result<Found> {
        let (columns, rows) = (self.grid.x.values.len(), self.grid.y.values.len());
        let mut endings: Vec<Vec<Ending>> = vec![Vec::new(); columns * rows];
        for cell in self.grid.cells() {
            endings[cell.row * columns + cell.column].extend(self.read(cell)?);
        }
        let finished = endings.iter().map(Vec::len).sum();
        let place = |(at, endings): (usize, &Vec<Ending>)| {
            place(self.grid.x.values[at % columns], self.grid.y.values[at / columns], endings)
        };
        let places = endings.iter().enumerate().map(place).collect();
        Ok(Found { places, finished, cells: columns * rows * self.grid.seeds as usize })
    }
}

/// What the folder's `phase.json` holds: another sweep has another text.
fn text(lab: Lab, fixed: &Parameters, grid: &Grid) -> String {
    let axis = |axis: &super::grid::Axis| json!({ "name": axis.name, "values": axis.ticks() });
    let fixed: BTreeMap<&String, String> = fixed.iter().map(|(name, value)| (name, label(*value))).collect();
    let sweep = json!({
        "format": 1, "lab": lab.as_str(), "set": fixed, "x": axis(&grid.x), "y": axis(&grid.y), "seeds": grid.seeds,
    });
    format!("{sweep:#}\n")
}

fn parameters(fixed: &Parameters, grid: &Grid, cell: Cell) -> Parameters {
    let mut parameters = fixed.clone();
    parameters.insert(grid.x.name.clone(), grid.x.values[cell.column]);
    parameters.insert(grid.y.name.clone(), grid.y.values[cell.row]);
    parameters
}

fn name(cell: Cell) -> String {
    format!("x{}-y{}-seed{}", cell.column, cell.row, cell.seed)
}

fn place(x: f64, y: f64, endings: &[Ending]) -> Place {
    let mut seeds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let (mut measured, mut failed, mut reason) = (0, 0, None);
    for ending in endings {
        match ending {
            Ending::Values(values) => {
                measured += 1;
                values.iter().for_each(|(name, value)| seeds.entry(name.clone()).or_default().push(*value));
            }
            Ending::Failed(why) => {
                failed += 1;
                reason.get_or_insert_with(|| why.clone());
            }
        }
    }
    let values = seeds.into_iter().map(|(name, values)| (name, Mean::of(values))).collect();
    Place { x, y, measured, failed, reason, values }
}

/// The least x at which a series reaches a level, between two points by a straight line; `None` if it does not, or if a point before
/// is missing.
pub fn crossing(series: &[(f64, Option<f64>)], level: f64) -> Option<f64> {
    let mut before: Option<(f64, f64)> = None;
    for (x, value) in series {
        let value = (*value)?;
        if value >= level {
            return Some(before.map_or(*x, |(x0, y0)| x0 + (x - x0) * (level - y0) / (value - y0)));
        }
        before = Some((*x, value));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn sweep(folder: &Path) -> Sweep {
        let grid = Grid::new("snr=0.1,1".parse().unwrap(), "epsilon=inf,4".parse().unwrap(), 3).unwrap();
        let fixed = [("n", 30.0), ("dim", 80.0), ("steps", 20.0)].map(|(name, value)| (name.to_owned(), value));
        Sweep::open(Lab::Features, fixed.into(), grid, folder).unwrap()
    }

    const ALL: Part = Part { shard: Shard::ALL, at_most: usize::MAX, retry_failed: false };

    fn work(sweep: &Sweep, part: Part) -> Found {
        assert_eq!(sweep.work(part, &AtomicBool::new(false), &|_, _| ()).unwrap(), Worked::Done);
        sweep.found().unwrap()
    }

    #[test]
    fn parts_shards_and_one_go_find_the_same() {
        let [whole, parts, shards] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let expected = work(&sweep(whole.path()), ALL);
        assert_eq!((expected.finished, expected.cells, expected.places.len()), (12, 12, 4));
        assert!(expected.places.iter().all(|place| place.measured == 3 && place.failed == 0));
        let five = Part { at_most: 5, ..ALL };
        assert_eq!(work(&sweep(parts.path()), five).finished, 5);
        assert_eq!(work(&sweep(parts.path()), ALL), expected);
        for shard in ["2/3", "1/3", "3/3"] {
            work(&sweep(shards.path()), Part { shard: shard.parse().unwrap(), ..ALL });
        }
        assert_eq!(sweep(shards.path()).found().unwrap(), expected);
    }

    #[test]
    fn a_stopped_sweep_says_so_and_keeps_nothing_half() {
        let folder = tempfile::tempdir().unwrap();
        let sweep = sweep(folder.path());
        assert_eq!(sweep.work(ALL, &AtomicBool::new(true), &|_, _| ()).unwrap(), Worked::Stopped);
        assert_eq!(sweep.found().unwrap().finished, 0);
    }

    #[test]
    fn failed_cells_are_kept_with_their_reason_and_retried_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let grid = Grid::new("eta=0.01,1e300".parse().unwrap(), "radius=1".parse().unwrap(), 1).unwrap();
        let sweep = Sweep::open(Lab::Deq, Parameters::new(), grid, folder.path()).unwrap();
        let found = work(&sweep, ALL);
        assert_eq!((found.places[0].failed, found.places[1].failed, found.finished), (0, 1, 2));
        assert!(found.places[1].reason.as_ref().unwrap().contains("step"), "{found:?}");
        let count = AtomicUsize::new(0);
        let counted = |_, cells| count.store(cells, Ordering::Relaxed);
        sweep.work(ALL, &AtomicBool::new(false), &counted).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0);
        sweep.work(Part { retry_failed: true, ..ALL }, &AtomicBool::new(false), &counted).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn wrong_folders_and_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = sweep(folder.path());
        let grid = Grid { seeds: 4, ..first.grid().clone() };
        let other = Sweep::open(Lab::Features, first.fixed().clone(), grid, folder.path()).unwrap_err();
        assert!(other.is_input() && other.to_string().contains("another sweep"), "{other}");
        std::fs::write(first.folder.cell_path(&name(Cell { column: 1, row: 0, seed: 2 })), "{\"cell\"").unwrap();
        let broken = first.found().unwrap_err();
        assert!(broken.is_input() && broken.to_string().contains("x1-y0-seed2.json"), "{broken}");
        let icl = Grid::new("context=8,32".parse().unwrap(), "condition=2".parse().unwrap(), 2).unwrap();
        assert!(Sweep::open(Lab::Icl, Parameters::new(), icl, folder.path()).unwrap_err().to_string().contains("draws nothing"));
    }

    #[test]
    fn levels_are_crossed_on_straight_lines() {
        let series = [(0.1, Some(0.5)), (0.2, Some(0.7)), (0.3, Some(1.0))];
        assert!((crossing(&series, 0.9).unwrap() - (0.2 + 0.1 * 2.0 / 3.0)).abs() < 1e-12);
        assert_eq!((crossing(&series, 0.4), crossing(&series, 1.1)), (Some(0.1), None));
        assert_eq!(crossing(&[(0.1, None), (0.2, Some(1.0))], 0.9), None);
    }
}
