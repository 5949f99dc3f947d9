//! One question and one answer: which epsilon has this noise, or which noise has this epsilon?

use serde::{Deserialize, Serialize};

use super::balls_in_bins::Bins;
use super::calibration::calibrate;
use super::columns::Columns;
use super::min_separated::Separated;
use super::monte_carlo::{Claim, Losses, MonteCarlo, Question};
use super::{Composition, Mechanism, Neighbours, gaussian};
use crate::error::{Error, Result, positive, probability};
use crate::sampler::Sampling;
use crate::strategy::Strategy;

/// Which accountant answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accountant {
    /// The tightest there is: exact without sampling, otherwise by the distribution of the privacy loss, never below the truth.
    #[default]
    Pld,
    /// Renyi divergences: looser.
    Rdp,
}

impl std::str::FromStr for Accountant {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "pld" => Ok(Self::Pld),
            "rdp" => Ok(Self::Rdp),
            _ => Err(Error::value("the accountant", format!("{text:?}"), "pld or rdp")),
        }
    }
}

/// What is given, and so what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The noise multiplier; asked for is epsilon.
    Noise(f64),
    /// Epsilon; asked for is the least noise multiplier.
    Epsilon(f64),
}

/// A question to [`account`].
#[derive(Clone, Copy, Debug)]
pub struct AccountRequest<'a> {
    /// How batches are drawn.
    pub sampling: Sampling,
    /// Which data sets are neighbours.
    pub neighbours: Neighbours,
    /// The accountant.
    pub accountant: Accountant,
    /// The steps of the run, at least 1.
    pub steps: u64,
    /// delta, in (0, 1).
    pub delta: f64,
    /// Noise or epsilon.
    pub target: Target,
    /// The strategy that correlates the noise; none for independent noise.
    pub strategy: Option<&'a Strategy>,
    /// The draws, for balls-in-bins and b-min-sep sampling.
    pub monte_carlo: MonteCarlo,
}

impl AccountRequest<'_> {
    /// A question with independent noise, neighbours that add or remove one example, the tightest accountant, and a guarantee.
    pub fn new(sampling: Sampling, steps: u64, delta: f64, target: Target) -> Self {
        Self {
            sampling,
            neighbours: Neighbours::AddRemove,
            accountant: Accountant::Pld,
            steps,
            delta,
            target,
            strategy: None,
            monte_carlo: MonteCarlo::default(),
        }
    }
}

/// An answer of [`account`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The run is (epsilon, delta)-private.
    pub epsilon: f64,
    /// The standard deviation of the fresh noise vectors over clip norm times the sensitivity that [`account`] names.
    pub noise_multiplier: f64,
    /// delta.
    pub delta: f64,
    /// What found it: `gaussian` (exact), `pld`, `rdp` or `monte-carlo`.
    pub accountant: String,
    /// How far chance in the computation itself was allowed for; nothing where there was none.
    pub confidence: Option<Confidence>,
    /// Which data sets are neighbours.
    pub neighbours: Neighbours,
    /// How batches are drawn.
    pub sampling: Sampling,
    /// The steps.
    pub steps: u64,
}

/// The two readings of a Monte-Carlo account.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// The epsilon that the draws suggest; half of such estimates are too small.
    pub estimate: f64,
    /// The epsilon that holds at delta with the chance that the draws deceive counted in.
    pub guaranteed: Option<f64>,
    /// The number of draws.
    pub draws: u64,
    /// The seed of the draws.
    pub seed: u64,
}

