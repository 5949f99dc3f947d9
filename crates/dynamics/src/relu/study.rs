//! How the test error falls with data: error against d^2 / n on 2-XOR, by the published text's protocol and by its notebook's.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_descent::Seed;

use super::examples::Examples;
use super::network::{Network, Shape};
use super::training::Training;
use super::two_layer::{Epochs, TwoLayer};
use super::xor;
use crate::error::{Error, Result, positive};

/// Which network is trained, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// As in the text: hidden layers alone, from the symmetric start, without biases.
    Text,
    /// As in the notebook: one hidden layer, both layers and their biases, and an early end when the loss changes by less than 1e-6.
    Notebook,
}

/// A study of the test error over all 2^d points, training points included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Study {
    /// The protocol.
    pub protocol: Protocol,
    /// The cells: dimension d and number of training points n.
    pub cells: Vec<(usize, usize)>,
    /// Independent trials of each cell, each with its own points and network.
    pub trials: u32,
    /// The numbers of steps after which the error is measured, increasing.
    pub steps: Vec<u64>,
    /// The learning rate.
    pub rate: f64,
    /// The width m.
    pub width: usize,
    /// The hidden layers L of the text's protocol.
    pub depth: usize,
    /// The seed of all trials.
    pub seed: u64,
}

impl Default for Study {
    /// d = 6, n = 10, 14, 20, 28, 12 trials, m = 128, L = 1, rate 0.1, after 500 and 2000 steps of the notebook's protocol.
    fn default() -> Self {
        Self {
            protocol: Protocol::Notebook,
            cells: [10, 14, 20, 28].map(|n| (6, n)).to_vec(),
            trials: 12,
            steps: vec![500, 2000],
            rate: 0.1,
            width: 128,
            depth: 1,
            seed: 0,
        }
    }
}

/// One cell after some steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The dimension d.
    pub d: usize,
    /// The number of training points n.
    pub n: usize,
    /// d^2 / n.
    pub d_squared_over_n: f64,
    /// The mean test error over trials.
    pub mean: f64,
    /// Its standard error; 0 for one trial.
    pub standard_error: f64,
    /// The test error of each trial.
    pub errors: Vec<f64>,
}

/// All cells after some steps, and the line through them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The steps made; fewer where a trial ended early.
    pub steps: u64,
    /// The cells, in the order in which they were asked for.
    pub cells: Vec<Cell>,
    /// The least-squares line of the mean error over d^2 / n; `None` where all cells have the same.
    pub line: Option<Line>,
}

/// `error = intercept + slope d^2 / n`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The slope.
    pub slope: f64,
    /// The standard error of the slope, from those of the cells.
    pub standard_error: f64,
    /// The intercept.
    pub intercept: f64,
}

impl Study {
    /// Runs all trials, on all threads; the result does not depend on their number.
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range; [`Error::Diverged`] for a trial that diverges.
    pub fn run(&self) -> Result<Vec<Row>> {
        self.check()?;
        let trials = self.cells.iter().flat_map(|&cell| (0..self.trials).map(move |trial| (cell, trial)));
        let trials: Vec<((usize, usize), u32)> = trials.collect();
        let all: Vec<Result<Vec<f64>>> = trials.par_iter().map(|&((d, n), trial)| self.trial(d, n, trial)).collect();
        let errors = all.into_iter().collect::<Result<Vec<_>>>()?;
        let of_cells: Vec<Vec<Vec<f64>>> = errors.chunks_exact(self.trials as usize).map(<[_]>::to_vec).collect();
        Ok(self.rows(&of_cells))
    }

    /// What trials came to: for each cell its finished [`trial`](Self::trial)s. Cells without one are left out.
    pub fn rows(&self, of_cells: &[Vec<Vec<f64>>]) -> Vec<Row> {
        let row = |(at, steps): (usize, &u64)| {
            let finished = self.cells.iter().zip(of_cells).filter(|(_, trials)| !trials.is_empty());
            let cells = finished.map(|(&(d, n), trials)| Cell::new(d, n, trials.iter().map(|errors| errors[at])));
            let cells: Vec<Cell> = cells.collect();
            Row { steps: *steps, line: Line::through(&cells), cells }
        };
        self.steps.iter().enumerate().map(row).collect()
    }

