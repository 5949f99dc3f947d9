//! All mechanisms side by side, on one workload and participation pattern.

mod findings;

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::evaluation::{Evaluation, Objective, evaluate_rows};
use crate::lower_bound::lower_bound;
use crate::pattern::Pattern;
use crate::sensitivity::Kind;
use crate::strategy::{BuildOptions, Name, Strategy, band_scan};
use crate::workload::Workload;

/// Errors closer than this fraction count as equal, and the simpler mechanism is recommended.
const TIE: f64 = 1e-3;

/// Where no memory is named, a mechanism that keeps more vectors of the model's size than this is not recommended.
const USUAL_MEMORY: usize = 64;

/// A curve for drawing has at most so many points.
const CURVE_POINTS: usize = 400;

/// What is compared, and by what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompareOptions {
    /// The number of bands p of the banded mechanisms, and the memory for which a mechanism is recommended: p - 1 vectors of the
    /// model's size. Without it p is scanned, and one that keeps at most 64 vectors is recommended.
    pub bands: Option<usize>,
    /// The error that mechanisms minimise and that decides.
    pub objective: Objective,
    /// The mechanisms; all where it is empty.
    pub only: Vec<Name>,
}

impl CompareOptions {
    /// The mechanisms that are compared, in the order of [`Name::ALL`].
    pub fn names(&self) -> Vec<Name> {
        Name::ALL.into_iter().filter(|name| self.only.is_empty() || self.only.contains(name)).collect()
    }
}

/// Every mechanism's errors, or why it was left out; the one to take, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The number of steps n.
    pub steps: usize,
    /// How often a unit takes part.
    pub pattern: Pattern,
    /// The error that decides.
    pub objective: Objective,
    /// In the order of [`Name::ALL`].
    pub mechanisms: Vec<Entry>,
    /// What no mechanism can be below, in both errors; none where it cannot be computed.
    pub lower_bound: Option<f64>,
    /// The mechanism with the least error; none where all were left out.
    pub recommended: Option<Name>,
    /// Why.
    pub reason: String,
}

/// One mechanism.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// How it did.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Errors, or the reason why there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It was built and evaluated.
    Evaluated(Box<Evaluated>),
    /// It was left out.
    Skipped {
        /// Why.
        skipped: String,
    },
}

/// The errors of one mechanism, in units of noise multiplier times clip norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The root of the worst iterate's expected squared error.
    pub max_se: f64,
    /// The root of the mean squared error over iterates.
    pub mean_se: f64,
    /// The sensitivity of the strategy, for clip norm 1.
    pub sensitivity: f64,
    /// Whether that is exact or an upper bound.
    pub sensitivity_kind: Kind,
    /// The row of the worst iterate, from 1.
    pub argmax_row: usize,
    /// Vectors of the model's size that the noise keeps in memory.
    pub memory_vectors: usize,
    /// The error of the iterates.
    pub curve: Curve,
    /// The strategy itself, to train with; none in a comparison that was read from JSON.
    #[serde(skip)]
    pub strategy: Option<Strategy>,
}

/// The root expected squared error of single iterates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Rows, from 1, in rising order: the first, the last, the worst, and at most 400 in all.
    pub rows: Vec<usize>,
    /// The error of each.
    pub errors: Vec<f64>,
}

impl Curve {
    fn new(squares: &[f64], evaluation: &Evaluation) -> Self {
        let last = squares.len() - 1;
        let points = CURVE_POINTS.min(squares.len() + 1) - 1;
        let even = (0..points).map(|i| i * last / (points - 1).max(1));
        let rows: BTreeSet<usize> = even.chain([evaluation.argmax_row - 1]).collect();
        let errors = rows.iter().map(|&row| evaluation.sensitivity.value * squares[row].sqrt()).collect();
        Self { rows: rows.iter().map(|row| row + 1).collect(), errors }
    }
}

impl Evaluated {
    /// The error that an objective looks at.
    pub fn get(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Mean => self.mean_se,
            Objective::Max => self.max_se,
        }
    }
}

impl Entry {
    /// The errors, where it was not left out.
    pub fn evaluated(&self) -> Option<&Evaluated> {
        match &self.outcome {
            Outcome::Evaluated(evaluated) => Some(evaluated),
            Outcome::Skipped { .. } => None,
        }
    }
}

