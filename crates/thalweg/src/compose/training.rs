//! A training run, built from its configuration.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use thalweg_descent::step::{AdamW, Sgd, Step};
use thalweg_descent::{
    Batch, Batches, Choose, Descent, Differentiate, Error, Every, Guard, Mean, Observe, Pieces, Rates, Reduction, Result, Seed,
};
use thalweg_nn::{
    Accuracy, Activation, AttentionOnlyConfig, Augmentation, Average, BagConfig, Classification, Device, Head, MovingAverage,
    Network, NetworkConfig, Norms as LayerNorms, Regression, ResNetConfig, TransformerConfig, Views, evaluate, weights,
};
use thalweg_private::grid::OnGrid;
use thalweg_private::strategy::StrategyFile;
use thalweg_private::{Clip, NoiseKey, PrivacyPlan, Ratios, Workload};
use thalweg_probes::{Balance, Loss, Norms};

use crate::compose::federated::Federated;
use crate::compose::probes::{Examples, Watched};
use crate::compose::task::{Contexts, WatchContexts, modular_addition};
use crate::compose::{
    Form, Input, NetworkChoice, Optimiser, PrivacyConfig, Sampling, Task, TrainAndTest, TrainingConfig, VoteProgress, load_data,
};

/// A descent on a network, with what is needed to look at it.
pub struct Training {
    /// The machine, at its first step.
    pub descent: Descent<Batch, f32>,
    /// The plan behind the guarantee; `None` for plain training.
    pub privacy: Option<PrivacyPlan>,
    /// What came of the votes so far; `None` where nobody votes.
    pub vote: Option<VoteProgress>,
    /// Name, version, sizes and content hash of the data.
    pub data: String,
    /// The moving average of the parameters, where one is kept.
    pub average: Option<Average>,
    network: Arc<Network>,
    material: Material,
    device: Device,
}

/// How a network does on the examples that it is measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The mean loss.
    pub loss: f64,
    /// The share of examples whose label has the largest score; `None` where there are no labels.
    pub accuracy: Option<f64>,
}

/// What a run trains on and is measured on.
pub(super) enum Material {
    /// Examples with labels.
    Labelled(TrainAndTest),
    /// Contexts that are drawn for each step.
    Contexts(Arc<Contexts>),
}

impl Material {
    pub(super) fn of(config: &TrainingConfig) -> Result<Self> {
        let seed = config.training.seed;
        Ok(match &config.task {
            None => Self::Labelled(load_data(&config.data, seed)?),
            Some(Task::ModularAddition { modulus, train_share }) => {
                Self::Labelled(modular_addition(*modulus, *train_share, seed)?)
            }
            Some(Task::InContext { spectrum, context, held_out }) => {
                Self::Contexts(Arc::new(Contexts::new(spectrum, *context, *held_out, seed)?))
            }
        })
    }

    /// Where batches are drawn from; contexts are drawn anew for each place of a batch.
    fn examples(&self, config: &TrainingConfig) -> usize {
        match self {
            Self::Labelled(data) => data.train.len(),
            Self::Contexts(_) => config.training.batch,
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Labelled(data) => data.description.clone(),
            Self::Contexts(contexts) => contexts.description(),
        }
    }

    fn measure(&self, network: &Network, parameters: &[f32], device: Device) -> Result<Measured> {
        Ok(match self {
            Self::Labelled(data) => {
                let found = evaluate(network, parameters, &data.test, device)?;
                Measured { loss: found.loss, accuracy: Some(found.accuracy) }
            }
            Self::Contexts(contexts) => Measured { loss: contexts.evaluate(network, parameters, device)?.0, accuracy: None },
        })
    }

    /// The observer that writes what [`measure`](Self::measure) gives.
    fn watch(&self, network: &Arc<Network>, every: u64, device: Device) -> Box<dyn Observe<f32>> {
        let network = network.clone();
        match self {
            Self::Labelled(data) => Box::new(Every::new(every, Accuracy::new("test", network, data.test.clone(), device))),
            Self::Contexts(contexts) => {
                Box::new(Every::new(every, WatchContexts { network, contexts: contexts.clone(), device }))
            }
        }
    }
}