/// Answers.
///
/// The noise multiplier is the standard deviation of the fresh vectors z behind the noise `C^{-1} z`, over clip norm times
/// - without sampling: the sensitivity of the strategy for its participation pattern. The whole run is one Gaussian mechanism, so
///   epsilon depends neither on the steps nor on the strategy;
/// - with sampling: the largest column norm of the strategy; 1 for independent noise.
///
/// Neighbours:
/// - [`Neighbours::AddRemove`] without sampling, and within groups, supposes that the batches of the other examples stay as they are;
///   where removing an example would shift them, what is accounted is [`Neighbours::ZeroOut`].
/// - Under [`Neighbours::ReplaceOne`] the new example takes the place of the old one in every batch, and the distance of their
///   contributions is twice the clip norm.
///
/// ```
/// use thalweg_private::accountant::{Accountant, AccountRequest, Target, account};
/// use thalweg_private::sampler::Sampling;
///
/// let mut request = AccountRequest::new(Sampling::Poisson { rate: 0.01 }, 1000, 1e-5, Target::Epsilon(2.0));
/// assert!((account(&request)?.noise_multiplier - 0.9591).abs() < 1e-4);
/// request.accountant = Accountant::Rdp;
/// assert!(account(&request)?.noise_multiplier > 1.0);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a value out of range; [`Error::Unsuitable`] for a strategy that the sampling does not cover, and for Renyi
/// divergences of a sampling without closed form; [`Error::TooFewDraws`] for a guarantee that so few draws cannot give;
/// [`Error::Unreachable`] for an epsilon that no noise reaches.
pub fn account(request: &AccountRequest<'_>) -> Result<Account> {
    request.sampling.checked()?;
    check(request)?;
    match request.target {
        Target::Noise(sigma) => positive("the noise multiplier sigma", sigma)?,
        Target::Epsilon(epsilon) => positive("epsilon", epsilon)?,
    };
    match request.sampling {
        Sampling::BallsInBins { bins, .. } => {
            let bins = Bins::new(&Columns::of(request.strategy, request.steps)?, bins, request.neighbours)?;
            by_draws(request, |sigma| bins.with_noise(sigma))
        }
        Sampling::BMinSep { separation, rate } => {
            let columns = Columns::of(request.strategy, request.steps)?;
            let separated = Separated::new(&columns, separation, rate, request.neighbours)?;
            by_draws(request, |sigma| Ok(separated.with_noise(sigma)))
        }
        _ => by_formula(request),
    }
}

fn by_formula(request: &AccountRequest<'_>) -> Result<Account> {
    let exact = (request.accountant, request.sampling) == (Accountant::Pld, Sampling::None);
    let epsilon_of = |sigma| {
        let run = composition(request, sigma)?;
        match request.accountant {
            Accountant::Pld => run.epsilon(request.delta),
            Accountant::Rdp => run.renyi_epsilon(request.delta),
        }
    };
    let (epsilon, sigma) = match request.target {
        Target::Noise(sigma) => (epsilon_of(sigma)?, sigma),
        Target::Epsilon(epsilon) if exact => (epsilon, gaussian::sigma(epsilon, request.delta)? * request.neighbours.distance()),
        Target::Epsilon(epsilon) => (epsilon, calibrate(epsilon, request.delta, epsilon_of)?),
    };
    let accountant = match request.accountant {
        Accountant::Rdp => "rdp",
        Accountant::Pld if exact => "gaussian",
        Accountant::Pld => "pld",
    };
    Ok(answer(request, epsilon, sigma, accountant, None))
}

fn by_draws<L: Losses>(request: &AccountRequest<'_>, losses: impl Fn(f64) -> Result<L>) -> Result<Account> {
    if request.accountant == Accountant::Rdp {
        let reason = "its Renyi divergences have no closed form; use the accountant pld, which draws the privacy loss";
        return Err(Error::unsuitable(request.sampling, reason));
    }
    let how = &request.monte_carlo;
    let question = Question { losses, neighbours: request.neighbours, delta: request.delta, how };
    let (sigma, found) = match request.target {
        Target::Noise(sigma) => (sigma, question.epsilon(sigma)?),
        Target::Epsilon(epsilon) => question.noise(epsilon)?,
    };
    let epsilon = match (request.target, how.claim) {
        (Target::Epsilon(epsilon), _) => epsilon,
        (_, Claim::Estimate) => found.estimate,
        (_, Claim::Guarantee) => found.guaranteed.unwrap_or(f64::INFINITY),
    };
    Ok(answer(request, epsilon, sigma, "monte-carlo", Some(found)))
}

fn answer(request: &AccountRequest<'_>, epsilon: f64, sigma: f64, accountant: &str, confidence: Option<Confidence>) -> Account {
    Account {
        epsilon,
        noise_multiplier: sigma,
        delta: request.delta,
        accountant: accountant.to_owned(),
        confidence,
        neighbours: request.neighbours,
        sampling: request.sampling,
        steps: request.steps,
    }
}

