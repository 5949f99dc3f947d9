//! The strategies that are tuned or optimised on the exact objective of the workload.

use rayon::prelude::*;

use super::closed_form::check_bands;
use super::{Form, Name, Strategy};
use crate::coefficients;
use crate::error::{Error, Result};
use crate::evaluation::{Errors, Objective, evaluate, squared_row_norms};
use crate::optimise::{Band, Side, minimise_on};
use crate::pattern::Pattern;
use crate::sensitivity;
use crate::workload::Workload;

impl Strategy {
    /// `C = toep(a^j c_j)` with a in (0, 1] tuned for the objective; c is the prefix root, or the learning-rate-aware root.
    ///
    /// Never worse than either of them: both belong to the family, with a = 1. For exponential rates the learning-rate-aware
    /// root is itself a scaled prefix root. `a = e^{-u/n}` with u in [0, 30].
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn alpha_tuned(workload: &Workload, pattern: Pattern, objective: Objective) -> Result<Self> {
        let n = workload.steps();
        let roots = match workload.ratios().exponential_factor() {
            Some(_) => vec![Self::prefix_root(workload)],
            None => vec![Self::prefix_root(workload), Self::lr_root(workload)],
        };
        let mut candidates = vec![Self::prefix_root(workload), Self::lr_root(workload)];
        for root in &roots {
            let scaled = |u: f64| root.damped((-u / n as f64).exp());
            let c = root.toeplitz().unwrap_or_default();
            let error = |u: f64| {
                let damped = coefficients::scaled(&c, (-u / n as f64).exp());
                quick_error(workload, &scaled(u), &damped, pattern, objective)
            };
            candidates.push(scaled(minimise_on(0.0, 30.0, 30, error)));
        }
        best(candidates, workload, pattern, objective).map(|strategy| strategy.renamed(Name::AlphaTuned))
    }

