//! Theory and descent of one problem, side by side.

use serde::{Deserialize, Serialize};
use thalweg_descent::Seed;
use thalweg_probes::overlay::{self, Caveat, Gap};

use super::exact::{self, Path};
use super::modes::{Modes, Weights};
use super::plateau;
use super::problem::Problem;
use super::published::Published;
use super::sgd::{self, Band, Plan};
use super::transformer::Transformer;
use crate::error::{Error, Result};
use crate::ode::Tolerance;

/// What to compare: a problem in the eigenbasis of its inputs, a balanced start, a plan of descent and its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// The input variances s_a, one a mode.
    pub variances: Vec<f64>,
    /// The context length N.
    pub contexts: u64,
    /// The product `a = p q` of each mode at the start.
    pub start: f64,
    /// The learning rate times the number of tasks.
    pub rate_times_tasks: f64,
    /// The number of steps.
    pub steps: u64,
    /// Contexts for each task and step.
    pub batch_per_task: usize,
    /// A record is kept after each so many steps.
    pub record_every: u64,
    /// The number of runs, each with random contexts of its own; 0 for theory alone.
    pub runs: u32,
    /// The seed of all runs.
    pub seed: u64,
    /// The relative tolerance to which the exact flow is followed.
    pub tolerance: f64,
}

impl Default for Experiment {
    /// Variances 2, 1, 1/2, 1/4, contexts of 32, a start of 1e-3, 8 runs of 6000 steps.
    fn default() -> Self {
        let plan = Plan::default();
        Self {
            variances: vec![2.0, 1.0, 0.5, 0.25],
            contexts: 32,
            start: 1e-3,
            rate_times_tasks: plan.rate_times_tasks,
            steps: plan.steps,
            batch_per_task: plan.batch_per_task,
            record_every: plan.record_every,
            runs: 8,
            seed: 0,
            tolerance: 1e-11,
        }
    }
}

/// One quantity by the published dynamics and by the exact one at finite context length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Both<P, E = P> {
    /// By the published dynamics.
    pub published: P,
    /// By the exact dynamics, derived here.
    pub exact: E,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where each mode ends; exactly 0 for a mode below the cut-off.
    pub plateau: Both<Vec<f64>>,
    /// When each mode reaches half its plateau; `null` for a mode that is never learned, or too late to be found.
    pub half_time: Both<Vec<f64>, Vec<Option<f64>>>,
    /// The root mean squared distance of the measured mean from each dynamics; `null` without runs.
    pub rms: Both<Option<f64>>,
    /// The distance from the right theory that the spread over runs lets one expect; `null` without runs.
    pub expected_rms: Option<f64>,
}

/// The report with the curves behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// The times of all curves.
    pub times: Vec<f64>,
    /// Each mode's product by the published dynamics, one row a time.
    pub published: Vec<Vec<f64>>,
    /// The exact flow.
    pub exact: Path,
    /// The largest change of its curves when it is followed to half the tolerance; `None` where half is below rounding.
    pub change_at_half_tolerance: Option<f64>,
    /// The measured band, where there are runs.
    pub measured: Option<Band>,
    /// Where the search for exact half-times was given up, if a learned mode was not half learned by then.
    pub half_times_searched_to: Option<f64>,
    /// Why the published dynamics need not hold here.
    pub caveats: Vec<Caveat>,
}

impl Outcome {
    /// How far the measured mean of each mode is from both theories; a gap above `tolerance` is one. `None` without runs.
    ///
    /// # Errors
    /// When the measurement is not finite.
    pub fn gaps(&self, tolerance: f64) -> Result<Option<Vec<Both<Gap>>>> {
        let Some(band) = &self.measured else { return Ok(None) };
        let exact: Vec<Vec<f64>> = self.exact.weights.iter().map(Weights::products).collect();
        let root = (band.runs.len() as f64).sqrt();
        let of_mode = |mode: usize| {
            let column = |rows: &[Vec<f64>]| rows.iter().map(|row| row[mode]).collect::<Vec<_>>();
            let errors: Vec<f64> = band.deviation.iter().map(|row| row[mode] / root).collect();
            // One run has no spread.
            let errors = (band.runs.len() > 1).then_some(&errors[..]);
            let gap = |theory: &[Vec<f64>]| overlay::gap(&self.times, &column(&band.mean), &column(theory), errors, tolerance);
            Ok(Both { published: gap(&self.published)?, exact: gap(&exact)? })
        };
        (0..self.report.plateau.exact.len()).map(of_mode).collect::<Result<_>>().map(Some)
    }
}

