//! The error-against-data study of 2-XOR, trial by trial in a folder.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use thalweg_descent::{Error, Result};
use thalweg_dynamics::relu::Study;
use thalweg_dynamics::relu::study::Row;

use super::cell_folder::{CellFolder, Worked, in_parallel};

/// A study at several depths, in a folder.
#[derive(Clone, Debug)]
pub struct XorStudy {
    /// One a depth.
    studies: Vec<Study>,
    folder: CellFolder,
}

/// What one depth came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtDepth {
    /// The hidden layers.
    pub depth: usize,
    /// One a number of steps.
    pub rows: Vec<Row>,
}

/// All that is known of a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct XorFound {
    /// All trials.
    pub cells: usize,
    /// Those that are finished.
    pub finished: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// Why the first of these failed.
    pub reason: Option<String>,
    /// One a depth.
    pub depths: Vec<AtDepth>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ending {
    Errors(Vec<f64>),
    Failed(String),
}

/// A trial of a study.
#[derive(Clone, Copy)]
struct Trial<'a> {
    study: &'a Study,
    d: usize,
    n: usize,
    trial: u32,
}

impl Trial<'_> {
    fn name(&self) -> String {
        format!("depth{}-d{}-n{}-trial{}", self.study.depth, self.d, self.n, self.trial)
    }
}

impl XorStudy {
    /// Opens a study in a folder, or begins it there.
    ///
    /// # Errors
    /// [`Error::Input`] for no depth or one that is there twice, values out of range, or a folder with another study.
    pub fn open(study: &Study, depths: &[usize], folder: &Path) -> Result<Self> {
        if depths.is_empty() || (1..depths.len()).any(|at| depths[..at].contains(&depths[at])) {
            return Err(Error::input(format!("the depths are {depths:?}, but must be one or more, all different")));
        }
        if (1..study.cells.len()).any(|at| study.cells[..at].contains(&study.cells[at])) {
            return Err(Error::input("a dimension or a number of examples is there twice; each must be there once"));
        }
        let studies: Vec<Study> = depths.iter().map(|&depth| Study { depth, ..study.clone() }).collect();
        studies.iter().try_for_each(Study::check)?;
        let text = serde_json::to_string_pretty(&studies).map_err(|error| Error::piece("describing the study", error))?;
        let folder = CellFolder::claim(folder, "study.json", &format!("{text}\n"))?;
        Ok(Self { studies, folder })
    }

    /// The study at its first depth.
    pub fn study(&self) -> &Study {
        &self.studies[0]
    }

    /// All trials, one of each cell first, so that an interrupted study has whole curves.
    fn trials(&self) -> Vec<Trial<'_>> {
        let mut trials = Vec::new();
        for trial in 0..self.study().trials {
            for study in &self.studies {
                trials.extend(study.cells.iter().map(|&(d, n)| Trial { study, d, n, trial }));
            }
        }
        trials
    }

    /// Computes trials that have no file yet, at most so many, on all threads. `stop` is heeded between trials; `progress` hears how
    /// many of how many are done.
    ///
    /// # Errors
    /// When a file cannot be read or written. A trial that fails is a result, kept with its reason.
    pub fn work(&self, at_most: usize, stop: &AtomicBool, progress: &(impl Fn(usize, usize) + Sync)) -> Result<Worked> {
        let mut left = Vec::new();
        for trial in self.trials() {
            if left.len() < at_most && self.folder.read::<Ending>(&trial.name())?.is_none() {
                left.push(trial);
            }
        }
        in_parallel(&left, stop, progress, |trial| {
            let ending = match trial.study.trial(trial.d, trial.n, trial.trial) {
                Ok(errors) => Ending::Errors(errors),
                Err(error) => Ending::Failed(error.to_string()),
            };
            self.folder.write(&trial.name(), &ending)
        })
    }

    /// All that the folder's trials say.
    ///
    /// # Errors
    /// When a trial's file cannot be read.
    pub fn found(&self) -> Result<XorFound> {
        let (mut finished, mut failed, mut reason) = (0, 0, None);
        let mut depths = Vec::new();
        for study in &self.studies {
            let mut of_cells = Vec::new();
            for &(d, n) in &study.cells {
                let mut errors = Vec::new();
                for trial in 0..study.trials {
                    match self.folder.read(&Trial { study, d, n, trial }.name())? {
                        Some(Ending::Errors(found)) if found.len() == study.steps.len() => errors.push(found),
                        Some(Ending::Errors(found)) => {
                            return Err(Error::input(format!(
                                "{}: it has {} errors instead of {}; delete it, and it is computed again",
                                self.folder.cell_path(&Trial { study, d, n, trial }.name()).display(),
                                found.len(),
                                study.steps.len()
                            )));
                        }
                        Some(Ending::Failed(why)) => {
                            failed += 1;
                            reason.get_or_insert(why);
                        }
                        None => continue,
                    }
                    finished += 1;
                }
                of_cells.push(errors);
            }
            depths.push(AtDepth { depth: study.depth, rows: study.rows(&of_cells) });
        }
        Ok(XorFound { cells: self.trials().len(), finished, failed, reason, depths })
    }
}
