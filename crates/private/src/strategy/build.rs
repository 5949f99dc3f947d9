//! One entry to every strategy, by its name.

use rayon::prelude::*;

use super::optimised::best;
use super::{Name, Strategy};
use crate::error::Result;
use crate::evaluation::{Objective, evaluate};
use crate::pattern::Pattern;
use crate::workload::Workload;

/// What a person may ask of a strategy beside its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// The number of bands p of the banded strategies; at most n of them are used. `blt` takes as many buffers as fit into the
    /// same memory of p - 1 vectors, two each.
    ///
    /// Without it p is scanned: closed forms take the best of [`band_scan`]; optimised ones double p while that gains 1 %.
    pub bands: Option<usize>,
    /// What the tuned and optimised strategies, and the scan, minimise.
    pub objective: Objective,
}

/// An optimised strategy gets twice the memory only for a gain of this fraction.
const WORTH_DOUBLING: f64 = 0.01;

/// Above this many bands an optimised strategy is not tried in a scan: a step of its descent takes p^2 time.
const WIDEST_OPTIMISED: usize = 512;

impl Strategy {
    /// Builds the strategy of this name for a workload and a participation pattern.
    ///
    /// ```
    /// use thalweg_private::{BuildOptions, Name, Pattern, Ratios, Strategy, Workload};
    ///
    /// let workload = Workload::new(Ratios::cosine(200, 0.1)?);
    /// let options = BuildOptions { bands: Some(8), ..BuildOptions::default() };
    /// let strategy = Strategy::build(Name::Bandinvmf, &workload, Pattern::separated(50, 4)?, options)?;
    /// assert_eq!(strategy.memory_vectors(), 7);
    /// # Ok::<(), thalweg_private::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for 0 bands or a pattern that does not fit the steps;
    /// [`Error::Unsuitable`](crate::Error::Unsuitable) when the strategy cannot be
    /// built or evaluated here, with the reason.
    pub fn build(name: Name, workload: &Workload, pattern: Pattern, options: BuildOptions) -> Result<Self> {
        let pattern = pattern.fitting(workload.steps())?;
        let objective = options.objective;
        match name {
            Name::Identity => Self::identity(workload.steps()),
            Name::Output => Ok(Self::output(workload)),
            Name::PrefixRoot => Ok(Self::prefix_root(workload)),
            Name::Split => Ok(Self::split(workload)),
            Name::LrRoot => Ok(Self::lr_root(workload)),
            Name::AlphaTuned => Self::alpha_tuned(workload, pattern, objective),
            Name::LambdaCgd => Self::lambda_cgd_tuned(workload, pattern, objective),
            Name::Bsr => of_width(Self::bsr, workload, pattern, options),
            Name::LrBsr => of_width(Self::lr_bsr, workload, pattern, options),
            Name::Bisr => of_width(Self::bisr, workload, pattern, options),
            Name::LrBisr => of_width(Self::lr_bisr, workload, pattern, options),
            Name::Bandmf => of_optimised_width(Self::bandmf, [Self::bsr, Self::lr_bsr], workload, pattern, options),
            Name::Bandinvmf => of_optimised_width(Self::bandinvmf, [Self::bisr, Self::lr_bisr], workload, pattern, options),
            Name::Blt => match options.bands {
                Some(bands) => Self::blt_within(workload, bands.min(workload.steps()), pattern, objective),
                None => Self::blt(workload, None, pattern, objective),
            },
            Name::Dense => Self::dense(workload),
        }
    }
}

type Closed = fn(&Workload, usize) -> Result<Strategy>;
type Optimised = fn(&Workload, usize, Pattern, Objective) -> Result<Strategy>;

/// The bandwidths to try where none is asked for: the powers of two below b, then b, 2b, b ln b and n.
pub fn band_scan(separation: usize, steps: usize) -> Vec<usize> {
    let b = separation.min(steps);
    let wide = (b as f64 * (b as f64).ln()).round() as usize;
    let mut widths: Vec<usize> = std::iter::successors(Some(1), |p| Some(2 * p)).take_while(|&p| p < b).collect();
    widths.extend([b, 2 * b, wide, steps]);
    widths.retain(|p| (1..=steps).contains(p));
    widths.sort_unstable();
    widths.dedup();
    widths
}