/// More values of one curve are not kept.
const MOST_VALUES: u64 = 10_000_000;

impl Experiment {
    /// Computes both theories, descends, and compares.
    ///
    /// ```
    /// use thalweg_dynamics::icl::Experiment;
    ///
    /// let theory = Experiment { runs: 0, ..Experiment::default() }.run()?;
    /// assert!((theory.report.plateau.exact[3] - 3.119_526_61).abs() < 1e-8);
    /// assert!((theory.report.plateau.published[3] - 2.666_67).abs() < 1e-5);
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range; [`Error::Diverged`] when a step is too large.
    pub fn run(&self) -> Result<Outcome> {
        let modes = Modes::new(&self.variances, self.contexts)?;
        let start = Weights::balanced(modes.len(), self.start)?;
        let plan = self.plan();
        plan.check()?;
        let values = (self.steps / self.record_every).saturating_mul(modes.len() as u64);
        if values > MOST_VALUES {
            let expected = format!("at most {MOST_VALUES}: record more rarely");
            return Err(Error::value("the number of records times modes", values, expected));
        }
        if self.steps < self.record_every {
            return Err(Error::value("the number of steps", self.steps, format!("at least {}, one record", self.record_every)));
        }
        let tolerance = Tolerance::new(self.tolerance)?;
        let measured = (self.runs > 0).then(|| self.descend(&modes, &plan)).transpose()?;
        let theory = Published::new(&modes)?;
        let times = plan.times();
        let published = times.iter().map(|&t| theory.products(self.start, t)).collect::<Result<Vec<_>>>()?;
        let exact = exact::flow(&modes, &start, &times, &tolerance)?;
        let change_at_half_tolerance = self.change_at_half_tolerance(&modes, &start, &exact)?;
        let products: Vec<Vec<f64>> = exact.weights.iter().map(Weights::products).collect();
        let rms = |theory: &[Vec<f64>]| measured.as_ref().map(|band| band.rms(theory));
        let half = exact::half_times(&modes, self.start, &tolerance)?;
        let report = Report {
            plateau: Both { published: theory.plateau(), exact: plateau::of(&modes).products },
            half_time: Both { published: theory.half_times(self.start)?, exact: half.times },
            rms: Both { published: rms(&published), exact: rms(&products) },
            expected_rms: measured.as_ref().map(Band::expected_rms),
        };
        let half_times_searched_to = half.searched_to;
        let caveats = self.caveats();
        Ok(Outcome { report, times, published, exact, change_at_half_tolerance, measured, half_times_searched_to, caveats })
    }

    fn change_at_half_tolerance(&self, modes: &Modes, start: &Weights, exact: &Path) -> Result<Option<f64>> {
        let Ok(half) = Tolerance::new(0.5 * self.tolerance) else { return Ok(None) };
        let again = exact::flow(modes, start, &exact.times, &half)?;
        let products = |path: &Path| path.weights.iter().flat_map(Weights::products).collect::<Vec<f64>>();
        let changes = products(exact).into_iter().zip(products(&again)).map(|(a, b)| (a - b).abs());
        Ok(Some(changes.fold(0.0, f64::max)))
    }

    fn plan(&self) -> Plan {
        Plan {
            rate_times_tasks: self.rate_times_tasks,
            steps: self.steps,
            batch_per_task: self.batch_per_task,
            record_every: self.record_every,
        }
    }