/// What the run is for an accountant, where that has a closed form.
fn composition(request: &AccountRequest<'_>, noise_multiplier: f64) -> Result<Composition> {
    let (mechanism, count) = match request.sampling {
        Sampling::Poisson { rate } => (Mechanism::Poisson { noise_multiplier, rate }, request.steps),
        // An example meets its group once a round; within a round its step is one Poisson step (arXiv 2306.08153).
        Sampling::Cyclic { groups, rate } => {
            let rate = (groups as f64 * rate).min(1.0);
            (Mechanism::Poisson { noise_multiplier, rate }, request.steps.div_ceil(groups))
        }
        _ => (Mechanism::Gaussian { noise_multiplier }, 1),
    };
    Composition::of(request.neighbours, mechanism, count)
}

fn check(request: &AccountRequest<'_>) -> Result<()> {
    probability("delta", request.delta)?;
    if request.steps == 0 {
        return Err(Error::value("the number of steps", 0, "at least 1"));
    }
    if let Sampling::BallsInBins { bins, epochs } = request.sampling
        && request.steps.div_ceil(bins) != epochs
    {
        // The last epoch may end early.
        let expected = format!("bins times epochs, {bins} * {epochs}, or less than {bins} below");
        return Err(Error::value("the number of steps", request.steps, &expected));
    }
    let Some(strategy) = request.strategy else { return Ok(()) };
    if strategy.steps() as u64 != request.steps {
        let reason = format!("it is built for {} steps, and the run has {}", strategy.steps(), request.steps);
        return Err(Error::unsuitable(strategy.name(), reason));
    }
    match request.sampling {
        Sampling::Poisson { .. } if !strategy.is_identity() => Err(Error::unsuitable(
            strategy.name(),
            "under Poisson sampling an example may take part in any steps, which correlated noise does not cover; use cyclic sampling \
             with a banded strategy (bsr, lr-bsr, bandmf), balls in bins, or the mechanism identity",
        )),
        Sampling::Cyclic { groups, .. } => {
            let bands = Columns::of(request.strategy, request.steps)?.bands();
            if bands as u64 <= groups {
                return Ok(());
            }
            let reason = format!(
                "its C has {bands} bands, and cyclic sampling covers at most as many as its {groups} groups; use a banded strategy \
                 (bsr, lr-bsr, bandmf)"
            );
            Err(Error::unsuitable(strategy.name(), reason))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Ratios, Workload};

    fn request(sampling: Sampling, target: Target) -> AccountRequest<'static> {
        AccountRequest::new(sampling, 1000, 1e-5, target)
    }

    fn epsilon(sampling: Sampling) -> f64 {
        account(&request(sampling, Target::Noise(1.0))).unwrap().epsilon
    }

    #[test]
    fn golden_epsilons_of_cyclic_sampling() {
        for (groups, expected) in [(1, 1.828244), (4, 4.185153), (16, 9.083010), (64, 16.616289), (100, 17.856587)] {
            let found = epsilon(Sampling::Cyclic { groups, rate: 0.01 });
            assert!((found / expected - 1.0).abs() < 5e-5, "{groups}: {found}, expected {expected}");
        }
        assert_eq!(epsilon(Sampling::Cyclic { groups: 1, rate: 0.01 }), epsilon(Sampling::Poisson { rate: 0.01 }));
    }

    #[test]
    fn noise_and_epsilon_are_inverse_for_every_sampling_neighbour_and_accountant() {
        let samplings = [Sampling::None, Sampling::Poisson { rate: 0.02 }, Sampling::Cyclic { groups: 8, rate: 0.02 }];
        for sampling in samplings {
            let mut of_neighbours = Vec::new();
            for neighbours in Neighbours::ALL {
                for accountant in [Accountant::Pld, Accountant::Rdp] {
                    let ask = |target| account(&AccountRequest { neighbours, accountant, ..request(sampling, target) }).unwrap();
                    let noise = ask(Target::Epsilon(1.5)).noise_multiplier;
                    let back = ask(Target::Noise(noise)).epsilon;
                    assert!(back <= 1.5 + 1e-8 && back > 1.5 * (1.0 - 1e-5), "{sampling} {neighbours} {accountant:?}: {back}");
                    of_neighbours.push(noise);
                }
            }
            let [removed, removed_rdp, replaced, replaced_rdp, zeroed, _] = of_neighbours[..] else { panic!() };
            assert_eq!(removed, zeroed);
            assert!(removed_rdp > removed && replaced_rdp > replaced && replaced > removed * 1.5);
        }
    }

    #[test]
    fn json_has_the_fields_that_commands_promise() {
        let found = account(&request(Sampling::None, Target::Noise(2.0))).unwrap();
        let json = serde_json::to_value(&found).unwrap();
        for field in ["epsilon", "noise_multiplier", "delta", "accountant", "confidence"] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert!((found.epsilon - 1.99309140).abs() < 1e-6);
        assert_eq!(found.accountant, "gaussian");
    }

    #[test]
    fn what_the_sampling_does_not_cover_is_refused_with_the_reason() {
        let workload = Workload::new(Ratios::constant(1000).unwrap());
        let banded = Strategy::bsr(&workload, 8).unwrap();
        let dense = Strategy::prefix_root(&workload);
        let shorter = Strategy::identity(10).unwrap();
        let cyclic = |groups| Sampling::Cyclic { groups, rate: 0.01 };
        let with =
            |sampling, strategy| account(&AccountRequest { strategy: Some(strategy), ..request(sampling, Target::Noise(1.0)) });
        with(cyclic(8), &banded).unwrap();
        with(Sampling::None, &dense).unwrap();
        for (sampling, strategy, part) in [
            (cyclic(7), &banded, "8 bands"),
            (cyclic(50), &dense, "1000 bands"),
            (Sampling::Poisson { rate: 0.1 }, &banded, "any steps"),
            (Sampling::None, &shorter, "10 steps"),
        ] {
            let error = with(sampling, strategy).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn draws_answer_where_there_is_no_formula() {
        let workload = Workload::new(Ratios::constant(60).unwrap());
        let banded = Strategy::bsr(&workload, 4).unwrap();
        for sampling in [Sampling::BallsInBins { bins: 6, epochs: 10 }, Sampling::BMinSep { separation: 6, rate: 0.1 }] {
            let mut request = AccountRequest::new(sampling, 60, 1e-2, Target::Noise(4.0));
            request.strategy = Some(&banded);
            request.monte_carlo.draws = Some(30_000);
            let found = account(&request).unwrap();
            let confidence = found.confidence.unwrap();
            assert_eq!((found.accountant.as_str(), Some(found.epsilon)), ("monte-carlo", confidence.guaranteed));
            request.target = Target::Epsilon(found.epsilon);
            let noise = account(&request).unwrap().noise_multiplier;
            assert!((noise / 4.0 - 1.0).abs() < 0.1, "{sampling}: {noise}");
            request.monte_carlo.claim = Claim::Estimate;
            request.target = Target::Noise(4.0);
            assert_eq!(account(&request).unwrap().epsilon, confidence.estimate);
            request.accountant = Accountant::Rdp;
            assert!(account(&request).unwrap_err().to_string().contains("no closed form"));
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let good = request(Sampling::Poisson { rate: 0.1 }, Target::Noise(1.0));
        for (request, part) in [
            (AccountRequest { sampling: Sampling::Poisson { rate: 0.0 }, ..good }, "rate"),
            (AccountRequest { sampling: Sampling::Cyclic { groups: 0, rate: 0.1 }, ..good }, "groups"),
            (AccountRequest { sampling: Sampling::Cyclic { groups: 11, rate: 0.1 }, ..good }, "within a group"),
            (AccountRequest { sampling: Sampling::BallsInBins { bins: 7, epochs: 100 }, ..good }, "7 * 100"),
            (AccountRequest { sampling: Sampling::BallsInBins { bins: 0, epochs: 100 }, ..good }, "bins"),
            (AccountRequest { sampling: Sampling::BMinSep { separation: 0, rate: 0.1 }, ..good }, "separation"),
            (AccountRequest { sampling: Sampling::BMinSep { separation: 11, rate: 0.1 }, ..good }, "waits 10 steps"),
            (AccountRequest { steps: 0, ..good }, "steps"),
            (AccountRequest { delta: 0.0, ..good }, "delta"),
            (AccountRequest { delta: 1.0, ..good }, "delta"),
            (AccountRequest { target: Target::Noise(0.0), ..good }, "sigma"),
            (AccountRequest { target: Target::Noise(f64::NAN), ..good }, "sigma"),
            (AccountRequest { target: Target::Epsilon(0.0), ..good }, "epsilon"),
            (AccountRequest { target: Target::Epsilon(f64::INFINITY), ..good }, "epsilon"),
        ] {
            let error = account(&request).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
