//! Per-example clipping: weights that bound what one unit adds to the sum.

use serde::{Deserialize, Serialize};
use thalweg_descent::{BlockId, SquaredNorms, Weights};

use crate::error::{Error, Result, positive};

/// How each unit's gradient is bounded, and by what.
///
/// [`norm`](Self::norm) is what no clipped gradient exceeds: the sensitivity of the sum to one unit that is there or not.
///
/// ```
/// use thalweg_descent::{SquaredNorms, Weights};
/// use thalweg_private::Clip;
///
/// // Two units with gradients of norms 5 and 0.5.
/// let Weights::PerUnit(weights) = Clip::to(1.0)?.weights(&SquaredNorms::new(1, vec![25.0, 0.25]))? else { unreachable!() };
/// assert!(weights[0] <= 0.2 && weights[0] > 0.199_999 && weights[1] == 1.0);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clip {
    rule: Rule,
    on_non_finite: OnNonFinite,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rule {
    /// `g min(1, zeta / |g|)`.
    Flat { norm: f64 },
    /// `g_l min(1, zeta_l / |g_l|)` in each block l.
    PerBlock { norm: f64, shares: Shares },
    /// `g / (|g| + gamma)`.
    Automatic { gamma: f64 },
    /// g where `|g| <= zeta`, nothing otherwise.
    Global { norm: f64 },
}

/// How the squared clip norm is divided among the blocks of the parameters: `sum_l zeta_l^2 = zeta^2`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shares {
    /// Alike: `zeta_l = zeta / sqrt(L)` for L blocks.
    #[default]
    Equal,
    /// In these proportions, one for each block in the layout's order, each at least 0 and one above.
    Given(Vec<f64>),
}

/// What becomes of a unit whose gradient is no finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNonFinite {
    /// The step fails and nothing is released.
    #[default]
    Error,
    /// It counts as 0: a unit that takes no part, which every guarantee allows.
    Zero,
}

/// A weight and each product with it are rounded to 24 bits. Without this margin, a clipped gradient of `f32` numbers exceeds its
/// bound by up to `2^-23` of it.
const MARGIN: f64 = 1.0 - 1.0 / (1u32 << 22) as f64;

/// The least and the largest gamma: weights of up to `1 / gamma` must be `f32` numbers with room to spare.
const GAMMA: std::ops::RangeInclusive<f64> = 1e-12..=1e12;

impl Clip {
    /// Flat clipping to norm zeta, above 0: unit i gets the weight `min(1, zeta / |g_i|)`.
    ///
    /// # Errors
    /// [`Error::Value`] otherwise.
    pub fn to(norm: f64) -> Result<Self> {
        Ok(Self::with_rule(Rule::Flat { norm: positive("the clip norm", norm)? }))
    }

    /// Per-layer clipping: block l to norm `zeta_l`, with `sum_l zeta_l^2 = zeta^2`.
    ///
    /// # Errors
    /// [`Error::Value`] when zeta is not above 0, or the shares are no proportions.
    pub fn per_block(norm: f64, shares: Shares) -> Result<Self> {
        if let Shares::Given(given) = &shares {
            let total: f64 = given.iter().sum();
            if !(given.iter().all(|share| *share >= 0.0) && total.is_finite() && total > 0.0) {
                let found = format!("{given:?}");
                return Err(Error::value(
                    "the shares of the clip norm",
                    found,
                    "one number of at least 0 a block, one of them above 0",
                ));
            }
        }
        Ok(Self::with_rule(Rule::PerBlock { norm: positive("the clip norm", norm)?, shares }))
    }

    /// Automatic clipping (AUTO-S, arXiv 2206.07136): unit i gets the weight `1 / (|g_i| + gamma)`, and so a norm below 1. The
    /// usual gamma is 0.01.
    ///
    /// # Errors
    /// [`Error::Value`] when gamma is not in [1e-12, 1e12].
    pub fn automatic(gamma: f64) -> Result<Self> {
        if !GAMMA.contains(&gamma) {
            return Err(Error::value("gamma of automatic clipping", gamma, "from 1e-12 to 1e12"));
        }
        Ok(Self::with_rule(Rule::Automatic { gamma }))
    }

    /// Global clipping: a unit of norm at most zeta is kept as it is, any other is left out.
    ///
    /// # Errors
    /// [`Error::Value`] when zeta is not above 0.
    pub fn global(norm: f64) -> Result<Self> {
        Ok(Self::with_rule(Rule::Global { norm: positive("the clip norm", norm)? }))
    }

    fn with_rule(rule: Rule) -> Self {
        Self { rule, on_non_finite: OnNonFinite::default() }
    }