    fn descend(&self, modes: &Modes, plan: &Plan) -> Result<Band> {
        let d = modes.len();
        let root = self.start.sqrt();
        let diagonal: Vec<f64> = (0..d * d).map(|at| if at / d == at % d { root } else { 0.0 }).collect();
        let start = Transformer::reduced(d, &diagonal, &diagonal)?;
        sgd::ensemble(&Problem::aligned(modes)?, &start, plan, Seed(self.seed), self.runs)
    }

    /// The published dynamics is one of equal variances or of endless contexts.
    fn caveats(&self) -> Vec<Caveat> {
        let equal = self.variances.iter().all(|s| *s == self.variances[0]);
        if equal { Vec::new() } else { vec![Caveat::FiniteN, Caveat::Anisotropic] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Experiment {
        Experiment { steps: 3000, batch_per_task: 4, runs: 4, ..Experiment::default() }
    }

    // The seed is fixed, so this cannot fail by chance.
    #[test]
    fn descent_follows_the_exact_dynamics_and_not_the_published_one() {
        let found = small().run().unwrap();
        let rms = &found.report.rms;
        assert!(rms.exact.unwrap() < 0.02 && rms.published.unwrap() > 0.1, "{rms:?}");
        assert_eq!(found.caveats, [Caveat::FiniteN, Caveat::Anisotropic]);
        let gaps = found.gaps(0.1).unwrap().unwrap();
        assert!(gaps[3].published.largest > 0.2 && gaps[3].published.exceeded_at.is_some(), "{gaps:?}");
        assert!(gaps.iter().all(|mode| mode.exact.rms < mode.published.rms), "{gaps:?}");
        assert_eq!(Experiment { runs: 0, ..small() }.run().unwrap().gaps(0.1).unwrap(), None);
        let drift = |record: &sgd::Record| (record.imbalance - record.predicted_imbalance).abs();
        assert!(found.measured.unwrap().runs.iter().flatten().all(|record| drift(record) < 1e-10));
    }

    #[test]
    fn half_the_tolerance_changes_little_and_less_at_a_stricter_one() {
        let change =
            |tolerance: f64| Experiment { runs: 0, tolerance, ..small() }.run().unwrap().change_at_half_tolerance.unwrap();
        assert!(change(1e-11) < 1e-8 && change(1e-11) < change(1e-6), "{} {}", change(1e-11), change(1e-6));
    }

    #[test]
    fn the_report_has_its_agreed_shape() {
        let json = serde_json::to_value(Experiment { runs: 0, ..small() }.run().unwrap().report).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["plateau", "half_time", "rms", "expected_rms"]);
        for key in ["plateau", "half_time"] {
            assert!(json[key]["published"].is_array() && json[key]["exact"].is_array());
        }
        assert!(json["rms"]["exact"].is_null());
    }

    #[test]
    fn bad_experiments_are_refused_by_name() {
        let refused = |experiment: Experiment| experiment.run().unwrap_err().to_string();
        assert!(refused(Experiment { variances: vec![1.0, -1.0], ..small() }).contains("variance of mode 1"));
        assert!(refused(Experiment { contexts: 0, ..small() }).contains("context length"));
        assert!(refused(Experiment { start: 0.0, ..small() }).contains("a0"));
        let wide = Experiment { variances: vec![1.0; 200], record_every: 1, steps: 900_000, runs: 0, ..small() };
        assert!(refused(wide).contains("records times modes"));
        assert!(refused(Experiment { steps: 0, ..small() }).contains("steps"));
        assert!(refused(Experiment { record_every: 0, runs: 0, ..small() }).contains("records"));
        assert!(refused(Experiment { tolerance: 1e-17, runs: 0, ..small() }).contains("rounding"));
        assert!(refused(Experiment { rate_times_tasks: f64::NAN, runs: 0, ..small() }).contains("rate"));
        assert!(refused(Experiment { rate_times_tasks: 100.0, ..small() }).contains("too large"));
    }
}