impl Training {
    /// Builds the descent. The same configuration and key give the same descent.
    ///
    /// # Errors
    /// [`Error::Input`] naming field and value; [`Error::Refused`] for pieces that must not be combined.
    pub fn prepare(config: &TrainingConfig, key: &NoiseKey) -> Result<Self> {
        config.validate()?;
        let device: Device = config.machine.device.parse()?;
        let material = Material::of(config)?;
        let network = Arc::new(network(&config.network, &material)?.build()?);
        let steps = steps(config, &material)?;
        let rates = Rates::new(config.training.rate, config.training.schedule.clone(), steps)?;
        let seams = seams(config, &network, &material, device, steps, key)?;
        let seed = Seed(config.training.seed);
        let start = network.init(&mut seed.stream("initial weights").at(0));
        let mut observe = observers(config, &network, &start, &material, device)?;
        observe.extend(probes(config, &network, &start, &material, &seams, device)?);
        let average = match (config.training.ema, &material) {
            (Some(decay), Material::Labelled(data)) => {
                let every = config.record.evaluate_every;
                let average = MovingAverage::new(decay, every, network.clone(), data.test.clone(), device)?;
                let handle = average.average();
                observe.push(Box::new(average));
                Some(handle)
            }
            _ => None,
        };
        let pieces = Pieces {
            choose: seams.choose,
            differentiate: seams.differentiate,
            reduction: Reduction::on_threads(NonZeroUsize::new(config.machine.threads).unwrap_or(NonZeroUsize::MIN)),
            guard: seams.guard,
            step: step(config)?,
            observe,
        };
        let descent = Descent::new(start, network.layout().clone(), rates, pieces)?;
        Ok(Self {
            descent,
            privacy: seams.privacy,
            vote: seams.vote,
            data: material.description(),
            average,
            network,
            material,
            device,
        })
    }

    /// Loss and accuracy on the test examples at the present parameters.
    ///
    /// # Errors
    /// When the network cannot be evaluated.
    pub fn evaluate(&self) -> Result<Measured> {
        self.material.measure(&self.network, self.descent.parameters(), self.device)
    }

    /// Loss and accuracy of the moving average; `None` where none is kept or no step is taken.
    ///
    /// # Errors
    /// When the network cannot be evaluated.
    pub fn evaluate_average(&self) -> Result<Option<Measured>> {
        let Some(average) = self.averaged() else { return Ok(None) };
        self.material.measure(&self.network, &average, self.device).map(Some)
    }

    /// Writes the moving average, where one is kept, as `average.safetensors`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_average(&self, folder: &Path) -> Result<()> {
        let Some(average) = self.averaged() else { return Ok(()) };
        Ok(weights::save(&folder.join("average.safetensors"), self.network.layout(), &average)?)
    }

    fn averaged(&self) -> Option<Vec<f32>> {
        self.average.as_ref().map(Average::parameters).filter(|average| !average.is_empty())
    }
}

/// The network for these examples.
pub(super) fn network(choice: &NetworkChoice, material: &Material) -> Result<NetworkConfig> {
    match (material, choice) {
        (Material::Labelled(data), _) => classifier(choice, data),
        (Material::Contexts(contexts), NetworkChoice::Attention { width, layers, heads }) => {
            check_size(4.0 * *layers as f64, *width, &[*width])?;
            let outputs = contexts.dimension();
            let (width, layers, heads) = (*width, *layers, *heads);
            Ok(NetworkConfig::AttentionOnly(AttentionOnlyConfig { inputs: 2 * outputs, outputs, width, layers, heads }))
        }
        (Material::Contexts(_), _) => Err(Error::input(format!(
            "network.kind = \"{}\" gives classes, and regression in context asks for numbers; choose attention",
            choice.name()
        ))),
    }
}

fn classifier(choice: &NetworkChoice, data: &TrainAndTest) -> Result<NetworkConfig> {
    let classes = data.classes;
    match (choice, data.input) {
        (NetworkChoice::Mlp { hidden }, Input::Image { shape }) => {
            let inputs = shape.iter().product();
            check_size(1.0, inputs, hidden)?;
            Ok(NetworkConfig::mlp(inputs, hidden, classes))
        }
        (NetworkChoice::Cnn { channels }, Input::Image { shape }) => {
            check_size(9.0, shape[0], channels)?;
            Ok(NetworkConfig::cnn(shape, channels, classes))
        }
        (NetworkChoice::Resnet { widths, blocks }, Input::Image { shape }) => {
            check_size(9.0 * 2.0 * *blocks as f64, shape[0], widths)?;
            Ok(NetworkConfig::Resnet(ResNetConfig::new(shape, widths, classes).with_blocks(*blocks)))
        }
        (NetworkChoice::Transformer { width, layers, heads, form }, Input::Words { vocabulary, length }) => {
            check_size(12.0 * *layers as f64, *width, &[*width])?;
            check_size(1.0, vocabulary.saturating_add(length), &[*width])?;
            let usual = TransformerConfig::new(vocabulary, length, *width, *layers, *heads, Head::Classes { classes });
            Ok(NetworkConfig::Transformer(match form {
                Form::Usual => usual,
                Form::Bare => TransformerConfig { head: Head::Last { classes }, ..usual }
                    .with_norms(LayerNorms::None)
                    .with_activation(Activation::Relu),
            }))
        }
        (NetworkChoice::Attention { .. }, _) => Err(Error::input(
            "network.kind = \"attention\" takes sequences of vectors, which regression in context has; choose another kind",
        )),
        (NetworkChoice::Bag { width }, Input::Words { vocabulary, .. }) => {
            check_size(1.0, vocabulary, &[*width])?;
            Ok(NetworkConfig::Bag(BagConfig { vocabulary, width: *width, classes }))
        }
        (_, Input::Image { .. }) => Err(Error::input(format!(
            "network.kind = \"{}\" takes words, and these examples are images; choose mlp, cnn or resnet",
            choice.name()
        ))),
        (_, Input::Words { .. }) => Err(Error::input(format!(
            "network.kind = \"{}\" takes images, and these examples are texts; choose bag or transformer",
            choice.name()
        ))),
    }
}

