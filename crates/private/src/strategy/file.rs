//! A strategy in a file, with what it was made for.

use std::path::Path;

use serde::{Deserialize, Serialize};
use thalweg_descent::store::write_atomically;

use super::Strategy;
use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, evaluate};
use crate::pattern::Pattern;
use crate::workload::Workload;

/// The format that this version writes.
const FORMAT: u32 = 1;

/// A strategy with the workload and participation pattern that it was made for, and its errors there.
///
/// Strategies that took long to optimise are kept so. The errors are for the reader: whoever trains computes them again.
///
/// ```
/// use thalweg_private::strategy::StrategyFile;
/// use thalweg_private::{Objective, Pattern, Ratios, Strategy, Workload};
///
/// let (workload, pattern) = (Workload::new(Ratios::linear(100, 0.2)?), Pattern::separated(25, 4)?);
/// let strategy = Strategy::bandinvmf(&workload, 4, pattern, Objective::Mean)?;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("strategy.json");
/// StrategyFile::new(strategy.clone(), workload.clone(), pattern)?.save(&path)?;
///
/// let file = StrategyFile::load(&path)?;
/// assert_eq!(file.strategy_for(&workload, pattern)?, &strategy);
/// let other = Workload::new(Ratios::linear(100, 0.3)?);
/// assert!(file.strategy_for(&other, pattern).is_err());
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrategyFile {
    format: u32,
    pattern: Pattern,
    errors: Evaluation,
    strategy: Strategy,
    workload: Workload,
}

impl StrategyFile {
    /// Evaluates the strategy for what it was made for.
    ///
    /// # Errors
    /// As [`evaluate`]; [`Error::Value`] for a pattern that does not fit the steps.
    pub fn new(strategy: Strategy, workload: Workload, pattern: Pattern) -> Result<Self> {
        let pattern = pattern.fitting(workload.steps())?;
        let errors = evaluate(&workload, &strategy, pattern)?;
        Ok(Self { format: FORMAT, pattern, errors, strategy, workload })
    }

    /// Writes the file as JSON, beside its name first.
    ///
    /// # Errors
    /// [`Error::StrategyFile`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let failed = |reason: String| Error::StrategyFile { doing: "cannot write", path: path.to_owned(), reason };
        let json = serde_json::to_vec_pretty(self).map_err(|error| failed(error.to_string()))?;
        write_atomically(path, &json).map_err(|error| failed(error.to_string()))
    }

    /// Reads a file and checks every number in it.
    ///
    /// # Errors
    /// [`Error::StrategyFile`] with the line of what is wrong.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |reason: String| Error::StrategyFile { doing: "cannot read", path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let file: Self = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if file.format != FORMAT {
            return Err(failed(format!("its format is {}, and this version reads {FORMAT}", file.format)));
        }
        file.pattern.fitting(file.workload.steps()).map_err(|error| failed(error.to_string()))?;
        if file.strategy.steps() != file.workload.steps() {
            let steps = (file.strategy.steps(), file.workload.steps());
            return Err(failed(format!("its strategy has {} steps, and its workload {}", steps.0, steps.1)));
        }
        Ok(file)
    }

    /// The strategy, for a run of just this workload and pattern.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] naming what differs: steps, rates, momentum, decay or participation.
    pub fn strategy_for(&self, workload: &Workload, pattern: Pattern) -> Result<&Strategy> {
        let refused = |reason: String| Err(Error::unsuitable(format!("the strategy file for {}", self.strategy.name()), reason));
        if self.workload.steps() != workload.steps() {
            return refused(format!("it was made for {} steps, and the run has {}", self.workload.steps(), workload.steps()));
        }
        let ratios = self.workload.ratios().values().iter().zip(workload.ratios().values());
        if let Some((step, (made, run))) = ratios.enumerate().find(|(_, (a, b))| differ(**a, **b)) {
            return refused(format!("it was made for the rate ratio {made} in step {step}, and the run has {run}"));
        }
        for (what, made, run) in [
            ("momentum", self.workload.momentum(), workload.momentum()),
            ("weight decay times the rate", self.workload.decay(), workload.decay()),
        ] {
            if differ(made, run) {
                return refused(format!("it was made for {what} {made}, and the run has {run}"));
            }
        }
        // Of one participation the separation does not matter.
        let once = [self.pattern, pattern].iter().all(|pattern| pattern.at_most(workload.steps()) == 1);
        if self.pattern != pattern && !once {
            return refused(format!("it was made for {}, and the run has {pattern}", self.pattern));
        }
        Ok(&self.strategy)
    }

    /// The strategy, whatever it was made for.
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// What it was made for.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// How often units may take part.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// Its errors for that.
    pub fn errors(&self) -> &Evaluation {
        &self.errors
    }
}

/// Beyond what powers and cosines of another machine may differ by.
fn differ(a: f64, b: f64) -> bool {
    (a - b).abs() > 1e-12 * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    fn file() -> StrategyFile {
        let workload = Workload::new(Ratios::cosine(40, 0.3).unwrap()).with_momentum(0.5).unwrap();
        let strategy = Strategy::lr_bisr(&workload, 5).unwrap();
        StrategyFile::new(strategy, workload, Pattern::separated(10, 4).unwrap()).unwrap()
    }

    #[test]
    fn files_come_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("strategy.json");
        file().save(&path).unwrap();
        assert_eq!(StrategyFile::load(&path).unwrap(), file());
    }

    #[test]
    fn another_run_is_refused_with_what_differs() {
        let (file, four) = (file(), Pattern::separated(10, 4).unwrap());
        let run = |steps: usize, end: f64, momentum: f64| {
            Workload::new(Ratios::cosine(steps, end).unwrap()).with_momentum(momentum).unwrap()
        };
        assert!(file.strategy_for(&run(40, 0.3, 0.5), four).is_ok());
        for (workload, pattern, place) in [
            (run(41, 0.3, 0.5), four, "40 steps"),
            (run(40, 0.300001, 0.5), four, "step 1"),
            (run(40, 0.3, 0.6), four, "momentum 0.5"),
            (run(40, 0.3, 0.5).with_decay(0.1).unwrap(), four, "weight decay"),
            (run(40, 0.3, 0.5), Pattern::separated(10, 3).unwrap(), "at most 4 times"),
        ] {
            let error = file.strategy_for(&workload, pattern).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn damaged_files_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("strategy.json");
        let damaged = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut json = serde_json::to_value(file()).unwrap();
            change(&mut json);
            std::fs::write(&path, json.to_string()).unwrap();
            StrategyFile::load(&path).unwrap_err().to_string()
        };
        assert!(damaged(&|json| json["format"] = 2.into()).contains("format is 2"));
        assert!(damaged(&|json| json["strategy"]["coefficients"] = serde_json::json!([])).contains("number of bands"));
        assert!(damaged(&|json| json["strategy"]["steps"] = 39.into()).contains("39 steps"));
        assert!(damaged(&|json| json["workload"]["momentum"] = 1.5.into()).contains("momentum"));
        assert!(damaged(&|json| json["workload"]["ratios"][3] = 0.into()).contains("step 3"));
        assert!(damaged(&|json| json["pattern"]["at_most"] = 5.into()).contains("41 steps"));
        assert!(damaged(&|json| json["secret"] = 5.into()).contains("secret"));
        std::fs::write(&path, "{").unwrap();
        assert!(StrategyFile::load(&path).unwrap_err().to_string().contains("line 1"));
        assert!(StrategyFile::load(&folder.path().join("none.json")).unwrap_err().to_string().contains("none.json"));
    }
}
