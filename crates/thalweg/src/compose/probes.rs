//! Probes of a run, by name.

mod margins;
mod quantities;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::seq::index;
use serde::{Deserialize, Serialize};
use thalweg_descent::store::Run;
use thalweg_descent::{Batch, Differentiate, Error, Every, Layout, Observe, Result, Seed};
use thalweg_nn::{Accuracy, Device, Network, Samples, weights};
use thalweg_private::PlanSummary;
use thalweg_probes::RankRule;
use thalweg_probes::watch::{Forgetting, Invariants, NoiseScale, Spectra, Subspaces, Update};

use crate::compose::TrainingConfig;
use crate::compose::task::Contexts;
use margins::Margins;

/// What can be watched beside a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeName {
    /// Conserved quantities with the drift that the step size predicts.
    Invariants,
    /// Effective ranks of the weight matrices, whole and without the leading singular values.
    Spectra,
    /// How far the rows of target matrices are from the weight matrices' row spaces.
    Subspaces,
    /// The curvature of the loss's autocorrelation.
    Autocorrelation,
    /// Accuracy and loss on the training examples.
    Seen,
    /// How noisy single examples' gradients are against their mean.
    NoiseScale,
    /// By which margin training examples are told apart, and could be by the tangent kernel.
    Margins,
}

impl ProbeName {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Invariants, Self::Spectra, Self::Subspaces, Self::Autocorrelation, Self::Seen, Self::NoiseScale, Self::Margins];

    /// As files and commands spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invariants => "invariants",
            Self::Spectra => "spectra",
            Self::Subspaces => "subspaces",
            Self::Autocorrelation => "autocorrelation",
            Self::Seen => "seen",
            Self::NoiseScale => "noise-scale",
            Self::Margins => "margins",
        }
    }

    /// Whether it reads training examples behind the guard's back, so that no guarantee covers what it writes.
    pub fn reads_examples(self) -> bool {
        match self {
            Self::Invariants | Self::Spectra | Self::Subspaces | Self::Autocorrelation => false,
            Self::Seen | Self::NoiseScale | Self::Margins => true,
        }
    }
}

impl std::fmt::Display for ProbeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for ProbeName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::input(format!("probe {text:?}; it is one of {names}"))
        })
    }
}

/// Which probes, and by which rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Which.
    pub names: Vec<ProbeName>,
    /// They write after every so many steps, and the last.
    pub every: u64,
    /// Which singular values count in effective ranks.
    pub rank: RankRule,
    /// So many leading singular values are left out of the marginal effective rank.
    pub drop: usize,
    /// Which singular values span a matrix's row space in a subspace distance.
    pub subspace_rank: RankRule,
    /// Weights whose matrices are the targets of subspace distances: a checkpoint, or a run's folder; this run's start where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
    /// So many last losses are correlated.
    pub window: usize,
    /// At that lag.
    pub lag: usize,
    /// Examples for noise scale and margins.
    pub examples: usize,
    /// On a private run, accept probes that read training examples behind the guard's back: what they write is not covered by the
    /// guarantee.
    pub unaccounted: bool,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            every: 50,
            rank: RankRule::Relative(1e-6),
            drop: 1,
            subspace_rank: RankRule::Energy(0.9),
            target: None,
            window: 100,
            lag: 1,
            examples: 64,
            unaccounted: false,
        }
    }
}

impl ProbeConfig {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn has(&self, name: ProbeName) -> bool {
        self.names.contains(&name)
    }

    /// The probes of a run whose figures no guarantee covers; none on a run without one.
    pub fn unaccounted(&self, config: &TrainingConfig) -> Vec<ProbeName> {
        let private = config.guarantee().is_some();
        self.names.iter().copied().filter(|name| private && name.reads_examples()).collect()
    }

    pub(crate) fn validate(&self, config: &TrainingConfig) -> Result<()> {
        if self.every == 0 {
            return Err(Error::input("probe.every = 0; it must be at least 1"));
        }
        if self.examples < 2 {
            return Err(Error::input(format!("probe.examples = {}; it must be at least 2", self.examples)));
        }
        for rule in [self.rank, self.subspace_rank] {
            rule.to_string().parse::<RankRule>().map_err(|error| Error::input(format!("probe: {error}")))?;
        }
        if let Some(twice) = self.names.iter().enumerate().find(|(at, name)| self.names[..*at].contains(name)) {
            return Err(Error::input(format!("probe.names: {} is there twice", twice.1)));
        }
        if self.target.is_some() && !self.has(ProbeName::Subspaces) {
            return Err(Error::input("probe.target means nothing without the probe subspaces; leave it out"));
        }
        if let Some(reason) = self.senseless(config) {
            return Err(Error::input(reason));
        }
        match self.unaccounted(config).first() {
            Some(name) if !self.unaccounted => Err(Error::input(format!(
                "probe.names: {name} reads training examples without noise, and no accountant counts what it writes, so the record would \
                 be outside of the guarantee; leave it out, or accept that with --unaccounted-probes (probe.unaccounted = true)"
            ))),
            _ => Ok(()),
        }
    }