    /// What becomes of a unit whose gradient is no finite number.
    #[must_use]
    pub fn on_non_finite(mut self, on_non_finite: OnNonFinite) -> Self {
        self.on_non_finite = on_non_finite;
        self
    }

    /// The bound zeta on the norm of a clipped gradient; 1 for automatic clipping.
    pub fn norm(&self) -> f64 {
        match self.rule {
            Rule::Flat { norm } | Rule::PerBlock { norm, .. } | Rule::Global { norm } => norm,
            Rule::Automatic { .. } => 1.0,
        }
    }

    /// The weight of each unit, for each block where the rule looks at blocks.
    ///
    /// # Errors
    /// [`Error::NonFiniteNorm`] naming the unit, unless it is to count as 0; [`Error::Value`] for shares of another number of
    /// blocks.
    pub fn weights(&self, norms: &SquaredNorms) -> Result<Weights> {
        match &self.rule {
            Rule::Flat { norm } => self.per_unit(norms, |found| shortened(found, *norm)),
            Rule::Automatic { gamma } => self.per_unit(norms, |found| MARGIN / (found + gamma)),
            Rule::Global { norm } => self.per_unit(norms, |found| if found <= *norm { 1.0 } else { 0.0 }),
            Rule::PerBlock { norm, shares } => {
                let bounds = shares.bounds(*norm, norms.blocks())?;
                let weights = (0..norms.units()).map(|unit| {
                    let weights =
                        |_| bounds.iter().enumerate().map(|(at, &bound)| shortened(norms.block_norm(unit, BlockId(at)), bound));
                    Ok(self.finite(norms, unit)?.map_or_else(|| vec![0.0; bounds.len()], |norm| weights(norm).collect()))
                });
                Ok(Weights::PerBlock { blocks: bounds.len(), values: weights.collect::<Result<Vec<_>>>()?.concat() })
            }
        }
    }

    /// A gradient of one entry a block that is still at the bound, or as near as can be, when it is clipped.
    pub(crate) fn hardest(&self) -> Vec<f32> {
        match &self.rule {
            Rule::Flat { norm } => vec![10.0 * *norm as f32],
            Rule::PerBlock { norm, shares: Shares::Equal } => vec![10.0 * *norm as f32; 2],
            Rule::PerBlock { norm, shares: Shares::Given(shares) } => vec![10.0 * *norm as f32; shares.len()],
            Rule::Automatic { gamma } => vec![1e6 * *gamma as f32],
            Rule::Global { norm } => vec![((1.0 - 1e-5) * norm) as f32],
        }
    }

    fn per_unit(&self, norms: &SquaredNorms, weight: impl Fn(f64) -> f64) -> Result<Weights> {
        let weights = (0..norms.units()).map(|unit| Ok(self.finite(norms, unit)?.map_or(0.0, &weight)));
        Ok(Weights::PerUnit(weights.collect::<Result<Vec<f64>>>()?))
    }

    /// The norm of a unit; `None` where it is to count as 0.
    fn finite(&self, norms: &SquaredNorms, unit: usize) -> Result<Option<f64>> {
        let norm = norms.norm(unit);
        match self.on_non_finite {
            _ if norm.is_finite() => Ok(Some(norm)),
            OnNonFinite::Zero => Ok(None),
            OnNonFinite::Error => Err(Error::NonFiniteNorm { unit, norm }),
        }
    }
}

/// Reads `RULE:VALUE`, as it is displayed: `flat:1`, `per-block:1`, `per-block:1:0.9,0.1` with shares, `automatic:0.01`,
/// `global:2`.
///
/// `adaptive` is refused with the reason.
impl std::str::FromStr for Clip {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown =
            || Error::value("the clipping", format!("{text:?}"), "RULE:VALUE with the rule flat, per-block, automatic or global");
        let (rule, rest) = text.split_once(':').unwrap_or((text, ""));
        if rule == "adaptive" {
            return Err(Error::unsuitable(
                "adaptive clipping",
                "it changes the clip norm from step to step, and correlated noise is calibrated for one; choose flat:ZETA",
            ));
        }
        let (value, shares) = rest.split_once(':').map_or((rest, None), |(value, shares)| (value, Some(shares)));
        let number = |text: &str| text.parse::<f64>().map_err(|_| unknown());
        match (rule, shares) {
            ("flat", None) => Self::to(number(value)?),
            ("per-block", None) => Self::per_block(number(value)?, Shares::Equal),
            ("per-block", Some(shares)) => {
                Self::per_block(number(value)?, Shares::Given(shares.split(',').map(number).collect::<Result<_>>()?))
            }
            ("automatic", None) => Self::automatic(number(value)?),
            ("global", None) => Self::global(number(value)?),
            _ => Err(unknown()),
        }
    }
}

