//! Where a study's cells run: its folder in the store.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_descent::store::{Controls, RunStore, StoreError, read_events, write_atomically};
use thalweg_descent::{Error, Record, Result};

use crate::compose::{Job, TrainingConfig};
use crate::study::outcome::needed;
use crate::study::{Cell, Outcome, Shard, StudyFile};

/// The study as it was fixed when its first cell ran, in the laboratory's folder.
pub const STUDY: &str = "study.toml";

/// A study and its folder.
pub struct Laboratory {
    study: StudyFile,
    cells: Vec<Cell>,
    folder: PathBuf,
    runs: RunStore,
}

/// How far a study's cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The cell at work.
    pub cell: &'a str,
    /// Cells finished before it, in this shard.
    pub finished: usize,
    /// Cells of this shard.
    pub cells: usize,
}

/// How a working session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// Every cell of the shard is finished, or another process works on it.
    Through,
    /// It was stopped; started again, it goes on.
    Stopped,
}

impl Laboratory {
    /// Opens the study's folder, or creates it; from the first time on the study, and so its rule, is fixed.
    ///
    /// # Errors
    /// [`Error::Input`] when the folder was begun with another study file, or a cell's configuration is wrong.
    pub fn open(study: StudyFile, text: &str, folder: &Path) -> Result<Self> {
        let cells = study.cells()?;
        for cell in &cells {
            cell_config(cell)?.validate()?;
        }
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Io { doing: "create", path: folder.to_owned(), source })?;
        fix(&folder.join(STUDY), text)?;
        Ok(Self { study, cells, folder: folder.to_owned(), runs: RunStore::at(folder.join("cells")) })
    }

    /// The study.
    pub fn study(&self) -> &StudyFile {
        &self.study
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Works on the shard's cells that are not finished: first on those that tune, then on those that decide with what was tuned.
    ///
    /// # Errors
    /// Those of a cell's run.
    pub fn work(&self, shard: Shard, stop: &AtomicBool, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Worked> {
        for _stage in 0..2 {
            // After the first stage more cells are needed: the deciding ones of what is tuned.
            let needed = needed(&self.study, &self.cells, &self.values()?);
            let mine: Vec<&Cell> = needed.iter().filter(|place| shard.has(**place)).map(|place| &self.cells[*place]).collect();
            for (finished, cell) in mine.iter().enumerate() {
                progress(Progress { cell: &cell.id, finished, cells: mine.len() });
                self.work_on(cell, stop)?;
                if stop.load(Ordering::Relaxed) {
                    return Ok(Worked::Stopped);
                }
            }
        }
        Ok(Worked::Through)
    }

    fn work_on(&self, cell: &Cell, stop: &AtomicBool) -> Result<()> {
        let config = cell_config(cell)?.to_toml()?;
        let run = match self.runs.open_or_create(&cell.id, &config) {
            // Another process of the same study has it.
            Err(StoreError::InUse { .. }) => return Ok(()),
            opened => opened?,
        };
        if run.is_finished()? {
            return Ok(());
        }
        let job = Job::from_config(&config, &cell.id)?;
        let mut ignore = |_: &Record| {};
        let mut controls = Controls { checkpoints: job.config().record.checkpoints(), stop, progress: &mut ignore };
        job.drive(&run, &mut controls)?;
        Ok(())
    }

    /// What the finished cells come to.
    ///
    /// # Errors
    /// When a finished run lacks the rule's quantity, or cannot be read.
    pub fn outcome(&self) -> Result<Outcome> {
        Ok(Outcome::of(&self.study, &self.cells, &self.values()?))
    }

    /// Each cell's value; `None` where it is not finished.
    fn values(&self) -> Result<Vec<Option<f64>>> {
        self.cells.iter().map(|cell| self.value(cell)).collect()
    }

    /// The last value of the rule's quantity in a finished cell.
    fn value(&self, cell: &Cell) -> Result<Option<f64>> {
        let records = self.events(cell)?;
        if records.last().is_none_or(|record| record.get("finished").is_none()) {
            return Ok(None);
        }
        let quantity = &self.study.rule.quantity;
        match records.iter().rev().find_map(|record| record.number(quantity)) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::input(format!("rule.quantity = {quantity:?}, but the run {} recorded no such number", cell.id))),
        }
    }

    /// The event log of a cell; empty before its first step.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn events(&self, cell: &Cell) -> Result<Vec<Record>> {
        let path = self.runs.root().join(&cell.id).join("events.jsonl");
        if !path.exists() {
            return Ok(Vec::new());
        }
        Ok(read_events(&path)?)
    }

    /// All cells in order.
    pub fn all_cells(&self) -> &[Cell] {
        &self.cells
    }
}

fn cell_config(cell: &Cell) -> Result<TrainingConfig> {
    TrainingConfig::parse(&cell.config.to_string(), &format!("cell {}", cell.id))
}

/// Keeps the study of the first time; refuses another.
fn fix(path: &Path, text: &str) -> Result<()> {
    if !path.exists() {
        return Ok(write_atomically(path, text.as_bytes())?);
    }
    let fixed = std::fs::read(path).map_err(|source| StoreError::Io { doing: "read", path: path.to_owned(), source })?;
    let (fixed, given) = (blake3::hash(&fixed), blake3::hash(text.as_bytes()));
    if fixed == given {
        return Ok(());
    }
    let (fixed, given) = (fixed.to_hex(), given.to_hex());
    Err(Error::input(format!(
        "the study was changed after its first cell ran: {} has hash {}, the file given has {}; a rule is fixed before the runs, \
         so give the changed study another name or another --out",
        path.display(),
        &fixed[..16],
        &given[..16]
    )))
}