    /// Why a probe has nothing to read in such a run.
    fn senseless(&self, config: &TrainingConfig) -> Option<String> {
        let guarded = config.guarantee().is_some() || config.vote.is_some();
        let unlabelled = config.task.as_ref().is_some_and(|task| task.train_examples().is_none());
        let because = |name: ProbeName, reason: &str| self.has(name).then(|| format!("probe.names: {name}: {reason}"));
        let of_guard = guarded
            .then(|| because(ProbeName::Autocorrelation, "the guard withholds the losses of the batch; leave it out"))
            .flatten();
        let of_votes = config.vote.is_some().then(|| {
            because(ProbeName::Invariants, "a vote's signs are no gradient, so no drift is predicted; leave it out").or_else(
                || {
                    let name = self.names.iter().copied().find(|name| name.reads_examples())?;
                    because(name, "in a vote nobody sees the users' examples; leave it out")
                },
            )
        });
        let of_contexts = unlabelled.then(|| {
            let (seen, margins) = (ProbeName::Seen, ProbeName::Margins);
            because(seen, "every step has new contexts, so none is seen twice; leave it out")
                .or_else(|| because(margins, "numbers have no margin; leave it out"))
        });
        of_guard.or(of_votes.flatten()).or(of_contexts.flatten())
    }
}

/// What probes read of a run that is being built.
pub(crate) struct Watched<'a> {
    pub(crate) config: &'a TrainingConfig,
    pub(crate) network: &'a Arc<Network>,
    pub(crate) start: &'a [f32],
    /// Before any guard; `None` where users vote.
    pub(crate) objective: Option<&'a Arc<dyn Differentiate<Batch, f32>>>,
    pub(crate) examples: Examples<'a>,
    pub(crate) plan: Option<&'a PlanSummary>,
    pub(crate) device: Device,
}

/// The examples that a run trains on.
pub(crate) enum Examples<'a> {
    Labelled(&'a Arc<Samples>),
    Drawn(&'a Contexts),
}

impl Watched<'_> {
    /// The probes that the configuration names.
    pub(crate) fn probes(&self) -> Result<Vec<Box<dyn Observe<f32>>>> {
        self.config.probe.names.iter().map(|name| self.probe(*name)).collect()
    }

    fn probe(&self, name: ProbeName) -> Result<Box<dyn Observe<f32>>> {
        let config = &self.config.probe;
        let matrices = || quantities::matrices(self.network.layout());
        Ok(match name {
            ProbeName::Invariants => Box::new(self.invariants()?),
            ProbeName::Spectra => Box::new(Spectra::new(matrices(), config.rank, config.drop, config.every).map_err(in_probe)?),
            ProbeName::Subspaces => {
                let target = self.target()?;
                Box::new(Subspaces::new(matrices(), &target, config.subspace_rank, config.every).map_err(in_probe)?)
            }
            ProbeName::Autocorrelation => Box::new(Forgetting::new(config.window, config.lag, config.every).map_err(in_probe)?),
            ProbeName::Seen => {
                let samples = self.labelled(name)?;
                Box::new(Every::new(config.every, Accuracy::new("seen", self.network.clone(), samples.clone(), self.device)))
            }
            ProbeName::NoiseScale => {
                let without =
                    || Error::input("probe.names: noise-scale: in a vote nobody sees the users' gradients; leave it out");
                Box::new(NoiseScale::new(self.objective.ok_or_else(without)?.clone(), self.batch(), config.every))
            }
            ProbeName::Margins => {
                let samples = self.labelled(name)?;
                let batch = self.batch();
                let margins = Margins::new(self.network.clone(), samples.clone(), self.device, Box::new(batch));
                Box::new(Every::new(config.every, margins))
            }
        })
    }

    fn labelled(&self, name: ProbeName) -> Result<&Arc<Samples>> {
        match self.examples {
            Examples::Labelled(samples) => Ok(samples),
            Examples::Drawn(_) => Err(Error::input(format!("probe.names: {name} needs labelled examples"))),
        }
    }

    /// The examples of a step that noise scale and margins are measured on.
    fn batch(&self) -> Box<dyn Fn(u64) -> Batch + Send> {
        let count = self.config.probe.examples;
        match self.examples {
            Examples::Drawn(contexts) => Box::new(contexts.beyond(self.config.training.batch, count)),
            Examples::Labelled(samples) => {
                let (n, stream) = (samples.len(), Seed(self.config.training.seed).stream("probe examples"));
                let count = count.min(n);
                Box::new(move |step| Batch { step, indices: index::sample(&mut stream.at(step), n, count).into_vec() })
            }
        }
    }

    fn invariants(&self) -> Result<Invariants> {
        let training = &self.config.training;
        let update = match self.plan {
            None => Update::Gradient,
            Some(plan) if plan.mechanism == thalweg_private::strategy::Name::Identity => {
                Update::Noisy { deviation: plan.noise_std }
            }
            Some(_) => Update::Correlated,
        };
        let quantities = quantities::conserved(self.network.config(), self.network.layout(), update);
        if quantities.is_empty() {
            return Err(Error::input(format!(
                "probe.names: invariants: no conserved quantity is known of a network of kind {}; leave it out",
                self.config.network.name()
            )));
        }
        Invariants::new(quantities, self.start, update, training.weight_decay, self.config.probe.every).map_err(in_probe)
    }

    fn target(&self) -> Result<Vec<f32>> {
        match &self.config.probe.target {
            None => Ok(self.start.to_vec()),
            Some(path) => load_target(path, self.network.layout()),
        }
    }
}

fn in_probe(error: thalweg_probes::Error) -> Error {
    Error::input(format!("probe: {error}"))
}

/// Weights from a file, or from the newest checkpoint in a run's folder.
fn load_target(path: &Path, layout: &Layout) -> Result<Vec<f32>> {
    let in_field = |error: &dyn std::fmt::Display| Error::input(format!("probe.target = {}: {error}", path.display()));
    if !path.is_dir() {
        return weights::load(path, layout).map_err(|error| in_field(&error));
    }
    let snapshot = Run::newest_snapshot::<f32>(path).map_err(|error| in_field(&error))?;
    if snapshot.layout != *layout {
        return Err(in_field(&"that run's network has other parameters than this one's"));
    }
    Ok(snapshot.parameters)
}