fn of_width(closed: Closed, workload: &Workload, pattern: Pattern, options: BuildOptions) -> Result<Strategy> {
    let n = workload.steps();
    if let Some(bands) = options.bands {
        return closed(workload, bands.min(n));
    }
    let widths = band_scan(pattern.separation(n), n);
    let candidates: Result<Vec<Strategy>> = widths.into_par_iter().map(|p| closed(workload, p)).collect();
    best(candidates?, workload, pattern, options.objective)
}

/// The optimised strategy whose p has been doubled while that gained 1 %; the best closed form of any width where that is better.
fn of_optimised_width(
    optimised: Optimised,
    closed: [Closed; 2],
    workload: &Workload,
    pattern: Pattern,
    options: BuildOptions,
) -> Result<Strategy> {
    let n = workload.steps();
    if let Some(bands) = options.bands {
        return optimised(workload, bands.min(n), pattern, options.objective);
    }
    let widest = pattern.separation(n).min(n).min(WIDEST_OPTIMISED);
    let at = |p: usize| -> Result<(Strategy, f64)> {
        let strategy = optimised(workload, p, pattern, options.objective)?;
        let error = evaluate(workload, &strategy, pattern)?.get(options.objective);
        Ok((strategy, error))
    };
    let mut p = widest.min(2);
    let (mut strategy, mut error) = at(p)?;
    while p < widest {
        p = widest.min(2 * p);
        let (wider, smaller) = at(p)?;
        if smaller > error * (1.0 - WORTH_DOUBLING) {
            break;
        }
        (strategy, error) = (wider, smaller);
    }
    let name = strategy.name();
    let mut candidates = vec![strategy];
    for closed in closed {
        candidates.push(of_width(closed, workload, pattern, options)?);
    }
    best(candidates, workload, pattern, options.objective).map(|strategy| strategy.renamed(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    #[test]
    fn widths_are_within_the_steps() {
        assert_eq!(band_scan(78, 781), [1, 2, 4, 8, 16, 32, 64, 78, 156, 340, 781]);
        assert_eq!(band_scan(1, 5), [1, 2, 5]);
        assert_eq!(band_scan(9, 4), [1, 2, 4]);
        assert_eq!(band_scan(1, 1), [1]);
    }

    #[test]
    fn more_bands_than_steps_are_as_many_as_steps() {
        let workload = Workload::new(Ratios::constant(5).unwrap());
        let options = BuildOptions { bands: Some(64), ..BuildOptions::default() };
        for name in [Name::Bsr, Name::Bisr, Name::Bandmf, Name::Bandinvmf] {
            assert_eq!(Strategy::build(name, &workload, Pattern::Single, options).unwrap().memory_vectors(), 4);
        }
        let none = BuildOptions { bands: Some(0), ..options };
        assert!(Strategy::build(Name::Bisr, &workload, Pattern::Single, none).unwrap_err().to_string().contains("1 to 5"));
    }

    #[test]
    fn scanned_widths_are_no_worse_than_any_closed_form() {
        let workload = Workload::new(Ratios::exponential(120, 0.1).unwrap());
        let pattern = Pattern::separated(20, 6).unwrap();
        let error = |strategy: &Strategy| evaluate(&workload, strategy, pattern).unwrap().mean_se;
        let build = |name| error(&Strategy::build(name, &workload, pattern, BuildOptions::default()).unwrap());
        let least = |closed: [Closed; 2]| {
            let widths = band_scan(20, 120).into_iter();
            widths.flat_map(|p| closed.map(|closed| error(&closed(&workload, p).unwrap()))).fold(f64::INFINITY, f64::min)
        };
        assert!(build(Name::Bandmf) <= least([Strategy::bsr, Strategy::lr_bsr]));
        assert!(build(Name::Bandinvmf) <= least([Strategy::bisr, Strategy::lr_bisr]));
        let closed = build(Name::Bsr).min(build(Name::LrBsr));
        assert_eq!(closed, least([Strategy::bsr, Strategy::lr_bsr]));
    }

    #[test]
    fn patterns_that_do_not_fit_are_refused() {
        let workload = Workload::new(Ratios::constant(50).unwrap());
        let pattern = Pattern::separated(25, 3).unwrap();
        let error = Strategy::build(Name::Identity, &workload, pattern, BuildOptions::default()).unwrap_err().to_string();
        assert!(error.contains("51 steps"), "{error}");
    }
}