/// Refuses what no machine holds; in floating point, since the product itself may be what is too large.
fn check_size(copies: f64, first: usize, widths: &[usize]) -> Result<()> {
    let before = std::iter::once(&first).chain(widths);
    let weights: f64 = before.zip(widths).map(|(inputs, outputs)| copies * *inputs as f64 * *outputs as f64).sum();
    if weights > MOST_PARAMETERS {
        return Err(Error::input(format!(
            "network: widths {widths:?} make {weights:.1e} weights; choose smaller ones, {MOST_PARAMETERS:.0e} in all at most"
        )));
    }
    Ok(())
}

/// More steps than this cannot be planned: the error of a mechanism takes the square of them.
pub const MOST_STEPS: u64 = 100_000;

/// Four gigabytes of parameters, each of which the machine holds a few times.
const MOST_PARAMETERS: f64 = 1e9;

/// Whole batches only, so that the noise is calibrated for exactly the steps that are taken.
pub(super) fn steps(config: &TrainingConfig, material: &Material) -> Result<u64> {
    let examples = material.examples(config);
    if let Some(vote) = &config.vote {
        return if vote.rounds <= MOST_STEPS {
            Ok(vote.rounds)
        } else {
            Err(Error::input(format!("vote.rounds = {}; a run takes at most {MOST_STEPS} steps", vote.rounds)))
        };
    }
    let batch = config.training.batch;
    if !(1..=examples).contains(&batch) {
        return Err(Error::input(format!(
            "training.batch = {batch}, but there are {examples} training examples ({}); choose from 1 to {examples}",
            material.description()
        )));
    }
    if let Some(steps) = config.training.steps {
        return if steps <= MOST_STEPS {
            Ok(steps)
        } else {
            Err(Error::input(format!("training.steps = {steps}; a run takes at most {MOST_STEPS} steps")))
        };
    }
    let per_epoch = (examples / batch) as u64;
    match config.training.epochs.checked_mul(per_epoch) {
        Some(steps) if steps <= MOST_STEPS => Ok(steps),
        _ => Err(Error::input(format!(
            "training.epochs = {} with {per_epoch} steps each; a run takes at most {MOST_STEPS} steps, so at most {} epochs",
            config.training.epochs,
            MOST_STEPS / per_epoch
        ))),
    }
}

/// The seams that privacy and votes change.
struct Seams {
    choose: Box<dyn Choose<Batch, f32>>,
    differentiate: Box<dyn Differentiate<Batch, f32>>,
    /// The same before any guard, for probes; `None` where users vote.
    objective: Option<Arc<dyn Differentiate<Batch, f32>>>,
    guard: Box<dyn Guard<f32>>,
    privacy: Option<PrivacyPlan>,
    vote: Option<VoteProgress>,
}