/// Builds and evaluates the mechanisms, in parallel.
///
/// ```
/// use thalweg_private::{CompareOptions, Name, Pattern, Ratios, Workload, compare};
///
/// let workload = Workload::new(Ratios::cosine(200, 0.1)?);
/// let options = CompareOptions { bands: Some(8), ..CompareOptions::default() };
/// let comparison = compare(&workload, Pattern::separated(50, 4)?, &options)?;
/// assert_eq!(comparison.mechanisms.len(), Name::ALL.len());
/// assert_eq!(comparison.recommended, Some(Name::Bandinvmf));
/// # Ok::<(), thalweg_private::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`](crate::Error::Value) for a pattern that does not fit the steps, or 0 bands. What hinders a single mechanism
/// is its entry.
pub fn compare(workload: &Workload, pattern: Pattern, options: &CompareOptions) -> Result<Comparison> {
    compare_watched(workload, pattern, options, |_| {})
}

/// The same, telling of each mechanism when it is done: above some thousand steps the optimised ones take their time.
///
/// # Errors
/// As [`compare`].
pub fn compare_watched(
    workload: &Workload,
    pattern: Pattern,
    options: &CompareOptions,
    done: impl Fn(Name) + Sync,
) -> Result<Comparison> {
    let pattern = pattern.fitting(workload.steps())?;
    if let Some(bands) = options.bands {
        crate::strategy::check_bands(bands.min(workload.steps()), workload.steps())?;
    }
    let names = options.names();
    let entry = |name: Name| {
        let outcome = evaluated(name, workload, pattern, options)
            .map_or_else(|error| Outcome::Skipped { skipped: error.to_string() }, |found| Outcome::Evaluated(Box::new(found)));
        done(name);
        Entry { name, outcome }
    };
    let (mut mechanisms, bound): (Vec<Entry>, _) =
        rayon::join(|| names.into_par_iter().map(entry).collect(), || lower_bound(workload, pattern).ok());
    let replaced = narrow_the_best(&mut mechanisms, workload, pattern, options);
    let (recommended, reason) = recommend(&mechanisms, replaced.as_ref(), options);
    Ok(Comparison {
        steps: workload.steps(),
        pattern,
        objective: options.objective,
        mechanisms,
        lower_bound: bound,
        recommended,
        reason,
    })
}

fn evaluated(name: Name, workload: &Workload, pattern: Pattern, options: &CompareOptions) -> Result<Evaluated> {
    let build = BuildOptions { bands: options.bands, objective: options.objective };
    let strategy = Strategy::build(name, workload, pattern, build)?;
    let (evaluation, squares) = evaluate_rows(workload, &strategy, pattern)?;
    Ok(Evaluated {
        max_se: evaluation.max_se,
        mean_se: evaluation.mean_se,
        sensitivity: evaluation.sensitivity.value,
        sensitivity_kind: evaluation.sensitivity.kind,
        argmax_row: evaluation.argmax_row,
        memory_vectors: strategy.memory_vectors(),
        curve: Curve::new(&squares, &evaluation),
        strategy: Some(strategy),
    })
}

/// A scan may end at more bands than can be recommended. Where such a mechanism is the best with fewer too, it stands with those;
/// gives what stood there before.
fn narrow_the_best(
    mechanisms: &mut [Entry],
    workload: &Workload,
    pattern: Pattern,
    options: &CompareOptions,
) -> Option<(Name, Evaluated)> {
    if options.bands.is_some() {
        return None;
    }
    let error = |found: &Evaluated| found.get(options.objective);
    let within = mechanisms.iter().filter_map(Entry::evaluated).filter(|found| found.memory_vectors <= USUAL_MEMORY);
    let to_beat = within.map(error).fold(f64::INFINITY, f64::min) / (1.0 + TIE);
    let widths = band_scan(pattern.separation(workload.steps()), workload.steps());
    let narrowed = |name: Name| {
        let mut widths = widths.iter().filter(|&&bands| bands <= USUAL_MEMORY + 1);
        let of_width =
            |&bands: &usize| evaluated(name, workload, pattern, &CompareOptions { bands: Some(bands), ..options.clone() });
        // An optimised one of more bands is never worse.
        match name {
            Name::Bandmf | Name::Bandinvmf => of_width(widths.next_back()?).ok(),
            _ => widths.filter_map(|bands| of_width(bands).ok()).min_by(|a, b| error(a).total_cmp(&error(b))),
        }
    };
    let wide = mechanisms.iter_mut().filter(|entry| entry.name.is_banded());
    let wide = wide.filter(|entry| entry.evaluated().is_some_and(|found| found.memory_vectors > USUAL_MEMORY));
    let candidates = wide.filter_map(|entry| narrowed(entry.name).map(|found| (entry, found)));
    let (entry, found) = candidates.min_by(|(_, a), (_, b)| error(a).total_cmp(&error(b)))?;
    if error(&found) >= to_beat {
        return None;
    }
    match std::mem::replace(&mut entry.outcome, Outcome::Evaluated(Box::new(found))) {
        Outcome::Evaluated(wide) => Some((entry.name, *wide)),
        Outcome::Skipped { .. } => None,
    }
}