    /// One trial of dimension d and n points: the test error after each number of steps. It draws from a stream of its own.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn trial(&self, d: usize, n: usize, trial: u32) -> Result<Vec<f64>> {
        let stream = Seed(self.seed).stream(&format!("2-XOR d {d} n {n} trial {trial}"));
        let all = xor::all(d)?;
        let examples = all.select(&xor::sample(d, n, &mut stream.at(0))?)?;
        match self.protocol {
            Protocol::Text => self.by_text(&all, &examples, &mut stream.at(1)),
            Protocol::Notebook => self.by_notebook(&all, &examples, &mut stream.at(1)),
        }
    }

    fn by_text(&self, all: &Examples, examples: &Examples, rng: &mut thalweg_descent::streams::StreamRng) -> Result<Vec<f64>> {
        let mut network = Network::random(Shape::new(all.dimension(), self.width, self.depth)?, rng);
        let mut errors = Vec::new();
        let mut made = 0;
        for &steps in &self.steps {
            let more = steps - made;
            Training { rate: self.rate, steps: more, record: Vec::new() }.run(&mut network, examples, all, &mut ())?;
            errors.push(all.error(network.outputs(all)?));
            made = steps;
        }
        Ok(errors)
    }

    fn by_notebook(
        &self,
        all: &Examples,
        examples: &Examples,
        rng: &mut thalweg_descent::streams::StreamRng,
    ) -> Result<Vec<f64>> {
        let mut network = TwoLayer::random(all.dimension(), self.width, rng)?;
        let most = self.steps.last().copied().unwrap_or(0);
        let epochs = Epochs { rate: self.rate, most, least_change: Some(1e-6), record: self.steps.clone() };
        let snapshots = epochs.run(&mut network, examples)?;
        let at_end = network.error(all)?;
        // A trial that ended early keeps its error.
        (0..self.steps.len()).map(|at| snapshots.get(at).map_or(Ok(at_end), |snapshot| snapshot.network.error(all))).collect()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range.
    pub fn check(&self) -> Result<()> {
        positive("the learning rate", self.rate)?;
        let count = |what: &str, found: usize| match found {
            0 => Err(Error::value(what, 0, "1 or more")),
            _ => Ok(()),
        };
        count("the number of cells", self.cells.len())?;
        count("the number of trials", self.trials as usize)?;
        count("the number of steps", self.steps.len())?;
        for &(d, n) in &self.cells {
            xor::check_sample(d, n)?;
        }
        match self.protocol {
            Protocol::Text => drop(Shape::new(self.cells[0].0, self.width, self.depth)?),
            Protocol::Notebook if self.depth != 1 => {
                return Err(Error::value("the depth", self.depth, "1: the notebook's network has one hidden layer"));
            }
            Protocol::Notebook => count("the width", self.width)?,
        }
        match self.steps.windows(2).find(|pair| pair[1] <= pair[0]) {
            Some(pair) => Err(Error::value("the steps", pair[1], format!("above {}, the number before", pair[0]))),
            None => Ok(()),
        }
    }
}

impl Cell {
    fn new(d: usize, n: usize, errors: impl Iterator<Item = f64>) -> Self {
        let errors: Vec<f64> = errors.collect();
        let count = errors.len() as f64;
        let mean = errors.iter().sum::<f64>() / count;
        let squares: f64 = errors.iter().map(|error| (error - mean).powi(2)).sum();
        let standard_error = (squares / (count - 1.0).max(1.0) / count).sqrt();
        Self { d, n, d_squared_over_n: (d * d) as f64 / n as f64, mean, standard_error, errors }
    }
}

impl Line {
    /// The least-squares line, each cell with the same weight; `None` unless two cells differ in d^2 / n.
    fn through(cells: &[Cell]) -> Option<Self> {
        let count = cells.len() as f64;
        let centre = cells.iter().map(|cell| cell.d_squared_over_n).sum::<f64>() / count;
        let middle = cells.iter().map(|cell| cell.mean).sum::<f64>() / count;
        let spread: f64 = cells.iter().map(|cell| (cell.d_squared_over_n - centre).powi(2)).sum();
        if spread <= 0.0 {
            return None;
        }
        let away = |cell: &Cell| cell.d_squared_over_n - centre;
        let slope = cells.iter().map(|cell| away(cell) * (cell.mean - middle)).sum::<f64>() / spread;
        let variance: f64 = cells.iter().map(|cell| (away(cell) * cell.standard_error / spread).powi(2)).sum();
        Some(Self { slope, standard_error: variance.sqrt(), intercept: middle - slope * centre })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(protocol: Protocol) -> Study {
        Study { protocol, trials: 4, steps: vec![50, 150], width: 32, cells: vec![(4, 6), (4, 12)], ..Study::default() }
    }

    #[test]
    fn more_data_has_less_error_and_threads_change_nothing() {
        for protocol in [Protocol::Text, Protocol::Notebook] {
            let study = small(protocol);
            let on = |threads: usize| {
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| study.run().unwrap())
            };
            let rows = on(1);
            assert_eq!(rows, on(3));
            assert_eq!(rows.len(), 2);
            let line = rows[1].line.unwrap();
            assert!(line.slope > 0.0 && line.standard_error > 0.0, "{protocol:?} {line:?}");
            assert!(rows[1].cells[0].errors.iter().all(|error| (error * 16.0).fract() == 0.0));
        }
    }

    #[test]
    fn steps_continue_one_run() {
        let both = small(Protocol::Text).run().unwrap();
        let late = Study { steps: vec![150], ..small(Protocol::Text) }.run().unwrap();
        assert_eq!(both[1].cells, late[0].cells);
        let all = Study { cells: vec![(4, 16)], ..small(Protocol::Text) }.run().unwrap();
        assert_eq!(all[0].line, None);
    }

    #[test]
    fn bad_studies_are_refused_by_name() {
        let refused = |study: Study| study.run().unwrap_err().to_string();
        let base = || small(Protocol::Text);
        assert!(refused(Study { cells: vec![], ..base() }).contains("cells"));
        assert!(refused(Study { trials: 0, ..base() }).contains("trials"));
        assert!(refused(Study { steps: vec![], ..base() }).contains("steps"));
        assert!(refused(Study { steps: vec![100, 50], ..base() }).contains("above 100"));
        assert!(refused(Study { cells: vec![(4, 17)], ..base() }).contains("without replacement"));
        assert!(refused(Study { cells: vec![(2, 2)], ..base() }).contains("dimension d"));
        assert!(refused(Study { width: 7, ..base() }).contains("even"));
        assert!(refused(Study { rate: 0.0, ..base() }).contains("rate"));
    }
}