impl std::fmt::Display for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.rule {
            Rule::Flat { norm } => write!(f, "flat:{norm}"),
            Rule::PerBlock { norm, shares: Shares::Equal } => write!(f, "per-block:{norm}"),
            Rule::PerBlock { norm, shares: Shares::Given(shares) } => {
                let shares: Vec<String> = shares.iter().map(ToString::to_string).collect();
                write!(f, "per-block:{norm}:{}", shares.join(","))
            }
            Rule::Automatic { gamma } => write!(f, "automatic:{gamma}"),
            Rule::Global { norm } => write!(f, "global:{norm}"),
        }
    }
}

impl Shares {
    /// `zeta_l` for each of so many blocks.
    fn bounds(&self, norm: f64, blocks: usize) -> Result<Vec<f64>> {
        match self {
            Self::Equal => Ok(vec![norm / (blocks as f64).sqrt(); blocks]),
            Self::Given(shares) if shares.len() != blocks => {
                Err(Error::value("the number of shares of the clip norm", shares.len(), &format!("{blocks}, one for each block")))
            }
            Self::Given(shares) => {
                let total: f64 = shares.iter().sum();
                Ok(shares.iter().map(|share| norm * (share / total).sqrt()).collect())
            }
        }
    }
}

/// `min(1, bound / norm)`.
fn shortened(norm: f64, bound: f64) -> f64 {
    if norm > bound { MARGIN * bound / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_descent::differentiate::UnitGradients;
    use thalweg_descent::{Contributions, Layout, norm};

    use super::*;

    fn layout(blocks: &[usize]) -> Layout {
        let mut layout = Layout::default();
        blocks.iter().enumerate().for_each(|(at, &len)| {
            layout.push(&at.to_string(), &[len]);
        });
        layout
    }

    /// What one unit adds to a sum, through the seam that training uses.
    fn clipped(clip: &Clip, layout: &Layout, gradient: &[f32]) -> Vec<f32> {
        let mut units = UnitGradients::new(layout, vec![0.0], gradient.to_vec()).unwrap();
        let weights = clip.weights(&units.squared_norms().unwrap()).unwrap();
        let mut sum = vec![0.0; layout.len()];
        Box::new(units).add_weighted_sum(&weights, &mut sum).unwrap();
        sum
    }

    fn rules(norm: f64) -> [Clip; 5] {
        [
            Clip::to(norm).unwrap(),
            Clip::per_block(norm, Shares::Equal).unwrap(),
            Clip::per_block(norm, Shares::Given(vec![3.0, 0.0, 1.5])).unwrap(),
            Clip::automatic(norm).unwrap(),
            Clip::global(norm).unwrap(),
        ]
    }

    proptest! {
        #[test]
        fn no_clipped_gradient_exceeds_the_bound_in_single_precision(
            direction in prop::collection::vec(-1.0f32..1.0, 9), scale in -12i32..12, clip in -3i32..3
        ) {
            let layout = layout(&[4, 2, 3]);
            let gradient: Vec<f32> = direction.iter().map(|value| value * 2f32.powi(scale)).collect();
            for clip in rules(1.37 * 10f64.powi(clip)) {
                let found = norm(&clipped(&clip, &layout, &gradient));
                prop_assert!(found <= clip.norm(), "{clip:?}: {found}");
            }
        }
    }

    /// The norms of gradients that are clipped to 1 by weights `factor / norm`, in `f32`.
    fn norms_with(factor: f64) -> impl Iterator<Item = f64> {
        (0..20_000).map(move |seed| {
            let gradient: Vec<f32> = (0..7).map(|i| 1.0 + (f64::from(seed * 7 + i) * 0.7).sin() as f32).collect();
            let weight = (factor / norm(&gradient)) as f32;
            norm(&gradient.iter().map(|value| weight * value).collect::<Vec<f32>>())
        })
    }

    #[test]
    fn the_margin_is_needed_and_enough() {
        let excess = norms_with(1.0).map(|norm| norm - 1.0).fold(0.0, f64::max);
        assert!(excess > 2f64.powi(-25) && excess <= 2f64.powi(-23), "{excess:e}");
        assert!(norms_with(MARGIN).all(|norm| norm <= 1.0));
    }

    #[test]
    fn long_gradients_are_shortened_to_the_bound_and_short_ones_kept() {
        let norms = SquaredNorms::new(2, vec![9.0, 16.0, 0.04, 0.0, 0.0, 0.0]);
        let weights = |clip: Clip| clip.weights(&norms).unwrap();
        let near =
            |found: f64, expected: f64| assert!(found <= expected && found > expected * (1.0 - 1e-6), "{found} {expected}");
        let Weights::PerUnit(flat) = weights(Clip::to(1.0).unwrap()) else { panic!() };
        near(flat[0], 0.2);
        assert_eq!(flat[1..], [1.0, 1.0]);
        let Weights::PerUnit(automatic) = weights(Clip::automatic(0.01).unwrap()) else { panic!() };
        [5.01, 0.21, 0.01].iter().zip(&automatic).for_each(|(norm, &found)| near(found, 1.0 / norm));
        assert_eq!(weights(Clip::global(1.0).unwrap()), Weights::PerUnit(vec![0.0, 1.0, 1.0]));
        assert_eq!(weights(Clip::global(5.0).unwrap()), Weights::PerUnit(vec![1.0; 3]));
        let Weights::PerBlock { blocks: 2, values } = weights(Clip::per_block(1.0, Shares::Given(vec![0.36, 0.64])).unwrap())
        else {
            panic!()
        };
        near(values[0], 0.2);
        near(values[1], 0.2);
        assert_eq!(values[2..], [1.0; 4]);
        let Weights::PerBlock { values, .. } = weights(Clip::per_block(2f64.sqrt(), Shares::Equal).unwrap()) else { panic!() };
        near(values[0], 1.0 / 3.0);
        near(values[1], 1.0 / 4.0);
        assert_eq!(Clip::to(1.0).unwrap().weights(&SquaredNorms::new(1, vec![])).unwrap(), Weights::PerUnit(vec![]));
    }

    #[test]
    fn what_has_no_bound_is_an_error_that_names_the_unit_or_counts_as_nothing() {
        for bad in [f64::NAN, f64::INFINITY] {
            let norms = SquaredNorms::new(3, vec![1.0, 1.0, 1.0, 1.0, bad, 1.0]);
            for clip in rules(5.0) {
                let error = clip.weights(&norms).unwrap_err();
                assert!(matches!(error, Error::NonFiniteNorm { unit: 1, .. }), "{error}");
                let weights = clip.on_non_finite(OnNonFinite::Zero).weights(&norms).unwrap();
                assert!(weights.leaves_out(1) && !weights.leaves_out(0), "{weights:?}");
            }
        }
        let zero = Clip::to(1.0).unwrap().on_non_finite(OnNonFinite::Zero);
        assert_eq!(clipped(&zero, &layout(&[2]), &[f32::NAN, 1.0]), [0.0, 0.0]);
    }

    #[test]
    fn wishes_out_of_range_are_named() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Clip::to(bad).is_err() && Clip::global(bad).is_err() && Clip::per_block(bad, Shares::Equal).is_err());
            assert!(Clip::automatic(bad).is_err());
            assert!(bad == 0.0 || Clip::per_block(1.0, Shares::Given(vec![1.0, bad])).is_err());
        }
        assert!(Clip::per_block(1.0, Shares::Given(vec![])).is_err());
        assert!(Clip::per_block(1.0, Shares::Given(vec![0.0, 0.0])).is_err());
        let three = Clip::per_block(1.0, Shares::Given(vec![1.0; 3])).unwrap();
        let error = three.weights(&SquaredNorms::new(2, vec![1.0; 4])).unwrap_err().to_string();
        assert!(error.contains("is 3, but must be 2"), "{error}");
    }

    #[test]
    fn text_is_read_as_it_is_shown_and_adaptive_clipping_is_refused() {
        for clip in rules(0.25) {
            assert_eq!(clip.to_string().parse::<Clip>().unwrap(), clip);
        }
        assert_eq!("per-block:2:3,1".parse::<Clip>().unwrap(), Clip::per_block(2.0, Shares::Given(vec![3.0, 1.0])).unwrap());
        for bad in
            ["", "flat", "flat:", "flat:x", "flat:1:2", "per-block:1:", "per-block:1:a", "sharp:1", "automatic:0", "global:-1"]
        {
            assert!(matches!(bad.parse::<Clip>(), Err(Error::Value { .. })), "{bad}");
        }
        let error = "adaptive:0.5".parse::<Clip>().unwrap_err().to_string();
        assert!(error.contains("correlated noise"), "{error}");
    }

    #[test]
    fn the_hardest_gradient_attains_the_bound() {
        for clip in rules(0.7) {
            let hardest = clip.hardest();
            let found = norm(&clipped(&clip, &layout(&vec![1; hardest.len()]), &hardest));
            assert!(found <= clip.norm() && found > clip.norm() * (1.0 - 2e-5), "{clip:?}: {found}");
        }
    }
}