    /// [`lambda_cgd`](Self::lambda_cgd) with lambda in [0, 1] tuned for the objective.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn lambda_cgd_tuned(workload: &Workload, pattern: Pattern, objective: Objective) -> Result<Self> {
        let n = workload.steps();
        let error = |lambda: f64| {
            let Ok(strategy) = Self::lambda_cgd(n, lambda) else { return f64::INFINITY };
            strategy.toeplitz().map_or(f64::INFINITY, |c| quick_error(workload, &strategy, &c, pattern, objective))
        };
        Self::lambda_cgd(n, minimise_on(0.0, 1.0, 30, error))
    }

    /// The banded inverse Toeplitz strategy with the smallest error: `C^{-1} = toep(ct)` with p coefficients.
    ///
    /// Descends from [`bisr`](Self::bisr), [`lr_bisr`](Self::lr_bisr) and independent noise, and is never worse than any of them.
    ///
    /// ```
    /// use thalweg_private::{Objective, Pattern, Ratios, Strategy, Workload, evaluate};
    ///
    /// let workload = Workload::new(Ratios::exponential(512, 0.1)?);
    /// let pattern = Pattern::separated(64, 8)?;
    /// let closed = evaluate(&workload, &Strategy::bisr(&workload, 4)?, pattern)?;
    /// let optimised = evaluate(&workload, &Strategy::bandinvmf(&workload, 4, pattern, Objective::Mean)?, pattern)?;
    /// assert!(optimised.mean_se < 0.55 * closed.mean_se); // 5.869 against 10.825
    /// # Ok::<(), thalweg_private::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] unless 1 <= p <= n; as [`evaluate`].
    pub fn bandinvmf(workload: &Workload, bands: usize, pattern: Pattern, objective: Objective) -> Result<Self> {
        check_bands(bands, workload.steps())?;
        let starts = vec![Self::bisr(workload, bands)?, Self::lr_bisr(workload, bands)?, Self::identity(workload.steps())?];
        Self::band(Name::Bandinvmf, Side::Inverse, starts, workload, bands, pattern, objective)
    }

    /// The banded Toeplitz strategy with the smallest error: `C = toep(c)` with p coefficients.
    ///
    /// Descends from [`bsr`](Self::bsr), [`lr_bsr`](Self::lr_bsr) and independent noise, and is never worse than any of them.
    ///
    /// # Errors
    /// As [`bandinvmf`](Self::bandinvmf).
    pub fn bandmf(workload: &Workload, bands: usize, pattern: Pattern, objective: Objective) -> Result<Self> {
        check_bands(bands, workload.steps())?;
        let starts = vec![Self::bsr(workload, bands)?, Self::lr_bsr(workload, bands)?, Self::identity(workload.steps())?];
        Self::band(Name::Bandmf, Side::Direct, starts, workload, bands, pattern, objective)
    }

    fn band(
        name: Name,
        side: Side,
        starts: Vec<Self>,
        workload: &Workload,
        bands: usize,
        pattern: Pattern,
        objective: Objective,
    ) -> Result<Self> {
        let band = Band::new(workload, bands, pattern, side, objective);
        let descend = |start: &Self| {
            let (Form::Inverse { coefficients } | Form::Direct { coefficients }) = &start.form else { return None };
            let mut unit: Vec<f64> = coefficients.iter().map(|value| value / coefficients[0]).collect();
            unit.resize(bands, 0.0);
            let coefficients = band.descend(&unit)?;
            let form = match side {
                Side::Inverse => Form::Inverse { coefficients },
                Side::Direct => Form::Direct { coefficients },
            };
            Self::new(name, workload.steps(), form).ok()
        };
        let promising = match workload.steps() {
            0..=SEVERAL_DESCENTS => starts.clone(),
            _ => vec![best(starts.clone(), workload, pattern, objective)?],
        };
        let found: Vec<Option<Self>> = promising.par_iter().map(descend).collect();
        let candidates = starts.into_iter().chain(found.into_iter().flatten()).collect();
        best(candidates, workload, pattern, objective).map(|strategy| strategy.renamed(name))
    }

    pub(super) fn renamed(self, name: Name) -> Self {
        Self { name, ..self }
    }

    /// Coefficient j of a Toeplitz `C^{-1}`, and so of C, times `factor^j`.
    fn damped(&self, factor: f64) -> Self {
        let form = match &self.form {
            Form::Inverse { coefficients } => Form::Inverse { coefficients: coefficients::scaled(coefficients, factor) },
            other => other.clone(),
        };
        Self { form, ..self.clone() }
    }
}

/// Above this many steps a descent takes seconds, and only the best start is worth one.
const SEVERAL_DESCENTS: usize = 4096;

/// The error of the Toeplitz strategy with the first column c, by the sensitivity bound that costs O(nk): a search asks often.
fn quick_error(workload: &Workload, strategy: &Strategy, c: &[f64], pattern: Pattern, objective: Objective) -> f64 {
    let (squared, _) = sensitivity::squared_with_gradient(c, workload.steps(), pattern);
    let errors = Errors::of(&squared_row_norms(workload, strategy));
    let error = squared.sqrt() * errors.get(objective);
    if error.is_finite() { error } else { f64::INFINITY }
}

/// The candidate with the smallest error; the first of equals. Candidates that cannot be evaluated are left out.
pub(super) fn best(candidates: Vec<Strategy>, workload: &Workload, pattern: Pattern, objective: Objective) -> Result<Strategy> {
    let evaluated: Vec<(Strategy, Result<f64>)> = candidates
        .into_par_iter()
        .map(|strategy| {
            let error = evaluate(workload, &strategy, pattern).map(|found| found.get(objective));
            (strategy, error)
        })
        .collect();
    let mut smallest: Option<(Strategy, f64)> = None;
    let mut failure = None;
    for (strategy, error) in evaluated {
        match error {
            Ok(error) if smallest.as_ref().is_none_or(|(_, least)| error < *least) => smallest = Some((strategy, error)),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    match (smallest, failure) {
        (Some((strategy, _)), _) => Ok(strategy),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::unsuitable("the optimiser", "there is no strategy to choose from")),
    }
}