fn seams(
    config: &TrainingConfig,
    network: &Arc<Network>,
    material: &Material,
    device: Device,
    steps: u64,
    key: &NoiseKey,
) -> Result<Seams> {
    if let (Some(vote), Material::Labelled(data)) = (&config.vote, material) {
        let objective = objective(config, network, data, device)?;
        let (training, parameters) = (&config.training, network.layout().len());
        let votes = Federated::new(vote, training.batch, data.train.labels(), objective, parameters, training.seed)?;
        return Ok(Seams {
            choose: Box::new(votes.choose),
            differentiate: Box::new(votes.differentiate),
            objective: None,
            guard: Box::new(votes.guard),
            privacy: None,
            vote: Some(votes.progress),
        });
    }
    let objective: Arc<dyn Differentiate<Batch, f32>> = match material {
        Material::Labelled(data) => Arc::new(objective(config, network, data, device)?),
        Material::Contexts(contexts) => Arc::new(Regression::new(network.clone(), contexts.clone(), device)?),
    };
    let batches = batches(config, material.examples(config), steps, key)?;
    let (guard, privacy) = guard(config, &batches, steps, key)?;
    let differentiate: Box<dyn Differentiate<Batch, f32>> = match privacy.as_ref().and_then(PrivacyPlan::grid) {
        Some(grid) => {
            grid.check_parameters(network.layout().len())?;
            Box::new(OnGrid::new(objective.clone(), grid))
        }
        None => Box::new(objective.clone()),
    };
    Ok(Seams { choose: Box::new(batches), differentiate, objective: Some(objective), guard, privacy, vote: None })
}

/// What is watched beside, by the names of the configuration.
fn probes(
    config: &TrainingConfig,
    network: &Arc<Network>,
    start: &[f32],
    material: &Material,
    seams: &Seams,
    device: Device,
) -> Result<Vec<Box<dyn Observe<f32>>>> {
    let examples = match material {
        Material::Labelled(data) => Examples::Labelled(&data.train),
        Material::Contexts(contexts) => Examples::Drawn(contexts),
    };
    let plan = seams.privacy.as_ref().map(PrivacyPlan::summary);
    let (objective, plan) = (seams.objective.as_ref(), plan.as_ref());
    Watched { config, network, start, objective, examples, plan, device }.probes()
}

pub(super) fn batches(config: &TrainingConfig, examples: usize, steps: u64, key: &NoiseKey) -> Result<Batches> {
    let training = &config.training;
    let size = training.batch as f64;
    let public = || Seed(training.seed).stream("batches");
    // Sampling amplifies privacy only while nobody knows who was sampled.
    let drawn = || match config.guarantee() {
        Some(_) => Seed(key.sampling_seed()).stream("batches"),
        None => public(),
    };
    for (field, given, sampling, name) in [
        ("groups", training.groups, Sampling::Cyclic, "cyclic"),
        ("separation", training.separation, Sampling::BMinSep, "b-min-sep"),
    ] {
        if given.is_some() && training.sampling != sampling {
            return Err(Error::input(format!(
                "training.{field} means nothing without training.sampling = {name:?}; leave it out"
            )));
        }
    }
    let batches = match training.sampling {
        Sampling::FixedOrder => Batches::fixed_order(examples, training.batch, steps, &public())?,
        Sampling::Shuffled => Batches::shuffled(examples, training.batch, steps, public())?,
        Sampling::Poisson => Batches::poisson(examples, size, drawn())?,
        Sampling::Cyclic => Batches::cyclic_poisson(examples, groups(config, examples)?, size, drawn())?,
        Sampling::BallsInBins => Batches::balls_in_bins(examples, examples / training.batch, &drawn())?,
        Sampling::BMinSep => Batches::b_min_sep(examples, separation(config, examples)?, size, drawn())?,
    };
    Ok(match training.micro_batch {
        Some(size) => batches.in_shards_of(size),
        None => batches,
    })
}

/// The bands of the mechanism; 1 without one.
fn bands(config: &TrainingConfig) -> usize {
    config.guarantee().map_or(1, |privacy| privacy.bands.unwrap_or(thalweg_private::plan::BANDS))
}

fn groups(config: &TrainingConfig, examples: usize) -> Result<usize> {
    let (groups, batch) = (config.training.groups.unwrap_or_else(|| bands(config)), config.training.batch);
    if groups.saturating_mul(batch) > examples {
        return Err(Error::input(format!(
            "training.batch = {batch}, but each of {groups} groups has {} examples; take smaller batches, or fewer groups and bands",
            examples / groups
        )));
    }
    Ok(groups)
}

fn separation(config: &TrainingConfig, examples: usize) -> Result<u64> {
    let (separation, batch) = (config.training.separation.unwrap_or_else(|| bands(config)), config.training.batch);
    if separation.saturating_mul(batch) > examples {
        return Err(Error::input(format!(
            "training.batch = {batch}, but of {examples} examples that wait {separation} steps only {} are free in a step; take smaller \
             batches, or a smaller separation and fewer bands",
            examples / separation
        )));
    }
    Ok(separation as u64)
}