/// The simplest of the mechanisms within the memory whose error is the least, but for ties.
fn recommend(mechanisms: &[Entry], replaced: Option<&(Name, Evaluated)>, options: &CompareOptions) -> (Option<Name>, String) {
    let limit = options.bands.map_or(USUAL_MEMORY, |bands| bands.saturating_sub(1));
    let known: Vec<(Name, &Evaluated)> = mechanisms.iter().filter_map(|entry| Some((entry.name, entry.evaluated()?))).collect();
    let error = |found: &Evaluated| found.get(options.objective);
    let least = |memory: usize| {
        let within = known.iter().filter(|(_, found)| found.memory_vectors <= memory);
        let least = within.clone().map(|(_, found)| error(found)).fold(f64::INFINITY, f64::min);
        within.into_iter().find(|(_, found)| error(found) <= least * (1.0 + TIE)).copied()
    };
    let Some((name, found)) = least(limit) else {
        return (None, "no mechanism could be built within the memory; see the reason of each".to_owned());
    };
    let measure = match options.objective {
        Objective::Mean => "mean",
        Objective::Max => "maximal",
    };
    let mut reason =
        format!("{name} has the least {measure} error, {:.6}, of the mechanisms that keep at most {limit} vectors", error(found));
    let better = known.iter().filter(|(other, _)| *other != name).filter(|(_, other)| error(other) < error(found));
    let within: Vec<String> =
        better.clone().filter(|(_, other)| other.memory_vectors <= limit).map(|(other, _)| other.to_string()).collect();
    if !within.is_empty() {
        reason.push_str(&format!(", but for {}, less than 0.1 % below it and less simple", within.join(", ")));
    }
    let wider = replaced.map(|(name, found)| (*name, found));
    let wider = better.map(|&(other, found)| (other, found)).chain(wider).filter(|(_, other)| other.memory_vectors > limit);
    let beyond = wider.min_by(|(_, a), (_, b)| error(a).total_cmp(&error(b)));
    if let Some((other, there)) = beyond {
        reason.push_str(&format!("; {other} would reach {:.6} with {} vectors", error(there), there.memory_vectors));
    }
    if let Some((_, identity)) = known.iter().find(|(other, _)| *other == Name::Identity && name != Name::Identity) {
        reason.push_str(&format!("; independent noise has {:.6}", error(identity)));
    }
    (Some(name), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::workload::Ratios;

    fn comparison(options: &CompareOptions) -> Comparison {
        let workload = Workload::new(Ratios::exponential(96, 0.1).unwrap());
        compare(&workload, Pattern::separated(24, 4).unwrap(), options).unwrap()
    }

    #[test]
    fn the_document_has_the_agreed_fields() {
        let options = CompareOptions { bands: Some(4), ..CompareOptions::default() };
        let found = comparison(&options);
        let json = serde_json::to_value(&found).unwrap();
        assert!(json["lower_bound"].as_f64().unwrap() > 0.0 && json["recommended"].is_string());
        let mechanisms = json["mechanisms"].as_array().unwrap();
        assert_eq!(mechanisms.len(), Name::ALL.len());
        for mechanism in mechanisms {
            if mechanism["skipped"].is_string() {
                assert!(mechanism["max_se"].is_null());
                continue;
            }
            for number in ["max_se", "mean_se", "sensitivity", "argmax_row", "memory_vectors"] {
                assert!(mechanism[number].is_number(), "{number} of {}", mechanism["name"]);
            }
            assert!(["exact", "upper"].contains(&mechanism["sensitivity_kind"].as_str().unwrap()));
        }
        let read: Comparison = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), json);
    }

    #[test]
    fn no_error_is_below_the_lower_bound_and_the_mean_never_above_the_maximum() {
        let found = comparison(&CompareOptions::default());
        let bound = found.lower_bound.unwrap();
        for (name, errors) in found.mechanisms.iter().filter_map(|entry| Some((entry.name, entry.evaluated()?))) {
            assert!(errors.mean_se >= bound && errors.max_se >= errors.mean_se, "{name}");
            let curve = &errors.curve;
            assert!(curve.rows.is_sorted() && curve.rows[0] == 1 && curve.rows.last() == Some(&96));
            let worst = curve.errors.iter().copied().fold(0.0, f64::max);
            assert!((worst - errors.max_se).abs() < 1e-12 * worst);
        }
    }

    #[test]
    fn the_recommended_one_has_the_least_error_within_the_memory() {
        for objective in [Objective::Mean, Objective::Max] {
            let found = comparison(&CompareOptions { bands: Some(4), objective, only: vec![] });
            let errors = |name: Name| found.mechanisms.iter().find(|entry| entry.name == name).unwrap().evaluated().unwrap();
            let best = errors(found.recommended.unwrap());
            assert!(best.memory_vectors <= 3);
            for entry in &found.mechanisms {
                if let Some(other) = entry.evaluated().filter(|other| other.memory_vectors <= 3) {
                    assert!(best.get(objective) <= other.get(objective) * 1.001, "{}", entry.name);
                }
            }
            assert!(found.reason.contains("at most 3 vectors") && found.reason.contains("independent noise"));
        }
    }

    #[test]
    fn a_mechanism_that_is_best_with_more_bands_is_recommended_with_fewer() {
        let workload = Workload::new(Ratios::linear(600, 0.1).unwrap());
        let found = |only: &[Name], bands: Option<usize>| {
            compare(&workload, Pattern::Single, &CompareOptions { only: only.to_vec(), bands, ..CompareOptions::default() })
                .unwrap()
        };
        let both = found(&[Name::Identity, Name::Bisr], None);
        assert_eq!(both.recommended, Some(Name::Bisr), "{}", both.reason);
        let chosen = both.of(Name::Bisr).unwrap();
        assert!((1..=USUAL_MEMORY).contains(&chosen.memory_vectors));
        for bands in [2, 16, 64] {
            assert!(found(&[Name::Bisr], Some(bands)).of(Name::Bisr).unwrap().mean_se >= chosen.mean_se);
        }
        assert!(both.reason.contains("bisr would reach"), "{}", both.reason);
    }

    #[test]
    fn ties_go_to_the_simpler() {
        let constant = Workload::new(Ratios::constant(30).unwrap());
        let only = vec![Name::LrRoot, Name::PrefixRoot];
        let found = compare(&constant, Pattern::Single, &CompareOptions { only, ..CompareOptions::default() }).unwrap();
        assert_eq!(found.mechanisms.len(), 2);
        let done = std::sync::Mutex::new(Vec::new());
        let options = CompareOptions { only: vec![Name::Bsr, Name::Identity], bands: Some(3), ..CompareOptions::default() };
        compare_watched(&constant, Pattern::Single, &options, |name| done.lock().unwrap().push(name)).unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_by_key(|name| name.as_str());
        assert_eq!(done, [Name::Bsr, Name::Identity]);
        assert_eq!(found.recommended, Some(Name::PrefixRoot));
        let one = Workload::new(Ratios::constant(1).unwrap());
        let found = compare(&one, Pattern::Single, &CompareOptions::default()).unwrap();
        assert_eq!(found.recommended, Some(Name::Identity));
    }

    #[test]
    fn wrong_wishes_are_refused() {
        let workload = Workload::new(Ratios::constant(30).unwrap());
        let none = CompareOptions { bands: Some(0), ..CompareOptions::default() };
        assert!(matches!(compare(&workload, Pattern::Single, &none), Err(Error::Value { .. })));
        let pattern = Pattern::separated(10, 4).unwrap();
        assert!(matches!(compare(&workload, pattern, &CompareOptions::default()), Err(Error::Value { .. })));
    }

    #[test]
    fn long_curves_are_thinned() {
        let squares: Vec<f64> = (0..5000).map(|m| if m == 1234 { 9.0 } else { 1.0 }).collect();
        let sensitivity = crate::sensitivity::Sensitivity::exact(2.0);
        let curve = Curve::new(&squares, &Evaluation { max_se: 6.0, argmax_row: 1235, mean_se: 2.0, sensitivity });
        assert!(curve.rows.len() <= CURVE_POINTS && curve.rows[0] == 1 && curve.rows.last() == Some(&5000));
        assert!(curve.rows.contains(&1235) && curve.errors.contains(&6.0));
    }
}
