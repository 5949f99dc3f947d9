//! `thalweg dynamics features`.

mod pictures;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::compose::features::protection;
use thalweg::descent::Result;
use thalweg::dynamics::features::{Activation, Network, NoisyGd, Regime, Report, Simulation, Synthetic};
use thalweg::pages;
use thalweg::report::format::{percent, significant};

use super::{draw_page, page_line};
use crate::cli::Common;
use crate::cli::console::Console;

/// What a private network learns: signal, memorised noise, injected noise
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics features --snr 0.3 --epsilon 8              signal learned, privately
  thalweg dynamics features --snr 0.05 --epsilon 8             noise memorised: right on training examples alone
  thalweg dynamics features --snr 0.05 --epsilon inf           the same without noise
  thalweg dynamics features --snr 0.15 --epsilon 2 --scale-signal 3 --out enhanced.html
  thalweg dynamics features --data digits --classes 3,8 --snr 0.8 --epsilon 8    real pictures beside the noise

An example is one patch of signal, whose sign is the label, and one patch of noise. Every example's gradient is clipped, so that
(epsilon, delta) holds for the weights of all steps. `noise` is the largest coefficient of a noise patch; under privacy most of it is
injected, as `control_noise` shows: what is memorised shows in `memorising_runs`. The data are synthetic, so --seed governs all
draws; --scale-signal and --project-out know where the signal lies, as nobody does with real data.")]
pub(crate) struct Features {
    /// The number n of training examples [default: 500; of pictures all]
    #[arg(long, value_name = "N")]
    n: Option<usize>,
    /// The dimension d of a patch
    #[arg(long, value_name = "D", default_value_t = 2000)]
    dim: usize,
    /// The ratio of the norms of signal and noise
    #[arg(long, value_name = "S", default_value_t = 0.3, allow_negative_numbers = true)]
    snr: f64,
    /// Epsilon of all steps together; inf for no noise
    #[arg(long, value_name = "E", default_value = "inf", allow_negative_numbers = true)]
    epsilon: f64,
    /// delta
    #[arg(long, value_name = "D", default_value_t = 1e-5, allow_negative_numbers = true)]
    delta: f64,
    /// The number of runs, each with draws of its own
    #[arg(long, value_name = "K", default_value_t = 4)]
    seeds: u32,
    /// The number of steps
    #[arg(long, value_name = "T", default_value_t = 100)]
    steps: u64,
    /// The learning rate
    #[arg(long, value_name = "X", default_value_t = 0.2, allow_negative_numbers = true)]
    eta: f64,
    /// No example's gradient is longer than this
    #[arg(long, value_name = "C", default_value_t = 1.0, allow_negative_numbers = true)]
    clip: f64,
    /// The number m of filters for each class
    #[arg(long, value_name = "M", default_value_t = 10)]
    width: usize,
    /// The power q of the activation max(0, z)^q; the theory asks for more than 2
    #[arg(long, value_name = "Q", default_value_t = 3.0, allow_negative_numbers = true)]
    power: f64,
    /// Unseen examples, on which a run is tested
    #[arg(long, value_name = "N", default_value_t = 1000)]
    tests: usize,
    /// Scale the signal patch
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    scale_signal: Option<f64>,
    /// Project out that share of the noise's dimensions
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    project_out: Option<f64>,
    /// Real pictures in the place of the signal: a name of `thalweg data list`, or a folder of labelled pictures, as ./photos
    #[arg(long, value_name = "NAME", conflicts_with_all = ["dim", "tests", "project_out"])]
    data: Option<String>,
    /// The two classes of pictures that are told apart [default: the first two]
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "data")]
    classes: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    report: Report,
    epsilon: Option<f64>,
    delta: f64,
    snr: f64,
    page: Option<PathBuf>,
}

impl Features {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        if let Some(name) = &self.data {
            return self.run_pictures(name, common, console);
        }
        let simulation = self.simulation(common)?;
        let activation = simulation.network.activation;
        if !activation.is_within_theory() {
            console.note(&format!("power {} is outside the theory, which asks for more than 2", activation.power()));
        }
        let report = super::keeping_record(common, "features", simulation.run())?;
        let page = draw_page(common, |path| pages::write_features_page(&self.title(&simulation), &simulation, &report, path))?;
        let text = format!("{}{}", self.describe(&report), page_line(page.as_ref()));
        // JSON has no infinity.
        let epsilon = self.epsilon.is_finite().then_some(self.epsilon);
        console.result(&Document { report, epsilon, delta: self.delta, snr: simulation.data.snr, page }, &text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn simulation(&self, common: &Common) -> Result<Simulation> {
        let mut data = Synthetic { examples: self.n.unwrap_or(500), dimension: self.dim, snr: self.snr, ..Synthetic::default() };
        if let Some(factor) = self.scale_signal {
            data = data.with_signal_times(factor)?;
        }
        if let Some(share) = self.project_out {
            data = data.without_noise_dimensions(share)?;
        }
        let network = Network { width: self.width, activation: Activation::new(self.power)?, ..Network::default() };
        let descent = NoisyGd { rate: self.eta, steps: self.steps, ..NoisyGd::default() };
        let simulation = Simulation { data, network, descent, tests: self.tests, runs: self.seeds, ..Simulation::default() };
        simulation.check()?;
        let protection = protection(self.epsilon, self.delta, self.clip, self.steps)?;
        // A record costs about as much as a step.
        let records = if common.out.is_some() { 50 } else { 4 };
        let record_every = Some((self.steps / records).max(1));
        let descent = NoisyGd { protection, ..descent };
        Ok(Simulation { descent, record_every, seed: common.seed.unwrap_or(0), ..simulation })
    }

    fn title(&self, simulation: &Simulation) -> String {
        let budget = if self.epsilon.is_finite() { format!("epsilon {}", self.epsilon) } else { "without noise".to_owned() };
        format!("Signal and noise at ratio {}, {budget}", significant(simulation.data.snr, 3))
    }

    fn describe(&self, report: &Report) -> String {
        let regime = match report.regime {
            Regime::Learned => "learned: right on unseen examples",
            Regime::Memorised => "memorised: right on training examples alone",
            Regime::NoFit => "no fit: not even the training examples are right",
            Regime::Mixed => "mixed",
        };
        let guarantee = if self.epsilon.is_finite() {
            format!("({}, {})-private, noise multiplier {}", self.epsilon, self.delta, significant(report.noise_multiplier, 6))
        } else {
            "none: clipped, without noise".to_owned()
        };
        [
            format!(
                "accuracy   {} on unseen, {} on training examples",
                percent(report.test_accuracy, 1),
                percent(report.train_accuracy, 1)
            ),
            format!("regime     {regime}"),
            format!("signal     {}", significant(report.signal, 4)),
            format!("noise      {} (injected alone: {})", significant(report.noise, 4), significant(report.control_noise, 4)),
            format!("memorised  clear in {} of {} runs", report.memorising_runs, report.runs.len()),
            format!("guarantee  {guarantee}"),
        ]
        .join("\n")
    }
}