fn guard(
    config: &TrainingConfig,
    batches: &Batches,
    steps: u64,
    key: &NoiseKey,
) -> Result<(Box<dyn Guard<f32>>, Option<PrivacyPlan>)> {
    let Some(privacy) = config.guarantee() else { return Ok((Box::new(Mean), None)) };
    let plan = plan(config, privacy, batches, steps)?;
    Ok((Box::new(plan.guard(key)), Some(plan)))
}

pub(super) fn plan(config: &TrainingConfig, privacy: &PrivacyConfig, batches: &Batches, steps: u64) -> Result<PrivacyPlan> {
    let training = &config.training;
    if training.optimiser == Optimiser::Adamw {
        return Err(Error::input(
            "training.optimiser = \"adamw\": the correlated mechanisms are planned for the linear map of SGD; use \"sgd\"",
        ));
    }
    let workload = Workload::new(Ratios::of_schedule(&training.schedule, steps)?)
        .with_momentum(training.momentum)?
        .with_decay(training.rate * training.weight_decay)?;
    let participation = Choose::<Batch, f32>::participation(batches);
    let mut plan = PrivacyPlan::new(privacy.epsilon, privacy.delta, privacy.mechanism.parse()?, workload, participation)
        .with_bands(privacy.bands)
        .with_objective(privacy.objective)
        .with_clip(privacy.clip)
        .with_noise(privacy.noise)
        .with_expected_batch(training.batch as f64);
    if let Some(rule) = &privacy.clipping {
        let in_field = |error| Error::input(format!("privacy.clipping = {rule:?}: {error}"));
        plan = plan.with_clipping(rule.parse::<Clip>().map_err(in_field)?);
    }
    if let Some(path) = &privacy.strategy {
        let file = StrategyFile::load(path)?;
        // What lists and reports say of the run is the mechanism's name.
        if file.strategy().name().as_str() != privacy.mechanism {
            return Err(Error::input(format!(
                "privacy.mechanism = {:?}, but privacy.strategy = {} holds {}; name that mechanism",
                privacy.mechanism,
                path.display(),
                file.strategy().name()
            )));
        }
        plan = plan.with_strategy_file(file);
    }
    Ok(plan.build()?)
}

pub(super) fn objective(
    config: &TrainingConfig,
    network: &Arc<Network>,
    data: &TrainAndTest,
    device: Device,
) -> Result<Classification> {
    let training = &config.training;
    let objective = Classification::new(network.clone(), data.train.clone(), device)?;
    let views = NonZeroUsize::new(training.views).unwrap_or(NonZeroUsize::MIN);
    if views == NonZeroUsize::MIN && training.augmentation == Augmentation::default() {
        return Ok(objective);
    }
    Ok(objective.with_views(Views::new(views, training.augmentation, Seed(training.seed).stream("views")))?)
}

pub(super) fn step(config: &TrainingConfig) -> Result<Box<dyn Step<f32>>> {
    let training = &config.training;
    Ok(match training.optimiser {
        Optimiser::Sgd => Box::new(Sgd::new(training.momentum, training.weight_decay)?),
        Optimiser::Adamw => Box::new(AdamW::with_constants(0.9, training.beta2.unwrap_or(0.999), 1e-8, training.weight_decay)?),
    })
}

fn observers(
    config: &TrainingConfig,
    network: &Arc<Network>,
    start: &[f32],
    material: &Material,
    device: Device,
) -> Result<Vec<Box<dyn Observe<f32>>>> {
    let record = &config.record;
    let mut observers: Vec<Box<dyn Observe<f32>>> = vec![
        Box::new(Every::new(record.log_every, Loss)),
        Box::new(Every::new(record.log_every, Norms)),
        material.watch(network, record.evaluate_every, device),
    ];
    if let Some(outgoing) = balanced_layer(config) {
        let incoming = ["hidden.0.weight", "hidden.0.bias"];
        observers.push(Box::new(Balance::new(network.layout(), start, &incoming, outgoing, record.log_every)?));
    }
    Ok(observers)
}

/// The layer after the first hidden one, where theory predicts the drift of their balance: ReLU layers under plain gradient steps.
fn balanced_layer(config: &TrainingConfig) -> Option<&'static str> {
    let NetworkChoice::Mlp { hidden } = &config.network else { return None };
    let training = &config.training;
    let plain_steps = training.optimiser == Optimiser::Sgd && training.momentum == 0.0 && training.weight_decay == 0.0;
    if config.guarantee().is_some() || config.vote.is_some() || !plain_steps || hidden.is_empty() {
        return None;
    }
    Some(if hidden.len() == 1 { "output.weight" } else { "hidden.1.weight" })
}
